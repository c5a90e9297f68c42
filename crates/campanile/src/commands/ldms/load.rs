//! `campanile ldms load`, `diff` and `export`: a cluster into its store, against it, and out of it.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::anyhow;
use campanile_maestro::keys::{self, Difference, Origin, SaveError, Source};
use serde_json::json;

use super::cluster::{self, ClusterFile, PairingArg, StoreArgs, failed};
use super::difference;
use crate::failure::{EXIT_WORLD, Failure, Outcome};
use crate::{output, runtime};

/// Save a cluster's file in the store, from which the managers take it
///
/// Only what differs is written, and all of it at once; the difference is printed first. A running maestro follows
/// within a second. The keys are those of maestro_ctrl, so the original's maestro can run on them.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  campanile ldms load orion.yaml --cluster etcd.yaml --prefix orion
  campanile ldms load orion.yaml --prefix orion --dry-run

Exit codes:
  0 saved, or nothing to do; 1 the store did not take it; 2 a file is wrong")]
pub(crate) struct LoadArgs {
    /// The cluster's file
    file: PathBuf,
    #[command(flatten)]
    store: StoreArgs,
    #[command(flatten)]
    how: HowArgs,
}

/// How to save.
#[derive(clap::Args, Debug)]
pub(crate) struct HowArgs {
    /// Print the difference, and save nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Print every key that differs
    #[arg(long)]
    pub(crate) full: bool,
    /// How names meet hosts and ports
    #[arg(long, value_enum, default_value_t)]
    pub(crate) pairing: PairingArg,
}

/// Show how a cluster's file differs from what is in the store
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Exit codes:
  0 no difference; 1 they differ, or the store cannot be read; 2 a file is wrong")]
pub(crate) struct DiffArgs {
    /// The cluster's file
    file: PathBuf,
    #[command(flatten)]
    store: StoreArgs,
    /// Print every key that differs
    #[arg(long)]
    full: bool,
    /// Print JSON: {"added": {KEY: VALUE}, "changed": {KEY: [OLD, NEW]}, "removed": {KEY: VALUE}}
    #[arg(long)]
    json: bool,
    /// How names meet hosts and ports
    #[arg(long, value_enum, default_value_t)]
    pairing: PairingArg,
}

/// Print what is in the store: the file as it was saved, or its keys
///
/// The file comes back with its comments, if campanile saved it last; after maestro_ctrl of the original only the keys
/// are there (--keys).
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Exit codes:
  0 done; 1 nothing is stored under that name, or only keys; 2 wrong options")]
pub(crate) struct ExportArgs {
    #[command(flatten)]
    store: StoreArgs,
    /// Print the keys and their values, separated by a tab
    #[arg(long)]
    keys: bool,
}

/// Runs `load`.
pub(crate) fn load(args: &LoadArgs) -> Outcome {
    let file = cluster::read(&args.file, args.how.pairing)?;
    save(&file, &args.store, &args.how)
}

/// Saves a cluster, after the difference has been printed.
///
/// # Errors
/// When the store does not do it.
pub(crate) fn save(file: &ClusterFile, store_args: &StoreArgs, how: &HowArgs) -> Outcome {
    let layout = store_args.layout()?;
    runtime::block_on(async {
        let stored = store_args.stored(&layout).await?;
        let difference = Difference::between(&layout, &stored, &file.cluster);
        output::print(&difference::render(&difference, how.full))?;
        if how.dry_run {
            return output::print("nothing saved (--dry-run)\n");
        }
        let store = store_args.open().await?;
        let origin = Origin { text: &file.text, pairing: how.pairing.into() };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let saved =
            keys::save(&*store, &layout, &file.cluster, origin, now).await.map_err(|error| match error {
                SaveError::Store(error) => failed(error),
                contended @ SaveError::Contended => Failure::World(anyhow!(contended)),
            })?;
        let place = store.describe();
        output::print(&match saved.revision {
            None => format!("already there: {} in {place}\n", layout.shared),
            Some(_) if saved.steps == 1 => format!("saved: {} in {place}\n", layout.shared),
            Some(_) => format!("saved in {} steps: {} in {place}\n", saved.steps, layout.shared),
        })
    })?
}

/// Runs `diff`.
pub(crate) fn diff(args: &DiffArgs) -> Outcome {
    let file = cluster::read(&args.file, args.pairing)?;
    let layout = args.store.layout()?;
    let difference = runtime::block_on(async {
        let store = args.store.open_existing().await?;
        let stored = store.read(&layout.shared).await.map_err(failed)?;
        Ok::<_, Failure>(Difference::between(&layout, &stored, &file.cluster))
    })??;
    if args.json {
        output::print_json(&json!({
            "added": difference.added,
            "changed": difference.changed,
            "removed": difference.removed,
        }))?;
    } else {
        output::print(&difference::render(&difference, args.full))?;
    }
    if difference.is_empty() { Ok(()) } else { Err(Failure::Told(EXIT_WORLD)) }
}

/// Runs `export`.
pub(crate) fn export(args: &ExportArgs) -> Outcome {
    let layout = args.store.layout()?;
    runtime::block_on(async {
        let store = args.store.open_existing().await?;
        let nothing =
            || Failure::World(anyhow!("nothing is stored below {} in {}", layout.shared, store.describe()));
        if args.keys {
            let stored = store.read(&layout.shared).await.map_err(failed)?;
            if stored.keys.is_empty() {
                return Err(nothing());
            }
            let lines: String = stored.keys.iter().map(|(key, value)| format!("{key}\t{value}\n")).collect();
            return output::print(&lines);
        }
        let Some(loaded) = keys::load(&*store, &layout).await.map_err(failed)? else {
            return Err(nothing());
        };
        for problem in &loaded.problems {
            output::print_error(&format!("warning: {problem}\n"));
        }
        match (loaded.source, loaded.text) {
            (Source::Text, Some(text)) => output::print(&text),
            _ => Err(Failure::World(anyhow!(
                "only keys are stored, since maestro_ctrl of the original saved last; --keys prints them"
            ))),
        }
    })?
}
