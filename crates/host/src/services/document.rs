//! What `docker compose config` prints of a file: the project and its services.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use campanile_yaml::{Node, Schema};

/// A compose file with all that it includes and extends, as compose understands it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Document {
    /// The name of the project.
    pub project: String,
    /// Its services by name, without those that a profile switches off.
    pub services: BTreeMap<String, Service>,
    /// The names of the services that a profile switches off. Their containers are no orphans.
    pub disabled: BTreeSet<String>,
}

/// A service of a compose file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Its name.
    pub name: String,
    /// The tag of its image; for one that is only built here, the one that compose gives it.
    pub image: String,
    /// Whether it is built here, and has no image of its own to be pulled.
    pub is_built: bool,
    /// How long compose lets it take to stop, milliseconds; `None` if the file leaves that to docker (10 s).
    pub stop_grace_ms: Option<u64>,
}

/// Reads what `docker compose -f FILE config` printed. `directory` is where the file is; version 1 of compose does not
/// print the name of the project, which is then that of the directory.
///
/// # Errors
/// In words: it is not what compose prints.
pub fn parse(text: &str, directory: &Path) -> Result<Document, String> {
    let (document, diagnostics) =
        campanile_yaml::parse(Path::new("compose config"), text.as_bytes(), Schema::Safe);
    let Some(document) = document.filter(|_| !diagnostics.has_errors()) else {
        let first = diagnostics.iter().next().map(campanile_yaml::Diagnostic::one_line);
        return Err(format!("docker compose printed no YAML: {}", first.unwrap_or_default()));
    };
    let root = document.root();
    let project = match root.get("name").and_then(Node::text) {
        Some(name) => name.to_owned(),
        None => project_of(directory),
    };
    // Version 1 joins the parts of a name by `_`, version 2 by `-`.
    let separator = if root.get("name").is_some() { '-' } else { '_' };
    let mut services = BTreeMap::new();
    for (key, node) in root.get("services").into_iter().flat_map(Node::entries) {
        let Some(name) = key.text() else { continue };
        let image = node.get("image").and_then(Node::text).map(str::to_owned);
        let service = Service {
            name: name.to_owned(),
            is_built: image.is_none(),
            image: image.unwrap_or_else(|| format!("{project}{separator}{name}")),
            stop_grace_ms: node.get("stop_grace_period").and_then(Node::text).and_then(duration_ms),
        };
        services.insert(name.to_owned(), service);
    }
    Ok(Document { project, services, disabled: BTreeSet::new() })
}

/// The name that compose gives to the project of a directory.
#[must_use]
pub fn project_of(directory: &Path) -> String {
    let name = directory.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
    let kept = |c: &char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_');
    let name: String = name.chars().filter(kept).collect();
    name.trim_start_matches(['-', '_']).to_owned()
}

/// A duration as compose writes it: `1m30s`, `10s`, `500ms`, `1h5m`. `None` if it is none.
#[must_use]
pub fn duration_ms(text: &str) -> Option<u64> {
    let mut rest = text.trim();
    let mut total_ms = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let letters = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let unit_ms = match &rest[..letters] {
            "us" | "µs" => 0.001,
            "ns" => 0.000_001,
            "ms" => 1.0,
            "s" => 1000.0,
            "m" => 60_000.0,
            "h" => 3_600_000.0,
            _ => return None,
        };
        total_ms += number * unit_ms;
        rest = &rest[letters..];
    }
    // The longest that a site can mean; it also keeps the conversion sound.
    const MAX_MS: f64 = 30.0 * 24.0 * 3_600_000.0;
    Some(total_ms.min(MAX_MS) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_have_their_images_and_graces() {
        let text = "name: site\nservices:\n  ocs-a:\n    image: lab/a:v1\n    stop_grace_period: 1m30s\n  \
                    built:\n    build:\n      context: /x\n";
        let document = parse(text, Path::new("/srv/My Site")).unwrap();
        assert_eq!(document.project, "site");
        let a = &document.services["ocs-a"];
        assert_eq!((a.image.as_str(), a.is_built, a.stop_grace_ms), ("lab/a:v1", false, Some(90_000)));
        let built = &document.services["built"];
        assert_eq!((built.image.as_str(), built.is_built, built.stop_grace_ms), ("site-built", true, None));
    }

    #[test]
    fn version_1_names_the_project_after_the_directory() {
        let document =
            parse("services:\n  b:\n    build: {context: .}\n", Path::new("/srv/_My Site.d")).unwrap();
        assert_eq!(
            (document.project.as_str(), document.services["b"].image.as_str()),
            ("mysited", "mysited_b")
        );
    }

    #[test]
    fn what_is_no_yaml_is_an_error_and_no_services_are_none() {
        assert!(parse("a: [", Path::new("/x")).unwrap_err().contains("no YAML"));
        assert_eq!(parse("name: x\nservices: {}\n", Path::new("/x")).unwrap().services.len(), 0);
        assert_eq!(parse("name: x\n", Path::new("/x")).unwrap().services.len(), 0);
    }

    #[test]
    fn durations_are_those_of_go() {
        for (text, ms) in
            [("10s", 10_000), ("1m30s", 90_000), ("500ms", 500), ("1h0m0s", 3_600_000), ("1.5s", 1500)]
        {
            assert_eq!(duration_ms(text), Some(ms), "{text}");
        }
        for text in ["10", "ten", "5 s x"] {
            assert_eq!(duration_ms(text), None, "{text}");
        }
    }
}
