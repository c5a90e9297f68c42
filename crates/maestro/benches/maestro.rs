//! What the manager of a large cluster costs: a whole plan for ten thousand samplers on a hundred aggregators, the plan
//! after one of them has failed; from the start until the last reply for many real (simulated) daemons, and memory.
//! The daemons are those of `campanile ldms sim` (`CAMPANILE_BIN` names the program), in a process of their own.
//!
//! `make bench` runs it. It prints a table; times are medians (least to most).

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on ends there")]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use campanile_control::{Clock, Workers};
use campanile_maestro::conductor::{Conductor, Settings};
use campanile_maestro::config::{self, Pairing};
use campanile_maestro::desired::desired;
use campanile_maestro::manager::{Manager, Options};
use campanile_maestro::model::{BalanceBy, Desired};
use campanile_maestro::seen::{Differs, ProducerSeen, Seen, State};
use campanile_testkit::{Daemon, rss_of, wait_until};

use world::{Size, World};

#[path = "../tests/world/mod.rs"]
#[allow(dead_code, reason = "faults and what must hold are for the tests")]
mod world;

const PATIENCE: Duration = Duration::from_secs(180);
const ROUNDS: usize = 7;

fn main() {
    println!("| what | figure |\n|---|---|");
    plans();
    plan_after_a_failure();
    let Some(program) = std::env::var_os("CAMPANILE_BIN").map(PathBuf::from) else {
        println!("CAMPANILE_BIN names no campanile: starts are not measured");
        return;
    };
    for samplers in [200, 2_000] {
        start(&program, samplers);
    }
}

fn spread(times: &mut [Duration]) -> String {
    times.sort();
    let ms = |time: Duration| time.as_secs_f64() * 1000.0;
    let (least, most) = (times[0], times[times.len() - 1]);
    format!("{:.2} ms ({:.2} to {:.2})", ms(times[times.len() / 2]), ms(least), ms(most))
}

/// A cluster of two tiers whose daemons listen at these ports.
fn cluster(samplers: &[u16], l1: &[u16], l2: &[u16]) -> Desired {
    let mut text = String::from("daemons:\n");
    for (kind, ports) in [("s", samplers), ("a", l1), ("t", l2)] {
        let list: Vec<String> = ports.iter().map(u16::to_string).collect();
        let (count, list) = (ports.len(), list.join(","));
        // Hosts of their own: ports may repeat where nobody is asked.
        let hosts = if list.contains(",1,") { format!("h{kind}[1-{count}]") } else { "127.0.0.1".to_owned() };
        writeln!(
            text,
            "  - {{names: \"{kind}[1-{count}]\", hosts: \"{hosts}\", endpoints: [{{names: \"{kind}[1-{count}]-ep\", ports: \"{list}\", maestro_comm: True}}]}}"
        )
        .unwrap();
    }
    text.push_str("aggregators:\n");
    for (upper, lower, uppers, lowers) in
        [("a", "s", l1.len(), samplers.len()), ("t", "a", l2.len(), l1.len())]
    {
        writeln!(
            text,
            "  - daemons: \"{upper}[1-{uppers}]\"\n    peers: [{{daemons: \"{lower}[1-{lowers}]\", endpoints: \"{lower}[1-{lowers}]-ep\", reconnect: 2s, type: active, updaters: [{{mode: pull, interval: 1s}}]}}]"
        )
        .unwrap();
    }
    let count = samplers.len();
    writeln!(text, "samplers: [{{daemons: \"s[1-{count}]\", plugins: [m]}}]").unwrap();
    text.push_str("plugins: {m: {name: meminfo, interval: 1s, config: [{schema: meminfo}]}}\n");
    let (cluster, problems) = config::parse(Path::new("bench.yaml"), text.as_bytes(), Pairing::Written);
    assert!(!problems.has_errors(), "{}", problems.render(false));
    desired(&cluster.unwrap(), BalanceBy::Producers)
}

/// Every producer is defined and stopped.
fn defined(desired: &Desired, daemon: usize) -> Seen {
    let stopped = ProducerSeen { state: State::Stopped, differs: Differs::No };
    let groups = desired.daemons[daemon].member_of.iter();
    let producers = groups.map(|(group, _)| vec![stopped; desired.groups[*group].producers.len()]).collect();
    Seen { producers, ..Seen::default() }
}

fn plans() {
    let wanted = cluster(&[1; 10_000], &[1; 100], &[1; 10]);
    let count = wanted.daemons.len();
    let (mut times, mut orders) = (Vec::new(), 0);
    for _ in 0..ROUNDS {
        let mut conductor = Conductor::new(wanted.clone(), Settings::default(), 0);
        for daemon in 0..count {
            conductor.up(daemon, 1);
            conductor.observe(daemon, defined(&wanted, daemon));
        }
        let begin = Instant::now();
        let planned = conductor.decide(5_000);
        times.push(begin.elapsed());
        orders = planned.len();
    }
    let times = spread(&mut times);
    println!("| plan for 10 000 samplers × 100 + 10 aggregators ({orders} orders) | {times} |");
}

/// The plan after one of a hundred aggregators at rest has failed, in the cluster of the simulation.
fn plan_after_a_failure() {
    let (mut times, mut orders) = (Vec::new(), 0);
    for round in 0..ROUNDS {
        let mut world = World::new(Size { samplers: 10_000, l1: 100, l2: 10 }, round as u64);
        world.settle();
        let now_ms = world.now_ms;
        let begin = Instant::now();
        world.conductor.down(10_000 + round, "connection closed", now_ms);
        orders = world.conductor.decide(now_ms).len();
        times.push(begin.elapsed());
    }
    println!("| plan after one aggregator has failed ({orders} orders) | {} |", spread(&mut times));
}

/// Simulated daemons in a process of their own, three aggregators and one above them included.
fn simulate(program: &Path, count: usize) -> (Daemon, Vec<u16>) {
    let mut command = Command::new(program);
    command.args(["ldms", "sim", "--quick", &format!("d-[1-{count}]")]).stdin(Stdio::null());
    let mut daemon = Daemon::spawn("ldms sim", command);
    daemon.wait_for_output(PATIENCE, "simulated daemons");
    let place = |line: &str| line.split_once("127.0.0.1:")?.1.parse().ok();
    let ports: Vec<u16> = daemon.output().lines().filter_map(place).collect();
    assert_eq!(ports.len(), count);
    (daemon, ports)
}

fn start(program: &Path, samplers: usize) {
    let mut times = Vec::new();
    let mut grown = 0;
    for _ in 0..3 {
        let (daemon, ports) = simulate(program, samplers + 4);
        let wanted = cluster(&ports[..samplers], &ports[samplers..samplers + 3], &ports[samplers + 3..]);
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let before = rss_of(std::process::id()).unwrap_or(0);
        let clock = Clock::system();
        let workers = Workers::new(clock.clone());
        let begin = Instant::now();
        let guard = runtime.enter();
        let manager = Manager::start(wanted, Options::default(), clock, &workers, None, None);
        wait_until(PATIENCE, "the manager comes to rest", || manager.is_at_rest());
        times.push(begin.elapsed());
        grown = rss_of(std::process::id()).unwrap_or(0).saturating_sub(before);
        drop(guard);
        drop(manager);
        drop(runtime);
        drop(daemon);
    }
    println!(
        "| {samplers} samplers configured: from the start until the last reply | {} |",
        spread(&mut times)
    );
    println!("| {samplers} samplers: memory of the manager | {:.1} MiB |", grown as f64 / 1024.0 / 1024.0);
}
