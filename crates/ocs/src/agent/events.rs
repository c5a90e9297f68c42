//! The face of a journal on an agent: the procedures `.events` and `.workers`, the feed `events`, and a note of every
//! request.
//!
//! One line does it for every manager: [`AgentBuilder::journal`].

use std::sync::{Arc, Weak};
use std::time::Duration;

use campanile_control::journal::{Actor, Event, Journal, NewEvent, Page, Query, kinds};
use campanile_control::worker::Workers;
use campanile_wamp::error::uris;
use campanile_wamp::{Dict, Value, WampError};
use serde_json::json;
use tokio::sync::broadcast::error::RecvError;

use super::builder::AgentBuilder;
use super::bus::BusState;
use super::feed::FeedSpec;
use super::runtime::Shared;
use crate::codes::ReplyCode;

/// The name of the feed; its messages are events, as `.events` gives them, each with [`AFTER`].
pub const FEED: &str = "events";
/// A key of the messages of the feed: an id such that the journal has no event between it and this one. Who has not
/// seen an event with at least this id has missed some, and can ask [`EVENTS`] for them.
pub const AFTER: &str = "after";
/// The procedure that gives events, behind the address of the agent.
pub const EVENTS: &str = ".events";
/// The procedure that gives the background loops, behind the address of the agent.
pub const WORKERS: &str = ".workers";
/// Events of an answer when no limit is asked for.
const DEFAULT_LIMIT: usize = 100;
/// A call that waits for events waits no longer than this.
const MAX_WAIT: Duration = Duration::from_secs(10);
/// Parameters of a request that are shown with it, in bytes of JSON; longer ones are left out.
const MAX_PARAMS_BYTES: usize = 1024;

/// What an agent has of its journal.
pub(super) struct EventBook {
    journal: Journal,
    workers: Workers,
    subject: String,
    /// Operations whose code notes by itself what was asked for.
    noted_elsewhere: Vec<String>,
}

/// A request of a client on an operation, and what came of it.
pub(super) struct Request<'a> {
    pub(super) action: &'a str,
    pub(super) op_name: &'a str,
    pub(super) params: &'a serde_json::Value,
    pub(super) reply: &'a serde_json::Value,
}

impl AgentBuilder {
    /// Gives the agent the face of a journal.
    ///
    /// * `{address}.events` answers questions: see [`answer`].
    /// * `{address}.workers` lists the background loops: `{workers: [{name, state, last_run_s, errors, last_error}],
    ///   journal: null | why events are not saved}`.
    /// * The feed `events` carries every event from now on; what happens while the router is away, or faster than it can
    ///   be published, is not on it, but `.events` has it, and `after` in the next message shows that it is missing.
    /// * Each start, stop and abort by a client becomes an event with who asked and from where, refused ones too;
    ///   successful starts of the operations in `noted_elsewhere` are left to their own code
    ///   ([`super::OpContext::actor`]).
    /// * The bus itself becomes an event when it is joined and lost.
    pub fn journal(mut self, journal: &Journal, workers: &Workers, noted_elsewhere: &[&str]) -> Self {
        let (for_events, for_workers, list) = (journal.clone(), journal.clone(), workers.clone());
        self.events = Some(EventBook {
            journal: journal.clone(),
            workers: workers.clone(),
            subject: self.config.instance_id.clone(),
            noted_elsewhere: noted_elsewhere.iter().map(|&name| name.to_owned()).collect(),
        });
        self.feed(FeedSpec::plain(FEED))
            .procedure(EVENTS, move |args, kwargs| {
                let journal = for_events.clone();
                async move { answer(&journal, &args, &kwargs).await }
            })
            .procedure(WORKERS, move |_args, _kwargs| {
                let trouble = for_workers.trouble().borrow().clone().map(|trouble| trouble.reason);
                let answer = json!({ "workers": list.snapshot(), "journal": trouble });
                async move { Ok(answer.into()) }
            })
    }
}

impl EventBook {
    /// Notes a request.
    pub(super) fn note(&self, request: &Request<'_>, actor: Option<Actor>) {
        let Request { action, op_name, params, reply } = request;
        let is_done = reply[0] == ReplyCode::Ok.number();
        let is_known = !is_done || reply[2]["op_name"] == **op_name;
        if !is_known
            || (is_done && *action == "start" && self.noted_elsewhere.iter().any(|name| name == op_name))
        {
            return;
        }
        let text = if is_done {
            format!("{action} of {op_name} was asked for")
        } else {
            format!("{action} of {op_name} was asked for and refused: {}", reply[1].as_str().unwrap_or("?"))
        };
        let mut event = NewEvent::new(kinds::REQUEST, self.subject.clone(), text).by(actor);
        event = event.field("action", *action).field("op", *op_name).field("done", is_done);
        if *action == "start" && params.to_string().len() <= MAX_PARAMS_BYTES {
            event = event.field("params", (*params).clone());
        }
        self.journal.record(event);
    }
}

/// Answers a call of `.events`: a question as keywords, or as a dict in the first argument. All are optional:
/// `subject` (an instance, a node, …; `instance` means the same), `kinds` (a word or a list of them), `since` and
/// `until` (unix time in seconds), `after` and `before` (ids of events), `newest` (true: the newest of them; so without
/// `after` and `since`), `limit` (at most 1000, default 100), `wait` (seconds to wait for an event if there is none,
/// at most 10; for those who cannot follow the feed).
///
/// The answer is a page: `{events: [{id, time_ms, subject, kind, text, actor?: {who, from}, fields?}], more,
/// incomplete?}`, the oldest first. With `more` the next page is asked for with `after` the last id (or `before` the
/// first one, where `newest` was asked for).
///
/// # Errors
/// `wamp.error.invalid_argument` says what makes no sense.
pub async fn answer(journal: &Journal, args: &[Value], kwargs: &Dict) -> Result<Value, WampError> {
    let (query, wait) = parse(args, kwargs).map_err(|why| WampError::new(uris::INVALID_ARGUMENT, why))?;
    let mut live = journal.subscribe();
    let mut page = journal.query(query.clone()).await;
    if page.events.is_empty() && !wait.is_zero() {
        // Only an event that is asked for ends the wait.
        let found = async {
            loop {
                match live.recv().await {
                    Ok(event) if query.matches(&event) => return true,
                    Ok(_) => {}
                    Err(RecvError::Lagged(_)) => return true,
                    Err(RecvError::Closed) => return false,
                }
            }
        };
        if tokio::time::timeout(wait, found).await == Ok(true) {
            page = journal.query(query).await;
        }
    }
    Ok(to_json(&page).into())
}

fn parse(args: &[Value], kwargs: &Dict) -> Result<(Query, Duration), String> {
    let in_args = args.first().map_or_else(|| json!({}), Value::to_json);
    let option = |name: &str| {
        let value = kwargs.get(name).map(Value::to_json).or_else(|| in_args.get(name).cloned());
        value.filter(|value| !value.is_null())
    };
    let text = |name: &str| match option(name) {
        None => Ok(None),
        Some(serde_json::Value::String(text)) => Ok(Some(text)),
        Some(other) => Err(format!("{name} must be a text, not {other}")),
    };
    let number = |name: &str| match option(name) {
        None => Ok(None),
        Some(value) => match value.as_f64().filter(|number| *number >= 0.0) {
            Some(_) => Ok(Some(value)),
            None => Err(format!("{name} must be a number that is not negative, not {value}")),
        },
    };
    let id = |name: &str| {
        let value = number(name)?;
        value
            .map(|value| value.as_u64().ok_or_else(|| format!("{name} must be an id, not {value}")))
            .transpose()
    };
    let time_ms = |name: &str| {
        let value = number(name)?.and_then(|value| value.as_f64());
        Ok::<_, String>(value.map(|seconds| (seconds * 1000.0) as u64))
    };
    let kinds = match option("kinds") {
        None => Vec::new(),
        Some(serde_json::Value::String(kind)) => vec![kind],
        Some(list) => {
            serde_json::from_value(list).map_err(|error| format!("kinds must be a list of words: {error}"))?
        }
    };
    let (since_ms, after_id) = (time_ms("since")?, id("after")?);
    let newest = match option("newest") {
        None => since_ms.is_none() && after_id.is_none(),
        Some(value) => value.as_bool().ok_or_else(|| format!("newest must be true or false, not {value}"))?,
    };
    let limit = id("limit")?.map_or(DEFAULT_LIMIT, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    let wait = number("wait")?.and_then(|value| value.as_f64()).unwrap_or(0.0);
    let wait = Duration::try_from_secs_f64(wait).unwrap_or(MAX_WAIT).min(MAX_WAIT);
    let subject = match text("subject")? {
        Some(subject) => Some(subject),
        None => text("instance")?,
    };
    let (until_ms, before_id) = (time_ms("until")?, id("before")?);
    Ok((Query { subject, kinds, since_ms, until_ms, after_id, before_id, newest, limit }, wait))
}

fn to_json(page: &Page) -> serde_json::Value {
    serde_json::to_value(page).unwrap_or_default()
}

/// Starts the loop that publishes events, if the agent has a journal.
pub(super) fn publish(shared: &Arc<Shared>) {
    if let Some(events) = &shared.events {
        let (weak, journal) = (Arc::downgrade(shared), events.journal.clone());
        let worker = events.workers.register(FEED);
        let (mut live, mut bus) = (journal.subscribe(), shared.bus.subscribe());
        let (mut closing, subject) = (shared.closing.subscribe(), events.subject.clone());
        tokio::spawn(async move {
            let (mut was_up, mut last_id) = (false, None);
            loop {
                let event = tokio::select! {
                    event = live.recv() => event,
                    Ok(()) = bus.changed() => {
                        let state = bus.borrow_and_update().clone();
                        note_bus(&journal, &subject, &state, &mut was_up);
                        continue;
                    }
                    _ = async { closing.wait_for(|closing| *closing).await.is_ok() } => return,
                };
                match event {
                    Ok(event) => {
                        // Before the first one, and where some were left out, only this much is known.
                        let after = last_id.replace(event.id).unwrap_or(event.id.saturating_sub(1));
                        send(&weak, &event, after);
                    }
                    Err(RecvError::Lagged(missed)) => {
                        last_id = None;
                        worker.error(&format!("{missed} events came faster than they could be published"));
                    }
                    Err(RecvError::Closed) => return,
                }
            }
        });
    }
}

fn send(shared: &Weak<Shared>, event: &Event, after: u64) {
    let Some(shared) = shared.upgrade() else { return };
    let mut message = serde_json::to_value(event).unwrap_or_default();
    message[AFTER] = json!(after);
    // Without a router nobody listens; the journal has it.
    let _ = shared.publish(FEED, vec![Value::from(message)]);
}

/// Tells of the bus only what people want to know: that it is there, and that it is gone.
fn note_bus(journal: &Journal, subject: &str, state: &BusState, was_up: &mut bool) {
    let text = match state {
        BusState::Up if !*was_up => "joined the bus".to_owned(),
        BusState::Connecting { last_error, .. } if *was_up => match last_error {
            Some(error) => format!("lost the bus: {error}"),
            None => "lost the bus".to_owned(),
        },
        BusState::Refused { reason } if *was_up => format!("lost its names on the bus: {reason}"),
        _ => return,
    };
    *was_up = *state == BusState::Up;
    journal.record(NewEvent::new(kinds::DAEMON, subject, text));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(question: serde_json::Value) -> Result<Query, String> {
        parse(&[question.into()], &Dict::new()).map(|(query, _)| query)
    }

    #[test]
    fn a_question_is_read_from_a_dict_or_from_keywords() {
        let query = ask(json!({"instance": "a", "kinds": "crash", "since": 1.5, "limit": 7})).unwrap();
        let expected = Query {
            subject: Some("a".to_owned()),
            kinds: vec!["crash".to_owned()],
            since_ms: Some(1500),
            limit: 7,
            ..Query::default()
        };
        assert_eq!(query, expected);
        let by_keyword = parse(&[], &Dict::new().with("after", 5_u64).with("wait", 3600)).unwrap();
        assert_eq!((by_keyword.0.after_id, by_keyword.0.newest, by_keyword.1), (Some(5), false, MAX_WAIT));
        assert!(ask(json!({})).unwrap().newest, "without a beginning, the end is meant");
    }

    #[test]
    fn what_makes_no_sense_is_refused_in_words() {
        for (question, word) in [
            (json!({"since": "yesterday"}), "since"),
            (json!({"limit": -1}), "limit"),
            (json!({"after": 1.5}), "after"),
            (json!({"kinds": [1]}), "kinds"),
            (json!({"subject": 5}), "subject"),
            (json!({"newest": "yes"}), "newest"),
        ] {
            assert!(ask(question).unwrap_err().contains(word));
        }
    }
}
