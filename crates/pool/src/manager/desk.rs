//! The task that owns the memory.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use campanile_control::WorkerHandle;
use campanile_control::journal::{NewEvent, kinds};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::news::{Ask, News};
use super::{Pool, ReadConfig, Sight, note};
use crate::act;
use crate::config::PoolConfig;
use crate::cycle::{Event, Memory, Orders, Seen, turn};
use crate::model::Node;
use crate::record::Kept;
use crate::sides::Sides;

/// News that is taken in at once.
const BATCH: usize = 256;
/// Between a change and the turn that it brings about: several changes make one turn.
const SETTLE: Duration = Duration::from_millis(300);
/// Turns that changes bring about follow each other no faster.
const MIN_BETWEEN: Duration = Duration::from_millis(900);
/// How often the clouds are searched for what has outlived its server.
const SWEEP_EVERY: Duration = Duration::from_secs(600);
/// At the end, orders that are being carried out have this time.
const LAST_ORDERS: Duration = Duration::from_secs(20);
/// After each try to let a worker take jobs again that failed, before the next one.
const UNCORDON_PAUSES: [Duration; 4] =
    [Duration::from_secs(2), Duration::from_secs(8), Duration::from_secs(30), Duration::ZERO];

/// The task that owns the memory.
#[derive(Debug)]
pub struct Desk {
    pool: Arc<Pool>,
    news: mpsc::Receiver<News>,
    memory: Memory,
    read: Reader,
    /// Nodes that could not be written down yet.
    unsaved: BTreeSet<String>,
    seen: Seen,
    plan: crate::plan::Plan,
    turn_ms: u64,
    turns: u64,
    record_trouble: Option<String>,
    config_trouble: Option<String>,
    handle: WorkerHandle,
}

/// Reads the configuration again when a file has changed.
struct Reader {
    read: ReadConfig,
    stamp: Vec<Option<(std::time::SystemTime, u64)>>,
    settings: std::collections::BTreeMap<String, String>,
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Reader").field("stamp", &self.stamp).finish_non_exhaustive()
    }
}

impl Desk {
    pub(super) fn new(pool: Arc<Pool>, news: mpsc::Receiver<News>, memory: Memory, read: ReadConfig) -> Self {
        let stamp = stamp(&pool.config());
        let handle = pool.workers.register("desk");
        let read = Reader { read, stamp, settings: std::collections::BTreeMap::new() };
        Self {
            pool,
            news,
            memory,
            read,
            unsaved: BTreeSet::new(),
            seen: Seen::default(),
            plan: crate::plan::Plan::default(),
            turn_ms: 0,
            turns: 0,
            record_trouble: None,
            config_trouble: None,
            handle,
        }
    }

    /// Works until `stop` is ready, and gives its output; before that it waits for the orders that are being carried
    /// out. `after_turn` is called after each turn.
    pub async fn run<T>(&mut self, stop: impl Future<Output = T>, after_turn: impl Fn(&Pool)) -> T {
        tokio::pin!(stop);
        let pool = Arc::clone(&self.pool);
        let mut sweep = tokio::time::interval(SWEEP_EVERY);
        sweep.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut due = Instant::now();
        let mut earliest = due;
        loop {
            // A look and the news that come in meanwhile go on side by side.
            let (sides, config) = (pool.sides(), pool.config());
            let look = async {
                tokio::time::sleep_until(earliest).await;
                tokio::select! {
                    () = tokio::time::sleep_until(due) => {}
                    () = pool.changed.notified() => tokio::time::sleep(SETTLE).await,
                }
                pool.observers.look(&sides, &config).await
            };
            let seen = {
                tokio::pin!(look);
                loop {
                    let mut batch = Vec::with_capacity(BATCH);
                    tokio::select! {
                        output = &mut stop => {
                            self.finish().await;
                            return output;
                        }
                        count = self.news.recv_many(&mut batch, BATCH) => {
                            if count > 0 {
                                self.take_in(batch).await;
                            }
                        }
                        _ = sweep.tick() => {
                            for cloud in &sides.clouds {
                                pool.sweep_soon(cloud.name());
                            }
                            self.drop_old().await;
                        }
                        seen = &mut look => break seen,
                    }
                }
            };
            self.handle.busy("a turn");
            if self.reload().await {
                // What was seen belongs to the sides from before.
                due = Instant::now();
                continue;
            }
            self.turn(seen).await;
            after_turn(&pool);
            self.handle.idle();
            self.start_sweeps();
            let step = Duration::from_millis(pool.config().step_ms);
            earliest = Instant::now() + MIN_BETWEEN.min(step);
            due = Instant::now() + step;
        }
    }

    /// One turn: decide, write down, order.
    async fn turn(&mut self, seen: Seen) {
        let config = self.pool.config();
        let before = self.memory.clone();
        let turn = turn(&mut self.memory, &seen, &config);
        let kept = self.kept_if_changed(&before);
        if let Err(trouble) = self.save(&turn.changed, kept.as_ref()).await {
            // Nothing is done that is not written down: the turn has not happened.
            self.memory = before;
            self.trouble(trouble);
            self.show();
            return;
        }
        self.turns += 1;
        self.turn_ms = seen.now_ms;
        self.seen = seen;
        self.plan = turn.plan;
        for event in &turn.events {
            self.tell(event);
        }
        self.show();
        for orders in turn.orders {
            self.order(orders);
        }
    }

    fn order(&self, orders: Orders) {
        if !self.pool.claim(&orders.node) {
            // What it has to do is still being done; a later turn orders again what is left.
            return;
        }
        self.pool.act_handle.busy(&orders.node);
        tokio::spawn(act::carry_out(Arc::clone(&self.pool), orders));
    }

    /// Takes in what has come of orders, and what is asked for.
    async fn take_in(&mut self, batch: Vec<News>) {
        let now_ms = self.pool.time.now_ms();
        let before = self.memory.clone();
        let mut changed: Vec<Node> = Vec::new();
        let mut replies: Vec<Box<dyn FnOnce(bool) + Send>> = Vec::new();
        for news in batch {
            let outcome = match news {
                News::Created { node, answer } => self.memory.created(&node, &answer, now_ms),
                News::NotAdmitted { node, why } => self.memory.not_admitted(&node, &why, now_ms),
                News::Drained { node, answer } => self.memory.drained(&node, answer, now_ms),
                News::Handle { node, handle, reply } => {
                    if let Some(node) = self.memory.node_mut(&node) {
                        node.worker_handle = Some(handle);
                        changed.push(node.clone());
                    }
                    replies.push(Box::new(move |saved| {
                        let _ = reply.send(saved);
                    }));
                    None
                }
                News::Ask { ask, reply } => {
                    let answer = self.asked(&ask, now_ms, &mut changed);
                    replies.push(Box::new(move |saved| {
                        let lost =
                            "it is done, and cannot be written down: it is forgotten at the next start";
                        let answer = if saved { answer } else { answer.and(Err(lost.to_owned())) };
                        let _ = reply.send(answer);
                    }));
                    None
                }
            };
            if let Some((node, event)) = outcome {
                note(&self.pool, &node, &event);
                changed.push(node);
            }
        }
        let kept = self.kept_if_changed(&before);
        let saved = self.save(&changed, kept.as_ref()).await;
        let is_saved = saved.is_ok();
        if let Err(trouble) = saved {
            // These are facts; they are kept in mind and written down later.
            self.unsaved.extend(changed.into_iter().map(|node| node.name));
            self.trouble(trouble);
        }
        self.show();
        for reply in replies {
            reply(is_saved);
        }
    }

    fn asked(&mut self, ask: &Ask, now_ms: u64, changed: &mut Vec<Node>) -> Result<String, String> {
        let config = self.pool.config();
        let controls = &mut self.memory.controls;
        let answer = match ask {
            Ask::Pause => {
                controls.paused = true;
                "paused: nothing is created or removed until `resume`".to_owned()
            }
            Ask::Resume => {
                controls.paused = false;
                "resumed".to_owned()
            }
            Ask::Scale { min, max, spare, reset } => {
                if *reset {
                    (controls.nodes_min, controls.nodes_max, controls.nodes_spare) = (None, None, None);
                }
                if max.is_some_and(|max| max > config.sizes.nodes_max) {
                    return Err(format!("`nodes_max` of the configuration is {}", config.sizes.nodes_max));
                }
                controls.nodes_min = min.or(controls.nodes_min);
                controls.nodes_max = max.or(controls.nodes_max);
                controls.nodes_spare = spare.or(controls.nodes_spare);
                let sizes = &config.sizes;
                let min = controls.nodes_min.unwrap_or(sizes.nodes_min);
                let max = controls.nodes_max.unwrap_or(sizes.nodes_max);
                if min > max {
                    (controls.nodes_min, controls.nodes_max) = (None, None);
                    return Err(format!(
                        "{min} nodes at least and {max} at most is no range; both are as configured"
                    ));
                }
                let spare = controls.nodes_spare.unwrap_or(sizes.nodes_spare);
                format!("at least {min}, at most {max}, {spare} spare nodes")
            }
            Ask::Drain(name) => {
                let node = self.memory.ask_gone(name, now_ms)?;
                changed.push(node);
                self.pool.tell(name, "is to go, by an operator's word".to_owned(), false);
                format!("{name} finishes its jobs and is removed then")
            }
            Ask::Cordon(name, cordoned) => {
                let node = self.memory.node_mut(name).ok_or_else(|| format!("there is no node {name}"))?;
                node.cordoned = *cordoned;
                changed.push(node.clone());
                if *cordoned {
                    format!("{name} takes no new jobs and is kept")
                } else {
                    self.uncordon(name);
                    format!("{name} takes jobs again")
                }
            }
        };
        self.pool.journal.record(NewEvent::new(kinds::REQUEST, "pool", answer.clone()));
        self.pool.changed.notify_one();
        Ok(answer)
    }

    fn uncordon(&self, name: &str) {
        let worker = self.seen.workers.iter().flatten().find(|worker| {
            self.memory.nodes.iter().any(|node| {
                node.name == name && node.worker_handle.as_deref() == Some(worker.handle.as_str())
            })
        });
        let (Some(worker), batch) = (worker.cloned(), self.pool.sides().batch) else { return };
        let (pool, name) = (Arc::clone(&self.pool), name.to_owned());
        tokio::spawn(async move {
            // A worker that has just joined can be out of reach for a moment.
            for pause in UNCORDON_PAUSES {
                let Err(error) = batch.cancel_drain(&worker).await else { break };
                pool.tell(&name, format!("it could not be told to take jobs again: {error}"), true);
                tokio::time::sleep(pause).await;
            }
            pool.changed.notify_one();
        });
    }

    fn kept_if_changed(&self, before: &Memory) -> Option<Kept> {
        let kept =
            |memory: &Memory| Kept { controls: memory.controls, last_cloud: memory.last_cloud.clone() };
        let now = kept(&self.memory);
        (now != kept(before)).then_some(now)
    }

    /// Writes nodes down, and with them those that could not be written down before.
    async fn save(&mut self, changed: &[Node], kept: Option<&Kept>) -> Result<(), String> {
        let late = self.memory.nodes.iter().filter(|node| self.unsaved.contains(&node.name));
        let mut all: Vec<Node> = late.cloned().collect();
        all.extend_from_slice(changed);
        match self.pool.record.save(&all, kept).await {
            Ok(()) => {
                self.unsaved.clear();
                if self.record_trouble.take().is_some() {
                    self.pool.tell("record", "the record can be written again".to_owned(), false);
                }
                Ok(())
            }
            Err(error) => Err(with_source(&error)),
        }
    }

    fn trouble(&mut self, trouble: String) {
        self.handle.error(&trouble);
        if self.record_trouble.as_ref() != Some(&trouble) {
            self.pool.tell("record", format!("{trouble}: nothing is begun until it can be written"), true);
        }
        self.record_trouble = Some(trouble);
    }

    fn tell(&self, event: &Event) {
        let subject = event.node.as_deref().unwrap_or("pool");
        self.pool.tell(subject, event.text.clone(), event.is_alarm);
    }

    fn show(&self) {
        self.pool.show(Sight {
            memory: self.memory.clone(),
            seen: self.seen.clone(),
            plan: self.plan.clone(),
            turn_ms: self.turn_ms,
            turns: self.turns,
            record_trouble: self.record_trouble.clone(),
            config_trouble: self.config_trouble.clone(),
        });
    }

    /// Reads the configuration again if it has changed. Says whether the clouds or the batch system are others now.
    async fn reload(&mut self) -> bool {
        let config = self.pool.config();
        let mut settings = std::collections::BTreeMap::new();
        if config.use_db_settings {
            match self.pool.record.settings().await {
                Ok(found) => settings = found,
                Err(error) => {
                    self.handle.error(&with_source(&error));
                    settings.clone_from(&self.read.settings);
                }
            }
        }
        let stamp = stamp(&config);
        if stamp == self.read.stamp && settings == self.read.settings {
            return false;
        }
        (self.read.stamp, self.read.settings) = (stamp, settings.clone());
        let read = Arc::clone(&self.read.read);
        let read = tokio::task::spawn_blocking(move || read(&settings)).await;
        let Ok((fresh, diagnostics)) = read else { return false };
        let Some(fresh) = fresh else {
            let lines: Vec<String> = diagnostics.iter().map(campanile_yaml::Diagnostic::one_line).collect();
            self.refuse(lines);
            return false;
        };
        self.put_in_force(&config, fresh).await
    }

    async fn put_in_force(&mut self, old: &PoolConfig, fresh: PoolConfig) -> bool {
        if fresh.mark != old.mark || fresh.database != old.database {
            self.refuse(vec![
                "`project_prefix`, `hostname` and `database` take effect at the next start only".to_owned(),
            ]);
            return false;
        }
        let mut others = false;
        if fresh.clouds != old.clouds || fresh.batch != old.batch {
            let state_dir = self.pool.state_dir();
            match Sides::open(&fresh, &state_dir).await {
                Ok(sides) => {
                    *self.pool.sides.write().unwrap_or_else(PoisonError::into_inner) = sides;
                    self.pool.observers.forget();
                    others = true;
                }
                Err(problems) => {
                    self.refuse(problems);
                    return false;
                }
            }
        }
        *self.pool.config.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(fresh);
        self.config_trouble = None;
        tracing::info!("the configuration was read again");
        self.pool.journal.record(NewEvent::new(kinds::CONFIG, "pool", "the configuration was read again"));
        others
    }

    fn refuse(&mut self, lines: Vec<String>) {
        let text =
            format!("the changed configuration is refused, the last good one stays: {}", lines.join("; "));
        tracing::warn!("{text}");
        self.pool.journal.record(NewEvent::new(kinds::CONFIG, "pool", text.clone()));
        self.config_trouble = Some(text);
        self.show();
    }

    fn start_sweeps(&self) {
        let due = self.pool.take_sweeps();
        for cloud in self.pool.sides().clouds.into_iter().filter(|cloud| due.contains(cloud.name())) {
            let pool = Arc::clone(&self.pool);
            tokio::spawn(async move {
                let handle = pool.loop_handle(&format!("sweep {}", cloud.name()));
                handle.busy("looking for what has outlived its server");
                if let Err(problem) = act::sweep(&pool, cloud.as_ref()).await {
                    tracing::warn!(cloud = cloud.name(), "sweep: {problem}");
                    handle.error(&problem);
                }
                handle.idle();
            });
        }
    }

    async fn drop_old(&self) {
        if let Err(error) = self.pool.record.forget_old(self.pool.time.now_ms()).await {
            self.handle.error(&with_source(&error));
        }
    }

    /// The end in good order: what was begun is finished and written down; the nodes stay.
    async fn finish(&mut self) {
        let finished = async {
            loop {
                let mut batch = Vec::new();
                while let Ok(news) = self.news.try_recv() {
                    batch.push(news);
                }
                if !batch.is_empty() {
                    self.take_in(batch).await;
                }
                if self.pool.orders_in_flight() == 0 && self.news.is_empty() {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let _ = tokio::time::timeout(LAST_ORDERS, finished).await;
    }
}

/// When each file was changed last, and its size.
fn stamp(config: &PoolConfig) -> Vec<Option<(std::time::SystemTime, u64)>> {
    let of = |path: &std::path::PathBuf| {
        let metadata = std::fs::metadata(path).ok()?;
        Some((metadata.modified().ok()?, metadata.len()))
    };
    config.files.iter().map(of).collect()
}

/// An error and what is behind it, in one line.
pub(crate) fn with_source(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}
