//! Clouds behind one trait: what the manager asks of a place where servers are made.
//!
//! A cloud does no deciding and keeps no state that matters: every call is one bounded exchange (each implementation
//! sets its own deadlines and reports [`CloudError::Unreachable`] when they pass). Calls of one cloud may run at the
//! same time.

pub mod local;
pub mod openstack;

use std::fmt;

use async_trait::async_trait;

use crate::model::{CloudLimits, Flavor, Mark, Server};

/// One region of one project.
#[async_trait]
pub trait Cloud: Send + Sync + fmt::Debug {
    /// Its name in the configuration.
    fn name(&self) -> &str;

    /// All servers that bear this mark, in any status.
    ///
    /// The mark is read from each server, never taken from a filter: nova ignores `?tags=` below microversion 2.26 and
    /// `?metadata=` for ordinary users, and then lists everything.
    ///
    /// # Errors
    /// [`CloudError`]. A list that is not whole is an error.
    async fn list_marked(&self, mark: &Mark) -> Result<Vec<Server>, CloudError>;

    /// All servers of the project that have one of these names and bear no mark, or ours; to adopt those of another
    /// program.
    ///
    /// # Errors
    /// [`CloudError`].
    async fn list_named(&self, names: &[String]) -> Result<Vec<Server>, CloudError>;

    /// Puts our mark on a server that has none.
    ///
    /// # Errors
    /// [`CloudError`]; [`CloudError::Conflict`] when it bears another's mark.
    async fn adopt(&self, server_id: &str, adoption: &Adoption) -> Result<(), CloudError>;

    /// Asks for a server. The answer is its id; it is ready much later, if ever.
    ///
    /// The caller has written its intent down before, under [`NewServer::node`]. After [`CloudError::AnswerLost`] or a
    /// crash it finds out by [`Cloud::list_marked`] whether there is such a server. An implementation never repeats the
    /// request by itself unless the cloud said that nothing was made.
    ///
    /// # Errors
    /// [`CloudError`], told apart as far as the cloud lets one; what was made beside (volume, port) is marked, and found
    /// by [`Cloud::leftovers`].
    async fn create(&self, server: &NewServer) -> Result<String, CloudError>;

    /// Asks for a server's deletion, with what hangs on it: floating addresses first, then the server. Looks at the mark
    /// of the server before; `Ok` when there is no such server any more, or it is being deleted.
    ///
    /// # Errors
    /// [`CloudError`]; [`CloudError::NotOurs`] when the server does not bear the mark.
    async fn delete(&self, server_id: &str, mark: &Mark) -> Result<(), CloudError>;

    /// The end of what a server has printed on its console, at most `max_lines`; empty if there is nothing.
    ///
    /// # Errors
    /// [`CloudError`].
    async fn console(&self, server_id: &str, max_lines: u32) -> Result<String, CloudError>;

    /// What the project may have, and has.
    ///
    /// # Errors
    /// [`CloudError`].
    async fn limits(&self) -> Result<CloudLimits, CloudError>;

    /// What can be bought.
    ///
    /// # Errors
    /// [`CloudError`].
    async fn flavors(&self) -> Result<Vec<Flavor>, CloudError>;

    /// Ports, floating addresses and volumes that bear the mark. The manager removes those whose node has no server.
    ///
    /// # Errors
    /// [`CloudError`].
    async fn leftovers(&self, mark: &Mark) -> Result<Vec<Leftover>, CloudError>;

    /// Removes one of those; `Ok` when it is no longer there.
    ///
    /// # Errors
    /// [`CloudError`].
    async fn remove_leftover(&self, leftover: &Leftover) -> Result<(), CloudError>;
}

/// A server to be made.
#[derive(Clone, PartialEq)]
pub struct NewServer {
    /// Its name, unique for ever; also the value of `NODE_KEY` on it and on everything made for it.
    pub node: String,
    /// The mark of the pool (`MARK_KEY`).
    pub mark: Mark,
    /// The worker type (`TYPE_KEY`).
    pub worker_type: String,
    /// Flavor, name or id.
    pub flavor: String,
    /// Image, name or id.
    pub image: String,
    /// Network, name or id; `None`: the only one there is.
    pub network: Option<String>,
    /// Key pair; `None`: none.
    pub key: Option<String>,
    /// Security groups, names.
    pub security_groups: Vec<String>,
    /// cloud-init user-data, tags filled in. May hold a secret.
    pub user_data: String,
    /// Whether it gets a floating address.
    pub floating_ip: bool,
    /// A scratch volume, GiB; 0: none.
    pub scratch_gib: u64,
    /// The size of a volume that it boots from, GiB; 0: it boots from the disk of its flavor.
    pub boot_gib: u64,
}

/// The user-data is left out: it may hold a secret.
impl fmt::Debug for NewServer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("NewServer")
            .field("node", &self.node)
            .field("mark", &self.mark)
            .field("worker_type", &self.worker_type)
            .field("flavor", &self.flavor)
            .field("image", &self.image)
            .field("network", &self.network)
            .finish_non_exhaustive()
    }
}

/// What a server of another program becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adoption {
    /// The mark it gets.
    pub mark: Mark,
    /// The name of its node, its own name as a rule.
    pub node: String,
    /// Its worker type.
    pub worker_type: String,
}

/// Something that may outlive its server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leftover {
    /// What it is.
    pub kind: LeftoverKind,
    /// The cloud's id.
    pub id: String,
    /// The node it was made for.
    pub node: String,
    /// The server it hangs on, if it does.
    pub server_id: Option<String>,
}

/// What may outlive a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LeftoverKind {
    /// A floating address.
    FloatingIp,
    /// A port.
    Port,
    /// A volume.
    Volume,
}

impl LeftoverKind {
    /// In words.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::FloatingIp => "floating address",
            Self::Port => "port",
            Self::Volume => "volume",
        }
    }
}

/// What went wrong at a cloud; each kind is answered differently.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CloudError {
    /// 401: the credentials are refused, after a fresh attempt to log in.
    #[error("the credentials are refused: {0}")]
    Auth(String),
    /// 403 for want of quota.
    #[error("no quota left for {resource}: {message}")]
    Quota {
        /// What has run out, in the cloud's word: `cores`, `ram`, `instances`, `volumes`.
        resource: String,
        /// The cloud's words.
        message: String,
    },
    /// 403 otherwise.
    #[error("not allowed: {0}")]
    Forbidden(String),
    /// 400: the request makes no sense to the cloud (unknown image, flavor, network, group).
    #[error("the cloud does not accept the request: {0}")]
    Invalid(String),
    /// 404 for something that the request named.
    #[error("not found: {0}")]
    NotFound(String),
    /// 409.
    #[error("conflict: {0}")]
    Conflict(String),
    /// 429, or 503 with Retry-After.
    #[error("the cloud asks to wait: {message}")]
    Busy {
        /// For how long, milliseconds; `None` if it did not say.
        retry_after_ms: Option<u64>,
        /// The cloud's words.
        message: String,
    },
    /// 500, 502, 503, 504: for a request that changes something, it is not known whether it was done.
    #[error("the cloud fails: {0}")]
    Fails(String),
    /// No valid host: there is quota and no room.
    #[error("the cloud has no room: {0}")]
    NoRoom(String),
    /// No connection: nothing was sent.
    #[error("the cloud cannot be reached: {0}")]
    Unreachable(String),
    /// The request was sent and no answer came in time: it may have been done.
    #[error("no answer: {0}")]
    AnswerLost(String),
    /// The server does not bear our mark; it was left alone.
    #[error("{0} does not bear our mark")]
    NotOurs(String),
    /// An answer that cannot be understood.
    #[error("the answer makes no sense: {0}")]
    Nonsense(String),
}

impl CloudError {
    /// Whether a request to make something may have been done all the same.
    #[must_use]
    pub fn may_have_been_done(&self) -> bool {
        matches!(self, Self::Fails(_) | Self::AnswerLost(_) | Self::Nonsense(_))
    }

    /// A word for metrics and the journal.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Auth(_) => "auth",
            Self::Quota { .. } => "quota",
            Self::Forbidden(_) => "forbidden",
            Self::Invalid(_) => "invalid",
            Self::NotFound(_) => "not_found",
            Self::Conflict(_) => "conflict",
            Self::Busy { .. } => "busy",
            Self::Fails(_) => "fails",
            Self::NoRoom(_) => "no_room",
            Self::Unreachable(_) => "unreachable",
            Self::AnswerLost(_) => "answer_lost",
            Self::NotOurs(_) => "not_ours",
            Self::Nonsense(_) => "nonsense",
        }
    }
}
