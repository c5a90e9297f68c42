//! Managers and their cluster on real etcd: F7, F8, F9, a killed leader, no majority.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use campanile_control::{Clock, Workers};
use campanile_ldms::api::daemon::CfgCntr;
use campanile_maestro::board::Board;
use campanile_maestro::keys::Layout;
use campanile_maestro::manager::Manager;
use campanile_maestro::model::BalanceBy;
use campanile_maestro::source::{Reading, Source};
use campanile_store::Store;
use campanile_testkit::Etcd;
use tokio::task::JoinHandle;

use crate::site::store::{save, save_file, store_of};
use crate::site::{self, PATIENCE, Shape, Site, until};
use crate::{L1, SMALL};

/// One of several managers. Dropped, it is gone as one that was killed: its session is not closed, only not renewed.
pub(crate) struct Party {
    pub(crate) manager: Manager,
    board: JoinHandle<()>,
}

impl Party {
    pub(crate) fn join(site: &Site, store: Arc<dyn Store>, id: &str) -> Self {
        let clock = Clock::system();
        let workers = Workers::new(clock.clone());
        let desired = site.file.desired(BalanceBy::Producers);
        let manager = Manager::start(desired, site::quick(), clock, &workers, None, None);
        let prefix = Layout::of("orion").unwrap().runtime();
        let board = Board::new(store, prefix, id.to_owned(), manager.clone(), workers.register("managers"));
        Self { manager, board: tokio::spawn(board.run()) }
    }

    pub(crate) fn leads(&self) -> bool {
        self.manager.with(|conductor| conductor.leads() && !conductor.is_hands_off())
    }
}

impl Drop for Party {
    fn drop(&mut self) {
        self.board.abort();
    }
}

/// How often each daemon's configuration has been changed, as it says itself.
pub(crate) async fn changes(site: &Site) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for name in site.file.ports.keys() {
        counts.insert(name.clone(), site.ask(name).await.call(&CfgCntr {}).await.unwrap());
    }
    counts
}

pub(crate) async fn one_leads(party: &[Party]) -> usize {
    until("one manager leads", || party.iter().filter(|one| one.leads()).count() == 1).await;
    party.iter().position(Party::leads).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_leader_is_replaced_and_the_cluster_is_not_touched_by_it() {
    let Some(etcd) = Etcd::start(1) else { return };
    let site = Site::new(SMALL);
    let mut party: Vec<Party> =
        ["a", "b", "c"].iter().map(|id| Party::join(&site, store_of(&etcd), id)).collect();
    let leader = one_leads(&party).await;
    site.covered(&party[leader].manager, 12).await;
    for one in &party {
        site.rest(&one.manager).await;
    }
    // The requests were sent by all of them, each to its own daemons.
    let mine = |one: &Party| {
        one.manager.with(|c| (0..c.desired().daemons.len()).filter(|at| c.is_mine(*at)).count())
    };
    assert_eq!(party.iter().map(mine).sum::<usize>(), site.file.ports.len());
    assert!(party.iter().filter(|one| one.manager.sent().0 > 0).count() >= 2, "the work is shared");
    let (counts, collectors) = (changes(&site).await, site.collectors(&L1).await);

    let killed = Instant::now();
    drop(party.remove(leader));
    let leader = one_leads(&party).await;
    println!("a killed leader was replaced after {:?}", killed.elapsed());
    // It leads in earnest only when it knows that the dead one's daemons are now somebody else's.
    until("every daemon has somebody", || party.iter().map(mine).sum::<usize>() == site.file.ports.len())
        .await;
    for one in &party {
        site.rest(&one.manager).await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(changes(&site).await, counts, "a daemon was touched");
    assert_eq!(site.collectors(&L1).await, collectors);

    // F7: the original's managers die of this one after the other.
    site.daemons.crash("l1-2");
    until("the load has moved", || {
        party[leader].manager.with(|conductor| conductor.assignment(0).at.iter().all(|at| *at != Some(1)))
    })
    .await;
    site.covered(&party[leader].manager, 12).await;
    site.daemons.restart("l1-2");
    until("it carries again", || {
        party[leader].manager.with(|conductor| conductor.assignment(0).counts(3) == [2, 2, 2])
    })
    .await;
    site.covered(&party[leader].manager, 12).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_majority_of_the_store_nothing_is_changed() {
    let Some(mut etcd) = Etcd::start(3) else { return };
    let site = Site::new(SMALL);
    let party = [Party::join(&site, store_of(&etcd), "a"), Party::join(&site, store_of(&etcd), "b")];
    one_leads(&party).await;
    site.covered(&party[0].manager, 12).await;
    for one in &party {
        site.rest(&one.manager).await;
    }
    etcd.members[0].kill9();
    etcd.members[1].kill9();
    let hands_off = |one: &Party| one.manager.with(|conductor| conductor.is_hands_off());
    until("all keep their hands off", || party.iter().all(hands_off)).await;
    let sent: Vec<(u64, u64)> = party.iter().map(|one| one.manager.sent()).collect();
    site.daemons.crash("l1-2");
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(party.iter().map(|one| one.manager.sent()).collect::<Vec<_>>(), sent);
    etcd.members[0].restart();
    etcd.members[1].restart();
    let leader = one_leads(&party).await;
    site.covered(&party[leader].manager, 12).await;
    let moved = |one: &Party| one.manager.with(|c| c.assignment(0).at.iter().all(|at| *at != Some(1)));
    until("the load moves as soon as there is a majority again", || moved(&party[leader])).await;
}

/// Waits until a sampler samples that often; gives the time it took.
async fn sampled_every(site: &Site, interval_us: u64) -> Duration {
    let (began, sampler) = (Instant::now(), site.ask("s-1").await);
    loop {
        let sets = sampler.directory().await.unwrap();
        let hints: Vec<_> = sets.iter().filter_map(|set| set.update_hint_us()).collect();
        if hints.len() == 2 && hints.iter().all(|(us, _)| u64::try_from(*us) == Ok(interval_us)) {
            return began.elapsed();
        }
        assert!(began.elapsed() < PATIENCE, "{hints:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_saved_change_reaches_the_daemons_also_after_a_restart_of_etcd() {
    let Some(mut etcd) = Etcd::start(1) else { return };
    let mut site = Site::new(SMALL);
    let (store, layout) = (store_of(&etcd), Layout::of("orion").unwrap());
    save(&site, &*store, &layout).await;
    let one = Party::join(&site, Arc::clone(&store), "a");
    let worker = Workers::new(Clock::system()).register("configuration");
    let source = Source::Store(Arc::clone(&store), layout.clone());
    let following =
        tokio::spawn(source.follow("orion".to_owned(), one.manager.clone(), Reading::default(), worker));
    site.covered(&one.manager, 12).await;
    site.file.sampler_interval = "400ms".to_owned();
    save(&site, &*store, &layout).await;
    println!("a saved interval was in force after {:?}", sampled_every(&site, 400_000).await);
    // F8: the original's watch dies with etcd.
    etcd.members[0].kill9();
    etcd.members[0].restart();
    etcd.wait_for(0);
    site.file.sampler_interval = "300ms".to_owned();
    save(&site, &*store_of(&etcd), &layout).await;
    sampled_every(&site, 300_000).await;
    site.covered(&one.manager, 12).await;
    following.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_aggregator_that_had_hung_is_collected_from_again_also_where_another_manager_speaks_to_it() {
    let Some(etcd) = Etcd::start(1) else { return };
    let site = Site::new(SMALL);
    let party: Vec<Party> =
        ["a", "b", "c"].iter().map(|id| Party::join(&site, store_of(&etcd), id)).collect();
    let leader = one_leads(&party).await;
    site.covered(&party[leader].manager, 12).await;
    for one in &party {
        site.rest(&one.manager).await;
    }
    let speaks_to = |daemon: &str| {
        let is = |one: &Party| one.manager.with(|c| c.is_mine(c.desired().daemon(daemon).unwrap()));
        party.iter().position(is)
    };
    let other = L1.into_iter().find(|l1| speaks_to(l1) != speaks_to("l2-1"));
    let victim = other.expect("three managers share three aggregators and the one above them");
    site.daemons.hang(victim);
    let cut = async |wanted: usize| {
        let began = Instant::now();
        loop {
            let producers = site.producers("l2-1").await;
            if producers.iter().filter(|producer| producer.state.to_string() == "CONNECTED").count() == wanted
            {
                return;
            }
            assert!(began.elapsed() < PATIENCE, "{producers:?} {:#}", party[leader].manager.status());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    cut(2).await;
    site.daemons.resume(victim);
    cut(3).await;
    site.covered(&party[leader].manager, 12).await;
}

/// An operator asks the manager of the host he is on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_operator_asks_of_any_manager_is_done() {
    let Some(etcd) = Etcd::start(1) else { return };
    let site = Site::new(SMALL);
    let mut party: Vec<Party> = ["a", "b"].iter().map(|id| Party::join(&site, store_of(&etcd), id)).collect();
    let leader = one_leads(&party).await;
    site.covered(&party[leader].manager, 12).await;
    let follower = 1 - leader;
    party[follower].manager.drain("l1-1", true, None).unwrap();
    let carries = |one: &Party| one.manager.with(|conductor| conductor.assignment(0).counts(3));
    until("it carries nothing", || carries(&party[leader])[0] == 0).await;
    // Whoever comes later knows it, also when the one that was asked is dead.
    drop(party.remove(follower));
    party.push(Party::join(&site, store_of(&etcd), "c"));
    until("the third one knows it", || party[1].manager.drained().contains("l1-1")).await;
    party[1].manager.drain("l1-1", false, None).unwrap();
    until("the leader knows it", || party[0].manager.drained().is_empty()).await;
    party[1].manager.rebalance(None);
    until("it carries again", || carries(&party[0]) == [2, 2, 2]).await;
    site.covered(&party[0].manager, 12).await;
}

/// F9: the original wipes `orion2` when it saves `orion`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn saving_a_cluster_leaves_one_alone_whose_name_begins_the_same() {
    let Some(etcd) = Etcd::start(1) else { return };
    let (orion, orion2) = (Layout::of("orion").unwrap(), Layout::of("orion2").unwrap());
    let site = Site::new(Shape { samplers: 2, l1: 1, l2: 1, l3: 0 });
    let store = store_of(&etcd);
    save(&site, &*store, &orion2).await;
    let clock = Clock::system();
    let workers = Workers::new(clock.clone());
    let desired = site.file.desired(BalanceBy::Producers);
    let manager = Manager::start(desired, site::quick(), clock, &workers, None, None);
    let board = Board::new(
        store_of(&etcd),
        orion2.runtime(),
        "a".to_owned(),
        manager.clone(),
        workers.register("managers"),
    );
    let source = Source::Store(Arc::clone(&store), orion2.clone());
    let follow = source.follow(
        "orion2".to_owned(),
        manager.clone(),
        Reading::default(),
        workers.register("configuration"),
    );
    let tasks = [tokio::spawn(board.run()), tokio::spawn(follow)];
    site.covered(&manager, 4).await;
    site.rest(&manager).await;
    let (sent, wanted) = (manager.sent(), manager.with(|conductor| conductor.desired().clone()));
    let Some(keys) = etcd.dump("/orion2/") else { return };
    let runtime = etcd.dump("/.campanile/orion2/").unwrap();
    assert!(!runtime.is_empty());

    // Its namesake is saved, changed, and gets smaller.
    let mut other = site.file.clone();
    for (samplers, interval) in [(vec![1, 2], "1s"), (vec![1, 2], "2s"), (vec![2], "2s")] {
        (other.samplers, other.sampler_interval) = (samplers, interval.to_owned());
        save_file(&other, &*store, &orion).await;
    }
    assert!(!etcd.dump("/orion/daemons/").unwrap().keys().any(|key| key.contains("/s-1/")));
    assert_eq!(etcd.dump("/orion2/").unwrap(), keys);
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(etcd.dump("/.campanile/orion2/").unwrap(), runtime);
    assert_eq!(manager.with(|conductor| conductor.desired().clone()), wanted);
    assert_eq!(manager.sent(), sent, "its manager has nothing to do with it");
    site.covered(&manager, 4).await;
    tasks.iter().for_each(JoinHandle::abort);
}
