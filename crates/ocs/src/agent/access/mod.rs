//! Who may start and stop what (OCS docs, "Access Control", version 1).
//!
//! ```text
//!   access_policy ──▶ policy ──▶ control ◀── message ◀── feed of the access director
//!                                   │
//!                                 rules: password ──▶ level
//! ```
//!
//! Every operation demands a level, every caller has one. A [`Policy`] says where the rules come from that give callers
//! their levels; [`AccessControl`] holds them. Starting, stopping and aborting are checked, asking and waiting are not.
//!
//! *Guarantees*: rules that cannot be understood are refused as a whole, and the ones before them stay. A password is
//! never printed, logged or reported, and its comparison takes the same time for every wrong one.
//!
//! Deliberately different from OCS 0.12:
//!
//! | case | OCS | here |
//! |---|---|---|
//! | `override:` with one password | the agent crashes at its start | refused with a clear message |
//! | a rule of an unknown hash, without password or level | every request crashes | it grants nothing; its lockout counts |
//! | a password that is no text | may crash the request | counts as none given |
//! | nobody answers at the director's | an error in the log, locked until the director's next round | asked again and again |

mod control;
mod message;
mod policy;
mod rules;

use std::fmt;

pub use control::AccessControl;
pub use message::{DirectorError, MAX_RULES};
pub use policy::{DEFAULT_DIRECTOR, Policy, PolicyError, shown};
pub use rules::{AccessRule, HashedPass, Verdict};

use crate::secret::Secret;

/// The version of the protocol that an agent reports in `get_api`, and that it takes from a director.
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
    /// All of them, the lowest first.
    pub const ALL: [Self; 5] = [Self::Blocked, Self::Basic, Self::Advanced, Self::Full, Self::Superuser];

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

    /// The level of this number.
    #[must_use]
    pub fn from_number(number: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.number() == number)
    }

    fn below(self) -> Option<Self> {
        Self::from_number(self.number() - 1)
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
        password: Option<&'a Secret>,
    },
    /// The agent's own code: startup operations and [`super::Agent::start`].
    Internal,
}

/// The reply to a caller whose level is too low. `remark` says why it is so low; empty for nothing to say.
#[must_use]
pub fn rejection(level: CredLevel, required: CredLevel, remark: &str) -> String {
    let text =
        format!("The action requires credential level {required} but the client has only level {level}");
    if remark.is_empty() { text } else { format!("{text} {remark}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rejection_reads_as_that_of_ocs() {
        let text = "The action requires credential level 2-ADVANCED but the client has only level 1-BASIC";
        assert_eq!(rejection(CredLevel::Basic, CredLevel::Advanced, ""), text);
        assert_eq!(rejection(CredLevel::Basic, CredLevel::Advanced, "Why."), format!("{text} Why."));
    }

    #[test]
    fn levels_have_their_numbers() {
        assert!(
            CredLevel::ALL.into_iter().all(|level| CredLevel::from_number(level.number()) == Some(level))
        );
        assert_eq!((CredLevel::from_number(5), CredLevel::Blocked.below()), (None, None));
    }
}
