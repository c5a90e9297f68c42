//! An instrument that crashes now and then, each time in another way.

use clap::ValueEnum;

/// A way to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Crash {
    /// Says why on stderr and exits with code 3.
    Code,
    /// Panics, with the message and the place on stderr, as a bug would.
    Panic,
    /// Dies of a signal, as a broken driver library would.
    Signal,
    /// Loses patience without a word: exit code 1 and no output.
    Silent,
}

/// Decides when to crash, and how.
///
/// The ways are taken in turn, so that somebody who watches for a while sees each of them.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Mood {
    ways: Vec<Crash>,
    /// Seconds from the start of the process to its crash.
    crash_at_s: f64,
    turn: usize,
}

impl Mood {
    /// `every_s` is the mean time to a crash, `roll` a random number in 0..1, `turn` which of the ways is next.
    ///
    /// `None` when there is no way to crash.
    pub(crate) fn new(ways: &[Crash], every_s: f64, roll: f64, turn: usize) -> Option<Self> {
        if ways.is_empty() {
            return None;
        }
        // Between half and one and a half times the mean: irregular, but nobody waits for ever.
        Some(Self { ways: ways.to_vec(), crash_at_s: every_s * (0.5 + roll), turn })
    }

    /// What to do after `uptime_s`: crash in the given way, or nothing.
    pub(crate) fn at(&self, uptime_s: f64) -> Option<Crash> {
        let way = self.ways.get(self.turn % self.ways.len())?;
        (uptime_s >= self.crash_at_s).then_some(*way)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_crashes_between_half_and_one_and_a_half_times_the_mean() {
        let early = Mood::new(&[Crash::Code], 20.0, 0.0, 0).unwrap();
        assert_eq!((early.at(9.9), early.at(10.0)), (None, Some(Crash::Code)));
        let late = Mood::new(&[Crash::Code], 20.0, 1.0, 0).unwrap();
        assert_eq!((late.at(29.9), late.at(30.0)), (None, Some(Crash::Code)));
    }

    #[test]
    fn the_ways_are_taken_in_turn() {
        let ways = [Crash::Code, Crash::Panic, Crash::Signal];
        let taken: Vec<_> =
            (0..4).map(|turn| Mood::new(&ways, 1.0, 0.0, turn).unwrap().at(1.0).unwrap()).collect();
        assert_eq!(taken, [Crash::Code, Crash::Panic, Crash::Signal, Crash::Code]);
        assert_eq!(Mood::new(&[], 1.0, 0.0, 0), None);
    }
}
