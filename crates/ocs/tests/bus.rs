//! Agents and clients on our own router.

#![allow(clippy::unwrap_used, reason = "a test ends at the first thing that is wrong")]

mod common;

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use campanile_control::clock::Clock;
use campanile_control::worker::Workers;
use campanile_ocs::agent::{Agent, AgentBuilder, AgentConfig, BusState, ProcessSpec};
use campanile_ocs::client::{Endpoint, OcsClient, OcsError};
use campanile_ocs::control_socket::ControlSocket;
use campanile_wamp::net::client::{ClientOptions, Event};
use campanile_wamp::net::server::{Router, RouterConfig};
use campanile_wamp::{Dict, Match, Value};
use common::interview::{Record, interview};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

const TIMEOUT: Duration = Duration::from_secs(30);

/// A router on a port of its own; the port.
async fn router() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let router = Router::new(RouterConfig::for_ocs("test_realm", "observatory"));
    tokio::spawn(router.serve(listener, pending()));
    port
}

fn config(port: u16, instance_id: &str) -> AgentConfig {
    let mut config = AgentConfig::new("observatory", instance_id, "FakeDataAgent");
    config.wamp = Some(ClientOptions::new(ws_url(port), "test_realm"));
    config
}

fn ws_url(port: u16) -> String {
    format!("ws://127.0.0.1:{port}/ws")
}

async fn ws_client(port: u16) -> OcsClient {
    OcsClient::connect(Endpoint::Ws(ws_url(port), "test_realm".into()), TIMEOUT).await.unwrap()
}

async fn until_bus(agent: &Agent, is_so: impl FnMut(&BusState) -> bool) {
    tokio::time::timeout(TIMEOUT, agent.bus_state().wait_for(is_so)).await.unwrap().unwrap();
}

/// The events of a topic, as they come.
async fn events(client: &OcsClient, topic: &str, matching: Match) -> mpsc::UnboundedReceiver<Event> {
    let (sender, events) = mpsc::unbounded_channel();
    let handler = Arc::new(move |event| {
        // Nobody listens any more when the test is over.
        let _ = sender.send(event);
    });
    let subscription = client.bus().unwrap().subscribe(topic, matching, handler);
    let mut state = subscription.state();
    let active = state
        .wait_for(|state| matches!(state, campanile_wamp::net::client::RegistrationState::Active { .. }));
    tokio::time::timeout(TIMEOUT, active).await.unwrap().unwrap();
    events
}

async fn next(events: &mut mpsc::UnboundedReceiver<Event>) -> Event {
    tokio::time::timeout(TIMEOUT, events.recv()).await.unwrap().unwrap()
}

#[tokio::test]
async fn an_agent_gives_the_same_answers_over_the_bus_the_bridge_and_its_socket() {
    let port = router().await;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("control.sock");
    // An agent of its own for each way, since it remembers what it was asked to do.
    let over_ws = interview_over(port, "rusty1", Endpoint::Ws(ws_url(port), "test_realm".into())).await;
    let over_http =
        interview_over(port, "rusty2", Endpoint::Http(format!("http://127.0.0.1:{port}/call"))).await;
    let over_unix = interview_over(port, "rusty3", Endpoint::Unix(path)).await;
    for (index, (question, answer)) in over_ws.iter().enumerate() {
        assert_eq!(&over_http[index].1, answer, "{question} over HTTP");
        assert_eq!(&over_unix[index].1, answer, "{question} over the control socket");
    }
}

async fn interview_over(port: u16, instance_id: &str, endpoint: Endpoint) -> Record {
    let agent = common::faker(config(port, instance_id)).spawn();
    until_bus(&agent, |state| *state == BusState::Up).await;
    let _socket = match &endpoint {
        Endpoint::Unix(path) => Some(ControlSocket::serve(path, agent).await.unwrap()),
        _ => None,
    };
    let client = OcsClient::connect(endpoint, TIMEOUT).await.unwrap();
    interview(&client, &format!("observatory.{instance_id}")).await
}

#[tokio::test]
async fn a_heartbeat_comes_at_once_and_then_every_second() {
    let port = router().await;
    let client = ws_client(port).await;
    let mut beats = events(&client, "observatory..feeds.heartbeat", Match::Wildcard).await;
    let agent = common::faker(config(port, "rusty")).spawn();
    let first = next(&mut beats).await;
    assert_eq!(first.topic, "observatory.rusty.feeds.heartbeat");
    assert_eq!(
        first.args[0].to_json()[0],
        json!({"acq": 1, "count": 1, "set_heartbeat": 1, "delay_task": 1})
    );
    // Whoever hears the first one asks for the API at once.
    assert!(client.api("observatory.rusty").await.is_ok());
    agent.start("count", &json!({}));
    let second = next(&mut beats).await;
    assert_eq!(second.args[0].to_json()[0]["count"], 3);
    agent.shutdown(TIMEOUT).await;
    assert!(client.api("observatory.rusty").await.is_err(), "the names are free again");
}

#[tokio::test]
async fn a_second_agent_of_one_identity_stays_silent_says_so_and_takes_over_when_the_first_has_gone() {
    let port = router().await;
    let client = ws_client(port).await;
    let workers = Workers::new(Clock::system());
    let first = common::faker(config(port, "rusty")).spawn();
    until_bus(&first, |state| *state == BusState::Up).await;
    let started = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let second = AgentBuilder::new(AgentConfig { workers: Some(workers.clone()), ..config(port, "rusty") })
        .process(ProcessSpec::new("main").startup(json!({})), {
            let started = Arc::clone(&started);
            move |context, _params| {
                started.store(true, std::sync::atomic::Ordering::SeqCst);
                async move {
                    context.stop_requested().await;
                    Ok(String::new())
                }
            }
        })
        .spawn();
    until_bus(&second, |state| matches!(state, BusState::Refused { .. })).await;
    let mut beats = events(&client, "observatory.rusty.feeds.heartbeat", Match::Exact).await;
    let mut conflict = second.identity_conflict();
    tokio::time::timeout(TIMEOUT, conflict.wait_for(Option::is_some)).await.unwrap().unwrap();
    assert!(!started.load(std::sync::atomic::Ordering::SeqCst), "nothing begins beside the first");
    let said = workers.snapshot();
    assert!(said[0].last_error.as_ref().unwrap().1.contains("procedure_already_exists"), "{said:?}");
    while let Ok(beat) = beats.try_recv() {
        assert!(beat.args[0].to_json()[0].get("acq").is_some(), "only the first one beats");
    }

    first.shutdown(TIMEOUT).await;
    until_bus(&second, |state| *state == BusState::Up).await;
    tokio::time::timeout(TIMEOUT, conflict.wait_for(Option::is_none)).await.unwrap().unwrap();
    while !next(&mut beats).await.args[0].to_json()[0].get("main").is_some_and(|code| *code == json!(3)) {}
}

#[tokio::test]
async fn work_begins_without_a_router_and_the_bus_is_joined_when_there_is_one() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let agent = AgentBuilder::new(config(port, "early"))
        .process(ProcessSpec::new("main").startup(json!({})), |context, _params| async move {
            context.stop_requested().await;
            Ok(String::new())
        })
        .spawn();
    let deadline = tokio::time::Instant::now() + TIMEOUT;
    while agent.status("main")[2]["status"] != "running" {
        assert!(tokio::time::Instant::now() < deadline, "the operation never started");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(matches!(*agent.bus_state().borrow(), BusState::Connecting { .. }));
    assert!(agent.publish("heartbeat", json!({})).is_err());

    let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    tokio::spawn(Router::new(RouterConfig::for_ocs("test_realm", "observatory")).serve(listener, pending()));
    until_bus(&agent, |state| *state == BusState::Up).await;
    let api = ws_client(port).await.api("observatory.early").await.unwrap();
    assert_eq!(api.op("main").unwrap().session.as_ref().unwrap().session_id, 0);
}

#[tokio::test]
async fn procedures_of_its_own_are_reached_like_the_others() {
    let port = router().await;
    let agent = AgentBuilder::new(config(port, "rusty"))
        .procedure(".logs", |args, kwargs| async move {
            Ok(Value::Dict(Dict::new().with("args", args).with("lines", kwargs.get("lines").cloned())))
        })
        .spawn();
    until_bus(&agent, |state| *state == BusState::Up).await;
    let client = ws_client(port).await;
    let kwargs = Dict::new().with("lines", 5);
    let answer = client.call("observatory.rusty.logs", vec!["x".into()], kwargs).await.unwrap();
    assert_eq!(answer.to_json(), json!({"args": ["x"], "lines": 5}));
}

#[tokio::test]
async fn a_router_that_cannot_be_used_is_told_at_once_and_why() {
    let port = router().await;
    let realm = Endpoint::Ws(ws_url(port), "elsewhere".into());
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let nobody = Endpoint::Ws(ws_url(closed), "test_realm".into());
    for (endpoint, word) in [(realm, "no_such_realm"), (nobody, "refused")] {
        let never = Duration::from_secs(3600);
        let error =
            tokio::time::timeout(TIMEOUT, OcsClient::connect(endpoint, never)).await.unwrap().err().unwrap();
        assert!(matches!(error, OcsError::RouterUnreachable { .. }));
        assert!(error.to_string().contains(word), "{error}");
    }
}
