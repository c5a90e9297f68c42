//! One bell tower from which every daemon on a scientific site is started, watched and kept in its place.
//!
//! The binary: it reads the command line ([`cli`]), wires the parts together ([`commands`]) and shows what they say
//! ([`render`], [`ocsbow`]). What it knows of a site as a client is in [`fleet`].

mod cli;
mod client;
mod commands;
mod demo;
mod failure;
mod fleet;
mod journal;
mod listen;
mod local;
mod logs;
mod ocsbow;
mod output;
mod render;
mod runtime;
mod samples;
mod signals;
mod systemd;
mod telemetry;
mod this_pool;
mod this_site;

use std::process::ExitCode;

use campanile_host::drive::launcher;
use cli::Command;
use failure::Outcome;
use fleet::request::Target;

fn main() -> ExitCode {
    if launcher::is_meant() {
        return launcher::run();
    }
    let cli = match cli::parse(std::env::args_os().collect()) {
        Ok(cli) => cli,
        // Prints help and version to stdout and ends with 0, everything else to stderr and ends with 2.
        Err(error) => error.exit(),
    };
    match run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output::print_error(&failure.render(output::stderr_coloured()));
            ExitCode::from(failure.exit_code())
        }
    }
}

fn run(cli: cli::Cli) -> Outcome {
    let level = match &cli.command {
        Command::Host(args) if args.host.quiet => "off",
        Command::Pool(args) if commands::pool::is_daemon(args) => "info",
        Command::Pool(args) => commands::pool::begin(args)?,
        Command::Ehosd(args) => args.talk.begin()?,
        Command::Maestro(args) if args.maestro.debug => "debug",
        Command::Maestro(_) | Command::Router(_) | Command::Host(_) | Command::Agent(_) => "info",
        Command::Tool(tool) => commands::deploy::begin(tool)?,
        // It tells itself what happens, and may be drawing on the whole terminal.
        Command::Demo(_) => "off",
        _ => "warn",
    };
    telemetry::install(&cli.log, level)?;
    match cli.command {
        Command::Status(args) => commands::status::run(&args),
        Command::Up(args) => commands::updown::run(&args.common, Target::Up),
        Command::Down(args) => commands::updown::run(&args.common, Target::Down),
        Command::Restart(args) => commands::restart::run(&args),
        Command::Events(args) => commands::events::run(&args),
        Command::Why(args) => commands::why::run(&args),
        Command::Logs(args) => commands::logs::run(&args),
        Command::Plan(args) => commands::plan::run(&args),
        Command::Demo(args) => commands::demo::run(&args),
        Command::Agent(args) => commands::agent::run(args),
        Command::Ocsbow(args) => commands::ocsbow::run(args),
        Command::OcsLocalSupport(args) => commands::local_support::run(&args),
        Command::OcsInstallSystemd(args) => commands::install_systemd::run(&args),
        Command::Router(args) => commands::router::run(&args),
        Command::Config(args) => commands::config::run(args),
        Command::Host(args) => commands::host::run(args),
        Command::Ldms(args) => commands::ldms::run(args),
        Command::Pool(args) => commands::pool::run(args),
        Command::Ehosd(args) => commands::ehosd::run(args),
        Command::MaestroCtrl(args) => commands::maestro_ctrl::run(&args),
        Command::Maestro(args) => commands::maestro::run(args),
        Command::Tool(tool) => commands::deploy::run(tool),
        Command::Completions(args) => commands::completions::run(&args),
    }
}
