//! Access control of a whole site: our HostManager obeys the original's access director, and our clients show it the
//! passwords of their user.

mod world;

use std::time::Duration;

use campanile_testkit::{CommandOutput, Daemon, Peers, TempSite, bridge_call, finish, free_port, wait_until};
use serde_json::{Value, json};
use world::{HOST, MANAGER, SOON, our_router, ours};

/// Nobody may do anything without the password.
const RULES: &str = "\
distrib_hashfunc: md5
passwords:
- agent_class: HostManager
  password_2: swordfish
";

fn client(site: &TempSite, args: &[&str], variable: Option<&str>) -> CommandOutput {
    let mut command = ours(args[0]);
    command.args(site.args(HOST)).args(&args[1..]).env("HOME", site.dir()).env_remove("OCS_PASSWORDS_FILE");
    command.envs(variable.map(|file| ("OCS_PASSWORDS_FILE", file)));
    finish("campanile", command, Duration::from_secs(60))
}

fn target(site: &TempSite) -> Value {
    let ops = site.address(&format!("{MANAGER}.ops"));
    let reply = bridge_call(site.port(), &ops, json!(["status", "manager"])).unwrap_or_default();
    reply[2]["data"]["child_states"][0]["target_state"].clone()
}

#[test]
fn a_host_manager_under_a_director_obeys_those_who_have_the_password() {
    let Some(peers) = Peers::require() else { return };
    let policy = json!({"arguments": ["--access-policy", "director:access-dir"]});
    let director = json!({"arguments": ["--config-file", "access.yaml"], "manage": "ignore"});
    let sleeper = json!({"command": ["sleep", "1000"]});
    let site = TempSite::new(
        free_port(),
        &json!({HOST: {"agent-instances": [
            TempSite::instance("HostManager", MANAGER, &policy),
            TempSite::instance("Sleeper", "sleeper", &sleeper),
            TempSite::instance("AccessDirector", "access-dir", &director),
        ]}}),
    );
    std::fs::write(site.dir().join("access.yaml"), RULES).unwrap();
    let _router = our_router(&site);
    let mut command = ours("host");
    command.args(site.args(HOST)).arg("--state-dir").arg(site.state_dir());
    let _manager = Daemon::spawn("campanile host", command);
    let mut command = peers.agent_command(&site, HOST, "access-dir");
    command.current_dir(site.dir());
    let _director = Daemon::spawn("access-dir", command);
    wait_until(SOON, "the director has spoken", || {
        let api = bridge_call(site.port(), &site.address(MANAGER), json!(["get_api"])).unwrap_or_default();
        let access = &api["access_control"];
        assert_ne!(access["policy"], "none", "{api}");
        access["update_count"].as_i64().is_some_and(|count| count > 0)
    });
    // What it does for itself needs no password, nor does looking at it.
    wait_until(SOON, "its process runs", || target(&site) == "up");
    assert_eq!(client(&site, &["status"], None).code(), 0);

    let file = site.dir().join("passwords.yaml");
    std::fs::write(&file, "- {agent_class: HostManager, password_2: swordfish}\n").unwrap();
    let name = file.display().to_string();
    let refused = client(&site, &["down", "sleeper"], None);
    assert_eq!(refused.code(), 1);
    assert!(refused.stderr.contains("the client has only level 0-BLOCKED"), "{}", refused.stderr);
    assert_eq!(target(&site), "up");
    let done = client(&site, &["down", "sleeper", "--password-file", &name], None);
    assert_eq!(done.code(), 0, "{}", done.stderr);
    assert_eq!(target(&site), "down");
    let done = client(&site, &["up", "sleeper"], Some(&name));
    assert_eq!(done.code(), 0, "{}", done.stderr);
    assert_eq!(target(&site), "up");
    let refused = client(&site, &["ocsbow", "down", "sleeper"], None);
    assert_eq!(refused.code(), 1, "{}", refused.stdout);
    std::fs::rename(&file, site.dir().join(".ocs-passwords.yaml")).unwrap();
    let done = client(&site, &["ocsbow", "down", "sleeper"], None);
    assert_eq!(done.code(), 0, "{}", done.stderr);
    assert_eq!(target(&site), "down");
}
