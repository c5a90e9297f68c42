//! The host blocks.

use std::collections::HashMap;
use std::path::PathBuf;

use campanile_yaml::{Diagnostic, Diagnostics, Node, Severity};

use super::fields::{HTTP, WS, optional, optional_url, present, start_of};
use super::instance;
use super::model::{CrossbarConfig, HostConfig, HubOverrides};
use super::order;

const HOST_KEYS: &[&str] =
    &["agent-instances", "log-dir", "crossbar", "crossbar_timeout", "wamp_server", "wamp_http", "wamp_realm"];
const CROSSBAR_KEYS: &[&str] = &["config-dir", "bin"];
/// Seconds, as in OCS.
const DEFAULT_CROSSBAR_TIMEOUT_S: u64 = 10;

pub(super) fn read_all(hosts: Node<'_>, diagnostics: &mut Diagnostics) -> Vec<HostConfig> {
    let mut all = Vec::new();
    // Where each id was seen first.
    let mut ids: HashMap<String, (String, Node<'_>)> = HashMap::new();
    for (key, block) in hosts.entries() {
        // A name without quotes may look like a number; it is meant as it is written.
        let Some(name) = key.text() else { continue };
        if !key.is_str() {
            let problem = key.warning(format!("the name of this host is {} to OCS", key.description()));
            diagnostics.push(problem.hint(format!("put it in quotes: '{name}'")));
        }
        let mut own = Diagnostics::new();
        let (host, nodes) = read(name, block, &mut own);
        diagnostics.extend(own);
        for (instance, node) in
            host.instances.iter().zip(nodes).filter(|(instance, _)| instance.problem.is_none())
        {
            note_other_host(name, &instance.instance_id, instance::id_node(node), &mut ids, diagnostics);
        }
        all.push(host);
    }
    all
}

/// Two hosts with the same id clash on the bus, unless they are alternatives that never run together.
fn note_other_host<'d>(
    host: &str,
    id: &str,
    node: Node<'d>,
    ids: &mut HashMap<String, (String, Node<'d>)>,
    diagnostics: &mut Diagnostics,
) {
    if let Some((other, first)) = ids.get(id) {
        let message = format!("the instance-id `{id}` is also used by host {other}");
        let problem = node.diagnostic(Severity::Note, message).related(first.place(), "here");
        diagnostics
            .push(problem.hint("give one of them another id, unless the two never run at the same time"));
    } else {
        ids.insert(id.to_owned(), (host.to_owned(), node));
    }
}

/// The block, and for each of its instances the node of its entry.
fn read<'d>(name: &str, block: Node<'d>, diagnostics: &mut Diagnostics) -> (HostConfig, Vec<Node<'d>>) {
    let mut host = HostConfig {
        name: name.to_owned(),
        instances: Vec::new(),
        log_dir: None,
        crossbar: None,
        crossbar_timeout_s: DEFAULT_CROSSBAR_TIMEOUT_S,
        overrides: HubOverrides::default(),
        span: block.place(),
        problem: None,
    };
    let mut own = Diagnostics::new();
    let mut of_instances = Diagnostics::new();
    let mut nodes = Vec::new();
    if let Some(block) = block.want_map(&mut own) {
        block.warn_of_misspelt_keys(HOST_KEYS, &mut own);
        host.log_dir = optional(block, "log-dir", &mut own).map(PathBuf::from);
        host.crossbar = present(block, "crossbar").and_then(|crossbar| read_crossbar(crossbar, &mut own));
        host.crossbar_timeout_s = read_timeout(block, &mut own).unwrap_or(DEFAULT_CROSSBAR_TIMEOUT_S);
        host.overrides = HubOverrides {
            wamp_server: optional_url(block, "wamp_server", WS, &mut own),
            wamp_http: optional_url(block, "wamp_http", HTTP, &mut own),
            wamp_realm: optional(block, "wamp_realm", &mut own).map(str::to_owned),
        };
        match block.get("agent-instances") {
            None => {
                let problem = own_error(block, format!("host {name} has no `agent-instances`"));
                own.push(problem.hint("write `agent-instances: []` for a host without agents"));
            }
            Some(list) => {
                if let Some(list) = list.want_list(&mut own) {
                    (host.instances, nodes) = instance::read_all(list, &mut of_instances);
                    order::check(&mut host.instances, &nodes, &mut of_instances);
                }
            }
        }
    }
    host.problem = instance::reason(&own);
    diagnostics.extend(own);
    diagnostics.extend(of_instances);
    (host, nodes)
}

fn own_error(block: Node<'_>, message: String) -> Diagnostic {
    block.error(message).at(start_of(block))
}

fn read_crossbar(crossbar: Node<'_>, diagnostics: &mut Diagnostics) -> Option<CrossbarConfig> {
    let crossbar = crossbar.want_map(diagnostics)?;
    crossbar.warn_of_misspelt_keys(CROSSBAR_KEYS, diagnostics);
    Some(CrossbarConfig {
        config_dir: optional(crossbar, "config-dir", diagnostics).map(str::to_owned),
        bin: optional(crossbar, "bin", diagnostics).map(str::to_owned),
    })
}

fn read_timeout(block: Node<'_>, diagnostics: &mut Diagnostics) -> Option<u64> {
    let node = present(block, "crossbar_timeout")?;
    // OCS takes fractions, too; they make no difference that anyone could see.
    let seconds = node.want_number(diagnostics)?;
    if !(0.0..=1e9).contains(&seconds) {
        diagnostics.push(node.error("`crossbar_timeout` is a number of seconds, and 0 means for ever"));
        return None;
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the range has just been checked"
    )]
    Some(seconds.ceil() as u64)
}
