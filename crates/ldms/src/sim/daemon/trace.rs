//! The trace of requests that `ldmsd -L 7:FILE` writes, line by line.

use super::Daemon;

/// Lines a trace keeps; older ones are dropped.
const MAX_LINES: usize = 100_000;

impl Daemon {
    /// The trace so far, if it was asked for.
    #[must_use]
    pub fn trace(&self) -> &[String] {
        self.trace.as_deref().unwrap_or_default()
    }

    /// Writes a line; it is only made when there is a trace.
    pub(super) fn log(&mut self, line: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            if trace.len() >= MAX_LINES {
                trace.drain(..MAX_LINES / 2);
            }
            trace.push(line());
        }
    }
}
