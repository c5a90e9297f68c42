//! What holds for every site config file, however broken.

use std::path::Path;

use campanile_ocs::site_config::{SiteConfig, load_bytes};
use campanile_yaml::{Diagnostics, Severity};
use proptest::prelude::*;

fn read(bytes: &[u8]) -> (Option<SiteConfig>, Diagnostics) {
    load_bytes(Path::new("site.yaml"), bytes)
}

/// Holds for any input.
fn check(bytes: &[u8]) {
    let (site, diagnostics) = read(bytes);
    let _ = (diagnostics.render(false), diagnostics.to_json());
    let Some(site) = site else {
        assert!(diagnostics.has_errors(), "refused without a reason");
        return;
    };
    let problems = site.hosts.iter().filter_map(|host| host.problem.as_ref());
    let problems = problems
        .chain(site.hosts.iter().flat_map(|host| &host.instances).filter_map(|entry| entry.problem.as_ref()));
    assert_eq!(
        diagnostics.has_errors(),
        problems.count() > 0,
        "each error belongs to an entry, and each entry has its errors"
    );
    for host in &site.hosts {
        let mut ids: Vec<&str> =
            host.instances.iter().map(|instance| instance.instance_id.as_str()).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), host.instances.len(), "ids are unique");
    }
}

const HUB: &str = "hub: {wamp_server: 'ws://h:8001/ws', wamp_http: 'http://h:8001/call', wamp_realm: r, address_root: obs}\n";

/// A value of any kind, in flow style.
fn value() -> impl Strategy<Value = String> {
    let scalar = prop::sample::select(vec![
        "yes",
        "null",
        "~",
        "5",
        "-1",
        "0.5",
        "host/up",
        "docker",
        "'x y'",
        "''",
        "010",
        "a",
        "b",
        ".nan",
        "2G",
        "60s",
        "2001-12-14",
        "heartbeat",
        "[]",
        "{}",
        "\"a\\0b\"",
        "99999999999999999999",
        "*here",
        "!tag x",
        "<<",
        "=",
    ]);
    scalar.prop_map(str::to_owned).prop_recursive(3, 20, 4, |inner| {
        let key = prop::sample::select(vec![
            "a",
            "grace",
            "kill",
            "port",
            "command",
            "timeout",
            "memory",
            "cpu",
            "delay",
            "max",
            "<<",
            "5",
            "heartbeat",
        ]);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|items| format!("[{}]", items.join(", "))),
            prop::collection::vec((key, inner), 0..4).prop_map(|entries| {
                let entries: Vec<String> =
                    entries.iter().map(|(key, value)| format!("{key}: {value}")).collect();
                format!("{{{}}}", entries.join(", "))
            }),
        ]
    })
}

/// An entry of `agent-instances` with any keys and values.
fn entry() -> impl Strategy<Value = String> {
    let key = prop::sample::select(vec![
        "agent-class",
        "instance-id",
        "arguments",
        "manage",
        "command",
        "env",
        "cwd",
        "stop",
        "after",
        "ready",
        "limits",
        "restart",
        "mange",
        "x",
    ]);
    prop_oneof![
        9 => prop::collection::vec((key, value()), 0..6).prop_map(|entries| {
            let entries: Vec<String> = entries.iter().map(|(key, value)| format!("{key}: {value}")).collect();
            format!("{{{}}}", entries.join(", "))
        }),
        1 => value(),
    ]
}

/// Valid entries that stand on their own.
fn good_entries() -> impl Strategy<Value = Vec<String>> {
    let more = prop::sample::select(vec![
        "manage: docker",
        "manage: down",
        "arguments: [--x, 5]",
        "command: [sleep, 5]",
        "stop: {grace: 5}",
        "ready: heartbeat",
    ]);
    prop::collection::vec(more, 0..5).prop_map(|all| {
        all.iter()
            .enumerate()
            .map(|(n, more)| format!("{{agent-class: C, instance-id: good-{n}, {more}}}"))
            .collect()
    })
}

fn file_of(entries: &[String]) -> String {
    let lines: String = entries.iter().map(|entry| format!("    - {entry}\n")).collect();
    let list = if entries.is_empty() { " []\n".to_owned() } else { format!("\n{lines}") };
    format!("{HUB}keep: &here [1]\nhosts:\n  h:\n    agent-instances:{list}")
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        check(&bytes);
    }

    #[test]
    fn no_entry_makes_it_panic(entries in prop::collection::vec(entry(), 0..5)) {
        check(file_of(&entries).as_bytes());
    }

    #[test]
    fn no_values_make_it_panic(hub in value(), host in value(), timeout in value(), crossbar in value(), list in value()) {
        check(format!("hub: {hub}\nhosts: {host}\n").as_bytes());
        let host = format!("agent-instances: {list}, crossbar_timeout: {timeout}, crossbar: {crossbar}, log-dir: {hub}");
        check(format!("{HUB}keep: &here [1]\nhosts: {{h: {{{host}}}, {host}: x}}\n").as_bytes());
    }

    #[test]
    fn what_is_wrong_with_one_entry_never_changes_another(good in good_entries(), bad in entry(), place in any::<prop::sample::Index>()) {
        let (alone, said) = read(file_of(&good).as_bytes());
        prop_assert!(said.iter().all(|item| item.severity != Severity::Error), "{}", said.render(false));
        let alone = alone.map(|site| site.hosts[0].instances.clone()).unwrap_or_default();
        let place = place.index(good.len() + 1);
        let mut all = good;
        all.insert(place, bad.clone());
        let (site, _) = read(file_of(&all).as_bytes());
        // Where PyYAML itself cannot read the file, nobody can.
        let Some(site) = site else { return Ok(()) };
        let mut instances = site.hosts[0].instances.clone();
        instances.remove(place);
        prop_assert_eq!(instances.len(), alone.len());
        for (instance, before) in instances.iter().zip(&alone) {
            prop_assert!(instance.same_settings(before), "{instance:?}\n{before:?}");
        }
    }
}
