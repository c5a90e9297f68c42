//! The file with the shared secret of the `ovis` plugin: where it is looked for, and what it must be like.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::Secret;

const MIN_LEN: usize = 8;
const MAX_LEN: usize = 512;
/// Longest line that is read; a secret with its key and a comment fits.
const MAX_LINE: u64 = 4096;
/// Lines that are read before the search for the secret is given up.
const MAX_LINES: usize = 1000;

/// Why there is no secret.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The path is not absolute, which LDMS insists on.
    #[error("{}: the path of a secret file must be absolute", .0.display())]
    Relative(PathBuf),
    /// It cannot be read.
    #[error("{}: cannot be read", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Others than its owner may read or write it.
    #[error("{}: mode {mode:04o} lets others in; it must be 0600 or less", .path.display())]
    TooOpen {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// No line `secretword=…`.
    #[error("{}: no line 'secretword=WORD'", .0.display())]
    NoWord(PathBuf),
    /// Too short or too long.
    #[error("{}: the secret word has {len} characters; {MIN_LEN} to {MAX_LEN} are allowed", .path.display())]
    BadLength {
        /// The file.
        path: PathBuf,
        /// Its length.
        len: usize,
    },
    /// No file at any of the usual places.
    #[error("no secret file; looked at {}", .0.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", "))]
    NotFound(Vec<PathBuf>),
}

/// Reads the secret of a file.
///
/// # Errors
/// When the file breaks one of the rules of `ldms_auth_ovis`(7).
pub fn read(path: &Path) -> Result<Secret, SecretError> {
    if !path.is_absolute() {
        return Err(SecretError::Relative(path.to_owned()));
    }
    let unreadable = |source| SecretError::Unreadable { path: path.to_owned(), source };
    let file = fs::File::open(path).map_err(unreadable)?;
    // The opened file is judged, not the name: it cannot be exchanged in between.
    let mode = file.metadata().map_err(unreadable)?.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(SecretError::TooOpen { path: path.to_owned(), mode });
    }
    let mut reader = BufReader::new(file);
    for _ in 0..MAX_LINES {
        let mut line = Vec::new();
        let read = std::io::Read::take(&mut reader, MAX_LINE).read_until(b'\n', &mut line);
        if read.map_err(unreadable)? == 0 {
            break;
        }
        let line = String::from_utf8_lossy(&line);
        if let Some(word) = line.strip_prefix("secretword=") {
            let ends = |c| matches!(c, ' ' | '\t' | '#' | '\n');
            let word = word.trim_start_matches(ends).split(ends).next().unwrap_or_default();
            let len = word.len();
            if !(MIN_LEN..=MAX_LEN).contains(&len) {
                return Err(SecretError::BadLength { path: path.to_owned(), len });
            }
            return Ok(Secret(word.to_owned()));
        }
    }
    Err(SecretError::NoWord(path.to_owned()))
}

/// Reads the secret of the file that LDMS would take when none is named: `$LDMS_AUTH_FILE`, then
/// `~/.ldmsauth.conf`, then `ldmsauth.conf` in `/opt/ovis/etc`, `/usr/local/etc` (where LDMS is usually installed),
/// `/etc/ldmsd` and `/etc`. The first that exists decides.
///
/// # Errors
/// When there is none, or it breaks a rule.
pub fn find(env: &dyn Fn(&str) -> Option<String>) -> Result<Secret, SecretError> {
    if let Some(path) = env("LDMS_AUTH_FILE") {
        return read(Path::new(&path));
    }
    let home = env("HOME").map(|home| Path::new(&home).join(".ldmsauth.conf"));
    let system = ["/opt/ovis/etc", "/usr/local/etc", "/etc/ldmsd", "/etc"];
    let places: Vec<PathBuf> =
        home.into_iter().chain(system.iter().map(|dir| Path::new(dir).join("ldmsauth.conf"))).collect();
    match places.iter().find(|path| path.exists()) {
        Some(path) => read(path),
        None => Err(SecretError::NotFound(places)),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;

    use super::*;

    fn file(dir: &Path, name: &str, text: &str, mode: u32) -> PathBuf {
        let path = dir.join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        path
    }

    #[test]
    fn the_word_ends_at_blank_tab_hash_or_newline() {
        let dir = tempfile::tempdir().unwrap();
        for (text, word) in [
            ("secretword=12345678\n", "12345678"),
            ("# comment\n\nsecretword=12345678#note\n", "12345678"),
            ("secretword=12345678 note\n", "12345678"),
            ("other=1\nsecretword=\t12345678\tx", "12345678"),
            ("secretword=first-word\nsecretword=second-word\n", "first-word"),
        ] {
            let path = file(dir.path(), "s", text, 0o600);
            assert_eq!(read(&path).unwrap().0, word, "{text:?}");
        }
    }

    #[test]
    fn every_rule_of_the_secret_file_is_held() {
        let dir = tempfile::tempdir().unwrap();
        let good = "secretword=12345678\n";
        assert!(matches!(read(Path::new("relative.conf")), Err(SecretError::Relative(_))));
        assert!(matches!(read(&dir.path().join("absent")), Err(SecretError::Unreadable { .. })));
        for mode in [0o640, 0o604, 0o660, 0o601] {
            let path = file(dir.path(), "open", good, mode);
            assert!(matches!(read(&path), Err(SecretError::TooOpen { mode: found, .. }) if found == mode));
        }
        assert!(read(&file(dir.path(), "owner-only", good, 0o400)).is_ok());
        let short = file(dir.path(), "short", "secretword=1234567\n", 0o600);
        assert!(matches!(read(&short), Err(SecretError::BadLength { len: 7, .. })));
        let long = file(dir.path(), "long", &format!("secretword={}\n", "x".repeat(513)), 0o600);
        assert!(matches!(read(&long), Err(SecretError::BadLength { len: 513, .. })));
        let none = file(dir.path(), "none", "secret=12345678\n # secretword=12345678\n", 0o600);
        assert!(matches!(read(&none), Err(SecretError::NoWord(_))));
    }

    #[test]
    fn the_environment_names_the_file_before_the_home_directory_does() {
        let dir = tempfile::tempdir().unwrap();
        let named = file(dir.path(), "named", "secretword=from-environment\n", 0o600);
        file(dir.path(), ".ldmsauth.conf", "secretword=from-home-directory\n", 0o600);
        let home = dir.path().to_str().unwrap().to_owned();
        let env = |key: &str| match key {
            "LDMS_AUTH_FILE" => Some(named.to_str().unwrap().to_owned()),
            "HOME" => Some(home.clone()),
            _ => None,
        };
        assert_eq!(find(&env).unwrap().0, "from-environment");
        let only_home = |key: &str| if key == "HOME" { env(key) } else { None };
        assert_eq!(find(&only_home).unwrap().0, "from-home-directory");
    }
}
