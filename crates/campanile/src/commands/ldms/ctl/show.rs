//! Answers for people: tables where daemons answer with lists, one block for daemons that say the same.

use std::fmt::Write as _;

use campanile_ldms::hostlist;
use serde_json::{Map, Value};

use super::answer::{Answer, Conversation};
use crate::render::table;

/// Daemons that are named one by one where something went wrong.
const NAMED: usize = 20;

/// What was answered.
pub(super) fn answers(conversations: &[Conversation]) -> String {
    if let [only] = conversations {
        return one(only);
    }
    // Daemons that say the same are shown once, in the order of the first of each.
    let mut blocks: Vec<(String, Vec<&str>)> = Vec::new();
    for conversation in conversations.iter().filter(|conversation| !conversation.results.is_empty()) {
        let text = one(conversation);
        match blocks.iter_mut().find(|(known, _)| *known == text) {
            Some((_, daemons)) => daemons.push(&conversation.daemon),
            None => blocks.push((text, vec![&conversation.daemon])),
        }
    }
    let mut out = String::new();
    for (text, daemons) in blocks {
        // Writing to a String cannot fail.
        let _ = match daemons.len() {
            1 => writeln!(out, "--- {}", daemons[0]),
            count => writeln!(out, "--- {} ({count} daemons)", hostlist::fold(&daemons)),
        };
        out.push_str(if text.is_empty() { "done\n" } else { &text });
    }
    out
}

fn one(conversation: &Conversation) -> String {
    let several = conversation.results.len() > 1;
    let mut out = String::new();
    for answer in &conversation.results {
        let text = reply(answer);
        if several && !text.is_empty() {
            let _ = writeln!(out, "> {}", answer.command);
        }
        out.push_str(&text);
    }
    out
}

/// A refusal's text is told on the error output.
fn reply(answer: &Answer) -> String {
    if answer.errcode != Some(0) {
        return String::new();
    }
    match &answer.reply {
        Value::Null => String::new(),
        Value::Array(rows) => list(rows),
        Value::Object(fields) => record(fields),
        Value::String(text) => format!("{}\n", text.trim_end()),
        scalar => format!("{scalar}\n"),
    }
}

/// Text of a value that has no parts.
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::Null => Some("-".to_owned()),
        Value::String(text) if text.is_empty() => Some("-".to_owned()),
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        Value::Array(items) => {
            let texts: Option<Vec<String>> =
                items.iter().map(|item| (!item.is_array()).then(|| scalar(item)).flatten()).collect();
            texts.map(|texts| if texts.is_empty() { "-".to_owned() } else { texts.join(",") })
        }
        Value::Object(_) => None,
    }
}

/// A list of objects as a table; what has parts itself comes below each row's table, as a table of its own.
fn list(rows: &[Value]) -> String {
    if rows.is_empty() {
        return "(none)\n".to_owned();
    }
    let objects: Option<Vec<&Map<String, Value>>> = rows.iter().map(Value::as_object).collect();
    let Some(objects) = objects else {
        return rows
            .iter()
            .map(|row| format!("{}\n", scalar(row).unwrap_or_else(|| row.to_string())))
            .collect();
    };
    let mut columns: Vec<&str> = Vec::new();
    // Keys whose values have parts somewhere: they are counted.
    let mut counted: Vec<&str> = Vec::new();
    for (key, value) in objects.iter().flat_map(|object| object.iter()) {
        if !columns.contains(&key.as_str()) {
            columns.push(key);
        }
        if scalar(value).is_none() && !counted.contains(&key.as_str()) {
            counted.push(key);
        }
    }
    let cell = |object: &Map<String, Value>, column: &str| match object.get(column) {
        Some(Value::Array(parts)) if counted.contains(&column) => parts.len().to_string(),
        Some(Value::Object(parts)) => parts.len().to_string(),
        Some(value) => scalar(value).unwrap_or_default(),
        None => String::new(),
    };
    let mut shown = table::plain_table();
    shown.set_header(columns.iter().map(|column| column.to_uppercase()));
    for object in &objects {
        shown.add_row(columns.iter().map(|column| cell(object, column)));
    }
    let mut out = String::new();
    for line in shown.lines() {
        let line = line.strip_prefix(' ').unwrap_or(&line);
        let _ = writeln!(out, "{}", line.trim_end());
    }
    for object in &objects {
        let name = object.get("name").and_then(scalar).unwrap_or_default();
        for (key, value) in object.iter().filter(|(_, value)| scalar(value).is_none()) {
            let part = match value {
                Value::Array(rows) => list(rows),
                Value::Object(fields) => record(fields),
                other => format!("{other}\n"),
            };
            let _ = writeln!(out, "{key} of {name}:");
            out.extend(part.lines().map(|line| format!("  {line}\n")));
        }
    }
    out
}

/// An object, a line for each field.
fn record(fields: &Map<String, Value>) -> String {
    let mut out = String::new();
    for (key, value) in fields {
        match (scalar(value), value) {
            (Some(text), _) => {
                let _ = writeln!(out, "{key}: {text}");
            }
            (None, Value::Array(rows)) => {
                let _ = writeln!(out, "{key}:");
                out.extend(list(rows).lines().map(|line| format!("  {line}\n")));
            }
            (None, Value::Object(fields)) => {
                let _ = writeln!(out, "{key}:");
                out.extend(record(fields).lines().map(|line| format!("  {line}\n")));
            }
            (None, other) => {
                let _ = writeln!(out, "{key}: {other}");
            }
        }
    }
    out
}

/// What went wrong, a line each; nothing when nothing did. The same trouble of several daemons is told once.
pub(super) fn problems(conversations: &[Conversation]) -> String {
    let mut kinds: Vec<(String, Vec<&str>)> = Vec::new();
    let mut tell = |text: String, daemon| match kinds.iter_mut().find(|(known, _)| *known == text) {
        Some((_, daemons)) if daemons.last() == Some(&daemon) => {}
        Some((_, daemons)) => daemons.push(daemon),
        None => kinds.push((text, vec![daemon])),
    };
    for conversation in conversations {
        let daemon = conversation.daemon.as_str();
        if let Some(error) = &conversation.error {
            tell(error.clone(), daemon);
        }
        for answer in conversation.results.iter().filter(|answer| answer.errcode != Some(0)) {
            tell(answer.error.clone().unwrap_or_else(|| format!("{}: no answer", answer.command)), daemon);
        }
    }
    let mut out = String::new();
    for (text, daemons) in kinds {
        let folded = if daemons.len() > NAMED {
            let (some, more) = (hostlist::fold(&daemons[..NAMED]), daemons.len() - NAMED);
            format!("{some} and {more} more")
        } else {
            hostlist::fold(&daemons)
        };
        let _ = writeln!(out, "error: {folded}: {text}");
    }
    if !out.is_empty() && conversations.len() > 1 {
        let failed = conversations.iter().filter(|conversation| !conversation.is_clean()).count();
        let _ = writeln!(out, "{failed} of {} daemons failed", conversations.len());
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn answered(daemon: &str, command: &str, reply: Value) -> Conversation {
        let answer = Answer { command: command.to_owned(), errcode: Some(0), error: None, reply };
        Conversation { daemon: daemon.to_owned(), error: None, results: vec![answer] }
    }

    #[test]
    fn lists_are_tables_and_what_has_parts_comes_below() {
        let reply = json!([
            {"name": "p1", "host": "n1", "port": 411, "state": "CONNECTED",
             "sets": [{"inst_name": "n1/meminfo", "state": "READY"}]},
            {"name": "p2", "host": "n2", "port": 411, "state": "STOPPED", "sets": []},
        ]);
        let text = answers(&[answered("a:1", "prdcr_status", reply)]);
        let expected = "\
NAME  HOST  PORT  STATE      SETS
p1    n1    411   CONNECTED  1
p2    n2    411   STOPPED    0
sets of p1:
  INST_NAME   STATE
  n1/meminfo  READY
";
        assert_eq!(text, expected);
    }

    #[test]
    fn daemons_that_say_the_same_are_shown_once() {
        let ready = || json!({"state": "ready"});
        let mut all: Vec<Conversation> =
            (1..=3).map(|n| answered(&format!("node-{n}:411"), "daemon_status", ready())).collect();
        all.push(answered("login:411", "daemon_status", json!({"state": "odd"})));
        all.push(answered("quiet:411", "prdcr_stop name=p", Value::Null));
        let text = answers(&all);
        assert_eq!(
            text,
            "--- node-[1-3]:411 (3 daemons)\nstate: ready\n--- login:411\nstate: odd\n--- quiet:411\ndone\n"
        );
        assert_eq!(problems(&all), "");
    }

    #[test]
    fn what_went_wrong_is_told_once_for_all_daemons_it_happened_to() {
        let mut all: Vec<Conversation> =
            (1..=30).map(|n| answered(&format!("n{n}:411"), "x", Value::Null)).collect();
        for conversation in &mut all[..25] {
            conversation.error = Some("cannot connect: Connection refused".to_owned());
        }
        let refused = all[29].results.first_mut().unwrap();
        refused.errcode = Some(16);
        refused.error = Some("prdcr_start: busy (EBUSY)".to_owned());
        assert_eq!(
            problems(&all),
            "error: n[1-20]:411 and 5 more: cannot connect: Connection refused\n\
             error: n30:411: prdcr_start: busy (EBUSY)\n26 of 30 daemons failed\n"
        );
    }
}
