//! Where the rules of an agent come from: the `access_policy` of the site config or of `--access-policy`.

use super::CredLevel;
use super::rules::{AccessRule, HashedPass};
use crate::secret::Secret;

/// The director of a policy that names none.
pub const DEFAULT_DIRECTOR: &str = "access-director";

/// Where the rules of an agent come from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Policy {
    /// Everyone, the agent itself included, has level 1. So an operation that demands more cannot be started at all;
    /// OCS behaves the same.
    #[default]
    None,
    /// Everyone has level 1, and two passwords give more. An empty password is one that anybody knows.
    Override {
        /// The password for level 2.
        level_2: Secret,
        /// The password for level 3.
        level_3: Secret,
    },
    /// Everyone is blocked until the access director says more.
    Director {
        /// The instance id of the director.
        instance_id: String,
    },
}

/// An access policy that OCS does not know. Its text is not repeated: it may hold passwords.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// Another word than those of OCS.
    #[error(
        "invalid access policy{} (OCS knows \"none\", \"override:PW2,PW3\" and \"director:INSTANCE-ID\")",
        .0.as_ref().map(|word| format!(" \"{word}\"")).unwrap_or_default()
    )]
    Unknown(Option<String>),
    /// An override without two passwords.
    #[error("the access policy \"override\" needs two passwords: \"override:PW2,PW3\"")]
    PasswordsMissing,
    /// A director that cannot be an agent.
    #[error("the access policy \"director\" needs an instance id, and \"{0}\" is none")]
    Director(String),
}

impl Policy {
    /// Reads a policy. Absent, empty and "none" are the same. Of an override, passwords after the second do not count.
    ///
    /// # Errors
    /// [`PolicyError`] for all that OCS does not know.
    pub fn parse(text: Option<&str>) -> Result<Self, PolicyError> {
        let text = text.unwrap_or_default();
        if text.is_empty() || text == "none" {
            return Ok(Self::None);
        }
        match text.split_once(':') {
            Some(("override", passwords)) => {
                let mut passwords = passwords.split(',').map(Secret::new);
                match (passwords.next(), passwords.next()) {
                    (Some(level_2), Some(level_3)) => Ok(Self::Override { level_2, level_3 }),
                    _ => Err(PolicyError::PasswordsMissing),
                }
            }
            Some(("director", "")) => Ok(Self::Director { instance_id: DEFAULT_DIRECTOR.to_owned() }),
            Some(("director", id)) => {
                if id.contains(|c: char| c.is_whitespace() || c == '#' || c == '.' || c.is_control()) {
                    return Err(PolicyError::Director(id.to_owned()));
                }
                Ok(Self::Director { instance_id: id.to_owned() })
            }
            _ => Err(PolicyError::Unknown(harmless(text))),
        }
    }

    /// The word that `get_api` reports.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Override { .. } => "override",
            Self::Director { .. } => "director",
        }
    }

    /// The rules at the start.
    pub(super) fn rules(&self) -> Vec<AccessRule> {
        match self {
            Self::None => vec![AccessRule::granting(CredLevel::Basic, HashedPass::free())],
            Self::Override { level_2, level_3 } => vec![
                AccessRule::granting(CredLevel::Basic, HashedPass::free()),
                AccessRule::granting(CredLevel::Advanced, HashedPass::clear(level_2.clone())),
                AccessRule::granting(CredLevel::Full, HashedPass::clear(level_3.clone())),
            ],
            Self::Director { .. } => Vec::new(),
        }
    }
}

/// A policy as it may be shown: without its passwords.
#[must_use]
pub fn shown(policy: &str) -> String {
    match (Policy::parse(Some(policy)), harmless(policy)) {
        (Ok(Policy::None | Policy::Director { .. }) | Err(PolicyError::Director(_)), _) => policy.to_owned(),
        (Ok(Policy::Override { .. }) | Err(PolicyError::PasswordsMissing), _) => "override:…".to_owned(),
        (Err(PolicyError::Unknown(_)), Some(word)) => word,
        (Err(PolicyError::Unknown(_)), None) => "…".to_owned(),
    }
}

/// A text that is one word, and so rather a slip of the pen than a list of passwords.
fn harmless(text: &str) -> Option<String> {
    text.chars().all(|c| c.is_alphanumeric() || c == '-' || c == '_').then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_policy_has_three_spellings() {
        for text in [None, Some(""), Some("none")] {
            assert_eq!(Policy::parse(text), Ok(Policy::None));
        }
    }

    #[test]
    fn policies_are_read_as_by_ocs() {
        let director = |id: &str| Ok(Policy::Director { instance_id: id.into() });
        assert_eq!(Policy::parse(Some("director:access-dir")), director("access-dir"));
        assert_eq!(Policy::parse(Some("director:")), director("access-director"));
        let passwords = |two: &str, three: &str| {
            Ok(Policy::Override { level_2: Secret::new(two), level_3: Secret::new(three) })
        };
        assert_eq!(Policy::parse(Some("override:a,b")), passwords("a", "b"));
        assert_eq!(Policy::parse(Some("override:a:b,c,d")), passwords("a:b", "c"));
        assert_eq!(Policy::parse(Some("override:,b")), passwords("", "b"));
    }

    #[test]
    fn what_is_no_policy_is_refused_without_showing_passwords() {
        for text in [
            "override:swordfish",
            "overide:swordfish,x",
            "swordfish,x",
            "none:swordfish",
            "Override:swordfish",
        ] {
            let error = Policy::parse(Some(text)).unwrap_err();
            assert!(!error.to_string().contains("swordfish"), "{error}");
            assert!(!shown(text).contains("swordfish"));
        }
        assert_eq!(shown("override:a,b"), "override:…");
        assert_eq!(shown("director:a"), "director:a");
        assert!(Policy::parse(Some("nome")).unwrap_err().to_string().contains("\"nome\""));
        assert!(matches!(Policy::parse(Some("director:a b")), Err(PolicyError::Director(_))));
        let policy = Policy::parse(Some("override:swordfish,x"));
        assert!(!format!("{policy:?}").contains("swordfish"));
    }
}
