//! `ehosd`: the pool's daemon with the options of EHOS's.

use std::fs::OpenOptions;
use std::path::PathBuf;

use anyhow::Context as _;
use campanile_pool::PoolArgs;

use super::pool;
use crate::failure::{Failure, Outcome};

/// Run the daemon of a pool, as EHOS's `ehosd.py`
///
/// The same as `campanile pool run`, with the options that EHOS has. Also the name of a link to this program, with or
/// without `.py`.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  ehosd /usr/local/etc/ehos.yaml
  ehosd -v -v -l /var/log/ehos.log ehos.yaml site.yaml

Exit codes:
  0 an orderly end; 1 another daemon has this pool, or the record cannot be read;
  2 wrong options or configuration")]
pub(crate) struct Args {
    /// Append the log to this file instead of stderr
    #[arg(short, long, value_name = "FILE")]
    logfile: Option<PathBuf>,
    /// Say more; up to three times
    #[arg(short, long, action = clap::ArgAction::Count)]
    verbose: u8,
    #[command(flatten)]
    pool: PoolArgs,
}

/// Sends the log where it belongs; returns its level.
pub(crate) fn begin(args: &Args) -> Result<&'static str, Failure> {
    if let Some(path) = &args.logfile {
        let file = OpenOptions::new().append(true).create(true).open(path);
        let file = file.with_context(|| format!("cannot write to {}", path.display()))?;
        rustix::stdio::dup2_stderr(&file).context("cannot redirect the log")?;
    }
    Ok(match args.verbose {
        0 => "warn",
        1 => "info",
        2 => "debug",
        _ => "trace",
    })
}

/// Runs the command.
pub(crate) fn run(args: Args) -> Outcome {
    pool::daemon(args.pool)
}
