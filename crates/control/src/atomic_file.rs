//! Replacing a small file so that a reader, or a machine that loses power, sees the old one or the new one, whole.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Permissions of the files written here: they may name hosts and programs, and only their owner needs them.
const FILE_MODE: u32 = 0o600;

/// Puts `content` at `path`: written beside it, flushed to the disk, renamed over it, and the directory flushed too.
///
/// # Errors
/// Any I/O error (full disk, no permission). The old file is then still there, whole.
pub fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name =
        path.file_name().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "not a file name"))?;
    let mut temporary_name = name.to_owned();
    temporary_name.push(".new");
    let temporary = directory.join(temporary_name);
    let result = write_synced(&temporary, content)
        .and_then(|()| fs::rename(&temporary, path))
        .and_then(|()| File::open(directory)?.sync_all());
    if result.is_err() {
        // The error that matters is the first one; a temporary file that cannot be removed is overwritten next time.
        let _ = fs::remove_file(&temporary);
    }
    result
}

fn write_synced(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(FILE_MODE).open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_new_content_replaces_the_old_and_nothing_is_left_behind() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("targets.json");
        replace(&path, b"one").unwrap();
        replace(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_failed_replacement_keeps_the_old_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("targets.json");
        replace(&path, b"one").unwrap();
        // A directory in the place of the temporary file makes the writing fail for every user, root too.
        fs::create_dir(dir.path().join("targets.json.new")).unwrap();
        assert!(replace(&path, b"two").is_err());
        assert_eq!(fs::read(&path).unwrap(), b"one");
    }
}
