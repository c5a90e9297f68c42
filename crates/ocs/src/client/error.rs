//! What can go wrong between a client and an agent: [`OcsError`].

use std::time::Duration;

use campanile_wamp::error::uris;
use campanile_wamp::{Value, WampError};

/// Why a request has no answer. The variants are what a caller can act on.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum OcsError {
    /// There is no router (or, for a control socket, no daemon) at that address, or it went away.
    #[error("cannot reach {endpoint}: {reason}")]
    RouterUnreachable {
        /// Where it should be.
        endpoint: String,
        /// What happened.
        reason: String,
    },
    /// The router is there, the agent is not: nobody has registered this procedure.
    #[error("no agent serves {procedure}")]
    NoSuchAgent {
        /// What was called.
        procedure: String,
    },
    /// The agent was lost while it worked on the request; whether it was carried out is unknown.
    #[error(
        "the agent or the way to it was lost during the request to {procedure}: it may have been carried out"
    )]
    CalleeLost {
        /// What was called.
        procedure: String,
    },
    /// The router does not let this client call this procedure. Mostly the address root is not the router's.
    #[error("not authorized: {0}")]
    NotAuthorized(String),
    /// The agent answered with an error.
    #[error("{uri}{}", first_text(.args))]
    Remote {
        /// The URI of the error.
        uri: String,
        /// Its arguments; the first is mostly a text for people.
        args: Vec<Value>,
    },
    /// The answer is not what the protocol promises.
    #[error("unexpected answer: {0}")]
    Protocol(String),
    /// No answer in time.
    #[error("no answer from {what} within {} s", .after.as_secs_f64())]
    TimedOut {
        /// What was asked.
        what: String,
        /// How long was waited.
        after: Duration,
    },
}

impl OcsError {
    /// The error that a WAMP error URI stands for.
    #[must_use]
    pub fn from_wamp(procedure: &str, error: WampError) -> Self {
        let procedure = procedure.to_owned();
        match error.uri.as_str() {
            uris::NO_SUCH_PROCEDURE => Self::NoSuchAgent { procedure },
            uris::CANCELED => Self::CalleeLost { procedure },
            uris::NOT_AUTHORIZED => Self::NotAuthorized(match error.message() {
                Some(message) => message.to_owned(),
                None => format!("to call {procedure}"),
            }),
            _ => Self::Remote { uri: error.uri, args: error.args },
        }
    }
}

fn first_text(args: &[Value]) -> String {
    args.first().and_then(Value::as_str).map(|text| format!(": {text}")).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_wamp_error_becomes_what_a_caller_can_act_on() {
        let error = |uri: &str| OcsError::from_wamp("observatory.a", WampError::new(uri, "text"));
        assert_eq!(
            error("wamp.error.no_such_procedure"),
            OcsError::NoSuchAgent { procedure: "observatory.a".into() }
        );
        assert_eq!(error("wamp.error.canceled"), OcsError::CalleeLost { procedure: "observatory.a".into() });
        assert_eq!(error("wamp.error.not_authorized"), OcsError::NotAuthorized("text".into()));
        assert_eq!(error("wamp.error.runtime_error").to_string(), "wamp.error.runtime_error: text");
    }
}
