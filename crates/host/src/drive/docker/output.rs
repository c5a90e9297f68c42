//! What containers print: the engine keeps it, and gives it in pages here as [`crate::drive::logs`] does for processes.
//!
//! The engine knows no byte positions, but the time of every line. So a position is a time, in nanoseconds since 1970:
//! it stays valid when the engine drops old lines, and when a service gets a new container.
//!
//! **Limits.** A page has at most [`MAX_PAGE_BYTES`]; what comes at the same nanosecond stays together. Reading one takes
//! at most [`READ_TIMEOUT`]. A log driver from which the engine cannot read gives its error.
//!
//! Asked for the last lines of one stream, the engine counts those of both and gives what is left of them; so both are
//! asked for here.

use std::collections::VecDeque;
use std::time::Duration;

use bollard::container::LogOutput;
use bollard::query_parameters::LogsOptionsBuilder;
use futures_util::StreamExt;

use super::containers::unix_ns;
use super::{Dockers, words};
use crate::drive::logs::{From, MAX_PAGE_BYTES, Page, Stream};

/// What the engine may take until it begins to answer, in seconds.
const ANSWER_TIMEOUT_S: u64 = 10;
/// What reading one page may take.
const READ_TIMEOUT: Duration = Duration::from_secs(12);
/// Lines at the end that are looked at before all are, which takes as long as a log is large.
const NEAR_END_LINES: usize = 2000;
/// Of a stream that prints seldom beside one that prints a lot, last lines are not looked for further back.
const FAR_FROM_END_LINES: usize = 100_000;
/// The longest time at the beginning of a line, with the blank behind it.
const MAX_TIME_BYTES: usize = 40;

/// A line, or a piece of one that is longer than the engine's buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Piece {
    at_ns: u64,
    text: Vec<u8>,
}

/// Which lines are asked of the engine.
#[derive(Clone, Copy, Debug)]
enum Asked {
    /// So many of the last ones.
    Last(usize),
    /// All from this second on.
    Since(u64),
}

impl Dockers {
    /// Reads one page of what the container of a service has printed. Without a container there is nothing to read.
    ///
    /// # Errors
    /// In words: the engine does not answer, or cannot read this log.
    pub async fn read_output(&self, service: &str, stream: Stream, from: From) -> Result<Page, String> {
        let view = self.view();
        let container = view.services.get(service).and_then(|state| state.container.as_ref());
        let Some(container) = container.filter(|container| !container.is_gone) else {
            return Ok(empty(stream, from));
        };
        match tokio::time::timeout(READ_TIMEOUT, self.read(&container.id, stream, from)).await {
            Ok(page) => page,
            Err(_elapsed) => Err(format!(
                "the docker engine takes longer than {} s to give the output of {service}",
                READ_TIMEOUT.as_secs()
            )),
        }
    }

    async fn read(&self, id: &str, stream: Stream, from: From) -> Result<Page, String> {
        match from {
            From::LastLines(lines) => {
                // One line tells where the end is, also when none is wanted.
                let wanted = lines.max(1);
                let mut asked = wanted;
                loop {
                    let mut last = Last::new(lines);
                    let seen = self.each(id, stream, Asked::Last(asked), |piece| last.push(piece)).await?;
                    if seen < asked || last.taken >= wanted || asked >= FAR_FROM_END_LINES {
                        return Ok(last.page(stream, seen < asked));
                    }
                    asked = if asked < NEAR_END_LINES { NEAR_END_LINES } else { FAR_FROM_END_LINES };
                }
            }
            From::Offset(offset) => {
                for lines in [1, NEAR_END_LINES] {
                    let mut forward = Forward::new(offset);
                    let seen = self.each(id, stream, Asked::Last(lines), |piece| forward.push(piece)).await?;
                    if forward.reaches_back(seen < lines) {
                        return Ok(forward.page(stream));
                    }
                }
                let mut forward = Forward::new(offset);
                let since_s = offset / 1_000_000_000;
                self.each(id, stream, Asked::Since(since_s), |piece| forward.push(piece)).await?;
                Ok(forward.page(stream))
            }
        }
    }

    /// Gives the lines of a stream one after the other to `take` until that has enough of them; returns how many lines of
    /// both were seen.
    async fn each(
        &self,
        id: &str,
        stream: Stream,
        asked: Asked,
        mut take: impl FnMut(Piece) -> bool,
    ) -> Result<usize, String> {
        let docker = self.shared.options.address.connect(ANSWER_TIMEOUT_S)?;
        let options = LogsOptionsBuilder::new().stdout(true).stderr(true).timestamps(true);
        let options = match asked {
            Asked::Last(lines) => options.tail(&lines.to_string()),
            Asked::Since(second) => options.since(i32::try_from(second).unwrap_or(i32::MAX)),
        };
        let mut output = docker.logs(id, Some(options.build()));
        let (mut last_ns, mut seen) = (0, 0);
        while let Some(piece) = output.next().await {
            let (of, message) = match piece {
                // A container with a terminal has one output for both.
                Ok(LogOutput::StdOut { message } | LogOutput::Console { message }) => {
                    (Stream::Stdout, message)
                }
                Ok(LogOutput::StdErr { message }) => (Stream::Stderr, message),
                Ok(LogOutput::StdIn { .. }) => continue,
                // It was removed a moment ago.
                Err(bollard::errors::Error::DockerResponseServerError { status_code: 404, .. }) => {
                    return Ok(seen);
                }
                Err(error) => return Err(words(&error)),
            };
            seen += 1;
            if of != stream {
                continue;
            }
            let piece = understand(&message, last_ns);
            last_ns = piece.at_ns;
            if !take(piece) {
                break;
            }
        }
        Ok(seen)
    }
}

/// Takes the time from the beginning of a line; one without a time counts to the one before.
fn understand(message: &[u8], last_ns: u64) -> Piece {
    let head = &message[..message.len().min(MAX_TIME_BYTES)];
    let time = head.iter().position(|byte| *byte == b' ').and_then(|blank| {
        let at_ns = unix_ns(std::str::from_utf8(&head[..blank]).ok()?)?;
        Some((at_ns, blank + 1))
    });
    let (at_ns, begin) = time.unwrap_or((last_ns, 0));
    Piece { at_ns, text: message[begin..].to_vec() }
}

fn empty(stream: Stream, from: From) -> Page {
    let offset = match from {
        From::Offset(offset) => offset,
        From::LastLines(_) => 0,
    };
    Page { stream, offset, next_offset: offset, end: offset, skipped: 0, by_time: true, text: String::new() }
}

/// The end of an output: as many lines and bytes of it as are wanted and fit.
struct Last {
    lines: usize,
    pieces: VecDeque<Piece>,
    bytes: u64,
    taken: usize,
    next_ns: u64,
}

impl Last {
    const fn new(lines: usize) -> Self {
        Self { lines, pieces: VecDeque::new(), bytes: 0, taken: 0, next_ns: 0 }
    }

    fn push(&mut self, piece: Piece) -> bool {
        self.next_ns = piece.at_ns + 1;
        self.taken += 1;
        self.bytes += piece.text.len() as u64;
        self.pieces.push_back(piece);
        while self.pieces.len() > self.lines || self.bytes > MAX_PAGE_BYTES {
            let Some(first) = self.pieces.pop_front() else { break };
            self.bytes -= first.text.len() as u64;
        }
        true
    }

    /// The page; `is_whole` says that there is no line before those that were taken.
    fn page(self, stream: Stream, is_whole: bool) -> Page {
        // With all lines here the page begins where the output does.
        let is_all = is_whole && self.taken < self.lines && self.pieces.len() == self.taken;
        let first_ns = self.pieces.front().map_or(self.next_ns, |piece| piece.at_ns);
        let offset = if is_all { 0 } else { first_ns };
        let text = text(self.pieces.iter());
        Page { stream, offset, next_offset: self.next_ns, end: self.next_ns, skipped: 0, by_time: true, text }
    }
}

/// An output from a position on.
struct Forward {
    offset: u64,
    pieces: Vec<Piece>,
    bytes: u64,
    taken: usize,
    /// A line before the position was among those that were taken.
    has_earlier: bool,
    is_full: bool,
}

impl Forward {
    const fn new(offset: u64) -> Self {
        Self { offset, pieces: Vec::new(), bytes: 0, taken: 0, has_earlier: false, is_full: false }
    }

    fn push(&mut self, piece: Piece) -> bool {
        self.taken += 1;
        if piece.at_ns < self.offset {
            self.has_earlier = true;
            return true;
        }
        let is_same_time = self.pieces.last().is_some_and(|last| last.at_ns == piece.at_ns);
        let bytes = self.bytes + piece.text.len() as u64;
        if bytes > MAX_PAGE_BYTES && !self.pieces.is_empty() && !is_same_time {
            self.is_full = true;
            return false;
        }
        self.bytes = bytes;
        self.pieces.push(piece);
        true
    }

    /// Whether nothing that is wanted lies before the lines that were asked for; `is_whole` says that there were no
    /// others.
    const fn reaches_back(&self, is_whole: bool) -> bool {
        self.has_earlier || (is_whole && !self.is_full)
    }

    fn page(self, stream: Stream) -> Page {
        let next_offset = self.pieces.last().map_or(self.offset, |last| last.at_ns + 1);
        // Where the end is, is not known before it is reached.
        let end = if self.is_full { next_offset + 1 } else { next_offset };
        let text = text(self.pieces.iter());
        Page { stream, offset: self.offset, next_offset, end, skipped: 0, by_time: true, text }
    }
}

fn text<'a>(pieces: impl Iterator<Item = &'a Piece>) -> String {
    let bytes: Vec<u8> = pieces.flat_map(|piece| piece.text.iter().copied()).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(at_ns: u64, text: &str) -> Piece {
        Piece { at_ns, text: text.as_bytes().to_vec() }
    }

    #[test]
    fn a_line_is_told_from_its_time() {
        let line = b"1970-01-01T00:00:02.000000007Z one two\n";
        assert_eq!(understand(line, 0), piece(2_000_000_007, "one two\n"));
        assert_eq!(understand(b"no time", 5), piece(5, "no time"));
        assert_eq!(understand(b"", 5), piece(5, ""));
    }

    #[test]
    fn the_last_lines_say_whether_they_are_all() {
        let of = |lines| {
            let mut last = Last::new(lines);
            [piece(1, "a\n"), piece(2, "b\n"), piece(3, "c\n")].into_iter().for_each(|piece| {
                last.push(piece);
            });
            let page = last.page(Stream::Stdout, lines > 3);
            (page.offset, page.next_offset, page.text)
        };
        assert_eq!(of(5), (0, 4, "a\nb\nc\n".to_owned()));
        assert_eq!(of(2), (2, 4, "b\nc\n".to_owned()));
        assert_eq!(of(0), (4, 4, String::new()));
    }

    #[test]
    fn pages_that_follow_each_other_give_every_line_once() {
        let line = "x".repeat(40_000);
        let all: Vec<Piece> = (1..=5).map(|at_ns| piece(at_ns / 2, &format!("{at_ns}{line}\n"))).collect();
        let (mut offset, mut got) = (0, Vec::new());
        loop {
            let mut forward = Forward::new(offset);
            let _ = all.iter().cloned().all(|piece| forward.push(piece));
            let page = forward.page(Stream::Stderr);
            got.extend(page.text.lines().map(|line| line[..1].to_owned()));
            offset = page.next_offset;
            if page.next_offset == page.end {
                break;
            }
        }
        assert_eq!(got, ["1", "2", "3", "4", "5"]);
    }

    #[test]
    fn a_look_at_the_end_suffices_where_it_shows_an_earlier_line() {
        let mut forward = Forward::new(5);
        forward.push(piece(4, "a\n"));
        assert!(forward.reaches_back(false));
        let mut forward = Forward::new(5);
        forward.push(piece(6, "a\n"));
        assert!(!forward.reaches_back(false) && forward.reaches_back(true));
    }
}
