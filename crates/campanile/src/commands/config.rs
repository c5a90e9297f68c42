//! `campanile config check`: every problem of a site config, with its line.

use std::path::PathBuf;

use campanile_ocs::site_config::{self, Mode, SiteArgs};
use clap::Subcommand;

use crate::failure::{EXIT_USAGE, Failure, Outcome};
use crate::{output, this_site};

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
    let (site, diagnostics) = match &args.file {
        Some(path) => site_config::load(path),
        None => match this_site::select(Mode::Control, &args.site) {
            Ok(selected) => (Some(selected.site), selected.diagnostics),
            Err(error) => (None, error.diagnostics),
        },
    };
    let path = site.as_ref().map(|site| site.path.display().to_string());
    let summary = site.as_ref().map(|site| {
        let instances: usize = site.hosts.iter().map(|host| host.instances.len()).sum();
        (site.hosts.len(), instances)
    });
    if args.json {
        let mut report = diagnostics.to_json();
        if let Some(object) = report.as_object_mut() {
            object.insert("file".into(), path.into());
            object.insert("hosts".into(), summary.map(|(hosts, _)| hosts).into());
            object.insert("instances".into(), summary.map(|(_, instances)| instances).into());
        }
        output::print_json(&report)?;
        return if diagnostics.has_errors() { Err(Failure::Told(EXIT_USAGE)) } else { Ok(()) };
    }
    if diagnostics.has_errors() {
        return Err(Failure::Config(diagnostics));
    }
    if !diagnostics.is_empty() {
        output::print_error(&diagnostics.render(output::stderr_coloured()));
    }
    let (hosts, instances) = summary.unwrap_or_default();
    output::print(&format!(
        "{}: ok, {hosts} host{}, {instances} instance{}\n",
        path.unwrap_or_default(),
        plural(hosts),
        plural(instances)
    ))
}

fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}
