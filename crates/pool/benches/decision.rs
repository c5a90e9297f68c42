//! How long a decision takes: 100 000 idle jobs and 5 000 nodes (target: below 50 ms). How a queue of 100 000 jobs is
//! read (target: in less than 100 MiB).

mod queue;

use criterion::{Criterion, criterion_group, criterion_main};

use campanile_pool::config::{CloudConfig, CloudKind, PoolConfig, WorkerType};
use campanile_pool::cycle::{CloudSeen, Memory, Seen, turn};
use campanile_pool::health::Health;
use campanile_pool::identity::Workers;
use campanile_pool::model::{
    CloudLimits, Demand, Flavor, JobGroup, Mark, Node, NodeState, Resources, Server, ServerStatus, Worker,
    WorkerState,
};
use campanile_pool::plan::{CloudView, Controls, Input, plan};

const NODES: u64 = 5_000;
const JOBS: u64 = 100_000;
const NOW_MS: u64 = 1_700_000_000_000;

fn config() -> PoolConfig {
    let mut config = PoolConfig::new(Mark { prefix: "bench".to_owned(), host: "host".to_owned() });
    for name in ["a", "b", "c"] {
        config.clouds.push(CloudConfig::new(name, CloudKind::OpenStack(Box::default())));
    }
    config.worker_types = vec![WorkerType::new("standard", &["m8", "m16"]), WorkerType::new("big", &["m32"])];
    config.sizes.nodes_max = 20_000;
    config.growth.per_step = 500;
    config.growth.per_minute = 500;
    config.growth.coming_max = 5_000;
    config
}

fn flavors() -> Vec<Flavor> {
    let flavor = |cores: u32| Flavor {
        id: format!("m{cores}"),
        name: format!("m{cores}"),
        resources: Resources::new(cores, u64::from(cores) * 4096),
    };
    vec![flavor(8), flavor(16), flavor(32)]
}

/// A pool of 5 000 nodes, most of them busy with something, and a queue of so many shapes.
fn world(shapes: u64) -> (Memory, Seen) {
    let mut random = fastrand::Rng::with_seed(7);
    let mut nodes = Vec::new();
    let mut workers = Vec::new();
    let mut servers = vec![Vec::new(), Vec::new(), Vec::new()];
    for index in 0..NODES {
        let cloud = (index % 3) as usize;
        let name = format!("bench-execute-{index}");
        let total = Resources::new(8, 32_768);
        let used = random.u32(0..9);
        let state = if used > 0 { NodeState::Busy } else { NodeState::Idle };
        let free = total.minus(&Resources::new(used, u64::from(used) * random.u64(500..4000)));
        nodes.push(Node {
            name: name.clone(),
            cloud: ["a", "b", "c"][cloud].to_owned(),
            worker_type: "standard".to_owned(),
            flavor: "m8".to_owned(),
            image: String::new(),
            resources: total,
            cost_per_hour: 0.0,
            state,
            since_ms: NOW_MS - 600_000,
            created_ms: NOW_MS - 900_000,
            server_id: Some(format!("id-{index}")),
            worker_handle: Some(format!("slot1@{name}")),
            idle_since_ms: (used == 0).then_some(NOW_MS - 600_000),
            cordoned: false,
            ending: None,
            detail: String::new(),
            delete_tries: 0,
            asked_ms: None,
            missing_since_ms: None,
        });
        workers.push(Worker {
            handle: format!("slot1@{name}"),
            elastic_node: Some(name.clone()),
            startd_name: Some(format!("{name}@host")),
            machine: Some(name.clone()),
            state: if used > 0 { WorkerState::Busy } else { WorkerState::Idle },
            total,
            free,
            jobs: u64::from(used),
            idle_since_ms: None,
            heard_ms: None,
            identity: None,
            worker_types: Vec::new(),
        });
        servers[cloud].push(Server {
            id: format!("id-{index}"),
            name: name.clone(),
            status: ServerStatus::Active,
            mark: Some("bench@host".to_owned()),
            node: Some(name),
            worker_type: None,
            flavor: "m8".to_owned(),
            resources: Some(total),
            created_ms: NOW_MS - 900_000,
            fault: None,
            addresses: Vec::new(),
        });
    }
    let groups = (0..shapes).map(|_| JobGroup {
        request: Resources::new(random.u32(1..17), random.u64(100..40_000)),
        jobs: JOBS / shapes,
        worker_types: vec!["standard".to_owned(), "big".to_owned()],
        oldest_ms: None,
    });
    let demand = Demand { groups: groups.collect(), ..Demand::default() };
    let clouds = ["a", "b", "c"].iter().zip(servers).map(|(name, servers)| CloudSeen {
        name: (*name).to_owned(),
        servers: Some(servers),
        limits: Some(CloudLimits::default()),
        flavors: Some(flavors()),
    });
    let seen =
        Seen { now_ms: NOW_MS, clouds: clouds.collect(), workers: Some(workers), demand: Some(demand) };
    (Memory { nodes, ..Memory::default() }, seen)
}

fn bench(criterion: &mut Criterion) {
    let config = config();
    let flavors = flavors();
    for shapes in [10, 1_000, 20_000] {
        let (memory, seen) = world(shapes);
        let limits = CloudLimits::default();
        let clouds: Vec<CloudView<'_>> = config
            .clouds
            .iter()
            .map(|cloud| CloudView {
                config: cloud,
                flavors: Some(&flavors),
                limits: Some(&limits),
                is_listed: true,
                strays: 0,
                stray_resources: Resources::default(),
            })
            .collect();
        let workers = Workers::of(seen.workers.as_deref().unwrap_or_default(), &memory.nodes);
        let (health, controls) = (Health::default(), Controls::default());
        let input = Input {
            config: &config,
            clouds: &clouds,
            nodes: &memory.nodes,
            workers: Some(&workers),
            demand: seen.demand.as_ref(),
            health: &health,
            controls: &controls,
            recent_creations_ms: &[],
            last_cloud: None,
            seed: 1,
            now_ms: NOW_MS,
        };
        let created = plan(&input).create.len();
        assert!(created > 0, "the decision has something to do");
        let mut group = criterion.benchmark_group(format!("100k jobs in {shapes} shapes, 5k nodes"));
        group.sample_size(20);
        group.bench_function("decision", |bencher| bencher.iter(|| plan(&input)));
        group.bench_function("whole turn", |bencher| {
            bencher.iter_batched(
                || memory.clone(),
                |mut memory| turn(&mut memory, &seen, &config),
                criterion::BatchSize::LargeInput,
            );
        });
        group.finish();
    }
}

criterion_group!(benches, bench, queue::bench);
criterion_main!(benches);
