//! Several managers of one cluster: who leads, who carries out what, and what the leader has decided.
//!
//! **Expected flow.** Each holds a session on the store and announces itself under it. One of them holds the key
//! `leader`; it alone decides who carries what and writes that down, group by group. The requests for a daemon are sent
//! by the one member to whom its name falls ([`share`]), so that all work. All watch all daemons: whoever has to take
//! over knows everything already, and touches nothing that is as it should be.
//!
//! **Guarantees.** A leader that dies is replaced when its session ends, [`SESSION_TTL_MS`] after its last sign of life.
//! Whoever has no valid session, because the store has no majority or cannot be reached, changes nothing.

mod wishes;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use campanile_control::WorkerHandle;
use campanile_control::journal::{NewEvent, kinds};
use campanile_control::state_dir::fnv1a;
use campanile_store::{Change, Committed, Expect, Prefix, Session, Store, StoreError, Watch, WatchEvent};
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::manager::Manager;

use wishes::{Drained, Names};

/// A member that has shown no sign of life for this time is taken for dead.
pub const SESSION_TTL_MS: u64 = 2_500;
/// Waits before a store that cannot be reached is tried again.
const RETRY: Duration = Duration::from_millis(500);
/// The key of the aggregators that are to carry nothing: a list in JSON.
const DRAINED: &str = "drained";
/// The key that is written when the load is to be evened now: who was asked, and how often so far.
const LEVEL: &str = "level";
/// How often the leader looks whether it has decided something, and the others whether there is one.
const EVERY: Duration = Duration::from_millis(100);

/// To which of the members a daemon falls: as evenly as a hash does, and when a member goes only its daemons move.
#[must_use]
pub fn share<'m>(members: &'m BTreeSet<String>, daemon: &str) -> Option<&'m String> {
    members.iter().max_by_key(|member| mixed(fnv1a(format!("{member}\u{0}{daemon}").as_bytes())))
}

/// The upper bits of FNV-1a hardly depend on the last bytes, and the largest value is decided by them: the finalizer of
/// MurmurHash3 spreads every bit over all.
fn mixed(hash: u64) -> u64 {
    let hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let hash = (hash ^ (hash >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    hash ^ (hash >> 33)
}

/// What is known of the others.
#[derive(Default)]
struct Known {
    members: BTreeSet<String>,
    leader: Option<String>,
    assigned: BTreeMap<String, String>,
    /// Aggregators that are to carry nothing, and the text of it in the store.
    drained: Option<(Names, String)>,
}

/// What operators have asked this manager for.
#[derive(Default)]
struct Wishes {
    drained: Drained,
    levels: u64,
}

/// The place where the managers of a cluster meet.
pub struct Board {
    store: Arc<dyn Store>,
    prefix: Prefix,
    id: String,
    manager: Manager,
    worker: WorkerHandle,
}

impl Board {
    /// The board below `prefix` for the manager called `id`, which must be unique. From now on the manager does nothing
    /// that it has not agreed on with the others.
    #[must_use]
    pub fn new(
        store: Arc<dyn Store>,
        prefix: Prefix,
        id: String,
        manager: Manager,
        worker: WorkerHandle,
    ) -> Self {
        manager.set_role(false, &|_| false);
        manager.set_hands_off(true);
        Self { store, prefix, id, manager, worker }
    }

    /// Takes part for as long as it is not dropped.
    pub async fn run(self) {
        let mut wishes = Wishes { levels: self.manager.levels(), ..Wishes::default() };
        loop {
            self.worker.busy("joining the other managers");
            self.manager.set_hands_off(true);
            match self.store.open_session(SESSION_TTL_MS).await {
                Ok(session) => {
                    if let Err(error) = self.take_part(&*session, &mut wishes).await {
                        self.worker.error(&error.to_string());
                    }
                    self.manager.set_hands_off(true);
                    self.note(
                        "the store is out of reach, or has no majority: nothing is changed until it is back",
                    );
                    session.close().await;
                }
                Err(error) => self.worker.error(&error.to_string()),
            }
            sleep(RETRY).await;
        }
    }

    fn note(&self, text: &str) {
        tracing::info!("{text}");
        if let Some(journal) = self.manager.journal() {
            journal.record(NewEvent::new(kinds::DAEMON, self.id.clone(), text));
        }
    }

    /// Until the session ends.
    async fn take_part(&self, session: &dyn Session, wishes: &mut Wishes) -> Result<(), StoreError> {
        session.put(&self.prefix.key(&format!("members/{}", self.id)), "").await?;
        let (mut known, mut watch) = self.read().await?;
        let mut published: BTreeMap<String, u64> = BTreeMap::new();
        let mut leading = false;
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            self.worker.idle();
            tokio::select! {
                () = session.ended() => return Ok(()),
                event = watch.next() => match event {
                    Some(WatchEvent::Changed { keys, .. }) => {
                        for event in keys {
                            let level = self.prefix.strip(&event.key) == Some(LEVEL);
                            if level && leading && event.value.is_some() {
                                self.manager.level_now();
                            }
                            self.take(&mut known, &event.key, event.value);
                        }
                    }
                    Some(WatchEvent::Resync { .. }) | None => (known, watch) = self.read().await?,
                    Some(WatchEvent::Away { reason }) => self.worker.error(&reason),
                    Some(WatchEvent::Back) => {}
                },
                _ = ticks.tick() => {}
            }
            if !session.is_valid() {
                return Ok(());
            }
            if known.leader.is_none() && session.acquire(&self.prefix.key("leader"), &self.id).await? {
                known.leader = Some(self.id.clone());
            }
            let leads = known.leader.as_deref() == Some(&*self.id);
            if leads != leading {
                self.note(if leads { "leads the managers of this cluster" } else { "leads no longer" });
                leading = leads;
                published.clear();
            }
            known.members.insert(self.id.clone());
            let members = &known.members;
            self.manager.set_role(leads, &|daemon| share(members, daemon) == Some(&self.id));
            self.share_wishes(wishes, &mut known, leads).await?;
            self.manager.set_hands_off(false);
            if leads {
                self.publish(&mut published).await?;
            }
        }
    }

    async fn read(&self) -> Result<(Known, Watch), StoreError> {
        let snapshot = self.store.read(&self.prefix).await?;
        let mut known = Known::default();
        for (key, value) in snapshot.keys {
            self.take(&mut known, &key, Some(value));
        }
        Ok((known, self.store.watch(&self.prefix, snapshot.revision).await?))
    }

    fn take(&self, known: &mut Known, key: &str, value: Option<String>) {
        let Some(rest) = self.prefix.strip(key) else { return };
        if rest == "leader" {
            known.leader = value;
        } else if rest == DRAINED {
            known.drained = value.map(|text| (serde_json::from_str(&text).unwrap_or_default(), text));
        } else if let Some(member) = rest.strip_prefix("members/") {
            match value {
                Some(_) => known.members.insert(member.to_owned()),
                None => known.members.remove(member),
            };
        } else if let Some(group) = rest.strip_prefix("assigned/")
            && let Some(value) = value
        {
            if known.leader.as_deref() != Some(&*self.id)
                && let Ok(held) = serde_json::from_str(&value)
            {
                self.manager.import(group, &held);
            }
            known.assigned.insert(group.to_owned(), value);
        }
    }

    /// Tells the others what operators have asked this manager for, and does what they have asked the others for.
    async fn share_wishes(
        &self,
        wishes: &mut Wishes,
        known: &mut Known,
        leads: bool,
    ) -> Result<(), StoreError> {
        let own = self.manager.drained();
        let all = wishes.drained.settle(known.drained.as_ref().map(|(names, _)| names), &own);
        let stored = known.drained.as_ref().map(|(names, _)| names == &all).unwrap_or(all.is_empty());
        if !stored {
            let key = self.prefix.key(DRAINED);
            let text = serde_json::json!(all).to_string();
            let expect =
                known.drained.as_ref().map_or(Expect::Absent, |(_, text)| Expect::Value(text.clone()));
            let mut change = Change::default().guarded(key.clone(), expect);
            change.puts.insert(key, text.clone());
            if self.store.commit(&change).await? == Committed::Conflict {
                // Somebody else was asked at the same time; his wish is on its way here.
                return Ok(());
            }
            known.drained = Some((all.clone(), text));
        }
        if all != own {
            self.manager.set_drained(&all);
        }
        wishes.drained.agree(all);
        let levels = self.manager.levels();
        if levels != wishes.levels && !leads {
            let mut change = Change::default();
            change.puts.insert(self.prefix.key(LEVEL), format!("{} {levels}", self.id));
            self.store.commit(&change).await?;
        }
        wishes.levels = levels;
        Ok(())
    }

    /// Writes down what has been decided since the last time, for as long as it leads.
    async fn publish(&self, published: &mut BTreeMap<String, u64>) -> Result<(), StoreError> {
        for (group, generation, held) in self.manager.decided(published) {
            let key = self.prefix.key(&format!("assigned/{}", file_name(&group)));
            let mut change =
                Change::default().guarded(self.prefix.key("leader"), Expect::Value(self.id.clone()));
            change.puts.insert(key, serde_json::json!(held).to_string());
            self.store.commit(&change).await?;
            published.insert(group, generation);
        }
        Ok(())
    }
}

/// A group's text as one part of a key.
pub(crate) fn file_name(group: &str) -> String {
    campanile_control::state_dir::file_name(group)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn when_a_member_goes_only_its_daemons_move() {
        let three: BTreeSet<String> = ["a", "b", "c"].map(str::to_owned).into();
        let two: BTreeSet<String> = ["a", "c"].map(str::to_owned).into();
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for at in 0..3_000 {
            let daemon = format!("sampler-{at}");
            let (before, after) = (share(&three, &daemon).unwrap(), share(&two, &daemon).unwrap());
            assert!(before == "b" || before == after);
            *counts.entry(before).or_default() += 1;
        }
        assert!(counts.values().all(|count| (700..1_300).contains(count)), "{counts:?}");
    }
}
