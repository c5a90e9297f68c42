//! `ocsbow`: the client that OCS users know.

use std::path::PathBuf;

use campanile_ocs::site_config::{Mode, SiteArgs};
use clap::{ArgAction, Subcommand, ValueEnum};

use super::status::reload_all;
use super::updown;
use crate::client::{AccessArgs, Client};
use crate::failure::{EXIT_WORLD, Failure, Outcome};
use crate::fleet::ask::{Answer, RouterState};
use crate::fleet::change;
use crate::fleet::request::Target;
use crate::fleet::select::{Wanted, select};
use crate::fleet::wait::Goal;
use crate::ocsbow::python::repr_list;
use crate::ocsbow::{config, plugins, table};
use crate::render::change::{DRY_RUN_LINE, announcement};
use crate::{output, runtime, this_site};

/// Talk to the HostManagers of an OCS site, in the words of the original ocsbow
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Without a command, the status is shown. Examples:
  ocsbow                           the whole site
  ocsbow status -H host-1          one host
  ocsbow status -r                 have the site config read again, first
  ocsbow up thermo1                start one agent
  ocsbow down hm-host-1            stop all agents of that HostManager
  ocsbow up -a                     start everything

Exit codes:
  0 done; 1 an unknown target, no router, or a HostManager that was not reached;
  2 wrong options or configuration

`campanile status|up|down|restart` do the same and tell more.")]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) access: AccessArgs,
    #[command(flatten)]
    pub(crate) site: SiteArgs,
}

/// What ocsbow can do.
#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    Status(StatusArgs),
    /// Set the target of instances to "up", so that their HostManagers start them
    Up(TargetArgs),
    /// Set the target of instances to "down", so that their HostManagers stop them
    Down(TargetArgs),
    Config(ConfigArgs),
}

/// Show every instance, as its HostManager reports it
///
/// All HostManagers of the site config are asked at the same time. The table has a block per host, with all that its
/// HostManager keeps, also what the local site config does not know.
#[derive(clap::Args, Debug, Default)]
pub(crate) struct StatusArgs {
    /// Show this host only; may be repeated
    #[arg(long, short = 'H', value_name = "HOST", action = ArgAction::Append)]
    pub(crate) host: Vec<String>,
    /// Have every HostManager read its site config again, first
    #[arg(long, short)]
    pub(crate) reload_config: bool,
}

/// What up and down have in common.
#[derive(clap::Args, Debug)]
pub(crate) struct TargetArgs {
    /// Everything that the HostManagers of the site manage
    #[arg(long, short)]
    pub(crate) all: bool,
    /// Only say what would be asked of whom
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Ids of instances; the id of a HostManager means everything that it manages
    #[arg(value_name = "INSTANCE")]
    pub(crate) instance: Vec<String>,
}

/// Show what the site config says
#[derive(clap::Args, Debug)]
pub(crate) struct ConfigArgs {
    /// What to show
    #[arg(value_enum, default_value_t = ConfigTopic::Summary)]
    pub(crate) topic: ConfigTopic,
    /// The Python interpreter that has OCS and the plugins of the site
    #[arg(long, value_name = "FILE", default_value = "python3")]
    pub(crate) python: PathBuf,
}

/// The topics of `ocsbow config`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ConfigTopic {
    /// Hosts and instances.
    Summary,
    /// The agent classes of the installed Python plugins.
    Plugins,
    /// The hub, and the router of this host.
    Crossbar,
}

/// Lets the site options stand before or after the subcommand, and be abbreviated, as the original allows.
pub(crate) fn site_options_anywhere(command: clap::Command) -> clap::Command {
    command.infer_long_args(true).mut_args(|arg| {
        // What must be given cannot be given below.
        let anywhere = !arg.is_positional() && !arg.is_required_set();
        arg.global(anywhere)
    })
}

/// Runs the command.
pub(crate) fn run(args: Args) -> Outcome {
    runtime::block_on(dispatch(args))?
}

async fn dispatch(args: Args) -> Outcome {
    match args.command.unwrap_or_else(|| Command::Status(StatusArgs::default())) {
        Command::Status(options) => status(&args.site, &args.access, &options).await,
        Command::Up(options) => change(&args.site, &args.access, &options, Target::Up).await,
        Command::Down(options) => change(&args.site, &args.access, &options, Target::Down).await,
        Command::Config(options) => config(&args.site, &options).await,
    }
}

async fn status(site: &SiteArgs, access: &AccessArgs, options: &StatusArgs) -> Outcome {
    let client = if options.reload_config {
        Client::open_to_change(site, access).await?
    } else {
        Client::open(site).await?
    };
    let hosts = client.hosts(&options.host)?;
    let mut notes = Vec::new();
    if options.reload_config && hosts.iter().any(|host| host.managers().next().is_some()) {
        let mut text = String::from("Requesting config reloads ...\n");
        for (manager, result) in reload_all(&client.bus, &hosts).await {
            match result {
                Ok(()) => text.push_str(&format!("  Ok on {manager}.\n")),
                Err(reason) => {
                    text.push_str(&format!("  !! Failed on {manager}.\n"));
                    output::print_error(&format!("error: {manager}: {reason}\n"));
                    notes = vec![table::RELOAD_FAILED_NOTE.to_owned()];
                }
            }
        }
        output::print(&format!("{text}\n"))?;
    }
    let survey = client.bus.survey(&hosts).await?;
    let site_file = client.site_file();
    let problem = match &survey.router {
        RouterState::Reached => None,
        RouterState::Unreachable { .. } => Some(format!("http bridge not found at {}.", client.bus.url())),
    };
    let heading = table::Heading {
        site_file: &site_file,
        router_url: client.bus.url(),
        router_problem: problem.as_deref(),
    };
    output::print(&table::render(&heading, &survey.fleet, &notes))?;
    client.verdict(&survey.router)?;
    if notes.is_empty() { Ok(()) } else { Err(Failure::Told(EXIT_WORLD)) }
}

async fn change(site: &SiteArgs, access: &AccessArgs, options: &TargetArgs, target: Target) -> Outcome {
    let (client, fleet) = updown::survey(site, access).await?;
    let wanted = Wanted::new(options.all, &options.instance);
    let selection = select(&fleet, &wanted).map_err(|refusal| Failure::World(refusal.into()))?;
    if options.dry_run {
        output::print(DRY_RUN_LINE)?;
    }
    output::print(&announcement(&selection, target.word()))?;
    let nothing = selection.steps.is_empty();
    if nothing || !selection.unknown.is_empty() {
        let names = repr_list(&selection.unknown);
        output::print_error(&format!("No targets found matching \"{names}\"\n"));
    }
    let goal = Goal::of(target, &selection);
    let answers = if options.dry_run { Vec::new() } else { change::apply(&client.bus, &fleet, &goal).await };
    for answer in &answers {
        tell(answer)?;
    }
    for refusal in &selection.unclear {
        output::print_error(&format!("error: {refusal}\n"));
    }
    let failed = !selection.unclear.is_empty() || answers.iter().any(|answer| answer.problem.is_some());
    if nothing || failed || !selection.unknown.is_empty() { Err(Failure::Told(EXIT_WORLD)) } else { Ok(()) }
}

/// Says what a HostManager made of a request, in the words of the original.
fn tell(answer: &Answer) -> Outcome {
    if answer.woken && answer.problem.is_none() {
        output::print("Starting manager process.\n")?;
    }
    if !answer.not_known.is_empty() {
        output::print(&format!(
            "Warning, some targets not known to HostManager: \n  {}\nRequesting reload_config.\n",
            repr_list(&answer.not_known)
        ))?;
    }
    if let Some(problem) = &answer.problem {
        output::print_error(&format!("error: HostManager {}: {problem}\n", answer.manager));
    }
    Ok(())
}

async fn config(site: &SiteArgs, options: &ConfigArgs) -> Outcome {
    let python = &options.python;
    if options.topic == ConfigTopic::Plugins {
        let found = plugins::list(python).await.map_err(anyhow::Error::new)?;
        output::print(&config::plugins(&found))?;
        return if found.broken.is_empty() { Ok(()) } else { Err(Failure::Told(EXIT_WORLD)) };
    }
    let selected = this_site::select(Mode::Control, site)?;
    let host = selected.host.as_ref();
    if options.topic == ConfigTopic::Crossbar {
        return output::print(&config::crossbar(&selected.site, host, &plugins::search_path()));
    }
    let ocs = plugins::find_ocs(python).await;
    output::print(&config::overview(&selected.site, host, ocs.as_deref()))
}
