//! The kit itself against the real peers: what it starts works, and leaves nothing behind.

use campanile_testkit::{Crossbar, CrossbarConfig, Peers, TempSite, bridge_call, is_alive, wait_until};
use serde_json::json;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(60);

#[test]
fn crossbar_serves_a_python_agent_is_killed_and_comes_back_on_the_same_port() {
    let Some(peers) = Peers::require() else { return };
    let Some(mut crossbar) = Crossbar::start(CrossbarConfig::default()) else { return };
    let instance = TempSite::instance("FakeDataAgent", "faker1", &json!({"arguments": ["--mode", "idle"]}));
    let site = TempSite::new(crossbar.port(), &json!({"host-1": {"agent-instances": [instance]}}));
    let ask = || bridge_call(site.port(), &site.address("faker1"), json!(["get_agent_class"]));

    let _agent = peers.agent(&site, "host-1", "faker1");
    wait_until(SOON, "the agent answers", || ask() == Ok(json!("FakeDataAgent")));

    let before = crossbar.daemon().processes();
    crossbar.kill9();
    assert!(
        before.len() >= 2 && before.iter().all(|&pid| !is_alive(pid)),
        "controller and worker: {before:?}"
    );
    assert!(ask().is_err());
    crossbar.restart();
    wait_until(SOON, "the agent joined again", || ask() == Ok(json!("FakeDataAgent")));
}

#[test]
fn the_original_host_manager_is_driven_by_the_original_clients() {
    let Some(peers) = Peers::require() else { return };
    let Some(crossbar) = Crossbar::start(CrossbarConfig::default()) else { return };
    let manager = TempSite::instance("HostManager", "hm-host-1", &json!({}));
    let faker = TempSite::instance("FakeDataAgent", "faker1", &json!({"manage": "host/down"}));
    let site = TempSite::new(crossbar.port(), &json!({"host-1": {"agent-instances": [manager, faker]}}));

    let _manager = peers.host_manager(&site, "host-1", "hm-host-1", &[]);
    let status = || peers.ocsbow(&site, "host-1", &["status"]).stdout;
    let row = |id: &str, end: &str| {
        status().lines().any(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            words.first() == Some(&id) && words[2..].join(" ") == end
        })
    };
    wait_until(SOON, "the manager is up", || row("hm-host-1", "up n/a"));
    wait_until(SOON, "faker1 is down", || row("faker1", "down down"));
    assert_eq!(peers.ocsbow(&site, "host-1", &["up", "faker1"]).code(), 0);
    wait_until(SOON, "faker1 is up", || row("faker1", "up up"));
    let scan = || peers.client_cli(&site, "host-1", &["scan"]).stdout;
    wait_until(SOON, "both are heard", || {
        let heard = scan();
        heard.contains("faker1") && heard.contains("hm-host-1")
    });
}
