//! The router on real sockets: peers that are slow, dead, silent, hostile or many.
#![expect(clippy::unwrap_used, reason = "helpers of tests, too")]

#[macro_use]
mod peer;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::{Duration, Instant};

use campanile_testkit::{http_request, wait_until};
use campanile_wamp::net::server::{ConnectionLimits, RouterConfig};
use campanile_wamp::{Limits, Value};
use peer::{Heard, REALM, RawPeer, TIMEOUT, TestRouter, open};
use tokio_tungstenite::tungstenite::Message;

const JSON: &str = "wamp.2.json";
const CBOR: &str = "wamp.2.cbor.batched";

fn with_limits(change: impl FnOnce(&mut ConnectionLimits)) -> TestRouter {
    let mut config = RouterConfig::for_ocs(REALM, "observatory");
    change(&mut config.connection_limits);
    TestRouter::with(config)
}

fn sessions(router: &TestRouter) -> usize {
    router.router.stats().sessions - 1 // that of the HTTP bridge
}

/// An event with a counter and some bytes.
fn event(topic: &str, number: usize, bulk: &str) -> Value {
    say!([16, number, {}, topic, [number, bulk]])
}

fn number_of(event: &Value) -> usize {
    let args = &event.as_list().unwrap()[4];
    usize::try_from(args.as_list().unwrap()[0].as_u64().unwrap()).unwrap()
}

#[test]
fn a_slow_subscriber_never_delays_another_and_is_cut_at_its_limit() {
    const EVENTS: usize = 3000;
    let router = with_limits(|limits| {
        limits.max_queued_bytes = 4 << 20;
        // No ping wakes a task that nothing else wakes.
        limits.ping_interval = Duration::from_secs(3600);
    });
    let mut slow = RawPeer::join(router.port, CBOR);
    slow.subscribe("observatory.t");
    let mut quick = RawPeer::join(router.port, CBOR);
    quick.subscribe("observatory.t");
    let mut publisher = RawPeer::join(router.port, CBOR);
    assert_eq!(sessions(&router), 3);

    // 48 MB, far more than the slow one's socket and queue hold.
    let bulk = "x".repeat(16 << 10);
    let reader = std::thread::spawn(move || {
        for number in 0..EVENTS {
            assert_eq!(number_of(&quick.message()), number, "all of them, in order");
        }
    });
    for number in 0..EVENTS {
        publisher.send(&event("observatory.t", number, &bulk));
    }
    reader.join().unwrap();
    wait_until(TIMEOUT, "the slow one is gone", || sessions(&router) == 1);
    // It may still read what its socket had taken; then there is an end.
    let mut heard = 0;
    while let Heard::Message(_) = slow.hear() {
        heard += 1;
    }
    assert!(heard < EVENTS, "it was cut");
    assert_eq!(publisher.heard_so_far(), []);
}

#[test]
fn a_dead_peer_is_noticed_by_its_silence_and_what_it_held_is_free() {
    let router = with_limits(|limits| {
        limits.ping_interval = Duration::from_millis(100);
        limits.ping_timeout = Duration::from_millis(2000);
    });
    let mut dead = RawPeer::join(router.port, CBOR);
    dead.register("observatory.dead");
    let mut caller = RawPeer::join(router.port, CBOR);
    caller.send(&say!([48, 1, {}, "observatory.dead"]));
    // The dead one reads nothing, and so answers no ping; the caller does while it waits.
    let answer = caller.message();
    assert_eq!(answer.as_list().unwrap()[4], Value::from("wamp.error.canceled"));
    caller.register("observatory.dead");
    assert_eq!(sessions(&router), 1);
}

#[test]
fn a_peer_that_answers_pings_stays_although_it_says_nothing() {
    let router = with_limits(|limits| {
        limits.ping_interval = Duration::from_millis(100);
        limits.ping_timeout = Duration::from_millis(1500);
    });
    let mut peer = RawPeer::join(router.port, JSON);
    let mut payloads = Vec::new();
    while payloads.len() < 3 {
        match peer.hear_websocket().unwrap() {
            Message::Ping(payload) => payloads.push(payload),
            other => panic!("{other:?}"),
        }
    }
    assert!(payloads.iter().all(|payload| payload.len() == 12) && payloads[0] != payloads[1]);
    assert_eq!(sessions(&router), 1);
}

#[test]
fn a_peer_that_speaks_is_not_pinged_before_it_has_been_silent() {
    const SILENCE: Duration = Duration::from_secs(3);
    let router = with_limits(|limits| limits.ping_interval = SILENCE);
    let mut peer = RawPeer::join(router.port, JSON);
    let mut spoke = Instant::now();
    for number in 0..20 {
        std::thread::sleep(SILENCE / 10);
        peer.send(&event("observatory.t", number, ""));
        assert!(spoke.elapsed() < SILENCE, "this machine stalls for longer than the test allows");
        spoke = Instant::now();
    }
    let heard = peer.hear_websocket().unwrap();
    assert!(matches!(heard, Message::Ping(_)) && spoke.elapsed() >= SILENCE * 9 / 10, "{heard:?}");
}

#[test]
fn a_ping_of_the_peer_is_answered_with_its_payload() {
    let router = TestRouter::start();
    let mut peer = RawPeer::join(router.port, JSON);
    peer.send_websocket(Message::Ping("twelve bytes".into()));
    assert_eq!(peer.hear_websocket().unwrap(), Message::Pong("twelve bytes".into()));
}

#[test]
fn who_never_says_hello_or_sends_half_a_request_is_closed() {
    let router = with_limits(|limits| {
        limits.handshake_timeout = Duration::from_millis(200);
        limits.http_idle_timeout = Duration::from_millis(300);
    });
    let mut silent = RawPeer::connect(router.port, JSON);
    assert_eq!(silent.hear(), Heard::Closed(Some(1002)));

    let mut left = RawPeer::join(router.port, JSON);
    left.send(&say!([6, {}, "wamp.close.normal"]));
    assert_eq!(left.message(), say!([6, {}, "wamp.close.normal"]));
    assert_eq!(left.hear(), Heard::Closed(Some(1002)), "after GOODBYE as before HELLO");

    for half in
        ["", "GET /info HTTP/1.1\r\nHost: x", "POST /call HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{"]
    {
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, router.port)).unwrap();
        stream.set_read_timeout(Some(TIMEOUT)).unwrap();
        stream.write_all(half.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
    }
}

#[test]
fn garbage_costs_only_the_connection_it_came_on() {
    let router = TestRouter::start();
    let mut good = RawPeer::join(router.port, JSON);
    good.subscribe("observatory.t");
    let mut random = fastrand::Rng::with_seed(2);
    let mut garbage = |len: usize| -> Vec<u8> { (0..len).map(|_| random.u8(..)).collect() };

    for round in 0..60 {
        let len = round * 37 % 2000;
        // Instead of HTTP, instead of a frame, and inside of one, before and after HELLO.
        let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, router.port)).unwrap();
        let _ = stream.write_all(&garbage(len));
        for joined in [false, true] {
            let new = if joined { RawPeer::join } else { RawPeer::connect };
            let mut peer = new(router.port, CBOR);
            let _ = peer.send_bytes(&garbage(len));
            let mut peer = new(router.port, "wamp.2.msgpack");
            peer.send_frame(garbage(len + 1));
            assert!(matches!(peer.hear(), Heard::Closed(Some(1002))));
        }
    }
    let mut other = RawPeer::join(router.port, CBOR);
    other.send(&event("observatory.t", 1, ""));
    assert_eq!(number_of(&good.message()), 1);
    drop(other);
    wait_until(TIMEOUT, "only the good one is left", || sessions(&router) == 1);
}

#[test]
fn what_a_frame_must_not_be_is_told_by_the_close_code() {
    let mut config = RouterConfig::for_ocs(REALM, "observatory");
    config.message_limits = Limits { max_message_bytes: 100_000, ..Limits::default() };
    let router = TestRouter::with(config);
    let closed = |message: Message, name: &str| {
        let mut peer = RawPeer::join(router.port, name);
        peer.send_websocket(message);
        peer.hear()
    };
    let large = "x".repeat(100_001);
    assert_eq!(closed(Message::text(large), JSON), Heard::Closed(Some(1009)));
    assert_eq!(closed(Message::binary("[]"), JSON), Heard::Closed(Some(1002)));
    assert_eq!(closed(Message::text("[]"), CBOR), Heard::Closed(Some(1002)));
    assert_eq!(closed(Message::text("nonsense"), JSON), Heard::Closed(Some(1002)));

    // One that is allowed, in many pieces with a ping between them.
    let mut peer = RawPeer::join(router.port, JSON);
    let id = peer.subscribe("observatory.t");
    let whole = format!("[16,1,{{\"exclude_me\":false}},\"observatory.t\",[\"{}\"]]", "y".repeat(90_000));
    let pieces: Vec<&[u8]> = whole.as_bytes().chunks(9_000).collect();
    for (at, piece) in pieces.iter().enumerate() {
        let (first, last) = (at == 0, at + 1 == pieces.len());
        peer.send_bytes(&masked(if first { 1 } else { 0 }, last, piece)).unwrap();
        peer.send_bytes(&masked(9, true, b"still here?")).unwrap();
    }
    let event = peer.message();
    assert_eq!(event.as_list().unwrap()[1], Value::from(id));
    assert_eq!(event.as_list().unwrap()[4].as_list().unwrap()[0].as_str().map(str::len), Some(90_000));
}

/// A client's frame, with a mask of zeros.
fn masked(opcode: u8, last: bool, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![if last { 0x80 } else { 0 } | opcode];
    match u16::try_from(payload.len()).unwrap() {
        len @ 0..=125 => frame.push(0x80 | len as u8),
        len => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&len.to_be_bytes());
        }
    }
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(payload);
    frame
}

#[test]
fn a_handshake_without_a_known_subprotocol_is_refused() {
    let router = TestRouter::start();
    assert_eq!(open(router.port, None).err(), Some(400));
    assert_eq!(open(router.port, Some("mqtt")).err(), Some(400));
    let (status, ..) = http_request(router.port, "GET", "/ws", &[], b"").unwrap();
    assert_eq!(status, 426);
    let upgrade = [("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Protocol", JSON)];
    let (status, ..) = http_request(router.port, "GET", "/ws", &upgrade, b"").unwrap();
    assert_eq!(status, 400, "no key and no version");
}

#[test]
fn who_makes_requests_without_reading_the_answers_waits_for_itself() {
    const CALLS: usize = 20_000;
    let router = with_limits(|limits| limits.max_queued_bytes = 4 << 20);
    let mut peer = RawPeer::join(router.port, "wamp.2.cbor");
    let mut other = RawPeer::join(router.port, CBOR);
    // Refusals of about 700 bytes: more than its queue may hold. None is read before all have been asked for, or until
    // nothing more can be asked for.
    let name = format!("observatory.{}", "x".repeat(600));
    let mut requests = Vec::new();
    for call in 0..CALLS {
        requests.extend(masked(2, true, &peer.encode(&say!([48, call, {}, name]))));
    }
    let mut stream = peer.tcp().try_clone().unwrap();
    let writer = std::thread::spawn(move || stream.write_all(&requests));
    // The other one is served as ever.
    other.subscribe("observatory.t");
    for call in 0..CALLS {
        assert_eq!(peer.id(8, 2), call as u64);
    }
    writer.join().unwrap().unwrap();
    assert_eq!(sessions(&router), 2);
}

/// The router is made for one thread, and must be right on several.
#[test]
fn on_several_threads_every_event_arrives_in_its_publishers_order() {
    const EVENTS: usize = 2000;
    const PUBLISHERS: usize = 3;
    let mut config = RouterConfig::for_ocs(REALM, "observatory");
    config.connection_limits.ping_interval = Duration::from_secs(3600);
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    runtime.worker_threads(4);
    let router = TestRouter::on(runtime, config);
    let readers: Vec<_> = (0..3)
        .map(|_| {
            let mut peer = RawPeer::join(router.port, CBOR);
            peer.subscribe("observatory.t");
            std::thread::spawn(move || {
                let mut next = [0; PUBLISHERS];
                for _ in 0..EVENTS * PUBLISHERS {
                    let event = peer.message();
                    let publisher: usize = event.as_list().unwrap()[4].as_list().unwrap()[1]
                        .as_str()
                        .unwrap()
                        .trim()
                        .parse()
                        .unwrap();
                    assert_eq!(number_of(&event), next[publisher]);
                    next[publisher] += 1;
                }
            })
        })
        .collect();
    let writers: Vec<_> = (0..PUBLISHERS)
        .map(|publisher| {
            let mut peer = RawPeer::join(router.port, CBOR);
            // Large ones, so that sockets are full now and then.
            let bulk = format!("{publisher:>3000}");
            std::thread::spawn(move || {
                for number in 0..EVENTS {
                    peer.send(&event("observatory.t", number, &bulk));
                }
                assert_eq!(peer.heard_so_far(), []);
            })
        })
        .collect();
    for thread in writers.into_iter().chain(readers) {
        thread.join().unwrap();
    }
}

#[test]
fn a_thousand_sessions_come_and_go() {
    let router = TestRouter::start();
    let mut publisher = RawPeer::join(router.port, CBOR);
    let mut peers: Vec<RawPeer> = (0..1000)
        .map(|number| {
            let mut peer = RawPeer::join(router.port, CBOR);
            peer.register(&format!("observatory.agent{number}"));
            peer.send(&say!([32, 2, {"match": "wildcard"}, "observatory..feeds"]));
            peer.id(33, 2);
            peer
        })
        .collect();
    assert_eq!(sessions(&router), 1001);
    publisher.send(&event("observatory.agent1.feeds", 1, ""));
    for peer in &mut peers {
        assert_eq!(number_of(&peer.message()), 1);
    }
    drop(peers);
    wait_until(TIMEOUT, "all are gone", || sessions(&router) == 1);
    let stats = router.router.stats();
    assert_eq!((stats.subscriptions, stats.registrations, stats.pending_calls), (0, 0, 0));
    assert_eq!(publisher.heard_so_far(), []);
}

#[test]
fn a_call_over_http_ends_with_its_client() {
    let router = TestRouter::start();
    let mut callee = RawPeer::join(router.port, CBOR);
    callee.register("observatory.slow");
    let body = r#"{"procedure":"observatory.slow","args":["wait"]}"#;
    let request = format!("POST /call HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let mut client = TcpStream::connect((Ipv4Addr::LOCALHOST, router.port)).unwrap();
    client.write_all(request.as_bytes()).unwrap();
    let invocation = callee.id(68, 1);
    assert_eq!(router.router.stats().pending_calls, 1);
    drop(client);
    assert_eq!(callee.message(), say!([69, invocation, {"mode": "killnowait"}]));
    assert_eq!(router.router.stats().pending_calls, 0);
}

#[test]
fn one_connection_serves_many_calls_over_http() {
    let router = TestRouter::start();
    let mut client = TcpStream::connect((Ipv4Addr::LOCALHOST, router.port)).unwrap();
    client.set_read_timeout(Some(TIMEOUT)).unwrap();
    for _ in 0..3 {
        let body = r#"{"procedure":"observatory.none"}"#;
        let request =
            format!("POST /call HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        client.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        while !answer.ends_with("}}") {
            let mut buffer = [0; 2048];
            let count = client.read(&mut buffer).unwrap();
            assert_ne!(count, 0, "{answer}");
            answer.push_str(std::str::from_utf8(&buffer[..count]).unwrap());
        }
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("no_such_procedure"), "{answer}");
    }
}

#[test]
fn one_connection_too_many_is_told_so() {
    let router = with_limits(|limits| limits.max_connections = 2);
    let first = RawPeer::join(router.port, JSON);
    let _second = RawPeer::join(router.port, JSON);
    let mut refused = TcpStream::connect((Ipv4Addr::LOCALHOST, router.port)).unwrap();
    refused.set_read_timeout(Some(TIMEOUT)).unwrap();
    let mut answer = String::new();
    refused.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    drop(first);
    wait_until(TIMEOUT, "there is room again", || {
        matches!(http_request(router.port, "GET", "/info", &[], b""), Ok((200, ..)))
    });
}

#[test]
fn a_shutdown_says_goodbye_and_does_not_wait_for_ever() {
    let mut router = with_limits(|limits| limits.shutdown_grace = Duration::from_millis(300));
    let mut polite = RawPeer::join(router.port, CBOR);
    let mut deaf = RawPeer::join(router.port, CBOR);
    deaf.register("observatory.deaf");
    let port = router.port;
    let http = std::thread::spawn(move || {
        let body = br#"{"procedure":"observatory.deaf"}"#;
        http_request(port, "POST", "/call", &[], body).unwrap()
    });
    deaf.id(68, 1);

    let started = Instant::now();
    router.shut_down();
    let goodbye = polite.message();
    assert_eq!(goodbye.as_list().unwrap()[2], Value::from("wamp.close.system_shutdown"));
    polite.send(&say!([6, {}, "wamp.close.goodbye_and_out"]));
    assert_eq!(polite.hear(), Heard::Closed(Some(1000)));
    router.ended().unwrap();
    assert!(started.elapsed() < TIMEOUT);
    assert!(matches!(deaf.hear(), Heard::Message(_)), "GOODBYE");
    assert_eq!(deaf.hear(), Heard::Closed(Some(1001)));
    let (status, _, body) = http.join().unwrap();
    assert_eq!(status, 200);
    assert!(String::from_utf8(body).unwrap().contains("wamp.error.canceled"));
}

#[test]
fn info_tells_what_is_in_the_router() {
    let router = TestRouter::start();
    let mut peer = RawPeer::join(router.port, JSON);
    peer.register("observatory.a");
    let (status, head, body) = http_request(router.port, "GET", "/info", &[], b"").unwrap();
    assert_eq!(status, 200);
    assert!(head.to_lowercase().contains("content-type: application/json"), "{head}");
    let info: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(
        (&info["sessions"], &info["registrations"], &info["realm"]),
        (&1.into(), &1.into(), &REALM.into())
    );
}
