//! Diagnostics as people read them, in the manner of rustc.

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use crate::diagnostic::{Diagnostic, Diagnostics, Severity, Span};
use crate::source::Source;

/// Source lines longer than this are not shown, since a terminal could not show them either.
const MAX_LINE_BYTES: usize = 2000;

/// Whether standard error is a terminal that may show colours (`NO_COLOR` is respected).
pub fn stderr_wants_color() -> bool {
    use std::io::IsTerminal as _;
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()) && std::io::stderr().is_terminal()
}

pub(crate) fn render(all: &Diagnostics, color: bool) -> String {
    let renderer = if color { Renderer::styled() } else { Renderer::plain() };
    let mut text = String::new();
    for diagnostic in all.iter() {
        text.push_str(&one(diagnostic, &renderer));
        text.push_str("\n\n");
    }
    if all.left_out() > 0 {
        text.push_str(&format!("… and {} more\n", all.left_out()));
    } else if text.ends_with("\n\n") {
        text.pop();
    }
    text
}

fn one(diagnostic: &Diagnostic, renderer: &Renderer) -> String {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
        Severity::Note => Level::NOTE,
    };
    let name = diagnostic.file().map(|file| file.display().to_string());
    let mut group = Group::with_title(level.primary_title(&diagnostic.message));
    if let (Some(source), Some(span), Some(name)) = (diagnostic.source.as_deref(), diagnostic.span, &name) {
        if showable(source, span) {
            let mut snippet = Snippet::source(source.text()).line_start(1).path(name).annotation(
                AnnotationKind::Primary.span(first_line(source, span)).label(diagnostic.label.as_deref()),
            );
            for related in diagnostic.related.iter().filter(|related| showable(source, related.span)) {
                snippet = snippet.annotation(
                    AnnotationKind::Context
                        .span(first_line(source, related.span))
                        .label(related.message.as_str()),
                );
            }
            group = group.element(snippet);
        } else {
            let place = format!("in {name}, line {}, column {}", span.start.line, span.start.column);
            group = group.element(Level::NOTE.message(place));
        }
    } else if let Some(name) = &name {
        group = group.element(Level::NOTE.message(format!("in {name}")));
    }
    if let Some(hint) = &diagnostic.hint {
        group = group.element(Level::HELP.message(hint));
    }
    renderer.render(&[group])
}

fn showable(source: &Source, span: Span) -> bool {
    source.line(span.start.line).len() <= MAX_LINE_BYTES
}

/// The bytes of the span's first line: a caret below one line tells where to look, a frame around forty does not.
fn first_line(source: &Source, span: Span) -> std::ops::Range<usize> {
    let text = source.text();
    let start = (span.start.offset as usize).min(text.len());
    let end = (span.end.offset as usize).clamp(start, text.len());
    let line_end = text[start..].find(['\n', '\r']).map_or(text.len(), |at| start + at);
    start..end.min(line_end)
}
