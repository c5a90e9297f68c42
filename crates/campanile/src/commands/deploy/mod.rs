//! The tools around a pool, by the names that EHOS's documents have, and by ours under `campanile pool`.

mod create_config;
mod head;
mod master;
mod progress;
mod setup;
mod sleep_jobs;
mod status;
mod yaml_checker;

use std::fs::OpenOptions;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Subcommand;

use crate::failure::{Failure, Outcome};

/// By the names of the documents; they are names of links to this program, too, with and without `.py`.
#[derive(Subcommand, Debug)]
pub(crate) enum Tool {
    #[command(name = "ehos_create_config", hide = true)]
    CreateConfig(create_config::Args),
    #[command(name = "ehos_setup", alias = "ehos_cloud_setup", hide = true)]
    Setup(setup::Args),
    /// Prepare the clouds of a configuration and build their images
    #[command(name = "ehos_build_images", hide = true)]
    BuildImages(setup::Args),
    #[command(name = "ehosd_deploy", aliases = ["ehosd_deployment", "ehos_deployment"], hide = true)]
    Deploy(master::Args),
    #[command(name = "ehosd_config", hide = true)]
    Config(head::Args),
    #[command(name = "ehos_status", hide = true)]
    Status(status::Args),
    #[command(name = "ehos_sleep_jobs", hide = true)]
    SleepJobs(sleep_jobs::Args),
    /// Submit jobs that sleep; without options 15 of them
    #[command(name = "condor_run_jobs", hide = true)]
    RunJobs(sleep_jobs::Args),
    #[command(name = "yaml_checker", hide = true)]
    YamlChecker(yaml_checker::Args),
}

/// The same under `campanile pool`.
#[derive(Subcommand, Debug)]
pub(crate) enum PoolTool {
    /// Make a configuration from a keystone file (ehos_create_config)
    CreateConfig(create_config::Args),
    /// Prepare the clouds: key pair, firewall, password, with -c images (ehos_setup, ehos_cloud_setup)
    Setup(setup::Args),
    /// The same, always with images (ehos_build_images)
    BuildImages(setup::Args),
    /// Make the master VM and set it up (ehosd_deploy, ehosd_deployment, ehos_deployment)
    Deploy(master::Args),
    /// On the master: configure HTCondor for this pool (ehosd_config)
    ConfigureMaster(head::Args),
    /// Print the counts of jobs and nodes once, as lines for telegraf (ehos_status)
    Metrics(status::Args),
    /// Submit jobs that sleep, to try the pool out (ehos_sleep_jobs)
    SleepJobs(sleep_jobs::Args),
}

/// Names of links, without `.py`.
pub(crate) const NAMES: [&str; 12] = [
    "ehos_create_config",
    "ehos_setup",
    "ehos_cloud_setup",
    "ehos_build_images",
    "ehosd_deploy",
    "ehosd_deployment",
    "ehos_deployment",
    "ehosd_config",
    "ehos_status",
    "ehos_sleep_jobs",
    "condor_run_jobs",
    "yaml_checker",
];

/// The options that all tools of EHOS have.
#[derive(clap::Args, Clone, Debug, Default)]
pub(crate) struct Talk {
    /// Append the log to this file instead of stderr
    #[arg(short, long, value_name = "FILE")]
    logfile: Option<PathBuf>,
    /// Say more; up to three times
    #[arg(short, long, action = clap::ArgAction::Count)]
    verbose: u8,
}

impl Talk {
    /// Sends the log where it belongs; returns its level.
    pub(crate) fn begin(&self) -> Result<&'static str, Failure> {
        if let Some(path) = &self.logfile {
            let file = OpenOptions::new().append(true).create(true).open(path);
            let file = file.with_context(|| format!("cannot write to {}", path.display()))?;
            rustix::stdio::dup2_stderr(&file).context("cannot redirect the log")?;
        }
        Ok(match self.verbose {
            0 => "warn",
            1 => "info",
            2 => "debug",
            _ => "trace",
        })
    }
}

/// Sends the log of a tool where it belongs; returns its level.
pub(crate) fn begin(tool: &Tool) -> Result<&'static str, Failure> {
    match tool {
        Tool::CreateConfig(args) => args.talk.begin(),
        Tool::Setup(args) | Tool::BuildImages(args) => args.talk.begin(),
        Tool::Deploy(args) => args.talk.begin(),
        Tool::Config(args) => args.talk.begin(),
        Tool::Status(_) | Tool::SleepJobs(_) | Tool::RunJobs(_) | Tool::YamlChecker(_) => Ok("warn"),
    }
}

/// The same for those under `campanile pool`.
pub(crate) fn begin_pool(tool: &PoolTool) -> Result<&'static str, Failure> {
    match tool {
        PoolTool::CreateConfig(args) => args.talk.begin(),
        PoolTool::Setup(args) | PoolTool::BuildImages(args) => args.talk.begin(),
        PoolTool::Deploy(args) => args.talk.begin(),
        PoolTool::ConfigureMaster(args) => args.talk.begin(),
        PoolTool::Metrics(_) | PoolTool::SleepJobs(_) => Ok("warn"),
    }
}

/// Runs a tool.
pub(crate) fn run(tool: Tool) -> Outcome {
    match tool {
        Tool::CreateConfig(args) => create_config::run(&args),
        Tool::Setup(args) => setup::run(&args, false),
        Tool::BuildImages(args) => setup::run(&args, true),
        Tool::Deploy(args) => master::run(&args),
        Tool::Config(args) => head::run(&args),
        Tool::Status(args) => status::run(&args),
        Tool::SleepJobs(args) => sleep_jobs::run(&args, sleep_jobs::Way::Documented),
        Tool::RunJobs(args) => sleep_jobs::run(&args, sleep_jobs::Way::Script),
        Tool::YamlChecker(args) => yaml_checker::run(&args),
    }
}

/// Runs a tool by our name for it.
pub(crate) fn run_pool(tool: PoolTool) -> Outcome {
    match tool {
        PoolTool::CreateConfig(args) => create_config::run(&args),
        PoolTool::Setup(args) => setup::run(&args, false),
        PoolTool::BuildImages(args) => setup::run(&args, true),
        PoolTool::Deploy(args) => master::run(&args),
        PoolTool::ConfigureMaster(args) => head::run(&args),
        PoolTool::Metrics(args) => status::run(&args),
        PoolTool::SleepJobs(args) => sleep_jobs::run(&args, sleep_jobs::Way::Documented),
    }
}
