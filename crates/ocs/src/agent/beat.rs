//! The heartbeat: the only timer of an idle agent (OCS docs, "Heartbeat").
//!
//! It is a timer of the kernel, in a task of its own: one wake a second, which touches nothing else. A timer of the
//! runtime wakes a thread that waits for it twice, since far deadlines are kept by 64 ms and sorted anew when they come
//! near.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::task::JoinHandle;

use super::runtime::Shared;

/// From one heartbeat to the next, in seconds.
const HEARTBEAT_EVERY_S: i64 = 1;

/// An agent that beats, from now until this is dropped.
#[derive(Debug)]
pub(super) struct Heart(JoinHandle<()>);

impl Heart {
    pub(super) fn start(shared: Arc<Shared>) -> Self {
        Self(tokio::spawn(beat(shared)))
    }
}

impl Drop for Heart {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Beats at once, then in its rhythm. Beats that a stalled machine missed are not made up for.
async fn beat(shared: Arc<Shared>) {
    let mut told = false;
    loop {
        shared.heartbeat();
        let error = match timer() {
            Ok(timer) => loop {
                match due(&timer).await {
                    Ok(()) => shared.heartbeat(),
                    Err(error) => break error,
                }
            },
            Err(error) => error,
        };
        // There is no file descriptor left: the runtime has one.
        if !std::mem::replace(&mut told, true) {
            shared.log(format!("no timer for the heartbeat: {error}; it goes on less evenly"));
        }
        tokio::time::sleep(Duration::from_secs(HEARTBEAT_EVERY_S.unsigned_abs())).await;
    }
}

fn timer() -> io::Result<AsyncFd<OwnedFd>> {
    let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
    let every = Timespec { tv_sec: HEARTBEAT_EVERY_S, tv_nsec: 0 };
    timerfd_settime(&timer, TimerfdTimerFlags::empty(), &Itimerspec { it_interval: every, it_value: every })?;
    #[expect(
        deprecated,
        reason = "its successor is an unsafe function; an OwnedFd stays open and the same for as long as the AsyncFd \
                  lives, which is all that it asks"
    )]
    let timer = AsyncFd::with_interest(timer, Interest::READABLE);
    timer
}

/// Waits until a beat is due.
async fn due(timer: &AsyncFd<OwnedFd>) -> io::Result<()> {
    loop {
        let mut ready = timer.readable().await?;
        // How many beats are due does not matter.
        let mut count = [0; 8];
        if let Ok(read) = ready.try_io(|timer| Ok(rustix::io::read(timer.get_ref(), &mut count)?)) {
            return read.map(drop);
        }
    }
}
