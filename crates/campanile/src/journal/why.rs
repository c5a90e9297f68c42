//! An instance explained in plain words. Pure.

use campanile_control::journal::{Event, kinds};
use serde_json::{Value, json};

use super::show;
use crate::fleet::report::Child;
use crate::render::duration::short;

/// So far back restarts are counted, in seconds.
pub(crate) const WINDOW_S: f64 = 3600.0;

/// What is known of an instance.
pub(crate) struct Facts<'a> {
    pub(crate) instance_id: &'a str,
    /// Its HostManager.
    pub(crate) manager: &'a str,
    pub(crate) host: Option<&'a str>,
    /// What the HostManager says of it, or why it says nothing.
    pub(crate) child: Result<&'a Child, &'a str>,
    /// Its newest events, the oldest first.
    pub(crate) events: &'a [Event],
    /// What is to be known about them.
    pub(crate) note: Option<&'a str>,
    pub(crate) now_s: f64,
}

impl Facts<'_> {
    fn last(&self, kind: &str) -> Option<&Event> {
        self.events.iter().rev().find(|event| event.kind == kind)
    }

    /// How often it was launched after a crash, within the window.
    fn restarts(&self) -> usize {
        let begin_ms = ((self.now_s - WINDOW_S).max(0.0) * 1000.0) as u64;
        let mut has_crashed = false;
        let mut restarts = 0;
        for event in self.events {
            if event.kind == kinds::CRASH {
                has_crashed = true;
            } else if event.fields.get("state").is_some_and(|state| state == "wait_start" || state == "up") {
                restarts += usize::from(has_crashed && event.time_ms >= begin_ms);
                has_crashed = false;
            }
        }
        restarts
    }

    /// The summary in one line.
    fn summary(&self) -> String {
        let mut parts = vec![match self.child {
            Ok(child) => child.state().to_owned(),
            Err(why) => format!("not known: {why}"),
        }];
        match self.restarts() {
            0 => {}
            1 => parts.push("1 restart in the last hour".to_owned()),
            count => parts.push(format!("{count} restarts in the last hour")),
        }
        if let Some(crash) = self.last(kinds::CRASH) {
            let is_today =
                show::utc(crash.time_ms)[..10] == show::utc((self.now_s.max(0.0) * 1000.0) as u64)[..10];
            let at = if is_today { show::clock(crash.time_ms) } else { show::utc(crash.time_ms) };
            parts.push(format!("last crash {at} UTC {}", reason(crash)));
        } else if let Ok(Child { last_exit: Some(exit), .. }) = self.child {
            parts.push(format!("its last run ended with {}", exit.reason));
        }
        if let Ok(Child { next_at: Some(at), next_action, .. }) = self.child {
            let what = if next_action == "start_at" { "next attempt" } else { "next step" };
            parts.push(format!("{what} in {} s", (at - self.now_s).max(0.0).ceil()));
        }
        parts.join(", ")
    }

    /// For people.
    pub(crate) fn text(&self) -> String {
        let place = self.host.map_or_else(String::new, |host| format!("on {host}, "));
        let mut out = format!("{} ({place}by {}): {}\n", self.instance_id, self.manager, self.summary());
        let mut add = |line: String| out.push_str(&format!("  {line}\n"));
        if let Ok(child) = self.child {
            let since =
                child.since.map_or_else(String::new, |since| format!(" for {}", short(self.now_s - since)));
            let pid = child.pid.map_or_else(String::new, |pid| format!(", process {pid}"));
            let why = child.reason.as_deref().map_or_else(String::new, |why| format!(": {why}"));
            add(format!("target {}, {}{since}{pid}{why}", child.target_state, child.next_action));
            if child.restart_required {
                add("a newer image is there; it comes into use with a restart".to_owned());
            }
        }
        if let Some(request) = self.last(kinds::REQUEST) {
            let by = request
                .actor
                .as_ref()
                .map_or_else(String::new, |actor| format!(", by {}, from {}", actor.who, actor.from));
            add(format!("last request {} UTC: {}{by}", show::utc(request.time_ms), request.text));
        }
        if let Some(crash) = self.last(kinds::CRASH) {
            add(format!("last crash {} UTC: {}", show::utc(crash.time_ms), crash.text));
            for (name, stream) in [("stderr_tail", "stderr"), ("stdout_tail", "stdout")] {
                for line in crash.fields.get(name).and_then(Value::as_str).unwrap_or_default().lines() {
                    add(format!("  {stream}: {line}"));
                }
            }
        }
        if let Some(note) = self.note {
            add(format!("note: {note}"));
        }
        out
    }

    /// For programs.
    pub(crate) fn json(&self) -> Value {
        let child = self.child.ok();
        let event = |event: &Event| json!({ "time_ms": event.time_ms, "text": event.text, "actor": event.actor, "fields": event.fields });
        json!({
            "instance_id": self.instance_id,
            "manager": self.manager,
            "host": self.host,
            "state": child.map(Child::state),
            "target": child.map(|child| child.target_state.as_str()),
            "reason": child.map_or_else(|| self.child.err(), |child| child.reason.as_deref()),
            "pid": child.and_then(|child| child.pid),
            "since": child.and_then(|child| child.since),
            "next_at": child.and_then(|child| child.next_at),
            "restarts_last_hour": self.restarts(),
            "last_crash": self.last(kinds::CRASH).map(event),
            "last_request": self.last(kinds::REQUEST).map(event),
            "summary": self.summary(),
        })
    }
}

/// How a crash is told in a summary: `SIGSEGV`, `exit code 2`.
fn reason(crash: &Event) -> String {
    let reason = crash.fields.get("reason").and_then(Value::as_str).unwrap_or(&crash.text);
    match reason.split_once('(').and_then(|(_, rest)| rest.split_once(')')) {
        Some((signal, _)) if reason.starts_with("signal ") => signal.to_owned(),
        _ => reason.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_S: f64 = 1_795_653_930.0;

    fn event(seconds_ago: u64, kind: &str, text: &str, fields: Value) -> Event {
        let time_ms = 1_795_653_930_000 - seconds_ago * 1000;
        serde_json::from_value(json!({
            "id": time_ms * 1000, "time_ms": time_ms, "subject": "thermo1", "kind": kind, "text": text,
            "fields": fields,
        }))
        .unwrap()
    }

    fn crash(seconds_ago: u64) -> Event {
        let fields = json!({"reason": "signal 11 (SIGSEGV)", "signal": 11, "stderr_tail": "no such device"});
        event(seconds_ago, "crash", "ended by itself after 2 min: signal 11 (SIGSEGV)", fields)
    }

    fn launch(seconds_ago: u64) -> Event {
        event(seconds_ago, "state", "is launched", json!({"state": "wait_start"}))
    }

    fn facts<'a>(child: Result<&'a Child, &'a str>, events: &'a [Event]) -> Facts<'a> {
        Facts {
            instance_id: "thermo1",
            manager: "hm-1",
            host: Some("lab-1"),
            child,
            events,
            note: None,
            now_s: NOW_S,
        }
    }

    #[test]
    fn a_restless_instance_is_explained_in_one_line_and_its_details() {
        let child = Child::from_json(&json!({
            "instance_id": "thermo1", "next_action": "start_at", "target_state": "up", "stability": 0.9,
            "since": NOW_S - 3.0, "next_at": NOW_S + 7.4, "reason": "it failed: signal 11 (SIGSEGV)",
        }))
        .unwrap();
        let mut request = event(4000, "request", "up was asked for", json!({"target": "up"}));
        request.actor =
            Some(campanile_control::journal::Actor::new("user alice (uid 1000)", "bus, 10.0.0.7:4"));
        let events = [
            crash(9000),
            launch(8900),
            request,
            crash(900),
            launch(800),
            crash(600),
            launch(500),
            crash(300),
            launch(290),
            event(289, "state", "is up", json!({"state": "up"})),
            crash(3),
        ];
        insta::assert_snapshot!(facts(Ok(&child), &events).text(), @r#"
        thermo1 (on lab-1, by hm-1): start_at, 3 restarts in the last hour, last crash 00:45:27 UTC SIGSEGV, next attempt in 8 s
          target up, start_at for 3s: it failed: signal 11 (SIGSEGV)
          last request 2026-11-25 23:38:50 UTC: up was asked for, by user alice (uid 1000), from bus, 10.0.0.7:4
          last crash 2026-11-26 00:45:27 UTC: ended by itself after 2 min: signal 11 (SIGSEGV)
            stderr: no such device
        "#);
    }

    #[test]
    fn a_quiet_instance_needs_few_words() {
        let child = Child::from_json(&json!({
            "instance_id": "thermo1", "next_action": "up", "target_state": "up", "stability": 1.0, "pid": 7,
            "since": NOW_S - 7500.0, "reason": "it runs as it should",
        }))
        .unwrap();
        insta::assert_snapshot!(facts(Ok(&child), &[]).text(), @r#"
        thermo1 (on lab-1, by hm-1): up
          target up, up for 2h05m, process 7: it runs as it should
        "#);
    }

    #[test]
    fn without_its_manager_the_journal_still_tells() {
        let events = [crash(30)];
        let facts = facts(Err("its HostManager is down"), &events);
        insta::assert_snapshot!(facts.text(), @r#"
        thermo1 (on lab-1, by hm-1): not known: its HostManager is down, last crash 00:45:00 UTC SIGSEGV
          last crash 2026-11-26 00:45:00 UTC: ended by itself after 2 min: signal 11 (SIGSEGV)
            stderr: no such device
        "#);
        let text = "ended by itself after 2 min: signal 11 (SIGSEGV)";
        let fields = json!({"reason": "signal 11 (SIGSEGV)", "signal": 11, "stderr_tail": "no such device"});
        let expected = json!({
            "instance_id": "thermo1", "manager": "hm-1", "host": "lab-1", "state": null, "target": null,
            "reason": "its HostManager is down", "pid": null, "since": null, "next_at": null,
            "restarts_last_hour": 0,
            "last_crash": {"time_ms": 1_795_653_900_000_u64, "text": text, "actor": null, "fields": fields},
            "last_request": null,
            "summary": "not known: its HostManager is down, last crash 00:45:00 UTC SIGSEGV",
        });
        assert_eq!(facts.json(), expected);
    }
}
