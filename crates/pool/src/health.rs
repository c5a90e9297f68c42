//! How clouds and flavors fare, and for how long one that fails is left alone. PURE.

use std::collections::BTreeMap;

use crate::clouds::CloudError;
use campanile_control::Backoff;

/// After a failure of one flavor in one cloud: no room, an error, a node that never joined.
pub const FLAVOR_BACKOFF: Backoff = Backoff { first_ms: 60_000, max_ms: 3_600_000, factor: 2.0 };
/// After a failure of a whole cloud.
pub const CLOUD_BACKOFF: Backoff = Backoff { first_ms: 15_000, max_ms: 900_000, factor: 2.0 };
/// No cloud is believed when it asks to wait longer.
const MAX_RETRY_AFTER_MS: u64 = 3_600_000;

/// How one cloud, or one flavor in it, fares.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fare {
    /// Failures since the last success.
    pub failures: u32,
    /// It is left alone until then.
    pub until_ms: u64,
    /// Why.
    pub why: String,
}

impl Fare {
    fn fail(&mut self, backoff: Backoff, at_least_ms: u64, why: String, now_ms: u64) {
        let wait_ms = backoff.wait_ms(self.failures).max(at_least_ms);
        self.failures = self.failures.saturating_add(1);
        self.until_ms = now_ms + wait_ms;
        self.why = why;
    }
}

/// How all of them fare.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Health {
    clouds: BTreeMap<String, Fare>,
    flavors: BTreeMap<(String, String), Fare>,
}

impl Health {
    /// A creation was refused or failed.
    pub fn create_failed(&mut self, cloud: &str, flavor: &str, error: &CloudError, now_ms: u64) {
        let why = error.to_string();
        match error {
            CloudError::NoRoom(_) | CloudError::Invalid(_) | CloudError::NotFound(_) => {
                self.flavor(cloud, flavor).fail(FLAVOR_BACKOFF, 0, why, now_ms);
            }
            // Another flavor may still fit in what is left.
            CloudError::Quota { resource, .. } if resource != "instances" => {
                self.flavor(cloud, flavor).fail(FLAVOR_BACKOFF, 0, why, now_ms);
            }
            CloudError::Busy { retry_after_ms, .. } => {
                let at_least_ms = retry_after_ms.unwrap_or(0).min(MAX_RETRY_AFTER_MS);
                self.cloud(cloud).fail(CLOUD_BACKOFF, at_least_ms, why, now_ms);
            }
            _ => self.cloud(cloud).fail(CLOUD_BACKOFF, 0, why, now_ms),
        }
    }

    /// A node of this flavor came to nothing.
    pub fn node_failed(&mut self, cloud: &str, flavor: &str, why: &str, now_ms: u64) {
        self.flavor(cloud, flavor).fail(FLAVOR_BACKOFF, 0, why.to_owned(), now_ms);
    }

    /// A node of this flavor has joined.
    pub fn node_joined(&mut self, cloud: &str, flavor: &str) {
        self.clouds.remove(cloud);
        self.flavors.remove(&(cloud.to_owned(), flavor.to_owned()));
    }

    /// A creation was accepted: the cloud itself is well.
    pub fn create_accepted(&mut self, cloud: &str) {
        self.clouds.remove(cloud);
    }

    /// Why a cloud is left alone now, and until when.
    #[must_use]
    pub fn cloud_waits(&self, cloud: &str, now_ms: u64) -> Option<&Fare> {
        self.clouds.get(cloud).filter(|fare| fare.until_ms > now_ms)
    }

    /// Why a flavor is left alone in this cloud now, and until when.
    #[must_use]
    pub fn flavor_waits(&self, cloud: &str, flavor: &str, now_ms: u64) -> Option<&Fare> {
        let key = (cloud.to_owned(), flavor.to_owned());
        self.flavors.get(&key).filter(|fare| fare.until_ms > now_ms)
    }

    /// Everything that is left alone now: cloud, flavor (none: the whole cloud), and how it fares.
    #[must_use]
    pub fn waiting(&self, now_ms: u64) -> Vec<(&str, Option<&str>, &Fare)> {
        let clouds = self.clouds.iter().map(|(cloud, fare)| (cloud.as_str(), None, fare));
        let flavors = self.flavors.iter();
        let flavors = flavors.map(|((cloud, flavor), fare)| (cloud.as_str(), Some(flavor.as_str()), fare));
        clouds.chain(flavors).filter(|(_, _, fare)| fare.until_ms > now_ms).collect()
    }

    fn cloud(&mut self, cloud: &str) -> &mut Fare {
        self.clouds.entry(cloud.to_owned()).or_default()
    }

    fn flavor(&mut self, cloud: &str, flavor: &str) -> &mut Fare {
        self.flavors.entry((cloud.to_owned(), flavor.to_owned())).or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flavor_without_room_leaves_the_cloud_to_the_others_and_success_forgives() {
        let mut health = Health::default();
        health.create_failed("a", "big", &CloudError::NoRoom("No valid host".to_owned()), 1000);
        assert!(health.flavor_waits("a", "big", 1000).is_some());
        assert!(health.flavor_waits("a", "small", 1000).is_none());
        assert!(health.cloud_waits("a", 1000).is_none());
        assert!(health.flavor_waits("a", "big", 1000 + FLAVOR_BACKOFF.first_ms).is_none());
        health.node_failed("a", "big", "never joined", 100_000);
        let until_ms = health.flavor_waits("a", "big", 100_000).unwrap().until_ms;
        assert_eq!(until_ms, 100_000 + 2 * FLAVOR_BACKOFF.first_ms);
        health.node_joined("a", "big");
        assert!(health.flavor_waits("a", "big", 100_000).is_none());
    }

    #[test]
    fn a_cloud_that_asks_to_wait_is_waited_for_and_the_others_are_not() {
        let mut health = Health::default();
        let busy = CloudError::Busy { retry_after_ms: Some(120_000), message: "503".to_owned() };
        health.create_failed("a", "m", &busy, 0);
        assert_eq!(health.cloud_waits("a", 0).unwrap().until_ms, 120_000);
        assert!(health.cloud_waits("b", 0).is_none());
        assert_eq!(health.waiting(0).len(), 1);
    }
}
