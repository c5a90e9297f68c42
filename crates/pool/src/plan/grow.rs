//! How the pool grows.

use crate::packing::{Class, Kind};
use crate::plan::options::Market;
use crate::plan::words::Said;
use crate::plan::{Input, Plan, Purpose, Scene};

const MINUTE_MS: u64 = 60_000;

/// Plans nodes for the jobs that found no room, for `nodes_min` and for `nodes_spare`.
pub(super) fn grow(input: &Input<'_>, scene: &mut Scene, plan: &mut Plan, said: &mut Said) {
    let mut market = Market::open(input, &plan.numbers);
    let mut budget = Budget::of(input, plan.numbers.nodes_coming);
    for index in 0..scene.groups.len() {
        let mut group = scene.groups[index].clone();
        let before = group.jobs;
        // What was planned for larger jobs may have room left.
        group.jobs = scene.packing.place_up_to(&group, Kind::New);
        while group.jobs > 0 {
            if budget.left == 0 {
                said.limited_by = Some(budget.what);
                break;
            }
            let wanted = (&group.request, group.types, group.jobs);
            let Some(best) = market.best(input, Some(wanted)) else {
                let fits = market
                    .offers
                    .iter()
                    .any(|offer| offer.types & group.types != 0 && group.request.fits(&offer.capacity));
                said.too_large |= !fits && !market.offers.is_empty();
                break;
            };
            let offer = &market.offers[best];
            let jobs = group.request.times_in(&offer.capacity, group.jobs);
            let free = offer.capacity.minus(&group.request.times(jobs));
            let types = offer.types;
            scene.packing.add(Class { free, types, kind: Kind::New, label: 0, untouched: false, count: 1 });
            group.jobs -= jobs;
            budget.left -= 1;
            plan.create.push(market.take(input, best, Purpose::Jobs));
        }
        plan.numbers.jobs_new += before - group.jobs;
        plan.numbers.jobs_unserved += group.jobs;
    }
    keep(input, scene, plan, &mut market, &mut budget, said);
    said.refusals = market.refusals;
}

/// `nodes_min` and `nodes_spare`.
fn keep(
    input: &Input<'_>,
    scene: &mut Scene,
    plan: &mut Plan,
    market: &mut Market<'_>,
    budget: &mut Budget,
    said: &mut Said,
) {
    let sizes = &input.config.sizes;
    let nodes_min = input.controls.nodes_min.unwrap_or(sizes.nodes_min);
    let nodes_spare = input.controls.nodes_spare.unwrap_or(sizes.nodes_spare);
    let numbers = &plan.numbers;
    let has = numbers.nodes_coming + numbers.nodes_idle + numbers.nodes_busy + plan.create.len() as u64;
    let for_min = nodes_min.saturating_sub(has);
    let is_known = input.workers.is_some() && input.demand.is_some();
    let untouched = scene.packing.untouched_of_kinds(&[Kind::Idle, Kind::Coming, Kind::New]) + for_min;
    let for_spare = if is_known { nodes_spare.saturating_sub(untouched) } else { 0 };
    for (purpose, count) in [(Purpose::Min, for_min), (Purpose::Spare, for_spare)] {
        for _ in 0..count {
            if budget.left == 0 {
                said.limited_by = Some(budget.what);
                return;
            }
            let Some(best) = market.best(input, None) else { return };
            let offer = &market.offers[best];
            let (free, types) = (offer.capacity, offer.types);
            scene.packing.add(Class { free, types, kind: Kind::New, label: 0, untouched: true, count: 1 });
            budget.left -= 1;
            plan.create.push(market.take(input, best, purpose));
        }
    }
}

/// How many nodes may be requested in this step.
struct Budget {
    left: u64,
    /// What sets it.
    what: &'static str,
}

impl Budget {
    fn of(input: &Input<'_>, coming: u64) -> Self {
        let growth = &input.config.growth;
        let recent = input
            .recent_creations_ms
            .iter()
            .filter(|at_ms| input.now_ms.saturating_sub(**at_ms) < MINUTE_MS)
            .count() as u64;
        let limits = [
            (growth.per_step, "`growth.per_step`"),
            (growth.per_minute.saturating_sub(recent), "`growth.per_minute`"),
            (growth.coming_max.saturating_sub(coming), "`growth.coming_max`"),
        ];
        let (left, what) = limits.into_iter().min_by_key(|(left, _)| *left).unwrap_or((0, ""));
        Self { left, what }
    }
}
