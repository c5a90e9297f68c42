//! What daemons have answered; its JSON form is documented in the book's chapter on LDMS.

use campanile_ldms::client::Endpoint;
use serde::Serialize;
use serde_json::Value;

/// What one daemon was asked and has answered.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Conversation {
    /// `HOST:PORT`.
    pub(super) daemon: String,
    /// Why nothing could be asked; `null` when it was reached.
    pub(super) error: Option<String>,
    pub(super) results: Vec<Answer>,
}

/// The answer to one command.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Answer {
    /// As it was written.
    pub(super) command: String,
    /// 0 when it was accepted, else the error number of the daemon; `null` when there was no answer.
    pub(super) errcode: Option<u32>,
    /// Why it was refused or has no answer.
    pub(super) error: Option<String>,
    /// What the daemon says: its JSON, or its text; `null` when it says nothing.
    pub(super) reply: Value,
}

impl Conversation {
    /// Before anything was asked.
    pub(super) fn unasked(endpoint: &Endpoint) -> Self {
        let error = Some("it was not asked".to_owned());
        Self { daemon: endpoint.to_string(), error, results: Vec::new() }
    }

    /// Whether it was reached and has accepted everything.
    pub(super) fn is_clean(&self) -> bool {
        self.error.is_none() && self.results.iter().all(|answer| answer.errcode == Some(0))
    }
}
