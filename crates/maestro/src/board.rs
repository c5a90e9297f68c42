//! Several managers of one cluster: who leads, who carries out what, and what the leader has decided.
//!
//! **Expected flow.** Each holds a session on the store and announces itself under it. One of them holds the key
//! `leader`; it alone decides who carries what and writes that down, group by group. The requests for a daemon are sent
//! by the one member to whom its name falls ([`share`]), and he alone watches it, so that all work. What the others need
//! to know of it he writes down under his session ([`Saying`]): so whoever has to take over knows everything already, and
//! touches nothing that is as it should be. One manager alone writes nothing of that.
//!
//! **Guarantees.** A leader that dies is replaced when its session ends, [`SESSION_TTL_MS`] after its last sign of life.
//! Whoever has no valid session, because the store has no majority or cannot be reached, changes nothing.

mod news;
mod share;
mod wishes;

pub use news::Saying;
pub use share::share;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use campanile_control::WorkerHandle;
use campanile_control::journal::{NewEvent, kinds};
use campanile_store::{
    Change, Committed, Expect, KeyEvent, Prefix, Session, Store, StoreError, Watch, WatchEvent,
};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use crate::conductor::Wish;
use crate::coverage::Coverage;
use crate::manager::{Given, Manager, Membership};

use news::{MAX_BYTES, MAX_KEYS, News};
use wishes::{Drained, Names};

/// A member that has shown no sign of life for this time is taken for dead.
pub const SESSION_TTL_MS: u64 = 2_500;
/// Waits before a store that cannot be reached is tried again.
const RETRY: Duration = Duration::from_millis(500);
/// The key of the aggregators that are to carry nothing: a list in JSON.
const DRAINED: &str = "drained";
/// The key that is written when the load is to be evened now: who was asked, and how often so far.
const LEVEL: &str = "level";
/// The key of what the leader has measured at the top.
const COVERAGE: &str = "coverage";
/// It is written at most this often.
const COVERAGE_EVERY: Duration = Duration::from_secs(5);
/// How often the leader looks whether it has decided something, and the others whether there is one.
const EVERY: Duration = Duration::from_millis(100);

/// What is known of the others.
#[derive(Default)]
struct Known {
    members: BTreeSet<String>,
    leader: Option<String>,
    /// What the leader asks for, by aggregator.
    wishes: BTreeMap<String, Wish>,
    /// Aggregators that are to carry nothing, and the text of it in the store.
    drained: Option<(Names, String)>,
}

/// What operators have asked this manager for.
#[derive(Default)]
struct Wishes {
    drained: Drained,
    levels: u64,
}

/// What this manager has told the others since it has met them.
struct Part {
    began: Instant,
    leading: bool,
    news: News,
    /// The generations of what it has decided, by group.
    published: BTreeMap<String, u64>,
    /// The share of which it has told everything: a number for it.
    met: Option<u64>,
    /// As a leader: what it asks for, by aggregator, and what it has measured.
    wishes: BTreeMap<String, String>,
    coverage: Option<(Instant, Coverage)>,
}

impl Part {
    fn new() -> Self {
        Self {
            began: Instant::now(),
            leading: false,
            news: News::default(),
            published: BTreeMap::new(),
            met: None,
            wishes: BTreeMap::new(),
            coverage: None,
        }
    }

    fn lead(&mut self, leads: bool) {
        self.leading = leads;
        self.published.clear();
        self.wishes.clear();
        self.coverage = None;
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn has_due(&self) -> bool {
        self.news.has_due(self.now_ms())
    }
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
        manager.set_membership(&Membership { id: id.clone(), ..Membership::default() });
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
        let mut known = Known::default();
        let mut watch = self.read(&mut known).await?;
        let mut part = Part::new();
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            self.worker.idle();
            let more = part.has_due();
            tokio::select! {
                () = session.ended() => return Ok(()),
                event = watch.next() => match event {
                    Some(WatchEvent::Changed { keys, .. }) => {
                        let level = |event: &KeyEvent| {
                            event.value.is_some() && self.prefix.strip(&event.key) == Some(LEVEL)
                        };
                        if part.leading && keys.iter().any(level) {
                            self.manager.level_now();
                        }
                        self.take(&mut known, keys);
                    }
                    Some(WatchEvent::Resync { .. }) | None => watch = self.read(&mut known).await?,
                    Some(WatchEvent::Away { reason }) => self.worker.error(&reason),
                    Some(WatchEvent::Back) => {}
                },
                () = self.manager.has_news() => {}
                () = std::future::ready(()), if more => {}
                _ = ticks.tick() => {}
            }
            if !session.is_valid() {
                return Ok(());
            }
            if known.leader.is_none() && session.acquire(&self.prefix.key("leader"), &self.id).await? {
                known.leader = Some(self.id.clone());
            }
            let leads = known.leader.as_deref() == Some(&*self.id);
            if leads != part.leading {
                self.note(if leads { "leads the managers of this cluster" } else { "leads no longer" });
                part.lead(leads);
            }
            known.members.insert(self.id.clone());
            self.meet(&known);
            self.share_wishes(wishes, &mut known, leads).await?;
            self.manager.set_hands_off(false);
            let alone = known.members.len() == 1;
            tokio::select! {
                () = session.ended() => return Ok(()),
                told = self.tell(session, &mut part, alone) => told?,
            }
            if leads {
                self.publish(&mut part.published).await?;
            }
        }
    }

    /// Says to the manager who is there.
    fn meet(&self, known: &Known) {
        let (id, members, leader) = (self.id.clone(), known.members.clone(), known.leader.clone());
        self.manager.set_membership(&Membership { id, members, leader });
    }

    async fn read(&self, known: &mut Known) -> Result<Watch, StoreError> {
        let snapshot = self.store.read(&self.prefix).await?;
        *known = Known::default();
        let keys = snapshot.keys.into_iter().map(|(key, value)| KeyEvent { key, value: Some(value) });
        self.take(known, keys.collect());
        self.store.watch(&self.prefix, snapshot.revision).await
    }

    /// Takes in what has changed: first who is there, since only what a daemon's own manager tells of it counts.
    fn take(&self, known: &mut Known, events: Vec<KeyEvent>) {
        let mut given: BTreeMap<String, Given> = BTreeMap::new();
        let mut sayings = Vec::new();
        let mut coverage = None;
        for KeyEvent { key, value } in events {
            let Some(rest) = self.prefix.strip(&key) else { continue };
            if rest == "leader" {
                known.leader = value;
            } else if rest == DRAINED {
                known.drained = value.map(|text| (serde_json::from_str(&text).unwrap_or_default(), text));
            } else if rest == COVERAGE {
                coverage = value;
            } else if let Some(member) = rest.strip_prefix("members/") {
                match value {
                    Some(_) => known.members.insert(member.to_owned()),
                    None => known.members.remove(member),
                };
            } else if let Some(group) = rest.strip_prefix("assigned/") {
                if let Some(held) = value.and_then(|text| serde_json::from_str(&text).ok()) {
                    given.entry(group.to_owned()).or_default().held = Arc::new(held);
                }
            } else if let Some(group) = rest.strip_prefix("handing/") {
                if let Some(handing) = value.and_then(|text| serde_json::from_str(&text).ok()) {
                    given.entry(group.to_owned()).or_default().handing = handing;
                }
            } else if let Some(rest) = rest.strip_prefix("seen/") {
                // What is no longer told was true when it was, and holds until somebody knows better.
                if let (Some((member, _)), Some(value)) = (rest.split_once('/'), value)
                    && member != self.id
                {
                    sayings.push((member.to_owned(), value));
                }
            } else if let Some(aggregator) = rest.strip_prefix("renew/") {
                let now: Wish = value.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
                let before = known.wishes.insert(aggregator.to_owned(), now.clone()).unwrap_or_default();
                self.manager.wish(aggregator, &before, &now);
            }
        }
        known.members.insert(self.id.clone());
        self.meet(known);
        let heard = sayings.into_iter().filter_map(|(member, text)| {
            let saying: Saying = serde_json::from_str(&text).ok()?;
            (share(&known.members, &saying.daemon) == Some(&member)).then_some(saying)
        });
        self.manager.hear(heard.collect());
        if known.leader.as_deref() != Some(&*self.id) {
            given.into_iter().for_each(|(group, given)| self.manager.follow(&group, given));
            if let Some(coverage) = coverage.and_then(|text| serde_json::from_str(&text).ok()) {
                self.manager.hear_coverage(coverage);
            }
        }
    }

    /// Writes down what the others are to know of the daemons of this manager, and what a leader has to tell them.
    async fn tell(&self, session: &dyn Session, part: &mut Part, alone: bool) -> Result<(), StoreError> {
        let key = |daemon: &str| self.prefix.key(&format!("seen/{}/{}", self.id, file_name(daemon)));
        let untold = self.manager.take_untold();
        let mine = self.manager.mine_since(&mut part.met, alone);
        if let Some(mine) = mine {
            for gone in part.news.keep(&mine).chunks(MAX_KEYS) {
                let deletes = gone.iter().map(|daemon| key(daemon)).collect();
                self.put_all(session, Change { deletes, ..Change::default() }).await?;
            }
            part.news.changed(mine, part.now_ms());
        }
        if alone {
            part.coverage = None;
            return Ok(());
        }
        part.news.changed(untold, part.now_ms());
        loop {
            let mut change = Change::default();
            let due = part.news.due(part.now_ms());
            let mut bytes = 0;
            for (daemon, saying) in due.iter().zip(self.manager.sayings(&due)) {
                let Some(saying) = saying else {
                    part.news.skip(daemon);
                    continue;
                };
                let text = serde_json::to_string(&saying).unwrap_or_default();
                if text.len() > MAX_BYTES {
                    self.worker
                        .error(&format!("there is too much to tell of {daemon}: {} bytes", text.len()));
                    part.news.skip(daemon);
                    continue;
                }
                if bytes > 0 && bytes + text.len() > MAX_BYTES {
                    break;
                }
                if part.news.offer(saying, part.now_ms()) {
                    bytes += text.len();
                    change.puts.insert(key(daemon), text);
                }
            }
            self.put_all(session, change).await?;
            // What a leader decides comes after what it has decided by.
            if !part.leading || !part.has_due() {
                break;
            }
        }
        if part.leading {
            self.tell_as_leader(session, part).await?;
        }
        Ok(())
    }

    async fn tell_as_leader(&self, session: &dyn Session, part: &mut Part) -> Result<(), StoreError> {
        let mut change = Change::default();
        let wishes: BTreeMap<String, String> = self
            .manager
            .wishes()
            .into_iter()
            .map(|(daemon, wish)| (file_name(&daemon), serde_json::json!(wish).to_string()))
            .collect();
        let all = Change::between(&part.wishes, &wishes);
        let key = |daemon: &String| self.prefix.key(&format!("renew/{daemon}"));
        change.puts.extend(all.puts.iter().map(|(daemon, text)| (key(daemon), text.clone())));
        change.deletes.extend(all.deletes.iter().map(key));
        part.wishes = wishes;
        let due = part.coverage.as_ref().is_none_or(|(at, _)| at.elapsed() >= COVERAGE_EVERY);
        if due && let Some(coverage) = self.manager.coverage() {
            if part.coverage.as_ref().is_none_or(|(_, told)| *told != coverage) {
                change.puts.insert(self.prefix.key(COVERAGE), serde_json::json!(coverage).to_string());
            }
            part.coverage = Some((Instant::now(), coverage));
        }
        self.put_all(session, change).await
    }

    async fn put_all(&self, session: &dyn Session, change: Change) -> Result<(), StoreError> {
        if !change.is_empty() {
            session.commit(&change).await?;
        }
        Ok(())
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
        for (group, generation, given) in self.manager.decided(published) {
            let key = |kind: &str| self.prefix.key(&format!("{kind}/{}", file_name(&group)));
            let mut change =
                Change::default().guarded(self.prefix.key("leader"), Expect::Value(self.id.clone()));
            change.puts.insert(key("assigned"), serde_json::json!(*given.held).to_string());
            change.puts.insert(key("handing"), serde_json::json!(given.handing).to_string());
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
