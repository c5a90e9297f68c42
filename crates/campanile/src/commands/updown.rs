//! `campanile up` and `campanile down`: change targets, and if asked to, wait until they are reached.

use std::collections::BTreeSet;
use std::time::Duration;

use campanile_ocs::site_config::SiteArgs;
use tokio::time::Instant;

use crate::client::{AccessArgs, Client};
use crate::failure::{EXIT_WORLD, Failure, Outcome};
use crate::fleet::ask::{Answer, Bus};
use crate::fleet::change;
use crate::fleet::narrow::Selectors;
use crate::fleet::request::Target;
use crate::fleet::select::{Selection, Wanted, select};
use crate::fleet::survey::Fleet;
use crate::fleet::wait::{self, ByManager, Goal, Progress};
use crate::render::change::{self as render, Report, Waited};
use crate::render::duration;
use crate::render::progress::{self, Bars};
use crate::render::summary::{self, HostSummary};
use crate::render::table::Style;
use crate::{output, runtime};

/// Start agents: set their target to "up"
///
/// The HostManagers start what has the target "up" and start it again whenever it ends. The target lasts until it is
/// changed.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  campanile up thermo1 camera1     two agents, whichever hosts they are on
  campanile up hm-host-1           all agents of that HostManager
  campanile up -a --wait 1m        the whole site; ends when all are up
  campanile up -a --host 'lab-[1-8]' --class 'Lakeshore*' --wait 30s
                                   one kind of agent on eight hosts

Exit codes:
  0 done; 1 an unknown target, no router, a HostManager not reached, or --wait
  ran out; 2 wrong options or site config")]
pub(crate) struct UpArgs {
    #[command(flatten)]
    pub(crate) common: TargetArgs,
}

/// Stop agents: set their target to "down"
///
/// The HostManagers stop what has the target "down" (SIGINT, later SIGTERM, at the end of its grace SIGKILL) and do
/// not start it again. The HostManagers themselves go on running.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  campanile down thermo1
  campanile down hm-host-1 --wait 90s
  campanile down -a --dry-run      what would be asked of whom
  campanile down 'thermo[1-4]' -H lab-1,lab-2

Exit codes:
  0 done; 1 an unknown target, no router, a HostManager not reached, or --wait
  ran out; 2 wrong options or site config")]
pub(crate) struct DownArgs {
    #[command(flatten)]
    pub(crate) common: TargetArgs,
}

/// What up and down have in common.
#[derive(clap::Args, Debug)]
pub(crate) struct TargetArgs {
    /// Everything that the HostManagers of the site manage; --host, --class and --state narrow it
    #[arg(long, short)]
    pub(crate) all: bool,
    #[command(flatten)]
    pub(crate) only: Selectors,
    /// Only say what would be asked of whom
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Wait until the targets are reached, at most that long (30s, 5m, 1h30m)
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    pub(crate) wait: Option<Duration>,
    /// Print JSON, of the form that the manual describes
    #[arg(long)]
    pub(crate) json: bool,
    /// Ids of instances, also ranges and patterns (`thermo[1-4]`, `cam*`); the id of a HostManager means everything
    /// that it manages
    #[arg(value_name = "INSTANCE", required_unless_present = "all")]
    pub(crate) instance: Vec<String>,
    #[command(flatten)]
    pub(crate) access: AccessArgs,
    #[command(flatten)]
    pub(crate) site: SiteArgs,
}

/// Runs the command.
pub(crate) fn run(args: &TargetArgs, target: Target) -> Outcome {
    runtime::block_on(change(args, target))?
}

async fn change(args: &TargetArgs, target: Target) -> Outcome {
    let (client, fleet) = survey(&args.site, &args.access).await?;
    client.hosts_of(&args.only)?;
    let wanted = Wanted::new(args.all, &args.instance).only(&args.only);
    let selection = select(&fleet, &wanted).map_err(|refusal| Failure::World(refusal.into()))?;
    let goal = Goal::of(target, &selection);
    let mut report = Report::new(target, args.dry_run, &selection);
    if !args.json {
        announce(&selection, target.word(), args.dry_run)?;
    }
    complain(&selection, &args.only);
    let started = Instant::now();
    let answers = if args.dry_run { Vec::new() } else { change::apply(&client.bus, &fleet, &goal).await };
    report.add_answers(&goal, &answers);
    if !args.json {
        tell(&answers)?;
    }
    let mut progress = None;
    if let (Some(patience), false) = (args.wait, args.dry_run) {
        let goal = goal.clone().without_refused(&answers);
        let until = started + patience;
        let last = watch(&client.bus, &fleet, &goal, started, until, args.json).await?;
        report.waited = Some(Waited::new(started.elapsed().as_secs_f64(), &last));
        progress = Some(last);
    }
    report.hosts = summary::of_hosts(&fleet, &goal, &answers, progress.as_ref());
    if args.json {
        output::print_json(&report)?;
    } else if !args.dry_run {
        sum_up(&report.hosts, target)?;
    }
    if report.is_complete() { Ok(()) } else { Err(Failure::Told(EXIT_WORLD)) }
}

/// Reads the site config and asks all HostManagers, for commands that cannot do without the router.
pub(super) async fn survey(site: &SiteArgs, access: &AccessArgs) -> Result<(Client, Fleet), Failure> {
    let client = Client::open_to_change(site, access).await?;
    client.bus.client()?;
    let survey = client.bus.survey(client.bus.declared()).await?;
    client.verdict(&survey.router)?;
    Ok((client, survey.fleet))
}

/// Says what is about to be asked of whom.
pub(super) fn announce(selection: &Selection, verb: &str, dry_run: bool) -> Outcome {
    if dry_run {
        output::print(render::DRY_RUN_LINE)?;
    }
    output::print(&render::announcement(selection, verb))
}

/// Says which names mean nothing, and what had to be left out.
pub(super) fn complain(selection: &Selection, only: &Selectors) {
    let narrowed = only.by_instance() || !only.host.is_empty();
    if !selection.unknown.is_empty() {
        let names = selection.unknown.join(", ");
        let place = if narrowed { "nothing that is selected" } else { "nothing on this site" };
        output::print_error(&format!("error: {place} is called {names}; see `campanile status`\n"));
    } else if selection.steps.is_empty() && selection.unclear.is_empty() {
        output::print_error("error: nothing is selected; see `campanile status`\n");
    }
    for refusal in &selection.unclear {
        output::print_error(&format!("error: {refusal}\n"));
    }
}

/// Says what the HostManagers made of it.
pub(super) fn tell(answers: &[Answer]) -> Outcome {
    let (told, problems) = render::answers(answers);
    output::print(&told)?;
    output::print_error(&problems);
    Ok(())
}

/// The summary of several hosts.
pub(super) fn sum_up(hosts: &[HostSummary], target: Target) -> Outcome {
    let style = Style { colour: output::stdout_coloured(), width: output::stdout_width() };
    output::print(&summary::render(hosts, target, style))?;
    if let Some(verdict) = summary::verdict(hosts, target) {
        output::print_error(&format!("error: {verdict}\n"));
    }
    Ok(())
}

/// Waits, telling of each instance that gets there, or with a bar for each of several hosts where there is a terminal;
/// and in the end of those that did not get there.
pub(super) async fn watch(
    bus: &Bus,
    fleet: &Fleet,
    goal: &Goal,
    started: Instant,
    deadline: Instant,
    quiet: bool,
) -> Result<ByManager, Failure> {
    let host_of = fleet.host_of_managers();
    let mut hosts: Vec<String> = goal.of_managers.keys().filter_map(|id| host_of.get(id).cloned()).collect();
    hosts.sort();
    hosts.dedup();
    let bars = (!quiet && hosts.len() > 1 && progress::possible()).then(|| Bars::new(&hosts));
    let mut told: BTreeSet<(String, String)> = BTreeSet::new();
    let mut printed = Ok(());
    let last = wait::until_reached(bus, goal, deadline, |progress| {
        if let Some(bars) = &bars {
            return bars.show(&summary::counts(progress, &host_of));
        }
        for (manager, all) in progress {
            for id in all.iter().filter(|(_, state)| **state == Progress::Reached).map(|(id, _)| id) {
                if told.insert((manager.clone(), id.clone())) && !quiet && printed.is_ok() {
                    let word = goal.target.word();
                    let after_s = started.elapsed().as_secs_f64();
                    printed = output::print(&format!("  {id} is {word} after {after_s:.2} s\n"));
                }
            }
        }
    })
    .await;
    if let Some(bars) = bars {
        bars.clear();
    }
    printed?;
    let waited = Waited::new(started.elapsed().as_secs_f64(), &last);
    if let (Some(complaint), false) = (waited.complaint(goal.target), quiet) {
        output::print_error(&format!("error: {complaint}\n"));
    }
    Ok(last)
}
