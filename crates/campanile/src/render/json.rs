//! The `--json` form of the site's status: a stable shape, documented in the book's chapter on commands.
//!
//! Keys are only ever added. What is not known is `null`, never left out.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::fleet::report::HELD;
use crate::fleet::report::ManagerReport;
use crate::fleet::survey::{Fleet, HostView, Row};

/// The whole site.
#[derive(Debug, Serialize)]
pub(crate) struct Site<'a> {
    pub(crate) site_file: &'a str,
    pub(crate) router: Router<'a>,
    pub(crate) hosts: Vec<Host<'a>>,
}

/// The router as this client found it.
#[derive(Debug, Serialize)]
pub(crate) struct Router<'a> {
    pub(crate) url: &'a str,
    pub(crate) reachable: bool,
    pub(crate) problem: Option<&'a str>,
}

/// One host of the site config.
#[derive(Debug, Serialize)]
pub(crate) struct Host<'a> {
    name: &'a str,
    problem: Option<&'a str>,
    managers: Vec<Manager<'a>>,
    instances: Vec<Instance<'a>>,
}

#[derive(Debug, Serialize)]
struct Manager<'a> {
    instance_id: &'a str,
    state: String,
    problem: Option<&'a str>,
    /// Unix seconds.
    since: Option<f64>,
    /// Files that it cannot use at present.
    unreadable_files: Vec<UnreadableFile<'a>>,
}

#[derive(Debug, Serialize)]
struct UnreadableFile<'a> {
    file: &'a str,
    message: &'a str,
}

#[derive(Debug, Serialize)]
struct Instance<'a> {
    instance_id: &'a str,
    manager: Option<&'a str>,
    management: &'static str,
    declared_class: Option<&'a str>,
    reported_class: Option<&'a str>,
    consistent: bool,
    state: &'a str,
    target: &'a str,
    /// The HostManager's own word for the state, which tells transitions apart.
    next_action: Option<&'a str>,
    stability: Option<f64>,
    operable: Option<bool>,
    restart_required: Option<bool>,
    pid: Option<u64>,
    /// Unix seconds.
    since: Option<f64>,
    restarts: Option<u64>,
    last_exit: Option<&'a Value>,
    /// Unix seconds.
    next_at: Option<f64>,
    reason: Option<&'a str>,
    /// How the system holds it, and what it uses.
    #[serde(flatten)]
    held: BTreeMap<&'static str, Option<&'a Value>>,
    problem: Option<&'a str>,
}

/// The JSON form of a survey.
pub(crate) fn site<'a>(site_file: &'a str, router: Router<'a>, fleet: &'a Fleet) -> Site<'a> {
    Site { site_file, router, hosts: fleet.hosts.iter().map(host).collect() }
}

fn host(host: &HostView) -> Host<'_> {
    Host {
        name: &host.name,
        problem: host.problem.as_deref(),
        managers: host.managers.iter().map(manager).collect(),
        instances: host.rows.iter().filter(|row| !row.is_manager()).map(instance).collect(),
    }
}

fn manager(manager: &ManagerReport) -> Manager<'_> {
    Manager {
        instance_id: &manager.instance_id,
        state: manager.state.to_string(),
        problem: manager.problem.as_deref(),
        since: manager.since,
        unreadable_files: manager
            .unreadable
            .iter()
            .map(|(file, message)| UnreadableFile { file, message })
            .collect(),
    }
}

fn instance(row: &Row) -> Instance<'_> {
    let child = row.child.as_ref();
    Instance {
        instance_id: &row.instance_id,
        manager: row.manager.as_deref(),
        management: row.management.name(),
        declared_class: row.declared_class.as_deref(),
        reported_class: row.reported_class.as_deref(),
        consistent: row.consistent,
        state: &row.state,
        target: &row.target,
        next_action: child.map(|child| child.next_action.as_str()),
        stability: child.map(|child| child.stability),
        operable: child.map(|child| child.operable),
        restart_required: child.map(|child| child.restart_required),
        pid: child.and_then(|child| child.pid),
        since: child.and_then(|child| child.since),
        restarts: child.and_then(|child| child.restarts),
        last_exit: child.and_then(|child| child.last_exit.as_ref()).map(|exit| &exit.raw),
        next_at: child.and_then(|child| child.next_at),
        reason: child.and_then(|child| child.reason.as_deref()),
        held: HELD
            .iter()
            .enumerate()
            .map(|(index, key)| (*key, child.and_then(|child| child.held[index].as_ref())))
            .collect(),
        problem: row.problem.as_deref(),
    }
}

#[cfg(test)]
mod tests {
    use crate::render::status::tests::fleet;

    use super::*;

    #[test]
    fn the_json_form_of_the_status_is_stable() {
        let fleet = fleet();
        let router = Router { url: "http://127.0.0.1:8001/call", reachable: true, problem: None };
        insta::assert_json_snapshot!(site("/etc/ocs/default.yaml", router, &fleet));
    }
}
