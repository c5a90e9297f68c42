//! `ocs-local-support`: router and HostManager of this host, by hand.

use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use campanile_control::state_dir;
use campanile_ocs::site_config::{HostConfig, Mode, Selected, SiteArgs};
use clap::ValueEnum;
use tokio::time::{Instant, sleep};

use crate::client::AccessArgs;
use crate::failure::{EXIT_WORLD, Failure, Outcome};
use crate::fleet::HOSTMANAGER_CLASS;
use crate::fleet::ask::endpoint;
use crate::local::advice::{self, Advice, Facts, Subsystem};
use crate::local::manager::LocalManager;
use crate::local::router::{LocalRouter, Started};
use crate::local::{crossbar_config, facts, manager};
use crate::ocsbow::plugins::search_path;
use crate::{output, runtime, this_site};

/// How long a router and a HostManager have to come up: a crossbar takes five seconds on an idle machine.
const START_TIMEOUT: Duration = Duration::from_secs(90);
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Columns of paragraphs where there is no terminal.
const WIDTH: usize = 80;

/// Control the router and the HostManager of this host
///
/// For small sites, and to try a configuration. What is started here goes on in the background, and is stopped here.
/// The router is that of the host block in the site config: `crossbar: {bin: FILE, config-dir: DIR}`; with
/// `bin: campanile`, or where no crossbar is installed, it is Campanile's own.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  ocs-local-support status
  ocs-local-support start                      router and HostManager
  ocs-local-support start agent --foreground   the HostManager in this terminal
  ocs-local-support stop agent
  ocs-local-support stop
  ocs-local-support generate_crossbar_config

Exit codes:
  0 done, or the status is shown; 1 something did not start or stop, or the
  configuration on the disk differs; 2 wrong options or site config")]
pub(crate) struct Args {
    /// What to do
    #[arg(value_enum)]
    command: Verb,
    /// Only this
    #[arg(value_enum)]
    target: Option<Target>,
    /// With `start crossbar` and `start agent`: run it in this terminal until Ctrl-C
    #[arg(long)]
    foreground: bool,
    /// The Python interpreter with OCS and the plugins of the site, for agents without a command of their own
    #[arg(long, value_name = "FILE")]
    python: Option<PathBuf>,
    /// Print the status as JSON, of the form that the manual describes
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    access: AccessArgs,
    #[command(flatten)]
    site: SiteArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Verb {
    /// Show what runs, and what to do about it.
    Status,
    /// Start what does not run.
    Start,
    /// Stop what runs.
    Stop,
    /// Write the configuration of a crossbar for this site, or show how the present one differs.
    #[value(name = "generate_crossbar_config")]
    GenerateCrossbarConfig,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Target {
    /// The router.
    Crossbar,
    /// The HostManager.
    Agent,
    /// The HostManager's process `manager`, which keeps the agents.
    Process,
}

impl Target {
    fn subsystem(self) -> Subsystem {
        match self {
            Self::Crossbar => Subsystem::Crossbar,
            Self::Agent => Subsystem::Agent,
            Self::Process => Subsystem::Process,
        }
    }
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> Outcome {
    if args.foreground
        && !(args.command == Verb::Start && matches!(args.target, Some(Target::Crossbar | Target::Agent)))
    {
        return Err(Failure::Usage(
            "--foreground goes with `start crossbar` and `start agent` only".to_owned(),
        ));
    }
    if args.json && args.command != Verb::Status {
        return Err(Failure::Usage("--json goes with `status` only".to_owned()));
    }
    let local = Local::find(args)?;
    runtime::block_on(async {
        match args.command {
            Verb::Status => local.status(args).await,
            Verb::Start => local.start(args).await,
            Verb::Stop => local.stop(args).await,
            Verb::GenerateCrossbarConfig => local.generate(),
        }
    })?
}

/// What the site config says of this host.
struct Local {
    selected: Selected,
    host: HostConfig,
    router: Option<LocalRouter>,
    manager: Option<LocalManager>,
}

impl Local {
    fn find(args: &Args) -> Result<Self, Failure> {
        let selected = this_site::select(Mode::Host, &args.site)?;
        let Some(host) = selected.host.clone() else {
            return Err(Failure::Usage("this needs a site config with a host block".to_owned()));
        };
        let env = |name: &str| std::env::var(name).ok();
        let state = state_dir::base(None, &env, state_dir::is_root())
            .map_err(|error| Failure::Usage(error.to_string()))?;
        let hub = &selected.site.hub;
        let site = site_options(&args.site, &selected, &host)?;
        let router = match &host.crossbar {
            Some(crossbar) => {
                Some(LocalRouter::new(crossbar, &search_path(), site, &state, &hub.wamp_server)?)
            }
            None => None,
        };
        let manager = match host_manager(&args.site, &host)? {
            Some(id) => {
                let passwords = args.access.passwords()?;
                let address = selected.site.address(&id);
                Some(LocalManager::new(&id, address, &state, endpoint(hub), passwords))
            }
            None => None,
        };
        Ok(Self { selected, host, router, manager })
    }

    async fn facts(&self) -> Result<Facts, Failure> {
        facts::gather(&self.selected.site.hub, self.router.as_ref(), self.manager.as_ref()).await
    }

    async fn status(&self, args: &Args) -> Outcome {
        let facts = self.facts().await?;
        if args.json {
            return output::print_json(&facts);
        }
        output::print(&advice::status(&facts, args.target.map(Target::subsystem)))?;
        let advice = advice::advice(&facts);
        if advice.is_empty() {
            return Ok(());
        }
        let mut text = String::from("Advice:\n");
        for item in &advice {
            text.push_str(&paragraph(item));
            text.push('\n');
        }
        output::print(&text)
    }

    async fn start(&self, args: &Args) -> Outcome {
        let facts = self.facts().await?;
        let advice = advice::advice(&facts);
        let wanted = match args.target {
            Some(target) => vec![target.subsystem()],
            None => {
                let trouble: Vec<&Advice> =
                    advice.iter().filter(|item| matches!(item, Advice::Trouble(_))).collect();
                if !trouble.is_empty() {
                    let text: String = trouble.into_iter().map(paragraph).collect();
                    output::print_error(&format!("Trouble!\n{text}"));
                    return Err(Failure::Told(EXIT_WORLD));
                }
                let starts = advice.iter().filter_map(|item| match item {
                    Advice::Start(subsystem, _) => Some(*subsystem),
                    Advice::Trouble(_) | Advice::Note(_) => None,
                });
                starts.collect()
            }
        };
        if wanted.is_empty() {
            return output::print("Everything is running already.\n");
        }
        for subsystem in wanted {
            match subsystem {
                Subsystem::Crossbar => self.start_router(args, &facts).await?,
                Subsystem::Agent => self.start_agent(args, &facts).await?,
                Subsystem::Process => self.start_process().await?,
            }
        }
        Ok(())
    }

    fn router(&self) -> Result<&LocalRouter, Failure> {
        self.router.as_ref().ok_or_else(|| {
            Failure::Usage(format!(
                "no router is configured for this host\n  help: to start one or to generate a configuration for it, \
                 the block of {0} in {1} needs a `crossbar` entry, such as `crossbar: {{}}`",
                self.host.name,
                self.selected.site.path.display()
            ))
        })
    }

    fn manager(&self) -> Result<&LocalManager, Failure> {
        self.manager.as_ref().ok_or_else(|| {
            Failure::Usage(format!(
                "no HostManager is configured for this host\n  help: the block of {0} in {1} needs \
                 {{'agent-class': 'HostManager', 'instance-id': 'hm-{0}'}}",
                self.host.name,
                self.selected.site.path.display()
            ))
        })
    }

    async fn start_router(&self, args: &Args, facts: &Facts) -> Outcome {
        let router = self.router()?;
        if facts.router.running == Some(true) {
            return output::print("The router of this host is running already.\n");
        }
        router.refuse_unconfigured()?;
        output::print(&format!("Trying to start {}...\n", router.name()))?;
        if args.foreground {
            return Err(Failure::World(router.run_in_foreground()));
        }
        let mut started = router.start()?;
        let hub = &self.selected.site.hub;
        self.until_up(&mut started, router.name(), async || Ok(facts::connection(hub).await?.is_none()))
            .await?;
        output::print(&format!("New {} instance running as pid {}\n", router.name(), started.pid()))
    }

    async fn start_agent(&self, args: &Args, facts: &Facts) -> Outcome {
        let manager = self.manager()?;
        if facts.manager.as_ref().is_some_and(|manager| manager.running) {
            return output::print("The HostManager is running already.\n");
        }
        output::print("Trying to launch hostmanager agent...\n")?;
        match &self.host.log_dir {
            Some(dir) => {
                output::print(&format!("Log dir is: {}\n", dir.display()))?;
                if !dir.is_dir() {
                    output::print_error(&format!(
                        "warning: the expected log dir, {}, does not exist\n",
                        dir.display()
                    ));
                }
            }
            None => output::print("Log dir is: None\n")?,
        }
        let mut host = vec!["host".to_owned()];
        host.extend(["--instance-id".to_owned(), manager.instance_id.clone()]);
        host.extend(site_options(&args.site, &self.selected, &self.host)?);
        if let Some(python) = &args.python {
            host.extend(["--python".to_owned(), python.display().to_string()]);
        }
        output::print("Launching host_manager (campanile host)...\n")?;
        if args.foreground {
            let error = manager::command(&host)?.exec();
            return Err(anyhow::Error::new(error).context("cannot run campanile host").into());
        }
        let mut started = manager.start(&host)?;
        output::print(&format!("... pid is {}\n", started.pid()))?;
        self.until_up(&mut started, "the HostManager", async || Ok(manager.condition().await.running)).await
    }

    /// Waits until something that was started answers.
    async fn until_up(
        &self,
        started: &mut Started,
        name: &str,
        is_up: impl AsyncFn() -> Result<bool, Failure>,
    ) -> Outcome {
        let deadline = Instant::now() + START_TIMEOUT;
        loop {
            if let Some(end) = started.has_ended() {
                return Err(anyhow::anyhow!("{name} has ended at once: {end}").into());
            }
            if is_up().await? {
                return Ok(());
            }
            if Instant::now() >= deadline {
                let limit = START_TIMEOUT.as_secs();
                return Err(anyhow::anyhow!(
                    "{name} (pid {}) does not answer within {limit} s",
                    started.pid()
                )
                .into());
            }
            sleep(LOOK_EVERY).await;
        }
    }

    async fn start_process(&self) -> Outcome {
        let manager = self.manager()?;
        if manager.condition().await.process_running {
            return output::print("The manager process is running already.\n");
        }
        output::print("Starting manager process.\n")?;
        Ok(manager.start_process().await.context("the manager process was not started")?)
    }

    async fn stop(&self, args: &Args) -> Outcome {
        let wanted = |target| args.target.is_none_or(|only| only == target);
        let mut complete = true;
        if args.target.is_some_and(|target| target != Target::Crossbar) {
            self.manager()?;
        }
        if let Some(manager) =
            self.manager.as_ref().filter(|_| wanted(Target::Agent) || wanted(Target::Process))
        {
            let condition = manager.condition().await;
            if !condition.running {
                output::print("The HostManager is not running.\n")?;
            } else if wanted(Target::Agent) {
                output::print("Requesting HostManager termination.\n")?;
                complete &= told(manager.die().await, "the HostManager was not stopped");
            } else if condition.process_running {
                output::print("Stopping manager process ...\n")?;
                complete &= told(manager.stop_process().await, "the manager process was not stopped");
            } else {
                output::print("The manager process is not running.\n")?;
            }
        }
        if args.target == Some(Target::Crossbar) {
            self.router()?;
        }
        if let Some(router) = self.router.as_ref().filter(|_| wanted(Target::Crossbar)) {
            complete &= self.stop_router(router).await?;
        }
        if complete { Ok(()) } else { Err(Failure::Told(EXIT_WORLD)) }
    }

    async fn stop_router(&self, router: &LocalRouter) -> Result<bool, Failure> {
        if router.is_running().await? {
            output::print(&format!("Stopping {}.\n", router.name()))?;
            let gone = router.stop().await?;
            if !gone {
                output::print_error(&format!("error: {} did not stop\n", router.name()));
            }
            return Ok(gone);
        }
        if facts::connection(&self.selected.site.hub).await?.is_none() {
            output::print_error(
                "error: the router that answers was not started here; stop it where it was started\n",
            );
            return Ok(false);
        }
        output::print("No running crossbar detected, system is already \"down\".\n")?;
        Ok(true)
    }

    fn generate(&self) -> Outcome {
        self.router()?;
        let dir = self.host.crossbar.as_ref().and_then(|crossbar| crossbar.config_dir.as_deref());
        let file =
            dir.map_or_else(|| PathBuf::from("./config.json"), |dir| PathBuf::from(dir).join("config.json"));
        let name = file.display();
        output::print(&match dir {
            Some(dir) => format!(
                "The crossbar config-dir is set to:\n  {dir}\nUsing\n  {name}\nas the target output file.\n\n"
            ),
            None => format!(
                "The crossbar config-dir is not set in this host config.\n\nUsing {name} as the target output file.\n\n"
            ),
        })?;
        output::print("Generating crossbar config text.\n")?;
        let config = crossbar_config::config(&self.selected.site.hub).map_err(Failure::Usage)?;
        match std::fs::read_to_string(&file) {
            Ok(before) => match crossbar_config::difference(&name.to_string(), &before, &config) {
                None => output::print(&format!("No changes to {name} are needed.\n\n")),
                Some(difference) => {
                    output::print(&format!(
                        "\nThe target output file differs from the new one:\n{difference}\n\nTo adopt the new config, \
                         remove {name} and re-run me.\n\n"
                    ))?;
                    Err(Failure::Told(EXIT_WORLD))
                }
            },
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let made = dir.map_or(Ok(()), std::fs::create_dir_all);
                made.and_then(|()| std::fs::write(&file, crossbar_config::text(&config)))
                    .with_context(|| format!("cannot write {name}"))?;
                output::print(&format!("Wrote {name}\n\n"))
            }
            Err(error) => Err(anyhow::Error::new(error).context(format!("cannot read {name}")).into()),
        }
    }
}

/// The HostManager of the block: the one that is named, or the only one; `None` when it has none, or several.
fn host_manager(site: &SiteArgs, host: &HostConfig) -> Result<Option<String>, Failure> {
    let all =
        host.instances.iter().filter(|one| one.agent_class == HOSTMANAGER_CLASS && one.problem.is_none());
    let ids: Vec<&str> = all.map(|one| one.instance_id.as_str()).collect();
    match (site.instance_id.as_deref(), ids.as_slice()) {
        (Some(id), ids) if ids.contains(&id) => Ok(Some(id.to_owned())),
        (Some(id), _) => Err(Failure::Usage(format!("host {} has no HostManager `{id}`", host.name))),
        (None, [only]) => Ok(Some((*only).to_owned())),
        (None, []) => Ok(None),
        (None, several) => Err(Failure::Usage(format!(
            "host {} has several HostManagers: {}\n  help: choose one with --instance-id",
            host.name,
            several.join(", ")
        ))),
    }
}

/// The options by which a daemon of ours finds this site and this host, in full.
fn site_options(args: &SiteArgs, selected: &Selected, host: &HostConfig) -> Result<Vec<String>, Failure> {
    let working_dir =
        std::path::absolute(&selected.working_dir).context("the working directory is unknown")?;
    let mut options = vec![
        "--site-file".to_owned(),
        selected.site.path.display().to_string(),
        "--site-host".to_owned(),
        host.name.clone(),
        "--working-dir".to_owned(),
        working_dir.display().to_string(),
    ];
    let log_dir = args.log_dir.as_ref().map(|dir| dir.display().to_string());
    for (name, value) in [
        ("--site-hub", &args.site_hub),
        ("--site-http", &args.site_http),
        ("--site-realm", &args.site_realm),
        ("--address-root", &args.address_root),
        ("--log-dir", &log_dir),
    ] {
        options.extend(value.iter().flat_map(|value| [name.to_owned(), value.clone()]));
    }
    if args.access_policy.is_some() {
        return Err(Failure::Usage(
            "--access-policy cannot be passed on, since it may hold passwords: put `access_policy` into the hub of the \
             site config"
                .to_owned(),
        ));
    }
    Ok(options)
}

fn paragraph(advice: &Advice) -> String {
    let width = output::stdout_width().map_or(WIDTH, usize::from);
    advice::paragraph(advice.text(), 4, width.saturating_sub(4))
}

/// Says what went wrong, and goes on with the rest.
fn told(result: anyhow::Result<()>, what: &str) -> bool {
    let Err(error) = result else { return true };
    output::print_error(&Failure::World(error.context(what.to_owned())).render(output::stderr_coloured()));
    false
}
