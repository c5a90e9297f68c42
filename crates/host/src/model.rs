//! The nouns: what should run ([`Spec`], [`Target`]), what does run ([`Observed`]), and what the manager remembers
//! of each instance between two decisions ([`Instance`]).
//!
//! Everything here is a plain value. Times are monotonic milliseconds (`…_ms`), see `campanile_control::clock`.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use campanile_ocs::site_config::{Limits, Ready};

use crate::relaunch::{Failures, RestartPolicy};

/// What the manager tries to hold an instance at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Running; launched again when it ends.
    Up,
    /// Not running.
    Down,
    /// Whatever it is: only looked at, as OCS has it for docker services that are in no site config. A request lasts
    /// until it is carried out. Nobody can ask for this target.
    Passive,
}

impl Target {
    /// The word that OCS clients know.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
            Self::Passive => "passive",
        }
    }

    /// The target that a request names; `None` for any other word.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "up" => Some(Self::Up),
            "down" => Some(Self::Down),
            _ => None,
        }
    }
}

/// How an instance is run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Program {
    /// An OCS agent: a class of a Python plugin, launched through `ocs.agent_cli`, which reads the rest from the site
    /// config by itself.
    Plugin,
    /// A program of its own: the `command` of the entry. Never empty; the entry's `arguments` follow it.
    Command(Vec<String>),
    /// A docker compose service of this name.
    Docker(String),
}

/// How an instance is stopped: SIGINT, SIGTERM at half the grace, SIGKILL of everything it started at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StopPolicy {
    /// Time from SIGINT to SIGKILL, milliseconds.
    pub grace_ms: u64,
    /// Whether SIGKILL is allowed.
    pub kill: bool,
}

/// The class of a docker service that belongs to no entry of the site config.
pub const STRANGER_CLASS: &str = "[docker]";

/// What the site config says of one instance. Shared, since every decision returns a new [`Instance`].
#[derive(Clone, Debug, PartialEq)]
pub struct Spec {
    /// Unique within the host.
    pub instance_id: String,
    /// Class of the agent, as the site config has it; `[d]` or `[d?]` follows where docker keeps it.
    pub agent_class: String,
    /// How it is run.
    pub program: Program,
    /// Arguments of a command; a plugin agent reads its own from the site config.
    pub arguments: Vec<String>,
    /// Added to the manager's environment.
    pub env: Vec<(String, String)>,
    /// Working directory, absolute; the manager's own if absent.
    pub cwd: Option<PathBuf>,
    /// How it is stopped.
    pub stop: StopPolicy,
    /// How long it waits before it is launched again.
    pub restart: RestartPolicy,
    /// Instances that come up before it and go down after it.
    pub after: Vec<String>,
    /// When it counts as ready; as soon as it runs if absent.
    pub ready: Option<Ready>,
    /// What it may use.
    pub limits: Limits,
    /// Its target when nobody has asked for another.
    pub start: Target,
}

impl Spec {
    /// `Class:instance-id`, the name in messages.
    #[must_use]
    pub fn full_name(&self) -> String {
        format!("{}:{}", self.base_class(), self.instance_id)
    }

    /// The class without what says how it is kept (`[d]`, `[d?]`). A service without an instance has the class
    /// [`STRANGER_CLASS`], which is all of it.
    #[must_use]
    pub fn base_class(&self) -> &str {
        match self.agent_class.split_once('[') {
            Some((base, _suffix)) if !base.is_empty() => base,
            _ => &self.agent_class,
        }
    }

    /// The docker service that it is, if it is one.
    #[must_use]
    pub fn service(&self) -> Option<&str> {
        match &self.program {
            Program::Docker(service) => Some(service),
            Program::Plugin | Program::Command(_) => None,
        }
    }

    /// Whether it is a docker service that belongs to no entry of the site config.
    #[must_use]
    pub fn is_stranger(&self) -> bool {
        self.agent_class == STRANGER_CLASS
    }

    /// The word for who keeps it: `host` or `docker`.
    #[must_use]
    pub fn management(&self) -> &'static str {
        match self.program {
            Program::Plugin | Program::Command(_) => "host",
            Program::Docker(_) => "docker",
        }
    }

    /// Whether `other` is the same thing, only told in other words: same class, management and program. What is not
    /// is another thing altogether, and begins with the target of the site config.
    #[must_use]
    pub fn is_same_thing(&self, other: &Self) -> bool {
        self.base_class() == other.base_class() && self.program == other.program
    }

    /// Whether a running instance of `self` may simply go on under `other`: nothing that it was launched with is
    /// different. Waits, order, readiness and limits do not belong to that.
    #[must_use]
    pub fn may_go_on_as(&self, other: &Self) -> bool {
        let is_launched_alike =
            self.arguments == other.arguments && self.env == other.env && self.cwd == other.cwd;
        // A container is launched with what its compose file says.
        self.is_same_thing(other) && (is_launched_alike || self.management() == "docker")
    }

    /// A number for everything that it is launched with: equal for two specs of which [`Self::may_go_on_as`] holds.
    /// Kept on disk, so it is the same in all versions.
    #[must_use]
    pub fn form(&self) -> u64 {
        let mut words: Vec<&str> = vec![self.base_class(), self.management()];
        if let Program::Command(command) = &self.program {
            words.push("command");
            words.extend(command.iter().map(String::as_str));
        }
        words.push("\n");
        words.extend(self.arguments.iter().map(String::as_str));
        words.push("\n");
        words.extend(self.env.iter().flat_map(|(name, value)| [name.as_str(), value.as_str()]));
        let cwd = self.cwd.as_ref().map(|cwd| cwd.to_string_lossy());
        words.extend(["\n", cwd.as_deref().unwrap_or_default()]);
        // Every word with its length, so that no two lists look the same.
        let text: String = words.iter().map(|word| format!("{}:{word}", word.len())).collect();
        campanile_control::state_dir::fnv1a(text.as_bytes())
    }
}

/// Whether an instance can be manipulated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operable {
    /// It can.
    Yes,
    /// Not known yet; the text says what is being waited for.
    Pending(String),
    /// It cannot, for this reason.
    No(String),
}

/// Where an instance stands. The names that OCS clients read are those of [`State::name`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Cannot be manipulated.
    Inoperable,
    /// Nothing runs, and nothing is to be done.
    Down,
    /// Will be launched again at a time.
    StartAt {
        /// When.
        at_ms: u64,
    },
    /// Will be launched now.
    Start,
    /// The launch is under way.
    WaitStart {
        /// When it was asked for.
        since_ms: u64,
        /// Whether it was already said that this takes long.
        overdue: bool,
    },
    /// Runs.
    Up,
    /// Was asked to end.
    WaitDead(Stopping),
}

impl State {
    /// The `next_action` of OCS.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Inoperable => "?",
            Self::Down => "down",
            Self::StartAt { .. } => "start_at",
            Self::Start => "start",
            Self::WaitStart { .. } => "wait_start",
            Self::Up => "up",
            Self::WaitDead(_) => "wait_dead",
        }
    }
}

/// How far a stop has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopping {
    /// When it began.
    pub since_ms: u64,
    /// The last thing done.
    pub step: StopStep,
    /// When it was done.
    pub step_ms: u64,
    /// When the next thing is due; `None` if nothing will be done but wait.
    pub next_ms: Option<u64>,
}

/// The steps of a stop, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopStep {
    /// SIGINT was sent.
    Interrupted,
    /// SIGTERM was sent.
    Terminated,
    /// SIGKILL was sent to the whole tree; repeated until nothing is left.
    Killed,
    /// The grace is over, and the site config forbids SIGKILL.
    Refused,
}

/// What becomes of an instance after a reload of the site config.
#[derive(Clone, Debug, PartialEq)]
pub enum Fate {
    /// It stays.
    Kept,
    /// It is stopped, and becomes something else when it is down.
    Replaced {
        /// What it becomes.
        by: Arc<Spec>,
        /// Whether that can be manipulated.
        operable: Operable,
    },
    /// It is stopped, and forgotten when it is down.
    Retired,
}

/// Names an entry of the table for as long as it is tracked; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(pub u64);

/// What the manager remembers of an instance.
#[derive(Clone, Debug, PartialEq)]
pub struct Instance {
    /// Its name in events and actions.
    pub key: Key,
    /// What the site config says of it.
    pub spec: Arc<Spec>,
    /// Whether it can be manipulated.
    pub operable: Operable,
    /// What operators want.
    pub target: Target,
    /// It is only looked at: a target that is asked for is dropped when it is reached.
    pub passive: bool,
    /// It is to be stopped and launched again (a `restart` request).
    pub again: bool,
    /// Something newer than what runs is there, a docker image; it comes into use with a restart.
    pub restart_required: bool,
    /// Where it stands.
    pub state: State,
    /// When it got there.
    pub since_ms: u64,
    /// Number of the last launch that was asked for; 0 before the first.
    pub launches: u32,
    /// Its unexpected ends.
    pub failures: Failures,
    /// How often it was launched again after an unexpected end.
    pub restarts: u64,
    /// It has said that launching it again is of no use; an `up` request clears this.
    pub given_up: bool,
    /// How its last run ended.
    pub last_end: Option<Arc<Ended>>,
    /// What the last reload means for it.
    pub fate: Fate,
    /// Whether it does its work yet.
    pub readiness: Readiness,
}

/// How far an instance has got from its first launch to doing its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// Nothing was tried since it was down the last time.
    Idle,
    /// It was launched, perhaps several times, and is not ready yet.
    Trying {
        /// Since its first launch.
        since_ms: u64,
        /// Its time is over, and that was said. Nobody waits for it any more.
        overdue: bool,
    },
    /// It runs and is ready.
    Ready,
}

impl Instance {
    /// A new entry, down, with the target of its site config.
    #[must_use]
    pub fn new(key: Key, spec: Arc<Spec>, operable: Operable, now_ms: u64) -> Self {
        Self {
            key,
            target: spec.start,
            passive: spec.start == Target::Passive,
            again: false,
            restart_required: false,
            spec,
            operable,
            state: State::Down,
            since_ms: now_ms,
            launches: 0,
            failures: Failures::default(),
            restarts: 0,
            given_up: false,
            last_end: None,
            fate: Fate::Kept,
            readiness: Readiness::Idle,
        }
    }

    /// What is worked towards: the target, unless a reload wants the instance gone.
    #[must_use]
    pub fn wanted(&self) -> Target {
        match self.fate {
            Fate::Kept => self.target,
            Fate::Replaced { .. } | Fate::Retired => Target::Down,
        }
    }
}

/// What was last seen of an instance's processes.
#[derive(Clone, Debug, PartialEq)]
pub struct Observed {
    /// The launch that this is about; 0 before the first.
    pub launch: u32,
    /// The process that was launched.
    pub process: Process,
    /// Processes of the instance that outlive their leader, from this run or from an earlier manager's; `None` while
    /// they are being counted.
    pub leftovers: Option<u32>,
    /// Whether it runs and was seen to be ready.
    pub ready: bool,
    /// Whether its process has ended, and it is not told yet how; it counts as running until then.
    pub leaving: bool,
    /// What the order of instances holds back now.
    pub order: Order,
}

impl Default for Observed {
    fn default() -> Self {
        Self {
            launch: 0,
            process: Process::None,
            leftovers: Some(0),
            ready: false,
            leaving: false,
            order: Order::default(),
        }
    }
}

/// What the order of instances (`after` in the site config) holds back now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Order {
    /// It may not come up before another one is ready.
    pub up: Option<UpHold>,
    /// It may not go down before this one, by its instance-id, is down.
    pub down: Option<String>,
}

/// Whom an instance waits for before it comes up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpHold {
    /// The instance-id.
    pub of: String,
    /// When it need not wait any longer, if that is known.
    pub until_ms: Option<u64>,
}

/// The process of a launch.
#[derive(Clone, Debug, PartialEq)]
pub enum Process {
    /// There was none yet.
    None,
    /// It runs.
    Running {
        /// Its process id.
        pid: u32,
        /// When it was started.
        since_ms: u64,
    },
    /// It has ended, or never began.
    Ended(Arc<Ended>),
    /// It cannot be seen whether it runs: the docker engine does not answer.
    Unseen,
}

/// How the system holds the processes of an instance. Nothing is decided by it; people want to know.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Hold {
    /// What holds them; `None` while nothing runs.
    pub containment: Option<Containment>,
    /// What of its limits is not enforced, and why.
    pub not_enforced: Vec<String>,
    /// It was launched by an earlier manager.
    pub adopted: bool,
}

/// What an instance uses of the machine.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// How many processes it has.
    pub processes: u32,
    /// Their resident memory, bytes; what they share counts several times.
    pub memory_bytes: u64,
    /// The CPU time of this run, seconds.
    pub cpu_s: f64,
    /// How much of one core it used between the last two measurements; 1.0 is all of it.
    pub cpu_share: Option<f64>,
}

/// What holds everything that an instance starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Containment {
    /// A control group: nothing can leave it.
    Cgroup,
    /// Process group, parenthood, outputs and a mark in the environment: what gives up all of them is not found.
    Group,
}

impl Containment {
    /// The word for it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Cgroup => "cgroup",
            Self::Group => "group",
        }
    }
}

/// The end of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Ended {
    /// How.
    pub how: End,
    /// When.
    pub at_ms: u64,
    /// How long it ran, milliseconds; 0 if it never began.
    pub ran_ms: u64,
    /// The last lines of its standard output; empty if there are none.
    pub stdout_tail: String,
    /// The last lines of its standard error; empty if there are none.
    pub stderr_tail: String,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// By itself, with this exit code.
    Code(i32),
    /// By this signal.
    Signal {
        /// Its number.
        number: i32,
        /// Whether a core was dumped.
        core: bool,
    },
    /// It has ended, but the system tells only its parent how, and that was an earlier manager.
    Unknown,
    /// It never began: the system refused to start the program, in these words.
    NotStarted(String),
}

impl fmt::Display for End {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(out, "exit code {code}"),
            Self::Signal { number, core } => {
                write!(out, "signal {number}")?;
                if let Some(name) = signal_name(*number) {
                    write!(out, " ({name})")?;
                }
                if *core { out.write_str(", core dumped") } else { Ok(()) }
            }
            Self::Unknown => out.write_str("unknown (adopted)"),
            Self::NotStarted(why) => write!(out, "not started: {why}"),
        }
    }
}

/// The name of a signal that ends processes (numbers as on every Linux but MIPS and SPARC).
#[must_use]
pub fn signal_name(number: i32) -> Option<&'static str> {
    Some(match number {
        1 => "SIGHUP",
        2 => "SIGINT",
        3 => "SIGQUIT",
        4 => "SIGILL",
        5 => "SIGTRAP",
        6 => "SIGABRT",
        7 => "SIGBUS",
        8 => "SIGFPE",
        9 => "SIGKILL",
        10 => "SIGUSR1",
        11 => "SIGSEGV",
        12 => "SIGUSR2",
        13 => "SIGPIPE",
        14 => "SIGALRM",
        15 => "SIGTERM",
        24 => "SIGXCPU",
        25 => "SIGXFSZ",
        31 => "SIGSYS",
        _ => return None,
    })
}
