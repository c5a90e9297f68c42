//! cloud-init files: their tags filled in. PURE.
//!
//! A tag is a known word in braces. What is in braces and is no tag (shell's `${x}`, Jinja, JSON) stays as it is. Unlike
//! the original a value is taken literally, and a tag without a value is an error.

use std::collections::BTreeMap;

/// Every tag that may occur in the file of a worker.
pub const TAGS: [&str; 15] = [
    "campanile",
    "cores",
    "host_ip",
    "idle_shutdown_s",
    "ip_range",
    "lifetime_s",
    "master_ip",
    "memory_mib",
    "node",
    "password",
    "queue",
    "token",
    "uid_domain",
    "worker_name",
    "worker_type",
];

/// Fills the tags in.
///
/// # Errors
/// The tags that occur and have no value, in order of the alphabet.
pub fn fill(text: &str, values: &BTreeMap<String, String>) -> Result<String, Vec<String>> {
    let mut filled = String::with_capacity(text.len());
    let mut missing = Vec::new();
    let mut rest = text;
    while let Some(open) = rest.find('{') {
        filled.push_str(&rest[..open]);
        let inner = &rest[open + 1..];
        let Some((name, after)) = inner.split_once('}').filter(|(name, _)| is_word(name)) else {
            filled.push('{');
            rest = inner;
            continue;
        };
        match values.get(name) {
            Some(value) => filled.push_str(value),
            None => {
                if TAGS.contains(&name) && !filled.ends_with('$') {
                    missing.push(name.to_owned());
                }
                filled.push('{');
                filled.push_str(name);
                filled.push('}');
            }
        }
        rest = after;
    }
    filled.push_str(rest);
    missing.sort_unstable();
    missing.dedup();
    if missing.is_empty() { Ok(filled) } else { Err(missing) }
}

fn is_word(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn tags_are_filled_in_literally_and_nothing_else_is_touched() {
        let text = "CONDOR_HOST = {master_ip}\npw={password} ${HOME} {} {\"a\": 1} {{ jinja }} {other}";
        let filled = fill(text, &values(&[("master_ip", "10.0.0.1"), ("password", "a\\1{b}")])).unwrap();
        assert_eq!(filled, "CONDOR_HOST = 10.0.0.1\npw=a\\1{b} ${HOME} {} {\"a\": 1} {{ jinja }} {other}");
    }

    #[test]
    fn a_tag_without_a_value_is_told() {
        assert_eq!(
            fill("{token} {master_ip} {token}", &values(&[])),
            Err(vec!["master_ip".to_owned(), "token".to_owned()])
        );
    }
}
