//! Access control at work: an original access director with a Rust and a Python agent as its subjects, and the
//! original's client with its passwords, on the real crossbar.

#![allow(clippy::unwrap_used, reason = "a test ends at the first thing that is wrong")]

use std::time::Duration;

use campanile_ocs::agent::{
    Agent, AgentBuilder, AgentConfig, BusState, CredLevel, OpContext, ParamSpec, Policy, TaskSpec,
};
use campanile_ocs::client::{Action, Endpoint, OcsClient, OpReply, Passwords};
use campanile_ocs::codes::ReplyCode;
use campanile_testkit::{Crossbar, Daemon, Peers, TempSite};
use campanile_wamp::net::client::ClientOptions;
use campanile_wamp::{Dict, Value};
use serde_json::{Value as Json, json};

const TIMEOUT: Duration = Duration::from_secs(60);
const HOST: &str = "host-1";
const DIRECTOR_CONFIG: &str = r#"
distrib_hashfunc: md5
passwords:
- default: true
  password_1: ""
  password_3: "three"
- agent_class: "FakeDataAgent,!Other*"
  instance_id: "rusty,faker1"
  password_2: "two"
exclusive_access_blocks:
- name: cam
  password: "may-lock"
  grants:
  - instance_id: "rusty,faker?"
    cred_level: 2
    lockout_levels: [1, 2]
"#;

/// A site with a director, and a Python agent that obeys it.
fn site(port: u16) -> TempSite {
    let director = TempSite::instance(
        "AccessDirector",
        "access-dir",
        &json!({"arguments": ["--config-file", "access.yaml"]}),
    );
    let arguments = json!({"arguments": ["--mode", "idle", "--access-policy", "director:access-dir"]});
    let faker = TempSite::instance("FakeDataAgent", "faker1", &arguments);
    let site = TempSite::new(port, &json!({HOST: {"agent-instances": [director, faker]}}));
    std::fs::write(site.dir().join("access.yaml"), DIRECTOR_CONFIG).unwrap();
    site
}

async fn rust_agent(site: &TempSite, policy: &str) -> Agent {
    let mut config = AgentConfig::new(site.address_root(), "rusty", "FakeDataAgent");
    config.wamp = Some(ClientOptions::new(site.ws_url(), site.realm()));
    config.policy = Policy::parse(Some(policy)).unwrap();
    let quick = |_: OpContext, _: Json| async { Ok("Done.".to_owned()) };
    let agent = AgentBuilder::new(config)
        .task(TaskSpec::new("set_heartbeat").params(ParamSpec::unchecked()), quick)
        .task(
            TaskSpec::new("delay_task").params(ParamSpec::unchecked()).min_privs(CredLevel::Advanced),
            quick,
        )
        .task(TaskSpec::new("reset").min_privs(CredLevel::Full), quick)
        .task(TaskSpec::new("begin").min_privs(CredLevel::Full).startup(json!({})), quick)
        .spawn();
    let mut bus = agent.bus_state();
    let up = bus.wait_for(|state| *state == BusState::Up);
    tokio::time::timeout(TIMEOUT, up).await.unwrap().unwrap();
    agent
}

async fn connect(site: &TempSite) -> OcsClient {
    OcsClient::connect(Endpoint::Http(site.http_url()), TIMEOUT).await.unwrap()
}

fn with(client: &OcsClient, password: &str) -> OcsClient {
    client.clone().with_password(Some(password.to_owned()))
}

async fn start(client: &OcsClient, id: &str, op: &str) -> OpReply {
    let address = format!("observatory.{id}");
    let params = if op == "delay_task" { json!({"delay": 0.0}) } else { json!({}) };
    let reply = client.op(&address, Action::Start, op, params, None).await.unwrap();
    if reply.is_ok() {
        client.op(&address, Action::Wait, op, json!(null), Some(TIMEOUT)).await.unwrap();
    }
    reply
}

/// Code, text, and the level that the session has.
fn gist(reply: &OpReply) -> (ReplyCode, String) {
    (reply.code, reply.message.clone())
}

async fn access_control(client: &OcsClient, id: &str) -> Json {
    let api = client.api(&format!("observatory.{id}")).await;
    api.ok().and_then(|api| api.access_control).unwrap_or_default()
}

async fn until_access(client: &OcsClient, id: &str, what: &str, is_so: impl Fn(&Json) -> bool) -> Json {
    let deadline = tokio::time::Instant::now() + TIMEOUT;
    loop {
        let access = access_control(client, id).await;
        if is_so(&access) {
            return access;
        }
        assert!(tokio::time::Instant::now() < deadline, "{id}: {what} never came: {access}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn grant(client: &OcsClient, action: &str) -> Json {
    let kwargs: Dict = [
        ("grant_name", Value::from("cam")),
        ("password", "may-lock".into()),
        ("action", action.into()),
        ("grantee", "o'neil".into()),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value))
    .collect();
    let reply = client.call("observatory.access-dir.request_exclusive", Vec::new(), kwargs).await;
    let reply = reply.unwrap().to_json();
    assert_eq!(reply.get("error"), None, "{reply}");
    reply
}

fn step(access: &Json) -> i64 {
    access["step"].as_i64().unwrap_or(-1)
}

const NOT_BASIC: &str =
    "The action requires credential level 1-BASIC but the client has only level 0-BLOCKED";
const NOT_ADVANCED: &str =
    "The action requires credential level 2-ADVANCED but the client has only level 1-BASIC";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_obeys_the_access_director_of_ocs_as_a_python_agent_does() {
    let (Some(peers), Some(mut crossbar)) = (Peers::require(), Crossbar::start(Default::default())) else {
        return;
    };
    let site = site(crossbar.port());
    let agent = rust_agent(&site, "director:access-dir").await;
    let client = connect(&site).await;

    // Blocked until rules arrive; the agent's own operations run all the same.
    assert_eq!(start(&client, "rusty", "set_heartbeat").await.message, NOT_BASIC);
    assert_eq!(start(&with(&client, "three"), "rusty", "set_heartbeat").await.message, NOT_BASIC);
    let begun = client.op("observatory.rusty", Action::Wait, "begin", json!(null), Some(TIMEOUT)).await;
    assert_eq!(begun.unwrap().session.unwrap().success, Some(true));
    assert_eq!(agent.status("begin")[2]["cred_level"], 4);
    let access = access_control(&client, "rusty").await;
    assert_eq!(
        (&access["policy"], &access["update_count"], &access["step"]),
        (&json!("director"), &json!(0), &json!(0))
    );

    let mut director: Daemon = peers.agent(&site, HOST, "access-dir");
    let _faker: Daemon = peers.agent(&site, HOST, "faker1");
    for id in ["rusty", "faker1"] {
        until_access(&client, id, "the first rules", |access| access["update_count"].as_i64() > Some(0))
            .await;
        for password in ["", "wrong", "two", "three"] {
            let reply = start(&with(&client, password), id, "set_heartbeat").await;
            assert_eq!(gist(&reply), (ReplyCode::Ok, "Started task \"set_heartbeat\".".into()), "{id}");
        }
    }
    assert_eq!(start(&with(&client, "wrong"), "rusty", "delay_task").await.message, NOT_ADVANCED);
    assert!(start(&with(&client, "two"), "rusty", "delay_task").await.is_ok());
    assert_eq!(agent.status("delay_task")[2]["cred_level"], 2);
    assert!(!start(&with(&client, "two"), "rusty", "reset").await.is_ok());
    assert!(start(&with(&client, "three"), "rusty", "reset").await.is_ok());

    // An exclusive grant: its holder alone.
    let granted = grant(&client, "acquire").await;
    let holder = with(&client, granted["password"].as_str().unwrap());
    let mut told = Vec::new();
    for id in ["rusty", "faker1"] {
        until_access(&client, id, "the lockout", |access| step(access) >= granted["step"].as_i64().unwrap())
            .await;
        let mut replies = Vec::new();
        for op in ["set_heartbeat", "delay_task"] {
            for password in ["", "wrong", "two", "three"] {
                replies.push(gist(&start(&with(&client, password), id, op).await));
            }
            replies.push(gist(&start(&holder, id, op).await));
        }
        told.push(replies);
    }
    assert_eq!(told[0], told[1], "the Rust agent answers as the Python agent");
    let why = "Privileges diminished; lockouts active: [\"cam[o'neil]\"]";
    let locked = (ReplyCode::Error, format!("{NOT_BASIC} {why}"));
    assert_eq!(told[0][..3], [locked.clone(), locked.clone(), locked]);
    assert!(told[0][3..5].iter().all(|(code, _)| *code == ReplyCode::Ok), "level 3 is not locked: {told:?}");
    assert!(start(&holder, "rusty", "delay_task").await.is_ok());

    // Released: as before.
    let released = grant(&client, "release").await;
    for id in ["rusty", "faker1"] {
        until_access(&client, id, "the release", |access| step(access) >= released["step"].as_i64().unwrap())
            .await;
        assert!(start(&client, id, "set_heartbeat").await.is_ok());
    }

    // The rules outlive the router. The original's director serves nothing after it has lost its router, so it has to
    // be started anew.
    let before = agent.dispatch_mgmt(vec!["get_api".into()], Dict::new()).unwrap().to_json();
    let count = before["access_control"]["update_count"].as_i64().unwrap();
    crossbar.kill9();
    let mut bus = agent.bus_state();
    let away = bus.wait_for(|state| matches!(state, BusState::Connecting { .. }));
    tokio::time::timeout(TIMEOUT, away).await.unwrap().unwrap();
    let args = json!(["start", "delay_task", {}, null, "two"]);
    let Value::List(args) = Value::from(args) else { panic!("a list") };
    assert_eq!(agent.dispatch_ops(args, Dict::new()).await.unwrap().to_json()[0], 0);
    let _running = tokio::task::spawn_blocking(move || {
        crossbar.restart();
        director.kill9();
        director.restart();
        (crossbar, director)
    })
    .await
    .unwrap();
    until_access(&client, "rusty", "the rules after the reconnect", |access| {
        access["update_count"].as_i64() > Some(count)
    })
    .await;
    assert!(start(&with(&client, "two"), "rusty", "delay_task").await.is_ok());
    agent.shutdown(Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_of_both_kinds_use_their_passwords_at_an_agent_with_an_override() {
    let (Some(peers), Some(crossbar)) = (Peers::require(), Crossbar::start(Default::default())) else {
        return;
    };
    let arguments = json!({"arguments": ["--mode", "idle", "--access-policy", "override:two,three"]});
    let faker = TempSite::instance("FakeDataAgent", "faker1", &arguments);
    let site = TempSite::new(crossbar.port(), &json!({HOST: {"agent-instances": [faker]}}));
    let agent = rust_agent(&site, "override:two,three").await;
    let file = site.dir().join("passwords.yaml");
    std::fs::write(&file, "- default: true\n  password_3: three\n- instance_id: rusty\n  password_2: two\n")
        .unwrap();

    let script = r#"
import json, os, sys
os.environ["OCS_PASSWORDS_FILE"] = sys.argv.pop(1)
from ocs.ocs_client import OCSClient
said = []
for privs in [None, 1, 2, 3, "two", "three", "wrong"]:
    client = OCSClient("rusty", privs=privs, args=sys.argv[1:])
    row = []
    for op in [client.set_heartbeat, client.delay_task, client.reset]:
        reply = op()
        row.append(reply.session.get("cred_level") if reply.status == 0 else reply.msg)
        op.abort()
    said.append(row)
print("\n" + json.dumps(said))
"#;
    let [option, path, host, name] = site.args(HOST);
    let passwords_file = file.display().to_string();
    let output = tokio::task::spawn_blocking({
        let peers = peers.clone();
        move || peers.run_script(script, &[&passwords_file, &option, &path, &host, &name])
    });
    let output = output.await.unwrap();
    assert_eq!(output.code(), 0, "{}", output.stderr);
    let said: Json = serde_json::from_str(output.stdout.lines().last().unwrap()).unwrap();
    let refused = |level: &str, has: &str| {
        format!("The action requires credential level {level} but the client has only level {has}")
    };
    let one = json!([1, NOT_ADVANCED, refused("3-FULL", "1-BASIC")]);
    let two = json!([2, 2, refused("3-FULL", "2-ADVANCED")]);
    let three = json!([3, 3, 3]);
    assert_eq!(said, json!([one, one, two, three, two, three, one]));

    // Ours finds out by itself what each operation demands.
    let (passwords, _) = Passwords::load(&file);
    let client = connect(&site).await;
    let mine = client.clone().with_passwords(passwords.unwrap());
    for (op, level) in [("set_heartbeat", 2), ("delay_task", 2), ("reset", 3)] {
        assert!(start(&mine, "rusty", op).await.is_ok(), "{op}");
        assert_eq!(agent.status(op)[2]["cred_level"], level);
    }
    assert_eq!(start(&client, "rusty", "delay_task").await.message, NOT_ADVANCED);
    let access = access_control(&client, "rusty").await;
    assert_eq!((&access["version"], &access["policy"]), (&json!(1), &json!("override")));
    let _faker: Daemon = peers.agent(&site, HOST, "faker1");
    let theirs = until_access(&client, "faker1", "the agent", |access| !access.is_null()).await;
    let keys = |access: &Json| access.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(keys(&access), keys(&theirs));
    assert!(start(&mine, "faker1", "delay_task").await.is_ok());
    assert_eq!(start(&client, "faker1", "delay_task").await.message, NOT_ADVANCED);
}
