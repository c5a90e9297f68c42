//! `campanile host`: the HostManager of one host.

use campanile_host::{HostArgs, HostError};

use crate::failure::{Failure, Outcome};
use crate::runtime;

/// Run the HostManager of this host: start, watch and restart its agents
///
/// The same options as the HostManager agent of OCS, and the same operations on the bus, so that ocsbow, ocs-web and
/// `campanile up|down|status` work with it. It ends in good order, with all agents down, on SIGINT or SIGTERM. Killed,
/// or told by SIGUSR2 to hand over, it leaves its agents running; its successor goes on with them, with the targets that
/// operators had set.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  campanile host                       for this machine
  campanile host --site-host host-2 --instance-id hm-host-2
  campanile host --initial-state down  start nothing until somebody asks for it
  campanile host --python /opt/ocs/venv/bin/python
                                       where OCS and its plugins are installed

Exit codes:
  0 an orderly end; 1 another HostManager has this identity, or the system does
  not play along; 2 wrong options or site config")]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) host: HostArgs,
}

/// Runs the command.
pub(crate) fn run(args: Args) -> Outcome {
    let quiet = args.host.quiet;
    match runtime::block_on(campanile_host::run(args.host))? {
        Ok(_) => Ok(()),
        Err(error) if quiet => Err(Failure::Told(error.exit_code())),
        Err(HostError::Config(diagnostics)) => Err(Failure::Config(diagnostics)),
        Err(error) => Err(Failure::World(error.into())),
    }
}
