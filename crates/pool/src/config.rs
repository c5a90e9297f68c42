//! From the user's files (`ehos.yaml`, one or several) to what is wanted, and everything that is wrong with them.
//!
//! The documented sections are `clouds`, `ehos`, `daemon` (`ehos_daemon` at v1.0.0), `condor` and `influxdb`. What is
//! new stands under `pool`, which the original does not read. Several files are merged key by key, the later ones
//! overriding; the original replaced whole sections, which lost what the earlier file had said.
//!
//! Variables of the environment named `OS_*` are never read: what the file says of a cloud is all there is.

mod batch;
mod clouds;
mod daemon;
mod find;
mod model;
mod section;
mod settings;
mod units;
mod workers;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use campanile_yaml::{Diagnostic, Diagnostics, Document, Schema, read_file};

pub use find::{SEARCH_PATH, find_file};
pub use model::{
    Access, Allocation, BatchConfig, CloudConfig, CloudKind, CondorConfig, Database, Deadlines, EhosSection,
    Growth, InfluxConfig, Lease, LocalBatchConfig, OwnLimits, PoolConfig, Quotas, RestConfig, Secret, Shrink,
    Sizes, SlurmConfig, Window, WorkerType,
};
use section::Section;
pub use settings::of_config;

use crate::model::Mark;

/// What the reading depends on beside the files.
#[derive(Clone, Debug)]
pub struct Place {
    /// The name of this host: `daemon.hostname` where the file has none.
    pub host_name: String,
    /// Where relative paths begin.
    pub working_dir: PathBuf,
}

impl Place {
    /// This process's.
    ///
    /// # Errors
    /// When there is no working directory.
    pub fn here() -> std::io::Result<Self> {
        let host_name = rustix::system::uname().nodename().to_string_lossy().into_owned();
        Ok(Self { host_name, working_dir: std::env::current_dir()? })
    }
}

/// Known sections of the file.
const SECTIONS: &[&str] = &["clouds", "ehos", "daemon", "ehos_daemon", "condor", "influxdb", "pool"];
/// Known keys of `pool`.
const POOL_KEYS: &[&str] =
    &["clouds", "workers", "limits", "growth", "shrink", "deadlines", "lease", "batch", "rest"];

/// Reads the files. With an error among the diagnostics there is no configuration.
#[must_use]
pub fn read(files: &[PathBuf], place: &Place) -> (Option<PoolConfig>, Diagnostics) {
    read_with_settings(files, place, &BTreeMap::new())
}

/// The same, with settings (dotted paths and their values) that override what the files say: `daemon.use_db_settings`.
#[must_use]
pub fn read_with_settings(
    files: &[PathBuf],
    place: &Place,
    settings: &BTreeMap<String, String>,
) -> (Option<PoolConfig>, Diagnostics) {
    let mut diagnostics = Diagnostics::new();
    let mut documents: Vec<Document> = Vec::new();
    if files.is_empty() {
        diagnostics.push(Diagnostic::error("no configuration file was given"));
    }
    for file in files {
        let (document, found) = read_file(file, Schema::Safe);
        diagnostics.extend(found);
        documents.extend(document);
    }
    if !settings.is_empty() {
        let text = settings::as_yaml(settings);
        let (document, found) =
            campanile_yaml::parse("the table `setting`".as_ref(), text.as_bytes(), Schema::Safe);
        diagnostics.extend(found);
        documents.extend(document);
    }
    if diagnostics.has_errors() {
        return (None, diagnostics);
    }
    let config = build(&documents, files, place, &mut diagnostics);
    let usable = !diagnostics.has_errors();
    (usable.then_some(config), diagnostics)
}

fn build(
    documents: &[Document],
    files: &[PathBuf],
    place: &Place,
    diagnostics: &mut Diagnostics,
) -> PoolConfig {
    let root = Section::of_files(documents, diagnostics);
    root.warn_of_misspelt_keys(SECTIONS, diagnostics);
    let ehos = root.section(&["ehos"], diagnostics);
    let daemon = root.section(&["ehos_daemon", "daemon"], diagnostics);
    let pool = root.section(&["pool"], diagnostics);
    pool.warn_of_misspelt_keys(POOL_KEYS, diagnostics);

    let prefix = ehos.text("project_prefix", diagnostics).unwrap_or_else(|| "ehos".to_owned());
    let host = daemon.text("hostname", diagnostics).unwrap_or_else(|| place.host_name.clone());
    let mut config = PoolConfig::new(Mark { prefix, host });
    config.files = files.to_vec();
    let beside = files.last().and_then(|file| file.parent()).unwrap_or(Path::new(""));
    let base = place.working_dir.join(beside);
    config.ehos = daemon::ehos(&ehos, diagnostics);
    daemon::daemon(&daemon, &pool, &mut config, diagnostics);
    daemon::influx(&root.section(&["influxdb"], diagnostics), &mut config, diagnostics);
    let condor = root.section(&["condor"], diagnostics);
    config.batch = batch::batch(&condor, &pool, diagnostics);
    clouds::clouds(&root, &pool, &mut config, diagnostics);
    workers::workers(&pool, &ehos, &base, &mut config, diagnostics);
    check_sizes(&daemon, &config, diagnostics);
    check_master_cloud(&daemon, &config, diagnostics);
    config
}

fn check_sizes(daemon: &Section<'_>, config: &PoolConfig, diagnostics: &mut Diagnostics) {
    let sizes = &config.sizes;
    if sizes.nodes_min > sizes.nodes_max
        && let Some(node) = daemon.get("nodes_min").or_else(|| daemon.get("nodes_max"))
    {
        let text = format!("`nodes_min` ({}) is above `nodes_max` ({})", sizes.nodes_min, sizes.nodes_max);
        diagnostics.push(node.error(text).hint("no more than `nodes_max` nodes are ever made"));
    }
    if sizes.nodes_spare > sizes.nodes_max
        && let Some(node) = daemon.get("nodes_spare")
    {
        let text =
            format!("`nodes_spare` ({}) is above `nodes_max` ({})", sizes.nodes_spare, sizes.nodes_max);
        diagnostics.push(node.warning(text).hint("they cannot all be kept"));
    }
}

fn check_master_cloud(daemon: &Section<'_>, config: &PoolConfig, diagnostics: &mut Diagnostics) {
    if let Some(name) = &config.master_cloud
        && let Some(node) = daemon.get("master_cloud")
        && !config.clouds.iter().any(|cloud| cloud.name == *name)
    {
        section::unknown_name(
            node,
            "cloud",
            name,
            config.clouds.iter().map(|cloud| cloud.name.as_str()),
            diagnostics,
        );
    }
}

#[cfg(test)]
mod tests;
