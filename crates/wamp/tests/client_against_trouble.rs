//! The client with a router that misbehaves, is slow, or is not there.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::time::Duration;

use bytes::Bytes;
use campanile_wamp::backoff::Backoff;
use campanile_wamp::error::uris;
use campanile_wamp::message::codes;
use campanile_wamp::net::client::{
    CallError, CallOptions, Client, ClientError, ClientOptions, RegisterOptions, State, handler,
};
use campanile_wamp::{Dict, Limits, Message, Payload, Reply, Subprotocol};
use common::scenarios::{Events, LONG, call, eventually, options};
use common::scripted::{Peer, SHORT, ScriptedRouter};
use futures_util::SinkExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio_tungstenite::tungstenite::Message as Frame;

const PLAIN_JSON: Subprotocol = Subprotocol::ALL[5];

/// Options with which a test need not wait long.
fn quick(router: &ScriptedRouter) -> ClientOptions {
    let backoff = Backoff { first_ms: 20, max_ms: 50 };
    ClientOptions { backoff, refused_backoff: backoff, ..options(&router.url(), Subprotocol::ALL[0]) }
}

async fn joined(options: ClientOptions, router: &ScriptedRouter) -> (Client, Peer) {
    let client = Client::spawn(options);
    let peer = router.accept_session().await;
    client.joined(LONG).await.unwrap();
    (client, peer)
}

async fn joins_again(client: &Client, router: &ScriptedRouter) {
    let _peer = router.accept_session().await;
    client.joined(LONG).await.unwrap();
}

/// Why the client has no session.
async fn trouble(client: &Client) -> String {
    let mut state = client.state();
    let told = state.wait_for(|state| matches!(state, State::Connecting { last_error: Some(_), .. }));
    match &*tokio::time::timeout(LONG, told).await.unwrap().unwrap() {
        State::Connecting { last_error: Some(error), .. } => error.clone(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ping_is_answered_while_nothing_else_is_said() {
    let router = ScriptedRouter::new().await;
    let (_client, mut peer) = joined(quick(&router), &router).await;
    let payload = Bytes::from_static(b"twelve bytes");
    peer.socket.send(Frame::Ping(payload.clone())).await.unwrap();
    assert_eq!(peer.frame().await, Some(Frame::Pong(payload)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_router_that_says_nothing_at_all_is_left_and_one_that_answers_pings_is_kept() {
    let router = ScriptedRouter::new().await;
    let ping = ClientOptions { ping_every: SHORT / 3, ping_timeout: 5 * SHORT, ..quick(&router) };
    let (client, mut peer) = joined(ping, &router).await;
    for _ in 0..6 {
        // Reading answers the pings.
        let Some(Frame::Ping(payload)) = peer.frame().await else { panic!("no ping") };
        assert_eq!(payload.len(), 12);
    }
    assert!(matches!(*client.state().borrow(), State::Joined { .. }));
    // From here on nobody reads.
    let error = trouble(&client).await;
    assert!(error.contains("nothing was heard of the router"), "{error}");
    joins_again(&client, &router).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_router_that_is_heard_is_not_pinged() {
    let router = ScriptedRouter::new().await;
    let every = 10 * SHORT;
    let (_client, mut peer) = joined(ClientOptions { ping_every: every, ..quick(&router) }, &router).await;
    let mut said = tokio::time::Instant::now();
    for _ in 0..20 {
        tokio::time::sleep(every / 10).await;
        peer.socket.send(Frame::Ping(Bytes::from_static(b"alive"))).await.unwrap();
        assert_eq!(peer.frame().await, Some(Frame::Pong(Bytes::from_static(b"alive"))), "and nothing else");
        assert!(said.elapsed() < every, "this machine stalls for longer than the test allows");
        said = tokio::time::Instant::now();
    }
    let Some(Frame::Ping(_)) = peer.frame().await else { panic!("no ping after a silence") };
    assert!(said.elapsed() >= every * 9 / 10, "{:?}", said.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_router_that_never_answers_hello_is_left() {
    let router = ScriptedRouter::new().await;
    let client = Client::spawn(ClientOptions { join_timeout: SHORT, ..quick(&router) });
    let _silent = router.accept().await;
    let error = trouble(&client).await;
    assert!(error.contains("did not open a session in time"), "{error}");
    joins_again(&client, &router).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_never_finishes_the_handshake_is_left() {
    let router = ScriptedRouter::new().await;
    let client = Client::spawn(ClientOptions { connect_timeout: SHORT, ..quick(&router) });
    let _silent = router.accept_tcp().await;
    let error = trouble(&client).await;
    assert!(error.contains("no connection to 127.0.0.1") && error.contains("within 0.3 s"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_wamp_router_is_told_as_what_it_is() {
    let router = ScriptedRouter::new().await;
    let client = Client::spawn(quick(&router));
    let answer = async |response: &str| {
        let mut tcp = router.accept_tcp().await;
        tcp.write_all(response.as_bytes()).await.unwrap();
        tcp.shutdown().await.unwrap();
        // Until the client has read it.
        _ = tokio::io::copy(&mut tcp, &mut tokio::io::sink()).await;
    };
    answer("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").await;
    let error = trouble(&client).await;
    assert!(error.contains("400 Bad Request"), "{error}");
    for url in ["http://localhost:1/ws", "ws://", "nonsense", "ws://[::1"] {
        let error = trouble(&Client::spawn(ClientOptions::new(url, "r"))).await;
        assert!(error.contains("is not the URL of a router"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_router_that_wants_authentication_is_told_as_such() {
    let router = ScriptedRouter::new().await;
    let client = Client::spawn(quick(&router));
    let mut peer = router.accept().await;
    peer.receive().await;
    peer.send(Message::Challenge { method: "ticket".into(), extra: Dict::new() }).await;
    assert!(matches!(peer.receive().await, Message::Abort { reason, .. } if reason == uris::NO_AUTH_METHOD));
    assert!(trouble(&client).await.contains("\"ticket\""));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_router_that_sends_garbage_gets_abort_and_another_chance() {
    let router = ScriptedRouter::new().await;
    let (client, mut peer) = joined(quick(&router), &router).await;
    peer.send_raw(vec![0, 0, 0, 1, 0xff]).await;
    assert!(
        matches!(peer.receive().await, Message::Abort { reason, .. } if reason == uris::PROTOCOL_VIOLATION)
    );
    peer.ended().await;
    joins_again(&client, &router).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_above_the_limit_ends_the_connection_and_nothing_else() {
    let router = ScriptedRouter::new().await;
    let limits = Limits { max_message_bytes: 10_000, ..Limits::default() };
    let (client, mut peer) = joined(ClientOptions { limits, ..quick(&router) }, &router).await;
    peer.send_raw(vec![0; 10_001]).await;
    assert!(trouble(&client).await.contains("10001"));
    joins_again(&client, &router).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_publishes_is_never_blocked_by_a_router_that_does_not_read() {
    let router = ScriptedRouter::new().await;
    let (client, mut peer) =
        joined(ClientOptions { max_queued_bytes: 1 << 20, ..quick(&router) }, &router).await;
    let megabyte = "x".repeat(100_000);
    let mut published = 0;
    // The system takes some megabytes by itself.
    let full = loop {
        match client.publish("a", vec![megabyte.as_str().into()], Dict::new()) {
            Ok(()) if published < 1000 => published += 1,
            other => break other,
        }
    };
    assert_eq!(full, Err(ClientError::QueueFull));
    let asked = client.call("a", vec![], Dict::new(), CallOptions::default()).await;
    assert_eq!(asked, Err(CallError::QueueFull));
    for i in 0..published {
        let message = peer.receive().await;
        assert!(matches!(message, Message::Publish { request, .. } if request == i + 1));
    }
    eventually("there is room again", || client.publish("b", vec![], Dict::new()).is_ok()).await;
    assert!(matches!(peer.receive().await, Message::Publish { topic, .. } if topic == "b"));
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_time_out_though_the_router_does_not_read() {
    let router = ScriptedRouter::new().await;
    let (client, _peer) =
        joined(ClientOptions { max_queued_bytes: 64 << 20, ..quick(&router) }, &router).await;
    client.publish("a", vec!["x".repeat(32 << 20).into()], Dict::new()).unwrap();
    let late = client.call("a", vec![], Dict::new(), CallOptions::timeout(SHORT)).await;
    assert_eq!(late, Err(CallError::TimedOut));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_is_written_in_few_batches() {
    let router = ScriptedRouter::new().await;
    let (client, mut peer) = joined(quick(&router), &router).await;
    // The first ones occupy the writer.
    for i in 0..2000 {
        client.publish("a", vec![i.into()], Dict::new()).unwrap();
    }
    let (mut messages, mut batches) = (0, 0);
    while messages < 2000 {
        messages += peer.batch().await.len();
        batches += 1;
    }
    assert!(batches < 1000, "{batches} batches");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_so_many_invocations_run_at_a_time() {
    let router = ScriptedRouter::new().await;
    let (client, mut peer) =
        joined(ClientOptions { max_running_invocations: 2, ..quick(&router) }, &router).await;
    let forever = handler(|_| async {
        std::future::pending::<()>().await;
        Ok(Reply::default())
    });
    client.register("a", RegisterOptions::default(), forever);
    assert!(matches!(peer.receive().await, Message::Register { request: 1, .. }));
    peer.send(Message::Registered { request: 1, registration: 9 }).await;
    for request in 1..=3 {
        let details = Dict::new();
        peer.send(Message::Invocation { request, registration: 9, details, payload: Payload::empty() }).await;
    }
    let Message::Error { request_type: codes::INVOCATION, request: 3, payload, .. } = peer.receive().await
    else {
        panic!("the third was not refused")
    };
    let (args, _) = payload.into_values().unwrap();
    assert_eq!(args, ["2 calls are being served already".into()]);
    // An interrupted one makes room.
    peer.send(Message::Interrupt { request: 1, options: Dict::new() }).await;
    assert!(matches!(peer.receive().await, Message::Error { request: 1, .. }));
    let invocation =
        Message::Invocation { request: 4, registration: 9, details: Dict::new(), payload: Payload::empty() };
    peer.send(invocation).await;
    peer.send(Message::Interrupt { request: 4, options: Dict::new() }).await;
    assert!(
        matches!(peer.receive().await, Message::Error { request: 4, error, .. } if error == uris::CANCELED)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_of_events_that_panics_harms_no_other() {
    let router = ScriptedRouter::new().await;
    let (client, mut peer) = joined(quick(&router), &router).await;
    client.subscribe("a", campanile_wamp::Match::Exact, std::sync::Arc::new(|_| panic!("on purpose")));
    let answers = tokio::spawn(async move {
        for request in 1..=2 {
            assert!(matches!(peer.receive().await, Message::Subscribe { .. }));
            peer.send(Message::Subscribed { request, subscription: 7 }).await;
        }
        peer
    });
    let (events, _subscription) = Events::of(&client, "a", campanile_wamp::Match::Exact).await;
    let mut peer = answers.await.unwrap();
    for publication in 1..=2 {
        let details = Dict::new();
        peer.send(Message::Event { subscription: 7, publication, details, payload: Payload::empty() }).await;
    }
    events.wait(2).await;
    assert!(matches!(*client.state().borrow(), State::Joined { .. }));
}

#[tokio::test(flavor = "multi_thread")]
async fn closing_and_dropping_say_goodbye() {
    for close in [true, false] {
        let router = ScriptedRouter::new().await;
        let (client, mut peer) = joined(quick(&router), &router).await;
        let mut state = client.state();
        let closed = tokio::spawn(async move {
            if close {
                client.close().await;
            }
        });
        assert!(
            matches!(peer.receive().await, Message::Goodbye { reason, .. } if reason == uris::CLOSE_NORMAL)
        );
        peer.send(Message::Goodbye { details: Dict::new(), reason: uris::GOODBYE_AND_OUT.into() }).await;
        peer.ended().await;
        closed.await.unwrap();
        tokio::time::timeout(LONG, state.wait_for(|state| *state == State::Closed)).await.unwrap().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn closing_does_not_wait_for_a_router_that_is_silent_or_away() {
    let router = ScriptedRouter::new().await;
    let (client, _silent) = joined(quick(&router), &router).await;
    tokio::time::timeout(LONG, client.close()).await.unwrap();
    let url = router.url();
    drop(router);
    let client = Client::spawn(ClientOptions::new(url, "r"));
    assert!(trouble(&client).await.contains("cannot connect"));
    tokio::time::timeout(Duration::from_secs(5), client.close()).await.unwrap();
    assert_eq!(client.joined(LONG).await, Err(ClientError::Closed));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_goodbye_of_the_router_is_answered_and_another_session_sought() {
    let router = ScriptedRouter::new().await;
    let (client, mut peer) =
        joined(ClientOptions { serializers: vec![PLAIN_JSON], ..quick(&router) }, &router).await;
    peer.send(Message::Goodbye { details: Dict::new(), reason: uris::SYSTEM_SHUTDOWN.into() }).await;
    assert!(
        matches!(peer.receive().await, Message::Goodbye { reason, .. } if reason == uris::GOODBYE_AND_OUT)
    );
    assert!(trouble(&client).await.contains(uris::SYSTEM_SHUTDOWN));
    joins_again(&client, &router).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_under_way_end_when_the_connection_does() {
    let router = ScriptedRouter::new().await;
    let (client, peer) = joined(quick(&router), &router).await;
    let waiting = tokio::spawn(async move { call(&client, "a", vec![]).await });
    let mut peer = peer;
    assert!(matches!(peer.receive().await, Message::Call { .. }));
    drop(peer);
    assert_eq!(waiting.await.unwrap(), Err(CallError::ConnectionLost));
}
