//! The HTTP bridge, played on both routers.

use super::stage::Stage;

/// Requests to `/call` and to other paths.
pub(crate) fn http(stage: &mut Stage) {
    let call = br#"{"procedure":"observatory.none"}"#;
    for (method, headers) in [
        ("POST", &[][..]),
        ("PUT", &[]),
        ("POST", &[("Content-Type", "application/json")]),
        ("POST", &[("Content-Type", "APPLICATION/JSON; charset=UTF-8")]),
        ("POST", &[("Content-Type", "application/json; charset=latin-1")]),
        ("POST", &[("Content-Type", "text/plain")]),
        ("POST", &[("Origin", "http://web.example")]),
        ("GET", &[]),
        ("DELETE", &[]),
        ("OPTIONS", &[]),
        ("OPTIONS", &[("Origin", "http://web.example"), ("Access-Control-Request-Headers", "content-type")]),
    ] {
        stage.http_at_once(method, "/call", headers, call);
    }
    for body in [
        &b""[..],
        b"{",
        b"nonsense",
        b"[]",
        b"\"x\"",
        b"{}",
        b"{\"procedure\":\"observatory.\xff\"}",
        br#"{"procedure":1}"#,
        br#"{"procedure":null}"#,
        br#"{"procedure":""}"#,
        br#"{"procedure":"observatory.a b"}"#,
        br#"{"procedure":"observatory..b"}"#,
        br#"{"procedure":"observatory.x","args":{}}"#,
        br#"{"procedure":"observatory.x","args":5}"#,
        br#"{"procedure":"observatory.x","kwargs":[]}"#,
        br#"{"procedure":"observatory.x","args":null,"kwargs":null}"#,
        br#"{"procedure":"observatory.x","options":{"timeout":5}}"#,
        br#"{"procedure":"otherroot.x"}"#,
        br#"{"procedure":"wamp.session.list"}"#,
    ] {
        stage.http_at_once("POST", "/call", &[], body);
    }

    // Calls that are answered.
    stage.join("A");
    let uri = stage.uri("a");
    stage.register("A", &uri);
    let answers = [
        say!({}),
        say!([["HostManager"]]),
        say!([[null]]),
        say!([[1, 2.5, "ä", {"k": []}]]),
        say!([[], {"k": 1}]),
        say!([[1], {"k": {"l": null}}]),
    ];
    for answer in answers {
        let body = format!(r#"{{"procedure":"{uri}","args":["wait",null,0.5],"kwargs":{{"timeout":3}}}}"#);
        let request = stage.http("POST", "/call", &[], body.as_bytes());
        let invocation = stage.hear_id("A", 1);
        let mut message = vec![70.into(), invocation.into(), say!({})];
        message.extend(answer.as_list().unwrap_or_default().iter().cloned());
        stage.say("A", &message.into());
        stage.http_answer(request);
    }
    for error in [say!(["my.error"]), say!(["my.error", ["boom"]]), say!(["my.error", ["boom"], {"k": 1}])] {
        let body = format!(r#"{{"procedure":"{uri}"}}"#);
        let request = stage.http("POST", "/call", &[], body.as_bytes());
        let invocation = stage.hear_id("A", 1);
        let mut message = vec![8.into(), 68.into(), invocation.into(), say!({})];
        message.extend(error.as_list().unwrap_or_default().iter().cloned());
        stage.say("A", &message.into());
        stage.http_answer(request);
    }

    // A big request and a big answer.
    let text = "x".repeat(3_000_000);
    let body = format!(r#"{{"procedure":"{uri}","args":["{text}"]}}"#);
    let request = stage.http("POST", "/call", &[], body.as_bytes());
    let invocation = stage.hear_quietly("A");
    let arguments = invocation.as_list().map(|invocation| (invocation[1].clone(), invocation[4].clone()));
    let Some((request_id, arguments)) = arguments else { panic!("no INVOCATION") };
    stage.say_quietly("A", &vec![70.into(), request_id, say!({}), arguments].into());
    stage.http_size(request);

    // Other paths: the status alone.
    for (method, path) in [("GET", "/info"), ("GET", "/nothere"), ("POST", "/info"), ("GET", "/ws")] {
        let status = stage.http_status(method, path);
        stage.note(format!("{method} {path} -> {status}"));
    }
}
