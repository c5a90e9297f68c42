//! `ehos_setup`, `ehos_cloud_setup`, `ehos_build_images`: the clouds of a configuration made ready.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use campanile_pool::deploy::cloud_init::{self, Kindred};
use campanile_pool::deploy::image::Patience;
use campanile_pool::deploy::setup::{Plan, prepare, updated};
use campanile_pool::deploy::{compose, make_password, share};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::Talk;
use super::create_config::write_private;
use super::progress::Progress;
use crate::failure::{EXIT_WORLD, Failure, Outcome};
use crate::output::{print, print_error};
use crate::runtime;
use crate::this_pool::{ThisPool, heed};

/// Prepare the clouds of a configuration: key pair, firewall, password, and with -c images
///
/// In every cloud at the same time: the public key is uploaded, the security group made, and a base VM of base.yaml is
/// started, watched until it is up, switched off, made into an image and removed, also when something fails or on Ctrl-C.
/// The ids of the images go into the configuration; nothing else in it changes, and the old one is kept as FILE.backup.
/// What is done is not done again: a run that was cut short is simply started anew.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  ehos_build_images -v -v -v etc/ehos.yaml
  ehos_setup -c -s ~/.ssh/id_ed25519.pub -B etc/base.yaml etc/ehos.yaml

Exit codes:
  0 all clouds are ready; 1 one is not (the others are, and are written down);
  2 wrong options or files, nothing was done")]
pub(crate) struct Args {
    #[command(flatten)]
    pub(super) talk: Talk,
    /// The cloud-init file of the base; without it base.yaml is looked for, etc before share
    #[arg(short = 'B', long, value_name = "FILE")]
    base_yaml: Option<PathBuf>,
    /// Build images
    #[arg(short, long)]
    create_images: bool,
    /// Build them even if there are images of this base file
    #[arg(long)]
    rebuild: bool,
    /// The public key to upload
    #[arg(short, long, value_name = "FILE")]
    ssh_key: Option<PathBuf>,
    /// The name of the key pair
    #[arg(short = 'S', long, value_name = "NAME", default_value = compose::KEY)]
    ssh_key_name: String,
    /// Open HTCondor's port to everybody: for workers in several regions or projects
    #[arg(short, long)]
    external_cloud: bool,
    /// The name of the security group
    #[arg(short, long, value_name = "NAME", default_value = compose::FIREWALL)]
    firewall_name: String,
    /// How long a base VM may take until it is up, seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 1200)]
    up_timeout: u64,
    /// The configuration; without it ehos.yaml is looked for
    #[arg(value_name = "EHOS_YAML")]
    config: Option<PathBuf>,
}

/// Runs the command.
pub(super) fn run(args: &Args, always_images: bool) -> Outcome {
    let pool = ThisPool::read_aloud(args.config.as_slice())?;
    let file = pool.file();
    let base =
        if args.create_images || always_images || args.rebuild { Some(base(args, &pool)?) } else { None };
    let plan = Plan {
        key: args.ssh_key.as_deref().map(public_key).transpose()?.map(|key| (args.ssh_key_name.clone(), key)),
        firewall: args.firewall_name.clone(),
        external: args.external_cloud,
        base,
        anew: args.rebuild,
        patience: Patience { up: Duration::from_secs(args.up_timeout), ..Patience::default() },
    };
    if pool.config.clouds.len() > 1 && !args.external_cloud {
        print_error(
            "note: there are several clouds; their nodes reach each other only with -e (--external-cloud)\n",
        );
    }
    let progress = Progress::new();
    let outcomes = runtime::block_on(async {
        let (interrupt, interrupted) = watch::channel(false);
        let tell = |cloud: &str, text: &str| progress.tell(cloud, text);
        let work = prepare(&pool.config, &plan, &interrupted, &tell);
        tokio::pin!(work);
        let mut int = signal(SignalKind::interrupt())?;
        let mut term = signal(SignalKind::terminate())?;
        loop {
            tokio::select! {
                outcomes = &mut work => return std::io::Result::Ok(outcomes),
                _ = int.recv() => { interrupt.send_replace(true); }
                _ = term.recv() => { interrupt.send_replace(true); }
            }
        }
    })?
    .context("signals cannot be watched")?;
    progress.end();
    // The file as it is now: somebody may have edited it meanwhile.
    let text = std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?;
    let new = updated(&text, &plan, &outcomes, make_password)
        .map_err(|problem| anyhow::anyhow!("{} cannot be updated: {problem}", file.display()))?;
    let mut told = String::new();
    if new != text {
        let kept = write_private(file, &new)?;
        let kept =
            kept.map(|kept| format!(", the old one is kept as {}", kept.display())).unwrap_or_default();
        told.push_str(&format!("{} is updated{kept}\n", file.display()));
    }
    let mut all_good = true;
    for outcome in &outcomes {
        match (&outcome.image, outcome.problems.is_empty()) {
            (Some((image, was_there)), true) => {
                let how = if *was_there { " (it was there already; --rebuild makes another)" } else { "" };
                told.push_str(&format!("{}: image {image}{how}\n", outcome.cloud));
            }
            (None, true) => told.push_str(&format!("{}: ready\n", outcome.cloud)),
            (_, false) => {
                all_good = false;
                print_error(&format!("error: {}: {}\n", outcome.cloud, outcome.problems.join("; ")));
            }
        }
    }
    print(&told)?;
    if all_good { Ok(()) } else { Err(Failure::Told(EXIT_WORLD)) }
}

fn base(args: &Args, pool: &ThisPool) -> Result<share::Shared, Failure> {
    let base = share::find(args.base_yaml.as_deref(), "base.yaml", pool.beside(), &pool.place);
    let base = base.map_err(Failure::Usage)?;
    heed(cloud_init::check(&base.origin, &base.text, Kindred::Whole))?;
    Ok(base)
}

/// The text of a public key. A private one is refused before it leaves this machine.
fn public_key(path: &Path) -> Result<String, Failure> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failure::Usage(format!("{} cannot be read: {error}", path.display())))?;
    if text.contains("PRIVATE KEY") {
        let text = format!("{0} is a private key; give the public one, {0}.pub", path.display());
        return Err(Failure::Usage(text));
    }
    let line =
        text.lines().find(|line| !line.trim().is_empty() && !line.starts_with('#')).unwrap_or_default();
    if line.split_whitespace().count() < 2 {
        return Err(Failure::Usage(format!("{} is no public key of ssh", path.display())));
    }
    Ok(line.trim().to_owned())
}
