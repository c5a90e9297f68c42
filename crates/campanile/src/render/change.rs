//! How up, down and restart tell what they did: lines for people, or one JSON object.

use serde::Serialize;

use crate::fleet::ask::Answer;
use crate::fleet::request::Target;
use crate::fleet::select::{ManagerTargets, Refusal, Selection, Step};
use crate::fleet::wait::{ByManager, Goal, Progress};
use crate::render::summary::HostSummary;

/// The `--json` form of one change of targets; documented in the book's chapter on commands.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) target: &'static str,
    pub(crate) dry_run: bool,
    pub(crate) requests: Vec<RequestMade>,
    /// `null` when nothing was waited for.
    pub(crate) waited: Option<Waited>,
    /// Names that mean nothing on this site, or nothing of what the selectors leave of it.
    pub(crate) unknown: Vec<String>,
    /// Why instances that a pattern or a selector means were left out.
    pub(crate) left_out: Vec<String>,
    /// The same, host by host.
    pub(crate) hosts: Vec<HostSummary>,
}

/// What one HostManager was asked for.
#[derive(Debug, Serialize)]
pub(crate) struct RequestMade {
    manager: String,
    everything: bool,
    instances: Vec<String>,
    /// Its manager process had to be started first.
    woken: bool,
    /// Instances for which it had to read its site config again.
    reloaded_for: Vec<String>,
    problem: Option<String>,
}

/// What came of waiting.
#[derive(Debug, Serialize)]
pub(crate) struct Waited {
    pub(crate) seconds: f64,
    pub(crate) instances: Vec<InstanceWaited>,
}

/// How far one instance came.
#[derive(Debug, Serialize)]
pub(crate) struct InstanceWaited {
    manager: String,
    instance_id: String,
    reached: bool,
    /// Where it got stuck.
    state: Option<String>,
}

impl Report {
    /// An empty report.
    pub(crate) fn new(target: Target, dry_run: bool, selection: &Selection) -> Self {
        Self {
            target: target.word(),
            dry_run,
            requests: Vec::new(),
            waited: None,
            unknown: selection.unknown.clone(),
            left_out: selection.unclear.iter().map(Refusal::to_string).collect(),
            hosts: Vec::new(),
        }
    }

    /// Was everything done that was asked for?
    pub(crate) fn is_complete(&self) -> bool {
        self.unknown.is_empty()
            && self.left_out.is_empty()
            && !self.requests.is_empty()
            && self.requests.iter().all(|request| request.problem.is_none())
            && self
                .waited
                .as_ref()
                .is_none_or(|waited| waited.instances.iter().all(|instance| instance.reached))
    }

    /// Takes note of the answers.
    pub(crate) fn add_answers(&mut self, goal: &Goal, answers: &[Answer]) {
        for (manager, targets) in &goal.of_managers {
            let answer = answers.iter().find(|answer| answer.manager == *manager);
            self.requests.push(request_made(manager, targets, answer));
        }
    }
}

fn request_made(manager: &str, targets: &ManagerTargets, answer: Option<&Answer>) -> RequestMade {
    RequestMade {
        manager: manager.to_owned(),
        everything: targets.everything,
        instances: targets.instances.clone(),
        woken: answer.is_some_and(|answer| answer.woken),
        reloaded_for: answer.map(|answer| answer.not_known.clone()).unwrap_or_default(),
        problem: answer.and_then(|answer| answer.problem.clone()),
    }
}

impl Waited {
    /// The last look of a wait.
    pub(crate) fn new(seconds: f64, progress: &ByManager) -> Self {
        let all = progress.iter().flat_map(|(manager, all)| all.iter().map(move |one| (manager, one)));
        let instances = all.map(|(manager, (id, progress))| InstanceWaited {
            manager: manager.clone(),
            instance_id: id.clone(),
            reached: *progress == Progress::Reached,
            state: match progress {
                Progress::Reached => None,
                Progress::Pending(state) | Progress::Hopeless(state) => Some(state.clone()),
            },
        });
        Self { seconds, instances: instances.collect() }
    }

    /// Those that did not get there, one line; `None` when all did.
    pub(crate) fn complaint(&self, target: Target) -> Option<String> {
        let stuck: Vec<String> = self
            .instances
            .iter()
            .filter(|instance| !instance.reached)
            .map(|instance| match &instance.state {
                Some(state) => format!("{} ({state})", instance.instance_id),
                None => instance.instance_id.clone(),
            })
            .collect();
        let word = target.word();
        (!stuck.is_empty()).then(|| format!("not {word} after {:.0} s: {}", self.seconds, stuck.join(", ")))
    }
}

/// What is about to be asked of whom, in the words of ocsbow, a line each.
pub(crate) fn announcement(selection: &Selection, verb: &str) -> String {
    let mut out = String::new();
    for step in &selection.steps {
        match step {
            Step::Everything { manager } => out.push_str(&format!("  {verb} hostmanager {manager} all\n")),
            Step::Instance { instance_id, manager } => {
                out.push_str(&format!("  {verb} agent {instance_id} via {manager}\n"));
            }
        }
    }
    out
}

/// What stands above the announcement of a dry run.
pub(crate) const DRY_RUN_LINE: &str = "[dry-run, no requests will be issued]\n";

/// What the answers hold beyond "done": lines for stdout, and problems for stderr.
pub(crate) fn answers(answers: &[Answer]) -> (String, String) {
    let (mut told, mut problems) = (String::new(), String::new());
    for answer in answers {
        let id = &answer.manager;
        if answer.problem.is_none() && answer.woken {
            told.push_str(&format!("  {id}: its manager process was asleep and has been started\n"));
        }
        if answer.problem.is_none() && !answer.not_known.is_empty() {
            told.push_str(&format!(
                "  {id}: it did not know {} and has read its site config again\n",
                answer.not_known.join(", ")
            ));
        }
        if let Some(problem) = &answer.problem {
            problems.push_str(&format!("error: HostManager {id}: {problem}\n"));
        }
    }
    (told, problems)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn answer(manager: &str, problem: Option<&str>) -> Answer {
        Answer {
            manager: manager.into(),
            woken: false,
            not_known: Vec::new(),
            problem: problem.map(str::to_owned),
        }
    }

    fn goal() -> Goal {
        let targets = |ids: &[&str], everything| ManagerTargets {
            everything,
            instances: ids.iter().map(|&id| id.to_owned()).collect(),
        };
        Goal {
            target: Target::Up,
            of_managers: BTreeMap::from([
                ("hm-1".to_owned(), targets(&["a", "b"], false)),
                ("hm-2".to_owned(), targets(&[], true)),
            ]),
        }
    }

    #[test]
    fn one_dead_manager_makes_the_report_incomplete_and_is_named() {
        let mut report = Report::new(Target::Up, false, &Selection::default());
        let given = [answer("hm-1", None), answer("hm-2", Some("it is not running"))];
        report.add_answers(&goal(), &given);
        assert!(!report.is_complete());
        assert_eq!(answers(&given).1, "error: HostManager hm-2: it is not running\n");
    }

    #[test]
    fn the_json_form_of_up_is_stable() {
        let mut report = Report::new(
            Target::Up,
            false,
            &Selection { unknown: vec!["nosuch".to_owned()], ..Selection::default() },
        );
        let mut woken = answer("hm-2", None);
        woken.woken = true;
        let mut reloaded = answer("hm-1", None);
        reloaded.not_known = vec!["b".into()];
        report.add_answers(&goal(), &[reloaded, woken]);
        report.waited = Some(Waited::new(
            2.5,
            &BTreeMap::from([(
                "hm-1".to_owned(),
                BTreeMap::from([
                    ("a".to_owned(), Progress::Reached),
                    ("b".to_owned(), Progress::Pending("start_at: exit code 3".into())),
                ]),
            )]),
        ));
        insta::assert_json_snapshot!(report);
        assert_eq!(
            report.waited.unwrap().complaint(Target::Up).as_deref(),
            Some("not up after 2 s: b (start_at: exit code 3)")
        );
    }
}
