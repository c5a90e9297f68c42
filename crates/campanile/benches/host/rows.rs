//! What is measured.

use std::collections::HashMap;
use std::ffi::OsString;
use std::time::Duration;

use anyhow::{Result, anyhow, ensure};
use campanile_testkit::{Signal, anon_of, rss_of};
use rustix::process::{Pid, kill_process};

use crate::figures::{Figure, Line, Unit};
use crate::stage::{Side, Stage, World, instance, timed};
use crate::standin::{monotonic, realtime};

/// Instances of the small site, and so measurements of each time.
pub(crate) const SMALL: usize = 20;
/// Instances of the large site.
pub(crate) const LARGE: usize = 200;
/// The original acts once a second: a pause of random length before each measurement meets all phases of that.
const PHASE: Duration = Duration::from_secs(1);
pub(crate) const MIB: f64 = 1024.0 * 1024.0;

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    /// Measurements of each time; at most [`SMALL`].
    pub(crate) samples: usize,
    /// How long an idle manager is watched at a time.
    pub(crate) idle: Duration,
    /// How often, after a first time.
    pub(crate) times: usize,
}

/// A measurement of one side.
type Measure = fn(&Stage, Effort) -> Result<Figure>;

/// The rows on the small site: name for the command line, words, target in ms, measurement.
pub(crate) const TIMES: [(&str, &str, Option<f64>, Measure); 4] = [
    ("update", "`update` request → process exec'd", Some(20.0), update),
    ("up", "`ocsbow up X` → process exec'd", Some(60.0), up),
    ("kill", "SIGKILL of a child → noticed", Some(5.0), kill),
    ("status", "`ocsbow status`, wall", Some(30.0), status),
];

/// The name of the rows of the large site.
pub(crate) const MANY: &str = "many";

fn pause(stage: &Stage) -> Result<()> {
    std::thread::sleep(PHASE.mul_f64(fastrand::f64()));
    stage.rest()
}

pub(crate) fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

fn all_down(stage: &Stage) -> Result<()> {
    stage.rest()?;
    stage.update(&[("all", "down")])?;
    stage.settle("down")
}

/// From before the call of `update` to the first instruction of the launched program.
fn update(stage: &Stage, effort: Effort) -> Result<Figure> {
    let mut samples = Vec::new();
    for number in 0..effort.samples {
        pause(stage)?;
        let (mark, begin) = (stage.mark(), monotonic());
        stage.update(&[(&instance(number), "up")])?;
        samples.push(ms(stage.starts(mark, 1)?[0].at.saturating_sub(begin)));
    }
    all_down(stage)?;
    Ok(Figure::median(samples))
}

/// From before the start of the client to the first instruction of the launched program.
fn up(stage: &Stage, effort: Effort) -> Result<Figure> {
    let mut samples = Vec::new();
    for number in 0..effort.samples {
        pause(stage)?;
        let (mark, begin) = (stage.mark(), monotonic());
        let (ended, _) = timed(stage.ocsbow(&["up", &instance(number)]))?;
        ensure!(ended.success(), "ocsbow up: {ended}");
        samples.push(ms(stage.starts(mark, 1)?[0].at.saturating_sub(begin)));
    }
    all_down(stage)?;
    Ok(Figure::median(samples))
}

/// From before the signal to the time stamp of the manager's message about it.
fn kill(stage: &Stage, effort: Effort) -> Result<Figure> {
    let mark = stage.mark();
    stage.update(&[("all", "up")])?;
    stage.settle("up")?;
    let mut samples = Vec::new();
    for start in stage.starts(mark, SMALL)?.iter().take(effort.samples) {
        pause(stage)?;
        let pid = i32::try_from(start.pid).ok().and_then(Pid::from_raw);
        let begin = realtime();
        if let Some(pid) = pid {
            kill_process(pid, Signal::KILL)?;
        }
        samples.push(ms(stage.exit_seen(&start.instance_id, begin)?.saturating_sub(begin)));
    }
    all_down(stage)?;
    Ok(Figure::median(samples))
}

/// The client's whole run, with one HostManager that has twenty instances.
fn status(stage: &Stage, effort: Effort) -> Result<Figure> {
    let mut samples = Vec::new();
    for _ in 0..effort.samples {
        let (ended, wall) = timed(stage.ocsbow(&["status"]))?;
        ensure!(ended.success(), "ocsbow status: {ended}");
        samples.push(ms(wall));
    }
    Ok(Figure::median(samples))
}

/// What many children cost.
struct Many {
    up: Figure,
    rss: Figure,
    anon: Figure,
    first: Figure,
    idle: Figure,
    wakes: Figure,
    pages: Figure,
    beating: Figure,
    touching: Figure,
}

/// What was seen of a manager that is left alone: per cent of a core, and counts a second.
struct Idle {
    cpu: f64,
    wakes: f64,
    beating: f64,
    touching: f64,
}

/// Watches the manager `pid`, and two C programs beside it; one touches so many pages.
fn watch(world: &World, pid: u32, idle: Duration, pages: u64) -> Result<Idle> {
    let (cpu, sleeps, begin) = (world.standin.cpu_of(pid)?, sleeps_of(pid)?, monotonic());
    let (beating, touching) = std::thread::scope(|scope| {
        let beating = scope.spawn(|| world.standin.cpu_of_beats(idle, 0));
        let touching = world.standin.cpu_of_beats(idle, pages);
        (beating.join(), touching)
    });
    let beating = beating.map_err(|_| anyhow!("what only beats has panicked"))??;
    let (used, slept) = (world.standin.cpu_of(pid)?.saturating_sub(cpu), sleeps_since(&sleeps, pid)?);
    let elapsed_s = monotonic().saturating_sub(begin).as_secs_f64();
    let percent = |used: Duration| used.as_secs_f64() / elapsed_s * 100.0;
    let wakes = slept as f64 / elapsed_s;
    Ok(Idle { cpu: percent(used), wakes, beating: percent(beating), touching: percent(touching?) })
}

/// How often each thread of a process has slept so far.
fn sleeps_of(pid: u32) -> Result<HashMap<OsString, u64>> {
    let of = |task: std::io::Result<std::fs::DirEntry>| {
        let task = task?;
        let status = std::fs::read_to_string(task.path().join("status"))?;
        let count = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        Ok((task.file_name(), count.and_then(|count| count.trim().parse().ok()).unwrap_or(0)))
    };
    std::fs::read_dir(format!("/proc/{pid}/task"))?.map(of).collect()
}

/// How often they have slept since then; what threads did that have ended is not in it.
fn sleeps_since(before: &HashMap<OsString, u64>, pid: u32) -> Result<u64> {
    let since = |(task, count): (OsString, u64)| count - before.get(&task).copied().unwrap_or(0);
    Ok(sleeps_of(pid)?.into_iter().map(since).sum())
}

/// How many pages of its memory a process touches in a second, the median of some: `Referenced` of proc_pid_smaps(5).
fn pages_of_a_second(pid: u32) -> Result<u64> {
    let mut counts = [0; 5];
    for count in &mut counts {
        std::fs::write(format!("/proc/{pid}/clear_refs"), "1")?;
        std::thread::sleep(Duration::from_secs(1));
        let maps = std::fs::read_to_string(format!("/proc/{pid}/smaps"))?;
        let kib = maps.lines().filter_map(|line| line.strip_prefix("Referenced:")?.split_whitespace().next());
        *count = kib.filter_map(|kib| kib.parse::<u64>().ok()).sum::<u64>() * 1024;
    }
    counts.sort_unstable();
    Ok(counts[counts.len() / 2] / rustix::param::page_size() as u64)
}

fn many(side: Side, world: &World, effort: Effort) -> Result<Many> {
    let stage = Stage::start(side, world, LARGE)?;
    let (mark, begin) = (stage.mark(), monotonic());
    stage.update(&[("all", "up")])?;
    let starts = stage.starts(mark, LARGE)?;
    let last = starts.iter().map(|start| start.at).max().unwrap_or_default();
    let up = Figure::single(ms(last.saturating_sub(begin)));
    stage.settle("up")?;
    // What was used for starting comes to rest.
    std::thread::sleep(effort.idle / 3);

    let pid = stage.manager_pid();
    let pages = pages_of_a_second(pid)?;
    let first = watch(world, pid, effort.idle, pages)?;
    let idle =
        (0..effort.times).map(|_| watch(world, pid, effort.idle, pages)).collect::<Result<Vec<_>>>()?;
    let median = |of: fn(&Idle) -> f64| Figure::median(idle.iter().map(of).collect());
    let mib = |bytes: Option<u64>| Figure::single(bytes.unwrap_or(0) as f64 / MIB);
    let many = Many {
        up,
        rss: mib(rss_of(pid)),
        anon: mib(anon_of(pid)),
        first: Figure::single(first.cpu),
        idle: median(|idle| idle.cpu),
        wakes: median(|idle| idle.wakes),
        pages: Figure::single(pages as f64),
        beating: median(|idle| idle.beating),
        touching: median(|idle| idle.touching),
    };
    all_down(&stage)?;
    Ok(many)
}

/// The lines about the large site.
pub(crate) fn many_lines(world: &World, with_original: bool, effort: Effort) -> Result<Vec<Line>> {
    let ours = many(Side::Ours, world, effort)?;
    let original = if with_original { Some(many(Side::Original, world, effort)?) } else { None };
    let line = |what: &str, unit, target, of: fn(&Many) -> &Figure| Line {
        what: format!("{LARGE} children: {what}"),
        unit,
        ours: of(&ours).clone(),
        original: original.as_ref().map(|original| of(original).clone()),
        target,
    };
    let idle_s = effort.idle.as_secs();
    let first = format!(
        "CPU of the manager in the first {idle_s} s after that, its first look at all of them included"
    );
    let idle = format!("idle CPU of the manager over {idle_s} s, heartbeat included");
    Ok(vec![
        line("`update` request → all exec'd", Unit::Milliseconds, None, |many| &many.up),
        line("memory of the manager, RSS", Unit::Mebibytes, Some(12.0), |many| &many.rss),
        line("of it anonymous, RssAnon", Unit::Mebibytes, None, |many| &many.anon),
        line(&first, Unit::Percent, None, |many| &many.first),
        line(&idle, Unit::Percent, Some(0.05), |many| &many.idle),
        line("wakes of its threads meanwhile", Unit::PerSecond, None, |many| &many.wakes),
        line("pages of its memory touched in a second", Unit::Count, None, |many| &many.pages),
        line("beside it, CPU of a C program that only beats", Unit::Percent, None, |many| &many.beating),
        line("of one that touches as many pages, too", Unit::Percent, None, |many| &many.touching),
    ])
}
