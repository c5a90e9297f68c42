//! What an access director publishes on its feed `controls`, taken apart.
//!
//! `{reset: true | target: ID, ac_version, step, rules: [{hashed_pass: {hash, value}, cred_level, scope_spec,
//! lockout_id, lockout_owner, lockout_levels}]}`. Errors do not repeat what a rule says: it may hold passwords.

use serde::Deserialize;
use serde_json::Value;

use super::rules::{AccessRule, HashedPass};
use super::{AC_VERSION, CredLevel};
use crate::scope::Scope;
use crate::secret::Secret;

/// Rules that one message may hold.
pub const MAX_RULES: usize = 4096;

/// Why a message of a director was not taken; the rules from before stay.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DirectorError {
    /// Another version of the protocol.
    #[error("Access Control version mismatch: director={0}, Agent={AC_VERSION}")]
    Version(String),
    /// Something is not as the protocol has it.
    #[error("the access director sent {0}; the access rules stay as they were")]
    Malformed(String),
}

/// A message for this agent.
pub(super) struct Update {
    pub(super) rules: Vec<AccessRule>,
    pub(super) step: i64,
}

/// Reads a message; `None` when it is meant for another agent.
pub(super) fn read(message: &Value, instance_id: &str) -> Result<Option<Update>, DirectorError> {
    let malformed = |what: &str| DirectorError::Malformed(what.to_owned());
    let version = message.get("ac_version").unwrap_or(&Value::Null);
    if version.as_i64() != Some(AC_VERSION) {
        return Err(DirectorError::Version(crate::agent::pyrepr::str_of(version)));
    }
    let is_reset = message.get("reset").and_then(Value::as_bool).unwrap_or(false);
    if !is_reset && message.get("target").and_then(Value::as_str) != Some(instance_id) {
        return Ok(None);
    }
    let step = message.get("step").and_then(Value::as_i64);
    let step = step.ok_or_else(|| malformed("a message without a step"))?;
    let rules = message.get("rules").and_then(Value::as_array);
    let rules = rules.ok_or_else(|| malformed("a message without rules"))?;
    if rules.len() > MAX_RULES {
        return Err(DirectorError::Malformed(format!("more than {MAX_RULES} rules")));
    }
    let rule = |(index, rule): (usize, &Value)| {
        let read = Rule::deserialize(rule).ok().and_then(Rule::understood);
        read.ok_or_else(|| DirectorError::Malformed(format!("a malformed rule (number {index})")))
    };
    Ok(Some(Update { rules: rules.iter().enumerate().map(rule).collect::<Result<_, _>>()?, step }))
}

#[derive(Deserialize)]
struct Rule {
    hashed_pass: Option<Pass>,
    cred_level: Option<i64>,
    #[serde(default = "Scope::everyone")]
    scope_spec: Scope,
    lockout_id: Option<String>,
    lockout_owner: Option<String>,
    lockout_levels: Option<Vec<i64>>,
}

#[derive(Deserialize)]
struct Pass {
    hash: String,
    #[serde(default)]
    value: String,
}

impl Rule {
    fn understood(self) -> Option<AccessRule> {
        let level = |number: i64| CredLevel::from_number(number);
        Some(AccessRule {
            password: self.hashed_pass.map_or(HashedPass::Blocked, Pass::understood),
            cred_level: match self.cred_level {
                None => None,
                Some(number) => Some(level(number)?),
            },
            scope: self.scope_spec,
            lockout_id: self.lockout_id,
            lockout_owner: self.lockout_owner,
            lockout_levels: self
                .lockout_levels
                .unwrap_or_default()
                .into_iter()
                .map(level)
                .collect::<Option<_>>()?,
        })
    }
}

impl Pass {
    fn understood(self) -> HashedPass {
        let value = Secret::new(self.value);
        match self.hash.as_str() {
            // As in OCS, whatever the hash: nothing to compare with.
            "none" => HashedPass::Clear(value),
            "md5" => HashedPass::Md5(value),
            _ => HashedPass::Blocked,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn what_the_original_director_publishes_is_understood() {
        let rule = json!({"hashed_pass": {"hash": "md5", "value": "03ba0072e0d32376"}, "cred_level": 2,
            "scope_spec": {"default": false, "agent_class": "FakeDataAgent", "instance_id": null},
            "lockout_id": "fake-subsystem", "lockout_owner": "test-grant.py", "lockout_levels": [2, 3]});
        let update =
            read(&json!({"reset": true, "ac_version": 1, "step": 3, "rules": [rule]}), "f1").unwrap();
        let update = update.unwrap();
        assert_eq!((update.step, update.rules.len()), (3, 1));
        let rule = &update.rules[0];
        assert_eq!(rule.password, HashedPass::Md5(Secret::new("03ba0072e0d32376")));
        assert_eq!(rule.lockout_levels, [CredLevel::Advanced, CredLevel::Full]);
        assert!(rule.scope.covers("FakeDataAgent", "f1") && !rule.scope.covers("Other", "f1"));
    }

    #[test]
    fn a_message_for_another_agent_is_left_alone() {
        let message = |target| json!({"target": target, "ac_version": 1, "step": 1, "rules": []});
        assert!(read(&message("f2"), "f1").unwrap().is_none());
        assert!(read(&message("f1"), "f1").unwrap().is_some());
    }

    #[test]
    fn what_is_malformed_is_refused_without_showing_passwords() {
        let rules = [
            json!("swordfish"),
            json!({"hashed_pass": "swordfish", "cred_level": 1}),
            json!({"hashed_pass": {"hash": "none", "value": ["swordfish"]}, "cred_level": 1}),
            json!({"hashed_pass": {"hash": "none", "value": "swordfish"}, "cred_level": 9}),
            json!({"hashed_pass": {"hash": "none", "value": "swordfish"}, "cred_level": 1, "lockout_levels": [7]}),
        ];
        for rule in rules {
            let message = json!({"reset": true, "ac_version": 1, "step": 1, "rules": [rule]});
            let error = read(&message, "f1").err().unwrap();
            assert!(error.to_string().contains("number 0") && !error.to_string().contains("swordfish"));
        }
        let error = read(&json!({"reset": true, "ac_version": 2}), "f1").err().unwrap();
        assert_eq!(error.to_string(), "Access Control version mismatch: director=2, Agent=1");
        assert!(read(&json!({"reset": true, "ac_version": 1, "rules": []}), "f1").is_err());
        assert!(read(&json!({"reset": true, "ac_version": 1, "step": 1}), "f1").is_err());
        assert!(read(&json!(null), "f1").is_err());
    }

    #[test]
    fn an_unknown_hash_grants_nothing() {
        let rule =
            json!({"hashed_pass": {"hash": "rot13", "value": "x"}, "cred_level": 3, "lockout_levels": null});
        let update = read(&json!({"reset": true, "ac_version": 1, "step": 1, "rules": [rule]}), "f1");
        assert_eq!(update.unwrap().unwrap().rules[0].password, HashedPass::Blocked);
    }

    proptest! {
        #[test]
        fn any_rule_is_taken_or_refused(hash in "none|md5|blocked|x", value in ".*", level in -1i64..6, id in proptest::option::of(".*")) {
            let rule = json!({"hashed_pass": {"hash": hash, "value": value}, "cred_level": level, "lockout_id": id});
            let update = read(&json!({"target": "f1", "ac_version": 1, "step": 0, "rules": [rule]}), "f1");
            prop_assert_eq!(update.is_ok(), (0..=4).contains(&level));
        }
    }
}
