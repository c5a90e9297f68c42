//! A watch: the database is asked for what is new, often enough that nobody notices.

use std::sync::Arc;
use std::time::Duration;

use super::database::Database;
use crate::{Prefix, Revision, Watch, WatchEvent};

/// Time between two looks. One costs about 50 µs.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Time between two attempts while the database cannot be read.
const RETRY_EVERY: Duration = Duration::from_secs(1);

pub(super) fn start(database: Arc<Database>, prefix: Prefix, after: Revision) -> Watch {
    let (events, watch) = Watch::channel();
    tokio::spawn(async move {
        let mut last = after;
        let mut away = false;
        loop {
            let looked = async {
                database.end_leases().await?;
                database.since(&prefix, last).await
            };
            let mut news = Vec::new();
            let mut pause = LOOK_EVERY;
            match looked.await {
                Ok((revision, found)) => {
                    if std::mem::take(&mut away) {
                        news.push(WatchEvent::Back);
                    }
                    match found {
                        Some(events) => news.extend(
                            events.into_iter().map(|(revision, keys)| WatchEvent::Changed { revision, keys }),
                        ),
                        None => news.push(WatchEvent::Resync { revision }),
                    }
                    last = revision;
                }
                Err(error) => {
                    pause = RETRY_EVERY;
                    if !std::mem::replace(&mut away, true) {
                        news.push(WatchEvent::Away { reason: error.to_string() });
                    }
                }
            }
            for event in news {
                if events.send(event).await.is_err() {
                    return;
                }
            }
            tokio::select! {
                () = events.closed() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    });
    watch
}
