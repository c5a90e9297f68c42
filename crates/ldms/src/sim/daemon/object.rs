//! What configuration objects share: owner, permissions, expressions; and the small ones.

use regex::bytes::{Regex, RegexBuilder};

use super::answer::{Refused, refuse};
use crate::auth::{Auth, Peer};
use crate::wire::errno;

/// An authentication domain; its error is told when somebody uses it, as ldmsd does.
#[derive(Debug)]
pub(super) struct Domain {
    pub(super) auth: Result<Auth, String>,
}

/// A listener for advertisements.
#[derive(Debug)]
pub(super) struct PrdcrListen {
    pub(super) running: bool,
    pub(super) regex: Option<Expression>,
    pub(super) ip: Option<String>,
    pub(super) auto_start: bool,
    /// `active`: connect back with this transport, port, authentication and interval.
    pub(super) active: Option<(String, u16, Option<String>, u64)>,
    pub(super) producers: Vec<String>,
    pub(super) rights: Rights,
}

/// Owner and permissions of an object.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rights {
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) perm: u32,
}

impl Rights {
    /// Those of an object that `peer` creates; `perm` is read in the base it seems to have.
    pub(super) fn new(peer: Peer, perm: Option<&str>) -> Self {
        Self { uid: peer.uid, gid: peer.gid, perm: perm.map_or(0o770, guess_base) }
    }

    /// Refuses a change by someone without the right to it.
    pub(super) fn check_write(&self, peer: Peer) -> Result<(), Refused> {
        if allows(peer, 0o222, self.uid, self.gid, self.perm) {
            Ok(())
        } else {
            Err(refuse(errno::EACCES, "Permission denied."))
        }
    }
}

/// Whether `peer` has one of the rights in `access` (three digits, for user, group and others) to an object.
pub(super) fn allows(peer: Peer, access: u32, uid: u32, gid: u32, perm: u32) -> bool {
    if peer.uid == 0 {
        return true;
    }
    let granted = access & perm;
    (granted & 0o700 != 0 && peer.uid == uid)
        || (granted & 0o070 != 0 && peer.gid == gid)
        || granted & 0o007 != 0
}

/// A number as the C library reads it with base 0; 0 for what is none.
pub(super) fn guess_base(text: &str) -> u32 {
    let digits = |text: &str, base: u32| {
        let end = text.find(|c: char| !c.is_digit(base)).unwrap_or(text.len());
        u32::from_str_radix(&text[..end], base).unwrap_or(0)
    };
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(hex) => digits(hex, 16),
        None if text.starts_with('0') => digits(text, 8),
        None => digits(text, 10),
    }
}

/// An expression as it was written, ready to be matched.
#[derive(Debug, Clone)]
pub(super) struct Expression {
    pub(super) text: String,
    regex: Regex,
}

/// Memory an expression may take, in bytes.
const EXPRESSION_LIMIT: usize = 1024 * 1024;

impl Expression {
    /// Reads an extended expression (matched anywhere in the text, as ldmsd does).
    pub(super) fn new(text: &str) -> Result<Self, String> {
        let built = RegexBuilder::new(text).unicode(false).size_limit(EXPRESSION_LIMIT).build();
        match built {
            Ok(regex) => Ok(Self { text: text.to_owned(), regex }),
            Err(error) => Err(error.to_string()),
        }
    }

    pub(super) fn matches(&self, text: &str) -> bool {
        self.regex.is_match(text.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rights_are_those_of_user_group_and_others() {
        let peer = Peer { uid: 5, gid: 6 };
        assert!(allows(Peer::ROOT, 0o444, 9, 9, 0));
        assert!(allows(peer, 0o444, 5, 9, 0o400));
        assert!(!allows(peer, 0o222, 5, 9, 0o400));
        assert!(allows(peer, 0o444, 9, 6, 0o040));
        assert!(!allows(peer, 0o444, 9, 9, 0o440));
        assert!(allows(peer, 0o444, 9, 9, 0o004));
    }

    #[test]
    fn numbers_are_read_in_the_base_they_seem_to_have() {
        assert_eq!(guess_base("0777"), 0o777);
        assert_eq!(guess_base("777"), 777);
        assert_eq!(guess_base("0x1f"), 0x1f);
        assert_eq!(guess_base("None"), 0);
    }
}
