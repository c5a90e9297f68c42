//! Which agents a rule is meant for (OCS docs, "Access Control": selectors and patterns).
//!
//! Both sides use it: the rules that an agent gets from its access director, and the entries of a client's password
//! file. Pure.

use serde::Deserialize;

/// The agents that a rule is meant for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Scope {
    /// All agents; what else is said does not count then.
    #[serde(default, deserialize_with = "flag")]
    pub default: bool,
    /// Those whose class matches this pattern.
    #[serde(default)]
    pub agent_class: Option<String>,
    /// Those whose instance id matches this pattern.
    #[serde(default)]
    pub instance_id: Option<String>,
}

/// The original takes null for no.
fn flag<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

impl Scope {
    /// All agents.
    #[must_use]
    pub const fn everyone() -> Self {
        Self { default: true, agent_class: None, instance_id: None }
    }

    /// Whether an agent is meant. A scope that says nothing means none.
    #[must_use]
    pub fn covers(&self, agent_class: &str, instance_id: &str) -> bool {
        if self.default {
            return true;
        }
        let fits =
            |pattern: &Option<String>, text| pattern.as_ref().is_none_or(|pattern| matches(pattern, text));
        (self.agent_class.is_some() || self.instance_id.is_some())
            && fits(&self.agent_class, agent_class)
            && fits(&self.instance_id, instance_id)
    }

    /// How closely it describes an agent; of several entries of a password file the closest counts. 8 for an instance
    /// id, 4 for a class, 2 and 1 for ids and classes that are only excluded; 0 for all, -1 for nothing.
    #[must_use]
    pub fn specificity(&self) -> i8 {
        if self.default {
            return 0;
        }
        let mut sum = 0;
        let mut says_something = false;
        for (pattern, wanted, unwanted) in [(&self.instance_id, 8, 2), (&self.agent_class, 4, 1)] {
            for (positive, _) in pattern.iter().flat_map(|pattern| parts(pattern)) {
                says_something = true;
                sum |= if positive { wanted } else { unwanted };
            }
        }
        if says_something { sum } else { -1 }
    }
}

/// Whether a text matches a pattern: comma-separated parts, of which one must match (if there are any without `!`),
/// and none of those that begin with `!` may. A part knows `*`, `?`, `[seq]` and `[!seq]`, as in a shell.
#[must_use]
pub fn matches(pattern: &str, text: &str) -> bool {
    let (mut any_positive, mut matched) = (false, false);
    for (positive, part) in parts(pattern) {
        let fits = part_matches(part, text);
        if positive {
            any_positive = true;
            matched |= fits;
        } else if fits {
            return false;
        }
    }
    matched || !any_positive
}

/// The parts that are not empty, without their `!`, and whether they had none.
fn parts(pattern: &str) -> impl Iterator<Item = (bool, &str)> {
    pattern
        .split(',')
        .map(|part| match part.strip_prefix('!') {
            Some(rest) => (false, rest),
            None => (true, part),
        })
        .filter(|(_, part)| !part.is_empty())
}

#[derive(Debug)]
enum Token {
    Star,
    One,
    Char(char),
    Class { negated: bool, ranges: Vec<(char, char)> },
}

impl Token {
    fn takes(&self, c: char) -> bool {
        match self {
            Self::Star | Self::One => true,
            Self::Char(own) => *own == c,
            Self::Class { negated, ranges } => {
                ranges.iter().any(|(low, high)| (*low..=*high).contains(&c)) != *negated
            }
        }
    }
}

fn tokens(part: &str) -> Vec<Token> {
    let chars: Vec<char> = part.chars().collect();
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(&c) = chars.get(at) {
        at += 1;
        tokens.push(match c {
            // Several stars are one: matching stays fast.
            '*' if matches!(tokens.last(), Some(Token::Star)) => continue,
            '*' => Token::Star,
            '?' => Token::One,
            '[' => match class(&chars[at..]) {
                Some((token, length)) => {
                    at += length;
                    token
                }
                None => Token::Char('['),
            },
            other => Token::Char(other),
        });
    }
    tokens
}

/// The class behind a `[`, and its length with the `]`; `None` when it never ends. Ranges that run backwards are empty,
/// so a class of nothing else matches nothing, or everything if negated.
fn class(chars: &[char]) -> Option<(Token, usize)> {
    let negated = chars.first() == Some(&'!');
    let from = usize::from(negated);
    // A `]` that comes first is one of the characters.
    let end = (from + 1..chars.len()).find(|at| chars[*at] == ']')?;
    let (mut ranges, mut at) = (Vec::new(), from);
    while at < end {
        if at + 2 < end && chars[at + 1] == '-' {
            ranges.push((chars[at], chars[at + 2]));
            at += 3;
        } else {
            ranges.push((chars[at], chars[at]));
            at += 1;
        }
    }
    Some((Token::Class { negated, ranges }, end + 1))
}

/// In time proportional to the product of the lengths, whatever the pattern.
fn part_matches(part: &str, text: &str) -> bool {
    let (tokens, text): (Vec<Token>, Vec<char>) = (tokens(part), text.chars().collect());
    let (mut at, mut of_text) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while of_text < text.len() {
        match tokens.get(at) {
            Some(Token::Star) => {
                retry = Some((at, of_text));
                at += 1;
            }
            Some(token) if token.takes(text[of_text]) => {
                at += 1;
                of_text += 1;
            }
            _ => match &mut retry {
                None => return false,
                Some((star, taken)) => {
                    // The last star takes one character more.
                    *taken += 1;
                    (at, of_text) = (*star + 1, *taken);
                }
            },
        }
    }
    tokens[at..].iter().all(|token| matches!(token, Token::Star))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_examples_of_the_documentation_match() {
        let pattern = "Director,Act*,*Producer*";
        assert!(["Director", "Actor", "AProducerB"].iter().all(|text| matches(pattern, text)));
        assert!(!matches(pattern, "Directors"));
        assert!(matches("*Agent,!FakeDataAgent", "HotAgent"));
        assert!(!matches("*Agent,!FakeDataAgent", "FakeDataAgent"));
        let pattern = "compute*,login*,!*9,!*8";
        assert!(matches(pattern, "login3") && !matches(pattern, "login9") && !matches(pattern, "x"));
    }

    #[test]
    fn a_pattern_without_parts_matches_everything() {
        assert!(["", ",", "!", "!,"].iter().all(|pattern| matches(pattern, "x")));
        assert!(matches("!a", "b") && !matches("!a", "a"));
    }

    #[test]
    fn a_scope_that_says_nothing_covers_nobody() {
        assert!(!Scope::default().covers("A", "a"));
        assert!(Scope::everyone().covers("A", "a"));
        let both = Scope { agent_class: Some("A".into()), instance_id: Some("!b".into()), default: false };
        assert!(both.covers("A", "a") && !both.covers("A", "b") && !both.covers("B", "a"));
        assert_eq!((both.specificity(), Scope::everyone().specificity()), (6, 0));
        assert_eq!(Scope::default().specificity(), -1);
    }

    proptest! {
        #[test]
        fn a_text_matches_itself_with_anything_cut_out(text in "[a-z0-9-]{0,12}", from in 0usize..12, to in 0usize..12) {
            let (from, to) = (from.min(text.len()), to.min(text.len()));
            prop_assume!(from <= to);
            let pattern = format!("{}*{}", &text[..from], &text[to..]);
            prop_assert!(matches(&pattern, &text));
            let excluded = format!("*,!{pattern}");
            prop_assert!(!matches(&excluded, &text));
        }

        #[test]
        fn any_pattern_is_answered(pattern in any::<String>(), text in any::<String>()) {
            let _ = matches(&pattern, &text);
        }
    }
}
