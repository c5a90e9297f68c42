//! The client on our own router: the same scenarios as on crossbar.

#![expect(clippy::expect_used, reason = "a test fails by panicking")]

mod common;

use campanile_wamp::Subprotocol;
use campanile_wamp::net::server::{Router, RouterConfig};
use common::scenarios;
use tokio::net::TcpListener;

/// A router as an OCS site has it, until the test ends.
async fn router() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let url = format!("ws://{}/ws", listener.local_addr().expect("it is bound"));
    tokio::spawn(
        Router::new(RouterConfig::for_ocs("test_realm", "observatory"))
            .serve(listener, std::future::pending::<()>()),
    );
    url
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_come_back_with_results_and_errors() {
    let url = router().await;
    for subprotocol in Subprotocol::ALL {
        scenarios::calls(&url, subprotocol, "observatory.calls").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_that_end_early_leave_nothing_behind() {
    let url = router().await;
    for subprotocol in Subprotocol::ALL {
        scenarios::calls_that_end_early(&url, subprotocol, "observatory.early").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_reach_all_who_subscribed() {
    let url = router().await;
    for subprotocol in Subprotocol::ALL {
        scenarios::events(&url, subprotocol, "observatory.events").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_registration_comes_to_be_when_the_name_is_free() {
    let url = router().await;
    scenarios::refused_registrations(&url, Subprotocol::ALL[0], "observatory.refused").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_client_stays_closed() {
    let url = router().await;
    for subprotocol in Subprotocol::ALL {
        scenarios::closing(&url, subprotocol).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_of_different_serializers_understand_each_other() {
    let url = router().await;
    for callee in Subprotocol::ALL {
        for caller in Subprotocol::ALL.into_iter().filter(|caller| caller.serializer != callee.serializer) {
            scenarios::mixed(&url, callee, caller, "observatory.mixed").await;
        }
    }
}
