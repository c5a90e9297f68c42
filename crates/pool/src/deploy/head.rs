//! On the master: HTCondor's configuration, the pool's keys, and what is written only when it differs.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use crate::userdata::fill;

/// Our file among HTCondor's.
const CONFIG: &str = "config.d/10-ehos.config";
/// What an image of EHOS brings, to be filled in and moved to `config.d`.
const LEGACY: &str = "00personal_condor.config";
/// HTCondor hides a pool password by this (it is no encryption).
const SCRAMBLE: [u8; 4] = [0xde, 0xad, 0xbe, 0xef];

/// What the master is to be.
pub struct Head<'h> {
    /// HTCondor's directory, `/etc/condor`.
    pub etc_condor: PathBuf,
    /// The address by which workers reach this machine.
    pub master_ip: String,
    /// The text of condor-master.config, tags not yet filled in.
    pub condor_config: &'h str,
    /// The password of the pool, if it has one.
    pub password: Option<&'h str>,
}

/// What was done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// The domain of the pool's users.
    pub uid_domain: String,
    /// The files that were written; empty when all was as it should be.
    pub written: Vec<PathBuf>,
}

/// Writes what is missing or differs. Twice is the same as once: the domain of an earlier time stays, and so does the
/// signing key, since all tokens hang on it.
///
/// # Errors
/// In words: a file cannot be written, a tag has no value.
pub fn configure(head: &Head<'_>) -> Result<Done, String> {
    let path = head.etc_condor.join(CONFIG);
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |error: io::Error| format!("{}: {error}", path.display())
    };
    let old = fs::read_to_string(&path).unwrap_or_default();
    let uid_domain = match setting(&old, "UID_DOMAIN") {
        Some(domain) => domain.to_owned(),
        None => random_domain().map_err(|error| format!("no domain can be made: {error}"))?,
    };
    let mut done = Done { uid_domain: uid_domain.clone(), written: Vec::new() };
    let values = [
        ("master_ip".to_owned(), head.master_ip.clone()),
        ("uid_domain".to_owned(), uid_domain),
        ("etc_condor".to_owned(), head.etc_condor.display().to_string()),
    ];
    let values = values.into_iter().collect();
    let filled =
        |text: &str| fill(text, &values).map_err(|lacks| format!("no value for {{{}}}", lacks.join("}, {")));

    let key = head.etc_condor.join("passwords.d/POOL");
    if !key.exists() {
        let bytes = super::random_bytes::<64>().map_err(failed(&key))?;
        // HTCondor ends a key at the first zero byte it has read back.
        let text = data_encoding::BASE64.encode(&bytes);
        write(&key, text.as_bytes(), 0o600).map_err(failed(&key))?;
        done.written.push(key);
    }
    if let Some(password) = head.password {
        let path = head.etc_condor.join("ehos_pool_password");
        if write_if_other(&path, &scrambled(password), 0o600).map_err(failed(&path))? {
            done.written.push(path);
        }
    }
    if write_if_other(&path, filled(head.condor_config)?.as_bytes(), 0o644).map_err(failed(&path))? {
        done.written.push(path);
    }
    let legacy = head.etc_condor.join(LEGACY);
    if let Ok(text) = fs::read_to_string(&legacy) {
        let path = head.etc_condor.join("config.d").join(LEGACY);
        write(&path, filled(&text)?.as_bytes(), 0o644).map_err(failed(&path))?;
        fs::remove_file(&legacy).map_err(failed(&legacy))?;
        done.written.push(path);
    }
    Ok(done)
}

/// A password in the form in which HTCondor keeps it.
#[must_use]
pub fn scrambled(password: &str) -> Vec<u8> {
    password.bytes().zip(SCRAMBLE.into_iter().cycle()).map(|(byte, with)| byte ^ with).collect()
}

fn setting<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    text.lines()
        .filter_map(|line| line.split_once('='))
        .find(|(key, _)| key.trim() == name)
        .map(|(_, value)| value.trim())
        .filter(|value| !value.is_empty() && !value.contains('{'))
}

fn random_domain() -> io::Result<String> {
    let letters = super::random_bytes::<10>()?.map(|byte| char::from(b'a' + byte % 26));
    Ok(format!("ehos.{}", letters.iter().collect::<String>()))
}

fn write_if_other(path: &Path, content: &[u8], mode: u32) -> io::Result<bool> {
    let is_same = fs::read(path).is_ok_and(|old| old == content)
        && fs::metadata(path).is_ok_and(|data| data.permissions().mode() & 0o7777 == mode);
    if is_same {
        return Ok(false);
    }
    write(path, content, mode).map(|()| true)
}

/// Writes a file, whole or not at all, with this mode from the first moment on.
fn write(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        let dir_mode = if mode & 0o077 == 0 && parent.ends_with("passwords.d") { 0o700 } else { 0o755 };
        fs::DirBuilder::new().recursive(true).mode(dir_mode).create(parent)?;
    }
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let new = PathBuf::from(name);
    let _left_by_a_crash = fs::remove_file(&new);
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&new)?;
    file.set_permissions(fs::Permissions::from_mode(mode))?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&new, path)
}

#[cfg(test)]
mod tests {
    use super::super::share::shipped;
    use super::*;

    #[test]
    fn twice_is_the_same_as_once() {
        let dir = tempfile::tempdir().unwrap();
        let head = Head {
            etc_condor: dir.path().to_owned(),
            master_ip: "10.0.0.5".to_owned(),
            condor_config: shipped("condor-master.config").unwrap(),
            password: Some("a\\1{b}"),
        };
        std::fs::write(dir.path().join(LEGACY), "HOST = {master_ip}\n").unwrap();
        let first = configure(&head).unwrap();
        assert_eq!(first.written.len(), 4);
        let text = fs::read_to_string(dir.path().join(CONFIG)).unwrap();
        assert!(text.contains("CONDOR_HOST = 10.0.0.5\n") && !text.contains('{'), "{text}");
        assert!(text.contains(&format!("TRUST_DOMAIN = {}\n", first.uid_domain)));
        assert_eq!(
            fs::read_to_string(dir.path().join("config.d").join(LEGACY)).unwrap(),
            "HOST = 10.0.0.5\n"
        );
        for secret in ["passwords.d/POOL", "ehos_pool_password"] {
            assert_eq!(fs::metadata(dir.path().join(secret)).unwrap().permissions().mode() & 0o777, 0o600);
        }
        let again = configure(&head).unwrap();
        assert_eq!(again, Done { uid_domain: first.uid_domain, written: Vec::new() });
    }

    #[test]
    fn the_password_is_kept_as_condor_store_cred_keeps_it() {
        // condor_store_cred -f FILE, versions 23.9.6 and 25.14.1
        let seen = [0xb6, 0xc8, 0xd2, 0x83, 0xb1, 0xd6, 0xce, 0x8e, 0xad, 0xde];
        assert_eq!(scrambled("hello{pass"), seen);
    }
}
