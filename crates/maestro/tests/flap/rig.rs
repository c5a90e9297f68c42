//! A cluster with its managers and etcd, and everything that can befall them.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use campanile_ldms::api::producer::PrdcrSetStatus;
use campanile_maestro::keys::Layout;
use campanile_testkit::{Etcd, Signal, cpu_time_of};

use crate::maestro::{CLUSTER, Maestro};
use crate::site::store::{save, store_of};
use crate::site::{Shape, Site};

/// How many managers share the work.
const MAESTROS: usize = 2;
/// The intervals of the samplers, in turns: as they are written, and in microseconds.
const INTERVALS: [(&str, i64); 2] = [("500ms", 500_000), ("400ms", 400_000)];
/// What an end that was asked for may take.
const END: Duration = Duration::from_secs(30);
/// Until everything must be well again; the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long managers that have nothing to do are watched.
const REST: Duration = Duration::from_secs(2);

/// What is hit: one of the daemons whose names begin so, or one of the others by this name.
const SAMPLER: &str = "s";
const ETCD: &str = "etcd";
const MAESTRO: &str = "maestro";
const CONFIGURATION: &str = "configuration";

/// What befalls it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Blow {
    /// SIGKILL, and a start after a while.
    Kill,
    /// SIGSTOP, and SIGCONT after a while.
    Stop,
    /// An end that was asked for, and a start at once.
    Restart,
    /// Another interval of the samplers, saved when the others are back.
    Change,
}

/// All that can be hit, each with all that can befall it, in random order; when all had their turn it begins anew.
pub(crate) struct Deck {
    shape: Shape,
    cards: Vec<(&'static str, Blow)>,
    rng: fastrand::Rng,
}

impl Deck {
    pub(crate) fn new(shape: Shape, seed: u64) -> Self {
        Self { shape, cards: Vec::new(), rng: fastrand::Rng::with_seed(seed) }
    }

    /// Who is hit next, by name, and how.
    fn draw(&mut self) -> (String, Blow) {
        if self.cards.is_empty() {
            let kinds = [SAMPLER, "l1", "l2", "l3", ETCD, MAESTRO];
            let there = kinds.into_iter().filter(|kind| self.count(kind) > 0);
            let all = [Blow::Kill, Blow::Stop, Blow::Restart];
            self.cards = there.flat_map(|kind| all.map(|blow| (kind, blow))).collect();
            self.cards.push((CONFIGURATION, Blow::Change));
            self.rng.shuffle(&mut self.cards);
        }
        let (kind, blow) = self.cards.pop().unwrap();
        let name = match kind {
            ETCD | CONFIGURATION => kind.to_owned(),
            _ => format!("{kind}-{}", self.rng.usize(1..=self.count(kind))),
        };
        (name, blow)
    }

    fn count(&self, kind: &str) -> usize {
        match kind {
            SAMPLER => self.shape.samplers,
            "l1" => self.shape.l1,
            "l2" => self.shape.l2,
            "l3" => self.shape.l3,
            ETCD => 1,
            _ => MAESTROS,
        }
    }

    /// One or two of them, and how long they are away.
    pub(crate) fn round(&mut self) -> (BTreeMap<String, Blow>, Duration) {
        let count = self.rng.usize(1..=2);
        let blows = (0..count).map(|_| self.draw()).collect();
        (blows, Duration::from_millis(self.rng.u64(0..5_000)))
    }
}

/// The cluster, its managers, and etcd.
pub(crate) struct Rig {
    seed: u64,
    /// What is divided: `producers` or `sets`.
    by: &'static str,
    site: Site,
    etcd: Etcd,
    maestros: Vec<Maestro>,
    _dir: tempfile::TempDir,
}

impl Rig {
    /// None where etcd is missing.
    pub(crate) async fn start(shape: Shape, by: &'static str, seed: u64) -> Option<Self> {
        let etcd = Etcd::start(1)?;
        let mut site = Site::new(shape);
        // Waits that are short, so that tests are.
        site.file.extra = "campanile:\n  probe: {interval: 300ms, strikes: 4}\n  \
                           moves: {settle: 500ms, return_per_s: 100}\n"
            .to_owned();
        save(&site, &*store_of(&etcd), &Layout::of(CLUSTER).unwrap()).await;
        let dir = tempfile::tempdir().unwrap();
        let members = dir.path().join("etcd.yaml");
        std::fs::write(&members, etcd.cluster_file()).unwrap();
        let start = |at| Maestro::start(&format!("{MAESTRO}-{at}"), &members, dir.path(), by);
        let maestros = (1..=MAESTROS).map(start).collect();
        Some(Self { seed, by, site, etcd, maestros, _dir: dir })
    }

    fn maestro(&mut self, name: &str) -> Option<&mut Maestro> {
        self.maestros.iter_mut().find(|maestro| maestro.name == name)
    }

    pub(crate) fn strike(&mut self, name: &str, blow: Blow) {
        let process = match name {
            ETCD => Some(&mut self.etcd.members[0]),
            _ => self.maestro(name).map(|maestro| &mut maestro.process),
        };
        match (process, blow) {
            (Some(process), Blow::Kill) => process.kill9(),
            (Some(process), Blow::Stop) => process.signal(Signal::STOP),
            (Some(process), Blow::Restart) => {
                process.stop(END);
                process.restart();
            }
            (None, Blow::Kill) => self.site.daemons.crash(name),
            (None, Blow::Stop) => self.site.daemons.hang(name),
            (None, Blow::Restart) => {
                self.site.daemons.end(name);
                self.site.daemons.restart(name);
            }
            (_, Blow::Change) => {
                let other = if self.site.file.sampler_interval == INTERVALS[0].0 { 1 } else { 0 };
                self.site.file.sampler_interval = INTERVALS[other].0.to_owned();
            }
        }
    }

    pub(crate) async fn mend(&mut self, name: &str, blow: Blow) {
        let process = match name {
            ETCD => Some(&mut self.etcd.members[0]),
            _ => self.maestro(name).map(|maestro| &mut maestro.process),
        };
        match (process, blow) {
            (Some(process), Blow::Kill) => process.restart(),
            (Some(process), Blow::Stop) => process.signal(Signal::CONT),
            (None, Blow::Kill) => self.site.daemons.restart(name),
            (None, Blow::Stop) => self.site.daemons.resume(name),
            (_, Blow::Restart) => {}
            (_, Blow::Change) => {
                save(&self.site, &*store_of(&self.etcd), &Layout::of(CLUSTER).unwrap()).await;
            }
        }
    }

    /// Waits until everything is sampled anew, is collected once on every tier, and the managers find all well. What is
    /// left of the time before does not count: neither samples nor what the managers have not noticed yet.
    pub(crate) async fn whole(&mut self) -> Duration {
        let (began, since) = (Instant::now(), SystemTime::now());
        loop {
            let ended = self.site.daemons.revive();
            if !ended.is_empty() {
                println!("ended by themselves and were started again: {ended:?}");
            }
            let Some(flaw) = self.flaw(since).await else { return began.elapsed() };
            if began.elapsed() > PATIENCE {
                let mut said = format!("CAMPANILE_SEED={}: {flaw}", self.seed);
                for maestro in &self.maestros {
                    said.push('\n');
                    said.push_str(&maestro.testimony().await);
                }
                panic!("{:#?}\n{said}", self.site.sets_everywhere().await);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Nobody works without need: a manager that wakes itself again and again uses a whole core.
    pub(crate) async fn rest(&self) {
        let used = || self.maestros.iter().filter_map(|maestro| cpu_time_of(maestro.process.pid())).collect();
        let (before, began): (Vec<Duration>, _) = (used(), Instant::now());
        tokio::time::sleep(REST).await;
        let (after, most): (Vec<Duration>, _) = (used(), began.elapsed() / 2);
        let restless = before.iter().zip(&after).any(|(before, after)| *after - *before > most);
        assert!(!restless, "CAMPANILE_SEED={}: used {before:?}, {REST:?} later {after:?}", self.seed);
    }

    async fn flaw(&mut self, since: SystemTime) -> Option<String> {
        let Shape { samplers, l1, l2, l3 } = self.site.file.shape;
        let anew = self.site.sampled_since(since).await.len();
        if anew < samplers * 2 {
            return Some(format!("{anew} of {} sets are sampled anew", samplers * 2));
        }
        for maestro in &mut self.maestros {
            if let Some(flaw) = maestro.flaw().await {
                return Some(flaw);
            }
        }
        for (tier, count, below) in [("l1", l1, samplers), ("l2", l2, l1), ("l3", l3, l2)] {
            if count == 0 {
                continue;
            }
            let names: Vec<String> = (1..=count).map(|at| format!("{tier}-{at}")).collect();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let collectors = self.site.collectors(&names).await;
            if collectors.len() != below {
                return Some(format!("{tier} knows {} producers of {below}", collectors.len()));
            }
            // Where sets are divided a sampler may have two collectors, each for a set of it.
            let most = if self.by == "sets" && tier == "l1" { 2 } else { 1 };
            if let Some((producer, by)) = collectors.iter().find(|(_, by)| !(1..=most).contains(&by.len())) {
                return Some(format!("{producer} is collected by {by:?}"));
            }
        }
        if let Some(flaw) = self.sets_of_l1(l1).await {
            return Some(flaw);
        }
        let (_, wanted_us) =
            INTERVALS.into_iter().find(|(text, _)| *text == self.site.file.sampler_interval)?;
        for at in 1..=samplers {
            let sampler = format!("s-{at}");
            let Ok(sets) = self.site.ask(&sampler).await.directory().await else {
                return Some(format!("{sampler} does not answer"));
            };
            let hints: Vec<i64> = sets.iter().filter_map(|set| Some(set.update_hint_us()?.0)).collect();
            if hints != [wanted_us; 2] {
                return Some(format!("{sampler} samples every {hints:?} µs in place of {wanted_us}"));
            }
        }
        None
    }

    /// Each set is updated by one of the first-tier aggregators alone.
    async fn sets_of_l1(&self, l1: usize) -> Option<String> {
        let mut holders: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let recent_s = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() - 2;
        for at in 1..=l1 {
            let name = format!("l1-{at}");
            let Ok(sets) = self.site.ask(&name).await.call(&PrdcrSetStatus::default()).await else {
                return Some(format!("{name} does not answer"));
            };
            for set in
                sets.0.into_iter().filter(|set| set.timestamp_sec.is_some_and(|s| s as u64 >= recent_s))
            {
                holders.entry(set.inst_name).or_default().push(name.clone());
            }
        }
        let doubled = holders.into_iter().find(|(_, by)| by.len() > 1);
        doubled.map(|(set, by)| format!("{set} is updated by {by:?}"))
    }
}
