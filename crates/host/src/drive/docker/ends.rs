//! The ends of containers as the system tells them. The engine says that a container has died when it has tidied up after
//! it, which takes some fifty milliseconds, and longer on a busy machine; a handle (pidfd) of its first process tells it
//! at once, and costs nothing while nothing happens. How it ended only the engine can say.

use std::collections::BTreeMap;
use std::fs;

use rustix::process::{Pid, PidfdFlags, pidfd_open};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::task::JoinSet;

use super::containers::Known;

/// So many containers are watched at most; of further ones the engine tells.
const MAX_WATCHED: usize = 1000;

/// One run of a container, from a start to an end.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Run {
    /// The container.
    pub(super) id: String,
    /// Its first process.
    pub(super) pid: u32,
    /// When it was started, in the engine's words.
    pub(super) started_at: String,
}

/// The runs whose end is watched.
#[derive(Debug, Default)]
pub(super) struct Ends {
    tasks: JoinSet<Run>,
    /// By container; each run is watched once.
    watched: BTreeMap<String, Run>,
}

impl Ends {
    /// Watches every container that runs and is not watched yet.
    pub(super) fn watch(&mut self, known: &BTreeMap<String, Known>) {
        self.watched.retain(|id, _| known.contains_key(id));
        for (id, known) in known {
            let Some(run) = known.run(id) else { continue };
            if self.watched.get(id) == Some(&run) || self.tasks.len() >= MAX_WATCHED {
                continue;
            }
            self.watched.insert(id.clone(), run.clone());
            if let Some(handle) = open(&run) {
                self.tasks.spawn(async move {
                    // An error leaves it to the engine; so does a runtime that ends.
                    if handle.readable().await.is_err() {
                        std::future::pending::<()>().await;
                    }
                    run
                });
            }
        }
    }

    /// The next run that has ended. For ever where none is watched.
    pub(super) async fn next(&mut self) -> Run {
        loop {
            match self.tasks.join_next().await {
                Some(Ok(run)) => return run,
                Some(Err(_)) => {}
                None => std::future::pending().await,
            }
        }
    }
}

/// A handle of the first process of a container; `None` if that cannot be had, as with an engine on another machine,
/// whose numbers mean other processes here.
fn open(run: &Run) -> Option<AsyncFd<std::os::fd::OwnedFd>> {
    let pid = i32::try_from(run.pid).ok().and_then(Pid::from_raw)?;
    let handle = pidfd_open(pid, PidfdFlags::empty()).ok()?;
    // The handle first: what is looked at then is the process that it holds, or nothing.
    let groups = fs::read_to_string(format!("/proc/{}/cgroup", run.pid)).ok()?;
    if !groups.contains(&run.id) {
        return None;
    }
    #[expect(
        deprecated,
        reason = "its successor is an unsafe function that asks that the descriptor stays open and the same for as long \
                  as the AsyncFd lives; this one is owned by it"
    )]
    let watched = AsyncFd::with_interest(handle, Interest::READABLE);
    watched.ok()
}
