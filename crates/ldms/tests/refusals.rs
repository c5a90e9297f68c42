//! What the client refuses, and in which words: other transports, other versions, peers that are no ldmsd, peers
//! that say nothing.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use campanile_ldms::client::{Client, ConnectError, Endpoint, Options};
use campanile_ldms::wire::connect::ConnectMessage;
use campanile_ldms::wire::frame::{self, Body, Frame};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

/// A peer that answers the first bytes it gets with these, and then waits.
async fn peer(answer: Vec<u8>) -> Endpoint {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut buffer = [0; 1024];
        let _ = stream.read(&mut buffer).await;
        let _ = stream.write_all(&answer).await;
        // Until the client has gone.
        while stream.read(&mut buffer).await.is_ok_and(|read| read > 0) {}
    });
    Endpoint::sock("127.0.0.1", port)
}

fn framed(body: Body) -> Vec<u8> {
    let mut bytes = BytesMut::new();
    frame::encode(&Frame { xid: 1, ctxt: 0, body }, &mut bytes).unwrap();
    bytes.to_vec()
}

async fn error_of(endpoint: &Endpoint) -> (ConnectError, String) {
    let options = Options { connect_timeout: Duration::from_millis(500), ..Options::default() };
    let error = Client::connect(endpoint, &options).await.unwrap_err();
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(source) = cause {
        text = format!("{text}: {source}");
        cause = source.source();
    }
    (error, text)
}

#[tokio::test]
async fn an_endpoint_of_another_transport_is_refused_by_name() {
    let endpoint = Endpoint { host: "l1-agg-1".into(), port: 411, xprt: "rdma".into() };
    let (error, text) = error_of(&endpoint).await;
    assert!(matches!(error, ConnectError::Transport { .. }));
    assert_eq!(text, "l1-agg-1:411 uses transport 'rdma': only 'sock' is spoken");
}

#[tokio::test]
async fn a_daemon_of_another_protocol_version_is_refused_with_both_versions() {
    let data = ConnectMessage { version: [5, 0, 0, 0], auth: "none".into(), rail: None }.encode();
    let (error, text) = error_of(&peer(framed(Body::Accepted(data))).await).await;
    assert!(matches!(error, ConnectError::Handshake { .. }));
    assert!(text.contains("5.0.0.0") && text.contains("4.2"), "{text}");
}

#[tokio::test]
async fn the_reason_of_a_daemon_that_refuses_is_told() {
    let reason = Body::Rejected(Bytes::from_static(b"Auth mismatch\0"));
    let (_, text) = error_of(&peer(framed(reason)).await).await;
    assert!(text.ends_with("Auth mismatch"), "{text}");
}

#[tokio::test]
async fn a_peer_that_is_no_ldmsd_or_says_nothing_is_given_up() {
    let (error, text) = error_of(&peer(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()).await).await;
    assert!(matches!(error, ConnectError::Handshake { .. }), "{text}");
    let (error, text) = error_of(&peer(vec![]).await).await;
    assert!(matches!(error, ConnectError::TimedOut { .. }), "{text}");
    assert!(text.ends_with("no connection within 0.5 s"), "{text}");
    // A frame that announces a gigabyte.
    let mut huge = framed(Body::Accepted(Bytes::new()));
    huge[4..8].copy_from_slice(&0x4000_0000_u32.to_be_bytes());
    let (_, text) = error_of(&peer(huge).await).await;
    assert!(text.contains("1048576"), "{text}");
}

#[tokio::test]
async fn a_name_without_an_address_is_told_apart_from_a_silent_host() {
    let endpoint = Endpoint::sock("no-such-host.invalid", 411);
    let options = Options::default();
    let error = Client::connect(&endpoint, &options).await.unwrap_err();
    assert!(matches!(error, ConnectError::Resolve { .. } | ConnectError::TimedOut { .. }), "{error}");
}
