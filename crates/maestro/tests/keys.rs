//! Keys of a store, compared with those the original wrote; saving and loading on the embedded backend.
#![expect(clippy::expect_used, reason = "helpers of tests end the test, saying why")]

mod large;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use campanile_maestro::config::{self, Cluster, Pairing};
use campanile_maestro::generate::{Generator, Style};
use campanile_maestro::keys::{self, Layout, Origin, SaveError, Source, from_keys, load, save, to_keys};
use campanile_store::embedded::EmbeddedStore;
use campanile_store::etcd::{EtcdStore, read_cluster_file};
use campanile_store::{Change, Committed, Prefix, Revision, Session, Snapshot, Store, StoreError, Watch};
use campanile_testkit::Etcd;

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

fn text(name: &str) -> String {
    // The recorded runs were made when the domain was still called like its plugin.
    std::fs::read_to_string(data(name)).expect("the sample is there").replace("none1", "none")
}

fn parse(text: &str) -> Cluster {
    let (cluster, diagnostics) = config::parse(Path::new("test.yaml"), text.as_bytes(), Pairing::Written);
    assert!(!diagnostics.has_errors(), "{}", diagnostics.render(false));
    cluster.expect("there are no errors")
}

/// A dump of etcd: below the prefix, and the whole keys.
fn dump(name: &str, prefix: &str) -> (BTreeMap<String, String>, BTreeMap<String, String>) {
    let lines = text(name);
    let whole: BTreeMap<String, String> = lines
        .lines()
        .filter_map(|line| line.split_once('\t'))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect();
    let below =
        whole.iter().filter_map(|(key, value)| Some((key.strip_prefix(prefix)?.to_owned(), value.clone())));
    let mut below: BTreeMap<_, _> = below.collect();
    below.remove("last_updated");
    (below, whole)
}

const SAMPLES: [(&str, &str, &str); 2] = [
    ("cluster-6.yaml", "etcd-producers.txt", "/lab6/"),
    ("cluster-advertisers.yaml", "etcd-advertisers.txt", "/adv/"),
];

/// How long anything may take before a test gives up.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);

fn origin(text: &str) -> Origin<'_> {
    Origin { text, pairing: Pairing::Written }
}

#[test]
fn the_keys_are_those_of_the_original() {
    for (file, recorded, prefix) in SAMPLES {
        assert_eq!(to_keys(&parse(&text(file))), dump(recorded, prefix).0);
    }
}

#[test]
fn every_kind_of_key_is_that_of_the_original() {
    let (below, _) = dump("etcd-rich.txt", "/x/");
    let ours = to_keys(&parse(&text("rich.yaml")));
    let mut differing: Vec<String> = below
        .iter()
        .filter(|(key, value)| ours.get(*key) != Some(*value))
        .map(|(key, value)| format!("{key} = {value}: {:?}", ours.get(key)))
        .collect();
    differing.extend(
        ours.keys().filter(|key| !below.contains_key(*key)).map(|key| format!("{key} is ours alone")),
    );
    assert_eq!(differing, Vec::<String>::new());
}

#[test]
fn what_the_original_saved_is_the_same_cluster_as_its_file() {
    for (file, recorded, prefix) in SAMPLES {
        let (below, _) = dump(recorded, prefix);
        let (cluster, problems) = from_keys(&below);
        assert_eq!(problems, Vec::<String>::new());
        assert_eq!(to_keys(&cluster), below);
        let ours = parse(&text(file));
        let groups = |cluster: &Cluster| {
            let groups = cluster.aggregators.iter().map(|group| {
                let producers = group.producers().map(|(_, producer)| producer.clone()).collect::<Vec<_>>();
                (group.daemons.clone(), producers, group.listeners.len(), group.updaters().count())
            });
            groups.collect::<Vec<_>>()
        };
        assert_eq!(groups(&cluster), groups(&ours));
        assert_eq!(cluster.samplers, ours.samplers);
        // Options of plugins have lost their written order, all else is as in files made of the YAML.
        let plain = |cluster: &Cluster| {
            let files = Generator::new(cluster, Style::Original);
            let files = files.all().map(|(name, file)| (name.to_owned(), file.text));
            files
                .map(|(name, text)| {
                    let mut words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
                    words.sort();
                    (name, words)
                })
                .collect::<BTreeMap<_, _>>()
        };
        assert_eq!(plain(&cluster), plain(&ours));
    }
}

#[tokio::test]
async fn a_save_writes_the_difference_and_is_loaded_as_it_was() {
    let dir = tempfile::tempdir().expect("a directory can be made");
    let store = EmbeddedStore::open(dir.path()).await.expect("it opens");
    let layout = Layout::of("lab6").expect("a good name");
    let neighbour = Change {
        puts: [
            ("/lab60/daemons/d/addr".to_owned(), "h".to_owned()),
            ("/lab6/old/key".to_owned(), "x".to_owned()),
        ]
        .into(),
        ..Change::default()
    };
    assert!(matches!(store.commit(&neighbour).await, Ok(Committed::Done { .. })));
    assert!(load(&store, &layout).await.expect("it reads").is_none());

    let first = format!("{}\ncampanile: {{probe: {{strikes: 5}}}}\n", text("cluster-6.yaml"));
    let cluster = parse(&first);
    let saved = save(&store, &layout, &cluster, origin(&first), 100.0).await.expect("it saves");
    assert_eq!(saved.difference.added, to_keys(&cluster));
    assert_eq!(saved.difference.removed.keys().collect::<Vec<_>>(), ["old/key"]);
    let loaded = load(&store, &layout).await.expect("it reads").expect("it is there");
    assert_eq!((loaded.source, loaded.last_updated.as_str()), (Source::Text, "100.000000"));
    assert_eq!(loaded.cluster, cluster);

    // Again: nothing to do, and nothing is written.
    let again = save(&store, &layout, &cluster, origin(&first), 200.0).await.expect("it saves");
    assert_eq!((again.difference.is_empty(), again.revision), (true, None));

    // An interval: one key.
    let second = first.replace("interval : 1.0s", "interval : 5s");
    let saved = save(&store, &layout, &parse(&second), origin(&second), 300.0).await.expect("it saves");
    let changed = saved.difference.changed;
    assert_eq!(changed["plugins/meminfo1/interval"], ("1.0s".to_owned(), "5s".to_owned()));
    assert_eq!((changed.len(), saved.difference.added.len(), saved.difference.removed.len()), (1, 0, 0));
    let neighbours = store.read(&campanile_store::Prefix::new("lab60")).await.expect("it reads");
    assert_eq!(neighbours.keys.len(), 1, "the neighbour with the same beginning is untouched");

    // Now the original saves: its keys count, and our section stays.
    let theirs = Change { puts: dump("etcd-producers.txt", "/lab6/").1, ..Change::default() };
    assert!(matches!(store.commit(&theirs).await, Ok(Committed::Done { .. })));
    let loaded = load(&store, &layout).await.expect("it reads").expect("it is there");
    assert_eq!(loaded.source, Source::Keys);
    assert_eq!(loaded.cluster.plugins["meminfo1"].interval.as_ref().map(|i| i.us), Some(Some(1_000_000)));
    assert_eq!(loaded.cluster.extension.probe.strikes, 5);
    assert_eq!(loaded.problems.len(), 1, "{:?}", loaded.problems);
    assert_eq!(keys::LAST_UPDATED, "last_updated");
}

fn store_of(etcd: &Etcd) -> EtcdStore {
    let dir = tempfile::tempdir().expect("a directory can be made");
    let path = dir.path().join("etcd.yaml");
    std::fs::write(&path, etcd.cluster_file()).expect("it can be written");
    let (file, diagnostics) = read_cluster_file(&path);
    assert!(diagnostics.is_empty(), "{}", diagnostics.render(false));
    EtcdStore::open(&file).expect("it opens")
}

/// A store whose user is killed after so many changes.
#[derive(Debug)]
struct Mortal<'s> {
    store: &'s EtcdStore,
    changes_left: AtomicUsize,
}

impl<'s> Mortal<'s> {
    fn after(changes: usize, store: &'s EtcdStore) -> Self {
        Self { store, changes_left: AtomicUsize::new(changes) }
    }
}

#[async_trait::async_trait]
impl Store for Mortal<'_> {
    async fn read(&self, prefix: &Prefix) -> Result<Snapshot, StoreError> {
        self.store.read(prefix).await
    }

    async fn commit(&self, change: &Change) -> Result<Committed, StoreError> {
        let left = self.changes_left.load(Ordering::Relaxed);
        if left == 0 {
            return Err(StoreError::Config("killed".to_owned()));
        }
        let committed = self.store.commit(change).await?;
        self.changes_left.store(left - 1, Ordering::Relaxed);
        Ok(committed)
    }

    async fn watch(&self, prefix: &Prefix, after: Revision) -> Result<Watch, StoreError> {
        self.store.watch(prefix, after).await
    }

    async fn open_session(&self, ttl_ms: u64) -> Result<Box<dyn Session>, StoreError> {
        self.store.open_session(ttl_ms).await
    }

    fn describe(&self) -> String {
        self.store.describe()
    }
}

/// The keys that are stored below a cluster's prefix, and whether a save is under way.
async fn stored(store: &dyn Store, layout: &Layout) -> (BTreeMap<String, String>, bool) {
    let shared = store.read(&layout.shared).await.expect("it reads");
    let mut below: BTreeMap<String, String> = BTreeMap::new();
    for (key, value) in shared.keys {
        below.extend(layout.shared.strip(&key).map(|path| (path.to_owned(), value)));
    }
    below.remove(keys::LAST_UPDATED);
    let own = store.read(&layout.own).await.expect("it reads");
    (below, own.keys.keys().any(|key| key.ends_with("config/saving")))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_save_in_steps_is_whole_for_readers_and_one_cut_short_is_finished_or_undone() {
    let Some(etcd) = Etcd::start(1) else { return };
    let store = store_of(&etcd);
    let layout = Layout::of("big").expect("a good name");
    let small_text = text("cluster-6.yaml");
    // Long names: etcd's limit is one of bytes, and fewer keys are less work.
    let long = "o".repeat(90);
    let named = |letter: char| format!("\"{letter}{long}[1-");
    let large_text = large::cluster_text(600, 4).replace("\"s[1-", &named('s'));
    let (small, large) = (parse(&small_text), parse(&large_text));
    let first = save(&store, &layout, &small, origin(&small_text), 100.0).await.expect("it saves");
    assert_eq!(first.steps, 1);
    let after = first.revision.expect("it was written");
    let mut watch = store.watch(&layout.shared, after).await.expect("it is watched");

    // Killed after the mark: nothing has changed for readers, and the next save of the same does it all.
    let dying = Mortal::after(1, &store);
    let cut = save(&dying, &layout, &large, origin(&large_text), 200.0).await;
    assert!(matches!(cut, Err(SaveError::Store(StoreError::Config(_)))), "{cut:?}");
    assert_eq!(stored(&store, &layout).await, (to_keys(&small), true));
    let finished = save(&store, &layout, &large, origin(&large_text), 300.0).await.expect("it saves");
    assert!(finished.steps > 3, "{} steps", finished.steps);
    assert_eq!(stored(&store, &layout).await, (to_keys(&large), false));
    let loaded = load(&store, &layout).await.expect("it reads").expect("it is there");
    assert_eq!((loaded.source, &loaded.cluster), (Source::Text, &large));

    // The original looks at `last_updated` alone: it saw nothing of the first attempt, and the second one at its end.
    let stamp = layout.last_updated();
    let mut seen = 0;
    let stamped = loop {
        let event = tokio::time::timeout(PATIENCE, watch.next()).await.expect("there is news");
        let campanile_store::WatchEvent::Changed { keys, .. } = event.expect("it is open") else { continue };
        seen += keys.len();
        if let Some(event) = keys.into_iter().find(|event| event.key == stamp) {
            break event.value;
        }
    };
    assert_eq!(stamped.as_deref(), Some("300.000000"));
    assert!(seen > to_keys(&large).len(), "it came last");

    // Killed half-way: readers keep to the last whole save, and the next one undoes what had been done.
    let other_text = large_text.replace(&named('s'), &named('t'));
    let other = parse(&other_text);
    let dying = Mortal::after(3, &store);
    let cut = save(&dying, &layout, &other, origin(&other_text), 400.0).await;
    assert!(cut.is_err());
    assert!(stored(&store, &layout).await.0.contains_key(&format!("daemons/t{long}1/addr")));
    let loaded = load(&store, &layout).await.expect("it reads").expect("it is there");
    assert_eq!((loaded.source, &loaded.cluster), (Source::Text, &large));
    let undone = save(&store, &layout, &large, origin(&large_text), 500.0).await.expect("it saves");
    assert!(undone.difference.removed.len() >= 3_000, "{} keys", undone.difference.removed.len());
    assert_eq!(stored(&store, &layout).await, (to_keys(&large), false));

    // Two at once: one of them is stored, whole.
    let saves = tokio::join!(
        save(&store, &layout, &other, origin(&other_text), 600.0),
        save(&store, &layout, &small, origin(&small_text), 700.0),
    );
    assert!(saves.0.is_ok() || saves.1.is_ok(), "{saves:?}");
    let loaded = load(&store, &layout).await.expect("it reads").expect("it is there");
    assert_eq!(loaded.source, Source::Text);
    assert!(loaded.cluster == other || loaded.cluster == small);
    assert_eq!(stored(&store, &layout).await, (to_keys(&loaded.cluster), false));
}
