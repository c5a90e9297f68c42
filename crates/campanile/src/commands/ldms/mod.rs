//! `campanile ldms …`: one file (or directory) per command of the group.

use clap::Subcommand;

use crate::failure::Outcome;

mod auth;
mod ctl;
mod sim;

/// Talk to the daemons of LDMS, and look after a cluster of them
#[derive(clap::Args, Debug)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    Ctl(ctl::Args),
    Sim(sim::Args),
}

/// Runs the command.
pub(crate) fn run(args: Args) -> Outcome {
    match args.command {
        Command::Ctl(args) => ctl::run(&args),
        Command::Sim(args) => sim::run(&args),
    }
}
