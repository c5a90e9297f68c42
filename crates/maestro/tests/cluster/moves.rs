//! What somebody at the top sees of a move: the age of each set, and how long it is not there at all. On simulated
//! daemons, or on real ones where `LDMSD` is set.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use campanile_ldms::api::producer::PrdcrSetStatus;
use campanile_ldms::client::Client;
use campanile_maestro::manager::Manager;
use tokio::task::JoinHandle;

use crate::site::{Site, until};
use crate::{L1, SMALL};

/// What was seen of the sets at the top.
#[derive(Clone, Debug, Default)]
struct Record {
    /// The greatest age of the newest sample of any set that has reached the top.
    oldest: Duration,
    /// How long a set was missing at the top, at most.
    absent: Duration,
    /// How long any set was older than coverage allows.
    stale: Duration,
    /// The lowest coverage that the manager measured, percent.
    lowest: f64,
    /// How often was looked.
    looks: usize,
}

/// Looks at the top tier again and again.
struct Onlooker {
    over: Arc<AtomicBool>,
    task: JoinHandle<Record>,
}

impl Onlooker {
    /// Looks at sets that are fresh up to an age.
    async fn begin(site: &Site, manager: &Manager) -> Self {
        let (manager, fresh) = (manager.clone(), 6 * interval() + Duration::from_secs(1));
        let client = site.ask("l2-1").await;
        let over = Arc::new(AtomicBool::new(false));
        let (begun, first) = tokio::sync::oneshot::channel();
        let task = tokio::spawn(look_on(client, manager, Arc::clone(&over), fresh, begun));
        first.await.unwrap();
        Self { over, task }
    }

    async fn end(self) -> Record {
        self.over.store(true, Ordering::Relaxed);
        self.task.await.unwrap()
    }
}

async fn look_on(
    client: Client,
    manager: Manager,
    over: Arc<AtomicBool>,
    fresh: Duration,
    begun: tokio::sync::oneshot::Sender<()>,
) -> Record {
    let mut begun = Some(begun);
    let mut record = Record { lowest: 100.0, ..Record::default() };
    // Of each set the newest sample, and when it was last there.
    let mut known: BTreeMap<String, (Duration, Instant)> = BTreeMap::new();
    let mut last = Instant::now();
    while !over.load(Ordering::Relaxed) {
        let list = client.call(&PrdcrSetStatus::default()).await.unwrap().0;
        let (now, unix) = (Instant::now(), SystemTime::now().duration_since(UNIX_EPOCH).unwrap());
        for set in list {
            let at = Duration::from_secs(set.timestamp_sec.unwrap_or(0).try_into().unwrap_or(0))
                + Duration::from_micros(set.timestamp_usec.unwrap_or(0).try_into().unwrap_or(0));
            if at > Duration::ZERO {
                let entry = known.entry(set.inst_name).or_insert((at, now));
                *entry = (entry.0.max(at), now);
            }
        }
        if record.looks == 0 {
            assert_eq!(known.len(), 12, "it begins with everything there: {known:?}");
        }
        let ages = known.values().map(|(at, _)| unix.saturating_sub(*at));
        let oldest = ages.max().unwrap_or_default();
        record.oldest = record.oldest.max(oldest);
        let absent = known.values().map(|(_, seen)| now - *seen).max().unwrap_or_default();
        record.absent = record.absent.max(absent);
        if oldest > fresh {
            record.stale += now - last;
        }
        record.lowest = record.lowest.min(manager.coverage().map_or(0.0, |coverage| coverage.percent()));
        record.looks += 1;
        if let Some(begun) = begun.take() {
            begun.send(()).unwrap();
        }
        last = now;
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    record
}

/// Of the samplers and both tiers; `CAMPANILE_INTERVAL_MS` gives another one for figures.
fn interval() -> Duration {
    let given = std::env::var("CAMPANILE_INTERVAL_MS").ok().and_then(|text| text.parse().ok());
    Duration::from_millis(given.unwrap_or(500))
}

/// A cluster in which everything is covered.
async fn covered() -> (Site, Manager) {
    let mut site = Site::new(SMALL);
    site.file.sampler_interval = format!("{}ms", interval().as_millis());
    site.file.updater_interval.clone_from(&site.file.sampler_interval);
    let manager = site.manage();
    site.covered(&manager, 12).await;
    site.rest(&manager).await;
    until("coverage is whole", || manager.coverage().is_some_and(|now| now.fresh == 12)).await;
    (site, manager)
}

/// What the tier above shows some intervals after a move is over.
async fn see_it_through(manager: &Manager, site: &Site, onlooker: Onlooker) -> Record {
    site.rest(manager).await;
    tokio::time::sleep(Duration::from_secs(2) + 4 * interval()).await;
    onlooker.end().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_planned_move_leaves_no_gap() {
    let (site, manager) = covered().await;
    let onlooker = Onlooker::begin(&site, &manager).await;
    manager.drain("l1-1", true, None).unwrap();
    until("it is drained", || manager.with(|c| c.assignment(0).counts(3)[0] == 0)).await;
    let drained = see_it_through(&manager, &site, onlooker).await;
    println!("drained: {drained:?}");
    let collectors = site.collectors(&L1).await;
    assert!(collectors.values().all(|by| by.len() == 1 && by[0] != "l1-1"), "{collectors:?}");
    let onlooker = Onlooker::begin(&site, &manager).await;
    manager.drain("l1-1", false, None).unwrap();
    until("it carries again", || manager.with(|c| c.assignment(0).counts(3) == [2, 2, 2])).await;
    let back = see_it_through(&manager, &site, onlooker).await;
    println!("back: {back:?}");
    for record in [drained, back] {
        assert!(record.stale.is_zero() && record.lowest >= 100.0, "{record:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_aggregator_leaves_as_short_a_gap_as_its_daemons_allow() {
    let (site, manager) = covered().await;
    let onlooker = Onlooker::begin(&site, &manager).await;
    site.daemons.crash("l1-2");
    until("it is noticed", || manager.with(|c| c.assignment(0).counts(3)[1] == 0)).await;
    let killed = see_it_through(&manager, &site, onlooker).await;
    println!("killed: {killed:?}");
    // Connecting, a lookup, a second until the first update, the same passes of the tier above; and a busy machine.
    let bound = Duration::from_secs(2) + 4 * interval() + Duration::from_secs(4);
    assert!(killed.absent < bound, "{killed:?}");
    site.daemons.restart("l1-2");
    let onlooker = Onlooker::begin(&site, &manager).await;
    until("the load is even again", || manager.with(|c| c.assignment(0).counts(3) == [2, 2, 2])).await;
    let back = see_it_through(&manager, &site, onlooker).await;
    println!("back: {back:?}");
    assert!(back.stale.is_zero() && back.lowest >= 100.0, "{back:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_hangs_just_when_it_is_to_let_go_costs_no_set_its_name() {
    let (site, manager) = covered().await;
    for more in [Duration::ZERO, Duration::from_millis(900)] {
        site.daemons.hang("l1-1");
        manager.drain("l1-1", true, None).unwrap();
        until("moves are under way", || manager.with(|c| c.hands_over() > 0)).await;
        until("it is noticed", || manager.with(|c| c.hands_over() == 0)).await;
        tokio::time::sleep(more).await;
        site.daemons.resume("l1-1");
        manager.drain("l1-1", false, None).unwrap();
        site.covered(&manager, 12).await;
        until("it carries again", || manager.with(|c| c.assignment(0).counts(3) == [2, 2, 2])).await;
        site.rest(&manager).await;
        tokio::time::sleep(Duration::from_secs(2) + 4 * interval()).await;
        site.covered(&manager, 12).await;
        let collectors = site.collectors(&L1).await;
        assert!(collectors.values().all(|by| by.len() == 1), "{collectors:?}");
    }
}
