//! Commands with what a daemon answers to them, as text: recorded from a real daemon, compared with any.

use campanile_ldms::client::Client;
use serde_json::Value;

use super::tell;

/// Sends every command of the transcript (the lines that begin with `> `) and writes the transcript anew.
///
/// Of JSON only the form is kept: keys and kinds of values, since the values are figures and times. Numbers of the
/// port in texts are replaced.
pub(crate) async fn replay(client: &Client, transcript: &str, port: u16) -> String {
    let mut out = String::new();
    for line in transcript.lines() {
        let Some(command) = line.strip_prefix("> ") else {
            if line.is_empty() || line.starts_with('#') {
                out.push_str(line);
                out.push('\n');
            }
            continue;
        };
        let command_line = command.replace("{port}", &port.to_string());
        let (errcode, text) = tell(client, &command_line).await;
        let text = match serde_json::from_str::<Value>(&text) {
            Ok(json) if json.is_object() || json.is_array() => form(&json),
            // Where plugins lie differs from place to place.
            _ => text
                .replace("/opt/ldms/lib/ovis-ldms/", "")
                .trim_end()
                .replace(&port.to_string(), "{port}")
                .replace('\n', "\\n"),
        };
        out.push_str(&format!("> {command}\n{}\n", format!("{errcode} {text}").trim_end()));
    }
    out
}

/// `{name:s port:n sets:[{…}]}`: keys, and the kinds of values; a list has the form of its first element.
fn form(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(_) => "b".to_owned(),
        Value::Number(_) => "n".to_owned(),
        Value::String(_) => "s".to_owned(),
        Value::Array(items) => format!("[{}]", items.first().map(form).unwrap_or_default()),
        Value::Object(fields) => {
            // A histogram has another form as soon as enough was counted.
            let of = |key: &str, value| if key == "hist" { "{}".to_owned() } else { form(value) };
            let fields: Vec<String> =
                fields.iter().map(|(key, value)| format!("{key}:{}", of(key, value))).collect();
            format!("{{{}}}", fields.join(" "))
        }
    }
}

/// Commands that are answered differently in two transcripts, each with both answers.
pub(crate) fn differences(recorded: &str, found: &str) -> Vec<String> {
    let (old, new) = (exchanges(recorded), exchanges(found));
    assert_eq!(old.len(), new.len(), "the transcripts have different commands");
    let differ = old.iter().zip(&new).filter(|(old, new)| old != new);
    differ
        .map(|((command, old), (_, new))| format!("{command}\n  recorded {old}\n  found    {new}"))
        .collect()
}

fn exchanges(transcript: &str) -> Vec<(&str, &str)> {
    let mut lines = transcript.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut exchanges = Vec::new();
    while let Some(command) = lines.next() {
        exchanges.push((command, lines.next().unwrap_or_default()));
    }
    exchanges
}
