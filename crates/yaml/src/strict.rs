//! Where the parser, which follows YAML 1.2, and PyYAML disagree about the syntax.
//!
//! What only PyYAML accepts is rewritten before parsing ([`Rewriting`]); what only the parser accepts is reported
//! ([`misplaced_characters`], [`is_anchor_name`]), since every other program of the site reads the same file with PyYAML.

use std::borrow::Cow;
use std::ops::Range;

use granit_parser::{ErrorKind, ScanError};

use crate::diagnostic::{Diagnostic, Position, Span};
use crate::source::{Source, to_u32};

/// Rewritten places in one text. Each costs another reading from the start.
const MAX_REWRITES: usize = 200;
/// Bytes read again for the sake of rewriting.
const MAX_REREAD_BYTES: usize = 256 << 20;
/// Misplaced characters reported one by one.
const MAX_REPORTED_CHARACTERS: usize = 20;

/// A text with small insertions, which still knows the original positions.
pub(crate) struct Rewriting<'s> {
    original: &'s str,
    text: Cow<'s, str>,
    /// Offset in the rewritten text of each inserted byte, ascending.
    inserted: Vec<usize>,
    rewrites: usize,
}

impl<'s> Rewriting<'s> {
    pub(crate) fn of(source: &'s Source) -> Self {
        Self {
            original: source.text(),
            text: Cow::Borrowed(source.text()),
            inserted: Vec::new(),
            rewrites: 0,
        }
    }

    /// The text to parse.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Makes the place that the parser complains of acceptable without changing its meaning in PyYAML; `false` when
    /// the complaint is justified.
    pub(crate) fn rewrite(&mut self, error: &ScanError) -> bool {
        let Some(at) = error.marker().byte_offset() else { return false };
        let rest = self.text.get(at..).unwrap_or_default();
        let insertions: &[(usize, char)] = match error.kind() {
            // `{a:[b]}` is `{a: [b]}`.
            ErrorKind::FlowMappingValueAdjacentCollection if rest.starts_with(':') => &[(at + 1, ' ')],
            // `'a'#b` is `'a' #b`.
            ErrorKind::CommentNotSeparated if rest.starts_with('#') => &[(at, ' ')],
            // `[-]` is `['-']`.
            ErrorKind::PlainScalarStartsWithDashFlowIndicator if rest.starts_with('-') => {
                &[(at, '\''), (at + 2, '\'')]
            }
            _ => return false,
        };
        self.rewrites += 1;
        if self.rewrites > MAX_REWRITES || self.rewrites.saturating_mul(self.text.len()) > MAX_REREAD_BYTES {
            return false;
        }
        for &(offset, c) in insertions {
            self.text.to_mut().insert(offset, c);
            let place = self.inserted.partition_point(|earlier| *earlier < offset);
            for later in &mut self.inserted[place..] {
                *later += 1;
            }
            self.inserted.insert(place, offset);
        }
        true
    }

    /// The position in the original text of a position in the rewritten one.
    pub(crate) fn original_position(&self, mark: &granit_parser::Marker) -> Position {
        let offset = mark.byte_offset().unwrap_or(0);
        let count = |from: usize| self.inserted.iter().filter(|place| (from..offset).contains(place)).count();
        let line_start =
            if self.inserted.is_empty() { 0 } else { self.text[..offset].rfind('\n').map_or(0, |at| at + 1) };
        Position {
            line: to_u32(mark.line()),
            column: to_u32(mark.col() + 1 - count(line_start).min(mark.col())),
            offset: to_u32((offset - count(0)).min(self.original.len())),
        }
    }
}

/// The tabs and byte-order marks in front of `end` that are outside of the given stretches of text (comments, and
/// quoted and block scalars, the only places where PyYAML takes them for what they are).
pub(crate) fn misplaced_characters(source: &Source, allowed: &[Range<u32>], end: u32) -> Vec<Diagnostic> {
    let mut allowed = allowed.to_vec();
    allowed.sort_unstable_by_key(|range| range.start);
    let mut furthest = 0;
    let mut next = 0;
    let mut problems = Vec::new();
    for (offset, found) in source.text().match_indices(['\t', '\u{feff}']) {
        let at = to_u32(offset);
        while allowed.get(next).is_some_and(|range| range.start <= at) {
            furthest = furthest.max(allowed[next].end);
            next += 1;
        }
        if at < furthest || at >= end {
            continue;
        }
        let (message, label, hint) = if found == "\t" {
            let hint = "YAML allows tabs only inside of quoted texts and comments; use spaces";
            ("a tab stands where only spaces may", "this is a tab", hint)
        } else {
            ("a byte-order mark stands inside of the file", "here, though it cannot be seen", "remove it")
        };
        let span = Span { start: source.position(offset), end: source.position(offset + found.len()) };
        problems.push(Diagnostic::error(message).at(span).label(label).hint(hint));
        if problems.len() == MAX_REPORTED_CHARACTERS {
            break;
        }
    }
    problems
}

/// Whether PyYAML takes all of it for the name of an anchor. (To others `&a:` is the anchor `a:`.)
pub(crate) fn is_anchor_name(name: &str) -> bool {
    name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
}
