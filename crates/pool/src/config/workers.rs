//! `pool.workers`: the worker types. Without it there is one, of `ehos.flavor`.

use std::path::{Path, PathBuf};

use campanile_yaml::{Diagnostics, Kind, Node};

use super::find::find_file;
use super::model::{CloudKind, PoolConfig, WorkerType};
use super::section::{Section, texts, unknown_name};
use super::units::mib;
use crate::model::Resources;
use crate::plan::MAX_WORKER_TYPES;

const KEYS: &[&str] =
    &["name", "flavors", "clouds", "image", "userdata_file", "attributes", "reserved", "nodes_max"];
/// The name of the only type.
const STANDARD: &str = "standard";

pub(super) fn workers(
    pool: &Section<'_>,
    ehos: &Section<'_>,
    base: &Path,
    config: &mut PoolConfig,
    diagnostics: &mut Diagnostics,
) {
    let finder = Finder { base, default: ehos.get("userdata_file") };
    let Some(list) = pool.get("workers") else {
        let flavors = default_flavors(config);
        if flavors.is_empty()
            && let Some(node) = ehos.node().or_else(|| pool.node())
        {
            diagnostics.push(
                node.error("no flavor is named").hint("give `ehos.flavor`, or `pool.workers` with flavors"),
            );
        }
        let userdata_file = finder.find(None, diagnostics);
        config.worker_types = vec![WorkerType { flavors, userdata_file, ..WorkerType::new(STANDARD, &[]) }];
        return;
    };
    let Some(list) = list.want_list(diagnostics) else { return };
    for (index, entry) in list.items().enumerate() {
        if index == MAX_WORKER_TYPES {
            diagnostics.push(entry.error(format!("there are more than {MAX_WORKER_TYPES} worker types")));
            break;
        }
        let Some(entry) = entry.want_map(diagnostics) else { continue };
        entry.warn_of_misspelt_keys(KEYS, diagnostics);
        let kind = worker(entry, &finder, config, diagnostics);
        if config.worker_types.iter().any(|other| other.name == kind.name) {
            let node = entry.get("name").unwrap_or(entry);
            diagnostics.push(node.error(format!("the worker type `{}` is named twice", kind.name)));
        }
        config.worker_types.push(kind);
    }
    if config.worker_types.is_empty() && !diagnostics.has_errors() {
        diagnostics.push(
            list.error("`pool.workers` names no worker type").hint("leave it out for one of `ehos.flavor`"),
        );
    }
}

fn worker(
    entry: Node<'_>,
    finder: &Finder<'_>,
    config: &PoolConfig,
    diagnostics: &mut Diagnostics,
) -> WorkerType {
    let something = |key: &str| entry.get(key).filter(|node| !node.is_null() && node.text() != Some("None"));
    let text = |key: &str, diagnostics: &mut Diagnostics| {
        something(key).and_then(|node| node.want_text(diagnostics)).map(str::to_owned)
    };
    let list = |key: &str, diagnostics: &mut Diagnostics| {
        something(key).map(|node| texts(node, diagnostics)).unwrap_or_default()
    };
    let mut kind = WorkerType::new(&text("name", diagnostics).unwrap_or_default(), &[]);
    if kind.name.is_empty() {
        diagnostics.push(entry.error("a worker type needs a `name`"));
    }
    kind.flavors = list("flavors", diagnostics);
    if kind.flavors.is_empty() {
        kind.flavors = default_flavors(config);
    }
    if kind.flavors.is_empty() {
        diagnostics.push(entry.error(format!("worker type {} names no flavor", kind.name)));
    }
    kind.clouds = list("clouds", diagnostics);
    if let Some(node) = something("clouds") {
        for name in &kind.clouds {
            if !config.clouds.iter().any(|cloud| cloud.name == *name) {
                unknown_name(
                    node,
                    "cloud",
                    name,
                    config.clouds.iter().map(|cloud| cloud.name.as_str()),
                    diagnostics,
                );
            }
        }
    }
    kind.image = text("image", diagnostics);
    kind.userdata_file = finder.find(something("userdata_file"), diagnostics);
    if let Some(node) = something("attributes").and_then(|node| node.want_map(diagnostics)) {
        for (name, value) in node.entries() {
            if let (Some(name), Some(value)) = (name.want_text(diagnostics), value.want_text(diagnostics)) {
                kind.attributes.push((name.to_owned(), value.to_owned()));
            }
        }
    }
    if let Some(node) = something("reserved").and_then(|node| node.want_map(diagnostics)) {
        let section = Section::of_node(node);
        section.warn_of_misspelt_keys(&["cores", "memory", "disk"], diagnostics);
        let cores = section.number("cores", diagnostics).unwrap_or(0);
        kind.reserved = Resources {
            cores: u32::try_from(cores).unwrap_or(u32::MAX),
            memory_mib: mib(&section, "memory", diagnostics).unwrap_or(0),
            disk_mib: mib(&section, "disk", diagnostics).unwrap_or(0),
            gpus: 0,
        };
    }
    kind.nodes_max = something("nodes_max").and_then(|node| super::section::number(node, diagnostics));
    kind
}

/// `ehos.flavor`, else what the local clouds have, else what `pool.clouds` names.
fn default_flavors(config: &PoolConfig) -> Vec<String> {
    if let Some(flavor) = &config.ehos.flavor {
        return vec![flavor.clone()];
    }
    let mut flavors: Vec<String> = Vec::new();
    for cloud in &config.clouds {
        let of_cloud: Vec<&String> = match &cloud.kind {
            CloudKind::Local { flavors, .. } => flavors.iter().map(|(name, _)| name).collect(),
            CloudKind::OpenStack(_) => cloud.flavors.iter().collect(),
        };
        for name in of_cloud {
            if !flavors.contains(name) {
                flavors.push(name.clone());
            }
        }
    }
    flavors
}

/// Finds cloud-init files.
struct Finder<'d> {
    base: &'d Path,
    default: Option<Node<'d>>,
}

impl Finder<'_> {
    fn find(&self, named: Option<Node<'_>>, diagnostics: &mut Diagnostics) -> Option<PathBuf> {
        let node = named.or(self.default)?;
        let name = PathBuf::from(node.want_text(diagnostics)?);
        let found = find_file(&name, self.base, Path::new("."))
            // What ships is in the program, too.
            .or_else(|| crate::deploy::share::is_shipped(&name).then(|| name.clone()));
        if found.is_none() && node.kind() == Kind::Scalar {
            let problem = node.error(format!("the cloud-init file {} is not found", name.display()));
            diagnostics.push(problem.hint("looked for beside this file and in /etc/ehos, /usr/local/etc/ehos, etc, share/ehos and the like"));
        }
        found
    }
}
