//! Printing, made safe for pipes and kind to terminals.

use std::io::{self, IsTerminal as _, Write as _};

use anyhow::Context as _;

use crate::failure::{Failure, Outcome};

/// Prints to stdout at once.
///
/// A reader that has seen enough (`campanile status | head`) is no error: nothing more is printed, and the command
/// ends with the code that it has found.
pub(crate) fn print(text: &str) -> Outcome {
    match write(text) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::World(anyhow::Error::new(error).context("cannot write to standard output")))
        }
        _ => Ok(()),
    }
}

/// Prints to stdout at once; for what goes on until its reader has gone.
pub(crate) fn write(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}

/// Prints a JSON value, indented, with a line end.
pub(crate) fn print_json(value: &impl serde::Serialize) -> Outcome {
    let text = serde_json::to_string_pretty(value).context("cannot write JSON")?;
    print(&format!("{text}\n"))
}

/// Prints to stderr; what cannot be told there is lost, since there is nobody left to tell.
pub(crate) fn print_error(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// Should this stream get colours? Not when it is a file or a pipe, nor against `NO_COLOR` (no-color.org).
fn coloured(is_terminal: bool, no_color: Option<&str>, term: Option<&str>) -> bool {
    is_terminal && no_color.is_none_or(str::is_empty) && term != Some("dumb")
}

fn env(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Should stdout get colours?
pub(crate) fn stdout_coloured() -> bool {
    coloured(io::stdout().is_terminal(), env("NO_COLOR").as_deref(), env("TERM").as_deref())
}

/// Should stderr get colours?
pub(crate) fn stderr_coloured() -> bool {
    coloured(io::stderr().is_terminal(), env("NO_COLOR").as_deref(), env("TERM").as_deref())
}

/// Columns of the terminal that stdout is; `None` when it is none.
pub(crate) fn stdout_width() -> Option<u16> {
    terminal_size().map(|(columns, _)| columns)
}

/// Columns and lines of the terminal that stdout is.
pub(crate) fn terminal_size() -> Option<(u16, u16)> {
    let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
    (size.ws_col > 0 && size.ws_row > 0).then_some((size.ws_col, size.ws_row))
}

#[cfg(test)]
mod tests {
    use super::coloured;

    #[test]
    fn only_a_capable_terminal_without_no_color_gets_colours() {
        assert!(coloured(true, None, Some("xterm")));
        assert!(coloured(true, Some(""), None));
        assert!(!coloured(false, None, Some("xterm")));
        assert!(!coloured(true, Some("1"), Some("xterm")));
        assert!(!coloured(true, None, Some("dumb")));
    }
}
