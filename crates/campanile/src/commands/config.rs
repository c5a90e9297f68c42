//! `campanile config check`: every problem of a site config, with its line.

use std::path::PathBuf;

use campanile_ocs::site_config::{self, ConfigReport, SiteArgs};
use clap::Subcommand;

use crate::failure::{Failure, Outcome};
use crate::output;

/// Look at the site config
#[derive(clap::Args, Debug)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    Check(CheckArgs),
}

/// List every problem of a site config, each with its line and what to do about it
///
/// A running HostManager that reads such a file keeps its last good form of whatever is wrong, so look here before
/// `campanile status --reload-config`.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  campanile config check
  campanile config check new-site.yaml
  campanile config check --json site.yaml | jq .errors

Exit codes:
  0 no error, maybe warnings; 2 at least one error")]
pub(crate) struct CheckArgs {
    /// Print JSON, of the form that the manual describes
    #[arg(long)]
    json: bool,
    /// The file; without it, the one that the other commands would use
    #[arg(value_name = "FILE", conflicts_with_all = ["site", "site_file"])]
    file: Option<PathBuf>,
    #[command(flatten)]
    site: SiteArgs,
}

/// Runs the command.
pub(crate) fn run(args: Args) -> Outcome {
    let Command::Check(args) = args.command;
    check(args)
}

fn check(args: CheckArgs) -> Outcome {
    let path = match args.file {
        Some(path) => path,
        None => match site_config::find_file(&args.site, &|name| std::env::var(name).ok())? {
            Some(path) => path,
            None => return Err(Failure::Usage("with --site none there is no file to check".to_owned())),
        },
    };
    let report = ConfigReport::of(&path);
    if args.json {
        output::print_json(&report.to_json())?;
    } else {
        if !report.diagnostics.is_empty() {
            output::print_error(&report.diagnostics.render(output::stderr_coloured()));
        }
        output::print(&format!("{}\n", report.summary()))?;
    }
    match report.exit_code() {
        0 => Ok(()),
        code => Err(Failure::Told(code)),
    }
}
