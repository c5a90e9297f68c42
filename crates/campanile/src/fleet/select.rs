//! Which HostManagers and instances the names on a command line mean.

use super::declared::Management;
use super::survey::{Fleet, HostView, Row};

/// What the operator asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wanted<'a> {
    /// `-a`: every HostManager of the site.
    pub(crate) all: bool,
    /// Ids of instances, or of HostManagers, which mean all that they manage.
    pub(crate) ids: &'a [String],
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

/// Finds the steps. Nothing is done when a name is refused; names that are unknown do not stop the others.
pub(crate) fn select(fleet: &Fleet, wanted: &Wanted<'_>) -> Result<Selection, Refusal> {
    let named = |row: &Row| wanted.ids.contains(&row.instance_id);
    let mut selection = Selection::default();
    for (_, row) in fleet.rows().filter(|(_, row)| row.is_manager()) {
        if wanted.all || named(row) {
            selection.steps.push(Step::Everything { manager: row.instance_id.clone() });
        }
    }
    for (host, row) in fleet.rows().filter(|(_, row)| !row.is_manager() && named(row)) {
        let manager = manager_of(host, row)?.to_owned();
        selection.steps.push(Step::Instance { instance_id: row.instance_id.clone(), manager });
    }
    for id in wanted.ids {
        if !selection.unknown.contains(id) && !fleet.rows().any(|(_, row)| row.instance_id == *id) {
            selection.unknown.push(id.clone());
        }
    }
    Ok(selection)
}

fn manager_of<'a>(host: &'a HostView, row: &'a Row) -> Result<&'a str, Refusal> {
    let instance_id = row.instance_id.clone();
    if matches!(row.management, Management::Ignore | Management::Other) && row.child.is_none() {
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
    use crate::fleet::report::{Child, ManagerReport, ManagerState};

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
        select(&fleet(), &Wanted { all, ids: &ids })
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
