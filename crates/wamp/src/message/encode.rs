//! From [`Message`] to bytes.

use std::borrow::Cow;

use crate::codec::sink::{Mark, Writer, feed_dict};
use crate::codec::{CborWriter, JsonWriter, MsgPackWriter, Serializer};
use crate::{Dict, Message, Payload};

impl Message {
    /// Appends the message to `out`.
    pub(crate) fn encode(&self, serializer: Serializer, out: &mut Vec<u8>) {
        match serializer {
            Serializer::Json => write(self, &mut JsonWriter::new(out)),
            Serializer::MsgPack => write(self, &mut MsgPackWriter::new(out)),
            Serializer::Cbor => write(self, &mut CborWriter::new(out)),
        }
    }
}

/// A message being written: the elements follow one another, and the payload, if any, is the last.
struct Elements<'w, W> {
    writer: &'w mut W,
    mark: Mark,
    len: usize,
}

impl<'w, W: Writer> Elements<'w, W> {
    /// A message of type `code` that `more` elements follow.
    fn start(writer: &'w mut W, code: u64, more: usize) -> Self {
        let mark = writer.list_start(Some(1 + more));
        writer.unsigned(code);
        Self { writer, mark, len: 1 + more }
    }

    fn id(self, id: u64) -> Self {
        self.writer.unsigned(id);
        self
    }

    fn text(self, text: &str) -> Self {
        self.writer.text(Cow::Borrowed(text));
        self
    }

    fn dict(self, dict: &Dict) -> Self {
        feed_dict(dict, self.writer);
        self
    }

    /// A dict that some messages have in addition, if it is not empty.
    fn extra(self, dict: &Dict) -> Self {
        if dict.is_empty() { self } else { self.dict(dict) }
    }

    fn payload(self, payload: &Payload) -> Self {
        payload.write(self.writer);
        self
    }

    fn end(self) {
        self.writer.list_end(self.mark, self.len);
    }
}

fn write<W: Writer>(message: &Message, writer: &mut W) {
    let code = message.code();
    match message {
        Message::Hello { realm, details } => Elements::start(writer, code, 2).text(realm).dict(details),
        Message::Welcome { session, details } => Elements::start(writer, code, 2).id(*session).dict(details),
        Message::Abort { details, reason } | Message::Goodbye { details, reason } => {
            Elements::start(writer, code, 2).dict(details).text(reason)
        }
        Message::Challenge { method, extra } => Elements::start(writer, code, 2).text(method).dict(extra),
        Message::Authenticate { signature, extra } => {
            Elements::start(writer, code, 2).text(signature).dict(extra)
        }
        Message::Error { request_type, request, details, error, payload } => {
            Elements::start(writer, code, 4 + payload.elements())
                .id(*request_type)
                .id(*request)
                .dict(details)
                .text(error)
                .payload(payload)
        }
        Message::Publish { request, options, topic: uri, payload }
        | Message::Call { request, options, procedure: uri, payload } => {
            Elements::start(writer, code, 3 + payload.elements())
                .id(*request)
                .dict(options)
                .text(uri)
                .payload(payload)
        }
        Message::Subscribe { request, options, topic: uri }
        | Message::Register { request, options, procedure: uri } => {
            Elements::start(writer, code, 3).id(*request).dict(options).text(uri)
        }
        Message::Published { request, publication: id }
        | Message::Subscribed { request, subscription: id }
        | Message::Unsubscribe { request, subscription: id }
        | Message::Registered { request, registration: id }
        | Message::Unregister { request, registration: id } => {
            Elements::start(writer, code, 2).id(*request).id(*id)
        }
        Message::Unsubscribed { request, details } | Message::Unregistered { request, details } => {
            Elements::start(writer, code, 1 + usize::from(!details.is_empty())).id(*request).extra(details)
        }
        Message::Event { subscription: first, publication: second, details, payload }
        | Message::Invocation { request: first, registration: second, details, payload } => {
            Elements::start(writer, code, 3 + payload.elements())
                .id(*first)
                .id(*second)
                .dict(details)
                .payload(payload)
        }
        Message::Cancel { request, options } | Message::Interrupt { request, options } => {
            Elements::start(writer, code, 2).id(*request).dict(options)
        }
        Message::Result { request, details, payload }
        | Message::Yield { request, options: details, payload } => {
            Elements::start(writer, code, 2 + payload.elements()).id(*request).dict(details).payload(payload)
        }
    }
    .end();
}
