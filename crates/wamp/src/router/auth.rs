//! Who may do what: the one place where the router decides about permission.
//!
//! A role has permissions on URIs; what no permission names is forbidden. For a subscription or registration by
//! pattern the pattern itself must be covered, so that it can never match anything outside.

use crate::uri::Match;

/// What a session may ask of the router (the four actions of a WAMP authorisation).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Call a procedure.
    Call,
    /// Register a procedure.
    Register,
    /// Publish to a topic.
    Publish,
    /// Subscribe to a topic.
    Subscribe,
}

impl Action {
    /// How a refusal names the action and its object, as crossbar words it.
    pub(super) fn in_words(self) -> &'static str {
        match self {
            Self::Call => "call procedure",
            Self::Register => "register procedure",
            Self::Publish => "publish to topic",
            Self::Subscribe => "subscribe to topic",
        }
    }
}

/// Allows some actions on some URIs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permission {
    /// The URI or, with [`Match::Prefix`], what it begins with.
    pub uri: String,
    /// How `uri` is compared.
    pub matching: Match,
    /// The actions that are allowed there.
    pub actions: Vec<Action>,
}

/// A named set of permissions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Role {
    /// The name, which WELCOME tells as `authrole`.
    pub name: String,
    /// What is allowed; nothing else is.
    pub permissions: Vec<Permission>,
}

impl Role {
    /// The role of everybody who joins over websocket in an OCS site: everything below `{address_root}.`.
    pub fn iocs_agent(address_root: &str) -> Self {
        let all = [Action::Call, Action::Register, Action::Publish, Action::Subscribe];
        Self::below("iocs_agent", address_root, &all)
    }

    /// The role of the HTTP bridge in an OCS site: everything below `{address_root}.` but to register.
    pub fn iocs_controller(address_root: &str) -> Self {
        Self::below("iocs_controller", address_root, &[Action::Call, Action::Publish, Action::Subscribe])
    }

    fn below(name: &str, address_root: &str, actions: &[Action]) -> Self {
        let permission = Permission {
            uri: format!("{address_root}."),
            matching: Match::Prefix,
            actions: actions.to_vec(),
        };
        Self { name: name.to_owned(), permissions: vec![permission] }
    }

    /// Whether this role may do `action` on the name or pattern `uri`.
    pub fn allows(&self, action: Action, uri: &str) -> bool {
        self.permissions.iter().any(|permission| {
            permission.matching.matches(&permission.uri, uri) && permission.actions.contains(&action)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_may_do_everything_below_the_address_root_and_nothing_elsewhere() {
        let agent = Role::iocs_agent("observatory");
        for action in [Action::Call, Action::Register, Action::Publish, Action::Subscribe] {
            assert!(agent.allows(action, "observatory.faker1.ops"));
            assert!(agent.allows(action, "observatory..feeds.heartbeat"));
            for other in ["observatory", "observatoryx.a", "wamp.session.count", "", ".faker1.ops", "..."] {
                assert!(!agent.allows(action, other), "{action:?} {other}");
            }
        }
    }

    #[test]
    fn the_http_bridge_may_not_register() {
        let bridge = Role::iocs_controller("observatory");
        assert!(
            bridge.allows(Action::Call, "observatory.x") && !bridge.allows(Action::Register, "observatory.x")
        );
    }
}
