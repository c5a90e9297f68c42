//! The asynchronous runtime of a command.

use std::future::Future;

use anyhow::Context as _;

use crate::failure::Failure;

/// Runs a future to its end on this thread.
///
/// One thread is enough for every command: the router is cheaper per message on one than on two, and a HostManager
/// waits nearly all the time.
pub(crate) fn block_on<F: Future>(future: F) -> Result<F::Output, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the asynchronous runtime")?;
    Ok(runtime.block_on(future))
}
