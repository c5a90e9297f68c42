//! `campanile ldms events`: what has happened in the cluster.

use std::fmt::Write as _;

use campanile_wamp::Value;
use serde_json::json;

use super::manager::{Manager, ManagerArgs};
use crate::failure::Outcome;
use crate::render::duration::short;
use crate::{client::unix_now, output, runtime};

/// Show what has happened: daemons that failed and came back, moves, refusals, requests of operators
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Exit codes:
  0 shown; 1 no manager answers; 2 wrong options")]
pub(crate) struct Args {
    /// How many, the newest
    #[arg(short = 'n', long, value_name = "COUNT", default_value_t = 50)]
    lines: u32,
    #[command(flatten)]
    manager: ManagerArgs,
    /// Print JSON, of the form that the manual describes
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> Outcome {
    let page = runtime::block_on(async {
        let manager = Manager::find(&args.manager).await?;
        manager.call("events", vec![Value::from(json!({ "limit": args.lines }))]).await
    })??;
    if args.json {
        return output::print_json(&page);
    }
    let mut out = String::new();
    for event in page["events"].as_array().into_iter().flatten() {
        let ago_s = unix_now() - event["time_ms"].as_f64().unwrap_or(0.0) / 1000.0;
        let text = |key: &str| event[key].as_str().unwrap_or("?").to_owned();
        let by = event["actor"]["who"].as_str().map(|who| format!(" ({who})")).unwrap_or_default();
        // Writing to a String cannot fail.
        let _ = writeln!(
            out,
            "{:>6} ago  {:<16} {:<9} {}{by}",
            short(ago_s.max(0.0)),
            text("subject"),
            text("kind"),
            text("text")
        );
    }
    output::print(&out)
}
