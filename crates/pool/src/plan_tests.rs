//! The decision and the life of a node by cases.

use crate::clouds::CloudError;
use crate::config::{Allocation, CloudConfig, CloudKind, OwnLimits, PoolConfig, Window, WorkerType};
use crate::cycle::{CloudSeen, Memory, Order, Seen, Turn, turn};
use crate::model::{
    CloudLimits, Demand, Ending, Flavor, JobGroup, Mark, Node, NodeState, Resources, ServerStatus, Worker,
    WorkerState,
};
use crate::testing::{node, server, worker};

const NOW_MS: u64 = 1_700_000_000_000;

fn config() -> PoolConfig {
    let mut config = PoolConfig::new(Mark { prefix: "p".to_owned(), host: "h".to_owned() });
    for name in ["a", "b"] {
        config.clouds.push(CloudConfig::new(name, CloudKind::OpenStack(Box::default())));
    }
    config.worker_types = vec![WorkerType::new("standard", &["m4", "m2"])];
    config.sizes.nodes_min = 0;
    config.sizes.nodes_spare = 0;
    config.sizes.nodes_max = 100;
    config
}

fn seen(jobs: &[(u64, u32)]) -> Seen {
    let flavor = |name: &str, cores: u32| Flavor {
        id: name.to_owned(),
        name: name.to_owned(),
        resources: Resources::new(cores, u64::from(cores) * 2048),
    };
    let cloud = |name: &str| CloudSeen {
        name: name.to_owned(),
        servers: Some(Vec::new()),
        limits: Some(CloudLimits::default()),
        flavors: Some(vec![flavor("m2", 2), flavor("m4", 4), flavor("m8", 8)]),
    };
    let groups = jobs.iter().map(|(jobs, cores)| JobGroup {
        request: Resources::new(*cores, 512),
        jobs: *jobs,
        worker_types: vec!["standard".to_owned()],
        oldest_ms: None,
    });
    Seen {
        now_ms: NOW_MS,
        clouds: vec![cloud("a"), cloud("b")],
        workers: Some(Vec::new()),
        demand: Some(Demand { groups: groups.collect(), ..Demand::default() }),
    }
}

/// A node that has joined and is idle since ten minutes, with its server and worker.
fn with_idle(memory: &mut Memory, seen: &mut Seen, name: &str) {
    let idle = Node {
        state: NodeState::Idle,
        idle_since_ms: Some(NOW_MS - 600_000),
        since_ms: NOW_MS - 600_000,
        created_ms: NOW_MS - 900_000,
        ..node(name)
    };
    memory.nodes.push(idle);
    seen.clouds[0].servers.as_mut().unwrap().push(server(name, ServerStatus::Active));
    let joined = Worker { elastic_node: Some(name.to_owned()), ..worker(&format!("slot1@{name}")) };
    seen.workers.as_mut().unwrap().push(joined);
}

fn created(turn: &Turn) -> Vec<(String, String)> {
    turn.plan.create.iter().map(|new| (new.cloud.clone(), new.flavor.clone())).collect()
}

#[test]
fn jobs_are_packed_into_flavors_and_nodes_go_round_the_clouds() {
    let turn = turn(&mut Memory::default(), &seen(&[(10, 1)]), &config());
    let flavors: Vec<String> = created(&turn).into_iter().map(|(_, flavor)| flavor).collect();
    assert_eq!(flavors, ["m4", "m4", "m2"]);
    let clouds: Vec<String> = created(&turn).into_iter().map(|(cloud, _)| cloud).collect();
    assert_eq!(clouds, ["a", "b", "a"]);
    assert_eq!(turn.changed.len(), 3);
    assert!(turn.plan.why.contains(&"10 idle jobs need 10 cores".to_owned()), "{:?}", turn.plan.why);
}

#[test]
fn what_is_on_the_way_counts() {
    let (mut memory, config) = (Memory::default(), config());
    let first = turn(&mut memory, &seen(&[(8, 1)]), &config);
    assert_eq!(first.plan.create.len(), 2);
    let again = turn(&mut memory, &seen(&[(8, 1)]), &config);
    assert_eq!(again.plan.create.len(), 0);
    assert_eq!(again.plan.numbers.jobs_coming, 8);
    let more = turn(&mut memory, &seen(&[(9, 1)]), &config);
    assert_eq!(created(&more).len(), 1);
}

#[test]
fn held_and_unrunnable_jobs_make_no_nodes() {
    let mut seen = seen(&[(5, 1)]);
    let demand = seen.demand.as_mut().unwrap();
    demand.groups[0].worker_types.clear();
    demand.held_jobs = 7;
    let turn = turn(&mut Memory::default(), &seen, &config());
    assert_eq!(turn.plan.create.len(), 0);
    assert_eq!(turn.plan.numbers.unrunnable_jobs, 5);
}

#[test]
fn workers_that_are_not_ours_are_supply_and_are_never_removed() {
    let mut seen = seen(&[(3, 1)]);
    seen.workers.as_mut().unwrap().push(worker("slot1@foreign"));
    let quiet = turn(&mut Memory::default(), &seen, &config());
    assert_eq!((quiet.plan.create.len(), quiet.plan.remove.len()), (0, 0));
    seen.demand = Some(Demand::default());
    let idle = turn(&mut Memory::default(), &seen, &config());
    assert!(idle.plan.remove.is_empty() && idle.orders.is_empty());
}

#[test]
fn no_cap_is_passed_and_the_plan_says_which() {
    let mut config = config();
    config.sizes.nodes_max = 3;
    let mut memory = Memory::default();
    let mut broken = node("broken");
    broken.state = NodeState::Deleting;
    broken.delete_tries = 1;
    broken.asked_ms = Some(NOW_MS);
    memory.nodes.push(broken);
    let mut seen = seen(&[(100, 1)]);
    seen.clouds[0].servers.as_mut().unwrap().push(server("broken", ServerStatus::Error));
    let capped = turn(&mut memory, &seen, &config);
    assert_eq!(capped.plan.create.len(), 2, "the server in error counts");
    assert!(
        capped.plan.why.iter().any(|why| why.contains("`nodes_max` is reached")),
        "{:?}",
        capped.plan.why
    );

    config.sizes.nodes_max = 100;
    config.sizes.cores_max = Some(10);
    let cores = turn(&mut Memory::default(), &seen, &config);
    assert_eq!(cores.plan.create.iter().map(|new| new.resources.cores).sum::<u32>(), 6);
    config.sizes.cores_max = None;
    config.sizes.cost_per_hour_max = Some(1.0);
    config.clouds.iter_mut().for_each(|cloud| cloud.cost_per_core_hour = 0.1);
    let cost = turn(&mut Memory::default(), &seen, &config);
    assert!(cost.plan.create.iter().map(|new| new.cost_per_hour).sum::<f64>() <= 1.0);
}

#[test]
fn the_quota_keeps_what_is_to_be_left_and_a_full_cloud_leaves_the_other() {
    let mut config = config();
    config.quotas.servers = 1;
    let mut seen = seen(&[(100, 4)]);
    let limits = CloudLimits { servers_used: 3, servers_max: Some(5), ..CloudLimits::default() };
    seen.clouds[0].limits = Some(limits);
    seen.clouds[1].limits =
        Some(CloudLimits { cores_used: 30, cores_max: Some(40), ..CloudLimits::default() });
    let turn_ = turn(&mut Memory::default(), &seen, &config);
    let in_cloud = |name: &str| created(&turn_).iter().filter(|(cloud, _)| cloud == name).count();
    assert_eq!((in_cloud("a"), in_cloud("b")), (1, 2));
    assert!(
        turn_.plan.why.iter().any(|why| why.contains("cloud b: no quota left for cores")),
        "{:?}",
        turn_.plan.why
    );
    config.clouds[0].limits = OwnLimits { nodes: Some(0), ..OwnLimits::default() };
    assert!(created(&turn(&mut Memory::default(), &seen, &config)).iter().all(|(cloud, _)| cloud == "b"));
}

#[test]
fn each_mode_of_allocation_chooses_its_cloud() {
    let mut config = config();
    let seen = seen(&[(16, 1)]);
    let clouds = |config: &PoolConfig| -> Vec<String> {
        created(&turn(&mut Memory::default(), &seen, config)).into_iter().map(|(cloud, _)| cloud).collect()
    };
    config.allocation = Allocation::FillFirst;
    assert_eq!(clouds(&config), ["a", "a", "a", "a"]);
    config.clouds[0].priority = 5;
    assert_eq!(clouds(&config), ["b", "b", "b", "b"]);
    config.allocation = Allocation::Cheapest;
    config.clouds[0].cost_per_core_hour = 0.1;
    config.clouds[1].cost_per_core_hour = 0.2;
    assert_eq!(clouds(&config), ["a", "a", "a", "a"]);
    config.allocation = Allocation::Random;
    let drawn: std::collections::BTreeSet<String> = (0..20)
        .flat_map(|seed| {
            let mut memory = Memory { seed, ..Memory::default() };
            created(&turn(&mut memory, &seen, &config))
        })
        .map(|(cloud, _)| cloud)
        .collect();
    assert_eq!(drawn.len(), 2);
}

#[test]
fn the_least_and_the_spare_nodes_are_kept() {
    let mut config = config();
    config.sizes.nodes_min = 2;
    let mut memory = Memory::default();
    assert_eq!(turn(&mut memory, &seen(&[]), &config).plan.create.len(), 2);
    assert_eq!(turn(&mut memory, &seen(&[]), &config).plan.create.len(), 0);
    config.sizes.nodes_spare = 3;
    assert_eq!(turn(&mut memory, &seen(&[]), &config).plan.create.len(), 1);
    // Jobs take the spare ones: others are made in their place.
    assert_eq!(turn(&mut memory, &seen(&[(8, 1)]), &config).plan.create.len(), 2);
}

#[test]
fn growth_has_a_rate() {
    let mut config = config();
    config.growth.per_step = 5;
    config.growth.per_minute = 8;
    let mut memory = Memory::default();
    let mut seen = seen(&[(400, 1)]);
    assert_eq!(turn(&mut memory, &seen, &config).plan.create.len(), 5);
    let next = turn(&mut memory, &seen, &config);
    assert_eq!(next.plan.create.len(), 3);
    assert!(next.plan.why.iter().any(|why| why.contains("`growth.per_minute`")), "{:?}", next.plan.why);
    seen.now_ms += 60_000;
    config.growth.coming_max = 10;
    assert_eq!(turn(&mut memory, &seen, &config).plan.create.len(), 2);
}

#[test]
fn the_longest_idle_node_goes_by_a_drain_that_the_batch_system_checks() {
    let (mut memory, mut seen, config) = (Memory::default(), seen(&[]), config());
    for name in ["n1", "n2", "n3"] {
        with_idle(&mut memory, &mut seen, name);
    }
    memory.nodes[1].idle_since_ms = Some(NOW_MS - 3_600_000);
    memory.nodes[2].idle_since_ms = Some(NOW_MS - 1_000);
    let mut one = config.clone();
    one.shrink.per_step = 1;
    let shrunk = turn(&mut memory.clone(), &seen, &one);
    assert_eq!(shrunk.plan.remove[0].node, "n2");
    assert!(matches!(&shrunk.orders[0].orders[0], Order::Drain(_, crate::batch::DrainMode::OnlyIfIdle, _)));
    let all = turn(&mut memory, &seen, &config);
    let names: Vec<&str> = all.plan.remove.iter().map(|removal| removal.node.as_str()).collect();
    assert_eq!(names, ["n2", "n1"], "n3 has not been idle for long enough");
    assert_eq!(memory.nodes[1].state, NodeState::Draining);
    // Refused, since a job has started: it works on.
    let (stays, _) = memory.drained("n2", crate::batch::DrainAnswer::Busy, NOW_MS).unwrap();
    assert_eq!((stays.state, stays.ending), (NodeState::Busy, None));
}

#[test]
fn nothing_goes_that_waiting_jobs_can_use_or_while_nothing_is_known() {
    let (mut memory, mut seen, config) = (Memory::default(), seen(&[(5, 1)]), config());
    for name in ["n1", "n2", "n3"] {
        with_idle(&mut memory, &mut seen, name);
    }
    let needed = turn(&mut memory.clone(), &seen, &config);
    assert_eq!(needed.plan.remove.len(), 1, "five jobs need two of three nodes");
    seen.demand = Some(Demand::default());
    let mut cooling = memory.clone();
    cooling.recent_creations_ms.push(NOW_MS - 10_000);
    assert_eq!(turn(&mut cooling, &seen, &config).plan.remove.len(), 0);
    let mut closed = config.clone();
    closed.shrink.windows = vec![Window { days: 0, from_min: 0, to_min: 1 }];
    assert_eq!(turn(&mut memory.clone(), &seen, &closed).plan.remove.len(), 0);
    let mut paused = memory.clone();
    paused.controls.paused = true;
    assert_eq!(turn(&mut paused, &seen, &config).plan.remove.len(), 0);
    seen.workers = None;
    let blind = turn(&mut memory, &seen, &config);
    assert!(blind.plan.remove.is_empty() && blind.orders.is_empty());
    assert!(memory.nodes.iter().all(|node| node.state == NodeState::Idle));
}

#[test]
fn a_node_lives_from_its_request_to_its_end() {
    let (mut memory, config) = (Memory::default(), config());
    let mut world = seen(&[(1, 1)]);
    let first = turn(&mut memory, &world, &config);
    let name = first.changed[0].name.clone();
    assert_eq!(first.changed[0].state, NodeState::Requested);
    memory.created(&name, &Ok("id".to_owned()), NOW_MS);
    let mut its_server = server(&name, ServerStatus::Building);
    its_server.id = "id".to_owned();
    let step = |memory: &mut Memory, world: &mut Seen| {
        world.now_ms += 30_000;
        let turn = turn(memory, world, &config);
        (memory.nodes.first().map(|node| node.state), turn)
    };
    world.clouds[0].servers = Some(vec![its_server.clone()]);
    assert_eq!(step(&mut memory, &mut world).0, Some(NodeState::Building));
    its_server.status = ServerStatus::Active;
    world.clouds[0].servers = Some(vec![its_server]);
    assert_eq!(step(&mut memory, &mut world).0, Some(NodeState::Booted));
    let mut its_worker = Worker { elastic_node: Some(name.clone()), ..worker("slot1@w") };
    its_worker.state = WorkerState::Busy;
    its_worker.jobs = 1;
    world.workers = Some(vec![its_worker.clone()]);
    world.demand = Some(Demand::default());
    assert_eq!(step(&mut memory, &mut world).0, Some(NodeState::Busy));
    its_worker.state = WorkerState::Idle;
    its_worker.jobs = 0;
    world.workers = Some(vec![its_worker.clone()]);
    assert_eq!(step(&mut memory, &mut world).0, Some(NodeState::Idle));
    world.now_ms += 600_000;
    let (state, draining) = step(&mut memory, &mut world);
    assert_eq!((state, draining.plan.remove.len()), (Some(NodeState::Draining), 1));
    its_worker.state = WorkerState::Drained;
    world.workers = Some(vec![its_worker]);
    let (state, deleting) = step(&mut memory, &mut world);
    assert_eq!(state, Some(NodeState::Deleting));
    assert!(matches!(deleting.orders[0].orders.as_slice(), [Order::Off(_), Order::Delete(id)] if id == "id"));
    world.clouds[0].servers = Some(Vec::new());
    let (state, gone) = step(&mut memory, &mut world);
    assert_eq!(state, None);
    assert!(matches!(gone.orders[0].orders.as_slice(), [Order::Forget(_)]));
    assert_eq!(gone.changed.last().unwrap().state, NodeState::Gone);
}

#[test]
fn a_server_in_error_is_examined_removed_and_its_flavor_left_alone() {
    let (mut memory, config) = (Memory::default(), config());
    let mut world = seen(&[(1, 4)]);
    let name = turn(&mut memory, &world, &config).changed[0].name.clone();
    memory.created(&name, &Ok("id".to_owned()), NOW_MS);
    let mut broken = server(&name, ServerStatus::Error);
    broken.fault = Some("No valid host was found".to_owned());
    world.clouds[0].servers = Some(vec![broken]);
    let failed = turn(&mut memory, &world, &config);
    assert!(matches!(failed.orders[0].orders.as_slice(), [Order::Examine(_), Order::Delete(_)]));
    assert!(failed.events.iter().any(|event| event.is_alarm && event.text.contains("No valid host")));
    assert_eq!(memory.nodes[0].ending, Some(Ending::ServerError));
    // In the same turn its replacement is planned where the flavor is not left alone.
    assert_eq!(created(&failed), [("b".to_owned(), "m4".to_owned())]);
}

#[test]
fn a_request_whose_answer_was_lost_is_found_again_or_given_up_and_never_repeated() {
    let (mut memory, config) = (Memory::default(), config());
    let mut world = seen(&[(1, 4)]);
    let name = turn(&mut memory, &world, &config).changed[0].name.clone();
    memory.created(&name, &Err(CloudError::AnswerLost("timeout".to_owned())), NOW_MS);
    assert_eq!(memory.nodes[0].state, NodeState::Requested);
    world.now_ms += config.deadlines.delete_ms;
    assert_eq!(turn(&mut memory, &world, &config).plan.create.len(), 0, "it may still come");
    let mut late = memory.clone();
    world.clouds[0].servers = Some(vec![server(&name, ServerStatus::Building)]);
    turn(&mut late, &world, &config);
    assert_eq!(late.nodes[0].state, NodeState::Building);
    world.clouds[0].servers = Some(Vec::new());
    world.now_ms += config.deadlines.request_ms;
    let given_up = turn(&mut memory, &world, &config);
    assert!(given_up.changed.iter().any(|node| node.name == name && node.state == NodeState::Gone));
    assert_eq!(given_up.plan.create.len(), 1);
}

#[test]
fn with_the_record_lost_our_servers_are_found_by_their_mark() {
    let config = config();
    let mut world = seen(&[]);
    world.clouds[0].servers =
        Some(vec![server("n1", ServerStatus::Active), server("n2", ServerStatus::Active)]);
    let busy = Worker {
        elastic_node: Some("n1".to_owned()),
        state: WorkerState::Busy,
        jobs: 2,
        ..worker("slot1@n1")
    };
    world.workers = Some(vec![busy]);
    let mut memory = Memory::default();
    let found = turn(&mut memory, &world, &config);
    let states: Vec<NodeState> = memory.nodes.iter().map(|node| node.state).collect();
    assert_eq!(states, [NodeState::Busy, NodeState::Booted]);
    assert!(found.orders.is_empty() && found.changed.len() == 2);
}

#[test]
fn absence_is_loss_only_after_its_deadline_and_only_while_the_batch_system_answers() {
    let (mut memory, mut world, config) = (Memory::default(), seen(&[]), config());
    with_idle(&mut memory, &mut world, "n1");
    memory.nodes[0].state = NodeState::Busy;
    memory.nodes[0].idle_since_ms = None;
    world.workers = Some(Vec::new());
    turn(&mut memory, &world, &config);
    assert_eq!(memory.nodes[0].state, NodeState::Lost);
    // Nothing is known for hours: the deadline begins anew when the answers do.
    world.workers = None;
    world.now_ms += 10 * 3_600_000;
    turn(&mut memory, &world, &config);
    world.workers = Some(Vec::new());
    world.now_ms += 30_000;
    assert!(turn(&mut memory, &world, &config).orders.is_empty());
    assert_eq!(memory.nodes[0].state, NodeState::Lost);
    world.now_ms += config.deadlines.lost_ms;
    let lost = turn(&mut memory, &world, &config);
    assert!(matches!(lost.orders[0].orders.as_slice(), [Order::Examine(_), Order::Delete(_)]));
}

#[test]
fn two_servers_of_one_name_are_left_alone_and_count() {
    let (mut memory, mut world, mut config) = (Memory::default(), seen(&[(100, 4)]), config());
    config.sizes.nodes_max = 3;
    with_idle(&mut memory, &mut world, "n1");
    let mut double = server("n1", ServerStatus::Error);
    double.id = "another".to_owned();
    world.clouds[0].servers.as_mut().unwrap().push(double);
    let turn_ = turn(&mut memory, &world, &config);
    assert_eq!(turn_.plan.create.len(), 1);
    assert_eq!(turn_.orders.len(), 1);
    assert!(turn_.events.iter().any(|event| event.is_alarm && event.text.contains("two claim to be n1")));
    let again = turn(&mut memory, &world, &config);
    assert!(!again.events.iter().any(|event| event.text.contains("two claim")), "an alarm is told once");
}

#[test]
fn a_cordoned_node_takes_no_jobs_and_stays() {
    let (mut memory, mut world, config) = (Memory::default(), seen(&[(4, 1)]), config());
    with_idle(&mut memory, &mut world, "n1");
    memory.nodes[0].cordoned = true;
    let turn_ = turn(&mut memory, &world, &config);
    assert_eq!((turn_.plan.create.len(), turn_.plan.remove.len()), (1, 0));
    assert!(matches!(&turn_.orders[0].orders[0], Order::Drain(_, crate::batch::DrainMode::Peaceful, _)));
}

#[test]
fn an_operator_lets_a_busy_node_finish() {
    let (mut memory, mut world, config) = (Memory::default(), seen(&[]), config());
    with_idle(&mut memory, &mut world, "n1");
    let workers = world.workers.as_mut().unwrap();
    (workers[0].state, workers[0].jobs) = (WorkerState::Busy, 1);
    memory.ask_gone("n1", NOW_MS).unwrap();
    let turn_ = turn(&mut memory, &world, &config);
    assert!(matches!(&turn_.orders[0].orders[0], Order::Drain(_, crate::batch::DrainMode::Peaceful, _)));
    assert!(memory.ask_gone("n1", NOW_MS).is_err());
    assert!(memory.ask_gone("nobody", NOW_MS).is_err());
}

#[test]
fn a_lowered_cap_lets_idle_nodes_go_at_once() {
    let (mut memory, mut world, mut config) = (Memory::default(), seen(&[]), config());
    for name in ["n1", "n2", "n3"] {
        with_idle(&mut memory, &mut world, name);
        memory.nodes.last_mut().unwrap().idle_since_ms = Some(NOW_MS);
    }
    assert_eq!(turn(&mut memory.clone(), &world, &config).plan.remove.len(), 0);
    config.sizes.nodes_max = 2;
    assert_eq!(turn(&mut memory, &world, &config).plan.remove.len(), 1);
}

#[test]
fn a_cloud_that_was_silent_has_a_moment_to_finish_what_it_builds() {
    let (mut memory, mut seen, config) = (Memory::default(), seen(&[]), config());
    let overdue_ms = NOW_MS - config.deadlines.build_ms - 1_000;
    let building = Node {
        state: NodeState::Building,
        server_id: Some("id-of-n".to_owned()),
        since_ms: overdue_ms,
        created_ms: overdue_ms,
        ..node("n")
    };
    memory.nodes.push(building);
    seen.clouds[0].servers = Some(vec![server("n", ServerStatus::Building)]);
    for (later_ms, orders) in [(0, 0), (59_000, 0), (61_000, 1)] {
        seen.now_ms = NOW_MS + later_ms;
        let turn = turn(&mut memory, &seen, &config);
        assert_eq!(turn.orders.len(), orders, "{later_ms}: {:?}", turn.orders);
    }
    assert_eq!(memory.nodes[0].ending, Some(Ending::Overdue));
}

#[test]
fn a_worker_that_joins_while_its_server_is_being_deleted_takes_no_jobs() {
    let (mut memory, mut world, config) = (Memory::default(), seen(&[]), config());
    let overdue_ms = NOW_MS - config.deadlines.join_ms - 1_000;
    let booted = Node {
        state: NodeState::Booted,
        server_id: Some("id-of-n".to_owned()),
        since_ms: overdue_ms,
        created_ms: overdue_ms,
        ..node("n")
    };
    memory.nodes.push(booted);
    memory.batch_since_ms = Some(overdue_ms);
    world.clouds[0].servers = Some(vec![server("n", ServerStatus::Active)]);
    let overdue = turn(&mut memory, &world, &config);
    assert!(matches!(overdue.orders[0].orders.as_slice(), [Order::Examine(_), Order::Delete(_)]));

    let joined = Worker { elastic_node: Some("n".to_owned()), ..worker("slot1@n") };
    world.workers = Some(vec![joined]);
    for (later_ms, drains) in [(2_000, 1), (4_000, 0), (6_000, 0), (33_000, 1)] {
        world.now_ms = NOW_MS + later_ms;
        let turn = turn(&mut memory, &world, &config);
        let orders = turn.orders.iter().flat_map(|orders| &orders.orders);
        let drains_now = orders
            .filter(|order| matches!(order, Order::Drain(_, crate::batch::DrainMode::OnlyIfIdle, _)))
            .count();
        assert_eq!(drains_now, drains, "{later_ms}: {:?}", turn.orders);
    }
    world.workers.as_mut().unwrap()[0].state = WorkerState::Drained;
    world.now_ms += config.deadlines.delete_ms;
    let quiet = turn(&mut memory, &world, &config);
    assert!(matches!(quiet.orders[0].orders.as_slice(), [Order::Delete(_)]), "{:?}", quiet.orders);
}
