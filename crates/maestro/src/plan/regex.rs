//! Names as expressions: one request can start or stop many producers.

/// Names in one expression, at most. ldmsd tries each of its producers with the expression.
const MAX_NAMES: usize = 100;

/// A text as an expression that matches it and nothing else, for POSIX and for the `regex` crate alike.
///
/// Without a backslash wherever that can be: ldmsd (4.5.1) puts the expressions of an updater into the JSON of
/// `updtr_match_list` as they are, and an answer with a `\.` in it cannot be read.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len() + 4);
    append(&mut escaped, text);
    escaped
}

fn append(expression: &mut String, text: &str) {
    for character in text.chars() {
        match character {
            '.' | '{' | '}' | '(' | ')' | '*' | '+' | '?' | '$' | '|' => {
                expression.extend(['[', character, ']']);
            }
            // Those two kinds of expressions do not agree on these between brackets.
            '[' | ']' | '^' | '\\' => expression.extend(['\\', character]),
            _ => expression.push(character),
        }
    }
}

/// An expression for one name.
#[must_use]
pub fn exactly(name: &str) -> String {
    format!("^{}$", escape(name))
}

/// Expressions that together match these names and nothing else.
pub(super) fn chunks<'a>(names: &'a [&'a str]) -> impl Iterator<Item = String> + 'a {
    names.chunks(MAX_NAMES).map(|chunk| match chunk {
        [name] => exactly(name),
        names => {
            let length: usize = names.iter().map(|name| name.len() + 1).sum();
            let mut expression = String::with_capacity(length + 4);
            for (at, name) in names.iter().enumerate() {
                expression.push_str(if at == 0 { "^(" } else { "|" });
                append(&mut expression, name);
            }
            expression.push_str(")$");
            expression
        }
    })
}

/// The names that an expression made here matches; `None` for any other expression.
#[must_use]
pub fn names_of(expression: &str) -> Option<Vec<String>> {
    let inner = expression.strip_prefix('^')?.strip_suffix('$')?;
    let inner = inner.strip_prefix('(').and_then(|inner| inner.strip_suffix(')')).unwrap_or(inner);
    let mut names = vec![String::new()];
    let mut characters = inner.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => names.last_mut()?.push(characters.next()?),
            '|' => names.push(String::new()),
            '[' => {
                names.last_mut()?.push(characters.next().filter(|character| !"[]^\\".contains(*character))?);
                characters.next().filter(|character| *character == ']')?;
            }
            '.' | ']' | '{' | '}' | '(' | ')' | '*' | '+' | '?' | '^' | '$' => return None,
            other => names.last_mut()?.push(other),
        }
    }
    Some(names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_expression_matches_its_names_and_no_other(
            names in prop::collection::vec("[a-z0-9./:_+$()-]{1,12}", 1..8), other in "[a-z0-9./:_+$()-]{1,12}",
        ) {
            let refs: Vec<&str> = names.iter().map(String::as_str).collect();
            let text: Vec<String> = chunks(&refs).collect();
            let regex = regex::Regex::new(&text[0]).unwrap();
            for name in &names {
                prop_assert!(regex.is_match(name));
            }
            prop_assert_eq!(regex.is_match(&other), names.contains(&other));
            prop_assert_eq!(names_of(&text[0]), Some(names));
            prop_assert!(!text[0].contains('\\'), "ldmsd could not tell it");
        }

        #[test]
        fn any_text_can_be_an_expression(text in "[ -~]{1,12}") {
            let expression = exactly(&text);
            let regex = regex::Regex::new(&expression).unwrap();
            prop_assert!(regex.is_match(&text));
            prop_assert_eq!(names_of(&expression), Some(vec![text]));
        }
    }

    #[test]
    fn expressions_of_others_and_of_earlier_versions() {
        assert_eq!(names_of(r"^\(nothing\)$"), Some(vec!["(nothing)".to_owned()]));
        for other in ["^a.*$", "a", "^[ab]$", "^[^]$", "^[a", "^a[]]$"] {
            assert_eq!(names_of(other), None, "{other}");
        }
    }
}
