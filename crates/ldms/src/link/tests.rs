//! Two links talk to each other; the bytes between them are cut anywhere.

use proptest::prelude::*;

use super::*;
use crate::auth::Secret;

fn handshake(auth: Auth, rail: bool) -> Handshake {
    let rail = rail.then(|| Rail::single(77, 1));
    Handshake { auth, rail, challenge: 99, local: None, peer: None }
}

/// Carries everything between the two until neither has more to say, in pieces of `cut` bytes.
fn run(a: &mut Link, b: &mut Link, cut: usize) -> (Vec<Event>, Vec<Event>) {
    let (mut from_a, mut from_b) = (Vec::new(), Vec::new());
    loop {
        let (to_b, to_a) = (a.take_output(), b.take_output());
        if to_a.is_empty() && to_b.is_empty() {
            return (from_a, from_b);
        }
        for (link, bytes, events) in [(&mut *b, to_b, &mut from_b), (&mut *a, to_a, &mut from_a)] {
            for piece in bytes.chunks(cut) {
                link.feed(piece);
                while let Ok(Some(event)) = link.poll() {
                    if matches!(event, Event::Requested(_)) {
                        link.accept();
                    }
                    events.push(event);
                }
            }
        }
    }
}

fn open(auth: &Auth, rail: bool, cut: usize) -> (Link, Link) {
    let mut client = Link::connect(handshake(auth.clone(), rail));
    let mut server = Link::listen(handshake(auth.clone(), false));
    let (events, _) = run(&mut client, &mut server, cut);
    assert!(matches!(events.last(), Some(Event::Open(_))), "{events:?}");
    assert!(client.is_open() && server.is_open());
    (client, server)
}

fn ovis(word: &str) -> Auth {
    Auth::Ovis(Secret(word.into()))
}

proptest! {
    #[test]
    fn a_connection_opens_and_carries_messages_wherever_the_bytes_are_cut(
        cut in 1_usize..120, rail in any::<bool>(), plugin in 0_usize..3, text in "[a-z]{0,80}"
    ) {
        let auth = [Auth::None, Auth::Naive { uid: 1, gid: 2 }, ovis("secret word")][plugin].clone();
        let (mut client, mut server) = open(&auth, rail, cut);
        let request = Message::Send { xid: 0, data: text.clone().into() };
        let lookup = Message::Lookup { xid: 8, flags: 0, path: text };
        client.send(&request);
        client.send(&lookup);
        server.send(&request);
        let (to_client, to_server) = run(&mut client, &mut server, cut);
        prop_assert_eq!(to_server, vec![Event::Message(request.clone()), Event::Message(lookup)]);
        prop_assert_eq!(to_client, vec![Event::Message(request)]);
    }

    #[test]
    fn no_bytes_make_a_link_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..400), open_first in any::<bool>(), secret in any::<bool>()
    ) {
        let auth = if secret { ovis("secret word") } else { Auth::None };
        let mut link = if open_first { open(&auth, false, 64).0 } else { Link::listen(handshake(auth, false)) };
        link.feed(&bytes);
        while let Ok(Some(event)) = link.poll() {
            if matches!(event, Event::Requested(_)) {
                link.accept();
            }
        }
    }
}

#[test]
fn the_answer_has_the_form_of_the_question() {
    for rail in [false, true] {
        let mut client = Link::connect(handshake(Auth::None, rail));
        let mut server = Link::listen(handshake(Auth::None, false));
        server.feed(&client.take_output());
        let Ok(Some(Event::Requested(message))) = server.poll() else { panic!("no request") };
        assert_eq!(message.rail.is_some(), rail);
        assert_eq!(message.auth, "none");
        server.accept();
        // header, length, message
        assert_eq!(server.take_output().len(), 20 + 4 + if rail { 64 } else { 20 });
    }
}

#[test]
fn a_refusal_tells_its_reason_and_every_later_question_says_it_again() {
    let mut client = Link::connect(handshake(Auth::None, false));
    let mut server = Link::listen(handshake(Auth::None, false));
    server.feed(&client.take_output());
    server.poll().unwrap();
    server.reject("Auth mismatch");
    client.feed(&server.take_output());
    let refused = Err(LinkError::Rejected("Auth mismatch".into()));
    assert_eq!(client.poll(), refused);
    assert_eq!(client.poll(), refused);
    assert!(server.poll().is_err());
}

#[test]
fn other_versions_are_refused_by_name() {
    let data = ConnectMessage { version: [4, 1, 0, 0], auth: "none".into(), rail: None }.encode();
    let mut answer = BytesMut::new();
    frame::encode(&Frame { xid: 1, ctxt: 0, body: Body::Accepted(data.clone()) }, &mut answer).unwrap();
    let mut client = Link::connect(handshake(Auth::None, false));
    client.feed(&answer);
    let error = client.poll().unwrap_err();
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert_eq!(source, "peer speaks ldms protocol 4.1.0.0, this program 4.2.0.0");

    let mut question = BytesMut::new();
    let body = Body::Connect { version: [1, 2, 0, 0], data };
    frame::encode(&Frame { xid: 1, ctxt: 0, body }, &mut question).unwrap();
    let mut server = Link::listen(handshake(Auth::None, false));
    server.feed(&question);
    assert_eq!(server.poll(), Err(LinkError::Wire(WireError::ZapVersion([1, 2, 0, 0]))));
}

#[test]
fn nothing_is_taken_before_the_handshake_and_the_authentication_are_over() {
    let send = Frame { xid: 1, ctxt: 0, body: Body::SendRecv(Message::Dir { xid: 1, flags: 0 }.encode()) };
    let mut bytes = BytesMut::new();
    frame::encode(&send, &mut bytes).unwrap();
    let mut server = Link::listen(handshake(Auth::None, false));
    server.feed(&bytes);
    assert!(matches!(server.poll(), Err(LinkError::Wire(WireError::Unexpected { .. }))));

    let mut client = Link::connect(handshake(ovis("secret word"), false));
    let mut server = Link::listen(handshake(ovis("secret word"), false));
    server.feed(&client.take_output());
    server.poll().unwrap();
    server.accept();
    client.feed(&server.take_output());
    client.poll().unwrap();
    client.send(&Message::Dir { xid: 1, flags: 0 });
    server.feed(&client.take_output());
    assert_eq!(server.poll(), Ok(None), "what is sent too early stays at home");
    server.feed(&bytes);
    assert!(matches!(server.poll(), Err(LinkError::Wire(WireError::Unexpected { .. }))));
}

#[test]
fn different_secrets_close_the_connection() {
    let mut client = Link::connect(handshake(ovis("secret word"), false));
    let mut server = Link::listen(handshake(ovis("another word"), false));
    run(&mut client, &mut server, 1000);
    assert!(matches!(client.poll(), Err(LinkError::Auth(_))));
    assert!(matches!(server.poll(), Err(LinkError::Auth(_))));
}

#[test]
fn memory_is_offered_and_read() {
    let (mut client, mut server) = open(&Auth::None, true, 1000);
    let offer = Rendezvous::Push { lookup_set_id: 1, push_set_id: 2, flags: 3 };
    server.offer(5, 0x1000, 64, &offer);
    let (events, _) = run(&mut client, &mut server, 7);
    assert_eq!(events, [Event::Rendezvous { key: 5, addr: 0x1000, len: 64, offer }]);
    client.read(42, 5, 0x1010, 8);
    let (_, events) = run(&mut client, &mut server, 7);
    let [Event::Read { token, key: 5, addr: 0x1010, len: 8 }] = events[..] else { panic!("{events:?}") };
    server.read_response(token, 0, Bytes::from_static(b"contents"));
    let (events, _) = run(&mut client, &mut server, 7);
    assert_eq!(events, [Event::ReadDone { ctxt: 42, status: 0, data: Bytes::from_static(b"contents") }]);
}

#[test]
fn credentials_are_asked_of_the_owner() {
    let munge = Auth::Munge { socket: None };
    let mut client = Link::connect(handshake(munge.clone(), false));
    let mut server = Link::listen(handshake(munge, false));
    let (a, b) = run(&mut client, &mut server, 1000);
    assert!(matches!(a[..], [Event::EncodeCredential(_)]));
    assert!(matches!(b[..], [Event::Requested(_), Event::EncodeCredential(_)]));
    client.encoded(Ok("MUNGE:c:".into()));
    server.encoded(Ok("MUNGE:s:".into()));
    let (a, b) = run(&mut client, &mut server, 1000);
    assert!(matches!(&a[..], [Event::DecodeCredential(text)] if &text[..] == b"MUNGE:s:\0"));
    assert!(matches!(b[..], [Event::DecodeCredential(_)]));
    let peer = Peer { uid: 5, gid: 6 };
    client.decoded(Ok(Decoded { peer, payload: None }));
    assert_eq!(client.poll(), Ok(Some(Event::Open(peer))));
    // The client is content and sends; the server looks at it only once it knows what munged says.
    client.send(&Message::Dir { xid: 1, flags: 0 });
    server.feed(&client.take_output());
    assert_eq!(server.poll(), Ok(None));
    server.decoded(Err("expired".into()));
    assert_eq!(server.poll(), Err(LinkError::Auth("expired".into())));
}

#[test]
fn a_link_at_rest_holds_no_memory_and_loses_nothing_by_it() {
    let mut client = Link::connect(handshake(Auth::None, false));
    let mut server = Link::listen(handshake(Auth::None, false));
    server.feed(&client.take_output());
    server.poll().unwrap();
    server.accept();
    let answer = server.take_output();
    let (begin, end) = answer.split_at(answer.len() / 2);
    client.feed(begin);
    assert_eq!(client.poll(), Ok(None));
    client.rest();
    assert_eq!(client.buffer(), begin, "half a frame waits for its other half");
    client.feed(end);
    client.send(&Message::Dir { xid: 1, flags: 0 });
    while client.poll().unwrap().is_some() {}
    client.rest();
    assert!(client.is_open() && client.has_output(), "what is to be sent waits for the socket");
    assert_eq!(client.buffer().capacity(), 0);
    drop(client.take_output());
    client.rest();
    assert_eq!((client.input.capacity(), client.output.capacity()), (0, 0));
}
