//! A small cluster of simulated daemons in a process of their own, and its file.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Output};

use campanile_testkit::{Daemon, free_port, wait_until};
use serde_json::Value;

use crate::PATIENCE;

pub(crate) const SAMPLERS: [&str; 4] = ["s-1", "s-2", "s-3", "s-4"];
pub(crate) const L1: [&str; 2] = ["l1-1", "l1-2"];
pub(crate) const TOP: &str = "l2";
/// Sets at the top when all is well: two of each sampler.
pub(crate) const SETS: u64 = 8;

pub(crate) fn campanile(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_campanile"));
    command.args(args).env_remove("CAMPANILE_LOG").env_remove("STATE_DIRECTORY").env_remove("OCS_CONFIG_DIR");
    command
}

/// Exit code and both outputs.
pub(crate) fn told(output: &Output) -> (i32, String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
}

pub(crate) struct Cluster {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) ports: BTreeMap<&'static str, u16>,
    /// First-tier aggregators in the file.
    pub(crate) l1: Vec<&'static str>,
    /// What stands in the section `campanile:` beside quick waits.
    pub(crate) extra: String,
    pub(crate) interval: &'static str,
    _sim: Daemon,
}

impl Cluster {
    /// Starts all daemons but these; they have their ports.
    pub(crate) fn start_without(others: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let all = SAMPLERS.into_iter().chain(L1).chain([TOP]);
        let ports: BTreeMap<&str, u16> = all.map(|name| (name, free_port())).collect();
        let simulated = ports.iter().filter(|(name, _)| !others.contains(name));
        let mut command = campanile(&["ldms", "sim", "--quick", "--control"]);
        command
            .arg(dir.path().join("sim"))
            .args(simulated.map(|(name, port)| format!("{name}=127.0.0.1:{port}")));
        let sim = Daemon::spawn("ldms sim", command);
        wait_until(PATIENCE, "the simulation takes orders", || dir.path().join("sim").exists());
        Self { dir, ports, l1: L1.to_vec(), extra: String::new(), interval: "500ms", _sim: sim }
    }

    /// Writes the file of the cluster, as it is now.
    pub(crate) fn file(&self) -> PathBuf {
        let path = self.dir.path().join("orion.yaml");
        let mut text = String::from("daemons:\n");
        for (name, port) in &self.ports {
            if !L1.contains(name) || self.l1.contains(name) {
                text += &format!(
                    "  - {{names: {name}, hosts: 127.0.0.1, endpoints: [{{names: {name}-ep, ports: {port}, maestro_comm: True}}]}}\n"
                );
            }
        }
        text += "aggregators:\n";
        for (upper, lower) in [(self.l1.as_slice(), &SAMPLERS[..]), (&[TOP][..], self.l1.as_slice())] {
            let endpoints: Vec<String> = lower.iter().map(|name| format!("{name}-ep")).collect();
            text += &format!(
                "  - {{daemons: \"{}\", peers: [{{daemons: \"{}\", endpoints: \"{}\", reconnect: 500ms, type: active, \
                 updaters: [{{mode: pull, interval: 500ms, offset: 100ms}}]}}]}}\n",
                upper.join(","),
                lower.join(","),
                endpoints.join(",")
            );
        }
        let interval = self.interval;
        text += &format!(
            "samplers: [{{daemons: \"{}\", plugins: [mem, vm]}}]\nplugins:\n  \
             mem: {{name: meminfo, interval: {interval}, offset: 0s, config: [{{schema: meminfo}}]}}\n  \
             vm: {{name: vmstat, interval: {interval}, offset: 0s, config: [{{schema: vmstat}}]}}\n\
             campanile:\n  probe: {{interval: 300ms, strikes: 4}}\n  moves: {{settle: 500ms, return_per_s: 100}}\n{}",
            SAMPLERS.join(","),
            self.extra
        );
        // A manager may be reading it.
        let new = self.dir.path().join("orion.new");
        std::fs::write(&new, text).unwrap();
        std::fs::rename(new, &path).unwrap();
        path
    }

    /// Gives the simulation an order; what it replies.
    pub(crate) fn tell(&self, order: &[&str]) -> Value {
        let mut command = campanile(&["ldms", "sim", "--tell"]);
        command.arg(self.dir.path().join("sim")).args(order);
        let (code, out, err) = told(&command.output().unwrap());
        assert_eq!(code, 0, "{order:?}: {err}");
        serde_json::from_str(&out).unwrap_or(Value::Null)
    }

    /// Waits until all sets come to the top. What they were before does not count.
    #[track_caller]
    pub(crate) fn covered(&self) {
        std::thread::sleep(std::time::Duration::from_millis(1_500));
        wait_until(PATIENCE, "all sets are fresh at the top", || {
            let sets = self.tell(&["coverage", TOP, "1500ms"]);
            sets["collected"].as_u64() == Some(SETS)
        });
    }

    /// Asks `campanile ldms …` about the manager of this cluster, whose state is in its directory.
    pub(crate) fn ldms(&self, args: &[&str]) -> (i32, String, String) {
        let mut command = campanile(&["ldms"]);
        command.args(args).args(["--prefix", "orion", "--state-dir"]).arg(self.state());
        told(&command.output().unwrap())
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    /// The same as JSON.
    #[track_caller]
    pub(crate) fn json(&self, args: &[&str]) -> Value {
        let (code, out, err) = self.ldms(&[args, &["--json"]].concat());
        assert_eq!(code, 0, "{args:?}: {err}");
        serde_json::from_str(&out).unwrap()
    }
}
