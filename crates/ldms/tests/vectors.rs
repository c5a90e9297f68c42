//! Bytes that this client, and a simulated aggregator, have exchanged with a real ldmsd 4.5.1 (recorded by
//! `client.rs` on a real daemon with `CAMPANILE_RECORD=1`): the codecs must read every byte and write it back the same.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

use std::path::Path;

use bytes::BytesMut;
use campanile_ldms::api::Request;
use campanile_ldms::auth::Auth;
use campanile_ldms::limits;
use campanile_ldms::link::{Event, Handshake, Link};
use campanile_ldms::wire::connect::ConnectMessage;
use campanile_ldms::wire::dir;
use campanile_ldms::wire::frame::{self, Body};
use campanile_ldms::wire::ids::RequestId;
use campanile_ldms::wire::lookup::Rendezvous;
use campanile_ldms::wire::record::{Assembler, Message as Record};
use campanile_ldms::wire::set::{Meta, Sample};
use campanile_ldms::wire::xprt::{DirKind, Message};

/// What was said: by the side that connected (`true`) or the daemon, in order.
fn conversation(name: &str) -> Vec<(bool, Vec<u8>)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/real").join(name);
    let text = std::fs::read_to_string(path).unwrap();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| (line.starts_with('>'), line.as_bytes()[2..].chunks(2).map(byte).collect())).collect()
}

fn side(conversation: &[(bool, Vec<u8>)], caller: bool) -> BytesMut {
    conversation.iter().filter(|(who, _)| *who == caller).flat_map(|(_, bytes)| bytes.clone()).collect()
}

/// Reads one side, writes everything back, and counts what there was of each kind.
fn read_and_write_back(bytes: &BytesMut) -> Vec<&'static str> {
    let mut rest = bytes.clone();
    let mut written = BytesMut::new();
    let mut kinds = Vec::new();
    let mut assembler = Assembler::default();
    while let Some(frame) = frame::decode(&mut rest).unwrap() {
        frame::encode(&frame, &mut written).unwrap();
        kinds.push(frame.body.name());
        match &frame.body {
            Body::Connect { data, .. } | Body::Accepted(data) => {
                assert_eq!(ConnectMessage::decode(data).unwrap().encode(), data);
            }
            Body::Rendezvous { message, .. } => {
                // The daemon pads names and leaves what happened to lie behind them; the meaning is the same.
                let offer = Rendezvous::decode(message).unwrap();
                assert_eq!(Rendezvous::decode(&offer.encode()).unwrap(), offer);
            }
            Body::SendRecv(data) => {
                let message = Message::decode(data).unwrap();
                assert_eq!(message.encode(), data);
                match message {
                    Message::Send { data, .. } => {
                        if let Some(record) = assembler.feed(&data).unwrap() {
                            assert_eq!(record.encode(limits::MAX_RECORD), [data]);
                        }
                    }
                    Message::DirReply { json, kind: DirKind::List, .. } => {
                        assert!(!dir::parse(&json).unwrap().is_empty());
                    }
                    _ => {}
                }
            }
            _ => {}
        }
    }
    assert!(rest.is_empty(), "{} bytes are left", rest.len());
    assert!(written == *bytes, "what was written back differs");
    kinds
}

#[test]
fn a_conversation_of_the_client_reads_and_writes_back() {
    for name in ["plain.txt", "rail.txt", "naive.txt"] {
        let conversation = conversation(name);
        let ours = read_and_write_back(&side(&conversation, true));
        let theirs = read_and_write_back(&side(&conversation, false));
        assert_eq!((ours[0], theirs[0]), ("CONNECT", "ACCEPTED"), "{name}");
        assert!(ours.len() > 4 && theirs.len() > 4, "{name}");
    }
}

#[test]
fn a_conversation_of_an_aggregator_reads_and_writes_back() {
    let conversation = conversation("collect.txt");
    let ours = read_and_write_back(&side(&conversation, true));
    let theirs = read_and_write_back(&side(&conversation, false));
    assert!(ours.contains(&"READ_REQ"));
    assert!(theirs.contains(&"RENDEZVOUS") && theirs.contains(&"READ_RESP"));
    // The description of the set, then its values.
    let mut rest = side(&conversation, false);
    let mut contents = Vec::new();
    while let Some(frame) = frame::decode(&mut rest).unwrap() {
        if let Body::ReadResp { status, data } = frame.body {
            assert_eq!(status, 0);
            contents.push(data);
        }
    }
    let meta = Meta::decode(&contents[0]).unwrap();
    assert_eq!((meta.producer.as_str(), meta.cardinality), ("s", 57));
    let sample =
        Sample::decode(&contents.last().unwrap().slice(contents.last().unwrap().len() - 544..)).unwrap();
    assert!(sample.consistent && sample.time_us > 0);
}

/// The client of today says what the one that was recorded said, byte by byte.
#[test]
fn the_client_says_what_the_real_daemon_has_understood() {
    let conversation = conversation("plain.txt");
    let handshake = Handshake { auth: Auth::None, rail: None, challenge: 0, local: None, peer: None };
    let mut link = Link::connect(handshake);
    let mut said = link.take_output();
    link.feed(&side(&conversation, false));
    let mut answers = Vec::new();
    while let Some(event) = link.poll().unwrap() {
        if let Event::Message(Message::Send { data, .. }) = event {
            answers.extend(Assembler::default().feed(&data).unwrap());
        }
    }
    let requests = [
        Request::new(RequestId::DAEMON_STATUS),
        Request::new(RequestId::CFG_CNTR),
        campanile_ldms::command::parse("greeting name=you").unwrap().unwrap(),
    ];
    for (index, request) in (1..).zip(&requests) {
        let message = Record::request(index, request.id, request.attributes.clone());
        for data in message.encode(limits::MAX_RECORD) {
            link.send(&Message::Send { xid: 0, data });
        }
    }
    link.send(&Message::Dir { xid: 1, flags: 0 });
    said.unsplit(link.take_output());
    assert!(said == side(&conversation, true), "what is said today differs");
    let texts: Vec<String> =
        answers.into_iter().map(|record| campanile_ldms::api::Response::from(record).text()).collect();
    assert_eq!(texts, ["{\"state\":\"ready\"}", "3", "Hello 'you'"]);
}
