//! Events as lines. Pure.

use campanile_control::journal::Event;
use serde_json::{Value, json};

/// Lines of an output that are shown with a crash.
const TAIL_LINES: usize = 5;

/// A time as people read it: `2026-11-26 00:45:14`, UTC.
pub(crate) fn utc(time_ms: u64) -> String {
    let total_s = time_ms / 1000;
    let (year, month, day) = civil_from_days(i64::try_from(total_s / 86_400).unwrap_or(0));
    let (hour, minute, second) = (total_s / 3600 % 24, total_s / 60 % 60, total_s % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}")
}

/// The same without the day: `00:45:14`.
pub(crate) fn clock(time_ms: u64) -> String {
    utc(time_ms)[11..].to_owned()
}

/// The inverse of counting days from 1970-01-01 in the Gregorian calendar, with years that begin in March.
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// An event as a line, with the last words of a crash below it.
pub(crate) fn line(manager: &str, event: &Event) -> String {
    let Event { subject, kind, text, .. } = event;
    let mut out = format!("{}  {manager:<12} {subject:<16} {kind:<8} {text}", utc(event.time_ms));
    if let Some(actor) = &event.actor {
        out.push_str(&format!("; by {}, from {}", actor.who, actor.from));
    }
    out.push('\n');
    for (name, shown) in [("stderr_tail", "stderr"), ("stdout_tail", "stdout")] {
        let Some(tail) = event.fields.get(name).and_then(Value::as_str) else { continue };
        let lines: Vec<&str> = tail.lines().collect();
        for line in &lines[lines.len().saturating_sub(TAIL_LINES)..] {
            out.push_str(&format!("    {shown}: {line}\n"));
        }
    }
    if let Some(Value::Array(told)) = event.fields.get("told").filter(|_| event.kind == "config") {
        for remark in told.iter().filter_map(Value::as_str).filter(|remark| !text.contains(remark)) {
            out.push_str(&format!("    {remark}\n"));
        }
    }
    out
}

/// An event as a line of JSON: the event, and `manager` before it.
pub(crate) fn json_line(manager: &str, event: &Event) -> String {
    let mut object = json!({ "manager": manager });
    if let (Some(object), Ok(Value::Object(event))) = (object.as_object_mut(), serde_json::to_value(event)) {
        object.extend(event);
    }
    format!("{object}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event() -> Event {
        serde_json::from_value(json!({
            "id": 1_795_653_915_244_974_u64, "time_ms": 1_795_653_915_244_u64, "subject": "thermo1", "kind": "crash",
            "text": "ended by itself after 0.3 s: signal 11 (SIGSEGV); launched again in 3.0 s",
            "actor": {"who": "user alice (uid 1000)", "from": "control socket, process 7"},
            "fields": {"signal": 11, "stderr_tail": "1\n2\n3\n4\n5\noops"},
        }))
        .unwrap()
    }

    #[test]
    fn a_line_has_time_place_cause_and_last_words() {
        insta::assert_snapshot!(line("hm-1", &event()), @r"
        2026-11-26 00:45:15  hm-1         thermo1          crash    ended by itself after 0.3 s: signal 11 (SIGSEGV); launched again in 3.0 s; by user alice (uid 1000), from control socket, process 7
            stderr: 2
            stderr: 3
            stderr: 4
            stderr: 5
            stderr: oops
        ");
    }

    #[test]
    fn the_json_of_an_event_is_one_object_per_line() {
        insta::assert_snapshot!(json_line("hm-1", &event()).trim_end(), @r#"{"manager":"hm-1","id":1795653915244974,"time_ms":1795653915244,"subject":"thermo1","kind":"crash","text":"ended by itself after 0.3 s: signal 11 (SIGSEGV); launched again in 3.0 s","actor":{"who":"user alice (uid 1000)","from":"control socket, process 7"},"fields":{"signal":11,"stderr_tail":"1\n2\n3\n4\n5\noops"}}"#);
    }

    #[test]
    fn days_are_counted_as_the_calendar_does() {
        for (time_ms, shown) in [
            (0, "1970-01-01 00:00:00"),
            (951_782_400_000, "2000-02-29 00:00:00"),
            (951_868_799_999, "2000-02-29 23:59:59"),
            (4_107_542_400_000, "2100-03-01 00:00:00"),
        ] {
            assert_eq!(utc(time_ms), shown);
        }
        assert_eq!(clock(951_868_799_999), "23:59:59");
    }
}
