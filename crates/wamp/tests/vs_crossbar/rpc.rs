//! Registrations and calls.

use super::scripts::hello_with;
use super::stage::Stage;

pub(crate) fn registrations(stage: &mut Stage) {
    stage.join("A");
    stage.join("B");
    let uri = stage.uri("a");
    let id = stage.register("A", &uri);
    for peer in ["A", "B"] {
        stage.say(peer, &say!([64, 2, {}, uri]));
        stage.hear(peer);
    }
    stage.say("B", &say!([66, 3, id]));
    stage.hear("B");
    // A call under way outlives the registration.
    stage.say("B", &say!([48, 4, {}, uri]));
    let invocation = stage.hear_id("A", 1);
    stage.say("A", &say!([66, 3, id]));
    stage.hear("A");
    stage.say("A", &say!([70, invocation, {}, ["done"]]));
    stage.hear("B");
    for gone in [id, 12345] {
        stage.say("A", &say!([66, 4, gone]));
        stage.hear("A");
    }
    stage.say("B", &say!([48, 5, {}, uri]));
    stage.hear("B");
    stage.register("B", &uri);
    stage.say("A", &say!([64, 9, {"invoke": "roundrobin"}, stage.uri("shared")]));
    stage.hear("A");
}

pub(crate) fn pattern_registrations(stage: &mut Stage) {
    stage.join("A");
    stage.join("B");
    for (matching, rest) in [
        ("prefix", "p"),
        ("wildcard", ".ops"),
        ("exact", "p.q.ops"),
        ("prefix", "p.q"),
        ("wildcard", "p..ops"),
        ("wildcard", ".q.x"),
    ] {
        let uri = stage.uri(rest);
        stage.say("A", &say!([64, 1, {"match": matching}, uri]));
        stage.hear("A");
        stage.say("B", &say!([64, 1, {"match": matching}, uri]));
        stage.hear("B");
    }
    for rest in ["p.q.ops", "p.q.x", "p.z.x", "x.ops", "p.ops", "pz", "p.w.ops", "z.q.x"] {
        let uri = stage.uri(rest);
        stage.say("B", &say!([48, 2, {}, uri, [1]]));
        let invocation = stage.hear_id("A", 1);
        stage.say("A", &say!([70, invocation, {}, [2]]));
        stage.hear("B");
    }
    let none = stage.uri("none");
    stage.say("B", &say!([48, 3, {}, none]));
    stage.hear("B");
}

pub(crate) fn calls(stage: &mut Stage) {
    stage.join("A");
    stage.join("B");
    let uri = stage.uri("a");
    stage.register("A", &uri);
    for message in [
        say!([48, 8, {}, uri]),
        say!([48, 9, {}, uri, ["status", "x"], {"timeout": 3}]),
        say!([48, 11, {"timeout": 500}, uri, [], {"k": 1}]),
        say!([48, 43, {"disclose_me": true}, uri, [[]], {}]),
        say!([48, 5, {"receive_progress": true}, uri]),
    ] {
        stage.say("B", &message);
        let invocation = stage.hear_id("A", 1);
        stage.say("A", &say!([70, invocation, {}, [null], {"k": [1.5]}]));
        stage.hear("B");
    }
    for error in ["my.own.error", "wamp.error.runtime_error"] {
        stage.say("B", &say!([48, 12, {}, uri]));
        let invocation = stage.hear_id("A", 1);
        stage.say("A", &say!([8, 68, invocation, {}, error, ["boom"], {"k": 1}]));
        stage.hear("B");
    }
    // Two calls with one request id, answered in the other order.
    stage.say("B", &say!([48, 13, {}, uri, [1]]));
    let first = stage.hear_id("A", 1);
    stage.say("B", &say!([48, 13, {}, uri, [2]]));
    let second = stage.hear_id("A", 1);
    stage.say("A", &say!([70, second, {}, [2]]));
    stage.hear("B");
    stage.say("A", &say!([70, first, {}, [1]]));
    stage.hear("B");
    // A session calls itself.
    stage.say("A", &say!([48, 14, {}, uri]));
    let invocation = stage.hear_id("A", 1);
    stage.say("A", &say!([70, invocation, {}]));
    stage.hear("A");
    stage.say("B", &say!([48, 15, {}, stage.uri("none")]));
    stage.hear("B");
}

pub(crate) fn progress(stage: &mut Stage) {
    stage.join("A");
    stage.join("B");
    let uri = stage.uri("a");
    stage.register("A", &uri);
    for wanted in [true, false] {
        stage.say("B", &say!([48, 8, {"receive_progress": wanted}, uri]));
        let invocation = stage.hear_id("A", 1);
        for step in 1..3 {
            stage.say("A", &say!([70, invocation, {"progress": true}, [step]]));
            stage.settle("A");
            stage.settle("B");
        }
        stage.say("A", &say!([70, invocation, {}, [3]]));
        stage.settle("A");
        stage.settle("B");
    }
}

pub(crate) fn cancel(stage: &mut Stage) {
    stage.join("A");
    let uri = stage.uri("a");
    stage.register("A", &uri);
    for options in [say!({"mode": "skip"}), say!({"mode": "kill"}), say!({"mode": "killnowait"}), say!({})] {
        for answer in ["error", "result", "progress"] {
            stage.join("B");
            stage.say("B", &say!([48, 20, {"receive_progress": true}, uri]));
            let invocation = stage.hear_id("A", 1);
            stage.say("B", &say!([49, 20, options.to_json()]));
            stage.settle("B");
            stage.settle("A");
            let message = match answer {
                "error" => say!([8, 68, invocation, {}, "wamp.error.canceled", ["stopped"]]),
                "result" => say!([70, invocation, {}, ["late"]]),
                _ => say!([70, invocation, {"progress": true}, ["part"]]),
            };
            stage.say("A", &message);
            stage.settle("A");
            stage.settle("B");
            if answer == "progress" {
                stage.say("A", &say!([70, invocation, {}, ["late"]]));
                stage.settle("A");
                stage.settle("B");
            }
        }
    }
    // Twice.
    stage.join("B");
    stage.say("B", &say!([48, 20, {}, uri]));
    stage.hear("A");
    for mode in ["kill", "kill", "killnowait"] {
        stage.say("B", &say!([49, 20, {"mode": mode}]));
        stage.settle("B");
        stage.settle("A");
    }
}

pub(crate) fn cancel_without_interrupts(stage: &mut Stage) {
    stage.connect("A");
    stage.say("A", &hello_with(say!({"roles": {"callee": {}}})));
    stage.hear("A");
    stage.join("B");
    let uri = stage.uri("a");
    stage.register("A", &uri);
    for mode in ["kill", "killnowait"] {
        stage.say("B", &say!([48, 20, {}, uri]));
        stage.hear("A");
        stage.say("B", &say!([49, 20, {"mode": mode}]));
        stage.settle("B");
        stage.settle("A");
    }
}

pub(crate) fn callee_loss(stage: &mut Stage) {
    stage.join("A");
    stage.join("B");
    let uri = stage.uri("lossy");
    stage.register("A", &uri);
    stage.say("B", &say!([48, 1, {}, uri]));
    stage.hear("A");
    let body = format!("{{\"procedure\":\"{uri}\",\"args\":[1]}}");
    let http = stage.http("POST", "/call", &[], body.as_bytes());
    stage.hear("A");
    stage.vanish("A");
    stage.hear("B");
    stage.http_answer(http);
    stage.say("B", &say!([48, 2, {}, uri]));
    stage.hear("B");
    stage.register("B", &uri);
}

pub(crate) fn caller_loss(stage: &mut Stage) {
    stage.join("A");
    stage.join("B");
    let uri = stage.uri("a");
    stage.register("A", &uri);
    stage.say("B", &say!([48, 1, {}, uri]));
    let invocation = stage.hear_id("A", 1);
    stage.vanish("B");
    stage.hear("A");
    stage.say("A", &say!([70, invocation, {}, ["late"]]));
    stage.settle("A");
}
