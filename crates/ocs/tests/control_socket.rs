//! The control socket, asked by our own client and by raw bytes.

#![allow(clippy::unwrap_used, reason = "a test ends at the first thing that is wrong")]

mod common;

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use campanile_ocs::agent::{Agent, AgentConfig};
use campanile_ocs::client::{Action, Endpoint, OcsClient, OcsError};
use campanile_ocs::control_socket::{ControlSocket, ControlSocketError};
use campanile_wamp::Dict;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

const TIMEOUT: Duration = Duration::from_secs(10);

fn agent() -> Agent {
    common::faker(AgentConfig::new("observatory", "faker1", "FakeDataAgent")).spawn()
}

async fn client(path: &Path) -> OcsClient {
    OcsClient::connect(Endpoint::Unix(path.to_owned()), TIMEOUT).await.unwrap()
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn operations_are_served_as_on_the_bus_and_to_nobody_else() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state").join("control.sock");
    let socket = ControlSocket::serve(&path, agent()).await.unwrap();
    assert_eq!(socket.path(), path);
    assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));

    let client = client(&path).await;
    let api = client.api("observatory.faker1").await.unwrap();
    assert_eq!(api.agent_class.as_deref(), Some("FakeDataAgent"));
    let reply = client.run("observatory.faker1", "delay_task", json!({"delay": 0.01}), None).await.unwrap();
    assert_eq!(reply.session.unwrap().success, Some(true));
    let error = client.api("observatory.faker2").await.unwrap_err();
    assert_eq!(error, OcsError::NoSuchAgent { procedure: "observatory.faker2".into() });
    let error = client.call("observatory.faker1.ops", Vec::new(), Dict::new()).await.unwrap_err();
    assert!(matches!(error, OcsError::Remote { .. }), "{error}");
}

#[tokio::test]
async fn calls_run_side_by_side() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("control.sock");
    let _socket = ControlSocket::serve(&path, agent()).await.unwrap();
    let client = client(&path).await;
    client.op("observatory.faker1", Action::Start, "count", json!({}), None).await.unwrap();
    let waits = (0..20).map(|_| {
        let client = client.clone();
        tokio::spawn(async move {
            client.op("observatory.faker1", Action::Wait, "count", json!(null), None).await
        })
    });
    let waits: Vec<_> = waits.collect();
    client.op("observatory.faker1", Action::Stop, "count", json!(null), None).await.unwrap();
    for wait in waits {
        assert!(wait.await.unwrap().unwrap().is_ok());
    }
}

#[tokio::test]
async fn a_call_that_takes_too_long_is_given_up() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("control.sock");
    let _socket = ControlSocket::serve(&path, agent()).await.unwrap();
    let client = client(&path).await;
    client.op("observatory.faker1", Action::Start, "count", json!({}), None).await.unwrap();
    let wait = vec!["wait".into(), "count".into()];
    let short = Some(Duration::from_millis(20));
    let error = client.call_within("observatory.faker1.ops", wait, Dict::new(), short).await.unwrap_err();
    assert!(matches!(error, OcsError::TimedOut { .. }), "{error}");
    assert!(client.api("observatory.faker1").await.is_ok(), "the client goes on");
}

#[tokio::test]
async fn a_socket_that_a_dead_process_left_is_replaced_and_a_living_one_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("control.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let first = ControlSocket::serve(&path, agent()).await.unwrap();
    let second = ControlSocket::serve(&path, agent()).await;
    assert!(matches!(second, Err(ControlSocketError::InUse(_))), "{second:?}");
    assert!(client(&path).await.api("observatory.faker1").await.is_ok());
    drop(first);
    assert!(!path.exists());

    std::fs::write(&path, "precious").unwrap();
    let third = ControlSocket::serve(&path, agent()).await;
    assert!(matches!(third, Err(ControlSocketError::NotASocket(_))), "{third:?}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "precious");
}

#[tokio::test]
async fn without_a_daemon_the_client_says_so_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("control.sock");
    let error = OcsClient::connect(Endpoint::Unix(path), TIMEOUT).await.err().unwrap();
    assert!(matches!(error, OcsError::RouterUnreachable { .. }), "{error}");
}

async fn raw(path: &Path, request: &str) -> String {
    let mut stream = UnixStream::connect(path).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = vec![0; 4096];
    let length = tokio::time::timeout(TIMEOUT, stream.read(&mut answer)).await.unwrap().unwrap();
    String::from_utf8_lossy(&answer[..length]).into_owned()
}

#[tokio::test]
async fn what_is_no_call_is_refused_in_words() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("control.sock");
    let _socket = ControlSocket::serve(&path, agent()).await.unwrap();
    let post = |body: &str| {
        format!("POST /call HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{body}", body.len())
    };
    for (request, status) in [
        (post("{"), "400 Bad Request"),
        (post("{\"args\": []}"), "400 Bad Request"),
        ("GET /call HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), "405 Method Not Allowed"),
        ("GET /etc HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), "404 Not Found"),
        (
            "POST /call HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999\r\n\r\n".to_owned(),
            "413 Payload Too Large",
        ),
        (post("{\"procedure\": \"observatory.faker1\", \"args\": [\"get_agent_class\"]}"), "200 OK"),
    ] {
        let answer = raw(&path, &request).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{request}\n{answer}");
    }
}
