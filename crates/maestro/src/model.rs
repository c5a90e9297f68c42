//! The nouns: what should run where ([`Desired`]), made from a cluster configuration (`crate::desired`).
//!
//! Everything here is a plain value. Daemons, groups and producers are referred to by their position, so that a
//! decision about ten thousand producers on a hundred aggregators compares numbers, not names. Times of a schedule are
//! microseconds (`…_us`), as LDMS counts them; times of the manager are monotonic milliseconds (`…_ms`).

use std::collections::HashMap;
use std::sync::Arc;

use campanile_ldms::api::Request;

/// A name that many values share.
pub type Name = Arc<str>;

/// A whole cluster as it should be.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Desired {
    /// Every ldmsd. Positions in this list identify daemons.
    pub daemons: Vec<Daemon>,
    /// Every group of aggregators. Positions in this list identify groups.
    pub groups: Vec<Group>,
}

impl Desired {
    /// The position of the daemon of this name.
    #[must_use]
    pub fn daemon(&self, name: &str) -> Option<usize> {
        self.daemons.iter().position(|daemon| &*daemon.name == name)
    }

    /// The groups nobody collects from: the top of the cluster.
    pub fn top_groups(&self) -> impl Iterator<Item = usize> + '_ {
        let collected: std::collections::HashSet<usize> =
            self.groups.iter().flat_map(|group| group.producers.iter().filter_map(|p| p.daemon)).collect();
        (0..self.groups.len()).filter(move |at| {
            !self.groups[*at].aggregators.iter().any(|member| collected.contains(&member.daemon))
        })
    }
}

/// Where the manager talks to a daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Control {
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// Transport; only `sock` is spoken.
    pub xprt: String,
    /// Authentication plugin.
    pub plugin: String,
    /// Its configuration file, if it has one.
    pub conf: Option<String>,
}

/// One ldmsd.
#[derive(Clone, Debug, PartialEq)]
pub struct Daemon {
    /// Its name.
    pub name: Name,
    /// Where it is managed; none when no endpoint of it has `maestro_comm`: then it is only collected from.
    pub control: Option<Control>,
    /// Switches streams on.
    pub stream_enable: bool,
    /// Switches messages on.
    pub msg_enable: bool,
    /// Ports it must listen at beside the one it is managed at.
    pub listens: Vec<Listen>,
    /// Sampler plugins, in the order they are loaded.
    pub plugins: Vec<Plugin>,
    /// How it offers itself to aggregators.
    pub advertisers: Vec<Object>,
    /// Authentication domains that its advertisers and ports need.
    pub domains: Vec<Domain>,
    /// The groups it is an aggregator of: group, and its place there.
    pub member_of: Vec<(usize, usize)>,
    /// How it is started when it does not run; none where that is somebody else's business.
    pub start: Option<Arc<Start>>,
}

/// How a daemon is started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// As a process of its own machine, by a manager that runs there.
    Local(Launch),
    /// By the HostManager of its host, which knows it as an instance.
    Instance {
        /// The instance-id of the HostManager.
        manager: Name,
        /// The instance-id of the daemon there.
        instance: Name,
    },
}

/// A process that is a daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launch {
    /// The machine it belongs to.
    pub host: String,
    /// The program.
    pub program: std::path::PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Added to the manager's own environment.
    pub environment: Vec<(String, String)>,
    /// Lines of a configuration file that it begins with; empty for none.
    pub conf: String,
}

/// An authentication domain of a daemon.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Domain {
    /// Its name.
    pub name: Name,
    /// The plugin.
    pub plugin: Name,
    /// The plugin's configuration file.
    pub conf: Option<Name>,
}

/// A further port of a daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// Transport.
    pub xprt: String,
    /// Port.
    pub port: u16,
    /// Address to listen at; all when absent.
    pub host: Option<String>,
    /// Authentication domain.
    pub domain: Option<Domain>,
}

/// How often, and when within the interval.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Schedule {
    /// The interval.
    pub interval_us: i64,
    /// Offset from whole multiples of the interval.
    pub offset_us: Option<i64>,
}

/// A plugin instance.
#[derive(Clone, Debug, PartialEq)]
pub struct Plugin {
    /// Name of the instance.
    pub name: Name,
    /// Name of the plugin.
    pub plugin: String,
    /// Each is sent with one `config`.
    pub configs: Vec<String>,
    /// When it samples; absent for a store.
    pub schedule: Option<Schedule>,
    /// The name of the set it makes unless it is told otherwise.
    pub set: Option<Name>,
}

/// Something a daemon is given once under a name: an advertiser, a listener for advertisements.
#[derive(Clone, Debug, PartialEq)]
pub struct Object {
    /// Its name.
    pub name: Name,
    /// Adds it.
    pub add: Request,
    /// Starts it.
    pub start: Request,
    /// The authentication domain it names.
    pub domain: Option<Domain>,
}

/// What is divided among the aggregators of a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BalanceBy {
    /// Whole producers.
    #[default]
    Producers,
    /// Single sets, where the producers are samplers.
    Sets,
}

/// What counts as load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weigh {
    /// Every producer (or set) counts the same.
    Equal,
    /// Bytes per second: size of the values times frequency.
    Traffic,
}

/// A member of a group of aggregators.
#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    /// The daemon.
    pub daemon: usize,
    /// How much it should carry, in relation to the others; 1.0 unless the configuration says otherwise.
    pub capacity: f64,
    /// What it can bear at most.
    pub limit: crate::balance::Limit,
}

/// Aggregators that share their work.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// The text of its hostlist.
    pub name: Name,
    /// The aggregators, in written order.
    pub aggregators: Vec<Member>,
    /// What they collect from. Those that advertise themselves are added as they are seen.
    pub producers: Vec<Producer>,
    /// Updaters, on each aggregator under `NAME_AGGREGATOR` as the original names them.
    pub updaters: Vec<Updater>,
    /// Listeners for daemons that advertise themselves.
    pub listeners: Vec<Object>,
    /// Subscriptions.
    pub subscriptions: Vec<Subscription>,
    /// Plugin instances that each aggregator has, stores included.
    pub plugins: Vec<Plugin>,
    /// Storage policies by aggregator: place in `aggregators`, policy.
    pub stores: Vec<(usize, Store)>,
    /// What is divided.
    pub by: BalanceBy,
    /// What counts as load.
    pub weigh: Weigh,
    /// Positions of producers by name.
    pub index: HashMap<Name, usize>,
}

impl Group {
    /// A group of these producers and nothing else.
    #[must_use]
    pub fn new(name: &str, aggregators: Vec<Member>, producers: Vec<Producer>) -> Self {
        let index = producers.iter().enumerate().map(|(at, producer)| (producer.name.clone(), at)).collect();
        Self {
            name: name.into(),
            aggregators,
            producers,
            updaters: Vec::new(),
            listeners: Vec::new(),
            subscriptions: Vec::new(),
            plugins: Vec::new(),
            stores: Vec::new(),
            by: BalanceBy::Producers,
            weigh: Weigh::Equal,
            index,
        }
    }

    /// Adds a producer; gives its position. One of that name is left as it is.
    pub fn add_producer(&mut self, producer: Producer) -> usize {
        if let Some(at) = self.index.get(&producer.name) {
            return *at;
        }
        let at = self.producers.len();
        self.index.insert(producer.name.clone(), at);
        self.producers.push(producer);
        at
    }
}

/// How the manager comes to a producer of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// It is defined on every aggregator of the group, with this type (`active`, `passive`, `bridge`).
    Defined(campanile_ldms::api::producer::ProducerType),
    /// It advertises itself: aggregators make it by themselves, the manager only starts and stops it.
    Advertised,
}

/// One daemon as seen from the aggregators of a group.
#[derive(Clone, Debug, PartialEq)]
pub struct Producer {
    /// Its name.
    pub name: Name,
    /// How it comes to be there.
    pub source: Source,
    /// Host name or address.
    pub host: Name,
    /// Port.
    pub port: u16,
    /// Transport.
    pub xprt: Name,
    /// How long an aggregator waits before it connects again.
    pub reconnect_us: i64,
    /// Authentication domain.
    pub domain: Option<Domain>,
    /// What else `prdcr_add` takes.
    pub extra: Arc<ProducerExtra>,
    /// The daemon behind it, if it is one of the cluster's.
    pub daemon: Option<usize>,
    /// A weight the configuration gives; otherwise what [`Group::weigh`] says.
    pub weight: Option<u64>,
}

/// Rarely used settings of producers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProducerExtra {
    /// Permission bits.
    pub perm: Option<u32>,
    /// Connections.
    pub rail: Option<u32>,
    /// Stream bytes before acknowledgement.
    pub quota: Option<String>,
    /// Stream bytes per second.
    pub rx_rate: Option<String>,
    /// Whether the address is looked up once.
    pub cache_ip: Option<String>,
}

/// How an updater gets its sets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Fetches them every interval.
    #[default]
    Pull,
    /// Has them pushed on request.
    Push,
    /// Has them pushed when they change.
    OnChange,
    /// Fetches them at the interval the sampler has.
    Auto,
}

/// What a match of an updater looks at.
pub use campanile_ldms::api::updater::MatchField;

/// An updater of each aggregator of a group.
#[derive(Clone, Debug, PartialEq)]
pub struct Updater {
    /// `updtr_K`.
    pub key: Name,
    /// How often, and when.
    pub schedule: Schedule,
    /// How.
    pub mode: Mode,
    /// Permission bits.
    pub perm: Option<u32>,
    /// Which producers of the group it covers (positions), unless all.
    pub covers: Option<Arc<[bool]>>,
    /// The expressions it names its producers by.
    pub producers: Vec<String>,
    /// Which sets; empty for all. With [`BalanceBy::Sets`] the assigned sets take their place.
    pub matches: Vec<(String, MatchField)>,
}

impl Updater {
    /// Its name on an aggregator.
    #[must_use]
    pub fn name_on(&self, aggregator: &str) -> String {
        format!("{}_{aggregator}", self.key)
    }

    /// Whether it covers the producer at this position.
    #[must_use]
    pub fn covers(&self, producer: usize) -> bool {
        self.covers.as_ref().is_none_or(|covers| covers.get(producer).copied().unwrap_or(true))
    }
}

/// A subscription to streams or messages of producers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Subscription {
    /// The producers, as an expression.
    pub regex: String,
    /// The stream; or
    pub stream: Option<String>,
    /// the message tag.
    pub message_tag: Option<String>,
    /// Bytes per second; -1 is no limit.
    pub rx_rate: i64,
}

/// A storage policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Store {
    /// Its name.
    pub name: Name,
    /// The plugin instance.
    pub plugin: Name,
    /// Container.
    pub container: Option<String>,
    /// Schema.
    pub schema: Option<String>,
    /// Expression for schemas.
    pub regex: Option<String>,
    /// Decomposition file.
    pub decomposition: Option<String>,
    /// Time between flushes, as written.
    pub flush: Option<String>,
    /// Permission bits.
    pub perm: Option<u32>,
}
