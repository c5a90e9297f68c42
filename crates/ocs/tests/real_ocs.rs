//! Our agents and clients beside those of Python, on the real crossbar.

#![allow(clippy::unwrap_used, reason = "a test ends at the first thing that is wrong")]

mod common;

use std::sync::Arc;
use std::time::{Duration, Instant};

use campanile_ocs::agent::{Agent, AgentConfig, BusState};
use campanile_ocs::client::{Action, Endpoint, OcsClient, OcsError};
use campanile_ocs::codes::OpStatus;
use campanile_ocs::control_socket::ControlSocket;
use campanile_testkit::{Crossbar, Peers, TempSite};
use campanile_wamp::Match;
use campanile_wamp::net::client::{ClientOptions, Event};
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

/// The agent on the bus of the site, with our names registered.
async fn rust_agent(site: &TempSite, instance_id: &str) -> Agent {
    let mut config = AgentConfig::new(site.address_root(), instance_id, "FakeDataAgent");
    config.wamp = Some(ClientOptions::new(site.ws_url(), site.realm()));
    let agent = common::faker(config).spawn();
    let mut bus = agent.bus_state();
    let up = bus.wait_for(|state| *state == BusState::Up);
    tokio::time::timeout(TIMEOUT, up).await.unwrap().unwrap();
    agent
}

async fn connect(endpoint: Endpoint) -> OcsClient {
    OcsClient::connect(endpoint, TIMEOUT).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rust_agent_answers_as_a_python_agent_does_over_every_way() {
    let (Some(peers), Some(crossbar)) = (Peers::require(), Crossbar::start(Default::default())) else {
        return;
    };
    let site = site(crossbar.port());
    let _faker = peers.agent(&site, HOST, "faker1");
    let http = connect(Endpoint::Http(site.http_url())).await;
    let ws = connect(Endpoint::Ws(site.ws_url(), site.realm().to_owned())).await;
    until_there(&http, "observatory.faker1").await;
    let theirs = interview(&http, "observatory.faker1").await;

    // An agent of its own for each way, since it remembers what it was asked to do.
    let _one = rust_agent(&site, "rusty1").await;
    assert_same(&theirs, &interview(&http, "observatory.rusty1").await);
    let _two = rust_agent(&site, "rusty2").await;
    assert_same(&theirs, &interview(&ws, "observatory.rusty2").await);
    let path = site.dir().join("control.sock");
    let _socket = ControlSocket::serve(&path, rust_agent(&site, "rusty3").await).await.unwrap();
    let unix = connect(Endpoint::Unix(path)).await;
    assert_same(&theirs, &interview(&unix, "observatory.rusty3").await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn feeds_of_a_rust_agent_have_the_form_of_those_of_a_python_agent() {
    let (Some(peers), Some(crossbar)) = (Peers::require(), Crossbar::start(Default::default())) else {
        return;
    };
    let site = site(crossbar.port());
    let _faker = peers.agent(&site, HOST, "faker1");
    let _agent = rust_agent(&site, "rusty").await;
    let client = connect(Endpoint::Ws(site.ws_url(), site.realm().to_owned())).await;
    until_there(&client, "observatory.faker1").await;

    for feed in ["heartbeat", "false_temperatures"] {
        let mut forms = Vec::new();
        for id in ["faker1", "rusty"] {
            let address = format!("observatory.{id}");
            client.op(&address, Action::Start, "acq", json!({}), None).await.unwrap();
            let (sender, mut events) = tokio::sync::mpsc::unbounded_channel();
            let subscription = client.bus().unwrap().subscribe(
                &format!("observatory.{id}.feeds.{feed}"),
                Match::Exact,
                Arc::new(move |event: Event| {
                    let _ = sender.send(event);
                }),
            );
            let event = tokio::time::timeout(TIMEOUT, events.recv()).await.unwrap().unwrap();
            subscription.unsubscribe();
            assert_eq!((event.args.len(), event.kwargs.len()), (1, 0));
            forms.push(form(&event.args[0].to_json(), id));
        }
        assert_eq!(forms[0], forms[1]);
    }
}

/// What an event looks like, without its measurements: numbers are all alike, lists of them have one element, and the
/// channels and tags are those of the first.
fn form(event: &Json, id: &str) -> Json {
    match event {
        Json::Number(_) => json!("a number"),
        Json::Array(items) if items.iter().all(Json::is_number) => json!(["numbers"]),
        Json::Array(items) => items.iter().map(|item| form(item, id)).collect(),
        Json::Object(entries) => {
            let kept = entries.iter().filter(|(key, _)| *key != "channel_01" && *key != "influxdb_tags");
            kept.map(|(key, entry)| {
                let entry = if key == "session_id" { json!("a text") } else { form(entry, id) };
                (key.clone(), entry)
            })
            .collect()
        }
        Json::String(text) => json!(text.replace(id, "AGENT")),
        other => other.clone(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn python_clients_drive_a_rust_agent() {
    let (Some(peers), Some(crossbar)) = (Peers::require(), Crossbar::start(Default::default())) else {
        return;
    };
    let site = site(crossbar.port());
    let _agent = rust_agent(&site, "rusty").await;
    let script = r#"
import json, sys
from ocs.ocs_client import OCSClient
client = OCSClient("rusty", args=sys.argv[1:])
said = []
def say(reply):
    print(reply)
    said.append([reply.status, reply.msg, reply.session.get("status"), reply.session.get("success")])
say(client.delay_task(delay=0.1))
say(client.delay_task.start(delay="long"))
say(client.delay_task.start(delay=60))
say(client.delay_task.wait(timeout=0.1))
say(client.delay_task.abort())
say(client.delay_task.wait())
say(client.acq.start(test_mode=False))
say(client.acq.wait(timeout=0.5))
say(client.acq())
say(client.acq.stop())
say(client.acq.wait())
print("\n" + json.dumps(said))
"#;
    let [file, path, host, name] = site.args(HOST);
    let output = tokio::task::spawn_blocking({
        let peers = peers.clone();
        move || peers.run_script(script, &[&file, &path, &host, &name])
    });
    let output = output.await.unwrap();
    assert_eq!(output.code(), 0, "{}", output.stderr);
    let said: Json = serde_json::from_str(output.stdout.lines().last().unwrap()).unwrap();
    assert_eq!(
        said,
        json!([
            [0, "Operation \"delay_task\" is currently not running (SUCCEEDED).", "done", true],
            [-1, "Param 'delay'=long is not of required type (<class 'float'>)", null, null],
            [0, "Started task \"delay_task\".", "starting", null],
            [1, "Operation \"delay_task\" still running; wait timed out.", "running", null],
            [0, "Requested abort on task \"delay_task\".", "stopping", null],
            [0, "Operation \"delay_task\" is currently not running (FAILED).", "done", false],
            [0, "Started process \"acq\".", "starting", null],
            [1, "Operation \"acq\" still running; wait timed out.", "running", null],
            [0, "Session active.", "running", null],
            [0, "Requested stop on process \"acq\".", "stopping", null],
            [0, "Operation \"acq\" is currently not running (SUCCEEDED).", "done", true],
        ])
    );

    let scan = tokio::task::spawn_blocking(move || peers.client_cli(&site, HOST, &["scan", "--details"]));
    let scan = scan.await.unwrap();
    assert_eq!(scan.code(), 0, "{}", scan.stderr);
    let rows: Vec<String> =
        scan.stdout.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    let from = rows.iter().position(|row| row == "rusty").unwrap_or_else(|| panic!("{}", scan.stdout));
    assert_eq!(
        rows[from..from + 5],
        ["rusty", "acq : SUCCEEDED", "count : NONE", "set_heartbeat : NONE", "delay_task : FAILED"]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_goes_on_while_the_router_is_away_and_is_reached_again_afterwards() {
    let Some(mut crossbar) = Crossbar::start(Default::default()) else { return };
    let site = site(crossbar.port());
    let agent = rust_agent(&site, "rusty").await;
    assert_eq!(agent.start("count", &json!({}))[0], 0);
    let mut bus = agent.bus_state();
    crossbar.kill9();
    let away = bus.wait_for(|state| matches!(state, BusState::Connecting { .. }));
    tokio::time::timeout(TIMEOUT, away).await.unwrap().unwrap();
    let counted = |agent: &Agent| agent.status("count")[2]["data"]["counter"].as_i64();
    let before = counted(&agent);
    let crossbar = tokio::task::spawn_blocking(move || {
        crossbar.restart();
        crossbar
    });
    let _crossbar = crossbar.await.unwrap();
    tokio::time::timeout(TIMEOUT, bus.wait_for(|state| *state == BusState::Up)).await.unwrap().unwrap();
    assert!(counted(&agent) > before, "the operation ran on");

    let client = connect(Endpoint::Http(site.http_url())).await;
    let reply = client.op("observatory.rusty", Action::Status, "count", json!(null), None).await.unwrap();
    let session = reply.session.unwrap();
    assert_eq!((session.session_id, session.status), (0, OpStatus::Running));
    agent.shutdown(Duration::from_secs(5)).await;
    let gone = client.api("observatory.rusty").await.unwrap_err();
    assert!(matches!(gone, OcsError::NoSuchAgent { .. }), "{gone}");
}

#[tokio::test]
async fn the_client_tells_the_ways_to_fail_apart() {
    let (Some(peers), Some(crossbar)) = (Peers::require(), Crossbar::start(Default::default())) else {
        return;
    };
    let site = site(crossbar.port());
    let mut faker = peers.agent(&site, HOST, "faker1");
    let endpoints = [Endpoint::Http(site.http_url()), Endpoint::Ws(site.ws_url(), site.realm().to_owned())];
    for endpoint in endpoints {
        let client = connect(endpoint).await;
        until_there(&client, "observatory.faker1").await;
        assert_eq!(client.router_check("observatory").await, Ok(()));
        let error = client.router_check("elsewhere").await.unwrap_err();
        assert!(matches!(error, OcsError::NotAuthorized(_)), "{error}");

        client
            .op("observatory.faker1", Action::Start, "delay_task", json!({"delay": 60}), None)
            .await
            .unwrap();
        let wait = client.op("observatory.faker1", Action::Wait, "delay_task", json!(null), None);
        tokio::pin!(wait);
        for _ in 0..3 {
            // The wait is sent first, so it is under way when the agent answers what was sent later.
            tokio::select! {
                biased;
                reply = &mut wait => panic!("{reply:?}"),
                api = client.api("observatory.faker1") => api.unwrap(),
            };
        }
        faker.kill9();
        let error = wait.await.unwrap_err();
        assert!(matches!(error, OcsError::CalleeLost { .. }), "{error}");
        let error = client.api("observatory.faker1").await.unwrap_err();
        assert!(matches!(error, OcsError::NoSuchAgent { .. }), "{error}");
        faker.restart();
    }
    drop(crossbar);
    let short = Duration::from_secs(2);
    for endpoint in [Endpoint::Http(site.http_url()), Endpoint::Ws(site.ws_url(), site.realm().to_owned())] {
        // The process that listens for crossbar outlives the one that was killed by a moment.
        let deadline = Instant::now() + TIMEOUT;
        let error = loop {
            match OcsClient::connect(endpoint.clone(), short).await {
                Err(error) => break error,
                Ok(_) => assert!(Instant::now() < deadline, "somebody still listens"),
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        };
        assert!(matches!(error, OcsError::RouterUnreachable { .. }), "{error}");
    }
}
