//! From the bytes of a file to a text that can be parsed.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use crate::build;
use crate::diagnostic::{Diagnostic, Diagnostics, Span};
use crate::node::{Document, Schema};
use crate::source::Source;

/// Bytes in a file.
pub const MAX_FILE_BYTES: usize = 16 << 20;
/// Characters that are no text: reported one by one up to this number.
const MAX_REPORTED_CHARACTERS: usize = 20;

/// Reads a YAML file that must hold one document.
///
/// The document is there unless the text as a whole cannot be used (it cannot be read, is not YAML, or exceeds a limit).
/// It is there even with errors (an unknown alias or tag, a number that is none), so that the reader of the document
/// can report what else is wrong; whether to use it is then the reader's decision.
pub fn read_file(path: &Path, schema: Schema) -> (Option<Document>, Diagnostics) {
    let read = || -> std::io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        // One byte more than allowed tells an oversized file from a full one.
        File::open(path)?.take(MAX_FILE_BYTES as u64 + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    match read() {
        Ok(bytes) => parse(path, &bytes, schema),
        Err(error) => {
            let source = Arc::new(Source::new(path, ""));
            (None, Diagnostic::error(format!("cannot read the file: {error}")).in_source(&source).into())
        }
    }
}

/// Reads YAML that must be one document; `name` is for messages. See [`read_file`].
pub fn parse(name: &Path, bytes: &[u8], schema: Schema) -> (Option<Document>, Diagnostics) {
    let mut diagnostics = Diagnostics::new();
    if bytes.len() > MAX_FILE_BYTES {
        let source = Arc::new(Source::new(name, ""));
        let problem = Diagnostic::error(format!("the file is larger than {} MiB", MAX_FILE_BYTES >> 20));
        diagnostics.push(problem.in_source(&source));
        return (None, diagnostics);
    }
    let Decoded { text, problems } = decode(bytes);
    let source = Arc::new(Source::new(name, text));
    for (offset, length, message, hint) in problems {
        let span = Span { start: source.position(offset), end: source.position(offset + length) };
        diagnostics.push(Diagnostic::error(message).in_source(&source).at(span).maybe_hint(hint));
    }
    let document = build::build(&source, schema, &mut diagnostics);
    (document, diagnostics)
}

struct Decoded {
    text: String,
    /// Offset and length in the text, message, hint.
    problems: Vec<(usize, usize, String, Option<String>)>,
}

/// UTF-8, or UTF-16 with a byte-order mark; what is no text is replaced, so that reading can go on.
fn decode(bytes: &[u8]) -> Decoded {
    let mut problems = Vec::new();
    let mut text = match bytes {
        [0xff, 0xfe, rest @ ..] => decode_utf16(rest, u16::from_le_bytes, &mut problems),
        [0xfe, 0xff, rest @ ..] => decode_utf16(rest, u16::from_be_bytes, &mut problems),
        _ => decode_utf8(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes), &mut problems),
    };
    if text.contains(unprintable) {
        for (offset, c) in text.char_indices().filter(|(_, c)| unprintable(*c)) {
            let hint = "use an escape in a text in double quotes, such as \"\\x1b\"".to_owned();
            problems.push((
                offset,
                c.len_utf8(),
                format!("the character U+{:04X} is not allowed", u32::from(c)),
                Some(hint),
            ));
        }
        // Offsets stay the same.
        text = text
            .chars()
            .map(|c| if unprintable(c) { "__\u{fffd}"[stand_in(c)].to_owned() } else { c.into() })
            .collect();
    }
    problems.truncate(MAX_REPORTED_CHARACTERS);
    Decoded { text, problems }
}

/// The part of `__\u{fffd}` that is as long as the character.
fn stand_in(c: char) -> std::ops::Range<usize> {
    match c.len_utf8() {
        1 => 0..1,
        2 => 0..2,
        _ => 2..5,
    }
}

/// Whether YAML 1.1 forbids the character.
fn unprintable(c: char) -> bool {
    !matches!(c, '\t' | '\n' | '\r' | ' '..='~' | '\u{85}' | '\u{a0}'..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

fn decode_utf8(bytes: &[u8], problems: &mut Vec<(usize, usize, String, Option<String>)>) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        if !chunk.invalid().is_empty() {
            let shown: Vec<String> = chunk.invalid().iter().map(|byte| format!("0x{byte:02x}")).collect();
            let message = format!("this is not UTF-8 (byte {})", shown.join(" "));
            let hint = "save the file as UTF-8".to_owned();
            problems.push((text.len(), chunk.invalid().len(), message, Some(hint)));
            text.extend(chunk.invalid().iter().map(|_| '_'));
        }
    }
    text
}

fn decode_utf16(
    bytes: &[u8],
    unit: fn([u8; 2]) -> u16,
    problems: &mut Vec<(usize, usize, String, Option<String>)>,
) -> String {
    let (pairs, rest) = bytes.as_chunks::<2>();
    let mut text = String::with_capacity(bytes.len());
    for decoded in char::decode_utf16(pairs.iter().map(|pair| unit(*pair))) {
        match decoded {
            Ok(c) => text.push(c),
            Err(_) => {
                problems.push((text.len(), 1, "this is not UTF-16".to_owned(), None));
                text.push('_');
            }
        }
    }
    if !rest.is_empty() {
        problems.push((text.len(), 0, "the file ends in the middle of a character".to_owned(), None));
    }
    text
}
