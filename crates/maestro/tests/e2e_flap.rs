//! Daemons of all tiers are killed, stopped, resumed and started again, alone and in pairs, in random order: after
//! each round everything is covered, and collected once. On simulated daemons, or on real ones where `LDMSD` is set.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod site;

use std::collections::BTreeSet;
use std::time::{Duration, Instant, SystemTime};

use site::{Shape, Site, all_up};

const SHAPE: Shape = Shape { samplers: 24, l1: 3, l2: 1, l3: 0 };
const L1: [&str; 3] = ["l1-1", "l1-2", "l1-3"];

fn rounds() -> usize {
    std::env::var("CAMPANILE_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(5)
}

fn victim(rng: &mut fastrand::Rng) -> String {
    match rng.u32(0..10) {
        0..6 => format!("l1-{}", rng.usize(1..=SHAPE.l1)),
        6..8 => "l2-1".to_owned(),
        _ => format!("s-{}", rng.usize(1..=SHAPE.samplers)),
    }
}

/// Everything is sampled anew, collected once, and known to be well by the manager. What is left of the time before
/// the daemons came back does not count: neither samples nor what the manager has not noticed yet.
async fn whole(site: &Site, manager: &campanile_maestro::manager::Manager, seed: u64) {
    let (began, since) = (Instant::now(), SystemTime::now());
    let patience = Duration::from_secs(90);
    loop {
        let ended = site.daemons.revive();
        if !ended.is_empty() {
            println!("ended by themselves and were started again: {ended:?}");
        }
        let anew = site.sampled_since(since).await;
        let (mut doubled, mut lost) = (Vec::new(), Vec::new());
        if anew.len() >= SHAPE.samplers * 2 && all_up(manager) && manager.is_at_rest() {
            for (name, by) in site.collectors(&L1).await {
                match by.len() {
                    1 => {}
                    0 => lost.push(name),
                    _ => doubled.push((name, by)),
                }
            }
            if lost.is_empty() && doubled.is_empty() {
                println!("whole after {:?}", began.elapsed());
                return;
            }
        }
        assert!(
            began.elapsed() < patience,
            "CAMPANILE_SEED={seed}: {} of {} sampled anew, lost {lost:?}, doubled {doubled:?}\n{:#}\n{:#}",
            anew.len(),
            SHAPE.samplers * 2,
            manager.status(),
            manager.plan()
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_dies_nothing_is_lost_and_nothing_stays_doubled() {
    let seed = std::env::var("CAMPANILE_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| fastrand::u64(..1_000_000));
    println!("CAMPANILE_SEED={seed}");
    let mut rng = fastrand::Rng::with_seed(seed);
    let site = Site::new(SHAPE);
    let mut manager = site.manage();
    whole(&site, &manager, seed).await;
    for round in 0..rounds() {
        let mut victims = BTreeSet::from([victim(&mut rng)]);
        if rng.bool() {
            victims.insert(victim(&mut rng));
        }
        let mut hung = Vec::new();
        for name in &victims {
            if rng.bool() {
                println!("round {round}: {name} is killed");
                site.daemons.crash(name);
            } else {
                println!("round {round}: {name} is stopped");
                site.daemons.hang(name);
                hung.push(name.clone());
            }
        }
        if rng.u32(0..4) == 0 {
            println!("round {round}: the manager is replaced");
            manager = site.manage();
        }
        tokio::time::sleep(Duration::from_millis(rng.u64(0..5_000))).await;
        for name in &victims {
            if hung.contains(name) {
                site.daemons.resume(name);
            } else {
                site.daemons.restart(name);
            }
        }
        whole(&site, &manager, seed).await;
    }
}
