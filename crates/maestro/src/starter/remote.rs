//! Daemons of other hosts: the target of an instance that the host's own site config declares is set.

use std::collections::BTreeMap;
use std::time::Duration;

use campanile_ocs::client::{Action, Endpoint, OcsClient, Passwords};
use serde_json::json;

use crate::model::Name;

/// How long a HostManager may take to answer.
const TIMEOUT: Duration = Duration::from_secs(5);
/// While a daemon stays away its target is set again after this time.
const AGAIN_MS: u64 = 30_000;

/// How HostManagers are reached.
#[derive(Clone, Debug)]
pub struct Bus {
    /// The router.
    pub endpoint: Endpoint,
    /// The address root of the site.
    pub root: String,
    /// For HostManagers that demand one.
    pub passwords: Passwords,
}

#[derive(Clone, Debug)]
struct Asked {
    manager: Name,
    instance: Name,
    at_ms: u64,
}

/// What HostManagers were asked for.
pub(super) struct Remote {
    bus: Option<Bus>,
    asked: BTreeMap<Name, Asked>,
}

impl Remote {
    pub(super) fn new(bus: Option<Bus>) -> Self {
        Self { bus, asked: BTreeMap::new() }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.asked.is_empty()
    }

    /// Sets the target of a daemon's instance to up, unless that was done lately. What to tell of it.
    pub(super) async fn up(
        &mut self,
        daemon: &Name,
        manager: &Name,
        instance: &Name,
        now_ms: u64,
    ) -> Option<Result<String, String>> {
        if self.asked.get(daemon).is_some_and(|asked| now_ms < asked.at_ms + AGAIN_MS) {
            return None;
        }
        let asked = Asked { manager: manager.clone(), instance: instance.clone(), at_ms: now_ms };
        self.asked.insert(daemon.clone(), asked.clone());
        Some(self.set(&asked, "up").await)
    }

    /// Sets the targets of those to down that are no longer configured.
    pub(super) async fn down_all_but(
        &mut self,
        wanted: impl Iterator<Item = &Name>,
        now_ms: u64,
    ) -> Vec<(Name, Result<String, String>)> {
        let wanted: std::collections::BTreeSet<&Name> = wanted.collect();
        let gone: Vec<Name> = self.asked.keys().filter(|name| !wanted.contains(name)).cloned().collect();
        let mut said = Vec::new();
        for name in gone {
            let Some(mut asked) = self.asked.remove(&name) else { continue };
            if now_ms < asked.at_ms {
                self.asked.insert(name, asked);
                continue;
            }
            let done = self.set(&asked, "down").await;
            if done.is_err() {
                asked.at_ms = now_ms + AGAIN_MS;
                self.asked.insert(name.clone(), asked);
            }
            said.push((name, done));
        }
        said
    }

    async fn set(&self, asked: &Asked, target: &str) -> Result<String, String> {
        let Some(bus) = &self.bus else {
            return Err(format!(
                "the HostManager {} cannot be asked: this manager has no bus",
                asked.manager
            ));
        };
        let address = format!("{}.{}", bus.root, asked.manager);
        let failed = |error: &dyn std::error::Error| {
            format!("{address} does not set {} {target}: {}", asked.instance, crate::link::with_source(error))
        };
        let client =
            OcsClient::connect(bus.endpoint.clone(), TIMEOUT).await.map_err(|error| failed(&error))?;
        let client = client.with_passwords(bus.passwords.clone());
        let params = json!({ "requests": [[&*asked.instance, target]] });
        let reply = client.op(&address, Action::Start, "update", params, None).await;
        let reply = match reply {
            Ok(reply) => Ok(reply),
            Err(error) => Err(failed(&error)),
        };
        // A connection of its own for every request: they are seldom.
        if let Some(bus) = client.bus() {
            bus.close().await;
        }
        reply.map(|_| format!("{address} was told to keep {} {target}", asked.instance))
    }
}
