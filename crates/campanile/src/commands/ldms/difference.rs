//! What a save changes, for people.

use std::fmt::Write as _;

use campanile_maestro::keys::Difference;

/// Lines that are shown without --full.
const SHOWN: usize = 60;

/// A line for each key that differs, and the counts.
pub(crate) fn render(difference: &Difference, full: bool) -> String {
    if difference.is_empty() {
        return "no difference\n".to_owned();
    }
    let mut out = String::new();
    let removed = difference.removed.iter().map(|(key, old)| format!("- {key} = {old}"));
    let changed = difference.changed.iter().map(|(key, (old, new))| format!("~ {key} = {old} -> {new}"));
    let added = difference.added.iter().map(|(key, new)| format!("+ {key} = {new}"));
    let shown = if full { usize::MAX } else { SHOWN };
    // Changes first: they are what a reader looks for among thousands of new keys.
    for line in changed.chain(removed).chain(added).take(shown) {
        let _ = writeln!(out, "{line}");
    }
    let counts = (difference.added.len(), difference.changed.len(), difference.removed.len());
    let left = (counts.0 + counts.1 + counts.2).saturating_sub(shown);
    if left > 0 {
        let _ = writeln!(out, "… and {left} more; --full shows all");
    }
    let _ = writeln!(out, "{} added, {} changed, {} removed", counts.0, counts.1, counts.2);
    out
}
