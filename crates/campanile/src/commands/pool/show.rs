//! What the daemon says, for people.

use std::fmt::Write as _;

use comfy_table::{ContentArrangement, Table, presets::NOTHING};
use serde_json::Value;

fn text(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// `90 s`, `12 min`, `3.5 h`, `2.1 d`.
fn duration(value: &Value) -> String {
    match value.as_f64() {
        None => "-".to_owned(),
        Some(s) if s < 120.0 => format!("{s:.0} s"),
        Some(s) if s < 7200.0 => format!("{:.0} min", s / 60.0),
        Some(s) if s < 172_800.0 => format!("{:.1} h", s / 3600.0),
        Some(s) => format!("{:.1} d", s / 86_400.0),
    }
}

fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Disabled).set_header(header);
    table
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn lines(out: &mut String, table: &Table) {
    for line in table.lines() {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{}", line.trim_end());
    }
}

/// The state of the pool.
pub(crate) fn status(status: &Value, workers: bool) -> String {
    let mut out = String::new();
    let pool = &status["pool"];
    let counts = &status["counts"];
    let paused = if pool["paused"] == true { ", PAUSED" } else { "" };
    let _ = writeln!(
        out,
        "pool {}: {} nodes (at least {}, at most {}, {} spare){paused}; {}",
        text(&pool["mark"]),
        text(&counts["total"]),
        text(&pool["nodes_min"]),
        text(&pool["nodes_max"]),
        text(&pool["nodes_spare"]),
        match &status["turn"]["at"] {
            Value::Null => "no turn was taken yet".to_owned(),
            _ => format!("last turn {} ago", duration(&status["turn"]["age_s"])),
        },
    );
    match status["jobs"].as_object() {
        Some(_) => {
            let jobs = &status["jobs"];
            let _ = writeln!(
                out,
                "jobs: {} idle, {} running, {} held; {} that no worker type can run",
                text(&jobs["idle"]),
                text(&jobs["running"]),
                text(&jobs["held"]),
                text(&jobs["unrunnable"]),
            );
        }
        None => out.push_str("jobs: not known, the batch system does not answer\n"),
    }
    for side in list(&status["sides"]) {
        let state = match (&side["error"], &side["answered_ms"]) {
            (Value::String(error), _) => format!("does not answer: {error}"),
            (_, Value::Null) => "has not answered yet".to_owned(),
            _ => "answers".to_owned(),
        };
        let _ = writeln!(out, "{}: {state}", text(&side["name"]));
    }
    for entry in list(&status["backoff"]) {
        let flavor = entry["flavor"].as_str().map(|flavor| format!(" {flavor}")).unwrap_or_default();
        let _ = writeln!(
            out,
            "left alone for {}: {}{flavor} ({})",
            duration(&entry["for_s"]),
            text(&entry["cloud"]),
            text(&entry["why"])
        );
    }
    let trouble = &status["trouble"];
    for alarm in [&trouble["record"], &trouble["config"]].into_iter().chain(list(&trouble["alarms"])) {
        if let Some(alarm) = alarm.as_str() {
            let _ = writeln!(out, "TROUBLE: {alarm}");
        }
    }
    if list(&status["nodes"]).next().is_some() {
        out.push('\n');
        lines(&mut out, &nodes(&status["nodes"]));
    }
    if workers {
        out.push('\n');
        let mut table = table(&["LOOP", "STATE", "ERRORS", "LAST ERROR"]);
        for worker in list(&status["workers"]) {
            let error = worker["last_error"][1].as_str().unwrap_or("-");
            table.add_row([&text(&worker["name"]), &text(&worker["state"]), &text(&worker["errors"]), error]);
        }
        lines(&mut out, &table);
    }
    out
}

fn nodes(nodes: &Value) -> Table {
    let mut table = table(&["NODE", "CLOUD", "FLAVOR", "STATE", "FOR", "AGE", "REMARK"]);
    for node in list(nodes) {
        let cordoned = if node["cordoned"] == true { "cordoned " } else { "" };
        let remark = format!("{cordoned}{}", node["detail"].as_str().unwrap_or_default());
        table.add_row([
            text(&node["name"]),
            text(&node["cloud"]),
            text(&node["flavor"]),
            text(&node["state"]),
            duration(&node["in_state_s"]),
            duration(&node["age_s"]),
            remark.lines().next().unwrap_or_default().to_owned(),
        ]);
    }
    table
}

/// The decision in words.
pub(crate) fn why(plan: &Value) -> String {
    if plan["at"].is_null() {
        return "no decision was made yet\n".to_owned();
    }
    list(&plan["why"]).filter_map(Value::as_str).fold(String::new(), |out, line| out + line + "\n")
}

/// The decision.
pub(crate) fn plan(plan: &Value) -> String {
    let mut out = why(plan);
    for new in list(&plan["create"]) {
        let _ = writeln!(
            out,
            "+ create {} in {} as {} (for {})",
            text(&new["flavor"]),
            text(&new["cloud"]),
            text(&new["worker_type"]),
            text(&new["purpose"])
        );
    }
    for gone in list(&plan["remove"]) {
        let _ = writeln!(out, "- drain {} ({})", text(&gone["node"]), text(&gone["ending"]));
    }
    for (mark, key) in [('>', "coming"), ('<', "going")] {
        for node in list(&plan[key]) {
            let (name, state) = (text(&node["name"]), text(&node["state"]));
            let _ = writeln!(out, "{mark} {name} is {state} for {}", duration(&node["in_state_s"]));
        }
    }
    out
}

/// Events of the journal, the oldest first.
pub(crate) fn events(page: &Value) -> String {
    let mut events: Vec<&Value> = list(&page["events"]).collect();
    events.sort_by_key(|event| event["id"].as_u64());
    let mut out = String::new();
    for event in events {
        let at_ms = event["time_ms"].as_u64().unwrap_or(0);
        let time = campanile_pool::names::iso_time(at_ms);
        let _ = writeln!(out, "{time}  {}", text(&event["text"]));
    }
    out
}

/// The same of all nodes, and of the pool itself: with the name of each.
pub(super) fn events_of_all(page: &Value) -> String {
    let mut events: Vec<&Value> = list(&page["events"]).collect();
    events.sort_by_key(|event| event["id"].as_u64());
    let width = events.iter().map(|event| text(&event["subject"]).len()).max().unwrap_or(0);
    let mut out = String::new();
    for event in events {
        let time = campanile_pool::names::iso_time(event["time_ms"].as_u64().unwrap_or(0));
        let _ = writeln!(out, "{time}  {:<width$}  {}", text(&event["subject"]), text(&event["text"]));
    }
    out
}

/// Servers that were asked for by name.
pub(super) fn adoption(answer: &Value, confirm: bool) -> String {
    let mut out = String::new();
    let mut table = table(&["SERVER", "CLOUD", "STATUS", "FLAVOR", "ID", ""]);
    for server in list(&answer["found"]) {
        let cells = ["name", "cloud", "status", "flavor", "id", "state"].map(|key| text(&server[key]));
        table.add_row(cells);
    }
    lines(&mut out, &table);
    for name in list(&answer["missing"]) {
        let _ = writeln!(out, "{}: no cloud has a server of this name", text(name));
    }
    for problem in list(&answer["problems"]) {
        let _ = writeln!(out, "{}", text(problem));
    }
    if !confirm && list(&answer["found"]).any(|server| server["state"] == "can be adopted") {
        out.push_str("Nothing was changed. Say --yes to adopt them.\n");
    }
    out
}
