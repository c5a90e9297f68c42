//! Our agents and clients beside those of Python, on the real crossbar.

#![allow(clippy::unwrap_used, reason = "a test ends at the first thing that is wrong")]

mod common;

use std::time::Duration;

use campanile_ocs::agent::AgentConfig;
use campanile_ocs::client::{Endpoint, OcsClient, OcsError};
use campanile_ocs::control_socket::ControlSocket;
use campanile_testkit::{Crossbar, Peers, TempSite};
use common::interview::{Record, interview};
use serde_json::{Value as Json, json};

const TIMEOUT: Duration = Duration::from_secs(60);
const HOST: &str = "host-1";

fn site(port: u16) -> TempSite {
    let faker = |id| TempSite::instance("FakeDataAgent", id, &json!({"arguments": ["--mode", "idle"]}));
    TempSite::new(port, &json!({HOST: {"agent-instances": [faker("faker1"), faker("rusty")]}}))
}

fn assert_same(theirs: &Record, ours: &Record) {
    assert_eq!(theirs.len(), ours.len());
    for ((question, theirs), (_, ours)) in theirs.iter().zip(ours) {
        let mut expected = theirs.clone();
        if let Some(Json::String(text)) = expected.get_mut(1) {
            *text = match question.as_str() {
                r#"["stop","delay_task"]"# => text.replace("{op_type}", "task"),
                r#"["abort","acq"]"# => text.replace("{op_type}", "process"),
                r#"["dance","acq"]"# => text.replace("acq", "dance"),
                _ if text.starts_with("Requested ") => text
                    .replace("task delay", "task \"delay")
                    .replace("process acq", "process \"acq")
                    .replace("process count", "process \"count"),
                _ => text.clone(),
            };
        }
        assert_eq!(&expected, ours, "{question}");
    }
}

async fn until_there(client: &OcsClient, address: &str) {
    let deadline = tokio::time::Instant::now() + TIMEOUT;
    while let Err(error) = client.api(address).await {
        assert!(matches!(error, OcsError::NoSuchAgent { .. }), "{error}");
        assert!(tokio::time::Instant::now() < deadline, "{address} never came");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rust_agent_answers_as_a_python_agent_does() {
    let (Some(peers), Some(crossbar)) = (Peers::require(), Crossbar::start(Default::default())) else {
        return;
    };
    let site = site(crossbar.port());
    let _faker = peers.agent(&site, HOST, "faker1");
    let python = OcsClient::connect(Endpoint::Http(site.http_url()), TIMEOUT).await.unwrap();
    until_there(&python, "observatory.faker1").await;
    let theirs = interview(&python, "observatory.faker1").await;

    let agent = common::faker(AgentConfig::new("observatory", "rusty", "FakeDataAgent")).spawn();
    let path = site.dir().join("control.sock");
    let _socket = ControlSocket::serve(&path, agent).await.unwrap();
    let rust = OcsClient::connect(Endpoint::Unix(path), TIMEOUT).await.unwrap();
    assert_same(&theirs, &interview(&rust, "observatory.rusty").await);
}
