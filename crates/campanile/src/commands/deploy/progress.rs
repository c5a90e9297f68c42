//! What long steps say: a bar for each cloud on a terminal, plain lines elsewhere.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::output::print_error;

/// Between two turns of the bars.
const TICK: Duration = Duration::from_millis(120);

/// Shows the steps of several clouds at once.
pub(super) struct Progress {
    bars: Option<(MultiProgress, Mutex<BTreeMap<String, ProgressBar>>)>,
    begun: Instant,
}

impl Progress {
    pub(super) fn new() -> Self {
        let bars = std::io::stderr().is_terminal().then(|| (MultiProgress::new(), Mutex::default()));
        Self { bars, begun: Instant::now() }
    }

    /// A step of a cloud begins.
    pub(super) fn tell(&self, cloud: &str, text: &str) {
        tracing::info!(cloud, "{text}");
        let Some((all, bars)) = &self.bars else {
            print_error(&format!("{:>5.0} s  {cloud}: {text}\n", self.begun.elapsed().as_secs_f64()));
            return;
        };
        let mut bars = bars.lock().unwrap_or_else(PoisonError::into_inner);
        let bar = bars.entry(cloud.to_owned()).or_insert_with(|| {
            let bar = all.add(ProgressBar::new_spinner());
            if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed:>5} {prefix}: {wide_msg}") {
                bar.set_style(style);
            }
            bar.set_prefix(cloud.to_owned());
            bar.enable_steady_tick(TICK);
            bar
        });
        bar.set_message(text.to_owned());
    }

    /// All has ended; what was said last stays.
    pub(super) fn end(&self) {
        if let Some((_, bars)) = &self.bars {
            for bar in bars.lock().unwrap_or_else(PoisonError::into_inner).values() {
                bar.abandon();
            }
        }
    }
}
