//! The configuration of a crossbar for this site (pure).

use campanile_ocs::site_config::Hub;
use serde_json::{Value, json};
use similar::TextDiff;
use url::{Host, Url};

/// Bytes of crossbar's ping; versions from 20.12 on refuse fewer than 12.
const PING_BYTES: u64 = 12;
/// Lines around a difference.
const CONTEXT: usize = 3;

/// What OCS needs of a crossbar: one realm, one address root, websockets at `/ws`, the HTTP bridge at `/call`, `/info`.
/// For a hub on the loopback interface, only that is listened on.
///
/// # Errors
/// The hub's URL has no port that could be listened on.
pub(crate) fn config(hub: &Hub) -> Result<Value, String> {
    let url = Url::parse(&hub.wamp_server).map_err(|error| format!("`{}`: {error}", hub.wamp_server))?;
    let default = if url.scheme() == "wss" { 443 } else { 80 };
    let port = url.port().unwrap_or(default);
    let loopback = match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback().then(|| ip.to_string()),
        Some(Host::Ipv6(ip)) => ip.is_loopback().then(|| ip.to_string()),
        Some(Host::Domain(name)) => name.eq_ignore_ascii_case("localhost").then(|| "127.0.0.1".to_owned()),
        None => None,
    };
    let mut endpoint = json!({"type": "tcp", "port": port});
    if let Some(interface) = loopback {
        endpoint["interface"] = json!(interface);
    }
    let role = |name: &str, register: bool| {
        json!({"name": name, "permissions": [{
            "uri": format!("{}.", hub.address_root),
            "match": "prefix",
            "allow": {"call": true, "register": register, "publish": true, "subscribe": true},
            "disclose": {"caller": false, "publisher": false},
            "cache": true,
        }]})
    };
    Ok(json!({
        "version": 2,
        "workers": [{
            "type": "router",
            "options": {"pythonpath": [".."]},
            "realms": [{
                "name": hub.wamp_realm,
                "roles": [role("iocs_agent", true), role("iocs_controller", false)],
            }],
            "transports": [{
                "type": "web",
                "endpoint": endpoint,
                "paths": {
                    "ws": {
                        "type": "websocket",
                        "auth": {"anonymous": {"type": "static", "role": "iocs_agent"}},
                        "options": {
                            "open_handshake_timeout": 2500,
                            "close_handshake_timeout": 1000,
                            "auto_ping_interval": 10000,
                            "auto_ping_timeout": 5000,
                            "auto_ping_size": PING_BYTES,
                        },
                    },
                    "call": {
                        "type": "caller",
                        "realm": hub.wamp_realm,
                        "role": "iocs_controller",
                        "options": {},
                    },
                    "info": {"type": "nodeinfo"},
                },
            }],
        }],
    }))
}

/// As it is written to the file.
pub(crate) fn text(config: &Value) -> String {
    // A value without odd keys can always be written.
    format!("{config:#}\n")
}

/// How a file differs from what it should be: `None` when it says the same, in whatever layout.
pub(crate) fn difference(name: &str, before: &str, config: &Value) -> Option<String> {
    let parsed: Option<Value> = serde_json::from_str(before).ok();
    if parsed.as_ref() == Some(config) {
        return None;
    }
    // The same layout on both sides, so that only what matters shows.
    let before = parsed.map_or_else(|| before.to_owned(), |value| text(&value));
    let after = text(config);
    let diff = TextDiff::from_lines(&before, &after);
    Some(diff.unified_diff().context_radius(CONTEXT).header(name, "new").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hub(url: &str) -> Hub {
        Hub {
            wamp_server: url.into(),
            wamp_http: None,
            wamp_realm: "test_realm".into(),
            address_root: "observatory".into(),
            access_policy: None,
        }
    }

    #[test]
    fn it_listens_where_the_hub_says() {
        let endpoint =
            |url: &str| config(&hub(url)).unwrap()["workers"][0]["transports"][0]["endpoint"].clone();
        assert_eq!(endpoint("ws://host-2:8001/ws"), json!({"type": "tcp", "port": 8001}));
        assert_eq!(
            endpoint("ws://localhost:8002/ws"),
            json!({"type": "tcp", "port": 8002, "interface": "127.0.0.1"})
        );
        assert_eq!(endpoint("ws://host-2/ws"), json!({"type": "tcp", "port": 80}));
    }

    #[test]
    fn a_file_that_says_the_same_in_another_layout_is_no_different() {
        let config = config(&hub("ws://host-2:8001/ws")).unwrap();
        assert_eq!(difference("c.json", &config.to_string(), &config), None);
        assert_eq!(difference("c.json", &text(&config), &config), None);
    }

    #[test]
    fn a_difference_is_shown_without_that_of_the_layout() {
        let config = config(&hub("ws://host-2:8001/ws")).unwrap();
        let before = config.to_string().replace("8001", "8099");
        let shown = difference("c.json", &before, &config).unwrap();
        assert!(shown.starts_with("--- c.json\n+++ new\n@@ "), "{shown}");
        let changed: Vec<&str> =
            shown.lines().skip(3).filter(|line| line.starts_with(['+', '-'])).map(str::trim_end).collect();
        assert_eq!(changed.len(), 2, "{shown}");
        assert!(difference("c.json", "no json", &config).is_some());
    }
}
