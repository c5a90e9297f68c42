//! Asking for targets, at all HostManagers concerned at the same time.

use std::collections::BTreeMap;

use tokio::task::JoinSet;

use super::ask::{Answer, Bus};
use super::report::{ManagerReport, ManagerState};
use super::select::ManagerTargets;
use super::survey::{Fleet, HostView};
use super::wait::Goal;

/// Asks; the answers come in the order of the HostManagers' ids.
pub(crate) async fn apply(bus: &Bus, fleet: &Fleet, goal: &Goal) -> Vec<Answer> {
    let mut asked = JoinSet::new();
    for (id, targets) in &goal.of_managers {
        let report = report_of(fleet, id);
        let expected = expected_of(fleet, id);
        let (bus, targets, target) = (bus.clone(), targets.clone(), goal.target);
        asked.spawn(async move {
            let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
            bus.change(&report, &targets, &expected, target).await
        });
    }
    let mut answers: BTreeMap<String, Answer> = BTreeMap::new();
    while let Some(done) = asked.join_next().await {
        if let Ok(answer) = done {
            answers.insert(answer.manager.clone(), answer);
        }
    }
    let lost = |id: &String| Answer {
        manager: id.clone(),
        woken: false,
        not_known: Vec::new(),
        problem: Some("the request failed inside this program; please report this".to_owned()),
    };
    goal.of_managers.keys().map(|id| answers.remove(id).unwrap_or_else(|| lost(id))).collect()
}

fn report_of(fleet: &Fleet, id: &str) -> ManagerReport {
    let mut all = fleet.hosts.iter().flat_map(|host| &host.managers);
    all.find(|report| report.instance_id == id)
        .cloned()
        .unwrap_or_else(|| ManagerReport::silent(id, ManagerState::Unknown, None))
}

/// What the site config says that this HostManager manages; nothing when its host has several, since the file does
/// not say which of them has what.
fn expected_of(fleet: &Fleet, id: &str) -> Vec<String> {
    let is_alone = |host: &&HostView| matches!(host.managers.as_slice(), [only] if only.instance_id == id);
    let Some(host) = fleet.hosts.iter().find(is_alone) else { return Vec::new() };
    let declared =
        host.rows.iter().filter(|row| row.management.takes_targets() && row.declared_class.is_some());
    declared.map(|row| row.instance_id.clone()).collect()
}

/// What a restart concerns: of "everything", what should run; what is named, in any case.
pub(crate) fn restart_targets(report: &ManagerReport, targets: &ManagerTargets) -> ManagerTargets {
    let mut instances = targets.instances.clone();
    if targets.everything {
        for child in &report.children {
            if child.should_run() && !instances.contains(&child.instance_id) {
                instances.push(child.instance_id.clone());
            }
        }
    }
    ManagerTargets { everything: false, instances }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_restart_of_everything_leaves_alone_what_is_down_on_purpose() {
        let child = |id: &str, next: &str, target: &str, operable: bool| json!({"instance_id": id, "next_action": next, "target_state": target, "operable": operable});
        let children = json!([
            child("runs", "up", "up", true),
            child("crashes", "start_at", "up", true),
            child("stopped", "down", "down", true),
            child("ghost", "?", "up", false),
            child("service-up", "up", "passive", true),
            child("service-down", "down", "passive", true),
        ]);
        let report = ManagerReport::running("hm", 0.0, json!({"child_states": children}));
        let all = ManagerTargets { everything: true, instances: vec!["stopped".into()] };
        let targets = restart_targets(&report, &all);
        assert_eq!(targets.instances, ["stopped", "runs", "crashes", "service-up"]);
        assert!(!targets.everything);
    }
}
