//! [`Ticker`]: the rhythm of what a program does now and then, kept by the kernel.
//!
//! All tickers of a process are in step: each ticks at whole seconds after the first one was made, so what is due in the
//! same second costs one wake. Different processes are not, for their first ones were made at different moments.
//!
//! A timer of the runtime wakes a thread that waits for it two or three times, since it keeps far deadlines by slots of
//! 64 ms and of 4 s, and sorts them anew when they come near.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::OnceLock;
use std::time::Duration;

use rustix::time::{
    ClockId, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, clock_gettime,
    timerfd_create, timerfd_settime,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// A moment on the monotonic clock; ticks come at whole seconds after it.
static PHASE: OnceLock<Timespec> = OnceLock::new();

/// Ticks for as long as it exists. Ticks that a stalled machine missed are not made up for.
#[derive(Debug)]
pub struct Ticker {
    every_s: u32,
    timer: Option<AsyncFd<OwnedFd>>,
    told: bool,
}

impl Ticker {
    /// One that ticks every so many seconds, at least 1: the first time after that time or up to a second earlier.
    ///
    /// It needs a tokio runtime with I/O and time enabled when it is waited for.
    #[must_use]
    pub const fn every_s(every_s: u32) -> Self {
        Self { every_s: if every_s == 0 { 1 } else { every_s }, timer: None, told: false }
    }

    /// Waits until a tick is due. Dropping the future loses no tick.
    ///
    /// Without a file descriptor for a timer it is waited less evenly, and the log says so once.
    pub async fn tick(&mut self) {
        match self.due().await {
            Ok(()) => {}
            Err(error) => {
                self.timer = None;
                if !std::mem::replace(&mut self.told, true) {
                    tracing::warn!(%error, every_s = self.every_s, "no timer; it goes on less evenly");
                }
                tokio::time::sleep(Duration::from_secs(self.every_s.into())).await;
            }
        }
    }

    async fn due(&mut self) -> io::Result<()> {
        let timer = match &self.timer {
            Some(timer) => timer,
            None => self.timer.insert(timer(self.every_s)?),
        };
        loop {
            let mut ready = timer.readable().await?;
            // How many ticks are due does not matter.
            let mut count = [0; 8];
            match rustix::io::read(ready.get_inner(), &mut count) {
                Ok(_) => {
                    // There is nothing more to be read before the next tick.
                    ready.clear_ready();
                    return Ok(());
                }
                Err(rustix::io::Errno::AGAIN) => ready.clear_ready(),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

fn timer(every_s: u32) -> io::Result<AsyncFd<OwnedFd>> {
    let now = clock_gettime(ClockId::Monotonic);
    let phase = *PHASE.get_or_init(|| now);
    let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
    let every = Timespec { tv_sec: every_s.into(), tv_nsec: 0 };
    let spec = Itimerspec { it_interval: every, it_value: first(phase, now, every_s) };
    timerfd_settime(&timer, TimerfdTimerFlags::ABSTIME, &spec)?;
    #[expect(
        deprecated,
        reason = "its successor is an unsafe function; an OwnedFd stays open and the same for as long as the AsyncFd \
                  lives, which is all that it asks"
    )]
    let timer = AsyncFd::with_interest(timer, Interest::READABLE);
    timer
}

/// When a ticker that is made `now` ticks for the first time: at a whole second after `phase`, so that the wait is not
/// longer than `every_s` and less than a second shorter.
fn first(phase: Timespec, now: Timespec, every_s: u32) -> Timespec {
    // The second that runs `now` began with the whole second before it.
    let begun_s = now.tv_sec - i64::from(now.tv_nsec < phase.tv_nsec);
    Timespec { tv_sec: begun_s + i64::from(every_s), tv_nsec: phase.tv_nsec }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(tv_sec: i64, tv_nsec: i64) -> Timespec {
        Timespec { tv_sec, tv_nsec }
    }

    #[test]
    fn every_ticker_ticks_at_whole_seconds_after_the_first_was_made() {
        let phase = at(100, 300);
        assert_eq!(first(phase, phase, 1), at(101, 300));
        assert_eq!(first(phase, at(100, 999_999_999), 1), at(101, 300));
        assert_eq!(first(phase, at(101, 299), 1), at(101, 300));
        assert_eq!(first(phase, at(101, 300), 1), at(102, 300), "never at once");
        assert_eq!(first(phase, at(107, 200), 10), at(116, 300));
        assert_eq!(first(phase, at(107, 400), 10), at(117, 300));
    }

    #[tokio::test]
    async fn it_ticks_again_and_again_and_not_at_once() {
        let mut ticker = Ticker::every_s(1);
        let begin = std::time::Instant::now();
        for _ in 0..2 {
            ticker.tick().await;
        }
        let elapsed = begin.elapsed();
        assert!(elapsed > Duration::from_millis(999), "one whole second lies between two ticks: {elapsed:?}");
        assert!(!ticker.told && ticker.timer.is_some(), "the kernel keeps the rhythm");
    }

    #[tokio::test]
    async fn a_wait_that_is_given_up_loses_no_tick() {
        let mut ticker = Ticker::every_s(1);
        // At least one of these waits ends without a tick: there are more of them than ticks.
        let mut ticks = 0;
        for _ in 0..30 {
            ticks +=
                usize::from(tokio::time::timeout(Duration::from_millis(100), ticker.tick()).await.is_ok());
        }
        assert!((1..30).contains(&ticks), "{ticks}");
    }
}
