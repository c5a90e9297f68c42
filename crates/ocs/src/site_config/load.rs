//! A whole site config file.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use campanile_yaml::{Diagnostics, Document, Node, Schema, Source, Span, parse, read_file};

use super::fields::{HTTP, WS, is_uri_component, optional, optional_url, required, start_of};
use super::host;
use super::model::{Hub, SiteConfig};
use crate::agent::Policy;
use crate::agent::access::shown;

const TOP_KEYS: &[&str] = &["hub", "hosts", "campanile"];
const HUB_KEYS: &[&str] = &["wamp_server", "wamp_http", "wamp_realm", "address_root", "access_policy"];
/// Settings of ours for the whole site, below `campanile:`. There are none so far.
const SITE_SETTINGS: &[&str] = &[];

/// Reads a site config file.
///
/// The config is `None` only when the file as a whole is unusable; then the diagnostics hold at least one error.
/// With a config, errors among the diagnostics belong to single entries, and those entries say so themselves.
pub fn load(path: &Path) -> (Option<SiteConfig>, Diagnostics) {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    let (document, diagnostics) = read_file(&absolute, Schema::Safe);
    understand(absolute, document, diagnostics)
}

/// Reads a site config from memory, as [`load`] does; `path` is where it is said to be from.
pub fn load_bytes(path: &Path, bytes: &[u8]) -> (Option<SiteConfig>, Diagnostics) {
    let (document, diagnostics) = parse(path, bytes, Schema::Safe);
    understand(path.to_path_buf(), document, diagnostics)
}

fn understand(
    path: PathBuf,
    document: Option<Document>,
    mut diagnostics: Diagnostics,
) -> (Option<SiteConfig>, Diagnostics) {
    let Some(document) = document else { return (None, without_policy_lines(diagnostics)) };
    let Some(root) = document.root().want_map(&mut diagnostics) else { return (None, diagnostics) };
    // PyYAML refuses a file with such errors as a whole, and with it every OCS program of the site. What else is wrong
    // is told all the same.
    let unreadable = diagnostics.has_errors();
    root.warn_of_misspelt_keys(TOP_KEYS, &mut diagnostics);

    let mut of_the_whole = Diagnostics::new();
    let hub = read_hub(root, &mut of_the_whole);
    let hosts = root.get("hosts").filter(|hosts| !hosts.is_null());
    let hosts = hosts.and_then(|hosts| hosts.want_map(&mut of_the_whole));
    check_site_settings(root, &mut of_the_whole);
    let unusable = unreadable || of_the_whole.has_errors();
    diagnostics.extend(of_the_whole);

    let hosts = hosts.map(|hosts| host::read_all(hosts, &mut diagnostics)).unwrap_or_default();
    let diagnostics = check_policy(root, diagnostics);
    let site = hub.filter(|_| !unusable).map(|hub| SiteConfig { path, hub, hosts });
    (site, diagnostics)
}

fn read_hub(root: Node<'_>, diagnostics: &mut Diagnostics) -> Option<Hub> {
    let Some(hub) = root.get("hub") else {
        let problem = root.error("the section `hub` is missing").at(start_of(root));
        diagnostics.push(
            problem.hint("it says how to reach the router: wamp_server, wamp_http, wamp_realm, address_root"),
        );
        return None;
    };
    let hub = hub.want_map(diagnostics)?;
    hub.warn_of_misspelt_keys(HUB_KEYS, diagnostics);
    let wamp_server = required(hub, "wamp_server", diagnostics).map(str::to_owned);
    if wamp_server.is_some() {
        optional_url(hub, "wamp_server", WS, diagnostics);
    }
    let wamp_http = optional_url(hub, "wamp_http", HTTP, diagnostics);
    if hub.get("wamp_http").is_none() {
        let problem =
            hub.warning("`wamp_http` is missing; OCS clients reach the agents through it").at(start_of(hub));
        diagnostics.push(problem.hint("such as `wamp_http: http://host:8001/call`"));
    }
    let wamp_realm = required(hub, "wamp_realm", diagnostics).map(str::to_owned);
    let address_root = required(hub, "address_root", diagnostics).map(str::to_owned);
    if let Some(root) = address_root.as_deref().filter(|root| !root.split('.').all(is_uri_component)) {
        let problem =
            hub.get("address_root").unwrap_or(hub).error(format!("addresses cannot begin with `{root}`"));
        diagnostics.push(problem.hint("use a word without spaces and `#`, such as `observatory`"));
    }
    let access_policy = optional(hub, "access_policy", diagnostics).map(str::to_owned);
    Some(Hub {
        wamp_server: wamp_server?,
        wamp_http,
        wamp_realm: wamp_realm?,
        address_root: address_root?,
        access_policy,
    })
}

/// Checks the access policy. A wrong one concerns the agents alone, so it is an error that leaves the file usable. A
/// policy may hold passwords: whatever else is wrong with the file, its text is never shown.
fn check_policy(root: Node<'_>, diagnostics: Diagnostics) -> Diagnostics {
    let node = root.get("hub").and_then(|hub| hub.get("access_policy"));
    let Some((node, policy)) = node.and_then(|node| node.text().map(|text| (node, text))) else {
        return diagnostics;
    };
    let mut diagnostics = diagnostics;
    if let Err(error) = Policy::parse(Some(policy).filter(|_| !node.is_null())) {
        diagnostics.push(node.error(error.to_string()));
    }
    if shown(policy) == policy { diagnostics } else { without_text(diagnostics, node.span()) }
}

/// The same diagnostics, over a file that has asterisks at this place.
fn without_text(diagnostics: Diagnostics, secret: Span) -> Diagnostics {
    masked(diagnostics, |_| {
        std::iter::once(secret.start.offset as usize..secret.end.offset as usize).collect()
    })
}

/// The same diagnostics, over a file that has asterisks in each line behind the name of the access policy: all that can
/// be done with a text that is no YAML.
fn without_policy_lines(diagnostics: Diagnostics) -> Diagnostics {
    masked(diagnostics, |text| {
        let stretch = |(at, key): (usize, &str)| {
            let from = at + key.len();
            from..text[from..].find('\n').map_or(text.len(), |length| from + length)
        };
        text.match_indices("access_policy").map(stretch).collect()
    })
}

fn masked(diagnostics: Diagnostics, secrets: impl Fn(&str) -> Vec<Range<usize>>) -> Diagnostics {
    let mut masked: Option<Arc<Source>> = None;
    diagnostics.map(|mut diagnostic| {
        if let Some(source) = &diagnostic.source {
            let mask = || {
                let mut text = source.text().to_owned();
                for stretch in secrets(source.text()) {
                    let hidden = text.get(stretch.clone()).unwrap_or_default();
                    let mut stars = String::with_capacity(hidden.len());
                    for c in hidden.chars() {
                        stars.push_str(if c == '\n' { "\n" } else { &"****"[..c.len_utf8()] });
                    }
                    if stars.len() == stretch.len() {
                        text.replace_range(stretch, &stars);
                    }
                }
                Arc::new(Source::new(source.name(), text))
            };
            diagnostic.source = Some(Arc::clone(masked.get_or_insert_with(mask)));
        }
        diagnostic
    })
}

fn check_site_settings(root: Node<'_>, diagnostics: &mut Diagnostics) {
    let Some(settings) = root.get("campanile").filter(|settings| !settings.is_null()) else { return };
    let Some(settings) = settings.want_map(diagnostics) else { return };
    for (key, _) in settings.entries() {
        let known = key.text().is_some_and(|name| SITE_SETTINGS.contains(&name));
        if !known {
            let name = key.text().unwrap_or_default();
            diagnostics.push(key.warning(format!("there is no setting `{name}`; it has no effect")));
        }
    }
}
