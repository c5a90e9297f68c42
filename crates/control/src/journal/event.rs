//! What a journal holds: events, and who asked for them. Pure values; the clock is the journal's.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Longest subject, in bytes; what is longer is cut.
pub const MAX_SUBJECT_BYTES: usize = 256;
/// Longest text, in bytes; what is longer is cut, and says so.
pub const MAX_TEXT_BYTES: usize = 8 * 1024;
/// Longest fields, in bytes of JSON; larger ones are replaced by a note of their size.
pub const MAX_FIELDS_BYTES: usize = 16 * 1024;
/// Longest name of whoever asked, and of the place it came from, in bytes.
pub const MAX_ACTOR_BYTES: usize = 256;
/// What stands at the end of a text that was cut.
const CUT: &str = " … (cut)";

/// The kinds that all managers use. A manager may have others of its own; a kind is one lower-case word.
pub mod kinds {
    /// Something that is managed came into another state: launched, up, ended, down, moved.
    pub const STATE: &str = "state";
    /// Somebody asked for something; the actor says who and from where.
    pub const REQUEST: &str = "request";
    /// Something that is managed ended by itself, or could not be started.
    pub const CRASH: &str = "crash";
    /// A configuration was read again, taken or refused.
    pub const CONFIG: &str = "config";
    /// Something that the manager tried has failed.
    pub const ERROR: &str = "error";
    /// The manager itself: start, end, hand-over, bus lost and found.
    pub const DAEMON: &str = "daemon";
    /// The journal itself: events that were lost, a file that was set aside.
    pub const JOURNAL: &str = "journal";
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Ascends over all events of one journal, also over restarts and a journal that had to begin anew. Never less
    /// than the microseconds from 1970 to the event.
    pub id: u64,
    /// When, milliseconds since 1970.
    pub time_ms: u64,
    /// What it happened to: an instance, a daemon, a node; the manager's own id where it is about the manager.
    pub subject: String,
    /// One of [`kinds`], or a word of the manager's own.
    pub kind: String,
    /// What happened and why, for people.
    pub text: String,
    /// Who asked for it, where somebody did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<Actor>,
    /// The same for programs; which fields there are depends on the kind.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub fields: Map<String, Value>,
}

impl Event {
    /// About how much memory it takes, in bytes.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        const FIXED: usize = 160;
        const PER_FIELD: usize = 64;
        let actor = self.actor.as_ref().map_or(0, |actor| actor.who.len() + actor.from.len());
        let fields: usize =
            self.fields.iter().map(|(name, value)| name.len() + PER_FIELD + weight(value)).sum();
        FIXED + self.subject.len() + self.kind.len() + self.text.len() + actor + fields
    }
}

fn weight(value: &Value) -> usize {
    const FLAT: usize = 32;
    match value {
        Value::String(text) => FLAT + text.len(),
        Value::Array(items) => FLAT + items.iter().map(weight).sum::<usize>(),
        Value::Object(map) => {
            FLAT + map.iter().map(|(name, value)| FLAT + name.len() + weight(value)).sum::<usize>()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => FLAT,
    }
}

/// Who asked for something, and from where, as far as that is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// Who: `user alice (uid 1000)`, `authid xyz, role iocs_controller`, `the manager`.
    pub who: String,
    /// From where: `control socket, process 4711`, `bus, session 123 at 10.0.0.7:41234`.
    pub from: String,
}

impl Actor {
    /// An actor; what is too long is cut.
    #[must_use]
    pub fn new(who: impl Into<String>, from: impl Into<String>) -> Self {
        Self { who: cut(who.into(), MAX_ACTOR_BYTES), from: cut(from.into(), MAX_ACTOR_BYTES) }
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} ({})", self.who, self.from)
    }
}

/// An event before the journal has given it a time and an id.
#[derive(Clone, Debug, PartialEq)]
#[must_use = "an event is kept by Journal::record"]
pub struct NewEvent {
    kind: String,
    subject: String,
    text: String,
    actor: Option<Actor>,
    fields: Map<String, Value>,
}

impl NewEvent {
    /// An event of that kind about that subject. No secret may stand in it: events go to everybody on the bus.
    pub fn new(kind: impl Into<String>, subject: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            kind: kind.into(),
            subject: subject.into(),
            text: text.into(),
            actor: None,
            fields: Map::new(),
        }
    }

    /// Says who asked for it.
    pub fn by(mut self, actor: Option<Actor>) -> Self {
        self.actor = actor;
        self
    }

    /// Adds a field for programs. Null says the same as no field, so it is left out.
    pub fn field(mut self, name: &str, value: impl Into<Value>) -> Self {
        let value = value.into();
        if !value.is_null() {
            self.fields.insert(name.to_owned(), value);
        }
        self
    }

    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// What it is about.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// What it says.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What it says to programs.
    #[must_use]
    pub const fn fields(&self) -> &Map<String, Value> {
        &self.fields
    }

    /// The event as it is kept, with everything that is too long cut.
    pub(super) fn finish(self, id: u64, time_ms: u64) -> Event {
        Event {
            id,
            time_ms,
            subject: cut(self.subject, MAX_SUBJECT_BYTES),
            kind: cut(self.kind, MAX_SUBJECT_BYTES),
            text: cut(self.text, MAX_TEXT_BYTES),
            actor: self.actor,
            fields: bounded(self.fields),
        }
    }
}

fn cut(mut text: String, max_bytes: usize) -> String {
    if text.len() > max_bytes {
        text.truncate(text.floor_char_boundary(max_bytes - CUT.len()));
        text.push_str(CUT);
    }
    text
}

fn bounded(fields: Map<String, Value>) -> Map<String, Value> {
    let fields = Value::Object(fields);
    let bytes = fields.to_string().len();
    match fields {
        Value::Object(fields) if bytes <= MAX_FIELDS_BYTES => fields,
        _ => Map::from_iter([("dropped_bytes".to_owned(), bytes.into())]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_too_long_is_cut_and_says_so() {
        let event = NewEvent::new(kinds::CRASH, "s".repeat(1000), "é".repeat(MAX_TEXT_BYTES))
            .field("tail", "x".repeat(MAX_FIELDS_BYTES))
            .by(Some(Actor::new("w".repeat(1000), "here")))
            .finish(1, 1);
        assert!(event.subject.len() <= MAX_SUBJECT_BYTES && event.text.len() <= MAX_TEXT_BYTES);
        assert!(event.text.ends_with(CUT) && event.subject.ends_with(CUT));
        assert_eq!(event.fields.keys().collect::<Vec<_>>(), ["dropped_bytes"]);
        assert!(event.actor.unwrap().who.len() <= MAX_ACTOR_BYTES);
    }

    #[test]
    fn the_json_of_an_event_has_no_empty_entries() {
        let event = NewEvent::new(kinds::STATE, "thermo1", "up").field("pid", 7).field("code", Value::Null);
        let event = event.finish(1_795_343_994_000_000, 1_795_343_994_000);
        let expected = json!({
            "id": 1_795_343_994_000_000_u64, "time_ms": 1_795_343_994_000_u64, "subject": "thermo1",
            "kind": "state", "text": "up", "fields": {"pid": 7},
        });
        assert_eq!(serde_json::to_value(&event).unwrap(), expected);
        assert_eq!(serde_json::from_value::<Event>(expected).unwrap(), event);
    }
}
