//! The real crossbar router, configured as OCS configures it.

use crate::bridge::http_request;
use crate::daemon::Daemon;
use crate::ports::free_port;
use crate::require::{Part, require};
use crate::wait::wait_until;
use serde_json::{Value, json};
use std::fs;
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

/// crossbar needs four to five seconds on an idle machine; a loaded one gets its time.
const START_TIMEOUT: Duration = Duration::from_secs(90);

/// Where crossbar listens and whom it serves.
#[derive(Clone, Debug)]
pub struct CrossbarConfig {
    /// The TCP port for websockets (`/ws`), the HTTP bridge (`/call`) and `/info`.
    pub port: u16,
    /// The one realm.
    pub realm: String,
    /// Only addresses below `{address_root}.` are allowed.
    pub address_root: String,
}

impl Default for CrossbarConfig {
    /// A free port, with the realm and address root of the examples in the OCS documentation.
    fn default() -> Self {
        Self { port: free_port(), realm: "test_realm".into(), address_root: "observatory".into() }
    }
}

/// A running crossbar; it and its worker are killed on drop.
#[derive(Debug)]
pub struct Crossbar {
    config: CrossbarConfig,
    daemon: Daemon,
    node_dir: TempDir,
}

impl Crossbar {
    /// Starts crossbar and waits until it answers; `None` if it is not installed (see [`require`]).
    #[track_caller]
    pub fn start(config: CrossbarConfig) -> Option<Self> {
        let program = require(Part::Crossbar)?;
        let node_dir = TempDir::new().expect("a directory for crossbar can be created");
        let text = serde_json::to_string_pretty(&node_config(&config)).expect("a JSON value can be printed");
        fs::write(node_dir.path().join("config.json"), text).expect("the configuration can be written");
        let mut command = Command::new(program);
        command.args(["start", "--loglevel", "warn", "--cbdir"]).arg(node_dir.path());
        command.env("SPT_NOENV", "1"); // its process titles must not overwrite the mark it is found by
        let mut crossbar = Self { config, daemon: Daemon::spawn("crossbar", command), node_dir };
        crossbar.wait_until_ready();
        Some(crossbar)
    }

    /// The configuration it runs with.
    pub fn config(&self) -> &CrossbarConfig {
        &self.config
    }

    /// The TCP port it listens on.
    pub fn port(&self) -> u16 {
        self.config.port
    }

    /// The process: for its memory, CPU time and output. Its worker is among `processes()`.
    pub fn daemon(&mut self) -> &mut Daemon {
        &mut self.daemon
    }

    /// Kills controller and worker as `kill -9` does: every connection is gone at once.
    pub fn kill9(&mut self) {
        self.daemon.kill_all();
    }

    /// Starts it again on the same port after [`Self::kill9`] and waits until it answers.
    #[track_caller]
    pub fn restart(&mut self) {
        let _ = fs::remove_file(self.node_dir.path().join("node.pid")); // left by a killed one
        self.daemon.restart();
        self.wait_until_ready();
    }

    #[track_caller]
    fn wait_until_ready(&mut self) {
        wait_until(START_TIMEOUT, "crossbar answers", || {
            let ended = self.daemon.try_wait();
            assert!(ended.is_none(), "crossbar ended ({ended:?})");
            matches!(http_request(self.config.port, "GET", "/info", &[], b""), Ok((200, ..)))
        });
    }
}

/// The configuration that OCS generates for its sites, with a ping payload of 12 bytes (current crossbar
/// versions refuse the original's 4) and `/info`, as OCS's own tests have it.
fn node_config(config: &CrossbarConfig) -> Value {
    let role = |name: &str, register: bool| {
        json!({"name": name, "permissions": [{
            "uri": format!("{}.", config.address_root), "match": "prefix",
            "allow": {"call": true, "register": register, "publish": true, "subscribe": true},
            "disclose": {"caller": false, "publisher": false}, "cache": true,
        }]})
    };
    let paths = json!({
        "ws": {
            "type": "websocket",
            "auth": {"anonymous": {"type": "static", "role": "iocs_agent"}},
            "options": {
                "open_handshake_timeout": 2500, "close_handshake_timeout": 1000,
                "auto_ping_interval": 10000, "auto_ping_timeout": 5000, "auto_ping_size": 12,
            },
        },
        "call": {"type": "caller", "realm": config.realm, "role": "iocs_controller", "options": {}},
        "info": {"type": "nodeinfo"},
    });
    json!({"version": 2, "workers": [{
        "type": "router",
        "realms": [{
            "name": config.realm,
            "roles": [role("iocs_agent", true), role("iocs_controller", false)],
        }],
        "transports": [{
            "type": "web",
            "endpoint": {"type": "tcp", "port": config.port, "interface": "127.0.0.1"},
            "paths": paths,
        }],
    }]})
}
