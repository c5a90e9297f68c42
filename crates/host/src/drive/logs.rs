//! What instances print: one file per instance and stream, kept below a size, read in pages.
//!
//! A child writes into the file by itself (opened for appending), so nothing is lost or blocked when the manager is
//! busy, or dead. A file that grows above the limit is copied to `NAME.1` and then cut to nothing; what is written
//! between the copy and the cut is lost, as with every rotation by copy.
//!
//! Positions are counted over both files, from the first byte that is still there at the start of the manager. They
//! stay valid when a file is cut; what has been dropped is reported as skipped.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use campanile_control::state_dir::file_name;
use serde::Serialize;

use super::growth::Growth;

/// A file is cut when it is longer than this. The copy keeps as much again.
pub const LIMIT_BYTES: u64 = 4 * 1024 * 1024;
/// A disk with less room for us is full.
const LEAST_FREE_BYTES: u64 = 64 * 1024;
/// No page is longer.
pub const MAX_PAGE_BYTES: u64 = 64 * 1024;
/// Lines and bytes that are kept of the end of a run, per stream. Status messages carry them to every client.
pub const TAIL_LINES: usize = 20;
const TAIL_BYTES: u64 = 2048;

/// Which output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl Stream {
    /// Both, in the order in which they are shown.
    pub const ALL: [Self; 2] = [Self::Stdout, Self::Stderr];

    /// The word for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }

    fn extension(self) -> &'static str {
        match self {
            Self::Stdout => "out",
            Self::Stderr => "err",
        }
    }
}

/// A piece of an output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Page {
    /// Which output.
    pub stream: Stream,
    /// Position of the first byte of `text`.
    pub offset: u64,
    /// Where to read on.
    pub next_offset: u64,
    /// Position behind the last byte that there is now.
    pub end: u64,
    /// Bytes between the position that was asked for and the first one that is still there.
    pub skipped: u64,
    /// Positions are times, in nanoseconds since 1970, and no bytes: so with what the docker engine keeps.
    pub by_time: bool,
    /// The text; bytes that are no UTF-8 are replaced by U+FFFD.
    pub text: String,
}

/// Where to begin to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// At this position.
    Offset(u64),
    /// So many lines before the end.
    LastLines(usize),
}

/// The files that a launch writes to, with the positions at which it begins.
#[derive(Debug)]
pub struct Opened {
    /// For standard output.
    pub stdout: File,
    /// For standard error.
    pub stderr: File,
    /// Where this run's output begins, in the order of [`Stream::ALL`].
    pub starts: [u64; 2],
}

/// The outputs of all instances of a manager.
#[derive(Debug)]
pub struct LogStore {
    dir: PathBuf,
    limit_bytes: u64,
    /// For each file that was cut since the start of the manager: how many bytes lie before its copy.
    dropped: Mutex<HashMap<PathBuf, u64>>,
    growth: Mutex<Growth>,
}

impl LogStore {
    /// Keeps the outputs in `dir`, which is made if it is not there.
    ///
    /// # Errors
    /// The directory cannot be made.
    pub fn open(dir: PathBuf, limit_bytes: u64) -> io::Result<Self> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&dir)?;
        // The kernel shows open files by their real path, and processes are recognised by it.
        let dir = fs::canonicalize(dir)?;
        let files = fs::read_dir(&dir)?.flatten().map(|entry| entry.path());
        let is_current =
            |path: &PathBuf| path.extension().is_none_or(|extension| extension != "1" && extension != "new");
        let growth = Mutex::new(Growth::of(files.filter(is_current)));
        Ok(Self { dir, limit_bytes, dropped: Mutex::default(), growth })
    }

    /// The files of an instance, in the order of [`Stream::ALL`].
    #[must_use]
    pub fn paths(&self, instance_id: &str) -> [PathBuf; 2] {
        Stream::ALL.map(|stream| self.path(instance_id, stream))
    }

    /// Opens the files for a launch.
    ///
    /// # Errors
    /// A file cannot be opened for writing.
    pub fn open_for_launch(&self, instance_id: &str) -> io::Result<Opened> {
        let open = |stream| {
            let path = self.path(instance_id, stream);
            OpenOptions::new().append(true).create(true).mode(0o640).open(path)
        };
        let (stdout, stderr) = (open(Stream::Stdout)?, open(Stream::Stderr)?);
        for path in self.paths(instance_id) {
            self.growth().add(path);
        }
        let dropped = self.lock();
        let starts = Stream::ALL.map(|stream| Extent::of(&dropped, &self.path(instance_id, stream)).end());
        drop(dropped);
        Ok(Opened { stdout, stderr, starts })
    }

    /// The last lines that were written since `start`, at most [`TAIL_LINES`]; empty if there are none.
    #[must_use]
    pub fn tail(&self, instance_id: &str, stream: Stream, start: u64) -> String {
        let end = Extent::of(&self.lock(), &self.path(instance_id, stream)).end();
        let from = From::Offset(end.saturating_sub(TAIL_BYTES).max(start));
        let Ok(page) = self.read(instance_id, stream, from) else { return String::new() };
        let cut_a_line = page.offset > start;
        let text = match page.text.split_once('\n') {
            Some((_part_of_a_line, rest)) if cut_a_line && !rest.trim().is_empty() => rest,
            _ => page.text.as_str(),
        };
        let lines: Vec<&str> = text.trim_end().lines().collect();
        lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
    }

    /// Reads one page. An instance that has never printed has an empty one.
    ///
    /// # Errors
    /// A file is there and cannot be read.
    pub fn read(&self, instance_id: &str, stream: Stream, from: From) -> io::Result<Page> {
        let path = self.path(instance_id, stream);
        // Held over the reading, so that no file is cut between looking at its length and reading it.
        let dropped = self.lock();
        let extent = Extent::of(&dropped, &path);
        let wanted = match from {
            From::Offset(offset) => offset,
            From::LastLines(lines) => {
                let begin = extent.end().saturating_sub(MAX_PAGE_BYTES).max(extent.dropped);
                let bytes = extent.read(&path, begin, MAX_PAGE_BYTES)?;
                begin + start_of_last_lines(&bytes, lines) as u64
            }
        };
        let offset = wanted.clamp(extent.dropped, extent.end());
        let mut bytes = extent.read(&path, offset, MAX_PAGE_BYTES)?;
        drop(dropped);
        if bytes.len() as u64 == MAX_PAGE_BYTES {
            // A full page ends with a line, if it has one, or at least with a character.
            bytes.truncate(end_of_page(&bytes));
        }
        Ok(Page {
            stream,
            offset,
            next_offset: offset + bytes.len() as u64,
            end: extent.end(),
            skipped: extent.dropped.saturating_sub(wanted),
            by_time: false,
            text: String::from_utf8_lossy(&bytes).into_owned(),
        })
    }

    /// The files that have been written to since they were last at rest. Does not block.
    #[must_use]
    pub fn grown(&self) -> Vec<PathBuf> {
        self.growth().due()
    }

    /// Cuts each of these files ([`Self::grown`]) that is above the limit; returns the size of the largest one. For one
    /// caller at a time.
    ///
    /// # Errors
    /// The first error, after all files were tried.
    pub fn trim(&self, grown: &[PathBuf]) -> io::Result<u64> {
        let (mut largest, mut first_error) = (0, Ok(()));
        for path in grown {
            let size = fs::metadata(path).ok().map(|data| data.len());
            largest = largest.max(size.unwrap_or(0));
            if size > Some(self.limit_bytes) {
                first_error = first_error.and(self.cut(path));
            }
            self.growth().seen(path, size);
        }
        first_error.map(|()| largest)
    }

    /// What is to be said if the disk is so full that outputs are lost.
    #[must_use]
    pub fn full_disk(&self) -> Option<String> {
        let disk = rustix::fs::statvfs(&self.dir).ok()?;
        let free_bytes = disk.f_bavail.saturating_mul(disk.f_frsize);
        (free_bytes < LEAST_FREE_BYTES).then(|| {
            format!(
                "The disk of {} is full. The output of agents is lost; the agents themselves go on.",
                self.dir.display()
            )
        })
    }

    fn cut(&self, path: &Path) -> io::Result<()> {
        let copy = with_suffix(path, ".1");
        let fresh = with_suffix(path, ".new");
        let mut source = File::open(path)?;
        let before = Extent::of(&self.lock(), path);
        let mut target =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o640).open(&fresh)?;
        let size = source.metadata()?.len();
        let skipped = size.saturating_sub(self.limit_bytes);
        source.seek(SeekFrom::Start(skipped))?;
        // Copies until it has caught up with the writer; a writer faster than that is cut off in the middle.
        let mut copied = io::copy(&mut Read::by_ref(&mut source).take(size - skipped), &mut target)?;
        copied += io::copy(&mut Read::by_ref(&mut source).take(self.limit_bytes), &mut target)?;
        target.flush()?;
        // Readers hold the same lock, so they see all three changes or none.
        let mut dropped = self.lock();
        fs::rename(&fresh, &copy)?;
        OpenOptions::new().write(true).open(path)?.set_len(0)?;
        dropped.insert(path.to_owned(), before.dropped + before.copied + skipped);
        drop(dropped);
        tracing::debug!(path = %path.display(), copied, "output cut");
        Ok(())
    }

    fn path(&self, instance_id: &str, stream: Stream) -> PathBuf {
        self.dir.join(format!("{}.{}", file_name(instance_id), stream.extension()))
    }

    fn growth(&self) -> MutexGuard<'_, Growth> {
        // A file that a panic left out is looked at again when it is launched; nothing else hangs on it.
        self.growth.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<PathBuf, u64>> {
        // An entry is inserted whole or not at all, so a poisoned lock guards a sound map.
        self.dropped.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How the positions of one output are spread over its two files.
#[derive(Clone, Copy, Debug)]
struct Extent {
    dropped: u64,
    copied: u64,
    current: u64,
}

impl Extent {
    fn of(dropped: &HashMap<PathBuf, u64>, path: &Path) -> Self {
        let length = |path: &Path| fs::metadata(path).map_or(0, |data| data.len());
        Self {
            dropped: dropped.get(path).copied().unwrap_or(0),
            copied: length(&with_suffix(path, ".1")),
            current: length(path),
        }
    }

    fn end(self) -> u64 {
        self.dropped + self.copied + self.current
    }

    fn read(self, path: &Path, offset: u64, max_bytes: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let in_copy = self.copied.saturating_sub(offset.saturating_sub(self.dropped));
        if in_copy > 0 {
            let mut file = File::open(with_suffix(path, ".1"))?;
            file.seek(SeekFrom::Start(self.copied - in_copy))?;
            file.take(max_bytes).read_to_end(&mut bytes)?;
        }
        let rest = max_bytes - bytes.len() as u64;
        let position = offset.saturating_sub(self.dropped + self.copied);
        if rest > 0 && position < self.current {
            let mut file = File::open(path)?;
            file.seek(SeekFrom::Start(position))?;
            file.take(rest.min(self.current - position)).read_to_end(&mut bytes)?;
        }
        Ok(bytes)
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

/// Where the last `lines` lines begin. A line that has not ended yet counts.
fn start_of_last_lines(bytes: &[u8], lines: usize) -> usize {
    if lines == 0 {
        return bytes.len();
    }
    let body = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let newlines = body.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n');
    newlines.map(|(index, _)| index + 1).nth(lines - 1).unwrap_or(0)
}

fn end_of_page(bytes: &[u8]) -> usize {
    if let Some(newline) = bytes.iter().rposition(|byte| *byte == b'\n') {
        return newline + 1;
    }
    // Not in the middle of a character: back over continuation bytes, of which a character has at most three.
    let is_begin = |byte: &u8| (*byte & 0b1100_0000) != 0b1000_0000;
    match bytes.iter().rev().take(4).position(is_begin) {
        Some(back) if bytes.len() > back + 1 => bytes.len() - back - 1,
        _ => bytes.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(limit_bytes: u64) -> (tempfile::TempDir, LogStore) {
        let dir = tempfile::tempdir().unwrap();
        let store = LogStore::open(dir.path().join("output"), limit_bytes).unwrap();
        (dir, store)
    }

    fn print(store: &LogStore, text: &str) {
        store.open_for_launch("x").unwrap().stdout.write_all(text.as_bytes()).unwrap();
    }

    fn read(store: &LogStore, from: From) -> Page {
        store.read("x", Stream::Stdout, from).unwrap()
    }

    #[test]
    fn the_tail_holds_the_last_lines_of_this_run_only() {
        let (_dir, store) = store(1000);
        print(&store, "old run\n");
        let start = store.open_for_launch("x").unwrap().starts[0];
        assert_eq!(store.tail("x", Stream::Stdout, start), "");
        print(&store, "one\ntwo\n\n");
        assert_eq!(store.tail("x", Stream::Stdout, start), "one\ntwo");
        let many: String = (0..300).map(|number| format!("line {number}\n")).collect();
        print(&store, &many);
        let tail = store.tail("x", Stream::Stdout, start);
        assert_eq!(tail.lines().count(), TAIL_LINES);
        assert!(tail.starts_with("line 280\n") && tail.ends_with("line 299"), "{tail}");
    }

    #[test]
    fn a_tail_of_one_endless_line_is_its_end() {
        let (_dir, store) = store(1_000_000);
        print(&store, &"x".repeat(10_000));
        assert_eq!(store.tail("x", Stream::Stdout, 0).len() as u64, TAIL_BYTES);
    }

    #[test]
    fn last_lines_and_paging_on() {
        let (_dir, store) = store(1_000_000);
        assert_eq!(read(&store, From::LastLines(10)).text, "", "nothing printed, nothing read");
        print(&store, "a\nb\nc\nd");
        assert_eq!(read(&store, From::LastLines(2)).text, "c\nd");
        assert_eq!(read(&store, From::LastLines(0)).text, "");
        let page = read(&store, From::LastLines(99));
        assert_eq!((page.text.as_str(), page.next_offset), ("a\nb\nc\nd", 7));
        print(&store, "D\n");
        assert_eq!(read(&store, From::Offset(page.next_offset)).text, "D\n");
    }

    #[test]
    fn long_output_comes_in_pages_that_end_with_a_line() {
        let (_dir, store) = store(10_000_000);
        let text: String = (0..20_000).map(|number| format!("measurement {number} µK\n")).collect();
        print(&store, &text);
        let (mut offset, mut all, mut pages) = (0, String::new(), 0);
        loop {
            let page = read(&store, From::Offset(offset));
            assert!(page.text.len() as u64 <= MAX_PAGE_BYTES);
            if page.text.is_empty() {
                break;
            }
            assert!(page.text.ends_with('\n'));
            all.push_str(&page.text);
            (offset, pages) = (page.next_offset, pages + 1);
        }
        assert_eq!(all, text);
        assert!(pages > 5);
    }

    #[test]
    fn positions_stay_valid_when_a_file_is_cut_and_what_was_dropped_is_said() {
        let (_dir, store) = store(1000);
        let mut writer = store.open_for_launch("x").unwrap().stdout;
        let mut text = String::new();
        let mut write = |store: &LogStore, count: usize| {
            for _ in 0..count {
                let line = format!("line {}\n", text.len());
                writer.write_all(line.as_bytes()).unwrap();
                text.push_str(&line);
            }
            store.trim(&store.grown()).unwrap();
            text.clone()
        };
        let text = write(&store, 150);
        // What is longer than the limit at one cut is dropped from its beginning.
        let after_first = read(&store, From::Offset(0));
        assert_eq!(after_first.end, text.len() as u64);
        assert_eq!(after_first.skipped, text.len() as u64 - 1000);
        assert_eq!(after_first.text, text[text.len() - 1000..]);
        let middle = text.len() as u64 - 500;
        let text = write(&store, 50);
        let page = read(&store, From::Offset(middle));
        assert_eq!(
            (page.skipped, page.text.as_str()),
            (0, &text[text.len() - 500 - (text.len() - after_first.end as usize)..])
        );
        let text = write(&store, 120);
        let page = read(&store, From::Offset(0));
        assert_eq!(page.end, text.len() as u64);
        assert_eq!(page.text, text[page.offset as usize..]);
        assert_eq!(page.skipped, page.offset);
    }

    #[test]
    fn a_page_never_ends_in_the_middle_of_a_character() {
        let bytes = "aµµ".as_bytes();
        assert_eq!(end_of_page(bytes), 3);
        assert_eq!(end_of_page(&bytes[..4]), 3);
        assert_eq!(end_of_page(b"ab\ncd"), 3);
        assert_eq!(end_of_page(b"\xff"), 1);
    }

    #[test]
    fn the_names_of_files_hold_any_instance_id() {
        let (dir, store) = store(1000);
        let path = &store.paths("../../etc/passwd")[0];
        assert_eq!(path.parent().unwrap(), fs::canonicalize(dir.path().join("output")).unwrap());
    }
}
