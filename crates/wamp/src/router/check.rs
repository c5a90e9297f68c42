//! May this session do that? Every request passes here before the broker or the dealer sees it.

use super::auth::Action;
use super::output::{Output, PeerId};
use super::sessions::Session;
use super::{Core, LIMIT_EXCEEDED, error};
use crate::Payload;
use crate::error::uris;
use crate::uri::{self, MAX_URI_BYTES, Match};

/// A request that is not done, as the ERROR tells it.
pub(super) struct Refusal {
    pub(super) error: &'static str,
    pub(super) text: String,
}

impl Refusal {
    /// The ERROR that tells it.
    pub(super) fn answer(self, to: PeerId, request_type: u64, request: u64) -> Output {
        error(to, request_type, request, self.error, Payload::text(self.text))
    }
}

impl Core {
    /// Whether the session of `peer` may do this: the name is valid, not the router's own, and its role allows it.
    pub(super) fn check(
        &self,
        peer: PeerId,
        action: Action,
        name: &str,
        matching: Match,
    ) -> Result<(), Refusal> {
        // Said in full, a name that is too long would come back in every refusal.
        let shown = if name.len() <= MAX_URI_BYTES { name } else { "(too long)" };
        if !uri::is_valid(name, matching) {
            let text = format!("cannot {} '{shown}': not a valid URI", action.in_words());
            return Err(Refusal { error: uris::INVALID_URI, text });
        }
        if matches!(action, Action::Register | Action::Publish) && name.starts_with("wamp.") {
            let text =
                format!("cannot {} '{shown}': the URI is reserved for the protocol", action.in_words());
            return Err(Refusal { error: uris::INVALID_URI, text });
        }
        match self.sessions.get(peer) {
            Some(session) if session.role.allows(action, name) => Ok(()),
            session => {
                let who = session.map_or_else(String::new, |session| {
                    let Session { id, authid, role, .. } = session;
                    format!(" (session_id={id}, authid=\"{authid}\", authrole=\"{}\")", role.name)
                });
                let (what, realm) = (action.in_words(), &self.config.realm);
                let text =
                    format!("session{who} is not authorized to {what} \"{shown}\" on realm \"{realm}\"");
                Err(Refusal { error: uris::NOT_AUTHORIZED, text })
            }
        }
    }

    /// Whether the session may hold one more.
    pub(super) fn check_limit(
        &self,
        peer: PeerId,
        what: &str,
        max: usize,
        count: impl Fn(&Session) -> usize,
    ) -> Result<(), Refusal> {
        match self.sessions.get(peer) {
            Some(session) if count(session) >= max => {
                Err(Refusal { error: LIMIT_EXCEEDED, text: format!("a session may have {max} {what}") })
            }
            _ => Ok(()),
        }
    }
}
