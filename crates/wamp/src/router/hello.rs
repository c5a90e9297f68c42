//! How a session begins: HELLO, answered with WELCOME or ABORT (WAMP, "Session Establishment").

use std::sync::Arc;

use super::options::{Options, Violation};
use super::output::{CloseReason, Output, PeerId};
use super::sessions::Session;
use super::{Core, LIMIT_EXCEEDED};
use crate::error::uris;
use crate::uri::MAX_URI_BYTES;
use crate::{Dict, Message, Value};

/// The roles a client may have.
const CLIENT_ROLES: [&str; 4] = ["caller", "callee", "publisher", "subscriber"];

/// So many authentication methods are repeated to a client that offered none we know.
const SHOWN_METHODS: usize = 5;

/// What this router can do beyond the basic profile, told in WELCOME.
const BROKER_FEATURES: [&str; 3] =
    ["pattern_based_subscription", "publisher_exclusion", "subscriber_blackwhite_listing"];
const DEALER_FEATURES: [&str; 4] =
    ["call_canceling", "caller_identification", "pattern_based_registration", "progressive_call_results"];

impl Core {
    /// A message of a peer that is not joined.
    pub(super) fn receive_greeting(
        &mut self,
        peer: PeerId,
        message: Message,
        outputs: &mut Vec<Output>,
    ) -> Result<(), Violation> {
        match message {
            Message::Hello { realm, details } => self.join(peer, &realm, &details, outputs),
            Message::Goodbye { .. } | Message::Abort { .. } => {
                outputs.push(Output::Close { to: peer, reason: CloseReason::SessionEnded });
                Ok(())
            }
            unexpected => Err(Violation(format!("{} before HELLO", unexpected.name()))),
        }
    }

    fn join(
        &mut self,
        peer: PeerId,
        realm: &str,
        details: &Dict,
        outputs: &mut Vec<Output>,
    ) -> Result<(), Violation> {
        let roles = details.get("roles").and_then(Value::as_dict).filter(|roles| !roles.is_empty());
        let roles = roles.ok_or_else(|| Violation("HELLO without roles".to_owned()))?;
        if let Some((unknown, _)) = roles.iter().find(|(role, _)| !CLIENT_ROLES.contains(role)) {
            return Err(Violation(format!("unknown role '{unknown}' in HELLO")));
        }
        let methods = Options::new("HELLO", details).texts("authmethods")?.unwrap_or_default();

        if realm != self.config.realm {
            // Said in full, a name that is too long would come back.
            let shown = if realm.len() <= MAX_URI_BYTES { realm } else { "(too long)" };
            abort(peer, uris::NO_SUCH_REALM, format!("no realm \"{shown}\" exists on this router"), outputs);
        } else if !methods.is_empty() && !methods.contains(&"anonymous") {
            let some = &methods[..methods.len().min(SHOWN_METHODS)];
            let text = format!("cannot authenticate using any of the offered authmethods {some:?}");
            abort(peer, uris::NO_AUTH_METHOD, text, outputs);
        } else if self.sessions.len() >= self.config.limits.max_sessions {
            let text = format!("the router has its {} sessions", self.config.limits.max_sessions);
            abort(peer, LIMIT_EXCEEDED, text, outputs);
        } else {
            let id = self.new_session_id();
            let mut session =
                Session::new(id, Arc::clone(&self.anonymous_role), details, self.config.limits.max_calls);
            session.from = self.connected.get(&peer).cloned().flatten();
            outputs.push(Output::Send { to: peer, message: self.welcome(&session) });
            self.sessions.insert(peer, session);
        }
        Ok(())
    }

    fn welcome(&self, session: &Session) -> Message {
        let role = |features: &[&str]| {
            let features: Dict = features.iter().map(|&feature| (feature, true)).collect();
            Dict::new().with("features", features)
        };
        let roles = Dict::new().with("broker", role(&BROKER_FEATURES)).with("dealer", role(&DEALER_FEATURES));
        let details = Dict::new()
            .with("realm", self.config.realm.as_str())
            .with("authid", session.authid.as_str())
            .with("authrole", session.role.name.as_str())
            .with("authmethod", "anonymous")
            .with("authprovider", "static")
            .with("roles", roles);
        Message::Welcome { session: session.id, details }
    }
}

fn abort(to: PeerId, reason: &str, text: String, outputs: &mut Vec<Output>) {
    let details = Dict::new().with("message", text);
    outputs.push(Output::Send { to, message: Message::Abort { details, reason: reason.to_owned() } });
    outputs.push(Output::Close { to, reason: CloseReason::SessionEnded });
}
