//! Names and their ids: what a creation names and nova wants by id.
//!
//! Twenty creations of one step name the same flavor, image and network. Each is looked up once, by whoever comes first, and
//! known for a short while; what was refused is never remembered, and a creation that the cloud refuses makes us look again.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

use super::super::CloudError;

/// How long an id is known. An image of a name may be replaced by another one at any time.
const KNOWN: Duration = Duration::from_secs(60);

/// What a name is the name of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Flavor,
    Image,
    Network,
}

/// The ids that are known.
#[derive(Debug)]
pub(super) struct Names {
    known: Mutex<BTreeMap<(Kind, String), (Instant, String)>>,
    /// One looks up at a time; the others find what it has found.
    turns: Semaphore,
}

impl Default for Names {
    fn default() -> Self {
        Self { known: Mutex::default(), turns: Semaphore::new(1) }
    }
}

impl Names {
    /// The id of a name; `look_up` is awaited only where it is not known.
    ///
    /// # Errors
    /// Those of `look_up`.
    pub(super) async fn id(
        &self,
        kind: Kind,
        name: &str,
        look_up: impl Future<Output = Result<String, CloudError>>,
    ) -> Result<String, CloudError> {
        if let Some(id) = self.known(kind, name) {
            return Ok(id);
        }
        let turn = self.turns.acquire().await;
        if let Some(id) = self.known(kind, name) {
            return Ok(id);
        }
        let id = look_up.await?;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert((kind, name.to_owned()), (Instant::now(), id.clone()));
        drop(turn);
        Ok(id)
    }

    /// Forgets all: something that we hold for known may have gone.
    pub(super) fn forget(&self) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    fn known(&self, kind: Kind, name: &str) -> Option<String> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, id) = known.get(&(kind, name.to_owned()))?;
        (at.elapsed() < KNOWN).then(|| id.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[tokio::test]
    async fn many_ask_and_one_looks_up() {
        let (names, asked) = (Names::default(), AtomicU32::new(0));
        let one = || {
            names.id(Kind::Image, "debian", async {
                asked.fetch_add(1, Ordering::Relaxed);
                tokio::task::yield_now().await;
                Ok("id-1".to_owned())
            })
        };
        let all = futures_util::future::join_all((0..20).map(|_| one())).await;
        assert!(all.into_iter().all(|id| id == Ok("id-1".to_owned())));
        assert_eq!(asked.load(Ordering::Relaxed), 1);
        names.forget();
        one().await.unwrap();
        assert_eq!(asked.load(Ordering::Relaxed), 2);
    }

    #[tokio::test]
    async fn what_was_refused_is_not_remembered() {
        let names = Names::default();
        let refused = names.id(Kind::Flavor, "m1", async { Err(CloudError::Invalid("no".into())) }).await;
        assert!(refused.is_err());
        let found = names.id(Kind::Flavor, "m1", async { Ok("7".to_owned()) }).await;
        assert_eq!(found, Ok("7".to_owned()));
        // another kind of the same name is another thing
        let found = names.id(Kind::Network, "m1", async { Ok("8".to_owned()) }).await;
        assert_eq!(found, Ok("8".to_owned()));
    }
}
