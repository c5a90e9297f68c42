//! What fuzzing feeds bytes to. Each target must neither panic nor keep memory for lengths that are only announced,
//! and what reads must write back.

use bytes::{Bytes, BytesMut};
use campanile_ldms::api::update_times::UpdateTimeStats;
use campanile_ldms::api::{Call as _, Response};
use campanile_ldms::auth::Auth;
use campanile_ldms::link::{Event, Handshake, Link};
use campanile_ldms::sim::config_file;
use campanile_ldms::wire::connect::ConnectMessage;
use campanile_ldms::wire::ids::AttrId;
use campanile_ldms::wire::lookup::Rendezvous;
use campanile_ldms::wire::record::{Assembler, Attribute, Header};
use campanile_ldms::wire::xprt::Message;
use campanile_ldms::wire::{dir, frame, set};
use campanile_ldms::{command, hostlist, limits, time};

/// Memory a reader may hold beyond what it was given, in bytes.
const SLACK: usize = 64 * 1024;

/// Something that takes any bytes.
pub type Target = fn(&[u8]);

/// All targets, by name.
pub const TARGETS: [(&str, Target); 6] = [
    ("frames", frames),
    ("messages", messages),
    ("records", records),
    ("sets", sets),
    ("links", links),
    ("texts", texts),
];

/// zap frames.
pub fn frames(data: &[u8]) {
    let mut buffer = BytesMut::from(data);
    while let Ok(Some(frame)) = frame::decode(&mut buffer) {
        let mut written = BytesMut::new();
        if frame::encode(&frame, &mut written).is_ok() {
            assert_eq!(frame::decode(&mut written).ok().flatten().as_ref(), Some(&frame));
        }
    }
    assert!(buffer.capacity() <= data.len() + SLACK);
}

/// ldms transport messages and what the handshake carries.
pub fn messages(data: &[u8]) {
    let bytes = Bytes::copy_from_slice(data);
    if let Ok(message) = Message::decode(&bytes) {
        assert_eq!(Message::decode(&message.encode()), Ok(message));
    }
    let _ = ConnectMessage::decode(data);
    if let Ok(offer) = Rendezvous::decode(data) {
        assert_eq!(Rendezvous::decode(&offer.encode()), Ok(offer));
    }
}

/// ldmsd records, several of them, cut where the input says.
pub fn records(data: &[u8]) {
    let mut assembler = Assembler::default();
    let mut rest = Bytes::copy_from_slice(data);
    while rest.len() > 2 {
        let len = usize::from(u16::from_be_bytes([rest[0], rest[1]]));
        let record = rest.split_to((len + 2).min(rest.len())).slice(2..);
        let _ = Header::decode(&record);
        if let Ok(Some(message)) = assembler.feed(&record) {
            let again: Vec<_> = message.encode(limits::MAX_RECORD);
            assert_eq!(Assembler::default().feed(&again[0]), Ok(Some(message)));
        }
        assert!(assembler.unfinished() <= limits::MAX_PARTIAL_MESSAGES);
    }
}

/// Images of metric sets, and directories.
pub fn sets(data: &[u8]) {
    let _ = set::Meta::decode(data);
    let _ = set::Sample::decode(data);
    let _ = dir::parse(data);
    let (meta, values) = data.split_at(data.len() / 2);
    let _ = set::counter(meta, values, "x");
}

/// Both ends of a connection, fed by a stranger.
pub fn links(data: &[u8]) {
    let handshake = |auth: Auth| Handshake { auth, rail: None, challenge: 1, local: None, peer: None };
    for auth in [Auth::None, Auth::Naive { uid: 1, gid: 1 }] {
        for mut link in [Link::connect(handshake(auth.clone())), Link::listen(handshake(auth))] {
            link.feed(data);
            while let Ok(Some(event)) = link.poll() {
                match event {
                    Event::Requested(_) => link.accept(),
                    Event::Read { token, .. } => link.read_response(token, 0, Bytes::new()),
                    _ => {}
                }
            }
            let _ = link.take_output();
        }
    }
}

/// What people write: hostlists, commands and files of them, intervals; and the answer of ldmsd that is not always JSON.
pub fn texts(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Ok(names) = hostlist::expand(&text)
        && names.len() < 1000
        && names.iter().all(|name| !name.contains(['[', ']', ',']) && name.trim() == name)
    {
        assert_eq!(hostlist::expand(&hostlist::fold(&names)).as_deref(), Ok(&names[..]));
    }
    let _ = time::parse_us(&text);
    if let Ok(Some(request)) = command::parse(&text) {
        let _ = command::render(&request);
    }
    let _ = config_file::read(&text);
    let response = Response { errcode: 0, attributes: vec![Attribute::text(AttrId::STRING, &text)] };
    let _ = UpdateTimeStats::default().reply(&response);
}
