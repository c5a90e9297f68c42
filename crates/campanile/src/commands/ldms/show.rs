//! `campanile ldms show`: the tiers of a cluster as a tree, and what each aggregator can be expected to carry.

use std::fmt::Write as _;
use std::path::PathBuf;

use campanile_maestro::summary::{GroupSummary, Load, Summary};
use serde_json::json;

use super::cluster::{self, PairingArg};
use crate::failure::Outcome;
use crate::output;

/// Aggregators of a group that are listed one by one without --all.
const LISTED: usize = 8;

/// Show the tiers of a cluster, and the sets and bytes per second that each aggregator can be expected to carry
///
/// Bytes are an estimate: sizes come from `campanile: {set_bytes: …}` in the file, and are 1 KiB for what is not named.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  campanile ldms show orion.yaml
  campanile ldms show --json orion.yaml | jq '.groups[].aggregators'

Exit codes:
  0 done; 2 the file is wrong")]
pub(crate) struct Args {
    /// The cluster's file
    file: PathBuf,
    /// How names meet hosts and ports
    #[arg(long, value_enum, default_value_t)]
    pairing: PairingArg,
    /// List every aggregator of large groups
    #[arg(long)]
    all: bool,
    /// Print JSON, of the form that the manual describes
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> Outcome {
    let file = cluster::read(&args.file, args.pairing)?;
    let summary = Summary::of(&file.cluster);
    if args.json {
        return output::print_json(&to_json(&summary));
    }
    output::print(&render(&summary, args.all))
}

fn to_json(summary: &Summary) -> serde_json::Value {
    let load = |load: &Load| json!({"producers": load.producers, "sets": load.sets, "bytes": load.bytes, "bytes_per_s": load.bytes_per_s.round()});
    let groups = summary.groups.iter().map(|group| {
        let aggregators = group.aggregators.iter().map(|(name, carries)| {
            let mut entry = load(carries);
            entry["name"] = json!(name);
            entry
        });
        json!({
            "group": group.text,
            "tier": group.tier,
            "collects_from": group.collects_from,
            "stores": group.stores,
            "aggregators": aggregators.collect::<Vec<_>>(),
        })
    });
    let samplers = summary
        .sampler_groups
        .iter()
        .map(|(text, daemons, plugins)| json!({"group": text, "daemons": daemons, "plugins": plugins}));
    json!({
        "daemons": summary.daemons,
        "managed": summary.managed,
        "samplers": summary.samplers,
        "sets": summary.sets,
        "groups": groups.collect::<Vec<_>>(),
        "sampler_groups": samplers.collect::<Vec<_>>(),
    })
}

fn render(summary: &Summary, all: bool) -> String {
    let mut out = String::new();
    let unmanaged = summary.daemons - summary.managed;
    let _ = write!(
        out,
        "{} daemons, {} samplers, {} metric sets",
        summary.daemons, summary.samplers, summary.sets
    );
    if unmanaged > 0 {
        let _ = write!(out, "; {unmanaged} without `maestro_comm`, which no manager talks to");
    }
    out.push('\n');
    let collected: Vec<&String> = summary.groups.iter().flat_map(|group| &group.collects_from).collect();
    for group in &summary.groups {
        if !collected.contains(&&group.text) {
            tree(summary, group, 0, all, &mut out);
        }
    }
    for (text, daemons, plugins) in &summary.sampler_groups {
        if !collected.contains(&text) {
            samplers(text, *daemons, plugins, 0, &mut out);
        }
    }
    out
}

/// Deepest indentation; a file with an error such as a circle never comes here, but depth has its limit anyway.
const MAX_DEPTH: usize = 32;

fn tree(summary: &Summary, group: &GroupSummary, depth: usize, all: bool, out: &mut String) {
    let indent = "  ".repeat(depth);
    let _ =
        write!(out, "{indent}tier {}  {}  ({} aggregators)", group.tier, group.text, group.aggregators.len());
    if !group.stores.is_empty() {
        let _ = write!(out, "  stores {}", group.stores.join(", "));
    }
    out.push('\n');
    let shown = if all { group.aggregators.len() } else { LISTED.min(group.aggregators.len()) };
    for (name, load) in &group.aggregators[..shown] {
        let _ = writeln!(
            out,
            "{indent}    {name}: {} producers, {} sets, about {}/s",
            load.producers,
            load.sets,
            bytes(load.bytes_per_s)
        );
    }
    if shown < group.aggregators.len() {
        let _ = writeln!(out, "{indent}    and {} more; --all lists them", group.aggregators.len() - shown);
    }
    if depth == MAX_DEPTH {
        return;
    }
    for text in &group.collects_from {
        if let Some(below) = summary.groups.iter().find(|other| other.text == *text) {
            tree(summary, below, depth + 1, all, out);
        } else if let Some((text, daemons, plugins)) =
            summary.sampler_groups.iter().find(|(known, _, _)| known == text)
        {
            samplers(text, *daemons, plugins, depth + 1, out);
        } else {
            let _ = writeln!(out, "{indent}  {text}");
        }
    }
}

fn samplers(text: &str, daemons: usize, plugins: &[String], depth: usize, out: &mut String) {
    let indent = "  ".repeat(depth);
    let _ = writeln!(out, "{indent}samplers  {text}  ({daemons} daemons)  {}", plugins.join(", "));
}

/// Bytes with a unit that keeps the number short.
fn bytes(number: f64) -> String {
    match number {
        n if n >= 1e6 => format!("{:.1} MB", n / 1e6),
        n if n >= 1e3 => format!("{:.1} kB", n / 1e3),
        n => format!("{n:.0} B"),
    }
}
