//! The broker: who is subscribed to what, and who gets an event (WAMP, "Publish and Subscribe").

use std::collections::HashMap;

use super::ids::Ids;
use super::options::{Options, Violation};
use super::output::{Output, PeerId};
use super::pattern::PatternIndex;
use super::sessions::{Session, Sessions};
use crate::uri::Match;
use crate::{Dict, Message, Payload};

/// All subscriptions. Those of different sessions to the same topic, or pattern, are one and share its id.
#[derive(Debug)]
pub(super) struct Broker {
    by_pattern: PatternIndex<u64>,
    by_id: HashMap<u64, Subscription>,
}

#[derive(Debug)]
struct Subscription {
    matching: Match,
    topic: String,
    /// In the order in which they subscribed, each once, never empty.
    subscribers: Vec<PeerId>,
}

/// A publication on its way to its receivers.
pub(super) struct Publication<'a> {
    pub(super) id: u64,
    pub(super) publisher: PeerId,
    pub(super) topic: &'a str,
    pub(super) payload: Payload,
}

impl Broker {
    pub(super) fn new() -> Self {
        Self { by_pattern: PatternIndex::new(), by_id: HashMap::new() }
    }

    /// How many subscriptions there are.
    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Adds a subscriber and gives the id of the subscription, the same one if it is subscribed already.
    pub(super) fn subscribe(
        &mut self,
        peer: PeerId,
        session: &mut Session,
        matching: Match,
        topic: String,
        ids: &mut Ids,
    ) -> u64 {
        let id = match self.by_pattern.get(matching, &topic) {
            Some(&id) => id,
            None => {
                let id = ids.next_free(|id| self.by_id.contains_key(&id));
                self.by_pattern.insert(matching, &topic, id);
                self.by_id.insert(id, Subscription { matching, topic, subscribers: Vec::new() });
                id
            }
        };
        if session.subscriptions.insert(id)
            && let Some(subscription) = self.by_id.get_mut(&id)
        {
            subscription.subscribers.push(peer);
        }
        id
    }

    /// Takes one subscriber off; with the last one the subscription ends.
    pub(super) fn unsubscribe(&mut self, peer: PeerId, id: u64) {
        let Some(subscription) = self.by_id.get_mut(&id) else { return };
        subscription.subscribers.retain(|&subscriber| subscriber != peer);
        if subscription.subscribers.is_empty()
            && let Some(ended) = self.by_id.remove(&id)
        {
            self.by_pattern.remove(ended.matching, &ended.topic);
        }
    }

    /// Sends the event to whom it is for: one EVENT for each subscription that matches.
    pub(super) fn publish(
        &self,
        sessions: &Sessions,
        publication: Publication<'_>,
        audience: &Audience<'_>,
        outputs: &mut Vec<Output>,
    ) {
        let Publication { id, publisher, topic, payload } = publication;
        let everybody = audience.is_everybody();
        self.by_pattern.each_match(topic, |matching, subscription_id| {
            let Some(subscription) = self.by_id.get(subscription_id) else { return };
            let is_for = |peer: PeerId| {
                (peer != publisher || !audience.exclude_me)
                    && (everybody || sessions.get(peer).is_some_and(|session| audience.includes(session)))
            };
            let to: Vec<PeerId> =
                subscription.subscribers.iter().copied().filter(|&peer| is_for(peer)).collect();
            if to.is_empty() {
                return;
            }
            let details = match matching {
                Match::Exact => Dict::new(),
                Match::Prefix | Match::Wildcard => Dict::new().with("topic", topic),
            };
            let payload = payload.clone();
            let message =
                Message::Event { subscription: *subscription_id, publication: id, details, payload };
            outputs.push(Output::Event { to, message });
        });
    }
}

/// Whom a publisher wants to reach (WAMP, "Subscriber Black- and Whitelisting", "Publisher Exclusion").
///
/// A list of those who are eligible excludes everybody else, also when it is empty.
#[derive(Debug, Default)]
pub(super) struct Audience<'a> {
    exclude_me: bool,
    exclude: Option<Vec<u64>>,
    exclude_authid: Option<Vec<&'a str>>,
    exclude_authrole: Option<Vec<&'a str>>,
    eligible: Option<Vec<u64>>,
    eligible_authid: Option<Vec<&'a str>>,
    eligible_authrole: Option<Vec<&'a str>>,
}

impl<'a> Audience<'a> {
    pub(super) fn from_options(options: &Options<'a>) -> Result<Self, Violation> {
        if options.dict.is_empty() {
            return Ok(Self { exclude_me: true, ..Self::default() });
        }
        Ok(Self {
            exclude_me: options.flag("exclude_me", true)?,
            exclude: options.ids("exclude")?,
            exclude_authid: options.texts("exclude_authid")?,
            exclude_authrole: options.texts("exclude_authrole")?,
            eligible: options.ids("eligible")?,
            eligible_authid: options.texts("eligible_authid")?,
            eligible_authrole: options.texts("eligible_authrole")?,
        })
    }

    /// No list was given, so that nobody needs to be looked up.
    fn is_everybody(&self) -> bool {
        self.exclude.is_none()
            && self.exclude_authid.is_none()
            && self.exclude_authrole.is_none()
            && self.eligible.is_none()
            && self.eligible_authid.is_none()
            && self.eligible_authrole.is_none()
    }

    fn includes(&self, session: &Session) -> bool {
        let (id, authid, role) = (&session.id, &session.authid.as_str(), &session.role.name.as_str());
        let excluded = self.exclude.as_ref().is_some_and(|list| list.contains(id))
            || self.exclude_authid.as_ref().is_some_and(|list| list.contains(authid))
            || self.exclude_authrole.as_ref().is_some_and(|list| list.contains(role));
        !excluded
            && self.eligible.as_ref().is_none_or(|list| list.contains(id))
            && self.eligible_authid.as_ref().is_none_or(|list| list.contains(authid))
            && self.eligible_authrole.as_ref().is_none_or(|list| list.contains(role))
    }
}
