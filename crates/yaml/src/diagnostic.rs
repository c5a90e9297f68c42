//! What is wrong with a file, where, and what to do about it.

use std::path::Path;
use std::sync::Arc;

use serde_json::json;

use crate::render;
use crate::source::Source;

/// Diagnostics kept for one file; what comes after them is only counted.
pub const MAX_DIAGNOSTICS: usize = 200;

/// A place in a source text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Line, counted from 1.
    pub line: u32,
    /// Column in characters, counted from 1.
    pub column: u32,
    /// Bytes before this place in the text (after decoding to UTF-8, with the byte-order mark left out).
    pub offset: u32,
}

/// A stretch of a source text: `start` belongs to it, `end` does not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// Where it begins.
    pub start: Position,
    /// Just behind its last character.
    pub end: Position,
}

/// How bad it is. Only errors make a file unusable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Something, or everything, in the file cannot be used.
    Error,
    /// It can be used, but is probably not what its author means.
    Warning,
    /// Worth knowing.
    Note,
}

impl Severity {
    /// The word that begins a rendered diagnostic, and the value of `severity` in the JSON form.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

/// A second place that explains the first, such as the earlier one of two equal keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Related {
    /// The place, in the same file.
    pub span: Span,
    /// What is to be seen there.
    pub message: String,
}

/// One problem.
#[derive(Clone, Debug)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// The file it is in; none for problems outside of any file (an option, an environment variable).
    pub source: Option<Arc<Source>>,
    /// The offending text; none when the file as a whole is meant.
    pub span: Option<Span>,
    /// What is wrong, as one sentence without a full stop.
    pub message: String,
    /// A few words printed below the offending text.
    pub label: Option<String>,
    /// What to do about it.
    pub hint: Option<String>,
    /// Other places in the same file that belong to it.
    pub related: Vec<Related>,
}

impl Diagnostic {
    /// A diagnostic that belongs to no file yet.
    pub fn new(severity: Severity, message: impl Into<String>) -> Self {
        Self {
            severity,
            source: None,
            span: None,
            message: message.into(),
            label: None,
            hint: None,
            related: Vec::new(),
        }
    }

    /// An error that belongs to no file yet.
    pub fn error(message: impl Into<String>) -> Self {
        Self::new(Severity::Error, message)
    }

    /// A warning that belongs to no file yet.
    pub fn warning(message: impl Into<String>) -> Self {
        Self::new(Severity::Warning, message)
    }

    /// Names the file it is in.
    #[must_use]
    pub fn in_source(mut self, source: &Arc<Source>) -> Self {
        self.source = Some(Arc::clone(source));
        self
    }

    /// Names the offending text.
    #[must_use]
    pub fn at(mut self, span: Span) -> Self {
        self.span = Some(span);
        self
    }

    /// Adds the words below the offending text.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// Adds what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds what to do about it, if anything comes to mind.
    #[must_use]
    pub fn maybe_hint(mut self, hint: Option<String>) -> Self {
        if hint.is_some() {
            self.hint = hint;
        }
        self
    }

    /// Adds a second place in the same file.
    #[must_use]
    pub fn related(mut self, span: Span, message: impl Into<String>) -> Self {
        self.related.push(Related { span, message: message.into() });
        self
    }

    /// The file it is in.
    pub fn file(&self) -> Option<&Path> {
        self.source.as_deref().map(Source::name)
    }

    /// One line for logs and for messages on the bus: `site.yaml:12:5: message (hint)`.
    pub fn one_line(&self) -> String {
        let mut line = String::new();
        if let Some(file) = self.file() {
            line.push_str(&file.display().to_string());
            if let Some(span) = self.span {
                line.push_str(&format!(":{}:{}", span.start.line, span.start.column));
            }
            line.push_str(": ");
        }
        line.push_str(&self.message);
        if let Some(hint) = &self.hint {
            line.push_str(&format!(" ({hint})"));
        }
        line
    }

    /// The JSON form: `severity`, `file`, `line`, `column`, `end_line`, `end_column`, `text` (the whole source line),
    /// `message`, `label`, `hint` and `related`; what is unknown is null.
    pub fn to_json(&self) -> serde_json::Value {
        let text = self.source.as_deref().zip(self.span).map(|(source, span)| source.line(span.start.line));
        json!({
            "severity": self.severity.as_str(),
            "file": self.file().map(|file| file.display().to_string()),
            "line": self.span.map(|span| span.start.line),
            "column": self.span.map(|span| span.start.column),
            "end_line": self.span.map(|span| span.end.line),
            "end_column": self.span.map(|span| span.end.column),
            "text": text,
            "message": self.message,
            "label": self.label,
            "hint": self.hint,
            "related": self.related.iter().map(|related| json!({
                "line": related.span.start.line,
                "column": related.span.start.column,
                "message": related.message,
            })).collect::<Vec<_>>(),
        })
    }
}

/// All that is wrong, in the order of the files and of the places in them.
#[derive(Clone, Debug, Default)]
pub struct Diagnostics {
    items: Vec<Diagnostic>,
    errors: usize,
    warnings: usize,
    left_out: usize,
}

impl Diagnostics {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one. Beyond [`MAX_DIAGNOSTICS`] it is counted but not kept.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        match diagnostic.severity {
            Severity::Error => self.errors += 1,
            Severity::Warning => self.warnings += 1,
            Severity::Note => {}
        }
        if self.items.len() < MAX_DIAGNOSTICS {
            self.items.push(diagnostic);
        } else {
            self.left_out += 1;
        }
    }

    /// Adds all of another collection.
    pub fn extend(&mut self, other: Self) {
        let left_out = other.left_out;
        let (errors, warnings) = (self.errors + other.errors, self.warnings + other.warnings);
        for diagnostic in other.items {
            self.push(diagnostic);
        }
        self.left_out += left_out;
        (self.errors, self.warnings) = (errors, warnings);
    }

    /// The same problems, each one changed; for texts that hold secrets. The severity must stay as it is.
    #[must_use]
    pub fn map(mut self, change: impl FnMut(Diagnostic) -> Diagnostic) -> Self {
        self.items = self.items.into_iter().map(change).collect();
        self
    }

    /// The problems kept, sorted by file and position; those without a place come first.
    pub fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        let mut sorted: Vec<&Diagnostic> = self.items.iter().collect();
        sorted.sort_by_key(|item| (item.file().map(Path::to_path_buf), item.span.map(|span| span.start)));
        sorted.into_iter()
    }

    /// Whether there is nothing to say at all.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Whether any of them is an error.
    pub fn has_errors(&self) -> bool {
        self.errors > 0
    }

    /// How many errors there are, also those beyond [`MAX_DIAGNOSTICS`].
    pub fn error_count(&self) -> usize {
        self.errors
    }

    /// How many warnings there are, also those beyond [`MAX_DIAGNOSTICS`].
    pub fn warning_count(&self) -> usize {
        self.warnings
    }

    /// How many were counted but not kept.
    pub fn left_out(&self) -> usize {
        self.left_out
    }

    /// All of them for people, each with its source line, in the manner of rustc.
    ///
    /// `color` switches terminal colours on; see [`crate::stderr_wants_color`]. The text ends with a line break.
    pub fn render(&self, color: bool) -> String {
        render::render(self, color)
    }

    /// The JSON form: `{"errors": n, "warnings": n, "diagnostics": […]}`.
    pub fn to_json(&self) -> serde_json::Value {
        json!({
            "errors": self.errors,
            "warnings": self.warnings,
            "left_out": self.left_out,
            "diagnostics": self.iter().map(Diagnostic::to_json).collect::<Vec<_>>(),
        })
    }
}

impl From<Diagnostic> for Diagnostics {
    fn from(diagnostic: Diagnostic) -> Self {
        let mut all = Self::new();
        all.push(diagnostic);
        all
    }
}
