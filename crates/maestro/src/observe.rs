//! Looks at daemons: which requests a look takes, and what their answers say.

use campanile_ldms::api::advertise::PrdcrListenStatus;
use campanile_ldms::api::daemon::{CfgCntr, PrdcrStats, SetStats, ThreadStats};
use campanile_ldms::api::plugin::{PluginSets, PluginStatus};
use campanile_ldms::api::producer::{PrdcrSetStatus, PrdcrStatus, Producer, SetStatus};
use campanile_ldms::api::store::StrgpStatus;
use campanile_ldms::api::update_times::{UpdateTimeStats, UpdateTimes};
use campanile_ldms::api::updater::{UpdtrMatchList, UpdtrStatus};
use campanile_ldms::api::{Call, Request, Response};
use campanile_ldms::client::{Client, RequestError};

use crate::conductor::{Look, SetTime};
use crate::health::Figures;

/// Producers that are asked for one by one; of more, all are asked for at once.
const MAX_SINGLE: usize = 32;

/// What a daemon is to the manager, and so what is looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Role {
    /// It collects from others.
    pub aggregates: bool,
    /// It samples.
    pub samples: bool,
    /// It offers itself to aggregators.
    pub advertises: bool,
    /// It makes producers of daemons that offer themselves.
    pub listens: bool,
    /// Nobody collects from it: coverage is measured there.
    pub top: bool,
}

/// Parts of a look.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parts {
    /// Producers: none, these, or all.
    pub producers: Producers,
    /// Updaters and their matches.
    pub updaters: bool,
    /// Plugins, their sets where it samples.
    pub plugins: bool,
    /// Storage policies.
    pub stores: bool,
    /// Listeners for advertisements.
    pub listeners: bool,
    /// The times of the sets of these producers.
    pub set_times: Vec<String>,
}

/// Which producers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Producers {
    /// None.
    #[default]
    None,
    /// These.
    Named(Vec<String>),
    /// All.
    All,
}

impl Parts {
    /// Everything that matters of a daemon of this role.
    #[must_use]
    pub fn all(role: Role) -> Self {
        Self {
            producers: match role.aggregates || role.advertises {
                true => Producers::All,
                false => Producers::None,
            },
            updaters: role.aggregates,
            plugins: true,
            stores: role.aggregates,
            listeners: role.listens,
            set_times: Vec::new(),
        }
    }
}

fn read<C: Call>(call: &C, response: &Response) -> Option<C::Reply> {
    call.reply(response).ok()
}

/// Looks at these parts of a daemon.
///
/// # Errors
/// When it does not answer. What it refuses is left out.
pub async fn look(client: &Client, role: Role, parts: &Parts) -> Result<Look, RequestError> {
    let all = PrdcrStatus { summary: true, ..PrdcrStatus::default() };
    // The count comes first: a change during the look then shows at the next probe.
    let mut requests = vec![CfgCntr {}.request()];
    let mut want = |wanted: bool, request: Request| {
        if wanted {
            requests.push(request);
        }
    };
    let (named, everything) = match &parts.producers {
        Producers::None => (&[][..], false),
        Producers::Named(names) if names.len() <= MAX_SINGLE => (&names[..], false),
        Producers::Named(_) | Producers::All => (&[][..], true),
    };
    want(everything, all.request());
    for name in named {
        want(true, PrdcrStatus { name: Some(name.clone()), ..all.clone() }.request());
    }
    want(parts.updaters, UpdtrStatus::default().request());
    want(parts.updaters, UpdtrMatchList::default().request());
    want(parts.plugins, PluginStatus {}.request());
    want(parts.plugins && role.samples, PluginSets::default().request());
    want(parts.stores, StrgpStatus::default().request());
    want(parts.listeners, PrdcrListenStatus { summary: true }.request());
    let times: Vec<PrdcrSetStatus> = match parts.set_times.len() {
        0..=MAX_SINGLE => {
            let one =
                |name: &String| PrdcrSetStatus { producer: Some(name.clone()), ..PrdcrSetStatus::default() };
            parts.set_times.iter().map(one).collect()
        }
        _ => vec![PrdcrSetStatus::default()],
    };
    times.iter().for_each(|call| want(true, call.request()));
    let directory = async {
        match parts.plugins && role.samples {
            true => client.directory().await.map(Some),
            false => Ok(None),
        }
    };
    let (answers, directory) = tokio::join!(client.request_all(requests), directory);
    let mut answers = answers.into_iter();
    let mut next =
        || answers.next().unwrap_or_else(|| Ok(Response { errcode: u32::MAX, attributes: Vec::new() }));
    let mut look = Look { directory: directory?, ..Look::default() };
    look.cfg_cntr = read(&CfgCntr {}, &next()?);
    if everything {
        look.producers = read(&all, &next()?).map(|list| list.0);
        look.all_producers = look.producers.is_some();
    } else if !named.is_empty() {
        let mut list: Vec<Producer> = Vec::with_capacity(named.len());
        for _ in named {
            if let Some(found) = read(&all, &next()?) {
                list.extend(found.0);
            }
        }
        look.producers = Some(list);
    }
    if parts.updaters {
        look.updaters = read(&UpdtrStatus::default(), &next()?).map(|list| list.0);
        look.matches = read(&UpdtrMatchList::default(), &next()?).map(|list| list.0);
    }
    if parts.plugins {
        look.plugins = read(&PluginStatus {}, &next()?).map(|list| list.0);
    }
    if parts.plugins && role.samples {
        look.plugin_sets = read(&PluginSets::default(), &next()?).map(|list| list.0);
    }
    if parts.stores {
        look.stores = read(&StrgpStatus::default(), &next()?).map(|list| list.0);
    }
    if parts.listeners {
        look.listeners = read(&PrdcrListenStatus { summary: true }, &next()?).map(|list| list.0);
    }
    for call in &times {
        let list = read(call, &next()?).map(|list| list.0).unwrap_or_default();
        look.set_times.get_or_insert_default().extend(list.into_iter().map(|set| SetTime {
            at_us: sampled_us(&set).unwrap_or(0),
            producer: set.producer,
            set: set.inst_name,
            schema: set.schema_name,
        }));
    }
    Ok(look)
}

/// The answer to a probe: what is cheap to ask every second and shows whether something has changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pulse {
    /// Changes of the configuration.
    pub cfg_cntr: u64,
    /// Producers by state, as the daemon counts them.
    pub producers: Vec<(String, i64)>,
}

/// Takes the pulse.
///
/// # Errors
/// When the daemon does not answer.
pub async fn probe(client: &Client, role: Role) -> Result<Pulse, RequestError> {
    let mut requests = vec![CfgCntr {}.request()];
    if role.aggregates {
        requests.push(PrdcrStats {}.request());
    }
    let mut pulse = Pulse::default();
    for (at, answer) in client.request_all(requests).await.into_iter().enumerate() {
        let answer = answer?;
        if at == 0 {
            pulse.cfg_cntr = read(&CfgCntr {}, &answer).unwrap_or(0);
        } else if let Some(stats) = read(&PrdcrStats {}, &answer) {
            let counts = stats.0.into_iter().filter(|(key, _)| key.ends_with("_count") && key != "set_count");
            pulse.producers = counts.filter_map(|(key, value)| Some((key, value.as_i64()?))).collect();
        }
    }
    Ok(pulse)
}

/// Asks for figures.
///
/// # Errors
/// When the daemon does not answer.
pub async fn figures(client: &Client) -> Result<Figures, RequestError> {
    // The summary of sets says nothing of memory.
    let (sets, threads) = tokio::join!(
        client.request(SetStats::default().request()),
        client.request(ThreadStats::default().request())
    );
    let value = |answer: Response| answer.json().unwrap_or_default();
    Ok(Figures::of(&value(sets?), &value(threads?)))
}

/// Pairs of a match and a producer that an aggregator may have to be asked what became of its updates: its answer names
/// them all, about ten bytes each, beside the sets.
pub const MAX_MATCHED: usize = 100_000;

/// How many pairs of a match and a producer the updaters of a look have; none when it was not for updaters.
#[must_use]
pub fn matched(look: &Look) -> Option<usize> {
    let (updaters, matches) = (look.updaters.as_ref()?, look.matches.as_ref()?);
    let of =
        |name: &str| matches.iter().find(|entry| entry.name == name).map_or(0, |entry| entry.matches.len());
    Some(updaters.iter().map(|updater| of(&updater.name) * updater.producers.len()).sum())
}

/// Asks an aggregator what became of its updates; one that does not know gives nothing.
///
/// # Errors
/// When the daemon does not answer.
pub async fn updates(client: &Client) -> Result<UpdateTimes, RequestError> {
    let call = UpdateTimeStats { summary: true, ..UpdateTimeStats::default() };
    let answer = client.request(call.request()).await?;
    Ok(read(&call, &answer).unwrap_or_default())
}

/// The newest sample of each set that an aggregator has, microseconds since the epoch.
///
/// # Errors
/// When the daemon does not answer.
pub async fn samples(client: &Client) -> Result<Vec<(String, u64)>, RequestError> {
    let call = PrdcrSetStatus::default();
    let answer = client.request(call.request()).await?;
    let list = read(&call, &answer).map(|list| list.0).unwrap_or_default();
    Ok(list.into_iter().filter_map(|set| Some((set.inst_name.clone(), sampled_us(&set)?))).collect())
}

/// When a set was sampled, microseconds since the epoch; 0 while it has no sample.
fn sampled_us(set: &SetStatus) -> Option<u64> {
    let seconds = u64::try_from(set.timestamp_sec?).ok()?;
    Some(seconds.saturating_mul(1_000_000) + u64::try_from(set.timestamp_usec.unwrap_or(0)).unwrap_or(0))
}
