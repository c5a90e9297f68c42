//! Questions to a journal, and their answers, a page at a time. Pure.

use serde::{Deserialize, Serialize};

use super::event::Event;

/// Most events of a page.
pub const MAX_PAGE_EVENTS: usize = 1000;
/// A page ends with the event that brings it above this, in bytes of memory; a bus message may hold 16 MiB.
pub const MAX_PAGE_BYTES: usize = 1024 * 1024;
/// Most kinds that a question may name.
pub const MAX_KINDS: usize = 32;

/// Which events are asked for. Everything that is given must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// Only about this subject.
    pub subject: Option<String>,
    /// Only of these kinds; empty means of all. Those beyond [`MAX_KINDS`] are not looked at.
    pub kinds: Vec<String>,
    /// Not older than this, milliseconds since 1970.
    pub since_ms: Option<u64>,
    /// Older than this, milliseconds since 1970.
    pub until_ms: Option<u64>,
    /// Only events after this one; where the page before has ended.
    pub after_id: Option<u64>,
    /// Only events before this one.
    pub before_id: Option<u64>,
    /// The page has the newest of them rather than the oldest.
    pub newest: bool,
    /// Most events of the page; at most [`MAX_PAGE_EVENTS`].
    pub limit: usize,
}

impl Query {
    /// The newest `limit` events of all.
    #[must_use]
    pub fn newest(limit: usize) -> Self {
        Self { newest: true, limit, ..Self::default() }
    }

    /// The oldest events after that one, as many as a page holds.
    #[must_use]
    pub fn after(id: u64) -> Self {
        Self { after_id: Some(id), limit: MAX_PAGE_EVENTS, ..Self::default() }
    }

    /// Whether an event is asked for.
    #[must_use]
    pub fn matches(&self, event: &Event) -> bool {
        self.subject.as_ref().is_none_or(|subject| *subject == event.subject)
            && (self.kinds.is_empty() || self.kinds.iter().take(MAX_KINDS).any(|kind| *kind == event.kind))
            && self.since_ms.is_none_or(|since_ms| event.time_ms >= since_ms)
            && self.until_ms.is_none_or(|until_ms| event.time_ms < until_ms)
            && self.after_id.is_none_or(|id| event.id > id)
            && self.before_id.is_none_or(|id| event.id < id)
    }

    /// Most events of the page, within the limit of all pages.
    #[must_use]
    pub fn page_events(&self) -> usize {
        self.limit.clamp(1, MAX_PAGE_EVENTS)
    }
}

/// Part of the answer to a question.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Page {
    /// The events, the oldest first.
    pub events: Vec<Event>,
    /// Whether there are more: after the last of these, or with [`Query::newest`] before the first.
    pub more: bool,
    /// Why older events may be missing, where the journal is not whole: its file cannot be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incomplete: Option<String>,
}

impl Page {
    /// A page of events that come in the order of the question (the newest first where it wants the newest), one more
    /// than the page may have where there are so many.
    #[must_use]
    pub fn of(query: &Query, candidates: impl IntoIterator<Item = Event>) -> Self {
        let mut events = Vec::new();
        let (mut bytes, mut more) = (0, false);
        for event in candidates {
            if events.len() == query.page_events() || bytes > MAX_PAGE_BYTES {
                more = true;
                break;
            }
            bytes += event.size_bytes();
            events.push(event);
        }
        if query.newest {
            events.reverse();
        }
        Self { events, more, incomplete: None }
    }
}

#[cfg(test)]
mod tests {
    use super::super::event::{MAX_TEXT_BYTES, NewEvent};
    use super::*;

    fn events(count: u64, text: &str) -> Vec<Event> {
        (1..=count).map(|id| NewEvent::new("state", "a", text).finish(id, id)).collect()
    }

    #[test]
    fn a_page_has_a_limit_of_events_and_one_of_bytes() {
        let page = Page::of(&Query { limit: 5, ..Query::default() }, events(6, ""));
        assert_eq!((page.events.len(), page.more), (5, true));
        let page = Page::of(&Query { limit: 6, ..Query::default() }, events(6, ""));
        assert_eq!((page.events.len(), page.more), (6, false));
        let page = Page::of(&Query::after(0), events(1000, &"x".repeat(MAX_TEXT_BYTES)));
        assert!(page.more && page.events.len() < 200, "{}", page.events.len());
    }

    #[test]
    fn the_newest_come_in_the_order_of_time_as_well() {
        let newest_first = events(4, "").into_iter().rev();
        let page = Page::of(&Query::newest(3), newest_first);
        assert_eq!(page.events.iter().map(|event| event.id).collect::<Vec<_>>(), [2, 3, 4]);
        assert!(page.more);
    }
}
