//! End to end: all programs ours, only the agents are Python.

#[path = "world/stories.rs"]
mod stories;
#[path = "world/mod.rs"]
mod world;

use campanile_testkit::{Daemon, TempSite, bridge_call, free_port, wait_for, wait_until};
use serde_json::{Value, json};
use world::Whose::Ours;
use world::{HOST, MANAGER, SOON, ours};

#[test]
fn python_agents_are_kept_by_nothing_but_our_programs() {
    stories::agents_live_as_told(Ours, Ours, Ours);
}

#[test]
fn our_programs_follow_the_site_config() {
    stories::the_site_config_changes(Ours, Ours, Ours);
}

#[test]
fn an_instance_comes_up_when_the_heartbeat_of_the_one_before_it_is_heard() {
    let gate = tempfile::tempdir().unwrap();
    let file = gate.path().join("open");
    let script = format!(
        "while [ ! -e {} ]; do sleep 0.05; done; exec {} agent thermometer --site-host {HOST} --instance-id registry",
        file.display(),
        env!("CARGO_BIN_EXE_campanile")
    );
    let registry = json!({"command": ["bash", "-c", script], "ready": "heartbeat"});
    let next = json!({"command": ["sleep", "100000"], "after": ["registry"]});
    let hosts = world::one_host(&[
        TempSite::instance("Sleeper", "next", &next),
        TempSite::instance("ThermometerAgent", "registry", &registry),
    ]);
    let site = TempSite::new(free_port(), &hosts);
    let _router = world::our_router(&site);
    let mut command = ours("host");
    command.args(site.args(HOST)).env("OCS_CONFIG_DIR", site.dir());
    command.arg("--state-dir").arg(site.state_dir()).arg("--working-dir").arg(site.dir());
    let mut manager = Daemon::spawn("campanile host", command);
    let session = || {
        let ops = site.address(&format!("{MANAGER}.ops"));
        Some(bridge_call(site.port(), &ops, json!(["status", "manager"])).ok()?[2].clone())
    };
    let child = |id: &str| -> Option<Value> {
        let session = session()?;
        let children = session["data"]["child_states"].as_array()?;
        children.iter().find(|child| child["instance_id"] == id).cloned()
    };
    let waiting = wait_for(SOON, "the first runs, the second waits", || {
        child("registry").filter(|child| child["next_action"] == "up")?;
        child("next").filter(|child| child["next_action"] == "start")
    });
    assert_eq!(waiting["reason"], "it waits until registry is ready");
    assert_eq!(child("registry").unwrap()["ready"], false);
    std::fs::write(&file, "").unwrap();
    wait_until(SOON, "the second is up", || child("next").is_some_and(|child| child["next_action"] == "up"));
    assert_eq!(child("registry").unwrap()["ready"], true);
    let told = session().unwrap()["messages"].to_string();
    assert!(told.contains("ThermometerAgent:registry is ready"), "{told}");
    manager.stop(SOON);
}
