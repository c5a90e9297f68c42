//! What the entries of a map are: merge keys done, repeated keys resolved.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use crate::build::Builder;
use crate::construct;
use crate::diagnostic::{Diagnostic, Span};
use crate::key::Key;
use crate::node::{Body, Child, NodeData};
use crate::tag::Tag;

/// An entry of a map.
type Pair = (Child, Child);

/// The entries as they count, or `None` when they are those that were written.
///
/// As in PyYAML: merged entries come first, and a map's own entries win over them; of several merged maps the first in
/// a list wins, but of several `<<` keys the last; of a repeated key the last value counts, at the place of the first.
/// The last case gets a warning.
pub(crate) fn effective(builder: &mut Builder<'_>, written: &[Pair], map: Span) -> Option<Vec<Pair>> {
    let mut merged: Vec<Pair> = Vec::new();
    let mut own: Vec<(Key, Pair)> = Vec::with_capacity(written.len());
    let mut first_own: HashMap<Key, Child> = HashMap::with_capacity(written.len());
    for &(key, value) in written {
        let node = &mut builder.nodes[key.id as usize];
        match node.tag {
            Tag::Merge => {
                collect_merged(builder, value, map, &mut merged);
                continue;
            }
            Tag::Value => node.tag = Tag::Str,
            _ => {}
        }
        let Some(name) = key_of(builder, key) else { continue };
        match first_own.entry(name.clone()) {
            Entry::Vacant(free) => {
                free.insert(key);
            }
            Entry::Occupied(earlier) => warn_of_repetition(builder, *earlier.get(), key),
        }
        own.push((name, (key, value)));
    }
    if merged.is_empty() && first_own.len() == written.len() {
        return None;
    }
    let mut places: HashMap<Key, usize> = HashMap::with_capacity(own.len() + merged.len());
    let mut entries: Vec<Pair> = Vec::with_capacity(own.len() + merged.len());
    let merged = merged.into_iter().filter_map(|(key, value)| Some((key_of(builder, key)?, (key, value))));
    for (name, (key, value)) in merged.collect::<Vec<_>>().into_iter().chain(own) {
        match places.entry(name) {
            Entry::Vacant(free) => {
                free.insert(entries.len());
                entries.push((key, value));
            }
            // The key stays the one that was there first, as in a Python dict.
            Entry::Occupied(place) => entries[*place.get()].1 = value,
        }
    }
    Some(entries)
}

fn collect_merged(builder: &mut Builder<'_>, value: Child, map: Span, merged: &mut Vec<Pair>) {
    let targets: Vec<Child> = match &builder.nodes[value.id as usize].body {
        Body::List(items) => items.iter().rev().copied().collect(),
        _ => vec![value],
    };
    for target in targets {
        let node = &builder.nodes[target.id as usize];
        if let Some(entries) = entries_of(node) {
            let count = entries.len();
            if !builder.allow_merging(count) {
                return;
            }
            merged.extend_from_slice(entries_of(&builder.nodes[target.id as usize]).unwrap_or_default());
        } else if node.tag != Tag::Broken {
            let problem =
                Diagnostic::error(format!("`<<` merges a map or a list of maps, not {}", node.tag.name()));
            let span = target.alias.unwrap_or(node.span);
            builder.report(problem.at(span).related(map, "into this map"));
        }
    }
}

fn entries_of(node: &NodeData) -> Option<&[Pair]> {
    match &node.body {
        Body::Map { written, effective } => Some(effective.as_ref().unwrap_or(written)),
        _ => None,
    }
}

/// The key that a node is; reports those that cannot be any.
fn key_of(builder: &mut Builder<'_>, key: Child) -> Option<Key> {
    let node = &builder.nodes[key.id as usize];
    match &node.body {
        Body::Scalar { .. } if node.tag == Tag::Broken => None,
        Body::Scalar { text, .. } => construct::scalar(node.tag, text).ok().as_ref().and_then(Key::of),
        Body::List(_) | Body::Map { .. } => {
            let problem = Diagnostic::error(format!("{} cannot be a key", node.tag.name()));
            let span = key.alias.unwrap_or(node.span);
            builder.report(problem.at(span));
            None
        }
    }
}

fn warn_of_repetition(builder: &mut Builder<'_>, first: Child, again: Child) {
    let place = |child: Child| child.alias.unwrap_or(builder.nodes[child.id as usize].span);
    let text = match &builder.nodes[again.id as usize].body {
        Body::Scalar { text, .. } => text,
        _ => "",
    };
    let problem =
        Diagnostic::warning(format!("the key `{text}` is repeated, and only its last value counts"));
    let problem = problem.at(place(again)).related(place(first), "it was given here before");
    builder.report(problem);
}
