//! One connection to each member of the cluster, and which of them is asked.
//!
//! The member that answered last is asked first. One that does not answer in time, or refuses the connection, is left for
//! the next; its connection is dropped, so that the next attempt begins anew. So a member that hangs costs one timeout,
//! once.

use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use etcd_client::{Certificate, Client, ConnectOptions, Error, Identity, TlsOptions};
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use super::cluster_file::ClusterFile;
use super::failure::{Failure, classify};
use crate::StoreError;

/// How long is waited for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// A connection to a member.
    pub connect: Duration,
    /// The answer of one member to a small request. An election of the cluster takes about this long.
    pub request: Duration,
    /// The answer of one member to a page of keys or a large transaction.
    pub bulk: Duration,
    /// All members together, however often each is asked.
    pub call: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(2),
            request: Duration::from_secs(2),
            bulk: Duration::from_secs(5),
            call: Duration::from_secs(10),
        }
    }
}

/// Pings on a quiet connection are this far apart; without them a hung member is never noticed.
const PING_INTERVAL: Duration = Duration::from_secs(2);
/// How long a ping may remain unanswered.
const PING_TIMEOUT: Duration = Duration::from_secs(2);
/// Rest after all members have failed.
const PAUSE: Duration = Duration::from_millis(200);

/// The members of one cluster.
#[derive(Debug)]
pub(super) struct Members {
    list: Vec<Slot>,
    /// The member that is asked first.
    current: AtomicUsize,
    options: ConnectOptions,
    pub(super) timeouts: Timeouts,
}

#[derive(Debug)]
struct Slot {
    host: String,
    port: u16,
    url: String,
    client: Mutex<Option<Connection>>,
}

#[derive(Clone)]
struct Connection(Client);

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("connection")
    }
}

/// A result, and whether an earlier attempt may have had an effect, too.
#[derive(Debug)]
pub(super) struct Answer<T> {
    pub(super) value: T,
    /// An attempt before this one was sent and never answered.
    pub(super) repeated: bool,
}

impl Members {
    pub(super) fn new(file: &ClusterFile, timeouts: Timeouts) -> Result<Self, StoreError> {
        if file.members.is_empty() {
            return Err(StoreError::Config("the etcd cluster has no members".to_owned()));
        }
        let scheme = if file.tls.is_some() { "https" } else { "http" };
        let list = file.members.iter().map(|member| {
            let (host, port) = (member.host.clone(), member.port);
            // An IPv6 address is written in brackets in a URL.
            let in_url = if host.contains(':') { format!("[{host}]") } else { host.clone() };
            Slot { url: format!("{scheme}://{in_url}:{port}"), host, port, client: Mutex::default() }
        });
        let list = list.collect();
        Ok(Self { list, current: AtomicUsize::new(0), options: options(file, timeouts)?, timeouts })
    }

    /// The same members, over connections of their own.
    pub(super) fn apart(&self) -> Self {
        let slot = |slot: &Slot| Slot {
            host: slot.host.clone(),
            port: slot.port,
            url: slot.url.clone(),
            client: Mutex::default(),
        };
        Self {
            list: self.list.iter().map(slot).collect(),
            current: AtomicUsize::new(self.current.load(Ordering::Relaxed)),
            options: self.options.clone(),
            timeouts: self.timeouts,
        }
    }

    pub(super) fn describe(&self) -> String {
        let members: Vec<String> =
            self.list.iter().map(|slot| format!("{}:{}", slot.host, slot.port)).collect();
        format!("etcd {}", members.join(", "))
    }

    /// Asks the members in turn until one answers, each for at most `per_member`.
    pub(super) async fn call<T, F>(
        &self,
        per_member: Duration,
        mut ask: impl FnMut(Client) -> F,
    ) -> Result<Answer<T>, Failure>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let started = Instant::now();
        let deadline = started + self.timeouts.call.max(per_member);
        let mut repeated = false;
        let mut last: Option<String> = None;
        for attempt in 0.. {
            let at = (self.current.load(Ordering::Relaxed)) % self.list.len();
            match self.ask_one(at, per_member, &mut ask).await {
                Ok(value) => return Ok(Answer { value, repeated }),
                Err(Asked::Unsent(reason)) => last = Some(reason),
                Err(Asked::Unanswered) => repeated = true,
                Err(Asked::Failed(Failure::TryAnother(reason))) => {
                    repeated = true;
                    last = Some(reason);
                }
                Err(Asked::Failed(failure)) => return Err(failure),
            }
            self.leave(at).await;
            let round_over = (attempt + 1) % self.list.len() == 0;
            if round_over {
                if Instant::now() + PAUSE >= deadline {
                    break;
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
        let store = self.describe();
        Err(Failure::Final(match last {
            Some(reason) => StoreError::Unreachable { store, source: reason.into() },
            None => StoreError::Timeout { store, waited: started.elapsed() },
        }))
    }

    async fn ask_one<T, F>(
        &self,
        at: usize,
        per_member: Duration,
        ask: &mut impl FnMut(Client) -> F,
    ) -> Result<T, Asked>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let client = self.client(at).await.map_err(|failure| match failure {
            Failure::TryAnother(reason) => Asked::Unsent(reason),
            failure => Asked::Failed(failure),
        })?;
        match timeout(per_member, ask(client)).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(Asked::Failed(classify(&error, &self.describe()))),
            Err(_) => Err(Asked::Unanswered),
        }
    }

    /// The member that is asked first at the moment, and a connection to it.
    pub(super) async fn current(&self) -> Result<(usize, Client), Failure> {
        let at = self.current.load(Ordering::Relaxed) % self.list.len();
        match self.client(at).await {
            Ok(client) => Ok((at, client)),
            Err(failure) => {
                self.leave(at).await;
                Err(failure)
            }
        }
    }

    /// Drops the connection to a member that failed, and asks another from now on.
    pub(super) async fn leave(&self, at: usize) {
        *self.list[at].client.lock().await = None;
        let next = (at + 1) % self.list.len();
        // If somebody else has left it meanwhile, all is done.
        let _ = self.current.compare_exchange(at, next, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// How many members there are.
    pub(super) fn count(&self) -> usize {
        self.list.len()
    }

    async fn client(&self, at: usize) -> Result<Client, Failure> {
        let slot = &self.list[at];
        // Only the map entry is guarded; connecting happens outside, so that a hung member blocks nobody else.
        let known = slot.client.lock().await.clone();
        if let Some(Connection(client)) = known {
            return Ok(client);
        }
        // The channel of the client reports a refused connection only by its timeout; a look at the port is quicker.
        let address = (slot.host.as_str(), slot.port);
        let no_answer = || Failure::TryAnother(format!("{}:{} does not answer", slot.host, slot.port));
        match timeout(self.timeouts.connect, TcpStream::connect(address)).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => {
                return Err(Failure::TryAnother(format!("{}:{}: {error}", slot.host, slot.port)));
            }
            Err(_) => return Err(no_answer()),
        }
        let connect = Client::connect([slot.url.as_str()], Some(self.options.clone()));
        let client = match timeout(self.timeouts.connect, connect).await {
            Ok(Ok(client)) => client,
            Ok(Err(error)) => return Err(classify(&error, &self.describe())),
            Err(_) => return Err(no_answer()),
        };
        *slot.client.lock().await = Some(Connection(client.clone()));
        Ok(client)
    }
}

/// Why one member gave no answer.
enum Asked {
    /// The request was not sent.
    Unsent(String),
    /// It was sent, and nothing came back.
    Unanswered,
    /// It answered with an error.
    Failed(Failure),
}

fn options(file: &ClusterFile, timeouts: Timeouts) -> Result<ConnectOptions, StoreError> {
    let mut options = ConnectOptions::new()
        .with_keep_alive(PING_INTERVAL, PING_TIMEOUT)
        .with_keep_alive_while_idle(true)
        .with_connect_timeout(timeouts.connect)
        .with_require_leader(true)
        .with_auto_token_refresh(true);
    let read = |path: &std::path::Path| {
        std::fs::read(path).map_err(|error| StoreError::Config(format!("{}: {error}", path.display())))
    };
    if let Some(tls) = &file.tls {
        let mut with = TlsOptions::new();
        with = match &tls.ca {
            Some(ca) => with.ca_certificate(Certificate::from_pem(read(ca)?)),
            None => with.with_native_roots(),
        };
        if let (Some(cert), Some(key)) = (&tls.cert, &tls.key) {
            with = with.identity(Identity::from_pem(read(cert)?, read(key)?));
        }
        if let Some(name) = &tls.server_name {
            with = with.domain_name(name);
        }
        options = options.with_tls(with);
    }
    if let (Some(user), Some(path)) = (&file.user, &file.password_file) {
        let password = String::from_utf8_lossy(&read(path)?).trim_end_matches(['\n', '\r']).to_owned();
        options = options.with_user(user, password);
    }
    Ok(options)
}
