//! Tables without lines, as all commands show them.

use comfy_table::{ContentArrangement, Table, presets};

/// How to paint.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Style {
    pub(crate) colour: bool,
    /// Columns of the terminal; unlimited without one.
    pub(crate) width: Option<u16>,
}

/// An empty table that wraps its cells to the terminal, or never on a pipe.
pub(crate) fn table_in(style: Style) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    if style.colour {
        table.enforce_styling();
    } else {
        table.force_no_tty();
    }
    match style.width {
        Some(width) => {
            table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width.saturating_sub(1));
        }
        None => {
            table.set_content_arrangement(ContentArrangement::Disabled);
        }
    }
    table
}

/// An empty table for texts without colours, as wide as it needs.
pub(crate) fn plain_table() -> Table {
    table_in(Style { colour: false, width: None })
}

/// The table as text, a step in, without blanks at the ends of lines.
pub(crate) fn indented(table: &Table) -> String {
    table.lines().map(|line| format!(" {}\n", line.trim_end())).collect()
}

/// A text of several lines, two steps in.
pub(crate) fn indented_text(text: &str) -> String {
    let line = |line: &str| if line.is_empty() { "\n".to_owned() } else { format!("  {line}\n") };
    text.lines().map(line).collect()
}
