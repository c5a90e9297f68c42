//! The few texts of the original that show Python values.

/// A string as Python's `repr()` prints it, for the characters that names and paths are made of.
pub(crate) fn repr(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut out = String::from(quote);
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c == quote => {
                out.push('\\');
                out.push(c);
            }
            c if c.is_ascii_control() => out.push_str(&format!("\\x{:02x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push(quote);
    out
}

/// A list of strings as Python prints it.
pub(crate) fn repr_list<S: AsRef<str>>(items: &[S]) -> String {
    let items: Vec<String> = items.iter().map(|item| repr(item.as_ref())).collect();
    format!("[{}]", items.join(", "))
}

/// Names and values, one per line between braces, as the original shows parts of its configuration.
pub(crate) fn summary(entries: &[(&str, Option<&str>)]) -> String {
    let mut out = String::from("{\n");
    for (name, value) in entries {
        let value = value.map_or_else(|| "None".to_owned(), repr);
        out.push_str(&format!("  {}: {value},\n", repr(name)));
    }
    out.push('}');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_quoted_as_python_does() {
        let cases = [
            ("nosuch", "'nosuch'"),
            ("it's", "\"it's\""),
            ("a\"b'c", "'a\"b\\'c'"),
            ("back\\slash\n", "'back\\\\slash\\n'"),
            ("\x01", "'\\x01'"),
            ("é", "'é'"),
        ];
        for (text, expected) in cases {
            assert_eq!(repr(text), expected);
        }
        assert_eq!(repr_list(&["a", "b"]), "['a', 'b']");
        assert_eq!(repr_list::<&str>(&[]), "[]");
    }
}
