//! Several managers on real etcd share the watching: each daemon is looked at by one of them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use campanile_maestro::board::share;
use campanile_maestro::conductor::Health;
use campanile_testkit::Etcd;

use crate::managers::{Party, changes, one_leads};
use crate::site::store::store_of;
use crate::site::{PATIENCE, Site, all_up, until};
use crate::{L1, SMALL};

/// Time in which all daemons are looked at more than once.
const LOOKS: Duration = Duration::from_secs(8);

/// Names of three managers, of whom each has an aggregator and a sampler for his own, whoever will lead.
fn names() -> BTreeSet<String> {
    let all = (1..1_000).map(|at| ["a", "b", "c"].map(|id| format!("{id}-{at}")).into());
    let mut fair = all.filter(|members: &BTreeSet<String>| {
        let owners = |daemons: &[String]| {
            daemons.iter().filter_map(|daemon| share(members, daemon)).collect::<BTreeSet<_>>().len()
        };
        let samplers: Vec<String> = (1..=SMALL.samplers).map(|at| format!("s-{at}")).collect();
        owners(&L1.map(str::to_owned)) == 3 && owners(&samplers) == 3
    });
    fair.next().unwrap()
}

/// Three managers that have come to rest, and which of them leads.
async fn three(site: &Site, etcd: &Etcd) -> (Vec<Party>, usize) {
    let party: Vec<Party> = names().iter().map(|id| Party::join(site, store_of(etcd), id)).collect();
    let leader = one_leads(&party).await;
    site.covered(&party[leader].manager, 12).await;
    for one in &party {
        until("every manager knows every daemon", || all_up(&one.manager)).await;
        site.rest(&one.manager).await;
    }
    (party, leader)
}

/// Whether a manager speaks to a daemon.
fn speaks_to(one: &Party, daemon: &str) -> bool {
    one.manager.with(|c| c.is_mine(c.desired().daemon(daemon).unwrap()))
}

/// Waits until every daemon has one manager's connection, the top tier the leader's as well, beside those of whoever
/// collects from it.
async fn shared(site: &Site, party: &[Party]) {
    let wanted = |daemon: &str| {
        let top = daemon.starts_with("l2");
        let leads_elsewhere = party.iter().any(|one| one.leads() && !speaks_to(one, daemon));
        1 + usize::from(!top) + usize::from(top && leads_elsewhere)
    };
    let began = Instant::now();
    loop {
        let count = |name: &String| (name.clone(), (site.connections(name), wanted(name)));
        let counts: BTreeMap<String, (usize, usize)> = site.file.ports.keys().map(count).collect();
        if counts.values().all(|(found, wanted)| found == wanted) {
            return;
        }
        assert!(began.elapsed() < PATIENCE, "connections, and wanted: {counts:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Since when a manager finds each daemon as it is: a daemon that was taken for dead meanwhile has another.
fn since(one: &Party) -> Vec<(Health, u64)> {
    one.manager.with(|c| {
        let track = |at| (c.track(at).health.clone(), c.track(at).since_ms);
        (0..c.desired().daemons.len()).map(track).collect()
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_daemon_has_one_manager_and_the_death_of_a_manager_touches_none() {
    let Some(etcd) = Etcd::start(1) else { return };
    let site = Site::new(SMALL);
    let (mut party, leader) = three(&site, &etcd).await;
    shared(&site, &party).await;
    let links: Vec<usize> = party.iter().map(|one| one.manager.links()).collect();
    println!("links of the managers: {links:?}, {:?}", party[0].manager.watching());
    assert!(links.iter().all(|count| *count < site.file.ports.len()));
    // Any of them shows everything.
    for one in &party {
        let watching = one.manager.watching();
        assert_eq!(watching.values().sum::<usize>(), site.file.ports.len(), "{watching:?}");
        until("it shows the coverage", || {
            one.manager.coverage().is_some_and(|coverage| coverage.expected == 12 && coverage.fresh == 12)
        })
        .await;
        let status = one.manager.status();
        let daemons = status["daemons"].as_array().unwrap();
        assert!(daemons.iter().all(|daemon| daemon["health"] == "up" && daemon["watched_by"].is_string()));
        let connected = |member: &serde_json::Value| member["connected"].as_u64().unwrap();
        let l1 = status["groups"].as_array().unwrap().iter().find(|group| group["producers"] == 6).unwrap();
        assert_eq!(l1["members"].as_array().unwrap().iter().map(connected).sum::<u64>(), 6, "{l1}");
    }
    let (counts, collectors) = (changes(&site).await, site.collectors(&L1).await);
    // At rest nothing is written, however often everything is looked at.
    let runtime = "/.campanile/orion/runtime/";
    if let Some(keys) = etcd.dump(runtime) {
        tokio::time::sleep(LOOKS).await;
        assert_eq!(etcd.dump(runtime).unwrap(), keys);
    }
    for (who, victim) in [("a follower", (leader + 1) % 3), ("the leader", leader)] {
        // The list gets shorter: names, not places, are what counts.
        let victim = if who == "the leader" { party.iter().position(Party::leads).unwrap() } else { victim };
        let found: Vec<_> = party.iter().map(since).collect();
        drop(party.remove(victim));
        let killed = Instant::now();
        until("every daemon has somebody", || {
            site.file.ports.keys().all(|daemon| party.iter().any(|one| speaks_to(one, daemon)))
        })
        .await;
        one_leads(&party).await;
        println!("{who} was replaced after {:?}", killed.elapsed());
        shared(&site, &party).await;
        println!("and every daemon had a connection again after {:?}", killed.elapsed());
        tokio::time::sleep(Duration::from_secs(1)).await;
        for one in &party {
            site.rest(&one.manager).await;
            assert!(found.contains(&since(one)), "a daemon was taken for dead");
        }
        assert_eq!(changes(&site).await, counts, "a daemon was touched");
        assert_eq!(site.collectors(&L1).await, collectors);
    }
    // The last one does all by itself again, and has nobody to tell.
    assert_eq!(party[0].manager.links(), site.file.ports.len());
    if let Some(keys) = etcd.dump("/.campanile/orion/runtime/seen/") {
        assert!(keys.is_empty(), "{keys:?}");
    }
    site.covered(&party[0].manager, 12).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_dies_in_the_share_of_another_manager_is_noticed_and_repaired_at_once() {
    let Some(etcd) = Etcd::start(1) else { return };
    let site = Site::new(SMALL);
    let (party, leader) = three(&site, &etcd).await;
    let other = |name: &&String| !speaks_to(&party[leader], name);
    let named = |kind: &str| site.file.ports.keys().filter(|name| name.starts_with(kind)).find(other);
    let victim = named("l1").expect("three managers share three aggregators").clone();
    let place = u16::try_from(L1.iter().position(|l1| *l1 == victim).unwrap()).unwrap();
    let carries = |one: &Party| one.manager.with(|c| c.assignment(0).at.contains(&Some(place)));
    let killed = Instant::now();
    site.daemons.crash(&victim);
    until("the load has moved", || !carries(&party[leader])).await;
    println!("a dead aggregator of another manager: moved after {:?}", killed.elapsed());
    let others: Vec<&str> = L1.into_iter().filter(|l1| *l1 != victim).collect();
    loop {
        let collectors = site.collectors(&others).await;
        if collectors.values().filter(|by| by.len() == 1).count() == 6 {
            break;
        }
        assert!(killed.elapsed() < PATIENCE, "{collectors:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    println!("and collected by others after {:?}", killed.elapsed());
    site.covered(&party[leader].manager, 12).await;
    site.daemons.restart(&victim);
    until("it carries again", || party[leader].manager.with(|c| c.assignment(0).counts(3) == [2, 2, 2]))
        .await;

    let sampler = named("s-").expect("and six samplers").clone();
    site.daemons.crash(&sampler);
    let health = |one: &Party, daemon: &str| {
        one.manager.with(|c| c.track(c.desired().daemon(daemon).unwrap()).health.clone())
    };
    for one in &party {
        until("all know that it is dead", || health(one, &sampler) == Health::Down).await;
    }
    site.daemons.restart(&sampler);
    let began = Instant::now();
    site.covered(&party[leader].manager, 12).await;
    println!("a sampler of another manager was covered again {:?} after its start", began.elapsed());
    for one in &party {
        until("all know that it lives", || health(one, &sampler) == Health::Up).await;
        site.rest(&one.manager).await;
    }
    assert!(site.collectors(&L1).await.values().all(|by| by.len() == 1));
}
