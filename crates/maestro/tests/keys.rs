//! Keys of a store, compared with those the original wrote; saving and loading on the embedded backend.
#![expect(clippy::expect_used, reason = "helpers of tests end the test, saying why")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use campanile_maestro::config::{self, Cluster, Pairing};
use campanile_maestro::generate::{Generator, Style};
use campanile_maestro::keys::{self, Layout, Origin, Source, from_keys, load, save, to_keys};
use campanile_store::embedded::EmbeddedStore;
use campanile_store::{Change, Committed, Store};

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
