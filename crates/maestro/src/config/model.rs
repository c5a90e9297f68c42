//! The nouns of a cluster configuration, as every reader (YAML of any format, etcd keys) gives them.
//!
//! Names keep the order they are written in. What the keys of etcd or a generated file must repeat verbatim (the text
//! of a hostlist, a time with its unit) is kept as text beside its meaning.

use std::sync::Arc;

use indexmap::IndexMap;

use super::extension::Extension;

/// A whole cluster: what should run where, and who collects from whom.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cluster {
    /// Every ldmsd, by name, in written order.
    pub daemons: IndexMap<String, Daemon>,
    /// Groups of aggregators, in written order, one per text of `daemons`.
    pub aggregators: Vec<AggregatorGroup>,
    /// Groups of samplers, in written order.
    pub samplers: Vec<SamplerGroup>,
    /// Plugin instances by instance name, in written order.
    pub plugins: IndexMap<String, Arc<Plugin>>,
    /// Storage policies by name, in written order.
    pub stores: IndexMap<String, StoragePolicy>,
    /// The `campanile:` section: what the original has no words for.
    pub extension: Extension,
}

impl Cluster {
    /// The daemon of this name.
    #[must_use]
    pub fn daemon(&self, name: &str) -> Option<&Daemon> {
        self.daemons.get(name)
    }

    /// The groups of aggregators this daemon is in.
    pub fn groups_of<'c>(&'c self, daemon: &'c str) -> impl Iterator<Item = &'c AggregatorGroup> {
        self.aggregators.iter().filter(move |group| group.daemons.contains(daemon))
    }

    /// The groups of samplers this daemon is in.
    pub fn samplers_of<'c>(&'c self, daemon: &'c str) -> impl Iterator<Item = &'c SamplerGroup> {
        self.samplers.iter().filter(move |group| group.daemons.contains(daemon))
    }

    /// The storage policies this daemon carries out.
    pub fn stores_of<'c>(&'c self, daemon: &'c str) -> impl Iterator<Item = &'c StoragePolicy> {
        self.stores.values().filter(move |store| store.daemons.contains(daemon))
    }

    /// The endpoint of this name of this daemon.
    #[must_use]
    pub fn endpoint(&self, daemon: &str, endpoint: &str) -> Option<&Endpoint> {
        self.daemons.get(daemon)?.endpoints.iter().find(|candidate| candidate.name == endpoint)
    }
}

/// A hostlist: its text, and the names it stands for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// As written; a list of hostlists joined by commas. It is the key of the group in etcd.
    pub text: Arc<str>,
    /// The names in written order.
    pub list: Arc<[String]>,
    /// The same names as a set would have them: positions in `list`, in the order of the names.
    sorted: Arc<[u32]>,
}

impl Names {
    /// Names under this text.
    #[must_use]
    pub fn new(text: &str, list: Vec<String>) -> Self {
        let mut sorted: Vec<u32> = (0..u32::try_from(list.len()).unwrap_or(u32::MAX)).collect();
        sorted.sort_by(|a, b| list[*a as usize].cmp(&list[*b as usize]));
        Self { text: text.into(), list: list.into(), sorted: sorted.into() }
    }

    /// Where in `list` this name stands; takes logarithmic time.
    #[must_use]
    pub fn position(&self, name: &str) -> Option<usize> {
        let found = self.sorted.binary_search_by(|at| self.list[*at as usize].as_str().cmp(name)).ok()?;
        Some(self.sorted[found] as usize)
    }

    /// Whether this name is among them.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.position(name).is_some()
    }

    /// The names in the order of their characters, as the original has them.
    pub fn in_lexical_order(&self) -> impl Iterator<Item = &String> {
        self.sorted.iter().map(|at| &self.list[*at as usize])
    }
}

/// One ldmsd.
#[derive(Clone, Debug, PartialEq)]
pub struct Daemon {
    /// Its name.
    pub name: String,
    /// Host name or address it runs on.
    pub host: String,
    /// Where it listens, in written order; at least one.
    pub endpoints: Vec<Endpoint>,
    /// What it shares with the other daemons of its entry.
    pub settings: Arc<DaemonSettings>,
}

impl Daemon {
    /// The endpoint over which it is managed: the last one with `maestro_comm`, as the original chooses.
    #[must_use]
    pub fn managed_at(&self) -> Option<&Endpoint> {
        self.endpoints.iter().rev().find(|endpoint| endpoint.maestro_comm)
    }

    /// The host under which this endpoint of it is reached.
    #[must_use]
    pub fn host_of<'d>(&'d self, endpoint: &'d Endpoint) -> &'d str {
        endpoint.host.as_deref().unwrap_or(&self.host)
    }
}

/// Settings of all daemons of one entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DaemonSettings {
    /// Environment variables, in written order.
    pub environment: Vec<(String, String)>,
    /// Options of ldmsd, in written order.
    pub options: Vec<(String, OptionValue)>,
    /// The word that switches streams on (`True`, `yes`); none while they are off.
    pub stream_enable: Option<String>,
    /// The word that switches messages on; none while they are off.
    pub msg_enable: Option<String>,
}

/// The value of an option of ldmsd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OptionValue {
    /// `option --KEY VALUE`.
    Word(String),
    /// A configuration command with these arguments: `KEY a=b c=d`.
    Arguments(Vec<(String, String)>),
}

/// A place where a daemon listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Its name; also the name of the producer that stands for it on an aggregator.
    pub name: String,
    /// Transport: `sock`, `rdma`, …
    pub xprt: Arc<str>,
    /// Port.
    pub port: u16,
    /// Its own host name, where that is not the daemon's.
    pub host: Option<String>,
    /// The word that makes it listen on every address; none when it listens on its host only.
    pub bind_all: Option<String>,
    /// Whether the manager talks to the daemon here. (The original's default is no.)
    pub maestro_comm: bool,
    /// How peers prove who they are; none: they need not.
    pub auth: Option<Arc<Auth>>,
}

impl Endpoint {
    /// The authentication plugin that a peer must use.
    #[must_use]
    pub fn auth_plugin(&self) -> &str {
        self.auth.as_deref().map_or("none", Auth::plugin_name)
    }
}

/// An authentication domain.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Auth {
    /// The name of the domain.
    pub name: String,
    /// The plugin; the name is the plugin's where it is missing.
    pub plugin: Option<String>,
    /// The plugin's configuration file (or other option).
    pub conf: Option<String>,
}

impl Auth {
    /// The plugin: named, or like the domain.
    #[must_use]
    pub fn plugin_name(&self) -> &str {
        self.plugin.as_deref().unwrap_or(&self.name)
    }
}

/// A time as LDMS takes it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Interval {
    /// As written: `1.0s`.
    pub text: String,
    /// Microseconds; none where the text is a reference to an environment variable of ldmsd (`${VAR}`).
    pub us: Option<i64>,
}

impl Interval {
    /// What ldmsd is told: microseconds, or the reference.
    #[must_use]
    pub fn value(&self) -> String {
        self.us.map_or_else(|| self.text.clone(), |us| us.to_string())
    }
}

/// Aggregators that share their work.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AggregatorGroup {
    /// The group: its text, its aggregators.
    pub daemons: Names,
    /// Producers they collect from.
    pub peers: Vec<Peers>,
    /// Listeners for daemons that advertise themselves, in written order.
    pub listeners: Vec<Listener>,
    /// Subscriptions to streams and messages of their producers.
    pub subscribe: Vec<Subscription>,
    /// Plugin instances to load.
    pub plugins: Vec<String>,
    /// How they advertise themselves to others.
    pub advertise: Option<Advertise>,
}

impl AggregatorGroup {
    /// All producers of the group, in written order.
    pub fn producers(&self) -> impl Iterator<Item = (&Peers, &Producer)> {
        self.peers.iter().flat_map(|peers| peers.producers.iter().map(move |producer| (peers, producer)))
    }

    /// All updaters of the group: those of its peers, then those of its listeners.
    pub fn updaters(&self) -> impl Iterator<Item = &Updater> {
        let of_listeners = self.listeners.iter().flat_map(|listener| &listener.updaters);
        self.peers.iter().flat_map(|peers| &peers.updaters).chain(of_listeners)
    }
}

/// An entry of `peers`: producers with common settings.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Peers {
    /// The producers, in written order.
    pub producers: Vec<Producer>,
    /// `active`, `passive`, `bridge` or `advertised`.
    pub kind: String,
    /// How long an aggregator waits before it connects again.
    pub reconnect: Option<Interval>,
    /// Permissions such as `0644`.
    pub perm: Option<String>,
    /// Connections per producer.
    pub rail: Option<String>,
    /// Stream bytes before acknowledgement.
    pub quota: Option<String>,
    /// Stream bytes per second.
    pub rx_rate: Option<String>,
    /// Whether the address is looked up once.
    pub cache_ip: Option<String>,
    /// Updaters that come with them.
    pub updaters: Vec<Updater>,
}

/// One daemon as seen from an aggregator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Producer {
    /// Name of the producer and of the endpoint it connects to.
    pub name: String,
    /// The daemon that owns the endpoint.
    pub daemon: String,
    /// Text of the hostlist that the daemon was named in.
    pub peer_group: Arc<str>,
}

/// Pulls sets from producers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Updater {
    /// `updtr_K`; K counts over the whole file.
    pub name: String,
    /// When sets are updated.
    pub mode: UpdateMode,
    /// The word the mode was given by; `pull` where none was.
    pub mode_text: String,
    /// How often.
    pub interval: Interval,
    /// Offset from the whole multiple of the interval.
    pub offset: Option<Interval>,
    /// Permissions such as `0644`.
    pub perm: Option<String>,
    /// Regular expressions of producer names; at least one.
    pub producers: Vec<String>,
    /// Which sets; empty for all.
    pub sets: Vec<SetMatch>,
    /// As in the file, for the keys that repeat it.
    pub raw: Arc<RawUpdater>,
}

/// What an entry of `updaters` has in the file, key by key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RawUpdater {
    /// Paths below the entry, with their values: `sets/000000/regex`.
    pub leaves: Vec<(String, String)>,
}

/// When an updater updates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum UpdateMode {
    /// Every interval.
    #[default]
    Pull,
    /// When the producer says that the set is complete.
    Push,
    /// When the producer says that the set has changed.
    OnChange,
    /// At the interval and offset the sampler says it has.
    Auto,
}

/// Chooses sets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetMatch {
    /// Regular expression.
    pub regex: String,
    /// `inst` or `schema`.
    pub field: String,
}

/// Makes producers of daemons that advertise themselves.
#[derive(Clone, Debug, PartialEq)]
pub struct Listener {
    /// Its name.
    pub name: String,
    /// Only daemons whose host name matches.
    pub regex: Option<String>,
    /// Only daemons in this range of addresses.
    pub ip: Option<String>,
    /// Whether new producers wait for a start (any word counts as yes, as in the original).
    pub disable_start: Option<String>,
    /// `passive` or `active`.
    pub kind: Option<String>,
    /// How long an aggregator waits before it connects again.
    pub reconnect: Option<Interval>,
    /// Connections per producer.
    pub rail: Option<String>,
    /// Stream bytes before acknowledgement.
    pub quota: Option<String>,
    /// Stream bytes per second.
    pub rx_rate: Option<String>,
    /// With `active`: transport to connect back with.
    pub advertiser_xprt: Option<String>,
    /// With `active`: port to connect back to.
    pub advertiser_port: Option<String>,
    /// Authentication domain to connect back with.
    pub advertiser_auth: Option<Arc<Auth>>,
    /// Updaters that come with it.
    pub updaters: Vec<Updater>,
}

/// A subscription to streams or messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// `stream`, `message_tag` or `message_channel`.
    pub kind: String,
    /// The stream, tag or channel.
    pub what: String,
    /// Regular expression of producer names.
    pub regex: String,
    /// Bytes per second; none for no limit.
    pub rx_rate: Option<String>,
    /// All keys as in the file, in written order.
    pub raw: Vec<(String, String)>,
}

/// Daemons that sample.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SamplerGroup {
    /// The group: its text, its daemons.
    pub daemons: Names,
    /// Plugin instances, in the order they are loaded.
    pub plugins: Vec<String>,
    /// How they advertise themselves to aggregators.
    pub advertise: Option<Advertise>,
}

/// How the daemons of a group offer themselves to aggregators.
#[derive(Clone, Debug, PartialEq)]
pub struct Advertise {
    /// Names of the advertisers, one per daemon.
    pub names: Names,
    /// Hosts of the aggregators; every daemon advertises to each.
    pub hosts: Names,
    /// Transport.
    pub xprt: String,
    /// Port of the aggregators.
    pub port: String,
    /// How long a daemon waits before it connects again.
    pub reconnect: Interval,
    /// Authentication domain.
    pub auth: Option<Arc<Auth>>,
    /// Permissions such as `0644`.
    pub perm: Option<String>,
    /// Connections.
    pub rail: Option<String>,
    /// Stream bytes before acknowledgement.
    pub quota: Option<String>,
    /// Stream bytes per second.
    pub rx_rate: Option<String>,
}

/// An instance of a plugin.
#[derive(Clone, Debug, PartialEq)]
pub struct Plugin {
    /// Name of the instance.
    pub name: String,
    /// The library: `meminfo`, `store_csv`.
    pub library: String,
    /// How often it samples; none for plugins that are no samplers.
    pub interval: Option<Interval>,
    /// Offset from the whole multiple of the interval.
    pub offset: Option<Interval>,
    /// Permissions such as `0644`.
    pub perm: Option<String>,
    /// `config` commands, in the order they are sent.
    pub config: Vec<ConfigLine>,
}

/// One `config` command of a plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigLine {
    /// Passed on verbatim.
    Verbatim(String),
    /// Options, in written order.
    Options(Vec<(String, ConfigValue)>),
}

/// The value of an option of a plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigValue {
    /// `key`.
    Keyword,
    /// `key=text`.
    Text(String),
    /// `key=a key=b`; none stands for a bare `key`.
    Repeated(Vec<Option<String>>),
}

/// Stores the sets of a schema.
#[derive(Clone, Debug, PartialEq)]
pub struct StoragePolicy {
    /// Its name.
    pub name: String,
    /// The aggregators that store.
    pub daemons: Names,
    /// Plugin instance.
    pub plugin: String,
    /// Container of the plugin; some have none.
    pub container: Option<String>,
    /// Schema of the sets.
    pub schema: Option<String>,
    /// Regular expression of schemas, with a decomposition.
    pub regex: Option<String>,
    /// File of the decomposition.
    pub decomposition: Option<String>,
    /// How often it flushes.
    pub flush: Option<Interval>,
    /// Permissions such as `0644`.
    pub perm: Option<String>,
    /// Other keys of the entry, which the original keeps, too.
    pub other: Vec<(String, String)>,
}
