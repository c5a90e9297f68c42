//! Bringing the table in line with a site config that was read again. Pure.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::model::{Fate, Instance, Key, Observed, Operable, Spec, State, Target};
use crate::table::Table;

/// What the site config wants of one instance.
#[derive(Clone, Debug, PartialEq)]
pub struct Wanted {
    /// What should run.
    pub spec: Arc<Spec>,
    /// Whether it can be manipulated, as far as the site config tells.
    pub operable: Operable,
    /// Why its entry is disabled, if it is.
    pub problem: Option<String>,
}

impl Wanted {
    fn operable(&self) -> Operable {
        self.problem.clone().map_or_else(|| self.operable.clone(), Operable::No)
    }
}

/// Brings the table in line with the site config. Returns what is to be told to people.
///
/// * New: tracked, with the target of the site config.
/// * Gone: retired, that is stopped and then forgotten.
/// * Became another thing (class, management, command): stopped; begins anew, with the target of the site config, when
///   the old one has ended.
/// * Is launched with something else (arguments, environment, directory): stopped and launched again; keeps its target.
/// * A changed `manage` sets the target that it names, whatever operators have asked for before.
/// * Entry broken: what is tracked already keeps its last good form; what is new cannot be manipulated.
/// * A docker service that was only looked at and is named now: becomes an instance as it is.
/// * All others keep their target and go on undisturbed; changed waits, order, readiness and limits are heeded at once.
pub fn reload(table: &mut Table, wanted: &[Wanted], now_ms: u64) -> Vec<String> {
    let mut messages = retire_missing(table, wanted);
    let keys: HashMap<String, Key> = table
        .iter()
        .filter(|entry| !entry.instance.spec.is_stranger())
        .map(|entry| (entry.instance.spec.instance_id.clone(), entry.instance.key))
        .collect();
    for want in wanted {
        if let Some(key) = keys.get(&want.spec.instance_id) {
            if let Some(entry) = table.get_mut(*key) {
                messages.extend(update(&mut entry.instance, want));
            }
            continue;
        }
        match adopt_stranger(table, want) {
            Some(message) => messages.push(message),
            None => {
                let spec = Arc::clone(&want.spec);
                let operable = want.operable();
                table.add(Observed::default(), |key| Instance::new(key, spec, operable, now_ms));
            }
        }
    }
    messages
}

fn retire_missing(table: &mut Table, wanted: &[Wanted]) -> Vec<String> {
    let ids: HashSet<&str> = wanted.iter().map(|want| want.spec.instance_id.as_str()).collect();
    let mut messages = Vec::new();
    for entry in table.iter_mut() {
        let instance = &mut entry.instance;
        // A service that is in no site config cannot disappear from it.
        let stays = ids.contains(instance.spec.instance_id.as_str()) || instance.spec.is_stranger();
        if stays || instance.fate == Fate::Retired {
            continue;
        }
        let name = instance.spec.full_name();
        messages.push(format!(
            "Retiring {name}, which has disappeared from configuration file(s) or has manage:no."
        ));
        instance.fate = Fate::Retired;
        instance.target = Target::Down;
    }
    messages
}

/// A docker service that was only looked at, and that the site config now names, becomes an instance as it is: it is
/// not launched again, and if it is down it stays so until somebody asks for it.
fn adopt_stranger(table: &mut Table, want: &Wanted) -> Option<String> {
    let service = want.spec.service()?;
    let is_it = |entry: &&mut crate::table::Entry| {
        let spec = &entry.instance.spec;
        spec.is_stranger() && spec.service() == Some(service)
    };
    let instance = &mut table.iter_mut().find(is_it)?.instance;
    let id = &want.spec.instance_id;
    instance.spec = Arc::clone(&want.spec);
    instance.operable = want.operable();
    instance.passive = false;
    if instance.target == Target::Passive {
        instance.target = if instance.state == State::Up { Target::Up } else { Target::Down };
    }
    Some(format!("Unmanaged docker service {service} will now be managed as instance_id={id}."))
}

fn update(instance: &mut Instance, want: &Wanted) -> Option<String> {
    let works = !matches!(instance.operable, Operable::No(_)) && instance.fate == Fate::Kept;
    if want.problem.is_some() && works {
        let name = instance.spec.full_name();
        return Some(format!("{name} keeps its last good configuration"));
    }
    let is_kept = instance.fate == Fate::Kept;
    // What is wanted of it now is what is on its way already, if it is being replaced.
    let before = match &instance.fate {
        Fate::Replaced { by, .. } => Arc::clone(by),
        Fate::Kept | Fate::Retired => Arc::clone(&instance.spec),
    };
    let manage_has_changed = before.start != want.spec.start;
    if instance.fate == Fate::Retired || !before.is_same_thing(&want.spec) || manage_has_changed {
        instance.target = want.spec.start;
    }
    if is_kept && instance.spec.may_go_on_as(&want.spec) {
        let name = want.spec.full_name();
        instance.spec = Arc::clone(&want.spec);
        if instance.operable != Operable::Yes {
            instance.operable = want.operable();
        }
        let target = instance.target.name();
        return manage_has_changed
            .then(|| format!("manage of {name} has changed; its target is {target} now"));
    }
    // An instance that could not be manipulated has nothing to lose, and nobody needs to hear of it.
    let is_known = matches!(&instance.fate, Fate::Replaced { .. }) && before.may_go_on_as(&want.spec);
    let message = (!is_known && (works || !is_kept)).then(|| reset_message(instance, &want.spec));
    instance.fate = Fate::Replaced { by: Arc::clone(&want.spec), operable: want.operable() };
    message
}

fn reset_message(instance: &Instance, new: &Spec) -> String {
    let old = &instance.spec;
    let management = if instance.fate == Fate::Retired { "retired" } else { old.management() };
    let what = if old.agent_class == new.agent_class && management == new.management() {
        if old.is_same_thing(new) { "arguments, env or cwd" } else { "command" }.to_owned()
    } else {
        format!(
            "agent_class ({} -> {}) or management ({management} -> {})",
            old.agent_class,
            new.agent_class,
            new.management()
        )
    };
    format!("Managed agent \"{}\" changed {what} and is being reset!", old.instance_id)
}
