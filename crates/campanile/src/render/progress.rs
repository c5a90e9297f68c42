//! Bars on a terminal, one for each host, while something is waited for.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::summary::HostCount;

/// Hosts that have a bar of their own; the others share the one for all.
const BARS_MAX: usize = 16;

/// The bars; nothing is drawn where nobody would see them.
pub(crate) struct Bars {
    screen: MultiProgress,
    hosts: BTreeMap<String, ProgressBar>,
    all: ProgressBar,
}

/// Is this a terminal that can draw over what it has shown?
pub(crate) fn possible() -> bool {
    let capable = std::env::var_os("TERM").is_some_and(|term| term != "dumb" && !term.is_empty());
    capable && std::io::stdout().is_terminal() && std::io::stderr().is_terminal()
}

impl Bars {
    /// Bars for these hosts.
    pub(crate) fn new(hosts: &[String]) -> Self {
        let screen = MultiProgress::new();
        let name_width = hosts.iter().map(|name| name.chars().count()).max().unwrap_or_default();
        let bar = |name: &str| {
            let bar = screen.add(ProgressBar::new(0).with_style(style(name_width)));
            bar.set_prefix(name.to_owned());
            bar
        };
        let of_hosts = hosts.iter().take(BARS_MAX).map(|name| (name.clone(), bar(name))).collect();
        let all = bar("all");
        Self { screen, hosts: of_hosts, all }
    }

    /// Shows how far each host is.
    pub(crate) fn show(&self, counts: &BTreeMap<String, HostCount>) {
        let mut sum = HostCount::default();
        for (host, count) in counts {
            sum.reached += count.reached;
            sum.all += count.all;
            if let Some(bar) = self.hosts.get(host) {
                set(bar, count);
            } else if sum.waiting_for.is_empty() && !count.waiting_for.is_empty() {
                sum.waiting_for = format!("{host}: {}", count.waiting_for);
            }
        }
        set(&self.all, &sum);
    }

    /// Takes the bars away.
    pub(crate) fn clear(self) {
        // A terminal that does not take it has gone.
        let _ = self.screen.clear();
    }
}

fn set(bar: &ProgressBar, count: &HostCount) {
    bar.set_length(count.all);
    bar.set_position(count.reached);
    bar.set_message(count.waiting_for.clone());
}

fn style(name_width: usize) -> ProgressStyle {
    let template = format!("  {{prefix:{name_width}}}  {{bar:20}} {{pos:>4}} of {{len:4}} {{wide_msg}}");
    let style = ProgressStyle::with_template(&template);
    style.unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("=> ")
}
