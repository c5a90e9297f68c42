//! What a site config file says, with every default filled in.

use std::path::PathBuf;

use campanile_yaml::Span;

use super::container::ArgContainer;

/// A whole site.
#[derive(Clone, Debug, PartialEq)]
pub struct SiteConfig {
    /// The file it was read from, absolute; empty with `--site none`.
    pub path: PathBuf,
    /// How to reach the bus.
    pub hub: Hub,
    /// The hosts, in the order of the file.
    pub hosts: Vec<HostConfig>,
}

impl SiteConfig {
    /// The host block of that name.
    pub fn host(&self, name: &str) -> Option<&HostConfig> {
        self.hosts.iter().find(|host| host.name == name)
    }

    /// The address of an instance on the bus: `{address_root}.{instance-id}`.
    pub fn address(&self, instance_id: &str) -> String {
        format!("{}.{instance_id}", self.hub.address_root)
    }
}

/// How to reach the bus (`hub` in the file).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hub {
    /// The router's websocket URL, such as `ws://host-2:8001/ws`.
    pub wamp_server: String,
    /// The router's HTTP bridge, such as `http://host-2:8001/call`.
    pub wamp_http: Option<String>,
    /// The WAMP realm.
    pub wamp_realm: String,
    /// What every address on the bus begins with, such as `observatory`.
    pub address_root: String,
    /// The access policy of agents that are not told otherwise, such as `director:access-dir`.
    pub access_policy: Option<String>,
}

/// What a host block may say differently from the hub.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HubOverrides {
    /// In place of [`Hub::wamp_server`].
    pub wamp_server: Option<String>,
    /// In place of [`Hub::wamp_http`].
    pub wamp_http: Option<String>,
    /// In place of [`Hub::wamp_realm`].
    pub wamp_realm: Option<String>,
}

/// One host, or pseudo-host.
#[derive(Clone, Debug, PartialEq)]
pub struct HostConfig {
    /// The name it has in the file.
    pub name: String,
    /// Its instances in the order of the file, the disabled ones among them.
    pub instances: Vec<InstanceConfig>,
    /// Where agents write their logs. As in the file after [`load`](super::load); after [`select`](super::select)
    /// with `--log-dir` applied, and joined to the working directory when it is relative.
    pub log_dir: Option<PathBuf>,
    /// The router that is kept on this host; `None` when it is not ours to keep.
    pub crossbar: Option<CrossbarConfig>,
    /// How long an agent tries to reach the router again before it ends, in seconds; 0 is for ever.
    pub crossbar_timeout_s: u64,
    /// What it says differently from the hub.
    pub overrides: HubOverrides,
    /// Where the block begins.
    pub span: Span,
    /// Why the whole block is unusable, if it is.
    pub problem: Option<String>,
}

impl HostConfig {
    /// The instance of that id, disabled or not.
    pub fn instance(&self, instance_id: &str) -> Option<&InstanceConfig> {
        self.instances.iter().find(|instance| instance.instance_id == instance_id)
    }
}

/// The router on a host (`crossbar` in a host block).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CrossbarConfig {
    /// The directory of its `config.json`, for `--cbdir`.
    pub config_dir: Option<String>,
    /// The executable; the `crossbar` on PATH when absent.
    pub bin: Option<String>,
}

/// How the HostManager treats an instance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Manage {
    /// A process of this host, started with the manager.
    #[default]
    HostUp,
    /// A process of this host, started when somebody asks for it.
    HostDown,
    /// A compose service, started with the manager.
    DockerUp,
    /// A compose service, started when somebody asks for it.
    DockerDown,
    /// Not ours to touch.
    Ignore,
}

impl Manage {
    /// The full form, as OCS writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::HostUp => "host/up",
            Self::HostDown => "host/down",
            Self::DockerUp => "docker/up",
            Self::DockerDown => "docker/down",
            Self::Ignore => "ignore",
        }
    }

    /// The value for a text in a file, with every alias that OCS knows.
    pub fn from_text(text: &str) -> Option<Self> {
        Some(match text {
            "host/up" | "host" | "up" | "yes" => Self::HostUp,
            "host/down" | "down" => Self::HostDown,
            "docker/up" | "docker" => Self::DockerUp,
            "docker/down" => Self::DockerDown,
            "ignore" | "no" => Self::Ignore,
            _ => return None,
        })
    }

    /// Whether it runs as a process of this host.
    pub fn is_host(self) -> bool {
        matches!(self, Self::HostUp | Self::HostDown)
    }

    /// Whether it runs as a compose service.
    pub fn is_docker(self) -> bool {
        matches!(self, Self::DockerUp | Self::DockerDown)
    }

    /// Whether it is started with the manager.
    pub fn starts_up(self) -> bool {
        matches!(self, Self::HostUp | Self::DockerUp)
    }
}

/// One agent instance.
///
/// `agent-class`, `instance-id`, `arguments` and `manage` are those of OCS; the other keys are ours.
#[derive(Clone, Debug, PartialEq)]
pub struct InstanceConfig {
    /// The agent class; free text beside a `command`.
    pub agent_class: String,
    /// The id, unique on the bus. An entry that has no usable id of its own is disabled, and called `#N` by its place
    /// in the list (from 1); a repeated id is disabled, too, and called `{id}#N`. Since `#` cannot be part of an
    /// address, those never clash with a real one.
    pub instance_id: String,
    /// Arguments, flattened, each as Python's `str()` would print it.
    pub arguments: Vec<String>,
    /// How the HostManager treats it; always `Ignore` for the class HostManager.
    pub manage: Manage,
    /// The program to run in place of an OCS agent, with its first arguments; `arguments` are appended.
    pub command: Option<Vec<String>>,
    /// Environment variables added to the manager's own, in the order of the file.
    pub env: Vec<(String, String)>,
    /// The working directory; the manager's when absent. A relative one is relative to `--working-dir`.
    pub cwd: Option<PathBuf>,
    /// How it is stopped.
    pub stop: Stop,
    /// The instances of this host that must be ready before this one is started.
    pub after: Vec<String>,
    /// When it counts as ready; at once after its start when absent.
    pub ready: Option<Ready>,
    /// What it may use.
    pub limits: Limits,
    /// How soon it is started again.
    pub restart: Restart,
    /// Where the entry is in the file.
    pub span: Span,
    /// Why the entry is disabled, if it is: in words for the operator, with the line.
    pub problem: Option<String>,
}

impl InstanceConfig {
    /// Whether two entries ask for the same, wherever in the file they stand.
    pub fn same_settings(&self, other: &Self) -> bool {
        let mut moved = other.clone();
        moved.span = self.span;
        *self == moved
    }

    /// The arguments for the instance's own program: those of the entry with those of the command line merged into
    /// them, and `--instance-id` if neither has it.
    pub fn merged_arguments<S: Into<String>>(
        &self,
        command_line: impl IntoIterator<Item = S>,
    ) -> Vec<String> {
        let mut merged = ArgContainer::new(self.arguments.iter().cloned());
        merged.update(ArgContainer::new(command_line));
        if !merged.has("--instance-id") {
            merged.update(ArgContainer::new(["--instance-id", &self.instance_id]));
        }
        merged.to_list()
    }
}

/// How an instance is stopped: SIGINT, SIGTERM at half of the grace, SIGKILL of everything it started at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stop {
    /// The time it has for an orderly end, in milliseconds.
    pub grace_ms: u64,
    /// Whether it is killed at the end of the grace; `false` where an instrument may take its time to park.
    pub kill: bool,
}

impl Default for Stop {
    /// A minute, then kill.
    fn default() -> Self {
        Self { grace_ms: 60_000, kill: true }
    }
}

/// When an instance counts as ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ready {
    /// What to look at.
    pub probe: Probe,
    /// After that long without success it counts as not becoming ready, in milliseconds.
    pub timeout_ms: u64,
}

/// What tells that an instance is ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Probe {
    /// Its heartbeat is on the bus.
    Heartbeat,
    /// Something listens on this TCP port of this host.
    Port(u16),
    /// This program ends with 0.
    Command(Vec<String>),
}

/// What an instance may use.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Limits {
    /// Memory in bytes.
    pub memory_bytes: Option<u64>,
    /// CPU in cores: 1.5 is one and a half.
    pub cpu_cores: Option<f64>,
}

/// How soon an instance is started again after it ended by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restart {
    /// The wait after each of the first failures, in milliseconds.
    pub delay_ms: u64,
    /// What the wait grows to while it goes on failing, in milliseconds; never below `delay_ms`.
    pub max_ms: u64,
}

impl Default for Restart {
    /// 3 s as OCS, growing to 30 s.
    fn default() -> Self {
        Self { delay_ms: 3_000, max_ms: 30_000 }
    }
}
