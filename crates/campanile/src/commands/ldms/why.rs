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
        let age = set["age_s"]
            .as_f64()
            .map_or_else(|| "never seen".to_owned(), |age_s| format!("{age_s:.1} s old"));
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
