//! The signals that ask a program to end.

use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// SIGINT (Ctrl-C) and SIGTERM.
pub(crate) struct Termination {
    interrupt: Signal,
    terminate: Signal,
    hangup: Option<Signal>,
}

impl Termination {
    /// From now on, neither ends the process by itself.
    pub(crate) fn listen() -> anyhow::Result<Self> {
        Ok(Self {
            interrupt: watch(SignalKind::interrupt())?,
            terminate: watch(SignalKind::terminate())?,
            hangup: None,
        })
    }

    /// The same, and SIGHUP: for a program with something to clean up when its terminal goes.
    pub(crate) fn listen_also_to_hangup() -> anyhow::Result<Self> {
        Ok(Self { hangup: Some(watch(SignalKind::hangup())?), ..Self::listen()? })
    }

    /// Waits for the next of them, and names it.
    pub(crate) async fn requested(&mut self) -> &'static str {
        let hangup = async {
            match &mut self.hangup {
                Some(hangup) => drop(hangup.recv().await),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
            () = hangup => "SIGHUP",
        }
    }
}

fn watch(kind: SignalKind) -> anyhow::Result<Signal> {
    signal(kind).context("cannot watch for signals")
}
