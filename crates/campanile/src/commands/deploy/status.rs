//! `ehos_status`: two lines for telegraf.

use std::path::PathBuf;

use anyhow::Context as _;
use campanile_pool::batch::BatchError;
use campanile_pool::metrics::line;
use campanile_pool::model::WorkerState;

use crate::failure::{Failure, Outcome};
use crate::output::print;
use crate::runtime;
use crate::this_pool::ThisPool;

/// Print the counts of jobs and nodes once, in InfluxDB's line protocol
///
/// `condor,host=H jobs_total=…,jobs_idle=…,jobs_running=…,jobs_suspended=…` and
/// `ehos,host=H nodes_total=…,nodes_idle=…,nodes_busy=…`, for telegraf's `exec` input. The batch system is asked; no
/// daemon need run. Where it does not answer nothing is printed: no number is better than a wrong one.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Exit codes:
  0 printed; 1 the batch system does not answer; 2 wrong configuration")]
pub(crate) struct Args {
    /// The configuration, one or several files; later ones override
    #[arg(value_name = "EHOS_YAML")]
    config: Vec<PathBuf>,
}

/// Runs the command.
pub(super) fn run(args: &Args) -> Outcome {
    runtime::block_on(print_lines(args))?
}

async fn print_lines(args: &Args) -> Outcome {
    let pool = ThisPool::read(&args.config)?;
    let scratch = tempfile::tempdir().context("no temporary directory")?;
    let state = campanile_pool::run::state_path(None, &pool.config).context("no place for state")?;
    let dir = if state.exists() { state.as_path() } else { scratch.path() };
    let sides = pool.sides(dir).await?;
    let unknown = |error: BatchError| {
        Failure::World(anyhow::Error::new(error).context("the batch system is not known"))
    };
    let demand = sides.batch.demand(&[]).await.map_err(unknown)?;
    let workers = sides.batch.workers().await.map_err(unknown)?;
    let (idle, running, suspended) =
        (demand.idle_jobs() + demand.other_jobs, demand.running_jobs, demand.suspended_jobs);
    let count =
        |states: &[WorkerState]| workers.iter().filter(|worker| states.contains(&worker.state)).count();
    let busy = count(&[WorkerState::Busy, WorkerState::Draining]);
    let host = &pool.config.mark.host;
    #[expect(clippy::cast_precision_loss, reason = "counts are far below where a float is not exact")]
    let text = format!(
        "{}\n{}\n",
        line(
            "condor",
            host,
            &[
                ("jobs_total", (idle + running + suspended + demand.held_jobs) as f64),
                ("jobs_idle", idle as f64),
                ("jobs_running", running as f64),
                ("jobs_suspended", suspended as f64),
            ],
        ),
        line(
            "ehos",
            host,
            &[
                ("nodes_total", workers.len() as f64),
                ("nodes_idle", count(&[WorkerState::Idle]) as f64),
                ("nodes_busy", busy as f64),
            ],
        ),
    );
    print(&text)
}
