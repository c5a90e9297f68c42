//! What the words of a command line name: ids, ranges of ids, patterns.

use super::narrow::{Pattern, Patterns};
use super::survey::{Fleet, Row};

/// How a row is named on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Named {
    No,
    ByPattern,
    Itself,
}

/// The words, and which of them have named anything yet.
pub(super) struct Words(Vec<Word>);

struct Word {
    text: String,
    meant: Meant,
    used: bool,
}

enum Meant {
    Id,
    Pattern(Pattern),
}

impl Words {
    /// An id that exists means itself, whatever characters it has; else a word may be a range or a pattern.
    pub(super) fn new(fleet: &Fleet, ids: &[String]) -> Self {
        let word = |text: String, meant| Word { text, meant, used: false };
        let mut words: Vec<Word> = Vec::new();
        for id in ids {
            let exists = fleet.rows().any(|(_, row)| row.instance_id == *id);
            let patterns = Patterns::parse(id).ok().filter(|_| !exists && id.contains(['[', ',', '*', '?']));
            let Some(patterns) = patterns else {
                words.push(word(id.clone(), Meant::Id));
                continue;
            };
            // Each name of a range must exist: what is written is meant.
            words.extend(patterns.parts().iter().map(|part| {
                let meant = if part.is_open() { Meant::Pattern(part.clone()) } else { Meant::Id };
                word(part.to_string(), meant)
            }));
        }
        Self(words)
    }

    /// How this row is named; the words that name it count as used.
    pub(super) fn name(&mut self, row: &Row) -> Named {
        let mut named = Named::No;
        for word in &mut self.0 {
            let (fits, how) = match &word.meant {
                Meant::Id => (word.text == row.instance_id, Named::Itself),
                Meant::Pattern(pattern) => (pattern.matches(&row.instance_id), Named::ByPattern),
            };
            if fits {
                word.used = true;
                named = named.max(how);
            }
        }
        named
    }

    /// The words that have named nothing, each once.
    pub(super) fn unused(self) -> Vec<String> {
        let mut unused: Vec<String> = Vec::new();
        for word in self.0.into_iter().filter(|word| !word.used) {
            if !unused.contains(&word.text) {
                unused.push(word.text);
            }
        }
        unused
    }
}
