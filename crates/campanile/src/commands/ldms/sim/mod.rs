//! `campanile ldms sim`: many simulated ldmsds in one process, which can be told to misbehave.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use campanile_ldms::api::Request;
use campanile_ldms::auth::Auth;
use campanile_ldms::sim::config_file;
use campanile_ldms::sim::daemon::{Listen, Options, Timings};
use campanile_ldms::sim::fleet::Fleet;
use campanile_ldms::sim::orders;
use campanile_ldms::wire::ids::{AttrId, RequestId};
use serde_json::Value;

use super::auth::AuthArgs;
use crate::failure::{EXIT_WORLD, Failure, Outcome};
use crate::signals::Termination;
use crate::{output, runtime};

mod control;
mod fleet;

use fleet::Place;

/// Run simulated ldmsds: the same wire, states, timings and refusals as ldmsd 4.5, without LDMS
///
/// They really connect to their producers and fetch metric sets, so managers, aggregators and clients (real ldmsds
/// among them) can be tried against thousands of them on one machine. Values of metrics are invented; stores count
/// rows and write nothing.
///
/// A DAEMON is NAMES=HOST:PORTS, both hostlists: `sampler-[1-6]=127.0.0.1:[34101-34106]`. A port 0, or no place at
/// all, takes a free port of 127.0.0.1. Each daemon finds its number, from 1 in written order, as LDMS_COMPONENT_ID
/// in its environment.
#[derive(clap::Args, Debug)]
#[command(after_help = format!("\
Examples:
  campanile ldms sim 'sampler-[1-6]=127.0.0.1:[34101-34106]' l1-agg=127.0.0.1:34011
  campanile ldms sim 'node-[1-1000]=127.0.0.1:[20001-21000]' --control /tmp/sim.sock
  campanile ldms sim --config-dir generated 'sampler-[1-6]=127.0.0.1:[34101-34106]'
  campanile ldms sim --tell /tmp/sim.sock hang 'node-[7-9]'
  campanile ldms sim --tell /tmp/sim.sock coverage l1-agg 3s

Orders for --tell (NAMES is a hostlist):
  {}

Exit codes:
  0 ended by SIGINT or SIGTERM, or the order was carried out; 1 a port cannot
  be opened, or the order was not carried out; 2 wrong options or files",
  orders::HELP.replace('\n', "\n  ")))]
pub(crate) struct Args {
    /// The daemons; with --tell, the words of an order
    #[arg(value_name = "DAEMON", required = true)]
    daemons: Vec<String>,
    #[command(flatten)]
    auth: AuthArgs,
    /// A configuration file of ldmsd (version 4) that every daemon begins with
    #[arg(short = 'c', long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// A directory with a configuration file DAEMON.conf for each daemon that has one
    #[arg(long, value_name = "DIR")]
    config_dir: Option<PathBuf>,
    /// An environment variable of the daemons, for ${NAME} in their configuration; as often as needed
    #[arg(long, value_name = "NAME=VALUE")]
    env: Vec<String>,
    /// Memory of each daemon for metric sets (512k, 64m, 1g)
    #[arg(short = 'm', long, value_name = "SIZE", value_parser = size, default_value = "512m")]
    memory: u64,
    /// Leave out the delays that a real ldmsd has in starting, connecting and stopping
    #[arg(long)]
    quick: bool,
    /// Keep what every daemon is asked, for the order `trace`
    #[arg(long)]
    trace: bool,
    /// Take orders at this socket (mode 0600); it must not exist
    #[arg(long, value_name = "PATH")]
    control: Option<PathBuf>,
    /// Send an order to the simulation that listens at this socket, print its answer as JSON, and end
    #[arg(long, value_name = "PATH", conflicts_with_all = ["control", "config", "config_dir", "env", "trace"])]
    tell: Option<PathBuf>,
}

fn size(text: &str) -> Result<u64, String> {
    let refuse = || format!("`{text}` is not a size such as 512k, 64m or 1g");
    let lower = text.trim().to_ascii_lowercase();
    let (digits, factor) = match lower.char_indices().last() {
        Some((at, 'k')) => (&lower[..at], 1 << 10),
        Some((at, 'm')) => (&lower[..at], 1 << 20),
        Some((at, 'g')) => (&lower[..at], 1_u64 << 30),
        _ => (lower.as_str(), 1),
    };
    digits.parse::<u64>().ok().and_then(|number| number.checked_mul(factor)).ok_or_else(refuse)
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> Outcome {
    if let Some(socket) = &args.tell {
        return runtime::block_on(tell(socket, &args.daemons.join(" ")))?;
    }
    let places = fleet::places(&args.daemons).map_err(Failure::Usage)?;
    let all = plan(args, &places)?;
    fleet::make_room();
    runtime::block_on(simulate(args, places, all))?
}

async fn tell(socket: &Path, order: &str) -> Outcome {
    let answer = control::ask(socket, order).await?;
    if let Some(error) = answer.get("error").and_then(Value::as_str) {
        output::print_error(&format!("error: {error}\n"));
        return Err(Failure::Told(EXIT_WORLD));
    }
    match answer.get("reply") {
        None | Some(Value::Null) => Ok(()),
        Some(reply) => output::print_json(reply),
    }
}

/// What every daemon is started with; all files are read and checked before the first starts.
fn plan(args: &Args, places: &[Place]) -> Result<Vec<Options>, Failure> {
    let auth = args.auth.load()?;
    let mut env = BTreeMap::new();
    let mut problems = Vec::new();
    for pair in &args.env {
        match pair.split_once('=') {
            Some((name, value)) if !name.is_empty() => drop(env.insert(name.to_owned(), value.to_owned())),
            _ => problems.push(format!("--env {pair}: not NAME=VALUE")),
        }
    }
    let shared = args.config.as_deref().map(|path| requests(path, &mut problems)).unwrap_or_default();
    let mut all = Vec::with_capacity(places.len());
    for (index, place) in places.iter().enumerate() {
        let mut config = shared.clone();
        if let Some(dir) = &args.config_dir {
            let path = dir.join(format!("{}.conf", place.name));
            if path.exists() {
                config.extend(requests(&path, &mut problems));
            }
        }
        let mut env = env.clone();
        env.entry("LDMS_COMPONENT_ID".to_owned()).or_insert_with(|| (index + 1).to_string());
        all.push(options(args, place, auth.clone(), env, config));
    }
    if problems.is_empty() { Ok(all) } else { Err(Failure::Usage(problems.join("\n"))) }
}

fn requests(path: &Path, problems: &mut Vec<String>) -> Vec<Request> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => {
            problems.push(format!("{}: {error}", path.display()));
            return Vec::new();
        }
    };
    match config_file::read(&text) {
        Ok(requests) => requests,
        Err(errors) => {
            problems.extend(
                errors.iter().map(|error| format!("{}:{}: {}", path.display(), error.line, error.problem)),
            );
            Vec::new()
        }
    }
}

fn options(
    args: &Args,
    place: &Place,
    auth: Auth,
    env: BTreeMap<String, String>,
    config: Vec<Request>,
) -> Options {
    // A file that opens the daemon's own port says how it authenticates there.
    let mut config = config;
    let own = |request: &Request| {
        let port = request.attribute(AttrId::PORT);
        request.id == RequestId::LISTEN && port.is_some_and(|port| port == place.port.to_string())
    };
    let domain =
        config.iter().find(|request| own(request)).and_then(|request| request.attribute(AttrId::AUTH));
    config.retain(|request| !own(request));
    let mut options = Options::new(&place.name, place.port);
    options.listen =
        vec![Listen { xprt: "sock".to_owned(), port: place.port, host: Some(place.host.clone()), domain }];
    options.auth = auth;
    options.env = env;
    options.config = config;
    options.set_memory = args.memory;
    options.trace = args.trace;
    options.timings = if args.quick { Timings::quick() } else { Timings::real() };
    options
}

async fn simulate(args: &Args, places: Vec<Place>, all: Vec<Options>) -> Outcome {
    let mut termination = Termination::listen()?;
    let fleet = Fleet::new();
    let mut lines = String::new();
    for (place, options) in places.iter().zip(all) {
        if place.port != 0 {
            let address = (place.host.as_str(), place.port);
            std::net::TcpListener::bind(address)
                .with_context(|| format!("{}: {}:{} cannot be opened", place.name, place.host, place.port))?;
        }
        let port = fleet.start(options).map_err(|error| Failure::World(error.into()))?;
        if place.port == 0 {
            lines.push_str(&format!("{} {}:{port}\n", place.name, place.host));
        }
    }
    output::print(&lines)?;
    output::print_error(&format!("{} simulated daemons; Ctrl-C ends them\n", places.len()));
    match &args.control {
        None => drop(termination.requested().await),
        Some(path) => {
            let control = control::Control::open(path)?;
            tokio::select! {
                failed = control.serve(&fleet) => return Err(Failure::World(failed)),
                _ = termination.requested() => {}
            }
        }
    }
    Ok(())
}
