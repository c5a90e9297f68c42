//! `campanile demo`: a small site on one machine, to look at and to play with.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use campanile_ocs::site_config::{self, Mode, SiteArgs, SiteConfig};
use tokio::time::Instant;

use crate::demo::cluster::Cluster;
use crate::demo::place::{self, BUILT_IN_SITE, Place};
use crate::demo::pool::Pool;
use crate::demo::script::Script;
use crate::demo::show::{self, Show};
use crate::demo::stage::Stage;
use crate::failure::{Failure, Outcome};
use crate::fleet::declared;
use crate::render::duration;
use crate::signals::Termination;
use crate::{output, runtime, this_site};

/// Bring up a small site on this machine, with agents that come, crash and go
///
/// Starts a router, a HostManager for every host of the site config, and through them the agents, shows what happens,
/// and stops all of it at Ctrl-C. Beside them runs a simulated LDMS cluster, in which an aggregator dies, and a small
/// pool, to which jobs are submitted. With nothing but this program: the agents are simulated instruments, but real OCS
/// agents on a real bus; the workers are processes of this machine. Nothing is left behind.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  campanile demo
  campanile demo --site-file my-site.yaml   your own site config; note that its
                                            agents are started for real
  campanile demo --for 20s | cat            plain lines; ends by itself")]
pub(crate) struct Args {
    /// Use this site config instead of the built-in one
    #[arg(long, value_name = "FILE")]
    pub(crate) site_file: Option<PathBuf>,
    /// Play this host of the site config only
    #[arg(long, value_name = "HOST")]
    pub(crate) site_host: Option<String>,
    /// End by itself after that long (20s, 2m)
    #[arg(long = "for", value_name = "DURATION", value_parser = duration::parse)]
    pub(crate) duration: Option<Duration>,
    /// Do nothing but show: no agent is killed or stopped for the sake of it
    #[arg(long)]
    pub(crate) no_script: bool,
    /// The Python interpreter for agents without a command of their own
    #[arg(long, value_name = "FILE")]
    pub(crate) python: Option<PathBuf>,
    /// Keep the directory with the site config, logs and state
    #[arg(long)]
    pub(crate) keep: bool,
}

/// So many ports are tried for the router when other programs take them at the same time.
const ROUTER_TRIES_MAX: usize = 5;

/// Runs the command.
pub(crate) fn run(args: &Args) -> Outcome {
    runtime::block_on(play(args))?
}

async fn play(args: &Args) -> Outcome {
    let mut termination = Termination::listen_also_to_hangup()?;
    let text = match &args.site_file {
        None => BUILT_IN_SITE.to_owned(),
        Some(path) => checked(path)?,
    };
    let place = Place::create(args.keep)?;
    let site = write_site(args, &place, &text, true)?;

    // Paths in a user's own file mean what they mean where the user is.
    let working_dir = match args.site_file {
        Some(_) => std::env::current_dir().context("cannot find out the current directory")?,
        None => place.path().to_owned(),
    };
    let mut stage = Stage::new(&place, &working_dir);
    let outcome = perform(args, &place, &text, site, &mut stage, &mut termination).await;
    if outcome.is_ok() {
        output::print_error("Stopping everything that was started (Ctrl-C again to kill it) ...\n");
    }
    stage
        .stop(async {
            termination.requested().await;
        })
        .await;
    if args.keep {
        output::print_error(&format!("Everything is kept in {}\n", place.path().display()));
    }
    outcome
}

/// Writes the site config with the router on a free port; `usual` is whether the usual port will do. Returns the hosts
/// that are played.
fn write_site(args: &Args, place: &Place, text: &str, usual: bool) -> Result<SiteConfig, Failure> {
    let port = place::free_port(usual).context("no port is free for the router")?;
    let text = place::with_router_at(text, port)
        .ok_or_else(|| Failure::Usage("no hub can be found in the site config".to_owned()))?;
    place.write(&text)?;
    let here = SiteArgs { site_file: Some(place.site_file()), ..SiteArgs::default() };
    let mut site = this_site::select(Mode::Control, &here)?.site;
    if let Some(only) = &args.site_host {
        site.hosts.retain(|host| host.name == *only);
    }
    // The others, of the built-in site, have the managers whose stories are told beside the table.
    let kept: Vec<String> = managers(&site).into_iter().map(|(host, _)| host).collect();
    site.hosts.retain(|host| kept.contains(&host.name));
    if kept.is_empty() {
        let whose = args.site_host.as_ref().map_or(String::new(), |host| format!(" for the host {host}"));
        return Err(Failure::Usage(format!("the site config has no HostManager{whose}")));
    }
    Ok(site)
}

async fn perform(
    args: &Args,
    place: &Place,
    text: &str,
    mut site: SiteConfig,
    stage: &mut Stage,
    termination: &mut Termination,
) -> Outcome {
    let started = Instant::now();
    for attempt in 1.. {
        if stage.start_router(&place.site_file()).await? {
            break;
        }
        if attempt == ROUTER_TRIES_MAX {
            return Err(Failure::World(anyhow::anyhow!("no port could be had for the router")));
        }
        // Another program, perhaps another demo, was faster.
        site = write_site(args, place, text, false)?;
    }
    for (host, instance_id) in managers(&site) {
        let mut more = Vec::new();
        if let Some(python) = &args.python {
            more.extend(["--python".to_owned(), python.display().to_string()]);
        }
        stage.start_manager(&host, &instance_id, &more)?;
    }
    let script = (!args.no_script).then(|| Script::new(started.elapsed().as_secs_f64()));
    let plays = !args.no_script;
    let (cluster, pool) = match args.site_file {
        // A site of the user's own is played as it is.
        Some(_) => (None, None),
        None => (Some(Cluster::begin(place, stage, plays)?), Some(Pool::begin(place, stage, plays).await?)),
    };
    let hints = show::hints(&place.env_file().display().to_string(), &site, pool.is_some());
    let on_terminal = std::io::stdout().is_terminal() && std::env::var_os("TERM").is_none_or(|t| t != "dumb");
    let end = async {
        match args.duration {
            Some(duration) => tokio::select! {
                _ = termination.requested() => {}
                () = tokio::time::sleep(duration) => {}
            },
            None => {
                termination.requested().await;
            }
        }
    };
    Show { site: &site, hints, script, cluster, pool, started, on_terminal }.run(stage, end).await
}

/// The text of a user's site config, if it can be used; else everything that is wrong with it.
fn checked(path: &Path) -> Result<String, Failure> {
    let (site, diagnostics) = site_config::load(path);
    if site.is_none() {
        return Err(Failure::Config(diagnostics));
    }
    if !diagnostics.is_empty() {
        output::print_error(&diagnostics.render(output::stderr_coloured()));
    }
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(text)
}

/// Host and id of every HostManager of the site.
fn managers(site: &SiteConfig) -> Vec<(String, String)> {
    let hosts = declared::hosts(site);
    hosts.iter().flat_map(|host| host.managers().map(|id| (host.name.clone(), id.to_owned()))).collect()
}
