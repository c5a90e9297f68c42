//! The loop: looks, takes a turn, writes down what it has changed, has the orders carried out.
//!
//! **Expected flow.** At every step, and whenever something has changed, the observers look; what they have seen goes
//! through [`crate::cycle::turn`]; what that has changed is saved; then the orders go out, one task for each node. What
//! comes of them, and what operators ask for, arrives as news. One task owns the memory, so nothing is locked while it
//! is decided or saved.
//!
//! **Guarantees.** Nothing is done that was not written down before. While the record cannot be written nothing is
//! begun. Killed at any instruction, the successor finds all that was begun by the record and by the marks.
//!
//! **Errors.** A cloud, the batch system, the record or the configuration that fails is told (journal, status) and tried
//! again with the next step; it stops nothing else.

mod desk;
mod news;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use campanile_control::journal::{Journal, NewEvent, kinds};
use campanile_control::{WorkerHandle, Workers};
use campanile_yaml::Diagnostics;
use tokio::sync::{Notify, mpsc, oneshot};

pub use desk::Desk;
pub(crate) use desk::with_source;
pub use news::{Ask, News};

use crate::batch::DrainAnswer;
use crate::clouds::CloudError;
use crate::config::PoolConfig;
use crate::cycle::{Memory, Seen};
use crate::model::Node;
use crate::observe::{Observers, SideStatus};
use crate::plan::Plan;
use crate::record::Record;
use crate::sides::Sides;
use crate::time::Time;

/// News that may wait for the desk.
const NEWS: usize = 4_096;

/// Reads the configuration again. Blocks; the settings of the database come in.
pub type ReadConfig =
    Arc<dyn Fn(&BTreeMap<String, String>) -> (Option<PoolConfig>, Diagnostics) + Send + Sync>;

/// What others may see of the pool; replaced after every turn and all news.
#[derive(Clone, Debug, Default)]
pub struct Sight {
    /// The memory as it is.
    pub memory: Memory,
    /// What the last turn has seen.
    pub seen: Seen,
    /// What it has decided.
    pub plan: Plan,
    /// When; 0: there was none yet.
    pub turn_ms: u64,
    /// How many there were.
    pub turns: u64,
    /// Why the record cannot be written.
    pub record_trouble: Option<String>,
    /// Why the last change of the configuration was refused.
    pub config_trouble: Option<String>,
}

/// A pool, as its tasks and operations share it.
pub struct Pool {
    /// Its time.
    pub time: Time,
    /// What happens is kept here.
    pub journal: Journal,
    /// The record.
    pub record: Record,
    /// Its background loops.
    pub workers: Workers,
    observers: Observers,
    config: RwLock<Arc<PoolConfig>>,
    sides: RwLock<Sides>,
    sight: Mutex<Arc<Sight>>,
    news: mpsc::Sender<News>,
    in_flight: Mutex<BTreeSet<String>>,
    /// Clouds that are to be swept.
    sweeps: Mutex<BTreeSet<String>>,
    /// Something has changed: take a turn soon.
    pub(crate) changed: Notify,
    act_handle: WorkerHandle,
    state_dir: PathBuf,
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Pool").field("record", &self.record).finish_non_exhaustive()
    }
}

impl Pool {
    /// A pool that does nothing until its [`Desk`] is run.
    #[must_use]
    pub fn new(
        config: PoolConfig,
        sides: Sides,
        memory: Memory,
        (time, journal, record, workers): (Time, Journal, Record, Workers),
        read_config: ReadConfig,
        state_dir: &Path,
    ) -> (Arc<Self>, Desk) {
        let (sender, receiver) = mpsc::channel(NEWS);
        let sight = Sight { memory: memory.clone(), ..Sight::default() };
        let pool = Arc::new(Self {
            observers: Observers::new(time.clone(), workers.clone()),
            act_handle: workers.register("orders"),
            state_dir: state_dir.to_owned(),
            time,
            journal,
            record,
            workers,
            config: RwLock::new(Arc::new(config)),
            sides: RwLock::new(sides),
            sight: Mutex::new(Arc::new(sight)),
            news: sender,
            in_flight: Mutex::default(),
            sweeps: Mutex::default(),
            changed: Notify::new(),
        });
        let desk = Desk::new(Arc::clone(&pool), receiver, memory, read_config);
        (pool, desk)
    }

    /// Where local clouds and the local queue live.
    #[must_use]
    pub fn state_dir(&self) -> PathBuf {
        self.state_dir.clone()
    }

    /// The configuration in force.
    #[must_use]
    pub fn config(&self) -> Arc<PoolConfig> {
        Arc::clone(&self.config.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The two sides of the world.
    #[must_use]
    pub fn sides(&self) -> Sides {
        self.sides.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What was seen and decided last.
    #[must_use]
    pub fn sight(&self) -> Arc<Sight> {
        Arc::clone(&lock(&self.sight))
    }

    /// Who answers, and how.
    #[must_use]
    pub fn sides_status(&self) -> Vec<SideStatus> {
        self.observers.status(&self.sides())
    }

    /// Whether a node of this name is there.
    #[must_use]
    pub fn has_node(&self, name: &str) -> bool {
        self.sight().memory.nodes.iter().any(|node| node.name == name && crate::act::is_there(node))
    }

    /// Asks for something, as an operator.
    ///
    /// # Errors
    /// In words: it makes no sense, or the pool ends.
    pub async fn ask(&self, ask: Ask) -> Result<String, String> {
        let (reply, answer) = oneshot::channel();
        let gone = |_| "the pool ends".to_owned();
        self.news.send(News::Ask { ask, reply }).await.map_err(|_| "the pool ends".to_owned())?;
        answer.await.map_err(gone)?
    }

    /// Keeps an event about a node.
    pub(crate) fn tell(&self, node: &str, text: String, is_alarm: bool) {
        if is_alarm {
            tracing::warn!(node, "{text}");
        } else {
            tracing::info!(node, "{text}");
        }
        let kind = if is_alarm { kinds::ERROR } else { kinds::STATE };
        self.journal.record(NewEvent::new(kind, node, text));
    }

    pub(crate) async fn enter_created(&self, node: &str, answer: &Result<String, CloudError>) {
        self.send(News::Created { node: node.to_owned(), answer: answer.clone() }).await;
    }

    pub(crate) async fn enter_not_admitted(&self, node: &str, why: &str) {
        self.send(News::NotAdmitted { node: node.to_owned(), why: why.to_owned() }).await;
    }

    pub(crate) async fn enter_drain(&self, node: &str, answer: DrainAnswer) {
        self.send(News::Drained { node: node.to_owned(), answer }).await;
    }

    /// Writes down by what name a node's worker will come. Says whether that is done.
    pub(crate) async fn enter_handle(&self, node: &str, handle: String) -> bool {
        let (reply, answer) = oneshot::channel();
        self.send(News::Handle { node: node.to_owned(), handle, reply }).await;
        answer.await.unwrap_or(false)
    }

    /// The orders of a node are carried out.
    pub(crate) fn let_go(&self, node: &str) {
        let mut in_flight = lock(&self.in_flight);
        in_flight.remove(node);
        if in_flight.is_empty() {
            self.act_handle.idle();
        }
    }

    /// Claims a node for its orders. Says whether nobody else carries out some at the moment.
    fn claim(&self, node: &str) -> bool {
        lock(&self.in_flight).insert(node.to_owned())
    }

    /// The face of a loop among the workers.
    pub(crate) fn loop_handle(&self, name: &str) -> Arc<WorkerHandle> {
        self.observers.handle(name)
    }

    /// How many nodes have orders that are being carried out.
    #[must_use]
    pub fn orders_in_flight(&self) -> usize {
        lock(&self.in_flight).len()
    }

    /// A node has gone: what it may have left behind is looked for.
    pub(crate) fn sweep_soon(&self, cloud: &str) {
        lock(&self.sweeps).insert(cloud.to_owned());
    }

    fn take_sweeps(&self) -> BTreeSet<String> {
        std::mem::take(&mut *lock(&self.sweeps))
    }

    async fn send(&self, news: News) {
        // The desk is gone only at the end, when the record is all that counts.
        let _ = self.news.send(news).await;
    }

    fn show(&self, sight: Sight) {
        *lock(&self.sight) = Arc::new(sight);
    }
}

/// What was written down of a node.
pub(crate) fn note(pool: &Pool, node: &Node, event: &crate::cycle::Event) {
    pool.tell(&node.name, event.text.clone(), event.is_alarm);
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing can panic half-way through a change here.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
