//! Names and permission, subscriptions and events.

use campanile_wamp::Value;

use super::stage::Stage;

/// Names that are not valid, or valid only as patterns.
pub(crate) fn names(stage: &mut Stage) {
    let messages = |name: &str, matching: &str| {
        [
            say!([32, 4, {"match": matching}, name]),
            say!([64, 4, {"match": matching}, name]),
            say!([48, 4, {}, name]),
            say!([16, 4, {"acknowledge": true}, name]),
            say!([16, 4, {}, name]),
        ]
    };
    let cases = [
        ("observatory.a b", "exact", 0..5),
        ("observatory.a#b", "exact", 0..2),
        ("observatory..b", "exact", 0..5),
        ("", "exact", 0..1),
        ("observatory.", "exact", 1..3),
        ("observatory.Upper-Case_1!", "exact", 0..4),
        ("", "prefix", 0..1),
        ("observatory", "prefix", 0..2),
        ("observatory.names.", "prefix", 0..2),
        ("", "wildcard", 0..1),
        ("observatory..b", "wildcard", 0..2),
        ("observatory.a b.", "wildcard", 0..1),
        (".a.b", "wildcard", 0..2),
    ];
    for (name, matching, which) in cases {
        for message in &messages(name, matching)[which] {
            stage.join("A");
            stage.say("A", message);
            stage.settle("A");
        }
    }
}

pub(crate) fn permission(stage: &mut Stage) {
    stage.join("A");
    for message in [
        say!([64, 3, {}, "foo.bar"]),
        say!([32, 3, {}, "foo.bar"]),
        say!([48, 3, {}, "foo.bar"]),
        say!([16, 3, {"acknowledge": true}, "foo.bar"]),
        say!([16, 3, {}, "foo.bar"]),
        say!([64, 3, {}, "observatory"]),
        say!([64, 3, {}, "observatoryx.a"]),
        say!([64, 3, {}, "wamp.x"]),
        say!([16, 3, {"acknowledge": true}, "wamp.x"]),
        say!([32, 3, {}, "wamp.session.on_leave"]),
        say!([48, 3, {}, "wamp.session.count"]),
    ] {
        stage.say("A", &message);
        stage.settle("A");
    }
}

pub(crate) fn subscriptions(stage: &mut Stage) {
    stage.join("A");
    stage.join("B");
    let uri = stage.uri("t");
    for matching in ["exact", "prefix", "wildcard"] {
        let id = stage.subscribe("A", &uri, matching);
        assert_eq!(stage.subscribe("A", &uri, matching), id, "again");
        assert_eq!(stage.subscribe("B", &uri, matching), id, "shared");
    }
    let id = stage.subscribe("A", &uri, "exact");
    stage.say("A", &say!([34, 5, id]));
    stage.hear("A");
    for gone in [id, 12345] {
        stage.say("A", &say!([34, 6, gone]));
        stage.hear("A");
    }
    // B is still subscribed.
    stage.say("A", &say!([16, 7, {"acknowledge": true}, uri]));
    stage.hear("A");
    stage.settle("B");
}

pub(crate) fn events(stage: &mut Stage) {
    stage.join("A");
    stage.join("B");
    let topic = stage.uri("agent1.feeds.heartbeat");
    let wildcard = stage.uri(".feeds.heartbeat");
    let prefix = stage.uri("ag");
    stage.subscribe("A", &topic, "exact");
    stage.subscribe("A", &prefix, "prefix");
    stage.subscribe("A", &wildcard, "wildcard");
    for options in [say!({}), say!({"acknowledge": true}), say!({"disclose_me": true}), say!({"unknown": 1})]
    {
        for arguments in [say!([]), say!([[1, {"a": null}]]), say!([[], {"k": 1}]), say!([[1], {"k": 1}])] {
            let Value::List(arguments) = arguments else { unreachable!("a list was written") };
            let mut message = vec![16.into(), 5.into(), options.clone(), topic.as_str().into()];
            message.extend(arguments);
            stage.say("B", &message.into());
            stage.settle("B");
            stage.settle("A");
        }
    }
    for other in ["agent1.feeds.other", "agent1.heartbeat", "other.x"] {
        let other = stage.uri(other);
        stage.say("B", &say!([16, 6, {}, other]));
        stage.settle("B");
        stage.settle("A");
    }
    // A publisher gets its own event only if it asks for it.
    for exclude_me in [true, false] {
        stage.say("A", &say!([16, 7, {"exclude_me": exclude_me, "acknowledge": true}, topic]));
        stage.settle("A");
    }
}

pub(crate) fn audience(stage: &mut Stage) {
    stage.join("A");
    stage.join("B");
    let topic = stage.uri("t");
    stage.subscribe("A", &topic, "exact");
    let (a, b) = (stage.session("A"), stage.session("B"));
    for options in [
        say!({"exclude": [a]}),
        say!({"exclude": [b]}),
        say!({"eligible": [a]}),
        say!({"eligible": [b]}),
        say!({"eligible": []}),
        say!({"eligible": [a], "exclude": [a]}),
        say!({"exclude_authrole": ["iocs_agent"]}),
        say!({"eligible_authrole": ["iocs_agent"]}),
        say!({"eligible_authrole": ["other"]}),
        say!({"eligible_authid": ["nobody"]}),
    ] {
        let mut options = options.to_json();
        options["acknowledge"] = true.into();
        stage.say("B", &say!([16, 5, options, topic]));
        stage.settle("B");
        stage.settle("A");
    }
}
