//! What is wrong with cluster files: everything at once, each with its line; and random and very large ones.
#![expect(clippy::expect_used, reason = "helpers of tests end the test, saying why")]

mod large;

use std::path::Path;

use campanile_maestro::config::{self, Cluster, Pairing};
use campanile_maestro::generate::{Generator, Style};
use campanile_maestro::keys::{from_keys, to_keys};
use campanile_maestro::summary::Summary;
use large::cluster_text;
use proptest::prelude::*;

fn read(text: &str, pairing: Pairing) -> (Cluster, String, usize) {
    let (cluster, diagnostics) = config::parse(Path::new("c.yaml"), text.as_bytes(), pairing);
    (cluster.expect("it is a map"), diagnostics.render(false), diagnostics.error_count())
}

/// A cluster with every part, to be broken.
const GOOD: &str = r#"
daemons:
  - {names: "s[1-4]", hosts: "n[1-4]", set_memory: 1g,
     endpoints: [{names: "s[1-4]-ep", ports: 411, maestro_comm: True}]}
  - {names: "a[1-2]", hosts: "m[1-2]", endpoints: [{names: "a[1-2]-ep", ports: 411, maestro_comm: True}]}
  - {names: b, hosts: m3, endpoints: [{names: b-ep, ports: 411, maestro_comm: True}]}
aggregators:
  - daemons: "a[1-2]"
    peers: [{daemons: "s[1-4]", endpoints: "s[1-4]-ep", reconnect: 2s, type: active, updaters: [{interval: 1s}]}]
  - daemons: b
    peers: [{daemons: "a[1-2]", endpoints: "a[1-2]-ep", reconnect: 2s, type: active, updaters: [{interval: 1s}]}]
samplers: [{daemons: "s[1-4]", plugins: [mem]}]
plugins:
  mem: {name: meminfo, interval: 1s, config: [{schema: meminfo}]}
  csv: {name: store_csv, config: [{path: /tmp}]}
stores: {one: {daemons: b, plugin: csv, container: c, schema: meminfo}}
"#;

#[test]
fn a_good_file_has_no_problem_and_each_flaw_is_found_with_its_line() {
    assert_eq!(read(GOOD, Pairing::Written).1, "");
    for (from, to, expected) in [
        (r#"hosts: "n[1-4]""#, r#"hosts: "n[1-3]""#, "4 names and 3 hosts do not pair"),
        (r#"hosts: "n[1-4]""#, r#"hosts: "n[4-1]""#, "range that runs backwards"),
        (r#""s[1-4]-ep", ports"#, r#""s[1-5]-ep", ports"#, "nobody owns `s5-ep`"),
        (r#""s[1-4]-ep", ports"#, r#""s[1-3]-ep", ports"#, "3 endpoints for 4 daemons"),
        (r#"endpoints: "s[1-4]-ep""#, r#"endpoints: "s[1-4]-epp""#, "no daemon owns the endpoint s[1-4]-epp"),
        (r#"hosts: m3"#, r#"hosts: m1"#, "both listen on m1, sock port 411"),
        (r#"names: b, "#, r#"names: a1, "#, "the daemon `a1` is defined twice"),
        (r#"plugin: csv, "#, "", "the store `one` has no `plugin`"),
        (r#"plugin: csv, "#, "plugin: cvs, ", "no such plugin instance: `cvs`"),
        (r#"daemons: "s[1-4]", endpoints"#, r#"daemons: "t[1-4]", endpoints"#, "no such daemon: t[1-4]"),
        (r#"daemons: "a[1-2]", endpoints"#, r#"daemons: "z[1-2]", endpoints"#, "no such daemon: z[1-2]"),
        (r#"endpoints: "a[1-2]-ep""#, r#"endpoints: "z[1-2]-ep""#, "no daemon owns the endpoint z[1-2]-ep"),
        (r#"daemons: "s[1-4]", endpoints"#, r#"daemons: "s[1-3]", endpoints"#, "belongs to `s4`"),
        (
            r#"daemons: "a[1-2]", endpoints: "a[1-2]-ep""#,
            r#"daemons: b, endpoints: b-ep"#,
            "the aggregators `b` collect from themselves",
        ),
        (
            r#"daemons: "s[1-4]", endpoints: "s[1-4]-ep""#,
            r#"daemons: b, endpoints: b-ep"#,
            "in a circle: a[1-2] from b",
        ),
        ("meminfo, interval: 1s,", "meminfo,", "used by a sampler, and has no `interval`"),
        ("meminfo, interval: 1s,", "meminfo, intervall: 1s,", "did you mean `interval`?"),
        (
            "type: active, updaters: [{interval: 1s}]}]\n  - daemons: b",
            "type: activ}]\n  - daemons: b",
            "no type of producer",
        ),
        ("reconnect: 2s", "reconnect: 1s2ms", "is not an interval"),
        ("reconnect: 2s", "reconnect: 0", "must be longer than 0"),
        ("ports: 411", "ports: 70000", "`70000` is not a port"),
        ("maestro_comm: True", "maestro_comm: maybe", "must be True or False"),
        ("schema: meminfo}]", "schema: meminfo, x: {y: z}}]", "the option `x` cannot be a map"),
        ("container: c, schema: meminfo", "container: c", "has no `schema`"),
        ("\nstores:", "\ncampanile: {aggregators: {c: {weight: 2}}}\nstores:", "no such daemon: c"),
        ("\nstores:", "\ncampanile: {probe: {interval: -1s}}\nstores:", "must be longer than 0"),
    ] {
        assert!(GOOD.contains(from), "{from}");
        let (_, said, errors) = read(&GOOD.replacen(from, to, 1), Pairing::Written);
        assert!(errors > 0 || expected.contains("did you mean"), "{to}: {said}");
        assert!(said.contains(expected), "{to}: {said}");
        assert!(said.contains("c.yaml:"), "{said}");
    }
}

#[test]
fn what_is_odd_gets_a_warning_and_the_file_is_used() {
    for (from, to, expected) in [
        (
            r#"daemons: "s[1-4]", endpoints: "s[1-4]-ep""#,
            r#"daemons: "s[1-3]", endpoints: "s[1-3]-ep""#,
            "no aggregator collects from s4",
        ),
        ("stores: {one: {daemons: b,", "stores: {one: {daemons: s1,", "no aggregator"),
        (
            "ports: 411, maestro_comm: True}]}\naggregators",
            "ports: 411, maestro_comm: True, xprt: rdma}]}\naggregators",
            "`b-ep` has `maestro_comm` over rdma",
        ),
        ("container: c, ", "", "has no `container`"),
        ("\nstores:", "\nmy_own_anchors: {x: 1}\nstores:", ""),
    ] {
        assert!(GOOD.contains(from), "{from}");
        let (_, said, errors) = read(&GOOD.replacen(from, to, 1), Pairing::Written);
        assert_eq!(errors, 0, "{said}");
        assert!(said.contains(expected), "{to}: {said}");
        assert_eq!(said.is_empty(), expected.is_empty(), "{to}: {said}");
    }
}

#[test]
fn daemons_whose_hosts_are_wrong_are_no_further_error_where_they_are_named() {
    let (_, said, errors) = read(&GOOD.replace(r#"hosts: "n[1-4]""#, r#"hosts: "n[1-3]""#), Pairing::Written);
    assert_eq!(errors, 1, "{said}");
}

#[test]
fn several_flaws_are_all_told_at_once() {
    let text = GOOD.replace("411", "x").replace("reconnect: 2s", "reconnect: soon").replace("[mem]", "[men]");
    let (_, said, errors) = read(&text, Pairing::Written);
    assert!(errors >= 5, "{said}");
    for expected in ["`x` is not a port", "'soon' is not an interval", "did you mean `mem`?"] {
        assert!(said.contains(expected), "{expected}: {said}");
    }
}

/// Eleven daemons on one host with ports that sort differently as text.
const TRAP: &str = r#"
daemons:
  - {names: "sampler-[1-11]", hosts: h, endpoints: [{names: "e-[1-11]", ports: "[9995-10005]"}]}
samplers: []
"#;

#[test]
fn hostlists_pair_in_written_order_with_a_warning_and_as_the_original_when_told_to() {
    let ports = |cluster: &Cluster| {
        let port = |name: &str| cluster.daemon(name).map(|daemon| daemon.endpoints[0].port);
        [port("sampler-1"), port("sampler-2"), port("sampler-5"), port("sampler-10")]
            .map(Option::unwrap_or_default)
    };
    let (cluster, said, errors) = read(TRAP, Pairing::Written);
    assert_eq!((ports(&cluster), errors), ([9995, 9996, 9999, 10004], 0));
    assert!(said.contains("`e-1` has port 9995; the original sorts as text and gives it 10000"), "{said}");
    let (cluster, said, _) = read(TRAP, Pairing::Original);
    assert_eq!((ports(&cluster), said.as_str()), ([10000, 10003, 9995, 10001], ""));
}

/// F14: what its code does is what counts, save where the document is the better of the two.
#[test]
fn what_the_documents_of_the_original_say_and_it_does_not_do() {
    // `maestro_comm` is said to be True unless it is written; it is False.
    let (cluster, ..) = read(&GOOD.replacen(", maestro_comm: True", "", 1), Pairing::Written);
    assert!(cluster.daemon("s1").is_some_and(|daemon| daemon.managed_at().is_none()));
    assert!(cluster.daemon("a1").is_some_and(|daemon| daemon.managed_at().is_some()));
    // `stores` is said to be a list; its parser takes a map alone. Both are taken.
    let list = GOOD.replace(
        "stores: {one: {daemons: b, plugin: csv, container: c, schema: meminfo}}",
        "stores: [{name: one, daemons: b, plugin: csv, container: c, schema: meminfo}]",
    );
    let ((as_map, ..), (as_list, said, errors)) =
        (read(GOOD, Pairing::Written), read(&list, Pairing::Written));
    assert_eq!((errors, &as_list.stores["one"].plugin), (0, &as_map.stores["one"].plugin), "{said}");
    // A set is said to weigh its size and how often it is updated; its size alone did.
    let weight = |interval: &str| {
        let text =
            GOOD.replacen("updaters: [{interval: 1s}]", &format!("updaters: [{{interval: {interval}}}]"), 1);
        let summary = Summary::of(&read(&text, Pairing::Written).0);
        let l1 = summary.groups.iter().find(|group| group.tier == 1).expect("there is a first tier");
        l1.aggregators[0].1.bytes_per_s
    };
    assert!((weight("1s") - 4.0 * weight("4s")).abs() < 0.1, "{} and {}", weight("1s"), weight("4s"));
}

#[test]
fn thirty_thousand_nodes_are_read_checked_summed_up_and_generated() {
    let (cluster, said, _) = read(&cluster_text(30_000, 100), Pairing::Written);
    assert_eq!(said, "");
    assert_eq!(cluster.daemons.len(), 30_101);
    let summary = Summary::of(&cluster);
    assert_eq!((summary.sets, summary.groups.len()), (60_000, 2));
    assert_eq!(summary.groups[0].aggregators[0].1.sets, 60_000);
    assert!(summary.groups[1].aggregators.iter().all(|(_, load)| (load.producers, load.sets) == (300, 600)));
    let generator = Generator::new(&cluster, Style::Original);
    assert_eq!(generator.all().count(), 30_101);
}

#[test]
fn tiers_and_loads_are_summed_up() {
    let (cluster, _, _) = read(&cluster_text(6, 3), Pairing::Written);
    let summary = Summary::of(&cluster);
    let [top, l1] = summary.groups.as_slice() else { panic!("two groups: {summary:?}") };
    assert_eq!((top.tier, l1.tier), (2, 1));
    assert_eq!(
        (top.collects_from.as_slice(), l1.collects_from.as_slice()),
        (&["a[1-3]".to_owned()][..], &["s[1-6]".to_owned()][..])
    );
    let load = l1.aggregators[0].1;
    assert_eq!((load.producers, load.sets, load.bytes), (2, 4, 2 * (544 + 1024)));
    // meminfo every second, vmstat every two.
    assert!((load.bytes_per_s - 2.0 * (544.0 + 512.0)).abs() < 0.5, "{load:?}");
    assert_eq!((top.aggregators[0].1.producers, top.aggregators[0].1.sets), (3, 12));
}

proptest! {
    #[test]
    fn any_cluster_is_read_every_producer_is_collected_once_and_keys_mean_the_same(
        samplers in 1_usize..40, l1 in 1_usize..7
    ) {
        let (cluster, said, _) = read(&cluster_text(samplers, l1), Pairing::Written);
        prop_assert_eq!(said, "");
        let files: Vec<(String, String)> = Generator::new(&cluster, Style::Original)
            .all().map(|(name, file)| (name.to_owned(), file.text)).collect();
        for number in 1..=samplers {
            let line = format!("prdcr_start name=s{number}-ep\n");
            prop_assert_eq!(files.iter().filter(|(_, text)| text.contains(&line)).count(), 1);
        }
        let keys = to_keys(&cluster);
        let (again, problems) = from_keys(&keys);
        prop_assert!(problems.is_empty(), "{:?}", problems);
        prop_assert_eq!(to_keys(&again), keys);
        for (name, text) in &files {
            let other = Generator::new(&again, Style::Original).daemon(name).map(|file| file.text);
            prop_assert_eq!(other.as_ref(), Some(text));
        }
    }

    #[test]
    fn a_mangled_file_is_refused_or_read_without_a_panic(
        cuts in prop::collection::vec((0_usize..GOOD.len(), 0_usize..40), 1..6), filler in "[\\[\\]{}:, a-z0-9*&\"-]{0,6}"
    ) {
        let mut text = GOOD.to_owned();
        for (at, length) in cuts {
            let at = at.min(text.len());
            let end = (at + length).min(text.len());
            text.replace_range(at..end, &filler);
        }
        let (cluster, diagnostics) = config::parse(Path::new("c.yaml"), text.as_bytes(), Pairing::Written);
        if let Some(cluster) = cluster.filter(|_| !diagnostics.has_errors()) {
            let _ = Generator::new(&cluster, Style::Complete).all().count();
            let _ = Summary::of(&cluster);
            let _ = from_keys(&to_keys(&cluster));
        }
    }

    #[test]
    fn keys_that_somebody_has_mangled_are_read_without_a_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), 0_u8..4, "[/a-z0-9,\\[\\]-]{0,8}"), 1..8)
    ) {
        let mut keys = to_keys(&read(GOOD, Pairing::Written).0);
        for (at, change, text) in changes {
            let Some(key) = keys.keys().nth(at.index(keys.len().max(1))).cloned() else { break };
            let value = keys.remove(&key).unwrap_or_default();
            match change {
                0 => {}
                1 => drop(keys.insert(key, text)),
                2 => drop(keys.insert(format!("{key}/{text}"), value)),
                _ => drop(keys.insert(key.rsplit_once('/').map_or(text, |(above, _)| above.to_owned()), value)),
            }
        }
        let (cluster, _) = from_keys(&keys);
        let _ = Generator::new(&cluster, Style::Complete).all().count();
        let _ = Summary::of(&cluster);
        let _ = from_keys(&to_keys(&cluster));
    }
}
