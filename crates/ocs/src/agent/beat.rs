//! The heartbeat: the only timer of an idle agent (OCS docs, "Heartbeat").

use std::sync::Arc;

use campanile_control::Ticker;
use tokio::task::JoinHandle;

use super::runtime::Shared;

/// From one heartbeat to the next, in seconds.
const HEARTBEAT_EVERY_S: u32 = 1;

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

/// Beats at once, then in its rhythm. A task of its own: its wakes touch nothing else.
async fn beat(shared: Arc<Shared>) {
    let mut rhythm = Ticker::every_s(HEARTBEAT_EVERY_S);
    loop {
        shared.heartbeat();
        rhythm.tick().await;
    }
}
