//! Subscriptions to streams and messages of producers: they are checked and noted, and nothing comes of them.

use super::Daemon;
use super::answer::{Answer, Handled, refuse};
use super::object::Expression;
use super::producers::bad_regex;
use crate::wire::errno;
use crate::wire::ids::{AttrId, RequestId};
use crate::wire::record::Message as Record;

impl Daemon {
    pub(super) fn subscribe(&mut self, id: RequestId, message: &Record) -> Handled {
        let args = self.args(message);
        let subscribe = id == RequestId::PRDCR_SUBSCRIBE;
        let regex = args.required_by(AttrId::REGEX, "prdcr_stop_regex")?;
        let (stream, tag) = (args.get(AttrId::STREAM), args.get(AttrId::MSG_TAG));
        let (word, value) = match (stream, tag) {
            (None, None) => {
                let text = "One of the 'stream' or `msg` attributes is required.";
                return Err(refuse(errno::EINVAL, text));
            }
            (Some(stream), Some(tag)) => {
                let text = "Only one of the 'stream' or `msg` attributes can be specified.";
                let got = if subscribe {
                    format!(" Got: stream={stream} and message={tag}")
                } else {
                    String::new()
                };
                return Err(refuse(errno::EINVAL, format!("{text}{got}")));
            }
            (Some(stream), None) => ("stream", stream),
            (None, Some(tag)) => ("message_tag", tag),
        };
        Expression::new(&regex).map_err(|_| bad_regex())?;
        let verb = if subscribe { "prdcr_subscribe_regex" } else { "prdcr_unsubscribe_regex" };
        self.log(|| format!("{verb} prdcr_regex={regex} {word}={value}"));
        Ok(Answer::Done)
    }
}
