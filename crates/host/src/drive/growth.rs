//! Which outputs may have grown since they were last looked at.
//!
//! A file that nobody writes to costs nothing, however many there are: after a look at which it had not grown, the
//! kernel is asked to tell once when it is written to (inotify(7), `IN_ONESHOT`). Where that cannot be had, the
//! file is looked at each time.

use std::collections::HashMap;
use std::fs;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};

/// Room for what the kernel tells at a time; there may be more at the next read.
const EVENT_BYTES: usize = 4096;

/// The outputs, by whether they have to be looked at.
#[derive(Debug, Default)]
pub(super) struct Growth {
    /// None if the machine has no more of them.
    inotify: Option<OwnedFd>,
    /// Files of which the kernel tells, by its number for the watch.
    quiet: HashMap<i32, PathBuf>,
    /// Files that are looked at, with the size that they had last time.
    busy: HashMap<PathBuf, Option<u64>>,
}

impl Growth {
    /// Of these files nothing is known yet.
    pub(super) fn of(files: impl IntoIterator<Item = PathBuf>) -> Self {
        Self {
            inotify: inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).ok(),
            quiet: HashMap::new(),
            busy: files.into_iter().map(|path| (path, None)).collect(),
        }
    }

    /// A file that will be written to.
    pub(super) fn add(&mut self, path: PathBuf) {
        self.busy.entry(path).or_default();
    }

    /// The files to look at now.
    pub(super) fn due(&mut self) -> Vec<PathBuf> {
        if let Some(inotify) = &self.inotify {
            let mut buffer = [MaybeUninit::uninit(); EVENT_BYTES];
            let mut reader = inotify::Reader::new(inotify, &mut buffer);
            while let Ok(event) = reader.next() {
                if event.events().contains(ReadFlags::QUEUE_OVERFLOW) {
                    self.busy.extend(self.quiet.drain().map(|(_, path)| (path, None)));
                } else if let Some(path) = self.quiet.remove(&event.wd()) {
                    self.busy.insert(path, None);
                }
            }
        }
        self.busy.keys().cloned().collect()
    }

    /// A file has been looked at: its size, or that it is gone.
    pub(super) fn seen(&mut self, path: &Path, size: Option<u64>) {
        let Some(size) = size else {
            self.busy.remove(path);
            return;
        };
        let before = self.busy.insert(path.to_owned(), Some(size)).flatten();
        if before != Some(size) {
            return;
        }
        let flags = WatchFlags::MODIFY | WatchFlags::ONESHOT;
        let Some(Ok(watch)) = self.inotify.as_ref().map(|inotify| inotify::add_watch(inotify, path, flags))
        else {
            return;
        };
        // What was written before the watch was there, nobody tells.
        if fs::metadata(path).is_ok_and(|data| data.len() == size) {
            self.busy.remove(path);
            self.quiet.insert(watch, path.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn look(growth: &mut Growth) -> Vec<String> {
        let due = growth.due();
        for path in &due {
            growth.seen(path, fs::metadata(path).ok().map(|data| data.len()));
        }
        let mut names: Vec<String> =
            due.iter().map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_is_looked_at_while_it_grows_and_again_when_it_is_written_to() {
        let dir = tempfile::tempdir().unwrap();
        let [a, b] = ["a", "b"].map(|name| dir.path().join(name));
        let mut writer = fs::File::create(&a).unwrap();
        fs::write(&b, "x").unwrap();
        let mut growth = Growth::of([a.clone()]);
        growth.add(b.clone());
        assert_eq!(look(&mut growth), ["a", "b"]);
        writer.write_all(b"more").unwrap();
        assert_eq!(look(&mut growth), ["a", "b"], "whether b grows is known from the second look on");
        assert_eq!(look(&mut growth), ["a"]);
        assert!(look(&mut growth).is_empty(), "nobody writes");
        writer.write_all(b"more").unwrap();
        assert_eq!(look(&mut growth), ["a"]);
        assert_eq!(look(&mut growth), ["a"]);
        assert!(look(&mut growth).is_empty());
        fs::remove_file(&b).unwrap();
        assert_eq!(look(&mut growth), ["b"], "its end is told, too");
        assert!(look(&mut growth).is_empty());
    }

    #[test]
    fn without_the_kernels_help_every_file_is_looked_at_each_time() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        fs::write(&path, "x").unwrap();
        let mut growth = Growth { busy: HashMap::from([(path, None)]), ..Growth::default() };
        for _ in 0..4 {
            assert_eq!(look(&mut growth), ["a"]);
        }
    }
}
