//! What the sections of the file have in common: optional and required texts, URLs, names on the bus.

use campanile_yaml::{Diagnostics, Node, Span};
use url::Url;

/// Schemes of the router's websocket URL.
pub(super) const WS: &[&str] = &["ws", "wss"];
/// Schemes of the URL of the router's HTTP bridge.
pub(super) const HTTP: &[&str] = &["http", "https"];

/// The first character of a node: a frame around a whole section says nothing.
pub(super) fn start_of(node: Node<'_>) -> Span {
    let start = node.place().start;
    Span { start, end: start }
}

/// A text that may be missing; null counts as missing.
pub(super) fn optional<'d>(map: Node<'d>, key: &str, diagnostics: &mut Diagnostics) -> Option<&'d str> {
    let node = present(map, key)?;
    let text = node.want_str(diagnostics)?;
    if text.contains('\0') {
        diagnostics.push(node.error("a NUL character cannot be part of this"));
        return None;
    }
    Some(text)
}

/// A text that must be there and not be empty.
pub(super) fn required<'d>(map: Node<'d>, key: &str, diagnostics: &mut Diagnostics) -> Option<&'d str> {
    if present(map, key).is_none() {
        diagnostics.push(map.error(format!("`{key}` is missing")).at(start_of(map)));
        return None;
    }
    let text = optional(map, key, diagnostics)?;
    if text.is_empty() {
        diagnostics.push(map.get(key).unwrap_or(map).error(format!("`{key}` is empty")));
        return None;
    }
    Some(text)
}

/// The value of a key that is there and not null.
pub(super) fn present<'d>(map: Node<'d>, key: &str) -> Option<Node<'d>> {
    map.get(key).filter(|node| !node.is_null())
}

/// A URL that may be missing. A wrong one is reported, and returned all the same.
pub(super) fn optional_url(
    map: Node<'_>,
    key: &str,
    schemes: &[&str],
    diagnostics: &mut Diagnostics,
) -> Option<String> {
    let url = optional(map, key, diagnostics)?;
    if let (Err(problem), Some(node)) = (check_url(url, schemes), map.get(key)) {
        diagnostics.push(node.error(format!("`{key}` {problem}")));
    }
    Some(url.to_owned())
}

/// What is wrong with a URL, to be read after its name.
pub(super) fn check_url(url: &str, schemes: &[&str]) -> Result<(), String> {
    let wanted = schemes.join(":// or ");
    match Url::parse(url) {
        Err(error) => Err(format!("is not a URL: {error}")),
        Ok(parsed) if !schemes.contains(&parsed.scheme()) => Err(format!("must begin with {wanted}://")),
        Ok(parsed) if parsed.host_str().is_none_or(str::is_empty) => Err("names no host".to_owned()),
        Ok(_) => Ok(()),
    }
}

/// Whether a text can be one component of an address on the bus (WAMP, "URIs", loose check).
pub(super) fn is_uri_component(text: &str) -> bool {
    !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || c == '#' || c == '.' || c == '\0')
}
