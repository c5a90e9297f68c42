//! Plugins: samplers of a sampler daemon, stores and others of an aggregator.

use campanile_ldms::api::plugin::{Config, Load, Start, Stop, Term};
use campanile_ldms::api::{Call as _, Micros};
use campanile_ldms::wire::errno;

use super::{Draft, Step, Why};
use crate::model::{Plugin, Schedule};
use crate::seen::{PluginSeen, SetSeen};

/// A sampler whose set has not changed for this many intervals (and [`STILL_MS`]) does not run.
const STILL_INTERVALS: i64 = 3;
/// See [`STILL_INTERVALS`].
const STILL_MS: u64 = 2_000;

/// A number for a plugin's configuration, so that a change of it can be seen: the daemon does not tell it.
#[must_use]
pub(crate) fn fingerprint(plugin: &Plugin) -> u64 {
    let texts = std::iter::once(plugin.plugin.as_str()).chain(plugin.configs.iter().map(String::as_str));
    // FNV-1a with a separator; stable over versions, since it is stored.
    texts.flat_map(|text| text.bytes().chain([0])).fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

fn mark(plugin: &Plugin) -> String {
    format!("plugin {}", plugin.name)
}

fn started(plugin: &Plugin) -> String {
    format!("started {}", plugin.name)
}

/// Unloads what the configuration has no more.
pub(super) fn remove(draft: &mut Draft<'_>) {
    let seen = draft.seen();
    for name in &draft.situation.memory.retired.plugins {
        if seen.plugins.contains_key(name) {
            unload(draft, name, Why::Gone);
        }
    }
}

fn unload(draft: &mut Draft<'_>, name: &str, why: Why) -> bool {
    // A store or a sampler that does not run refuses the stop; that is as well.
    let stop = Stop { name: name.to_owned() }.request();
    draft.step(stop, &[errno::EINVAL, errno::ENOENT, errno::EBUSY], why.clone());
    draft.step(Term { name: name.to_owned() }.request(), &[errno::ENOENT], why)
}

/// Samplers as configured.
pub(super) fn samplers(draft: &mut Draft<'_>) {
    for plugin in &draft.situation.daemon.plugins {
        sampler(draft, plugin);
    }
}

fn sampler(draft: &mut Draft<'_>, plugin: &Plugin) {
    let Some(schedule) = plugin.schedule else {
        load(draft, plugin);
        return;
    };
    let seen = draft.seen();
    let Some(there) = seen.plugins.get(&*plugin.name) else {
        if load_and_configure(draft, plugin, Why::Missing) {
            start(draft, plugin, schedule, Why::Missing);
        }
        return;
    };
    if reconfigure(draft, plugin) {
        start(draft, plugin, schedule, Why::Differs("configuration"));
        return;
    }
    let sets: Vec<&SetSeen> = sets_of(plugin, there).filter_map(|name| seen.sets.get(name)).collect();
    let other = sets.iter().any(|set| set.schedule.is_some_and(|hint| !same(hint, schedule)));
    let still_us = schedule.interval_us.saturating_mul(STILL_INTERVALS);
    let still_ms = u64::try_from(still_us / 1000).unwrap_or(0) + STILL_MS;
    let still =
        !sets.is_empty() && sets.iter().all(|set| seen.sets_ms.saturating_sub(set.changed_ms) > still_ms);
    let never = !sets.is_empty() && sets.iter().all(|set| set.schedule.is_none());
    if other {
        let stop = Stop { name: plugin.name.to_string() }.request();
        draft.step(stop, &[errno::EINVAL], Why::Differs("schedule"));
        start(draft, plugin, schedule, Why::Differs("schedule"));
    } else if still || never {
        start(draft, plugin, schedule, Why::NotRunning);
    } else if sets.is_empty() && draft.marked(&mark(plugin)).is_some() {
        // It makes its sets when it sees fit; that it was started has to be remembered.
        if draft.marked(&started(plugin)).is_none() {
            start(draft, plugin, schedule, Why::NotRunning);
        }
    } else if sets.is_empty() {
        // Loaded by somebody, perhaps not configured: a sampler that is refuses this, which is as well.
        configure(draft, plugin, &[errno::EBUSY, errno::EEXIST, errno::EINVAL], Why::Missing);
        start(draft, plugin, schedule, Why::NotRunning);
    }
}

fn sets_of<'a>(plugin: &'a Plugin, there: &'a PluginSeen) -> impl Iterator<Item = &'a str> {
    let default = if there.sets.is_empty() { plugin.set.as_deref() } else { None };
    there.sets.iter().map(String::as_str).chain(default)
}

fn same(hint: Schedule, wanted: Schedule) -> bool {
    hint.interval_us == wanted.interval_us && hint.offset_us.unwrap_or(0) == wanted.offset_us.unwrap_or(0)
}

fn start(draft: &mut Draft<'_>, plugin: &Plugin, schedule: Schedule, why: Why) {
    let start = Start {
        name: plugin.name.to_string(),
        interval: Micros(schedule.interval_us),
        offset: schedule.offset_us.map(Micros),
        exclusive_thread: None,
    };
    let mark = Some((started(plugin), schedule.interval_us.unsigned_abs()));
    draft.push(Step { request: start.request(), tolerates: &[errno::EBUSY], mark, why });
}

/// A plugin that is only loaded and configured: a store.
pub(super) fn load(draft: &mut Draft<'_>, plugin: &Plugin) {
    if draft.seen().plugins.contains_key(&*plugin.name) {
        // One whose configuration was refused is loaded and not configured.
        let refused = format!("config {}", plugin.name);
        if draft.situation.memory.refusals.contains_key(&refused) {
            configure(draft, plugin, &[], Why::Missing);
        }
    } else {
        load_and_configure(draft, plugin, Why::Missing);
    }
}

/// Whether a plugin is there with another configuration than the one it was given in this life.
pub(super) fn is_outdated(draft: &Draft<'_>, plugin: &Plugin) -> bool {
    let there = draft.seen().plugins.contains_key(&*plugin.name);
    there && draft.marked(&mark(plugin)).is_some_and(|given| given != fingerprint(plugin))
}

/// Loads it anew if its configuration has changed. Says whether it did.
pub(super) fn reconfigure(draft: &mut Draft<'_>, plugin: &Plugin) -> bool {
    if !is_outdated(draft, plugin) {
        return false;
    }
    let why = Why::Differs("configuration");
    unload(draft, &plugin.name, why.clone()) && load_and_configure(draft, plugin, why)
}

fn load_and_configure(draft: &mut Draft<'_>, plugin: &Plugin, why: Why) -> bool {
    let load = Load { name: plugin.name.to_string(), plugin: Some(plugin.plugin.clone()) };
    draft.step(load.request(), &[errno::EEXIST], why.clone()) && configure(draft, plugin, &[], why)
}

fn configure(draft: &mut Draft<'_>, plugin: &Plugin, tolerates: &'static [u32], why: Why) -> bool {
    let last = plugin.configs.len().saturating_sub(1);
    let mut added = true;
    for (at, options) in plugin.configs.iter().enumerate() {
        let request = Config { name: plugin.name.to_string(), options: options.clone() }.request();
        let mark = (at == last).then(|| (mark(plugin), fingerprint(plugin)));
        added &= draft.push(Step { request, tolerates, mark, why: why.clone() });
    }
    added
}
