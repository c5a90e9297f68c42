//! A site in a thread: a router, and HostManagers that do what a test tells them.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends there")]
#![allow(dead_code, reason = "no test program uses all of it")]

use std::process::{Command, Output};
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use campanile_ocs::agent::{
    Agent, AgentBuilder, AgentConfig, CredLevel, ParamSpec, Policy, ProcessSpec, TaskSpec,
};
use campanile_testkit::{TempSite, free_port, wait_until};
use campanile_wamp::net::client::{Client, ClientOptions, RegisterOptions};
use campanile_wamp::net::server::{Router, RouterConfig};
use serde_json::{Value, json};
use tokio::sync::oneshot;

/// Long enough for a loaded machine.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// How a HostManager behaves.
#[derive(Clone)]
pub(crate) struct Script {
    pub(crate) id: &'static str,
    /// Does its `manager` process run from the start?
    pub(crate) awake: bool,
    /// Do the children go where they are wanted?
    pub(crate) obeys: bool,
    /// Does it never answer?
    pub(crate) hangs: bool,
    pub(crate) children: Vec<Value>,
    /// What it says of its site config file.
    pub(crate) site_config_problem: Option<&'static str>,
    /// The password without which its task `update` cannot be started.
    pub(crate) guarded_by: Option<&'static str>,
}

impl Script {
    pub(crate) fn new(id: &'static str, children: &[Value]) -> Self {
        Self {
            id,
            awake: true,
            obeys: true,
            hangs: false,
            children: children.to_vec(),
            site_config_problem: None,
            guarded_by: None,
        }
    }
}

/// A child as a HostManager reports it.
pub(crate) fn child(id: &str, class: &str, next_action: &str, target: &str) -> Value {
    json!({
        "instance_id": id, "agent_class": class, "next_action": next_action, "target_state": target,
        "stability": 1.0, "operable": next_action != "?", "restart_required": false,
    })
}

type Requests = Arc<Mutex<Vec<(String, Value)>>>;

/// The site. Router and HostManagers end with it.
pub(crate) struct Site {
    pub(crate) files: TempSite,
    requests: Requests,
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Site {
    /// A site with this `hosts:` section, whose HostManagers behave as told; one without a script does not run.
    pub(crate) fn start(hosts: &Value, scripts: &[Script]) -> Self {
        let files = TempSite::new(free_port(), hosts);
        let requests = Requests::default();
        let (end, ended) = oneshot::channel();
        let (ready, is_ready) = mpsc::channel();
        let thread = std::thread::spawn({
            let (port, requests, scripts) = (files.port(), Arc::clone(&requests), scripts.to_vec());
            let url = files.ws_url();
            move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(async {
                    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.unwrap();
                    let router = Router::new(RouterConfig::for_ocs("test_realm", "observatory"));
                    let serving = router.serve(listener, async { drop(ended.await) });
                    let managing = async {
                        let mut agents = Vec::new();
                        for script in scripts {
                            agents.push(manage(script, &url, &requests).await);
                        }
                        ready.send(()).unwrap();
                        std::future::pending::<()>().await;
                    };
                    tokio::select! {
                        result = serving => result.unwrap(),
                        () = managing => {}
                    }
                });
            }
        });
        is_ready.recv_timeout(SOON).unwrap();
        Self { files, requests, end: Some(end), thread: Some(thread) }
    }

    /// Runs `campanile` on this site.
    pub(crate) fn campanile(&self, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_campanile"));
        command.args(args).env("OCS_CONFIG_DIR", self.files.dir()).env_remove("CAMPANILE_LOG");
        command.env_remove("OCS_PASSWORDS_FILE").env("HOME", self.files.dir());
        command.output().unwrap()
    }

    /// Runs `campanile` and gives back exit code, stdout and stderr.
    pub(crate) fn run(&self, args: &[&str]) -> (i32, String, String) {
        told(self.campanile(args))
    }

    /// What the HostManagers were asked for so far: `id.op` and parameters, in order.
    pub(crate) fn requests(&self) -> Vec<(String, Value)> {
        self.requests.lock().unwrap().clone()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if let Some(end) = self.end.take() {
            let _ = end.send(());
        }
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            if !std::thread::panicking() {
                ended.unwrap();
            }
        }
    }
}

/// Exit code, stdout and stderr.
pub(crate) fn told(output: Output) -> (i32, String, String) {
    (
        output.status.code().unwrap_or(-1),
        String::from_utf8_lossy(&output.stdout).into_owned(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}

enum Managing {
    Agent(Agent),
    Hung(Client),
}

async fn manage(script: Script, url: &str, requests: &Requests) -> Managing {
    let options = ClientOptions::new(url, "test_realm");
    if script.hangs {
        let client = Client::spawn(options);
        let address = format!("observatory.{}.ops", script.id);
        let never = Arc::new(|_| -> _ { Box::pin(std::future::pending()) as _ });
        let registration = client.register(&address, RegisterOptions::default(), never);
        let mut state = registration.state();
        while !format!("{:?}", *state.borrow_and_update()).contains("Active") {
            state.changed().await.unwrap();
        }
        return Managing::Hung(client);
    }
    let mut config = AgentConfig::new("observatory", script.id, "HostManager");
    config.wamp = Some(options);
    let mut update_task = TaskSpec::new("update").params(ParamSpec::unchecked());
    if let Some(password) = script.guarded_by {
        config.policy = Policy::parse(Some(&format!("override:{password},{password}"))).unwrap();
        update_task = update_task.min_privs(CredLevel::Advanced);
    }
    let data = Arc::new(Mutex::new(json!({
        "child_states": script.children,
        "config_parse_status": {"[SCF]": match script.site_config_problem {
            Some(problem) => json!([false, 1.0, problem]),
            None => json!([true, 1.0, ""]),
        }},
        "orphans": {}, "new_tags": {},
    })));
    let manager = {
        let (data, requests, id, obeys) = (Arc::clone(&data), Arc::clone(requests), script.id, script.obeys);
        move |context: campanile_ocs::agent::OpContext, params: Value| {
            let data = Arc::clone(&data);
            if params != json!({}) {
                requests.lock().unwrap().push((format!("{id}.manager"), params.clone()));
                change(&data, &params, obeys);
            }
            async move {
                context.set_data_provider(Arc::new(move || data.lock().unwrap().clone()));
                context.stop_requested().await;
                Ok("Exited.".to_owned())
            }
        }
    };
    let update = {
        let (data, requests, id, obeys) = (Arc::clone(&data), Arc::clone(requests), script.id, script.obeys);
        move |context: campanile_ocs::agent::OpContext, params: Value| {
            requests.lock().unwrap().push((format!("{id}.update"), params.clone()));
            let ignored = change(&data, &params, obeys);
            async move {
                for id in ignored {
                    context.message(format!("Ignoring invalid target, {id}"));
                }
                Ok("Update requested.".to_owned())
            }
        }
    };
    let mut process = ProcessSpec::new("manager").params(ParamSpec::unchecked());
    if script.awake {
        process = process.startup(json!({}));
    }
    let agent = AgentBuilder::new(config).process(process, manager).task(update_task, update).spawn();
    let mut state = agent.bus_state();
    while *state.borrow_and_update() != campanile_ocs::agent::BusState::Up {
        state.changed().await.unwrap();
    }
    while script.awake && agent.status("manager")[2]["status"] != "running" {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Managing::Agent(agent)
}

/// Does to the children what the requests ask for; returns the ids that it does not know.
fn change(data: &Mutex<Value>, params: &Value, obeys: bool) -> Vec<String> {
    let mut data = data.lock().unwrap();
    let mut unknown = Vec::new();
    for request in params["requests"].as_array().into_iter().flatten() {
        let (whom, target) = (request[0].as_str().unwrap(), request[1].as_str().unwrap());
        let mut found = whom == "all";
        for child in data["child_states"].as_array_mut().unwrap() {
            if whom == "all" || child["instance_id"] == whom {
                found = true;
                child["target_state"] = json!(target);
                if obeys && child["operable"] == true {
                    child["next_action"] = json!(target);
                }
            }
        }
        if !found {
            unknown.push(whom.to_owned());
        }
    }
    unknown
}

/// Waits until this text is among what a condition gives; for tests that watch a program's output.
#[track_caller]
pub(crate) fn wait_for_text(what: &str, text: &str, mut look: impl FnMut() -> String) {
    wait_until(SOON, what, || look().contains(text));
}
