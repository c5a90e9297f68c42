//! The picture of the demo on a terminal.

use crate::fleet::survey::Fleet;
use crate::render::duration::short;
use crate::render::status;
use crate::render::table::Style;

/// So many events are kept for the picture.
pub(crate) const EVENTS_SHOWN: usize = 8;

/// What the picture shows.
pub(crate) struct Scene<'a> {
    pub(crate) router_url: &'a str,
    /// Since the start of the demo.
    pub(crate) elapsed_s: f64,
    /// Unix time in seconds.
    pub(crate) now: f64,
    pub(crate) fleet: &'a Fleet,
    pub(crate) caption: &'a str,
    /// The latest events, oldest first: when, in seconds since the start, and what.
    pub(crate) events: &'a [(f64, String)],
    /// What to try in another terminal.
    pub(crate) hints: &'a str,
}

/// Draws the picture, at most `height` lines; when that is too little, events and hints give way before the tables.
pub(crate) fn frame(scene: &Scene<'_>, style: Style, height: usize) -> Vec<String> {
    let bold = |text: &str| if style.colour { format!("\x1b[1m{text}\x1b[0m") } else { text.to_owned() };
    let dim = |text: &str| if style.colour { format!("\x1b[2m{text}\x1b[0m") } else { text.to_owned() };
    let mut lines = vec![
        format!("{}  up for {}, router {}", bold("campanile demo"), short(scene.elapsed_s), scene.router_url),
        String::new(),
    ];
    lines.extend(status::render(scene.fleet, scene.now, style).lines().map(str::to_owned));
    lines.push(bold(scene.caption));
    let hints: Vec<String> = std::iter::once(String::new()).chain(scene.hints.lines().map(dim)).collect();
    let left = height.saturating_sub(lines.len() + hints.len());
    let shown = scene.events.len().min(EVENTS_SHOWN).min(left);
    let latest = scene.events.len() - shown;
    for (at_s, text) in scene.events.iter().skip(latest) {
        lines.push(event_line(*at_s, text));
    }
    if lines.len() + hints.len() <= height {
        lines.extend(hints);
    }
    lines.truncate(height);
    lines
}

/// One event as a line.
pub(crate) fn event_line(at_s: f64, text: &str) -> String {
    format!("{:>7}  {text}", short(at_s))
}

/// The bytes that replace the last picture on the terminal by this one, without flicker.
pub(crate) fn redraw(lines: &[String]) -> String {
    // Home; each line clears its own rest; at the end everything below is cleared.
    let mut out = String::from("\x1b[H");
    for (index, line) in lines.iter().enumerate() {
        if index > 0 {
            out.push_str("\r\n");
        }
        out.push_str(line);
        out.push_str("\x1b[K");
    }
    out.push_str("\x1b[J");
    out
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::fleet::declared::{DeclaredHost, DeclaredInstance, Management};

    fn fleet(instances: usize) -> Fleet {
        let instances = (0..instances)
            .map(|index| DeclaredInstance {
                instance_id: format!("a{index}"),
                agent_class: "A".into(),
                management: Management::Host,
                problem: None,
            })
            .collect();
        Fleet::build(&[DeclaredHost { problem: None, name: "dome".into(), instances }], &BTreeMap::new())
    }

    fn draw(fleet: &Fleet, height: usize) -> Vec<String> {
        let events: Vec<(f64, String)> = (0..20).map(|n| (f64::from(n), format!("event {n}"))).collect();
        let scene = Scene {
            router_url: "ws://127.0.0.1:8001/ws",
            elapsed_s: 61.0,
            now: 0.0,
            fleet,
            caption: "The agents are coming up.",
            events: &events,
            hints: "In another terminal:\n  campanile status",
        };
        frame(&scene, Style { colour: false, width: None }, height)
    }

    #[test]
    fn a_tall_terminal_shows_tables_events_and_hints() {
        let lines = draw(&fleet(2), 40);
        assert_eq!(lines[0], "campanile demo  up for 1m01s, router ws://127.0.0.1:8001/ws");
        assert!(lines.iter().any(|line| line.contains("event 19")), "{lines:#?}");
        assert!(!lines.iter().any(|line| line.contains("event 11")), "only the latest: {lines:#?}");
        assert_eq!(lines.last().unwrap(), "  campanile status");
    }

    #[test]
    fn a_short_terminal_drops_events_first_and_is_never_overrun() {
        let lines = draw(&fleet(2), 13);
        assert!(lines.len() <= 13);
        assert!(lines.iter().any(|line| line.contains("coming up")), "{lines:#?}");
        assert!(lines.iter().any(|line| line.contains("campanile status")), "{lines:#?}");
        assert!(draw(&fleet(50), 10).len() <= 10);
    }

    #[test]
    fn a_redraw_leaves_nothing_of_the_last_picture() {
        let bytes = redraw(&["one".into(), "two".into()]);
        assert_eq!(bytes, "\x1b[Hone\x1b[K\r\ntwo\x1b[K\x1b[J");
    }
}
