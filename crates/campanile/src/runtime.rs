//! The asynchronous runtime of a command.

use std::future::Future;

use anyhow::Context as _;

use crate::failure::Failure;

/// Threads for what blocks (starting programs, reading files). They are made on demand and end when idle; each has a
/// stack and a heap arena, so a burst of a thousand small reads must not make a thousand of them.
const BLOCKING_THREADS: usize = 32;

/// Runs a future to its end on this thread.
///
/// One thread is enough for every command: the router is cheaper per message on one than on two, and a HostManager
/// waits nearly all the time.
pub(crate) fn block_on<F: Future>(future: F) -> Result<F::Output, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .max_blocking_threads(BLOCKING_THREADS)
        .enable_all()
        .build()
        .context("cannot start the asynchronous runtime")?;
    Ok(runtime.block_on(future))
}
