//! `campanile maestro`: the manager of an LDMS cluster; also by the name `maestro`.

use campanile_maestro::args::MaestroArgs;
use campanile_maestro::run::MaestroError;

use crate::failure::{Failure, Outcome};
use crate::runtime;

/// Keep an LDMS cluster covered: watch its daemons, configure them, move load from aggregators that fail
///
/// The same options as the original's `maestro`, which it replaces. The configuration comes from etcd (--cluster), from
/// an embedded store, or from a file (--file); changes of it reach the running daemons within a second, and touch only
/// what changed. Several managers may share one cluster on etcd. Ended or killed, it leaves everything running; the
/// next one carries on from what it finds.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  campanile maestro --cluster etcd.yaml --prefix orion
  campanile maestro --file orion.yaml          without a store
  campanile ldms status                        what it sees and does
  maestro --cluster etcd.yaml --prefix orion --rebalance sets

Exit codes:
  0 an orderly end; 1 no store, no configuration in it, or another manager of
  this name on this host; 2 wrong options or cluster file")]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) maestro: MaestroArgs,
}

/// Runs the command.
pub(crate) fn run(args: Args) -> Outcome {
    match runtime::block_on(campanile_maestro::run::run(args.maestro))? {
        Ok(()) => Ok(()),
        Err(MaestroError::Config(diagnostics)) => Err(Failure::Config(diagnostics)),
        Err(error) => Err(Failure::World(error.into())),
    }
}
