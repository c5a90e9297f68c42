//! The router and the managers of a demo, as processes of this program.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout_at};

use super::place::Place;
use crate::commands::router::ROUTER_READY;
use crate::listen::PORT_IN_USE;

/// The variable that marks everything a demo started.
const MARK: &str = "CAMPANILE_DEMO";
/// The host of the built-in site that has the other managers.
const HEAD: &str = "head";
/// How long the HostManagers have to stop their agents; an agent of a user's own site config may take its minute.
const MANAGERS_GRACE: Duration = Duration::from_secs(90);
/// How long the router has to open its port.
const ROUTER_START: Duration = Duration::from_secs(10);
/// How long the router has to say goodbye.
const ROUTER_GRACE: Duration = Duration::from_secs(5);
/// So much of a failed process's output is shown.
const LAST_WORDS_LINES: usize = 15;

/// One process.
struct Actor {
    name: String,
    child: Child,
    output: PathBuf,
    ended: Option<ExitStatus>,
}

/// All processes of a demo. They are in process groups of their own, so that a Ctrl-C reaches only the demo, which
/// then ends them in order.
pub(crate) struct Stage {
    program: PathBuf,
    environment: Vec<(String, String)>,
    output_dir: PathBuf,
    working_dir: PathBuf,
    mark: String,
    router: Option<Actor>,
    managers: Vec<Actor>,
}

/// A process that ended although nobody asked it to.
pub(crate) struct Fallen {
    pub(crate) name: String,
    pub(crate) status: ExitStatus,
    pub(crate) last_words: String,
}

impl Stage {
    /// An empty stage.
    ///
    /// Everything runs in `working_dir`.
    pub(crate) fn new(place: &Place, working_dir: &Path) -> Self {
        let path = std::env::var("PATH").unwrap_or_default();
        let environment = vec![
            (MARK.to_owned(), place.mark.clone()),
            ("OCS_CONFIG_DIR".to_owned(), place.path().display().to_string()),
            ("STATE_DIRECTORY".to_owned(), place.state().display().to_string()),
            ("PATH".to_owned(), format!("{}:{path}", place.bin().display())),
        ];
        Self {
            program: place.bin().join("campanile"),
            environment,
            output_dir: place.path().to_owned(),
            working_dir: working_dir.to_owned(),
            mark: place.mark.clone(),
            router: None,
            managers: Vec::new(),
        }
    }

    /// Starts the router and waits until it is ready; `false` when its port has been taken by another program.
    pub(crate) async fn start_router(&mut self, site_file: &Path) -> anyhow::Result<bool> {
        let site_file = site_file.display().to_string();
        let mut router = self.start("router", &["router", "--site-file", &site_file])?;
        let deadline = Instant::now() + ROUTER_START;
        while Instant::now() < deadline {
            let said = std::fs::read_to_string(&router.output).unwrap_or_default();
            if said.contains(ROUTER_READY) {
                break;
            }
            if router.child.try_wait().is_ok_and(|ended| ended.is_some()) && said.contains(PORT_IN_USE) {
                return Ok(false);
            }
            sleep(Duration::from_millis(10)).await;
        }
        // Whatever else may be wrong with it shows when it ends.
        self.router = Some(router);
        Ok(true)
    }

    /// Starts the HostManager of a host.
    pub(crate) fn start_manager(
        &mut self,
        host: &str,
        instance_id: &str,
        more: &[String],
    ) -> anyhow::Result<()> {
        let mut args = vec!["host", "--site-host", host, "--instance-id", instance_id];
        args.extend(more.iter().map(String::as_str));
        let actor = self.start(&format!("HostManager {instance_id}"), &args)?;
        self.managers.push(actor);
        Ok(())
    }

    /// Starts the manager of a pool.
    pub(crate) fn start_pool(&mut self, config: &Path) -> anyhow::Result<()> {
        self.start_beside("pool", &["pool", "run", "--bus", "--instance-id", "pool1"], config)
    }

    /// Starts the manager of an LDMS cluster.
    pub(crate) fn start_maestro(&mut self, cluster: &Path) -> anyhow::Result<()> {
        self.start_beside("maestro", &["maestro", "--instance-id", "maestro1", "--file"], cluster)
    }

    /// A manager that is an agent of the built-in site, but no HostManager.
    fn start_beside(&mut self, name: &str, args: &[&str], file: &Path) -> anyhow::Result<()> {
        let file = file.display().to_string();
        let args: Vec<&str> = args.iter().copied().chain([file.as_str(), "--site-host", HEAD]).collect();
        let actor = self.start(name, &args)?;
        self.managers.push(actor);
        Ok(())
    }

    fn start(&self, name: &str, args: &[&str]) -> anyhow::Result<Actor> {
        let output = self.output_dir.join(format!("{}.out", name.replace(' ', "-")));
        let file = File::create(&output).with_context(|| format!("cannot write {}", output.display()))?;
        let errors = file.try_clone().context("cannot duplicate a file handle")?;
        let child = Command::new(&self.program)
            .args(args)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .current_dir(&self.working_dir)
            .stdin(Stdio::null())
            .stdout(file)
            .stderr(errors)
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start the {name}"))?;
        Ok(Actor { name: name.to_owned(), child, output, ended: None })
    }

    /// Who has ended by itself since the last look.
    pub(crate) fn fallen(&mut self) -> Vec<Fallen> {
        let mut fallen = Vec::new();
        for actor in self.router.iter_mut().chain(&mut self.managers) {
            if actor.ended.is_none()
                && let Ok(Some(status)) = actor.child.try_wait()
            {
                actor.ended = Some(status);
                let last_words = last_lines(&actor.output);
                fallen.push(Fallen { name: actor.name.clone(), status, last_words });
            }
        }
        fallen
    }

    /// Ends everything: the managers (a HostManager stops its agents), then the router, then what is left over.
    ///
    /// `hurry` becomes ready when somebody has lost patience; then everything is killed.
    pub(crate) async fn stop(&mut self, hurry: impl Future<Output = ()>) {
        let in_order = async {
            end_all(self.managers.iter_mut(), MANAGERS_GRACE).await;
            end_all(self.router.iter_mut(), ROUTER_GRACE).await;
        };
        tokio::select! {
            () = in_order => {}
            () = hurry => {}
        }
        for actor in self.managers.iter_mut().chain(&mut self.router) {
            if actor.ended.is_none() {
                // Gone meanwhile is as good.
                let _ = actor.child.kill().await;
            }
        }
        sweep(&self.mark).await;
    }
}

/// SIGTERM to all, then waits for all until the grace is over.
async fn end_all(actors: impl Iterator<Item = &mut Actor>, grace: Duration) {
    let deadline = Instant::now() + grace;
    let mut waiting = Vec::new();
    for actor in actors {
        if actor.ended.is_none() {
            if let Some(pid) = actor.child.id() {
                signal(pid, Signal::TERM);
            }
            waiting.push(actor);
        }
    }
    for actor in waiting {
        if let Ok(Ok(status)) = timeout_at(deadline, actor.child.wait()).await {
            actor.ended = Some(status);
        }
    }
}

/// Sends a signal to a process of this demo.
pub(crate) fn signal(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        // It may have ended meanwhile.
        let _ = kill_process(pid, signal);
    }
}

/// Kills every process that still bears the demo's mark; a HostManager that was killed itself leaves its agents.
async fn sweep(mark: &str) {
    const ROUNDS: usize = 20;
    for _ in 0..ROUNDS {
        let left = marked(mark);
        if left.is_empty() {
            return;
        }
        left.into_iter().for_each(|pid| signal(pid, Signal::KILL));
        sleep(Duration::from_millis(50)).await;
    }
}

fn marked(mark: &str) -> Vec<u32> {
    let wanted = format!("{MARK}={mark}");
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| {
        // A process of another user, or one that is gone, is none of ours.
        let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|entry| entry == wanted.as_bytes())
    })
    .collect()
}

fn last_lines(path: &Path) -> String {
    let text: io::Result<String> =
        std::fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let text = text.unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let first = lines.len().saturating_sub(LAST_WORDS_LINES);
    lines.iter().skip(first).map(|line| format!("  {line}\n")).collect()
}
