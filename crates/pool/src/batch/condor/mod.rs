//! HTCondor, by its own programs: `condor_q`, `condor_status`, `condor_drain`, `condor_off`, `condor_token_create`,
//! `condor_advertise` (versions 23 and 25).
//!
//! What the programs say is believed only with exit code 0 and a silent standard error; an empty queue only when the
//! schedd's totals say so, an empty pool only when the collector says that it lives. `condor_q -global` is never used:
//! it answers "all queues are empty" with exit code 0 when there is no schedd at all.

mod candidate;
mod machine;
mod queue;
mod submit;

use std::io::Write as _;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::try_join_all;
use serde_json::Value;

use self::candidate::{PoolFacts, quoted, slot_ad};
use self::queue::{COLUMNS, FACTORY_COLUMNS, JobId, Queue};
use super::program::Programs;
use super::{Batch, BatchError, Candidate, DrainAnswer, DrainMode, Join, JoinRequest};
use crate::config::CondorConfig;
use crate::model::{Demand, Worker};

/// A hung schedd is given up by `condor_q` itself after 20 s.
const QUEUE_DEADLINE: Duration = Duration::from_secs(60);
/// A hung collector is given up by `condor_status` itself after 60 s; that is too long for us.
const STATUS_DEADLINE: Duration = Duration::from_secs(30);
/// For a command to one worker.
const COMMAND_DEADLINE: Duration = Duration::from_secs(30);
/// Groups of which each is matched by one job; with more than that all idle jobs are matched.
const REPRESENTATIVES_MAX: usize = 500;

/// An HTCondor pool.
#[derive(Debug)]
pub struct Condor {
    config: CondorConfig,
    programs: Programs,
    facts: Mutex<Option<PoolFacts>>,
}

impl Condor {
    /// The pool that the configuration names. Nothing is run yet.
    #[must_use]
    pub fn new(config: CondorConfig) -> Self {
        let env =
            config.config_file.iter().map(|file| ("CONDOR_CONFIG".to_owned(), file.display().to_string()));
        let programs = Programs { bin: config.bin.clone(), env: env.collect() };
        Self { config, programs, facts: Mutex::default() }
    }

    async fn status(&self, arguments: &[&str]) -> Result<String, BatchError> {
        self.programs.believed("condor_status", arguments, STATUS_DEADLINE).await
    }

    /// The schedds to ask: those of the configuration, else all that the collector knows.
    async fn schedds(&self) -> Result<Vec<String>, BatchError> {
        if !self.config.schedds.is_empty() {
            return Ok(self.config.schedds.clone());
        }
        let text = self.status(&["-schedd", "-af", "Name"]).await?;
        let names: Vec<String> =
            text.lines().map(|line| line.trim().to_owned()).filter(|n| !n.is_empty()).collect();
        if names.is_empty() {
            return Err(BatchError::Unknown("the collector knows no schedd".to_owned()));
        }
        Ok(names)
    }

    /// The queue of one schedd.
    async fn queue(&self, schedd: &str, candidates: &[Candidate]) -> Result<Demand, BatchError> {
        // A sign of life that is never empty, so that "no jobs" is a real "no jobs".
        let totals = ["-name", schedd, "-allusers", "-totals", "-json"];
        let totals = self.programs.believed("condor_q", &totals, QUEUE_DEADLINE).await?;
        let alive = serde_json::from_str::<Value>(&totals).is_ok_and(|ads| {
            ads.as_array().is_some_and(|ads| ads.iter().any(|ad| ad["MyType"] == "Summary"))
        });
        if !alive {
            return Err(BatchError::Unknown(format!("schedd {schedd} gives no sign of life")));
        }
        let mut queue = Queue::default();
        let wanted = self.config.constraint.as_deref().map_or_else(
            || "1".to_owned(),
            |constraint| format!("ifThenElse(({constraint}) =?= true, 1, 0)"),
        );
        let mut list = vec!["-name", schedd, "-allusers", "-af:t"];
        list.extend(COLUMNS);
        list.push(&wanted);
        let ended = self.programs.lines("condor_q", &list, QUEUE_DEADLINE, |line| queue.job(line)).await?;
        ended.believed("condor_q")?;
        let mut list = vec!["-name", schedd, "-allusers", "-factory", "-af:t"];
        list.extend(FACTORY_COLUMNS);
        let ended =
            self.programs.lines("condor_q", &list, QUEUE_DEADLINE, |line| queue.factory(line)).await?;
        ended.believed("condor_q -factory")?;
        if let Some(line) = &queue.nonsense {
            return Err(BatchError::Unknown(format!("schedd {schedd} says {line:?}")));
        }
        let ids = queue.representatives();
        let facts = if ids.is_empty() { PoolFacts::default() } else { self.facts().await? };
        let refused = candidates.iter().map(|candidate| self.unmatchable(schedd, candidate, &facts, &ids));
        let refused = try_join_all(refused).await?;
        let runs = |id: JobId| {
            let pairs = candidates.iter().zip(&refused);
            pairs
                .filter(|(_, refused)| refused.binary_search(&id).is_err())
                .map(|(c, _)| c.worker_type.clone())
                .collect()
        };
        Ok(queue.into_demand(runs))
    }

    /// Which of these jobs a candidate could not run, by HTCondor's own matchmaking; sorted.
    async fn unmatchable(
        &self,
        schedd: &str,
        candidate: &Candidate,
        facts: &PoolFacts,
        ids: &[JobId],
    ) -> Result<Vec<JobId>, BatchError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let file = temporary(&slot_ad(candidate, facts))?;
        let constraint = if ids.len() <= REPRESENTATIVES_MAX {
            let each = ids.iter().map(|id| format!("(ClusterId=={}&&ProcId=={})", id.cluster, id.proc));
            format!("JobStatus==1&&({})", each.collect::<Vec<_>>().join("||"))
        } else {
            "JobStatus==1".to_owned()
        };
        let path = file.path().display().to_string();
        let arguments = [
            "-name",
            schedd,
            "-allusers",
            "-constraint",
            &constraint,
            "-unmatchable",
            "-slotads",
            &path,
            "-af:t",
            "ClusterId",
            "ProcId",
        ];
        let mut refused = Vec::new();
        let mut nonsense = None;
        let read = |line: &str| {
            let mut fields = line.split('\t').map(|field| field.trim().parse::<u64>());
            match (fields.next(), fields.next()) {
                (Some(Ok(cluster)), Some(Ok(proc))) => refused.push(JobId { cluster, proc }),
                _ => nonsense = Some(line.chars().take(120).collect::<String>()),
            }
        };
        let ended = self.programs.lines("condor_q", &arguments, QUEUE_DEADLINE, read).await?;
        ended.believed("condor_q -unmatchable")?;
        if let Some(line) = nonsense {
            return Err(BatchError::Unknown(format!("condor_q -unmatchable says {line:?}")));
        }
        refused.sort_unstable();
        Ok(refused)
    }

    /// What the head's configuration says, once.
    async fn facts(&self) -> Result<PoolFacts, BatchError> {
        let known = self.facts.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(facts) = known {
            return Ok(facts);
        }
        let facts = PoolFacts {
            uid_domain: self.value_of("UID_DOMAIN").await?.unwrap_or_default(),
            filesystem_domain: self.value_of("FILESYSTEM_DOMAIN").await?.unwrap_or_default(),
            version: self
                .programs
                .believed("condor_version", &[""; 0], COMMAND_DEADLINE)
                .await?
                .lines()
                .next()
                .unwrap_or_default()
                .to_owned(),
        };
        *self.facts.lock().unwrap_or_else(PoisonError::into_inner) = Some(facts.clone());
        Ok(facts)
    }

    /// A value of HTCondor's configuration; `None`: it is not set.
    async fn value_of(&self, name: &str) -> Result<Option<String>, BatchError> {
        let (text, ended) = self.programs.text("condor_config_val", &[name], COMMAND_DEADLINE).await?;
        let said = format!("{text} {}", ended.stderr);
        if ended.code != Some(0) && said.contains("Not defined") {
            return Ok(None);
        }
        ended.believed("condor_config_val")?;
        Ok(Some(text.trim().to_owned()).filter(|value| !value.is_empty()))
    }

    /// A token with which one node may join, and do nothing else. It needs the signing key, no daemon.
    async fn token(&self, lifetime_ms: u64) -> Result<String, BatchError> {
        let domain = match self.value_of("TRUST_DOMAIN").await? {
            Some(domain) => domain,
            None => self.facts().await?.uid_domain,
        };
        let (identity, lifetime) = (format!("worker@{domain}"), (lifetime_ms / 1000).max(60).to_string());
        let arguments = [
            "-identity",
            &identity,
            "-authz",
            "ADVERTISE_STARTD",
            "-authz",
            "ADVERTISE_MASTER",
            "-lifetime",
            &lifetime,
        ];
        let (text, ended) = self.programs.text("condor_token_create", &arguments, COMMAND_DEADLINE).await?;
        if ended.code != Some(0) {
            return Err(BatchError::Setup(format!("condor_token_create: {}", ended.words())));
        }
        let token = text.trim();
        if token.split('.').count() != 3 {
            return Err(BatchError::Setup("condor_token_create gave no token".to_owned()));
        }
        Ok(token.to_owned())
    }

    /// A command to one worker; the answer is how it ended and all that it said.
    async fn command(&self, program: &str, arguments: &[&str]) -> Result<(bool, String), BatchError> {
        let (text, ended) = self.programs.text(program, arguments, COMMAND_DEADLINE).await?;
        Ok((ended.code == Some(0), format!("{} {}", text.trim(), ended.words())))
    }

    async fn withdraw(&self, command: &str, target: &str, requirements: &str) -> Result<(), BatchError> {
        let ad = format!("MyType = \"Query\"\nTargetType = \"{target}\"\nRequirements = {requirements}\n");
        let file = temporary(&ad)?;
        let path = file.path().display().to_string();
        let (done, said) = self.command("condor_advertise", &[command, &path]).await?;
        if done { Ok(()) } else { Err(BatchError::Unknown(format!("condor_advertise: {said}"))) }
    }
}

/// A file for a program to read, removed when it is dropped. Nothing in it is secret, and the program may have been told
/// to run as somebody else.
fn temporary(text: &str) -> Result<tempfile::NamedTempFile, BatchError> {
    let write = || -> std::io::Result<tempfile::NamedTempFile> {
        let mut file = tempfile::NamedTempFile::new()?;
        file.as_file().set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))?;
        file.write_all(text.as_bytes())?;
        file.flush()?;
        Ok(file)
    };
    write().map_err(|error| BatchError::Setup(format!("a temporary file cannot be written: {error}")))
}

/// Whether a command failed since the worker is not there, or does not answer any more.
fn is_no_such_worker(said: &str) -> bool {
    ["Can't find address", "can't find address", "Failed to connect", "not found"]
        .iter()
        .any(|text| said.contains(text))
}

#[async_trait]
impl Batch for Condor {
    fn kind(&self) -> &'static str {
        "htcondor"
    }

    async fn demand(&self, candidates: &[Candidate]) -> Result<Demand, BatchError> {
        let schedds = self.schedds().await?;
        let queues = try_join_all(schedds.iter().map(|schedd| self.queue(schedd, candidates))).await?;
        let mut all = Demand::default();
        for queue in queues {
            all.groups.extend(queue.groups);
            all.running_jobs += queue.running_jobs;
            all.held_jobs += queue.held_jobs;
            all.other_jobs += queue.other_jobs;
            all.suspended_jobs += queue.suspended_jobs;
        }
        Ok(all)
    }

    async fn workers(&self) -> Result<Vec<Worker>, BatchError> {
        let slots = ["-json", "-attributes", machine::ATTRIBUTES, "-constraint", machine::CONSTRAINT];
        let masters = ["-master", "-json", "-attributes", machine::MASTER_ATTRIBUTES];
        // The masters first: one whose startd has ended in between is still a worker by its master.
        let masters = self.status(&masters).await?;
        let slots = self.status(&slots).await?;
        if slots.trim().is_empty() {
            // The collector answers with its own ad when it lives.
            let alive = self.status(&["-collector", "-af", "Name"]).await?;
            if alive.trim().is_empty() {
                return Err(BatchError::Unknown("the collector gives no sign of life".to_owned()));
            }
        }
        let nonsense = |error: String| BatchError::Unknown(format!("condor_status: {error}"));
        let slots = machine::ads(&slots).map_err(nonsense)?;
        Ok(machine::workers(&slots, &machine::ads(&masters).map_err(nonsense)?))
    }

    async fn admit(&self, request: &JoinRequest) -> Result<Join, BatchError> {
        let mut tags = vec![("worker_name".to_owned(), request.node.clone())];
        if self.config.idtokens {
            tags.push(("token".to_owned(), self.token(request.lifetime_ms).await?));
        }
        if let Some(password) = &self.config.password {
            tags.push(("password".to_owned(), password.reveal().to_owned()));
        }
        let head = match &self.config.host_ip {
            Some(address) => Some(address.clone()),
            None => self.value_of("COLLECTOR_HOST").await?,
        };
        tags.push(("master_ip".to_owned(), head.unwrap_or_default()));
        tags.push(("uid_domain".to_owned(), self.facts().await?.uid_domain));
        tags.push(("lifetime_s".to_owned(), (request.lifetime_ms / 1000).to_string()));
        tags.push(("idle_shutdown_s".to_owned(), (request.idle_shutdown_ms / 1000).to_string()));
        Ok(Join { worker_handle: None, tags })
    }

    async fn drain(&self, worker: &Worker, mode: DrainMode, reason: &str) -> Result<DrainAnswer, BatchError> {
        let (done, said) = match mode {
            // The startd itself looks whether it is idle, and takes no job from then on.
            DrainMode::OnlyIfIdle => {
                let arguments = [
                    "-graceful",
                    "-reason",
                    reason,
                    "-check",
                    "Cpus == TotalSlotCpus",
                    worker.handle.as_str(),
                ];
                self.command("condor_drain", &arguments).await?
            }
            // Whatever MaxJobRetirementTime says on the worker: condor_drain would evict by it.
            DrainMode::Peaceful => {
                let startd = machine::startd_of(&worker.handle);
                self.command("condor_off", &["-peaceful", "-startd", "-name", startd]).await?
            }
        };
        match done {
            true => Ok(DrainAnswer::Accepted),
            false if said.contains("10003") || said.contains("check expression is false") => {
                Ok(DrainAnswer::Busy)
            }
            false if said.contains("already draining") => Ok(DrainAnswer::Accepted),
            false if is_no_such_worker(&said) => {
                // The master is asked, too, and its ad may come later than that of its startd.
                let named = format!("Name == {}", quoted(&worker.handle));
                let there = self.status(&["-constraint", &named, "-af", "Name"]).await?;
                if there.trim().is_empty() {
                    Ok(DrainAnswer::NoSuchWorker)
                } else {
                    Err(BatchError::Refused(said))
                }
            }
            false => Err(BatchError::Refused(said)),
        }
    }

    async fn cancel_drain(&self, worker: &Worker) -> Result<(), BatchError> {
        let (done, said) = self.command("condor_drain", &["-cancel", worker.handle.as_str()]).await?;
        // A startd that was to end peacefully has ended or will: its master starts it again.
        if !done && !is_no_such_worker(&said) {
            return Err(BatchError::Refused(said));
        }
        let startd = machine::startd_of(&worker.handle);
        let (done, said) = self.command("condor_on", &["-startd", "-name", startd]).await?;
        if done { Ok(()) } else { Err(BatchError::Refused(said)) }
    }

    async fn off(&self, worker: &Worker) -> Result<(), BatchError> {
        let startd = machine::startd_of(&worker.handle);
        match self.command("condor_off", &["-peaceful", "-master", "-name", startd]).await? {
            (true, _) => Ok(()),
            (false, said) if is_no_such_worker(&said) => Ok(()),
            (false, said) => Err(BatchError::Refused(said)),
        }
    }

    async fn forget(&self, node: &str, worker_handle: Option<&str>) -> Result<(), BatchError> {
        let requirements = format!("ElasticNode == {}", quoted(node));
        self.withdraw("INVALIDATE_STARTD_ADS", "Machine", &requirements).await?;
        if let Some(handle) = worker_handle {
            let name = format!("Name == {}", quoted(machine::startd_of(handle)));
            self.withdraw("INVALIDATE_MASTER_ADS", "DaemonMaster", &name).await?;
        }
        Ok(())
    }
}
