//! What one instance costs when there are ten of them, a hundred, a thousand.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, bail};

use crate::figures::{Figure, Line, Unit};
use crate::stage::{Side, Stage, World};
use crate::standin::monotonic;

/// The name of the rows for the command line.
pub(crate) const SCALE: &str = "scale";
/// How many instances.
const SIZES: [usize; 3] = [10, 100, 1000];
/// All must be gone by then.
const PATIENCE: Duration = Duration::from_secs(120);
/// What the manager still has to do when the last instance has started, or is gone, is done by then.
const QUIET: Duration = Duration::from_secs(2);
/// How often it is looked whether they are.
const LOOK: Duration = Duration::from_millis(2);

/// Brings all up and down; gives the lines of one size. Nobody asks the manager for its state while it works, since an
/// answer about a thousand instances costs more than what is measured.
fn lines_of(world: &World, size: usize) -> Result<Vec<Line>> {
    let stage = Stage::start(Side::Ours, world, size)?;
    stage.rest()?;
    let manager = stage.manager_pid();
    let per_instance = |duration: Duration| Figure::single(duration.as_secs_f64() * 1e3 / size as f64);
    let cpu = || world.standin.cpu_of(manager);

    let (mark, used, begin) = (stage.mark(), cpu()?, monotonic());
    stage.update(&[("all", "up")])?;
    let starts = stage.starts(mark, size)?;
    let last = starts.iter().map(|start| start.at).max().unwrap_or_default();
    let up_wall = per_instance(last.saturating_sub(begin));
    std::thread::sleep(QUIET);
    let up_cpu = per_instance(cpu()?.saturating_sub(used));
    stage.settle("up")?;

    let (used, begin) = (cpu()?, monotonic());
    stage.update(&[("all", "down")])?;
    let pids: Vec<u32> = starts.iter().map(|start| start.pid).collect();
    wait_for_the_end_of(&pids)?;
    let down_wall = per_instance(monotonic().saturating_sub(begin));
    std::thread::sleep(QUIET);
    let down_cpu = per_instance(cpu()?.saturating_sub(used));
    stage.settle("down")?;

    let line = |what: &str, ours| Line {
        what: format!("{size} instances: {what}, per instance"),
        unit: Unit::Milliseconds,
        ours,
        original: None,
        target: None,
    };
    Ok(vec![
        line("up, request → exec'd", up_wall),
        line("up, CPU of the manager", up_cpu),
        line("down, request → gone", down_wall),
        line("down, CPU of the manager", down_cpu),
    ])
}

fn wait_for_the_end_of(pids: &[u32]) -> Result<()> {
    let begin = monotonic();
    let mut left = pids.to_vec();
    loop {
        left.retain(|pid| Path::new("/proc").join(pid.to_string()).exists());
        if left.is_empty() {
            return Ok(());
        }
        if monotonic().saturating_sub(begin) > PATIENCE {
            bail!("{} of {} instances do not end", left.len(), pids.len());
        }
        std::thread::sleep(LOOK);
    }
}

/// The lines of all sizes.
pub(crate) fn lines(world: &World) -> Result<Vec<Line>> {
    let mut lines = Vec::new();
    for size in SIZES {
        lines.extend(lines_of(world, size)?);
    }
    Ok(lines)
}
