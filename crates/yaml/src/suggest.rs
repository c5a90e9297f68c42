//! "Did you mean …?"

/// The candidate that `word` is most probably a misspelling of.
///
/// Letter case and `-` against `_` do not count as a difference; otherwise a third of the letters (at least one) may be
/// wrong, missing, too many or swapped.
pub fn did_you_mean<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let plain = |text: &str| text.to_lowercase().replace('_', "-");
    let wanted = plain(word);
    if wanted.is_empty() || wanted.chars().count() > MAX_WORD_CHARS {
        return None;
    }
    let allowed = (wanted.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .filter(|candidate| *candidate != word)
        .map(|candidate| (strsim::damerau_levenshtein(&wanted, &plain(candidate)), candidate))
        .filter(|(distance, candidate)| *distance <= allowed && *distance < candidate.chars().count())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Longer words are no names, and comparing them costs the square of their length.
const MAX_WORD_CHARS: usize = 100;

#[cfg(test)]
mod tests {
    use super::did_you_mean;

    #[test]
    fn near_words_are_found_and_far_ones_are_not() {
        let keys = ["wamp_server", "wamp_http", "wamp_realm", "address_root"];
        assert_eq!(did_you_mean("wamp-server", keys), Some("wamp_server"));
        assert_eq!(did_you_mean("wamp_relam", keys), Some("wamp_realm"));
        assert_eq!(did_you_mean("Address_Root", keys), Some("address_root"));
        assert_eq!(did_you_mean("colour", keys), None);
        assert_eq!(did_you_mean("", keys), None);
        assert_eq!(did_you_mean("a", ["b"]), None);
    }
}
