//! Writing the two files.

use std::fs::Permissions;
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// Anybody may run the launcher and read the service file, only their owner may change them.
pub(crate) const LAUNCHER_MODE: u32 = 0o755;
pub(crate) const SERVICE_MODE: u32 = 0o644;

/// Puts a text at `path`, whole or not at all. What stood there before, if it was different (somebody may have edited
/// it), is kept beside it; its new name is given back.
pub(crate) fn put(path: &Path, text: &str, mode: u32) -> io::Result<Option<PathBuf>> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(directory)?;
    file.write_all(text.as_bytes())?;
    file.as_file().set_permissions(Permissions::from_mode(mode))?;
    file.as_file().sync_all()?;
    let kept = match std::fs::read(path) {
        Ok(before) if before != text.as_bytes() => {
            let mut name = path.as_os_str().to_owned();
            name.push(".old");
            let kept = PathBuf::from(name);
            std::fs::rename(path, &kept)?;
            Some(kept)
        }
        _ => None,
    };
    file.persist(path).map_err(|error| error.error)?;
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edited_file_is_kept_beside_the_new_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("launcher.sh");
        assert_eq!(put(&path, "one", LAUNCHER_MODE).unwrap(), None);
        assert_eq!(put(&path, "one", LAUNCHER_MODE).unwrap(), None);
        std::fs::write(&path, "edited").unwrap();
        let kept = put(&path, "two", LAUNCHER_MODE).unwrap().unwrap();
        assert_eq!(std::fs::read_to_string(kept).unwrap(), "edited");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "two");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o755);
    }
}
