//! What messages carry: every kind of value, in every serializer, and much of it.

use campanile_wamp::{Dict, Subprotocol, Value};

use super::stage::Stage;

/// Every serializer to every other.
pub(crate) fn serializers(stage: &mut Stage) {
    const NAMES: [&str; 6] = ["p0", "p1", "p2", "p3", "p4", "p5"];
    let topic = stage.uri("t");
    for (name, protocol) in NAMES.into_iter().zip(Subprotocol::ALL) {
        stage.join_with(name, protocol.name());
        stage.subscribe(name, &topic, "exact");
        let procedure = stage.uri(name);
        stage.register(name, &procedure);
    }
    let common = say!([null, true, 0, -1, 255, 65536, 9007199254740992u64, -2147483649i64, 1.5, 1.0, -0.25, 1e300,
        "", "ä€😀\n\"\u{1}", [], {}, [[[]]], {"k": {"l": [1, {"m": null}]}}, "x".repeat(300)]);
    let binary = Value::List(vec![
        Value::Float(f64::INFINITY),
        Value::Bytes(vec![0, 1, 255]),
        Value::UInt(u64::MAX),
        Value::Int(i64::MIN),
    ]);
    for (from, protocol) in NAMES.into_iter().zip(Subprotocol::ALL) {
        let kwargs: Value = Dict::new().with("common", common.clone()).into();
        let event = vec![16.into(), 1.into(), say!({}), topic.as_str().into(), common.clone(), kwargs];
        stage.say(from, &event.into());
        for to in NAMES.into_iter().filter(|&to| to != from) {
            stage.hear(to);
        }
        for (to, other) in NAMES.into_iter().zip(Subprotocol::ALL) {
            let textual = protocol.is_text() || other.is_text();
            let arguments = if textual { common.clone() } else { binary.clone() };
            let procedure = stage.uri(to);
            stage
                .say(from, &vec![48.into(), 2.into(), say!({}), procedure.as_str().into(), arguments].into());
            let invocation = stage.hear(to);
            let Value::List(invocation) = invocation else { panic!("no INVOCATION") };
            // Back as it came.
            let result = vec![70.into(), invocation[1].clone(), say!({}), invocation[4].clone()];
            stage.say(to, &result.into());
            stage.hear(from);
        }
    }
}

pub(crate) fn big_messages(stage: &mut Stage) {
    let topic = stage.uri("t");
    stage.join_with("A", "wamp.2.cbor.batched");
    stage.subscribe("A", &topic, "exact");
    stage.join_with("B", "wamp.2.cbor.batched");
    stage.join_with("C", "wamp.2.msgpack");
    stage.subscribe("C", &topic, "exact");
    for bytes in [500_000, 1_500_000, 3_000_000, 16_000_000] {
        let text = "x".repeat(bytes);
        stage.say_quietly("B", &say!([16, 1, {"acknowledge": true}, topic, [text]]));
        stage.hear("B");
        for receiver in ["A", "C"] {
            let event = stage.hear_quietly(receiver);
            let got =
                event.as_list().and_then(|event| event.get(4)?.as_list()?.first()?.as_str().map(str::len));
            stage.note(format!("{receiver} gets {got:?} of {bytes} bytes"));
        }
    }
    stage.say_quietly("B", &say!([16, 1, {"acknowledge": true}, topic, ["x".repeat(40_000_000)]]));
    stage.hear("B");
    stage.settle("A");
}
