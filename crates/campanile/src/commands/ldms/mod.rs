//! `campanile ldms …`: one file (or directory) per command of the group.

use clap::Subcommand;

use crate::failure::Outcome;

mod auth;
mod check;
pub(crate) mod cluster;
mod ctl;
mod difference;
mod drain;
mod events;
pub(crate) mod generate;
pub(crate) mod load;
pub(crate) mod local;
pub(crate) mod manager;
pub(crate) mod plan;
mod rebalance;
mod show;
mod sim;
pub(crate) mod status;
pub(crate) mod why;

/// Talk to the daemons of LDMS, and look after a cluster of them
#[derive(clap::Args, Debug)]
#[command(subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    Check(check::Args),
    Show(show::Args),
    Load(load::LoadArgs),
    Diff(load::DiffArgs),
    Export(load::ExportArgs),
    Generate(generate::Args),
    Ctl(ctl::Args),
    Sim(sim::Args),
    Status(status::Args),
    Plan(plan::Args),
    Why(why::Args),
    Drain(drain::Args),
    /// Let a drained aggregator carry again
    Undrain(drain::Args),
    Rebalance(rebalance::Args),
    Events(events::Args),
}

/// Runs the command.
pub(crate) fn run(args: Args) -> Outcome {
    match args.command {
        Command::Check(args) => check::run(&args),
        Command::Show(args) => show::run(&args),
        Command::Load(args) => load::load(&args),
        Command::Diff(args) => load::diff(&args),
        Command::Export(args) => load::export(&args),
        Command::Generate(args) => generate::run(&args),
        Command::Status(args) => status::run(&args),
        Command::Plan(args) => plan::run(&args),
        Command::Why(args) => why::run(&args),
        Command::Drain(args) => drain::run(&args, true),
        Command::Undrain(args) => drain::run(&args, false),
        Command::Rebalance(args) => rebalance::run(&args),
        Command::Events(args) => events::run(&args),
        Command::Ctl(args) => ctl::run(&args),
        Command::Sim(args) => sim::run(&args),
    }
}
