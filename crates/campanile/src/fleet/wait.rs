//! Watching until targets are reached.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::ask::{Answer, Bus};
use super::report::{Child, ManagerReport};
use super::request::Target;
use super::select::{ManagerTargets, Selection};

/// The first look comes soon, since a HostManager of ours acts at once; then less and less often.
const POLL_MIN: Duration = Duration::from_millis(50);
const POLL_MAX: Duration = Duration::from_millis(500);

/// How far one instance is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    Reached,
    /// On its way; with its state and, if known, the reason for it.
    Pending(String),
    /// It will not get there; with the reason.
    Hopeless(String),
}

/// How far everything is: by HostManager, then by instance. A HostManager that does not answer stands for itself.
pub(crate) type ByManager = BTreeMap<String, BTreeMap<String, Progress>>;

/// What is waited for: instances by HostManager.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Goal {
    pub(crate) target: Target,
    pub(crate) of_managers: BTreeMap<String, ManagerTargets>,
}

impl Goal {
    /// What a selection means with this target.
    pub(crate) fn of(target: Target, selection: &Selection) -> Self {
        let managers = selection.managers();
        let of_managers = managers.into_iter().map(|id| (id.to_owned(), selection.of_manager(id))).collect();
        Self { target, of_managers }
    }

    /// The same without the HostManagers that did not take the request: they would be waited for in vain.
    pub(crate) fn without_refused(mut self, answers: &[Answer]) -> Self {
        for answer in answers.iter().filter(|answer| answer.problem.is_some()) {
            self.of_managers.remove(&answer.manager);
        }
        self
    }

    /// How far each instance is. An instance that its HostManager has dropped counts as down.
    pub(crate) fn progress(&self, reports: &BTreeMap<String, ManagerReport>) -> ByManager {
        let mut of_managers = ByManager::new();
        for (manager, targets) in &self.of_managers {
            let all = of_managers.entry(manager.clone()).or_default();
            let Some(report) = reports.get(manager).filter(|report| report.problem.is_none()) else {
                let reason = reports.get(manager).and_then(|report| report.problem.clone());
                let reason = reason.unwrap_or_else(|| "no answer".to_owned());
                all.insert(manager.clone(), Progress::Pending(reason));
                continue;
            };
            for child in report.children.iter().filter(|_| targets.everything) {
                all.insert(child.instance_id.clone(), self.of_child(Some(child)));
            }
            for id in &targets.instances {
                all.insert(id.clone(), self.of_child(report.child(id)));
            }
        }
        of_managers
    }

    fn of_child(&self, child: Option<&Child>) -> Progress {
        let Some(child) = child else {
            return match self.target {
                Target::Down => Progress::Reached,
                Target::Up => Progress::Hopeless("its HostManager does not know it".to_owned()),
            };
        };
        let told = |state: &str| match child
            .reason
            .as_deref()
            .or(child.last_exit.as_ref().map(|e| e.reason.as_str()))
        {
            Some(reason) => format!("{state}: {reason}"),
            None => state.to_owned(),
        };
        if child.reached(self.target.word()) {
            Progress::Reached
        } else if !child.operable {
            // What cannot be operated has nothing that could be stopped, either.
            match self.target {
                Target::Down => Progress::Reached,
                Target::Up => Progress::Hopeless(told(child.state())),
            }
        } else {
            Progress::Pending(told(child.state()))
        }
    }
}

/// Polls until everything is reached or hopeless, or the time is over; `tell` hears of each look.
pub(crate) async fn until_reached(
    bus: &Bus,
    goal: &Goal,
    deadline: Instant,
    mut tell: impl FnMut(&ByManager),
) -> ByManager {
    let mut pause = POLL_MIN;
    loop {
        let reports = bus.reports(goal.of_managers.keys().cloned().collect()).await;
        let progress = goal.progress(&reports);
        tell(&progress);
        let mut all = progress.values().flat_map(BTreeMap::values);
        let pending = all.any(|progress| matches!(progress, Progress::Pending(_)));
        if !pending || Instant::now() >= deadline {
            return progress;
        }
        sleep_until((Instant::now() + pause).min(deadline)).await;
        pause = (pause * 3 / 2).min(POLL_MAX);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::fleet::report::ManagerState;

    fn reports(children: &[Value]) -> BTreeMap<String, ManagerReport> {
        let mut report = ManagerReport::silent("hm", ManagerState::Up, None);
        report.children = children.iter().filter_map(Child::from_json).collect();
        BTreeMap::from([("hm".to_owned(), report)])
    }

    fn goal(target: Target, everything: bool, ids: &[&str]) -> Goal {
        let instances = ids.iter().map(|&id| id.to_owned()).collect();
        let targets = ManagerTargets { everything, instances };
        Goal { target, of_managers: BTreeMap::from([("hm".to_owned(), targets)]) }
    }

    fn child(id: &str, next_action: &str, target: &str, operable: bool) -> Value {
        json!({"instance_id": id, "next_action": next_action, "target_state": target, "operable": operable})
    }

    #[test]
    fn what_is_on_its_way_is_pending_with_its_state() {
        let reports = reports(&[child("a", "start_at", "up", true), child("b", "up", "up", true)]);
        let progress = goal(Target::Up, false, &["a", "b"]).progress(&reports);
        assert_eq!(progress["hm"]["a"], Progress::Pending("start_at".into()));
        assert_eq!(progress["hm"]["b"], Progress::Reached);
    }

    #[test]
    fn an_instance_that_cannot_run_is_hopeless_to_start_and_no_obstacle_to_stopping() {
        let reports = reports(&[child("ghost", "?", "up", false), child("a", "down", "down", true)]);
        let up = goal(Target::Up, true, &[]).progress(&reports);
        assert_eq!(up["hm"]["ghost"], Progress::Hopeless("?".into()));
        let down = goal(Target::Down, true, &[]).progress(&reports);
        assert_eq!((&down["hm"]["ghost"], &down["hm"]["a"]), (&Progress::Reached, &Progress::Reached));
    }

    #[test]
    fn a_dropped_instance_is_down_and_will_not_come_up() {
        let reports = reports(&[]);
        assert_eq!(goal(Target::Down, false, &["gone"]).progress(&reports)["hm"]["gone"], Progress::Reached);
        assert!(matches!(
            goal(Target::Up, false, &["gone"]).progress(&reports)["hm"]["gone"],
            Progress::Hopeless(_)
        ));
    }

    #[test]
    fn a_manager_without_an_answer_is_waited_for_as_a_whole() {
        let silent = ManagerReport::silent("hm", ManagerState::Unknown, Some("no answer within 5 s".into()));
        let progress = goal(Target::Up, true, &[]).progress(&BTreeMap::from([("hm".to_owned(), silent)]));
        assert_eq!(progress["hm"]["hm"], Progress::Pending("no answer within 5 s".into()));
    }
}
