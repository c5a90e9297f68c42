//! How things are said to people. Pure text.

use crate::model::{End, Ended};

/// `one process`, `3 processes`.
#[must_use]
pub fn processes(count: u32) -> String {
    match count {
        1 => "one process".to_owned(),
        count => format!("{count} processes"),
    }
}

/// What is said of a site config in which some entries are broken.
#[must_use]
pub fn broken_entries(count: usize) -> String {
    let entries = if count == 1 { "One entry" } else { "Some entries" };
    format!(
        "{entries} of the site config cannot be used ({count}); what is tracked already keeps its last good form. \
         All others are as the file says."
    )
}

/// A duration as people say it: `0.4 s`, `12 s`, `3 min`, `5 h`, `2 d`.
#[must_use]
pub fn duration(ms: u64) -> String {
    const MINUTE: u64 = 60_000;
    const HOUR: u64 = 60 * MINUTE;
    const DAY: u64 = 24 * HOUR;
    match ms {
        0..10_000 => format!("{:.1} s", ms as f64 / 1000.0),
        10_000..MINUTE => format!("{} s", ms / 1000),
        MINUTE..HOUR => format!("{} min", ms / MINUTE),
        HOUR..DAY => format!("{} h", ms / HOUR),
        DAY.. => format!("{} d", ms / DAY),
    }
}

/// What is said of an unexpected end: how it ended, and the last lines of both outputs. Lines that were already shown
/// at the end before are not repeated, since all messages go to every client with every poll.
#[must_use]
pub fn end_messages(name: &str, ended: &Ended, before: Option<&Ended>) -> Vec<String> {
    let first = match &ended.how {
        End::Code(code) => format!("Detected exit of {name} with code {code}."),
        End::Signal { .. } => format!("Detected exit of {name} by {}.", ended.how),
        End::Unknown => format!(
            "Detected exit of {name} with code unknown (adopted): the system tells only the parent of a process how \
             it ended, and that was an earlier manager."
        ),
        End::NotStarted(why) => format!("Launch of {name} failed: {why}"),
    };
    let mut messages = vec![first];
    let stderr_before = before.map_or("", |before| before.stderr_tail.as_str());
    let stdout_before = before.map_or("", |before| before.stdout_tail.as_str());
    for (stream, tail, tail_before) in
        [("stderr", &ended.stderr_tail, stderr_before), ("stdout", &ended.stdout_tail, stdout_before)]
    {
        if tail.is_empty() {
            continue;
        }
        let text = if tail == tail_before { "(the same lines as before)" } else { tail.as_str() };
        messages.push(format!("{stream} output from {name}: {text}"));
    }
    messages
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(how: End, stdout_tail: &str, stderr_tail: &str) -> Ended {
        let (stdout_tail, stderr_tail) = (stdout_tail.to_owned(), stderr_tail.to_owned());
        Ended { how, at_ms: 0, ran_ms: 0, stdout_tail, stderr_tail }
    }

    #[test]
    fn an_end_is_told_with_its_cause_and_both_outputs() {
        let signal = End::Signal { number: 11, core: true };
        let said = end_messages("A:a", &ended(signal, "measuring", "Segfault"), None);
        assert_eq!(said[0], "Detected exit of A:a by signal 11 (SIGSEGV), core dumped.");
        assert_eq!(&said[1..], ["stderr output from A:a: Segfault", "stdout output from A:a: measuring"]);
        assert_eq!(
            end_messages("A:a", &ended(End::Code(2), "", ""), None),
            ["Detected exit of A:a with code 2."]
        );
    }

    #[test]
    fn the_same_lines_are_not_told_twice() {
        let end = ended(End::Code(1), "", "no such device");
        let said = end_messages("A:a", &end, Some(&end.clone()));
        assert_eq!(said[1], "stderr output from A:a: (the same lines as before)");
    }

    #[test]
    fn durations_have_one_sensible_unit() {
        let said: Vec<String> = [0, 400, 9_999, 12_345, 61_000, 7_200_000, 200_000_000].map(duration).into();
        assert_eq!(said, ["0.0 s", "0.4 s", "10.0 s", "12 s", "1 min", "2 h", "2 d"]);
    }
}
