//! `campanile ldms plan`: what the manager would send, and why, before it does.

use std::fmt::Write as _;

use serde_json::Value;

use super::manager::{Manager, ManagerArgs};
use crate::failure::Outcome;
use crate::{output, runtime};

/// Show which requests the manager would send to which daemon, and why
///
/// Nothing is changed. In a cluster at rest there is nothing to show; what is shown is on its way, waits for something
/// else, or was refused and is tried again later.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Exit codes:
  0 shown; 1 no manager answers; 2 wrong options")]
pub(crate) struct Args {
    #[command(flatten)]
    manager: ManagerArgs,
    /// Print JSON, of the form that the manual describes
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> Outcome {
    let plan = runtime::block_on(async {
        let manager = Manager::find(&args.manager).await?;
        manager.call("plan", Vec::new()).await
    })??;
    if args.json {
        return output::print_json(&plan);
    }
    output::print(&render(&plan))
}

/// What a manager would send, for people.
pub(crate) fn render(plan: &Value) -> String {
    let mut out = String::new();
    for daemon in plan["daemons"].as_array().into_iter().flatten() {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{}", daemon["daemon"].as_str().unwrap_or("?"));
        for step in daemon["steps"].as_array().into_iter().flatten() {
            let _ = writeln!(out, "  {}", step.as_str().unwrap_or("?"));
        }
        for held in daemon["held"].as_array().into_iter().flatten() {
            let _ = writeln!(out, "  refused, tried again later: {}", held.as_str().unwrap_or("?"));
        }
        if daemon["waits"] == true {
            out.push_str("  waits until another aggregator has let go of a producer\n");
        }
    }
    if out.is_empty() {
        out.push_str("nothing is to be done\n");
    }
    out
}
