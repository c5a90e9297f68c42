//! Days of a pool's life in a simulated world: bursts of jobs, clouds that fail, a batch system that lies, a manager that
//! is killed. The decisions are the real ones; only the world is made up.
//!
//! `CAMPANILE_ROUNDS` sets how many seeds are run, `CAMPANILE_SEED` the first of them.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod world;

use std::collections::BTreeMap;

use campanile_pool::batch::{DrainAnswer, DrainMode};
use campanile_pool::config::{CloudConfig, CloudKind, Growth, OwnLimits, PoolConfig, WorkerType};
use campanile_pool::cycle::{Memory, Order, turn};
use campanile_pool::model::{Flavor, Mark, Node, NodeState, Resources};
use world::{Faults, World};

const STEP_MS: u64 = 30_000;
/// The batch system matches jobs, and the world goes on, in such steps.
const TICK_MS: u64 = 5_000;
const HOUR_MS: u64 = 3_600_000;
const NODES_MAX: u64 = 30;

fn flavors() -> Vec<Flavor> {
    let flavor = |name: &str, cores: u32| Flavor {
        id: name.to_owned(),
        name: name.to_owned(),
        resources: Resources::new(cores, u64::from(cores) * 2000),
    };
    vec![flavor("small", 2), flavor("large", 8)]
}

fn config() -> PoolConfig {
    let mut config = PoolConfig::new(Mark { prefix: "sim".to_owned(), host: "host".to_owned() });
    for (name, nodes) in [("a", 20), ("b", 25)] {
        let mut cloud = CloudConfig::new(name, CloudKind::OpenStack(Box::default()));
        cloud.limits = OwnLimits { nodes: Some(nodes), ..OwnLimits::default() };
        config.clouds.push(cloud);
    }
    config.worker_types = vec![WorkerType::new("standard", &["large", "small"])];
    config.sizes.nodes_min = 0;
    config.sizes.nodes_spare = 0;
    config.sizes.nodes_max = NODES_MAX;
    config.sizes.cores_max = Some(160);
    config.step_ms = STEP_MS;
    config
}

/// The manager: its memory, and the record that outlives it.
struct Manager {
    memory: Memory,
    record: BTreeMap<String, Node>,
    kills: u32,
}

impl Manager {
    fn new(seed: u64) -> Self {
        Self { memory: Memory { seed, ..Memory::default() }, record: BTreeMap::new(), kills: 0 }
    }

    fn save(&mut self, nodes: &[Node]) {
        for node in nodes {
            self.record.insert(node.name.clone(), node.clone());
        }
    }

    /// Only the record is left.
    fn die(&mut self, seed: u64) {
        self.kills += 1;
        let nodes = self.record.values().filter(|node| node.state != NodeState::Gone).cloned().collect();
        self.memory = Memory { nodes, seed, ..Memory::default() };
    }

    /// One turn; killed, perhaps, at any of its steps.
    fn step(&mut self, world: &mut World, config: &PoolConfig) {
        let seen = world.look();
        // Jobs start between the look and the deed.
        world.advance(1_000);
        let fatal = if world.faults.kills > 0 && world.random.u32(0..1000) < world.faults.kills {
            Some(world.random.u32(0..12))
        } else {
            None
        };
        let mut left = fatal;
        let mut alive = move || match &mut left {
            None => true,
            Some(0) => false,
            Some(left) => {
                *left -= 1;
                true
            }
        };
        let seed = world.random.u64(..);
        let turn = turn(&mut self.memory, &seen, config);
        if !alive() {
            return self.die(seed);
        }
        self.save(&turn.changed);
        for orders in turn.orders {
            for order in orders.orders {
                if !alive() {
                    return self.die(seed);
                }
                let outcome = match order {
                    Order::Create(creation) => {
                        let answer = world.create(&creation.cloud, &orders.node, &creation.flavor);
                        if !alive() {
                            return self.die(seed);
                        }
                        self.memory.created(&orders.node, &answer, world.now_ms)
                    }
                    Order::Drain(_, mode, _) => {
                        let answer = match world.drain(&orders.node, mode == DrainMode::OnlyIfIdle) {
                            Some(true) => DrainAnswer::Accepted,
                            Some(false) => DrainAnswer::Busy,
                            None => DrainAnswer::NoSuchWorker,
                        };
                        if !alive() {
                            return self.die(seed);
                        }
                        self.memory.drained(&orders.node, answer, world.now_ms)
                    }
                    Order::Delete(id) => {
                        world.delete(&id);
                        None
                    }
                    Order::Off(_) | Order::Examine(_) | Order::Forget(_) => None,
                };
                if let Some((node, _)) = outcome {
                    self.save(&[node]);
                }
            }
        }
    }
}

/// The caps hold at every moment, whatever the record says.
fn check_caps(world: &World, seed: u64) {
    let cores = |flavor: usize| u64::from(world.flavors[flavor].resources.cores);
    assert!(world.servers.len() as u64 <= NODES_MAX, "seed {seed}: {} servers", world.servers.len());
    let all: u64 = world.servers.iter().map(|server| cores(server.flavor)).sum();
    assert!(all <= 160, "seed {seed}: {all} cores");
    for (cloud, max) in [(0, 20), (1, 25)] {
        let here = world.servers.iter().filter(|server| server.cloud == cloud).count();
        assert!(here <= max, "seed {seed}: {here} servers in cloud {cloud}");
    }
}

/// A day of bursts, then quiet.
fn live(
    seed: u64,
    faults: Faults,
    config: &PoolConfig,
    quota: [u64; 2],
    is_capped: bool,
) -> (World, Manager) {
    let mut world = World::new(seed, faults, &[("a", quota[0]), ("b", quota[1])], flavors());
    let mut manager = Manager::new(seed);
    let end_ms = world.now_ms + 24 * HOUR_MS;
    let mut next_burst_ms = world.now_ms;
    while world.now_ms < end_ms {
        if world.now_ms >= next_burst_ms {
            let (count, cores) = (world.random.u64(1..80), [1, 1, 1, 2, 4][world.random.usize(0..5)]);
            let work_ms = world.random.u64(60_000..3 * HOUR_MS);
            world.submit(count, cores, work_ms);
            next_burst_ms = world.now_ms + world.random.u64(600_000..4 * HOUR_MS);
        }
        manager.step(&mut world, config);
        if is_capped {
            check_caps(&world, seed);
        }
        let begun_ms = world.now_ms;
        while world.now_ms < begun_ms + STEP_MS - 1_000 {
            world.advance(TICK_MS);
        }
    }
    // The world recovers; what is left is finished and everything goes.
    world.faults = Faults::default();
    for _ in 0..(40 * HOUR_MS / STEP_MS) {
        manager.step(&mut world, config);
        if is_capped {
            check_caps(&world, seed);
        }
        world.advance(STEP_MS - 1_000);
        if world.jobs.iter().all(|job| job.done)
            && world.servers.is_empty()
            && manager.memory.nodes.is_empty()
        {
            break;
        }
    }
    (world, manager)
}

fn seeds() -> std::ops::Range<u64> {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let first = number("CAMPANILE_SEED").unwrap_or(1);
    first..first + number("CAMPANILE_ROUNDS").unwrap_or(2)
}

#[test]
fn days_with_failing_clouds_and_a_lying_batch_system() {
    for seed in seeds() {
        let faults = Faults {
            lost_answers: 10,
            refusals: 10,
            errors: 8,
            mute: 5,
            outages: 4,
            silences: 4,
            lies: 4,
            deaths: 1,
            kills: 60,
        };
        let (world, manager) = live(seed, faults, &config(), [100, 120], true);
        let open = world.jobs.iter().filter(|job| !job.done).count();
        assert_eq!(open, 0, "seed {seed}: {open} jobs were never run");
        assert!(world.servers.is_empty(), "seed {seed}: servers leaked: {:?}", world.servers);
        assert!(manager.memory.nodes.is_empty(), "seed {seed}: {:?}", manager.memory.nodes);
        assert!(
            world.killed_jobs.is_empty(),
            "seed {seed}: working nodes were removed: {:?}",
            world.killed_jobs
        );
        let not_gone = manager.record.values().filter(|node| node.state != NodeState::Gone).count();
        assert_eq!(not_gone, 0, "seed {seed}: the record holds nodes that are not there");
        println!(
            "seed {seed}: {} jobs, {} nodes, the manager killed {} times",
            world.jobs.len(),
            manager.record.len(),
            manager.kills
        );
    }
}

#[test]
fn in_a_sound_world_demand_is_met_within_boot_time_and_one_step() {
    // Without caps in the way, a job waits for a machine and never for another job.
    let mut config = config();
    config.sizes.nodes_max = 1_000;
    config.sizes.cores_max = None;
    config.clouds.iter_mut().for_each(|cloud| cloud.limits = OwnLimits::default());
    config.growth = Growth { per_step: 200, per_minute: 400, coming_max: 400 };
    let mut worst_ms = 0;
    for seed in seeds() {
        let (world, manager) = live(seed, Faults::default(), &config, [10_000, 10_000], false);
        let mut work_ms = 0;
        for job in &world.jobs {
            assert_eq!(job.starts, 1, "seed {seed}: {job:?}");
            work_ms += job.work_ms * u64::from(job.request.cores);
            let waited_ms = job.began_ms.unwrap_or(u64::MAX) - job.arrived_ms;
            let limit_ms = world.boot_max_ms + STEP_MS + 2 * TICK_MS;
            assert!(waited_ms <= limit_ms, "seed {seed}: a job waited {waited_ms} ms: {job:?}");
            worst_ms = worst_ms.max(waited_ms);
        }
        assert!(world.servers.is_empty() && manager.memory.nodes.is_empty());
        // The optimum: cores that are there exactly while there is work for them.
        let optimum_h = work_ms as f64 / HOUR_MS as f64;
        let used_h = world.core_ms as f64 / HOUR_MS as f64;
        println!(
            "seed {seed}: {used_h:.0} core-hours, {optimum_h:.0} at best ({:.2} times)",
            used_h / optimum_h
        );
        assert!(used_h < 2.0 * optimum_h, "seed {seed}: {used_h} core-hours for {optimum_h}");
    }
    println!("the longest wait was {} s; a boot takes up to 240 s", worst_ms / 1000);
}
