//! Which HostManagers and instances the names on a command line mean.

use super::declared::Management;
use super::narrow::Selectors;
use super::report::Child;
use super::survey::{Fleet, HostView, Row};
use super::words::{Named, Words};

/// What the operator asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted<'a> {
    /// `-a`: every HostManager of the site.
    pub(crate) all: bool,
    /// Ids of instances, or of HostManagers, which mean all that they manage; also ranges and patterns of ids.
    pub(crate) ids: &'a [String],
    /// What of it is meant; `None`: all.
    pub(crate) only: Option<&'a Selectors>,
    /// Of what is not called by its own name, only what should run: for a restart.
    pub(crate) should_run: bool,
}

impl<'a> Wanted<'a> {
    /// What the words of a command line mean.
    pub(crate) fn new(all: bool, ids: &'a [String]) -> Self {
        Self { all, ids, only: None, should_run: false }
    }

    /// The same, narrowed.
    pub(crate) fn only(self, selectors: &'a Selectors) -> Self {
        Self { only: Some(selectors), ..self }
    }

    fn takes_host(&self, host: &HostView) -> bool {
        self.only.is_none_or(|only| only.takes_host(&host.name))
    }

    fn takes_row(&self, row: &Row) -> bool {
        self.only.is_none_or(|only| only.takes_row(row))
    }

    fn by_instance(&self) -> bool {
        self.only.is_some_and(Selectors::by_instance)
    }
}

/// One thing to do, in the order in which it is announced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Everything that this HostManager manages.
    Everything { manager: String },
    /// One instance, through its HostManager.
    Instance { instance_id: String, manager: String },
}

impl Step {
    pub(crate) fn manager(&self) -> &str {
        match self {
            Self::Everything { manager } | Self::Instance { manager, .. } => manager,
        }
    }
}

/// The steps, and the names that mean nothing here.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(crate) struct Selection {
    pub(crate) steps: Vec<Step>,
    pub(crate) unknown: Vec<String>,
    /// Instances that are meant, though not by their own names, and of which it is not clear whom to ask.
    pub(crate) unclear: Vec<Refusal>,
}

impl Selection {
    /// The HostManagers concerned, each once, in order.
    pub(crate) fn managers(&self) -> Vec<&str> {
        let mut managers: Vec<&str> = Vec::new();
        for step in &self.steps {
            if !managers.contains(&step.manager()) {
                managers.push(step.manager());
            }
        }
        managers
    }

    /// What one HostManager is asked for.
    pub(crate) fn of_manager(&self, manager: &str) -> ManagerTargets {
        let mut targets = ManagerTargets::default();
        for step in self.steps.iter().filter(|step| step.manager() == manager) {
            match step {
                Step::Everything { .. } => targets.everything = true,
                Step::Instance { instance_id, .. } => targets.instances.push(instance_id.clone()),
            }
        }
        targets
    }
}

/// The targets that concern one HostManager.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(crate) struct ManagerTargets {
    pub(crate) everything: bool,
    pub(crate) instances: Vec<String>,
}

/// A name that exists but whose target nobody can change.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// `manage: ignore`, or an entry that is not usable.
    #[error("Cannot perform action on '{instance_id}', as it is not configured as a managed Agent.")]
    Unmanaged { instance_id: String },
    /// Without exactly one HostManager on its host it is not clear whom to ask.
    #[error(
        "Cannot perform action on '{instance_id}', as there are {count} HostManagers configured on host '{host}'."
    )]
    ManagerUnclear { instance_id: String, host: String, count: usize },
}

/// Finds the steps. Nothing is done when a name is refused; names that are unknown do not stop the others, nor do
/// those for which the selectors leave nothing.
pub(crate) fn select(fleet: &Fleet, wanted: &Wanted<'_>) -> Result<Selection, Refusal> {
    let mut words = Words::new(fleet, wanted.ids);
    let mut selection = Selection::default();
    let mut instances: Vec<Step> = Vec::new();
    for host in fleet.hosts.iter().filter(|host| wanted.takes_host(host)) {
        // The HostManagers that are meant as a whole, but of which only some instances are.
        let mut in_part: Vec<&str> = Vec::new();
        for row in host.rows.iter().filter(|row| row.is_manager()) {
            if words.name(row) == Named::No && !wanted.all {
                continue;
            }
            if wanted.by_instance() {
                in_part.push(&row.instance_id);
            } else {
                selection.steps.push(Step::Everything { manager: row.instance_id.clone() });
            }
        }
        for row in host.rows.iter().filter(|row| !row.is_manager() && wanted.takes_row(row)) {
            let named = words.name(row);
            let manager = manager_of(host, row);
            let meant = match named {
                Named::Itself => true,
                // Of what is not called by its own name, what nobody manages is passed over.
                _ if is_unmanaged(row) || (wanted.should_run && !should_run(row)) => false,
                Named::ByPattern => true,
                Named::No => match &manager {
                    Ok(manager) => in_part.contains(manager),
                    Err(_) => !in_part.is_empty(),
                },
            };
            match manager {
                _ if !meant => {}
                Ok(manager) => {
                    let (instance_id, manager) = (row.instance_id.clone(), manager.to_owned());
                    instances.push(Step::Instance { instance_id, manager });
                }
                Err(refusal) if named == Named::Itself => return Err(refusal),
                Err(refusal) => selection.unclear.push(refusal),
            }
        }
    }
    selection.steps.append(&mut instances);
    selection.unknown = words.unused();
    Ok(selection)
}

fn is_unmanaged(row: &Row) -> bool {
    matches!(row.management, Management::Ignore | Management::Other) && row.child.is_none()
}

fn should_run(row: &Row) -> bool {
    row.child.as_ref().is_some_and(Child::should_run)
}

fn manager_of<'a>(host: &'a HostView, row: &'a Row) -> Result<&'a str, Refusal> {
    let instance_id = row.instance_id.clone();
    if is_unmanaged(row) {
        return Err(Refusal::Unmanaged { instance_id });
    }
    // The one that reports it is in charge, however many the host has.
    if let Some(manager) = &row.manager {
        return Ok(manager);
    }
    match host.managers.as_slice() {
        [only] => Ok(&only.instance_id),
        several => {
            Err(Refusal::ManagerUnclear { instance_id, host: host.name.clone(), count: several.len() })
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;
    use crate::fleet::declared::{DeclaredHost, DeclaredInstance};
    use crate::fleet::narrow::Patterns;
    use crate::fleet::report::{ManagerReport, ManagerState};

    fn instance(id: &str, management: Management) -> DeclaredInstance {
        let agent_class = if management == Management::HostManager { "HostManager" } else { "A" };
        DeclaredInstance {
            instance_id: id.into(),
            agent_class: agent_class.into(),
            management,
            problem: None,
        }
    }

    fn fleet() -> Fleet {
        let declared = [
            DeclaredHost {
                problem: None,
                name: "h1".into(),
                instances: vec![
                    instance("hm1", Management::HostManager),
                    instance("b", Management::Host),
                    instance("a", Management::Host),
                    instance("registry", Management::Ignore),
                ],
            },
            DeclaredHost {
                problem: None,
                name: "h2".into(),
                instances: vec![instance("hm2", Management::HostManager), instance("c", Management::Docker)],
            },
            DeclaredHost {
                problem: None,
                name: "h3".into(),
                instances: vec![instance("orphan", Management::Host)],
            },
            DeclaredHost {
                problem: None,
                name: "h4".into(),
                instances: vec![
                    instance("hm4a", Management::HostManager),
                    instance("hm4b", Management::HostManager),
                    instance("d", Management::Host),
                    instance("e", Management::Host),
                ],
            },
        ];
        let report = |id: &str, child: &str| {
            let mut report = ManagerReport::silent(id, ManagerState::Up, None);
            report.children =
                vec![Child::from_json(&json!({"instance_id": child, "agent_class": "A"})).unwrap()];
            (id.to_owned(), report)
        };
        Fleet::build(&declared, &BTreeMap::from([report("hm2", "influxdb"), report("hm4b", "e")]))
    }

    fn pick(all: bool, ids: &[&str]) -> Result<Selection, Refusal> {
        let ids: Vec<String> = ids.iter().map(|&id| id.to_owned()).collect();
        select(&fleet(), &Wanted::new(all, &ids))
    }

    fn everything(manager: &str) -> Step {
        Step::Everything { manager: manager.into() }
    }

    fn one(instance_id: &str, manager: &str) -> Step {
        Step::Instance { instance_id: instance_id.into(), manager: manager.into() }
    }

    #[test]
    fn instances_come_in_the_order_of_the_table_and_managers_first() {
        let selection = pick(false, &["c", "b", "hm1", "a"]).unwrap();
        assert_eq!(selection.steps, [everything("hm1"), one("a", "hm1"), one("b", "hm1"), one("c", "hm2")]);
        assert_eq!(selection.managers(), ["hm1", "hm2"]);
        let targets = selection.of_manager("hm1");
        assert!(targets.everything);
        assert_eq!(targets.instances, ["a", "b"]);
    }

    #[test]
    fn all_means_every_host_manager() {
        let selection = pick(true, &[]).unwrap();
        assert_eq!(
            selection.steps,
            [everything("hm1"), everything("hm2"), everything("hm4a"), everything("hm4b")]
        );
    }

    #[test]
    fn a_service_that_only_its_manager_knows_can_be_named() {
        assert_eq!(pick(false, &["influxdb"]).unwrap().steps, [one("influxdb", "hm2")]);
    }

    #[test]
    fn unknown_names_are_told_once_and_do_not_stop_the_others() {
        let selection = pick(false, &["nosuch", "a", "nosuch"]).unwrap();
        assert_eq!(selection.steps, [one("a", "hm1")]);
        assert_eq!(selection.unknown, ["nosuch"]);
    }

    fn narrowed(all: bool, ids: &[&str], hosts: &[&str], classes: &[&str], states: &[&str]) -> Selection {
        let ids: Vec<String> = ids.iter().map(|&id| id.to_owned()).collect();
        let patterns = |texts: &[&str]| texts.iter().map(|&text| text.into()).collect();
        let selectors = Selectors {
            host: hosts.iter().map(|list| Patterns::parse(list).unwrap()).collect(),
            class: patterns(classes),
            state: patterns(states),
        };
        select(&fleet(), &Wanted::new(all, &ids).only(&selectors)).unwrap()
    }

    #[test]
    fn hosts_are_selected_by_name_range_or_pattern() {
        assert_eq!(narrowed(true, &[], &["h[1-2]"], &[], &[]).steps, [everything("hm1"), everything("hm2")]);
        assert_eq!(narrowed(true, &[], &["*2"], &[], &[]).steps, [everything("hm2")]);
        let selection = narrowed(false, &["a", "c"], &["h2"], &[], &[]);
        assert_eq!((selection.steps, selection.unknown), (vec![one("c", "hm2")], vec!["a".to_owned()]));
    }

    #[test]
    fn a_class_or_a_state_means_the_managed_instances_that_have_it() {
        let selection = narrowed(true, &[], &["h1,h2"], &["A"], &[]);
        assert_eq!(
            selection.steps,
            [one("a", "hm1"), one("b", "hm1"), one("influxdb", "hm2"), one("c", "hm2")],
            "the registry is of that class, but not managed"
        );
        assert!(narrowed(true, &[], &[], &["B"], &[]).steps.is_empty());
        assert_eq!(narrowed(false, &["hm1", "c"], &[], &["A"], &[]).steps.len(), 3);
        assert_eq!(narrowed(true, &[], &["h2"], &[], &["no*"]).steps, []);
    }

    #[test]
    fn ids_may_be_ranges_and_patterns() {
        assert_eq!(pick(false, &["[a-b]"]).unwrap().unknown, ["[a-b]"], "letters are no range");
        let selection = pick(false, &["?"]).unwrap();
        assert_eq!(selection.steps, [one("a", "hm1"), one("b", "hm1"), one("c", "hm2"), one("e", "hm4b")]);
        assert!(
            matches!(&*selection.unclear, [Refusal::ManagerUnclear { instance_id, .. }] if instance_id == "d")
        );
        let selection = pick(false, &["in*", "hm[1-2,9]"]).unwrap();
        assert_eq!(selection.steps, [everything("hm1"), everything("hm2"), one("influxdb", "hm2")]);
        assert_eq!(selection.unknown, ["hm9"]);
        assert_eq!(pick(false, &["x*"]).unwrap().unknown, ["x*"]);
        // What is not managed is refused by its name, and passed over by a pattern.
        assert_eq!(pick(false, &["regis*"]).unwrap().steps, []);
    }

    #[test]
    fn an_unmanaged_instance_is_refused_in_the_words_of_the_original() {
        let refusal = pick(false, &["registry"]).unwrap_err();
        assert_eq!(
            refusal.to_string(),
            "Cannot perform action on 'registry', as it is not configured as a managed Agent."
        );
    }

    #[test]
    fn without_exactly_one_manager_it_must_be_known_who_has_it() {
        let refusal = pick(false, &["orphan"]).unwrap_err();
        assert_eq!(
            refusal.to_string(),
            "Cannot perform action on 'orphan', as there are 0 HostManagers configured on host 'h3'."
        );
        let refusal = pick(false, &["d"]).unwrap_err();
        assert_eq!(
            refusal.to_string(),
            "Cannot perform action on 'd', as there are 2 HostManagers configured on host 'h4'."
        );
        assert_eq!(pick(false, &["e"]).unwrap().steps, [one("e", "hm4b")]);
    }
}
