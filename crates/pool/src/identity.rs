//! Which server and which worker belong to which node. PURE.
//!
//! A server belongs to the node whose name it bears (`NODE_KEY`), else whose server id the record has. A worker belongs
//! to the node named by its attribute `ElasticNode`, else by its startd's name before the `@`, else by the first label
//! of its machine (whole, where the node's own name has dots). Where two match, nothing is known, and nothing is removed.

use std::collections::{HashMap, HashSet};

use crate::model::{Node, Server, Worker};

/// What is seen of something.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Sight<T> {
    /// Who would know did not answer.
    Unknown,
    /// There is none.
    Absent,
    /// It is there.
    Seen(T),
    /// Several claim to be it.
    Ambiguous,
}

impl<T: Copy> Sight<T> {
    /// It, if there is exactly one.
    #[must_use]
    pub fn get(self) -> Option<T> {
        match self {
            Self::Seen(it) => Some(it),
            _ => None,
        }
    }
}

/// The node names that a worker may stand for, in the order in which they count; the first kind present decides.
#[must_use]
pub fn names_of(worker: &Worker) -> Option<&str> {
    if let Some(name) = worker.elastic_node.as_deref().filter(|name| !name.is_empty()) {
        return Some(name);
    }
    if let Some(startd) = worker.startd_name.as_deref() {
        // HTCondor's `slot1@name@host` is cut to `name@host` by its reader; what has no `@` is a name as it is.
        let name = startd.split('@').next().unwrap_or_default();
        if !name.is_empty() {
            return Some(name);
        }
    }
    worker.machine.as_deref().and_then(|machine| machine.split('.').next()).filter(|label| !label.is_empty())
}

/// Workers by node, and those that are not ours.
#[derive(Debug, Default)]
pub struct Workers<'w> {
    of_node: HashMap<&'w str, Vec<&'w Worker>>,
    /// Workers that belong to no node.
    pub foreign: Vec<&'w Worker>,
}

impl<'w> Workers<'w> {
    /// Sorts the workers by the nodes they belong to.
    #[must_use]
    pub fn of(workers: &'w [Worker], nodes: &'w [Node]) -> Self {
        let names: HashSet<&str> = nodes.iter().map(|node| node.name.as_str()).collect();
        let handles: HashMap<&str, &str> = nodes
            .iter()
            .filter_map(|node| Some((node.worker_handle.as_deref()?, node.name.as_str())))
            .collect();
        let mut of_node: HashMap<&str, Vec<&Worker>> = HashMap::new();
        let mut foreign = Vec::new();
        for worker in workers {
            match node_of(worker, &names, &handles) {
                Some(name) => of_node.entry(name).or_default().push(worker),
                None => foreign.push(worker),
            }
        }
        Self { of_node, foreign }
    }

    /// What is seen of a node's worker.
    #[must_use]
    pub fn sight(&self, node: &str) -> Sight<&'w Worker> {
        match self.of_node.get(node).map(Vec::as_slice) {
            None | Some([]) => Sight::Absent,
            Some([one]) => Sight::Seen(one),
            Some(_) => Sight::Ambiguous,
        }
    }
}

/// The node of a worker, by the rule above. A handle that was given to it beforehand (Slurm) is its startd's name.
fn node_of<'w>(
    worker: &'w Worker,
    names: &HashSet<&'w str>,
    handles: &HashMap<&'w str, &'w str>,
) -> Option<&'w str> {
    let known = |name: &'w str| names.get(name).copied();
    if let Some(name) = worker.elastic_node.as_deref().filter(|name| !name.is_empty()) {
        // It says whose it is; another rule must not find it a second home.
        return known(name);
    }
    if let Some(startd) = worker.startd_name.as_deref() {
        let name = startd.split('@').next().unwrap_or_default();
        if let Some(found) = handles.get(startd).copied().or_else(|| known(name)) {
            return Some(found);
        }
    }
    let machine = worker.machine.as_deref()?;
    known(machine).or_else(|| known(machine.split('.').next().unwrap_or_default()))
}

/// Servers of one cloud by node.
#[derive(Debug, Default)]
pub struct Servers<'s> {
    of_node: HashMap<&'s str, Vec<&'s Server>>,
    /// Servers that bear our mark and belong to no node in the record.
    pub unknown: Vec<&'s Server>,
}

impl<'s> Servers<'s> {
    /// Sorts the marked servers of a cloud by the nodes of the record that lie in it.
    #[must_use]
    pub fn of(servers: &'s [Server], nodes: &[&'s Node]) -> Self {
        let names: HashSet<&str> = nodes.iter().map(|node| node.name.as_str()).collect();
        let ids: HashMap<&str, &str> =
            nodes.iter().filter_map(|node| Some((node.server_id.as_deref()?, node.name.as_str()))).collect();
        let mut sorted = Self::default();
        for server in servers {
            let bears = server.node.as_deref().and_then(|name| names.get(name).copied());
            match bears.or_else(|| ids.get(server.id.as_str()).copied()) {
                Some(name) => sorted.of_node.entry(name).or_default().push(server),
                None => sorted.unknown.push(server),
            }
        }
        sorted
    }

    /// What is seen of a node's server.
    #[must_use]
    pub fn sight(&self, node: &str) -> Sight<&'s Server> {
        match self.of_node.get(node).map(Vec::as_slice) {
            None | Some([]) => Sight::Absent,
            Some([one]) => Sight::Seen(one),
            Some(_) => Sight::Ambiguous,
        }
    }

    /// Servers beyond the first of each node: they count as nodes for every limit.
    #[must_use]
    pub fn doubles(&self) -> Vec<&'s Server> {
        self.of_node.values().flat_map(|servers| servers.iter().skip(1).copied()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{node, worker};

    fn belongs(worker: Worker, nodes: &[Node]) -> Option<String> {
        let workers = [worker];
        let sorted = Workers::of(&workers, nodes);
        nodes.iter().find(|node| sorted.sight(&node.name).get().is_some()).map(|node| node.name.clone())
    }

    #[test]
    fn a_worker_belongs_to_its_elastic_node_else_its_startd_else_its_machine() {
        let nodes = [node("n-1"), node("n-2"), node("n-3")];
        let mut seen = worker("slot1@n-2@head");
        seen.elastic_node = Some("n-1".to_owned());
        seen.startd_name = Some("n-2@head".to_owned());
        seen.machine = Some("n-3.site.org".to_owned());
        assert_eq!(belongs(seen.clone(), &nodes).as_deref(), Some("n-1"));
        seen.elastic_node = None;
        assert_eq!(belongs(seen.clone(), &nodes).as_deref(), Some("n-2"));
        seen.startd_name = Some("n-3.site.org".to_owned());
        assert_eq!(belongs(seen.clone(), &nodes).as_deref(), Some("n-3"));
        seen.machine = Some("other.site.org".to_owned());
        assert_eq!(belongs(seen, &nodes), None);
    }

    #[test]
    fn one_that_says_it_is_anothers_is_not_ours_whatever_its_machine_is_called() {
        let mut seen = worker("w");
        seen.elastic_node = Some("of-another-pool".to_owned());
        seen.machine = Some("n-1".to_owned());
        let nodes = [node("n-1")];
        assert_eq!(belongs(seen, &nodes), None);
    }

    #[test]
    fn where_two_match_nothing_is_known() {
        let nodes = [node("n-1")];
        let mut one = worker("a");
        one.elastic_node = Some("n-1".to_owned());
        let mut other = worker("b");
        other.machine = Some("n-1.site.org".to_owned());
        let workers = [one, other];
        assert_eq!(Workers::of(&workers, &nodes).sight("n-1"), Sight::Ambiguous);
    }

    #[test]
    fn a_name_given_by_slurm_finds_its_node() {
        let mut given = node("ehos-execute-1");
        given.worker_handle = Some("cloud7".to_owned());
        let mut seen = worker("cloud7");
        seen.startd_name = Some("cloud7".to_owned());
        assert_eq!(belongs(seen, &[given]).as_deref(), Some("ehos-execute-1"));
    }
}
