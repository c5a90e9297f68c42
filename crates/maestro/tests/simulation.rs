//! The conductor against an invented cluster: ten thousand samplers, a hundred first-tier and ten second-tier
//! aggregators, thousands of faults in random order, in virtual time. What must hold is checked at every step; the
//! seed of a run is printed with whatever fails, and `CAMPANILE_SEED` replays it.

mod world;

use world::{Size, World};

/// The seed to begin with, and how many runs.
fn seeds(runs: u64) -> impl Iterator<Item = u64> {
    match std::env::var("CAMPANILE_SEED").ok().and_then(|seed| seed.parse().ok()) {
        Some(seed) => seed..seed + 1,
        None => 1..1 + runs * rounds(),
    }
}

/// `CAMPANILE_ROUNDS` multiplies the work: 5 is the usual amount.
fn rounds() -> u64 {
    let rounds = std::env::var("CAMPANILE_ROUNDS").ok().and_then(|rounds| rounds.parse::<u64>().ok());
    rounds.map_or(1, |rounds| (rounds / 5).max(1))
}

fn run(size: Size, seed: u64, faults: usize) {
    let mut world = World::new(size, seed);
    world.settle();
    world.assert_whole();
    for _ in 0..faults {
        world.fault();
        world.pass_random();
    }
    world.repair();
    world.settle();
    world.assert_whole();
    println!("{}", world.summary());
}

#[test]
fn ten_thousand_samplers_lose_nobody() {
    for seed in seeds(1) {
        run(Size { samplers: 10_000, l1: 100, l2: 10 }, seed, faults());
    }
}

#[test]
fn small_clusters_lose_nobody() {
    for seed in seeds(60) {
        run(Size { samplers: 24, l1: 3, l2: 1 }, seed, 200);
    }
}

#[test]
fn clusters_without_a_second_choice_lose_nobody() {
    for seed in seeds(20) {
        run(Size { samplers: 7, l1: 1, l2: 1 }, seed, 100);
    }
}

/// Faults of each large run; `make soak` has ten of them. `CAMPANILE_FAULTS` gives another number.
fn faults() -> usize {
    std::env::var("CAMPANILE_FAULTS").ok().and_then(|faults| faults.parse().ok()).unwrap_or(2_000)
}
