//! `campanile ldms check`: every problem of cluster files, with their lines.

use std::path::PathBuf;

use campanile_maestro::config;
use campanile_yaml::Diagnostics;

use super::cluster::PairingArg;
use crate::failure::{EXIT_USAGE, Failure, Outcome};
use crate::output;

/// List every problem of cluster files, each with its line and what to do about it
///
/// The current format is read, the one of the quick-start document, and the one between them.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  campanile ldms check orion.yaml
  campanile ldms check --json *.yaml | jq .errors

Exit codes:
  0 no error, maybe warnings; 2 at least one error")]
pub(crate) struct Args {
    /// The files
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// How names meet hosts and ports
    #[arg(long, value_enum, default_value_t)]
    pairing: PairingArg,
    /// Print JSON: {"errors", "warnings", "left_out", "diagnostics": [{"severity", "file", "line", …}]}
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> Outcome {
    let mut all = Diagnostics::new();
    let mut lines = String::new();
    for path in &args.files {
        let (cluster, diagnostics) = config::read_file(path, args.pairing.into());
        let (errors, warnings) = (diagnostics.error_count(), diagnostics.warning_count());
        let daemons = cluster.map_or(0, |cluster| cluster.daemons.len());
        let verdict = if errors == 0 { "ok" } else { "not usable" };
        lines.push_str(&format!(
            "{}: {verdict}: {daemons} daemons, {errors} errors, {warnings} warnings\n",
            path.display()
        ));
        all.extend(diagnostics);
    }
    if args.json {
        output::print_json(&all.to_json())?;
    } else {
        if !all.is_empty() {
            output::print_error(&all.render(output::stderr_coloured()));
        }
        output::print(&lines)?;
    }
    if all.has_errors() { Err(Failure::Told(EXIT_USAGE)) } else { Ok(()) }
}
