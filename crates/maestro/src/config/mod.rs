//! The cluster's YAML file into one typed [`Cluster`], and everything that is wrong with it.
//!
//! Three formats are in use and all are read: the current one; the one of the quick-start document (plugins embedded in
//! samplers and stores, stores as a list, peers without `daemons`, slashes in names of endpoints); and the one between
//! them (stores as a list). A file may mix them. What is converted gets a warning that says how.
//!
//! Scalars keep the text they are written with, whatever their type under YAML; merges (`<<`) and anchors count.
//!
//! * [`model`]: the nouns. [`extension`]: the `campanile:` section.
//! * `fields`: single fields. `pairing`: names with hosts and ports. The other modules: one section each.
//! * `check`: what can only be seen with all sections at hand.

mod aggregators;
mod check;
mod daemons;
pub mod extension;
mod extension_reader;
mod fields;
pub mod model;
mod pairing;
mod plugins;
mod samplers;
mod stores;

use std::path::Path;

use campanile_yaml::{Diagnostics, Document, Schema};

pub use extension::Extension;
pub use model::Cluster;

use fields::Fields;

/// How names meet hosts and ports.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Pairing {
    /// In the order they are written in.
    #[default]
    Written,
    /// Sorted as text first, as the original does.
    Original,
}

/// Reads a cluster file. The cluster is there unless the file is no YAML at all; it is to be used only if the
/// diagnostics have no errors.
#[must_use]
pub fn read_file(path: &Path, pairing: Pairing) -> (Option<Cluster>, Diagnostics) {
    let (document, diagnostics) = campanile_yaml::read_file(path, Schema::Safe);
    read_document(document, diagnostics, pairing)
}

/// Reads the text of a cluster file; `name` is what it is called in diagnostics.
#[must_use]
pub fn parse(name: &Path, text: &[u8], pairing: Pairing) -> (Option<Cluster>, Diagnostics) {
    let (document, diagnostics) = campanile_yaml::parse(name, text, Schema::Safe);
    read_document(document, diagnostics, pairing)
}

fn read_document(
    document: Option<Document>,
    diagnostics: Diagnostics,
    pairing: Pairing,
) -> (Option<Cluster>, Diagnostics) {
    let mut fields = Fields::new(diagnostics, pairing);
    let Some(document) = document else { return (None, fields.diagnostics) };
    let Some(root) = document.root().want_map(&mut fields.diagnostics) else {
        return (None, fields.diagnostics);
    };
    let daemons = daemons::read(root, &mut fields);
    let mut plugins = plugins::read(root, &mut fields);
    let groups = aggregators::read(root, &daemons, &mut fields);
    let samplers = samplers::read(root, &mut plugins, &mut fields);
    let stores = stores::read(root, &mut plugins, &mut fields);
    let extension = extension_reader::read(root, &daemons, &mut fields);
    let read = check::Read { daemons, plugins, groups, samplers, stores };
    check::check(&read, &mut fields);
    let places = check::Places::of(&read);
    let cluster = Cluster {
        daemons: read.daemons.by_name,
        aggregators: read.groups.into_iter().map(|group| group.group).collect(),
        samplers: read.samplers.into_iter().map(|group| group.group).collect(),
        plugins: read.plugins.by_name,
        stores: read.stores.by_name,
        extension,
    };
    check::check_cluster(&cluster, &places, &mut fields);
    (Some(cluster), fields.diagnostics)
}
