//! Properties of all codecs: what is written is read, whatever arrives never panics, and limits hold.

mod common;

use bytes::Bytes;
use campanile_wamp::{DecodeError, Dict, Limits, Message, Payload, Serializer, Subprotocol, Value};
use common::arbitrary::{message, value};
use proptest::prelude::*;

const ALL: [Serializer; 3] = [Serializer::Json, Serializer::MsgPack, Serializer::Cbor];

/// JSON cannot tell these: NaN and infinities become null.
fn as_json_has_it(value: Value) -> Value {
    match value {
        Value::Float(float) if !float.is_finite() => Value::Null,
        Value::List(items) => items.into_iter().map(as_json_has_it).collect::<Vec<_>>().into(),
        Value::Dict(dict) => {
            dict.into_iter().map(|(key, value)| (key, as_json_has_it(value))).collect::<Dict>().into()
        }
        other => other,
    }
}

/// Equality that takes one NaN for another: both are printed alike, and -0.0 is printed apart from 0.0.
fn same(left: &Value, right: &Value) -> bool {
    format!("{left:?}") == format!("{right:?}")
}

proptest! {
    #[test]
    fn every_value_comes_back(value in value()) {
        for serializer in ALL {
            let mut bytes = Vec::new();
            serializer.encode_value(&value, &mut bytes);
            let back = serializer.decode_value(&bytes, &Limits::default()).unwrap();
            let expected = if serializer == Serializer::Json { as_json_has_it(value.clone()) } else { value.clone() };
            prop_assert!(same(&back, &expected), "{serializer:?}: {back:?} for {expected:?}");
        }
    }

    #[test]
    fn json_is_what_serde_json_reads_and_writes(value in value()) {
        let mut bytes = Vec::new();
        Serializer::Json.encode_value(&value, &mut bytes);
        let read: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        prop_assert_eq!(&read, &value.to_json());
        let written = serde_json::to_vec(&read).unwrap();
        let back = Serializer::Json.decode_value(&written, &Limits::default()).unwrap();
        prop_assert!(same(&back, &as_json_has_it(value)));
    }

    #[test]
    fn every_message_comes_back_in_every_subprotocol(messages in prop::collection::vec(message(), 1..4)) {
        for subprotocol in Subprotocol::ALL {
            let messages = if subprotocol.batched { &messages[..] } else { &messages[..1] };
            let mut frame = Vec::new();
            for message in messages {
                subprotocol.encode(message, &mut frame);
            }
            let back: Vec<Message> =
                subprotocol.decode(frame.into(), &Limits::default()).collect::<Result<_, _>>().unwrap();
            prop_assert_eq!(&back[..], messages);
        }
    }

    #[test]
    fn a_payload_is_carried_over_to_any_other_serializer(message in message()) {
        for from in ALL {
            let mut bytes = Vec::new();
            from.encode(&message, &mut bytes);
            let received = from.decode(&bytes.into(), &Limits::default()).unwrap();
            for to in ALL {
                let mut bytes = Vec::new();
                to.encode(&received, &mut bytes);
                let back = to.decode(&bytes.into(), &Limits::default());
                prop_assert_eq!(back.as_ref(), Ok(&message), "{:?} to {:?}", from, to);
            }
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for serializer in ALL {
            _ = serializer.decode_value(&bytes, &Limits::default());
        }
        for subprotocol in Subprotocol::ALL {
            for message in subprotocol.decode(bytes.clone().into(), &Limits::default()) {
                _ = message;
            }
        }
    }

    #[test]
    fn damaged_messages_never_panic_and_what_is_accepted_can_be_used(
        message in message(), damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        for serializer in ALL {
            let mut bytes = Vec::new();
            serializer.encode(&message, &mut bytes);
            for (at, byte) in &damage {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
            let Ok(accepted) = serializer.decode(&bytes.into(), &Limits::default()) else { continue };
            for to in ALL {
                let mut bytes = Vec::new();
                to.encode(&accepted, &mut bytes);
                prop_assert!(to.decode(&bytes.into(), &Limits::default()).is_ok(), "{serializer:?} to {to:?}");
            }
        }
    }

    #[test]
    fn a_message_cut_short_is_refused(message in message(), cut in any::<prop::sample::Index>()) {
        for serializer in ALL {
            let mut bytes = Vec::new();
            serializer.encode(&message, &mut bytes);
            bytes.truncate(cut.index(bytes.len()));
            prop_assert!(serializer.decode(&bytes.into(), &Limits::default()).is_err());
        }
    }
}

fn nested(serializer: Serializer, depth: usize) -> Vec<u8> {
    let value = (0..depth).fold(Value::Null, |inner, _| Value::List(vec![inner]));
    let mut bytes = Vec::new();
    serializer.encode_value(&value, &mut bytes);
    bytes
}

#[test]
fn nesting_is_limited_at_the_limit() {
    let limits = Limits { max_depth: 10, ..Limits::default() };
    for serializer in ALL {
        assert!(serializer.decode_value(&nested(serializer, 10), &limits).is_ok());
        assert_eq!(serializer.decode_value(&nested(serializer, 11), &limits), Err(DecodeError::TooDeep));
    }
    let endless = [
        (Serializer::Json, b'['),
        (Serializer::MsgPack, 0x91),
        (Serializer::Cbor, 0x81),
        (Serializer::Cbor, 0xc1),
    ];
    let no_limits = Limits { max_depth: usize::MAX, ..Limits::default() };
    for (serializer, open) in endless {
        let bytes = vec![open; 1 << 20];
        assert_eq!(serializer.decode_value(&bytes, &no_limits), Err(DecodeError::TooDeep), "{serializer:?}");
    }
}

#[test]
fn elements_are_counted_over_the_whole_message() {
    let limits = Limits { max_elements: 5, ..Limits::default() };
    let two_lists = |last: usize| {
        Value::List(vec![Value::List(vec![Value::Null; 2]), Value::List(vec![Value::Null; last])])
    };
    for serializer in ALL {
        for (last, fits) in [(1, true), (2, false)] {
            let mut bytes = Vec::new();
            serializer.encode_value(&two_lists(last), &mut bytes);
            assert_eq!(serializer.decode_value(&bytes, &limits).is_ok(), fits, "{serializer:?} {last}");
        }
    }
}

#[test]
fn a_length_that_cannot_be_true_is_refused_before_anything_is_reserved() {
    for (serializer, bytes) in [
        (Serializer::Cbor, &[0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0][..]),
        (Serializer::Cbor, &[0xba, 0xff, 0xff, 0xff, 0xff, 0, 0]),
        (Serializer::Cbor, &[0x5a, 0xff, 0xff, 0xff, 0xff, 0, 0]),
        (Serializer::MsgPack, &[0xdd, 0xff, 0xff, 0xff, 0xff, 0, 0]),
        (Serializer::MsgPack, &[0xdf, 0xff, 0xff, 0xff, 0xff, 0, 0]),
        (Serializer::MsgPack, &[0xc6, 0xff, 0xff, 0xff, 0xff, 0, 0]),
    ] {
        let decoded = serializer.decode_value(bytes, &Limits::default());
        assert_eq!(decoded, Err(DecodeError::Truncated), "{serializer:?} {bytes:x?}");
    }
}

#[test]
fn the_size_of_a_message_is_limited() {
    let limits = Limits { max_message_bytes: 10, ..Limits::default() };
    for subprotocol in Subprotocol::ALL {
        let first = subprotocol.decode(Bytes::from_static(&[0; 11]), &limits).next();
        assert_eq!(first, Some(Err(DecodeError::TooLarge { bytes: 11, limit: 10 })));
    }
}

#[test]
fn messages_of_the_wrong_shape_are_refused() {
    let decode = |text: &'static str| {
        Serializer::Json.decode(&Bytes::from_static(text.as_bytes()), &Limits::default())
    };
    assert_eq!(decode("[99, 1]"), Err(DecodeError::UnknownType(99)));
    assert_eq!(decode("{}"), Err(DecodeError::NotAMessage));
    assert_eq!(decode("[]"), Err(DecodeError::NotAMessage));
    assert_eq!(decode(r#"["1"]"#), Err(DecodeError::NotAMessage));
    assert_eq!(decode("[48, 1, {}]"), Err(DecodeError::WrongLength { message: "CALL" }));
    assert_eq!(decode(r#"[48, 1, {}, "a", [], {}, 1]"#), Err(DecodeError::WrongLength { message: "CALL" }));
    let bad = |field| Err(DecodeError::BadField { message: "CALL", field });
    assert_eq!(decode(r#"[48, -1, {}, "a"]"#), bad("request"));
    assert_eq!(decode(r#"[48, 1, [], "a"]"#), bad("options"));
    assert_eq!(decode("[48, 1, {}, 2]"), bad("procedure"));
    assert_eq!(decode(r#"[48, 1, {}, "a", 2]"#), bad("arguments"));
    assert_eq!(decode(r#"[48, 1, {}, "a", [], []]"#), bad("keyword arguments"));
    assert_eq!(decode(r#"[48, 1, {}, "a"] x"#), Err(DecodeError::TrailingBytes { at: 17 }));
}

#[test]
fn absent_and_null_arguments_are_the_same() {
    for text in [r#"[48,1,{},"a"]"#, r#"[48,1,{},"a",null]"#, r#" [ 48 , 1 , { } , "a" , [ ] , null ] "#] {
        let call = Serializer::Json.decode(&Bytes::from_static(text.as_bytes()), &Limits::default()).unwrap();
        let Message::Call { payload, .. } = call else { panic!("{call:?}") };
        assert_eq!(payload, Payload::empty(), "{text}");
    }
}

#[test]
fn what_only_python_reads_is_not_passed_on() {
    let publish = Bytes::from_static(br#"[16,1,{},"a",[NaN,Infinity,1]]"#);
    let publish = Serializer::Json.decode(&publish, &Limits::default()).unwrap();
    let mut passed_on = Vec::new();
    Serializer::Json.encode(&publish, &mut passed_on);
    assert_eq!(passed_on, br#"[16,1,{},"a",[null,null,1]]"#);
}

#[test]
fn a_payload_is_passed_on_as_it_came() {
    // A tag, a half float and an indefinite length, all of which this codec would write differently.
    let publish = Bytes::from_static(b"\x85\x10\x01\xa0\x61a\x9f\xc1\xf9\x38\x00\xff");
    let message = Serializer::Cbor.decode(&publish, &Limits::default()).unwrap();
    let mut passed_on = Vec::new();
    Serializer::Cbor.encode(&message, &mut passed_on);
    assert_eq!(passed_on, publish);
}

#[test]
fn the_names_of_subprotocols_come_back() {
    for subprotocol in Subprotocol::ALL {
        assert_eq!(Subprotocol::from_name(subprotocol.name()), Some(subprotocol));
    }
    assert_eq!(Subprotocol::from_name("wamp.2.ubjson"), None);
}
