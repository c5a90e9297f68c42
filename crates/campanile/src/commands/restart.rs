//! `campanile restart`: down, wait, up, wait.

use std::time::Duration;

use campanile_ocs::site_config::SiteArgs;
use serde::Serialize;
use tokio::time::Instant;

use super::updown;
use crate::client::AccessArgs;
use crate::failure::{EXIT_WORLD, Failure, Outcome};
use crate::fleet::change;
use crate::fleet::narrow::Selectors;
use crate::fleet::request::Target;
use crate::fleet::select::{Wanted, select};
use crate::fleet::survey::Fleet;
use crate::fleet::wait::Goal;
use crate::render::change::{Report, Waited};
use crate::render::{duration, summary};
use crate::signals::Termination;
use crate::{output, runtime};

/// Restart agents: down, wait until they have ended, up, wait until they run
///
/// Whatever happens on the way, the last thing asked for is "up". With -a, a pattern or the id of a HostManager, only
/// those are restarted that should be up; what is down on purpose stays down. An instance that is named is started in
/// any case.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  campanile restart thermo1
  campanile restart hm-host-1      what should be up of that HostManager
  campanile restart camera1 --wait 5m
  campanile restart -a --state unstable

Exit codes:
  0 all run again; 1 an unknown target, no router, a HostManager not reached,
  or an agent that did not end or start in time; 2 wrong options or site config")]
pub(crate) struct Args {
    /// Everything on the site that should be up; --host, --class and --state narrow it
    #[arg(long, short)]
    pub(crate) all: bool,
    #[command(flatten)]
    pub(crate) only: Selectors,
    /// Only say what would be asked of whom
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// How long they may take to end, and then again to start (30s, 5m, 1h30m)
    #[arg(long, value_name = "DURATION", value_parser = duration::parse, default_value = "2m")]
    pub(crate) wait: Duration,
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

/// The `--json` form; documented in the book's chapter on commands.
#[derive(Debug, Serialize)]
struct RestartReport {
    stopped: Report,
    started: Report,
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> Outcome {
    runtime::block_on(restart(args))?
}

async fn restart(args: &Args) -> Outcome {
    let mut termination = Termination::listen()?;
    let (client, fleet) = updown::survey(&args.site, &args.access).await?;
    client.hosts_of(&args.only)?;
    let wanted = Wanted { should_run: true, ..Wanted::new(args.all, &args.instance).only(&args.only) };
    let selection = select(&fleet, &wanted).map_err(|refusal| Failure::World(refusal.into()))?;
    let down = narrowed(&fleet, Goal::of(Target::Down, &selection));
    let mut stopped = Report::new(Target::Down, args.dry_run, &selection);
    let mut started = Report::new(Target::Up, args.dry_run, &selection);
    if !args.json {
        updown::announce(&selection, "restart", args.dry_run)?;
    }
    updown::complain(&selection, &args.only);
    if args.dry_run {
        stopped.add_answers(&down, &[]);
        started.add_answers(&Goal { target: Target::Up, ..down }, &[]);
        return finish(args, RestartReport { stopped, started }, true);
    }

    let begin = Instant::now();
    let answers = change::apply(&client.bus, &fleet, &down).await;
    stopped.add_answers(&down, &answers);
    if !args.json {
        updown::tell(&answers)?;
    }
    // Those that took the request are down or on their way. Whatever happens from here on, also Ctrl-C or a reader
    // that has gone away, they are asked to come up again.
    let (asked, stopped_answers) = (Goal { target: Target::Up, ..down.clone() }, answers.clone());
    let down = down.without_refused(&answers);
    let up = Goal { target: Target::Up, of_managers: down.of_managers.clone() };
    let mut interrupted = false;
    tokio::select! {
        waited = updown::watch(&client.bus, &fleet, &down, begin, begin + args.wait, args.json) => {
            stopped.waited = waited.ok().map(|last| Waited::new(begin.elapsed().as_secs_f64(), &last));
        }
        signal = termination.requested() => {
            interrupted = true;
            output::print_error(&format!("error: {signal}: not waiting any longer, asking for \"up\"\n"));
        }
    }
    let begin = Instant::now();
    let fleet = client.bus.survey(client.bus.declared()).await?.fleet;
    let answers = change::apply(&client.bus, &fleet, &up).await;
    started.add_answers(&up, &answers);
    if !args.json {
        updown::tell(&answers)?;
    }
    let mut progress = None;
    if !interrupted {
        let up = up.clone().without_refused(&answers);
        let last = updown::watch(&client.bus, &fleet, &up, begin, begin + args.wait, args.json).await?;
        started.waited = Some(Waited::new(begin.elapsed().as_secs_f64(), &last));
        progress = Some(last);
    }
    started.hosts = summary::of_hosts(&fleet, &asked, &stopped_answers, progress.as_ref());
    if !args.json {
        updown::sum_up(&started.hosts, Target::Up)?;
    }
    finish(args, RestartReport { stopped, started }, !interrupted)
}

/// "Everything" of a HostManager means what should run of it.
fn narrowed(fleet: &Fleet, mut goal: Goal) -> Goal {
    for report in fleet.hosts.iter().flat_map(|host| &host.managers) {
        if let Some(targets) = goal.of_managers.get_mut(&report.instance_id) {
            *targets = change::restart_targets(report, targets);
        }
    }
    goal
}

fn finish(args: &Args, report: RestartReport, undisturbed: bool) -> Outcome {
    let complete = undisturbed && report.stopped.is_complete() && report.started.is_complete();
    if args.json {
        output::print_json(&report)?;
    }
    if complete { Ok(()) } else { Err(Failure::Told(EXIT_WORLD)) }
}
