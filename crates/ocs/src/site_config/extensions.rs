//! The keys of an instance that OCS does not have.

use std::path::PathBuf;

use campanile_yaml::{Diagnostics, Kind, Node};

use super::fields::{optional, present};
use super::model::{InstanceConfig, Limits, Probe, Ready, Restart, Stop};
use super::units::{bytes, duration_ms};

const STOP_KEYS: &[&str] = &["grace", "kill"];
const READY_KEYS: &[&str] = &["heartbeat", "port", "command", "timeout"];
const LIMIT_KEYS: &[&str] = &["memory", "cpu"];
const RESTART_KEYS: &[&str] = &["delay", "max"];
/// What only a process of this host can have; a compose file says the same in its own way.
const PROCESS_KEYS: &[&str] = &["command", "env", "cwd", "limits"];
/// An instance that is not ready after a minute is not going to be.
const DEFAULT_READY_TIMEOUT_MS: u64 = 60_000;
/// More cores than any machine has.
const MAX_CORES: f64 = 100_000.0;

pub(super) fn read(entry: Node<'_>, instance: &mut InstanceConfig, diagnostics: &mut Diagnostics) {
    let get = |key: &str| present(entry, key);
    instance.command = get("command").and_then(|node| read_words(node, "command", diagnostics));
    if let Some(node) = get("env") {
        instance.env = read_env(node, diagnostics);
    }
    instance.cwd = optional(entry, "cwd", diagnostics).map(PathBuf::from);
    if let Some(node) = get("stop") {
        instance.stop = read_stop(node, diagnostics).unwrap_or_default();
    }
    if let Some(node) = get("after") {
        instance.after = read_after(node, diagnostics);
    }
    instance.ready = get("ready").and_then(|node| read_ready(node, diagnostics));
    if let Some(node) = get("limits") {
        instance.limits = read_limits(node, diagnostics).unwrap_or_default();
    }
    if let Some(node) = get("restart") {
        instance.restart = read_restart(node, diagnostics).unwrap_or_default();
    }
}

/// Warns of keys that have no effect on an instance in a container.
pub(super) fn warn_of_unused(entry: Node<'_>, diagnostics: &mut Diagnostics) {
    for key in PROCESS_KEYS {
        if let Some((key, _)) = entry.entry(key) {
            let name = key.text().unwrap_or_default();
            let problem = key.warning(format!("`{name}` has no effect on an instance that runs in docker"));
            diagnostics.push(problem.hint("say it in the compose file"));
        }
    }
}

/// A program with its arguments.
fn read_words(node: Node<'_>, name: &str, diagnostics: &mut Diagnostics) -> Option<Vec<String>> {
    if node.kind() == Kind::Scalar && node.is_str() {
        let words: Vec<String> = node.text()?.split_whitespace().map(|word| format!("'{word}'")).collect();
        let problem =
            node.error(format!("`{name}` is a list of the program and its arguments, and no shell reads it"));
        diagnostics.push(problem.hint(format!("write [{}]", words.join(", "))));
        return None;
    }
    let list = node.want_list(diagnostics)?;
    let mut words = Vec::new();
    let mut complete = true;
    for item in list.items() {
        match item.want_text(diagnostics) {
            Some(word) if word.contains('\0') => {
                diagnostics.push(item.error("a NUL character cannot be part of an argument"));
                complete = false;
            }
            Some(word) => words.push(word.to_owned()),
            None => complete = false,
        }
    }
    if complete && words.first().is_none_or(String::is_empty) {
        diagnostics.push(node.error(format!("`{name}` names no program")));
        return None;
    }
    complete.then_some(words)
}

fn read_env(node: Node<'_>, diagnostics: &mut Diagnostics) -> Vec<(String, String)> {
    let Some(map) = node.want_map(diagnostics) else { return Vec::new() };
    let mut variables = Vec::new();
    for (key, value) in map.entries() {
        let Some(name) = key.want_text(diagnostics) else { continue };
        if name.is_empty() || name.contains(['=', '\0']) {
            diagnostics.push(key.error(format!("`{name}` cannot be the name of an environment variable")));
            continue;
        }
        if value.is_null() {
            diagnostics.push(
                value.error(format!("the variable {name} has no value")).hint("write '' for an empty one"),
            );
            continue;
        }
        // As written: `DEBUG: yes` is `yes`, not `True`.
        match value.want_text(diagnostics) {
            Some(text) if text.contains('\0') => {
                diagnostics.push(value.error("a NUL character cannot be part of a variable"));
            }
            Some(text) => variables.push((name.to_owned(), text.to_owned())),
            None => {}
        }
    }
    variables
}

fn read_stop(node: Node<'_>, diagnostics: &mut Diagnostics) -> Option<Stop> {
    let map = node.want_map(diagnostics)?;
    map.warn_of_misspelt_keys(STOP_KEYS, diagnostics);
    let usual = Stop::default();
    let grace_ms =
        present(map, "grace").map_or(Some(usual.grace_ms), |grace| duration_ms(grace, diagnostics));
    let kill = present(map, "kill").map_or(Some(usual.kill), |kill| kill.want_bool(diagnostics));
    Some(Stop { grace_ms: grace_ms?, kill: kill? })
}

/// One id, or a list of ids. Whether they exist is seen when all entries are read.
fn read_after(node: Node<'_>, diagnostics: &mut Diagnostics) -> Vec<String> {
    if node.kind() == Kind::Scalar {
        return node.want_text(diagnostics).map(str::to_owned).into_iter().collect();
    }
    let Some(list) = node.want_list(diagnostics) else { return Vec::new() };
    list.items().filter_map(|item| item.want_text(diagnostics)).map(str::to_owned).collect()
}

/// `heartbeat`, or a map with one of `heartbeat: yes`, `port: N`, `command: [...]`, and a `timeout`.
fn read_ready(node: Node<'_>, diagnostics: &mut Diagnostics) -> Option<Ready> {
    const HINT: &str = "write `heartbeat`, or a map with `port` or `command`, and a `timeout`";
    if node.kind() == Kind::Scalar {
        if node.text() == Some("heartbeat") {
            return Some(Ready { probe: Probe::Heartbeat, timeout_ms: DEFAULT_READY_TIMEOUT_MS });
        }
        diagnostics.push(node.error(format!("`ready` cannot be {}", node.description())).hint(HINT));
        return None;
    }
    let map = node.want_map(diagnostics)?;
    map.warn_of_misspelt_keys(READY_KEYS, diagnostics);
    let timeout =
        present(map, "timeout").map_or(Some(DEFAULT_READY_TIMEOUT_MS), |node| duration_ms(node, diagnostics));
    let heartbeat =
        present(map, "heartbeat").and_then(|node| node.want_bool(diagnostics)).filter(|wanted| *wanted);
    let port = present(map, "port").and_then(|node| read_port(node, diagnostics));
    let command = present(map, "command").and_then(|node| read_words(node, "command", diagnostics));
    let given = ["heartbeat", "port", "command"].iter().filter(|key| present(map, key).is_some()).count();
    if given != 1 {
        diagnostics
            .push(node.error("`ready` needs exactly one of `heartbeat`, `port` and `command`").hint(HINT));
        return None;
    }
    let probe =
        heartbeat.map(|_| Probe::Heartbeat).or(port.map(Probe::Port)).or(command.map(Probe::Command))?;
    Some(Ready { probe, timeout_ms: timeout? })
}

fn read_port(node: Node<'_>, diagnostics: &mut Diagnostics) -> Option<u16> {
    let port = node.want_int(diagnostics)?;
    let port = u16::try_from(port).ok().filter(|port| *port > 0);
    if port.is_none() {
        diagnostics.push(node.error("a port is a number from 1 to 65535"));
    }
    port
}

fn read_limits(node: Node<'_>, diagnostics: &mut Diagnostics) -> Option<Limits> {
    let map = node.want_map(diagnostics)?;
    map.warn_of_misspelt_keys(LIMIT_KEYS, diagnostics);
    let memory_bytes = present(map, "memory").and_then(|node| bytes(node, diagnostics));
    let cpu_cores = present(map, "cpu").and_then(|node| {
        let cores = node.want_number(diagnostics)?;
        if cores <= 0.0 || !(..=MAX_CORES).contains(&cores) {
            diagnostics.push(node.error("`cpu` is a number of cores above 0").hint("such as `1.5`"));
            return None;
        }
        Some(cores)
    });
    Some(Limits { memory_bytes, cpu_cores })
}

fn read_restart(node: Node<'_>, diagnostics: &mut Diagnostics) -> Option<Restart> {
    let map = node.want_map(diagnostics)?;
    map.warn_of_misspelt_keys(RESTART_KEYS, diagnostics);
    let usual = Restart::default();
    let delay_ms =
        present(map, "delay").map_or(Some(usual.delay_ms), |node| duration_ms(node, diagnostics))?;
    let Some(max) = present(map, "max") else {
        return Some(Restart { delay_ms, max_ms: usual.max_ms.max(delay_ms) });
    };
    let max_ms = duration_ms(max, diagnostics)?;
    if max_ms < delay_ms {
        diagnostics.push(max.error("`max` is shorter than `delay`"));
        return None;
    }
    Some(Restart { delay_ms, max_ms })
}
