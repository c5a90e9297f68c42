//! Reads the `campanile:` section.

use std::path::PathBuf;

use campanile_ldms::hostlist;
use campanile_yaml::{Kind, Node};
use indexmap::IndexMap;

use super::daemons::Daemons;
use super::extension::{AggregatorShare, Balance, Extension, Moves, Probe, Start};
use super::fields::Fields;

const KEYS: [&str; 7] = ["balance", "probe", "moves", "aggregators", "weights", "set_bytes", "start"];

pub(super) fn read(root: Node<'_>, daemons: &Daemons<'_>, fields: &mut Fields) -> Extension {
    let mut extension = Extension::default();
    let Some(section) = fields.optional(root, "campanile") else { return extension };
    let Some(section) = section.want_map(&mut fields.diagnostics) else { return extension };
    fields.known_keys(section, &KEYS, "the `campanile` section");
    if let Some(at) = fields.optional(section, "balance") {
        extension.balance = balance(at, fields);
    }
    extension.probe = probe(section, fields);
    extension.moves = moves(section, fields);
    let known = |name: &str| daemons.by_name.contains_key(name);
    for (at, names, entry) in by_names(section, "aggregators", fields) {
        if let Some(share) = share(entry, fields) {
            enter(&mut extension.aggregators, at, names, &share, known, "daemon", fields);
        }
    }
    for (at, names, entry) in by_names(section, "weights", fields) {
        let Some(weight) = non_negative(entry, fields) else { continue };
        let known = |name: &str| known(name) || daemons.owners.contains_key(name);
        enter(&mut extension.weights, at, names, &weight, known, "daemon or endpoint", fields);
    }
    for (_, names, entry) in by_names(section, "set_bytes", fields) {
        let Some(bytes) = whole(entry, 1, fields) else { continue };
        extension.set_bytes.extend(names.into_iter().map(|name| (name, bytes)));
    }
    for (at, names, entry) in by_names(section, "start", fields) {
        for name in names {
            let Some(start) = start(entry, &name, fields) else { break };
            enter(&mut extension.start, at, vec![name], &start, known, "daemon", fields);
        }
    }
    extension
}

/// The entries of a map whose keys are hostlists.
fn by_names<'d>(section: Node<'d>, key: &str, fields: &mut Fields) -> Vec<(Node<'d>, Vec<String>, Node<'d>)> {
    let Some(map) = fields.optional(section, key) else { return Vec::new() };
    let Some(map) = map.want_map(&mut fields.diagnostics) else { return Vec::new() };
    let mut entries = Vec::new();
    for (at, value) in map.entries() {
        if let Some(names) = fields.names(at) {
            entries.push((at, names.list.to_vec(), value));
        }
    }
    entries
}

fn enter<V: Clone>(
    into: &mut IndexMap<String, V>,
    at: Node<'_>,
    names: Vec<String>,
    value: &V,
    known: impl Fn(&str) -> bool,
    noun: &str,
    fields: &mut Fields,
) {
    let unknown: Vec<&String> = names.iter().filter(|name| !known(name)).collect();
    if !unknown.is_empty() {
        fields.error(at, format!("no such {noun}: {}", hostlist::fold(&unknown)));
    }
    for name in names {
        if into.insert(name.clone(), value.clone()).is_some() {
            fields.warn(at, format!("`{name}` has an entry here already; this one counts"));
        }
    }
}

fn balance(at: Node<'_>, fields: &mut Fields) -> Option<Balance> {
    match fields.text(at)?.as_str() {
        "producers" => Some(Balance::Producers),
        "sets" => Some(Balance::Sets),
        other => {
            fields.error(at, format!("`balance` must be producers or sets, found `{other}`"));
            None
        }
    }
}

fn probe(section: Node<'_>, fields: &mut Fields) -> Probe {
    let mut probe = Probe::default();
    let Some(entry) = fields.optional(section, "probe") else { return probe };
    let Some(entry) = entry.want_map(&mut fields.diagnostics) else { return probe };
    fields.known_keys(entry, &["interval", "strikes"], "`probe`");
    if let Some(ms) = milliseconds(entry, "interval", fields) {
        probe.interval_ms = ms;
    }
    if let Some(strikes) = fields.optional(entry, "strikes").and_then(|at| whole(at, 1, fields)) {
        probe.strikes = u32::try_from(strikes).unwrap_or(u32::MAX);
    }
    probe
}

fn moves(section: Node<'_>, fields: &mut Fields) -> Moves {
    let mut moves = Moves::default();
    let Some(entry) = fields.optional(section, "moves") else { return moves };
    let Some(entry) = entry.want_map(&mut fields.diagnostics) else { return moves };
    fields.known_keys(entry, &["return_per_s", "settle"], "`moves`");
    if let Some(rate) = fields.optional(entry, "return_per_s").and_then(|at| whole(at, 1, fields)) {
        moves.return_per_s = u32::try_from(rate).unwrap_or(u32::MAX);
    }
    if let Some(ms) = milliseconds(entry, "settle", fields) {
        moves.settle_ms = ms;
    }
    moves
}

fn share(entry: Node<'_>, fields: &mut Fields) -> Option<AggregatorShare> {
    let entry = entry.want_map(&mut fields.diagnostics)?;
    let known = ["weight", "max_producers", "max_bytes_per_s"];
    fields.known_keys(entry, &known, "this aggregator");
    let mut share = AggregatorShare::default();
    if let Some(weight) = fields.optional(entry, "weight").and_then(|at| non_negative(at, fields)) {
        share.weight = weight;
    }
    share.max_producers = fields.optional(entry, "max_producers").and_then(|at| whole(at, 0, fields));
    share.max_bytes_per_s = fields.optional(entry, "max_bytes_per_s").and_then(|at| whole(at, 0, fields));
    Some(share)
}

fn start(entry: Node<'_>, daemon: &str, fields: &mut Fields) -> Option<Start> {
    if entry.kind() == Kind::Scalar {
        return match fields.text(entry)?.as_str() {
            "local" => Some(Start::Local { ldmsd: None, args: Vec::new() }),
            other => {
                let hint = "write local, or a map with `ldmsd` and `args`, or with `manager` and `instance`";
                fields.error_hint(entry, format!("`{other}` is no way to start a daemon"), hint);
                None
            }
        };
    }
    let entry = entry.want_map(&mut fields.diagnostics)?;
    if entry.get("manager").is_some() || entry.get("instance").is_some() {
        fields.known_keys(entry, &["manager", "instance"], "this start");
        let manager = fields.required_text(entry, "manager", "this start")?;
        // The instance is usually called like the daemon.
        let instance = fields.optional_text(entry, "instance").unwrap_or_else(|| daemon.to_owned());
        return Some(Start::Instance { manager, instance });
    }
    fields.known_keys(entry, &["ldmsd", "args"], "this start");
    let ldmsd = fields.optional_text(entry, "ldmsd").map(PathBuf::from);
    let args = fields.optional(entry, "args").map(|at| fields.texts(at)).unwrap_or_default();
    Some(Start::Local { ldmsd, args })
}

/// A time in milliseconds, longer than nothing.
fn milliseconds(entry: Node<'_>, key: &str, fields: &mut Fields) -> Option<u64> {
    let at = fields.optional(entry, key)?;
    let us = fields.positive_interval(at)?.us?;
    match u64::try_from(us / 1000) {
        Ok(ms) if ms > 0 => Some(ms),
        _ => {
            fields.error(at, format!("`{key}` must be at least 1 ms"));
            None
        }
    }
}

fn whole(at: Node<'_>, least: u64, fields: &mut Fields) -> Option<u64> {
    let number = at.want_int(&mut fields.diagnostics)?;
    match u64::try_from(number) {
        Ok(number) if number >= least => Some(number),
        _ => {
            fields.error(at, format!("this must be at least {least}, found {number}"));
            None
        }
    }
}

fn non_negative(at: Node<'_>, fields: &mut Fields) -> Option<f64> {
    let number = at.want_number(&mut fields.diagnostics)?;
    if number.is_finite() && number >= 0.0 {
        return Some(number);
    }
    fields.error(at, format!("a weight must be 0 or more, found {number}"));
    None
}
