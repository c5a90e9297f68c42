//! Hostlists: `node-[001-128],login[1-2]` for many names, expanded and folded.
//!
//! The grammar is that of the python-hostlist library, which LDMS sites know: names separated by commas; in
//! brackets, numbers and ranges separated by commas; the width of a range's lower bound pads its numbers with
//! zeros; several brackets in one name multiply, the last varying fastest; repeated names count once.
//!
//! Names stay in the order they are written. (The YAML parser of LDMS sorts them as text afterwards, which puts
//! `n10` before `n9`; a caller that must match it sorts the result.)

use std::collections::HashSet;
use std::fmt::Write as _;

use crate::limits::MAX_HOSTLIST;

/// Why a text is not a hostlist.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind} in hostlist '{list}'{}", .at.map(|at| format!(" at character {}", at + 1)).unwrap_or_default())]
pub struct HostlistError {
    /// The text.
    pub list: String,
    /// Where in it, in characters from 0, if one place is to blame.
    pub at: Option<usize>,
    /// What is wrong.
    pub kind: Problem,
}

/// What is wrong with a hostlist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// `[` inside `[ ]`.
    #[error("nested bracket")]
    Nested,
    /// `[` without `]`, or the reverse.
    #[error("unbalanced bracket")]
    Unbalanced,
    /// Something else than numbers, `-` and `,` inside brackets.
    #[error("bad range")]
    BadRange,
    /// The upper bound is below the lower one.
    #[error("range that runs backwards")]
    Backwards,
    /// Too many names.
    #[error("more than {MAX_HOSTLIST} names")]
    TooMany,
}

/// The names a hostlist stands for, in written order, each once.
///
/// # Errors
/// When it is malformed or stands for more than [`MAX_HOSTLIST`] names.
pub fn expand(list: &str) -> Result<Vec<String>, HostlistError> {
    let mut names = Vec::new();
    let mut seen = HashSet::new();
    for (at, part) in split(list)? {
        for name in expand_part(list, at, part)? {
            if seen.insert(name.clone()) {
                if names.len() == MAX_HOSTLIST {
                    return Err(error(list, None, Problem::TooMany));
                }
                names.push(name);
            }
        }
    }
    Ok(names)
}

fn error(list: &str, at: Option<usize>, kind: Problem) -> HostlistError {
    let at = at.map(|byte| list[..byte].chars().count());
    HostlistError { list: list.to_owned(), at, kind }
}

/// The parts between commas outside brackets, with their positions; empty ones are skipped.
fn split(list: &str) -> Result<Vec<(usize, &str)>, HostlistError> {
    let mut parts = Vec::new();
    let mut start = 0;
    let mut open = None;
    for (at, c) in list.char_indices() {
        match c {
            '[' if open.is_some() => return Err(error(list, Some(at), Problem::Nested)),
            '[' => open = Some(at),
            ']' if open.is_none() => return Err(error(list, Some(at), Problem::Unbalanced)),
            ']' => open = None,
            ',' if open.is_none() => {
                parts.push((start, &list[start..at]));
                start = at + 1;
            }
            _ => {}
        }
    }
    if let Some(at) = open {
        return Err(error(list, Some(at), Problem::Unbalanced));
    }
    parts.push((start, &list[start..]));
    Ok(parts
        .into_iter()
        .map(|(at, part)| (at + (part.len() - part.trim_start().len()), part.trim()))
        .filter(|(_, part)| !part.is_empty())
        .collect())
}

fn expand_part(list: &str, at: usize, part: &str) -> Result<Vec<String>, HostlistError> {
    let mut names = vec![String::new()];
    let mut rest = part;
    let mut at = at;
    while let Some(open) = rest.find('[') {
        // `split` has seen to it that brackets are balanced.
        let close = rest[open..].find(']').map_or(rest.len(), |len| open + len);
        let (prefix, ranges) = (&rest[..open], &rest[open + 1..close]);
        let room = MAX_HOSTLIST / names.len().max(1);
        let numbers = expand_ranges(list, at + open + 1, ranges, room)?;
        names = names
            .iter()
            .flat_map(|name| numbers.iter().map(move |number| format!("{name}{prefix}{number}")))
            .collect();
        at += close + 1;
        rest = &rest[(close + 1).min(rest.len())..];
    }
    for name in &mut names {
        name.push_str(rest);
    }
    Ok(names)
}

/// The numbers of `1,3-5` as padded text.
fn expand_ranges(list: &str, at: usize, ranges: &str, room: usize) -> Result<Vec<String>, HostlistError> {
    let mut numbers = Vec::new();
    let mut at = at;
    for range in ranges.split(',') {
        let bad = || error(list, Some(at), Problem::BadRange);
        let (low, high) = range.split_once('-').unwrap_or((range, range));
        let (first, last) = (number(low).ok_or_else(bad)?, number(high).ok_or_else(bad)?);
        if last < first {
            return Err(error(list, Some(at), Problem::Backwards));
        }
        let count = last - first;
        if count >= room.saturating_sub(numbers.len()) as u64 {
            return Err(error(list, None, Problem::TooMany));
        }
        let width = low.len();
        numbers.extend((first..=last).map(|n| format!("{n:0width$}")));
        at += range.len() + 1;
    }
    Ok(numbers)
}

/// Digits only, and few enough for a number.
fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}

/// A hostlist that stands for exactly `names`, in their order: `expand(&fold(names)) == names` where no name is
/// repeated and none has a comma, a bracket or blanks around it.
///
/// Neighbours that differ in one number, by one, fold into a range (`n9,n10,n11` to `n[9-11]`), single numbers
/// join it (`n[1,3,5-6]`).
#[must_use]
pub fn fold<S: AsRef<str>>(names: &[S]) -> String {
    let mut groups: Vec<Group<'_>> = Vec::new();
    for name in names {
        let name = name.as_ref();
        if !groups.last_mut().is_some_and(|group| group.take(name)) {
            groups.push(Group::new(name));
        }
    }
    let mut out = String::new();
    for (index, group) in groups.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        group.write(&mut out);
    }
    out
}

/// Names that share everything but one number.
struct Group<'a> {
    first: &'a str,
    /// Where the number stands in `first`, and the numbers, once a second name has decided it.
    folded: Option<(usize, usize, Vec<Run>)>,
}

/// Consecutive numbers of one width rule.
struct Run {
    low: u64,
    high: u64,
    width: usize,
}

impl<'a> Group<'a> {
    fn new(first: &'a str) -> Self {
        Self { first, folded: None }
    }

    /// Takes `name` in when it fits.
    fn take(&mut self, name: &str) -> bool {
        if let Some((start, end, runs)) = &mut self.folded {
            let (prefix, suffix) = (&self.first[..*start], &self.first[*end..]);
            let Some(digits) = name.strip_prefix(prefix).and_then(|rest| rest.strip_suffix(suffix)) else {
                return false;
            };
            let Some(value) = number(digits) else { return false };
            push(runs, value, digits.len());
            return true;
        }
        let Some((start, end, digits)) = differing_number(self.first, name) else { return false };
        let own = &self.first[start..end];
        let (Some(low), Some(value)) = (number(own), number(digits)) else { return false };
        let mut runs = vec![Run { low, high: low, width: own.len() }];
        push(&mut runs, value, digits.len());
        self.folded = Some((start, end, runs));
        true
    }

    fn write(&self, out: &mut String) {
        let Some((start, end, runs)) = &self.folded else {
            out.push_str(self.first);
            return;
        };
        out.push_str(&self.first[..*start]);
        out.push('[');
        for (index, run) in runs.iter().enumerate() {
            if index > 0 {
                out.push(',');
            }
            let Run { low, high, width } = *run;
            // Writing to a String cannot fail.
            let _ = write!(out, "{low:0width$}");
            if high > low {
                let _ = write!(out, "-{high:0width$}");
            }
        }
        out.push(']');
        out.push_str(&self.first[*end..]);
    }
}

/// Adds a number of `width` digits: to the last run where the range would print it so again, else as a new one.
fn push(runs: &mut Vec<Run>, value: u64, width: usize) {
    if let Some(run) = runs.last_mut() {
        let printed = value.to_string().len().max(run.width);
        if run.high.checked_add(1) == Some(value) && printed == width {
            run.high = value;
            return;
        }
    }
    runs.push(Run { low: value, high: value, width });
}

/// The one number in which two names differ: its place in the first, and its digits in the second.
fn differing_number<'n>(first: &str, name: &'n str) -> Option<(usize, usize, &'n str)> {
    if first == name {
        return None;
    }
    let common = first.bytes().zip(name.bytes()).take_while(|(a, b)| a == b).count();
    let bytes = first.as_bytes();
    // The number may begin before the first difference: 101 and 102 share their first digits.
    let mut start = common;
    while start > 0 && bytes[start - 1].is_ascii_digit() {
        start -= 1;
    }
    let digits_from = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    let (own, other) = (digits_from(first.get(start..)?), digits_from(name.get(start..)?));
    let same_rest = first[start + own..] == name[start + other..];
    (own > 0 && other > 0 && same_rest).then(|| (start, start + own, &name[start..start + other]))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn names(list: &str) -> Vec<String> {
        expand(list).unwrap()
    }

    #[test]
    fn hostlists_expand_in_written_order_with_padding_and_several_brackets() {
        for (list, expected) in [
            ("n[9-11],d[01-02]", "n9 n10 n11 d01 d02"),
            ("node-[1-2]-[10-11]", "node-1-10 node-1-11 node-2-10 node-2-11"),
            ("b[1,3,5-6]x", "b1x b3x b5x b6x"),
            ("n[1][2]", "n12"),
            ("a,,b", "a b"),
            ("", ""),
            ("n[8-11],n9", "n8 n9 n10 n11"),
            ("n[08-11]", "n08 n09 n10 n11"),
            ("[1-2]", "1 2"),
            ("34020", "34020"),
            ("127.0.0.[2-3]", "127.0.0.2 127.0.0.3"),
            (" a , b ", "a b"),
        ] {
            assert_eq!(names(list).join(" "), expected, "{list}");
        }
    }

    #[test]
    fn malformed_hostlists_say_what_is_wrong_and_where() {
        for (list, kind, at) in [
            ("n[1[2]]", Problem::Nested, Some(3)),
            ("n[1-2", Problem::Unbalanced, Some(1)),
            ("n1-2]", Problem::Unbalanced, Some(4)),
            ("n[3-1]", Problem::Backwards, Some(2)),
            ("n[a-b]", Problem::BadRange, Some(2)),
            ("n[1, 2]", Problem::BadRange, Some(4)),
            ("n[]", Problem::BadRange, Some(2)),
            ("é[1,x]", Problem::BadRange, Some(4)),
            ("n[1-100001]", Problem::TooMany, None),
            ("n[1-1000][1-1000]", Problem::TooMany, None),
            ("n[0-18446744073709551615]", Problem::TooMany, None),
            ("n[99999999999999999999]", Problem::BadRange, Some(2)),
        ] {
            let error = expand(list).unwrap_err();
            assert_eq!((error.kind, error.at), (kind, at), "{list}");
        }
        assert_eq!(names("n[1-100000]").len(), MAX_HOSTLIST);
        let error = expand("n[3-1]").unwrap_err().to_string();
        assert_eq!(error, "range that runs backwards in hostlist 'n[3-1]' at character 3");
    }

    #[test]
    fn names_fold_into_ranges_and_keep_their_order() {
        for (names, expected) in [
            ("n9 n10 n11 d01 d02", "n[9-11],d[01-02]"),
            ("b1x b3x b5x b6x", "b[1,3,5-6]x"),
            ("a", "a"),
            ("", ""),
            ("n1 n2 m1 m2 n3", "n[1-2],m[1-2],n3"),
            ("node-1-10 node-1-11 node-2-10", "node-1-[10-11],node-2-10"),
            ("n2 n1", "n[2,1]"),
            ("n09 n10 n010", "n[09-10,010]"),
            ("login node", "login,node"),
        ] {
            let list: Vec<&str> = names.split_whitespace().collect();
            assert_eq!(fold(&list), expected, "{names}");
        }
    }

    proptest! {
        #[test]
        fn folding_then_expanding_gives_the_names_back(
            list in prop::collection::vec("[a-c]{0,2}[0-9]{1,3}(-[0-9]{1,2})?[a-b]?", 0..40)
        ) {
            let mut seen = HashSet::new();
            let list: Vec<String> = list.into_iter().filter(|name| seen.insert(name.clone())).collect();
            prop_assert_eq!(expand(&fold(&list)).unwrap(), list);
        }

        #[test]
        fn folding_never_loses_a_run(start in 0_u64..2000, count in 1_u64..300, width in 0_usize..5) {
            let list: Vec<String> = (start..start + count).map(|n| format!("node-{n:0width$}.local")).collect();
            let folded = fold(&list);
            prop_assert_eq!(expand(&folded).unwrap(), list);
        }

        #[test]
        fn any_text_expands_or_is_refused_without_a_panic(text in "\\PC{0,60}") {
            let _ = expand(&text);
        }

        #[test]
        fn any_bracket_soup_expands_or_is_refused_without_a_panic(text in "[\\[\\]0-9,a-]{0,40}") {
            if let Ok(names) = expand(&text) {
                prop_assert!(names.len() <= MAX_HOSTLIST);
            }
        }
    }
}
