//! A file's text: decoded, checked, and cut into lines.

use std::path::{Path, PathBuf};

use crate::diagnostic::Position;

/// The text of one file, with its name.
#[derive(Debug)]
pub struct Source {
    name: PathBuf,
    text: String,
}

impl Source {
    /// Takes a text that is already decoded.
    pub fn new(name: impl Into<PathBuf>, text: impl Into<String>) -> Self {
        Self { name: name.into(), text: text.into() }
    }

    /// The name of the file, as it was given.
    pub fn name(&self) -> &Path {
        &self.name
    }

    /// The whole text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The text of a line (counted from 1) without its line break; empty when there is no such line.
    pub fn line(&self, line: u32) -> &str {
        self.text.lines().nth((line as usize).saturating_sub(1)).unwrap_or("")
    }

    /// The position of a byte in the text; a place behind the end is the end.
    pub fn position(&self, offset: usize) -> Position {
        let mut offset = offset.min(self.text.len());
        while !self.text.is_char_boundary(offset) {
            offset -= 1;
        }
        let before = &self.text[..offset];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        Position {
            line: to_u32(before.matches('\n').count() + 1),
            column: to_u32(before[line_start..].chars().count() + 1),
            offset: to_u32(offset),
        }
    }
}

/// Positions are 32 bits wide, which the limit on the size of a file makes enough.
pub(crate) fn to_u32(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
