//! What a router costs: ours and the real crossbar under the same load, one after the other, in one run.
//!
//! Ours runs as a process of its own: `target/release/campanile router` if it was built (or the program that
//! `$CAMPANILE_BIN` names), else this program itself. Crossbar is left out where it is not installed.
//!
//! CPU is what the kernel counted for all threads of the router's processes (`schedstat`), so the load generator's own
//! does not count; but both share the machine, and how the router is woken depends on its load: it is printed beside
//! each figure. Every loading peer is a thread of its own, blocked in its read, as separate programs would be.

#[path = "../tests/peer/mod.rs"]
#[macro_use]
mod peer;
#[path = "router/load.rs"]
mod load;
#[path = "router/target.rs"]
mod target;

use target::{Figure, Target};

/// What is measured, its unit, what the project promises (NaN: nothing), and how.
type Row = (&'static str, &'static str, f64, fn(u16, &Target) -> f64);

const ROWS: [Row; 6] = [
    ("CPU per call, 16 callers", "us", 25.0, |port, target| load::calls(port, target, 16, 1)),
    ("CPU per call, one caller with 16 calls in flight", "us", 25.0, |port, target| {
        load::calls(port, target, 1, 16)
    }),
    ("CPU per call, one caller, one at a time", "us", f64::NAN, |port, target| {
        load::calls(port, target, 1, 1)
    }),
    ("CPU per event to 10 subscribers, 1000/s", "us", 70.0, load::paced_events),
    ("CPU per event to 10 subscribers, window 32", "us", 10.0, load::flooded_events),
    ("memory with 100 agents (RSS)", "MiB", 15.0, load::memory_with_agents),
];

fn main() {
    if target::serve_if_asked() {
        return;
    }
    let only = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    println!("{:<50} {:>9} {:>9} {:>6} {:>8}   state", "router", "ours", "crossbar", "ratio", "target");
    for (name, unit, promised, measure) in ROWS {
        if only.as_ref().is_some_and(|only| !name.contains(only.as_str())) {
            continue;
        }
        let ours = Target::ours().map(|target| target.measure(measure));
        let theirs = Target::crossbar().map(|target| target.measure(measure));
        println!("{}", row(name, unit, promised, ours.as_ref(), theirs.as_ref()));
    }
}

fn row(name: &str, unit: &str, promised: f64, ours: Option<&Figure>, theirs: Option<&Figure>) -> String {
    let value =
        |figure: Option<&Figure>| figure.map_or("-".to_owned(), |figure| format!("{:.1}", figure.value));
    let ratio = match (ours, theirs) {
        (Some(ours), Some(theirs)) => format!("{:.2}", ours.value / theirs.value),
        _ => "-".to_owned(),
    };
    let target = if promised.is_nan() { String::new() } else { format!("<{promised}") };
    let state = [("ours", ours), ("crossbar", theirs)]
        .into_iter()
        .filter_map(|(who, figure)| figure.map(|figure| format!("{who}: {}", figure.state)))
        .collect::<Vec<_>>()
        .join("; ");
    let name = format!("{name} [{unit}]");
    format!("{name:<50} {:>9} {:>9} {ratio:>6} {target:>8}   {state}", value(ours), value(theirs))
}
