//! Overruns and late sets: a sampler that lets its sets be read too slowly is noticed, told, and forgotten when it does
//! better; what the manager does itself is held against nobody. On simulated daemons, or on real ones where `LDMSD` is set.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use campanile_control::journal::{Event, Journal, JournalOptions, Query};
use campanile_control::{Clock, Workers};
use campanile_maestro::board::Saying;
use campanile_maestro::link::Watch;
use campanile_maestro::manager::{Manager, Membership, Options};
use campanile_maestro::metrics;
use campanile_maestro::model::BalanceBy;

use serde_json::json;

use crate::site::{PATIENCE, Site, quick, until};
use crate::{L1, SMALL};

/// What is said of the performance of a daemon.
fn judgement(manager: &Manager, daemon: &str) -> String {
    manager.why(daemon).unwrap()["judgement"].to_string()
}

async fn told(journal: &Journal) -> Vec<Event> {
    let query = Query { kinds: vec!["state".to_owned()], ..Query::newest(1_000) };
    let mut events = journal.query(query).await.events;
    events.retain(|event| event.text.starts_with("updater "));
    events
}

/// By how much the machine lets a short pause become longer, at most.
fn lag() -> Arc<AtomicU64> {
    let most_ms = Arc::new(AtomicU64::new(0));
    let kept = Arc::downgrade(&most_ms);
    tokio::spawn(async move {
        while let Some(most_ms) = kept.upgrade() {
            let (began, pause) = (Instant::now(), Duration::from_millis(20));
            tokio::time::sleep(pause).await;
            let late = began.elapsed().saturating_sub(pause).as_millis();
            most_ms.fetch_max(u64::try_from(late).unwrap_or(u64::MAX), Ordering::Relaxed);
        }
    });
    most_ms
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn overruns_of_an_updater_are_noticed_told_and_forgotten_and_moves_are_not_taken_for_them() {
    let mut site = Site::new(SMALL);
    site.file.sampler_interval = "200ms".to_owned();
    site.file.updater_interval = "200ms".to_owned();
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::system();
    let workers = Workers::new(clock.clone());
    let journal = Journal::open(JournalOptions::in_dir(dir.path(), "late"), clock.clone(), &workers).await;
    // Six updates in each window, when five are enough to judge by.
    let often = Duration::from_millis(1_200);
    let watch = Watch { updates: often, figures: often, ..quick().watch };
    let options = Options { watch, ..quick() };
    let wanted = site.file.desired(BalanceBy::Producers);
    let manager = Manager::start(wanted, options, clock, &workers, Some(journal.clone()), None);
    site.covered(&manager, 12).await;
    site.rest(&manager).await;
    let lag_ms = lag();
    let collectors = site.collectors(&L1).await;
    let aggregator = collectors["s-1-ep"][0].clone();
    let other = L1.iter().find(|l1| **l1 != aggregator).unwrap();
    let slowed = site.daemons.slow("s-1", Duration::from_millis(500));
    let began = Instant::now();
    manager.drain(other, true, None).unwrap();
    site.daemons.crash("s-6");
    site.daemons.restart("s-6");
    until("the overruns are noticed", || judgement(&manager, &aggregator).contains("left out")).await;
    println!("noticed after {:?}: {}", began.elapsed(), judgement(&manager, &aggregator));
    assert!(judgement(&manager, &aggregator).contains("s-1-ep answers slowly"), "{:#}", manager.status());
    let text = metrics::render(&manager);
    let value = |name: &str| {
        let wanted = format!("campanile_ldms_{name}{{aggregator=\"{aggregator}\"}} ");
        let line = text.lines().find_map(|line| line.strip_prefix(&wanted));
        line.and_then(|value| value.parse::<f64>().ok()).unwrap_or_else(|| panic!("{name} in {text}"))
    };
    assert!(
        value("late_sets") >= 1.0 && value("overruns_total") >= 4.0 && value("update_mean_ms") > 0.0,
        "{text}"
    );
    assert!(value("memory_used_percent") > 0.0 && value("answer_ms") > 0.0, "{text}");
    drop(slowed);
    until("it is forgotten", || {
        L1.iter().chain(&["l2-1"]).all(|daemon| !judgement(&manager, daemon).contains("updater"))
    })
    .await;
    site.rest(&manager).await;
    let events = told(&journal).await;
    let of = |event: &Event| (event.subject.clone(), event.fields["what"].as_str().unwrap().to_owned());
    let all: Vec<_> = events.iter().map(of).collect();
    println!("{all:?}, the machine was late by {} ms at most", lag_ms.load(Ordering::Relaxed));
    let told: Vec<_> =
        all.iter().filter(|(subject, _)| *subject == aggregator).map(|(_, what)| what).collect();
    assert!(told.len() >= 2 && told.chunks(2).all(|pair| pair == ["late", "in-time"]), "{events:#?}");
    // A machine that stands still for a moment makes everybody late.
    if lag_ms.load(Ordering::Relaxed) < 100 {
        assert_eq!(all.len(), 2, "{events:#?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_another_manager_finds_late_is_told_and_shown_by_each() {
    let site = Site::new(SMALL);
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::system();
    let workers = Workers::new(clock.clone());
    let journal = Journal::open(JournalOptions::in_dir(dir.path(), "late"), clock.clone(), &workers).await;
    let wanted = site.file.desired(BalanceBy::Producers);
    let options = Options { shared: true, ..quick() };
    let manager = Manager::start(wanted, options, clock, &workers, Some(journal.clone()), None);
    // So many others that most daemons are theirs.
    let others = (1..20).map(|at| format!("m{at}"));
    let members: BTreeSet<String> = others.chain(["this".to_owned()]).collect();
    let leader = Some("m1".to_owned());
    manager.set_membership(&Membership { id: "this".to_owned(), members, leader });
    let theirs =
        |l1: &&&str| manager.with(|conductor| !conductor.watches(conductor.desired().daemon(l1).unwrap()));
    let aggregator = L1.iter().find(theirs).unwrap();
    let says = "updater all: 2 of 40 sets were late in the last minute (s-1/meminfo, …): …";
    let saying = |late: bool| Saying {
        daemon: (*aggregator).to_owned(),
        performance: json!({"mean_latency_ms": 2.5, "updates": {
            "updates": 900, "overruns": 12, "oversampled": 7, "sets": 40, "late_sets": if late { 2 } else { 0 },
            "mean_ms": 1.5, "max_ms": 9.0, "updaters": {"all": {"late": late}}}}),
        judgement: if late { vec![says.to_owned()] } else { Vec::new() },
        ..Saying::default()
    };
    for late in [true, true, false, false] {
        manager.hear(vec![saying(late)]);
        assert_eq!(judgement(&manager, aggregator).contains(says), late);
        let figures = manager.figures().into_iter().find(|figures| *figures.name == **aggregator).unwrap();
        let updates = figures.updates.unwrap();
        assert_eq!((updates.overruns, updates.late_sets), (12, if late { 2 } else { 0 }));
        assert_eq!(figures.answer_ms, Some(2.5));
    }
    let began = Instant::now();
    let mut events = told(&journal).await;
    while events.len() < 2 {
        assert!(began.elapsed() < PATIENCE, "{events:#?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
        events = told(&journal).await;
    }
    let texts: Vec<&str> = events.iter().map(|event| &*event.text).collect();
    assert_eq!(texts, [says, "updater all: none of its sets counts as late any more"]);
}
