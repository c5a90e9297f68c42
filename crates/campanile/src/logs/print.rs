//! Lines of two streams in one terminal.

use serde_json::json;

/// Puts lines of the streams under headings, as `tail` does with several files.
#[derive(Clone, Debug)]
pub(crate) struct Printer {
    json: bool,
    /// Are there headings at all? With one stream there is nothing to tell apart.
    headings: bool,
    /// The stream of the last line.
    current: Option<String>,
}

impl Printer {
    pub(crate) fn new(json: bool, headings: bool) -> Self {
        Self { json, headings, current: None }
    }

    /// The text for these lines.
    pub(crate) fn lines<'a>(&mut self, stream: &str, lines: impl IntoIterator<Item = &'a str>) -> String {
        let mut out = String::new();
        for line in lines {
            if self.json {
                out.push_str(&format!("{}\n", json!({ "stream": stream, "text": line })));
                continue;
            }
            if self.headings && self.current.as_deref() != Some(stream) {
                if self.current.is_some() {
                    out.push('\n');
                }
                out.push_str(&format!("==> {stream} <==\n"));
                self.current = Some(stream.to_owned());
            }
            out.push_str(line);
            out.push('\n');
        }
        out
    }
}

/// Takes text as it comes and gives it out in whole lines.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lines {
    rest: String,
}

/// A line that is longer than this is given out in pieces, in bytes.
const LINE_MAX: usize = 256 * 1024;

impl Lines {
    /// Adds text; returns the lines that are complete now.
    pub(crate) fn push(&mut self, text: &str) -> Vec<String> {
        self.rest.push_str(text);
        let mut lines = Vec::new();
        if let Some(end) = self.rest.rfind('\n') {
            let whole: String = self.rest.drain(..=end).collect();
            lines.extend(whole.lines().map(str::to_owned));
        }
        if self.rest.len() > LINE_MAX {
            lines.push(std::mem::take(&mut self.rest));
        }
        lines
    }

    /// What is left at the end: a line that has not ended.
    pub(crate) fn finish(&mut self) -> Option<String> {
        (!self.rest.is_empty()).then(|| std::mem::take(&mut self.rest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headings_stand_where_the_stream_changes() {
        let mut printer = Printer::new(false, true);
        assert_eq!(printer.lines("stdout", ["a", "b"]), "==> stdout <==\na\nb\n");
        assert_eq!(printer.lines("stdout", ["c"]), "c\n");
        assert_eq!(printer.lines("stderr", ["d"]), "\n==> stderr <==\nd\n");
        assert_eq!(printer.lines("stderr", []), "");
    }

    #[test]
    fn one_stream_needs_no_heading_and_json_never_has_one() {
        assert_eq!(Printer::new(false, false).lines("stdout", ["a"]), "a\n");
        let mut printer = Printer::new(true, true);
        assert_eq!(
            printer.lines("stderr", ["a \"b\""]),
            "{\"stream\":\"stderr\",\"text\":\"a \\\"b\\\"\"}\n"
        );
    }

    #[test]
    fn text_that_comes_in_pieces_is_given_out_in_lines() {
        let mut lines = Lines::default();
        assert_eq!(lines.push("one\ntw"), ["one"]);
        assert_eq!(lines.push("o\n\nthr"), ["two", ""]);
        assert_eq!(lines.finish().as_deref(), Some("thr"));
        assert_eq!(lines.finish(), None);
        assert_eq!(lines.push(&"x".repeat(LINE_MAX + 1)).len(), 1, "memory stays bounded");
    }
}
