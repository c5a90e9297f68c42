//! The life of one node: what a look at its server and its worker makes of it. PURE.
//!
//! ```text
//! requested ─▶ building ─▶ booted ─▶ idle ⇄ busy ─▶ draining ─▶ deleting ─▶ gone
//!      ╰───────────┴─────────┴───── lost ⇄ ╯ ╰──────────────────▲
//! ```
//!
//! **Guarantees.** A node that was seen to have a job is not deleted before it was seen drained, or lost for longer than
//! its deadline. What is not known (a cloud or a batch system that does not answer) changes nothing: deadlines that
//! rest on it begin anew when it answers again. Whatever happens, a node ends as `gone` only when its cloud has said
//! that it has no such server.

use crate::clouds::CloudError;
use crate::config::Deadlines;
use crate::identity::Sight;
use crate::model::{Ending, Node, NodeState, Server, ServerStatus, Worker, WorkerState};

/// What one look asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// Drain the worker; repeated until it is seen draining.
    Drain,
    /// Switch the drained worker's daemons off.
    Off,
    /// Keep the end of the console and the fault, before the server is deleted.
    Examine,
    /// Delete the server.
    Delete,
    /// Let the batch system forget the node.
    Forget,
}

/// The outcome of a look at one node.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// What is to be remembered.
    pub node: Node,
    /// What is to be done, in this order, after that was written down.
    pub acts: Vec<Act>,
    /// What happened, in words, for the journal; empty if nothing did.
    pub events: Vec<String>,
}

/// Since when the answers of the two sides are known without a gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// The node's cloud answers since.
    pub cloud_since_ms: u64,
    /// The batch system answers since.
    pub batch_since_ms: u64,
}

/// A drain that is not seen in force is asked for again after this time.
pub const DRAIN_AGAIN_MS: u64 = 30_000;
/// After so many deletions without effect an alarm is raised, and again after each multiple.
pub const DELETE_ALARM_TRIES: u32 = 5;
/// After a silence a cloud has this time before what it builds is overdue, milliseconds.
const SETTLED_MS: u64 = 60_000;
/// A server of a requested node must have been absent from the cloud's list for at least that long before the request
/// is given up, whatever the deadline says: lists lag behind.
const MIN_REQUEST_MS: u64 = 10_000;

/// Looks at a node.
#[must_use]
pub fn look(
    node: &Node,
    server: Sight<&Server>,
    worker: Sight<&Worker>,
    known: Known,
    deadlines: &Deadlines,
    now_ms: u64,
) -> Step {
    let mut step = Step { node: node.clone(), acts: Vec::new(), events: Vec::new() };
    if matches!(server, Sight::Ambiguous) || matches!(worker, Sight::Ambiguous) {
        // Two claim to be it: it is not known which, so nothing is done to either.
        return step;
    }
    if let Some(server) = server.get()
        && step.node.server_id.is_none()
    {
        step.node.server_id = Some(server.id.clone());
    }
    if let Some(worker) = worker.get() {
        step.node.worker_handle = Some(worker.handle.clone());
    }
    let look = Look { server, worker, known, deadlines, now_ms };
    match node.state {
        NodeState::Requested => look.requested(&mut step),
        NodeState::Building => look.building(&mut step),
        NodeState::Booted => look.booted(&mut step),
        NodeState::Idle | NodeState::Busy => look.working(&mut step),
        NodeState::Lost => look.lost(&mut step),
        NodeState::Draining => look.draining(&mut step),
        NodeState::Deleting => look.deleting(&mut step),
        NodeState::Gone => {}
    }
    step
}

struct Look<'a> {
    server: Sight<&'a Server>,
    worker: Sight<&'a Worker>,
    known: Known,
    deadlines: &'a Deadlines,
    now_ms: u64,
}

impl Look<'_> {
    fn requested(&self, step: &mut Step) {
        match self.server {
            Sight::Seen(server) => self.coming(server, step),
            Sight::Absent => {
                let since_ms = step.node.since_ms.max(self.known.cloud_since_ms);
                if self.is_over(since_ms, self.deadlines.request_ms.max(MIN_REQUEST_MS)) {
                    // One that was asked for before the cloud was heard last may never have been: that says nothing of
                    // the cloud, and the next one need not wait.
                    let ending = match step.node.server_id {
                        Some(_) => Ending::Vanished,
                        None if step.node.since_ms < self.known.cloud_since_ms => Ending::Unanswered,
                        None => Ending::Refused,
                    };
                    self.gone(step, ending, "the cloud never listed its server");
                }
            }
            Sight::Unknown | Sight::Ambiguous => {}
        }
    }

    fn building(&self, step: &mut Step) {
        match self.server {
            Sight::Seen(server) => {
                self.coming(server, step);
                // A cloud that was silent may be about to finish what it has begun, and a job would start there while its
                // deletion is under way.
                let settled_ms = SETTLED_MS.min(self.deadlines.build_ms);
                if step.node.state == NodeState::Building
                    && self.is_over(step.node.since_ms, self.deadlines.build_ms)
                    && self.is_over(self.known.cloud_since_ms, settled_ms)
                {
                    self.to_delete(step, Ending::Overdue, "its server was not built in time");
                }
            }
            Sight::Absent => self.gone(step, Ending::Vanished, "its server has vanished while it was built"),
            Sight::Unknown | Sight::Ambiguous => {}
        }
    }

    /// A server that was asked for: as far as it has got.
    fn coming(&self, server: &Server, step: &mut Step) {
        match server.status {
            ServerStatus::Building | ServerStatus::Unknown => self.enter(step, NodeState::Building),
            ServerStatus::Active => {
                self.enter(step, NodeState::Booted);
                self.booted(step);
            }
            ServerStatus::Error => self.server_error(server, step),
            ServerStatus::Stopped => self.to_delete(step, Ending::EndedItself, "its server is switched off"),
            ServerStatus::Deleting => {
                self.to_delete(step, Ending::Vanished, "somebody else deletes its server")
            }
        }
    }

    fn server_error(&self, server: &Server, step: &mut Step) {
        let fault = server.fault.as_deref().unwrap_or("the cloud gives no reason");
        self.to_delete(step, Ending::ServerError, &format!("its server is in error: {fault}"));
    }

    fn booted(&self, step: &mut Step) {
        if let Sight::Seen(worker) = self.worker {
            self.join(worker, step);
            return;
        }
        match self.server {
            Sight::Seen(server) => match server.status {
                ServerStatus::Error => self.server_error(server, step),
                ServerStatus::Stopped => {
                    self.to_delete(step, Ending::EndedItself, "its server is switched off");
                }
                ServerStatus::Deleting => {
                    self.to_delete(step, Ending::Vanished, "somebody else deletes its server");
                }
                ServerStatus::Building | ServerStatus::Active | ServerStatus::Unknown => {
                    let since_ms = step.node.since_ms.max(self.known.batch_since_ms);
                    if self.worker == Sight::Absent && self.is_over(since_ms, self.deadlines.join_ms) {
                        let why = "it has not joined the batch system in time";
                        self.to_delete(step, Ending::Overdue, why);
                    }
                }
            },
            Sight::Absent => self.gone(step, Ending::Vanished, "its server has vanished before it joined"),
            Sight::Unknown | Sight::Ambiguous => {}
        }
    }

    fn join(&self, worker: &Worker, step: &mut Step) {
        let state = if is_working(worker) { NodeState::Busy } else { NodeState::Idle };
        if !step.node.state.is_working() {
            self.enter(step, state);
        } else if step.node.state != state {
            step.node.state = state;
            step.node.since_ms = self.now_ms;
        }
        step.node.idle_since_ms = match state {
            NodeState::Idle => step.node.idle_since_ms.or(Some(self.now_ms)),
            _ => None,
        };
        step.node.missing_since_ms = None;
    }

    fn working(&self, step: &mut Step) {
        match (self.worker, self.server) {
            (_, Sight::Absent) => {
                self.gone(step, Ending::Vanished, "its server has vanished without our doing");
            }
            // A batch system may list what was switched off for a while; its word alone keeps no such server.
            (Sight::Seen(_), Sight::Seen(server)) if server.status == ServerStatus::Stopped => {
                self.enter(step, NodeState::Lost);
            }
            (Sight::Seen(worker), _) => self.join(worker, step),
            (Sight::Absent, _) => {
                self.enter(step, NodeState::Lost);
                self.lost(step);
            }
            (Sight::Unknown | Sight::Ambiguous, _) => {}
        }
    }

    fn lost(&self, step: &mut Step) {
        let is_off = matches!(self.server, Sight::Seen(server) if server.status == ServerStatus::Stopped);
        match (self.worker, self.server) {
            (_, Sight::Absent) => {
                self.gone(step, Ending::Vanished, "its server has vanished without our doing");
            }
            (Sight::Seen(worker), _) if !is_off => {
                self.join(worker, step);
            }
            (Sight::Absent, Sight::Seen(_)) if is_off => {
                self.to_delete(
                    step,
                    Ending::EndedItself,
                    "it has left the batch system and switched itself off",
                );
            }
            (Sight::Absent, _) | (Sight::Seen(_), _) => {
                let since_ms = step.node.since_ms.max(self.known.batch_since_ms);
                if self.is_over(since_ms, self.deadlines.lost_ms) {
                    self.to_delete(step, Ending::Lost, "the batch system has not heard of it for too long");
                }
            }
            (Sight::Unknown | Sight::Ambiguous, _) => {}
        }
    }

    fn draining(&self, step: &mut Step) {
        if self.server == Sight::Absent {
            self.gone(step, Ending::Vanished, "its server has vanished while it drained");
            return;
        }
        match self.worker {
            Sight::Seen(worker) => {
                step.node.missing_since_ms = None;
                match worker.state {
                    WorkerState::Drained => {
                        step.acts.push(Act::Off);
                        self.begin_deletion(step, "it is drained");
                    }
                    WorkerState::Draining => self.drain_lasts(step),
                    // Switched off in the eyes of the batch system: no job can start on it.
                    WorkerState::Unusable if worker.jobs == 0 => {
                        self.begin_deletion(step, "it takes no jobs and has none");
                    }
                    WorkerState::Idle | WorkerState::Busy | WorkerState::Unusable => {
                        let asked_ms = step.node.asked_ms.unwrap_or(0);
                        if self.now_ms.saturating_sub(asked_ms) >= DRAIN_AGAIN_MS {
                            step.node.asked_ms = Some(self.now_ms);
                            step.acts.push(Act::Drain);
                        }
                        self.drain_lasts(step);
                    }
                }
            }
            Sight::Absent => {
                let since_ms = *step.node.missing_since_ms.get_or_insert(self.now_ms);
                let is_off =
                    matches!(self.server, Sight::Seen(server) if server.status == ServerStatus::Stopped);
                let since_ms = since_ms.max(self.known.batch_since_ms);
                if is_off || self.is_over(since_ms, self.deadlines.lost_ms) {
                    self.begin_deletion(step, "it has left the batch system");
                }
            }
            Sight::Unknown | Sight::Ambiguous => {}
        }
    }

    /// A worker came after all, and its server's deletion may be under way: a cloud in trouble takes minutes over it. No
    /// job is to start on it meanwhile. Since when it is kept so, and again after `DRAIN_AGAIN_MS`, is in `idle_since_ms`.
    fn keep_empty(&self, step: &mut Step) {
        match step.node.idle_since_ms {
            None => {
                step.events.push("has joined while it is being deleted; it is to take no jobs".to_owned());
            }
            Some(since_ms) if !self.is_over(since_ms, DRAIN_AGAIN_MS) => return,
            Some(_) => {}
        }
        step.node.idle_since_ms = Some(self.now_ms);
        step.acts.push(Act::Drain);
    }

    fn drain_lasts(&self, step: &mut Step) {
        if !self.is_over(step.node.since_ms, self.deadlines.drain_ms) {
            return;
        }
        if self.deadlines.drain_kill {
            self.begin_deletion(
                step,
                "its drain has lasted longer than `drain`; its jobs start again elsewhere",
            );
        } else if step.node.detail != DRAIN_OVERDUE {
            DRAIN_OVERDUE.clone_into(&mut step.node.detail);
            step.events.push(DRAIN_OVERDUE.to_owned());
        }
    }

    fn deleting(&self, step: &mut Step) {
        match self.server {
            Sight::Absent => {
                let ending = step.node.ending.unwrap_or(Ending::NotNeeded);
                self.gone(step, ending, "");
            }
            Sight::Seen(_) => {
                if let Sight::Seen(worker) = self.worker
                    && self.has_come_back(worker, &step.node)
                {
                    step.node.ending = None;
                    step.node.detail.clear();
                    step.events.push("it is back before its deletion was asked for, with a job".to_owned());
                    step.node.state = NodeState::Booted;
                    self.join(worker, step);
                    return;
                }
                if let Sight::Seen(worker) = self.worker
                    && worker.state == WorkerState::Idle
                {
                    self.keep_empty(step);
                }
                let asked_ms = step.node.asked_ms.unwrap_or(0);
                let is_first = step.node.delete_tries == 0;
                if is_first || self.now_ms.saturating_sub(asked_ms) >= self.deadlines.delete_ms {
                    self.ask_deletion(step);
                }
            }
            Sight::Unknown | Sight::Ambiguous => {}
        }
    }

    /// Something given up that works after all. What was drained takes no jobs, so this cannot be one of those.
    fn has_come_back(&self, worker: &Worker, node: &Node) -> bool {
        node.delete_tries == 0
            && is_working(worker)
            && matches!(node.ending, Some(Ending::Overdue | Ending::Lost | Ending::ServerError))
    }

    fn is_over(&self, since_ms: u64, deadline_ms: u64) -> bool {
        self.now_ms.saturating_sub(since_ms) >= deadline_ms
    }

    fn enter(&self, step: &mut Step, state: NodeState) {
        if step.node.state != state {
            let words = match (step.node.state, state) {
                (NodeState::Lost, NodeState::Idle | NodeState::Busy) => "is back in the batch system",
                (_, NodeState::Idle | NodeState::Busy) => "has joined the batch system",
                (_, NodeState::Building) => "is being built",
                (_, NodeState::Booted) => "is switched on",
                (_, NodeState::Lost) => "is no longer seen in the batch system",
                (_, _) => state.name(),
            };
            step.events.push(words.to_owned());
            step.node.state = state;
            step.node.since_ms = self.now_ms;
        }
    }

    /// A node that failed: kept for examination, then deleted.
    fn to_delete(&self, step: &mut Step, ending: Ending, why: &str) {
        step.node.ending = Some(ending);
        if ending.is_failure() {
            step.acts.push(Act::Examine);
        }
        self.begin_deletion(step, why);
    }

    fn begin_deletion(&self, step: &mut Step, why: &str) {
        step.node.ending.get_or_insert(Ending::NotNeeded);
        why.clone_into(&mut step.node.detail);
        step.events.push(format!("is being deleted: {why}"));
        step.node.state = NodeState::Deleting;
        step.node.since_ms = self.now_ms;
        step.node.idle_since_ms = None;
        step.node.asked_ms = None;
        step.node.delete_tries = 0;
        match self.server {
            Sight::Seen(_) => self.ask_deletion(step),
            // Without a look at the server nothing is deleted: the next look decides.
            _ => step.acts.retain(|act| *act == Act::Off),
        }
    }

    fn ask_deletion(&self, step: &mut Step) {
        step.node.asked_ms = Some(self.now_ms);
        step.node.delete_tries += 1;
        step.acts.push(Act::Delete);
        if step.node.delete_tries.is_multiple_of(DELETE_ALARM_TRIES) {
            let tries = step.node.delete_tries;
            step.events
                .push(format!("its deletion was asked for {tries} times and its server is still there"));
        }
    }

    fn gone(&self, step: &mut Step, ending: Ending, why: &str) {
        step.node.ending.get_or_insert(ending);
        if why.is_empty() {
            step.events.push("is gone".to_owned());
        } else {
            why.clone_into(&mut step.node.detail);
            step.events.push(format!("is gone: {why}"));
        }
        step.node.state = NodeState::Gone;
        step.node.since_ms = self.now_ms;
        step.acts.push(Act::Forget);
    }
}

/// What is said of a drain that does not end.
const DRAIN_OVERDUE: &str = "its drain lasts longer than `drain`; it goes on until its jobs have ended";

/// Whether a worker has a job, as far as is known.
fn is_working(worker: &Worker) -> bool {
    worker.jobs > 0 || worker.state == WorkerState::Busy
}

/// A node becomes one that drains.
pub fn begin_drain(node: &mut Node, ending: Ending, now_ms: u64) {
    node.state = NodeState::Draining;
    node.since_ms = now_ms;
    node.ending = Some(ending);
    node.idle_since_ms = None;
    node.asked_ms = Some(now_ms);
    node.missing_since_ms = None;
    ending.words().clone_into(&mut node.detail);
}

/// A drain was refused or called off: the node works on. The next look says whether it is idle.
pub fn end_drain(node: &mut Node, now_ms: u64) {
    node.state = NodeState::Busy;
    node.since_ms = now_ms;
    node.ending = None;
    node.asked_ms = None;
    node.detail.clear();
}

/// What the cloud's answer to the creation makes of a node that is requested. `Err` of something that may have been
/// done all the same leaves it requested: the cloud's list will tell.
pub fn after_create(node: &mut Node, answer: &Result<String, CloudError>, now_ms: u64) {
    match answer {
        Ok(id) => node.server_id = Some(id.clone()),
        Err(error) if error.may_have_been_done() => node.detail = error.to_string(),
        Err(error) => {
            node.state = NodeState::Gone;
            node.since_ms = now_ms;
            node.ending = Some(Ending::Refused);
            node.detail = error.to_string();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn a_request_that_nobody_heard_of_again_says_nothing_of_the_cloud() {
        let deadlines = Deadlines {
            request_ms: 30_000,
            build_ms: 1,
            join_ms: 1,
            lost_ms: 1,
            drain_ms: 1,
            delete_ms: 1,
            drain_kill: false,
        };
        let node = testing::node("a");
        let end = |cloud_since_ms, after_ms| {
            let known = Known { cloud_since_ms, batch_since_ms: 0 };
            let now_ms = node.since_ms + after_ms;
            look(&node, Sight::Absent, Sight::Absent, known, &deadlines, now_ms).node.ending
        };
        assert_eq!(end(node.since_ms - 1, 29_000), None, "it may come yet");
        assert_eq!(end(node.since_ms - 1, 31_000), Some(Ending::Refused));
        assert_eq!(end(node.since_ms + 500, 30_400), None, "it is waited for as long");
        assert_eq!(end(node.since_ms + 500, 31_000), Some(Ending::Unanswered));
        assert!(Ending::Refused.is_failure() && !Ending::Unanswered.is_failure());
    }
}
