//! From a password to a level.

use md5::{Digest as _, Md5};

use super::CredLevel;
use crate::agent::pyrepr;
use crate::scope::Scope;
use crate::secret::Secret;

/// Hexadecimal digits of an MD5 digest that OCS keeps.
const MD5_DIGITS: usize = 16;

/// A password as a rule holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HashedPass {
    /// No password matches.
    Blocked,
    /// The clear text; if it is empty, every password matches, and so does none at all.
    Clear(Secret),
    /// The first 16 hexadecimal digits of the MD5 digest, in small letters; if it is empty, every password matches.
    Md5(Secret),
}

impl HashedPass {
    /// Every password matches, and so does none at all.
    #[must_use]
    pub fn free() -> Self {
        Self::Clear(Secret::default())
    }

    /// This password matches.
    #[must_use]
    pub const fn clear(password: Secret) -> Self {
        Self::Clear(password)
    }

    /// Whether a password matches. None given is the same as an empty one.
    #[must_use]
    pub fn check(&self, password: Option<&Secret>) -> bool {
        let password = password.map_or("", Secret::reveal);
        match self {
            Self::Blocked => false,
            Self::Clear(value) | Self::Md5(value) if value.is_empty() => true,
            Self::Clear(value) => value.is(password),
            Self::Md5(value) => value.is(&short_md5(password)),
        }
    }
}

fn short_md5(text: &str) -> String {
    let mut digits = String::with_capacity(MD5_DIGITS);
    for byte in Md5::digest(text.as_bytes()).iter().take(MD5_DIGITS / 2) {
        for half in [byte >> 4, byte & 0xf] {
            digits.push(char::from_digit(u32::from(half), 16).unwrap_or('0'));
        }
    }
    digits
}

/// One rule: who knows the password has the level. A rule of an exclusive grant also takes levels from all others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessRule {
    /// The password.
    pub password: HashedPass,
    /// The level that it gives, if any.
    pub cred_level: Option<CredLevel>,
    /// The agents that the rule is meant for.
    pub scope: Scope,
    /// The name of the grant.
    pub lockout_id: Option<String>,
    /// Who holds the grant.
    pub lockout_owner: Option<String>,
    /// The levels that those who do not know the password cannot have.
    pub lockout_levels: Vec<CredLevel>,
}

impl AccessRule {
    /// A rule for all agents, without lockout.
    #[must_use]
    pub const fn granting(level: CredLevel, password: HashedPass) -> Self {
        Self {
            password,
            cred_level: Some(level),
            scope: Scope::everyone(),
            lockout_id: None,
            lockout_owner: None,
            lockout_levels: Vec::new(),
        }
    }

    fn lockout(&self) -> String {
        let text = |part: &Option<String>| part.as_deref().unwrap_or("None").to_owned();
        format!("{}[{}]", text(&self.lockout_id), text(&self.lockout_owner))
    }
}

/// The level of a caller, and a remark for people when it is lower than it could be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The level.
    pub level: CredLevel,
    /// Empty for nothing to say.
    pub remark: String,
}

/// What the rules (of this agent already) say of a password: the highest level that it gives, lowered as long as it is
/// locked by a grant whose password it is not. Every rule is looked at, so that the time tells nothing.
#[must_use]
pub(super) fn judge(rules: &[AccessRule], password: Option<&Secret>) -> Verdict {
    let mut level = CredLevel::Blocked;
    let mut locked: Vec<CredLevel> = Vec::new();
    let mut lockouts: Vec<String> = Vec::new();
    for rule in rules {
        if rule.password.check(password) {
            level = level.max(rule.cred_level.unwrap_or(CredLevel::Blocked));
        } else if !rule.lockout_levels.is_empty() {
            locked.extend(&rule.lockout_levels);
            let lockout = rule.lockout();
            if !lockouts.contains(&lockout) {
                lockouts.push(lockout);
            }
        }
    }
    let mut remark = String::new();
    while locked.contains(&level)
        && let Some(lower) = level.below()
    {
        level = lower;
        if remark.is_empty() {
            remark =
                format!("Privileges diminished; lockouts active: {}", pyrepr::repr(&lockouts.clone().into()));
        }
    }
    Verdict { level, remark }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn grant(password: &str, level: CredLevel, lockout_levels: &[CredLevel]) -> AccessRule {
        AccessRule {
            lockout_id: Some("cam".into()),
            lockout_owner: Some("o'neil".into()),
            lockout_levels: lockout_levels.to_vec(),
            ..AccessRule::granting(level, HashedPass::clear(Secret::new(password)))
        }
    }

    #[test]
    fn a_password_is_checked_in_its_hash() {
        let md5 = HashedPass::Md5(Secret::new("15f8aeb1b47e8f95"));
        let swordfish = Secret::new("swordfish");
        assert_eq!(short_md5(""), "d41d8cd98f00b204");
        assert!(HashedPass::Md5(Secret::new(short_md5("swordfish"))).check(Some(&swordfish)));
        assert!(!md5.check(Some(&Secret::new("sword"))));
        assert!(!HashedPass::Blocked.check(None));
        assert!(HashedPass::free().check(None) && HashedPass::free().check(Some(&swordfish)));
        assert!(!HashedPass::clear(swordfish).check(None));
    }

    #[test]
    fn a_lockout_takes_levels_from_all_but_the_holder() {
        let free = AccessRule::granting(CredLevel::Full, HashedPass::free());
        let rules = [free, grant("pw", CredLevel::Advanced, &[CredLevel::Full, CredLevel::Advanced])];
        let other = judge(&rules, None);
        assert_eq!(other.level, CredLevel::Basic);
        assert_eq!(other.remark, "Privileges diminished; lockouts active: [\"cam[o'neil]\"]");
        let holder = judge(&rules, Some(&Secret::new("pw")));
        assert_eq!((holder.level, holder.remark.as_str()), (CredLevel::Full, ""));
    }

    fn levels() -> impl Strategy<Value = CredLevel> {
        proptest::sample::select(CredLevel::ALL.to_vec())
    }

    fn rules() -> impl Strategy<Value = Vec<AccessRule>> {
        let rule = ("[ab]?", levels(), proptest::collection::vec(levels(), 0..3))
            .prop_map(|(password, level, locked)| grant(&password, level, &locked));
        proptest::collection::vec(rule, 0..6)
    }

    proptest! {
        #[test]
        fn nobody_has_more_than_a_matching_rule_gives_nor_a_level_that_is_locked(rules in rules(), password in "[abc]?") {
            let password = Secret::new(password);
            let verdict = judge(&rules, Some(&password));
            let most = rules.iter().filter(|rule| rule.password.check(Some(&password))).filter_map(|rule| rule.cred_level).max();
            prop_assert!(verdict.level <= most.unwrap_or(CredLevel::Blocked));
            let locked = rules.iter().filter(|rule| !rule.password.check(Some(&password)))
                .any(|rule| rule.lockout_levels.contains(&verdict.level));
            prop_assert!(!locked || verdict.level == CredLevel::Blocked);
            prop_assert_eq!(verdict.remark.is_empty(), Some(verdict.level) == most.or(Some(CredLevel::Blocked)));
        }

        #[test]
        fn the_order_of_the_rules_does_not_matter(mut rules in rules(), password in "[abc]?") {
            let password = Secret::new(password);
            let before = judge(&rules, Some(&password)).level;
            rules.reverse();
            prop_assert_eq!(before, judge(&rules, Some(&password)).level);
        }

        #[test]
        fn no_policy_text_or_password_ever_shows(password in "[A-Z]{6,12}") {
            let rule = AccessRule::granting(CredLevel::Full, HashedPass::clear(Secret::new(&password)));
            let shown = format!("{rule:?}");
            prop_assert!(!shown.contains(&password));
        }
    }
}
