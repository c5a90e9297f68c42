//! A small site of real programs: a router, a HostManager, Python agents, and a client that drives them. Each of the
//! three can be ours or the original, so one story can be told of every combination.
#![allow(clippy::unwrap_used, clippy::expect_used, dead_code, reason = "a part of several test programs")]

use campanile_testkit::{
    CommandOutput, Crossbar, CrossbarConfig, Daemon, Peers, Signal, TempSite, bridge_call, finish, free_port,
    http_request, is_alive, wait_for, wait_until,
};
use serde_json::{Value, json};
use std::process::Command;
use std::time::Duration;

/// Enough for a Python agent to start on a machine that is busy with other tests.
pub(crate) const SOON: Duration = Duration::from_secs(60);

/// The one host of the site, and its HostManager.
pub(crate) const HOST: &str = "host-1";
pub(crate) const MANAGER: &str = "hm-host-1";

/// Whose program stands in a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whose {
    Ours,
    Originals,
}

enum Router {
    Ours(Daemon),
    Crossbar(Crossbar),
}

pub(crate) struct World {
    pub(crate) peers: Peers,
    /// What the manager reads.
    pub(crate) site: TempSite,
    /// What the client reads: a copy, so that it can be asked while the manager's file is broken.
    pub(crate) clients_site: TempSite,
    pub(crate) manager: Daemon,
    router: Router,
    client: Whose,
}

/// `hosts:` of a site config with one host, its HostManager, and these instances.
pub(crate) fn one_host(instances: &[Value]) -> Value {
    let mut all = vec![TempSite::instance("HostManager", MANAGER, &json!({}))];
    all.extend_from_slice(instances);
    json!({HOST: {"agent-instances": all}})
}

/// A FakeDataAgent of the Python package, with further keys for its instance.
pub(crate) fn faker(id: &str, more: Value) -> Value {
    let mut instance = TempSite::instance("FakeDataAgent", id, &more);
    instance["arguments"] = json!(["--mode", "idle"]);
    instance
}

impl World {
    /// Starts the site; `None` where the Python peers are missing and may be.
    #[track_caller]
    pub(crate) fn start(router: Whose, manager: Whose, client: Whose, hosts: &Value) -> Option<Self> {
        let peers = Peers::require()?;
        let (site, router) = match router {
            Whose::Originals => {
                let crossbar = Crossbar::start(CrossbarConfig::default())?;
                (TempSite::new(crossbar.port(), hosts), Router::Crossbar(crossbar))
            }
            Whose::Ours => {
                let site = TempSite::new(free_port(), hosts);
                let router = Router::Ours(our_router(&site));
                (site, router)
            }
        };
        let manager = match manager {
            Whose::Originals => peers.host_manager(&site, HOST, MANAGER, &[]),
            Whose::Ours => our_host_manager(&peers, &site),
        };
        let clients_site = TempSite::new(site.port(), hosts);
        Some(Self { peers, site, clients_site, manager, router, client })
    }

    /// Runs `ocsbow`, the one of this world.
    #[track_caller]
    pub(crate) fn ocsbow(&self, args: &[&str]) -> CommandOutput {
        match self.client {
            Whose::Originals => self.peers.ocsbow(&self.clients_site, HOST, args),
            Whose::Ours => {
                let mut command = ours("ocsbow");
                command.args(self.clients_site.args(HOST)).args(args);
                finish("ocsbow", command, SOON)
            }
        }
    }

    /// Class, state and target of an instance, as `ocsbow status` shows them.
    #[track_caller]
    pub(crate) fn row(&self, id: &str) -> Option<[String; 3]> {
        let output = self.ocsbow(&["status"]);
        output.stdout.lines().find_map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            (words.len() == 4 && words[0] == id).then(|| [words[1], words[2], words[3]].map(str::to_owned))
        })
    }

    /// Waits until `ocsbow status` shows this state and target. The manager is asked first, which costs less than to
    /// run a client again and again.
    #[track_caller]
    pub(crate) fn wait_for_row(&self, id: &str, state: &str, target: &str) {
        self.wait_for_one_of(id, &[state], target);
    }

    /// The same for an instance that may be in one of several states.
    #[track_caller]
    pub(crate) fn wait_for_one_of(&self, id: &str, states: &[&str], target: &str) {
        if id != MANAGER {
            let mut last = None;
            wait_until(SOON, &format!("the manager has {id} as {states:?} {target}"), || {
                let now = self.child(id);
                if now != last {
                    eprintln!("{id}: {now:?}");
                    last.clone_from(&now);
                }
                now.is_some_and(|[is_state, is_target]| states.contains(&&*is_state) && is_target == target)
            });
        }
        wait_until(SOON, &format!("ocsbow shows {id} as {states:?} {target}"), || {
            let row = self.row(id);
            row.is_some_and(|[_, is_state, is_target]| states.contains(&&*is_state) && is_target == target)
        });
    }

    /// Next action and target of an instance, as the manager has them.
    pub(crate) fn child(&self, id: &str) -> Option<[String; 2]> {
        let reply = self.ask(&format!("{MANAGER}.ops"), json!(["status", "manager"])).ok()?;
        let children = reply[2]["data"]["child_states"].as_array()?;
        let child = children.iter().find(|child| child["instance_id"] == id)?;
        let word = |key: &str| child[key].as_str().map(str::to_owned);
        Some([word("next_action")?, word("target_state")?])
    }

    /// Asks one of the two procedures of an agent through the router's HTTP bridge.
    pub(crate) fn ask(&self, procedure: &str, args: Value) -> Result<Value, String> {
        bridge_call(self.site.port(), &self.site.address(procedure), args)
    }

    /// Waits until the agent answers on the bus, and gives the pid that it tells.
    #[track_caller]
    pub(crate) fn wait_for_agent(&self, id: &str) -> u32 {
        let pid = wait_for(SOON, &format!("{id} answers on the bus"), || {
            self.ask(id, json!(["get_api"])).ok()?["instance_pid"].as_u64()
        });
        u32::try_from(pid).unwrap()
    }

    /// Waits until an agent other than the process `old` answers under this id.
    #[track_caller]
    pub(crate) fn wait_for_other_agent(&self, id: &str, old: u32) -> u32 {
        wait_for(SOON, &format!("a new {id} answers on the bus"), || {
            let pid = u32::try_from(self.ask(id, json!(["get_api"])).ok()?["instance_pid"].as_u64()?).ok()?;
            (pid != old).then_some(pid)
        })
    }

    /// The session of the process `manager`.
    #[track_caller]
    pub(crate) fn manager_session(&self) -> Value {
        let reply = self.ask(&format!("{MANAGER}.ops"), json!(["status", "manager"]));
        reply.expect("the manager answers")[2].clone()
    }

    /// Runs the manager's task `update` to its end: code, message and session.
    #[track_caller]
    pub(crate) fn update(&self, params: Value) -> Value {
        let ops = format!("{MANAGER}.ops");
        let started = self.ask(&ops, json!(["start", "update", params])).unwrap();
        assert_eq!(started[0], json!(0), "{started}");
        self.ask(&ops, json!(["wait", "update", {}, 30])).unwrap()
    }

    /// Writes the site config of manager and client.
    pub(crate) fn write_hosts(&self, hosts: &Value) {
        self.site.write_hosts(hosts);
        self.clients_site.write_hosts(hosts);
    }

    /// Kills our router, and starts it again after a while.
    #[track_caller]
    pub(crate) fn router_falls_for(&mut self, away: Duration) {
        let Router::Ours(router) = &mut self.router else { panic!("the router of this world is not ours") };
        router.kill9();
        std::thread::sleep(away);
        router.restart();
    }

    /// Ends the manager by SIGINT and waits for it and all its agents to be gone.
    #[track_caller]
    pub(crate) fn end(&mut self) {
        let agents = self.manager.processes();
        self.manager.signal(Signal::INT);
        self.manager.wait(SOON);
        wait_until(SOON, "the end of all agents", || agents.iter().all(|&pid| !is_alive(pid)));
    }
}

/// A command of ours.
pub(crate) fn ours(subcommand: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_campanile"));
    command.arg(subcommand).env_remove("OCS_CONFIG_DIR").env_remove("STATE_DIRECTORY");
    command
}

/// Our router, as the hub of the site says; it answers when this returns.
#[track_caller]
pub(crate) fn our_router(site: &TempSite) -> Daemon {
    let mut command = ours("router");
    command.args(site.args(HOST));
    let mut daemon = Daemon::spawn("campanile router", command);
    wait_until(SOON, "our router answers", || {
        assert!(daemon.is_running(), "the router has ended");
        matches!(http_request(site.port(), "GET", "/info", &[], b""), Ok((200, ..)))
    });
    daemon
}

/// Our HostManager for the one host.
#[track_caller]
pub(crate) fn our_host_manager(peers: &Peers, site: &TempSite) -> Daemon {
    our_host_manager_of(peers, site, HOST, &[])
}

/// Our HostManager for any host of the site, with further options.
#[track_caller]
pub(crate) fn our_host_manager_of(peers: &Peers, site: &TempSite, host: &str, extra: &[&str]) -> Daemon {
    let mut command = ours("host");
    command.args(site.args(host)).arg("--python").arg(peers.python());
    command.arg("--state-dir").arg(site.state_dir()).arg("--working-dir").arg(site.dir()).args(extra);
    Daemon::spawn("campanile host", command)
}
