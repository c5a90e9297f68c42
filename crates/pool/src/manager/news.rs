//! What arrives at the desk.

use tokio::sync::oneshot;

use crate::batch::DrainAnswer;
use crate::clouds::CloudError;

/// Something that has come of an order, or that somebody asks for.
#[derive(Debug)]
pub enum News {
    /// The cloud has answered a request.
    Created {
        /// The node.
        node: String,
        /// What it said.
        answer: Result<String, CloudError>,
    },
    /// A node could not be prepared; nothing was requested.
    NotAdmitted {
        /// The node.
        node: String,
        /// Why.
        why: String,
    },
    /// The batch system has answered a drain.
    Drained {
        /// The node.
        node: String,
        /// What it said.
        answer: DrainAnswer,
    },
    /// The name that a node's worker will have.
    Handle {
        /// The node.
        node: String,
        /// The name.
        handle: String,
        /// Whether it was written down.
        reply: oneshot::Sender<bool>,
    },
    /// An operator's wish.
    Ask {
        /// What.
        ask: Ask,
        /// What came of it, in words.
        reply: oneshot::Sender<Result<String, String>>,
    },
}

/// What operators ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Create and remove nothing until further notice.
    Pause,
    /// Go on.
    Resume,
    /// Let a node finish its jobs, then remove it.
    Drain(String),
    /// Let a node take no new jobs, and keep it; or undo that.
    Cordon(String, bool),
    /// Other numbers than those of the configuration.
    Scale {
        /// Instead of `nodes_min`.
        min: Option<u64>,
        /// Instead of `nodes_max`; never above it.
        max: Option<u64>,
        /// Instead of `nodes_spare`.
        spare: Option<u64>,
        /// Back to the configuration first.
        reset: bool,
    },
}
