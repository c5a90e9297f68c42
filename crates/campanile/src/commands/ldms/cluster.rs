//! What the commands about a cluster share: its file, and the store it is kept in.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use campanile_control::state_dir;
use campanile_maestro::config::{self, Cluster, Pairing};
use campanile_maestro::keys::Layout;
use campanile_store::embedded::EmbeddedStore;
use campanile_store::etcd::{EtcdStore, read_cluster_file};
use campanile_store::{Snapshot, Store, StoreError};
use campanile_yaml::Diagnostics;

use crate::failure::Failure;
use crate::output;

/// How hostlists meet, on the command line.
#[derive(clap::ValueEnum, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum PairingArg {
    /// In the order they are written in
    #[default]
    Written,
    /// Sorted as text first, as the original does
    Original,
}

impl From<PairingArg> for Pairing {
    fn from(arg: PairingArg) -> Self {
        match arg {
            PairingArg::Written => Self::Written,
            PairingArg::Original => Self::Original,
        }
    }
}

/// A cluster's file.
#[derive(Debug)]
pub(crate) struct ClusterFile {
    pub(crate) cluster: Cluster,
    pub(crate) text: String,
}

/// Reads a cluster's file; warnings are printed, errors end the command.
///
/// # Errors
/// Everything that is wrong with the file.
pub(crate) fn read(path: &Path, pairing: PairingArg) -> Result<ClusterFile, Failure> {
    let (cluster, diagnostics) = config::read_file(path, pairing.into());
    let cluster = match cluster {
        Some(cluster) if !diagnostics.has_errors() => cluster,
        _ => return Err(Failure::Config(diagnostics)),
    };
    warn(&diagnostics);
    // It has just been read: what is wrong with it now is the disk.
    let text = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(ClusterFile { cluster, text: String::from_utf8_lossy(&text).into_owned() })
}

/// Prints what is not wrong enough to stop.
pub(crate) fn warn(diagnostics: &Diagnostics) {
    if !diagnostics.is_empty() {
        output::print_error(&diagnostics.render(output::stderr_coloured()));
    }
}

/// Where a cluster's configuration is kept.
#[derive(clap::Args, Debug)]
pub(crate) struct StoreArgs {
    /// Keep it in the etcd cluster that this file names (etcd.yaml)
    #[arg(long, value_name = "FILE")]
    pub(crate) cluster: Option<PathBuf>,
    /// Keep it in the embedded database in this directory; without --cluster and --store, in the state directory
    #[arg(long, value_name = "DIR", conflicts_with = "cluster")]
    pub(crate) store: Option<PathBuf>,
    /// Name of the LDMS cluster: the beginning of its keys
    #[arg(long, value_name = "NAME", default_value = "cluster")]
    pub(crate) prefix: String,
}

impl StoreArgs {
    /// Where the keys of the cluster are.
    ///
    /// # Errors
    /// When the name cannot be one.
    pub(crate) fn layout(&self) -> Result<Layout, Failure> {
        Layout::of(&self.prefix).map_err(|error| Failure::Usage(error.to_string()))
    }

    /// The directory of the embedded database.
    fn directory(&self) -> Result<PathBuf, Failure> {
        if let Some(dir) = &self.store {
            return Ok(dir.clone());
        }
        let env = |name: &str| std::env::var(name).ok();
        let base = state_dir::base(None, &env, state_dir::is_root())
            .map_err(|error| Failure::Usage(format!("{error}; name a directory with --store")))?;
        Ok(base.join("store"))
    }

    /// Opens the store.
    ///
    /// # Errors
    /// When a file is wrong, or the database cannot be opened. etcd is not contacted yet.
    pub(crate) async fn open(&self) -> Result<Box<dyn Store>, Failure> {
        if let Some(path) = &self.cluster {
            let (file, diagnostics) = read_cluster_file(path);
            if diagnostics.has_errors() {
                return Err(Failure::Config(diagnostics));
            }
            warn(&diagnostics);
            return Ok(Box::new(EtcdStore::open(&file).map_err(failed)?));
        }
        let dir = self.directory()?;
        Ok(Box::new(EmbeddedStore::open(&dir).await.map_err(failed)?))
    }

    /// Opens the store for looking only: an embedded database that is not there is not made.
    ///
    /// # Errors
    /// As [`StoreArgs::open`]; or there is no database.
    pub(crate) async fn open_existing(&self) -> Result<Box<dyn Store>, Failure> {
        if self.cluster.is_none() {
            let file = EmbeddedStore::file_in(&self.directory()?);
            if !file.exists() {
                return Err(Failure::World(anyhow!(
                    "nothing has been saved yet: there is no {}",
                    file.display()
                )));
            }
        }
        self.open().await
    }

    /// What is stored below the prefix of the cluster; nothing where there is no database yet.
    ///
    /// # Errors
    /// When the store cannot be opened or read.
    pub(crate) async fn stored(&self, layout: &Layout) -> Result<Snapshot, Failure> {
        if self.cluster.is_none() && !EmbeddedStore::file_in(&self.directory()?).exists() {
            return Ok(Snapshot::default());
        }
        self.open().await?.read(&layout.shared).await.map_err(failed)
    }
}

/// A store that does not do it.
pub(crate) fn failed(error: StoreError) -> Failure {
    match error {
        StoreError::Config(reason) => Failure::Usage(reason),
        other => Failure::World(anyhow!(other)),
    }
}
