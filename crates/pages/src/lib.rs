//! Gives back the pages of the program file that a daemon needed only to start.
//!
//! A daemon that reads its options and files, opens its database and launches hundreds of programs has touched most of
//! its program file; Linux maps it in pieces of 64 KiB around what is used, and they count as resident memory of the
//! process for ever after, though it uses a tenth of them. What is given back here is still in the page cache: the next
//! use maps it again, without reading the disk.
//!
//! This is the one place with `unsafe`: madvise(2) has no safe form.

mod maps;

use std::fs;
use std::io;

use rustix::mm::{Advice, madvise};

/// What a process may have mapped beyond what it uses before it is worth to give pages back again.
const WORTH_BYTES: u64 = 2 * 1024 * 1024;

/// The pages of this process's program file and libraries.
#[derive(Debug, Default)]
pub struct ProgramPages {
    kept: Kept,
}

/// What a process keeps mapped because it uses it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Kept {
    /// Nothing was given back yet.
    #[default]
    All,
    /// It has just been given back; what is mapped by the next look is in use.
    Unknown,
    /// So many bytes.
    Bytes(u64),
}

impl Kept {
    /// Whether so much is mapped that it is worth to give it back.
    const fn is_exceeded(self, mapped_bytes: u64) -> bool {
        match self {
            Self::All => true,
            Self::Unknown => false,
            Self::Bytes(kept) => mapped_bytes >= kept.saturating_add(WORTH_BYTES),
        }
    }
}

impl ProgramPages {
    /// Gives back what is mapped of program files: the first time, and again when it has grown by more than 2 MiB beyond
    /// what was in use at the look that followed. Returns how many bytes that were.
    ///
    /// # Errors
    /// `/proc` cannot be read, or the kernel refuses the advice; nothing is lost by that.
    pub fn give_back(&mut self) -> io::Result<u64> {
        let before = mapped_bytes()?;
        if !self.kept.is_exceeded(before) {
            if self.kept == Kept::Unknown {
                self.kept = Kept::Bytes(before);
            }
            return Ok(0);
        }
        self.kept = Kept::Unknown;
        for range in maps::untouched(&fs::read_to_string("/proc/self/smaps")?) {
            forget(&range)?;
        }
        Ok(before.saturating_sub(mapped_bytes()?))
    }
}

/// Unmaps the pages of one mapping; they are mapped again from the file when they are used.
fn forget(range: &maps::Untouched) -> io::Result<()> {
    let address = std::ptr::with_exposed_provenance_mut(range.begin);
    // SAFETY: the range was taken a moment ago from the list of this process's mappings. It is a private mapping of a
    // file that may not be written to and of which no page differs from the file (`Anonymous: 0`). MADV_DONTNEED makes
    // later accesses of such a mapping read the file again (madvise(2)), so every byte stays what it was. Were the
    // range unmapped meanwhile, the call would fail; only the loader maps program files here, and none is loaded
    // after the start.
    #[expect(unsafe_code, reason = "the system call has no safe form")]
    let advised = unsafe { madvise(address, range.length, Advice::LinuxDontNeed) };
    advised.map_err(Into::into)
}

/// How much of files this process has mapped (`RssFile` and `RssShmem` of proc_pid_status(5), by the cheaper `statm`).
fn mapped_bytes() -> io::Result<u64> {
    let text = fs::read_to_string("/proc/self/statm")?;
    let pages = text.split(' ').nth(2).and_then(|field| field.parse::<u64>().ok());
    let pages = pages.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, text.clone()))?;
    Ok(pages * rustix::param::page_size() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_given_back_once_and_the_program_goes_on() {
        let mut pages = ProgramPages::default();
        let given = pages.give_back().unwrap();
        let left = mapped_bytes().unwrap();
        assert!(given > 0, "a program of tests has mapped some of its file");
        // Everything that follows runs from pages that are mapped anew.
        let sorted = {
            let mut words: Vec<String> = (0..1000).map(|n| format!("{:x}", n * 7919 % 1000)).collect();
            words.sort();
            words
        };
        assert_eq!(sorted.len(), 1000);
        for _ in 0..2 {
            assert_eq!(pages.give_back().unwrap(), 0, "not for what is in use: {left} bytes");
        }
        let Kept::Bytes(kept) = pages.kept else { panic!("{pages:?}") };
        assert!(
            !pages.kept.is_exceeded(kept + WORTH_BYTES - 1) && pages.kept.is_exceeded(kept + WORTH_BYTES)
        );
    }
}
