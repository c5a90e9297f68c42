//! The options by which commands for a whole site are narrowed: to hosts, agent classes and states.

use std::fmt;

use campanile_ldms::hostlist;
use clap::ArgAction;

use super::survey::{Fleet, HostView, Row};

/// Which hosts and instances are meant. Without any of the options: all.
#[derive(clap::Args, Clone, Debug, Default)]
pub(crate) struct Selectors {
    /// Only these hosts: names, ranges (`lab-[1-8],dome`) and patterns (`lab-*`); may be repeated
    #[arg(long, short = 'H', value_name = "HOSTS", action = ArgAction::Append, value_parser = Patterns::parse)]
    pub(crate) host: Vec<Patterns>,
    /// Only instances of these agent classes (`Lakeshore*`); may be repeated
    #[arg(long, value_name = "CLASS", action = ArgAction::Append)]
    pub(crate) class: Vec<Pattern>,
    /// Only instances in these states (`up`, `unstable`, `wait_*`); may be repeated
    #[arg(long, value_name = "STATE", action = ArgAction::Append)]
    pub(crate) state: Vec<Pattern>,
}

impl Selectors {
    /// Does anything but the host decide?
    pub(crate) fn by_instance(&self) -> bool {
        !self.class.is_empty() || !self.state.is_empty()
    }

    /// Is this host meant?
    pub(crate) fn takes_host(&self, name: &str) -> bool {
        self.host.is_empty() || self.host.iter().any(|list| list.matches(name))
    }

    /// Is this instance of a host that is meant?
    pub(crate) fn takes_row(&self, row: &Row) -> bool {
        let class = self.class.is_empty() || self.class.iter().any(|pattern| has_class(row, pattern));
        class && (self.state.is_empty() || self.state.iter().any(|pattern| pattern.matches(&row.state)))
    }

    /// The names and patterns of `--host` for which there is no host.
    pub(crate) fn without_host<'s>(&'s self, names: &[&str]) -> Vec<&'s str> {
        let parts = self.host.iter().flat_map(|list| &list.parts);
        parts
            .filter(|part| !names.iter().any(|name| part.matches(name)))
            .map(|part| part.text.as_str())
            .collect()
    }

    /// Leaves out what is not meant. HostManagers stay, since they are what was asked.
    pub(crate) fn narrow(&self, fleet: &mut Fleet) {
        fleet.hosts.retain(|host| self.takes_host(&host.name));
        for HostView { rows, .. } in &mut fleet.hosts {
            rows.retain(|row| row.is_manager() || self.takes_row(row));
        }
        if self.by_instance() {
            fleet.hosts.retain(|host| host.rows.iter().any(|row| !row.is_manager()));
        }
    }
}

/// The class as site config or HostManager have it, with or without what marks docker instances (`[d]`).
fn has_class(row: &Row, pattern: &Pattern) -> bool {
    let classes = [&row.declared_class, &row.reported_class];
    classes.into_iter().flatten().any(|class| {
        let bare = class.split_once('[').map_or(class.as_str(), |(bare, _)| bare);
        pattern.matches(class) || (!bare.is_empty() && pattern.matches(bare))
    })
}

/// A name, or a pattern for names: `*` is any text, `?` any character.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pattern {
    text: String,
}

impl Pattern {
    /// Could it be several names?
    pub(crate) fn is_open(&self) -> bool {
        self.text.contains(['*', '?'])
    }

    /// Is this one of its names? Takes no more steps than the product of the two lengths.
    pub(crate) fn matches(&self, name: &str) -> bool {
        let (pattern, name): (Vec<char>, Vec<char>) = (self.text.chars().collect(), name.chars().collect());
        let (mut p, mut n) = (0, 0);
        // Where the last `*` stands, and how far what it stands for reaches.
        let mut star: Option<(usize, usize)> = None;
        while n < name.len() {
            match pattern.get(p) {
                Some('*') => {
                    star = Some((p, n));
                    p += 1;
                }
                Some(c) if *c == '?' || *c == name[n] => {
                    p += 1;
                    n += 1;
                }
                _ => match star {
                    Some((at, reaches)) => {
                        star = Some((at, reaches + 1));
                        (p, n) = (at + 1, reaches + 1);
                    }
                    None => return false,
                },
            }
        }
        pattern[p..].iter().all(|c| *c == '*')
    }
}

impl From<&str> for Pattern {
    fn from(text: &str) -> Self {
        Self { text: text.to_owned() }
    }
}

impl From<String> for Pattern {
    fn from(text: String) -> Self {
        Self { text }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A hostlist of names and patterns, as one word on a command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Patterns {
    parts: Vec<Pattern>,
}

impl Patterns {
    /// Reads `lab-[1-8],dome,cryo-*`.
    ///
    /// # Errors
    /// Why it is no hostlist.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let names = hostlist::expand(text).map_err(|error| error.to_string())?;
        if names.is_empty() {
            return Err("no name in it".to_owned());
        }
        Ok(Self { parts: names.into_iter().map(Pattern::from).collect() })
    }

    pub(crate) fn matches(&self, name: &str) -> bool {
        self.parts.iter().any(|part| part.matches(name))
    }

    /// The names and patterns.
    pub(crate) fn parts(&self) -> &[Pattern] {
        &self.parts
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn stars_and_question_marks_stand_for_any_text_and_any_character() {
        let cases = [
            ("Lakeshore*", "Lakeshore372Agent", true),
            ("Lakeshore*", "lakeshore372Agent", false),
            ("*Agent", "Lakeshore372Agent", true),
            ("*a*b*", "xxaxxbxxbx", true),
            ("*a*b", "xxaxxbxxbx", false),
            ("thermo?", "thermo1", true),
            ("thermo?", "thermo", false),
            ("thermo?", "thermo12", false),
            ("", "", true),
            ("*", "", true),
            ("", "x", false),
            ("é?", "éß", true),
        ];
        for (pattern, name, expected) in cases {
            assert_eq!(Pattern::from(pattern).matches(name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn a_list_of_hosts_has_names_ranges_and_patterns() {
        let list = Patterns::parse("lab-[01-03,7],dome,cryo-*").unwrap();
        for name in ["lab-01", "lab-03", "lab-7", "dome", "cryo-x"] {
            assert!(list.matches(name), "{name}");
        }
        for name in ["lab-1", "lab-04", "dom", "cryo"] {
            assert!(!list.matches(name), "{name}");
        }
        for text in ["", "lab-[1-", "lab-[8-1]", "lab-[1-99999999]"] {
            assert!(Patterns::parse(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_pattern_made_of_a_name_matches_it(name in "[a-c]{0,8}", from in 0usize..9, to in 0usize..9) {
            let (from, to) = (from.min(name.len()), to.min(name.len()));
            prop_assert!(Pattern::from(name.as_str()).matches(&name));
            if from <= to {
                let pattern = format!("{}*{}", &name[..from], &name[to..]);
                prop_assert!(Pattern::from(pattern).matches(&name));
            }
        }
    }
}
