//! The service of `ocs-install-systemd` under a real systemd: started, stopped, restarted, at boot, and what becomes of
//! the agents when the HostManager is killed.
//!
//! The systemd is a user's manager in a mount namespace of its own, where `/run/systemd` says that it may run; nothing
//! outside is touched.
#![expect(clippy::unwrap_used, reason = "helpers of tests end the test")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use campanile_testkit::{
    CommandOutput, Daemon, Signal, TempSite, command_line_of, finish, free_port, is_alive, pids_with_env,
    require_program, send_signal, skip, wait_for, wait_until,
};
use serde_json::json;

const SOON: Duration = Duration::from_secs(60);
const SYSTEMD: &str = "/lib/systemd/systemd";
const SERVICE: &str = "ocs-hostmanager.service";

/// A running systemd with our service installed.
struct Machine {
    site: TempSite,
    systemctl: PathBuf,
    _systemd: Daemon,
}

impl Machine {
    fn boot() -> Option<Self> {
        let unshare = require_program("unshare", "install the package util-linux")?;
        let systemctl = require_program("systemctl", "install the package systemd")?;
        if !Path::new(SYSTEMD).exists() || !rustix::process::geteuid().is_root() {
            skip("a systemd of the test's own needs the package systemd, and root");
            return None;
        }
        let hosts = json!({"host-1": {"agent-instances": [
            TempSite::instance("HostManager", "hm-host-1", &json!({})),
            TempSite::instance("Sleeper", "sleeper", &json!({"command": ["sleep", "100000"]})),
        ]}});
        let site = TempSite::new(free_port(), &hosts);
        for dir in ["run", "config/systemd/user"] {
            std::fs::create_dir_all(site.dir().join(dir)).unwrap();
        }
        let mut command = Command::new(env!("CARGO_BIN_EXE_campanile"));
        command.args(["ocs-install-systemd", "--service-user=root"]).args(site.args("host-1"));
        command.arg("--service-dir").arg(site.dir().join("config/systemd/user"));
        command.env_remove("OCS_CONFIG_DIR").current_dir(site.dir());
        let output = finish("ocs-install-systemd", command, SOON);
        assert_eq!(output.code(), 0, "{}", output.stderr);
        // The place for variables that the launcher names: the state of a test belongs into its directory.
        let launcher = site.dir().join("launcher-hm-host-1.sh");
        let text = std::fs::read_to_string(&launcher).unwrap();
        let state = format!("\nexport STATE_DIRECTORY={}\n\n###\n\n", site.state_dir().display());
        std::fs::write(&launcher, text.replacen("\n###\n\n", &state, 1)).unwrap();

        // Ten seconds are for people; the rest of the file is as it was written.
        let unit = site.dir().join("config/systemd/user").join(SERVICE);
        let text = std::fs::read_to_string(&unit).unwrap();
        std::fs::write(&unit, text.replace("RestartSec=10s", "RestartSec=1s")).unwrap();

        let script = format!(
            "mkdir -p /run/systemd && mount -t tmpfs none /run/systemd && mkdir -p /run/systemd/system && exec {SYSTEMD} --user"
        );
        let mut command = Command::new(unshare);
        command.args(["--mount", "sh", "-c", &script]);
        command
            .env("XDG_RUNTIME_DIR", site.dir().join("run"))
            .env("XDG_CONFIG_HOME", site.dir().join("config"));
        command.env("SYSTEMD_LOG_TARGET", "console");
        let mut systemd = Daemon::spawn("systemd", command);
        let machine = |systemd| Self { site, systemctl, _systemd: systemd };
        let private = |site: &TempSite| site.dir().join("run/systemd/private").exists();
        wait_until(SOON, "systemd is up", || {
            assert!(systemd.is_running(), "systemd has ended: {}", systemd.output());
            true
        });
        let machine = machine(systemd);
        wait_until(SOON, "systemd answers", || {
            private(&machine.site) && machine.ctl(&["list-units"]).code() == 0
        });
        Some(machine)
    }

    fn ctl(&self, args: &[&str]) -> CommandOutput {
        let mut command = Command::new(&self.systemctl);
        command.arg("--user").arg("--no-pager").args(args);
        command.env("XDG_RUNTIME_DIR", self.site.dir().join("run"));
        command.env("XDG_CONFIG_HOME", self.site.dir().join("config"));
        finish("systemctl", command, Duration::from_secs(120))
    }

    #[track_caller]
    fn done(&self, args: &[&str]) -> String {
        let output = self.ctl(args);
        assert_eq!(output.code(), 0, "{args:?}: {}", output.stderr);
        output.stdout
    }

    /// The HostManager, as systemd has it.
    fn manager(&self) -> Option<u32> {
        let told = self.done(&["show", "--property=MainPID", "--value", SERVICE]);
        told.trim().parse().ok().filter(|pid| *pid != 0)
    }

    /// The living agents of this site.
    fn agents(&self) -> Vec<u32> {
        let all = pids_with_env("STATE_DIRECTORY", &self.site.state_dir().display().to_string());
        all.into_iter().filter(|pid| command_line_of(*pid).starts_with("sleep 100000")).collect()
    }

    /// Whether the HostManager keeps its agents, as its control socket tells.
    fn manages(&self) -> bool {
        let mut command = Command::new(env!("CARGO_BIN_EXE_campanile"));
        command.args(["ocs-local-support", "status", "agent", "--json"]).args(self.site.args("host-1"));
        command.env("STATE_DIRECTORY", self.site.state_dir()).env_remove("OCS_CONFIG_DIR");
        finish("ocs-local-support", command, SOON).stdout.contains("\"process_running\": true")
    }

    #[track_caller]
    fn the_agent(&self) -> u32 {
        wait_for(SOON, "one agent runs", || match self.agents().as_slice() {
            [only] => Some(*only),
            _ => None,
        })
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.ctl(&["stop", SERVICE]);
    }
}

#[test]
fn systemctl_starts_stops_and_restarts_the_host_manager_with_its_agents() {
    let Some(machine) = Machine::boot() else { return };
    machine.done(&["start", SERVICE]);
    let agent = machine.the_agent();
    let manager = machine.manager().unwrap();
    assert!(command_line_of(manager).contains("campanile host"), "{}", command_line_of(manager));
    let status = machine.done(&["status", SERVICE]);
    assert!(status.contains("OCS HostManager for host-1") && status.contains("active (running)"), "{status}");

    machine.done(&["restart", SERVICE]);
    let again = machine.the_agent();
    assert!(again != agent && !is_alive(agent), "a restart is an orderly one");
    assert_ne!(machine.manager(), Some(manager));

    // Killed alone, its agents go on; systemd starts it again, and there is still one of each.
    let manager = machine.manager().unwrap();
    assert!(send_signal(manager, Signal::KILL));
    wait_until(SOON, "another HostManager", || machine.manager().is_some_and(|pid| pid != manager));
    wait_until(SOON, "it has found its agents", || machine.manages());
    machine.the_agent();

    machine.done(&["stop", SERVICE]);
    wait_until(SOON, "the end of its agents", || machine.agents().is_empty());
}

#[test]
fn an_enabled_service_comes_up_with_the_target_of_the_boot() {
    let Some(machine) = Machine::boot() else { return };
    machine.done(&["enable", SERVICE]);
    assert_eq!(machine.done(&["is-enabled", SERVICE]).trim(), "enabled");
    // What the system's own manager reaches when the machine boots.
    let target = machine.site.dir().join("config/systemd/user/multi-user.target");
    std::fs::write(target, "[Unit]\nDescription=Multi-User System\n").unwrap();
    machine.done(&["daemon-reload"]);
    machine.done(&["start", "multi-user.target"]);
    machine.the_agent();
    machine.done(&["disable", SERVICE]);
    assert_eq!(machine.ctl(&["is-enabled", SERVICE]).stdout.trim(), "disabled");
}
