//! `campanile ldms rebalance`: even the load now.

use serde_json::json;

use super::manager::{Manager, ManagerArgs};
use crate::failure::Outcome;
use crate::{output, runtime};

/// Even the load now, also to aggregators that have returned lately
///
/// Only what brings the load nearer to even is moved.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Exit codes:
  0 asked for; 1 no manager answers; 2 wrong options")]
pub(crate) struct Args {
    #[command(flatten)]
    manager: ManagerArgs,
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> Outcome {
    let said = runtime::block_on(async {
        let manager = Manager::find(&args.manager).await?;
        manager.task("rebalance", json!({})).await
    })??;
    output::print(&format!("{said}\n"))
}
