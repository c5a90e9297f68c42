//! What a cluster's file costs, at three sizes: reading and checking it, generating every daemon's file, saving it in
//! real etcd and in the embedded database, loading it, and the memory it takes.
//!
//! `make bench` runs it. It prints a table; times are medians of so many rounds as it can afford.

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot go on ends there")]

#[path = "../tests/large/mod.rs"]
mod large;

use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use campanile_maestro::config::{self, Cluster, Pairing};
use campanile_maestro::generate::{Generator, Style};
use campanile_maestro::keys::{self, Layout, Origin, to_keys};
use campanile_store::Store;
use campanile_store::embedded::EmbeddedStore;
use campanile_store::etcd::{EtcdStore, read_cluster_file};
use campanile_testkit::{Etcd, rss_of};

/// Samplers, and aggregators of the first level.
const SIZES: [(usize, usize); 3] = [(200, 4), (2_000, 20), (30_000, 100)];
/// Longest time that is spent on repeating one measurement.
const BUDGET: Duration = Duration::from_secs(3);
const ROUNDS: usize = 9;

fn main() {
    let mut rows: Vec<(String, Vec<String>)> = Vec::new();
    let mut note = |what: &str, figure: String| match rows.iter_mut().find(|(known, _)| known == what) {
        Some((_, figures)) => figures.push(figure),
        None => rows.push((what.to_owned(), vec![figure])),
    };
    let etcd = Etcd::start(1);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    for (samplers, aggregators) in SIZES {
        let text = large::cluster_text(samplers, aggregators);
        let before = rss_of(std::process::id()).unwrap_or(0);
        let cluster = read(&text);
        let grown = rss_of(std::process::id()).unwrap_or(0).saturating_sub(before);
        note("read and checked", median(|| read(&text)));
        let generate = |cluster: &Cluster| {
            let files = Generator::new(cluster, Style::Original);
            files.all().map(|(_, file)| file.text.len()).sum::<usize>()
        };
        note("files of all daemons generated", median(|| generate(&cluster)));
        note("all of it: read, checked, generated", median(|| generate(&read(&text))));
        note("memory of the cluster, about", format!("{:.1} MiB", grown as f64 / 1024.0 / 1024.0));
        note("keys", to_keys(&cluster).len().to_string());
        if let Some(etcd) = &etcd {
            let store = etcd_store(etcd);
            runtime.block_on(stored(&store, "etcd", samplers, &cluster, &text, &mut note));
        }
        let dir = tempfile::tempdir().unwrap();
        let embedded = runtime.block_on(EmbeddedStore::open(dir.path())).unwrap();
        runtime.block_on(stored(&embedded, "embedded", samplers, &cluster, &text, &mut note));
    }
    println!("| samplers | {} |", SIZES.map(|(samplers, _)| samplers.to_string()).join(" | "));
    println!("|---|{}", "---|".repeat(SIZES.len()));
    for (what, figures) in rows {
        println!("| {what} | {} |", figures.join(" | "));
    }
}

fn read(text: &str) -> Cluster {
    let (cluster, diagnostics) = config::parse(Path::new("cluster.yaml"), text.as_bytes(), Pairing::Written);
    assert!(!diagnostics.has_errors(), "{}", diagnostics.render(false));
    cluster.unwrap()
}

fn etcd_store(etcd: &Etcd) -> EtcdStore {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("etcd.yaml");
    std::fs::write(&path, etcd.cluster_file()).unwrap();
    EtcdStore::open(&read_cluster_file(&path).0).unwrap()
}

/// A first save, one that changes an interval, one that changes nothing, and a load.
async fn stored(
    store: &dyn Store,
    kind: &str,
    samplers: usize,
    cluster: &Cluster,
    text: &str,
    note: &mut dyn FnMut(&str, String),
) {
    let layout = Layout::of(&format!("c{samplers}")).unwrap();
    let origin = |text| Origin { text, pairing: Pairing::Written };
    let begin = Instant::now();
    let saved = keys::save(store, &layout, cluster, origin(text), 1.0).await.unwrap();
    let time = ms(begin.elapsed());
    note(&format!("{kind}: all saved (transactions)"), format!("{time} ({})", saved.steps));
    let other_text = text.replace("interval: 2s", "interval: 5s");
    let other = read(&other_text);
    let begin = Instant::now();
    let saved = keys::save(store, &layout, &other, origin(&other_text), 2.0).await.unwrap();
    assert_eq!(saved.difference.changed.len(), 1);
    note(&format!("{kind}: one interval changed and saved"), ms(begin.elapsed()));
    let begin = Instant::now();
    let saved = keys::save(store, &layout, &other, origin(&other_text), 3.0).await.unwrap();
    assert_eq!(saved.steps, 0);
    note(&format!("{kind}: nothing changed"), ms(begin.elapsed()));
    let begin = Instant::now();
    let loaded = keys::load(store, &layout).await.unwrap().unwrap();
    note(&format!("{kind}: loaded"), ms(begin.elapsed()));
    assert_eq!(loaded.cluster.daemons.len(), cluster.daemons.len());
}

fn ms(time: Duration) -> String {
    let ms = time.as_secs_f64() * 1000.0;
    if ms < 10.0 { format!("{ms:.2} ms") } else { format!("{ms:.0} ms") }
}

fn median<T>(mut work: impl FnMut() -> T) -> String {
    let all = Instant::now();
    let mut times = Vec::new();
    while times.len() < ROUNDS && (times.is_empty() || all.elapsed() < BUDGET) {
        let begin = Instant::now();
        drop(black_box(work()));
        times.push(begin.elapsed());
    }
    times.sort();
    ms(times[times.len() / 2])
}
