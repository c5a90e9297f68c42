//! The command line: what can be said, and the help that explains it.
//!
//! Every command has a file of its own under [`crate::commands`], with its options beside its code.

use clap::{Args as _, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

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
  campanile why thermo1          one agent explained: its crashes, who asked for what
  campanile events --since 2h    what happened on the whole site
  campanile logs thermo1 -n 50   the last words of one agent
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
    Events(commands::events::Args),
    Why(commands::why::Args),
    Logs(commands::logs::Args),
    Plan(commands::plan::Args),
    Config(commands::config::Args),
    Router(commands::router::Args),
    Host(commands::host::Args),
    Ldms(commands::ldms::Args),
    Pool(commands::pool::Args),
    Maestro(commands::maestro::Args),
    Agent(commands::agent::Args),
    Demo(commands::demo::Args),
    Ocsbow(commands::ocsbow::Args),
    OcsLocalSupport(commands::local_support::Args),
    OcsInstallSystemd(commands::install_systemd::Args),
    Ehosd(commands::ehosd::Args),
    #[command(name = "maestro_ctrl")]
    MaestroCtrl(commands::maestro_ctrl::Args),
    #[command(flatten)]
    Tool(commands::deploy::Tool),
    Completions(commands::completions::Args),
}

/// The names under which users of OCS start our programs, as links to this one.
const OCSBOW: &str = "ocsbow";
const LOCAL_SUPPORT: &str = "ocs-local-support";
/// The name under which users of Maestro save and generate their configuration.
const MAESTRO_CTRL: &str = "maestro_ctrl";
const INSTALL_SYSTEMD: &str = "ocs-install-systemd";
/// The name of the daemon of EHOS; `ehosd.py` counts as well.
const EHOSD: &str = "ehosd";

/// The whole grammar of `campanile`, for parsing, completions and tests.
pub(crate) fn grammar() -> clap::Command {
    Cli::command().mut_subcommand(OCSBOW, commands::ocsbow::site_options_anywhere)
}

/// Parses the arguments of a command that is a program of its own, by the name of a link.
fn parse_alone<A: clap::Args + clap::FromArgMatches>(
    name: &'static str,
    args: Vec<std::ffi::OsString>,
    wrap: fn(A) -> Command,
) -> Result<Cli, clap::Error> {
    let command = clap::Command::new(name).version(env!("CARGO_PKG_VERSION")).max_term_width(100);
    let mut grammar =
        commands::ocsbow::site_options_anywhere(A::augment_args(LogArgs::augment_args(command)));
    let mut matches = grammar.try_get_matches_from_mut(args)?;
    let parsed = LogArgs::from_arg_matches_mut(&mut matches)
        .and_then(|log| Ok(Cli { log, command: wrap(A::from_arg_matches_mut(&mut matches)?) }));
    parsed.map_err(|error| error.format(&mut grammar))
}

/// Commands that are programs of their own where the original's users start them, through links of these names.
const OTHER_NAMES: [&str; 1] = ["maestro"];

fn by_other_name(mut args: Vec<std::ffi::OsString>) -> Vec<std::ffi::OsString> {
    let name = args.first().map(std::path::Path::new).and_then(std::path::Path::file_stem);
    if let Some(command) = OTHER_NAMES.iter().find(|other| name == Some(other.as_ref())) {
        args.insert(1, (*command).into());
    }
    args
}

/// Reads a command line, the program's name first.
///
/// # Errors
/// What clap has to say about it, which may also be the help that was asked for.
pub(crate) fn parse(args: Vec<std::ffi::OsString>) -> Result<Cli, clap::Error> {
    let mut args = args;
    let name = args.first().map(std::path::Path::new).and_then(std::path::Path::file_stem);
    match name.and_then(std::ffi::OsStr::to_str) {
        Some(OCSBOW) => return parse_alone(OCSBOW, args, Command::Ocsbow),
        Some(LOCAL_SUPPORT) => return parse_alone(LOCAL_SUPPORT, args, Command::OcsLocalSupport),
        Some(INSTALL_SYSTEMD) => return parse_alone(INSTALL_SYSTEMD, args, Command::OcsInstallSystemd),
        Some(EHOSD) => return parse_alone(EHOSD, args, Command::Ehosd),
        Some(MAESTRO_CTRL) => return parse_alone(MAESTRO_CTRL, args, Command::MaestroCtrl),
        Some(name) if commands::deploy::NAMES.contains(&name) => {
            let name = name.to_owned();
            args.insert(1, name.into());
        }
        _ => {}
    }
    let args = by_other_name(args);
    let mut grammar = grammar();
    let mut matches = grammar.try_get_matches_from_mut(args)?;
    Cli::from_arg_matches_mut(&mut matches).map_err(|error| error.format(&mut grammar))
}
