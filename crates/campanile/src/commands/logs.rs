//! `campanile logs`: what an instance printed, on whatever host of the site.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use campanile_control::state_dir;
use campanile_ocs::client::{Endpoint, OcsClient};
use campanile_ocs::site_config::{Mode, SiteArgs, SiteConfig};
use clap::ValueEnum;

use crate::client::unix_now;
use crate::failure::{Failure, Outcome};
use crate::fleet::declared::{self, DeclaredHost};
use crate::logs::print::{Lines, Printer};
use crate::logs::since::Filter;
use crate::logs::source::{ANSWER_TIMEOUT, From, Missing, Page, Source};
use crate::render::duration;
use crate::{output, runtime, this_site};

/// Lines that are shown when nothing else is asked for.
const DEFAULT_LINES: u64 = 20;
/// So long after its HostManager went away a reader looks again.
const RETRY_EVERY: Duration = Duration::from_millis(500);

/// Show what an instance printed to its stdout and stderr
///
/// A HostManager of this machine is asked through its control socket, so this works with the router away; when it does
/// not run, the files it left are read. One of another machine is asked over the bus. What docker services printed it
/// gets from the docker engine, as long as their containers are there. Agents started by the HostManager of OCS leave
/// nothing that could be read.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  campanile logs thermo1               the last 20 lines of each stream
  campanile logs thermo1 -n 200
  campanile logs thermo1 -f            go on until Ctrl-C, also over restarts
  campanile logs thermo1 --since 10m   by the times on the lines, or of docker

Exit codes:
  0 shown; 1 no such instance, or nobody has its logs; 2 wrong options or site
  config")]
pub(crate) struct Args {
    /// The id of the instance
    #[arg(value_name = "INSTANCE")]
    instance: String,
    /// So many of the last lines of each stream [default: 20, or with --since all of them]
    #[arg(short = 'n', long, value_name = "N")]
    lines: Option<u64>,
    /// Go on printing what comes
    #[arg(short, long)]
    follow: bool,
    /// Only what is not older than that (30s, 10m, 2h), by the times on the lines, or of docker
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    since: Option<Duration>,
    /// Only this stream
    #[arg(long, value_enum)]
    stream: Option<Stream>,
    /// Where the HostManager keeps its state [default: as `campanile host`]
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
    /// Print each line as a JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    site: SiteArgs,
}

/// What a program prints on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Stream {
    Stdout,
    Stderr,
}

impl Stream {
    const fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> Outcome {
    runtime::block_on(show(args))?
}

async fn show(args: &Args) -> Outcome {
    let site = this_site::select(Mode::Control, &args.site)?.site;
    let env = |name: &str| std::env::var(name).ok();
    let base = state_dir::base(args.state_dir.as_deref(), &env, state_dir::is_root())
        .map_err(|error| Failure::Usage(error.to_string()))?;
    let source = find(&base, &site, &args.instance).await?;
    let streams: Vec<&str> = match args.stream {
        Some(only) => vec![only.name()],
        None => vec![Stream::Stdout.name(), Stream::Stderr.name()],
    };

    let not_before_s = args.since.map(|since| unix_now() - since.as_secs_f64());
    let wanted = match (args.lines, args.since) {
        (Some(lines), _) => Some(lines),
        (None, Some(_)) => None,
        (None, None) => Some(DEFAULT_LINES),
    };
    let mut reached = Vec::new();
    let mut chosen = Vec::new();
    for stream in &streams {
        let (lines, next_offset, timeless) = last_lines(&source, stream, wanted, not_before_s).await?;
        if timeless > 0 {
            output::print_error(&format!(
                "note: {timeless} lines of {stream} bear no time and are left out\n"
            ));
        }
        reached.push(((*stream).to_owned(), next_offset));
        chosen.push(lines);
    }
    // With one stream in use there is nothing to tell apart, unless the other may still come.
    let in_use = chosen.iter().filter(|lines| !lines.is_empty()).count();
    let mut printer = Printer::new(args.json, in_use > 1 || (args.follow && streams.len() > 1));
    for (stream, lines) in streams.iter().zip(&chosen) {
        output::print(&printer.lines(stream, lines.iter().map(String::as_str)))?;
    }
    if !args.follow {
        return Ok(());
    }
    follow(args, &base, &site, source, reached, printer).await
}

/// Prints what comes, until the reader or the instance's place has gone for good.
async fn follow(
    args: &Args,
    base: &Path,
    site: &SiteConfig,
    mut source: Source,
    mut reached: Vec<(String, u64)>,
    mut printer: Printer,
) -> Outcome {
    let mut rests: Vec<Lines> = reached.iter().map(|_| Lines::default()).collect();
    let mut looked = Instant::now();
    loop {
        let gone = match source.more(&reached).await {
            Ok(pages) => {
                for page in pages {
                    if print_page(&page, &mut reached, &mut rests, &mut printer).is_err() {
                        // The reader has gone.
                        return Ok(());
                    }
                }
                false
            }
            Err(Missing::Failed(reason)) => return Err(Failure::World(anyhow::anyhow!(reason))),
            Err(Missing::NotHere | Missing::NotManaged) => {
                tokio::time::sleep(RETRY_EVERY).await;
                true
            }
        };
        // A HostManager that is gone leaves its files; one that is back knows better than they do.
        if (gone || !source.is_live()) && looked.elapsed() >= RETRY_EVERY {
            looked = Instant::now();
            if let Ok(found) = find(base, site, &args.instance).await
                && (gone || found.is_live())
            {
                source = found;
            }
        }
    }
}

fn print_page(
    page: &Page,
    reached: &mut [(String, u64)],
    rests: &mut [Lines],
    printer: &mut Printer,
) -> std::io::Result<()> {
    let place = reached.iter_mut().zip(rests).find(|((stream, _), _)| *stream == page.stream);
    let Some(((_, offset), rest)) = place else { return Ok(()) };
    *offset = page.next_offset;
    let lines = rest.push(&page.text);
    output::write(&printer.lines(&page.stream, lines.iter().map(String::as_str)))
}

/// The last lines of a stream, where to read on, and how many lines bear no time by which they could be chosen.
async fn last_lines(
    source: &Source,
    stream: &str,
    wanted: Option<u64>,
    not_before_s: Option<f64>,
) -> Result<(Vec<String>, u64, u64), Failure> {
    let failed = |missing: Missing| match missing {
        Missing::Failed(reason) => Failure::World(anyhow::anyhow!(reason)),
        Missing::NotHere | Missing::NotManaged => {
            Failure::World(anyhow::anyhow!("the HostManager went away while it was asked"))
        }
    };
    let mut filter = Filter::new(not_before_s);
    let count = |lines: &[String]| u64::try_from(lines.len()).unwrap_or(u64::MAX);
    if let (Some(wanted), None) = (wanted, not_before_s) {
        let page = source.page(stream, From::LastLines(wanted)).await.map_err(failed)?;
        let lines: Vec<String> = page.text.lines().map(str::to_owned).collect();
        // A page has a limit; when it was reached before the lines were, everything is read.
        if page.next_offset == page.end && (count(&lines) >= wanted || page.offset == 0) {
            return Ok((lines, page.next_offset, 0));
        }
    }
    let mut offset = 0;
    if let Some(not_before_s) = not_before_s {
        let end = source.page(stream, From::LastLines(0)).await.map_err(failed)?;
        if end.by_time {
            // Whoever keeps it knows when each line came, whatever it begins with.
            offset = (not_before_s.max(0.0) * 1e9) as u64;
            filter = Filter::new(None);
        }
    }
    let mut collected = Lines::default();
    let mut kept: VecDeque<String> = VecDeque::new();
    let limit = wanted.and_then(|wanted| usize::try_from(wanted).ok()).unwrap_or(usize::MAX);
    loop {
        let page = source.page(stream, From::Offset(offset)).await.map_err(failed)?;
        let mut lines = collected.push(&page.text);
        let at_end = page.next_offset >= page.end || page.text.is_empty();
        if at_end {
            lines.extend(collected.finish());
        }
        for line in lines {
            if filter.passes(&line) && limit > 0 {
                if kept.len() == limit {
                    kept.pop_front();
                }
                kept.push_back(line);
            }
        }
        if at_end {
            return Ok((kept.into(), page.next_offset, filter.timeless));
        }
        offset = page.next_offset;
    }
}

/// Finds whose state on this machine has the output of the instance.
async fn find(base: &Path, site: &SiteConfig, instance_id: &str) -> Result<Source, Failure> {
    let hosts = declared::hosts(site);
    let home = hosts.iter().find(|host| host.instances.iter().any(|known| known.instance_id == instance_id));
    // An instance that this site config does not know may still be known to a HostManager.
    let candidates: Vec<&DeclaredHost> = home.map_or_else(|| hosts.iter().collect(), |home| vec![home]);
    let mut here = false;
    let mut elsewhere = Vec::new();
    for id in candidates.iter().flat_map(|host| host.managers()) {
        match Source::open(base, &site.address(id), instance_id).await {
            Ok(source) => return Ok(source),
            Err(Missing::NotHere) => elsewhere.push(id),
            Err(Missing::NotManaged) => here = true,
            Err(Missing::Failed(reason)) => {
                return Err(Failure::World(anyhow::anyhow!(reason).context(format!("the logs of {id}"))));
            }
        }
    }
    let mut no_bus = None;
    if !elsewhere.is_empty() {
        match on_bus(site, &elsewhere, instance_id).await {
            Ok(Some(source)) => return Ok(source),
            Ok(None) => {}
            Err(reason) => no_bus = Some(reason),
        }
    }
    Err(Failure::World(match (home, here) {
        (None, _) => anyhow::anyhow!("nothing on this site is called {instance_id}; see `campanile status`"),
        (Some(_), true) => anyhow::anyhow!("{instance_id} has printed nothing yet that was kept"),
        (Some(home), false) => match no_bus {
            Some(reason) => anyhow::anyhow!(
                "no HostManager of the host {} keeps its state in {} on this machine, and over the bus none can be \
                 asked: {reason}",
                home.name,
                base.display()
            ),
            None => anyhow::anyhow!(
                "no HostManager of the host {} has the logs of {instance_id}: it is down, does not manage it, or is \
                 not one of Campanile's",
                home.name
            ),
        },
    }))
}

/// Finds which of these HostManagers of other machines has the output of the instance.
async fn on_bus(site: &SiteConfig, managers: &[&str], instance_id: &str) -> Result<Option<Source>, String> {
    let endpoint = match &site.hub.wamp_http {
        Some(url) => Endpoint::Http(url.clone()),
        None => Endpoint::Ws(site.hub.wamp_server.clone(), site.hub.wamp_realm.clone()),
    };
    let bus = OcsClient::connect(endpoint, ANSWER_TIMEOUT).await.map_err(|error| error.to_string())?;
    for id in managers {
        match Source::open_on_bus(&bus, &site.address(id), instance_id).await {
            Ok(source) => return Ok(Some(source)),
            Err(Missing::NotHere | Missing::NotManaged) => {}
            Err(Missing::Failed(reason)) => return Err(format!("{id}: {reason}")),
        }
    }
    Ok(None)
}
