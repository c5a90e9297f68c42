//! The codecs of the three layers: what is written reads back, whatever the pieces it arrives in, and no bytes
//! make them panic or take memory for lengths that are only announced.

use bytes::{Bytes, BytesMut};
use campanile_ldms::limits;
use campanile_ldms::wire::connect::{ConnectMessage, Rail};
use campanile_ldms::wire::frame::{self, Body, Frame};
use campanile_ldms::wire::ids::AttrId;
use campanile_ldms::wire::lookup::{LookupOffer, Rendezvous};
use campanile_ldms::wire::record::{self, Assembler, Attribute};
use campanile_ldms::wire::xprt::{DirKind, Message};
use campanile_ldms::wire::{WireError, dir, set};
use proptest::prelude::*;

fn data() -> impl Strategy<Value = Bytes> {
    prop::collection::vec(any::<u8>(), 0..200).prop_map(Bytes::from)
}

fn text() -> impl Strategy<Value = String> {
    "[a-z0-9/._ -]{0,40}"
}

fn body() -> impl Strategy<Value = Body> {
    prop_oneof![
        (any::<[u8; 4]>(), data()).prop_map(|(version, data)| Body::Connect { version, data }),
        data().prop_map(Body::SendRecv),
        (any::<u32>(), any::<u32>(), any::<u64>(), any::<u32>(), data()).prop_map(
            |(key, access, addr, len, message)| Body::Rendezvous { key, access, addr, len, message }
        ),
        (any::<u32>(), any::<u64>(), any::<u32>()).prop_map(|(key, addr, len)| Body::ReadReq {
            key,
            addr,
            len
        }),
        (any::<u16>(), data()).prop_map(|(status, data)| Body::ReadResp { status, data }),
        (any::<u32>(), any::<u64>(), data()).prop_map(|(key, addr, data)| Body::WriteReq { key, addr, data }),
        any::<u16>().prop_map(|status| Body::WriteResp { status }),
        data().prop_map(Body::Accepted),
        data().prop_map(Body::Rejected),
        data().prop_map(Body::AckAccepted),
    ]
}

fn frames() -> impl Strategy<Value = Vec<Frame>> {
    let one = (any::<u32>(), any::<u64>(), body()).prop_map(|(xid, ctxt, body)| Frame { xid, ctxt, body });
    prop::collection::vec(one, 1..6)
}

fn message() -> impl Strategy<Value = Message> {
    let xid = any::<u64>;
    prop_oneof![
        (xid(), any::<u32>()).prop_map(|(xid, flags)| Message::Dir { xid, flags }),
        xid().prop_map(|xid| Message::DirCancel { xid }),
        (xid(), any::<u32>(), text()).prop_map(|(xid, flags, path)| Message::Lookup { xid, flags, path }),
        (xid(), data()).prop_map(|(xid, data)| Message::Send { xid, data }),
        (xid(), data()).prop_map(|(xid, data)| Message::Auth { xid, data }),
        xid().prop_map(|set_id| Message::CancelPush { set_id }),
        (xid(), text()).prop_map(|(xid, name)| Message::SetDelete { xid, name }),
        (xid(), 10_u32..30, data()).prop_map(|(xid, cmd, data)| Message::OtherRequest { xid, cmd, data }),
        (xid(), any::<u32>(), any::<bool>(), any::<bool>(), text()).prop_map(
            |(xid, rc, changed, more, json)| Message::DirReply {
                xid,
                rc,
                changed,
                kind: DirKind::Add,
                more,
                json: json.into(),
            }
        ),
        (xid(), any::<u32>()).prop_map(|(xid, rc)| Message::DirCancelReply { xid, rc }),
        (xid(), any::<u32>()).prop_map(|(xid, rc)| Message::LookupReply { xid, rc }),
        (xid(), any::<u32>(), any::<u32>(), data()).prop_map(|(set_id, flags, offset, data)| Message::Push {
            set_id,
            flags,
            offset,
            data
        }),
        (xid(), any::<u32>(), any::<(u64, u64)>()).prop_map(|(xid, rc, received)| Message::SetDeleteReply {
            xid,
            rc,
            received
        }),
        (xid(), 0x10b_u32..0x200, any::<u32>(), data())
            .prop_map(|(xid, cmd, rc, data)| Message::OtherReply { xid, cmd, rc, data }),
    ]
}

fn request() -> impl Strategy<Value = record::Message> {
    let attribute = (1_u32..60, prop::option::of(text())).prop_map(|(id, text)| match text {
        Some(text) => Attribute::text(AttrId(id), &text),
        None => Attribute::keyword(AttrId(id)),
    });
    let attributes = prop::collection::vec(attribute, 0..12);
    (any::<bool>(), any::<u32>(), any::<u32>(), attributes).prop_map(
        |(response, msg_no, code, attributes)| record::Message { response, msg_no, code, attributes },
    )
}

proptest! {
    #[test]
    fn frames_read_back_however_the_bytes_are_cut(frames in frames(), cuts in prop::collection::vec(1_usize..90, 1..40)) {
        let mut wire = BytesMut::new();
        for frame in &frames {
            frame::encode(frame, &mut wire).unwrap();
        }
        let mut buffer = BytesMut::new();
        let mut read = Vec::new();
        let mut cuts = cuts.iter().cycle();
        while !wire.is_empty() {
            let len = (*cuts.next().unwrap()).min(wire.len());
            buffer.extend_from_slice(&wire.split_to(len));
            while let Some(frame) = frame::decode(&mut buffer).unwrap() {
                read.push(frame);
            }
        }
        prop_assert_eq!(read, frames);
        prop_assert!(buffer.is_empty());
    }

    #[test]
    fn transport_messages_read_back(message in message()) {
        prop_assert_eq!(Message::decode(&message.encode()).unwrap(), message);
    }

    #[test]
    fn requests_read_back_from_records_of_any_length(message in request(), room in 25_usize..200) {
        let records = message.encode(room);
        let mut assembler = Assembler::default();
        for (index, record) in records.iter().enumerate() {
            prop_assert!(record.len() <= room);
            let done = assembler.feed(record).unwrap();
            if index + 1 == records.len() {
                prop_assert_eq!(done.as_ref(), Some(&message));
            } else {
                prop_assert_eq!(done, None);
            }
        }
        prop_assert_eq!(assembler.unfinished(), 0);
    }

    #[test]
    fn interleaved_messages_are_kept_apart(a in request(), b in request()) {
        prop_assume!((a.response, a.msg_no) != (b.response, b.msg_no));
        let (first, second) = (a.encode(40), b.encode(40));
        let mut assembler = Assembler::default();
        let mut done = Vec::new();
        for index in 0..first.len().max(second.len()) {
            for record in [first.get(index), second.get(index)].into_iter().flatten() {
                done.extend(assembler.feed(record).unwrap());
            }
        }
        prop_assert!(done.contains(&a) && done.contains(&b));
    }

    #[test]
    fn lookup_offers_read_back(
        ids in any::<(u64, u64)>(), numbers in any::<(bool, u32, u32, u32)>(), names in (text(), text()),
        info in prop::collection::vec((text(), text()), 0..4)
    ) {
        let offer = Rendezvous::Lookup(LookupOffer {
            xid: ids.0,
            set_id: ids.1,
            more: numbers.0,
            meta_len: numbers.1,
            data_len: numbers.2,
            cardinality: numbers.3,
            array_cardinality: 1,
            schema: names.0,
            instance: names.1,
            info,
        });
        prop_assert_eq!(Rendezvous::decode(&offer.encode()).unwrap(), offer);
        let push = Rendezvous::Push { lookup_set_id: ids.0, push_set_id: ids.1, flags: numbers.1 };
        prop_assert_eq!(Rendezvous::decode(&push.encode()).unwrap(), push);
    }

    #[test]
    fn connect_messages_read_back(auth in "[a-z]{0,15}", rail in any::<(u32, u64, bool)>(), long in any::<bool>()) {
        let rail = long.then(|| Rail { messages: rail.2, ..Rail::single(rail.0, rail.1) });
        let message = ConnectMessage { version: [4, 2, 0, 0], auth, rail };
        let bytes = message.encode();
        prop_assert_eq!(bytes.len(), if long { 64 } else { 20 });
        prop_assert_eq!(ConnectMessage::decode(&bytes).unwrap(), message);
    }

    #[test]
    fn no_bytes_make_a_decoder_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), kind in 0_u8..12, cmd in 0_u16..0x110) {
        let mut framed = bytes.clone();
        if framed.len() >= 8 {
            framed[..2].copy_from_slice(&[0, kind]);
            let len = u32::try_from(framed.len()).unwrap();
            framed[4..8].copy_from_slice(&len.to_be_bytes());
        }
        let mut transport = bytes.clone();
        if transport.len() >= 16 {
            transport[8..12].copy_from_slice(&u32::from(cmd).to_be_bytes());
            let len = u32::try_from(transport.len()).unwrap();
            transport[12..16].copy_from_slice(&len.to_be_bytes());
        }
        let mut records = bytes.clone();
        if records.len() >= 24 {
            records[..12].copy_from_slice(&[0xff, 0xff, 0xff, 0xff, 0, 0, 0, 1, 0, 0, 0, 3]);
            let len = u32::try_from(records.len()).unwrap();
            records[20..24].copy_from_slice(&len.to_be_bytes());
        }
        for bytes in [bytes, framed, transport, records] {
            let mut buffer = BytesMut::from(&bytes[..]);
            let _ = frame::decode(&mut buffer);
            let _ = ConnectMessage::decode(&bytes);
            let _ = Rendezvous::decode(&bytes);
            let _ = set::Meta::decode(&bytes);
            let _ = set::Sample::decode(&bytes);
            let _ = set::counter(&bytes, &bytes, "x");
            let _ = dir::parse(&bytes);
            let bytes = Bytes::from(bytes);
            let _ = Message::decode(&bytes);
            let _ = record::Header::decode(&bytes);
            let _ = Assembler::default().feed(&bytes);
        }
    }
}

#[test]
fn an_announced_length_above_the_limit_is_refused_before_memory_is_taken() {
    let mut header = BytesMut::from(&[0, 2, 0, 0, 0xff, 0xff, 0xff, 0xf0][..]);
    header.extend_from_slice(&[0; 12]);
    let capacity = header.capacity();
    let error = frame::decode(&mut header).unwrap_err();
    assert_eq!(error, WireError::FrameTooLong { kind: "SENDRECV", len: 0xffff_fff0, max: limits::MAX_FRAME });
    assert_eq!(header.capacity(), capacity);
    // A frame that carries the contents of a set may be longer, up to its own limit.
    let mut header = BytesMut::from(&[0, 5, 0, 0, 0, 0x20, 0, 0][..]);
    header.extend_from_slice(&[0; 12]);
    assert_eq!(frame::decode(&mut header), Ok(None));
    assert!(header.capacity() < 1_000, "{} bytes kept for 20", header.capacity());
}

#[test]
fn records_that_have_no_place_are_refused_and_the_next_message_is_read() {
    let message = record::Message {
        response: true,
        msg_no: 7,
        code: 0,
        attributes: vec![Attribute::text(AttrId::STRING, &"x".repeat(100))],
    };
    let records = message.encode(120);
    let mut assembler = Assembler::default();
    assert_eq!(assembler.feed(&records[1]), Err(WireError::UnknownMessage(7)));
    assert_eq!(assembler.feed(&records[0]), Ok(None));
    assert_eq!(assembler.feed(&records[0]), Err(WireError::DuplicateMessage(7)));
    assert_eq!(assembler.feed(&Bytes::from_static(b"no marker here")), Err(WireError::NoMarker));
    assert_eq!(assembler.feed(&records[1]).unwrap(), Some(message));
}

#[test]
fn unfinished_messages_are_limited() {
    let mut assembler = Assembler::default();
    for msg_no in 0..=u32::try_from(limits::MAX_PARTIAL_MESSAGES).unwrap() {
        let attributes = vec![Attribute::text(AttrId::STRING, &"x".repeat(100))];
        let message = record::Message { response: false, msg_no, code: 1, attributes };
        let taken = assembler.feed(&message.encode(80)[0]);
        assert_eq!(taken.is_ok(), (msg_no as usize) < limits::MAX_PARTIAL_MESSAGES, "{msg_no}");
    }
}

#[test]
fn the_name_of_an_authentication_plugin_is_cut_to_what_the_wire_has_room_for() {
    let message =
        ConnectMessage { version: [4, 2, 0, 0], auth: "a-very-long-plugin-name".into(), rail: None };
    let read = ConnectMessage::decode(&message.encode()).unwrap();
    assert_eq!(read.auth, "a-very-long-plu");
}
