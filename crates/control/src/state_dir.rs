//! The directory in which a daemon keeps what must outlive it, and the lock that makes its identity unique.
//!
//! The base is `--state-dir`, else `$STATE_DIRECTORY` (which systemd sets), else `/var/lib/campanile` for root, else
//! `~/.local/state/campanile`. Below it lies `<role>/<identity>/`, for example `host/observatory.hm-host-1/`.
//! Two daemons with one identity would start everything twice, so the second is refused. State that was written for
//! another site (another hub) is set aside, never used and never deleted.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;

use crate::atomic_file;

const LOCK_FILE: &str = "lock";
const SITE_FILE: &str = "site";
const SET_ASIDE_PREFIX: &str = "set-aside-";
/// Longest directory name made of an identity; file systems allow 255 bytes.
const MAX_NAME_BYTES: usize = 200;
/// The lock file holds one decimal pid.
const MAX_LOCK_BYTES: u64 = 32;

/// Why a state directory cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum StateDirError {
    /// None of the places can be worked out.
    #[error("no place for the state: give --state-dir (neither $STATE_DIRECTORY nor $HOME is set)")]
    NoBase,
    /// Another daemon holds the identity.
    #[error("{role} {identity} is already run by process {holder} (it holds {})", .lock.display())]
    InUse {
        /// Role of this daemon, for example `host`.
        role: String,
        /// The identity both want.
        identity: String,
        /// Pid of the holder, or `unknown`.
        holder: String,
        /// The file that is locked.
        lock: PathBuf,
    },
    /// The disk refuses.
    #[error("cannot use {} for the state", .path.display())]
    Io {
        /// What was touched.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// A state directory that this process holds. The lock ends with the value, or with the process, however it ends.
#[derive(Debug)]
pub struct StateDir {
    path: PathBuf,
    set_aside: Option<PathBuf>,
    _lock: File,
}

/// Where the state of all daemons lies, by the rule at the top of this module.
///
/// `env` looks up an environment variable, `is_root` says whether this process is root's.
///
/// # Errors
/// [`StateDirError::NoBase`] when no rule applies.
pub fn base(
    option: Option<&Path>,
    env: &dyn Fn(&str) -> Option<String>,
    is_root: bool,
) -> Result<PathBuf, StateDirError> {
    let filled = |name: &str| env(name).filter(|value| !value.is_empty());
    if let Some(path) = option {
        return Ok(path.to_owned());
    }
    // systemd separates several directories by colons; the first one is ours.
    if let Some(list) = filled("STATE_DIRECTORY") {
        return Ok(PathBuf::from(list.split(':').next().unwrap_or(&list)));
    }
    if is_root {
        return Ok(PathBuf::from("/var/lib/campanile"));
    }
    let home = filled("HOME").ok_or(StateDirError::NoBase)?;
    Ok(Path::new(&home).join(".local/state/campanile"))
}

/// Whether this process runs as root, for [`base`].
#[must_use]
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

impl StateDir {
    /// Makes and locks `<base>/<role>/<identity>/`. `site` names the site the state belongs to (the hub's URL); state
    /// of another site is moved into a directory of its own, see [`StateDir::set_aside`].
    ///
    /// # Errors
    /// [`StateDirError::InUse`] when another process holds the identity, [`StateDirError::Io`] when the disk refuses.
    pub fn open(base: &Path, role: &str, identity: &str, site: &str) -> Result<Self, StateDirError> {
        let path = base.join(role).join(file_name(identity));
        let at = |path: &Path| {
            let path = path.to_owned();
            move |source| StateDirError::Io { path, source }
        };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&path).map_err(at(&path))?;
        // Everything below is named to children by this path, so it must not depend on the working directory.
        let path = fs::canonicalize(&path).map_err(at(&path))?;
        let lock_path = path.join(LOCK_FILE);
        let mut lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&lock_path)
            .map_err(at(&lock_path))?;
        match rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                return Err(StateDirError::InUse {
                    role: role.to_owned(),
                    identity: identity.to_owned(),
                    holder: holder(&mut lock),
                    lock: lock_path,
                });
            }
            Err(errno) => return Err(at(&lock_path)(errno.into())),
        }
        write_pid(&mut lock).map_err(at(&lock_path))?;
        let set_aside = keep_for_site(&path, site).map_err(at(&path))?;
        Ok(Self { path, set_aside, _lock: lock })
    }

    /// The directory itself, an absolute path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the state of another site was moved to, if there was any.
    #[must_use]
    pub fn set_aside(&self) -> Option<&Path> {
        self.set_aside.as_deref()
    }
}

fn write_pid(lock: &mut File) -> io::Result<()> {
    lock.set_len(0)?;
    lock.seek(SeekFrom::Start(0))?;
    writeln!(lock, "{}", std::process::id())
}

fn holder(lock: &mut File) -> String {
    let mut text = String::new();
    let read = lock.take(MAX_LOCK_BYTES).read_to_string(&mut text);
    match (read, text.trim()) {
        (Ok(_), pid) if !pid.is_empty() => pid.to_owned(),
        _ => "unknown".to_owned(),
    }
}

/// Moves everything in `path` aside when it was written for another site, and notes the site.
fn keep_for_site(path: &Path, site: &str) -> io::Result<Option<PathBuf>> {
    let site_path = path.join(SITE_FILE);
    let written_for = match fs::read_to_string(&site_path) {
        Ok(text) => Some(text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    if written_for.as_deref() == Some(site) {
        return Ok(None);
    }
    let aside = match written_for {
        Some(_) => Some(move_aside(path)?),
        None => None,
    };
    atomic_file::replace(&site_path, site.as_bytes())?;
    Ok(aside)
}

fn move_aside(path: &Path) -> io::Result<PathBuf> {
    let mut number = 1_u32;
    let aside = loop {
        let candidate = path.join(format!("{SET_ASIDE_PREFIX}{number}"));
        match fs::create_dir(&candidate) {
            Ok(()) => break candidate,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
            Err(error) => return Err(error),
        }
    };
    for entry in fs::read_dir(path)? {
        let name = entry?.file_name();
        let stays = name == LOCK_FILE || name.to_string_lossy().starts_with(SET_ASIDE_PREFIX);
        if !stays {
            fs::rename(path.join(&name), aside.join(&name))?;
        }
    }
    Ok(aside)
}

/// A file name for any text: characters that a file name cannot or should not hold become `%XX`.
///
/// Distinct texts get distinct names as long as they are shorter than about 60 characters; longer ones are cut, with a
/// hash of the whole at their end.
#[must_use]
pub fn file_name(text: &str) -> String {
    let mut name = String::with_capacity(text.len());
    for (index, byte) in text.bytes().enumerate() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' => name.push(char::from(byte)),
            b'.' if index > 0 => name.push('.'),
            _ => name.push_str(&format!("%{byte:02X}")),
        }
    }
    if name.is_empty() {
        name.push('%');
    }
    if name.len() > MAX_NAME_BYTES {
        let hash = fnv1a(text.as_bytes());
        name.truncate(MAX_NAME_BYTES - 17);
        name.push_str(&format!("-{hash:016x}"));
    }
    name
}

/// FNV-1a, 64 bits: short, stable over versions and machines, and good enough where nobody attacks.
#[must_use]
pub fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn env_of<'a>(pairs: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> Option<String> + 'a {
        |name| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
    }

    #[test]
    fn the_base_is_option_then_systemd_then_root_then_home() {
        let both = [("STATE_DIRECTORY", "/run/a:/run/b"), ("HOME", "/home/ocs")];
        let home = [("STATE_DIRECTORY", ""), ("HOME", "/home/ocs")];
        let show = |path: Result<PathBuf, StateDirError>| path.unwrap().display().to_string();
        assert_eq!(show(base(Some(Path::new("/s")), &env_of(&both), true)), "/s");
        assert_eq!(show(base(None, &env_of(&both), true)), "/run/a");
        assert_eq!(show(base(None, &env_of(&home), true)), "/var/lib/campanile");
        assert_eq!(show(base(None, &env_of(&home), false)), "/home/ocs/.local/state/campanile");
        assert!(matches!(base(None, &env_of(&[]), false), Err(StateDirError::NoBase)));
    }

    #[test]
    fn the_second_with_one_identity_is_refused_and_told_the_pid_of_the_first() {
        let dir = tempfile::tempdir().unwrap();
        let first = StateDir::open(dir.path(), "host", "root.hm-1", "ws://a").unwrap();
        let refused = StateDir::open(dir.path(), "host", "root.hm-1", "ws://a").unwrap_err();
        assert!(refused.to_string().contains(&format!("process {}", std::process::id())), "{refused}");
        StateDir::open(dir.path(), "host", "root.hm-2", "ws://a").unwrap();
        drop(first);
        StateDir::open(dir.path(), "host", "root.hm-1", "ws://a").unwrap();
    }

    #[test]
    fn state_of_another_site_is_set_aside_and_not_lost() {
        let dir = tempfile::tempdir().unwrap();
        let open = |site: &str| StateDir::open(dir.path(), "host", "root.hm-1", site).unwrap();
        let state = open("ws://a");
        assert_eq!(state.set_aside(), None);
        fs::write(state.path().join("targets.json"), "a").unwrap();
        drop(state);
        drop(open("ws://a"));
        let state = open("ws://b");
        let aside = state.set_aside().unwrap().to_owned();
        assert!(!state.path().join("targets.json").exists());
        assert_eq!(fs::read_to_string(aside.join("targets.json")).unwrap(), "a");
        drop(state);
        let state = open("ws://c");
        assert!(aside.exists(), "what was set aside once stays where it was put");
        assert_ne!(state.set_aside(), Some(aside.as_path()));
    }

    #[test]
    fn an_identity_cannot_leave_its_directory() {
        for name in ["..", ".", "a/b", "/etc", "", "a\0b"] {
            let safe = file_name(name);
            assert!(
                !safe.is_empty() && !safe.starts_with('.') && !safe.contains(['/', '\0']),
                "{name:?} -> {safe}"
            );
        }
        assert_eq!(file_name("observatory.hm-host-1"), "observatory.hm-host-1");
    }

    proptest! {
        #[test]
        fn distinct_identities_have_distinct_names(a in ".{0,80}", b in ".{0,80}") {
            prop_assert!(file_name(&a).len() <= MAX_NAME_BYTES);
            prop_assert_eq!(a == b, file_name(&a) == file_name(&b));
        }
    }
}
