//! `campanile ldms drain` and `undrain`: an aggregator carries nothing while it is worked on.

use serde_json::json;

use super::manager::{Manager, ManagerArgs};
use crate::failure::Outcome;
use crate::{output, runtime};

/// Move everything from an aggregator, for maintenance; `undrain` lets it carry again
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  campanile ldms drain l1-agg-2
  campanile ldms status            until it carries 0
  campanile ldms undrain l1-agg-2

It stays drained until it is undrained, also when the manager is started anew.

Exit codes:
  0 asked for; 1 no manager answers, or there is no such aggregator;
  2 wrong options")]
pub(crate) struct Args {
    /// The aggregator
    aggregator: String,
    #[command(flatten)]
    manager: ManagerArgs,
}

/// Runs the command.
pub(crate) fn run(args: &Args, drained: bool) -> Outcome {
    let said = runtime::block_on(async {
        let manager = Manager::find(&args.manager).await?;
        let task = if drained { "drain" } else { "undrain" };
        manager.task(task, json!({ "aggregator": args.aggregator })).await
    })??;
    output::print(&format!("{said}\n"))
}
