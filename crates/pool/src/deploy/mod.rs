//! From a keystone file to a running master: configuration, keys, firewall, images, the master and what runs on it.
//!
//! [`keystone`], [`choose`], [`edit`], [`cloud_init`], [`compose`] and [`jobs`] are pure. [`share`] has the files that
//! ship, [`setup`] and [`image`] work on clouds, [`master`] and [`remote`] on the machine that becomes the master,
//! [`head`] on the master itself.

pub mod choose;
pub mod cloud_init;
pub mod compose;
pub mod edit;
pub mod head;
pub mod image;
pub mod jobs;
pub mod keystone;
pub mod master;
pub mod remote;
pub mod setup;
pub mod share;

use std::io::Read as _;

/// Characters of passwords that are made here: they need no quotes in YAML, shell and HTCondor's files, and none is
/// taken for another.
const ALPHABET: &[u8] = b"abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789";
/// As long as those that EHOS makes.
const PASSWORD_CHARS: usize = 25;

/// A password from the system's source of randomness.
///
/// # Errors
/// There is no such source.
pub fn make_password() -> std::io::Result<String> {
    let mut password = String::with_capacity(PASSWORD_CHARS);
    while password.len() < PASSWORD_CHARS {
        for byte in random_bytes::<64>()? {
            let limit = 256 - 256 % ALPHABET.len();
            // Without the bytes at the end every character is as likely as any other.
            if usize::from(byte) < limit && password.len() < PASSWORD_CHARS {
                password.push(char::from(ALPHABET[usize::from(byte) % ALPHABET.len()]));
            }
        }
    }
    Ok(password)
}

/// Bytes from the system's source of randomness.
pub(crate) fn random_bytes<const N: usize>() -> std::io::Result<[u8; N]> {
    let mut bytes = [0; N];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// What a long step says while it works: the cloud (or host) that it is about, and what is being done.
pub type Tell<'t> = &'t (dyn Fn(&str, &str) + Sync);

#[cfg(test)]
mod tests {
    #[test]
    fn passwords_are_long_plain_and_never_the_same() {
        let (one, other) = (super::make_password().unwrap(), super::make_password().unwrap());
        assert_eq!(one.len(), 25);
        assert!(one.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        assert_ne!(one, other);
    }
}
