//! Keys as a tree: what stands between slashes is a branch.

use std::collections::BTreeMap;

/// A value, or branches by name. (A list is branches with numbers for names, in their order.)
#[derive(Debug, Default, PartialEq)]
pub(super) struct Tree {
    pub(super) value: Option<String>,
    pub(super) branches: BTreeMap<String, Self>,
}

impl Tree {
    pub(super) fn of(keys: &BTreeMap<String, String>) -> Self {
        let mut root = Self::default();
        for (path, value) in keys {
            let mut at = &mut root;
            for part in path.split('/') {
                at = at.branches.entry(part.to_owned()).or_default();
            }
            at.value = Some(value.clone());
        }
        root
    }

    /// The branch of this name.
    pub(super) fn get(&self, name: &str) -> Option<&Self> {
        self.branches.get(name)
    }

    /// The value of the branch of this name.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.get(name)?.value.clone()
    }

    /// All branches of the branch of this name.
    pub(super) fn below(&self, name: &str) -> impl Iterator<Item = (&String, &Self)> {
        self.get(name).into_iter().flat_map(|branch| &branch.branches)
    }

    /// The values of a list.
    pub(super) fn list(&self, name: &str) -> Vec<String> {
        self.below(name).filter_map(|(_, item)| item.value.clone()).collect()
    }

    /// Every value with its path.
    pub(super) fn leaves(&self) -> Vec<(String, String)> {
        let mut leaves = Vec::new();
        self.collect("", &mut leaves);
        leaves
    }

    fn collect(&self, path: &str, into: &mut Vec<(String, String)>) {
        if let Some(value) = &self.value {
            into.push((path.to_owned(), value.clone()));
        }
        for (name, branch) in &self.branches {
            let path = if path.is_empty() { name.clone() } else { format!("{path}/{name}") };
            branch.collect(&path, into);
        }
    }
}
