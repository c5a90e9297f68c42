//! A site of its own for each side: our router, one HostManager, stand-ins for agents.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use campanile_testkit::{Daemon, TempSite, bridge_call, free_port, peers_dir};
use serde_json::{Value, json};

use crate::standin::{self, STARTS, StandIn, Start};

/// Nothing that is measured takes longer, on any machine.
const PATIENCE: Duration = Duration::from_secs(120);
/// How often a file or process is looked at; an error of the waiting side only, times are taken at the source.
const LOOK: Duration = Duration::from_micros(200);
/// How often a HostManager is asked. Seldom: while it answers, it does nothing else.
const ASK: Duration = Duration::from_millis(25);
pub(crate) const HOST: &str = "bench";
pub(crate) const MANAGER: &str = "hm";
/// Both sides need a class that the original has in its list; no code of it runs.
pub(crate) const CLASS: &str = "FakeDataAgent";
/// What the user's own set-up of OCS may export.
const OCS_VARIABLES: [&str; 6] =
    ["OCS_CONFIG_DIR", "INSTANCE_ID", "SITE_HUB", "SITE_HTTP", "SITE_HOST", "CROSSBAR_TIMEOUT"];
/// The original's HostManager launches agents with the interpreter that runs itself; this names another one.
const ORIGINAL: &str = "import sys
sys.executable = sys.argv.pop(1)
from ocs.agents.host_manager.agent import main
main()";

/// Whose HostManager and client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Ours,
    Original,
}

/// What all sites have in common.
#[derive(Debug)]
pub(crate) struct World {
    /// Our program.
    pub(crate) campanile: PathBuf,
    /// What is launched in place of Python.
    pub(crate) standin: StandIn,
}

impl World {
    pub(crate) fn program(&self, side: Side, name: &str) -> Command {
        let mut command = match side {
            Side::Ours => {
                let mut command = Command::new(&self.campanile);
                command.arg(name);
                command
            }
            Side::Original => Command::new(peers_dir().join("bin").join(name)),
        };
        OCS_VARIABLES.iter().for_each(|variable| {
            command.env_remove(variable);
        });
        command.env("PYTHONWARNINGS", "ignore");
        command
    }
}

/// A running site.
pub(crate) struct Stage<'a> {
    side: Side,
    world: &'a World,
    site: TempSite,
    starts: PathBuf,
    instances: usize,
    manager: Daemon,
    // After the manager: it is dropped last, so that the manager does not see its router go.
    _router: Daemon,
}

impl<'a> Stage<'a> {
    /// Starts router and HostManager over so many instances, all of them down.
    pub(crate) fn start(side: Side, world: &'a World, instances: usize) -> Result<Self> {
        let mut entries = vec![TempSite::instance("HostManager", MANAGER, &json!({}))];
        let down = json!({"manage": "host/down"});
        entries.extend((0..instances).map(|number| TempSite::instance(CLASS, &instance(number), &down)));
        let site = TempSite::new(free_port(), &json!({HOST: {"agent-instances": entries}}));
        let starts = site.dir().join("starts");
        fs::write(&starts, "")?;

        // Both sides use the same router, so that only HostManager and client differ.
        let mut router = world.program(Side::Ours, "router");
        router.args(site.args(HOST));
        let mut router = Daemon::spawn("router", router);
        router.wait_for_output(PATIENCE, "router ready");

        let mut manager = match side {
            Side::Ours => {
                let mut command = world.program(side, "host");
                command.arg("--state-dir").arg(site.state_dir()).arg("--python").arg(world.standin.path());
                command
            }
            Side::Original => {
                let mut command = world.program(side, "python");
                command.args(["-c", ORIGINAL]).arg(world.standin.path());
                command
            }
        };
        manager.args(["--instance-id", MANAGER]).args(site.args(HOST)).arg("--working-dir").arg(site.dir());
        manager.env(STARTS, &starts);
        let manager = Daemon::spawn(MANAGER, manager);
        let stage = Self { side, world, site, starts, instances, manager, _router: router };
        stage.settle("down")?;
        Ok(stage)
    }

    /// The process id of the HostManager.
    pub(crate) fn manager_pid(&self) -> u32 {
        self.manager.pid()
    }

    /// The session of the process `manager`.
    pub(crate) fn session(&self) -> Result<Value> {
        let reply = self.call(json!(["status", "manager"]))?;
        Ok(reply[2].clone())
    }

    fn call(&self, args: Value) -> Result<Value> {
        let address = self.site.address(MANAGER);
        bridge_call(self.site.port(), &format!("{address}.ops"), args).map_err(anyhow::Error::msg)
    }

    /// Asks for targets, with a call over the router's HTTP bridge; returns when the request was accepted.
    pub(crate) fn update(&self, requests: &[(&str, &str)]) -> Result<()> {
        let reply = self.call(json!(["start", "update", {"requests": requests}]))?;
        ensure!(reply[0] == 0, "update: {reply}");
        Ok(())
    }

    /// Waits until every instance is in this state, and the last update is done.
    pub(crate) fn settle(&self, state: &str) -> Result<()> {
        self.wait(ASK, &format!("all {} instances {state}", self.instances), || {
            // While the manager joins the bus there is no answer.
            let children = self.session().unwrap_or_default()["data"]["child_states"].take();
            let children = children.as_array()?;
            let all =
                children.iter().all(|child| child["next_action"] == state && child["target_state"] == state);
            (children.len() == self.instances && all).then_some(())
        })
    }

    /// Waits until a new request will be accepted: one update is carried out at a time.
    pub(crate) fn rest(&self) -> Result<()> {
        self.wait(ASK, "the end of the last update", || {
            let update = self.call(json!(["status", "update"])).ok()?;
            update[2]["status"].as_str().is_none_or(|status| status == "done").then_some(())
        })
    }

    /// Where the file of starts ends now; only later starts are of interest.
    pub(crate) fn mark(&self) -> u64 {
        fs::metadata(&self.starts).map_or(0, |meta| meta.len())
    }

    /// Waits for so many starts after the mark.
    pub(crate) fn starts(&self, mark: u64, count: usize) -> Result<Vec<Start>> {
        self.wait(LOOK, &format!("{count} starts"), || {
            let starts = standin::starts(&self.starts, mark);
            (starts.len() >= count).then_some(starts)
        })
    }

    /// Waits until the manager has said that the instance exited, after `since`; returns when it said so (Unix time).
    pub(crate) fn exit_seen(&self, instance_id: &str, since: Duration) -> Result<Duration> {
        let text = format!("Detected exit of {CLASS}:{instance_id} ");
        self.wait(ASK, &text, || {
            let messages = self.session().ok()?["messages"].take();
            let times = messages.as_array()?.iter().filter_map(|message| {
                let said = Duration::try_from_secs_f64(message[0].as_f64()?).ok()?;
                (said >= since && message[1].as_str()?.starts_with(&text)).then_some(said)
            });
            times.min()
        })
    }

    /// Starts this side's `ocsbow`.
    pub(crate) fn ocsbow(&self, args: &[&str]) -> Command {
        let mut command = self.world.program(self.side, "ocsbow");
        command.args(self.site.args(HOST)).args(args);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    fn wait<T>(&self, every: Duration, what: &str, mut look: impl FnMut() -> Option<T>) -> Result<T> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = look() {
                return Ok(found);
            }
            if Instant::now() >= deadline {
                bail!("{:?}: waited in vain: {what}\n{}", self.side, self.manager.output());
            }
            std::thread::sleep(every);
        }
    }
}

/// The id of an instance.
pub(crate) fn instance(number: usize) -> String {
    format!("agent-{number}")
}

/// Runs a command to its end and takes the time.
pub(crate) fn timed(mut command: Command) -> Result<(ExitStatus, Duration)> {
    let begin = Instant::now();
    let mut child = command.spawn().with_context(|| format!("{command:?}"))?;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok((status, begin.elapsed()));
        }
        if begin.elapsed() >= PATIENCE {
            child.kill()?;
            child.wait()?;
            bail!("{command:?} does not end");
        }
        std::thread::sleep(LOOK);
    }
}
