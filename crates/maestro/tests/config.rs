//! Cluster files of every format, into one model.
#![expect(clippy::expect_used, reason = "helpers of tests end the test, saying why")]

use std::path::{Path, PathBuf};

use campanile_maestro::config::{self, Cluster, Pairing};

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
