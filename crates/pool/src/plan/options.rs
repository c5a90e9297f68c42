//! What could be bought: every worker type in every flavor in every cloud, and why some of it cannot be bought now.

use std::collections::BTreeSet;

use crate::config::{Allocation, CloudConfig, PoolConfig, Window, WorkerType};
use crate::model::{Flavor, NodeState, Resources};
use crate::packing::Types;
use crate::plan::{CloudView, Creation, Input, Numbers, Purpose, bits};
use crate::room::{CloudRoom, PoolRoom};

/// A kind of node in one cloud.
pub(super) struct Offer<'a> {
    pub(super) cloud: usize,
    pub(super) kind: &'a WorkerType,
    pub(super) types: Types,
    pub(super) flavor: &'a Flavor,
    /// What it has for jobs.
    pub(super) capacity: Resources,
    pub(super) cost_per_hour: f64,
    image: String,
    /// Place in the order of preference: worker type, then flavor.
    rank: (usize, usize),
}

/// What is on offer now, and what is left of every limit.
pub(super) struct Market<'a> {
    pub(super) offers: Vec<Offer<'a>>,
    pub(super) pool: PoolRoom,
    clouds: Vec<Option<CloudRoom>>,
    of_type: Vec<(&'a str, u64, Option<u64>)>,
    last_cloud: Option<usize>,
    chosen: u64,
    /// Why something is not on offer: `cloud B: no quota left for cores`.
    pub(super) refusals: BTreeSet<String>,
}

impl<'a> Market<'a> {
    pub(super) fn open(input: &Input<'a>, numbers: &Numbers) -> Self {
        let config = input.config;
        let nodes_max = input.controls.nodes_max.unwrap_or(u64::MAX).min(config.sizes.nodes_max);
        let mut market = Self {
            offers: Vec::new(),
            pool: PoolRoom::of(config, nodes_max, numbers.nodes, numbers.cores, numbers.cost_per_hour),
            clouds: input.clouds.iter().map(|view| room(input, view)).collect(),
            of_type: config
                .worker_types
                .iter()
                .map(|kind| {
                    let has = input.nodes.iter().filter(|node| node.worker_type == kind.name).count() as u64;
                    (kind.name.as_str(), has, kind.nodes_max)
                })
                .collect(),
            last_cloud: input
                .last_cloud
                .and_then(|name| input.clouds.iter().position(|view| view.config.name == name)),
            chosen: 0,
            refusals: BTreeSet::new(),
        };
        for index in 0..input.clouds.len() {
            market.offers_of(input, index);
        }
        market
    }

    /// Enters what one cloud offers.
    fn offers_of(&mut self, input: &Input<'a>, index: usize) {
        let view = &input.clouds[index];
        let cloud = view.config;
        if let Some(why) = closed(input, view) {
            self.refusals.insert(format!("cloud {}: {why}", cloud.name));
            return;
        }
        let all = bits(input.config);
        for (type_rank, kind) in input.config.worker_types.iter().enumerate() {
            if !kind.clouds.is_empty() && !kind.clouds.contains(&cloud.name) {
                continue;
            }
            let wanted =
                kind.flavors.iter().filter(|name| cloud.flavors.is_empty() || cloud.flavors.contains(name));
            for (flavor_rank, name) in wanted.enumerate() {
                let known = view.flavors.unwrap_or_default();
                let Some(flavor) = known.iter().find(|flavor| flavor.name == *name || flavor.id == *name)
                else {
                    self.refusals.insert(format!("cloud {} has no flavor {name}", cloud.name));
                    continue;
                };
                if let Some(fare) = input.health.flavor_waits(&cloud.name, &flavor.name, input.now_ms) {
                    let wait_s = (fare.until_ms - input.now_ms).div_ceil(1000);
                    let text = format!(
                        "cloud {}: {} is left alone for {wait_s} s ({})",
                        cloud.name, flavor.name, fare.why
                    );
                    self.refusals.insert(text);
                    continue;
                }
                self.offers.push(Offer {
                    cloud: index,
                    kind,
                    types: all.get(kind.name.as_str()).copied().unwrap_or(0),
                    flavor,
                    capacity: flavor.resources.minus(&kind.reserved),
                    cost_per_hour: cost(cloud, flavor),
                    image: image(input.config, cloud, kind),
                    rank: (type_rank, flavor_rank),
                });
            }
        }
    }

    /// Why this one cannot be had now.
    fn refuses(&self, input: &Input<'_>, offer: &Offer<'_>) -> Option<String> {
        let cloud = &input.clouds[offer.cloud].config.name;
        if let Some(why) = self.pool.refuses(offer.flavor, offer.cost_per_hour) {
            return Some(why.to_owned());
        }
        let of_type = self.of_type.iter().find(|(name, _, _)| *name == offer.kind.name);
        if of_type.is_some_and(|(_, has, max)| max.is_some_and(|max| *has >= max)) {
            return Some(format!("`nodes_max` of {} is reached", offer.kind.name));
        }
        let room = self.clouds[offer.cloud].as_ref()?;
        room.refuses(offer.flavor).map(|why| format!("cloud {cloud}: {why}"))
    }

    /// The best offer for `left` jobs of this request: the least cost for each job that it runs; where nodes are
    /// scarcer than jobs, the one that runs the most. Without a request: the first in the order of preference.
    pub(super) fn best(
        &mut self,
        input: &Input<'_>,
        wanted: Option<(&Resources, Types, u64)>,
    ) -> Option<usize> {
        let mut best: Option<(usize, Score)> = None;
        for index in 0..self.offers.len() {
            let offer = &self.offers[index];
            let jobs = match wanted {
                Some((request, types, left)) if offer.types & types != 0 => {
                    request.times_in(&offer.capacity, left)
                }
                Some(_) => 0,
                None => 1,
            };
            if jobs == 0 {
                continue;
            }
            if let Some(why) = self.refuses(input, offer) {
                self.refusals.insert(why);
                continue;
            }
            let is_scarce = wanted.is_some_and(|(_, _, left)| left.div_ceil(jobs) > self.pool.nodes);
            let score = match wanted {
                None => Score { value: (0.0, 0.0), rank: offer.rank, turn: self.turn(input, index) },
                Some(_) if is_scarce => Score {
                    value: (-(jobs as f64), offer.cost_per_hour),
                    rank: offer.rank,
                    turn: self.turn(input, index),
                },
                Some(_) => {
                    let each = (
                        offer.cost_per_hour / jobs as f64,
                        f64::from(offer.flavor.resources.cores) / jobs as f64,
                    );
                    // Which cloud it is is decided by the mode of allocation alone, unless that is the cost.
                    let value =
                        if input.config.allocation == Allocation::Cheapest { each } else { (each.1, 0.0) };
                    Score { value, rank: offer.rank, turn: self.turn(input, index) }
                }
            };
            if best.as_ref().is_none_or(|(_, least)| score.is_less(least)) {
                best = Some((index, score));
            }
        }
        best.map(|(index, _)| index)
    }

    /// The place of the offer's cloud in the order of allocation; lower is earlier.
    fn turn(&self, input: &Input<'_>, index: usize) -> (i64, f64, u64) {
        let offer = &self.offers[index];
        let cloud = input.clouds[offer.cloud].config;
        let count = input.clouds.len() as u64;
        let place = offer.cloud as u64;
        match input.config.allocation {
            Allocation::RoundRobin => {
                let after = self.last_cloud.map_or(0, |last| last as u64 + 1);
                (0, 0.0, (place + count - after % count) % count)
            }
            Allocation::Random => {
                (0, 0.0, mix(input.seed ^ mix(self.chosen) ^ place.wrapping_mul(0x9e37_79b9)))
            }
            Allocation::FillFirst => (cloud.priority, 0.0, place),
            Allocation::Cheapest => (0, offer.cost_per_hour, (cloud.priority.max(0) as u64) << 16 | place),
        }
    }

    /// Takes an offer.
    pub(super) fn take(&mut self, input: &Input<'_>, index: usize, purpose: Purpose) -> Creation {
        let offer = &self.offers[index];
        self.pool.take(offer.flavor, offer.cost_per_hour);
        if let Some(room) = &mut self.clouds[offer.cloud] {
            room.take(offer.flavor);
        }
        if let Some((_, has, _)) = self.of_type.iter_mut().find(|(name, _, _)| *name == offer.kind.name) {
            *has += 1;
        }
        self.last_cloud = Some(offer.cloud);
        self.chosen += 1;
        Creation {
            cloud: input.clouds[offer.cloud].config.name.clone(),
            worker_type: offer.kind.name.clone(),
            flavor: offer.flavor.name.clone(),
            image: offer.image.clone(),
            resources: offer.flavor.resources,
            cost_per_hour: offer.cost_per_hour,
            purpose,
        }
    }
}

struct Score {
    value: (f64, f64),
    rank: (usize, usize),
    turn: (i64, f64, u64),
}

impl Score {
    fn is_less(&self, other: &Self) -> bool {
        self.value
            .0
            .total_cmp(&other.value.0)
            .then(self.value.1.total_cmp(&other.value.1))
            .then(self.rank.cmp(&other.rank))
            .then(self.turn.0.cmp(&other.turn.0))
            .then(self.turn.1.total_cmp(&other.turn.1))
            .then(self.turn.2.cmp(&other.turn.2))
            .is_lt()
    }
}

/// Why nothing at all can be bought in a cloud now.
fn closed(input: &Input<'_>, view: &CloudView<'_>) -> Option<String> {
    let cloud = view.config;
    if !cloud.enabled {
        return Some("is not enabled".to_owned());
    }
    if let Some(fare) = input.health.cloud_waits(&cloud.name, input.now_ms) {
        let wait_s = (fare.until_ms - input.now_ms).div_ceil(1000);
        return Some(format!("is left alone for {wait_s} s ({})", fare.why));
    }
    if !view.is_listed || view.limits.is_none() || view.flavors.is_none() {
        return Some("does not answer".to_owned());
    }
    (!is_open(&cloud.windows, input.now_ms)).then(|| "is outside of its time windows".to_owned())
}

fn room(input: &Input<'_>, view: &CloudView<'_>) -> Option<CloudRoom> {
    let limits = view.limits?;
    let here =
        input.nodes.iter().filter(|node| node.cloud == view.config.name && node.state != NodeState::Gone);
    let mut ours = (view.strays, view.stray_resources);
    let mut not_counted = (0, Resources::default());
    for node in here {
        ours.0 += 1;
        ours.1 += node.resources;
        // A request is in the cloud's own counts only when its list shows the server.
        if node.state == NodeState::Requested {
            not_counted.0 += 1;
            not_counted.1 += node.resources;
        }
    }
    Some(CloudRoom::of(input.config, view.config, limits, not_counted, ours))
}

/// Cost of an hour of a flavor in a cloud.
pub(crate) fn cost(cloud: &CloudConfig, flavor: &Flavor) -> f64 {
    let named = cloud.costs.get(&flavor.name).or_else(|| cloud.costs.get(&flavor.id)).copied();
    named.unwrap_or(cloud.cost_per_core_hour * f64::from(flavor.resources.cores))
}

fn image(config: &PoolConfig, cloud: &CloudConfig, kind: &WorkerType) -> String {
    let named = kind.image.as_ref().or(cloud.image.as_ref()).or(config.ehos.image.as_ref());
    named.cloned().unwrap_or_default()
}

const DAY_MIN: u64 = 24 * 60;

/// Whether one of the windows is open; none at all means always. Windows are in UTC.
pub(crate) fn is_open(windows: &[Window], now_ms: u64) -> bool {
    if windows.is_empty() {
        return true;
    }
    let minutes = now_ms / 60_000;
    let (day, minute) = (minutes / DAY_MIN, minutes % DAY_MIN);
    // The epoch began on a Thursday.
    let weekday = |day: u64| 1_u8 << ((day + 3) % 7);
    windows.iter().any(|window| {
        let (from, to) = (u64::from(window.from_min), u64::from(window.to_min));
        let today = window.days & weekday(day) != 0;
        let yesterday = window.days & weekday(day + 6) != 0;
        if from < to {
            today && (from..to).contains(&minute)
        } else {
            today && minute >= from || yesterday && minute < to
        }
    })
}

/// SplitMix64's finaliser: spreads a seed.
fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
