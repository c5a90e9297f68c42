//! Pairing hostlists: names with hosts, names with ports.
//!
//! The original sorts every expanded hostlist as text before it pairs, so that `sampler-[1-11]` and `[9995-10005]` meet
//! as sampler-1 and 10000. Here they meet as they are written; where that makes a difference, a warning says so.

use std::collections::HashMap;

use campanile_yaml::Node;

use super::Pairing;
use super::fields::Fields;
use super::model::Names;

/// What happens to values that are fewer than the names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spread {
    /// Each counts for a block of names: a a b b.
    Blocks,
    /// They are taken in turn: a b a b.
    Cycle,
}

/// A value for each name, in the order of the names.
pub(super) fn spread(
    fields: &mut Fields,
    at: Node<'_>,
    names: &Names,
    values: &Names,
    how: Spread,
    noun: &str,
) -> Option<Vec<String>> {
    let (wanted, given) = (names.list.len(), values.list.len());
    if given == 0 || wanted == 0 || !wanted.is_multiple_of(given) {
        let message = format!("{wanted} names and {given} {noun}s do not pair");
        let hint = format!("give as many {noun}s as names, or a number that divides {wanted}");
        fields.error_hint(at, message, hint);
        return None;
    }
    let at_place = |place: usize| match how {
        Spread::Blocks => place / (wanted / given),
        Spread::Cycle => place % given,
    };
    let written = (0..wanted).map(|place| values.list[at_place(place)].clone()).collect::<Vec<_>>();
    if fields.pairing == Pairing::Written {
        let sorted: Vec<&String> = values.in_lexical_order().collect();
        let original: HashMap<&String, &String> = names
            .in_lexical_order()
            .enumerate()
            .map(|(place, name)| (name, sorted[at_place(place)]))
            .collect();
        warn_of_difference(fields, at, names.list.iter().zip(&written), &original, noun);
    }
    Some(written)
}

/// A name of an endpoint for each daemon, in the order of the daemons.
pub(super) fn one_each(
    fields: &mut Fields,
    at: Node<'_>,
    daemons: &Names,
    names: &Names,
) -> Option<Vec<String>> {
    let (wanted, given) = (daemons.list.len(), names.list.len());
    if given < wanted {
        let message = format!("{given} endpoints for {wanted} daemons");
        fields.error_hint(at, message, "each entry gives one endpoint to each daemon");
        return None;
    }
    if fields.pairing == Pairing::Written {
        let original: HashMap<&String, &String> =
            daemons.in_lexical_order().zip(names.in_lexical_order()).collect();
        warn_of_difference(fields, at, daemons.list.iter().zip(names.list.iter()), &original, "endpoint");
    }
    Some(names.list.iter().take(wanted).cloned().collect())
}

/// Says where the original would have paired otherwise.
fn warn_of_difference<'n>(
    fields: &mut Fields,
    at: Node<'_>,
    pairs: impl Iterator<Item = (&'n String, &'n String)>,
    original: &HashMap<&'n String, &'n String>,
    noun: &str,
) {
    let mut differing = pairs.filter(|(name, value)| original.get(name) != Some(value));
    let Some((name, value)) = differing.next() else { return };
    let others = differing.count();
    let there = original.get(name).map_or("none", |value| value.as_str());
    let more = if others == 0 { String::new() } else { format!(", and {others} more differ") };
    let message = format!(
        "paired in written order: `{name}` has {noun} {value}; the original sorts as text and gives it {there}{more}"
    );
    let hint = "`--pairing original` keeps the original's pairs; leading zeros make both agree";
    fields.diagnostics.push(at.warning(message).hint(hint));
}
