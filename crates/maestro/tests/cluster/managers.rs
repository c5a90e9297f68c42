//! Several managers of one cluster on real etcd: F7, F8, a killed leader, no majority.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use campanile_control::{Clock, Workers};
use campanile_ldms::api::daemon::CfgCntr;
use campanile_maestro::board::Board;
use campanile_maestro::config::{self, Pairing};
use campanile_maestro::keys::{self, Layout};
use campanile_maestro::manager::Manager;
use campanile_maestro::model::BalanceBy;
use campanile_maestro::source::{Reading, Source};
use campanile_store::Store;
use campanile_store::etcd::{ClusterFile, EtcdStore, Member};
use campanile_testkit::Etcd;
use tokio::task::JoinHandle;

use crate::site::{self, PATIENCE, Site, until};
use crate::{L1, SMALL};

/// One of several managers. Dropped, it is gone as one that was killed: its session is not closed, only not renewed.
struct Party {
    manager: Manager,
    board: JoinHandle<()>,
}

impl Party {
    fn join(site: &Site, store: Arc<dyn Store>, id: &str) -> Self {
        let clock = Clock::system();
        let workers = Workers::new(clock.clone());
        let desired = site.file.desired(BalanceBy::Producers);
        let manager = Manager::start(desired, site::quick(), clock, &workers, None, None);
        let prefix = Layout::of("orion").unwrap().runtime();
        let board = Board::new(store, prefix, id.to_owned(), manager.clone(), workers.register("managers"));
        Self { manager, board: tokio::spawn(board.run()) }
    }

    fn leads(&self) -> bool {
        self.manager.with(|conductor| conductor.leads() && !conductor.is_hands_off())
    }
}

impl Drop for Party {
    fn drop(&mut self) {
        self.board.abort();
    }
}

fn store_of(etcd: &Etcd) -> Arc<dyn Store> {
    let members = etcd.ports().iter().map(|port| Member { host: "127.0.0.1".into(), port: *port });
    let file = ClusterFile { members: members.collect(), ..ClusterFile::default() };
    Arc::new(EtcdStore::open(&file).unwrap())
}

/// How often each daemon's configuration has been changed, as it says itself.
async fn changes(site: &Site) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for name in site.file.ports.keys() {
        counts.insert(name.clone(), site.ask(name).await.call(&CfgCntr {}).await.unwrap());
    }
    counts
}

async fn one_leads(party: &[Party]) -> usize {
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

/// Saves the cluster as `maestro_ctrl` does.
async fn save(site: &Site, store: &dyn Store, layout: &Layout) {
    let text = site.file.text();
    let (cluster, _) = config::parse(std::path::Path::new("c.yaml"), text.as_bytes(), Pairing::Written);
    let origin = keys::Origin { text: &text, pairing: Pairing::Written };
    let began = Instant::now();
    // An etcd that has just been started anew needs a moment.
    while let Err(error) = keys::save(store, layout, cluster.as_ref().unwrap(), origin, 1.0).await {
        assert!(began.elapsed() < PATIENCE, "{error}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
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
