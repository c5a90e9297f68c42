//! Slurm, by its own programs: `squeue`, `scontrol`, `sinfo` (the shapes of 22.05 and of 24.11).
//!
//! A server of ours either takes a name of a declared list (`pool.batch.nodes`, a hostlist), which is written into the
//! node's comment at the controller, so that it outlives us; or, from 24.11 on, registers under its own name
//! (`slurmd -Z`). Slurm 22.05 answers "no jobs" with exit code 0 when its controller is down, and says so only in
//! `errors`: those are looked at, and "nothing" is believed only when the controller answers a ping.

mod items;
mod read;

use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;

use self::items::Items;
use self::read::{SlurmNode, add_job};
use super::program::Programs;
use super::{Batch, BatchError, Candidate, DrainAnswer, DrainMode, Join, JoinRequest};
use crate::config::SlurmConfig;
use crate::model::{Demand, Worker, WorkerState};

/// With the controller away, Slurm's programs give up after 10 s; with munge hung, never.
const DEADLINE: Duration = Duration::from_secs(60);

/// A Slurm cluster.
#[derive(Debug)]
pub struct Slurm {
    config: SlurmConfig,
    programs: Programs,
}

impl Slurm {
    /// The cluster that the configuration names. Nothing is run yet.
    #[must_use]
    pub fn new(config: SlurmConfig) -> Self {
        let env = config.config_file.iter().map(|file| ("SLURM_CONF".to_owned(), file.display().to_string()));
        let programs = Programs { bin: config.bin.clone(), env: env.collect() };
        Self { config, programs }
    }

    /// A document of one of the programs; the items of the array `key` are handed out.
    async fn document(
        &self,
        program: &str,
        arguments: &[&str],
        key: &str,
        mut each: impl FnMut(Value),
    ) -> Result<(), BatchError> {
        let (mut items, mut nonsense, mut count) = (Items::of(key), false, 0_u64);
        let ended = self
            .programs
            .lines(program, arguments, DEADLINE, |line| {
                items.feed(line, |item| match serde_json::from_str(item) {
                    Ok(value) => {
                        count += 1;
                        each(value);
                    }
                    Err(_) => nonsense = true,
                });
            })
            .await?;
        let unknown = |text: String| BatchError::Unknown(format!("{program}: {text}"));
        if ended.code != Some(0) {
            return Err(unknown(ended.words()));
        }
        let rest = items.rest().filter(|rest| !nonsense && rest[key].is_array());
        let rest = rest.ok_or_else(|| unknown(format!("its answer has no {key}: {}", ended.words())))?;
        if let Some(error) = rest["errors"].as_array().and_then(|all| all.first()) {
            return Err(unknown(error.to_string()));
        }
        if count == 0 { self.ping().await } else { Ok(()) }
    }

    /// The sign of life that makes "nothing" a real nothing.
    async fn ping(&self) -> Result<(), BatchError> {
        let (text, ended) = self.programs.text("scontrol", &["ping"], DEADLINE).await?;
        if ended.code == Some(0) && text.contains("is UP") {
            return Ok(());
        }
        Err(BatchError::Unknown(format!("the controller gives no sign of life: {}", text.trim())))
    }

    /// All nodes. Slurm 22.05 has them in `sinfo`, later versions in `scontrol`.
    async fn nodes(&self) -> Result<Vec<SlurmNode>, BatchError> {
        let mut nodes = Vec::new();
        let mut add = |value: Value| nodes.extend(SlurmNode::read(&value));
        match self.document("scontrol", &["show", "nodes", "--json"], "nodes", &mut add).await {
            Ok(()) => Ok(nodes),
            Err(BatchError::Unknown(_)) => {
                let mut nodes = Vec::new();
                let mut add = |value: Value| nodes.extend(SlurmNode::read(&value));
                self.document("sinfo", &["--json"], "nodes", &mut add).await?;
                Ok(nodes)
            }
            Err(error) => Err(error),
        }
    }

    /// The names of the declared list; Slurm itself expands it.
    async fn declared(&self) -> Result<Vec<String>, BatchError> {
        let Some(list) = &self.config.nodes else { return Ok(Vec::new()) };
        let text = self.programs.believed("scontrol", &["show", "hostnames", list], DEADLINE).await?;
        Ok(text.lines().map(|line| line.trim().to_owned()).filter(|name| !name.is_empty()).collect())
    }

    /// The name of the node that has taken a node of Slurm.
    fn taken_by(&self, node: &SlurmNode, declared: &[String]) -> Option<String> {
        if self.config.dynamic {
            return node.states.iter().any(|state| state.starts_with("DYNAMIC")).then(|| node.name.clone());
        }
        (declared.contains(&node.name) && !node.comment.is_empty()).then(|| node.comment.clone())
    }

    async fn update(&self, node: &str, changes: &[String]) -> Result<(), UpdateError> {
        let mut arguments = vec!["update".to_owned(), format!("nodename={node}")];
        arguments.extend_from_slice(changes);
        let (text, ended) =
            self.programs.text("scontrol", &arguments, DEADLINE).await.map_err(UpdateError::Batch)?;
        if ended.code == Some(0) {
            return Ok(());
        }
        let said = format!("{} {}", text.trim(), ended.words());
        Err(if said.contains("Invalid node name") {
            UpdateError::NoSuchNode
        } else {
            UpdateError::Refused(said)
        })
    }

    async fn node(&self, name: &str) -> Result<Option<SlurmNode>, BatchError> {
        Ok(self.nodes().await?.into_iter().find(|node| node.name == name))
    }
}

enum UpdateError {
    NoSuchNode,
    Refused(String),
    Batch(BatchError),
}

/// For what is to be undone: nothing to undo is fine.
fn gone_is_fine(answer: Result<(), UpdateError>) -> Result<(), BatchError> {
    match answer {
        Ok(()) | Err(UpdateError::NoSuchNode) => Ok(()),
        Err(UpdateError::Refused(said)) => Err(BatchError::Refused(said)),
        Err(UpdateError::Batch(error)) => Err(error),
    }
}

#[async_trait]
impl Batch for Slurm {
    fn kind(&self) -> &'static str {
        "slurm"
    }

    async fn demand(&self, candidates: &[Candidate]) -> Result<Demand, BatchError> {
        let mut demand = Demand::default();
        let partitions = &self.config.partitions;
        self.document("squeue", &["--json"], "jobs", |job| {
            add_job(&mut demand, &job, candidates, partitions)
        })
        .await?;
        Ok(demand)
    }

    async fn workers(&self) -> Result<Vec<Worker>, BatchError> {
        let declared = self.declared().await?;
        let nodes = self.nodes().await?;
        let there = nodes.iter().filter(|node| node.is_there());
        Ok(there.map(|node| node.worker(self.taken_by(node, &declared))).collect())
    }

    async fn admit(&self, request: &JoinRequest) -> Result<Join, BatchError> {
        let tags = |name: &str| {
            vec![
                ("worker_name".to_owned(), name.to_owned()),
                ("lifetime_s".to_owned(), (request.lifetime_ms / 1000).to_string()),
                ("idle_shutdown_s".to_owned(), (request.idle_shutdown_ms / 1000).to_string()),
            ]
        };
        if self.config.dynamic {
            return Ok(Join { worker_handle: Some(request.node.clone()), tags: tags(&request.node) });
        }
        let declared = self.declared().await?;
        let nodes = self.nodes().await?;
        let ours = nodes.iter().filter(|node| declared.contains(&node.name));
        if let Some(node) = ours.clone().find(|node| node.comment == request.node) {
            return Ok(Join { worker_handle: Some(node.name.clone()), tags: tags(&node.name) });
        }
        let free = ours
            .clone()
            .find(|node| node.comment.is_empty() && !node.is_there() && node.allocated_cores == 0);
        let Some(node) = free else {
            let list = self.config.nodes.as_deref().unwrap_or_default();
            return Err(BatchError::Full(format!("all names of {list:?} are taken")));
        };
        match self.update(&node.name, &[format!("comment={}", request.node)]).await {
            Ok(()) => Ok(Join { worker_handle: Some(node.name.clone()), tags: tags(&node.name) }),
            Err(UpdateError::Batch(error)) => Err(error),
            Err(UpdateError::NoSuchNode) => {
                Err(BatchError::Refused(format!("Slurm has no node {}", node.name)))
            }
            Err(UpdateError::Refused(said)) => Err(BatchError::Refused(said)),
        }
    }

    async fn drain(&self, worker: &Worker, mode: DrainMode, reason: &str) -> Result<DrainAnswer, BatchError> {
        // DRAIN lets no job start from now on, so what is seen afterwards stays true.
        let changes = ["state=drain".to_owned(), format!("reason={reason}")];
        match self.update(&worker.handle, &changes).await {
            Ok(()) => {}
            Err(UpdateError::NoSuchNode) => return Ok(DrainAnswer::NoSuchWorker),
            Err(UpdateError::Refused(said)) => return Err(BatchError::Refused(said)),
            Err(UpdateError::Batch(error)) => return Err(error),
        }
        if mode == DrainMode::Peaceful {
            return Ok(DrainAnswer::Accepted);
        }
        match self.node(&worker.handle).await {
            Ok(Some(node)) if node.worker(None).state == WorkerState::Draining => {
                self.cancel_drain(worker).await?;
                Ok(DrainAnswer::Busy)
            }
            Ok(Some(_)) => Ok(DrainAnswer::Accepted),
            Ok(None) => Ok(DrainAnswer::NoSuchWorker),
            Err(error) => {
                // It is not known whether it had a job: it may have them again.
                self.cancel_drain(worker).await?;
                Err(error)
            }
        }
    }

    async fn cancel_drain(&self, worker: &Worker) -> Result<(), BatchError> {
        gone_is_fine(self.update(&worker.handle, &["state=resume".to_owned()]).await)
    }

    /// Its server is about to go; it stays drained until [`Batch::forget`].
    async fn off(&self, _worker: &Worker) -> Result<(), BatchError> {
        Ok(())
    }

    async fn forget(&self, node: &str, worker_handle: Option<&str>) -> Result<(), BatchError> {
        if self.config.dynamic {
            let name = worker_handle.unwrap_or(node);
            let arguments = ["delete", &format!("nodename={name}")];
            let (text, ended) = self.programs.text("scontrol", &arguments, DEADLINE).await?;
            let said = format!("{} {}", text.trim(), ended.words());
            let gone = ended.code == Some(0) || said.contains("Invalid node name");
            return if gone { Ok(()) } else { Err(BatchError::Refused(said)) };
        }
        let declared = self.declared().await?;
        let nodes = self.nodes().await?;
        for taken in nodes.iter().filter(|one| declared.contains(&one.name) && one.comment == node) {
            // The next server under this name must not find it drained. One that is not drained cannot be resumed.
            if taken.is("DRAIN") || taken.is("DOWN") {
                gone_is_fine(self.update(&taken.name, &["state=resume".to_owned()]).await)?;
            }
            gone_is_fine(self.update(&taken.name, &["comment=".to_owned()]).await)?;
        }
        Ok(())
    }
}
