//! Being told when a file changes (inotify). Directories are watched, since editors put a new file in the old one's
//! place.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use tokio::io::unix::AsyncFd;

/// Enough for a few hundred events; the kernel keeps the rest.
const BUFFER_BYTES: usize = 16 * 1024;

/// Watches a changing set of directories.
pub(super) struct Watcher {
    fd: AsyncFd<OwnedFd>,
    dirs: BTreeMap<i32, PathBuf>,
}

/// What has happened.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Happened {
    /// These were written, replaced, created or removed.
    pub(super) paths: BTreeSet<PathBuf>,
    /// So much has happened that anything may have changed.
    pub(super) anything: bool,
}

impl Watcher {
    /// # Errors
    /// The system has no inotify left for us.
    pub(super) fn new() -> io::Result<Self> {
        let fd = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        #[expect(
            deprecated,
            reason = "its successor is unsafe, and asks that the descriptor stays open and the same for as long as \
                      the AsyncFd lives; this one is owned by it"
        )]
        let fd = AsyncFd::new(fd)?;
        Ok(Self { fd, dirs: BTreeMap::new() })
    }

    /// Watches the directories of these files from now on, and no others. A directory that is not there is left out;
    /// it is tried again with the next call.
    pub(super) fn watch(&mut self, files: &BTreeSet<PathBuf>) {
        let wanted: BTreeSet<&Path> = files.iter().filter_map(|file| file.parent()).collect();
        let surplus: Vec<i32> = self
            .dirs
            .iter()
            .filter(|(_, dir)| !wanted.contains(dir.as_path()))
            .map(|(watch, _)| *watch)
            .collect();
        for watch in surplus {
            self.dirs.remove(&watch);
            let _ = inotify::remove_watch(self.fd.get_ref(), watch);
        }
        let events = WatchFlags::CLOSE_WRITE
            | WatchFlags::MOVED_TO
            | WatchFlags::MOVED_FROM
            | WatchFlags::CREATE
            | WatchFlags::DELETE
            | WatchFlags::DELETE_SELF
            | WatchFlags::MOVE_SELF
            | WatchFlags::ONLYDIR;
        for dir in wanted {
            match inotify::add_watch(self.fd.get_ref(), dir, events) {
                Ok(watch) => {
                    self.dirs.insert(watch, dir.to_owned());
                }
                Err(error) => tracing::debug!(dir = %dir.display(), %error, "a directory cannot be watched"),
            }
        }
    }

    /// Waits for something to happen in the directories.
    ///
    /// # Errors
    /// The system refuses to tell.
    pub(super) async fn next(&mut self) -> io::Result<Happened> {
        loop {
            let mut ready = self.fd.readable().await?;
            let mut happened = Happened::default();
            let mut buffer = [MaybeUninit::uninit(); BUFFER_BYTES];
            let mut reader = Reader::new(self.fd.get_ref(), &mut buffer);
            loop {
                match reader.next() {
                    Ok(event) => {
                        let flags = event.events();
                        happened.anything |= flags.intersects(
                            ReadFlags::QUEUE_OVERFLOW | ReadFlags::DELETE_SELF | ReadFlags::MOVE_SELF,
                        );
                        let name = event.file_name().map(|name| OsStr::from_bytes(name.to_bytes()));
                        if let (Some(dir), Some(name)) = (self.dirs.get(&event.wd()), name) {
                            happened.paths.insert(dir.join(name));
                        }
                    }
                    Err(rustix::io::Errno::AGAIN) => break,
                    Err(rustix::io::Errno::INTR) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            ready.clear_ready();
            if happened != Happened::default() {
                return Ok(happened);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    async fn next(watcher: &mut Watcher) -> Happened {
        tokio::time::timeout(Duration::from_secs(30), watcher.next()).await.unwrap().unwrap()
    }

    #[tokio::test]
    async fn a_file_that_is_written_or_replaced_is_told_and_another_directory_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let other = tempfile::tempdir().unwrap();
        let file = dir.path().join("c.yaml");
        let mut watcher = Watcher::new().unwrap();
        watcher.watch(&[file.clone(), other.path().join("x")].into());
        watcher.watch(&[file.clone()].into());
        std::fs::write(other.path().join("x"), "x").unwrap();
        std::fs::write(&file, "a").unwrap();
        assert!(next(&mut watcher).await.paths.contains(&file));
        std::fs::write(dir.path().join("new"), "b").unwrap();
        std::fs::rename(dir.path().join("new"), &file).unwrap();
        let mut seen = BTreeSet::new();
        while !seen.contains(&file) {
            seen.extend(next(&mut watcher).await.paths);
        }
        assert!(!seen.iter().any(|path| path.starts_with(other.path())));
    }
}
