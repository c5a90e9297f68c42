//! `ehos_sleep_jobs`, `condor_run_jobs`: jobs that sleep.

use std::path::PathBuf;

use anyhow::Context as _;
use campanile_pool::batch::condor::Condor;
use campanile_pool::config::CondorConfig;
use campanile_pool::deploy::jobs::{JOBS_MAX, Sleep, description};
use clap::Args as _;

use crate::failure::{Failure, Outcome};
use crate::output::{print, print_error};
use crate::runtime;

/// As the script of EHOS without options.
const JOBS: u32 = 15;
const SECONDS: u32 = 30;
/// How `condor_run_jobs.py` ends with a range that is none.
const EXIT_RANGE: u8 = 10;

/// Submit jobs to HTCondor that sleep; without options they are listed
///
/// To be run on the master: HTCondor is found by CONDOR_CONFIG.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  ehos_sleep_jobs -n 10 -r 30,50    10 jobs, each sleeps between 30 and 50 s
  ehos_sleep_jobs -n 10 -s 20       10 jobs that sleep 20 s

Exit codes:
  0 submitted (or the options were listed); 1 not submitted;
  2 wrong options (condor_run_jobs: 10 for a wrong range)")]
pub(crate) struct Args {
    /// How many jobs [default: 15]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(JOBS_MAX)))]
    number_of_jobs: Option<u32>,
    /// How long each sleeps, seconds [default: 30]
    #[arg(short, long, value_name = "SECONDS", conflicts_with = "range")]
    sleeptime: Option<u32>,
    /// Each sleeps a random time between these, seconds; the two may stand in any order
    #[arg(short, long, value_name = "A,B", allow_hyphen_values = true)]
    range: Option<String>,
    /// The directory of condor_submit, where it is not on PATH
    #[arg(long, value_name = "DIR")]
    bin: Option<PathBuf>,
}

/// By which name it was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// `ehos_sleep_jobs`: without options they are listed.
    Documented,
    /// `condor_run_jobs`: without options jobs are submitted.
    Script,
}

/// Runs the command.
pub(super) fn run(args: &Args, way: Way) -> Outcome {
    let is_bare = args.number_of_jobs.is_none() && args.sleeptime.is_none() && args.range.is_none();
    if is_bare && way == Way::Documented {
        let mut command = Args::augment_args(clap::Command::new("ehos_sleep_jobs")).max_term_width(100);
        return print(&command.render_help().to_string());
    }
    let sleep = match &args.range {
        None => Sleep::fixed(args.sleeptime.unwrap_or(SECONDS)),
        Some(text) => match Sleep::range(text) {
            Ok(sleep) => sleep,
            Err(problem) if way == Way::Script => {
                print_error(&format!("error: {problem}\n"));
                return Err(Failure::Told(EXIT_RANGE));
            }
            Err(problem) => return Err(Failure::Usage(problem)),
        },
    };
    let count = args.number_of_jobs.unwrap_or(JOBS);
    let text = description(count, sleep, || fastrand::u32(..));
    let condor = Condor::new(CondorConfig { bin: args.bin.clone(), ..CondorConfig::default() });
    let ids = runtime::block_on(condor.submit(&text))?.context("nothing was submitted")?;
    let times = if sleep.from_s == sleep.to_s {
        format!("{} s", sleep.from_s)
    } else {
        format!("{} to {} s", sleep.from_s, sleep.to_s)
    };
    print(&format!("submitted {count} jobs that sleep {times}: {ids}\n"))
}
