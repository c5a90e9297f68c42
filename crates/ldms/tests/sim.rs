//! What only simulated daemons can show: races that last as long as a test wants, faults on order, a thousand
//! daemons in one process.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

use std::time::Duration;

use campanile_ldms::api::Call;
use campanile_ldms::api::daemon::{CfgCntr, DaemonStatus, Greeting, PrdcrStats};
use campanile_ldms::api::producer::{PrdcrStart, PrdcrStatus, PrdcrStop, ProducerState};
use campanile_ldms::client::{Client, Endpoint, Options as ClientOptions};
use campanile_ldms::command;
use campanile_ldms::sim::daemon::{Options, Timings};
use campanile_ldms::sim::fleet::Fleet;
use campanile_ldms::sim::orders::{self, Outcome};
use campanile_ldms::wire::errno;
use tokio::task::JoinSet;

const PATIENCE: Duration = Duration::from_secs(60);

fn options() -> ClientOptions {
    ClientOptions { connect_timeout: PATIENCE, request_timeout: PATIENCE, ..ClientOptions::default() }
}

async fn connect(fleet: &Fleet, name: &str) -> Client {
    Client::connect(&Endpoint::sock("127.0.0.1", fleet.port(name).unwrap()), &options()).await.unwrap()
}

async fn tell(client: &Client, line: &str) -> u32 {
    client.request(command::parse(line).unwrap().unwrap()).await.unwrap().errcode
}

async fn until<F: Future<Output = bool>>(what: &str, mut look: impl FnMut() -> F) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !look().await {
        assert!(tokio::time::Instant::now() < deadline, "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn start(fleet: &Fleet, name: &str, timings: Timings) -> u16 {
    fleet.start(Options { timings, ..Options::new(name, 0) }).unwrap()
}

/// The original manager starts a producer right after it has stopped it, is refused, goes on, and has lost it.
#[tokio::test]
async fn a_producer_that_is_still_stopping_cannot_be_started_and_does_not_start_by_itself() {
    let fleet = Fleet::new();
    let port = start(&fleet, "s", Timings::quick());
    let slow = Timings { stop_us: (400_000, 400_000), busy_stop_us: (400_000, 400_000), ..Timings::quick() };
    start(&fleet, "l1", slow);
    let l1 = connect(&fleet, "l1").await;
    let add = format!("prdcr_add name=s type=active xprt=sock host=127.0.0.1 port={port} reconnect=100ms");
    assert_eq!(tell(&l1, &add).await, 0);
    assert_eq!(tell(&l1, "prdcr_start name=s").await, 0);
    let state = || async { l1.call(&PrdcrStatus::default()).await.unwrap().0.remove(0).state };
    until("the connection", || async { state().await == ProducerState::Connected }).await;
    let counted = l1.call(&CfgCntr {}).await.unwrap();
    l1.call(&PrdcrStop { name: "s".into() }).await.unwrap();
    assert_eq!(state().await, ProducerState::Stopping);
    let stats = l1.call(&PrdcrStats {}).await.unwrap().0;
    assert_eq!(stats["stopping_count"], 1);
    let refused = l1.call(&PrdcrStart { name: "s".into(), reconnect: None }).await.unwrap_err();
    let refusal = refused.refusal().unwrap();
    assert_eq!((refusal.errno, refusal.message.as_str()), (errno::EBUSY, "The producer is already running."));
    until("the end of stopping", || async { state().await == ProducerState::Stopped }).await;
    // Only what succeeded is counted, and nobody starts it.
    assert_eq!(l1.call(&CfgCntr {}).await.unwrap(), counted + 1);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(state().await, ProducerState::Stopped);
    l1.call(&PrdcrStart { name: "s".into(), reconnect: None }).await.unwrap();
    until("the connection", || async { state().await == ProducerState::Connected }).await;
}

#[tokio::test]
async fn daemons_misbehave_as_they_are_told_and_behave_again() {
    let fleet = Fleet::new();
    for name in ["d-1", "d-2"] {
        start(&fleet, name, Timings::quick());
    }
    let client = connect(&fleet, "d-1").await;
    let done = |order: &str| {
        let outcome = orders::carry_out(&fleet, order);
        assert!(matches!(outcome, Outcome::Done { .. }), "{order}: {outcome:?}");
    };
    done("refuse d-[1-2] 16 daemon_status 1");
    assert_eq!(tell(&client, "daemon_status").await, 16);
    assert_eq!(tell(&client, "daemon_status").await, 0, "it was to refuse once");
    done("late d-1 200ms");
    let begin = tokio::time::Instant::now();
    assert_eq!(tell(&client, "daemon_status").await, 0);
    assert!(begin.elapsed() >= Duration::from_millis(190));
    done("late d-1 0s");
    done("slow d-[1-2] 200ms");
    for name in ["d-1", "d-2"] {
        assert_eq!(
            fleet.faults(name, |faults| faults.late_reads_us).unwrap(),
            200_000,
            "see the suite of Maestro"
        );
    }
    done("behave d-2");
    assert_eq!(fleet.faults("d-2", |faults| faults.late_reads_us).unwrap(), 0);
    done("mute d-1");
    let impatient = tokio::time::timeout(Duration::from_millis(200), client.call(&DaemonStatus {})).await;
    assert!(impatient.is_err(), "a mute daemon has answered");
    done("behave d-1");
    assert_eq!(tell(&client, "daemon_status").await, 0);
    done("reject d-1 no more today");
    let endpoint = Endpoint::sock("127.0.0.1", fleet.port("d-1").unwrap());
    let error = Client::connect(&endpoint, &options()).await.unwrap_err();
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(source.contains("no more today"), "{source}");
    for (order, words) in [
        ("hang d-[1-3]", "there is no daemon 'd-3'"),
        ("refuse d-1 many", "'many' is no error number"),
        ("refuse d-1 16 frobnicate", "'frobnicate' is no command of ldmsd"),
        ("late d-1", "late: how late"),
        ("slow d-1", "slow: how late"),
        ("dance d-1", "is no order"),
    ] {
        let Outcome::Failed { error } = orders::carry_out(&fleet, order) else { panic!("{order}") };
        assert!(error.contains(words), "{order}: {error}");
    }
    assert!(!fleet.is_hung("d-1").unwrap(), "nothing is done to any where one does not exist");
}

/// F18: the length that it names is in the byte order of its host, as nothing else on the wire.
#[tokio::test]
async fn a_daemon_that_takes_shorter_records_gets_them() {
    let fleet = Fleet::new();
    start(&fleet, "d", Timings::quick());
    fleet.faults("d", |faults| faults.max_record = Some(300)).unwrap();
    let client = connect(&fleet, "d").await;
    // Its answer is cut, as that of a real one; it has come in several pieces all the same.
    let name = "x".repeat(2_000);
    for _ in 0..3 {
        let greeting = client.call(&Greeting { name: name.clone() }).await.unwrap();
        assert!(greeting.len() > 300 && name.contains(greeting.trim_start_matches("Hello '")), "{greeting}");
    }
    assert_eq!(tell(&client, "daemon_status").await, 0);
}

#[tokio::test]
async fn a_thousand_daemons_of_one_process_are_connected_and_asked_at_once() {
    const DAEMONS: usize = 1000;
    let fleet = Fleet::new();
    let ports: Vec<u16> =
        (0..DAEMONS).map(|index| start(&fleet, &format!("d-{index}"), Timings::quick())).collect();
    let mut tasks = JoinSet::new();
    for port in ports {
        tasks.spawn(async move {
            let client = Client::connect(&Endpoint::sock("127.0.0.1", port), &options()).await.unwrap();
            let requests =
                vec![DaemonStatus {}.request(), CfgCntr {}.request(), PrdcrStatus::default().request()];
            let answers = client.request_all(requests).await;
            answers.iter().filter(|answer| answer.as_ref().is_ok_and(|answer| answer.errcode == 0)).count()
        });
    }
    let answered: usize = tasks.join_all().await.into_iter().sum();
    assert_eq!(answered, 3 * DAEMONS);
}
