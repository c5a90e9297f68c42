//! The start order: `after` must name instances of the same host, and must not go round in circles.

use std::collections::HashMap;

use campanile_yaml::{Diagnostics, Node, did_you_mean};

use super::instance::reason;
use super::model::{InstanceConfig, Manage};

/// Members of a circle that are named.
const MAX_NAMED: usize = 8;

/// Checks the `after` of all instances of a host; an entry with an error in its own is disabled.
///
/// `entries` are their nodes.
pub(super) fn check(instances: &mut [InstanceConfig], entries: &[Node<'_>], diagnostics: &mut Diagnostics) {
    let index_of: HashMap<&str, usize> = instances
        .iter()
        .enumerate()
        .map(|(index, instance)| (instance.instance_id.as_str(), index))
        .collect();
    let ids: Vec<&str> = instances.iter().map(|instance| instance.instance_id.as_str()).collect();
    let circles = circles(instances, &index_of);
    let mut found: Vec<Diagnostics> = Vec::new();
    for (index, instance) in instances.iter().enumerate() {
        let mut own = Diagnostics::new();
        for id in &instance.after {
            match index_of.get(id.as_str()) {
                None => {
                    let problem = after_node(entries[index], Some(id))
                        .error(format!("{} waits for `{id}`, which is no instance of this host", ids[index]));
                    let hint =
                        did_you_mean(id, ids.iter().copied()).map(|meant| format!("did you mean `{meant}`?"));
                    own.push(problem.maybe_hint(hint));
                }
                Some(other) if instances[*other].manage == Manage::Ignore => {
                    let message = format!(
                        "{} waits for {id}, which is not managed here, so it does not wait",
                        ids[index]
                    );
                    own.push(after_node(entries[index], Some(id)).warning(message));
                }
                Some(_) => {}
            }
        }
        if let Some(circle) = circles.get(&index) {
            let problem = after_node(entries[index], None)
                .error(format!("the start order goes round in a circle: {circle}"));
            own.push(problem.hint("remove one of these from an `after`"));
        }
        found.push(own);
    }
    for (instance, own) in instances.iter_mut().zip(found) {
        if let Some(reason) = reason(&own) {
            instance.problem = Some(match instance.problem.take() {
                Some(earlier) => format!("{earlier}; {reason}"),
                None => reason,
            });
        }
        diagnostics.extend(own);
    }
}

/// For each instance that is part of a circle: the circle, in words.
///
/// A depth-first walk, so that every circle has at least two of its members here, and is broken by disabling them.
fn circles(instances: &[InstanceConfig], index_of: &HashMap<&str, usize>) -> HashMap<usize, String> {
    let mut found = HashMap::new();
    // Where on the path from the start an instance is; `None` once everything behind it has been walked.
    let mut seen: HashMap<usize, Option<usize>> = HashMap::new();
    for start in 0..instances.len() {
        if seen.contains_key(&start) {
            continue;
        }
        seen.insert(start, Some(0));
        // Each instance on the path, with the number of its `after` that comes next.
        let mut path = vec![(start, 0)];
        while let Some((current, next)) = path.last_mut() {
            let Some(id) = instances[*current].after.get(*next) else {
                seen.insert(*current, None);
                path.pop();
                continue;
            };
            *next += 1;
            let (current, Some(&target)) = (*current, index_of.get(id.as_str())) else { continue };
            match seen.get(&target) {
                None => {
                    seen.insert(target, Some(path.len()));
                    path.push((target, 0));
                }
                Some(Some(place)) if !found.contains_key(&current) => {
                    let members: Vec<usize> = path[*place..].iter().map(|(member, _)| *member).collect();
                    let words = in_words(&members, instances);
                    for member in members {
                        found.entry(member).or_insert_with(|| words.clone());
                    }
                }
                Some(_) => {}
            }
        }
    }
    found
}

/// Where an entry names an instance to wait for, else its whole `after`.
fn after_node<'d>(entry: Node<'d>, id: Option<&str>) -> Node<'d> {
    let Some(after) = entry.get("after") else { return entry };
    after.items().find(|item| id.is_some() && item.text() == id).unwrap_or(after)
}

fn in_words(members: &[usize], instances: &[InstanceConfig]) -> String {
    let mut names: Vec<&str> = members.iter().map(|member| instances[*member].instance_id.as_str()).collect();
    if names.len() > MAX_NAMED {
        names.truncate(MAX_NAMED);
        names.push("…");
    }
    if let Some(first) = members.first() {
        names.push(&instances[*first].instance_id);
    }
    names.join(" after ")
}
