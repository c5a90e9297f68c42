//! `campanile ldms why`: everything about one daemon.

use std::fmt::Write as _;

use campanile_wamp::Value;

use super::manager::{Manager, ManagerArgs};
use crate::failure::Outcome;
use crate::{output, runtime};

/// Show how one daemon is, who collects from it, and how old its sets are at the top
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  campanile ldms why sampler-17
  campanile ldms why l1-agg-2 --json

Exit codes:
  0 shown; 1 no manager answers, or there is no such daemon; 2 wrong options")]
pub(crate) struct Args {
    /// The daemon
    daemon: String,
    #[command(flatten)]
    manager: ManagerArgs,
    /// Print JSON, of the form that the manual describes
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> Outcome {
    let why = runtime::block_on(async {
        let manager = Manager::find(&args.manager).await?;
        manager.call("why", vec![Value::from(args.daemon.as_str())]).await
    })??;
    if args.json {
        return output::print_json(&why);
    }
    output::print(&render(&args.daemon, &why))
}

/// What a manager says of a daemon, for people.
pub(crate) fn render(daemon: &str, why: &serde_json::Value) -> String {
    let text = |value: &serde_json::Value| value.as_str().unwrap_or("?").to_owned();
    let names = |value: &serde_json::Value| {
        let names: Vec<String> = value.as_array().into_iter().flatten().map(text).collect();
        if names.is_empty() { "nobody".to_owned() } else { names.join(", ") }
    };
    let mut out = format!("{daemon}: {}", text(&why["health"]));
    // Writing to a String cannot fail.
    if let Some(reason) = why["reason"].as_str().filter(|reason| !reason.is_empty()) {
        let _ = write!(out, " ({reason})");
    }
    out.push('\n');
    for judgement in why["judgement"].as_array().into_iter().flatten() {
        let _ = writeln!(out, "  {}", text(judgement));
    }
    let updates = &why["performance"]["updates"];
    if let Some(sets) = updates["sets"].as_u64() {
        let _ = writeln!(
            out,
            "  updates {sets} sets, {} late; {} updates left out, {} without a new sample, {:.1} ms on average",
            updates["late_sets"],
            updates["overruns"],
            updates["oversampled"],
            updates["mean_ms"].as_f64().unwrap_or(0.0)
        );
    }
    for collector in why["collectors"].as_array().into_iter().flatten() {
        let found: Vec<String> = collector["found"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|found| format!("{} {}", text(&found[0]), text(&found[1])))
            .collect();
        let _ = writeln!(
            out,
            "  {}: assigned to {}; found on {}",
            text(&collector["group"]),
            names(&collector["assigned"]),
            if found.is_empty() { "none".to_owned() } else { found.join(", ") }
        );
    }
    for set in why["sets"].as_array().into_iter().flatten() {
        let age = match (set["age_s"].as_f64(), why["measured_by"].as_str()) {
            (Some(age_s), _) => format!("{age_s:.1} s old"),
            (None, Some(leader)) => format!("its age is known to {leader}, who leads,"),
            (None, None) => "never seen".to_owned(),
        };
        let _ = writeln!(
            out,
            "  {}: {age} at the top, fresh up to {} s",
            text(&set["set"]),
            set["fresh_up_to_s"]
        );
    }
    for refusal in why["refusals"].as_array().into_iter().flatten() {
        let _ = writeln!(
            out,
            "  refused {} times: {}: {}",
            refusal["times"],
            text(&refusal["step"]),
            text(&refusal["says"])
        );
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_becomes_of_the_updates_of_an_aggregator_is_shown() {
        let says = "updater all: 2 of 40 sets were late in the last minute (s-1/meminfo, s-2/meminfo): …";
        let why = json!({
            "health": "up", "reason": "", "judgement": [says],
            "performance": {"updates": {"sets": 40, "late_sets": 2, "overruns": 12, "oversampled": 3, "mean_ms": 4.25}},
        });
        let text = render("l1-1", &why);
        for part in [
            "l1-1: up\n",
            says,
            "updates 40 sets, 2 late; 12 updates left out, 3 without a new sample, 4.2 ms",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
        let sampler =
            render("s-1", &json!({"health": "up", "judgement": [], "performance": {"updates": null}}));
        assert_eq!(sampler, "s-1: up\n");
    }
}
