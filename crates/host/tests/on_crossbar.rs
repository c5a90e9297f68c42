//! The HostManager on the real crossbar, over real agents of OCS, driven by OCS's own clients.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use campanile_host::{ExitReason, HostArgs, HostError, run};
use campanile_testkit::{
    Crossbar, CrossbarConfig, Peers, TempSite, bridge_call, is_alive, wait_for, wait_until,
};
use clap::Parser;
use serde_json::{Value, json};

/// Python takes seconds to start, and a loaded machine its time.
const LONG: Duration = Duration::from_secs(60);
const HOST: &str = "host-1";

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    host: HostArgs,
}

fn args(site: &TempSite, state: &str) -> HostArgs {
    let state = site.dir().join(state).display().to_string();
    let python = campanile_testkit::python().expect("it was required").display().to_string();
    let own = ["--state-dir".to_owned(), state, "--python".to_owned(), python, "--quiet".to_owned()];
    let words = std::iter::once("host".to_owned()).chain(site.args(HOST)).chain(own);
    let launcher = Some(env!("CARGO_BIN_EXE_campanile-launcher").into());
    HostArgs { launcher, ..Line::parse_from(words).host }
}

/// Runs a HostManager in a thread of its own, as its process would.
fn start(args: HostArgs) -> std::thread::JoinHandle<Result<ExitReason, HostError>> {
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime can be made").block_on(run(args))
    })
}

fn hosts(instances: &[Value]) -> Value {
    let manager = TempSite::instance("HostManager", "hm-host-1", &json!({}));
    let all: Vec<Value> = std::iter::once(manager).chain(instances.iter().cloned()).collect();
    json!({ HOST: { "agent-instances": all } })
}

fn faker(id: &str, more: &Value) -> Value {
    let mut more = more.clone();
    more["arguments"] = json!(["--mode", "idle"]);
    TempSite::instance("FakeDataAgent", id, &more)
}

/// The process `manager` as clients see it.
fn manager(site: &TempSite) -> Option<Value> {
    let reply = bridge_call(site.port(), &site.address("hm-host-1.ops"), json!(["status", "manager", []]));
    reply.ok().map(|reply| reply[2].clone())
}

fn child(site: &TempSite, id: &str) -> Value {
    let children = manager(site).map_or(Value::Null, |session| session["data"]["child_states"].clone());
    children
        .as_array()
        .and_then(|children| children.iter().find(|child| child["instance_id"] == id).cloned())
        .unwrap_or_default()
}

/// Waits until an instance is in a state, and gives its process.
#[track_caller]
fn until(site: &TempSite, id: &str, state: &str) -> u32 {
    wait_until(LONG, &format!("{id} {state}"), || child(site, id)["next_action"] == state);
    child(site, id)["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok()).unwrap_or(0)
}

/// Whether an agent answers on the bus.
fn answers(site: &TempSite, id: &str) -> bool {
    bridge_call(site.port(), &site.address(id), json!(["get_agent_class"])).is_ok()
}

#[test]
fn real_agents_are_kept_and_driven_by_the_clients_of_ocs() {
    let Some(peers) = Peers::require() else { return };
    let Some(mut crossbar) = Crossbar::start(CrossbarConfig::default()) else { return };
    let command = json!({"command": ["sleep", "1000"], "manage": "host/down"});
    let instances = [
        faker("faker1", &json!({})),
        TempSite::instance("NoSuchAgent", "ghost", &json!({})),
        TempSite::instance("Sleeper", "sleeper", &command),
    ];
    let site = TempSite::new(crossbar.port(), &hosts(&instances));
    let host = start(args(&site, "state"));

    let first = until(&site, "faker1", "up");
    until(&site, "ghost", "?");
    until(&site, "sleeper", "down");
    wait_until(LONG, "faker1 on the bus", || answers(&site, "faker1"));

    let status = peers.ocsbow(&site, HOST, &["status"]);
    let row = |id: &str| {
        let line = status.stdout.lines().find(|line| line.trim_start().starts_with(id)).unwrap_or_default();
        line.split_whitespace().skip(1).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(row("hm-host-1"), "HostManager up n/a", "{status:?}");
    assert_eq!(row("faker1"), "FakeDataAgent up up");
    assert_eq!(row("ghost"), "NoSuchAgent ? up");
    assert_eq!(row("sleeper"), "Sleeper down down");
    assert!(peers.client_cli(&site, HOST, &["scan"]).stdout.contains("hm-host-1"));

    peers.ocsbow(&site, HOST, &["up", "sleeper"]);
    until(&site, "sleeper", "up");
    peers.ocsbow(&site, HOST, &["down", "faker1"]);
    until(&site, "faker1", "down");
    assert!(!is_alive(first));
    peers.ocsbow(&site, HOST, &["up", "faker1"]);
    let second = until(&site, "faker1", "up");

    rustix_kill(second);
    wait_until(LONG, "another process", || {
        let child = child(&site, "faker1");
        child["next_action"] == "up" && child["pid"] != second && child["last_exit"]["signal"] == 9
    });

    let sleeper = child(&site, "sleeper")["pid"].clone();
    let changed = [instances[2].clone(), faker("faker2", &json!({}))];
    site.write_hosts(&hosts(&changed));
    peers.ocsbow(&site, HOST, &["status", "-r"]);
    until(&site, "faker2", "up");
    wait_until(LONG, "faker1 is gone", || child(&site, "faker1").is_null());
    // An agent reads the file, too, some time after its start, and ends when it cannot.
    wait_until(LONG, "faker2 on the bus", || answers(&site, "faker2"));
    site.write_text("hub: [");
    let update = bridge_call(
        site.port(),
        &site.address("hm-host-1.ops"),
        json!(["start", "update", {"reload_config": true}]),
    );
    assert_eq!(update.expect("it is started")[0], 0);
    let update = bridge_call(site.port(), &site.address("hm-host-1.ops"), json!(["wait", "update", []]));
    assert_eq!(update.expect("it ends")[2]["success"], false);
    site.write_hosts(&hosts(&changed));

    // The router goes; nothing else does.
    let faker2 = child(&site, "faker2")["pid"].clone();
    crossbar.kill9();
    crossbar.restart();
    wait_until(LONG, "the HostManager is on the bus again", || manager(&site).is_some());
    assert_eq!(child(&site, "sleeper")["pid"], sleeper);
    assert_eq!(child(&site, "faker2")["pid"], faker2);

    // A second one of the same identity starts nothing, whether it shares the state or not.
    let refused = start(args(&site, "state")).join().expect("no panic");
    assert!(matches!(refused, Err(HostError::State(_))), "{refused:?}");
    let refused = start(args(&site, "elsewhere")).join().expect("no panic");
    assert!(matches!(refused, Err(HostError::IdentityTaken { .. })), "{refused:?}");

    let die = bridge_call(site.port(), &site.address("hm-host-1.ops"), json!(["start", "die", {}]));
    assert_eq!(die.expect("it is started")[0], 0);
    assert_eq!(host.join().expect("no panic").expect("an orderly end"), ExitReason::Die);
    let pids = [&sleeper, &faker2].map(|pid| u32::try_from(pid.as_u64().unwrap_or(0)).unwrap_or(0));
    assert!(pids.iter().all(|pid| !is_alive(*pid)));
}

#[test]
fn agents_are_started_and_kept_while_there_is_no_router() {
    let port = campanile_testkit::free_port();
    if campanile_testkit::python().is_none() {
        return;
    }
    let flag = json!({"command": ["sh", "-c", "echo $$ >> pids; exec sleep 1000"]});
    let site = TempSite::new(port, &hosts(&[TempSite::instance("Sleeper", "sleeper", &flag)]));
    let mut text: Value = serde_json::from_str(&site.text()).expect("it is JSON");
    text["hosts"][HOST]["agent-instances"][1]["cwd"] = json!(site.dir());
    site.write_text(&text.to_string());
    let host = start(args(&site, "state"));
    let pids = || std::fs::read_to_string(site.dir().join("pids")).unwrap_or_default();
    let first = wait_for(LONG, "a first process", || pids().lines().next().map(str::to_owned));
    rustix_kill(first.parse().expect("a pid"));
    wait_until(LONG, "a second process", || pids().lines().count() == 2);

    // The only way in is the control socket.
    let socket = site.dir().join("state/host").join(site.address("hm-host-1")).join("control.sock");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let reply = runtime.block_on(async {
        let endpoint = campanile_ocs::client::Endpoint::Unix(socket);
        let client = campanile_ocs::client::OcsClient::connect(endpoint, LONG).await.expect("it answers");
        let args = vec!["start".into(), "die".into(), json!({}).into()];
        client.call(&site.address("hm-host-1.ops"), args, Default::default()).await
    });
    assert_eq!(reply.expect("a reply").to_json()[0], 0);
    assert_eq!(host.join().expect("no panic").expect("an orderly end"), ExitReason::Die);
}

fn rustix_kill(pid: u32) {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw).expect("a pid");
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("it runs");
}

#[test]
fn states_and_usage_go_out_as_record_feeds() {
    let Some(crossbar) = Crossbar::start(CrossbarConfig::default()) else { return };
    if campanile_testkit::python().is_none() {
        return;
    }
    let flag = json!({"command": ["sleep", "1000"], "manage": "host/down"});
    let site = TempSite::new(crossbar.port(), &hosts(&[TempSite::instance("Sleeper", "sleeper", &flag)]));
    let records = Arc::new(Mutex::new(Vec::<Value>::new()));
    let heard = Arc::clone(&records);
    let (url, topic) =
        (format!("ws://127.0.0.1:{}/ws", crossbar.port()), site.address("hm-host-1.feeds.instance_"));
    let (end, ended) = std::sync::mpsc::channel::<()>();
    let listener = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        runtime.expect("a runtime can be made").block_on(async {
            let endpoint = campanile_ocs::client::Endpoint::Ws(url, "test_realm".into());
            let client =
                campanile_ocs::client::OcsClient::connect(endpoint, LONG).await.expect("it connects");
            let bus = client.bus().expect("it is on the bus");
            let _subscription = bus.subscribe(
                &topic,
                campanile_wamp::Match::Prefix,
                Arc::new(move |event: campanile_wamp::net::client::Event| {
                    let mut records = heard.lock().expect("nobody panics with it");
                    records.extend(event.args.iter().map(campanile_wamp::Value::to_json));
                }),
            );
            let _ = tokio::task::spawn_blocking(move || ended.recv()).await;
        });
    });
    let host = start(args(&site, "state"));
    until(&site, "sleeper", "down");
    let up = json!(["start", "update", {"requests": [["sleeper", "up"]]}]);
    bridge_call(site.port(), &site.address("hm-host-1.ops"), up).expect("it is started");
    until(&site, "sleeper", "up");
    let found = |feed: &str, is_so: &dyn Fn(&Value) -> bool| {
        // Whoever looks has what it uses measured.
        let _ = manager(&site);
        let records = records.lock().expect("nobody panics with it");
        records
            .iter()
            .filter(|record| record[1]["feed_name"] == feed)
            .find(|record| is_so(&record[0]["sleeper"]))
            .cloned()
    };
    let state = wait_for(LONG, "its state is recorded", || {
        found("instance_states", &|block| block["data"]["up"] == json!([1]))
    });
    assert_eq!(state[0]["sleeper"]["data"]["wanted"], json!([1]));
    assert_eq!(state[1]["record"], true);
    let usage = wait_for(LONG * 2, "what it uses is recorded", || {
        found("instance_usage", &|block| block["data"]["memory_bytes"][0].as_f64() > Some(100_000.0))
    });
    assert!(usage[0]["sleeper"]["data"]["cpu_share"][0].as_f64() < Some(0.5), "{usage}");
    assert_eq!(
        usage[0]["sleeper"]["influxdb_tags"]["cpu_share"],
        json!({"_field": "cpu_share", "instance": "sleeper"})
    );
    let die = json!(["start", "die", {}]);
    bridge_call(site.port(), &site.address("hm-host-1.ops"), die).expect("it is started");
    assert_eq!(host.join().expect("no panic").expect("an orderly end"), ExitReason::Die);
    drop(end);
    listener.join().expect("no panic");
}
