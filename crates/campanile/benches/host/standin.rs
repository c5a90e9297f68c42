//! The program that both HostManagers launch in place of Python.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::time::{ClockId, clock_gettime};
use tempfile::TempDir;

/// The environment variable that names the file of starts.
pub(crate) const STARTS: &str = "BENCH_STARTS";

/// The compiled stand-in.
#[derive(Debug)]
pub(crate) struct StandIn {
    dir: TempDir,
}

/// One start of a stand-in.
#[derive(Clone, Debug)]
pub(crate) struct Start {
    /// On the monotonic clock, see [`monotonic`].
    pub(crate) at: Duration,
    pub(crate) pid: u32,
    pub(crate) instance_id: String,
}

impl StandIn {
    /// Compiles it, statically, so that its own start costs next to nothing.
    pub(crate) fn build() -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let this = Self { dir };
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/host/standin.c");
        let status = Command::new("cc")
            .args(["-O2", "-static", "-o"])
            .arg(this.path())
            .arg(&source)
            .status()
            .context("cannot run the C compiler `cc`")?;
        ensure!(status.success(), "`cc` cannot compile {}: {status}", source.display());
        Ok(this)
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.dir.path().join("standin")
    }

    /// The CPU time that a process has used, all its threads, those that ended included.
    pub(crate) fn cpu_of(&self, pid: u32) -> Result<Duration> {
        self.nanoseconds(&["--cpu-of".to_owned(), pid.to_string()])
    }

    /// The CPU time of the least that a heartbeat needs, once a second: a timer, and a message over TCP; and a look at so
    /// many pages of memory. What a machine charges for that depends on the machine, and on who shares it. Takes so many
    /// seconds.
    pub(crate) fn cpu_of_beats(&self, time: Duration, pages: u64) -> Result<Duration> {
        self.nanoseconds(&["--beat".to_owned(), time.as_secs().to_string(), pages.to_string()])
    }

    fn nanoseconds(&self, args: &[String]) -> Result<Duration> {
        let output = Command::new(self.path()).args(args).output()?;
        let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        let ns = text.parse().with_context(|| format!("{args:?}: {text:?}"))?;
        Ok(Duration::from_nanos(ns))
    }
}

/// The starts noted in `file` after its first `from` bytes. A line that is being written is left out.
pub(crate) fn starts(file: &Path, from: u64) -> Vec<Start> {
    let text = fs::read(file).unwrap_or_default();
    let new = text.get(usize::try_from(from).unwrap_or(usize::MAX)..).unwrap_or_default();
    let new = String::from_utf8_lossy(new);
    new.split_inclusive('\n').filter_map(start).collect()
}

fn start(line: &str) -> Option<Start> {
    let mut words = line.strip_suffix('\n')?.split(' ');
    let at = Duration::from_nanos(words.next()?.parse().ok()?);
    Some(Start { at, pid: words.next()?.parse().ok()?, instance_id: words.next()?.to_owned() })
}

/// The time on the clock that the stand-in uses.
pub(crate) fn monotonic() -> Duration {
    time_on(ClockId::Monotonic)
}

/// Unix time, on the clock that operation messages use.
pub(crate) fn realtime() -> Duration {
    time_on(ClockId::Realtime)
}

fn time_on(clock: ClockId) -> Duration {
    Duration::try_from(clock_gettime(clock)).unwrap_or_default()
}
