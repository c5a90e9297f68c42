//! [`Dict`]: a WAMP dictionary.

use std::collections::HashMap;

use crate::value::Value;

/// Up to this many entries, duplicates are found by looking at each pair: quicker than hashing.
const SMALL: usize = 16;

/// A dictionary with string keys that keeps the order of insertion; of repeated keys the last value wins.
///
/// Equality ignores the order. `get` and `insert` look at every entry, which is the quickest way for the handful of
/// keys that options and keyword arguments have; big dicts are built by `collect()`, which is linear.
#[derive(Clone, Debug, Default)]
pub struct Dict(Vec<(String, Value)>);

impl Dict {
    /// An empty dict; allocates nothing.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// The number of entries.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value of `key`.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.0.iter().find(|(k, _)| k == key).map(|(_, value)| value)
    }

    /// Sets `key`; a key that is there keeps its place and gets the new value, the old one is returned.
    pub fn insert(&mut self, key: impl Into<String>, value: impl Into<Value>) -> Option<Value> {
        let (key, value) = (key.into(), value.into());
        match self.0.iter_mut().find(|(k, _)| *k == key) {
            Some((_, old)) => Some(std::mem::replace(old, value)),
            None => {
                self.0.push((key, value));
                None
            }
        }
    }

    /// Takes `key` out; the others keep their order.
    pub fn remove(&mut self, key: &str) -> Option<Value> {
        let at = self.0.iter().position(|(k, _)| k == key)?;
        Some(self.0.remove(at).1)
    }

    /// The entries in the order of insertion.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Value)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// The same dict with one more entry, for building in one expression.
    #[must_use]
    pub fn with(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.insert(key, value);
        self
    }
}

impl PartialEq for Dict {
    fn eq(&self, other: &Self) -> bool {
        if self.len() != other.len() {
            return false;
        }
        if self.0 == other.0 {
            return true;
        }
        let by_key: HashMap<&str, &Value> = other.iter().collect();
        self.iter().all(|(key, value)| by_key.get(key) == Some(&value))
    }
}

impl<K: Into<String>, V: Into<Value>> FromIterator<(K, V)> for Dict {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let entries: Vec<(String, Value)> = entries.into_iter().map(|(k, v)| (k.into(), v.into())).collect();
        last_wins(entries)
    }
}

impl IntoIterator for Dict {
    type Item = (String, Value);
    type IntoIter = std::vec::IntoIter<(String, Value)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// Removes repeated keys: the first occurrence keeps its place, the last one gives the value.
pub(crate) fn last_wins(entries: Vec<(String, Value)>) -> Dict {
    if entries.len() <= SMALL {
        let mut dict = Dict(Vec::with_capacity(entries.len()));
        for (key, value) in entries {
            dict.insert(key, value);
        }
        return dict;
    }
    let mut seen: HashMap<&str, ()> = HashMap::with_capacity(entries.len());
    if entries.iter().all(|(key, _)| seen.insert(key, ()).is_none()) {
        return Dict(entries);
    }
    let mut place: HashMap<String, usize> = HashMap::with_capacity(entries.len());
    let mut unique: Vec<(String, Value)> = Vec::with_capacity(entries.len());
    for (key, value) in entries {
        match place.get(&key) {
            Some(&at) => unique[at].1 = value,
            None => {
                place.insert(key.clone(), unique.len());
                unique.push((key, value));
            }
        }
    }
    Dict(unique)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_of_repeated_keys_wins_and_the_first_keeps_its_place() {
        for filler in [0, 40] {
            let mut entries = vec![("a".to_owned(), Value::Int(1)), ("b".to_owned(), Value::Int(2))];
            entries.extend((0..filler).map(|i| (format!("k{i}"), Value::Int(i))));
            entries.push(("a".to_owned(), Value::Int(3)));
            let dict: Dict = entries.into_iter().collect();
            assert_eq!(dict.len(), 2 + filler as usize);
            assert_eq!(dict.get("a"), Some(&Value::Int(3)));
            assert_eq!(dict.iter().next().map(|(key, _)| key), Some("a"));
        }
    }

    #[test]
    fn equality_ignores_the_order_but_not_the_values() {
        let ab = Dict::new().with("a", 1).with("b", 2);
        assert_eq!(ab, Dict::new().with("b", 2).with("a", 1));
        assert_ne!(ab, Dict::new().with("b", 1).with("a", 2));
        assert_ne!(ab, Dict::new().with("a", 1));
    }

    #[test]
    fn a_removed_key_is_gone_and_the_others_keep_their_order() {
        let mut dict = Dict::new().with("a", 1).with("b", 2).with("c", 3);
        assert_eq!(dict.remove("b"), Some(Value::Int(2)));
        assert_eq!(dict.remove("b"), None);
        assert_eq!(dict.iter().map(|(key, _)| key).collect::<Vec<_>>(), ["a", "c"]);
    }
}
