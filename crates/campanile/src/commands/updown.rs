//! `campanile up` and `campanile down`: change targets, and if asked to, wait until they are reached.

use std::collections::BTreeSet;
use std::time::Duration;

use campanile_ocs::site_config::SiteArgs;
use tokio::time::Instant;

use crate::client::Client;
use crate::failure::{EXIT_WORLD, Failure, Outcome};
use crate::fleet::ask::{Answer, Bus};
use crate::fleet::change;
use crate::fleet::request::Target;
use crate::fleet::select::{Selection, Wanted, select};
use crate::fleet::survey::Fleet;
use crate::fleet::wait::{self, Goal, Progress};
use crate::render::change::{self as render, Report, Waited};
use crate::render::duration;
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
    /// Everything that the HostManagers of the site manage
    #[arg(long, short)]
    pub(crate) all: bool,
    /// Only say what would be asked of whom
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Wait until the targets are reached, at most that long (30s, 5m, 1h30m)
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    pub(crate) wait: Option<Duration>,
    /// Print JSON, of the form that the manual describes
    #[arg(long)]
    pub(crate) json: bool,
    /// Ids of instances; the id of a HostManager means everything that it manages
    #[arg(value_name = "INSTANCE", required_unless_present = "all")]
    pub(crate) instance: Vec<String>,
    #[command(flatten)]
    pub(crate) site: SiteArgs,
}

/// Runs the command.
pub(crate) fn run(args: &TargetArgs, target: Target) -> Outcome {
    runtime::block_on(change(args, target))?
}

async fn change(args: &TargetArgs, target: Target) -> Outcome {
    let (client, fleet) = survey(&args.site).await?;
    let wanted = Wanted { all: args.all, ids: &args.instance };
    let selection = select(&fleet, &wanted).map_err(|refusal| Failure::World(refusal.into()))?;
    let goal = Goal::of(target, &selection);
    let mut report = Report::new(target, args.dry_run, &selection.unknown);
    if !args.json {
        announce(&selection, target.word(), args.dry_run)?;
    }
    let started = Instant::now();
    let answers = if args.dry_run { Vec::new() } else { change::apply(&client.bus, &fleet, &goal).await };
    report.add_answers(&goal, &answers);
    if !args.json {
        tell(&answers)?;
    }
    if let (Some(patience), false) = (args.wait, args.dry_run) {
        let goal = goal.without_refused(&answers);
        let waited = watch(&client.bus, &goal, started, patience, args.json).await?;
        report.waited = Some(waited);
    }
    if args.json {
        output::print_json(&report)?;
    }
    if report.is_complete() { Ok(()) } else { Err(Failure::Told(EXIT_WORLD)) }
}

/// Reads the site config and asks all HostManagers, for commands that cannot do without the router.
pub(super) async fn survey(site: &SiteArgs) -> Result<(Client, Fleet), Failure> {
    let client = Client::open(site).await?;
    client.bus.client()?;
    let survey = client.bus.survey(client.bus.declared()).await?;
    client.verdict(&survey.router)?;
    Ok((client, survey.fleet))
}

/// Says what is about to be asked of whom, and which names mean nothing.
pub(super) fn announce(selection: &Selection, verb: &str, dry_run: bool) -> Outcome {
    if dry_run {
        output::print(render::DRY_RUN_LINE)?;
    }
    output::print(&render::announcement(selection, verb))?;
    if !selection.unknown.is_empty() {
        let names = selection.unknown.join(", ");
        output::print_error(&format!(
            "error: nothing on this site is called {names}; see `campanile status`\n"
        ));
    }
    Ok(())
}

/// Says what the HostManagers made of it.
pub(super) fn tell(answers: &[Answer]) -> Outcome {
    let (told, problems) = render::answers(answers);
    output::print(&told)?;
    output::print_error(&problems);
    Ok(())
}

/// Waits, telling of each instance that gets there, and in the end of those that did not.
pub(super) async fn watch(
    bus: &Bus,
    goal: &Goal,
    started: Instant,
    patience: Duration,
    quiet: bool,
) -> Result<Waited, Failure> {
    let mut told = BTreeSet::new();
    let mut printed = Ok(());
    let progress = wait::until_reached(bus, goal, started + patience, |progress| {
        for (id, state) in progress {
            if *state == Progress::Reached && told.insert(id.clone()) && !quiet && printed.is_ok() {
                let word = goal.target.word();
                let after_s = started.elapsed().as_secs_f64();
                printed = output::print(&format!("  {id} is {word} after {after_s:.2} s\n"));
            }
        }
    })
    .await;
    printed?;
    let waited = Waited::new(started.elapsed().as_secs_f64(), &progress);
    if let (Some(complaint), false) = (waited.complaint(goal.target), quiet) {
        output::print_error(&format!("error: {complaint}\n"));
    }
    Ok(waited)
}
