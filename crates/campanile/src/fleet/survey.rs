//! What the site config says joined with what the HostManagers report, row by row.

use std::collections::{BTreeMap, HashSet};

use super::declared::{DeclaredHost, DeclaredInstance, Management};
use super::report::{Child, ManagerReport, ManagerState};

/// One line of a host's table.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) instance_id: String,
    pub(crate) management: Management,
    /// As the site config has it; `None` for what only a HostManager knows.
    pub(crate) declared_class: Option<String>,
    /// As the HostManager has it; `None` when it reports no such child, or nobody asks it to.
    pub(crate) reported_class: Option<String>,
    /// Both in one, `declared/reported` when they differ.
    pub(crate) class_shown: String,
    /// Does the HostManager agree with the site config about what this is?
    pub(crate) consistent: bool,
    /// `up`, `down`, `unstable`, `?`, or the name of a transition.
    pub(crate) state: String,
    /// `up`, `down`, `passive`, `?`; `n/a` for HostManagers.
    pub(crate) target: String,
    /// The HostManager which reported it.
    pub(crate) manager: Option<String>,
    pub(crate) child: Option<Child>,
    /// Why this entry of the site config is disabled, as far as this client can see.
    pub(crate) problem: Option<String>,
}

impl Row {
    fn declared(instance: &DeclaredInstance) -> Self {
        let note = instance.class_note();
        // A HostManager and an unmanaged instance have nobody who could report another class.
        let reported = (!instance.management.takes_targets()).then(|| note.clone());
        Self {
            instance_id: instance.instance_id.clone(),
            management: instance.management,
            declared_class: Some(note),
            reported_class: reported,
            class_shown: String::new(),
            consistent: true,
            state: "?".into(),
            target: "?".into(),
            manager: None,
            child: None,
            problem: instance.problem.clone(),
        }
    }

    fn unknown_to_the_site(child: &Child) -> Self {
        let management = if child.agent_class.contains("[d") { Management::Docker } else { Management::Host };
        Self {
            instance_id: child.instance_id.clone(),
            management,
            declared_class: None,
            reported_class: None,
            class_shown: String::new(),
            consistent: true,
            state: "?".into(),
            target: "?".into(),
            manager: None,
            child: None,
            problem: None,
        }
    }

    fn enrich(&mut self, manager: &str, child: &Child) {
        if self.management == Management::Other {
            // What this client cannot read, the HostManager may still run as it once was.
            self.declared_class = Some(child.agent_class.clone());
        }
        self.reported_class = Some(child.agent_class.clone());
        self.state = child.state().to_owned();
        self.target = child.target_state.clone();
        self.manager = Some(manager.to_owned());
        self.child = Some(child.clone());
    }

    fn settle_class(&mut self) {
        let declared = self.declared_class.as_deref().unwrap_or("?");
        let reported = self.reported_class.as_deref().unwrap_or("?");
        self.consistent = declared == reported;
        self.class_shown =
            if self.consistent { declared.to_owned() } else { format!("{declared}/{reported}") };
    }

    /// Is this the row of a HostManager?
    pub(crate) fn is_manager(&self) -> bool {
        self.management == Management::HostManager
    }
}

/// One host with its rows, in the order HostManagers, host, docker, ignored, other; then by id.
#[derive(Clone, Debug)]
pub(crate) struct HostView {
    pub(crate) name: String,
    pub(crate) rows: Vec<Row>,
    /// Reports of this host's HostManagers, in the order of the site config.
    pub(crate) managers: Vec<ManagerReport>,
    /// Why this client cannot read the whole block of the site config, if so.
    pub(crate) problem: Option<String>,
}

/// The whole site.
#[derive(Clone, Debug)]
pub(crate) struct Fleet {
    pub(crate) hosts: Vec<HostView>,
    /// What the operator should know about the picture itself, ready to print.
    pub(crate) warnings: Vec<Warning>,
}

/// Something that makes the picture less than certain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Warning {
    /// The site config has this instance id more than once; the first entry counts.
    DeclaredTwice { instance_id: String },
    /// A HostManager reports this instance id more than once; the first entry counts.
    ReportedTwice { manager: String, instance_id: String },
    /// A HostManager runs or should, but what it has to say could not be learned.
    NoAnswer { manager: String, problem: String },
    /// A HostManager could not read one of its files and goes on with what it had.
    Unreadable { manager: String, file: String, message: String },
    /// At least one row shows two classes.
    Inconsistent,
}

impl Fleet {
    /// Joins the site config with the reports.
    ///
    /// `reports` may lack a manager, which is then shown as unknown; reports on others are ignored.
    pub(crate) fn build(declared: &[DeclaredHost], reports: &BTreeMap<String, ManagerReport>) -> Self {
        let mut warnings = Vec::new();
        let mut seen = HashSet::new();
        let hosts: Vec<HostView> =
            declared.iter().map(|host| build_host(host, reports, &mut seen, &mut warnings)).collect();
        for manager in hosts.iter().flat_map(|host| &host.managers) {
            note_manager(manager, &mut warnings);
        }
        if hosts.iter().flat_map(|host| &host.rows).any(|row| !row.consistent) {
            warnings.push(Warning::Inconsistent);
        }
        Self { hosts, warnings }
    }

    /// The host of each HostManager.
    pub(crate) fn host_of_managers(&self) -> BTreeMap<String, String> {
        let managers = self.hosts.iter().flat_map(|host| host.managers.iter().map(move |one| (one, host)));
        managers.map(|(manager, host)| (manager.instance_id.clone(), host.name.clone())).collect()
    }

    /// All rows of all hosts, each with its host.
    pub(crate) fn rows(&self) -> impl Iterator<Item = (&HostView, &Row)> {
        self.hosts.iter().flat_map(|host| host.rows.iter().map(move |row| (host, row)))
    }
}

fn build_host(
    host: &DeclaredHost,
    reports: &BTreeMap<String, ManagerReport>,
    seen: &mut HashSet<String>,
    warnings: &mut Vec<Warning>,
) -> HostView {
    let mut rows: Vec<Row> = Vec::new();
    for instance in &host.instances {
        if seen.insert(instance.instance_id.clone()) {
            rows.push(Row::declared(instance));
        } else {
            warnings.push(Warning::DeclaredTwice { instance_id: instance.instance_id.clone() });
        }
    }
    let mut managers: Vec<ManagerReport> = Vec::new();
    for id in host.managers() {
        if managers.iter().any(|manager| manager.instance_id == id) {
            continue;
        }
        let report = reports
            .get(id)
            .cloned()
            .unwrap_or_else(|| ManagerReport::silent(id, ManagerState::Unknown, None));
        if let Some(row) = rows.iter_mut().find(|row| row.instance_id == id) {
            row.state = report.state.to_string();
            row.target = "n/a".into();
        }
        let mut found = HashSet::new();
        for child in &report.children {
            if !found.insert(child.instance_id.as_str()) {
                let (manager, instance_id) = (id.to_owned(), child.instance_id.clone());
                warnings.push(Warning::ReportedTwice { manager, instance_id });
                continue;
            }
            let known = rows.iter().position(|row| row.instance_id == child.instance_id);
            let index = known.unwrap_or_else(|| {
                rows.push(Row::unknown_to_the_site(child));
                rows.len() - 1
            });
            if let Some(row) = rows.get_mut(index) {
                row.enrich(id, child);
            }
        }
        managers.push(report);
    }
    rows.iter_mut().for_each(Row::settle_class);
    rows.sort_by(|a, b| (a.management, &a.instance_id).cmp(&(b.management, &b.instance_id)));
    HostView { name: host.name.clone(), rows, managers, problem: host.problem.clone() }
}

fn note_manager(manager: &ManagerReport, warnings: &mut Vec<Warning>) {
    let id = &manager.instance_id;
    if let (ManagerState::Unknown, Some(problem)) = (manager.state, &manager.problem) {
        warnings.push(Warning::NoAnswer { manager: id.clone(), problem: problem.clone() });
    }
    for (file, message) in &manager.unreadable {
        warnings.push(Warning::Unreadable {
            manager: id.clone(),
            file: file.clone(),
            message: message.clone(),
        });
    }
}
