//! Events as they happen.
//!
//! On the bus the feeds of all managers are one subscription. Each message says after which id it comes, so a gap is
//! noticed, whoever made it: a reader that is too slow, a manager that lost the bus. What was missed is asked for by the
//! last id that was seen; so it is after each time that the router was away. Without a router the managers of this
//! machine are asked by their control sockets, with calls that wait for the next event.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use campanile_control::journal::Event;
use campanile_ocs::agent::events::{EVENTS, FEED};
use campanile_ocs::client::{Endpoint, OcsClient};
use campanile_wamp::Match;
use campanile_wamp::net::client::{RegistrationState, State};
use campanile_wamp::{Dict, Value};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::mpsc;

use super::ask::{Managers, Wanted};
use crate::failure::{Failure, Outcome};
use crate::output;

/// Events that wait to be printed; a reader that is slower than that learns what it missed by asking.
const MAX_WAITING: usize = 4096;
/// How long the router has to accept us.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a call waits for the next event.
const WAIT_S: f64 = 10.0;
/// So long after a manager went away it is asked again.
const RETRY_EVERY: Duration = Duration::from_secs(1);

/// The last event that was seen of each manager.
pub(crate) type Seen = HashMap<String, u64>;

/// Gives events to `print` (the manager first) until that says that the reader has gone.
pub(crate) async fn follow(
    managers: &Managers,
    wanted: &Wanted,
    seen: Seen,
    mut print: impl FnMut(&str, &Event) -> std::io::Result<()>,
) -> Outcome {
    let hub = &managers.site().hub;
    let endpoint = Endpoint::Ws(hub.wamp_server.clone(), hub.wamp_realm.clone());
    match OcsClient::connect(endpoint, CONNECT_TIMEOUT).await {
        Ok(client) => on_bus(&client, managers, wanted, seen, &mut print).await,
        Err(error) => locally(managers, wanted, seen, &error.to_string(), &mut print).await,
    }
}

async fn on_bus(
    client: &OcsClient,
    managers: &Managers,
    wanted: &Wanted,
    mut seen: Seen,
    print: &mut impl FnMut(&str, &Event) -> std::io::Result<()>,
) -> Outcome {
    let Some(bus) = client.bus() else { return Ok(()) };
    let root = &managers.site().hub.address_root;
    let (prefix, suffix) = (format!("{root}."), format!(".feeds.{FEED}"));
    let (sender, mut live) = mpsc::channel::<(String, News)>(MAX_WAITING);
    let overflown = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&overflown);
    let handler = Arc::new(move |event: campanile_wamp::net::client::Event| {
        let manager = event.topic.strip_prefix(&prefix).and_then(|rest| rest.strip_suffix(&suffix));
        let message = event.args.first().map(Value::to_json).and_then(|args| args.get(0).cloned());
        if let (Some(manager), Some(Ok(news))) = (manager, message.map(serde_json::from_value)) {
            // What does not fit is asked for when there is room again.
            if sender.try_send((manager.to_owned(), news)).is_err() {
                flag.store(true, Ordering::Release);
            }
        }
    });
    let subscription = bus.subscribe(&format!("{root}..feeds.{FEED}"), Match::Wildcard, handler);
    let (mut joined, mut state) = (subscription.state(), bus.state());
    let ids = managers.ids();
    loop {
        // Once the subscription stands nothing more is missed; what was missed before is asked for.
        if joined.wait_for(|state| matches!(state, RegistrationState::Active { .. })).await.is_err() {
            return Ok(());
        }
        for id in &ids {
            // One that could not be asked before has nothing but news.
            if seen.contains_key(id) && catch_up(managers, wanted, id, &mut seen, print).await.is_err() {
                return Ok(());
            }
        }
        loop {
            if live.is_empty() && overflown.swap(false, Ordering::AcqRel) {
                // The last ones may be missing, and no successor would show it.
                break;
            }
            tokio::select! {
                Some((manager, news)) = live.recv() => {
                    if take(managers, wanted, &manager, &news, &mut seen, print).await.is_err() {
                        return Ok(());
                    }
                }
                lost = state.wait_for(|state| !matches!(state, State::Joined { .. })) => {
                    if lost.is_err() {
                        return Ok(());
                    }
                    output::print_error("note: the router is away; going on when it is back\n");
                    break;
                }
            }
        }
    }
}

/// A message of the feed.
#[derive(Debug, Deserialize)]
struct News {
    #[serde(flatten)]
    event: Event,
    /// See [`campanile_ocs::agent::events::AFTER`].
    after: Option<u64>,
}

/// Whether events are missing between what was seen of a manager and this.
fn is_gap(seen: Option<u64>, news: &News) -> bool {
    matches!((seen, news.after), (Some(seen), Some(after)) if seen < after)
}

/// Prints an event, and before it those that are missing before it.
async fn take(
    managers: &Managers,
    wanted: &Wanted,
    manager: &str,
    news: &News,
    seen: &mut Seen,
    print: &mut impl FnMut(&str, &Event) -> std::io::Result<()>,
) -> std::io::Result<()> {
    let event = &news.event;
    if is_gap(seen.get(manager).copied(), news) {
        catch_up(managers, wanted, manager, seen, print).await?;
    }
    if seen.get(manager).is_some_and(|id| event.id <= *id) {
        return Ok(());
    }
    seen.insert(manager.to_owned(), event.id);
    if wanted.matches(event) { print(manager, event) } else { Ok(()) }
}

/// Prints what a manager has noted since the last event of it that was seen.
async fn catch_up(
    managers: &Managers,
    wanted: &Wanted,
    id: &str,
    seen: &mut Seen,
    print: &mut impl FnMut(&str, &Event) -> std::io::Result<()>,
) -> std::io::Result<()> {
    let missed = Wanted { after: seen.get(id).copied(), since: None, last: None, ..wanted.clone() };
    match managers.events(id, &missed).await {
        Ok(found) => {
            for event in found.events {
                seen.insert(id.to_owned(), event.id);
                print(id, &event)?;
            }
        }
        Err(why) => output::print_error(&format!("note: what {id} did meanwhile is missing: {why}\n")),
    }
    Ok(())
}

/// Follows the managers of this machine, one call at a time for each.
async fn locally(
    managers: &Managers,
    wanted: &Wanted,
    seen: Seen,
    no_bus: &str,
    print: &mut impl FnMut(&str, &Event) -> std::io::Result<()>,
) -> Outcome {
    let (sender, mut found) = mpsc::channel(MAX_WAITING);
    let mut here = 0;
    for id in managers.ids() {
        if managers.local(&id).await.is_ok() {
            here += 1;
            let (managers, wanted, sender) = (managers.clone(), wanted.clone(), sender.clone());
            let after = seen.get(&id).copied().unwrap_or(0);
            tokio::spawn(async move { wait_for_events(&managers, &id, &wanted, after, &sender).await });
        }
    }
    drop(sender);
    if here == 0 {
        let text = format!("{no_bus}, and no manager of this site answers on this machine");
        return Err(Failure::World(anyhow::anyhow!(text)));
    }
    output::print_error("note: the router is away; these are the events of this machine alone\n");
    while let Some((manager, event)) = found.recv().await {
        if print(&manager, &event).is_err() {
            return Ok(());
        }
    }
    Ok(())
}

async fn wait_for_events(
    managers: &Managers,
    id: &str,
    wanted: &Wanted,
    mut after: u64,
    sender: &mpsc::Sender<(String, Event)>,
) {
    let procedure = format!("{}{EVENTS}", managers.site().address(id));
    loop {
        let question =
            json!({ "subject": wanted.subject, "kinds": wanted.kinds, "after": after, "wait": WAIT_S });
        let answer = match managers.local(id).await {
            Ok(client) => client.call(&procedure, vec![Value::from(question)], Dict::new()).await,
            Err(error) => Err(error),
        };
        let page = answer.ok().and_then(|answer| {
            serde_json::from_value::<campanile_control::journal::Page>(answer.to_json()).ok()
        });
        let Some(page) = page else {
            tokio::time::sleep(RETRY_EVERY).await;
            continue;
        };
        for event in page.events {
            after = event.id;
            if sender.send((id.to_owned(), event)).await.is_err() {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use campanile_ocs::agent::events::AFTER;

    use super::*;

    fn news(id: u64, after: Option<u64>) -> News {
        let message = json!({"id": id, "time_ms": 1, "subject": "a", "kind": "state", "text": "is up",
            AFTER: after});
        serde_json::from_value(message).unwrap()
    }

    #[test]
    fn a_gap_is_noticed_by_the_id_that_a_message_comes_after() {
        assert!(!is_gap(None, &news(9, Some(8))), "of one that was never seen everything is news");
        assert!(!is_gap(Some(5), &news(9, Some(5))));
        assert!(is_gap(Some(5), &news(9, Some(6))));
        assert!(is_gap(Some(5), &news(9, Some(8))), "a manager that began anew, or left some out");
        assert!(!is_gap(Some(9), &news(9, Some(6))), "it was asked for already");
        assert!(!is_gap(Some(5), &news(9, None)), "an older manager does not say");
        assert_eq!(news(9, Some(6)).event.id, 9);
    }
}
