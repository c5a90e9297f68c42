//! The log of an agent: lines on standard output and in `{log-dir}/{address}.log`, in the two forms that OCS writes.
//!
//! Lines go through a bounded queue to one task, so that a slow disk never holds up the agent; when the queue is full,
//! lines are dropped and the drop is said once there is room again. Nothing runs while nothing is logged.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;

/// Lines that may wait to be written.
pub const MAX_QUEUED_LINES: usize = 4096;
/// How long the end of an agent waits for its last lines to be written.
const FLUSH_TIMEOUT: Duration = Duration::from_secs(2);

/// Where an agent logs to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogOptions {
    /// The directory for the log file; it is not created. `None` for no file.
    pub dir: Option<PathBuf>,
    /// Whether lines go to standard output.
    pub stdout: bool,
}

/// The log of an agent. Clones write to the same log.
#[derive(Clone, Debug)]
pub struct AgentLog {
    queue: mpsc::Sender<Entry>,
    dropped: Arc<AtomicU64>,
}

#[derive(Debug)]
enum Entry {
    Line { time_s: f64, text: String },
    Flush(tokio::sync::oneshot::Sender<()>),
}

impl AgentLog {
    /// Opens the log of the agent at `address`. A log file that cannot be opened is a warning in the log itself,
    /// never an error: an agent that cannot log still has its work to do.
    #[must_use]
    pub fn open(options: &LogOptions, address: &str) -> Self {
        let (queue, entries) = mpsc::channel(MAX_QUEUED_LINES);
        let log = Self { queue, dropped: Arc::default() };
        let file = match &options.dir {
            None => None,
            Some(dir) => match open_file(dir, address) {
                Ok(file) => Some(file),
                Err(problem) => {
                    log.line(super::unix_now_s(), problem);
                    None
                }
            },
        };
        tokio::spawn(write_entries(entries, file, options.stdout, Arc::clone(&log.dropped)));
        log
    }

    /// Writes one line. Line breaks inside the text stay: OCS writes them, too.
    pub fn line(&self, time_s: f64, text: impl Into<String>) {
        if self.queue.try_send(Entry::Line { time_s, text: text.into() }).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits until all lines so far are written, at most two seconds.
    pub async fn flush(&self) {
        let (done, written) = tokio::sync::oneshot::channel();
        // Neither a log that is gone nor one that is stuck may hold up the end of the agent.
        let _ = tokio::time::timeout(FLUSH_TIMEOUT, async {
            if self.queue.send(Entry::Flush(done)).await.is_ok() {
                let _ = written.await;
            }
        })
        .await;
    }
}

fn open_file(dir: &Path, address: &str) -> Result<File, String> {
    if !dir.is_dir() {
        return Err(format!("Log directory does not exist: {}", dir.display()));
    }
    let path = dir.join(format!("{address}.log"));
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(&path)
        .map_err(|error| format!("Cannot write to log file {}: {error}", path.display()))
}

async fn write_entries(
    mut entries: mpsc::Receiver<Entry>,
    file: Option<File>,
    stdout: bool,
    dropped: Arc<AtomicU64>,
) {
    let file = file.map(Arc::new);
    let mut batch = Vec::new();
    while entries.recv_many(&mut batch, MAX_QUEUED_LINES).await > 0 {
        let (mut to_stdout, mut to_file, mut flushed) = (String::new(), String::new(), Vec::new());
        let lost = dropped.swap(0, Ordering::Relaxed);
        if lost > 0 {
            batch.insert(
                0,
                Entry::Line { time_s: super::unix_now_s(), text: format!("{lost} log lines were dropped") },
            );
        }
        for entry in batch.drain(..) {
            match entry {
                Entry::Line { time_s, text } => {
                    if stdout {
                        to_stdout.push_str(&stdout_line(time_s, &text));
                    }
                    if file.is_some() {
                        to_file.push_str(&file_line(time_s, &text));
                    }
                }
                Entry::Flush(done) => flushed.push(done),
            }
        }
        let file = file.clone();
        // What cannot be written (a closed pipe, a full disk) is lost; there is nowhere left to say so.
        let _ = tokio::task::spawn_blocking(move || {
            let _ = io::stdout().write_all(to_stdout.as_bytes());
            if let Some(file) = file {
                let _ = (&*file).write_all(to_file.as_bytes());
            }
        })
        .await;
        for done in flushed {
            let _ = done.send(());
        }
    }
}

/// `2026-11-22T10:39:54+0000 text`, in UTC.
#[must_use]
pub fn stdout_line(time_s: f64, text: &str) -> String {
    let (days, second_of_day, _) = split(time_s);
    let ((year, month, day), (hour, minute, second)) = (date(days), clock(second_of_day));
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}+0000 {text}\n")
}

/// `2026-11-22T10-49-41.059320 text`, in UTC.
#[must_use]
pub fn file_line(time_s: f64, text: &str) -> String {
    let (days, second_of_day, micros) = split(time_s);
    let ((year, month, day), (hour, minute, second)) = (date(days), clock(second_of_day));
    format!("{year:04}-{month:02}-{day:02}T{hour:02}-{minute:02}-{second:02}.{micros:06} {text}\n")
}

/// Days since 1970, seconds of the day, microseconds.
fn split(time_s: f64) -> (i64, i64, i64) {
    let micros = (time_s * 1e6).round() as i64;
    let seconds = micros.div_euclid(1_000_000);
    (seconds.div_euclid(86_400), seconds.rem_euclid(86_400), micros.rem_euclid(1_000_000))
}

const fn clock(second_of_day: i64) -> (i64, i64, i64) {
    (second_of_day / 3600, second_of_day / 60 % 60, second_of_day % 60)
}

/// Year, month and day in the Gregorian calendar. Years are counted from March, so that the leap day comes last.
const fn date(days_since_1970: i64) -> (i64, i64, i64) {
    let days = days_since_1970 + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (era * 400 + year_of_era + (month <= 2) as i64, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    // The right-hand sides were printed by GNU date and Python's datetime.
    #[test]
    fn lines_have_the_two_forms_of_ocs() {
        assert_eq!(stdout_line(1_795_343_994.4, "manager:0 x"), "2026-11-22T10:39:54+0000 manager:0 x\n");
        assert_eq!(file_line(1_795_344_581.059_32, "x"), "2026-11-22T10-49-41.059320 x\n");
        assert_eq!(stdout_line(951_782_400.0, "x"), "2000-02-29T00:00:00+0000 x\n");
        assert_eq!(stdout_line(4_107_542_399.0, "x"), "2100-02-28T23:59:59+0000 x\n");
        assert_eq!(stdout_line(-1.0, "x"), "1969-12-31T23:59:59+0000 x\n");
    }

    #[tokio::test]
    async fn lines_are_appended_to_the_file_of_the_agent() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("observatory.a.log");
        std::fs::write(&path, "before\n").unwrap();
        let options = LogOptions { dir: Some(dir.path().to_owned()), stdout: false };
        let log = AgentLog::open(&options, "observatory.a");
        log.line(0.25, "hello");
        log.flush().await;
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "before\n1970-01-01T00-00-00.250000 hello\n");
    }

    #[tokio::test]
    async fn a_missing_directory_is_not_the_end() {
        let options = LogOptions { dir: Some("/nonexistent/dir".into()), stdout: false };
        let log = AgentLog::open(&options, "observatory.a");
        log.line(0.0, "hello");
        log.flush().await;
    }
}
