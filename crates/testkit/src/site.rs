//! A site config file in a directory of its own.

use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A temporary directory with a site config file, a directory for logs and one for state; removed on drop.
///
/// The file is written in YAML's flow style (JSON), which PyYAML and every other reader takes; a test about
/// the notation itself writes its own text with [`Self::write_text`].
#[derive(Debug)]
pub struct TempSite {
    dir: TempDir,
    port: u16,
    realm: String,
    address_root: String,
}

impl TempSite {
    /// A site whose hub is on `port` of the loopback address, with the realm `test_realm` and the address root
    /// `observatory` of the OCS examples. `hosts` is the value of the file's `hosts:` key.
    #[track_caller]
    pub fn new(port: u16, hosts: &Value) -> Self {
        let dir = TempDir::new().expect("a directory for the site can be created");
        for sub in ["logs", "state"] {
            fs::create_dir(dir.path().join(sub)).expect("a directory for the site can be created");
        }
        let site = Self { dir, port, realm: "test_realm".into(), address_root: "observatory".into() };
        site.write_hosts(hosts);
        site
    }

    /// One instance of a `hosts` entry: class, id, and further keys given as a JSON object.
    pub fn instance(class: &str, id: &str, more: &Value) -> Value {
        let mut instance = json!({"agent-class": class, "instance-id": id});
        for (key, value) in more.as_object().into_iter().flatten() {
            instance[key] = value.clone();
        }
        instance
    }

    /// Writes the file again with other hosts.
    #[track_caller]
    pub fn write_hosts(&self, hosts: &Value) {
        let whole = json!({"hub": self.hub(), "hosts": hosts});
        self.write_text(&serde_json::to_string_pretty(&whole).expect("a JSON value can be printed"));
    }

    /// The `hub:` section of the file.
    pub fn hub(&self) -> Value {
        json!({
            "wamp_server": self.ws_url(), "wamp_http": self.http_url(),
            "wamp_realm": self.realm, "address_root": self.address_root,
        })
    }

    /// Replaces the whole text of the file, broken texts included.
    #[track_caller]
    pub fn write_text(&self, text: &str) {
        fs::write(self.file(), text).expect("the site config can be written");
    }

    /// The text of the file.
    #[track_caller]
    pub fn text(&self) -> String {
        fs::read_to_string(self.file()).expect("the site config can be read")
    }

    /// The site config file: `default.yaml`, so that `OCS_CONFIG_DIR` may name its directory.
    pub fn file(&self) -> PathBuf {
        self.dir.path().join("default.yaml")
    }

    /// The directory of the file.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// An existing directory for the agents' log files.
    pub fn log_dir(&self) -> PathBuf {
        self.dir.path().join("logs")
    }

    /// An existing directory for the state of our daemons.
    pub fn state_dir(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    /// The port of the hub.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The realm of the hub.
    pub fn realm(&self) -> &str {
        &self.realm
    }

    /// The address root of the hub.
    pub fn address_root(&self) -> &str {
        &self.address_root
    }

    /// The websocket URL of the hub.
    pub fn ws_url(&self) -> String {
        format!("ws://127.0.0.1:{}/ws", self.port)
    }

    /// The URL of the hub's HTTP bridge.
    pub fn http_url(&self) -> String {
        format!("http://127.0.0.1:{}/call", self.port)
    }

    /// The full address of an agent.
    pub fn address(&self, instance_id: &str) -> String {
        format!("{}.{instance_id}", self.address_root)
    }

    /// `--site-file FILE --site-host HOST`, as every OCS program takes them.
    pub fn args(&self, host: &str) -> [String; 4] {
        ["--site-file".into(), self.file().display().to_string(), "--site-host".into(), host.into()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_holds_hub_and_hosts_and_can_be_changed() {
        let more = json!({"manage": "host/down"});
        let hosts =
            json!({"host-1": {"agent-instances": [TempSite::instance("FakeDataAgent", "f1", &more)]}});
        let site = TempSite::new(8001, &hosts);
        let read: Value = serde_json::from_str(&site.text()).unwrap();
        assert_eq!(read["hub"]["wamp_server"], "ws://127.0.0.1:8001/ws");
        assert_eq!(read["hosts"]["host-1"]["agent-instances"][0]["manage"], "host/down");
        site.write_text("hub: [");
        assert_eq!(site.text(), "hub: [");
    }
}
