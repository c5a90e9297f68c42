//! Changing one value of a YAML file and no other character of it. PURE.

use std::path::Path;

use campanile_yaml::{Kind, Node, Schema, parse};

/// Indentation of what is added.
const STEP: usize = 2;

/// Sets the scalar at `path` (keys, from the root) to a text. Comments, order and form of everything else stay. The
/// result is read back before it is returned.
///
/// # Errors
/// In words: the text is no YAML, or the place is taken by something that is no text.
pub fn set(text: &str, path: &[&str], value: &str) -> Result<String, String> {
    let changed = change(text, path, value)?;
    let (document, _) = parse(Path::new("edited"), changed.as_bytes(), Schema::Safe);
    let read = document.as_ref().and_then(|document| get(document.root(), path)).and_then(Node::text);
    if read == Some(value) {
        Ok(changed)
    } else {
        Err(format!("`{}` cannot be set in the form that this file has; set it by hand", path.join(".")))
    }
}

fn get<'d>(root: Node<'d>, path: &[&str]) -> Option<Node<'d>> {
    path.iter().try_fold(root, |node, key| node.get(key))
}

fn change(text: &str, path: &[&str], value: &str) -> Result<String, String> {
    let (document, problems) = parse(Path::new("edited"), text.as_bytes(), Schema::Safe);
    if problems.has_errors() {
        return Err("the file is no YAML".to_owned());
    }
    let Some(document) = document else { return Err("the file is no YAML".to_owned()) };
    let mut node = document.root();
    if node.is_null() && !path.is_empty() {
        return Ok(appended(text, &nested(path, value, 0)));
    }
    for (depth, key) in path.iter().enumerate() {
        if node.kind() != Kind::Map {
            return Err(format!("`{}` is {}", path[..depth].join("."), node.description()));
        }
        let Some((key_node, found)) = node.entry(key) else {
            return Ok(insert(text, node, &path[depth..], value, depth == 0));
        };
        if depth + 1 == path.len() {
            if found.kind() != Kind::Scalar {
                return Err(format!("`{}` is {}", path.join("."), found.description()));
            }
            return Ok(replace(text, key_node, found, &quoted(value)));
        }
        if found.is_null() {
            let indent = column(text, offset(key_node.place().start)) + STEP;
            return Ok(fill_empty(text, key_node, found, &nested(&path[depth + 1..], value, indent)));
        }
        node = found;
    }
    Err("no key was named".to_owned())
}

fn offset(position: campanile_yaml::Position) -> usize {
    position.offset as usize
}

fn replace(text: &str, key: Node<'_>, old: Node<'_>, new: &str) -> String {
    let (start, end) = (offset(old.place().start), offset(old.place().end));
    if start == end {
        // Nothing stands there: behind the colon of the key.
        let after = offset(key.place().end);
        let colon = text[after..].find(':').map_or(after, |found| after + found + 1);
        return format!("{} {new}{}", &text[..colon], &text[colon..]);
    }
    // A block scalar ends with its line.
    let tail = if text[start..end].ends_with('\n') { "\n" } else { "" };
    format!("{}{new}{tail}{}", &text[..start], &text[end..])
}

/// `key:` with nothing (or `null`) becomes the head of a block.
fn fill_empty(text: &str, key: Node<'_>, old: Node<'_>, block: &str) -> String {
    let (start, end) = (offset(old.place().start), offset(old.place().end));
    let after = offset(key.place().end);
    let colon = text[after..].find(':').map_or(after, |found| after + found + 1);
    let cleared = if start < end && start >= colon {
        format!("{}{}", &text[..colon], &text[end..])
    } else {
        text.to_owned()
    };
    let line_end = cleared[colon..].find('\n').map_or(cleared.len(), |found| colon + found + 1);
    let (head, tail) = cleared.split_at(line_end);
    let gap = if head.ends_with('\n') { "" } else { "\n" };
    format!("{head}{gap}{block}{tail}")
}

fn insert(text: &str, map: Node<'_>, path: &[&str], value: &str, is_root: bool) -> String {
    let start = offset(map.span().start);
    if text[start..].starts_with('{') {
        let inner = flow(path, value);
        let is_empty = map.entries().next().is_none();
        let gap = if is_empty { "" } else { ", " };
        return format!("{}{inner}{gap}{}", &text[..=start], &text[start + 1..]);
    }
    if is_root {
        return appended(text, &nested(path, value, 0));
    }
    let first = map.entries().next().map_or(start, |(key, _)| offset(key.place().start));
    let indent = column(text, first);
    let line = first - indent;
    format!("{}{}{}", &text[..line], nested(path, value, indent), &text[line..])
}

fn appended(text: &str, block: &str) -> String {
    let gap = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    format!("{text}{gap}{block}")
}

/// Bytes between the beginning of the line and this place.
fn column(text: &str, at: usize) -> usize {
    at - text[..at].rfind('\n').map_or(0, |newline| newline + 1)
}

fn nested(path: &[&str], value: &str, indent: usize) -> String {
    let mut block = String::new();
    for (depth, key) in path.iter().enumerate() {
        let blanks = " ".repeat(indent + depth * STEP);
        let end = if depth + 1 == path.len() { format!(" {}", quoted(value)) } else { String::new() };
        block.push_str(&format!("{blanks}{}:{end}\n", quoted(key)));
    }
    block
}

fn flow(path: &[&str], value: &str) -> String {
    match path {
        [] => quoted(value),
        [key] => format!("{}: {}", quoted(key), quoted(value)),
        [key, rest @ ..] => format!("{}: {{{}}}", quoted(key), flow(rest, value)),
    }
}

/// Without quotes where every reader takes it for a text.
fn quoted(value: &str) -> String {
    let is_word = value.starts_with(|c: char| c.is_ascii_alphabetic())
        && value.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'));
    let is_reserved = ["y", "n", "yes", "no", "on", "off", "true", "false", "null", "none"]
        .contains(&value.to_ascii_lowercase().as_str());
    if is_word && !is_reserved {
        return value.to_owned();
    }
    if value.chars().all(|c| !c.is_control()) {
        return format!("'{}'", value.replace('\'', "''"));
    }
    // JSON's strings are YAML's.
    serde_json::Value::from(value).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FILE: &str = "\
# head
clouds:
  # of bergen
  bergen:
    auth_url: http://k   # keystone
    image: None # written by the script
  oslo: {region_name: osl, password: 'x'}
condor:
ehos:
    flavor: m1.small
    network:   # none yet
";

    #[test]
    fn only_the_value_changes() {
        let text = set(FILE, &["clouds", "bergen", "image"], "6a2f41a3-c54c").unwrap();
        assert_eq!(text, FILE.replace("image: None #", "image: '6a2f41a3-c54c' #"));
        let text = set(FILE, &["clouds", "oslo", "password"], "it's").unwrap();
        assert_eq!(text, FILE.replace("'x'", "'it''s'"));
        let text = set(FILE, &["ehos", "network"], "dualStack").unwrap();
        assert_eq!(text, FILE.replace("network:   #", "network: dualStack   #"));
    }

    #[test]
    fn what_is_missing_is_added_where_it_belongs() {
        let text = set(FILE, &["clouds", "oslo", "image"], "i").unwrap();
        assert_eq!(text, FILE.replace("{region", "{image: i, region"));
        let text = set(FILE, &["ehos", "key"], "ehos_key").unwrap();
        assert_eq!(text, FILE.replace("    flavor", "    key: ehos_key\n    flavor"));
        let text = set(FILE, &["condor", "password"], "abc").unwrap();
        assert_eq!(text, FILE.replace("condor:\n", "condor:\n  password: abc\n"));
        let text = set(FILE, &["pool", "clouds", "bergen", "interface"], "public").unwrap();
        assert_eq!(text, format!("{FILE}pool:\n  clouds:\n    bergen:\n      interface: public\n"));
        assert_eq!(set("", &["a", "b"], "yes").unwrap(), "a:\n  b: 'yes'\n");
    }

    #[test]
    fn what_is_no_text_is_not_overwritten() {
        assert!(set(FILE, &["clouds", "bergen"], "x").unwrap_err().contains("`clouds.bergen`"));
        assert!(set("- a\n", &["a"], "x").is_err());
        assert!(set("a: [", &["a"], "x").is_err());
    }

    proptest! {
        #[test]
        fn every_value_is_read_back(value in "[ -~äß\n\t]{0,20}") {
            for path in [&["clouds", "bergen", "image"][..], &["clouds", "oslo", "image"], &["new"]] {
                let text = set(FILE, path, &value).unwrap();
                prop_assert!(text.contains("# keystone"));
            }
        }
    }
}
