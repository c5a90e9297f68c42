//! The status of a site for people: one table per host, with the reason wherever state and target differ.

use comfy_table::{Attribute, Cell, Color};

use super::duration::short;
use super::table::{Style, indented, table_in};
use crate::fleet::report::{ManagerReport, ManagerState};
use crate::fleet::survey::{Fleet, HostView, Row, Warning};

/// Renders all hosts. `now` is unix time in seconds.
pub(crate) fn render(fleet: &Fleet, now: f64, style: Style) -> String {
    let mut out = String::new();
    for host in &fleet.hosts {
        out.push_str(&heading(host, style));
        out.push_str(&table(host, now, style));
        out.push('\n');
    }
    for warning in &fleet.warnings {
        if let Some(text) = warning_text(warning) {
            out.push_str(&paint(&format!("warning: {text}\n"), YELLOW, style));
        }
    }
    out
}

const BOLD: &str = "1";
const RED: &str = "31";
const YELLOW: &str = "33";

fn paint(text: &str, code: &str, style: Style) -> String {
    if style.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
}

fn heading(host: &HostView, style: Style) -> String {
    let mut out = paint(&host.name, BOLD, style);
    if let Some(problem) = &host.problem {
        out.push_str(&paint(&format!("  unusable: {problem}"), RED, style));
    } else if host.managers.is_empty() {
        out.push_str("  no HostManager");
    }
    for manager in &host.managers {
        let mut text = format!("{} {}", manager.instance_id, manager_words(manager));
        if manager.state != ManagerState::Up {
            text = paint(&text, RED, style);
        }
        out.push_str(&format!("  {text}"));
    }
    out.push('\n');
    out
}

fn manager_words(manager: &ManagerReport) -> String {
    let word = match manager.state {
        ManagerState::Up => "up",
        ManagerState::Sleeping => "is sleeping",
        ManagerState::Down => "is down",
        ManagerState::Unknown => "is unknown",
    };
    match &manager.problem {
        Some(problem) => format!("{word}: {problem}"),
        None => word.to_owned(),
    }
}

fn table(host: &HostView, now: f64, style: Style) -> String {
    let rows: Vec<&Row> = host.rows.iter().filter(|row| !row.is_manager()).collect();
    if rows.is_empty() {
        return "  nothing is managed here\n".to_owned();
    }
    let mut table = table_in(style);
    // Columns that would be empty all the way down (a Python HostManager knows no pids) are left out.
    let has_pids = rows.iter().any(|row| row.child.as_ref().is_some_and(|child| child.pid.is_some()));
    let has_times = rows.iter().any(|row| row.child.as_ref().is_some_and(|child| child.since.is_some()));
    let has_restarts = rows.iter().any(|row| restarts(row) > 0);
    // What a silent HostManager cannot say stands in the heading, not in every row.
    let silent =
        !host.managers.is_empty() && host.managers.iter().all(|manager| manager.state != ManagerState::Up);
    let notes: Vec<String> = rows.iter().map(|row| note(row, silent, now)).collect();
    let has_notes = notes.iter().any(|note| !note.is_empty());
    let mut header = vec!["INSTANCE", "CLASS", "STATE", "TARGET"];
    for (wanted, name) in
        [(has_pids, "PID"), (has_times, "SINCE"), (has_restarts, "RESTARTS"), (has_notes, "NOTE")]
    {
        if wanted {
            header.push(name);
        }
    }
    table.set_header(header.into_iter().map(|name| Cell::new(name).add_attribute(Attribute::Dim)));
    for (row, note) in rows.into_iter().zip(notes) {
        let class = match &row.declared_class {
            Some(declared) if silent => declared,
            _ => &row.class_shown,
        };
        let child = row.child.as_ref();
        let mut cells =
            vec![Cell::new(&row.instance_id), Cell::new(class), state_cell(row), Cell::new(&row.target)];
        if has_pids {
            cells.push(Cell::new(
                child.and_then(|child| child.pid).map_or(String::new(), |pid| pid.to_string()),
            ));
        }
        if has_times {
            let since = child.and_then(|child| child.since);
            cells.push(Cell::new(since.map_or(String::new(), |since| short(now - since))));
        }
        if has_restarts {
            let count = restarts(row);
            cells.push(Cell::new(if count == 0 { String::new() } else { count.to_string() }));
        }
        if has_notes {
            cells.push(Cell::new(note));
        }
        table.add_row(cells);
    }
    indented(&table)
}

fn restarts(row: &Row) -> u64 {
    row.child.as_ref().and_then(|child| child.restarts).unwrap_or(0)
}

fn state_cell(row: &Row) -> Cell {
    let cell = Cell::new(&row.state);
    match (row.state.as_str(), row.target.as_str()) {
        ("up", "up" | "passive") => cell.fg(Color::Green),
        ("down", "down" | "passive") => cell.add_attribute(Attribute::Dim),
        ("unstable" | "?", _) => cell.fg(Color::Red),
        _ => cell.fg(Color::Yellow),
    }
}

/// So long after its last crash an agent that runs well again still has a note of it, in seconds.
const REMINDER_S: f64 = 3_600.0;

/// Why this row is as it is, in one line; empty when there is nothing to explain.
fn note(row: &Row, silent: bool, now: f64) -> String {
    let mut parts: Vec<String> = Vec::new();
    if let Some(problem) = &row.problem {
        parts.push(problem.clone());
    }
    if let Some(child) = &row.child {
        // What is as it should be needs no reason.
        let reached = child.reached(&child.target_state);
        parts.extend(child.reason.clone().filter(|_| !reached));
        let settled = reached && row.state != "unstable";
        if row.state == "unstable" && child.last_exit.is_none() {
            parts.push("it keeps ending".to_owned());
        }
        if let Some(exit) = &child.last_exit {
            // A relaunch is worth a reminder for an hour; an end that was asked for is worth none.
            let age_s = exit.time.map_or(0.0, |time| now - time);
            let old = settled && (child.restarts.unwrap_or(0) == 0 || age_s > REMINDER_S);
            let told = parts.iter().any(|part| part.contains(&exit.reason));
            if !old && !told {
                let when = exit.time.map_or(String::new(), |_| format!(" {} ago", short(age_s)));
                parts.push(format!("last exit{when}: {}", exit.reason));
            }
        }
        if let Some(at) = child.next_at.filter(|at| *at > now) {
            parts.push(format!("next step in {}", short((at - now).ceil())));
        }
        if !child.operable && parts.is_empty() {
            parts.push("its HostManager cannot start or stop it".to_owned());
        }
        if child.restart_required {
            parts.push("runs an outdated image".to_owned());
        }
    }
    if !row.consistent && !silent {
        parts.push(match (&row.declared_class, &row.reported_class) {
            (Some(_), None) if row.manager.is_none() => "not reported by a HostManager".to_owned(),
            (None, _) => "not in this site config".to_owned(),
            _ => "this site config and the HostManager disagree".to_owned(),
        });
    } else if row.consistent && !row.management.takes_targets() && row.problem.is_none() {
        parts.push("not managed".to_owned());
    }
    parts.join("; ")
}

fn warning_text(warning: &Warning) -> Option<String> {
    Some(match warning {
        Warning::DeclaredTwice { instance_id } => {
            format!(
                "the site config has the instance id {instance_id} more than once; the first entry counts"
            )
        }
        Warning::ReportedTwice { manager, instance_id } => {
            format!("{manager} reports {instance_id} more than once; the first entry counts")
        }
        Warning::Unreadable { manager, file, message } => {
            let file = if file == "[SCF]" { "its site config" } else { file };
            format!("{manager} cannot use {file} and goes on with what it had: {message}")
        }
        // Both stand beside the host or row they belong to.
        Warning::NoAnswer { .. } | Warning::Inconsistent => return None,
    })
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;
    use crate::fleet::declared::{DeclaredHost, DeclaredInstance, Management};

    const PLAIN: Style = Style { colour: false, width: None };
    const NOW: f64 = 10_000.0;

    /// A site with something of everything.
    pub(in crate::render) fn fleet() -> Fleet {
        let instance = |id: &str, class: &str, management| DeclaredInstance {
            instance_id: id.into(),
            agent_class: class.into(),
            management,
            problem: None,
        };
        let declared = [
            DeclaredHost {
                problem: None,
                name: "dome".into(),
                instances: vec![
                    instance("hm-dome", "HostManager", Management::HostManager),
                    instance("thermo1", "ThermometerAgent", Management::Host),
                    instance("flaky1", "FlakyAgent", Management::Host),
                    instance("ghost1", "NoSuchAgent", Management::Host),
                    instance("registry", "RegistryAgent", Management::Ignore),
                ],
            },
            DeclaredHost {
                problem: None,
                name: "lab".into(),
                instances: vec![
                    instance("hm-lab", "HostManager", Management::HostManager),
                    instance("cam1", "CameraAgent", Management::Host),
                ],
            },
        ];
        let data = json!({
        "config_parse_status": {"[SCF]": [false, 9_100.0, "no such file"]},
        "child_states": [
            {"instance_id": "thermo1", "agent_class": "ThermometerAgent", "next_action": "up", "target_state": "up",
             "stability": 1.0, "operable": true, "pid": 4711, "since": 9_750.0, "restarts": 0},
            {"instance_id": "flaky1", "agent_class": "FlakyAgent", "next_action": "start_at", "target_state": "up",
             "stability": 0.3, "operable": true, "pid": null, "since": 9_998.0, "restarts": 7, "next_at": 10_002.5,
             "last_exit": {"time": 9_998.0, "reason": "exit code 3", "code": 3}},
            {"instance_id": "ghost1", "agent_class": "NoSuchAgent", "next_action": "?", "target_state": "up",
             "stability": 1.0, "operable": false, "reason": "no Python plugin has the class NoSuchAgent"},
        ]});
        let reports = BTreeMap::from([
            ("hm-dome".to_owned(), ManagerReport::running("hm-dome", 9_000.0, data)),
            (
                "hm-lab".to_owned(),
                ManagerReport::silent("hm-lab", ManagerState::Down, Some("no such agent on the bus".into())),
            ),
        ]);
        Fleet::build(&declared, &reports)
    }

    #[test]
    fn each_row_that_is_not_as_it_should_be_says_why() {
        let expected = "\
dome  hm-dome up
  INSTANCE  CLASS                 STATE     TARGET  PID   SINCE  RESTARTS  NOTE
  flaky1    FlakyAgent            unstable  up            2s     7         last exit 2s ago: exit code 3; next step in 3s
  ghost1    NoSuchAgent           ?         up                             no Python plugin has the class NoSuchAgent
  thermo1   ThermometerAgent      up        up      4711  4m10s
  registry  RegistryAgent[unman]  ?         ?                              not managed

lab  hm-lab is down: no such agent on the bus
  INSTANCE  CLASS        STATE  TARGET
  cam1      CameraAgent  ?      ?

warning: hm-dome cannot use its site config and goes on with what it had: no such file
";
        let text = render(&fleet(), NOW, PLAIN);
        assert_eq!(text, expected, "\n{text}");
    }

    #[test]
    fn colours_only_when_asked_for() {
        assert!(!render(&fleet(), NOW, PLAIN).contains('\x1b'));
        let coloured = render(&fleet(), NOW, Style { colour: true, width: None });
        assert!(coloured.contains("\x1b[31mhm-lab is down"), "{coloured}");
    }

    #[test]
    fn on_a_narrow_terminal_no_line_is_longer_than_it() {
        let text = render(&fleet(), NOW, Style { colour: false, width: Some(70) });
        for line in text.lines().filter(|line| line.starts_with(' ')) {
            assert!(line.chars().count() <= 70, "{line}");
        }
    }
}
