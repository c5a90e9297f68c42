//! The decision about one daemon: which requests close the gap between what it should have and what it has. Pure.
//!
//! **Expected flow.** Look at the daemon ([`crate::seen`]), decide, send the steps in order on its connection, look
//! again at what they touched; until a plan is empty. [`Plan::recheck_ms`] asks for another look without steps: a
//! producer is still STOPPING, or something refused is to be tried again.
//!
//! **Guarantees.**
//! * Nothing that is as it should be is touched: a producer that stays is never stopped (F2), an updater that is right
//!   is never stopped, deleted or added (F4), a plugin that runs as configured is left alone (F1, F17).
//! * A producer is started only where nobody else within reach still collects it, unless that one lends it until its
//!   sets are there, and only when it is startable; one that is STOPPING is waited for (F3).
//! * What is not the cluster's is left alone: only names that the configuration has, or once had, are touched.
//! * A refusal holds up the refused step alone, for a while that grows; the rest goes on (F4).
//!
//! **Assumptions.** The steps of a plan may have been carried out in part; the next look shows it.
//!
//! **Architecture invariant:** no clock, no I/O, no randomness, no tokio in this file or in what it uses.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use campanile_ldms::api::{Call as _, Request, daemon};
use campanile_ldms::command;
use campanile_ldms::wire::errno;
use campanile_ldms::wire::ids::{AttrId, RequestId};
use campanile_ldms::wire::record::Attribute;

use crate::model::{Daemon, Desired, Domain, Group, Name};
use crate::seen::Seen;

mod objects;
mod plugins;
mod producers;
mod regex;
mod stores;
mod updaters;

pub use regex::{escape, exactly, names_of};

/// While a producer is STOPPING it is looked at again after this time.
pub const STOPPING_RECHECK_MS: u64 = 50;
/// A refused step is tried again after this time, then after twice that, up to [`MAX_RETRY_MS`].
pub const FIRST_RETRY_MS: u64 = 500;
/// See [`FIRST_RETRY_MS`].
pub const MAX_RETRY_MS: u64 = 60_000;

/// Steps that are carried out of one plan; the rest follows with the next one. A plan may be cut anywhere.
pub const MAX_STEPS: usize = 4_096;

/// Why a step is taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// The configuration has it and the daemon does not.
    Missing,
    /// The daemon has it otherwise than the configuration.
    Differs(&'static str),
    /// The configuration has it no more.
    Gone,
    /// It is assigned to this aggregator.
    Assigned,
    /// It is assigned to another aggregator, or to none.
    AssignedElsewhere,
    /// The daemon behind it hangs; its sets come by another way, which its old connection would block.
    Hangs,
    /// Its sets have got lost on their way to the top.
    Lost,
    /// It should run and does not.
    NotRunning,
    /// Something else needs it.
    Needed,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("missing"),
            Self::Differs(what) => write!(f, "{what} differs"),
            Self::Gone => f.write_str("no longer configured"),
            Self::Assigned => f.write_str("assigned to it"),
            Self::AssignedElsewhere => f.write_str("assigned elsewhere"),
            Self::Hangs => f.write_str("its daemon hangs"),
            Self::Lost => f.write_str("its sets do not come to the top"),
            Self::NotRunning => f.write_str("not running"),
            Self::Needed => f.write_str("needed by what follows"),
        }
    }
}

/// One request, and what its answer means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The request.
    pub request: Request,
    /// Refusals with these numbers count as done.
    pub tolerates: &'static [u32],
    /// What is remembered of the daemon when it is done: key and value (see [`Memory::marks`]).
    pub mark: Option<(String, u64)>,
    /// Why it is taken.
    pub why: Why,
}

impl Step {
    /// What the step names.
    fn named(&self) -> Option<&Attribute> {
        let value = |id: AttrId| self.request.attributes.iter().find(|attribute| attribute.id == id);
        value(AttrId::NAME).or_else(|| value(AttrId::REGEX)).or_else(|| value(AttrId::PORT))
    }

    /// Adds what [`Self::key`] is made of to a hash (FNV-1a).
    pub(crate) fn number(&self, hash: u64) -> u64 {
        let named = self.named().map_or(&[][..], |attribute| &attribute.raw);
        let id = self.request.id.0.to_be_bytes();
        id.iter()
            .chain(named)
            .fold(hash, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3))
    }

    /// What a refusal of this step is remembered by: its command and what it names.
    #[must_use]
    pub fn key(&self) -> String {
        match self.named() {
            Some(attribute) => format!("{} {}", self.request.verb(), attribute.value()),
            None => self.request.verb().to_owned(),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}  # {}", command::render(&self.request), self.why)
    }
}

/// A refusal that is remembered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// How often in a row.
    pub times: u32,
    /// Not tried again before this time.
    pub until_ms: u64,
    /// The daemon's words.
    pub text: String,
}

/// What the manager remembers of a daemon because the daemon does not tell it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Memory {
    /// What was done in this life of the daemon: `plugin NAME` (a hash of its configuration), `listen PORT`,
    /// `streams`, `messages`, `subscribe …`. Forgotten when the daemon has been started anew.
    pub marks: BTreeMap<String, u64>,
    /// Refusals by [`Step::key`].
    pub refusals: BTreeMap<String, Refused>,
    /// Names the configuration once had for this daemon and has no more.
    pub retired: Retired,
    /// The number of changes the daemon had seen when it was last left alone; a lower one means another life.
    pub cfg_cntr: u64,
}

impl Memory {
    /// Remembers a refusal of `key` at `now_ms`.
    pub fn refuse(&mut self, key: String, text: String, now_ms: u64) {
        let refused =
            self.refusals.entry(key).or_insert(Refused { times: 0, until_ms: 0, text: String::new() });
        let wait_ms = FIRST_RETRY_MS.saturating_mul(1 << refused.times.min(16)).min(MAX_RETRY_MS);
        refused.times = refused.times.saturating_add(1);
        refused.until_ms = now_ms + wait_ms;
        refused.text = text;
    }

    /// The daemon has been started anew: what was done in its life before is gone.
    pub fn forget_life(&mut self) {
        self.marks.clear();
        self.refusals.clear();
        self.cfg_cntr = 0;
    }
}

/// Names that are to be removed from a daemon.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Retired {
    /// Producers.
    pub producers: BTreeSet<String>,
    /// Updaters.
    pub updaters: BTreeSet<String>,
    /// Storage policies.
    pub stores: BTreeSet<String>,
    /// Plugin instances.
    pub plugins: BTreeSet<String>,
    /// Advertisers.
    pub advertisers: BTreeSet<String>,
}

impl Retired {
    /// Whether nothing is to be removed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.producers.is_empty()
            && self.updaters.is_empty()
            && self.stores.is_empty()
            && self.plugins.is_empty()
            && self.advertisers.is_empty()
    }
}

/// What one daemon should do for one group it is a member of.
pub struct Duty<'a> {
    /// The group.
    pub group: &'a Group,
    /// The daemon's place in it.
    pub place: usize,
    /// The positions of the producers it should collect from, in order.
    pub mine: &'a [u32],
    /// Those of producers that it has running, or stopping.
    pub busy: &'a [u32],
    /// Those of producers that it does not have, or not as they should be; beside those it has not told of.
    pub odd: &'a [u32],
    /// Whether it should collect from the producer at a position.
    pub wants: &'a dyn Fn(usize) -> bool,
    /// Whether a producer may be started here now: nobody else within reach still collects it.
    pub may_start: &'a dyn Fn(usize) -> bool,
    /// Whether it goes on collecting from a producer that is another's, until that one has its sets.
    pub lends: &'a dyn Fn(usize) -> bool,
    /// Whether it has to connect to a producer anew.
    pub renews: &'a dyn Fn(usize) -> bool,
    /// Whether the daemon behind a producer hangs.
    pub hangs: &'a dyn Fn(usize) -> bool,
    /// Expressions for the sets it should take, in order, where single sets are divided.
    pub sets: Option<Vec<String>>,
}

/// Everything a decision about one daemon looks at.
pub struct Situation<'a> {
    /// The whole cluster.
    pub desired: &'a Desired,
    /// The daemon.
    pub daemon: &'a Daemon,
    /// What it has.
    pub seen: &'a Seen,
    /// What is remembered of it.
    pub memory: &'a Memory,
    /// Its duties, one per entry of `Daemon::member_of`, in that order.
    pub duties: &'a [Duty<'a>],
    /// Now.
    pub now_ms: u64,
}

/// The decision about one daemon.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// What is to be sent, in this order.
    pub steps: Vec<Step>,
    /// When to look at the daemon again if nothing happens before.
    pub recheck_ms: Option<u64>,
    /// What is held up by refusals, with the daemon's words.
    pub held: Vec<String>,
    /// Something waits until another aggregator has let go of it.
    pub waits: bool,
    /// Producers that are STOPPING.
    pub stopping: Vec<String>,
}

/// Decides about one daemon.
#[must_use]
pub fn plan(situation: &Situation<'_>) -> Plan {
    let mut draft = Draft { situation, plan: Plan::default(), domains: BTreeSet::new() };
    objects::services(&mut draft);
    objects::listens(&mut draft);
    plugins::remove(&mut draft);
    for (entry, duty) in situation.duties.iter().enumerate() {
        producers::stop(&mut draft, entry, duty);
    }
    producers::stop_retired(&mut draft);
    updaters::change(&mut draft);
    plugins::samplers(&mut draft);
    stores::change(&mut draft);
    objects::advertising(&mut draft);
    for (entry, duty) in situation.duties.iter().enumerate() {
        producers::start(&mut draft, entry, duty);
        producers::subscribe(&mut draft, entry, duty);
    }
    draft.plan
}

/// A plan in the making.
struct Draft<'a> {
    situation: &'a Situation<'a>,
    plan: Plan,
    /// Domains that this plan creates or takes to be there.
    domains: BTreeSet<Name>,
}

impl<'a> Draft<'a> {
    /// Adds a step, unless it has been refused too recently. Says whether it was added.
    fn step(&mut self, request: Request, tolerates: &'static [u32], why: Why) -> bool {
        self.push(Step { request, tolerates, mark: None, why })
    }

    fn push(&mut self, step: Step) -> bool {
        let memory = self.situation.memory;
        if !memory.refusals.is_empty()
            && let Some(refused) = memory.refusals.get(&step.key())
            && refused.until_ms > self.situation.now_ms
        {
            self.plan.held.push(format!("{}: {}", step.key(), refused.text));
            self.recheck(refused.until_ms);
            return false;
        }
        self.plan.steps.push(step);
        true
    }

    /// Whether a step of this kind about `name` has been refused too recently to be taken.
    fn is_held(&self, verb: &str, name: &str) -> bool {
        let refusals = &self.situation.memory.refusals;
        if refusals.is_empty() {
            return false;
        }
        let refused = refusals.get(&format!("{verb} {name}"));
        refused.is_some_and(|refused| refused.until_ms > self.situation.now_ms)
    }

    fn recheck(&mut self, at_ms: u64) {
        self.plan.recheck_ms = Some(self.plan.recheck_ms.map_or(at_ms, |other| other.min(at_ms)));
    }

    fn recheck_soon(&mut self) {
        self.recheck(self.situation.now_ms + STOPPING_RECHECK_MS);
    }

    fn seen(&self) -> &'a Seen {
        self.situation.seen
    }

    fn marked(&self, key: &str) -> Option<u64> {
        self.situation.memory.marks.get(key).copied()
    }

    /// Makes sure of an authentication domain: creates it once per life of the daemon.
    fn domain(&mut self, domain: Option<&Domain>) {
        let Some(domain) = domain else { return };
        let key = format!("domain {}", domain.name);
        if self.marked(&key).is_some() || !self.domains.insert(domain.name.clone()) {
            return;
        }
        let options = domain.conf.as_ref().map(|conf| format!("conf={conf}"));
        let add = daemon::AuthAdd {
            name: domain.name.to_string(),
            plugin: Some(domain.plugin.to_string()),
            options,
        };
        self.push(Step {
            request: add.request(),
            tolerates: &[errno::EEXIST],
            mark: Some((key, 1)),
            why: Why::Needed,
        });
    }
}

/// Whether a request changes what a producer, updater, … does; a look at the daemon follows it.
#[must_use]
pub fn touches(id: RequestId) -> Touched {
    match id.0 {
        0x100..=0x110 => Touched::Producers,
        0x111..=0x115 => Touched::Listeners,
        0x200..=0x208 => Touched::Stores,
        0x300..=0x30a => Touched::Updaters,
        0x500..=0x509 => Touched::Plugins,
        _ => Touched::Nothing,
    }
}

/// A part of what a daemon has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Touched {
    /// Producers and advertisers.
    Producers,
    /// Updaters.
    Updaters,
    /// Storage policies.
    Stores,
    /// Plugins and their sets.
    Plugins,
    /// Listeners for advertisements.
    Listeners,
    /// Nothing that can be seen.
    Nothing,
}
