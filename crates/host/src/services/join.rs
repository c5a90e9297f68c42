//! Which container belongs to which service of which file, and which belongs to none of them any more.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::{Container, FileState, Orphan, ServiceState};

/// What containers and files come to together.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Joined {
    /// The services of all files; of two with the same name, that of the later file.
    pub services: BTreeMap<String, ServiceState>,
    /// The orphans, by the ids of their containers.
    pub orphans: BTreeMap<String, Orphan>,
    /// Containers that bear the name of a managed project but were made from other files, as messages.
    pub foreign: BTreeSet<String>,
}

/// Joins files and containers. `paths` has the real path of each file; `images` the ids
/// of the tags that were asked for, `None` for one that this host does not have.
///
/// A container belongs to a file if it bears the file's project and was made from the file, be it with others.
#[must_use]
pub fn join(
    files: &[FileState],
    paths: &BTreeMap<String, PathBuf>,
    containers: &[Container],
    images: &BTreeMap<String, Option<String>>,
) -> Joined {
    let mut joined = Joined::default();
    for file in files {
        let Some(document) = &file.document else { continue };
        let path = paths.get(&file.name).map_or(Path::new(&file.name), PathBuf::as_path);
        let mut by_service: BTreeMap<&str, Vec<&Container>> = BTreeMap::new();
        let of_project =
            |container: &&Container| container.project == document.project && !container.is_one_off;
        for container in containers.iter().filter(of_project) {
            if container.config_files.iter().any(|made_from| made_from == path) {
                by_service.entry(&container.service).or_default().push(container);
            } else if !container.is_gone && !is_of_other_file(container, files, paths) {
                joined.foreign.insert(foreign(container, &file.name));
            }
        }
        for (name, service) in &document.services {
            let container = by_service.remove(name.as_str()).and_then(telling);
            let state = ServiceState {
                compose_file: file.name.clone(),
                service: service.clone(),
                image_id: images.get(&service.image).cloned().flatten(),
                is_complete: images.contains_key(&service.image),
                container,
            };
            joined.services.insert(name.clone(), state);
        }
        let left = by_service.into_iter().filter(|(name, _)| !document.disabled.contains(*name));
        for container in left.flat_map(|(_, containers)| containers).filter(|container| !container.is_gone) {
            let orphan = Orphan { compose_file: file.name.clone(), container: container.clone() };
            joined.orphans.insert(container.id.clone(), orphan);
        }
    }
    // What one file knows as its own is no orphan of another one, as with a project made from several files.
    let services = &joined.services;
    joined.orphans.retain(|_, orphan| {
        let made_of = |state: &ServiceState| {
            let path =
                paths.get(&state.compose_file).map_or(Path::new(&state.compose_file), PathBuf::as_path);
            orphan.container.config_files.iter().any(|file| file == path)
        };
        !services.get(&orphan.container.service).is_some_and(made_of)
    });
    joined
}

/// Of several containers of a service (replicas, one that was just made anew) the one that tells most of it: one that
/// runs; else the one that ended last; one that was removed only if there is no other.
fn telling(containers: Vec<&Container>) -> Option<Container> {
    let rank = |container: &&Container| {
        (container.running, !container.is_gone, container.ended_ms.max(container.started_ms))
    };
    containers.into_iter().max_by_key(rank).cloned()
}

fn is_of_other_file(container: &Container, files: &[FileState], paths: &BTreeMap<String, PathBuf>) -> bool {
    files.iter().filter_map(|file| paths.get(&file.name)).any(|path| container.config_files.contains(path))
}

fn foreign(container: &Container, file: &str) -> String {
    let id: String = container.id.chars().take(12).collect();
    let made_from: Vec<String> =
        container.config_files.iter().map(|path| path.display().to_string()).collect();
    format!(
        "Container {id} of service {} bears the project name \"{}\" of {file}, but was made from {}; it is left alone.",
        container.service,
        container.project,
        made_from.join(", ")
    )
}
