//! `campanile events`: what happened, on all hosts of the site.

use std::path::PathBuf;
use std::time::Duration;

use campanile_ocs::site_config::{Mode, SiteArgs};

use crate::client::unix_now;
use crate::failure::{Failure, Outcome};
use crate::journal::ask::{Managers, Wanted};
use crate::journal::follow::{Seen, follow};
use crate::journal::show;
use crate::render::duration;
use crate::{output, runtime, this_site};

/// Events that are shown when nothing else is asked for.
const DEFAULT_EVENTS: usize = 50;
/// The same with `--follow`.
const FOLLOW_EVENTS: usize = 10;

/// Show what happened: launches, ends, crashes with their last words, requests with who made them, reloads, errors
///
/// The journals of all managers of the site are asked at the same time, over the bus. Those of this machine are reached
/// without a router, too, and a manager that is down is read from the journal that it left here. Times are UTC.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Kinds of events:
  state    launched, up, asked to end, killed, down
  request  what somebody asked for, who, and from where
  crash    an end that nobody asked for: code or signal, last lines
  config   a site config that was read again, taken or refused
  error    something that a manager tried and that failed
  daemon   a manager that begins or ends, or loses its bus
  journal  the journal itself: events that were lost

Examples:
  campanile events                          the newest 50 of the whole site
  campanile events --instance thermo1 --since 2h
  campanile events --kind crash --since 1d
  campanile events --follow                 go on until Ctrl-C
  campanile events --since 1h --json | jq 'select(.kind == \"request\")'

Exit codes:
  0 shown; 1 no manager, or not all of them, could be asked; 2 wrong options or
  site config")]
pub(crate) struct Args {
    /// Only what happened to this instance, or manager
    #[arg(short, long, value_name = "ID")]
    instance: Option<String>,
    /// Only events of this kind; may be given several times
    #[arg(short, long = "kind", value_name = "KIND")]
    kinds: Vec<String>,
    /// Not older than that (30s, 10m, 2h, 3d)
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    since: Option<Duration>,
    /// So many of the newest [default: 50, with --follow 10, with --since all of them]
    #[arg(short = 'n', long, value_name = "N")]
    lines: Option<usize>,
    /// Go on printing what happens
    #[arg(short, long)]
    follow: bool,
    /// Print each event as a JSON object
    #[arg(long)]
    json: bool,
    /// Where the managers of this machine keep their state [default: as `campanile host`]
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
    #[command(flatten)]
    site: SiteArgs,
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> Outcome {
    runtime::block_on(show(args))?
}

async fn show(args: &Args) -> Outcome {
    let site = this_site::select(Mode::Control, &args.site)?.site;
    let managers = Managers::open(&site, args.state_dir.as_ref()).await?;
    let usual = if args.follow { FOLLOW_EVENTS } else { DEFAULT_EVENTS };
    let last = match (args.lines, args.since) {
        (Some(lines), _) => Some(lines),
        (None, Some(_)) => None,
        (None, None) => Some(usual),
    };
    let wanted = Wanted {
        subject: args.instance.clone(),
        kinds: args.kinds.clone(),
        since: args.since.map(|since| unix_now() - since.as_secs_f64()),
        after: None,
        last,
    };
    let ids = match &args.instance {
        Some(instance) => managers.of_instance(instance),
        None => managers.ids(),
    };
    if ids.is_empty() {
        return Err(Failure::World(anyhow::anyhow!("the site config names no manager that could be asked")));
    }
    let answers = managers.events_of_all(&ids, &wanted).await;
    let mut silent = 0;
    let mut seen = Seen::new();
    let mut events = Vec::new();
    for (id, answer) in answers {
        match answer {
            Ok(found) => {
                if let Some(note) = found.note {
                    output::print_error(&format!("note: {note}\n"));
                }
                // Where there is none yet, everything from now on is news.
                seen.insert(id.clone(), found.events.last().map_or(0, |event| event.id));
                events.extend(found.events.into_iter().map(|event| (id.clone(), event)));
            }
            Err(why) => {
                silent += 1;
                output::print_error(&format!("note: {id} cannot be asked: {why}\n"));
            }
        }
    }
    events.sort_by_key(|(_, event)| (event.time_ms, event.id));
    if let Some(last) = last {
        events.drain(..events.len().saturating_sub(last));
    }
    let line =
        |id: &str, event: &_| if args.json { show::json_line(id, event) } else { show::line(id, event) };
    let text: String = events.iter().map(|(id, event)| line(id, event)).collect();
    output::print(&text)?;
    if args.follow {
        return follow(&managers, &wanted, seen, |id, event| output::write(&line(id, event))).await;
    }
    if silent > 0 { Err(Failure::Told(crate::failure::EXIT_WORLD)) } else { Ok(()) }
}
