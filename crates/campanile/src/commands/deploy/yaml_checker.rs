//! `yaml_checker`: whether files are YAML, and good cloud-init files where they are such.

use std::path::PathBuf;

use campanile_pool::deploy::cloud_init::{self, Kindred};
use campanile_yaml::{Schema, read_file};

use crate::failure::{EXIT_USAGE, Failure, Outcome};
use crate::output::{print, print_error, stderr_coloured};

/// Check YAML files; cloud-init files are looked into
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Exit codes:
  0 all are good; 2 one is not")]
pub(crate) struct Args {
    /// The files
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// Runs the command.
pub(super) fn run(args: &Args) -> Outcome {
    let mut all_good = true;
    for file in &args.files {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        let diagnostics = if text.starts_with(cloud_init::HEADER) {
            // Of which kind it is only its name tells; the tags of workers are known everywhere.
            cloud_init::check(file, &text, Kindred::Worker)
        } else {
            read_file(file, Schema::Safe).1
        };
        print_error(&diagnostics.render(stderr_coloured()));
        let verdict = if diagnostics.has_errors() { "not good" } else { "good" };
        all_good &= !diagnostics.has_errors();
        print(&format!("{}: {verdict}\n", file.display()))?;
    }
    if all_good { Ok(()) } else { Err(Failure::Told(EXIT_USAGE)) }
}
