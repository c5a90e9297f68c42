//! `campanile status`: what runs, what should, and why the two differ.

use std::path::PathBuf;

use anyhow::Context as _;
use campanile_ocs::site_config::{Mode, SiteArgs};

use crate::client::{AccessArgs, Client, unix_now};
use crate::commands::others::{self, Question, Sort};
use crate::commands::workers;
use crate::failure::{EXIT_WORLD, Failure, Outcome};
use crate::fleet::ask::{Bus, RouterState};
use crate::fleet::declared::DeclaredHost;
use crate::fleet::narrow::Selectors;
use crate::journal::ask::Managers;
use crate::render::table::Style;
use crate::render::{self, json};
use crate::{output, runtime, this_site};

/// Show what runs on the whole site, what should, and why the two differ
///
/// All HostManagers of the site config are asked at the same time; one that does not answer holds up none of the
/// others. Works with Campanile's HostManagers and with those of OCS, which tell less. Pools of workers and LDMS clusters
/// that the site config names are shown below the hosts, unless --class or --state narrow to instances.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
States:
  up, down
  unstable        it keeps crashing
  ?               it cannot be known, or cannot run; NOTE says why
  start_at        waiting for its relaunch
  start, wait_start, wait_dead         on the way

Examples:
  campanile status
  campanile status -H 'lab-[1-8],dome'
  campanile status --class 'Lakeshore*' --state unstable
  campanile status --reload-config     after editing the site config
  campanile status --workers           is every loop of every manager alive?
  campanile status --json | jq '.hosts[].instances[].state'

Exit codes:
  0 the status is shown, also when it is bad; 1 the router was not reached;
  2 wrong options or site config")]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) only: Selectors,
    /// Have every HostManager read its site config again, first
    #[arg(long, short)]
    pub(crate) reload_config: bool,
    /// Show the background loops of every manager instead, each with its last error
    #[arg(long, conflicts_with = "reload_config")]
    pub(crate) workers: bool,
    /// With --workers: where the managers of this machine keep their state [default: as `campanile host`]
    #[arg(long, value_name = "DIR", requires = "workers")]
    pub(crate) state_dir: Option<PathBuf>,
    /// Print JSON, of the form that the manual describes
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) access: AccessArgs,
    #[command(flatten)]
    pub(crate) site: SiteArgs,
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> Outcome {
    runtime::block_on(show(args))?
}

async fn show(args: &Args) -> Outcome {
    if args.workers {
        let site = this_site::select(Mode::Control, &args.site)?.site;
        return workers::show(&Managers::open(&site, args.state_dir.as_ref()).await?, args.json).await;
    }
    let client = if args.reload_config {
        Client::open_to_change(&args.site, &args.access).await?
    } else {
        Client::open(&args.site).await?
    };
    let hosts = client.hosts_of(&args.only)?;
    let mut reloaded = true;
    if args.reload_config {
        client.bus.client()?;
        for (manager, result) in reload_all(&client.bus, &hosts).await {
            if let Err(reason) = result {
                reloaded = false;
                output::print_error(&format!("error: {manager} did not reload its site config: {reason}\n"));
            }
        }
    }
    let mut survey = client.bus.survey(&hosts).await?;
    args.only.narrow(&mut survey.fleet);
    let others = if args.only.by_instance() {
        Vec::new()
    } else {
        others::ask(&client.selected.site, &hosts, Question::Status).await?
    };
    let problem = match &survey.router {
        RouterState::Reached => None,
        RouterState::Unreachable { reason } => Some(reason.as_str()),
    };
    if args.json {
        let site_file = client.site_file();
        let router = json::Router { url: client.bus.url(), reachable: problem.is_none(), problem };
        let mut site = serde_json::to_value(json::site(&site_file, router, &survey.fleet))
            .context("the status cannot be written as JSON")?;
        site["pools"] = others::json(&others, Sort::Pool, "status").into();
        site["clusters"] = others::json(&others, Sort::Cluster, "status").into();
        output::print_json(&site)?;
    } else {
        let style = Style { colour: output::stdout_coloured(), width: output::stdout_width() };
        let hosts = render::status::render(&survey.fleet, unix_now(), style);
        output::print(&format!("{hosts}{}", others::text(&others, Question::Status)))?;
    }
    client.verdict(&survey.router)?;
    if reloaded { Ok(()) } else { Err(Failure::Told(EXIT_WORLD)) }
}

/// Has every HostManager of these hosts read its site config again, all at the same time; what came of it, in the
/// order of the site config.
pub(crate) async fn reload_all(bus: &Bus, hosts: &[DeclaredHost]) -> Vec<(String, Result<(), String>)> {
    let ids: Vec<String> = hosts.iter().flat_map(DeclaredHost::managers).map(str::to_owned).collect();
    let mut asked = Vec::new();
    for id in ids {
        let bus = bus.clone();
        asked.push((id.clone(), tokio::spawn(async move { bus.reload(&id).await })));
    }
    let mut results = Vec::new();
    for (id, task) in asked {
        let result = task.await.unwrap_or_else(|error| Err(error.to_string()));
        results.push((id, result));
    }
    results
}
