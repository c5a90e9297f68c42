//! What a daemon is given once in its life: services, ports, listeners for advertisements, advertisers.

use campanile_ldms::api::Call as _;
use campanile_ldms::api::advertise::{AdvertiserDel, AdvertiserStop};
use campanile_ldms::api::daemon::{Listen, MsgEnable, StreamEnable};
use campanile_ldms::wire::errno;

use super::{Draft, Step, Why};
use crate::model::Object;
use crate::seen::State;

/// Streams and messages. The daemon does not say whether they are on.
pub(super) fn services(draft: &mut Draft<'_>) {
    let daemon = draft.situation.daemon;
    let mut once = |wanted: bool, key: &str, request| {
        if wanted && draft.marked(key).is_none() {
            let mark = Some((key.to_owned(), 1));
            draft.push(Step { request, tolerates: &[], mark, why: Why::Missing });
        }
    };
    once(daemon.msg_enable, "messages", MsgEnable {}.request());
    once(daemon.stream_enable, "streams", StreamEnable {}.request());
}

/// Further ports. The daemon does not say which it has; a port it has already is refused, which is well.
pub(super) fn listens(draft: &mut Draft<'_>) {
    for listen in &draft.situation.daemon.listens {
        let key = format!("listen {}", listen.port);
        if draft.marked(&key).is_some() {
            continue;
        }
        draft.domain(listen.domain.as_ref());
        let request = Listen {
            xprt: listen.xprt.clone(),
            port: listen.port,
            host: listen.host.clone(),
            auth: listen.domain.as_ref().map(|domain| domain.name.to_string()),
        }
        .request();
        draft.push(Step {
            request,
            tolerates: &[errno::EEXIST, errno::ENOEXEC, errno::EADDRINUSE],
            mark: Some((key, 1)),
            why: Why::Missing,
        });
    }
}

/// Listeners of an aggregator, advertisers of a sampler.
pub(super) fn advertising(draft: &mut Draft<'_>) {
    let seen = draft.seen();
    for duty in draft.situation.duties {
        for listener in &duty.group.listeners {
            draft.domain(listener.domain.as_ref());
            match seen.listeners.get(&*listener.name) {
                None => give(draft, listener, true),
                Some(false) => give(draft, listener, false),
                Some(true) => {}
            }
        }
    }
    for advertiser in &draft.situation.daemon.advertisers {
        match seen.strangers.get(&*advertiser.name) {
            None | Some(State::Absent) => {
                draft.domain(advertiser.domain.as_ref());
                give(draft, advertiser, true);
            }
            Some(State::Stopped) => give(draft, advertiser, false),
            Some(State::Stopping) => draft.recheck_soon(),
            Some(State::Trying | State::Connected | State::Standby) => {}
        }
    }
    for name in &draft.situation.memory.retired.advertisers {
        let name = name.clone();
        match seen.strangers.get(&name) {
            None | Some(State::Absent) => {}
            Some(State::Stopped) => {
                draft.step(AdvertiserDel { name }.request(), &[errno::ENOENT], Why::Gone);
            }
            Some(State::Stopping) => draft.recheck_soon(),
            Some(_) => {
                draft.step(AdvertiserStop { name }.request(), &[errno::EBUSY, errno::ENOENT], Why::Gone);
                draft.recheck_soon();
            }
        }
    }
}

fn give(draft: &mut Draft<'_>, object: &Object, add: bool) {
    if add && !draft.step(object.add.clone(), &[errno::EEXIST], Why::Missing) {
        return;
    }
    let why = if add { Why::Missing } else { Why::NotRunning };
    draft.step(object.start.clone(), &[errno::EBUSY], why);
}
