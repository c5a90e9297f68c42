//! Arguments of the site config merged with those of the command line.

/// A list of command line arguments, grouped by option.
///
/// A word that begins with dashes and then a letter is an option, and the words up to the next option are its values
/// (so `-5` is a value). Merging replaces options one by one, as OCS does it, with three differences, each of which
/// mends something there:
/// * an option that is given several times in one list keeps all of its occurrences (in OCS the last one wins);
/// * `--opt=value` and `--opt value` are the same option (in OCS both survive, side by side);
/// * words before the first option stay unless the other list has such words, too (in OCS they are lost).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ArgContainer {
    groups: Vec<Group>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Group {
    /// The option without its value; `None` for the words in front of the first option.
    option: Option<String>,
    /// The words as they were given, that of the option included.
    words: Vec<String>,
}

impl ArgContainer {
    /// Groups a list of arguments.
    pub fn new<S: Into<String>>(arguments: impl IntoIterator<Item = S>) -> Self {
        let mut groups: Vec<Group> = Vec::new();
        for word in arguments {
            let word = word.into();
            match (option_of(&word), groups.last_mut()) {
                (Some(option), _) => {
                    groups.push(Group { option: Some(option.to_owned()), words: vec![word] })
                }
                (None, Some(group)) => group.words.push(word),
                (None, None) => groups.push(Group { option: None, words: vec![word] }),
            }
        }
        Self { groups }
    }

    /// Replaces each option that `other` has by what `other` has of it, and appends what is new.
    pub fn update(&mut self, other: Self) {
        let mut merged: Vec<Group> = Vec::new();
        let mut replaced: Vec<Option<String>> = Vec::new();
        for group in self.groups.drain(..) {
            if replaced.contains(&group.option) {
                continue;
            }
            let given: Vec<Group> =
                other.groups.iter().filter(|theirs| theirs.option == group.option).cloned().collect();
            if given.is_empty() {
                merged.push(group);
            } else {
                replaced.push(group.option);
                merged.extend(given);
            }
        }
        for group in other.groups {
            match group.option {
                _ if replaced.contains(&group.option) => {}
                // Words without an option can only stand in front.
                None => merged.insert(0, group),
                Some(_) => merged.push(group),
            }
        }
        self.groups = merged;
    }

    /// Whether the option is given, such as `--instance-id`.
    pub fn has(&self, option: &str) -> bool {
        self.groups.iter().any(|group| group.option.as_deref() == Some(option))
    }

    /// The arguments as one list.
    pub fn to_list(&self) -> Vec<String> {
        self.groups.iter().flat_map(|group| group.words.iter().cloned()).collect()
    }
}

/// The option that a word names, if it does.
fn option_of(word: &str) -> Option<&str> {
    if !word.starts_with('-') || !word.trim_start_matches('-').starts_with(char::is_alphabetic) {
        return None;
    }
    Some(word.split_once('=').map_or(word, |(option, _)| option))
}

#[cfg(test)]
mod tests {
    use super::ArgContainer;
    use proptest::prelude::*;

    fn merged(base: &[&str], over: &[&str]) -> Vec<String> {
        let mut container = ArgContainer::new(base.iter().copied());
        container.update(ArgContainer::new(over.iter().copied()));
        container.to_list()
    }

    #[test]
    fn an_option_on_the_command_line_replaces_that_of_the_file() {
        assert_eq!(merged(&["--mode", "idle", "-v"], &["--mode", "acq"]), ["--mode", "acq", "-v"]);
        assert_eq!(merged(&["--mode=idle"], &["--mode", "acq"]), ["--mode", "acq"]);
        assert_eq!(merged(&["--mode", "idle"], &["--mode=acq", "--new"]), ["--mode=acq", "--new"]);
    }

    #[test]
    fn a_repeated_option_keeps_all_its_occurrences() {
        let base = ["--file", "a", "--x", "1", "--file", "b"];
        assert_eq!(merged(&base, &[]), base);
        assert_eq!(
            merged(&base, &["--file", "c", "--file", "d"]),
            ["--file", "c", "--file", "d", "--x", "1"]
        );
        assert_eq!(merged(&["--x", "1"], &base[..2]), ["--x", "1", "--file", "a"]);
    }

    #[test]
    fn negative_numbers_and_lone_dashes_are_values() {
        assert_eq!(merged(&["--offset", "-5", "-", "--", ""], &["--offset", "-.5"]), ["--offset", "-.5"]);
        assert_eq!(merged(&["--range", "-1", "-2"], &["--y", "-3"]), ["--range", "-1", "-2", "--y", "-3"]);
    }

    #[test]
    fn words_in_front_stay_in_front() {
        assert_eq!(merged(&["run", "--a"], &["--b"]), ["run", "--a", "--b"]);
        assert_eq!(merged(&["run", "--a"], &["walk"]), ["walk", "--a"]);
        assert_eq!(merged(&["--a"], &["walk"]), ["walk", "--a"]);
    }

    fn words() -> impl Strategy<Value = Vec<String>> {
        let word = prop::sample::select(vec!["--a", "--b", "-c", "--a=1", "1", "-2", "x", "-", "--", ""]);
        prop::collection::vec(word.prop_map(str::to_owned), 0..10)
    }

    proptest! {
        #[test]
        fn nothing_is_lost_without_an_update(list in words()) {
            let mut container = ArgContainer::new(list.clone());
            container.update(ArgContainer::default());
            prop_assert_eq!(container.to_list(), list);
        }

        #[test]
        fn all_of_the_command_line_is_there_and_wins(base in words(), over in words()) {
            let mut container = ArgContainer::new(base.clone());
            let over = ArgContainer::new(over);
            container.update(over.clone());
            for group in &over.groups {
                let ours = container.groups.iter().filter(|mine| mine.option == group.option);
                let theirs = over.groups.iter().filter(|theirs| theirs.option == group.option);
                prop_assert!(ours.eq(theirs));
            }
            for group in ArgContainer::new(base).groups {
                prop_assert!(over.groups.iter().any(|theirs| theirs.option == group.option) || container.groups.contains(&group));
            }
        }
    }
}
