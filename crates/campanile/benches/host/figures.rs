//! Figures, and the table of them.

use std::fs;

/// What a figure is counted in.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Unit {
    Milliseconds,
    Mebibytes,
    /// Per cent of one core.
    Percent,
    /// How often.
    PerSecond,
    /// How many.
    Count,
}

/// A measured value, with the circumstances that one must know to judge it.
#[derive(Clone, Debug)]
pub(crate) struct Figure {
    pub(crate) value: f64,
    /// Smallest, largest, count; of a median.
    spread: Option<(f64, f64, usize)>,
    /// Load average over one minute, at the end of the measurement.
    load: f64,
}

impl Figure {
    /// A single measurement.
    pub(crate) fn single(value: f64) -> Self {
        Self { value, spread: None, load: load() }
    }

    /// The median of several. There must be one at least.
    pub(crate) fn median(mut samples: Vec<f64>) -> Self {
        samples.sort_by(f64::total_cmp);
        let count = samples.len();
        let value = f64::midpoint(samples[(count - 1) / 2], samples[count / 2]);
        Self { value, spread: Some((samples[0], samples[count - 1], count)), load: load() }
    }
}

/// One line of the table.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) what: String,
    pub(crate) unit: Unit,
    pub(crate) ours: Figure,
    pub(crate) original: Option<Figure>,
    /// Ours should be below it; in the unit of the line.
    pub(crate) target: Option<f64>,
}

/// Prints the lines as a table in Markdown.
pub(crate) fn print(lines: &[Line]) {
    println!("\nCPUs {}; one row is one measurement, ours first.\n", cpus());
    let mut rows = vec![["", "ours", "original", "ratio", "target", "", "load"].map(str::to_owned)];
    for line in lines {
        let show = |value| shown(line.unit, value);
        let figure = |figure: &Figure| match figure.spread {
            None => show(figure.value),
            Some((least, most, count)) => {
                format!("{} ({}–{}, n={count})", show(figure.value), number(least), number(most))
            }
        };
        let original = line.original.as_ref();
        rows.push([
            line.what.clone(),
            figure(&line.ours),
            original.map_or("–".to_owned(), figure),
            original.map_or("–".to_owned(), |original| ratio(original.value / line.ours.value)),
            line.target.map_or(String::new(), |target| format!("< {}", show(target))),
            line.target
                .map_or("", |target| if line.ours.value < target { "met" } else { "MISSED" })
                .to_owned(),
            original.map_or(format!("{:.1}", line.ours.load), |original| {
                format!("{:.1}, {:.1}", line.ours.load, original.load)
            }),
        ]);
    }
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..rows[0].len()).map(width).collect();
    for (index, row) in rows.iter().enumerate() {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:<width$}")).collect();
        println!("| {} |", cells.join(" | "));
        if index == 0 {
            let rules: Vec<String> = widths.iter().map(|&width| "-".repeat(width + 2)).collect();
            println!("|{}|", rules.join("|"));
        }
    }
}

fn shown(unit: Unit, value: f64) -> String {
    let unit = match unit {
        Unit::Milliseconds => "ms",
        Unit::Mebibytes => "MiB",
        Unit::Percent => "%",
        Unit::Count => return format!("{value:.0}"),
        Unit::PerSecond => "/s",
    };
    format!("{} {unit}", number(value))
}

/// Three digits that mean something.
fn number(value: f64) -> String {
    match value.abs() {
        0.0..0.1 => format!("{value:.4}"),
        0.1..1.0 => format!("{value:.3}"),
        1.0..10.0 => format!("{value:.2}"),
        10.0..100.0 => format!("{value:.1}"),
        _ => format!("{value:.0}"),
    }
}

fn ratio(value: f64) -> String {
    if value < 10.0 { format!("{value:.1}") } else { format!("{value:.0}") }
}

/// The load average over one minute.
fn load() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().and_then(|first| first.parse().ok()).unwrap_or(f64::NAN)
}

/// On which CPUs this process, and what it starts, may run.
fn cpus() -> String {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let allowed = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    let count = std::thread::available_parallelism().map_or(0, usize::from);
    format!("{} ({count} of them; `taskset` pins all of it)", allowed.unwrap_or("?").trim())
}
