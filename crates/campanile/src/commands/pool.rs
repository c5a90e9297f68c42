//! `campanile pool`: the daemon that grows and shrinks a worker pool, and what can be asked of it.

mod ask;
mod offline;
mod queue;
pub(crate) mod show;

use std::path::PathBuf;
use std::time::Duration;

use campanile_pool::{PoolArgs, PoolError};
use clap::Subcommand;

use crate::failure::{Failure, Outcome};
use crate::runtime;

/// Grow and shrink a worker pool with its queue: as many workers as the jobs need, on clouds or on this machine
///
/// The daemon is `campanile pool run`; everything else asks it, or checks its files.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  campanile pool check ehos.yaml       every problem of the file, with its line
  campanile pool plan ehos.yaml        what would be done now; nothing is done
  campanile pool run ehos.yaml         the daemon (also: ehosd ehos.yaml)
  campanile pool status                nodes, jobs, clouds
  campanile pool why                   why nodes were made, or were not
  campanile pool events                what happened
  campanile pool drain NODE            let a node finish its jobs and go
  campanile pool pause                 create and remove nothing until resume
  campanile pool adopt NAME...         take over the workers of a running EHOS

Exit codes:
  0 done; 1 not done (no daemon answers, refused); 2 wrong options or files")]
pub(crate) struct Args {
    #[command(subcommand)]
    command: PoolCommand,
}

/// Which daemon is meant.
#[derive(clap::Args, Clone, Debug, Default)]
pub(crate) struct Whom {
    /// The daemon of this configuration; needed only where several run on this machine
    #[arg(long, value_name = "EHOS_YAML")]
    pub(crate) config: Vec<PathBuf>,
    /// The state directory of the daemon, where it was given one
    #[arg(long, value_name = "DIR")]
    pub(crate) state_dir: Option<PathBuf>,
}

#[derive(Subcommand, Debug)]
enum PoolCommand {
    /// Run the daemon
    Run(Box<PoolArgs>),
    /// Report everything that is wrong with the configuration
    Check(CheckArgs),
    /// Show what is, or would be, created and removed now, and why
    Plan(PlanArgs),
    /// Say in words why nodes were made, were not made, go or stay
    Why(WhyArgs),
    /// Show nodes, jobs and clouds
    Status(ShowArgs),
    /// Show what happened: nodes that came and went, refusals of clouds, requests of operators
    Events(EventsArgs),
    /// Put our mark on servers of a running EHOS, so that they are managed from now on
    Adopt(AdoptArgs),
    /// Create and remove nothing until `resume`
    Pause(WhomArgs),
    /// End a pause
    Resume(WhomArgs),
    /// Let a node finish its jobs, then remove it
    Drain(NodeArgs),
    /// Let a node take no new jobs and keep it, or undo that
    Cordon(CordonArgs),
    /// Set other numbers of nodes than those of the configuration
    Scale(ScaleArgs),
    /// Submit jobs to the local queue
    Submit(queue::SubmitArgs),
    /// List the jobs of the local queue
    Queue(queue::QueueArgs),
    /// A worker of the local queue; started by the daemon
    #[command(hide = true)]
    Worker(queue::WorkerArgs),
    #[command(flatten)]
    Tool(super::deploy::PoolTool),
}

#[derive(clap::Args, Debug)]
struct CheckArgs {
    /// The configuration, one or several files; later ones override
    #[arg(value_name = "EHOS_YAML")]
    config: Vec<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args, Debug)]
struct PlanArgs {
    /// Look at the world with this configuration instead of asking a daemon; nothing is changed
    #[arg(value_name = "EHOS_YAML")]
    config: Vec<PathBuf>,
    /// The state directory of the daemon, where it was given one
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args, Debug)]
struct WhyArgs {
    /// Of this node: what happened to it
    node: Option<String>,
    #[command(flatten)]
    whom: Whom,
}

#[derive(clap::Args, Debug)]
struct ShowArgs {
    #[command(flatten)]
    whom: Whom,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Show the background loops, too
    #[arg(long)]
    workers: bool,
}

#[derive(clap::Args, Debug)]
struct EventsArgs {
    /// So many of the newest
    #[arg(short = 'n', long, value_name = "N", default_value_t = 50)]
    lines: u64,
    #[command(flatten)]
    whom: Whom,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args, Debug)]
struct AdoptArgs {
    /// Names of servers
    #[arg(required = true)]
    names: Vec<String>,
    /// The worker type that they are
    #[arg(long, value_name = "TYPE")]
    worker_type: Option<String>,
    /// Do it; without this only the list is shown
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    whom: Whom,
}

#[derive(clap::Args, Debug)]
struct WhomArgs {
    #[command(flatten)]
    whom: Whom,
}

#[derive(clap::Args, Debug)]
struct NodeArgs {
    /// Its name
    node: String,
    #[command(flatten)]
    whom: Whom,
}

#[derive(clap::Args, Debug)]
struct CordonArgs {
    /// Its name
    node: String,
    /// Let it take jobs again
    #[arg(long)]
    undo: bool,
    #[command(flatten)]
    whom: Whom,
}

#[derive(clap::Args, Debug)]
struct ScaleArgs {
    /// Instead of nodes_min
    #[arg(long)]
    min: Option<u64>,
    /// Instead of nodes_max, which is never exceeded
    #[arg(long)]
    max: Option<u64>,
    /// Instead of nodes_spare
    #[arg(long)]
    spare: Option<u64>,
    /// Back to the configuration
    #[arg(long)]
    reset: bool,
    #[command(flatten)]
    whom: Whom,
}

/// How long a daemon may take for an answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// Whether this is one of the daemons, which say more on stderr.
pub(crate) fn is_daemon(args: &Args) -> bool {
    matches!(args.command, PoolCommand::Run(_) | PoolCommand::Worker(_))
}

/// Sends the log where it belongs; returns its level.
pub(crate) fn begin(args: &Args) -> Result<&'static str, Failure> {
    match &args.command {
        PoolCommand::Tool(tool) => super::deploy::begin_pool(tool),
        _ => Ok("warn"),
    }
}

/// Runs the command.
pub(crate) fn run(args: Args) -> Outcome {
    match args.command {
        PoolCommand::Tool(tool) => super::deploy::run_pool(tool),
        PoolCommand::Run(args) => daemon(*args),
        PoolCommand::Check(args) => offline::check(&args.config, args.json),
        PoolCommand::Plan(args) => plan(&args),
        PoolCommand::Why(args) => runtime::block_on(ask::why(&args.whom, args.node.as_deref()))?,
        PoolCommand::Status(args) => runtime::block_on(ask::status(&args.whom, args.json, args.workers))?,
        PoolCommand::Events(args) => runtime::block_on(ask::events(&args.whom, args.lines, args.json))?,
        PoolCommand::Adopt(args) => {
            let question = serde_json::json!({
                "names": args.names, "worker_type": args.worker_type, "confirm": args.yes,
            });
            runtime::block_on(ask::adopt(&args.whom, question, args.yes))?
        }
        PoolCommand::Pause(args) => task(&args.whom, "pause", serde_json::json!({})),
        PoolCommand::Resume(args) => task(&args.whom, "resume", serde_json::json!({})),
        PoolCommand::Drain(args) => task(&args.whom, "drain", serde_json::json!({ "node": args.node })),
        PoolCommand::Cordon(args) => {
            task(&args.whom, "cordon", serde_json::json!({ "node": args.node, "undo": args.undo }))
        }
        PoolCommand::Scale(args) => scale(&args),
        PoolCommand::Submit(args) => runtime::block_on(queue::submit(&args))?,
        PoolCommand::Queue(args) => runtime::block_on(queue::list(&args))?,
        PoolCommand::Worker(args) => runtime::block_on(queue::worker(&args))?,
    }
}

/// The daemon, also under the name `ehosd`.
pub(crate) fn daemon(args: PoolArgs) -> Outcome {
    match runtime::block_on(campanile_pool::run(args))? {
        Ok(()) => Ok(()),
        Err(PoolError::Config(diagnostics)) => Err(Failure::Config(diagnostics)),
        Err(error) => Err(Failure::World(error.into())),
    }
}

fn plan(args: &PlanArgs) -> Outcome {
    if args.config.is_empty() {
        let whom = Whom { config: Vec::new(), state_dir: args.state_dir.clone() };
        return runtime::block_on(ask::plan(&whom, args.json))?;
    }
    runtime::block_on(offline::plan(&args.config, args.state_dir.as_deref(), args.json))?
}

fn scale(args: &ScaleArgs) -> Outcome {
    if args.min.is_none() && args.max.is_none() && args.spare.is_none() && !args.reset {
        return Err(Failure::Usage("say --min, --max, --spare or --reset".to_owned()));
    }
    let params = serde_json::json!({
        "min": args.min, "max": args.max, "spare": args.spare, "reset": args.reset,
    });
    task(&args.whom, "scale", params)
}

fn task(whom: &Whom, name: &str, params: serde_json::Value) -> Outcome {
    runtime::block_on(ask::task(whom, name, params))?
}
