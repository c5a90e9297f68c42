//! Putting an agent together: who it is, what it can do, what it publishes.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use campanile_control::worker::Workers;
use campanile_wamp::net::client::ClientOptions;
use campanile_wamp::{Dict, Value, WampError};

use super::access::{CredLevel, Policy};
use super::context::OpContext;
use super::events::EventBook;
use super::feed::FeedSpec;
use super::handle::Agent;
use super::log::LogOptions;
use super::ops::OpInfo;
use super::params::ParamSpec;
use crate::codes::OpType;

type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send>>;
pub(super) type OpHandler =
    Arc<dyn Fn(OpContext, serde_json::Value) -> BoxFuture<Result<String, String>> + Send + Sync>;
pub(super) type ProcedureHandler =
    Arc<dyn Fn(Vec<Value>, Dict) -> BoxFuture<Result<Value, WampError>> + Send + Sync>;

/// Who an agent is and where it lives.
#[derive(Clone, Debug)]
pub struct AgentConfig {
    /// The first part of the addresses of the site.
    pub address_root: String,
    /// The second part of the address of this agent.
    pub instance_id: String,
    /// Its class.
    pub agent_class: String,
    /// The bus; `None` for an agent that is only asked locally.
    pub wamp: Option<ClientOptions>,
    /// Who may do what.
    pub policy: Policy,
    /// Where it logs to.
    pub log: LogOptions,
    /// Where the loop that keeps the agent on its bus reports itself, as `bus`.
    pub workers: Option<Workers>,
}

impl AgentConfig {
    /// An agent without bus, log and access policy.
    #[must_use]
    pub fn new(address_root: &str, instance_id: &str, agent_class: &str) -> Self {
        Self {
            address_root: address_root.to_owned(),
            instance_id: instance_id.to_owned(),
            agent_class: agent_class.to_owned(),
            wamp: None,
            policy: Policy::default(),
            log: LogOptions::default(),
            workers: None,
        }
    }

    /// `{address_root}.{instance-id}`.
    #[must_use]
    pub fn address(&self) -> String {
        format!("{}.{}", self.address_root, self.instance_id)
    }
}

/// A task: an operation that ends by itself.
#[derive(Clone, Debug)]
pub struct TaskSpec {
    /// Its name.
    pub name: String,
    /// What it does, for people; OCS shows it as Python help.
    pub doc: String,
    /// What it takes.
    pub params: ParamSpec,
    /// Whether a client may abort it; then its code must look at [`OpContext::stop_requested`].
    pub abortable: bool,
    /// Reported to clients as is.
    pub blocking: bool,
    /// The level needed to start or abort it.
    pub min_privs: CredLevel,
    /// The parameters with which it starts by itself, if it does.
    pub startup: Option<serde_json::Value>,
}

impl TaskSpec {
    /// A task without parameters that anybody may start and nobody can abort.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            doc: format!("{name}()"),
            params: ParamSpec::none(),
            abortable: false,
            blocking: false,
            min_privs: CredLevel::Basic,
            startup: None,
        }
    }

    /// Sets the text for people.
    #[must_use]
    pub fn doc(mut self, doc: &str) -> Self {
        doc.clone_into(&mut self.doc);
        self
    }

    /// Sets what it takes.
    #[must_use]
    pub fn params(mut self, params: ParamSpec) -> Self {
        self.params = params;
        self
    }

    /// Lets clients abort it.
    #[must_use]
    pub const fn abortable(mut self) -> Self {
        self.abortable = true;
        self
    }

    /// Demands a level.
    #[must_use]
    pub const fn min_privs(mut self, level: CredLevel) -> Self {
        self.min_privs = level;
        self
    }

    /// Starts it by itself, with these parameters.
    #[must_use]
    pub fn startup(mut self, params: serde_json::Value) -> Self {
        self.startup = Some(params);
        self
    }
}

/// A process: an operation that runs until it is stopped.
#[derive(Clone, Debug)]
pub struct ProcessSpec {
    /// Its name.
    pub name: String,
    /// What it does, for people; OCS shows it as Python help.
    pub doc: String,
    /// What it takes.
    pub params: ParamSpec,
    /// Reported to clients as is.
    pub blocking: bool,
    /// The level needed to start or stop it.
    pub min_privs: CredLevel,
    /// The parameters with which it starts by itself, if it does.
    pub startup: Option<serde_json::Value>,
}

impl ProcessSpec {
    /// A process without parameters that anybody may start and stop.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            doc: format!("{name}()"),
            params: ParamSpec::none(),
            blocking: false,
            min_privs: CredLevel::Basic,
            startup: None,
        }
    }

    /// Sets the text for people.
    #[must_use]
    pub fn doc(mut self, doc: &str) -> Self {
        doc.clone_into(&mut self.doc);
        self
    }

    /// Sets what it takes.
    #[must_use]
    pub fn params(mut self, params: ParamSpec) -> Self {
        self.params = params;
        self
    }

    /// Demands a level.
    #[must_use]
    pub const fn min_privs(mut self, level: CredLevel) -> Self {
        self.min_privs = level;
        self
    }

    /// Starts it by itself, with these parameters.
    #[must_use]
    pub fn startup(mut self, params: serde_json::Value) -> Self {
        self.startup = Some(params);
        self
    }
}

/// An agent that is being put together. Of two things with one name, the last counts.
#[must_use]
pub struct AgentBuilder {
    pub(super) config: AgentConfig,
    pub(super) ops: Vec<OpInfo>,
    pub(super) handlers: HashMap<String, OpHandler>,
    pub(super) startup: Vec<(String, serde_json::Value)>,
    pub(super) feeds: Vec<FeedSpec>,
    pub(super) procedures: Vec<(String, ProcedureHandler)>,
    pub(super) events: Option<EventBook>,
}

impl AgentBuilder {
    /// An agent that can do nothing yet.
    pub fn new(config: AgentConfig) -> Self {
        Self {
            config,
            ops: Vec::new(),
            handlers: HashMap::new(),
            startup: Vec::new(),
            feeds: Vec::new(),
            procedures: Vec::new(),
            events: None,
        }
    }

    /// Adds a task. Its code runs as a task of the runtime; `Ok` and `Err` carry the last message of the run, and say
    /// whether it succeeded. A panic fails the run and leaves the agent alone.
    pub fn task<F, R>(mut self, spec: TaskSpec, handler: F) -> Self
    where
        F: Fn(OpContext, serde_json::Value) -> R + Send + Sync + 'static,
        R: Future<Output = Result<String, String>> + Send + 'static,
    {
        let info = OpInfo {
            name: spec.name,
            op_type: OpType::Task,
            doc: Some(spec.doc),
            blocking: spec.blocking,
            abortable: spec.abortable,
            min_privs: spec.min_privs,
            params: spec.params,
        };
        self.add(info, spec.startup, handler);
        self
    }

    /// Adds a process. Its code is to end soon after [`OpContext::stop_requested`] says so.
    pub fn process<F, R>(mut self, spec: ProcessSpec, handler: F) -> Self
    where
        F: Fn(OpContext, serde_json::Value) -> R + Send + Sync + 'static,
        R: Future<Output = Result<String, String>> + Send + 'static,
    {
        let info = OpInfo {
            name: spec.name,
            op_type: OpType::Process,
            doc: Some(spec.doc),
            blocking: spec.blocking,
            abortable: false,
            min_privs: spec.min_privs,
            params: spec.params,
        };
        self.add(info, spec.startup, handler);
        self
    }

    /// Adds a feed. The heartbeat is there by itself.
    pub fn feed(mut self, spec: FeedSpec) -> Self {
        self.feeds.retain(|feed| feed.name != spec.name);
        self.feeds.push(spec);
        self
    }

    /// Adds a procedure of its own, `{address}{suffix}` (say `.logs`), beside the two that every agent has. For
    /// answers that do not fit a session: large ones, or ones that take arguments.
    pub fn procedure<F, R>(mut self, suffix: &str, handler: F) -> Self
    where
        F: Fn(Vec<Value>, Dict) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Value, WampError>> + Send + 'static,
    {
        let uri = format!("{}{suffix}", self.config.address());
        self.procedures.retain(|(name, _)| *name != uri);
        self.procedures.push((uri, Arc::new(move |args, kwargs| Box::pin(handler(args, kwargs)))));
        self
    }

    /// Brings the agent to life. Must be called inside a tokio runtime.
    ///
    /// Operations with `startup` begin once the agent's names are registered, or after three seconds if the router
    /// cannot be reached (a slow one is waited for until it times out): work does not wait for the bus, but never begins
    /// beside another agent of the same identity.
    pub fn spawn(self) -> Agent {
        Agent::spawn(self)
    }

    fn add<F, R>(&mut self, info: OpInfo, startup: Option<serde_json::Value>, handler: F)
    where
        F: Fn(OpContext, serde_json::Value) -> R + Send + Sync + 'static,
        R: Future<Output = Result<String, String>> + Send + 'static,
    {
        self.startup.retain(|(name, _)| *name != info.name);
        if let Some(params) = startup {
            self.startup.push((info.name.clone(), params));
        }
        self.handlers
            .insert(info.name.clone(), Arc::new(move |context, params| Box::pin(handler(context, params))));
        self.ops.push(info);
    }
}
