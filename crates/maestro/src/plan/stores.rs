//! Storage policies and the plugins they need.

use campanile_ldms::api::store::{StrgpAdd, StrgpDel, StrgpStart, StrgpStop};
use campanile_ldms::api::{Call as _, Perm};
use campanile_ldms::time::parse_us;
use campanile_ldms::wire::errno;

use super::{Draft, Why, plugins};
use crate::model::Store;
use crate::seen::StoreSeen;

/// Brings the plugins of the aggregator's groups and its storage policies into line.
pub(super) fn change(draft: &mut Draft<'_>) {
    let (seen, situation) = (draft.seen(), draft.situation);
    let duties = situation.duties;
    let stores: Vec<&Store> = duties
        .iter()
        .flat_map(|duty| duty.group.stores.iter().filter(|(place, _)| *place == duty.place))
        .map(|(_, store)| store)
        .collect();
    for name in &situation.memory.retired.stores {
        if let Some(there) = seen.stores.get(name)
            && !stores.iter().any(|store| &*store.name == name)
        {
            delete(draft, name, there, Why::Gone);
        }
    }
    let plugins: Vec<_> = duties.iter().flat_map(|duty| &duty.group.plugins).collect();
    let outdated: Vec<&str> = plugins
        .iter()
        .filter(|plugin| plugins::is_outdated(draft, plugin))
        .map(|plugin| &*plugin.name)
        .collect();
    // A plugin goes only when no policy uses it.
    for store in &stores {
        if let Some(there) = seen.stores.get(&*store.name)
            && outdated.contains(&&*store.plugin)
        {
            delete(draft, &store.name, there, Why::Needed);
        }
    }
    for plugin in plugins {
        if !plugins::reconfigure(draft, plugin) {
            plugins::load(draft, plugin);
        }
    }
    let library = |instance: &str| {
        let plugins = duties.iter().flat_map(|duty| &duty.group.plugins);
        plugins.into_iter().find(|plugin| &*plugin.name == instance).map(|plugin| plugin.plugin.as_str())
    };
    for store in stores {
        match seen.stores.get(&*store.name) {
            Some(_) if outdated.contains(&&*store.plugin) => add(draft, store, Why::Needed),
            None => add(draft, store, Why::Missing),
            Some(there) if differs(store, there, library(&store.plugin)) => {
                if delete(draft, &store.name, there, Why::Differs("definition")) {
                    add(draft, store, Why::Differs("definition"));
                }
            }
            Some(there) if !there.running => start(draft, &store.name, Why::NotRunning),
            Some(_) => {}
        }
    }
}

fn delete(draft: &mut Draft<'_>, name: &str, there: &StoreSeen, why: Why) -> bool {
    if there.running {
        draft.step(StrgpStop { name: name.to_owned() }.request(), &[errno::EBUSY], why.clone());
    }
    draft.step(StrgpDel { name: name.to_owned() }.request(), &[errno::ENOENT], why)
}

fn start(draft: &mut Draft<'_>, name: &str, why: Why) {
    draft.step(StrgpStart { name: name.to_owned() }.request(), &[errno::EBUSY], why);
}

fn add(draft: &mut Draft<'_>, store: &Store, why: Why) {
    let add = StrgpAdd {
        name: store.name.to_string(),
        plugin: store.plugin.to_string(),
        container: store.container.clone(),
        schema: store.schema.clone(),
        regex: store.regex.clone(),
        decomposition: store.decomposition.clone(),
        flush: store.flush.clone(),
        perm: store.perm.map(Perm),
    };
    if draft.step(add.request(), &[errno::EEXIST], why.clone()) {
        start(draft, &store.name, why);
    }
}

/// ldmsd tells the library of a policy's plugin, not the instance.
fn differs(store: &Store, there: &StoreSeen, library: Option<&str>) -> bool {
    let other = |wanted: &Option<String>, has: &str| wanted.as_deref().is_some_and(|wanted| wanted != has);
    let flush_us = store.flush.as_deref().and_then(|text| parse_us(text).ok());
    let same_plugin = *store.plugin == *there.plugin || library == Some(&*there.plugin);
    !same_plugin
        || other(&store.container, &there.container)
        || other(&store.schema, &there.schema)
        || other(&store.regex, &there.regex)
        || other(&store.decomposition, &there.decomposition)
        || flush_us.zip(there.flush_us).is_some_and(|(wanted, has)| wanted != has)
}
