//! A run of an operation, from its first step to its last, and the end of all of them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinError;

use super::context::OpContext;
use super::ops::Wait;
use super::runtime::Shared;
use super::session::DataProvider;
use super::unix_now_s;
use crate::codes::OpStatus;

/// How long the end of an agent waits for the router to take its leave.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(3);

impl Shared {
    /// Runs the code of an operation in a task, and another one that sees to its end whatever happens in the first.
    pub(super) fn run(self: &Arc<Self>, context: OpContext, params: serde_json::Value) {
        let (shared, name, session_id) = (Arc::clone(self), Arc::clone(&context.op_name), context.session_id);
        let Some(handler) = self.handlers.get(&*name).cloned() else {
            self.finish(&name, session_id, Err("CRASH: the operation has no handler".to_owned()));
            return;
        };
        let inner = {
            let (shared, name) = (Arc::clone(self), Arc::clone(&name));
            tokio::spawn(async move {
                shared.advance(&name, session_id, OpStatus::Running);
                handler(context, params).await
            })
        };
        if let Some(run) = self.lock().runs.get_mut(&*name).filter(|run| run.session_id == session_id) {
            run.task = Some(inner.abort_handle());
        }
        tokio::spawn(async move {
            let outcome = inner.await.unwrap_or_else(|error| Err(crash(error)));
            shared.finish(&name, session_id, outcome);
        });
    }

    fn finish(&self, name: &str, session_id: u64, outcome: Result<String, String>) {
        let (success, text) = match outcome {
            Ok(text) => (true, text),
            Err(text) => (false, text),
        };
        let mut provider: Option<DataProvider> = None;
        self.with_session(name, session_id, |session| provider = session.provider().cloned());
        let last_data = provider.and_then(|provider| catch_unwind(AssertUnwindSafe(|| provider())).ok());
        let now_s = unix_now_s();
        let (run, answer) = {
            let mut state = self.lock();
            if let Some(session) = state.ops.session_mut(name, session_id) {
                if let Some(data) = last_data {
                    session.set_data(data);
                }
                session.add_message(text.as_str(), now_s);
                session.finish(success, now_s);
            }
            let run = state.runs.remove(name);
            let waited_for = run.as_ref().is_some_and(|run| run.ended.receiver_count() > 0);
            (run, waited_for.then(|| state.ops.wait(name)))
        };
        self.log_op(name, session_id, &text);
        self.log_op(name, session_id, "Status is now \"done\".");
        if let (Some(run), Some(Wait::Answer(reply))) = (run, answer) {
            run.ended.send_replace(Some(Arc::new(reply.into_json())));
        }
    }

    /// See [`super::Agent::shutdown`].
    pub(super) async fn shutdown(&self, grace: Duration) {
        if self.closing.send_replace(true) {
            return;
        }
        self.log("Stopping all running sessions".to_owned());
        let mut ends: Vec<_> = self.lock().runs.values().map(|run| run.ended.subscribe()).collect();
        let active: Vec<String> = self.lock().ops.active().into_iter().map(|(name, _, _)| name).collect();
        for name in active {
            self.end(&name);
        }
        let all_ended = async {
            for ended in &mut ends {
                // An error means that the run is gone, which is what is waited for.
                let _ = ended.wait_for(Option::is_some).await;
            }
        };
        if tokio::time::timeout(grace, all_ended).await.is_err() {
            for run in self.lock().runs.values() {
                // Those that cannot be aborted still learn that it is over, before they are cut off.
                run.stop.send_replace(true);
                if let Some(task) = &run.task {
                    task.abort();
                }
            }
        }
        if let Some(client) = self.client() {
            // A router that does not answer the farewell must not hold up our end.
            let _ = tokio::time::timeout(CLOSE_TIMEOUT, client.close()).await;
        }
        self.log.flush().await;
    }
}

/// What is said of a run whose task did not come to its end.
pub(super) fn crash(error: JoinError) -> String {
    if error.is_cancelled() {
        return "CRASH: cut off because the agent ended".to_owned();
    }
    let payload = error.into_panic();
    let text = payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "panic".to_owned());
    format!("CRASH: {text}")
}
