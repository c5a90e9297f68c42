//! The access control of one agent: its rules, and what it tells about them.

use serde_json::{Value, json};

use super::rules::{AccessRule, Verdict, judge};
use super::{AC_VERSION, Caller, CredLevel, DirectorError, Policy, message};

/// The access control of one agent. Times are unix seconds.
#[derive(Clone, Debug)]
pub struct AccessControl {
    policy: Policy,
    agent_class: String,
    instance_id: String,
    /// Those that are meant for this agent.
    rules: Vec<AccessRule>,
    updated_s: f64,
    update_count: u64,
    step: i64,
}

impl AccessControl {
    /// As it is before any director has spoken.
    #[must_use]
    pub fn new(policy: Policy, agent_class: &str, instance_id: &str, now_s: f64) -> Self {
        Self {
            rules: policy.rules(),
            policy,
            agent_class: agent_class.to_owned(),
            instance_id: instance_id.to_owned(),
            updated_s: now_s,
            update_count: 0,
            step: 0,
        }
    }

    /// Everyone has level 1.
    #[must_use]
    pub fn none(now_s: f64) -> Self {
        Self::new(Policy::None, "", "", now_s)
    }

    /// The level of a caller.
    #[must_use]
    pub fn level(&self, caller: Caller<'_>) -> Verdict {
        match (&self.policy, caller) {
            (Policy::None, _) => {
                Verdict { level: CredLevel::Basic, remark: "No access policy -- level 1 for all.".to_owned() }
            }
            (_, Caller::Internal) => {
                Verdict { level: CredLevel::Superuser, remark: "Super-user.".to_owned() }
            }
            (_, Caller::Client { password }) => judge(&self.rules, password),
        }
    }

    /// Takes a message of the director's feed. Answers whether it was for this agent, and changed its rules.
    ///
    /// # Errors
    /// [`DirectorError`]; then nothing has changed.
    pub fn take(&mut self, message: &Value, now_s: f64) -> Result<bool, DirectorError> {
        if !matches!(self.policy, Policy::Director { .. }) {
            return Ok(false);
        }
        let Some(update) = message::read(message, &self.instance_id)? else { return Ok(false) };
        let of_us = |rule: &AccessRule| rule.scope.covers(&self.agent_class, &self.instance_id);
        self.rules = update.rules.into_iter().filter(of_us).collect();
        self.step = update.step;
        self.updated_s = now_s;
        self.update_count += 1;
        Ok(true)
    }

    /// How often a director has changed the rules.
    #[must_use]
    pub const fn update_count(&self) -> u64 {
        self.update_count
    }

    /// The `access_control` of `get_api`. Its presence tells clients that they may send a password.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "version": AC_VERSION,
            "policy": self.policy.word(),
            "update_timestamp": self.updated_s,
            "update_count": self.update_count,
            "step": self.step,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    fn level(control: &AccessControl, password: &str) -> CredLevel {
        control.level(Caller::Client { password: Some(&Secret::new(password)) }).level
    }

    #[test]
    fn without_a_policy_everyone_has_level_one() {
        let control = AccessControl::none(0.0);
        assert_eq!(level(&control, "x"), CredLevel::Basic);
        assert_eq!(control.level(Caller::Internal).level, CredLevel::Basic);
    }

    #[test]
    fn an_override_gives_levels_for_its_passwords() {
        let policy = Policy::parse(Some("override:two,three")).unwrap();
        let control = AccessControl::new(policy, "A", "a", 0.0);
        assert_eq!(["", "two", "three"].map(|password| level(&control, password).number()), [1, 2, 3]);
        assert_eq!(control.level(Caller::Internal).level, CredLevel::Superuser);
    }

    #[test]
    fn a_director_blocks_until_it_speaks_and_is_never_half_understood() {
        let policy = Policy::parse(Some("director:d")).unwrap();
        let mut control = AccessControl::new(policy, "A", "a", 5.0);
        assert_eq!(level(&control, "x"), CredLevel::Blocked);
        let rule = |class| json!({"hashed_pass": {"hash": "none"}, "cred_level": 2, "scope_spec": {"agent_class": class}});
        let message = |rules| json!({"reset": true, "ac_version": 1, "step": 7, "rules": rules});
        assert_eq!(control.take(&message(json!([rule("B")])), 6.0), Ok(true));
        assert_eq!(level(&control, "x"), CredLevel::Blocked);
        assert_eq!(control.take(&message(json!([rule("A")])), 7.0), Ok(true));
        assert_eq!(level(&control, "x"), CredLevel::Advanced);
        assert!(control.take(&message(json!([rule("B"), 5])), 8.0).is_err());
        assert_eq!(level(&control, "x"), CredLevel::Advanced);
        assert_eq!(
            control.to_json(),
            json!({"version": 1, "policy": "director", "update_timestamp": 7.0, "update_count": 2, "step": 7})
        );
    }

    #[test]
    fn nobody_but_a_director_changes_the_rules() {
        let mut control = AccessControl::none(0.0);
        let message = json!({"reset": true, "ac_version": 1, "step": 7, "rules": []});
        assert_eq!(control.take(&message, 6.0), Ok(false));
        assert_eq!(level(&control, ""), CredLevel::Basic);
    }
}
