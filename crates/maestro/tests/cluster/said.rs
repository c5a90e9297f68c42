//! A cluster that uses what a configuration can say: two groups side by side of which one is advertised to, a tier above
//! both, subscriptions, a store, a shared secret, a further port.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use campanile_control::{Clock, Workers};
use campanile_ldms::api::producer::{PrdcrSetStatus, PrdcrStatus};
use campanile_ldms::api::store::StrgpStatus;
use campanile_ldms::auth;
use campanile_ldms::client::{Client, Endpoint, Options as ClientOptions};
use campanile_ldms::sim::daemon::{Options as SimOptions, Timings};
use campanile_ldms::sim::fleet::Fleet;
use campanile_maestro::config::{self, Pairing};
use campanile_maestro::desired::desired;
use campanile_maestro::manager::Manager;
use campanile_maestro::model::BalanceBy;
use campanile_testkit::{Daemon, free_port, require_program, wait_until};

use crate::site::{self, PATIENCE, until};

/// The daemons that share a secret; the others ask nobody who he is.
const WITH_SECRET: [&str; 4] = ["s-1", "s-2", "a-1", "top"];

fn text(ports: &BTreeMap<&str, u16>, extra: u16, secret: &str) -> String {
    let port = |name: &str| ports[name];
    format!(
        r#"
daemons:
  - names: "s-[1-2]"
    hosts: 127.0.0.1
    endpoints:
      - {{names: "s-[1-2]-ep", ports: "{},{}", maestro_comm: True, auth: {{name: ours, plugin: ovis, conf: {secret}}}}}
  - names: "s-[3-4]"
    hosts: 127.0.0.1
    endpoints: [{{names: "s-[3-4]-ep", ports: "{},{}", maestro_comm: True}}]
  - names: a-1
    hosts: 127.0.0.1
    stream_enable: True
    endpoints:
      - {{names: a-1-ep, ports: {}, maestro_comm: True, auth: {{name: ours, plugin: ovis, conf: {secret}}}}}
      - {{names: a-1-more, ports: {extra}, maestro_comm: False, auth: {{name: ours, plugin: ovis, conf: {secret}}}}}
  - names: b-1
    hosts: 127.0.0.1
    endpoints: [{{names: b-1-ep, ports: {}, maestro_comm: True, auth: {{name: open, plugin: none}}}}]
  - names: top
    hosts: 127.0.0.1
    endpoints:
      - {{names: top-ep, ports: {}, maestro_comm: True, auth: {{name: ours, plugin: ovis, conf: {secret}}}}}
aggregators:
  - daemons: a-1
    subscribe: [{{stream: darshan, regex: ".*", rx_rate: -1}}]
    peers:
      - {{daemons: "s-[1-2]", endpoints: "s-[1-2]-ep", reconnect: 500ms, type: active,
         updaters: [{{mode: pull, interval: 500ms, offset: 50ms, sets: [{{regex: ".*", field: inst}}]}}]}}
  - daemons: b-1
    prdcr_listen:
      - {{name: all, reconnect: 500ms, updaters: [{{mode: pull, interval: 500ms, offset: 50ms}}]}}
  - daemons: top
    peers:
      - {{daemons: "a-1,b-1", endpoints: "a-1-ep,b-1-ep", reconnect: 500ms, type: active,
         updaters: [{{mode: pull, interval: 500ms, offset: 100ms}}]}}
samplers:
  - {{daemons: "s-[1-2]", plugins: [mem]}}
  - daemons: "s-[3-4]"
    plugins: [mem]
    advertise: {{names: "s-[3-4]", hosts: 127.0.0.1, xprt: sock, port: {}, reconnect: 500ms}}
plugins:
  mem: {{name: meminfo, interval: 500ms, offset: 0s, config: [{{schema: meminfo}}]}}
  csv: {{name: store_csv, config: [{{path: /nowhere, altheader: 0}}]}}
stores:
  kept: {{daemons: top, plugin: csv, container: all, schema: meminfo, flush: 10s}}
"#,
        port("s-1"),
        port("s-2"),
        port("s-3"),
        port("s-4"),
        port("a-1"),
        port("b-1"),
        port("top"),
        port("b-1"),
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_that_a_configuration_can_say_is_done() {
    let dir = tempfile::tempdir().unwrap();
    let secret = dir.path().join("secret");
    std::fs::write(&secret, "secretword=a-word-that-both-know\n").unwrap();
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600)).unwrap();
    let conf = [("conf".to_owned(), secret.display().to_string())];
    let shared = auth::config::load("ovis", &conf, &|_| None).unwrap();
    let fleet = Fleet::new();
    let mut ports = BTreeMap::new();
    for name in ["s-1", "s-2", "s-3", "s-4", "a-1", "b-1", "top"] {
        let mut options = SimOptions::new(name, 0);
        options.timings = Timings { start_us: 0, settle_us: 100_000, ..Timings::real() };
        options.trace = true;
        if WITH_SECRET.contains(&name) {
            options.auth = shared.clone();
        }
        ports.insert(name, fleet.start(options).unwrap());
    }
    let extra = free_port();
    let text = text(&ports, extra, &secret.display().to_string());
    let (cluster, diagnostics) = config::parse("c.yaml".as_ref(), text.as_bytes(), Pairing::Written);
    assert!(!diagnostics.has_errors(), "{}", diagnostics.render(false));
    let clock = Clock::system();
    let workers = Workers::new(clock.clone());
    let wanted = desired(&cluster.unwrap(), BalanceBy::Producers);
    let manager = Manager::start(wanted, site::quick(), clock, &workers, None, None);
    let ask = async |name: &str| {
        let endpoint = Endpoint::sock("127.0.0.1", ports[name]);
        let auth = if WITH_SECRET.contains(&name) { shared.clone() } else { auth::Auth::None };
        Client::connect(&endpoint, &ClientOptions { auth, ..ClientOptions::default() }).await.unwrap()
    };
    let top = ask("top").await;
    let began = Instant::now();
    loop {
        let sets = top.call(&PrdcrSetStatus::default()).await.unwrap().0;
        let names: Vec<&str> = sets.iter().map(|set| &*set.inst_name).collect();
        if ["s-1/mem", "s-2/mem", "s-3/mem", "s-4/mem"].iter().all(|set| names.contains(set)) {
            break;
        }
        assert!(began.elapsed() < PATIENCE, "{names:?}\n{:#}\n{:#}", manager.status(), manager.plan());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let began = Instant::now();
    while !manager.is_at_rest() {
        assert!(began.elapsed() < PATIENCE / 2, "it does not come to rest: {:#}", manager.plan());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let stores = top.call(&StrgpStatus::default()).await.unwrap().0;
    assert!(stores.iter().any(|store| store.name == "kept" && store.state == "RUNNING"), "{stores:?}");
    let advertised = ask("b-1").await.call(&PrdcrStatus::default()).await.unwrap().0;
    let connected = advertised.iter().filter(|producer| producer.state.to_string() == "CONNECTED").count();
    assert_eq!(connected, 2, "{advertised:?}");
    until("the manager knows all four sets, those of advertised samplers too", || {
        manager.coverage().is_some_and(|coverage| coverage.expected == 4 && coverage.fresh == 4)
    })
    .await;
    let trace = fleet.with("a-1", |daemon| daemon.trace().join("\n")).unwrap();
    for asked in
        ["prdcr_subscribe", "handling req stream_enable", "handling req auth_add", "handling req listen"]
    {
        assert!(trace.contains(asked), "{asked}: {trace}");
    }
    let endpoint = Endpoint::sock("127.0.0.1", extra);
    let options = ClientOptions { auth: shared.clone(), ..ClientOptions::default() };
    Client::connect(&endpoint, &options).await.expect("it listens at its further port, too");
    // And nothing of it is done twice.
    let sent = manager.sent();
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert_eq!(manager.sent(), sent, "{:#}", manager.plan());
}

/// A munged with a key and a socket of its own; none where it is missing.
fn munged(dir: &Path) -> Option<(Daemon, PathBuf)> {
    let program = require_program("munged", "install the package munge: run `make setup`")?;
    std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o755)).unwrap();
    let file = |name: &str| dir.join(name);
    std::fs::write(file("key"), [7; 128]).unwrap();
    std::fs::set_permissions(file("key"), std::fs::Permissions::from_mode(0o600)).unwrap();
    let mut command = Command::new(program);
    command
        .args(["--foreground", "--force", "--key-file"])
        .arg(file("key"))
        .arg("--socket")
        .arg(file("socket"));
    command.arg("--pid-file").arg(file("pid")).arg("--log-file").arg(file("log"));
    command.arg("--seed-file").arg(file("seed"));
    let daemon = Daemon::spawn("munged", command);
    wait_until(PATIENCE, "munged's socket", || file("socket").exists());
    Some((daemon, file("socket")))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_daemon_is_spoken_to_as_its_endpoint_wants_it() {
    let dir = tempfile::tempdir().unwrap();
    let Some((_munged, socket)) = munged(dir.path()) else { return };
    let socket = socket.display().to_string();
    let naive = auth::config::load("naive", &[], &|_| None).unwrap();
    let munge = auth::config::load("munge", &[("socket".to_owned(), socket.clone())], &|_| None).unwrap();
    let fleet = Fleet::new();
    let start = |name: &str, auth: &auth::Auth| {
        let mut options = SimOptions::new(name, 0);
        options.timings = Timings { start_us: 0, settle_us: 100_000, ..Timings::real() };
        options.auth = auth.clone();
        // Whom naive believes to be nobody may configure what nobody runs.
        (options.uid, options.gid) = if *auth == naive { (65534, 65534) } else { (0, 0) };
        fleet.start(options).unwrap()
    };
    let (s1, s2, a1) = (start("s-1", &naive), start("s-2", &auth::Auth::None), start("a-1", &naive));
    let top = start("top", &munge);
    let endpoint = |name: &str, port: u16, auth: &str| {
        format!(
            "  - {{names: {name}, hosts: 127.0.0.1, endpoints: [{{names: {name}-ep, ports: {port}, maestro_comm: True, auth: {{{auth}}}}}]}}\n"
        )
    };
    let text = [
        "daemons:\n".to_owned(),
        endpoint("s-1", s1, "name: anybody, plugin: naive"),
        endpoint("s-2", s2, "name: open, plugin: none"),
        endpoint("a-1", a1, "name: anybody, plugin: naive, conf: /what/naive/does/not/mind"),
        endpoint("top", top, &format!("name: munge1, plugin: munge, conf: {socket}")),
        "aggregators:\n".to_owned(),
        "  - {daemons: a-1, peers: [{daemons: 's-1,s-2', endpoints: 's-1-ep,s-2-ep', reconnect: 500ms, type: active, \
         updaters: [{interval: 500ms}]}]}\n"
            .to_owned(),
        "  - {daemons: top, peers: [{daemons: a-1, endpoints: a-1-ep, reconnect: 500ms, type: active, \
         updaters: [{interval: 500ms}]}]}\n"
            .to_owned(),
        "samplers: [{daemons: 's-1,s-2', plugins: [mem]}]\n\
         plugins: {mem: {name: meminfo, interval: 500ms, config: [{schema: meminfo, perm: '0777'}]}}\n"
            .to_owned(),
    ]
    .concat();
    let (cluster, diagnostics) = config::parse("c.yaml".as_ref(), text.as_bytes(), Pairing::Written);
    assert!(!diagnostics.has_errors(), "{}", diagnostics.render(false));
    let clock = Clock::system();
    let workers = Workers::new(clock.clone());
    let wanted = desired(&cluster.unwrap(), BalanceBy::Producers);
    let manager = Manager::start(wanted, site::quick(), clock, &workers, None, None);
    let began = Instant::now();
    while manager.coverage().is_none_or(|coverage| (coverage.fresh, coverage.expected) != (2, 2)) {
        assert!(began.elapsed() < PATIENCE, "{:#}\n{:#}", manager.status(), manager.plan());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
