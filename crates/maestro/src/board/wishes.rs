//! What operators have asked one of the managers for, and all must know. Pure.

use std::collections::BTreeSet;

/// Aggregators by name.
pub(super) type Names = BTreeSet<String>;

/// Which aggregators are to carry nothing, as the managers have agreed.
#[derive(Debug, Default)]
pub(super) struct Drained {
    /// What this manager has last agreed to; none before it has met the others.
    agreed: Option<Names>,
}

impl Drained {
    /// What holds now: what the store says (none: nothing yet), changed as this manager has been asked to since it last
    /// agreed. Whoever has just been started takes what the others say.
    pub(super) fn settle(&mut self, stored: Option<&Names>, own: &Names) -> Names {
        let agreed = match (&self.agreed, stored) {
            (Some(agreed), _) => agreed.clone(),
            (None, Some(_)) => own.clone(),
            (None, None) => Names::new(),
        };
        let mut all = stored.cloned().unwrap_or_default();
        all.retain(|name| own.contains(name) || !agreed.contains(name));
        all.extend(own.difference(&agreed).cloned());
        all
    }

    /// It is what the store says, and what this manager does.
    pub(super) fn agree(&mut self, all: Names) {
        self.agreed = Some(all);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Names {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn wishes_of_all_are_joined_and_none_is_lost() {
        let mut drained = Drained::default();
        // Before anybody has said anything, what it knows from before counts; later what the others say.
        assert_eq!(drained.settle(None, &names("a")), names("a"));
        assert_eq!(drained.settle(Some(&names("b")), &names("a")), names("b"));
        drained.agree(names("b"));
        // It is asked to drain c while another one has been asked to drain d.
        assert_eq!(drained.settle(Some(&names("b d")), &names("b c")), names("b c d"));
        // And to undrain b.
        assert_eq!(drained.settle(Some(&names("b d")), &names("")), names("d"));
        // Another one has undrained b.
        assert_eq!(drained.settle(Some(&names("")), &names("b")), names(""));
    }
}
