//! The client on the real crossbar router.

mod common;

use std::time::Duration;

use campanile_testkit::{Crossbar, CrossbarConfig};
use campanile_wamp::net::client::{CallError, Client, ClientError, ClientOptions, State};
use campanile_wamp::{Dict, Match, Reply, Subprotocol};
use common::scenarios::{self, Events, LONG, Server, call, client, eventually, options};

fn url(crossbar: &Crossbar) -> String {
    format!("ws://127.0.0.1:{}/ws", crossbar.port())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_subprotocol_carries_calls_and_events_through_crossbar() {
    let Some(crossbar) = Crossbar::start(CrossbarConfig::default()) else { return };
    let url = url(&crossbar);
    for (i, subprotocol) in Subprotocol::ALL.into_iter().enumerate() {
        scenarios::calls(&url, subprotocol, &format!("observatory.calls{i}")).await;
        scenarios::calls_that_end_early(&url, subprotocol, &format!("observatory.early{i}")).await;
        scenarios::events(&url, subprotocol, &format!("observatory.events{i}")).await;
        scenarios::closing(&url, subprotocol).await;
    }
    scenarios::refused_registrations(&url, Subprotocol::ALL[0], "observatory.refused").await;
    a_wrong_realm_is_told(&url).await;
}

async fn a_wrong_realm_is_told(url: &str) {
    let client = Client::spawn(ClientOptions::new(url, "nope"));
    let Err(ClientError::TimedOut { last_error: Some(error) }) = client.joined(Duration::from_secs(2)).await
    else {
        panic!("joined")
    };
    assert!(error.contains("wamp.error.no_such_realm"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn after_crossbar_was_killed_everything_comes_back() {
    let Some(mut crossbar) = Crossbar::start(CrossbarConfig::default()) else { return };
    let url = url(&crossbar);
    let server = Server::new(client(&url, Subprotocol::ALL[0]), "observatory.server").await;
    let other = Client::spawn(ClientOptions { ..options(&url, Subprotocol::ALL[4]) });
    let first_session = other.joined(LONG).await.unwrap();
    let (events, _subscription) = Events::of(&other, "observatory..feeds.x", Match::Wildcard).await;

    let asleep = tokio::spawn({
        let (other, sleep) = (other.clone(), server.procedure("sleep"));
        async move { call(&other, &sleep, vec![]).await }
    });
    server.sleepers(1).await;
    crossbar.kill9();
    assert_eq!(asleep.await.unwrap(), Err(CallError::ConnectionLost));
    server.sleepers(0).await;
    let away = |client: &Client| matches!(*client.state().borrow(), State::Connecting { .. });
    eventually("both notice", || away(&other) && away(&server.client)).await;
    assert_eq!(other.publish("observatory.x", vec![], Dict::new()), Err(ClientError::NotConnected));
    assert_eq!(call(&other, "observatory.x", vec![]).await, Err(CallError::NotConnected));
    eventually("the refused connection is told", || match &*other.state().borrow() {
        State::Connecting { attempt, last_error: Some(error) } => {
            *attempt > 1 && error.contains("cannot connect")
        }
        _ => false,
    })
    .await;

    let crossbar = tokio::task::spawn_blocking(move || {
        crossbar.restart();
        crossbar
    })
    .await
    .unwrap();
    assert_ne!(other.joined(LONG).await.unwrap(), first_session);
    server.client.joined(LONG).await.unwrap();
    let echo = server.procedure("echo");
    let mut echoed = Err(CallError::NotConnected);
    let deadline = tokio::time::Instant::now() + LONG;
    while echoed.is_err() && tokio::time::Instant::now() < deadline {
        echoed = call(&other, &echo, vec![5.into()]).await;
    }
    assert_eq!(echoed, Ok(Reply::of(5)));
    // The subscription is asked for before anything else that this session can ask.
    server.client.publish("observatory.server.feeds.x", vec![], Dict::new()).unwrap();
    events.wait(1).await;
    drop(crossbar);
}
