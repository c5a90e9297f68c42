//! `ehosd_deploy`, `ehosd_deployment`, `ehos_deployment`: a master, made and set up.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use campanile_pool::clouds::NewServer;
use campanile_pool::config::{CloudConfig, CloudKind, PoolConfig};
use campanile_pool::deploy::cloud_init::{self, Kindred};
use campanile_pool::deploy::image::Patience;
use campanile_pool::deploy::master::{Parcel, by_hand, install, machine, order, parcels};
use campanile_pool::deploy::remote::{Remote, known_hosts};
use campanile_pool::deploy::{setup, share};
use tokio::signal::unix::{SignalKind, signal};

use super::Talk;
use super::progress::Progress;
use crate::failure::{Failure, Outcome};
use crate::output::{print, print_error};
use crate::runtime;
use crate::this_pool::{ThisPool, heed};

/// Make the master: a VM with HTCondor and the pool's daemon as a service
///
/// The VM is made of master.yaml, which installs and holds nothing secret. When it is up, the program, the configuration
/// and your altered files (those of etc) are brought over ssh, with mode 0600, HTCondor is configured, and the daemon is
/// started as ehos.service. The VM's host key is the one that its console shows. Run anew after a failure: the VM that is
/// there is used.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  ehosd_deploy -v -v -v ehos.yaml
  ehosd_deploy -i ~/.ssh/id_ed25519 --user debian ehos.yaml
  ehosd_deploy --manual ehos.yaml     print the steps, do nothing

Exit codes:
  0 the daemon runs; 1 a step failed, it is said which; 2 wrong options or files")]
pub(crate) struct Args {
    #[command(flatten)]
    pub(super) talk: Talk,
    /// The cloud-init file of the master; without it master.yaml is looked for, etc before share
    #[arg(short, long, value_name = "FILE")]
    master_yaml: Option<PathBuf>,
    /// The cloud-init file of workers, instead of the configuration's
    #[arg(short, long, value_name = "FILE")]
    execute_yaml: Option<PathBuf>,
    /// Print the steps as one does them by hand, and do nothing
    #[arg(long)]
    manual: bool,
    /// The user on the master; master.yaml makes one called ehos
    #[arg(short, long, default_value = "ehos")]
    user: String,
    /// The private key for it; without it ssh looks for one
    #[arg(short, long, value_name = "FILE")]
    identity: Option<PathBuf>,
    /// Reach the master by this address instead of one that the cloud tells
    #[arg(long, value_name = "ADDRESS")]
    address: Option<String>,
    /// The port of ssh there
    #[arg(long, value_name = "PORT", default_value_t = 22)]
    ssh_port: u16,
    /// The program to send instead of this one, where the master has another kind of processor
    #[arg(long, value_name = "FILE")]
    program: Option<PathBuf>,
    /// How long the master may take until it is up, seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 1300)]
    up_timeout: u64,
    /// Put everything below this directory of the master
    #[arg(long, value_name = "DIR", default_value = "/", hide = true)]
    remote_root: PathBuf,
    /// The configuration; without it ehos.yaml is looked for
    #[arg(value_name = "EHOS_YAML")]
    config: Option<PathBuf>,
}

/// Runs the command.
pub(super) fn run(args: &Args) -> Outcome {
    let pool = ThisPool::read_aloud(args.config.as_slice())?;
    let (file, beside) = (pool.file(), pool.beside());
    let find = |given: Option<&Path>, name: &str| {
        share::find(given, name, beside, &pool.place).map_err(Failure::Usage)
    };
    let master = find(args.master_yaml.as_deref(), "master.yaml")?;
    heed(cloud_init::check(&master.origin, &master.text, Kindred::Whole))?;
    if let Some(path) = &args.execute_yaml {
        let execute = find(Some(path), "execute.yaml")?;
        heed(cloud_init::check(&execute.origin, &execute.text, Kindred::Worker))?;
    }
    let unit = find(None, "ehos.service")?;
    let text = std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?;
    let parcels = parcels(&pool.config, &text, beside, &pool.place, args.execute_yaml.as_deref(), &unit.text)
        .map_err(Failure::Usage)?;
    let settings = cloud_of(&pool.config)?;
    let order = order(&pool.config, settings, &master).map_err(Failure::Usage)?;
    if args.manual {
        return print(&by_hand(&order, file, &parcels, &args.user));
    }
    let progress = Progress::new();
    let told = runtime::block_on(deploy(args, settings, &order, &master, &parcels, &progress))?;
    progress.end();
    print(&told?)
}

/// The cloud of the master: `daemon.master_cloud`, else the first.
fn cloud_of(config: &PoolConfig) -> Result<&CloudConfig, Failure> {
    let wanted = |cloud: &&CloudConfig| config.master_cloud.as_ref().is_none_or(|name| *name == cloud.name);
    let mut clouds = config.clouds.iter().filter(|cloud| matches!(cloud.kind, CloudKind::OpenStack(_)));
    clouds
        .find(wanted)
        .ok_or_else(|| Failure::Usage("the configuration names no cloud for the master".to_owned()))
}

async fn deploy(
    args: &Args,
    settings: &CloudConfig,
    order: &NewServer,
    master: &share::Shared,
    parcels: &[Parcel],
    progress: &Progress,
) -> Result<String, Failure> {
    let path = match &args.program {
        Some(path) => path.clone(),
        None => std::env::current_exe().context("this program is not found")?,
    };
    let program = std::fs::read(&path).with_context(|| format!("{} cannot be read", path.display()))?;
    let tell = |what: &str, text: &str| progress.tell(what, text);
    let cloud = setup::open(settings).map_err(|problem| anyhow!("cloud {}: {problem}", settings.name))?;
    let cloud = cloud.ok_or_else(|| Failure::Usage("the master's cloud is no OpenStack".to_owned()))?;
    let patience = Patience { up: Duration::from_secs(args.up_timeout), ..Patience::default() };
    let mut int = signal(SignalKind::interrupt()).context("signals cannot be watched")?;
    let mut term = signal(SignalKind::terminate()).context("signals cannot be watched")?;
    let interrupted = async {
        tokio::select! { _ = int.recv() => {} _ = term.recv() => {} }
    };
    let (server, console) = machine(&cloud, order, master, &patience, interrupted, &tell)
        .await
        .with_context(|| format!("there is no master in {}", settings.name))?;
    // Floating addresses come after fixed ones; from outside only they can be reached.
    let by_cloud =
        server.addresses.iter().rev().find(|address| !address.contains(':')).or(server.addresses.last());
    let Some(address) = args.address.as_ref().or(by_cloud) else {
        return Err(anyhow!("the master {} has no address", server.name).into());
    };
    let scratch = tempfile::tempdir().context("no temporary directory")?;
    let known = known_hosts(&console, address, args.ssh_port);
    let known_file = scratch.path().join("known_hosts");
    std::fs::write(&known_file, &known).context("a temporary file cannot be written")?;
    if known.is_empty() {
        print_error("note: the console does not show the master's host key; the one that it has is taken\n");
    }
    let remote = Remote {
        address: address.clone(),
        port: args.ssh_port,
        user: args.user.clone(),
        identity: args.identity.clone(),
        known_hosts: known_file,
        strict: !known.is_empty(),
    };
    // Workers are in the same network as a rule; they reach the fixed address.
    let inner = server.addresses.iter().find(|address| !address.contains(':')).unwrap_or(address);
    install(&remote, parcels, &program, &args.remote_root, inner, &tell).await.map_err(|problem| {
        anyhow!("the master {} ({address}) is up and not ready: {problem}", server.name)
    })?;
    Ok(format!(
        "the master {} ({}) runs ehos.service\naddresses: {}\nits log: ssh {}@{address} sudo journalctl -u ehos.service\n",
        server.name,
        server.id,
        server.addresses.join(", "),
        args.user
    ))
}
