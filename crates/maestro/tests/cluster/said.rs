//! A cluster that uses what a configuration can say: two groups side by side of which one is advertised to, a tier above
//! both, subscriptions, a store, a shared secret, a further port.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
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
use campanile_testkit::free_port;

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
