//! Start order and readiness over real processes.

mod world;

use std::fs;

use campanile_ocs::site_config::{Probe, Ready};
use world::{World, script, with};

fn ready(probe: Probe, timeout_ms: u64) -> Option<Ready> {
    Some(Ready { probe, timeout_ms })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_comes_up_when_what_is_before_it_is_ready_and_goes_down_before_it() {
    let dir = tempfile::tempdir().unwrap();
    let (file, log) = (dir.path().join("ready"), dir.path().join("log"));
    let say = |id: &str| {
        let log = log.display();
        format!(
            "echo +{id} >> {log}; trap 'sleep 0.1; echo -{id} >> {log}; exit' INT; while :; do sleep 0.02; done"
        )
    };
    let registry = with(script("registry", &say("registry")), |spec| {
        let test = vec!["test".to_owned(), "-e".to_owned(), file.display().to_string()];
        spec.ready = ready(Probe::Command(test), 60_000);
    });
    let aggregator = with(script("aggregator", &say("aggregator")), |spec| {
        spec.after = vec!["registry".to_owned()];
    });
    let last = with(script("last", &say("last")), |spec| spec.after = vec!["aggregator".to_owned()]);
    // The order in the file is another one.
    let world = World::start(vec![last, aggregator, registry]).await;
    world.until_state("registry", "up").await;
    world.until_state("aggregator", "start").await;
    assert_eq!(world.child("aggregator").unwrap()["reason"], "it waits until registry is ready");
    assert_eq!(world.child("registry").unwrap()["reason"], "it runs and is not ready yet");
    fs::write(&file, "").unwrap();
    world.until("all are up", |world| world.count("up") == 3).await;
    assert!(world.messages().contains("Test:registry is ready"), "{}", world.messages());
    world.until("all have begun", |_| fs::read_to_string(&log).unwrap().lines().count() == 3).await;
    world.ask("all", "down").await;
    world.until("all are down", |world| world.count("down") == 3).await;
    let order = fs::read_to_string(&log).unwrap();
    let order: Vec<&str> = order.lines().collect();
    assert_eq!(order, ["+registry", "+aggregator", "+last", "-last", "-aggregator", "-registry"]);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_get_ready_in_time_holds_up_nobody_for_ever() {
    let never = with(script("never", "exec sleep 1000"), |spec| {
        spec.ready = ready(Probe::Port(1), 300);
    });
    let next = with(script("next", "exec sleep 1000"), |spec| spec.after = vec!["never".to_owned()]);
    let down =
        with(script("down", "exec sleep 1000"), |spec| spec.start = campanile_host::model::Target::Down);
    let free = with(script("free", "exec sleep 1000"), |spec| spec.after = vec!["down".to_owned()]);
    let world = World::start(vec![never, next, down, free]).await;
    world.until_state("free", "up").await;
    world.until_state("next", "up").await;
    let messages = world.messages();
    assert!(messages.contains("Test:never is not ready after 0.3 s"), "{messages}");
    assert_eq!(world.child("never").unwrap()["ready"], false);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_port_makes_an_instance_ready() {
    let port = campanile_testkit::free_port();
    let listens = format!(
        "exec python3 -c 'import socket, time; s = socket.create_server((\"127.0.0.1\", {port})); time.sleep(1000)'"
    );
    let server = with(script("server", &listens), |spec| spec.ready = ready(Probe::Port(port), 60_000));
    let client = with(script("client", "exec sleep 1000"), |spec| spec.after = vec!["server".to_owned()]);
    let world = World::start(vec![client, server]).await;
    world.until_told("Test:server is ready").await;
    world.until_state("client", "up").await;
    world.stop().await;
}

#[test]
fn order_and_readiness_pass_as_an_ordinary_user_with_cgroups_hidden() {
    campanile_testkit::again_as_ordinary_user(
        &[env!("CARGO_BIN_EXE_campanile-launcher")],
        "order_and_readiness_pass_as_an_ordinary_user,a_port_makes",
    );
}
