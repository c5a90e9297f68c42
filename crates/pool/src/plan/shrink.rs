//! How the pool shrinks: one by one, the longest idle first, never one that works.

use std::cmp::Reverse;

use crate::identity::Sight;
use crate::model::{Ending, Node, NodeState, WorkerState};
use crate::packing::Kind;
use crate::plan::options::is_open;
use crate::plan::words::Said;
use crate::plan::{Input, Plan, Removal, Scene, bits};

/// A node begins to drain that long before its lease ends, at most, milliseconds.
const LEASE_MARGIN_MS: u64 = 6 * 3_600_000;

/// Plans which nodes go.
pub(super) fn shrink(input: &Input<'_>, scene: &Scene, plan: &mut Plan, said: &mut Said) {
    let (Some(_), Some(_)) = (input.workers, input.demand) else {
        said.unknown = true;
        return;
    };
    let shrink = &input.config.shrink;
    if !is_open(&shrink.windows, input.now_ms) {
        said.kept_by = Some("outside of the time windows of `shrink`");
        return;
    }
    let mut budget = shrink.per_step;
    leases(input, plan, &mut budget);
    idle(input, scene, plan, said, budget);
}

/// Nodes that have lived nearly as long as they may are drained while there is time.
fn leases(input: &Input<'_>, plan: &mut Plan, budget: &mut u64) {
    let lifetime_ms = input.config.lease.lifetime_ms;
    let margin_ms = (lifetime_ms / 4).min(LEASE_MARGIN_MS);
    for node in input.nodes.iter().filter(|node| node.state.is_working() && !is_uncertain(input, node)) {
        if *budget == 0 {
            return;
        }
        if input.now_ms.saturating_sub(node.created_ms) >= lifetime_ms.saturating_sub(margin_ms) {
            *budget -= 1;
            plan.remove.push(Removal {
                node: node.name.clone(),
                ending: Ending::LeaseOver,
                only_if_idle: false,
            });
        }
    }
}

fn idle(input: &Input<'_>, scene: &Scene, plan: &mut Plan, said: &mut Said, budget: u64) {
    let sizes = &input.config.sizes;
    let shrink = &input.config.shrink;
    let numbers = &plan.numbers;
    let nodes_max = input.controls.nodes_max.unwrap_or(u64::MAX).min(sizes.nodes_max);
    let nodes_min = input.controls.nodes_min.unwrap_or(sizes.nodes_min);
    let nodes_spare = input.controls.nodes_spare.unwrap_or(sizes.nodes_spare);
    // A cap that was lowered is heeded at once, as far as idle nodes go.
    let mut over = numbers.nodes.saturating_sub(numbers.nodes_going).saturating_sub(nodes_max);

    let leaving: Vec<&str> = plan.remove.iter().map(|removal| removal.node.as_str()).collect();
    let mut candidates: Vec<&Node> = input
        .nodes
        .iter()
        .filter(|node| node.state == NodeState::Idle && !node.cordoned && !is_uncertain(input, node))
        .filter(|node| !leaving.contains(&node.name.as_str()))
        .collect();
    candidates.sort_by_key(|node| (node.idle_since_ms, Reverse(node.resources.cores), node.name.clone()));

    let present = numbers.nodes_coming + numbers.nodes_idle + numbers.nodes_busy + plan.create.len() as u64;
    let mut above_min = present.saturating_sub(leaving.len() as u64).saturating_sub(nodes_min);
    let untouched = scene.packing.untouched_of_kinds(&[Kind::Idle, Kind::Coming, Kind::New]);
    let mut above_spare = untouched.saturating_sub(nodes_spare);
    let last_ms = input.recent_creations_ms.iter().copied().max().unwrap_or(0);
    let cools_down = !plan.create.is_empty() || input.now_ms.saturating_sub(last_ms) < shrink.cool_down_ms;
    let types = bits(input.config);
    let mut used_of_label = vec![0_u64; scene.labels.len()];
    let mut budget = budget;
    for node in candidates {
        if budget == 0 {
            said.kept_by = Some("`shrink.per_step` allows no more in one step");
            return;
        }
        let idle_ms = input.now_ms.saturating_sub(node.idle_since_ms.unwrap_or(input.now_ms));
        let is_usable = super::usable_worker(input, node).is_some();
        if is_usable {
            let free = super::usable_worker(input, node).map(|worker| worker.free).unwrap_or_default();
            let own = types.get(node.worker_type.as_str()).copied().unwrap_or(0);
            let Some(label) = scene.labels.get(&(own, free)).copied() else { continue };
            // As many of this kind as nothing was placed on may go; they are alike, so the longest idle ones do.
            if used_of_label[label] >= scene.packing.untouched(Kind::Idle, label) {
                said.needed += 1;
                continue;
            }
            if over == 0 {
                if idle_ms < shrink.idle_ms {
                    said.young += 1;
                    continue;
                }
                if cools_down {
                    said.kept_by = Some("nodes were made a short while ago (`shrink.cool_down`)");
                    continue;
                }
                if above_min == 0 {
                    said.kept_by = Some("`nodes_min` is kept");
                    continue;
                }
                if above_spare == 0 {
                    said.kept_by = Some("`nodes_spare` is kept");
                    continue;
                }
            }
            used_of_label[label] += 1;
            above_spare = above_spare.saturating_sub(1);
            above_min = above_min.saturating_sub(1);
        } else if idle_ms < shrink.idle_ms {
            said.young += 1;
            continue;
        }
        over = over.saturating_sub(1);
        budget -= 1;
        plan.remove.push(Removal { node: node.name.clone(), ending: Ending::NotNeeded, only_if_idle: true });
    }
}

/// Whether it is not known what this node does.
fn is_uncertain(input: &Input<'_>, node: &Node) -> bool {
    match input.workers.map(|workers| workers.sight(&node.name)) {
        // What somebody else drains is left to them until it is empty.
        Some(Sight::Seen(worker)) => worker.jobs > 0 && worker.state == WorkerState::Draining,
        _ => true,
    }
}
