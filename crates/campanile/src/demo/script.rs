//! What is done to the site for the sake of the show.
//!
//! A small machine: it looks at the site now and then, and says what to do next. It chooses agents that have been
//! steady so far, so that the crashing one tells its own story.

use crate::fleet::report::Child;
use crate::fleet::request::Target;
use crate::fleet::survey::Fleet;

/// How long a picture stands before the next thing is done to it, in seconds.
const PAUSE_S: f64 = 3.0;
/// After that long without the expected effect the show goes on, in seconds.
const PATIENCE_S: f64 = 30.0;

/// The sample agent that crashes by itself.
const CRASHING_CLASS: &str = "FlakyAgent";

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// SIGKILL to the process of this instance.
    Kill { instance_id: String, pid: u64 },
    /// Ask its HostManager for a target, as `campanile up` and `down` do.
    Ask { instance_id: String, target: Target },
}

#[derive(Clone, Debug, PartialEq)]
enum Step {
    ComingUp,
    AllUp,
    Killed { instance_id: String, pid: u64 },
    Relaunched,
    AskedDown { instance_id: String },
    IsDown { instance_id: String },
    AskedUp { instance_id: String },
    Over,
}

/// The show.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    step: Step,
    /// When the step began, in seconds on the demo's clock.
    since_s: f64,
    /// Agents that had their turn.
    used: Vec<String>,
}

impl Script {
    /// From the beginning, or with nothing but the beginning.
    pub(crate) fn new(now_s: f64) -> Self {
        Self { step: Step::ComingUp, since_s: now_s, used: Vec::new() }
    }

    #[cfg(test)]
    fn is_over(&self) -> bool {
        self.step == Step::Over
    }

    /// What is going on, for the line above the events.
    pub(crate) fn caption(&self) -> String {
        match &self.step {
            Step::ComingUp => "The agents are coming up.".to_owned(),
            Step::AllUp => "All that should run runs. Next, one of them is killed.".to_owned(),
            Step::Killed { instance_id, pid } => {
                format!("{instance_id} (pid {pid}) got a SIGKILL. Its HostManager will start it again.")
            }
            Step::Relaunched => "It is back. Next, one is stopped by a client.".to_owned(),
            Step::AskedDown { instance_id } => format!("`campanile down {instance_id}` was asked for."),
            Step::IsDown { instance_id } => {
                format!("{instance_id} is down, and stays so until somebody wants it.")
            }
            Step::AskedUp { instance_id } => format!("`campanile up {instance_id}` was asked for."),
            Step::Over => "The rest is up to you: the site stays up until Ctrl-C.".to_owned(),
        }
    }

    /// Looks at the site; returns what to do now.
    pub(crate) fn look(&mut self, now_s: f64, fleet: &Fleet) -> Option<Action> {
        let waited = now_s - self.since_s;
        let child =
            |id: &str| fleet.rows().filter_map(|(_, row)| row.child.as_ref()).find(|c| c.instance_id == id);
        let settled = waited >= PAUSE_S;
        let impatient = waited >= PATIENCE_S;
        match self.step.clone() {
            Step::ComingUp => {
                if all_up(fleet) || (impatient && self.candidate(fleet).is_some()) {
                    self.enter(Step::AllUp, now_s);
                }
            }
            Step::AllUp if settled => {
                let (instance_id, pid) = self.candidate(fleet)?;
                self.used.push(instance_id.clone());
                self.enter(Step::Killed { instance_id: instance_id.clone(), pid }, now_s);
                return Some(Action::Kill { instance_id, pid });
            }
            Step::Killed { instance_id, pid } => {
                let back = child(&instance_id).is_some_and(|child| {
                    child.next_action == "up" && child.pid.is_some_and(|new| new != pid)
                });
                if back || impatient {
                    self.enter(Step::Relaunched, now_s);
                }
            }
            Step::Relaunched if settled => {
                let Some((instance_id, _)) = self.candidate(fleet) else {
                    self.enter(Step::Over, now_s);
                    return None;
                };
                self.used.push(instance_id.clone());
                self.enter(Step::AskedDown { instance_id: instance_id.clone() }, now_s);
                return Some(Action::Ask { instance_id, target: Target::Down });
            }
            Step::AskedDown { instance_id } => {
                if impatient || child(&instance_id).is_some_and(|child| child.reached("down")) {
                    self.enter(Step::IsDown { instance_id }, now_s);
                }
            }
            Step::IsDown { instance_id } if settled => {
                self.enter(Step::AskedUp { instance_id: instance_id.clone() }, now_s);
                return Some(Action::Ask { instance_id, target: Target::Up });
            }
            Step::AskedUp { instance_id } => {
                if impatient || child(&instance_id).is_some_and(|child| child.reached("up")) {
                    self.enter(Step::Over, now_s);
                }
            }
            Step::AllUp | Step::Relaunched | Step::IsDown { .. } | Step::Over => {}
        }
        None
    }

    fn enter(&mut self, step: Step, now_s: f64) {
        self.step = step;
        self.since_s = now_s;
    }

    /// A steady agent whose process is known; rather one that had no turn yet and is not there to crash.
    fn candidate(&self, fleet: &Fleet) -> Option<(String, u64)> {
        let steady = |child: &&Child| {
            child.next_action == "up" && child.target_state == "up" && child.stability > 0.99
        };
        let mut found: Vec<_> = fleet
            .rows()
            .filter_map(|(_, row)| row.child.as_ref())
            .filter(steady)
            .filter_map(|child| {
                let last_choice =
                    self.used.contains(&child.instance_id) || child.agent_class == CRASHING_CLASS;
                Some((last_choice, child.restarts.unwrap_or(0), child.instance_id.clone(), child.pid?))
            })
            .collect();
        found.sort();
        found.into_iter().next().map(|(_, _, id, pid)| (id, pid))
    }
}

/// Does everything run that should? An agent that crashes now and then is not waited for.
fn all_up(fleet: &Fleet) -> bool {
    let mut wanted = fleet
        .rows()
        .filter_map(|(_, row)| row.child.as_ref())
        .filter(|child| child.target_state == "up" && child.operable)
        .peekable();
    wanted.peek().is_some()
        && wanted.all(|child| child.next_action == "up" || child.restarts.unwrap_or(0) > 0)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::{Value, json};

    use super::*;
    use crate::fleet::declared::{DeclaredHost, DeclaredInstance, Management};
    use crate::fleet::report::ManagerReport;

    fn fleet(children: &[Value]) -> Fleet {
        let declared = [DeclaredHost {
            problem: None,
            name: "h".into(),
            instances: vec![DeclaredInstance {
                instance_id: "hm".into(),
                agent_class: "HostManager".into(),
                management: Management::HostManager,
                problem: None,
            }],
        }];
        let report = ManagerReport::running("hm", 0.0, json!({"child_states": children}));
        Fleet::build(&declared, &BTreeMap::from([("hm".to_owned(), report)]))
    }

    fn child(id: &str, next_action: &str, target: &str, pid: u32, stability: f64) -> Value {
        json!({"instance_id": id, "next_action": next_action, "target_state": target, "pid": pid,
            "stability": stability, "restarts": if stability < 1.0 { 3 } else { 0 }})
    }

    #[test]
    fn the_show_kills_one_steady_agent_and_stops_and_starts_another() {
        let mut script = Script::new(0.0);
        assert_eq!(script.look(0.0, &fleet(&[])), None, "nothing is up yet");
        let flaky = child("a-flaky", "up", "up", 5, 0.4);
        let all = fleet(&[flaky.clone(), child("b", "up", "up", 6, 1.0), child("c", "up", "up", 7, 1.0)]);
        assert_eq!(script.look(1.0, &all), None);
        assert_eq!(script.look(2.0, &all), None, "the picture stands a moment");
        let kill = Action::Kill { instance_id: "b".into(), pid: 6 };
        assert_eq!(script.look(4.0, &all), Some(kill));
        assert_eq!(script.look(4.1, &all), None, "the old pid is not yet a relaunch");
        assert!(script.caption().contains("b (pid 6) got a SIGKILL"));
        let back = fleet(&[flaky.clone(), child("b", "up", "up", 16, 0.5), child("c", "up", "up", 7, 1.0)]);
        assert_eq!(script.look(8.0, &back), None);
        let down = Action::Ask { instance_id: "c".into(), target: Target::Down };
        assert_eq!(script.look(11.0, &back), Some(down));
        let stopped =
            fleet(&[flaky.clone(), child("b", "up", "up", 16, 0.5), child("c", "down", "down", 0, 1.0)]);
        assert_eq!(script.look(12.0, &stopped), None);
        let up = Action::Ask { instance_id: "c".into(), target: Target::Up };
        assert_eq!(script.look(15.0, &stopped), Some(up));
        assert!(!script.is_over());
        assert_eq!(script.look(16.0, &back), None);
        assert!(script.is_over());
        assert_eq!(script.look(99.0, &back), None, "it does nothing more");
    }

    #[test]
    fn a_site_that_never_comes_up_completely_is_shown_all_the_same() {
        let mut script = Script::new(0.0);
        let partly = fleet(&[child("a", "start", "up", 0, 1.0), child("b", "up", "up", 6, 1.0)]);
        assert_eq!(script.look(PATIENCE_S - 1.0, &partly), None);
        assert_eq!(script.look(PATIENCE_S, &partly), None);
        let kill = Action::Kill { instance_id: "b".into(), pid: 6 };
        assert_eq!(script.look(PATIENCE_S + PAUSE_S, &partly), Some(kill));
    }

    #[test]
    fn with_nothing_to_kill_nothing_is_killed() {
        let mut script = Script::new(0.0);
        for second in 0..200 {
            assert_eq!(script.look(f64::from(second), &fleet(&[child("a", "down", "down", 0, 1.0)])), None);
        }
    }
}
