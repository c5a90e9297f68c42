//! The status report of `ocsbow`, to the byte as the original prints it.

use std::fmt::Write as _;

use crate::fleet::survey::{Fleet, HostView, Warning};

/// Columns never get narrower than this; wider ones follow their longest value.
const ID_WIDTH_MIN: usize = 20;
const CLASS_WIDTH_MIN: usize = 30;
const STATE_WIDTH: usize = 10;

/// What stands above the tables.
pub(crate) struct Heading<'a> {
    pub(crate) site_file: &'a str,
    /// The HTTP bridge of the router, or its websocket when the site config names no bridge.
    pub(crate) router_url: &'a str,
    /// Why the router could not be used, if so.
    pub(crate) router_problem: Option<&'a str>,
}

/// Renders the whole report, ending with an empty line.
pub(crate) fn render(heading: &Heading<'_>, fleet: &Fleet, extra_notes: &[String]) -> String {
    let mut out = String::new();
    out.push_str("ocs status\n----------\n\n");
    line(&mut out, format_args!("The site config file is :\n  {}\n", heading.site_file));
    line(&mut out, format_args!("The crossbar base url is :\n  {}", heading.router_url));
    if let Some(problem) = heading.router_problem {
        line(&mut out, format_args!("  ****Warning**** {problem}"));
    }
    out.push('\n');
    for host in &fleet.hosts {
        table(&mut out, host);
    }
    if !fleet.warnings.is_empty() || !extra_notes.is_empty() {
        out.push_str("Important Notes:\n");
        for note in extra_notes {
            line(&mut out, format_args!("  {note}"));
        }
        for warning in &fleet.warnings {
            line(&mut out, format_args!("  {}", note(warning)));
        }
        out.push('\n');
    }
    out
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{text}");
}

fn table(out: &mut String, host: &HostView) {
    let widest = |min: usize, cell: fn(&crate::fleet::survey::Row) -> &str| {
        host.rows.iter().map(|row| cell(row).chars().count()).fold(min, usize::max)
    };
    let id_width = widest(ID_WIDTH_MIN, |row| &row.instance_id);
    let class_width = widest(CLASS_WIDTH_MIN, |row| &row.class_shown);
    let cells = |id: &str, class: &str, state: &str, target: &str| {
        format!("  {id:id_width$} {class:class_width$} {state:>STATE_WIDTH$} {target:>STATE_WIDTH$}")
    };
    let header = cells("[instance-id]", "[agent-class]", "[state]", "[target]");
    line(out, format_args!("{}", "-".repeat(header.chars().count())));
    line(out, format_args!("Host: {}\n\n{header}", host.name));
    for row in &host.rows {
        line(out, format_args!("{}", cells(&row.instance_id, &row.class_shown, &row.state, &row.target)));
    }
    out.push('\n');
}

fn note(warning: &Warning) -> String {
    match warning {
        Warning::DeclaredTwice { instance_id } => format!(
            "***WARNING -- site config contains multiple entries with instance-id={instance_id}; ignoring all but first."
        ),
        Warning::ReportedTwice { manager, instance_id } => format!(
            "***WARNING -- HostManager {manager} reports multiple states for instance-id={instance_id}; ignoring all but first."
        ),
        Warning::NoAnswer { manager, problem } => {
            format!("***WARNING -- state of HostManager {manager} unknown: {problem}.")
        }
        Warning::Unreadable { manager, file, message } => {
            format!("***WARNING -- HostManager {manager} cannot use {file}: {message}")
        }
        Warning::Inconsistent => "***WARNING -- where agent-class value contains a slash (/) it indicates an \
             inconsistency between the local Site Config (pre-slash) and HostManager reported (post-slash) Agent \
             Class values."
            .to_owned(),
    }
}

/// What to add to the notes when a HostManager did not reload its configuration.
pub(crate) const RELOAD_FAILED_NOTE: &str =
    "***WARNING -- failed to request reload_config on some HostManagers.";

#[cfg(test)]
mod tests;
