//! `ehosd`: the pool's daemon with the options of EHOS's.

use campanile_pool::PoolArgs;

use super::deploy::Talk;
use super::pool;
use crate::failure::Outcome;

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
    #[command(flatten)]
    pub(crate) talk: Talk,
    #[command(flatten)]
    pool: PoolArgs,
}

/// Runs the command.
pub(crate) fn run(args: Args) -> Outcome {
    pool::daemon(args.pool)
}
