//! A small pool beside the site: jobs are submitted, workers come for them and go again.
//!
//! The daemon is `campanile pool run`, a process of the stage; its cloud and its queue are those that come with the
//! program, so its workers are processes of this machine.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use campanile_ocs::client::{Endpoint, OcsClient};
use campanile_pool::batch::local::{LocalQueue, NewJob};
use campanile_pool::config::{Place as ConfigPlace, read};
use campanile_pool::model::Resources;
use campanile_pool::run::{ADDRESS_FILE, CONTROL_SOCKET, state_path};
use campanile_pool::sides::QUEUE_FILE;
use campanile_wamp::{Dict, Value};

use super::place::Place;
use super::stage::Stage;

/// The pool's configuration, as EHOS has it.
const EHOS_YAML: &str = "\
ehos: {project_prefix: demo}
daemon: {nodes_min: 0, nodes_max: 3, nodes_spare: 0, sleep: 1, hostname: demo}
pool:
  clouds:
    here: {cloud: local, cores: 4, memory: 4G, machines: {small: {cores: 1, memory: 512M}}}
  batch: local
  shrink: {idle: 3s, cool_down: 1s}
  lease: {lifetime: 1h, idle_shutdown: 1m}
";
const JOBS: u32 = 6;
/// What each of them does.
const JOB: [&str; 2] = ["sleep", "4"];
/// How long the pool stands empty before they come, seconds.
const PAUSE_S: f64 = 9.0;
/// How long the daemon may take to answer.
const ANSWER: Duration = Duration::from_secs(2);

/// What comes next in the story.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Scene {
    /// The daemon comes up.
    Begin,
    /// It answers, since this moment.
    Idle(f64),
    /// The jobs are submitted.
    Busy,
    /// The story is told.
    Told,
}

/// The pool.
pub(crate) struct Pool {
    state: PathBuf,
    queue: LocalQueue,
    daemon: Option<(OcsClient, String)>,
    scene: Scene,
    /// Whether jobs are submitted for the sake of the show.
    plays: bool,
    last: String,
}

impl Pool {
    /// Starts the daemon.
    pub(crate) async fn begin(place: &Place, stage: &mut Stage, plays: bool) -> anyhow::Result<Self> {
        let file = place.path().join("ehos.yaml");
        std::fs::write(&file, EHOS_YAML).with_context(|| format!("cannot write {}", file.display()))?;
        let here = ConfigPlace::here().context("there is no working directory")?;
        let (config, _) = read(std::slice::from_ref(&file), &here);
        let config = config.context("the pool of the demo is no pool")?;
        let state = state_path(Some(&place.state()), &config).context("no place for state")?;
        std::fs::create_dir_all(&state).with_context(|| format!("cannot make {}", state.display()))?;
        let queue = LocalQueue::open(&state.join(QUEUE_FILE)).await.context("the queue cannot be opened")?;
        stage.start_pool(&file)?;
        Ok(Self { state, queue, daemon: None, scene: Scene::Begin, plays, last: String::new() })
    }

    /// Plays on; gives what there is to tell since the last time.
    pub(crate) async fn look(&mut self, now_s: f64) -> Vec<String> {
        let Some(workers) = self.workers().await else { return Vec::new() };
        let counts = self.queue.counts().await.unwrap_or_default();
        let count =
            |state: &str| counts.iter().find(|(name, _)| name == state).map_or(0, |(_, count)| *count);
        let (idle, running, done) = (count("idle"), count("running"), count("done"));
        let mut told = Vec::new();
        let line = format!("Pool: {idle} jobs wait, {running} run, {done} are done; {workers} workers");
        if line != self.last {
            told.push(line.clone());
            self.last = line;
        }
        self.scene = match self.scene {
            Scene::Begin => Scene::Idle(now_s),
            Scene::Idle(since_s) if self.plays && now_s - since_s >= PAUSE_S => {
                let job = NewJob {
                    request: Resources::new(1, 128),
                    command: JOB.map(str::to_owned).to_vec(),
                    working_dir: self.state.clone(),
                };
                match self.queue.submit(&job, JOBS).await {
                    Ok(_) => told.push(format!("* {JOBS} jobs are submitted to the pool's queue.")),
                    Err(error) => told.push(format!("no jobs can be submitted: {error}")),
                }
                Scene::Busy
            }
            Scene::Busy if done == u64::from(JOBS) && workers == 0 => {
                told.push("Pool: all jobs are done, and the workers have gone".to_owned());
                Scene::Told
            }
            other => other,
        };
        told
    }

    /// How many workers the daemon keeps; `None` while it does not answer.
    async fn workers(&mut self) -> Option<u64> {
        if self.daemon.is_none() {
            let address = std::fs::read_to_string(self.state.join(ADDRESS_FILE)).ok()?;
            let endpoint = Endpoint::Unix(self.state.join(CONTROL_SOCKET));
            let client = OcsClient::connect(endpoint, ANSWER).await.ok()?;
            self.daemon = Some((client, address.trim().to_owned()));
        }
        let (client, address) = self.daemon.as_ref()?;
        let name = format!("{address}.status");
        let asked = client.call(&name, vec![Value::Null], Dict::new());
        match tokio::time::timeout(ANSWER, asked).await {
            Ok(Ok(status)) => status.to_json()["counts"]["total"].as_u64(),
            _ => {
                self.daemon = None;
                None
            }
        }
    }
}
