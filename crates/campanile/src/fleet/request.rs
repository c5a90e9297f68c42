//! What to ask a HostManager so that targets change.
//!
//! The operations are those of the OCS HostManager Agent: `update(requests, reload_config)` while its `manager` process
//! runs, `manager(requests)` to wake it up when it does not.

use serde_json::{Value, json};

use super::report::{ManagerReport, ManagerState};
use super::select::ManagerTargets;

/// The state that an operator asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Up,
    Down,
}

impl Target {
    /// As it goes over the wire and into tables.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
        }
    }
}

/// One operation to start on one HostManager.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Request {
    /// `update`, or `manager` when that has to be started first.
    pub(crate) op: &'static str,
    pub(crate) params: Value,
    /// Targets that the HostManager does not know yet, so that it is told to read its site config again.
    pub(crate) not_known: Vec<String>,
}

/// Composes the operation.
///
/// A HostManager whose `manager` process sleeps is started with everything down but what was asked for, so that waking
/// it never starts an agent by surprise. When a target is unknown to the HostManager, it reloads its site config
/// first. `expected` lists what the operator's own site config says this HostManager manages: "everything" means those
/// too.
pub(crate) fn compose(
    report: &ManagerReport,
    targets: &ManagerTargets,
    expected: &[&str],
    target: Target,
) -> Request {
    let word = target.word();
    let mut requests: Vec<Value> = Vec::new();
    if targets.everything {
        requests.push(json!(["all", word]));
    }
    requests.extend(targets.instances.iter().map(|id| json!([id, word])));
    if report.state != ManagerState::Up {
        requests.insert(0, json!(["all", "down"]));
        return Request { op: "manager", params: json!({ "requests": requests }), not_known: Vec::new() };
    }
    let also = expected.iter().copied().filter(|_| targets.everything);
    let mut not_known: Vec<String> = Vec::new();
    for id in targets.instances.iter().map(String::as_str).chain(also) {
        if report.child(id).is_none() && !not_known.iter().any(|known| known == id) {
            not_known.push(id.to_owned());
        }
    }
    let params = if not_known.is_empty() {
        json!({ "requests": requests })
    } else {
        json!({ "requests": requests, "reload_config": true })
    };
    Request { op: "update", params, not_known }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::report::Child;

    fn report(state: ManagerState, children: &[&str]) -> ManagerReport {
        let mut report = ManagerReport::silent("hm", state, None);
        report.children =
            children.iter().map(|id| Child::from_json(&json!({"instance_id": id})).unwrap()).collect();
        report
    }

    fn targets(everything: bool, instances: &[&str]) -> ManagerTargets {
        ManagerTargets { everything, instances: instances.iter().map(|&id| id.to_owned()).collect() }
    }

    #[test]
    fn known_targets_are_one_plain_update() {
        let request =
            compose(&report(ManagerState::Up, &["a", "b"]), &targets(false, &["a", "b"]), &[], Target::Up);
        assert_eq!(request.op, "update");
        assert_eq!(request.params, json!({"requests": [["a", "up"], ["b", "up"]]}));
    }

    #[test]
    fn a_sleeping_manager_is_started_with_everything_else_down() {
        let request =
            compose(&report(ManagerState::Sleeping, &[]), &targets(false, &["a"]), &["a", "b"], Target::Up);
        assert_eq!(request.op, "manager");
        assert_eq!(request.params, json!({"requests": [["all", "down"], ["a", "up"]]}));
        let request =
            compose(&report(ManagerState::Sleeping, &[]), &targets(true, &[]), &["a", "b"], Target::Up);
        assert_eq!(request.params, json!({"requests": [["all", "down"], ["all", "up"]]}));
    }

    #[test]
    fn an_unknown_target_makes_the_manager_read_its_config_again() {
        let request =
            compose(&report(ManagerState::Up, &["a"]), &targets(false, &["a", "new"]), &[], Target::Down);
        assert_eq!(
            request.params,
            json!({"requests": [["a", "down"], ["new", "down"]], "reload_config": true})
        );
        assert_eq!(request.not_known, ["new"]);
    }

    #[test]
    fn everything_includes_what_the_site_config_has_and_the_manager_does_not_know_yet() {
        let up = report(ManagerState::Up, &["a"]);
        let request = compose(&up, &targets(true, &[]), &["a"], Target::Up);
        assert_eq!(request.params, json!({"requests": [["all", "up"]]}));
        let request = compose(&up, &targets(true, &["new"]), &["a", "new"], Target::Up);
        assert_eq!(
            request.params,
            json!({"requests": [["all", "up"], ["new", "up"]], "reload_config": true})
        );
        assert_eq!(request.not_known, ["new"]);
    }
}
