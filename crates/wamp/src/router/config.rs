//! What a router is told about its realm.

use super::auth::Role;

/// The realm, who may do what in it, and how much.
#[derive(Clone, Debug)]
pub struct RealmConfig {
    /// The name of the one realm.
    pub realm: String,
    /// The role of everybody who joins; all are anonymous.
    pub anonymous_role: Role,
    /// What one session may hold.
    pub limits: SessionLimits,
}

/// What one session, and all of them together, may hold in the router.
///
/// An OCS site has tens of sessions with a handful of entries each; these limits only keep a program that has gone
/// wild from eating the router's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionLimits {
    /// Sessions in all; one more is refused with ABORT.
    pub max_sessions: usize,
    /// Subscriptions of one session; one more is refused with ERROR.
    pub max_subscriptions: usize,
    /// Registrations of one session; one more is refused with ERROR.
    pub max_registrations: usize,
    /// Calls of one session that are not answered yet; one more is refused with ERROR.
    pub max_calls: usize,
}

impl Default for SessionLimits {
    fn default() -> Self {
        Self { max_sessions: 4096, max_subscriptions: 10_000, max_registrations: 10_000, max_calls: 10_000 }
    }
}

impl RealmConfig {
    /// The realm of an OCS site, with the default limits.
    pub fn for_ocs(realm: &str, address_root: &str) -> Self {
        Self {
            realm: realm.to_owned(),
            anonymous_role: Role::iocs_agent(address_root),
            limits: SessionLimits::default(),
        }
    }
}
