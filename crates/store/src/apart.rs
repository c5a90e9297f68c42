//! Work that must not wait for its turn: on a thread of its own.
//!
//! A manager of ten thousand daemons has as many tasks that are ready at once. Whatever has to happen in time, such as
//! the renewal of a lease, would stand in line behind them, and needs a dozen turns for each answer.

use std::future::Future;
use std::io;
use std::thread;

use tokio::sync::oneshot;

/// Work under way; it ends when this is dropped.
#[derive(Debug)]
#[must_use = "it ends when this is dropped"]
pub struct Apart {
    _until_dropped: oneshot::Sender<()>,
}

impl Apart {
    /// Begins it on a thread of this name.
    ///
    /// # Errors
    /// When the system has no thread, or no file descriptor, left for it.
    pub fn begin(name: &str, work: impl Future<Output = ()> + Send + 'static) -> Result<Self, io::Error> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (until_dropped, dropped) = oneshot::channel::<()>();
        let until = async move {
            tokio::select! {
                () = work => {}
                _ = dropped => {}
            }
        };
        thread::Builder::new().name(name.to_owned()).spawn(move || runtime.block_on(until))?;
        Ok(Self { _until_dropped: until_dropped })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn it_goes_on_while_its_owner_is_busy_and_ends_with_him() {
        let ticks = Arc::new(());
        let held = Arc::clone(&ticks);
        let (tick, ticked) = std::sync::mpsc::channel();
        let work = async move {
            let _held = held;
            loop {
                tokio::time::sleep(Duration::from_millis(1)).await;
                let _ = tick.send(());
            }
        };
        let apart = Apart::begin("test", work).unwrap();
        // This blocks the only thread of the runtime.
        for _ in 0..3 {
            ticked.recv_timeout(Duration::from_secs(10)).unwrap();
        }
        drop(apart);
        while Arc::strong_count(&ticks) > 1 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}
