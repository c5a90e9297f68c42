//! What a call comes back with: [`Reply`] or [`WampError`], and the error URIs that the protocol names.

use std::fmt;

use crate::{Dict, Payload, Value};

/// The error URIs of the WAMP spec ("Predefined URIs") and of Autobahn that this crate sends or looks for.
pub mod uris {
    /// A URI that is not valid.
    pub const INVALID_URI: &str = "wamp.error.invalid_uri";
    /// No procedure of that name is registered.
    pub const NO_SUCH_PROCEDURE: &str = "wamp.error.no_such_procedure";
    /// The procedure is registered already.
    pub const PROCEDURE_ALREADY_EXISTS: &str = "wamp.error.procedure_already_exists";
    /// UNREGISTER of what is not registered.
    pub const NO_SUCH_REGISTRATION: &str = "wamp.error.no_such_registration";
    /// UNSUBSCRIBE of what is not subscribed.
    pub const NO_SUCH_SUBSCRIPTION: &str = "wamp.error.no_such_subscription";
    /// The arguments of a call do not fit the procedure.
    pub const INVALID_ARGUMENT: &str = "wamp.error.invalid_argument";
    /// The role has no permission for this.
    pub const NOT_AUTHORIZED: &str = "wamp.error.not_authorized";
    /// The realm does not exist.
    pub const NO_SUCH_REALM: &str = "wamp.error.no_such_realm";
    /// None of the authentication methods offered can be used.
    pub const NO_AUTH_METHOD: &str = "wamp.error.no_auth_method";
    /// The peer broke the protocol.
    pub const PROTOCOL_VIOLATION: &str = "wamp.error.protocol_violation";
    /// The call was cancelled, or its callee was lost.
    pub const CANCELED: &str = "wamp.error.canceled";
    /// The procedure failed (Autobahn's URI for an exception in a procedure).
    pub const RUNTIME_ERROR: &str = "wamp.error.runtime_error";
    /// The router does not offer that option.
    pub const OPTION_NOT_ALLOWED: &str = "wamp.error.option_not_allowed";
    /// The peer shuts down.
    pub const SYSTEM_SHUTDOWN: &str = "wamp.close.system_shutdown";
    /// The session ends because its user wants so.
    pub const CLOSE_NORMAL: &str = "wamp.close.normal";
    /// The reply to a GOODBYE.
    pub const GOODBYE_AND_OUT: &str = "wamp.close.goodbye_and_out";
}

/// The result of a call, or of one step of a progressive one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reply {
    /// Positional results; most procedures give exactly one.
    pub args: Vec<Value>,
    /// Results by keyword.
    pub kwargs: Dict,
}

impl Reply {
    /// A reply of one positional value.
    pub fn of(value: impl Into<Value>) -> Self {
        Self { args: vec![value.into()], kwargs: Dict::new() }
    }
}

impl From<Reply> for Payload {
    fn from(reply: Reply) -> Self {
        Self::new(reply.args, reply.kwargs)
    }
}

/// An application error: the URI that names it, with whatever the other side adds.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub struct WampError {
    /// The URI of the error.
    pub uri: String,
    /// Positional details; by custom the first one is a text for people.
    pub args: Vec<Value>,
    /// Details by keyword.
    pub kwargs: Dict,
}

impl WampError {
    /// An error with a text for people.
    pub fn new(uri: impl Into<String>, message: impl Into<String>) -> Self {
        Self { uri: uri.into(), args: vec![Value::Str(message.into())], kwargs: Dict::new() }
    }

    /// The text for people, where the error has one.
    pub fn message(&self) -> Option<&str> {
        self.args.first()?.as_str()
    }
}

impl fmt::Display for WampError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.message() {
            Some(message) => write!(f, "{}: {message}", self.uri),
            None => f.write_str(&self.uri),
        }
    }
}
