//! Typed requests and replies of ldmsd 4.5.
//!
//! Each request is a struct with the attributes it takes; [`Call`] turns it into records and its answer into a
//! type. What has no struct here can be sent as a [`Request`] or as a command (see [`crate::command`]).

use std::borrow::Cow;

use serde::de::DeserializeOwned;

use crate::wire::errno;
use crate::wire::ids::{AttrId, RequestId};
use crate::wire::record::{Attribute, Message};

pub mod advertise;
pub mod daemon;
pub mod plugin;
pub mod producer;
pub mod store;
pub mod update_times;
pub mod updater;
mod value;

pub use value::{AttrValue, Micros, Perm, lenient};

/// A request before it has a number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// What it asks for.
    pub id: RequestId,
    /// With what.
    pub attributes: Vec<Attribute>,
}

impl Request {
    /// A request without attributes.
    #[must_use]
    pub fn new(id: RequestId) -> Self {
        Self { id, attributes: Vec::new() }
    }

    /// Adds an attribute; an absent value adds nothing.
    #[must_use]
    pub fn with(mut self, id: AttrId, value: &impl AttrValue) -> Self {
        if let Some(text) = value.text() {
            self.attributes.push(Attribute::text(id, &text));
        }
        self
    }

    /// The value of an attribute.
    #[must_use]
    pub fn attribute(&self, id: AttrId) -> Option<String> {
        let found = self.attributes.iter().find(|attribute| attribute.id == id);
        found.map(|attribute| attribute.value().into_owned())
    }

    /// The command that sends it, for messages.
    #[must_use]
    pub fn verb(&self) -> &'static str {
        self.id.verb().unwrap_or("unknown request")
    }
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// 0, or an error number (see [`errno`]).
    pub errcode: u32,
    /// What it says.
    pub attributes: Vec<Attribute>,
}

impl From<Message> for Response {
    fn from(message: Message) -> Self {
        Self { errcode: message.code, attributes: message.attributes }
    }
}

impl Response {
    /// The text of the answer, or its JSON as text; empty when it has neither.
    #[must_use]
    pub fn text(&self) -> String {
        self.said().into_owned()
    }

    /// The same, without a copy: an aggregator's answer about its producers may have some megabytes.
    fn said(&self) -> Cow<'_, str> {
        let said = |attribute: &&Attribute| matches!(attribute.id, AttrId::STRING | AttrId::JSON);
        self.attributes.iter().find(said).map(Attribute::value).unwrap_or_default()
    }

    /// The JSON of the answer, if it has some. A version answers in text that is JSON; it counts.
    #[must_use]
    pub fn json(&self) -> Option<serde_json::Value> {
        serde_json::from_str(&self.said()).ok()
    }

    /// An error if the daemon refused.
    ///
    /// # Errors
    /// Then.
    pub fn accepted(&self, verb: &'static str) -> Result<(), Refusal> {
        match self.errcode {
            0 => Ok(()),
            errno => Err(Refusal { verb, errno, message: self.text() }),
        }
    }
}

/// The daemon refuses a request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{verb}: {} ({})", if message.is_empty() { errno::text(*errno).unwrap_or("refused") } else { message.trim_end() },
    errno::symbol(*errno).map_or_else(|| format!("error {errno}"), str::to_owned))]
pub struct Refusal {
    /// The command.
    pub verb: &'static str,
    /// Why, as a number.
    pub errno: u32,
    /// Why, in the daemon's words; may be empty.
    pub message: String,
}

impl Refusal {
    /// Something of that name is there already.
    #[must_use]
    pub fn is_exists(&self) -> bool {
        self.errno == errno::EEXIST
    }

    /// Nothing of that name is there.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.errno == errno::ENOENT
    }

    /// It is running, or still stopping, or in use.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.errno == errno::EBUSY
    }

    /// The daemon does not let us.
    #[must_use]
    pub fn is_permission(&self) -> bool {
        matches!(self.errno, errno::EPERM | errno::EACCES)
    }
}

/// Why a call gave no reply of its type.
#[derive(Debug, thiserror::Error)]
pub enum ReplyError {
    /// The daemon refuses.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The daemon answers in a form this program does not know.
    #[error("{verb}: the answer is not understood")]
    Malformed {
        /// The command.
        verb: &'static str,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// A number was expected.
    #[error("{verb}: the answer '{text}' is not a number")]
    NotANumber {
        /// The command.
        verb: &'static str,
        /// The answer.
        text: String,
    },
}

/// A request whose answer has a type.
pub trait Call {
    /// The answer.
    type Reply;

    /// The request.
    fn request(&self) -> Request;

    /// Reads the answer.
    ///
    /// # Errors
    /// When the daemon refuses, or answers in another form.
    fn reply(&self, response: &Response) -> Result<Self::Reply, ReplyError>;
}

/// What an answer can be read as.
pub trait FromResponse: Sized {
    /// Reads the answer to `verb`, which has been accepted.
    ///
    /// # Errors
    /// When it has another form.
    fn from_response(verb: &'static str, response: &Response) -> Result<Self, ReplyError>;
}

impl FromResponse for () {
    fn from_response(_: &'static str, _: &Response) -> Result<Self, ReplyError> {
        Ok(())
    }
}

impl FromResponse for String {
    fn from_response(_: &'static str, response: &Response) -> Result<Self, ReplyError> {
        Ok(response.text())
    }
}

impl FromResponse for u64 {
    fn from_response(verb: &'static str, response: &Response) -> Result<Self, ReplyError> {
        let text = response.text();
        text.trim().parse().map_err(|_| ReplyError::NotANumber { verb, text })
    }
}

/// An answer in JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Json<T>(pub T);

impl<T: DeserializeOwned> FromResponse for Json<T> {
    fn from_response(verb: &'static str, response: &Response) -> Result<Self, ReplyError> {
        let parsed = serde_json::from_str(&response.said());
        parsed.map(Json).map_err(|source| ReplyError::Malformed { verb, source })
    }
}

/// Declares requests: their id, their attributes, and the type of the answer.
macro_rules! calls {
    ($(
        $(#[$doc:meta])*
        $name:ident = $id:ident { $($(#[$field_doc:meta])* $field:ident: $kind:ty => $attr:ident),* $(,)? } -> $reply:ty;
    )*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Default, PartialEq, Eq)]
        pub struct $name { $($(#[$field_doc])* pub $field: $kind,)* }

        impl $crate::api::Call for $name {
            type Reply = $reply;

            fn request(&self) -> $crate::api::Request {
                #[allow(unused_imports)]
                use $crate::wire::ids::{AttrId, RequestId};
                $crate::api::Request::new(RequestId::$id)$(.with(AttrId::$attr, &self.$field))*
            }

            fn reply(
                &self,
                response: &$crate::api::Response,
            ) -> Result<Self::Reply, $crate::api::ReplyError> {
                let verb = $crate::wire::ids::RequestId::$id.verb().unwrap_or_default();
                response.accepted(verb)?;
                <$reply as $crate::api::FromResponse>::from_response(verb, response)
            }
        }
    )*};
}
pub(crate) use calls;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_what_was_asked_and_why_not() {
        let refusal = Refusal { verb: "prdcr_add", errno: 17, message: "The prdcr x already exists.".into() };
        assert_eq!(refusal.to_string(), "prdcr_add: The prdcr x already exists. (EEXIST)");
        assert!(refusal.is_exists() && !refusal.is_busy());
        let silent = Refusal { verb: "load", errno: 16, message: String::new() };
        assert_eq!(silent.to_string(), "load: busy (EBUSY)");
        let odd = Refusal { verb: "load", errno: 999, message: String::new() };
        assert_eq!(odd.to_string(), "load: refused (error 999)");
    }

    #[test]
    fn requests_carry_what_is_given_and_answers_become_types() {
        let call = producer::PrdcrStart { name: "p".into(), reconnect: Some(Micros(5)) };
        let request = call.request();
        assert_eq!(request.id, RequestId::PRDCR_START);
        let words: Vec<_> = request.attributes.iter().map(|a| (a.id, a.value().into_owned())).collect();
        assert_eq!(words, [(AttrId::NAME, "p".to_owned()), (AttrId::INTERVAL, "5".to_owned())]);
        let refused = Response { errcode: 2, attributes: vec![Attribute::text(AttrId::STRING, "none")] };
        let error = call.reply(&refused).unwrap_err();
        assert!(matches!(&error, ReplyError::Refused(refusal) if refusal.is_not_found()), "{error}");
        let three = Response { errcode: 0, attributes: vec![Attribute::text(AttrId::STRING, "3")] };
        assert_eq!(daemon::CfgCntr {}.reply(&three).unwrap(), 3);
        assert!(matches!(
            daemon::CfgCntr {}.reply(&Response { errcode: 0, attributes: vec![] }),
            Err(ReplyError::NotANumber { .. })
        ));
    }
}
