//! A HostManager of its own, without a router, driven over its control socket; its instances can be counted from outside.
#![allow(clippy::unwrap_used, dead_code, reason = "a part of several test programs")]

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use campanile_testkit::{Daemon, Signal, TempSite, free_port, is_alive, wait_for, wait_until};
use serde_json::{Value, json};

/// Enough on any machine that can run tests.
pub(crate) const SOON: Duration = Duration::from_secs(60);
pub(crate) const HOST: &str = "host-1";
pub(crate) const MANAGER: &str = "hm";

/// How many rounds a test with random histories makes.
pub(crate) fn rounds(usual: u32) -> u32 {
    std::env::var("CAMPANILE_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

/// A random number generator, and its seed told; `CAMPANILE_SEED` repeats a run.
pub(crate) fn random() -> fastrand::Rng {
    let seed = std::env::var("CAMPANILE_SEED").ok().and_then(|text| text.parse().ok());
    let seed = seed.unwrap_or_else(|| fastrand::u64(..));
    println!("seed {seed} (CAMPANILE_SEED={seed} repeats it)");
    fastrand::Rng::with_seed(seed)
}

/// The manager and its site.
pub(crate) struct Faults {
    pub(crate) site: TempSite,
    pub(crate) manager: Daemon,
    mark: String,
}

/// A word that no other test's processes have.
pub(crate) fn mark(test: &str) -> String {
    format!("{test}-{}", std::process::id())
}

/// An instance whose process is called MARK-ID.
pub(crate) fn sleeper(mark: &str, id: &str, more: Value) -> Value {
    let script = format!("exec -a {mark}-{id} sleep 100000");
    let mut instance = TempSite::instance("Sleeper", id, &json!({"command": ["bash", "-c", script]}));
    for (key, value) in more.as_object().into_iter().flatten() {
        instance[key] = value.clone();
    }
    instance
}

/// `hosts:` with these instances.
pub(crate) fn hosts(instances: &[Value]) -> Value {
    let mut all = vec![TempSite::instance("HostManager", MANAGER, &json!({}))];
    all.extend_from_slice(instances);
    json!({HOST: {"agent-instances": all}})
}

/// The command that runs the manager of a site.
pub(crate) fn manager_command(site: &TempSite) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_campanile"));
    command.arg("host").args(site.args(HOST)).arg("--state-dir").arg(site.state_dir());
    command.env_remove("OCS_CONFIG_DIR").env_remove("STATE_DIRECTORY");
    command
}

impl Faults {
    /// Starts a manager over instances that are called `mark`.
    #[track_caller]
    pub(crate) fn start(mark: &str, instances: &[Value]) -> Self {
        let site = TempSite::new(free_port(), &hosts(instances));
        let command = manager_command(&site);
        Self::start_with(mark, site, command)
    }

    #[track_caller]
    pub(crate) fn start_with(mark: &str, site: TempSite, command: Command) -> Self {
        let manager = Daemon::spawn("manager", command);
        let faults = Self { site, manager, mark: mark.to_owned() };
        faults.wait_until_it_answers();
        faults
    }

    #[track_caller]
    pub(crate) fn wait_until_it_answers(&self) {
        wait_until(SOON, "the manager runs", || self.session().is_some_and(|it| it["status"] == "running"));
    }

    /// Kills the manager as `kill -9` does, and starts another.
    #[track_caller]
    pub(crate) fn kill_and_restart(&mut self) {
        self.manager.kill9();
        self.manager.restart();
        self.wait_until_it_answers();
    }

    pub(crate) fn state_dir(&self) -> PathBuf {
        self.site.state_dir().join("host").join(self.site.address(MANAGER))
    }

    /// One call over the control socket.
    pub(crate) fn call(&self, procedure: &str, args: &Value) -> Result<Value, String> {
        call(&self.state_dir().join("control.sock"), &self.site.address(procedure), args)
    }

    /// The session of the process `manager`.
    pub(crate) fn session(&self) -> Option<Value> {
        let reply = self.call(&format!("{MANAGER}.ops"), &json!(["status", "manager"])).ok()?;
        Some(reply[2].clone())
    }

    /// The messages of the process `manager`, a line each.
    pub(crate) fn messages(&self) -> String {
        let session = self.session().unwrap_or_default();
        let messages = session["messages"].as_array().cloned().unwrap_or_default();
        messages.iter().map(|message| format!("{}\n", message[1].as_str().unwrap())).collect()
    }

    pub(crate) fn child(&self, id: &str) -> Option<Value> {
        let data = self.session()?["data"].take();
        data["child_states"].as_array()?.iter().find(|child| child["instance_id"] == id).cloned()
    }

    /// Runs the task `update` to its end; `None` if the manager died on the way.
    pub(crate) fn update(&self, params: &Value) -> Option<Value> {
        let ops = format!("{MANAGER}.ops");
        let started = self.call(&ops, &json!(["start", "update", params])).ok()?;
        if started[0] != 0 {
            return None;
        }
        Some(self.call(&ops, &json!(["wait", "update", {}, 30])).ok()?[2].clone())
    }

    #[track_caller]
    pub(crate) fn ask(&self, whom: &str, state: &str) {
        let session = self.update(&json!({"requests": [[whom, state]]})).unwrap();
        assert_eq!(session["success"], true, "{session}");
    }

    #[track_caller]
    pub(crate) fn wait_for_state(&self, id: &str, state: &str) -> u32 {
        let child = wait_for(SOON, &format!("{id} is {state}"), || {
            self.child(id).filter(|child| child["next_action"] == state)
        });
        u32::try_from(child["pid"].as_u64().unwrap_or(0)).unwrap()
    }

    /// The processes of the instances, by id.
    pub(crate) fn running(&self) -> BTreeMap<String, Vec<u32>> {
        running(&self.mark)
    }

    /// Ends the manager in order; nothing of its instances may be left.
    #[track_caller]
    pub(crate) fn end(mut self) {
        self.manager.signal(Signal::TERM);
        assert!(self.manager.wait(SOON).success());
        assert_eq!(self.running(), BTreeMap::new());
    }
}

/// The living processes called MARK-ID, by id.
pub(crate) fn running(mark: &str) -> BTreeMap<String, Vec<u32>> {
    let mut found: BTreeMap<String, Vec<u32>> = BTreeMap::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let name = line.split(|byte| *byte == 0).next().unwrap_or_default();
        let name = String::from_utf8_lossy(name);
        if let Some(id) = name.strip_prefix(mark).and_then(|rest| rest.strip_prefix('-'))
            && is_alive(pid)
        {
            found.entry(id.to_owned()).or_default().push(pid);
        }
    }
    found
}

/// One call over a control socket.
pub(crate) fn call(socket: &Path, procedure: &str, args: &Value) -> Result<Value, String> {
    let body = json!({"procedure": procedure, "args": args}).to_string();
    let told = |error: std::io::Error| error.to_string();
    let mut stream = UnixStream::connect(socket).map_err(told)?;
    stream.set_read_timeout(Some(SOON)).map_err(told)?;
    let head = format!(
        "POST /call HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body.as_bytes())).map_err(told)?;
    let mut reply = String::new();
    stream.read_to_string(&mut reply).map_err(told)?;
    let (_, json) = reply.split_once("\r\n\r\n").ok_or("no answer")?;
    let reply: Value = serde_json::from_str(json).map_err(|error| format!("{error}: {json}"))?;
    match reply["args"].get(0) {
        Some(result) if reply.get("error").is_none() => Ok(result.clone()),
        _ => Err(reply.to_string()),
    }
}
