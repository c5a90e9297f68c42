//! What the parser complains of, in words that say what to do.

use granit_parser::{ErrorKind, ScanError};

use crate::build::MAX_DEPTH;
use crate::diagnostic::{Diagnostic, Position, Span};
use crate::source::Source;

/// Turns the parser's complaint about the text at `start` into a diagnostic with a hint; it had read the text up to the
/// byte `read_to`.
pub(crate) fn explain(error: &ScanError, start: Position, read_to: u32, source: &Source) -> Diagnostic {
    if let ErrorKind::MismatchedFlowCollectionEnd { open, close } = error.kind() {
        // The parser names the place of the opening bracket.
        let rest = source.text().get(read_to as usize..).unwrap_or_default();
        if let Some(at) = rest.find(*close) {
            let spot =
                |offset: usize| Span { start: source.position(offset), end: source.position(offset + 1) };
            return Diagnostic::error(format!("the bracket `{open}` is closed by `{close}`"))
                .at(spot(read_to as usize + at))
                .related(spot(start.offset as usize), "it was opened here")
                .hint("a bracket is missing, wrong, or one too many");
        }
    }
    let mut start = source.position(start.offset as usize);
    if is_about_tab(error.kind()) {
        // The parser names the place where it began to look.
        let rest = &source.text()[start.offset as usize..];
        start = source.position(start.offset as usize + rest.find('\t').unwrap_or(0));
    }
    let next = source.text()[start.offset as usize..].chars().next().filter(|c| *c != '\n' && *c != '\r');
    let end = source.position(start.offset as usize + next.map_or(0, char::len_utf8));
    let (message, hint) = words(error.kind(), next);
    let message = message.unwrap_or_else(|| error.kind().to_string());
    Diagnostic::error(message).at(Span { start, end }).maybe_hint(hint.map(str::to_owned))
}

fn is_about_tab(kind: &ErrorKind) -> bool {
    use ErrorKind as E;
    matches!(
        kind,
        E::TabNotAllowed
            | E::TabInBlockIndentation
            | E::TabInIndentation
            | E::TabAtBlockScalarStart
            | E::TabInPlainScalar
    )
}

fn words(kind: &ErrorKind, next: Option<char>) -> (Option<String>, Option<&'static str>) {
    use ErrorKind as E;
    let (message, hint) = match kind {
        kind if is_about_tab(kind) => {
            ("a tab stands where only spaces may", "indent with spaces; YAML allows no tabs there")
        }
        E::UnclosedFlowCollection { open } => {
            return (Some(format!("the bracket `{open}` is never closed")), Some("add the closing bracket"));
        }
        E::UnexpectedEofFlowSequence => ("a list that begins with `[` does not end", "add the closing `]`"),
        E::UnexpectedEofFlowMapping | E::UnexpectedEofImplicitFlowMapping => {
            ("a map that begins with `{` does not end", "add the closing `}`")
        }
        E::MismatchedFlowCollectionEnd { open, close } => {
            let message = format!("the bracket `{open}` is closed by `{close}`");
            return (Some(message), Some("a bracket is missing, wrong, or one too many before this place"));
        }
        E::MisplacedFlowCollectionEnd => {
            ("there is no open bracket to close here", "remove it, or add the opening one")
        }
        E::ExpectedFlowMappingSeparator | E::ExpectedFlowSequenceSeparator | E::ExpectedNodeContent
            if matches!(next, Some('}' | ']')) =>
        {
            (
                "this bracket is one too many, or of the wrong kind",
                "see which bracket was opened last before it",
            )
        }
        E::ExpectedFlowMappingSeparator => {
            ("expected `,` or `}` here", "a comma or the closing bracket is missing before it")
        }
        E::ExpectedFlowSequenceSeparator => {
            ("expected `,` or `]` here", "a comma or the closing bracket is missing before it")
        }
        E::ExpectedBlockMappingKey | E::InvalidIndentation | E::InvalidBlockScalarIndent => {
            ("this does not fit in here", "the entries of a map must begin in the same column")
        }
        E::ExpectedBlockSequenceEntry => {
            ("expected `-` here", "the elements of a list must begin in the same column")
        }
        E::BlockSequenceEntryNotAllowed => {
            ("a list cannot begin here", "a list begins on a line of its own, and not beside a value")
        }
        E::MappingValueNotAllowed => (
            "a `:` cannot stand here",
            "a text with `: ` in it must be in quotes; else see whether the indentation is right",
        ),
        E::SimpleKeyExpected | E::InvalidSimpleKey => {
            ("expected `:` after this key", "a key needs `: ` and a value behind it, on the same line")
        }
        E::UnclosedQuotedScalar => ("a quoted text does not end", "add the closing quote"),
        E::InvalidTrailingSingleQuotedScalar | E::InvalidTrailingDoubleQuotedScalar => (
            "something follows the closing quote",
            "double a quote that belongs to the text, or quote the whole value",
        ),
        E::UnknownQuotedScalarEscape => (
            "unknown escape in a text in double quotes",
            "write `\\\\` for a backslash, or use single quotes",
        ),
        E::UnexpectedCharacter { .. } => {
            ("no value can begin with this character", "put the value in quotes")
        }
        E::RecursionLimitExceeded => {
            return (Some(format!("nested more than {MAX_DEPTH} levels deep")), None);
        }
        _ => return (None, None),
    };
    (Some(message.to_owned()), Some(hint))
}
