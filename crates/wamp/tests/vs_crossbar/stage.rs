//! Where a script is played: named peers on one router, and a transcript in which ids have names.

use std::collections::{BTreeMap, HashMap};
use std::thread::JoinHandle;
use std::time::Duration;

use campanile_testkit::http_request;
use campanile_wamp::{Dict, Value};

use crate::peer::{Heard, RawPeer, hello};

/// How long the absence of an answer is waited for, where there is no later answer to tell it by.
const SILENCE: Duration = Duration::from_millis(700);
/// The headers of an HTTP answer that clients depend on.
const HEADERS: [&str; 8] = [
    "access-control-allow-origin",
    "access-control-allow-credentials",
    "access-control-allow-headers",
    "access-control-allow-methods",
    "allow",
    "cache-control",
    "content-type",
    "sec-websocket-protocol",
];

/// What a script plays on.
pub(crate) struct Stage {
    port: u16,
    /// The subprotocol of peers that join without naming one.
    protocol: &'static str,
    /// Part of every URI, so that scripts do not meet.
    script: String,
    peers: BTreeMap<&'static str, RawPeer>,
    names: Names,
    pub(crate) transcript: Vec<String>,
}

/// Names for the ids in the order in which they were first seen.
#[derive(Default)]
struct Names {
    ids: HashMap<u64, String>,
    counts: HashMap<&'static str, usize>,
    /// Request ids of INVOCATIONs belong to one callee.
    invocations: HashMap<(&'static str, u64), String>,
}

impl Names {
    fn next(&mut self, kind: &'static str) -> String {
        let count = self.counts.entry(kind).or_default();
        *count += 1;
        format!("{kind}{count}")
    }

    fn id(&mut self, kind: &'static str, id: &Value) {
        // Those of a script are small, those of a router are drawn from 2^53.
        let Some(id) = id.as_u64().filter(|&id| id > 1 << 20) else { return };
        if !self.ids.contains_key(&id) {
            let name = self.next(kind);
            self.ids.insert(id, name);
        }
    }

    /// An INVOCATION has come.
    fn new_invocation(&mut self, callee: &'static str, id: &Value) -> Value {
        let Some(id) = id.as_u64() else { return id.clone() };
        let name = self.next("invocation");
        self.invocations.insert((callee, id), name.clone());
        Value::from(name)
    }

    fn invocation(&self, callee: &'static str, id: &Value) -> Value {
        let name = id.as_u64().and_then(|id| self.invocations.get(&(callee, id)));
        name.map_or_else(|| id.clone(), |name| Value::from(name.as_str()))
    }

    /// The message with names for ids, without what the routers need not have in common.
    fn in_names(&mut self, peer: &'static str, message: &Value) -> Value {
        let Value::List(mut message) = message.clone() else { return message.clone() };
        match (message.first().and_then(Value::as_u64).unwrap_or_default(), message.as_mut_slice()) {
            (2, [_, session, details]) => {
                if let Some(id) = session.as_u64() {
                    self.ids.insert(id, format!("session {peer}"));
                }
                *details = welcome(details);
            }
            (17, [_, _, id]) => self.id("publication", id),
            (33, [_, _, id]) => self.id("subscription", id),
            (36, [_, subscription, publication, ..]) => {
                self.id("subscription", subscription);
                self.id("publication", publication);
            }
            (50, [_, _, Value::Dict(details), ..]) => {
                // Who the callee was, which crossbar tells and nobody asks for.
                for key in ["callee", "callee_authid", "callee_authrole"] {
                    details.remove(key);
                }
            }
            (65, [_, _, id]) => self.id("registration", id),
            (68, [_, request, registration, ..]) => {
                *request = self.new_invocation(peer, request);
                self.id("registration", registration);
            }
            (69 | 70, [_, request, ..]) => *request = self.invocation(peer, request),
            (8, [_, Value::Int(68), request, ..]) => *request = self.invocation(peer, request),
            // What exactly is wrong with a name is for people to read.
            (8, [_, _, _, _, Value::Str(error), arguments]) if error == "wamp.error.invalid_uri" => {
                *arguments = say!(["…"]);
            }
            _ => {}
        }
        // Arguments that are there but empty say the same as none.
        while message.len() > 3 && message.last().is_some_and(is_empty) {
            message.pop();
        }
        self.replace(Value::List(message))
    }

    fn replace(&self, value: Value) -> Value {
        match value {
            Value::Int(_) | Value::UInt(_) => {
                let name = value.as_u64().and_then(|id| self.ids.get(&id));
                name.map_or(value, |name| Value::from(name.as_str()))
            }
            Value::List(items) => items.into_iter().map(|item| self.replace(item)).collect::<Vec<_>>().into(),
            Value::Dict(dict) => {
                let dict: Dict = dict.into_iter().map(|(key, value)| (key, self.replace(value))).collect();
                dict.into()
            }
            Value::Str(text) => without_identity(&text).into(),
            other => other,
        }
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::List(items) => items.is_empty(),
        Value::Dict(dict) => dict.is_empty(),
        _ => false,
    }
}

/// What every router must tell in WELCOME.
fn welcome(details: &Value) -> Value {
    let mut common = Dict::new();
    for key in ["realm", "authrole", "authmethod"] {
        common.insert(key, details.get(key).cloned());
    }
    for role in ["broker", "dealer"] {
        let known = details.get("roles").and_then(|roles| roles.get(role));
        common.insert(role, known.is_some());
    }
    common.into()
}

/// Takes session id and authid out of the text of a refusal.
fn without_identity(text: &str) -> String {
    let Some((before, rest)) = text.split_once("(session_id=") else { return text.to_owned() };
    let Some((_, after)) = rest.split_once(", authrole") else { return text.to_owned() };
    format!("{before}(session_id=…, authid=…, authrole{after}")
}

impl Stage {
    pub(crate) fn new(port: u16, protocol: &'static str, script: &str) -> Self {
        Self {
            port,
            protocol,
            script: script.replace(' ', "-"),
            peers: BTreeMap::new(),
            names: Names::default(),
            transcript: Vec::new(),
        }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// A URI of this script.
    pub(crate) fn uri(&self, rest: &str) -> String {
        format!("observatory.{}.{rest}", self.script)
    }

    pub(crate) fn note(&mut self, line: impl Into<String>) {
        self.transcript.push(line.into());
    }

    /// A connection without a session.
    pub(crate) fn connect(&mut self, name: &'static str) {
        self.peers.insert(name, RawPeer::connect(self.port, self.protocol));
    }

    pub(crate) fn connect_with(&mut self, name: &'static str, protocol: &str) {
        self.peers.insert(name, RawPeer::connect(self.port, protocol));
    }

    /// A joined session.
    pub(crate) fn join(&mut self, name: &'static str) {
        self.join_with(name, self.protocol);
    }

    pub(crate) fn join_with(&mut self, name: &'static str, protocol: &str) {
        self.connect_with(name, protocol);
        self.say(name, &hello());
        self.hear(name);
    }

    /// The connection is gone, without a word.
    pub(crate) fn vanish(&mut self, name: &'static str) {
        self.note(format!("{name} vanishes"));
        self.peers.remove(name);
    }

    fn peer(&mut self, name: &'static str) -> &mut RawPeer {
        self.peers.get_mut(name).unwrap_or_else(|| panic!("no peer {name}"))
    }

    pub(crate) fn say(&mut self, name: &'static str, message: &Value) {
        let shown = self.names.in_names(name, message);
        self.note(format!("{name} > {}", shown.to_json()));
        self.peer(name).send(message);
    }

    /// As [`Self::say`], without a line in the transcript.
    pub(crate) fn say_quietly(&mut self, name: &'static str, message: &Value) {
        self.peer(name).send(message);
    }

    /// As [`Self::hear`], without a line in the transcript.
    pub(crate) fn hear_quietly(&mut self, name: &'static str) -> Value {
        self.peer(name).message()
    }

    /// Sends a frame as it is.
    pub(crate) fn say_frame(&mut self, name: &'static str, frame: Vec<u8>) {
        self.note(format!("{name} > frame {:?}", String::from_utf8_lossy(&frame)));
        self.peer(name).send_frame(frame);
    }

    /// Waits for one message, or the end.
    pub(crate) fn hear(&mut self, name: &'static str) -> Value {
        let heard = self.peer(name).hear();
        self.record(name, heard)
    }

    /// Everything that has arrived until now.
    pub(crate) fn settle(&mut self, name: &'static str) -> Vec<Value> {
        let heard = self.peer(name).heard_so_far();
        heard.into_iter().map(|heard| self.record(name, heard)).collect()
    }

    /// For a peer in no session: what arrives within a while, or silence.
    pub(crate) fn hear_or_silence(&mut self, name: &'static str) {
        match self.peer(name).hear_within(SILENCE) {
            Some(heard) => {
                self.record(name, heard);
            }
            None => self.note(format!("{name} < silence")),
        }
    }

    fn record(&mut self, name: &'static str, heard: Heard) -> Value {
        match heard {
            Heard::Message(message) => {
                let shown = self.names.in_names(name, &message);
                self.note(format!("{name} < {}", shown.to_json()));
                message
            }
            Heard::Closed(code) => {
                self.note(format!(
                    "{name} < closed {}",
                    code.map_or("without code".into(), |code| code.to_string())
                ));
                Value::Null
            }
        }
    }

    /// The next message is awaited; one of its ids is returned.
    pub(crate) fn hear_id(&mut self, name: &'static str, at: usize) -> u64 {
        let message = self.hear(name);
        let id = message.as_list().and_then(|elements| elements.get(at)).and_then(Value::as_u64);
        id.unwrap_or_else(|| panic!("{name}: no id in {message:?}"))
    }

    pub(crate) fn register(&mut self, name: &'static str, procedure: &str) -> u64 {
        self.say(name, &say!([64, 1, {}, procedure]));
        self.hear_id(name, 2)
    }

    pub(crate) fn subscribe(&mut self, name: &'static str, topic: &str, matching: &str) -> u64 {
        self.say(name, &say!([32, 1, {"match": matching}, topic]));
        self.hear_id(name, 2)
    }

    pub(crate) fn session(&mut self, name: &'static str) -> u64 {
        let (id, _) = self.names.ids.iter().find(|(_, known)| **known == format!("session {name}")).unzip();
        id.copied().unwrap_or_else(|| panic!("{name} is not joined"))
    }

    /// Starts an HTTP request; [`Self::http_answer`] records its answer.
    pub(crate) fn http(
        &mut self,
        method: &'static str,
        path: &'static str,
        headers: &[(&'static str, &'static str)],
        body: &[u8],
    ) -> JoinHandle<(u16, String, Vec<u8>)> {
        let shown = String::from_utf8_lossy(&body[..body.len().min(200)]).into_owned();
        self.note(format!("HTTP > {method} {path} {headers:?} {shown}"));
        let (port, headers, body) = (self.port, headers.to_vec(), body.to_vec());
        std::thread::spawn(move || {
            http_request(port, method, path, &headers, &body)
                .unwrap_or_else(|error| panic!("{method} {path}: {error}"))
        })
    }

    pub(crate) fn http_answer(&mut self, request: JoinHandle<(u16, String, Vec<u8>)>) {
        let (status, head, body) = request.join().unwrap_or_else(|_| panic!("an HTTP request failed"));
        self.note(format!("HTTP < {status}"));
        let mut headers: Vec<String> = head
            .lines()
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| format!("{}: {value}", name.to_lowercase()))
            .filter(|line| HEADERS.iter().any(|name| line.starts_with(&format!("{name}:"))))
            .collect();
        headers.sort();
        for header in headers {
            self.note(format!("HTTP < {header}"));
        }
        let body = match serde_json::from_slice::<serde_json::Value>(&body) {
            // What exactly is wrong with a request is for people to read.
            Ok(body) if status != 200 => {
                let keys: Vec<_> = body.as_object().into_iter().flat_map(|body| body.keys()).collect();
                format!("an explanation with {keys:?}")
            }
            Ok(body) => self.names.replace(Value::from(body)).to_json().to_string(),
            Err(_) if body.is_empty() => "nothing".to_owned(),
            Err(_) => "no JSON".to_owned(),
        };
        self.note(format!("HTTP < {body}"));
    }

    /// Records how long the answer's body is, and no more.
    pub(crate) fn http_size(&mut self, request: JoinHandle<(u16, String, Vec<u8>)>) {
        let (status, _, body) = request.join().unwrap_or_else(|_| panic!("an HTTP request failed"));
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
        self.note(format!("HTTP < {status}, {:?} bytes", body["args"][0].as_str().map(str::len)));
    }

    pub(crate) fn http_status(&self, method: &str, path: &str) -> u16 {
        http_request(self.port, method, path, &[], b"")
            .unwrap_or_else(|error| panic!("{method} {path}: {error}"))
            .0
    }

    /// One HTTP request that needs nobody else.
    pub(crate) fn http_at_once(
        &mut self,
        method: &'static str,
        path: &'static str,
        headers: &[(&'static str, &'static str)],
        body: &[u8],
    ) {
        let request = self.http(method, path, headers, body);
        self.http_answer(request);
    }
}
