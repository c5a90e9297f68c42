//! The targets that operators have set, kept over an end that was not orderly (a crash, kill -9, a power cut).
//!
//! An orderly stop forgets them: the next start then begins with the site config, as OCS documents it.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use campanile_control::atomic_file;
use serde::{Deserialize, Serialize};

use crate::model::{Fate, Target};
use crate::table::Table;

const FILE: &str = "targets.json";
/// Holds room on the disk for [`FILE`], so that a disk that others have filled cannot lose an operator's targets.
const RESERVE_FILE: &str = "targets.reserve";
const RESERVE_BYTES: usize = 64 * 1024;
/// A file that is longer was not written by us.
const MAX_BYTES: u64 = 4 * 1024 * 1024;

/// The targets that differ from the site config, by instance-id.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Targets {
    targets: BTreeMap<String, String>,
}

impl Targets {
    /// Those of a table.
    #[must_use]
    pub fn of(table: &Table) -> Self {
        let differs = |entry: &&crate::table::Entry| {
            let instance = &entry.instance;
            // A request for what is only looked at is over when it is carried out.
            let lasts = instance.fate != Fate::Retired && !instance.passive;
            lasts && instance.target != Target::Passive && instance.target != instance.spec.start
        };
        let name = |entry: &crate::table::Entry| {
            (entry.instance.spec.instance_id.clone(), entry.instance.target.name().to_owned())
        };
        Self { targets: table.iter().filter(differs).map(name).collect() }
    }

    /// Sets them in a table that was just made from the site config; returns what is to be told to people.
    #[must_use]
    pub fn apply(&self, table: &mut Table) -> Vec<String> {
        let mut messages = Vec::new();
        for entry in table.iter_mut() {
            let instance = &mut entry.instance;
            let kept = self.targets.get(&instance.spec.instance_id).and_then(|name| Target::from_name(name));
            if let Some(target) = kept {
                instance.target = target;
                let name = instance.spec.full_name();
                messages.push(format!("Keeping the target of {name} from before: {}", target.name()));
            }
        }
        messages
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.targets.is_empty()
    }
}

/// Where they are kept.
#[derive(Clone, Debug)]
pub struct TargetFile {
    path: PathBuf,
}

impl TargetFile {
    /// The file in a state directory.
    #[must_use]
    pub fn in_dir(state: &Path) -> Self {
        Self { path: state.join(FILE) }
    }

    /// Reads them; `None` if the last end was orderly, or nothing was ever set.
    ///
    /// # Errors
    /// The file is there and cannot be read, or is not ours.
    pub fn read(&self) -> io::Result<Option<Targets>> {
        match fs::metadata(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
            Ok(data) if data.len() > MAX_BYTES => {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "it is too long"));
            }
            Ok(_) => {}
        }
        let text = fs::read_to_string(&self.path)?;
        serde_json::from_str(&text)
            .map(Some)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }

    /// Writes them, so that they survive a power cut.
    ///
    /// # Errors
    /// The disk refuses; the file is then as it was.
    pub fn write(&self, targets: &Targets) -> io::Result<()> {
        let text = serde_json::to_vec_pretty(targets).map_err(io::Error::other)?;
        let written = match atomic_file::replace(&self.path, &text) {
            Err(error) if is_full(&error) => {
                // This is what the room was kept for.
                let _ = fs::remove_file(self.reserve_path());
                atomic_file::replace(&self.path, &text)
            }
            done => done,
        };
        self.reserve();
        written
    }

    /// Takes room on the disk, if there is any.
    fn reserve(&self) {
        let path = self.reserve_path();
        if fs::metadata(&path).is_ok_and(|data| data.len() == RESERVE_BYTES as u64) {
            return;
        }
        // Written, since a hole would take no room.
        if let Err(error) = fs::write(&path, vec![0x5a; RESERVE_BYTES]) {
            tracing::debug!(%error, "no room can be kept for the targets");
            let _ = fs::remove_file(path);
        }
    }

    fn reserve_path(&self) -> PathBuf {
        self.path.with_file_name(RESERVE_FILE)
    }

    /// Forgets them.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn forget(&self) -> io::Result<()> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_and_what_was_forgotten_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let file = TargetFile::in_dir(dir.path());
        assert_eq!(file.read().unwrap(), None);
        let targets = Targets { targets: [("a".to_owned(), "down".to_owned())].into() };
        file.write(&targets).unwrap();
        assert_eq!(fs::metadata(dir.path().join(RESERVE_FILE)).unwrap().len(), RESERVE_BYTES as u64);
        assert_eq!(file.read().unwrap(), Some(targets));
        file.forget().unwrap();
        file.forget().unwrap();
        assert_eq!(file.read().unwrap(), None);
    }

    #[test]
    fn a_file_that_is_not_ours_is_an_error_and_no_panic() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(FILE), b"\xff{").unwrap();
        assert!(TargetFile::in_dir(dir.path()).read().is_err());
    }
}
