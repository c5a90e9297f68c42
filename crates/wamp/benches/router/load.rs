//! The loads: calls, events, and agents that are just there.
#![expect(clippy::expect_used, reason = "a benchmark without its load measures nothing")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use campanile_wamp::Value;

use crate::peer::{Heard, RawPeer};
use crate::target::Target;

/// What Python agents and crossbar agree on.
const PROTOCOL: &str = "wamp.2.cbor.batched";
/// The arguments of calls and events have 200 bytes.
const BYTES: usize = 200;
const SUBSCRIBERS: usize = 10;
/// How long each load runs before it is measured, and while it is.
const WARM_UP: Duration = Duration::from_millis(700);
const MEASURED: Duration = Duration::from_secs(4);

/// CPU of the router per call: `callers` connections with `in_flight` calls each, and one callee.
pub(crate) fn calls(port: u16, target: &Target, callers: usize, in_flight: usize) -> f64 {
    let mut callee = RawPeer::join(port, PROTOCOL);
    callee.register("observatory.bench");
    // It ends with the router.
    thread::spawn(move || {
        while let Heard::Message(message) = callee.hear() {
            let Value::List(invocation) = message else { continue };
            // Callers that are gone at the end leave INTERRUPTs.
            if invocation[0] != Value::Int(68) {
                continue;
            }
            callee.send(&Value::List(vec![
                70.into(),
                invocation[1].clone(),
                say!({}),
                invocation[4].clone(),
            ]));
        }
    });
    let done = Arc::new(AtomicUsize::new(0));
    let stop = Arc::new(AtomicBool::new(false));
    let threads: Vec<JoinHandle<()>> = (0..callers)
        .map(|_| {
            let mut caller = RawPeer::join(port, PROTOCOL);
            let (done, stop) = (Arc::clone(&done), Arc::clone(&stop));
            thread::spawn(move || {
                let text = "x".repeat(BYTES);
                let mut request = 0;
                let mut call = |caller: &mut RawPeer| {
                    request += 1;
                    caller.send(&say!([48, request, {}, "observatory.bench", [text]]));
                };
                for _ in 0..in_flight {
                    call(&mut caller);
                }
                while !stop.load(Ordering::Relaxed) {
                    assert!(matches!(caller.hear(), Heard::Message(_)));
                    done.fetch_add(1, Ordering::Relaxed);
                    call(&mut caller);
                }
            })
        })
        .collect();
    let cost = per_unit(target, || done.load(Ordering::Relaxed));
    stop.store(true, Ordering::Relaxed);
    for thread in threads {
        thread.join().expect("callers do not panic");
    }
    cost
}

/// CPU of the router per event to all subscribers, at 1000 events per second.
pub(crate) fn paced_events(port: u16, target: &Target) -> f64 {
    const EVERY: Duration = Duration::from_millis(1);
    let mut next = Instant::now();
    events(port, target, move |_, _, _| {
        next += EVERY;
        thread::sleep(next.saturating_duration_since(Instant::now()));
    })
}

/// CPU of the router per event to all subscribers, as fast as the slowest of them gets them, 32 at most under way.
pub(crate) fn flooded_events(port: u16, target: &Target) -> f64 {
    const WINDOW: usize = 32;
    events(port, target, |sent, received, stop| {
        while sent - slowest(received) >= WINDOW && !stop.load(Ordering::Relaxed) {
            thread::park_timeout(Duration::from_millis(1));
        }
    })
}

fn slowest(received: &[AtomicUsize]) -> usize {
    received.iter().map(|count| count.load(Ordering::Relaxed)).min().unwrap_or_default()
}

/// Publishes until the measurement is over; `wait` decides when the next event goes out.
fn events(
    port: u16,
    target: &Target,
    mut wait: impl FnMut(usize, &[AtomicUsize], &AtomicBool) + Send + 'static,
) -> f64 {
    let received: Arc<Vec<AtomicUsize>> = Arc::new((0..SUBSCRIBERS).map(|_| AtomicUsize::new(0)).collect());
    let stop = Arc::new(AtomicBool::new(false));

    let mut subscribers: Vec<RawPeer> = (0..SUBSCRIBERS).map(|_| RawPeer::join(port, PROTOCOL)).collect();
    for subscriber in &mut subscribers {
        subscriber.send(&say!([32, 1, {"match": "wildcard"}, "observatory..feeds.bench"]));
        subscriber.id(33, 2);
    }
    let mut publisher = RawPeer::join(port, PROTOCOL);
    let publishing = {
        let (received, stop) = (Arc::clone(&received), Arc::clone(&stop));
        thread::spawn(move || {
            let event = say!([16, 1, {}, "observatory.agent.feeds.bench", ["x".repeat(BYTES)]]);
            let mut sent = 0;
            while !stop.load(Ordering::Relaxed) {
                wait(sent, &received, &stop);
                publisher.send(&event);
                sent += 1;
            }
            publisher
        })
    };
    let publisher_thread = publishing.thread().clone();
    let receiving: Vec<JoinHandle<()>> = subscribers
        .into_iter()
        .enumerate()
        .map(|(at, mut subscriber)| {
            let (received, publisher, stop) =
                (Arc::clone(&received), publisher_thread.clone(), Arc::clone(&stop));
            thread::spawn(move || {
                while let Heard::Message(_) = subscriber.hear() {
                    let count = received[at].fetch_add(1, Ordering::Relaxed) + 1;
                    if count % 8 == 0 {
                        publisher.unpark();
                    }
                    if stop.load(Ordering::Relaxed) {
                        return;
                    }
                }
            })
        })
        .collect();
    // What has arrived counts, not what was sent: a router that falls behind must not look cheap.
    let cost = per_unit(target, || slowest(&received));
    stop.store(true, Ordering::Relaxed);
    let mut publisher = publishing.join().expect("the publisher does not panic");
    // One more for those that wait for it.
    publisher.send(&say!([16, 1, {}, "observatory.agent.feeds.bench", ["last"]]));
    for thread in receiving {
        thread.join().expect("subscribers do not panic");
    }
    cost
}

/// Microseconds of the router's CPU for each of what `done` counts.
fn per_unit(target: &Target, done: impl Fn() -> usize) -> f64 {
    thread::sleep(WARM_UP);
    let (cpu, count) = (target.cpu(), done());
    thread::sleep(MEASURED);
    let (cpu, count) = (target.cpu() - cpu, done() - count);
    assert!(count > 0, "nothing was done");
    cpu.as_secs_f64() * 1e6 / count as f64
}

/// Memory of the router with 100 agents that have registered, subscribed and publish their heartbeats.
pub(crate) fn memory_with_agents(port: u16, target: &Target) -> f64 {
    const AGENTS: usize = 100;
    const HEARTBEATS: usize = 5;
    let mut agents: Vec<RawPeer> = (0..AGENTS)
        .map(|agent| {
            let mut peer = RawPeer::join(port, PROTOCOL);
            peer.register(&format!("observatory.agent{agent}.ops"));
            peer.register(&format!("observatory.agent{agent}"));
            peer
        })
        .collect();
    let mut registry = RawPeer::join(port, PROTOCOL);
    registry.send(&say!([32, 1, {"match": "wildcard"}, "observatory..feeds.heartbeat"]));
    registry.id(33, 2);
    for _ in 0..HEARTBEATS {
        for (number, agent) in agents.iter_mut().enumerate() {
            let topic = format!("observatory.agent{number}.feeds.heartbeat");
            agent.send(&say!([16, 1, {}, topic, [[{"acq": 3}, {"text": "x".repeat(BYTES)}]]]));
        }
        for _ in 0..AGENTS {
            registry.id(36, 1);
        }
        thread::sleep(Duration::from_millis(500));
    }
    target.rss_mib()
}
