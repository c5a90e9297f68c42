//! Daemons of other hosts: the target of an instance that the host's own site config declares is set.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use campanile_ocs::client::{Endpoint, OcsClient, OpReply, Passwords};
use campanile_ocs::codes::OpCode;
use serde_json::json;
use tokio::task::JoinSet;

use crate::model::Name;

/// How long a HostManager may take to answer.
const TIMEOUT: Duration = Duration::from_secs(5);
/// While a daemon stays away its target is set again after this time.
const AGAIN_MS: u64 = 30_000;
/// What a HostManager did not do is asked for again after this time, then after twice that, … up to [`AGAIN_MS`].
const RETRY_MS: u64 = 3_000;

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
    /// It is not set up again before this time.
    again_ms: u64,
    /// It is not set down before this time.
    down_ms: u64,
    /// Requests in a row that were not carried out.
    failures: u32,
}

impl Asked {
    /// A request was not carried out: when it is tried again.
    fn failed(&mut self, now_ms: u64) -> u64 {
        let wait_ms = (RETRY_MS << self.failures.min(8)).min(AGAIN_MS);
        self.failures += 1;
        now_ms + wait_ms
    }
}

/// What came of a request: for which daemon, and what to tell of it.
pub(super) type Said = (Name, Result<String, String>);

/// What HostManagers were asked for. Each is asked by a task of its own, so that one that does not answer keeps nobody
/// waiting; and each for one thing at a time, since its task `update` runs once at a time.
pub(super) struct Remote {
    bus: Option<Bus>,
    asked: BTreeMap<Name, Asked>,
    under_way: JoinSet<(Name, Asked, bool, Result<String, String>)>,
    /// HostManagers that are being asked.
    busy: BTreeSet<Name>,
}

impl Remote {
    pub(super) fn new(bus: Option<Bus>) -> Self {
        Self { bus, asked: BTreeMap::new(), under_way: JoinSet::new(), busy: BTreeSet::new() }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.asked.is_empty() && self.busy.is_empty()
    }

    /// Sets the target of a daemon's instance to up, unless that was done lately.
    pub(super) fn up(&mut self, daemon: &Name, manager: &Name, instance: &Name, now_ms: u64) {
        let lately = self.asked.get(daemon).is_some_and(|asked| now_ms < asked.again_ms);
        if lately || self.busy.contains(manager) {
            return;
        }
        let before = self.asked.get(daemon).filter(|asked| asked.manager == *manager);
        let asked = Asked {
            manager: manager.clone(),
            instance: instance.clone(),
            again_ms: now_ms + AGAIN_MS,
            down_ms: 0,
            failures: before.map_or(0, |asked| asked.failures),
        };
        self.asked.insert(daemon.clone(), asked.clone());
        self.ask(daemon, asked, true);
    }

    /// Sets the targets of those to down that are no longer configured.
    pub(super) fn down_all_but<'n>(&mut self, wanted: impl Iterator<Item = &'n Name>, now_ms: u64) {
        let wanted: BTreeSet<&Name> = wanted.collect();
        let due = |(name, asked): &(&Name, &Asked)| !wanted.contains(name) && now_ms >= asked.down_ms;
        let gone: Vec<Name> = self.asked.iter().filter(due).map(|(name, _)| name.clone()).collect();
        for name in gone {
            if let Some(asked) = self.asked.get(&name).filter(|asked| !self.busy.contains(&asked.manager)) {
                let asked = asked.clone();
                self.asked.remove(&name);
                self.ask(&name, asked, false);
            }
        }
    }

    /// What has come of requests since the last call. What was not done is tried again later.
    pub(super) fn said(&mut self, now_ms: u64) -> Vec<Said> {
        let mut said = Vec::new();
        while let Some(ended) = self.under_way.try_join_next() {
            // Nobody ends such a task but the end of this value.
            let Ok((name, mut asked, up, result)) = ended else { continue };
            self.busy.remove(&asked.manager);
            match (&result, up) {
                (Err(_), true) => {
                    if let Some(asked) = self.asked.get_mut(&name) {
                        asked.again_ms = asked.failed(now_ms);
                    }
                }
                (Err(_), false) => {
                    asked.down_ms = asked.failed(now_ms);
                    self.asked.insert(name.clone(), asked);
                }
                (Ok(_), true) => {
                    if let Some(asked) = self.asked.get_mut(&name) {
                        asked.failures = 0;
                    }
                }
                (Ok(_), false) => {}
            }
            said.push((name, result));
        }
        said
    }

    fn ask(&mut self, daemon: &Name, asked: Asked, up: bool) {
        self.busy.insert(asked.manager.clone());
        let (daemon, bus) = (daemon.clone(), self.bus.clone());
        self.under_way.spawn(async move {
            let result = set(bus.as_ref(), &asked, if up { "up" } else { "down" }).await;
            (daemon, asked, up, result)
        });
    }
}

async fn set(bus: Option<&Bus>, asked: &Asked, target: &str) -> Result<String, String> {
    let Some(bus) = bus else {
        return Err(format!("the HostManager {} cannot be asked: this manager has no bus", asked.manager));
    };
    let address = format!("{}.{}", bus.root, asked.manager);
    let failed = |error: &dyn std::error::Error| {
        format!("{address} does not set {} {target}: {}", asked.instance, crate::link::with_source(error))
    };
    let client = OcsClient::connect(bus.endpoint.clone(), TIMEOUT).await.map_err(|error| failed(&error))?;
    let client = client.with_passwords(bus.passwords.clone());
    let params = json!({ "requests": [[&*asked.instance, target]] });
    let reply = client.run(&address, "update", params, Some(TIMEOUT)).await;
    // A connection of its own for every request: they are seldom.
    if let Some(bus) = client.bus() {
        bus.close().await;
    }
    match reply {
        Err(error) => Err(failed(&error)),
        Ok(reply) => match refusal(&reply) {
            Some(why) => Err(format!("{address} does not set {} {target}: {why}", asked.instance)),
            None => Ok(format!("{address} was told to keep {} {target}", asked.instance)),
        },
    }
}

/// Why a request was not carried out, in the agent's words: it was refused, or its task failed or has not ended in time.
fn refusal(reply: &OpReply) -> Option<String> {
    if !reply.is_ok() {
        return Some(reply.message.clone());
    }
    let session = reply.session.as_ref().filter(|session| session.code() == OpCode::Failed)?;
    let last = session.messages.last().map(|(_, text)| text.clone());
    Some(last.unwrap_or_else(|| "its task `update` failed".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_that_does_not_answer_keeps_nobody_waiting() {
        // It takes connections and says nothing.
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("ws://{}/ws", silent.local_addr().unwrap());
        let endpoint = Endpoint::Ws(url, "test_realm".to_owned());
        let mut remote = Remote::new(Some(Bus {
            endpoint,
            root: "observatory".to_owned(),
            passwords: Passwords::default(),
        }));
        let begun = std::time::Instant::now();
        let names: Vec<Name> = (1..=20).map(|at| Name::from(format!("l1-{at}"))).collect();
        for now_ms in [0, 100, 200] {
            names.iter().for_each(|name| remote.up(name, name, name, now_ms));
            remote.down_all_but(names.iter(), now_ms);
            assert!(remote.said(now_ms).is_empty());
        }
        assert!(begun.elapsed() < TIMEOUT && !remote.is_idle());
        let mut said = Vec::new();
        while said.len() < names.len() {
            tokio::time::sleep(Duration::from_millis(50)).await;
            said.extend(remote.said(300));
        }
        assert!(begun.elapsed() < TIMEOUT * 10, "all at the same time");
        assert!(said.iter().all(|(_, said)| said.is_err()), "{said:?}");
    }
}
