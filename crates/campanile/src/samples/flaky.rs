//! An instrument that crashes now and then, each time in another way.

use std::time::Duration;

use clap::ValueEnum;

use super::bench::{Acquisition, Bench, Fields, Shared, field, noise};

/// A way to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Crash {
    /// Says why on stderr and exits with code 3.
    Code,
    /// Panics, with the message and the place on stderr, as a bug would.
    Panic,
    /// Dies of SIGABRT, as a broken driver library would.
    Signal,
    /// Loses patience without a word: exit code 1 and no output.
    Silent,
}

/// When to crash, and how.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Mood {
    pub(crate) crash: Crash,
    /// From the start of the process to its crash.
    pub(crate) after: Duration,
}

impl Mood {
    /// `every_s` is the mean time to a crash; `rolls` are two random numbers in 0..1. No given way means any way.
    pub(crate) fn new(ways: &[Crash], every_s: f64, rolls: [f64; 2]) -> Self {
        let ways = if ways.is_empty() { Crash::value_variants() } else { ways };
        let [when, which] = rolls;
        let index = (which * ways.len() as f64) as usize;
        let crash = ways.get(index).or(ways.last()).copied().unwrap_or(Crash::Code);
        // Between half and one and a half times the mean: irregular, but nobody waits for ever.
        Self { crash, after: Duration::from_secs_f64(every_s * (0.5 + when)) }
    }
}

/// Ends the process.
fn crash(way: Crash) -> ! {
    match way {
        Crash::Code => {
            eprintln!("flaky: the instrument does not answer any more; giving up");
            std::process::exit(3)
        }
        #[expect(clippy::panic, reason = "crashing is what this agent is for")]
        Crash::Panic => panic!("index 17 is out of range: the instrument sent more channels than it has"),
        Crash::Signal => {
            eprintln!("flaky: libinstrument: corrupted heap, aborting");
            std::process::abort()
        }
        Crash::Silent => std::process::exit(1),
    }
}

fn fields(count: &mut i64, _dt_s: f64) -> Fields {
    *count += 1;
    vec![field("count", *count), field("noise", noise())]
}

/// Runs the agent: acquires numbers until its mood ends it.
pub(crate) async fn run(bench: Bench, mood: Mood, rate_hz: f64, at_start: bool) -> crate::failure::Outcome {
    let counter = Shared::new(0);
    let bench = bench.acq(&counter, Acquisition { feed: "numbers", rate_hz, at_start }, fields);
    // Not in an operation: a panic there would only fail the operation.
    tokio::select! {
        outcome = bench.run() => outcome,
        () = tokio::time::sleep(mood.after) => crash(mood.crash),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_crashes_between_half_and_one_and_a_half_times_the_mean() {
        let after = |roll| Mood::new(&[Crash::Code], 20.0, [roll, 0.0]).after;
        assert_eq!(after(0.0), Duration::from_secs(10));
        assert_eq!(after(0.999), Duration::from_secs_f64(29.98));
    }

    #[test]
    fn every_given_way_has_its_turn_and_no_other() {
        let pick = |ways: &[Crash], roll| Mood::new(ways, 1.0, [0.0, roll]).crash;
        let two = [Crash::Panic, Crash::Signal];
        assert_eq!(
            [pick(&two, 0.0), pick(&two, 0.49), pick(&two, 0.5), pick(&two, 0.999)],
            [Crash::Panic, Crash::Panic, Crash::Signal, Crash::Signal]
        );
        assert_eq!(pick(&[], 0.999), Crash::Silent, "without a choice, all of them");
    }
}
