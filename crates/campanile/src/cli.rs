//! The command line: what can be said, and the help that explains it.
//!
//! Every command has a file of its own under [`crate::commands`], with its options beside its code.

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::commands;
use crate::telemetry::LogArgs;

/// One bell tower from which every daemon on a scientific site is started, watched and kept in its place.
#[derive(Parser, Debug)]
#[command(
    name = "campanile",
    version,
    max_term_width = 100,
    propagate_version = false,
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = "\
Something is wrong, where do I look?
  campanile status               what runs, what should, and why the two differ
  campanile logs thermo1 -n 50   the last words of one agent (on its own host)
  campanile plan                 what the HostManagers will do next, and when
  campanile restart thermo1      down, wait, up
  campanile config check         every problem of the site config, with its line

The site config is found as OCS finds it: --site-file FILE, else
$OCS_CONFIG_DIR/default.yaml. `campanile COMMAND --help` has examples.
No site at hand? `campanile demo` brings one.

Exit codes:
  0 done; 1 not done (unknown target, no router, no answer);
  2 wrong options or configuration"
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) log: LogArgs,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Everything that campanile does.
#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    Status(commands::status::Args),
    Up(commands::updown::UpArgs),
    Down(commands::updown::DownArgs),
    Restart(commands::restart::Args),
    Logs(commands::logs::Args),
    Plan(commands::plan::Args),
    Config(commands::config::Args),
    Router(commands::router::Args),
    Host(commands::host::Args),
    Ldms(commands::ldms::Args),
    Agent(commands::agent::Args),
    Demo(commands::demo::Args),
    Ocsbow(commands::ocsbow::Args),
    Completions(commands::completions::Args),
}

/// The name under which the original's users start its client.
const OCSBOW: &str = "ocsbow";

/// `ocsbow` as a program of its own, through a link of that name.
#[derive(Parser, Debug)]
#[command(name = OCSBOW, version, max_term_width = 100)]
struct OcsbowCli {
    #[command(flatten)]
    log: LogArgs,
    #[command(flatten)]
    args: commands::ocsbow::Args,
}

/// The whole grammar of `campanile`, for parsing, completions and tests.
pub(crate) fn grammar() -> clap::Command {
    Cli::command().mut_subcommand(OCSBOW, commands::ocsbow::site_options_anywhere)
}

fn ocsbow_grammar() -> clap::Command {
    commands::ocsbow::site_options_anywhere(OcsbowCli::command())
}

/// Reads a command line, the program's name first.
///
/// # Errors
/// What clap has to say about it, which may also be the help that was asked for.
pub(crate) fn parse(args: Vec<std::ffi::OsString>) -> Result<Cli, clap::Error> {
    let name = args.first().map(std::path::Path::new).and_then(std::path::Path::file_stem);
    if name == Some(OCSBOW.as_ref()) {
        let mut grammar = ocsbow_grammar();
        let mut matches = grammar.try_get_matches_from_mut(args)?;
        let cli =
            OcsbowCli::from_arg_matches_mut(&mut matches).map_err(|error| error.format(&mut grammar))?;
        return Ok(Cli { log: cli.log, command: Command::Ocsbow(cli.args) });
    }
    let mut grammar = grammar();
    let mut matches = grammar.try_get_matches_from_mut(args)?;
    Cli::from_arg_matches_mut(&mut matches).map_err(|error| error.format(&mut grammar))
}
