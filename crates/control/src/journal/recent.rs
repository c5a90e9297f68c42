//! The newest events in memory: those that wait to be saved, and some of those that are. Pure.

use std::collections::VecDeque;
use std::sync::Arc;

use super::event::{Event, NewEvent};
use super::query::{Page, Query};

/// Events that stay in memory after they were saved, for the case that the file is lost.
pub(super) const KEEP_SAVED: usize = 128;
/// Events that wait to be saved. With more, the oldest are lost, and counted.
pub const KEEP_UNSAVED: usize = 4096;
/// Memory of all of them, in bytes, about.
pub(super) const KEEP_BYTES: usize = 2 * 1024 * 1024;
/// Microseconds of a millisecond: ids are counted in the former.
const MICROS: u64 = 1000;

/// Events that were dropped before they could be saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost {
    /// How many.
    pub count: u64,
    /// When the first of them happened, milliseconds since 1970.
    pub first_ms: u64,
    /// When the last of them happened.
    pub last_ms: u64,
}

/// The newest events, in ascending order of their ids.
#[derive(Debug, Default)]
pub(super) struct Recent {
    events: VecDeque<Arc<Event>>,
    bytes: usize,
    last_id: u64,
    saved_id: u64,
    lost: Option<Lost>,
}

impl Recent {
    /// Takes an event in.
    pub(super) fn push(&mut self, event: NewEvent, unix_s: f64) -> Arc<Event> {
        // A clock before 1970 was never set; floats of any sane time are exact to the microsecond.
        let micros = (unix_s.max(0.0) * 1e6) as u64;
        let id = micros.max(self.last_id + 1);
        self.last_id = id;
        let event = Arc::new(event.finish(id, micros / MICROS));
        self.bytes += event.size_bytes();
        self.events.push_back(Arc::clone(&event));
        self.trim();
        event
    }

    /// The file has events up to this id: new ones come after it.
    pub(super) fn continue_after(&mut self, id: u64) {
        self.last_id = self.last_id.max(id);
    }

    /// The id of the newest event.
    #[must_use]
    pub(super) const fn last_id(&self) -> u64 {
        self.last_id
    }

    /// The oldest events that are not saved yet, at most so many.
    #[must_use]
    pub(super) fn unsaved(&self, limit: usize) -> Vec<Arc<Event>> {
        let begin = self.events.partition_point(|event| event.id <= self.saved_id);
        self.events.iter().skip(begin).take(limit).cloned().collect()
    }

    /// Everything up to this id is in the file.
    pub(super) fn saved(&mut self, id: u64) {
        self.saved_id = self.saved_id.max(id);
        self.trim();
    }

    /// The file is gone: what is still here is to be saved again.
    pub(super) const fn forget_saved(&mut self) {
        self.saved_id = 0;
    }

    /// What was lost since this was asked last.
    pub(super) const fn take_lost(&mut self) -> Option<Lost> {
        self.lost.take()
    }

    /// The events that are asked for, of those in memory: all, or only those that are not saved.
    #[must_use]
    pub(super) fn search(&self, query: &Query, only_unsaved: bool) -> Page {
        let wanted =
            |event: &&Arc<Event>| (!only_unsaved || event.id > self.saved_id) && query.matches(event);
        let found = self.events.iter().filter(wanted).map(|event| Event::clone(event));
        if query.newest { Page::of(query, found.rev()) } else { Page::of(query, found) }
    }

    fn trim(&mut self) {
        while let Some(oldest) = self.events.front() {
            let is_saved = oldest.id <= self.saved_id;
            let keep = if is_saved { KEEP_SAVED } else { KEEP_UNSAVED };
            // The newest one stays, however large it is.
            if self.events.len() == 1 || (self.events.len() <= keep && self.bytes <= KEEP_BYTES) {
                return;
            }
            if !is_saved {
                let first_ms = self.lost.map_or(oldest.time_ms, |lost| lost.first_ms);
                let count = self.lost.map_or(0, |lost| lost.count) + 1;
                self.lost = Some(Lost { count, first_ms, last_ms: oldest.time_ms });
            }
            self.bytes -= oldest.size_bytes();
            self.events.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn event(text: &str) -> NewEvent {
        NewEvent::new("state", "a", text)
    }

    #[test]
    fn ids_ascend_whatever_the_clock_does() {
        let mut recent = Recent::default();
        recent.continue_after(5_000_000);
        let ids: Vec<u64> = [1.0, 9.0, 9.0, 3.0].map(|unix_s| recent.push(event(""), unix_s).id).into();
        assert_eq!(ids, [5_000_001, 9_000_000, 9_000_001, 9_000_002]);
    }

    #[test]
    fn what_cannot_be_kept_is_counted() {
        let mut recent = Recent::default();
        for second in 0..5000 {
            recent.push(event(""), f64::from(second));
        }
        let lost = recent.take_lost().unwrap();
        assert_eq!(lost, Lost { count: 904, first_ms: 0, last_ms: 903_000 });
        assert_eq!(recent.take_lost(), None);
        recent.saved(recent.last_id());
        assert_eq!(recent.events.len(), KEEP_SAVED);
        assert_eq!(recent.take_lost(), None, "what is saved may go");
        recent.forget_saved();
        assert_eq!(recent.unsaved(usize::MAX).len(), KEEP_SAVED);
    }

    proptest! {
        #[test]
        fn nothing_is_saved_twice_or_forgotten_unsaved(steps in proptest::collection::vec((0_u8..3, 0_usize..200), 1..200)) {
            let mut recent = Recent::default();
            let (mut saved, mut lost) = (Vec::new(), 0);
            for (step, amount) in steps {
                match step {
                    0 => (0..amount).for_each(|_| { recent.push(event(&"x".repeat(amount * 40)), 1.0); }),
                    1 => {
                        let batch = recent.unsaved(amount);
                        saved.extend(batch.iter().map(|event| event.id));
                        if let Some(last) = batch.last() {
                            recent.saved(last.id);
                        }
                    }
                    _ => lost += recent.take_lost().map_or(0, |lost| lost.count),
                }
                prop_assert!(recent.events.len() <= KEEP_UNSAVED);
                prop_assert_eq!(recent.bytes, recent.events.iter().map(|event| event.size_bytes()).sum::<usize>());
            }
            lost += recent.take_lost().map_or(0, |lost| lost.count);
            let rest = recent.unsaved(usize::MAX).len();
            prop_assert!(saved.is_sorted_by(|a, b| a < b));
            if let Some(first) = (recent.last_id >= 1_000_000).then_some(1_000_000) {
                let recorded = recent.last_id - first + 1;
                prop_assert_eq!(recorded, saved.len() as u64 + lost + rest as u64);
            }
        }
    }
}
