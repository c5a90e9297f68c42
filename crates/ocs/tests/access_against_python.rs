//! The rules of access control, compared with what the Python package does with the same rules and passwords.

#![allow(clippy::unwrap_used, reason = "a test ends at the first thing that is wrong")]

#[path = "common/python.rs"]
mod python;

use campanile_ocs::agent::access::{AccessControl, Caller, CredLevel, Policy};
use campanile_ocs::client::Passwords;
use campanile_ocs::scope::{Scope, matches};
use campanile_ocs::secret::Secret;
use campanile_testkit::Peers;
use fastrand::Rng;
use python::python_answers;
use serde_json::{Value as Json, json};

const AGENT: [&str; 2] = ["FakeDataAgent", "faker1"];
const MD5_OF_B: &str = "92eb5ffee6ae2fec";

fn one<'a>(rng: &mut Rng, of: &[&'a str]) -> &'a str {
    of[rng.usize(..of.len())]
}

/// A pattern of random pieces. A backward range before a `!` is not among them: Python's fnmatch turns `[c-a!b]` into
/// its opposite.
fn pattern(rng: &mut Rng) -> String {
    let pieces = [
        "*", "?", "a", "b", "f", "faker", "Fake", "Agent", "1", "-", ",", ",!", "[ab]", "[!a]", "[a-f]",
        "[f-a]", "[!f-a]", "[]a]", "[!]]", "[a-]", "[--b]", "[^a]", "[", "]", "[]", "[!]", "[a-c-f]",
        "[a\\-f]", "[[a]", ".", "é", "[à-ü]", "$", "^", "\\",
    ];
    let mut text = if rng.u8(..4) == 0 { "!".to_owned() } else { String::new() };
    for _ in 0..rng.usize(..6) {
        text.push_str(one(rng, &pieces));
    }
    text
}

fn scope(rng: &mut Rng) -> Json {
    let mut side = |own: &str| match rng.u8(..5) {
        0 | 1 => json!(null),
        2 => json!(own),
        3 => json!(format!("{}*", &own[..3])),
        _ => json!(pattern(rng)),
    };
    let (agent_class, instance_id) = (side(AGENT[0]), side(AGENT[1]));
    json!({"default": rng.u8(..3) == 0, "agent_class": agent_class, "instance_id": instance_id})
}

fn rule(rng: &mut Rng) -> Json {
    let passwords = [
        json!({"hash": "none", "value": ""}),
        json!({"hash": "none"}),
        json!({"hash": "none", "value": "a"}),
        json!({"hash": "none", "value": "é\u{0}x"}),
        json!({"hash": "md5", "value": MD5_OF_B}),
        json!({"hash": "md5", "value": ""}),
        json!({"hash": "md5", "value": "d41d8cd98f00b204"}),
        json!({"hash": "md5", "value": MD5_OF_B.to_uppercase()}),
        json!({"hash": "blocked"}),
        json!({"hash": "blocked", "value": "a"}),
    ];
    let mut rule =
        json!({"hashed_pass": passwords[rng.usize(..passwords.len())], "cred_level": rng.u8(..=4)});
    if rng.u8(..4) > 0 {
        rule["scope_spec"] = scope(rng);
    }
    if rng.bool() {
        rule["lockout_id"] = json!([Some("cam"), Some("o'neil"), Some("\"'"), None][rng.usize(..4)]);
        rule["lockout_owner"] = json!([Some("me"), Some("you\n"), None][rng.usize(..3)]);
        rule["lockout_levels"] = (0..rng.usize(..3)).map(|_| json!(rng.u8(..=4))).collect();
    }
    rule
}

/// OCS lists lockouts in the order of a hash table.
fn in_order(remark: &str) -> String {
    let Some((head, lockouts)) = remark.split_once(": [") else { return remark.to_owned() };
    let mut lockouts: Vec<&str> = lockouts.trim_end_matches(']').split(", ").collect();
    lockouts.sort_unstable();
    format!("{head}: [{}]", lockouts.join(", "))
}

#[test]
fn passwords_give_the_levels_that_they_give_in_ocs() {
    let Some(peers) = Peers::require() else { return };
    let mut rng = Rng::with_seed(1);
    let given = [json!(null), json!(""), json!("a"), json!("b"), json!("é\u{0}x"), json!(MD5_OF_B)];
    let (mut cases, mut ours) = (Vec::new(), Vec::new());
    for _ in 0..3000 {
        let rules: Vec<Json> = (0..rng.usize(..6)).map(|_| rule(&mut rng)).collect();
        let policy = Policy::parse(Some("director:d")).unwrap();
        let mut control = AccessControl::new(policy, AGENT[0], AGENT[1], 0.0);
        let message = json!({"reset": true, "ac_version": 1, "step": 1, "rules": rules});
        assert_eq!(control.take(&message, 1.0), Ok(true));
        let password = &given[rng.usize(..given.len())];
        let secret = password.as_str().map(Secret::new);
        let verdict = control.level(Caller::Client { password: secret.as_ref() });
        ours.push(json!([verdict.level.number(), in_order(&verdict.remark)]));
        cases.push(json!({"rules": rules, "password": password}));
    }
    let answer = r#"
from ocs import access
agent = access.AgentSpec(instance_id="faker1", agent_class="FakeDataAgent", superuser_key=object())
def answer(case):
    config = access.agent_get_policy_default("director:d")
    config.rules = [access.AccessRule(**rule) for rule in case["rules"]]
    level, detail = access.agent_get_creds(case["password"], config, agent)
    return [int(level), detail]
"#;
    let theirs = python_answers(&peers, answer, &cases);
    for ((case, ours), theirs) in cases.iter().zip(&ours).zip(theirs) {
        let theirs = json!([theirs[0], in_order(theirs[1].as_str().unwrap())]);
        assert_eq!(*ours, theirs, "{case}");
    }
    let levels = |level: i64| ours.iter().filter(|ours| ours[0] == level).count();
    assert!((0..=4).all(|level| levels(level) > 50), "the cases are one-sided");
}

#[test]
fn patterns_match_and_rank_as_in_ocs() {
    let Some(peers) = Peers::require() else { return };
    let mut rng = Rng::with_seed(2);
    let texts =
        ["", "a", "b", "f", "faker1", "FakeDataAgent", "-", "]", "[", "ab-", "a\nb", "é", "^", "$a", "\\"];
    let (mut cases, mut ours) = (Vec::new(), Vec::new());
    for _ in 0..6000 {
        let (pattern, text, scope) = (pattern(&mut rng), one(&mut rng, &texts), scope(&mut rng));
        let read: Scope = serde_json::from_value(scope.clone()).unwrap();
        ours.push(json!([
            matches(&pattern, text),
            read.covers("FakeDataAgent", "faker1"),
            read.specificity()
        ]));
        cases.push(json!({"pattern": pattern, "text": text, "scope": scope}));
    }
    let answer = r#"
from ocs import access
agent = access.AgentSpec(instance_id="faker1", agent_class="FakeDataAgent")
def answer(case):
    scope = access.ScopeSpec(**case["scope"])
    return [access.pattern_match(case["text"], case["pattern"]), scope.check(agent), scope.get_specificity()]
"#;
    let theirs = python_answers(&peers, answer, &cases);
    for ((case, ours), theirs) in cases.iter().zip(&ours).zip(theirs) {
        assert_eq!(*ours, theirs, "{case}");
    }
}

#[test]
fn policies_are_read_as_by_ocs() {
    let Some(peers) = Peers::require() else { return };
    let texts = [
        json!(null),
        json!(""),
        json!("none"),
        json!("None"),
        json!("none:"),
        json!("override:a,b"),
        json!("override:,b"),
        json!("override:a,"),
        json!("override:,"),
        json!("override:a,a"),
        json!("override:a:x,b,c"),
        json!("override:"),
        json!("override:a"),
        json!("override"),
        json!("director:d"),
        json!("director:"),
        json!("director"),
        json!("x:y"),
    ];
    let cases: Vec<Json> = texts.to_vec();
    let ours: Vec<Json> = texts
        .iter()
        .map(|text| {
            let Ok(policy) = Policy::parse(text.as_str()) else { return json!(null) };
            let director = match &policy {
                Policy::Director { instance_id } => Some(instance_id.clone()),
                _ => None,
            };
            let word = policy.word();
            let control = AccessControl::new(policy, "A", "a", 0.0);
            let level = |text: &str| {
                control.level(Caller::Client { password: Some(&Secret::new(text)) }).level.number()
            };
            let levels = ["", "a", "b", "c", "a:x"].map(level);
            json!([word, director, levels])
        })
        .collect();
    let answer = r#"
from ocs import access
agent = access.AgentSpec(instance_id="a", agent_class="A", superuser_key=object())
def answer(text):
    try:
        config = access.agent_get_policy_default(text)
    except (ValueError, IndexError):
        return None
    levels = [int(access.agent_get_creds(pw, config, agent)[0]) for pw in ["", "a", "b", "c", "a:x"]]
    return [config.policy, config.director_id, levels]
"#;
    assert_eq!(ours, python_answers(&peers, answer, &cases));
}

#[test]
fn clients_choose_the_password_that_ocs_chooses() {
    let Some(peers) = Peers::require() else { return };
    let mut rng = Rng::with_seed(3);
    let dir = tempfile::TempDir::new().unwrap();
    let (mut cases, mut ours) = (Vec::new(), Vec::new());
    for number in 0..500 {
        let entries: Vec<Json> = (0..rng.usize(1..6))
            .map(|index| {
                let mut entry = scope(&mut rng);
                let keys: Vec<String> = entry.as_object().unwrap().keys().cloned().collect();
                for key in keys {
                    if rng.u8(..4) == 0 {
                        entry.as_object_mut().unwrap().remove(&key);
                    }
                }
                for level in 1..=4 {
                    if rng.bool() {
                        let password =
                            if rng.u8(..8) == 0 { json!(null) } else { json!(format!("{index}-{level}")) };
                        entry[format!("password_{level}")] = password;
                    }
                }
                entry
            })
            .collect();
        let path = dir.path().join(format!("{number}.yaml"));
        std::fs::write(&path, serde_json::to_string_pretty(&entries).unwrap()).unwrap();
        let (passwords, diagnostics) = Passwords::load(&path);
        let passwords = passwords.unwrap_or_else(|| panic!("{}", diagnostics.render(false)));
        for level in [CredLevel::Basic, CredLevel::Advanced, CredLevel::Full] {
            let chosen = passwords.choose(level, AGENT[0], AGENT[1]).map_or("", Secret::reveal);
            ours.push(json!(chosen));
            cases.push(json!({"file": path, "level": level.number(), "entries": entries}));
        }
    }
    let answer = r#"
import os
from ocs import access
def answer(case):
    os.environ["OCS_PASSWORDS_FILE"] = case["file"]
    return access.client_get_password(case["level"], "FakeDataAgent", "faker1") or ""
"#;
    let theirs = python_answers(&peers, answer, &cases);
    for ((case, ours), theirs) in cases.iter().zip(&ours).zip(theirs) {
        assert_eq!(*ours, theirs, "{case}");
    }
    assert!(ours.iter().filter(|chosen| **chosen != "").count() > 300, "the cases are one-sided");
}
