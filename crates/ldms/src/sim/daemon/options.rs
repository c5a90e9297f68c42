//! What a simulated daemon is started with.

use std::collections::BTreeMap;

use crate::api::Request;
use crate::auth::Auth;

/// A port to listen at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    /// Transport; only `sock` can be opened.
    pub xprt: String,
    /// Port; 0 lets the driver choose one.
    pub port: u16,
    /// Address; all when absent.
    pub host: Option<String>,
    /// Authentication domain; the default when absent.
    pub domain: Option<String>,
}

/// How long things take, in microseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timings {
    /// From the start of the daemon until it listens.
    pub start_us: u64,
    /// From `prdcr_start` until the connection is begun: from, to.
    pub connect_us: (u64, u64),
    /// From `prdcr_stop` until STOPPED, with nothing under way on the connection: from, to. 0 is at once.
    pub stop_us: (u64, u64),
    /// From `prdcr_stop` until STOPPED while lookups or updates are under way: from, to.
    pub busy_stop_us: (u64, u64),
    /// From the end of a lookup until the first update of the set.
    pub settle_us: u64,
}

impl Timings {
    /// As measured on ldmsd 4.5.1.
    #[must_use]
    pub fn real() -> Self {
        Self {
            start_us: 170_000,
            connect_us: (200_000, 900_000),
            stop_us: (0, 4_000),
            busy_stop_us: (20_000, 300_000),
            settle_us: 1_000_000,
        }
    }

    /// Nothing takes longer than it must: for tests that are not about time.
    #[must_use]
    pub fn quick() -> Self {
        Self { start_us: 0, connect_us: (0, 0), stop_us: (0, 0), busy_stop_us: (0, 0), settle_us: 0 }
    }
}

/// What a simulated daemon is started with.
#[derive(Debug, Clone)]
pub struct Options {
    /// Its name (`ldmsd -n`).
    pub name: String,
    /// What it believes its host is called; advertised.
    pub hostname: String,
    /// The user it runs as; only this user, its group and root may change its configuration.
    pub uid: u32,
    /// The group it runs as.
    pub gid: u32,
    /// Its default authentication (`-a`).
    pub auth: Auth,
    /// Where it listens (`-x`).
    pub listen: Vec<Listen>,
    /// Its environment, for `${VAR}` in attributes.
    pub env: BTreeMap<String, String>,
    /// How long things take.
    pub timings: Timings,
    /// Bytes for metric sets (`-m`).
    pub set_memory: u64,
    /// Carried out at the start (see [`crate::sim`] for files).
    pub config: Vec<Request>,
    /// Whether requests are written down as `ldmsd -L` does (see [`super::Daemon::trace`]).
    pub trace: bool,
}

impl Options {
    /// A daemon with the timings of a real one, that listens at `port` on 127.0.0.1 and authenticates nobody.
    #[must_use]
    pub fn new(name: &str, port: u16) -> Self {
        let host = Some("127.0.0.1".to_owned());
        Self {
            name: name.to_owned(),
            hostname: name.to_owned(),
            uid: 0,
            gid: 0,
            auth: Auth::None,
            listen: vec![Listen { xprt: "sock".to_owned(), port, host, domain: None }],
            env: BTreeMap::new(),
            timings: Timings::real(),
            set_memory: 512 * 1024 * 1024,
            config: Vec::new(),
            trace: false,
        }
    }
}
