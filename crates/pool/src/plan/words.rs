//! The plan in words.

use std::collections::{BTreeMap, BTreeSet};

use crate::plan::{Input, Plan, Purpose};

/// What came up while deciding.
#[derive(Debug, Default)]
pub(super) struct Said {
    pub(super) paused: bool,
    /// Nothing is known of the batch system.
    pub(super) unknown: bool,
    /// The limit on growth that was met.
    pub(super) limited_by: Option<&'static str>,
    /// Some jobs fit no machine that is on offer.
    pub(super) too_large: bool,
    /// Why something cannot be bought.
    pub(super) refusals: BTreeSet<String>,
    /// Why idle nodes stay.
    pub(super) kept_by: Option<&'static str>,
    /// Idle nodes that jobs wait for.
    pub(super) needed: u64,
    /// Idle nodes that have not been idle for long enough.
    pub(super) young: u64,
}

/// Refusals that are told; there may be one for each flavor and cloud.
const MAX_REFUSALS: usize = 6;

pub(super) fn words(input: &Input<'_>, plan: &Plan, said: &Said) -> Vec<String> {
    let numbers = &plan.numbers;
    let mut why = Vec::new();
    match input.demand {
        None => why.push(
            "the queue is not known, so nothing goes and only `nodes_min` is worked towards".to_owned(),
        ),
        Some(_) if numbers.idle_jobs == 0 => why.push("no job waits for a worker".to_owned()),
        Some(_) => {
            let verb = if numbers.idle_jobs == 1 { "needs" } else { "need" };
            why.push(format!(
                "{} {verb} {}",
                count(numbers.idle_jobs, "idle job"),
                count(numbers.idle_cores, "core")
            ));
        }
    }
    if numbers.unrunnable_jobs > 0 {
        let can = count(numbers.unrunnable_jobs, "job");
        why.push(format!("{can} can run on no worker type and {} left out", is(numbers.unrunnable_jobs)));
    }
    if numbers.jobs_placed > 0 {
        why.push(format!("what has joined has room for {} of them", numbers.jobs_placed));
    }
    if numbers.nodes_coming > 0 {
        let coming =
            format!("{} {} on the way", count(numbers.nodes_coming, "node"), is(numbers.nodes_coming));
        why.push(match numbers.jobs_coming {
            0 => coming,
            jobs => format!("{coming} with room for {jobs}"),
        });
    }
    if said.paused {
        why.push("an operator has paused the pool: nothing is created or removed".to_owned());
        return why;
    }
    if plan.create.is_empty() && numbers.jobs_unserved == 0 && numbers.idle_jobs > 0 {
        why.push("no more nodes are needed".to_owned());
    }
    why.extend(creations(plan));
    let wants_more = numbers.jobs_unserved > 0 || said.limited_by.is_some();
    if numbers.jobs_unserved > 0 {
        why.push(format!("{} cannot be served now", count(numbers.jobs_unserved, "job")));
    }
    if let Some(limit) = said.limited_by {
        why.push(format!("{limit} allows no more nodes at the moment"));
    }
    if said.too_large {
        why.push("some jobs ask for more than any machine on offer has".to_owned());
    }
    if wants_more || !plan.create.is_empty() {
        why.extend(said.refusals.iter().take(MAX_REFUSALS).cloned());
    }
    why.extend(removals(plan, said));
    why
}

fn creations(plan: &Plan) -> Vec<String> {
    let mut of_kind: BTreeMap<(&str, &str, &str), u64> = BTreeMap::new();
    for creation in &plan.create {
        let purpose = match creation.purpose {
            Purpose::Jobs => "",
            Purpose::Min => " for `nodes_min`",
            Purpose::Spare => " for `nodes_spare`",
        };
        *of_kind.entry((&creation.cloud, &creation.flavor, purpose)).or_default() += 1;
    }
    let line = |((cloud, flavor, purpose), count): (&(&str, &str, &str), &u64)| {
        format!("creating {count} × {flavor} in {cloud}{purpose}")
    };
    of_kind.iter().map(line).collect()
}

fn removals(plan: &Plan, said: &Said) -> Vec<String> {
    let mut why = Vec::new();
    if !plan.remove.is_empty() {
        let names: Vec<&str> = plan.remove.iter().map(|removal| removal.node.as_str()).take(5).collect();
        let more = plan.remove.len().saturating_sub(names.len());
        let and = if more > 0 { format!(" and {more} more") } else { String::new() };
        why.push(format!("letting go {}{and}", names.join(", ")));
    }
    if said.unknown {
        why.push("nothing goes while the batch system does not prove that it lives".to_owned());
    }
    if said.needed > 0 {
        why.push(format!("{} kept for waiting jobs", count(said.needed, "idle node")));
    }
    if said.young > 0 {
        why.push(format!("{} not idle for long enough (`shrink.idle`)", count(said.young, "node")));
    }
    if let Some(reason) = said.kept_by {
        why.push(format!("idle nodes stay: {reason}"));
    }
    why
}

/// `1 job`, `2 jobs`.
fn count(number: u64, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {thing}{plural}")
}

fn is(number: u64) -> &'static str {
    if number == 1 { "is" } else { "are" }
}
