//! Containers: what the HostManager costs while nothing happens to them, and how soon it sees that one has died.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use campanile_testkit::{Daemon, DockerEngine, Signal, TempSite, anon_of, bridge_call, free_port, rss_of};
use rustix::process::{Pid, kill_process};
use serde_json::{Value, json};

use crate::figures::{Figure, Line, Unit};
use crate::rows::{Effort, MIB, ms};
use crate::stage::{CLASS, HOST, MANAGER, Side, World, instance};
use crate::standin::{monotonic, realtime};

/// The name of the rows for the command line.
pub(crate) const DOCKER: &str = "docker";
/// Containers under our HostManager.
const OURS: usize = 50;
/// Containers under the original, which runs docker's client all the time: with three it takes a tenth of a core.
const ORIGINAL: usize = 3;
/// All must be up by then.
const PATIENCE: Duration = Duration::from_secs(600);
/// How often it is asked whether a death has been seen.
const ASK: Duration = Duration::from_millis(2);
/// How often it is asked whether all are up.
const LOOK: Duration = Duration::from_millis(250);
/// What was used for starting comes to rest.
const REST: Duration = Duration::from_secs(20);

struct Docked<'a> {
    world: &'a World,
    engine: &'a DockerEngine,
    site: TempSite,
    manager: Daemon,
    _router: Daemon,
}

/// What was measured of one side.
struct Measured {
    idle: Figure,
    seen: Figure,
    told: Figure,
    rss: Figure,
    anon: Figure,
}

impl<'a> Docked<'a> {
    fn start(side: Side, world: &'a World, engine: &'a DockerEngine, containers: usize) -> Result<Self> {
        let options = json!({"arguments": ["--docker-compose", "docker-compose.yaml"]});
        let mut entries = vec![TempSite::instance("HostManager", MANAGER, &options)];
        let docked = json!({"manage": "docker"});
        entries.extend((0..containers).map(|number| TempSite::instance(CLASS, &instance(number), &docked)));
        let site = TempSite::new(free_port(), &json!({HOST: {"agent-instances": entries}}));
        let service = |number| {
            let (id, image) = (instance(number), DockerEngine::IMAGE);
            let command = "[\"/bin/sh\", \"-c\", \"trap 'exit 0' TERM; sleep 1000000 & wait\"]";
            format!("  ocs-{id}:\n    image: {image}\n    network_mode: none\n    command: {command}\n")
        };
        let services: String = (0..containers).map(service).collect();
        fs::write(site.dir().join("docker-compose.yaml"), format!("services:\n{services}"))?;

        let mut router = world.program(Side::Ours, "router");
        router.args(site.args(HOST));
        let mut router = Daemon::spawn("router", router);
        router.wait_for_output(PATIENCE, "router ready");
        let mut command = match side {
            Side::Ours => {
                let mut command = world.program(side, "host");
                command.arg("--state-dir").arg(site.state_dir());
                command
            }
            Side::Original => {
                let mut command = world.program(side, "python");
                command.args(["-m", "ocs.agents.host_manager.agent"]);
                command
            }
        };
        command.args(["--instance-id", MANAGER]).args(site.args(HOST)).arg("--working-dir").arg(site.dir());
        engine.environment(&mut command);
        command.current_dir(site.dir());
        let manager = Daemon::spawn(MANAGER, command);
        let docked = Self { world, engine, site, manager, _router: router };
        docked.wait(LOOK, &format!("{containers} containers"), || {
            let children = docked.session()["data"]["child_states"].take();
            let up = children.as_array()?.iter().filter(|child| child["next_action"] == "up").count();
            (up == containers).then_some(())
        })?;
        Ok(docked)
    }

    fn call(&self, args: Value) -> Option<Value> {
        bridge_call(self.site.port(), &self.site.address(&format!("{MANAGER}.ops")), args).ok()
    }

    /// The session of the process `manager`; null while there is none.
    fn session(&self) -> Value {
        self.call(json!(["status", "manager"])).map(|mut reply| reply[2].take()).unwrap_or_default()
    }

    fn wait<T>(&self, every: Duration, what: &str, mut look: impl FnMut() -> Option<T>) -> Result<T> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(found) = look() {
                return Ok(found);
            }
            if Instant::now() >= deadline {
                bail!("waited in vain: {what}\n{}", self.manager.output());
            }
            std::thread::sleep(every);
        }
    }

    /// CPU time of the manager and of the programs that it has run and waited for.
    fn cpu(&self) -> Result<Duration> {
        let pid = self.manager.pid();
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let rest = stat.rsplit_once(") ").context("the state of a process")?.1;
        let field = |index: usize| rest.split(' ').nth(index).and_then(|text| text.parse::<u64>().ok());
        // Fields 16 and 17 of proc(5), in clock ticks; the first two are cut off.
        let ticks = field(13).zip(field(14)).map(|(user, system)| user + system).context("its CPU time")?;
        let ticks_per_s = rustix::param::clock_ticks_per_second();
        Ok(self.world.standin.cpu_of(pid)? + Duration::from_secs_f64(ticks as f64 / ticks_per_s as f64))
    }

    fn idle(&self, effort: Effort) -> Result<Figure> {
        std::thread::sleep(REST.min(effort.idle));
        let (cpu, begin) = (self.cpu()?, monotonic());
        std::thread::sleep(effort.idle);
        let (used, elapsed) = (self.cpu()?.saturating_sub(cpu), monotonic().saturating_sub(begin));
        Ok(Figure::single(used.as_secs_f64() / elapsed.as_secs_f64() * 100.0))
    }

    /// From before SIGKILL to a container's first process to the first answer in which it is not up, and to the time
    /// stamp of the message that tells its exit code.
    fn deaths(&self, samples: usize, containers: usize) -> Result<(Figure, Figure)> {
        let (mut seen, mut told) = (Vec::new(), Vec::new());
        for number in (0..containers).cycle().take(samples) {
            let id = instance(number);
            let service = format!("ocs-{id}");
            let container = self.engine.container_of(&service);
            let pid = self.engine.docker(&["inspect", "-f", "{{.State.Pid}}", &container]);
            let pid = pid.parse().ok().and_then(Pid::from_raw).context("the process of a container")?;
            let (begin, since) = (monotonic(), realtime());
            kill_process(pid, Signal::KILL)?;
            self.wait(ASK, "its state says so", || {
                let children = self.session()["data"]["child_states"].take();
                let child = children.as_array()?.iter().find(|child| child["instance_id"] == id.as_str())?;
                (child["next_action"] != "up").then_some(())
            })?;
            seen.push(ms(monotonic().saturating_sub(begin)));
            let text = format!("Detected exit of {CLASS}");
            let at = self.wait(LOOK, "it is told", || {
                let messages = self.session()["messages"].take();
                let times = messages.as_array()?.iter().filter_map(|message| {
                    let said = Duration::try_from_secs_f64(message[0].as_f64()?).ok()?;
                    let text_of = message[1].as_str()?;
                    let is_it = text_of.starts_with(&text) && text_of.contains(&format!(":{id} "));
                    (said >= since && is_it).then_some(said)
                });
                times.min()
            })?;
            told.push(ms(at.saturating_sub(since)));
            self.wait(LOOK, "it is up again", || {
                let children = self.session()["data"]["child_states"].take();
                let child = children.as_array()?.iter().find(|child| child["instance_id"] == id.as_str())?;
                (child["next_action"] == "up").then_some(())
            })?;
        }
        Ok((Figure::median(seen), Figure::median(told)))
    }

    fn end(mut self) -> Result<()> {
        let reply = self.call(json!(["start", "die", {}])).context("the HostManager does not answer")?;
        ensure!(reply[0] == 0, "die: {reply}");
        self.manager.wait(PATIENCE);
        Ok(())
    }
}

fn measured(
    side: Side,
    world: &World,
    engine: &DockerEngine,
    effort: Effort,
    containers: usize,
) -> Result<Measured> {
    let docked = Docked::start(side, world, engine, containers)?;
    let idle = docked.idle(effort)?;
    let pid = docked.manager.pid();
    let mib = |bytes: Option<u64>| Figure::single(bytes.unwrap_or(0) as f64 / MIB);
    let (rss, anon) = (mib(rss_of(pid)), mib(anon_of(pid)));
    let samples = if side == Side::Ours { effort.samples } else { effort.samples.min(5) };
    let (seen, told) = docked.deaths(samples, containers)?;
    docked.end()?;
    Ok(Measured { idle, seen, told, rss, anon })
}

/// The lines about containers; none where there is no docker engine.
pub(crate) fn lines(world: &World, with_original: bool, effort: Effort) -> Result<Vec<Line>> {
    let Some(engine) = DockerEngine::require() else { return Ok(Vec::new()) };
    let ours = measured(Side::Ours, world, &engine, effort, OURS)?;
    let original = match with_original {
        true => Some(measured(Side::Original, world, &engine, effort, ORIGINAL)?),
        false => None,
    };
    let line = |what: &str, unit, target, of: fn(&Measured) -> &Figure| Line {
        what: format!("{OURS} containers (original: {ORIGINAL}): {what}"),
        unit,
        ours: of(&ours).clone(),
        original: original.as_ref().map(|original| of(original).clone()),
        target,
    };
    let idle = format!("idle CPU of the manager over {} s, its programs included", effort.idle.as_secs());
    Ok(vec![
        line(&idle, Unit::Percent, Some(0.1), |measured| &measured.idle),
        line("SIGKILL of one → its state says so", Unit::Milliseconds, Some(100.0), |measured| {
            &measured.seen
        }),
        line("SIGKILL of one → told with its exit code", Unit::Milliseconds, None, |measured| {
            &measured.told
        }),
        line("memory of the manager, RSS", Unit::Mebibytes, None, |measured| &measured.rss),
        line("of it anonymous, RssAnon", Unit::Mebibytes, None, |measured| &measured.anon),
    ])
}
