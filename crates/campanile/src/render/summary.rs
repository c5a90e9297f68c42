//! What a change of targets came to on each host.

use std::collections::BTreeMap;

use comfy_table::{Attribute, Cell, Color};
use serde::Serialize;

use super::table::{Style, indented, table_in};
use crate::fleet::ask::Answer;
use crate::fleet::request::Target;
use crate::fleet::survey::{Fleet, HostView};
use crate::fleet::wait::{ByManager, Goal, Progress};

/// One host; part of the `--json` form of a change of targets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct HostSummary {
    pub(crate) host: String,
    /// Instances that were asked to go there.
    pub(crate) asked: usize,
    /// Those of them that are there; `null` when nothing was waited for.
    pub(crate) reached: Option<usize>,
    /// What is in the way, a line for each HostManager or instance.
    pub(crate) problems: Vec<String>,
}

impl HostSummary {
    fn failed(&self) -> bool {
        !self.problems.is_empty() || self.reached.is_some_and(|reached| reached < self.asked)
    }
}

/// Counts, for each host that is concerned, in the order of the site config. `progress` is the last look of a wait.
pub(crate) fn of_hosts(
    fleet: &Fleet,
    goal: &Goal,
    answers: &[Answer],
    progress: Option<&ByManager>,
) -> Vec<HostSummary> {
    fleet.hosts.iter().filter_map(|host| of_host(host, goal, answers, progress)).collect()
}

fn of_host(
    host: &HostView,
    goal: &Goal,
    answers: &[Answer],
    progress: Option<&ByManager>,
) -> Option<HostSummary> {
    let mut summary =
        HostSummary { host: host.name.clone(), asked: 0, reached: progress.map(|_| 0), problems: Vec::new() };
    let mut concerned = false;
    for manager in &host.managers {
        let id = &manager.instance_id;
        let Some(targets) = goal.of_managers.get(id) else { continue };
        concerned = true;
        let refused =
            answers.iter().find(|answer| answer.manager == *id).and_then(|answer| answer.problem.as_ref());
        if let Some(problem) = refused {
            summary.problems.push(format!("{id}: {problem}"));
        }
        let looked = progress.and_then(|progress| progress.get(id));
        let is_of = |manager: Option<&String>| manager.map_or(host.managers.len() == 1, |other| other == id);
        let rows = host.rows.iter().filter(|row| {
            targets.instances.contains(&row.instance_id)
                || (targets.everything && row.management.takes_targets() && is_of(row.manager.as_ref()))
        });
        let counted = rows.count();
        summary.asked += looked.map_or(counted, |all| all.len().max(counted));
        for (instance, progress) in looked.into_iter().flatten() {
            match progress {
                Progress::Reached => summary.reached = summary.reached.map(|reached| reached + 1),
                Progress::Pending(state) | Progress::Hopeless(state) => {
                    summary.problems.push(format!("{instance} ({state})"));
                }
            }
        }
    }
    concerned.then_some(summary)
}

/// The table; empty for a single host, of which everything has been said.
pub(crate) fn render(hosts: &[HostSummary], target: Target, style: Style) -> String {
    if hosts.len() < 2 {
        return String::new();
    }
    let waited = hosts.iter().any(|host| host.reached.is_some());
    let trouble = hosts.iter().any(|host| !host.problems.is_empty());
    let mut table = table_in(style);
    let mut header = vec!["HOST", "ASKED"];
    if waited {
        header.push(match target {
            Target::Up => "UP",
            Target::Down => "DOWN",
        });
    }
    if trouble {
        header.push("PROBLEM");
    }
    table.set_header(header.into_iter().map(|name| Cell::new(name).add_attribute(Attribute::Dim)));
    for host in hosts {
        let mut cells = vec![Cell::new(&host.host), Cell::new(host.asked)];
        if waited {
            let reached = Cell::new(host.reached.map_or(String::new(), |reached| reached.to_string()));
            cells.push(if host.failed() { reached.fg(Color::Red) } else { reached.fg(Color::Green) });
        }
        if trouble {
            cells.push(Cell::new(host.problems.join(", ")));
        }
        table.add_row(cells);
    }
    format!("\n{}", indented(&table))
}

/// One line that says how much of it was done, when not all was.
pub(crate) fn verdict(hosts: &[HostSummary], target: Target) -> Option<String> {
    let failed: Vec<&HostSummary> = hosts.iter().filter(|host| host.failed()).collect();
    if hosts.len() < 2 || failed.is_empty() {
        return None;
    }
    let sum = |count: fn(&HostSummary) -> usize| hosts.iter().map(count).sum::<usize>();
    let names: Vec<&str> = failed.iter().map(|host| host.host.as_str()).collect();
    let mut text = format!(
        "not done on {} of {} hosts: {}",
        failed.len(),
        hosts.len(),
        campanile_ldms::hostlist::fold(&names)
    );
    if hosts.iter().any(|host| host.reached.is_some()) {
        let (reached, asked) = (sum(|host| host.reached.unwrap_or(0)), sum(|host| host.asked));
        text.push_str(&format!(" ({reached} of {asked} instances are {})", target.word()));
    }
    Some(text)
}

/// The same numbers while a wait goes on: for each host how many are there, of how many, and one that is not yet.
pub(crate) fn counts(
    progress: &ByManager,
    host_of: &BTreeMap<String, String>,
) -> BTreeMap<String, HostCount> {
    let mut hosts: BTreeMap<String, HostCount> = BTreeMap::new();
    for (manager, all) in progress {
        let count = hosts.entry(host_of.get(manager).unwrap_or(manager).clone()).or_default();
        for (instance, progress) in all {
            count.all += 1;
            match progress {
                Progress::Reached => count.reached += 1,
                Progress::Pending(state) | Progress::Hopeless(state) if count.waiting_for.is_empty() => {
                    count.waiting_for = format!("{instance} ({state})");
                }
                Progress::Pending(_) | Progress::Hopeless(_) => {}
            }
        }
    }
    hosts
}

/// How far one host is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct HostCount {
    pub(crate) reached: u64,
    pub(crate) all: u64,
    /// The first instance that is not there, with its state.
    pub(crate) waiting_for: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Style = Style { colour: false, width: None };

    fn host(name: &str, asked: usize, reached: Option<usize>, problems: &[&str]) -> HostSummary {
        let problems = problems.iter().map(|&problem| problem.to_owned()).collect();
        HostSummary { host: name.into(), asked, reached, problems }
    }

    #[test]
    fn each_host_has_a_line_and_what_was_not_done_is_said_at_the_end() {
        let hosts = [
            host("lab-1", 2, Some(2), &[]),
            host("lab-2", 2, Some(1), &["thermo2 (start_at: exit code 3)"]),
            host("lab-3", 1, Some(0), &["hm-lab-3: it is not running"]),
        ];
        assert_eq!(
            render(&hosts, Target::Up, PLAIN),
            "
  HOST   ASKED  UP  PROBLEM
  lab-1  2      2
  lab-2  2      1   thermo2 (start_at: exit code 3)
  lab-3  1      0   hm-lab-3: it is not running
"
        );
        assert_eq!(
            verdict(&hosts, Target::Up).as_deref(),
            Some("not done on 2 of 3 hosts: lab-[2-3] (3 of 5 instances are up)")
        );
    }

    #[test]
    fn a_single_host_needs_no_summary_and_success_no_verdict() {
        assert_eq!(render(&[host("lab-1", 2, Some(0), &["x"])], Target::Up, PLAIN), "");
        let all_done = [host("lab-1", 2, None, &[]), host("lab-2", 1, None, &[])];
        assert_eq!(verdict(&all_done, Target::Down), None);
        assert_eq!(
            render(&all_done, Target::Down, PLAIN),
            "
  HOST   ASKED
  lab-1  2
  lab-2  1
"
        );
    }

    #[test]
    fn a_wait_is_counted_by_host() {
        let progress = BTreeMap::from([
            (
                "hm-1".to_owned(),
                BTreeMap::from([
                    ("a".to_owned(), Progress::Reached),
                    ("b".to_owned(), Progress::Pending("wait_start".into())),
                ]),
            ),
            ("hm-1b".to_owned(), BTreeMap::from([("c".to_owned(), Progress::Reached)])),
        ]);
        let host_of = BTreeMap::from([
            ("hm-1".to_owned(), "lab-1".to_owned()),
            ("hm-1b".to_owned(), "lab-1".to_owned()),
        ]);
        let expected = HostCount { reached: 2, all: 3, waiting_for: "b (wait_start)".into() };
        assert_eq!(counts(&progress, &host_of), BTreeMap::from([("lab-1".to_owned(), expected)]));
    }
}
