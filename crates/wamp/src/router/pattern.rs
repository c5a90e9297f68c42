//! An index of URI patterns: which of many subscriptions or registrations match one URI.
//!
//! The cost of a look-up does not depend on how many patterns there are: exact ones lie in a hash map, prefixes in one
//! hash map per distinct length, and wildcards in a trie over URI components.
//!
//! Matching is that of the WAMP specification (Advanced Profile, "Pattern-based Subscriptions"): a prefix is a plain
//! string prefix (`a.b` matches `a.bc`), and an empty component of a wildcard pattern stands for exactly one component.

use std::collections::{BTreeMap, HashMap};

use crate::uri::Match;

/// Values kept under URI patterns, at most one for each pair of pattern and [`Match`].
#[derive(Debug)]
pub(crate) struct PatternIndex<T> {
    exact: HashMap<Box<str>, T>,
    /// By length of the prefix, so that a look-up costs one hash per distinct length.
    prefix: BTreeMap<usize, HashMap<Box<str>, T>>,
    wildcard: Node<T>,
}

/// One component position of the wildcard trie.
#[derive(Debug)]
struct Node<T> {
    value: Option<T>,
    named: HashMap<Box<str>, Self>,
    any: Option<Box<Self>>,
}

impl<T> Node<T> {
    fn new() -> Self {
        Self { value: None, named: HashMap::new(), any: None }
    }

    fn child(&self, component: &str) -> Option<&Self> {
        if component.is_empty() { self.any.as_deref() } else { self.named.get(component) }
    }

    fn child_or_insert(&mut self, component: &str) -> &mut Self {
        if component.is_empty() {
            self.any.get_or_insert_with(|| Box::new(Self::new()))
        } else {
            self.named.entry(component.into()).or_insert_with(Self::new)
        }
    }

    fn is_empty(&self) -> bool {
        self.value.is_none() && self.named.is_empty() && self.any.is_none()
    }

    /// Takes the value at `components` out and drops the nodes that hold nothing any more.
    /// The recursion is as deep as the pattern has components, which the URI length limit bounds.
    fn remove<'a>(&mut self, components: &mut impl Iterator<Item = &'a str>) -> Option<T> {
        let Some(component) = components.next() else {
            return self.value.take();
        };
        if component.is_empty() {
            let child = self.any.as_mut()?;
            let value = child.remove(components);
            if child.is_empty() {
                self.any = None;
            }
            value
        } else {
            let child = self.named.get_mut(component)?;
            let value = child.remove(components);
            if child.is_empty() {
                self.named.remove(component);
            }
            value
        }
    }
}

impl<T> PatternIndex<T> {
    pub(crate) fn new() -> Self {
        Self { exact: HashMap::new(), prefix: BTreeMap::new(), wildcard: Node::new() }
    }

    /// The value kept under this very pattern.
    pub(crate) fn get(&self, matching: Match, pattern: &str) -> Option<&T> {
        match matching {
            Match::Exact => self.exact.get(pattern),
            Match::Prefix => self.prefix.get(&pattern.len())?.get(pattern),
            Match::Wildcard => {
                let mut node = &self.wildcard;
                for component in pattern.split('.') {
                    node = node.child(component)?;
                }
                node.value.as_ref()
            }
        }
    }

    /// Keeps `value` under the pattern; an earlier value is replaced.
    pub(crate) fn insert(&mut self, matching: Match, pattern: &str, value: T) {
        match matching {
            Match::Exact => {
                self.exact.insert(pattern.into(), value);
            }
            Match::Prefix => {
                self.prefix.entry(pattern.len()).or_default().insert(pattern.into(), value);
            }
            Match::Wildcard => {
                let mut node = &mut self.wildcard;
                for component in pattern.split('.') {
                    node = node.child_or_insert(component);
                }
                node.value = Some(value);
            }
        }
    }

    /// Forgets the pattern.
    pub(crate) fn remove(&mut self, matching: Match, pattern: &str) -> Option<T> {
        match matching {
            Match::Exact => self.exact.remove(pattern),
            Match::Prefix => {
                let group = self.prefix.get_mut(&pattern.len())?;
                let value = group.remove(pattern);
                if group.is_empty() {
                    self.prefix.remove(&pattern.len());
                }
                value
            }
            Match::Wildcard => self.wildcard.remove(&mut pattern.split('.')),
        }
    }

    /// Calls `found` with the value of every pattern that matches `uri`: the exact one, then prefixes from short to
    /// long, then wildcards.
    pub(crate) fn each_match<'a>(&'a self, uri: &str, mut found: impl FnMut(Match, &'a T)) {
        if let Some(value) = self.exact.get(uri) {
            found(Match::Exact, value);
        }
        for value in self.prefixes_of(uri) {
            found(Match::Prefix, value);
        }
        self.each_wildcard(uri, |value| {
            found(Match::Wildcard, value);
            true
        });
    }

    /// The value of the pattern that serves a call of `uri`: the exact one, else the longest prefix, else the wildcard
    /// whose first differing component is named rather than empty (WAMP, "Pattern-based Registrations").
    pub(crate) fn best_match(&self, uri: &str) -> Option<(Match, &T)> {
        if let Some(value) = self.exact.get(uri) {
            return Some((Match::Exact, value));
        }
        if let Some(value) = self.prefixes_of(uri).next_back() {
            return Some((Match::Prefix, value));
        }
        let mut best = None;
        self.each_wildcard(uri, |value| {
            best = Some((Match::Wildcard, value));
            false
        });
        best
    }

    fn prefixes_of<'a>(&'a self, uri: &str) -> impl DoubleEndedIterator<Item = &'a T> {
        self.prefix.range(..=uri.len()).filter_map(move |(&length, group)| group.get(uri.get(..length)?))
    }

    /// Visits matching wildcards, those with named components first, until `found` answers false.
    fn each_wildcard<'a>(&'a self, uri: &str, mut found: impl FnMut(&'a T) -> bool) {
        if self.wildcard.is_empty() {
            return;
        }
        // A branch still to be looked at: the node, and how much of the URI is left below it.
        let mut branches: Vec<(&Node<T>, Option<&str>)> = vec![(&self.wildcard, Some(uri))];
        while let Some((node, rest)) = branches.pop() {
            let Some(rest) = rest else {
                if let Some(value) = &node.value
                    && !found(value)
                {
                    return;
                }
                continue;
            };
            let (component, below) = match rest.split_once('.') {
                Some((component, below)) => (component, Some(below)),
                None => (rest, None),
            };
            if let Some(any) = &node.any {
                branches.push((any, below));
            }
            if let Some(named) = node.named.get(component) {
                branches.push((named, below));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MATCHES: [Match; 3] = [Match::Exact, Match::Prefix, Match::Wildcard];

    fn index(patterns: &[(Match, &str)]) -> PatternIndex<String> {
        let mut index = PatternIndex::new();
        for &(matching, pattern) in patterns {
            index.insert(matching, pattern, format!("{} {pattern}", matching.name()));
        }
        index
    }

    fn found<'a>(index: &'a PatternIndex<String>, uri: &str) -> Vec<&'a str> {
        let mut found = Vec::new();
        index.each_match(uri, |_, value| found.push(value.as_str()));
        found
    }

    #[test]
    fn a_call_goes_to_the_exact_then_the_longest_prefix_then_the_most_particular_wildcard() {
        let patterns = [
            (Match::Wildcard, "o..ops"),
            (Match::Wildcard, "o.a."),
            (Match::Wildcard, "..ops"),
            (Match::Prefix, "o.p"),
            (Match::Prefix, "o.p.q"),
            (Match::Exact, "o.p.q.x"),
        ];
        let index = index(&patterns);
        let best = |uri: &str| index.best_match(uri).map(|(_, value)| value.as_str());
        assert_eq!(best("o.p.q.x"), Some("exact o.p.q.x"));
        assert_eq!(best("o.p.q.y"), Some("prefix o.p.q"));
        assert_eq!(best("o.pz"), Some("prefix o.p"));
        assert_eq!(best("o.a.ops"), Some("wildcard o.a."));
        assert_eq!(best("o.b.ops"), Some("wildcard o..ops"));
        assert_eq!(best("x.b.ops"), Some("wildcard ..ops"));
        assert_eq!(best("x.b"), None);
    }

    #[test]
    fn an_event_goes_to_every_pattern_that_matches() {
        let index = index(&[
            (Match::Exact, "o.a.feeds.heartbeat"),
            (Match::Prefix, "o.a"),
            (Match::Prefix, "o."),
            (Match::Wildcard, "o..feeds.heartbeat"),
            (Match::Wildcard, "o..feeds.other"),
        ]);
        let all = ["exact o.a.feeds.heartbeat", "prefix o.", "prefix o.a", "wildcard o..feeds.heartbeat"];
        assert_eq!(found(&index, "o.a.feeds.heartbeat"), all);
        assert_eq!(found(&index, "ö"), [""; 0]);
    }

    fn pattern() -> impl Strategy<Value = (Match, String)> {
        (proptest::sample::select(&MATCHES), "[ab.]{0,6}")
    }

    proptest! {
        #[test]
        fn the_index_finds_what_comparing_with_each_pattern_finds(
            patterns in proptest::collection::vec(pattern(), 0..12),
            removed in proptest::collection::vec(any::<proptest::sample::Index>(), 0..6),
            uri in "[ab.]{0,6}",
        ) {
            let mut index = PatternIndex::new();
            let mut model: Vec<(Match, String)> = Vec::new();
            for (matching, pattern) in &patterns {
                prop_assert_eq!(index.get(*matching, pattern).is_some(), model.contains(&(*matching, pattern.clone())));
                index.insert(*matching, pattern, (*matching, pattern.clone()));
                if !model.contains(&(*matching, pattern.clone())) {
                    model.push((*matching, pattern.clone()));
                }
            }
            for which in removed.iter().filter(|_| !patterns.is_empty()) {
                let (matching, pattern) = which.get(&patterns);
                let was_there = model.iter().position(|known| known == &(*matching, pattern.clone()));
                if let Some(at) = was_there {
                    model.remove(at);
                }
                prop_assert_eq!(index.remove(*matching, pattern).is_some(), was_there.is_some());
            }
            let mut found = Vec::new();
            index.each_match(&uri, |_, value| found.push(value.clone()));
            let mut expected: Vec<_> =
                model.iter().filter(|(matching, pattern)| matching.matches(pattern, &uri)).cloned().collect();
            found.sort();
            expected.sort();
            prop_assert_eq!(index.best_match(&uri).is_some(), !expected.is_empty());
            prop_assert_eq!(found, expected);

            for (matching, pattern) in &model {
                index.remove(*matching, pattern);
            }
            prop_assert!(index.exact.is_empty() && index.prefix.is_empty() && index.wildcard.is_empty());
        }
    }
}
