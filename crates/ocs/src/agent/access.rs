//! Who may start and stop what (OCS docs, "Access Control", version 1).
//!
//! The structure is all there: levels, a policy, the level of each operation, the level of each caller. Of the
//! policies only "none" is served so far; the others are refused with a clear message when the configuration is read,
//! never silently ignored.

use std::fmt;

use serde_json::{Value, json};

/// The version of the protocol that an agent reports in `get_api`.
pub const AC_VERSION: i64 = 1;

/// What a caller is trusted with, or what an operation demands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CredLevel {
    /// Nothing that changes anything.
    Blocked,
    /// Everybody, where no policy says otherwise.
    Basic,
    /// Knows the level 2 password.
    Advanced,
    /// Knows the level 3 password.
    Full,
    /// The agent itself.
    Superuser,
}

impl CredLevel {
    /// The number on the wire, 0 to 4.
    #[must_use]
    pub const fn number(self) -> i64 {
        match self {
            Self::Blocked => 0,
            Self::Basic => 1,
            Self::Advanced => 2,
            Self::Full => 3,
            Self::Superuser => 4,
        }
    }
}

/// As OCS prints it: `2-ADVANCED`.
impl fmt::Display for CredLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::Blocked => "BLOCKED",
            Self::Basic => "BASIC",
            Self::Advanced => "ADVANCED",
            Self::Full => "FULL",
            Self::Superuser => "SUPERUSER",
        };
        write!(f, "{}-{name}", self.number())
    }
}

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller<'a> {
    /// A client on the bus, or on the control socket, with the password that it gave.
    Client {
        /// The `password` argument of the call.
        password: Option<&'a str>,
    },
    /// The agent's own code: startup operations and [`super::Agent::start`].
    Internal,
}

/// The rule by which callers get their level.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Policy {
    /// Everyone, the agent itself included, has level 1. So an operation that demands more cannot be started at all;
    /// OCS behaves the same.
    #[default]
    None,
}

/// An access policy that cannot be served.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// A policy of OCS that this version does not serve.
    #[error(
        "access policy \"{0}\" is not supported yet: refusing to run without the protection it asks for \
         (only \"none\" is supported)"
    )]
    Unsupported(String),
    /// No policy of OCS at all.
    #[error(
        "invalid access policy \"{0}\" (OCS knows \"none\", \"override:PW2,PW3\" and \"director:INSTANCE-ID\")"
    )]
    Invalid(String),
}

impl Policy {
    /// Reads the `access_policy` of the site config or of `--access-policy`. Absent, empty and "none" are the same.
    ///
    /// # Errors
    /// [`PolicyError`] for a policy that is unknown, or known and not served.
    pub fn parse(text: Option<&str>) -> Result<Self, PolicyError> {
        let text = text.unwrap_or_default();
        match text.split_once(':') {
            None if text.is_empty() || text == "none" => Ok(Self::None),
            Some(("override" | "director", _)) => Err(PolicyError::Unsupported(hide_passwords(text))),
            _ => Err(PolicyError::Invalid(hide_passwords(text))),
        }
    }

    /// The word that `get_api` reports.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::None => "none",
        }
    }

    /// The level of a caller, and a remark for people when it was lowered.
    #[must_use]
    pub const fn level(&self, caller: Caller<'_>) -> (CredLevel, Option<String>) {
        match (self, caller) {
            (Self::None, Caller::Client { .. } | Caller::Internal) => (CredLevel::Basic, None),
        }
    }
}

/// What `get_api` tells about access control. Its presence tells clients that they may send a password.
#[must_use]
pub fn access_control(policy: &Policy, update_s: f64) -> Value {
    json!({
        "version": AC_VERSION,
        "policy": policy.word(),
        "update_timestamp": update_s,
        "update_count": 0,
        "step": 0,
    })
}

/// The reply to a caller whose level is too low.
#[must_use]
pub fn rejection(level: CredLevel, required: CredLevel, remark: Option<&str>) -> String {
    let text =
        format!("The action requires credential level {required} but the client has only level {level}");
    match remark {
        Some(remark) => format!("{text} {remark}"),
        None => text,
    }
}

fn hide_passwords(policy: &str) -> String {
    match policy.split_once(':') {
        Some((kind @ "override", _)) => format!("{kind}:…"),
        _ => policy.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_policy_in_any_spelling_gives_everyone_level_one() {
        for text in [None, Some(""), Some("none")] {
            let policy = Policy::parse(text).unwrap();
            assert_eq!(policy.level(Caller::Client { password: Some("x") }).0, CredLevel::Basic);
            assert_eq!(policy.level(Caller::Internal).0, CredLevel::Basic);
        }
    }

    #[test]
    fn a_policy_that_is_not_served_is_refused_without_showing_its_passwords() {
        let error = Policy::parse(Some("override:secret2,secret3")).unwrap_err();
        assert!(matches!(error, PolicyError::Unsupported(_)));
        assert!(!error.to_string().contains("secret"));
        assert!(matches!(Policy::parse(Some("director:access-dir")), Err(PolicyError::Unsupported(_))));
        assert!(matches!(Policy::parse(Some("whatever")), Err(PolicyError::Invalid(_))));
    }

    #[test]
    fn the_rejection_reads_as_that_of_ocs() {
        assert_eq!(
            rejection(CredLevel::Basic, CredLevel::Advanced, None),
            "The action requires credential level 2-ADVANCED but the client has only level 1-BASIC"
        );
    }
}
