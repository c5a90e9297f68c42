//! Daemons of all tiers, samplers, managers and etcd are killed, stopped, resumed and started again, alone and in
//! pairs, in random order, and the configuration changes meanwhile: after each round everything is covered, and collected once. On simulated daemons, or on
//! real ones where `LDMSD` is set. `CAMPANILE_ROUNDS` says how many rounds, `CAMPANILE_SEED` replays some.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "flap/maestro.rs"]
mod maestro;
#[path = "flap/rig.rs"]
mod rig;
mod site;

use std::time::Duration;

use rig::{Blow, Deck, Rig};
use site::Shape;

/// The seed of a run that is given neither rounds nor a seed.
const USUAL_SEED: u64 = 11;

fn rounds() -> usize {
    std::env::var("CAMPANILE_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(5)
}

async fn flap(shape: Shape, by: &'static str, rounds: usize) {
    let seed = std::env::var("CAMPANILE_SEED").ok().and_then(|seed| seed.parse().ok());
    // `make test` strikes the same blows each time; long runs look for others.
    let is_long = std::env::var_os("CAMPANILE_ROUNDS").is_some();
    let seed = seed.unwrap_or_else(|| if is_long { fastrand::u64(..1_000_000) } else { USUAL_SEED });
    println!("CAMPANILE_SEED={seed} {shape:?} {by}");
    let mut deck = Deck::new(shape, seed);
    let Some(mut rig) = Rig::start(shape, by, seed).await else { return };
    println!("whole after {:?}", rig.whole().await);
    let mut longest = Duration::ZERO;
    for round in 1..=rounds {
        let (blows, away) = deck.round();
        for (name, blow) in &blows {
            rig.strike(name, *blow);
        }
        tokio::time::sleep(away).await;
        // A changed configuration is saved when etcd is there again.
        let (changes, others): (Vec<_>, Vec<_>) =
            blows.iter().partition(|(_, blow)| matches!(blow, Blow::Change));
        for (name, blow) in others.into_iter().chain(changes) {
            rig.mend(name, *blow).await;
        }
        let took = rig.whole().await;
        println!("round {round}: {blows:?} for {away:?}, whole {took:?} after the end of it");
        longest = longest.max(took);
    }
    rig.rest().await;
    println!("{rounds} rounds, whole again after {longest:?} at most");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_dies_nothing_is_lost_and_nothing_stays_doubled() {
    flap(Shape { samplers: 24, l1: 3, l2: 1, l3: 0 }, "producers", rounds()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_dies_in_three_tiers_nothing_is_lost_and_nothing_stays_doubled() {
    flap(Shape { samplers: 8, l1: 3, l2: 2, l3: 1 }, "producers", rounds().div_ceil(2)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_dies_while_sets_are_divided_none_is_lost_and_none_stays_doubled() {
    flap(Shape { samplers: 7, l1: 3, l2: 1, l3: 0 }, "sets", rounds().div_ceil(2)).await;
}
