//! Arbitrary values and messages.

use campanile_wamp::{Dict, Message, Payload, Value};
use proptest::prelude::*;

/// Any value that no codec takes for another: text that begins with NUL may be taken for bytes in JSON.
pub(crate) fn value() -> impl Strategy<Value = Value> {
    values(any::<f64>().boxed())
}

fn values(floats: BoxedStrategy<f64>) -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-200_i64..70_000).prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        floats.prop_map(Value::from),
        text().prop_map(Value::from),
        prop::collection::vec(any::<u8>(), 0..40).prop_map(Value::Bytes),
    ];
    leaf.prop_recursive(3, 24, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::List),
            dict_of(inner).prop_map(Value::Dict),
        ]
    })
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![".{0,20}", "[ -~]{0,40}"].prop_filter("NUL begins bytes", |text| !text.starts_with('\0'))
}

fn dict_of(value: impl Strategy<Value = Value>) -> impl Strategy<Value = Dict> {
    prop::collection::vec((".{0,8}", value), 0..5).prop_map(|entries| entries.into_iter().collect())
}

fn dict() -> impl Strategy<Value = Dict> {
    dict_of(values((-1e300..1e300).boxed()))
}

fn payload() -> impl Strategy<Value = Payload> {
    let args = prop::collection::vec(values((-1e300..1e300).boxed()), 0..4);
    (args, dict()).prop_map(|(args, kwargs)| Payload::new(args, kwargs))
}

/// Any message; floats are finite, so that it can be compared.
pub(crate) fn message() -> impl Strategy<Value = Message> {
    (0..24, any::<u64>(), 0..1_u64 << 53, dict(), text(), payload()).prop_map(
        |(kind, request, id, dict, text, payload)| match kind {
            0 => Message::Hello { realm: text, details: dict },
            1 => Message::Welcome { session: id, details: dict },
            2 => Message::Abort { details: dict, reason: text },
            3 => Message::Challenge { method: text, extra: dict },
            4 => Message::Authenticate { signature: text, extra: dict },
            5 => Message::Goodbye { details: dict, reason: text },
            6 => Message::Error { request_type: 48, request, details: dict, error: text, payload },
            7 => Message::Publish { request, options: dict, topic: text, payload },
            8 => Message::Published { request, publication: id },
            9 => Message::Subscribe { request, options: dict, topic: text },
            10 => Message::Subscribed { request, subscription: id },
            11 => Message::Unsubscribe { request, subscription: id },
            12 => Message::Unsubscribed { request, details: dict },
            13 => Message::Event { subscription: id, publication: request, details: dict, payload },
            14 => Message::Call { request, options: dict, procedure: text, payload },
            15 => Message::Cancel { request, options: dict },
            16 => Message::Result { request, details: dict, payload },
            17 => Message::Register { request, options: dict, procedure: text },
            18 => Message::Registered { request, registration: id },
            19 => Message::Unregister { request, registration: id },
            20 => Message::Unregistered { request, details: dict },
            21 => Message::Invocation { request, registration: id, details: dict, payload },
            22 => Message::Interrupt { request, options: dict },
            _ => Message::Yield { request, options: dict, payload },
        },
    )
}
