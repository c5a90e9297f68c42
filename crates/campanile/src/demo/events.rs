//! What happened between two looks at a site, in words.

use crate::fleet::report::{LastExit, ManagerState};
use crate::fleet::survey::{Fleet, Row};

/// One line per thing that happened, in the order of the tables.
pub(crate) fn between(before: &Fleet, after: &Fleet) -> Vec<String> {
    let mut lines = Vec::new();
    for manager in after.hosts.iter().flat_map(|host| &host.managers) {
        let old = before
            .hosts
            .iter()
            .flat_map(|host| &host.managers)
            .find(|old| old.instance_id == manager.instance_id)
            .map(|old| old.state);
        if old != Some(manager.state) {
            let id = &manager.instance_id;
            match manager.state {
                ManagerState::Up => lines.push(format!("HostManager {id} is up")),
                ManagerState::Sleeping => lines.push(format!("HostManager {id} is sleeping")),
                // At the start there is nothing to miss yet.
                ManagerState::Down | ManagerState::Unknown if old == Some(ManagerState::Up) => {
                    lines.push(format!("HostManager {id} is gone"));
                }
                ManagerState::Down | ManagerState::Unknown => {}
            }
        }
    }
    for (_, row) in after.rows().filter(|(_, row)| !row.is_manager()) {
        let old = before.rows().map(|(_, old)| old).find(|old| old.instance_id == row.instance_id);
        lines.extend(changes(old, row));
    }
    lines
}

fn changes(old: Option<&Row>, new: &Row) -> Vec<String> {
    let id = &new.instance_id;
    let Some(child) = &new.child else { return Vec::new() };
    let before = old.and_then(|row| row.child.as_ref());
    let mut lines = Vec::new();
    if let Some(before) = before
        && before.target_state != child.target_state
    {
        lines.push(format!("{id} shall be {}", child.target_state));
    }
    let known_exit = before.and_then(|before| before.last_exit.as_ref());
    let new_exit = child.last_exit.as_ref().filter(|exit| !known_exit.is_some_and(|known| same(known, exit)));
    if let Some(exit) = new_exit
        && before.is_some()
    {
        lines.push(format!("{id} has ended: {}", exit.reason));
    }
    let was_up = before.is_some_and(|before| before.next_action == "up");
    let same_pid = before.and_then(|before| before.pid) == child.pid;
    if child.next_action == "up" && !(was_up && same_pid) {
        let process = child.pid.map_or(String::new(), |pid| format!(" (pid {pid})"));
        lines.push(match child.restarts {
            Some(restarts) if restarts > 0 && before.is_some() => {
                format!("{id} is up again{process}, relaunched {}", times(restarts))
            }
            _ => format!("{id} is up{process}"),
        });
    }
    if was_up && child.next_action != "up" && new_exit.is_none() {
        lines.push(format!(
            "{id} is {}",
            if child.next_action == "down" { "down" } else { "on its way down" }
        ));
    } else if before.is_some_and(|before| before.next_action != "down")
        && child.next_action == "down"
        && child.target_state == "down"
        && new_exit.is_none()
    {
        lines.push(format!("{id} is down"));
    }
    // One crash makes an agent unstable for ten seconds, which is not worth a line.
    let often = child.restarts.is_some_and(|restarts| restarts > 1);
    if often && new.state == "unstable" && old.is_some_and(|old| old.state != "unstable") {
        lines.push(format!("{id} counts as unstable: it ends too often"));
    }
    lines
}

/// Is this one and the same end? Its time may differ by a little from one report to the next, since it is worked out
/// from another clock; two ends are never that near to each other.
fn same(one: &LastExit, other: &LastExit) -> bool {
    let apart_s = one.time.zip(other.time).map_or(0.0, |(one, other)| (one - other).abs());
    one.reason == other.reason && apart_s < 0.5
}

fn times(count: u64) -> String {
    if count == 1 { "once".to_owned() } else { format!("{count} times") }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::{Value, json};

    use super::*;
    use crate::fleet::declared::{DeclaredHost, DeclaredInstance, Management};
    use crate::fleet::report::ManagerReport;

    fn fleet(child: Option<Value>) -> Fleet {
        let instance = |id: &str, class: &str, management| DeclaredInstance {
            instance_id: id.into(),
            agent_class: class.into(),
            management,
            problem: None,
        };
        let declared = [DeclaredHost {
            problem: None,
            name: "h".into(),
            instances: vec![
                instance("hm", "HostManager", Management::HostManager),
                instance("a", "A", Management::Host),
            ],
        }];
        let Some(child) = child else { return Fleet::build(&declared, &BTreeMap::new()) };
        let report = ManagerReport::running("hm", 0.0, json!({"child_states": [child]}));
        Fleet::build(&declared, &BTreeMap::from([("hm".to_owned(), report)]))
    }

    fn child(
        next_action: &str,
        target: &str,
        pid: Option<u32>,
        restarts: u32,
        exit: Option<&str>,
    ) -> Option<Value> {
        Some(
            json!({"instance_id": "a", "agent_class": "A", "next_action": next_action, "target_state": target,
            "pid": pid, "restarts": restarts,
            "last_exit": exit.map(|reason| json!({"time": 1.0, "reason": reason}))}),
        )
    }

    #[test]
    fn the_story_of_an_agent_is_told_step_by_step() {
        let looks = [
            fleet(None),
            fleet(child("wait_start", "up", Some(7), 0, None)),
            fleet(child("up", "up", Some(7), 0, None)),
            fleet(child("start_at", "up", None, 0, Some("killed by signal 9 (SIGKILL)"))),
            fleet(child("up", "up", Some(8), 1, Some("killed by signal 9 (SIGKILL)"))),
            fleet(child("wait_dead", "down", Some(8), 1, Some("killed by signal 9 (SIGKILL)"))),
            fleet(child("down", "down", None, 1, Some("killed by signal 9 (SIGKILL)"))),
        ];
        let story: Vec<String> = looks.windows(2).flat_map(|pair| between(&pair[0], &pair[1])).collect();
        assert_eq!(
            story,
            [
                "HostManager hm is up",
                "a is up (pid 7)",
                "a has ended: killed by signal 9 (SIGKILL)",
                "a is up again (pid 8), relaunched once",
                "a shall be down",
                "a is on its way down",
                "a is down",
            ]
        );
    }

    #[test]
    fn two_equal_looks_tell_nothing() {
        let look = fleet(child("up", "up", Some(7), 3, Some("exit code 3")));
        assert_eq!(between(&look, &look), Vec::<String>::new());
    }

    #[test]
    fn a_time_that_jitters_is_no_new_end() {
        let look = |time: f64| {
            fleet(Some(json!({"instance_id": "a", "next_action": "down", "target_state": "down",
                "last_exit": {"time": time, "reason": "exit code 0"}})))
        };
        assert_eq!(between(&look(10.0), &look(10.001)), Vec::<String>::new());
        assert_eq!(between(&look(10.0), &look(13.0)), ["a has ended: exit code 0"]);
    }

    #[test]
    fn a_relaunch_between_two_looks_is_seen_by_its_pid() {
        let before = fleet(child("up", "up", Some(7), 0, None));
        let after = fleet(child("up", "up", Some(9), 2, Some("exit code 3")));
        assert_eq!(
            between(&before, &after),
            ["a has ended: exit code 3", "a is up again (pid 9), relaunched 2 times"]
        );
    }
}
