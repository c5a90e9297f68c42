//! ocs-web's HostManager panel against our HostManager: a client that makes exactly its calls, with the library it is
//! built on, through our router and through crossbar.
#![expect(clippy::unwrap_used, reason = "helpers of tests end the test")]

mod world;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use campanile_testkit::{
    Crossbar, CrossbarConfig, Daemon, TempSite, finish, free_port, require_program, skip, wait_until,
};
use serde_json::{Value, json};
use world::{HOST, MANAGER, SOON, our_router, ours};

const CHILD: &str = "thermo1";

/// Where the set-up puts what it takes from npm.
fn modules() -> Option<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.peers/npm/node_modules");
    if dir.join("autobahn").is_dir() {
        return Some(dir);
    }
    skip("autobahn-js is missing: run `make setup`");
    None
}

/// A host with one agent of ours: it needs no Python.
fn hosts() -> Value {
    let command = [
        env!("CARGO_BIN_EXE_campanile"),
        "agent",
        "thermometer",
        "--site-host",
        HOST,
        "--instance-id",
        CHILD,
    ];
    world::one_host(&[TempSite::instance("ThermometerAgent", CHILD, &json!({"command": command}))])
}

fn host_manager(site: &TempSite) -> Daemon {
    // The agent finds the site as its HostManager's environment says.
    let mut command = ours("host");
    command.args(site.args(HOST)).env("OCS_CONFIG_DIR", site.dir());
    command.arg("--state-dir").arg(site.state_dir()).arg("--working-dir").arg(site.dir());
    Daemon::spawn("campanile host", command)
}

/// Opens the panel, presses everything on it, and gives back what it saw.
fn visit(node: &Path, modules: &Path, site: &TempSite) -> Value {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/ocs_web/panel.js");
    let mut command = Command::new(node);
    command.arg(script).args([&site.ws_url(), site.realm(), site.address_root(), MANAGER, CHILD]);
    command.env("NODE_PATH", modules);
    let output = finish("panel.js", command, Duration::from_secs(150));
    assert!(output.status.success(), "{}", output.stderr);
    serde_json::from_str(output.stdout.lines().last().unwrap()).unwrap()
}

/// What must have come of it, whichever router was between.
fn check(seen: &Value, mut manager: Daemon) {
    assert_eq!(seen["protocol"], "wamp.2.json");
    assert_eq!(seen["role"], "iocs_agent");
    assert_eq!(seen["agentClass"], "HostManager");
    let ops = json!([
        ["manager", "process", true],
        ["die", "task", true],
        ["docker_pull", "task", true],
        ["remove_orphans", "task", true],
        ["update", "task", true],
    ]);
    assert_eq!(seen["ops"], ops);
    // Every operation was polled each second, with `[]` for parameters.
    for name in ["manager", "die", "docker_pull", "remove_orphans", "update"] {
        assert!(seen["polls"][name].as_u64().is_some_and(|count| count >= 2), "{name}: {}", seen["polls"]);
    }
    let row = &seen["row"];
    assert_eq!([&row["instance_id"], &row["agent_class"]], [CHILD, "ThermometerAgent"]);
    assert_eq!([&row["next_action"], &row["target_state"]], ["up", "up"]);
    assert_eq!(row["restart_required"], json!(false));
    assert_eq!(seen["lights"], json!(["orphans", "new_tags"]));
    assert_eq!(seen["parse"][0], "[SCF]");
    assert_eq!([&seen["pressedLocked"], &seen["relocked"]], [&Value::Null, &json!(true)]);

    let steps = &seen["steps"];
    let done = |task: &str| {
        json!({
            "start": [0, format!("Started task \"{task}\".")],
            "wait": [0, format!("Operation \"{task}\" is currently not running (SUCCEEDED).")],
            "success": true,
        })
    };
    for step in ["down", "up", "reload", "password"] {
        assert_eq!(steps[step], done("update"), "{step}");
    }
    assert_eq!(steps["orphans"], done("remove_orphans"));
    assert_eq!(steps["pull"], done("docker_pull"));
    assert_eq!(steps["again"]["start"], json!([-1, "Operation \"manager\" already in progress."]));
    assert_eq!(steps["abort"], json!([-1, "The operation is already done"]));
    assert_eq!(steps["stop"], json!([0, "Requested stop on process \"manager\"."]));
    assert_eq!(steps["start"], json!([0, "Started process \"manager\"."]));
    assert_eq!(steps["die"], json!([0, "Started task \"die\"."]));
    assert_eq!(seen["gone"], "wamp.error.no_such_procedure");
    assert_eq!(seen["messages"], json!(true));
    // It has died in good order, and its agent with it.
    assert!(manager.wait(SOON).success());
    wait_until(SOON, "the end of its agent", || manager.processes().is_empty());
}

#[test]
fn the_panel_of_ocs_web_works_through_our_router() {
    let Some(node) = require_program("node", "install the package nodejs") else { return };
    let Some(modules) = modules() else { return };
    let site = TempSite::new(free_port(), &hosts());
    let _router = our_router(&site);
    let manager = host_manager(&site);
    check(&visit(&node, &modules, &site), manager);
}

#[test]
fn the_panel_of_ocs_web_works_through_crossbar() {
    let Some(node) = require_program("node", "install the package nodejs") else { return };
    let Some(modules) = modules() else { return };
    let Some(crossbar) = Crossbar::start(CrossbarConfig::default()) else { return };
    let site = TempSite::new(crossbar.port(), &hosts());
    let manager = host_manager(&site);
    check(&visit(&node, &modules, &site), manager);
}
