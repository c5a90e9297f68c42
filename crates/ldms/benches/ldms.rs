//! What talking to many ldmsds costs: requests a second on one connection, a thousand daemons connected and asked at
//! once, memory. The daemons are those of `campanile ldms sim` (`CAMPANILE_BIN` names the program), in a process of
//! their own; where `LDMSD` names a real ldmsd, one connection to it is measured beside them.
//!
//! `make bench` runs it. It prints a table; times are medians (least to most).

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on ends there")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use campanile_ldms::api::Request;
use campanile_ldms::api::daemon::DaemonStatus;
use campanile_ldms::client::{Client, Endpoint, Options};
use campanile_ldms::wire::ids::RequestId;
use campanile_testkit::{Daemon, free_port, rss_of, wait_until};
use tokio::task::JoinSet;

const PATIENCE: Duration = Duration::from_secs(120);
/// Requests of one measurement, and of one batch.
const REQUESTS: usize = 20_000;
const BATCH: usize = 500;
const ROUNDS: usize = 5;
const DAEMONS: usize = 1000;
const IDLE_DAEMONS: usize = 5000;

fn main() {
    let Some(program) = std::env::var_os("CAMPANILE_BIN").map(PathBuf::from) else {
        println!("CAMPANILE_BIN names no campanile: nothing is measured");
        return;
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    println!("| what | figure |\n|---|---|");
    let one = Simulation::start(&program, 1);
    runtime.block_on(one_connection("simulated ldmsd", &one.endpoints[0]));
    drop(one);
    if let Some(ldmsd) = std::env::var_os("LDMSD").filter(|ldmsd| !ldmsd.is_empty()) {
        let port = free_port();
        let mut command = Command::new(ldmsd);
        command.args(["-x", &format!("sock:{port}:127.0.0.1"), "-a", "none"]);
        let _daemon = Daemon::spawn("ldmsd", command);
        wait_until(PATIENCE, "ldmsd", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
        runtime.block_on(one_connection("real ldmsd", &Endpoint::sock("127.0.0.1", port)));
    }
    let many = Simulation::start(&program, DAEMONS);
    let before = rss_of(std::process::id()).unwrap_or(0);
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let begin = Instant::now();
        let clients = runtime.block_on(connect_all(&many.endpoints));
        assert_eq!(clients.len(), DAEMONS);
        times.push(begin.elapsed());
        if times.len() == ROUNDS {
            let grown = rss_of(std::process::id()).unwrap_or(0).saturating_sub(before);
            let each = grown as f64 / 1024.0 / DAEMONS as f64;
            println!("| memory of the client for each of {DAEMONS} open connections | {each:.1} KiB |");
        }
    }
    println!("| {DAEMONS} daemons connected and asked at once | {} |", spread(&mut times));
    drop(many);
    let idle = Simulation::start(&program, IDLE_DAEMONS);
    let rss = rss_of(idle.daemon.pid()).unwrap_or(0);
    let each = rss as f64 / 1024.0 / IDLE_DAEMONS as f64;
    println!(
        "| memory of {IDLE_DAEMONS} idle simulated daemons in one process | {:.1} MiB, {each:.1} KiB each |",
        rss as f64 / 1024.0 / 1024.0
    );
}

/// Simulated daemons in a process of their own.
struct Simulation {
    daemon: Daemon,
    endpoints: Vec<Endpoint>,
}

impl Simulation {
    fn start(program: &Path, count: usize) -> Self {
        let mut command = Command::new(program);
        command.args(["ldms", "sim", "--quick", &format!("d-[1-{count}]")]).stdin(Stdio::null());
        let mut daemon = Daemon::spawn("ldms sim", command);
        daemon.wait_for_output(PATIENCE, "simulated daemons");
        let place = |line: &str| line.split_once("127.0.0.1:")?.1.parse().ok();
        let ports: Vec<u16> = daemon.output().lines().filter_map(place).collect();
        assert_eq!(ports.len(), count);
        Self { daemon, endpoints: ports.into_iter().map(|port| Endpoint::sock("127.0.0.1", port)).collect() }
    }
}

fn spread(times: &mut [Duration]) -> String {
    times.sort();
    let ms = |time: &Duration| time.as_secs_f64() * 1000.0;
    format!(
        "{:.1} ms ({:.1} to {:.1})",
        ms(&times[times.len() / 2]),
        ms(&times[0]),
        ms(&times[times.len() - 1])
    )
}

async fn one_connection(what: &str, endpoint: &Endpoint) {
    let options = Options { connect_timeout: PATIENCE, request_timeout: PATIENCE, ..Options::default() };
    let client = Client::connect(endpoint, &options).await.unwrap();
    let mut rates = Vec::new();
    for _ in 0..ROUNDS {
        let begin = Instant::now();
        for _ in 0..REQUESTS / BATCH {
            let answers = client.request_all(vec![Request::new(RequestId::DAEMON_STATUS); BATCH]).await;
            assert!(answers.iter().all(|answer| answer.as_ref().is_ok_and(|answer| answer.errcode == 0)));
        }
        rates.push(REQUESTS as f64 / begin.elapsed().as_secs_f64());
    }
    rates.sort_by(f64::total_cmp);
    println!(
        "| {what}: requests a second, pipelined on one connection | {:.0} ({:.0} to {:.0}) |",
        rates[ROUNDS / 2],
        rates[0],
        rates[ROUNDS - 1]
    );
    let mut times = Vec::new();
    for _ in 0..1000 {
        let begin = Instant::now();
        client.call(&DaemonStatus {}).await.unwrap();
        times.push(begin.elapsed());
    }
    println!("| {what}: one request, alone | {} |", spread(&mut times));
    let mut times = Vec::new();
    for _ in 0..100 {
        let begin = Instant::now();
        let client = Client::connect(endpoint, &options).await.unwrap();
        client.call(&DaemonStatus {}).await.unwrap();
        times.push(begin.elapsed());
    }
    println!("| {what}: connect and one request | {} |", spread(&mut times));
}

async fn connect_all(endpoints: &[Endpoint]) -> Vec<Client> {
    let mut tasks = JoinSet::new();
    for endpoint in endpoints {
        let endpoint = endpoint.clone();
        tasks.spawn(async move {
            let options =
                Options { connect_timeout: PATIENCE, request_timeout: PATIENCE, ..Options::default() };
            let client = Client::connect(&endpoint, &options).await.unwrap();
            client.call(&DaemonStatus {}).await.unwrap();
            client
        });
    }
    tasks.join_all().await
}
