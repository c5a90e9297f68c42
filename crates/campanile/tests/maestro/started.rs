//! Aggregators of another host: the manager asks that host's HostManager for them, over the bus.

use campanile_testkit::{
    Daemon, Peers, Signal, TempSite, bridge_call, free_port, send_signal, wait_for, wait_until,
};
use serde_json::{Value, json};

use crate::cluster::{Cluster, L1, campanile};
use crate::world::{HOST, MANAGER, one_host, our_router, ours};
use crate::{PATIENCE, path};

/// The instance-id of the manager of the cluster.
const MAESTRO: &str = "maestro";

/// An aggregator as the site config of its host declares it: what runs is said there, and nowhere else.
fn instance(cluster: &Cluster, name: &str) -> Value {
    let place = format!("{name}=127.0.0.1:{}", cluster.ports[name]);
    let command = [env!("CARGO_BIN_EXE_campanile"), "ldms", "sim", "--quick", &place];
    TempSite::instance("ldmsd", name, &json!({"command": command, "manage": "host/down"}))
}

struct Host {
    site: TempSite,
}

impl Host {
    fn child(&self, id: &str) -> Option<Value> {
        let ops = self.site.address(&format!("{MANAGER}.ops"));
        let reply = bridge_call(self.site.port(), &ops, json!(["status", "manager"])).ok()?;
        let children = reply[2]["data"]["child_states"].as_array()?;
        children.iter().find(|child| child["instance_id"] == id).cloned()
    }

    #[track_caller]
    fn wait_for(&self, id: &str, target: &str) {
        wait_until(PATIENCE, &format!("{id} is {target}"), || {
            self.child(id)
                .is_some_and(|child| child["next_action"] == target && child["target_state"] == target)
        });
    }
}

/// The process of an instance.
fn pid(manager: &mut Daemon, name: &str) -> Option<u32> {
    let place = format!(" {name}=127.0.0.1:");
    manager.processes().into_iter().find(|pid| campanile_testkit::command_line_of(*pid).contains(&place))
}

#[test]
fn aggregators_are_started_through_the_host_manager_of_their_host_and_configured_anew_after_a_crash() {
    let Some(peers) = Peers::require() else { return };
    let mut cluster = Cluster::start_without(&L1);
    let instances: Vec<Value> = L1.iter().map(|name| instance(&cluster, name)).collect();
    let mut hosts = one_host(&instances);
    let maestro = TempSite::instance("Maestro", MAESTRO, &json!({"manage": "ignore"}));
    let all = hosts[HOST]["agent-instances"].as_array_mut().unwrap();
    all.push(maestro);
    // Nobody may do anything to the HostManager without the password that the site's access director knows.
    all[0]["arguments"] = json!(["--access-policy", "director:access-dir"]);
    let director = json!({"arguments": ["--config-file", "access.yaml"], "manage": "ignore"});
    all.push(TempSite::instance("AccessDirector", "access-dir", &director));
    let host = Host { site: TempSite::new(free_port(), &hosts) };
    let rules = "distrib_hashfunc: md5\npasswords:\n- {agent_class: HostManager, password_2: swordfish}\n";
    std::fs::write(host.site.dir().join("access.yaml"), rules).unwrap();
    let _router = our_router(&host.site);
    let mut command = ours("host");
    command.args(host.site.args(HOST)).arg("--state-dir").arg(host.site.state_dir());
    command.arg("--working-dir").arg(host.site.dir());
    let mut manager = Daemon::spawn("campanile host", command);
    wait_until(PATIENCE, "the HostManager knows its instances", || {
        L1.iter().all(|name| host.child(name).is_some())
    });

    let mut command = peers.agent_command(&host.site, HOST, "access-dir");
    command.current_dir(host.site.dir());
    let _director = Daemon::spawn("access-dir", command);
    wait_until(PATIENCE, "the director has spoken", || {
        let api = bridge_call(host.site.port(), &host.site.address(MANAGER), json!(["get_api"]));
        api.is_ok_and(|api| api["access_control"]["update_count"].as_i64().is_some_and(|count| count > 0))
    });

    let start = |names: &[&str]| {
        let lines = names.iter().map(|name| format!("    {name}: {{manager: {MANAGER}}}\n"));
        format!("  start:\n{}", lines.collect::<String>())
    };
    cluster.extra = start(&L1);
    let file = cluster.file();
    let mut command = campanile(&["maestro", "--prefix", "orion", "--file", path(&file)]);
    command.args(host.site.args(HOST)).args(["--instance-id", MAESTRO, "--state-dir"]).arg(cluster.state());
    let passwords = host.site.dir().join("passwords.yaml");
    std::fs::write(&passwords, "- {agent_class: HostManager, password_2: tuna}\n").unwrap();
    command.env("OCS_PASSWORDS_FILE", &passwords);
    let mut maestro = Daemon::spawn("campanile maestro", command);
    // The wrong password: it says so, and starts nothing.
    let told = |words: &str| cluster.ldms(&["events", "-n", "1000"]).1.contains(words);
    wait_until(PATIENCE, "the HostManager refuses", || told("does not set l1-1 up: "));
    assert!(!told("was told to keep"), "{}", cluster.ldms(&["events", "-n", "1000"]).1);
    assert_eq!(host.child("l1-1").unwrap()["target_state"], "down");
    maestro.kill9();
    std::fs::write(&passwords, "- {agent_class: HostManager, password_2: swordfish}\n").unwrap();
    maestro.restart();
    cluster.covered();
    L1.iter().for_each(|name| host.wait_for(name, "up"));

    // F11: it crashes; its host starts it again, and it gets back what it had.
    let crashed = pid(&mut manager, "l1-1").unwrap();
    assert!(send_signal(crashed, Signal::KILL));
    wait_until(PATIENCE, "its host has started it again", || {
        pid(&mut manager, "l1-1").is_some_and(|pid| pid != crashed)
    });
    let ops = host.site.address(&format!("{MAESTRO}.ops"));
    let status =
        || bridge_call(host.site.port(), &host.site.address(&format!("{MAESTRO}.status")), json!([])).ok();
    wait_until(PATIENCE, "both carry and collect as before", || {
        let Some(status) = status() else { return false };
        let members = status["groups"][0]["members"].as_array().unwrap();
        members.iter().all(|member| member["health"] == "up" && member["connected"] == 2)
    });
    cluster.covered();

    // It is an agent as any other.
    let session = wait_for(PATIENCE, "the coverage in the session", || {
        let reply = bridge_call(host.site.port(), &ops, json!(["status", "manager"])).ok()?;
        (reply[2]["data"]["coverage"]["fresh"] == 8).then(|| reply[2].clone())
    });
    assert_eq!(session["status"], "running");
    let drain = json!(["start", "drain", {"aggregator": "l1-2"}]);
    assert_eq!(bridge_call(host.site.port(), &ops, drain).unwrap()[0], 0);
    wait_until(PATIENCE, "one is drained", || {
        status().is_some_and(|status| status["groups"][0]["members"][1]["connected"] == 0)
    });

    // One is taken out of the configuration: its target is set to down, and it ends.
    cluster.l1.retain(|name| *name != "l1-2");
    cluster.extra = start(&["l1-1"]);
    cluster.file();
    host.wait_for("l1-2", "down");
    wait_until(PATIENCE, "it has ended", || pid(&mut manager, "l1-2").is_none());
    assert_eq!(host.child("l1-1").unwrap()["target_state"], "up");
    cluster.covered();
    let (_, events, _) = cluster.ldms(&["events", "-n", "1000"]);
    for told in ["was told to keep l1-1 up", "was told to keep l1-2 down"] {
        assert!(events.contains(told), "{told}\n{events}");
    }
}
