//! Updaters, and the producers they cover: both can be changed only while the updater is stopped, so one stop serves
//! all changes, and an updater without changes is never stopped.

use std::collections::{BTreeSet, HashSet};

use campanile_ldms::api::producer::{PrdcrAdd, PrdcrDel};
use campanile_ldms::api::updater::{
    MatchField, UpdtrAdd, UpdtrDel, UpdtrMatchAdd, UpdtrMatchDel, UpdtrPrdcrAdd, UpdtrPrdcrDel, UpdtrStart,
    UpdtrStop,
};
use campanile_ldms::api::{Call as _, Micros, Perm};
use campanile_ldms::wire::errno;

use super::producers::redefine;
use super::regex::exactly;
use super::{Draft, Duty, MAX_STEPS, Why};
use crate::model::{Mode, Producer, Source, Updater};
use crate::seen::{Differs, State, UpdaterSeen, by_schema};

/// What happens to one updater that is there.
#[derive(Default)]
struct Change {
    /// Its definition is wrong in a way that only a new one mends.
    anew: bool,
    /// Another interval or offset, which a start can give.
    reschedule: bool,
    drop_matches: Vec<(String, bool)>,
    add_matches: Vec<(String, bool)>,
    /// It lacks producers that are there, or will be.
    lacks: bool,
    /// It is not running.
    start: bool,
}

impl Change {
    fn is_needed(&self) -> bool {
        self.anew
            || self.reschedule
            || self.lacks
            || self.start
            || !self.drop_matches.is_empty()
            || !self.add_matches.is_empty()
    }

    fn why(&self) -> Why {
        if self.anew {
            Why::Differs("mode")
        } else if self.reschedule {
            Why::Differs("schedule")
        } else if !self.drop_matches.is_empty() || !self.add_matches.is_empty() {
            Why::Differs("choice of sets")
        } else if self.lacks {
            Why::Differs("choice of producers")
        } else {
            Why::NotRunning
        }
    }
}

/// Brings producers and updaters of all duties into line.
pub(super) fn change(draft: &mut Draft<'_>) {
    let duties = draft.situation.duties;
    let seen = draft.seen();
    // What goes: producers that are retired or wrongly defined, and stopped by now.
    let mut delete: Vec<&str> = Vec::new();
    let mut add: Vec<(usize, usize)> = Vec::new();
    for (entry, duty) in duties.iter().enumerate() {
        let none = Vec::new();
        let states = seen.producers.get(entry).unwrap_or(&none);
        let odd = duty.odd.iter().map(|at| *at as usize);
        for at in odd.chain(states.len()..duty.group.producers.len()) {
            let Some(producer) = duty.group.producers.get(at) else { break };
            let state = states.get(at).copied().unwrap_or_default();
            if state.state != State::Absent && state.differs == Differs::No {
                continue;
            }
            if producer.source == Source::Advertised {
                continue;
            }
            if state.state == State::Absent {
                add.push((entry, at));
            } else if state.state == State::Stopped && redefine(producer, state) {
                delete.push(&producer.name);
                add.push((entry, at));
            }
        }
    }
    let retired = &draft.situation.memory.retired.producers;
    delete.extend(
        retired.iter().filter(|name| seen.strangers.get(*name) == Some(&State::Stopped)).map(String::as_str),
    );
    // A deletion that was refused does not stop updaters over and over.
    let (delete, refused): (Vec<&str>, Vec<&str>) =
        delete.into_iter().partition(|name| !draft.is_held("prdcr_del", name));
    for name in refused {
        draft.step(PrdcrDel { name: name.to_owned() }.request(), &[errno::ENOENT], Why::Gone);
    }
    let gone: HashSet<&str> = delete.iter().copied().collect();

    let mut changes: Vec<(String, &Updater, &Duty<'_>, Option<&UpdaterSeen>, Change)> = Vec::new();
    let mut mine: HashSet<String> = HashSet::new();
    let none = Vec::new();
    for (entry, duty) in duties.iter().enumerate() {
        for updater in &duty.group.updaters {
            let name = updater.name_on(&draft.situation.daemon.name);
            let there = seen.updaters.get(&name);
            let grows = add.iter().any(|(other, at)| {
                *other == entry
                    && updater.covers(*at)
                    && !draft.is_held("prdcr_add", &duty.group.producers[*at].name)
            });
            let change = there.map_or_else(Change::default, |there| {
                // A daemon that does not tell its producers has none that are known.
                let producers = seen.producers.get(entry).unwrap_or(&none);
                let change = compare(updater, duty, there, producers, &gone, grows);
                without_refused(draft, &name, change)
            });
            mine.insert(name.clone());
            changes.push((name, updater, duty, there, change));
        }
    }

    // First everything that has to stand still stands still.
    for (name, there) in &seen.updaters {
        let change = changes.iter().find(|(other, ..)| other == name).map(|(.., change)| change);
        let loses = loses(there, &gone);
        let why = match change {
            Some(change) if change.is_needed() && there.running => change.why(),
            _ if loses && there.running => Why::Needed,
            _ => continue,
        };
        draft.step(UpdtrStop { name: name.clone() }.request(), &[], why);
    }
    // Then what goes, goes.
    for (name, there) in &seen.updaters {
        if gone.is_empty() {
            break;
        }
        for producer in there.producers.iter().filter(|producer| gone.contains(&***producer)) {
            let request = UpdtrPrdcrDel { name: name.clone(), regex: exactly(producer) }.request();
            draft.step(request, &[], Why::Needed);
        }
    }
    for name in &delete {
        draft.step(PrdcrDel { name: (*name).to_owned() }.request(), &[errno::ENOENT], Why::Gone);
    }
    remove_updaters(draft, &mine);
    // Then what comes, comes.
    for (entry, at) in &add {
        if draft.plan.steps.len() >= MAX_STEPS {
            // What follows belongs into a later plan, when all of them are there.
            return;
        }
        add_producer(draft, &duties[*entry].group.producers[*at]);
    }
    for (name, updater, duty, there, change) in &changes {
        let loses = there.is_some_and(|there| loses(there, &gone));
        match there {
            None => create(draft, name, updater, duty, Why::Missing),
            // If it is still in use it loses its producers with the refusal; the next plan gives them back to it, since
            // as it was is better than not at all.
            Some(_) if change.anew => {
                draft.step(UpdtrDel { name: name.clone() }.request(), &[errno::ENOENT], change.why());
                create(draft, name, updater, duty, change.why());
            }
            Some(_) if change.is_needed() || loses => mend(draft, name, updater, change),
            Some(_) => {}
        }
    }
    // Strangers that were stopped for a moment go on.
    for (name, there) in &seen.updaters {
        let loses = loses(there, &gone);
        if loses && there.running && !mine.contains(name) && !is_ours(name, &draft.situation.daemon.name) {
            draft.step(
                UpdtrStart { name: name.clone(), ..UpdtrStart::default() }.request(),
                BUSY,
                Why::Needed,
            );
        }
    }
}

/// Whether an updater covers a producer that goes.
fn loses(there: &UpdaterSeen, gone: &HashSet<&str>) -> bool {
    !gone.is_empty() && there.producers.iter().any(|producer| gone.contains(&**producer))
}

const BUSY: &[u32] = &[errno::EBUSY];

/// Whether an updater bears a name as only a manager of this cluster gives it.
fn is_ours(name: &str, aggregator: &str) -> bool {
    let number = name.strip_prefix("updtr_").and_then(|rest| rest.strip_suffix(aggregator));
    number.and_then(|number| number.strip_suffix('_')).is_some_and(|number| number.parse::<u32>().is_ok())
}

/// What was refused lately is left out, so that the updater is not stopped for nothing over and over.
fn without_refused(draft: &mut Draft<'_>, name: &str, mut change: Change) -> Change {
    let mut held = |verb: &str| {
        let refused = draft.situation.memory.refusals.get(&format!("{verb} {name}"));
        let Some(refused) = refused.filter(|refused| refused.until_ms > draft.situation.now_ms) else {
            return false;
        };
        draft.recheck(refused.until_ms);
        true
    };
    if change.anew && held("updtr_del") {
        change.anew = false;
    }
    if change.lacks && held("updtr_prdcr_add") {
        change.lacks = false;
    }
    if !change.drop_matches.is_empty() && held("updtr_match_del") {
        change.drop_matches.clear();
    }
    if !change.add_matches.is_empty() && held("updtr_match_add") {
        change.add_matches.clear();
    }
    change
}

/// Removes updaters that the configuration has no more.
fn remove_updaters(draft: &mut Draft<'_>, mine: &HashSet<String>) {
    let (seen, situation) = (draft.seen(), draft.situation);
    for (name, there) in &seen.updaters {
        let retired = situation.memory.retired.updaters.contains(name);
        let ours = retired || (!situation.duties.is_empty() && is_ours(name, &situation.daemon.name));
        if mine.contains(name) || !ours {
            continue;
        }
        if there.running {
            draft.step(UpdtrStop { name: name.clone() }.request(), &[errno::ENOENT], Why::Gone);
        }
        draft.step(UpdtrDel { name: name.clone() }.request(), &[errno::ENOENT], Why::Gone);
    }
}

fn compare(
    updater: &Updater,
    duty: &Duty<'_>,
    there: &UpdaterSeen,
    producers: &[crate::seen::ProducerSeen],
    gone: &HashSet<&str>,
    grows: bool,
) -> Change {
    let mode = match updater.mode {
        Mode::Push => "Push on Request",
        Mode::OnChange => "Push on Change",
        Mode::Pull | Mode::Auto => "Pull",
    };
    let wanted: BTreeSet<(String, bool)> = match &duty.sets {
        Some(sets) => sets.iter().map(|set| (set.clone(), false)).collect(),
        None => updater.matches.iter().map(|(regex, field)| (regex.clone(), by_schema(*field))).collect(),
    };
    let lacks = |at: usize, producer: &Producer| {
        let there_is = producers.get(at).is_some_and(|seen| seen.state != State::Absent);
        there_is && updater.covers(at) && !there.producers.contains(&producer.name)
    };
    let all_there = there.producers.len() >= duty.group.producers.len() && updater.covers.is_none();
    let known_lack = !all_there || !gone.is_empty();
    Change {
        anew: there.mode != mode || there.auto != (updater.mode == Mode::Auto),
        // Without an offset ldmsd takes 0.
        reschedule: there.schedule.interval_us != updater.schedule.interval_us
            || there.schedule.offset_us.unwrap_or(0) != updater.schedule.offset_us.unwrap_or(0),
        drop_matches: there.matches.difference(&wanted).cloned().collect(),
        add_matches: wanted.difference(&there.matches).cloned().collect(),
        lacks: grows || (known_lack && duty.group.producers.iter().enumerate().any(|(at, p)| lacks(at, p))),
        start: !there.running,
    }
}

fn add_producer(draft: &mut Draft<'_>, producer: &Producer) {
    let Source::Defined(kind) = producer.source else { return };
    draft.domain(producer.domain.as_ref());
    let extra = &producer.extra;
    let add = PrdcrAdd {
        name: producer.name.to_string(),
        kind,
        xprt: producer.xprt.to_string(),
        host: producer.host.to_string(),
        port: producer.port,
        reconnect: Micros(producer.reconnect_us),
        auth: producer.domain.as_ref().map(|domain| domain.name.to_string()),
        perm: extra.perm.map(Perm),
        rail: extra.rail,
        quota: extra.quota.clone(),
        rx_rate: extra.rx_rate.clone(),
        cache_ip: extra.cache_ip.clone(),
    };
    draft.step(add.request(), &[errno::EEXIST], Why::Missing);
}

fn create(draft: &mut Draft<'_>, name: &str, updater: &Updater, duty: &Duty<'_>, why: Why) {
    let add = UpdtrAdd {
        name: name.to_owned(),
        interval: Micros(updater.schedule.interval_us),
        offset: updater.schedule.offset_us.map(Micros),
        auto_interval: updater.mode == Mode::Auto,
        push: match updater.mode {
            Mode::Push => Some("true".to_owned()),
            Mode::OnChange => Some("onchange".to_owned()),
            Mode::Pull | Mode::Auto => None,
        },
        perm: updater.perm.map(Perm),
    };
    if !draft.step(add.request(), &[errno::EEXIST], why) {
        return;
    }
    adopt_producers(draft, name, updater);
    let matches: Vec<(String, MatchField)> = match &duty.sets {
        Some(sets) => sets.iter().map(|set| (set.clone(), MatchField::Instance)).collect(),
        None => updater.matches.clone(),
    };
    for (regex, field) in matches {
        draft.step(
            UpdtrMatchAdd { name: name.to_owned(), regex, field }.request(),
            &[errno::EEXIST],
            Why::Missing,
        );
    }
    draft.step(UpdtrStart { name: name.to_owned(), ..UpdtrStart::default() }.request(), BUSY, Why::Missing);
}

fn adopt_producers(draft: &mut Draft<'_>, name: &str, updater: &Updater) {
    for regex in &updater.producers {
        let request = UpdtrPrdcrAdd { name: name.to_owned(), regex: regex.clone() }.request();
        draft.step(request, &[], Why::Missing);
    }
}

fn mend(draft: &mut Draft<'_>, name: &str, updater: &Updater, change: &Change) {
    let field = |schema: bool| if schema { MatchField::Schema } else { MatchField::Instance };
    for (regex, schema) in &change.drop_matches {
        let (name, regex, field) = (name.to_owned(), regex.clone(), field(*schema));
        draft.step(UpdtrMatchDel { name, regex, field }.request(), &[errno::ENOENT], change.why());
    }
    if change.lacks {
        adopt_producers(draft, name, updater);
    }
    for (regex, schema) in &change.add_matches {
        let (name, regex, field) = (name.to_owned(), regex.clone(), field(*schema));
        draft.step(UpdtrMatchAdd { name, regex, field }.request(), &[errno::EEXIST], change.why());
    }
    let start = UpdtrStart {
        name: name.to_owned(),
        interval: change.reschedule.then_some(Micros(updater.schedule.interval_us)),
        offset: if change.reschedule { Some(Micros(updater.schedule.offset_us.unwrap_or(0))) } else { None },
    };
    draft.step(start.request(), BUSY, change.why());
}
