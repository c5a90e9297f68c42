//! Looking at the world: every cloud and the batch system in a task of its own, so that a slow one holds up nobody.
//!
//! A turn waits a short while for all of them, then takes what it has: an answer that is too old counts as none.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use campanile_control::{WorkerHandle, Workers};
use tokio::sync::Notify;

use crate::batch::Candidate;
use crate::clouds::{Cloud, CloudError};
use crate::config::PoolConfig;
use crate::cycle::{CloudSeen, Seen};
use crate::model::{Demand, Flavor, Mark, Worker};
use crate::sides::{Sides, candidates};
use crate::time::Time;

/// How long a turn waits for answers.
const PATIENCE: Duration = Duration::from_secs(8);
/// The longest look at one cloud, or at the batch system; each of its calls has a deadline of its own.
const LOOK_DEADLINE: Duration = Duration::from_secs(180);
/// An answer counts for so many steps, and for at least the time below.
const STALE_STEPS: u64 = 3;
const STALE_MIN_MS: u64 = 90_000;
/// What can be bought is asked for that seldom.
const FLAVORS_MS: u64 = 600_000;

/// The last answer of one side.
#[derive(Debug)]
struct Answer<T> {
    in_flight: bool,
    last: Option<(u64, T)>,
    error: Option<String>,
}

impl<T> Default for Answer<T> {
    fn default() -> Self {
        Self { in_flight: false, last: None, error: None }
    }
}

impl<T: Clone> Answer<T> {
    fn fresh(&self, now_ms: u64, step_ms: u64) -> Option<T> {
        let stale_ms = (step_ms * STALE_STEPS).max(STALE_MIN_MS);
        let (at_ms, value) = self.last.as_ref()?;
        // An error after it is an answer, too: what was known is no longer known.
        (self.error.is_none() && now_ms.saturating_sub(*at_ms) <= stale_ms).then(|| value.clone())
    }
}

/// What a look at a batch system gives.
type BatchSeen = (Vec<Worker>, Demand);

#[derive(Debug, Default)]
struct Answers {
    clouds: BTreeMap<String, Answer<CloudSeen>>,
    flavors: BTreeMap<String, (u64, Vec<Flavor>)>,
    batch: Answer<BatchSeen>,
}

/// Who answers, and how.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct SideStatus {
    /// The cloud's name, or the word for the batch system.
    pub name: String,
    /// When it answered last, milliseconds since the epoch.
    pub answered_ms: Option<u64>,
    /// Why it does not.
    pub error: Option<String>,
}

/// The observers of a pool. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Observers {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    answers: Mutex<Answers>,
    finished: Notify,
    time: Time,
    workers: Workers,
    handles: Mutex<BTreeMap<String, Arc<WorkerHandle>>>,
}

impl Observers {
    /// Observers that have seen nothing yet.
    #[must_use]
    pub fn new(time: Time, workers: Workers) -> Self {
        let shared = Shared {
            answers: Mutex::default(),
            finished: Notify::new(),
            time,
            workers,
            handles: Mutex::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Looks at everything, waits a while, and gives what is known then.
    pub async fn look(&self, sides: &Sides, config: &PoolConfig) -> Seen {
        self.begin(sides, config);
        let waited = tokio::time::timeout(PATIENCE, async {
            loop {
                let finished = self.shared.finished.notified();
                if !self.is_any_in_flight(sides) {
                    return;
                }
                finished.await;
            }
        });
        // Whoever is late is taken in with a later turn.
        let _ = waited.await;
        self.seen(sides, config)
    }

    fn seen(&self, sides: &Sides, config: &PoolConfig) -> Seen {
        let now_ms = self.shared.time.now_ms();
        let answers = self.lock();
        let cloud = |cloud: &Arc<dyn Cloud>| {
            let name = cloud.name();
            let fresh = answers.clouds.get(name).and_then(|answer| answer.fresh(now_ms, config.step_ms));
            fresh.unwrap_or_else(|| CloudSeen { name: name.to_owned(), ..CloudSeen::default() })
        };
        let (workers, demand) = answers.batch.fresh(now_ms, config.step_ms).unzip();
        Seen { now_ms, clouds: sides.clouds.iter().map(cloud).collect(), workers, demand }
    }

    /// Who answers, and how: the batch system first.
    #[must_use]
    pub fn status(&self, sides: &Sides) -> Vec<SideStatus> {
        let answers = self.lock();
        let mut list = vec![SideStatus {
            name: sides.batch.kind().to_owned(),
            answered_ms: answers.batch.last.as_ref().map(|(at_ms, _)| *at_ms),
            error: answers.batch.error.clone(),
        }];
        for cloud in &sides.clouds {
            let answer = answers.clouds.get(cloud.name());
            list.push(SideStatus {
                name: cloud.name().to_owned(),
                answered_ms: answer.and_then(|answer| answer.last.as_ref()).map(|(at_ms, _)| *at_ms),
                error: answer.and_then(|answer| answer.error.clone()),
            });
        }
        list
    }

    /// Forgets everything: the configuration names other sides now.
    pub fn forget(&self) {
        *self.lock() = Answers::default();
    }

    fn is_any_in_flight(&self, sides: &Sides) -> bool {
        let answers = self.lock();
        let of_clouds = sides
            .clouds
            .iter()
            .any(|cloud| answers.clouds.get(cloud.name()).is_some_and(|answer| answer.in_flight));
        of_clouds || answers.batch.in_flight
    }

    fn begin(&self, sides: &Sides, config: &PoolConfig) {
        let now_ms = self.shared.time.now_ms();
        for cloud in &sides.clouds {
            let flavors = {
                let mut answers = self.lock();
                let answer = answers.clouds.entry(cloud.name().to_owned()).or_default();
                if std::mem::replace(&mut answer.in_flight, true) {
                    continue;
                }
                let known = answers.flavors.get(cloud.name());
                known
                    .filter(|(at_ms, _)| now_ms.saturating_sub(*at_ms) < FLAVORS_MS)
                    .map(|(_, list)| list.clone())
            };
            let (observers, cloud, mark) = (self.clone(), Arc::clone(cloud), config.mark.clone());
            tokio::spawn(async move { observers.look_at_cloud(cloud.as_ref(), &mark, flavors).await });
        }
        let flavors: Vec<Flavor> = {
            let mut answers = self.lock();
            if std::mem::replace(&mut answers.batch.in_flight, true) {
                return;
            }
            answers.flavors.values().flat_map(|(_, list)| list.clone()).collect()
        };
        let candidates = candidates(config, &flavors);
        let (observers, sides) = (self.clone(), sides.clone());
        tokio::spawn(async move { observers.look_at_batch(&sides, &candidates).await });
    }

    async fn look_at_cloud(&self, cloud: &dyn Cloud, mark: &Mark, known: Option<Vec<Flavor>>) {
        let handle = self.handle(&format!("cloud {}", cloud.name()));
        handle.busy("looking");
        let is_known = known.is_some();
        let look = tokio::time::timeout(LOOK_DEADLINE, see_cloud(cloud, mark, known)).await;
        let now_ms = self.shared.time.now_ms();
        {
            let mut answers = self.lock();
            let answer = answers.clouds.entry(cloud.name().to_owned()).or_default();
            answer.in_flight = false;
            match look {
                Ok(Ok(seen)) => {
                    answer.error = None;
                    let flavors = seen.flavors.clone();
                    answer.last = Some((now_ms, seen));
                    if let (false, Some(flavors)) = (is_known, flavors) {
                        answers.flavors.insert(cloud.name().to_owned(), (now_ms, flavors));
                    }
                }
                Ok(Err(error)) => answer.error = Some(error.to_string()),
                Err(_) => {
                    answer.error = Some(format!("no end of its answer after {} s", LOOK_DEADLINE.as_secs()))
                }
            }
            if let Some(error) = answers.clouds.get(cloud.name()).and_then(|answer| answer.error.clone()) {
                handle.error(&error);
            }
        }
        handle.idle();
        self.shared.finished.notify_waiters();
    }

    async fn look_at_batch(&self, sides: &Sides, candidates: &[Candidate]) {
        let handle = self.handle(sides.batch.kind());
        handle.busy("looking");
        let look = async {
            let workers = sides.batch.workers().await?;
            // After the workers: a job that starts in between is not counted twice. That its worker still looks idle
            // does no harm, since the batch system checks that once more when it drains.
            let demand = sides.batch.demand(candidates).await?;
            Ok::<_, crate::batch::BatchError>((workers, demand))
        };
        let look = tokio::time::timeout(LOOK_DEADLINE, look).await;
        let now_ms = self.shared.time.now_ms();
        {
            let mut answers = self.lock();
            answers.batch.in_flight = false;
            match look {
                Ok(Ok(seen)) => {
                    answers.batch.error = None;
                    answers.batch.last = Some((now_ms, seen));
                }
                Ok(Err(error)) => answers.batch.error = Some(error.to_string()),
                Err(_) => {
                    answers.batch.error =
                        Some(format!("no end of its answer after {} s", LOOK_DEADLINE.as_secs()));
                }
            }
            if let Some(error) = &answers.batch.error {
                handle.error(error);
            }
        }
        handle.idle();
        self.shared.finished.notify_waiters();
    }

    /// The face of a loop among the workers; a loop that begins again keeps it.
    pub(crate) fn handle(&self, name: &str) -> Arc<WorkerHandle> {
        let mut handles = self.shared.handles.lock().unwrap_or_else(PoisonError::into_inner);
        let handle =
            handles.entry(name.to_owned()).or_insert_with(|| Arc::new(self.shared.workers.register(name)));
        Arc::clone(handle)
    }

    fn lock(&self) -> MutexGuard<'_, Answers> {
        // Every change is one assignment, so a poisoned lock guards whole answers.
        self.shared.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn see_cloud(
    cloud: &dyn Cloud,
    mark: &Mark,
    known: Option<Vec<Flavor>>,
) -> Result<CloudSeen, CloudError> {
    let servers = cloud.list_marked(mark).await?;
    // After the list: a server that is listed is in the counts.
    let limits = cloud.limits().await?;
    let flavors = match known {
        Some(flavors) => flavors,
        None => cloud.flavors().await?,
    };
    Ok(CloudSeen {
        name: cloud.name().to_owned(),
        servers: Some(servers),
        limits: Some(limits),
        flavors: Some(flavors),
    })
}
