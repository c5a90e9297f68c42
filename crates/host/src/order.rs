//! The order of instances: who comes up before whom, and goes down after it (`after` in the site config). Pure.
//!
//! `after` orders and requires nothing: an instance waits only for those that are on their way up themselves, and only
//! until their time to get ready is over. One that nobody wants up, or that cannot be started, holds up nobody. Going
//! down, an instance waits for those that come after it, as long as they are on their way down themselves.

use crate::model::{Fate, Instance, Operable, Order, Readiness, State, StopStep, Target, UpHold};
use crate::plan::is_idle;
use crate::table::{Entry, Table};

/// An instance without `ready` that cannot be launched is waited for that long.
pub const DEFAULT_TIMEOUT_MS: u64 = 60_000;
/// A chain of `after` is followed no further; the site config has no circles, so this is never reached by a sane one.
const MAX_DEPTH: usize = 1000;

/// What holds an instance back now.
#[must_use]
pub fn order(table: &Table, instance: &Instance) -> Order {
    if !table.has_order() {
        return Order::default();
    }
    Order { up: up(table, instance), down: down(table, instance) }
}

fn up(table: &Table, instance: &Instance) -> Option<UpHold> {
    let holds = instance.spec.after.iter().filter_map(|id| {
        let before = &table.find(id)?.instance;
        let until_ms = waits_for(before)?;
        // A circle can only be had for a moment, while a reload replaces its members.
        let is_circle = is_after(table, before, &instance.spec.instance_id, 0);
        (!is_circle).then(|| UpHold { of: id.clone(), until_ms })
    });
    // The one that may be waited for longest, one without a known end before all others.
    holds.max_by_key(|hold| hold.until_ms.unwrap_or(u64::MAX))
}

/// Whether somebody who comes after this instance has to wait for it: `Some` of the time until when, if it is known.
fn waits_for(before: &Instance) -> Option<Option<u64>> {
    let comes_up = before.target == Target::Up && before.fate != Fate::Retired && !before.given_up;
    if !comes_up || matches!(before.operable, Operable::No(_)) {
        return None;
    }
    match before.readiness {
        Readiness::Ready | Readiness::Trying { overdue: true, .. } => None,
        Readiness::Trying { since_ms, overdue: false } => Some(Some(since_ms + timeout_ms(before))),
        Readiness::Idle => Some(None),
    }
}

/// How long this instance may take to get ready, milliseconds.
#[must_use]
pub fn timeout_ms(instance: &Instance) -> u64 {
    instance.spec.ready.as_ref().map_or(DEFAULT_TIMEOUT_MS, |ready| ready.timeout_ms)
}

fn down(table: &Table, instance: &Instance) -> Option<String> {
    let id = &instance.spec.instance_id;
    let holds = |entry: &&Entry| {
        let after = &entry.instance;
        after.spec.after.contains(id)
            && after.wanted() == Target::Down
            && !is_idle(after, &entry.observed)
            && !matches!(after.state, State::WaitDead(stopping) if stopping.step == StopStep::Refused)
            && !is_after(table, instance, &after.spec.instance_id, 0)
    };
    table.iter().find(holds).map(|entry| entry.instance.spec.instance_id.clone())
}

/// Whether `instance` comes after the one named `id`, directly or by others between them.
fn is_after(table: &Table, instance: &Instance, id: &str, depth: usize) -> bool {
    depth < MAX_DEPTH
        && instance.spec.after.iter().any(|before| {
            before == id
                || table.find(before).is_some_and(|entry| is_after(table, &entry.instance, id, depth + 1))
        })
}
