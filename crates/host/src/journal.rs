//! The manager and its journal: what it notes, and how a journal in trouble shows.

use std::convert::Infallible;

use campanile_control::Journal;
use campanile_control::journal::{NewEvent, kinds};
use campanile_ocs::agent::OpContext;
use campanile_yaml::Diagnostics;

use crate::chronicle;
use crate::manager::Manager;
use crate::requests::Request;

impl Manager {
    /// From here on what happens is noted there. The first journal stays the only one.
    pub fn keep_journal(&self, journal: Journal) {
        // A second one would be a mistake of the caller that costs nothing.
        let _ = self.shared.journal.set(journal);
    }

    /// The journal, if it has one.
    #[must_use]
    pub fn journal(&self) -> Option<&Journal> {
        self.shared.journal.get()
    }

    /// Notes events.
    pub(crate) fn note(&self, events: impl IntoIterator<Item = NewEvent>) {
        let Some(journal) = self.journal() else { return };
        for event in events {
            journal.record(event);
        }
    }

    /// Notes what was asked for, and by whom.
    pub(crate) fn note_requests(&self, context: &OpContext, requests: &[Request]) {
        self.note(chronicle::requested(requests, own_id(context), context.actor()));
    }

    /// Notes that the site config was read again.
    pub(crate) fn note_config(&self, context: &OpContext, told: Result<&[String], &Diagnostics>) {
        self.note([match told {
            Ok(told) => chronicle::config_taken(own_id(context), told, context.actor()),
            Err(problems) => chronicle::config_refused(own_id(context), problems, context.actor()),
        }]);
    }

    /// Notes something that has failed.
    pub(crate) fn note_error(&self, context: &OpContext, text: &str) {
        self.note([NewEvent::new(kinds::ERROR, own_id(context), text)]);
    }

    /// Shows in the state of the operation whether events are saved: it is degraded while they are not. Never ends.
    pub(crate) async fn show_journal(&self, context: &OpContext) -> Infallible {
        let Some(mut trouble) = self.journal().map(Journal::trouble) else {
            return std::future::pending().await;
        };
        let mut was_in_trouble = false;
        loop {
            let reason = trouble.borrow_and_update().as_ref().map(|trouble| trouble.reason.clone());
            if reason.is_some() != was_in_trouble {
                was_in_trouble = reason.is_some();
                if reason.is_none() {
                    context.message("Journal: events are saved again.");
                }
                let text = |reason| format!("Journal: {reason}; agents are managed all the same.");
                self.problem("journal", reason.map(text));
            }
            if trouble.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }
}

/// The instance-id of the manager itself.
fn own_id(context: &OpContext) -> &str {
    context.instance_id()
}
