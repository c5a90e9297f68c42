//! Cluster files of every format, into one model.
#![expect(clippy::expect_used, reason = "helpers of tests end the test, saying why")]

use std::path::{Path, PathBuf};

use campanile_maestro::config::{self, Cluster, Pairing};
use campanile_maestro::generate::{Generator, Style};

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

/// Reads a sample that must have no errors.
fn sample(name: &str) -> (Cluster, String) {
    let (cluster, diagnostics) = config::read_file(&data(name), Pairing::Written);
    assert!(!diagnostics.has_errors(), "{}", diagnostics.render(false));
    (cluster.expect("there is one where there are no errors"), diagnostics.render(false))
}

#[test]
fn the_current_format() {
    let (cluster, said) = sample("cluster-6.yaml");
    assert_eq!(said, "");
    assert_eq!(cluster.daemons.len(), 10);
    let sampler = cluster.daemon("sampler-3").unwrap();
    assert_eq!((sampler.host.as_str(), sampler.endpoints[0].port), ("127.0.0.1", 34103));
    assert_eq!(sampler.managed_at().unwrap().name, "s-3-ep");
    let l1 = &cluster.aggregators[0];
    assert_eq!(&*l1.daemons.text, "l1-agg-[1-3]");
    assert_eq!(l1.producers().count(), 6);
    let names: Vec<&str> = l1.updaters().map(|updater| updater.name.as_str()).collect();
    assert_eq!(names, ["updtr_0"]);
    assert_eq!(cluster.plugins["vmstat1"].interval.as_ref().unwrap().us, Some(2_000_000));
    assert_eq!(cluster.stores["csv-meminfo"].plugin, "csv1");
}

#[test]
fn older_formats_are_converted_and_say_so() {
    for name in ["old.yaml", "old2.yaml", "old3.yaml"] {
        let (cluster, said) = sample(name);
        assert!(said.contains("older format"), "{name}: {said}");
        let producers: Vec<_> = cluster.aggregators[0].producers().map(|(_, producer)| producer).collect();
        assert_eq!(producers[3].daemon, "sampler-4");
        assert_eq!(&*producers[3].peer_group, "sampler-[1-4]");
        assert_eq!(cluster.daemon("sampler-2").unwrap().endpoints[1].name, "node-2-10002-rdma");
        assert_eq!(cluster.samplers[0].plugins, ["meminfo"]);
        assert_eq!(cluster.plugins["meminfo"].library, "meminfo");
    }
}

/// The example of the quick-start document, word for word.
#[test]
fn the_example_of_the_document() {
    let (cluster, said) = sample("quick-start.yaml");
    assert_eq!(cluster.daemons.len(), 10 + 4 + 1);
    let sampler = cluster.daemon("sampler-10").unwrap();
    assert_eq!(sampler.host, "node-10");
    let endpoints: Vec<_> = sampler
        .endpoints
        .iter()
        .map(|endpoint| (endpoint.name.as_str(), &*endpoint.xprt, endpoint.port))
        .collect();
    assert_eq!(endpoints, [("node-10-10002", "sock", 10002), ("node-10-10002-rdma", "rdma", 10002)]);
    let managed = sampler.managed_at().unwrap();
    let auth = managed.auth.as_ref().unwrap();
    assert_eq!(
        (managed.name.as_str(), auth.plugin.as_deref(), auth.conf.as_deref()),
        ("node-10-10002", Some("ovis"), Some("/opt/ovis/maestro/secret.conf"))
    );
    let [l1, l2] = cluster.aggregators.as_slice() else { panic!("two levels") };
    let of = |group: &campanile_maestro::config::model::AggregatorGroup| {
        group
            .producers()
            .map(|(peers, producer)| (producer.daemon.clone(), peers.kind.clone()))
            .collect::<Vec<_>>()
    };
    assert_eq!((of(l1).len(), of(l2).len()), (10, 4));
    assert_eq!(of(l2)[3], ("l1-aggs-14".to_owned(), "active".to_owned()));
    let updater = l1.updaters().next().unwrap();
    assert_eq!((updater.mode_text.as_str(), updater.interval.us), ("pull", Some(1_000_000)));
    assert_eq!((updater.sets[0].regex.as_str(), updater.sets[0].field.as_str()), (".*", "inst"));
    assert_eq!(cluster.samplers[0].plugins, ["meminfo", "vmstat", "procstat"]);
    assert_eq!(cluster.plugins["procstat"].interval.as_ref().unwrap().us, Some(1_000_000));
    let stores: Vec<_> = cluster
        .stores
        .values()
        .map(|store| (store.name.as_str(), store.plugin.as_str(), store.flush.is_some()))
        .collect();
    assert_eq!(
        stores,
        [
            ("sos-meminfo", "store_sos", true),
            ("sos-vmstat", "store_sos", true),
            ("sos-procstat", "store_sos", true),
            ("csv", "store_csv", false)
        ]
    );
    // Each conversion is told, and nothing else is wrong with it.
    for expected in ["a name with a slash", "has `config` instead of `plugins`", "`stores` is a list"] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
    for daemon in ["sampler-3", "l2-agg"] {
        let file = Generator::new(&cluster, Style::Original).daemon(daemon).unwrap().text;
        insta::assert_snapshot!(format!("the_example_of_the_document_{daemon}"), file);
    }
}
