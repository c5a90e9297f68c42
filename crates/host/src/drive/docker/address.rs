//! Where the docker engine is: what `docker` itself would use, so that both always speak to the same engine.

use std::path::{Path, PathBuf};

use bollard::Docker;
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

/// The socket of an engine that nothing is said about.
pub(super) const DEFAULT_HOST: &str = "unix:///var/run/docker.sock";

/// Where an engine is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// As docker writes it: `unix:///path`, `tcp://host:port`.
    pub host: String,
}

impl Address {
    /// The engine that `docker` uses with this environment: `DOCKER_HOST`, else the context that `DOCKER_CONTEXT` or
    /// the configuration of docker names, else the usual socket.
    #[must_use]
    pub fn find(env: &dyn Fn(&str) -> Option<String>) -> Self {
        let set = |name: &str| env(name).filter(|value| !value.is_empty());
        let host = set("DOCKER_HOST").or_else(|| {
            let dir = set("DOCKER_CONFIG").map(PathBuf::from);
            let dir = dir.or_else(|| set("HOME").map(|home| Path::new(&home).join(".docker")))?;
            let context = set("DOCKER_CONTEXT").or_else(|| current_context(&dir))?;
            if context == "default" { None } else { host_of_context(&dir, &context) }
        });
        Self { host: host.unwrap_or_else(|| DEFAULT_HOST.to_owned()) }
    }

    /// A client for it that waits at most `timeout_s` for the beginning of each answer. Nothing is sent yet.
    ///
    /// # Errors
    /// In words: there is no socket, or this kind of address is not served.
    pub fn connect(&self, timeout_s: u64) -> Result<Docker, String> {
        let client = match self.host.split_once("://") {
            Some(("unix", _)) => {
                Docker::connect_with_unix(&self.host, timeout_s, bollard::API_DEFAULT_VERSION)
            }
            Some(("tcp" | "http", _)) => {
                Docker::connect_with_http(&self.host, timeout_s, bollard::API_DEFAULT_VERSION)
            }
            _ => {
                return Err(format!(
                    "an engine at {} cannot be reached: only unix:// and tcp:// are served",
                    self.host
                ));
            }
        };
        client.map_err(|error| super::words(&error))
    }
}

fn json(path: &Path) -> Option<serde_json::Value> {
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

fn current_context(dir: &Path) -> Option<String> {
    json(&dir.join("config.json"))?["currentContext"].as_str().map(str::to_owned)
}

fn host_of_context(dir: &Path, context: &str) -> Option<String> {
    let digest = HEXLOWER.encode(&Sha256::digest(context.as_bytes()));
    let meta = json(&dir.join("contexts/meta").join(digest).join("meta.json"))?;
    meta["Endpoints"]["docker"]["Host"].as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_goes_before_the_context_and_the_context_before_the_default() {
        let dir = tempfile::tempdir().unwrap();
        let meta = dir.path().join("contexts/meta").join(HEXLOWER.encode(&Sha256::digest(b"rootless")));
        std::fs::create_dir_all(&meta).unwrap();
        let endpoint = r#"{"Endpoints": {"docker": {"Host": "unix:///run/user/1000/docker.sock"}}}"#;
        std::fs::write(meta.join("meta.json"), endpoint).unwrap();
        let config = dir.path().to_str().unwrap().to_owned();
        let find = |host: Option<&str>, context: Option<&str>| {
            Address::find(&|name| match name {
                "DOCKER_HOST" => host.map(str::to_owned),
                "DOCKER_CONTEXT" => context.map(str::to_owned),
                "DOCKER_CONFIG" => Some(config.clone()),
                _ => None,
            })
            .host
        };
        assert_eq!(find(None, None), DEFAULT_HOST);
        assert_eq!(find(None, Some("rootless")), "unix:///run/user/1000/docker.sock");
        std::fs::write(dir.path().join("config.json"), r#"{"currentContext": "rootless"}"#).unwrap();
        assert_eq!(find(None, None), "unix:///run/user/1000/docker.sock");
        assert_eq!(find(None, Some("default")), DEFAULT_HOST);
        assert_eq!(find(Some("unix:///x.sock"), Some("rootless")), "unix:///x.sock");
    }

    #[test]
    fn an_address_that_cannot_be_served_is_told() {
        let told = Address { host: "ssh://lab@host".to_owned() }.connect(1).unwrap_err();
        assert!(told.contains("ssh://lab@host"), "{told}");
    }
}
