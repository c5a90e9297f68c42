//! What a joined session may ask for, message by message.

use super::auth::Action;
use super::broker::{Audience, Publication};
use super::check::Refusal;
use super::dealer::{Call, CancelMode, Dealer};
use super::options::{Options, Violation};
use super::output::{Output, PeerId};
use super::sessions::shown;
use super::{Core, error};
use crate::error::uris;
use crate::message::codes;
use crate::uri::Match;
use crate::{CALLER_AGENT, CALLER_FROM, Dict, Message, Payload};

impl Core {
    /// Takes in one message of a joined session.
    pub(super) fn receive_in_session(
        &mut self,
        peer: PeerId,
        message: Message,
        outputs: &mut Vec<Output>,
    ) -> Result<(), Violation> {
        match message {
            Message::Publish { request, options, topic, payload } => {
                self.publish(peer, request, &options, &topic, payload, outputs)
            }
            Message::Call { request, options, procedure, payload } => {
                self.call(peer, request, &options, &procedure, payload, outputs)
            }
            Message::Yield { request, options, payload } => {
                let progress = Options::new("YIELD", &options).flag("progress", false)?;
                Dealer::result(&mut self.sessions, peer, request, progress, payload, outputs);
                Ok(())
            }
            Message::Error { request_type: codes::INVOCATION, request, error, payload, .. } => {
                Dealer::error(&mut self.sessions, peer, request, &error, payload, outputs);
                Ok(())
            }
            Message::Cancel { request, options } => {
                let options = Options::new("CANCEL", &options);
                let mode = match options.text("mode")? {
                    None => CancelMode::KillNoWait,
                    Some(name) => CancelMode::from_name(name).ok_or_else(|| options.invalid("mode"))?,
                };
                Dealer::cancel(&mut self.sessions, peer, request, mode, outputs);
                Ok(())
            }
            Message::Subscribe { request, options, topic } => {
                self.subscribe(peer, request, &options, topic, outputs)
            }
            Message::Unsubscribe { request, subscription } => {
                self.unsubscribe(peer, request, subscription, outputs);
                Ok(())
            }
            Message::Register { request, options, procedure } => {
                self.register(peer, request, &options, &procedure, outputs)
            }
            Message::Unregister { request, registration } => {
                self.unregister(peer, request, registration, outputs);
                Ok(())
            }
            Message::Goodbye { .. } => {
                // The connection stays: the client may say HELLO again, and closes it else.
                let reason = uris::CLOSE_NORMAL.to_owned();
                let message = Message::Goodbye { details: Dict::new(), reason };
                outputs.push(Output::Send { to: peer, message });
                self.end_session(peer, outputs);
                Ok(())
            }
            unexpected => Err(Violation(format!("unexpected {} in a session", unexpected.name()))),
        }
    }

    fn publish(
        &mut self,
        peer: PeerId,
        request: u64,
        options: &Dict,
        topic: &str,
        payload: Payload,
        outputs: &mut Vec<Output>,
    ) -> Result<(), Violation> {
        let options = Options::new("PUBLISH", options);
        let audience = Audience::from_options(&options)?;
        let acknowledge = options.flag("acknowledge", false)?;
        if let Err(refusal) = self.check(peer, Action::Publish, topic, Match::Exact) {
            // Without `acknowledge` a publisher is told nothing, not even this (WAMP, "Publishing").
            if acknowledge {
                outputs.push(refusal.answer(peer, codes::PUBLISH, request));
            }
            return Ok(());
        }
        let id = self.ids.next();
        if acknowledge {
            outputs.push(Output::Send { to: peer, message: Message::Published { request, publication: id } });
        }
        let publication = Publication { id, publisher: peer, topic, payload };
        self.broker.publish(&self.sessions, publication, &audience, outputs);
        Ok(())
    }

    fn call(
        &mut self,
        peer: PeerId,
        request: u64,
        options: &Dict,
        procedure: &str,
        payload: Payload,
        outputs: &mut Vec<Output>,
    ) -> Result<(), Violation> {
        let options = Options::new("CALL", options);
        let timeout_ms = options.number("timeout")?;
        let progress = options.flag("receive_progress", false)?;
        let max = self.sessions.get(peer).map_or(0, |session| session.max_calls);
        let checked = self
            .check(peer, Action::Call, procedure, Match::Exact)
            .and_then(|()| self.check_limit(peer, "unanswered calls", max, |session| session.calling.len()));
        match checked {
            Ok(()) => {
                let for_others = self.sessions.get(peer).is_some_and(|session| session.calls_for_others);
                let on_behalf_of = match for_others {
                    true => [options.text(CALLER_FROM)?, options.text(CALLER_AGENT)?.map(shown).as_deref()]
                        .map(|text| text.map(str::to_owned)),
                    false => [None, None],
                };
                let call = Call { request, procedure, payload, timeout_ms, progress, on_behalf_of };
                self.dealer.call(&mut self.sessions, peer, call, outputs);
            }
            Err(refusal) => outputs.push(refusal.answer(peer, codes::CALL, request)),
        }
        Ok(())
    }

    fn subscribe(
        &mut self,
        peer: PeerId,
        request: u64,
        options: &Dict,
        topic: String,
        outputs: &mut Vec<Output>,
    ) -> Result<(), Violation> {
        let matching = Options::new("SUBSCRIBE", options).matching()?;
        let max = self.config.limits.max_subscriptions;
        let checked = self.check(peer, Action::Subscribe, &topic, matching).and_then(|()| {
            self.check_limit(peer, "subscriptions", max, |session| session.subscriptions.len())
        });
        if let Err(refusal) = checked {
            outputs.push(refusal.answer(peer, codes::SUBSCRIBE, request));
        } else if let Some(session) = self.sessions.get_mut(peer) {
            let subscription = self.broker.subscribe(peer, session, matching, topic, &mut self.ids);
            outputs.push(Output::Send { to: peer, message: Message::Subscribed { request, subscription } });
        }
        Ok(())
    }

    fn unsubscribe(&mut self, peer: PeerId, request: u64, subscription: u64, outputs: &mut Vec<Output>) {
        let Some(session) = self.sessions.get_mut(peer) else { return };
        if session.subscriptions.remove(&subscription) {
            self.broker.unsubscribe(peer, subscription);
            let message = Message::Unsubscribed { request, details: Dict::new() };
            outputs.push(Output::Send { to: peer, message });
        } else {
            let (code, uri) = (codes::UNSUBSCRIBE, uris::NO_SUCH_SUBSCRIPTION);
            outputs.push(error(peer, code, request, uri, Payload::empty()));
        }
    }

    fn register(
        &mut self,
        peer: PeerId,
        request: u64,
        options: &Dict,
        procedure: &str,
        outputs: &mut Vec<Output>,
    ) -> Result<(), Violation> {
        let options = Options::new("REGISTER", options);
        let matching = options.matching()?;
        let invoke = options.text("invoke")?.unwrap_or("single");
        // From an earlier draft of the specification: the callee asks, where now the caller or the router decides.
        let disclose_caller = options.flag("disclose_caller", false)?;
        let max = self.config.limits.max_registrations;
        let checked = self
            .check(peer, Action::Register, procedure, matching)
            .and_then(|()| {
                self.check_limit(peer, "registrations", max, |session| session.registrations.len())
            })
            .and_then(|()| match invoke {
                "single" => Ok(()),
                shared => Err(Refusal {
                    error: uris::OPTION_NOT_ALLOWED,
                    text: format!("a procedure has one callee here; invoke=\"{shared}\" is not offered"),
                }),
            });
        if let Err(refusal) = checked {
            outputs.push(refusal.answer(peer, codes::REGISTER, request));
            return Ok(());
        }
        let Some(session) = self.sessions.get_mut(peer) else { return Ok(()) };
        match self.dealer.register(peer, session, matching, procedure, disclose_caller, &mut self.ids) {
            Some(registration) => {
                let message = Message::Registered { request, registration };
                outputs.push(Output::Send { to: peer, message });
            }
            None => {
                let text = format!("register for already registered procedure '{procedure}'");
                let refusal = Refusal { error: uris::PROCEDURE_ALREADY_EXISTS, text };
                outputs.push(refusal.answer(peer, codes::REGISTER, request));
            }
        }
        Ok(())
    }

    fn unregister(&mut self, peer: PeerId, request: u64, registration: u64, outputs: &mut Vec<Output>) {
        let Some(session) = self.sessions.get_mut(peer) else { return };
        if session.registrations.remove(&registration) {
            self.dealer.unregister(registration);
            let message = Message::Unregistered { request, details: Dict::new() };
            outputs.push(Output::Send { to: peer, message });
        } else {
            let (code, uri) = (codes::UNREGISTER, uris::NO_SUCH_REGISTRATION);
            outputs.push(error(peer, code, request, uri, Payload::empty()));
        }
    }
}
