//! Where our router answers otherwise than crossbar on purpose, and why.

/// Lines of crossbar's transcript, those of ours in their place, and why. It must occur, and may do so several times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Difference {
    pub(crate) script: &'static str,
    pub(crate) crossbar: &'static [&'static str],
    pub(crate) ours: &'static [&'static str],
    pub(crate) why: &'static str,
}

const fn differs(
    script: &'static str,
    crossbar: &'static [&'static str],
    ours: &'static [&'static str],
    why: &'static str,
) -> Difference {
    Difference { script, crossbar, ours, why }
}

const NO_RESET: &str = "one bad name in one request should not cost a peer its connection and all it holds";
const SKIPPED: &str =
    "a caller that gives up is answered at once (WAMP, Call Canceling); crossbar never answers it";
const TRUTH: &str =
    "with mode kill the caller hears the callee's last word (WAMP, Call Canceling); crossbar drops it";
const HELLO_FIRST: &str = "a peer that must say HELLO first is told so by closing";
const CLIENTS_FAULT: &str =
    "a request that is no call is the client's mistake and answered with 400 and the reason";
const NOT_ASKED_FOR: &str = "a caller that did not ask for progress would take a step for the result";
const ONE_CALLEE: &str = "shared registration is not offered (nor announced in WELCOME)";
const MODE_TOLD: &str = "the default mode is named, as the callee should not have to know it";

pub(crate) const INTENDED: &[Difference] = &[
    differs(
        "joins",
        &["B < closed 1011"],
        &[
            r#"B < [3,{"message":"no realm \"not a realm\" exists on this router"},"wamp.error.no_such_realm"]"#,
        ],
        "a realm that does not exist is answered in one way",
    ),
    differs(
        "joins",
        &[r#"B < [3,{"message":"no realm assigned"},"wamp.error.no_such_realm"]"#],
        &["B < closed 1002"],
        "null is no realm in the protocol",
    ),
    differs(
        "joins",
        &[
            r#"B < [3,{"message":"cannot authenticate [2] using any of the offered authmethods ['ticket']"},"wamp.error.no_auth_method"]"#,
        ],
        &[
            r#"B < [3,{"message":"cannot authenticate using any of the offered authmethods [\"ticket\"]"},"wamp.error.no_auth_method"]"#,
        ],
        "the text alone",
    ),
    differs("before hello", &["A < silence"], &["A < closed 1002"], HELLO_FIRST),
    differs("before hello", &["A < silence"], &["A < closed 1000"], HELLO_FIRST),
    differs(
        "goodbye",
        &["A < closed 1011"],
        &[r#"A < [6,{},"wamp.close.normal"]"#],
        "who leaves may leave, whatever reason it gives",
    ),
    differs("violations", &[], &["A < closed 1002"], "a second HELLO breaks the protocol; crossbar hides it"),
    differs(
        "violations",
        &["A < closed 1002"],
        &[
            r#"A < [8,48,9007199254740993,{},"wamp.error.no_such_procedure",["no callee registered for procedure <observatory.x>"]]"#,
        ],
        "request ids are the peer's own, a large one harms nobody",
    ),
    differs("violations", &["A < closed 1002"], &[], "null for no arguments is understood"),
    differs(
        "violations",
        &["A < closed 1002"],
        &[
            r#"A < [8,64,1,{},"wamp.error.option_not_allowed",["a procedure has one callee here; invoke=\"bogus\" is not offered"]]"#,
        ],
        ONE_CALLEE,
    ),
    differs("frames", &["A < closed 1002"], &[], "an empty frame holds no message"),
    differs("names", &["A < closed 1011"], &[r#"A < [8,16,4,{},"wamp.error.invalid_uri",["…"]]"#], NO_RESET),
    differs("names", &["A < closed 1011"], &[r#"A < [8,32,4,{},"wamp.error.invalid_uri",["…"]]"#], NO_RESET),
    differs("names", &["A < closed 1011"], &[r#"A < [8,48,4,{},"wamp.error.invalid_uri",["…"]]"#], NO_RESET),
    differs("names", &["A < closed 1011"], &[r#"A < [8,64,4,{},"wamp.error.invalid_uri",["…"]]"#], NO_RESET),
    differs("names", &["A < closed 1011"], &[], "as above; a publisher that wants no answer gets none"),
    differs(
        "names",
        &[
            r#"A < [8,32,4,{},"wamp.error.not_authorized",["session (session_id=…, authid=…, authrole=\"iocs_agent\") is not authorized to subscribe to topic \"\" on realm \"test_realm\""]]"#,
        ],
        &[r#"A < [8,32,4,{},"wamp.error.invalid_uri",["…"]]"#],
        "the empty name is no name, whoever asks",
    ),
    differs(
        "permission",
        &[
            r#"A < [8,16,3,{},"wamp.error.not_authorized",["session not authorized to publish to topic 'foo.bar'"]]"#,
        ],
        &[
            r#"A < [8,16,3,{},"wamp.error.not_authorized",["session (session_id=…, authid=…, authrole=\"iocs_agent\") is not authorized to publish to topic \"foo.bar\" on realm \"test_realm\""]]"#,
        ],
        "the text alone: all four actions are refused in the same words",
    ),
    differs(
        "registrations",
        &[r#"A < [65,9,"registration3"]"#],
        &[
            r#"A < [8,64,9,{},"wamp.error.option_not_allowed",["a procedure has one callee here; invoke=\"roundrobin\" is not offered"]]"#,
        ],
        ONE_CALLEE,
    ),
    differs(
        "audience",
        &[r#"A < [36,"subscription1","publication5"]"#],
        &[],
        "who lists nobody as eligible wants to reach nobody (WAMP, Subscriber Black- and Whitelisting)",
    ),
    differs(
        "progress",
        &[r#"A < [68,"invocation2","registration1",{"receive_progress":false}]"#],
        &[r#"A < [68,"invocation2","registration1"]"#],
        "false says the same as nothing",
    ),
    differs("progress", &[r#"B < [50,8,{"progress":true},[1]]"#], &[], NOT_ASKED_FOR),
    differs("progress", &[r#"B < [50,8,{"progress":true},[2]]"#], &[], NOT_ASKED_FOR),
    differs("cancel", &[], &[r#"B < [8,48,20,{},"wamp.error.canceled"]"#], SKIPPED),
    differs(
        "cancel",
        &[r#"B < [8,48,20,{},"wamp.error.canceled"]"#],
        &[r#"B < [8,48,20,{},"wamp.error.canceled",["stopped"]]"#],
        TRUTH,
    ),
    differs("cancel", &[r#"B < [8,48,20,{},"wamp.error.canceled"]"#], &[r#"B < [50,20,{},["late"]]"#], TRUTH),
    differs(
        "cancel",
        &[r#"B < [8,48,20,{},"wamp.error.canceled"]"#],
        &[],
        "the last word comes later, see below",
    ),
    differs("cancel", &[], &[r#"B < [50,20,{},["late"]]"#], TRUTH),
    differs(
        "cancel",
        &[r#"A < [69,"invocation10",{}]"#],
        &[r#"A < [69,"invocation10",{"mode":"killnowait"}]"#],
        MODE_TOLD,
    ),
    differs(
        "cancel",
        &[r#"A < [69,"invocation11",{}]"#],
        &[r#"A < [69,"invocation11",{"mode":"killnowait"}]"#],
        MODE_TOLD,
    ),
    differs(
        "cancel",
        &[r#"A < [69,"invocation12",{}]"#],
        &[r#"A < [69,"invocation12",{"mode":"killnowait"}]"#],
        MODE_TOLD,
    ),
    differs("cancel without interrupts", &[], &[r#"B < [8,48,20,{},"wamp.error.canceled"]"#], SKIPPED),
    differs("http", &[], &["HTTP < allow: POST,PUT,OPTIONS"], "405 must come with Allow (RFC 9110, 15.5.6)"),
    differs("http", &["HTTP < 500"], &["HTTP < 400"], CLIENTS_FAULT),
    differs("http", &["HTTP < 200"], &["HTTP < 400"], CLIENTS_FAULT),
    differs(
        "http",
        &[
            r#"HTTP < {"error":"wamp.error.no_such_procedure","args":["no callee registered for procedure <observatory.x>"],"kwargs":{}}"#,
        ],
        &[r#"HTTP < an explanation with ["error", "args", "kwargs"]"#],
        CLIENTS_FAULT,
    ),
    differs(
        "http",
        &["GET /ws -> 200"],
        &["GET /ws -> 426"],
        "a page for people is the console's, not the router's",
    ),
];

/// A run of lines that one transcript has where the other has other lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Hunk {
    crossbar: Vec<String>,
    ours: Vec<String>,
}

/// The differences that are not listed, and those listed that do not occur, as texts.
pub(crate) fn unexpected(
    script: &str,
    crossbar: &[String],
    ours: &[String],
    intended: &[Difference],
) -> Vec<String> {
    let mut unseen: Vec<&Difference> =
        intended.iter().filter(|difference| difference.script == script).collect();
    let mut problems = Vec::new();
    for (before, hunk) in hunks(crossbar, ours) {
        let is_it = |difference: &&Difference| {
            difference.script == script
                && hunk.crossbar == difference.crossbar
                && hunk.ours == difference.ours
        };
        match intended.iter().find(is_it) {
            Some(seen) => unseen.retain(|difference| *difference != seen),
            None => problems.push(format!(
                "{script}, after {before:?}:\n  crossbar: {:#?}\n  ours: {:#?}",
                hunk.crossbar, hunk.ours
            )),
        }
    }
    problems.extend(unseen.iter().map(|listed| format!("{script}: listed but not seen: {listed:#?}")));
    problems
}

/// The places where two transcripts differ, each with the line before it, by their longest common subsequence.
fn hunks(crossbar: &[String], ours: &[String]) -> Vec<(String, Hunk)> {
    let mut common = vec![vec![0_usize; ours.len() + 1]; crossbar.len() + 1];
    for i in (0..crossbar.len()).rev() {
        for j in (0..ours.len()).rev() {
            common[i][j] = if crossbar[i] == ours[j] {
                common[i + 1][j + 1] + 1
            } else {
                common[i + 1][j].max(common[i][j + 1])
            };
        }
    }
    let (mut i, mut j) = (0, 0);
    let mut found = Vec::new();
    let mut open = Hunk::default();
    let mut before = String::new();
    while i < crossbar.len() || j < ours.len() {
        if i < crossbar.len() && j < ours.len() && crossbar[i] == ours[j] {
            if open != Hunk::default() {
                found.push((before, std::mem::take(&mut open)));
            }
            before = crossbar[i].clone();
            (i, j) = (i + 1, j + 1);
        } else if j == ours.len() || (i < crossbar.len() && common[i + 1][j] >= common[i][j + 1]) {
            open.crossbar.push(crossbar[i].clone());
            i += 1;
        } else {
            open.ours.push(ours[j].clone());
            j += 1;
        }
    }
    if open != Hunk::default() {
        found.push((before, open));
    }
    found
}
