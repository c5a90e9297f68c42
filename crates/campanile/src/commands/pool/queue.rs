//! The local queue: submitting, listing, and its workers.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use campanile_pool::batch::local::worker::{self, WorkerOptions};
use campanile_pool::batch::local::{LocalQueue, NewJob};
use campanile_pool::config::BatchConfig;
use campanile_pool::model::Resources;
use campanile_pool::run::state_path;
use campanile_pool::sides::QUEUE_FILE;

use crate::failure::{Failure, Outcome};
use crate::output::{print, print_json};
use crate::this_pool::ThisPool;

/// Where the queue is.
#[derive(clap::Args, Debug)]
struct Where {
    /// The configuration of the pool whose queue it is
    #[arg(long, value_name = "EHOS_YAML")]
    config: Vec<PathBuf>,
    /// The state directory of the daemon, where it was given one
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
    /// The file of the queue, instead of a configuration
    #[arg(long, value_name = "FILE")]
    queue: Option<PathBuf>,
}

/// Options of `submit`.
#[derive(clap::Args, Debug)]
pub(super) struct SubmitArgs {
    #[command(flatten)]
    place: Where,
    /// How many of them
    #[arg(short = 'n', long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    count: u32,
    /// Cores that each asks for
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    cores: u32,
    /// Memory that each asks for, MiB
    #[arg(long, default_value_t = 128)]
    memory: u64,
    /// The program and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<String>,
}

/// Options of `queue`.
#[derive(clap::Args, Debug)]
pub(super) struct QueueArgs {
    #[command(flatten)]
    place: Where,
    /// Print JSON: a list with `id`, `state`, `request`, `command`, `worker`, `starts`, `exit_code`
    #[arg(long)]
    json: bool,
}

/// Options of `worker`.
#[derive(clap::Args, Debug)]
pub(super) struct WorkerArgs {
    #[arg(long)]
    queue: PathBuf,
    #[arg(long)]
    node: String,
    #[arg(long, default_value = "standard")]
    worker_type: String,
    #[arg(long)]
    cores: u32,
    /// MiB
    #[arg(long)]
    memory: u64,
    /// Seconds
    #[arg(long)]
    lifetime: u64,
    /// Seconds
    #[arg(long)]
    idle_shutdown: u64,
}

async fn open(place: &Where) -> Result<LocalQueue, Failure> {
    let path = match &place.queue {
        Some(path) => path.clone(),
        None => {
            let config = ThisPool::read(&place.config)?.config;
            let BatchConfig::Local(local) = &config.batch else {
                return Err(Failure::Usage("this pool serves another batch system; submit there".to_owned()));
            };
            let state = state_path(place.state_dir.as_deref(), &config).context("no place for state")?;
            local.dir.clone().unwrap_or(state).join(QUEUE_FILE)
        }
    };
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
    }
    Ok(LocalQueue::open(&path).await.context("the queue cannot be opened")?)
}

/// Submits.
pub(super) async fn submit(args: &SubmitArgs) -> Outcome {
    let queue = open(&args.place).await?;
    let job = NewJob {
        request: Resources::new(args.cores, args.memory),
        command: args.command.clone(),
        working_dir: std::env::current_dir().context("there is no working directory")?,
    };
    let (first, last) = queue.submit(&job, args.count).await.context("nothing was submitted")?;
    print(&if first == last { format!("job {first}\n") } else { format!("jobs {first} to {last}\n") })
}

/// Lists.
pub(super) async fn list(args: &QueueArgs) -> Outcome {
    let queue = open(&args.place).await?;
    let jobs = queue.jobs().await.context("the queue cannot be read")?;
    if args.json {
        return print_json(&jobs);
    }
    let mut text = String::new();
    for job in jobs.iter().rev() {
        let worker = job.worker.as_deref().unwrap_or("-");
        let code = job.exit_code.map(|code| format!(" exit {code}")).unwrap_or_default();
        text.push_str(&format!(
            "{:>6} {:<8} {worker:<40} {}{code}\n",
            job.id,
            job.state,
            job.command.join(" ")
        ));
    }
    print(&text)
}

/// A worker.
pub(super) async fn worker(args: &WorkerArgs) -> Outcome {
    let options = WorkerOptions {
        queue: args.queue.clone(),
        node: args.node.clone(),
        worker_type: args.worker_type.clone(),
        total: Resources { disk_mib: 1 << 20, ..Resources::new(args.cores, args.memory) },
        lifetime: Duration::from_secs(args.lifetime),
        idle_shutdown: Duration::from_secs(args.idle_shutdown),
    };
    let end = worker::run(&options).await.context("the queue cannot be joined")?;
    tracing::info!(?end, "the worker ends");
    Ok(())
}
