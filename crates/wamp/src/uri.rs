//! Names of topics and procedures: what is a valid one, and which pattern matches which name.
//!
//! The check is the loose one of the WAMP spec ("URIs"): any component without white space, dots and `#`. OCS
//! instance ids have dashes and capitals, which the strict rule would refuse.

/// The longest URI that is accepted, in bytes. The protocol sets no limit; sites stay below 200.
pub const MAX_URI_BYTES: usize = 1024;

/// How the topic of a subscription (or the procedure of a registration) names what it is for
/// (WAMP spec, "Pattern-based Subscriptions").
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Match {
    /// This name and no other.
    #[default]
    Exact,
    /// Every name that begins with it.
    Prefix,
    /// Every name with as many components, where an empty component of the pattern stands for any.
    Wildcard,
}

impl Match {
    /// The value of the option `match`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Exact => "exact",
            Self::Prefix => "prefix",
            Self::Wildcard => "wildcard",
        }
    }

    /// From the value of the option `match`.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Exact, Self::Prefix, Self::Wildcard].into_iter().find(|matching| matching.name() == name)
    }

    /// Whether `name` matches `pattern` in this way.
    pub fn matches(self, pattern: &str, name: &str) -> bool {
        match self {
            Self::Exact => pattern == name,
            Self::Prefix => name.starts_with(pattern),
            Self::Wildcard => {
                let mut names = name.split('.');
                pattern.split('.').all(|part| names.next().is_some_and(|n| part.is_empty() || part == n))
                    && names.next().is_none()
            }
        }
    }
}

/// Whether `uri` is valid for this kind of match: no component may be empty, but any one of a wildcard pattern and
/// the last one of a prefix.
pub fn is_valid(uri: &str, matching: Match) -> bool {
    if uri.is_empty() || uri.len() > MAX_URI_BYTES || uri.contains(|c: char| c == '#' || c.is_whitespace()) {
        return false;
    }
    match matching {
        Match::Exact => uri.split('.').all(|part| !part.is_empty()),
        Match::Prefix => uri.strip_suffix('.').unwrap_or(uri).split('.').all(|part| !part.is_empty()),
        Match::Wildcard => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loose_uris_are_valid_and_others_are_not() {
        for good in ["observatory.hm-host-1.ops", "a", "Ärger.B_c", "wamp.error.canceled", "a.b-c!"] {
            assert!(is_valid(good, Match::Exact), "{good}");
        }
        for bad in ["", ".", "a.", ".a", "a..b", "a b", "a.\tb", "a#b"] {
            assert!(!is_valid(bad, Match::Exact), "{bad}");
        }
        assert!(!is_valid(&"a".repeat(MAX_URI_BYTES + 1), Match::Exact));
    }

    #[test]
    fn patterns_may_have_empty_components_where_they_mean_something() {
        for good in ["observatory..feeds.heartbeat", "a.", ".a", "..", "a..b"] {
            assert!(is_valid(good, Match::Wildcard), "{good}");
        }
        assert!(!is_valid("a. .b", Match::Wildcard));
        assert!(is_valid("observatory.", Match::Prefix) && is_valid("observatory", Match::Prefix));
        assert!(
            !is_valid("a..b", Match::Prefix)
                && !is_valid("a..", Match::Prefix)
                && !is_valid(".", Match::Prefix)
        );
    }

    #[test]
    fn each_kind_of_match_matches_what_it_should() {
        let heartbeat = "observatory.faker1.feeds.heartbeat";
        assert!(
            Match::Exact.matches(heartbeat, heartbeat) && !Match::Exact.matches("observatory", heartbeat)
        );
        assert!(
            Match::Prefix.matches("observatory.fak", heartbeat)
                && !Match::Prefix.matches("faker1", heartbeat)
        );
        assert!(Match::Wildcard.matches("observatory..feeds.heartbeat", heartbeat));
        assert!(Match::Wildcard.matches("...", heartbeat));
        assert!(!Match::Wildcard.matches("observatory..feeds", heartbeat));
        assert!(!Match::Wildcard.matches("observatory..feeds.heartbeat.", heartbeat));
        assert!(!Match::Wildcard.matches("observatory..logs.heartbeat", heartbeat));
    }

    #[test]
    fn the_names_of_matches_come_back() {
        for matching in [Match::Exact, Match::Prefix, Match::Wildcard] {
            assert_eq!(Match::from_name(matching.name()), Some(matching));
        }
        assert_eq!(Match::from_name("regex"), None);
    }
}
