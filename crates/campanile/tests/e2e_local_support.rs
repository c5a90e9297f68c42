//! `ocs-local-support` on a whole site: what it starts runs, and what it stops is gone.
#![expect(clippy::unwrap_used, reason = "helpers of tests end the test")]

mod world;

use std::process::Command;
use std::time::Duration;

use campanile_testkit::{
    CommandOutput, Daemon, Part, Peers, Signal, TempSite, finish, free_port, http_request, require,
    wait_until,
};
use serde_json::{Value, json};
use world::{HOST, MANAGER, SOON, our_router};

/// A HostManager with one agent that is no Python, and the router that `crossbar` means.
fn site(crossbar: Value, instances: &[Value]) -> TempSite {
    let mut hosts = world::one_host(instances);
    hosts[HOST]["crossbar"] = crossbar;
    hosts[HOST]["log-dir"] = json!("logs");
    TempSite::new(free_port(), &hosts)
}

fn sleeper() -> Value {
    TempSite::instance("Sleeper", "sleeper", &json!({"command": ["sleep", "1000"]}))
}

/// `ocs-local-support`, by its own name.
fn command(site: &TempSite, args: &[&str]) -> Command {
    let link = site.dir().join("ocs-local-support");
    if !link.exists() {
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_campanile"), &link).unwrap();
    }
    let mut command = Command::new(link);
    command.args(site.args(HOST)).args(args).current_dir(site.dir());
    command
        .env("STATE_DIRECTORY", site.state_dir())
        .env_remove("OCS_CONFIG_DIR")
        .env_remove("OCS_PASSWORDS_FILE");
    command
}

fn support(site: &TempSite, args: &[&str]) -> CommandOutput {
    finish("ocs-local-support", command(site, args), Duration::from_secs(180))
}

#[track_caller]
fn succeeds(site: &TempSite, args: &[&str]) -> String {
    let output = support(site, args);
    assert_eq!((output.code(), output.stderr.as_str()), (0, ""), "{args:?}: {}", output.stdout);
    output.stdout
}

/// Whether router and HostManager run, as the status tells.
#[track_caller]
fn status(site: &TempSite) -> [Value; 4] {
    let shown: Value = serde_json::from_str(&succeeds(site, &["status", "--json"])).unwrap();
    let (router, manager) = (&shown["router"], &shown["manager"]);
    [&router["running"], &router["connection"], &manager["running"], &manager["process_running"]]
        .map(Value::clone)
}

fn all(value: bool) -> [Value; 4] {
    [(); 4].map(|()| json!(value))
}

/// What was left running if a test fails half way is stopped all the same.
struct AtTheEnd<'a>(&'a TempSite);

impl Drop for AtTheEnd<'_> {
    fn drop(&mut self) {
        let _ = command(self.0, &["stop"]).output();
    }
}

/// Processes whose environment names this site's state, which all that is started inherits.
fn left(site: &TempSite) -> Vec<u32> {
    campanile_testkit::pids_with_env("STATE_DIRECTORY", &site.state_dir().display().to_string())
}

#[test]
fn defect_09_router_and_host_manager_of_ours_are_started_and_stopped() {
    let site = site(json!({"bin": "campanile"}), &[sleeper()]);
    let _end = AtTheEnd(&site);
    assert_eq!(status(&site), all(false));
    let told = succeeds(&site, &["start"]);
    assert!(told.contains("Trying to start campanile router...") && told.contains("... pid is "), "{told}");
    assert!(told.contains(&format!("Log dir is: {}\n", site.log_dir().display())), "{told}");
    assert_eq!(status(&site), all(true));
    assert!(succeeds(&site, &["start"]).contains("Everything is running already."));
    let told = succeeds(&site, &["status", "agent"]);
    assert!(told.contains("agent running?                     True") && !told.contains("crossbar"), "{told}");

    assert!(succeeds(&site, &["stop", "process"]).contains("Stopping manager process ..."));
    assert_eq!(status(&site), [true, true, true, false].map(Value::from));
    assert!(succeeds(&site, &["status"]).contains("Advice:\n    The HostManager manager process is not"));
    assert!(succeeds(&site, &["start", "process"]).contains("Starting manager process."));
    assert!(succeeds(&site, &["start", "process"]).contains("running already"));

    assert!(succeeds(&site, &["stop", "agent"]).contains("Requesting HostManager termination."));
    assert_eq!(status(&site), [true, true, false, false].map(Value::from));
    // At once again: the identity is free.
    succeeds(&site, &["start", "agent"]);
    // Without its router it goes on, and can be stopped.
    succeeds(&site, &["stop", "crossbar"]);
    assert_eq!(status(&site), [false, false, true, true].map(Value::from));
    succeeds(&site, &["stop"]);
    assert_eq!(status(&site), all(false));
    wait_until(SOON, "the end of all that was started", || left(&site).is_empty());
}

#[test]
fn a_real_crossbar_is_configured_started_and_stopped() {
    let (Some(peers), Some(crossbar)) = (Peers::require(), require(Part::Crossbar)) else { return };
    let crossbar = std::fs::canonicalize(crossbar.parent().unwrap()).unwrap().join("crossbar");
    let site = site(json!({"bin": crossbar, "config-dir": "cb"}), &[sleeper()]);
    let _end = AtTheEnd(&site);

    let output = support(&site, &["start", "crossbar"]);
    assert_eq!(output.code(), 2);
    assert!(output.stderr.contains("generate_crossbar_config"), "{}", output.stderr);
    assert!(succeeds(&site, &["generate_crossbar_config"]).contains("Wrote cb/config.json"));
    assert!(
        succeeds(&site, &["generate_crossbar_config"]).contains("No changes to cb/config.json are needed.")
    );
    let file = site.dir().join("cb/config.json");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("test_realm", "debug_realm")).unwrap();
    let output = support(&site, &["generate_crossbar_config"]);
    assert_eq!(output.code(), 1);
    assert!(output.stdout.contains("\n+          \"name\": \"test_realm\",\n"), "{}", output.stdout);
    std::fs::write(&file, text).unwrap();

    let python = peers.python().display().to_string();
    let told = succeeds(&site, &["start", "--python", &python]);
    assert!(told.contains("Trying to start crossbar...\nNew crossbar instance running as pid "), "{told}");
    // The original's client finds all of it.
    wait_until(SOON, "ocsbow shows the agent up", || {
        let table = peers.ocsbow(&site, HOST, &["status"]).stdout;
        table.lines().any(|line| line.split_whitespace().eq(["sleeper", "Sleeper", "up", "up"]))
    });
    let told = succeeds(&site, &["stop"]);
    assert!(told.contains("Requesting HostManager termination.\nStopping crossbar.\n"), "{told}");
    assert_eq!(status(&site), all(false));
    wait_until(SOON, "the end of all that was started", || left(&site).is_empty());
}

#[test]
fn the_host_manager_runs_in_the_foreground_until_ctrl_c() {
    // Another block of this machine has a HostManager of its own.
    let mut hosts = world::one_host(&[sleeper()]);
    let of_docker = TempSite::instance("HostManager", "hm-host-1-docker", &json!({}));
    let other = TempSite::instance("Sleeper", "other", &json!({"command": ["sleep", "1000"]}));
    hosts["host-1-docker"] = json!({"agent-instances": [of_docker, other]});
    let site = TempSite::new(free_port(), &hosts);
    let block = "--site-host=host-1-docker";
    let in_foreground = ["start", "agent", block, "--foreground"];
    let mut manager = Daemon::spawn("ocs-local-support", command(&site, &in_foreground));
    manager.wait_for_output(SOON, "Launching host_manager");
    manager.wait_for_output(SOON, "Launched Sleeper:other");
    let output = support(&site, &["status"]);
    assert!(output.stdout.contains("agent running?                     False"), "{}", output.stdout);
    let output = support(&site, &["status", block]);
    // Without a router that could be asked, its control socket tells.
    assert!(output.stdout.contains("agent running?                     True"), "{}", output.stdout);
    assert!(output.stdout.contains("crossbar running?:                 n/a"), "{}", output.stdout);
    manager.signal(Signal::INT);
    assert!(manager.wait(SOON).success());
    wait_until(SOON, "the end of all that was started", || left(&site).is_empty());
}

#[test]
fn what_does_not_start_or_stop_is_said_with_its_last_words() {
    let site = site(json!({"bin": "campanile"}), &[sleeper()]);
    let _end = AtTheEnd(&site);
    let taken = std::net::TcpListener::bind(("127.0.0.1", site.port())).unwrap();
    let output = support(&site, &["start", "crossbar"]);
    assert_eq!(output.code(), 1);
    assert!(output.stderr.contains("is in use by another program"), "{}", output.stderr);
    drop(taken);

    // A router that somebody else started is used, but not stopped.
    let router = our_router(&site);
    let output = support(&site, &["stop", "crossbar"]);
    assert_eq!(output.code(), 1);
    assert!(output.stderr.contains("was not started here"), "{}", output.stderr);
    assert!(succeeds(&site, &["status"]).contains("it is not the one that would be started here"));
    succeeds(&site, &["start", "agent"]);
    assert!(succeeds(&site, &["start", "agent"]).contains("The HostManager is running already."));
    succeeds(&site, &["stop", "agent"]);
    assert!(succeeds(&site, &["stop", "agent"]).contains("The HostManager is not running."));
    assert!(matches!(http_request(site.port(), "GET", "/info", &[], b""), Ok((200, ..))));
    drop(router);

    for (args, text) in [
        (&["start", "process", "--foreground"][..], "--foreground goes with"),
        (&["stop", "--foreground"], "--foreground goes with"),
        (&["frobnicate"], "invalid value 'frobnicate'"),
        (&["start", "everything"], "invalid value 'everything'"),
    ] {
        let output = support(&site, args);
        assert_eq!(output.code(), 2, "{args:?}");
        assert!(output.stderr.contains(text), "{args:?}: {}", output.stderr);
    }
}

#[test]
fn a_python_host_manager_is_stopped_over_the_bus() {
    let Some(peers) = Peers::require() else { return };
    let site = site(json!({"bin": "campanile"}), &[]);
    let _end = AtTheEnd(&site);
    succeeds(&site, &["start", "crossbar"]);
    let mut manager = peers.host_manager(&site, HOST, MANAGER, &[]);
    wait_until(SOON, "it runs", || status(&site)[3] == json!(true));
    succeeds(&site, &["stop", "agent"]);
    manager.wait(SOON);
}
