//! Values for tests of this crate.

use crate::model::{Node, NodeState, Resources, Server, ServerStatus, Worker, WorkerState};

/// A node that was just written down: 4 cores, 8 GiB, in cloud `a`.
pub(crate) fn node(name: &str) -> Node {
    Node {
        name: name.to_owned(),
        cloud: "a".to_owned(),
        worker_type: "standard".to_owned(),
        flavor: "m4".to_owned(),
        image: "image".to_owned(),
        resources: Resources::new(4, 8192),
        cost_per_hour: 4.0,
        state: NodeState::Requested,
        since_ms: 1_699_999_000_000,
        created_ms: 1_699_999_000_000,
        server_id: None,
        worker_handle: None,
        idle_since_ms: None,
        cordoned: false,
        ending: None,
        detail: String::new(),
        delete_tries: 0,
        asked_ms: None,
        missing_since_ms: None,
    }
}

/// An idle worker: 4 cores, 8 GiB.
pub(crate) fn worker(handle: &str) -> Worker {
    Worker {
        handle: handle.to_owned(),
        elastic_node: None,
        startd_name: None,
        machine: None,
        state: WorkerState::Idle,
        total: Resources::new(4, 8192),
        free: Resources::new(4, 8192),
        jobs: 0,
        idle_since_ms: None,
        heard_ms: None,
        identity: None,
        worker_types: Vec::new(),
    }
}

/// The server of a node.
pub(crate) fn server(node: &str, status: ServerStatus) -> Server {
    Server {
        id: format!("id-of-{node}"),
        name: node.to_owned(),
        status,
        mark: Some("p@h".to_owned()),
        node: Some(node.to_owned()),
        worker_type: Some("standard".to_owned()),
        flavor: "m4".to_owned(),
        resources: Some(Resources::new(4, 8192)),
        created_ms: 1_699_999_000_000,
        fault: None,
        addresses: Vec::new(),
    }
}
