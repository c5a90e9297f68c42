//! Local mode of `maestro_ctrl`: this host's daemons, started from the files that are generated for them.

use std::net::UdpSocket;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use campanile_maestro::config::Cluster;
use campanile_maestro::config::model::Daemon;
use campanile_maestro::generate::{Generator, Style};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};

use super::generate;
use crate::failure::{Failure, Outcome};
use crate::{output, runtime};

/// How long daemons may take to end after SIGTERM before they are killed. ldmsd takes milliseconds.
const STOP_GRACE: Duration = Duration::from_secs(10);
/// How often it is looked whether a daemon has ended.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Writes the files of the daemons whose host this is, starts them, and waits until all have ended. SIGINT and SIGTERM
/// end them first.
///
/// # Errors
/// When no daemon belongs here, a file cannot be written, the program cannot be started, or a daemon fails.
pub(crate) fn run(cluster: &Cluster, dir: &Path, ldmsd: &Path) -> Outcome {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let ours: Vec<&Daemon> = cluster.daemons.values().filter(|daemon| is_here(&daemon.host, &host)).collect();
    if ours.is_empty() {
        let message = format!("{host} does not match any daemon hosts in the ldms configuration file");
        return Err(Failure::World(anyhow!(message)));
    }
    std::fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    let generator = Generator::new(cluster, Style::Original);
    for daemon in &ours {
        if let Some(file) = generator.daemon(&daemon.name) {
            generate::write(dir, &daemon.name, &file)?;
        }
    }
    runtime::block_on(async {
        let mut interrupt = signal(SignalKind::interrupt()).context("cannot wait for SIGINT")?;
        let mut terminate = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
        let mut running = Vec::new();
        for daemon in ours {
            match start(daemon, dir, ldmsd) {
                Ok(child) => {
                    output::print(&format!("Starting {}\n", daemon.name))?;
                    running.push((daemon.name.clone(), child));
                }
                Err(failure) => {
                    stop(&mut running).await;
                    return Err(failure);
                }
            }
        }
        tokio::select! {
            failed = wait(&mut running, dir) => match failed {
                0 => Ok(()),
                count => Err(Failure::World(anyhow!("{count} daemons failed"))),
            },
            _ = interrupt.recv() => { stop(&mut running).await; Ok(()) }
            _ = terminate.recv() => { stop(&mut running).await; Ok(()) }
        }
    })?
}

/// Whether a host name or address of the file is this machine.
fn is_here(name: &str, host: &str) -> bool {
    let short = host.split('.').next().unwrap_or(host);
    // An address of this machine can be bound to; a name that stands for one resolves to it.
    name == host || name == short || UdpSocket::bind((name, 0)).is_ok()
}

/// Starts one daemon. Where it listens and how peers prove who they are is in its file.
fn start(daemon: &Daemon, dir: &Path, ldmsd: &Path) -> Result<Child, Failure> {
    let file = |suffix: &str| dir.join(format!("{}.{suffix}", daemon.name));
    let mut command = Command::new(ldmsd);
    command.arg("-n").arg(&daemon.name);
    command.arg("-c").arg(file("conf")).arg("-r").arg(file("pid")).arg("-l").arg(file("log")).arg("-F");
    // A process group of its own: Ctrl-C at the terminal comes to it through us, in order.
    command.stdin(Stdio::null()).stdout(Stdio::null()).process_group(0).kill_on_drop(true);
    let started = command.spawn();
    started
        .with_context(|| format!("cannot start {} for {}", ldmsd.display(), daemon.name))
        .map_err(Failure::World)
}

/// Waits until all have ended; how many failed.
async fn wait(running: &mut Vec<(String, Child)>, dir: &Path) -> usize {
    let mut failed = 0;
    while !running.is_empty() {
        running.retain_mut(|(name, child)| match child.try_wait() {
            Ok(None) => true,
            Ok(Some(status)) if status.success() => false,
            other => {
                let how = other.ok().flatten().map_or_else(|| "lost".to_owned(), |status| status.to_string());
                let log = dir.join(format!("{name}.log"));
                output::print_error(&format!("error: {name} ended ({how}); see {}\n", log.display()));
                failed += 1;
                false
            }
        });
        tokio::time::sleep(LOOK_EVERY).await;
    }
    failed
}

/// Asks all to end, and kills those that do not.
async fn stop(running: &mut [(String, Child)]) {
    for (_, child) in running.iter() {
        let pid = child.id().and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw);
        if let Some(pid) = pid {
            // It may have ended in this moment.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
    }
    let ended = async {
        for (_, child) in running.iter_mut() {
            let _ = child.wait().await;
        }
    };
    if tokio::time::timeout(STOP_GRACE, ended).await.is_err() {
        for (_, child) in running.iter_mut() {
            let _ = child.kill().await;
        }
    }
}
