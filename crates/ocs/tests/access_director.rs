//! How an agent gets its rules from an access director, be it late, lost or silent; on our own router.

#![allow(clippy::unwrap_used, reason = "a test ends at the first thing that is wrong")]

use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use campanile_control::clock::Clock;
use campanile_control::worker::Workers;
use campanile_ocs::agent::{
    Agent, AgentBuilder, AgentConfig, BusState, FeedSpec, OpContext, Policy, TaskSpec,
};
use campanile_wamp::net::client::ClientOptions;
use campanile_wamp::net::server::{Router, RouterConfig};
use campanile_wamp::{Dict, Value};
use serde_json::{Value as Json, json};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

const TIMEOUT: Duration = Duration::from_secs(60);

struct Bus {
    port: u16,
    stop: oneshot::Sender<()>,
    served: JoinHandle<()>,
}

impl Bus {
    async fn start(port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let router = Router::new(RouterConfig::for_ocs("test_realm", "observatory"));
        let (stop, stopped) = oneshot::channel();
        let served = tokio::spawn(async move {
            let stopped = async {
                let _ = stopped.await;
            };
            router.serve(listener, stopped).await.unwrap();
        });
        Self { port, stop, served }
    }

    /// Ends it, and gives the port for the next one.
    async fn end(self) -> u16 {
        self.stop.send(()).unwrap();
        tokio::time::timeout(TIMEOUT, self.served).await.unwrap().unwrap();
        self.port
    }

    fn config(&self, instance_id: &str, class: &str) -> AgentConfig {
        let mut config = AgentConfig::new("observatory", instance_id, class);
        config.wamp = Some(ClientOptions::new(format!("ws://127.0.0.1:{}/ws", self.port), "test_realm"));
        config
    }
}

/// Who has asked, and the step that rules are sent with; none are sent while it is 0.
#[derive(Default)]
struct Desk {
    asked: Mutex<Vec<Json>>,
    step: Mutex<i64>,
}

fn director(bus: &Bus, desk: &Arc<Desk>) -> Agent {
    let own: Arc<OnceLock<Agent>> = Arc::default();
    let (desk, publisher) = (Arc::clone(desk), Arc::clone(&own));
    let agent = AgentBuilder::new(bus.config("access-dir", "AccessDirector"))
        .feed(FeedSpec::plain("controls"))
        .procedure(".agent_poll", move |args, kwargs| {
            let (desk, publisher) = (Arc::clone(&desk), Arc::clone(&publisher));
            async move {
                desk.asked
                    .lock()
                    .unwrap()
                    .push(json!([Value::List(args).to_json(), Value::Dict(kwargs).to_json()]));
                let step = *desk.step.lock().unwrap();
                if let Some(agent) = publisher.get().filter(|_| step > 0) {
                    let rule = json!({"hashed_pass": {"hash": "none", "value": "pw"}, "cred_level": 1,
                        "scope_spec": {"default": false, "agent_class": "Camera", "instance_id": null},
                        "lockout_id": null, "lockout_owner": null, "lockout_levels": []});
                    let message = json!({"target": "cam1", "ac_version": 1, "step": step, "rules": [rule]});
                    // A router that is just lost takes the answer with it.
                    let _ = agent.publish("controls", Value::from(message));
                }
                Ok(Value::Bool(true))
            }
        })
        .spawn();
    let _ = own.set(agent.clone());
    agent
}

fn camera(bus: &Bus, workers: &Workers) -> Agent {
    let mut config = bus.config("cam1", "Camera");
    config.policy = Policy::parse(Some("director:access-dir")).unwrap();
    config.workers = Some(workers.clone());
    let expose = |_: OpContext, _: Json| async { Ok("Done.".to_owned()) };
    AgentBuilder::new(config).task(TaskSpec::new("expose"), expose).spawn()
}

async fn until_up(agent: &Agent) {
    let mut bus = agent.bus_state();
    tokio::time::timeout(TIMEOUT, bus.wait_for(|state| *state == BusState::Up)).await.unwrap().unwrap();
}

fn access(agent: &Agent) -> Json {
    let api = agent.dispatch_mgmt(vec!["get_api".into()], Dict::new()).unwrap();
    api.to_json()["access_control"].clone()
}

async fn until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = tokio::time::Instant::now() + TIMEOUT;
    while !is_so() {
        assert!(tokio::time::Instant::now() < deadline, "{what} never came");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn may_expose(agent: &Agent, password: &str) -> bool {
    let args = vec!["start".into(), "expose".into(), Value::Null, Value::Null, password.into()];
    let reply = agent.dispatch_ops(args, Dict::new()).await.unwrap().to_json();
    let wait = agent.dispatch_ops(vec!["wait".into(), "expose".into()], Dict::new()).await;
    assert!(wait.is_ok());
    reply[0] == 0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_director_that_comes_late_or_says_nothing_is_asked_until_it_sends_rules() {
    let bus = Bus::start(0).await;
    let workers = Workers::new(Clock::system());
    let agent = camera(&bus, &workers);
    let worker = || workers.snapshot().into_iter().find(|worker| worker.name == "access director").unwrap();
    until("the first failure", || worker().last_error.is_some()).await;
    assert!(!may_expose(&agent, "pw").await);

    let desk = Arc::<Desk>::default();
    let _director = director(&bus, &desk);
    until("the first question", || !desk.asked.lock().unwrap().is_empty()).await;
    assert_eq!(desk.asked.lock().unwrap()[0], json!([[], {"instance_id": "cam1", "agent_class": "Camera"}]));
    assert!(!may_expose(&agent, "pw").await);

    *desk.step.lock().unwrap() = 4;
    until("the rules", || access(&agent)["step"] == 4).await;
    assert!(may_expose(&agent, "pw").await && !may_expose(&agent, "wrong").await);
    assert_eq!(access(&agent)["update_count"], 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rules_outlive_the_router_and_are_asked_for_again_when_it_is_back() {
    let bus = Bus::start(0).await;
    let desk = Arc::<Desk>::default();
    *desk.step.lock().unwrap() = 1;
    let director = director(&bus, &desk);
    until_up(&director).await;
    let agent = camera(&bus, &Workers::new(Clock::system()));
    until("the rules", || access(&agent)["step"] == 1).await;

    let port = bus.end().await;
    let mut state = agent.bus_state();
    let away = state.wait_for(|state| matches!(state, BusState::Connecting { .. }));
    tokio::time::timeout(TIMEOUT, away).await.unwrap().unwrap();
    assert!(may_expose(&agent, "pw").await);
    *desk.step.lock().unwrap() = 2;
    let _bus = Bus::start(port).await;
    until("the rules of the new session", || access(&agent)["step"] == 2).await;
    assert!(desk.asked.lock().unwrap().len() >= 2);
    assert!(may_expose(&agent, "pw").await && !may_expose(&agent, "wrong").await);
    agent.shutdown(Duration::from_secs(5)).await;
}
