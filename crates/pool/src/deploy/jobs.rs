//! Jobs that sleep, to try a pool out. PURE.

use std::fmt::Write as _;

/// Most jobs of one submission.
pub const JOBS_MAX: u32 = 100_000;
/// A week: longer is a typing error.
const SLEEP_MAX_S: u32 = 7 * 24 * 3600;

/// How long jobs sleep, seconds, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sleep {
    /// At least.
    pub from_s: u32,
    /// At most.
    pub to_s: u32,
}

impl Sleep {
    /// Always so long.
    #[must_use]
    pub fn fixed(seconds: u32) -> Self {
        Self { from_s: seconds, to_s: seconds }
    }

    /// `A,B`; the two are put in order.
    ///
    /// # Errors
    /// In words: it is no pair of numbers, or one is longer than a week.
    pub fn range(text: &str) -> Result<Self, String> {
        let wrong = || format!("the range `{text}` is not two numbers of seconds, such as `30,50`");
        let (a, b) = text.split_once(',').ok_or_else(wrong)?;
        let number = |text: &str| text.trim().parse::<u32>().map_err(|_| wrong());
        let (a, b) = (number(a)?, number(b)?);
        if a.max(b) > SLEEP_MAX_S {
            return Err(format!("{} seconds are more than a week", a.max(b)));
        }
        Ok(Self { from_s: a.min(b), to_s: a.max(b) })
    }
}

/// A submit description of `count` jobs. `lots` gives a number for each of them, any number.
pub fn description(count: u32, sleep: Sleep, mut lots: impl FnMut() -> u32) -> String {
    let mut text = String::from(
        "executable = /bin/sleep\ntransfer_executable = false\nshould_transfer_files = IF_NEEDED\n\
         when_to_transfer_output = ON_EXIT\nrequest_cpus = 1\nrequest_memory = 64\nrequest_disk = 1024\n",
    );
    if sleep.from_s == sleep.to_s {
        let _ = write!(text, "arguments = {}\nqueue {count}\n", sleep.from_s);
        return text;
    }
    text.push_str("arguments = $(seconds)\nqueue seconds from (\n");
    let span = u64::from(sleep.to_s - sleep.from_s) + 1;
    for _ in 0..count {
        let seconds = u64::from(sleep.from_s) + u64::from(lots()) * span / (u64::from(u32::MAX) + 1);
        let _ = writeln!(text, "{seconds}");
    }
    text.push_str(")\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_as_many_jobs_as_asked_for_and_each_sleeps_within_the_range() {
        let mut lot = 0_u32;
        let text = description(10, Sleep::range("50, 30").unwrap(), || {
            lot = lot.wrapping_add(429_496_729);
            lot
        });
        let seconds: Vec<u32> = text.lines().filter_map(|line| line.parse().ok()).collect();
        assert_eq!(seconds.len(), 10);
        assert!(seconds.iter().all(|s| (30..=50).contains(s)), "{seconds:?}");
        assert!(seconds.iter().any(|s| *s != seconds[0]));
        let text = description(3, Sleep { from_s: 1, to_s: 2 }, || u32::MAX);
        assert!(text.ends_with("(\n2\n2\n2\n)\n"), "{text}");
    }

    #[test]
    fn a_fixed_time_is_one_cluster_of_equal_jobs() {
        let text = description(10, Sleep::fixed(20), || 0);
        assert!(text.contains("arguments = 20\nqueue 10\n"));
    }

    #[test]
    fn what_is_no_range_is_told() {
        for wrong in ["", "30", "a,b", "30,50,70", "-1,4", "0,99999999"] {
            assert!(Sleep::range(wrong).is_err(), "{wrong}");
        }
        assert_eq!(Sleep::range("5,5").unwrap(), Sleep::fixed(5));
    }
}
