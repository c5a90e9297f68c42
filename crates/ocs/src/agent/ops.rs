//! The table of an agent's operations and the replies to everything a client may ask of one (OCS docs, "Agent
//! Operations"). Pure: what a reply says is decided here, what runs is the runtime's business.
//!
//! Codes, keys and almost all texts are those of OCS, whose clients show them to people. Deliberately different are
//! only replies that were plainly slips there:
//!
//! | asked | OCS 0.12 answers | here |
//! |---|---|---|
//! | stop a task, abort a process | `… because it is a "{op_type}".`, with the braces | the type in their place |
//! | an unknown action | `No implementation for "<operation>"` | the action in that place |
//! | stop, abort | `Requested stop on process x".` | both quotes |
//! | abort a task that cannot be aborted | a crash of the handler, or OK and nothing happens | an error that says so |
//! | a start that is refused | the record of the last run is lost | the record stays |
//! | data that holds an infinity | every status call fails | the infinity is sent as null, like NaN |

use serde_json::{Map, Value, json};

use super::access::{AccessControl, Caller, CredLevel, Verdict, rejection};
use super::params::ParamSpec;
use super::session::{OpSession, SessionImage};
use crate::codes::{OpCode, OpStatus, OpType, ReplyCode};

/// What is known of an operation before it ever runs.
#[derive(Clone, Debug)]
pub struct OpInfo {
    /// Its name.
    pub name: String,
    /// Task or process.
    pub op_type: OpType,
    /// What it does, for people; `None` is sent as null.
    pub doc: Option<String>,
    /// Reported as is; OCS means by it whether the code runs in a thread.
    pub blocking: bool,
    /// Whether a task can be aborted. A process can always be stopped.
    pub abortable: bool,
    /// The level a caller needs to start, stop or abort it; never below [`CredLevel::Basic`] in effect.
    pub min_privs: CredLevel,
    /// What it takes.
    pub params: ParamSpec,
}

impl OpInfo {
    fn min_privs(&self) -> CredLevel {
        self.min_privs.max(CredLevel::Basic)
    }

    /// The third element of the operation's entry in `get_api`.
    #[must_use]
    pub fn describe(&self) -> Value {
        let mut info = Map::with_capacity(5);
        info.insert("blocking".into(), self.blocking.into());
        if self.op_type == OpType::Task {
            info.insert("abortable".into(), self.abortable.into());
        }
        // Python clients read this key without asking whether it is there.
        info.insert("docstring".into(), self.doc.as_deref().into());
        info.insert("op_type".into(), self.op_type.word().into());
        info.insert("min_privs".into(), self.min_privs().number().into());
        Value::Object(info)
    }
}

/// The answer to a request on an operation.
pub struct Reply {
    /// Whether the request was carried out.
    pub code: ReplyCode,
    /// For people.
    pub message: String,
    /// The run it is about; `None` is sent as `{}`.
    pub session: Option<Box<SessionImage>>,
}

impl Reply {
    fn ok(message: impl Into<String>, session: Option<SessionImage>) -> Self {
        Self { code: ReplyCode::Ok, message: message.into(), session: session.map(Box::new) }
    }

    fn error(message: impl Into<String>) -> Self {
        Self { code: ReplyCode::Error, message: message.into(), session: None }
    }

    /// The three-element list on the wire. A data provider is called here: hold no lock.
    #[must_use]
    pub fn into_json(self) -> Value {
        let session = self.session.map_or_else(|| Value::Object(Map::new()), |session| session.into_json());
        json!([self.code.number(), self.message, session])
    }
}

/// What a start request comes to.
pub enum Start {
    /// Nothing runs; the client gets this.
    Refused(Reply),
    /// A session was made; its code is to be run now.
    Started {
        /// For the client.
        reply: Reply,
        /// The new session.
        session_id: u64,
        /// The level it runs with.
        cred_level: CredLevel,
        /// Its parameters, checked, defaults filled in.
        params: Value,
    },
}

/// What a stop or abort request comes to.
pub enum Stop {
    /// Nothing changes; the client gets this.
    Refused(Reply),
    /// The session is stopping now; its code is to be told.
    Requested {
        /// For the client.
        reply: Reply,
        /// The session that is to stop.
        session_id: u64,
    },
}

/// What a wait request comes to.
pub enum Wait {
    /// There is nothing to wait for; the client gets this.
    Answer(Reply),
    /// The session with this number has to end first.
    Until(u64),
}

/// Which of the two requests that end an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopKind {
    /// For processes.
    Stop,
    /// For tasks.
    Abort,
}

impl StopKind {
    const fn word(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Abort => "abort",
        }
    }
}

struct Op {
    info: OpInfo,
    session: Option<OpSession>,
}

/// All operations of an agent, each with its newest session.
pub struct OpTable {
    access: AccessControl,
    ops: Vec<Op>,
    next_session_id: u64,
}

impl OpTable {
    /// An agent without operations.
    #[must_use]
    pub const fn new(access: AccessControl) -> Self {
        Self { access, ops: Vec::new(), next_session_id: 0 }
    }

    /// Declares an operation. One of the same name is replaced.
    pub fn declare(&mut self, info: OpInfo) {
        self.ops.retain(|op| op.info.name != info.name);
        self.ops.push(Op { info, session: None });
    }

    /// The rules by which callers get their level.
    #[must_use]
    pub const fn access(&self) -> &AccessControl {
        &self.access
    }

    /// The same, to give it new rules.
    pub const fn access_mut(&mut self) -> &mut AccessControl {
        &mut self.access
    }

    /// The newest session of an operation, if it is the one of this number.
    pub fn session_mut(&mut self, name: &str, session_id: u64) -> Option<&mut OpSession> {
        let session = self.ops.iter_mut().find(|op| op.info.name == name)?.session.as_mut()?;
        (session.session_id() == session_id).then_some(session)
    }

    /// What kind of operation it is, if there is one of this name.
    #[must_use]
    pub fn op_type(&self, name: &str) -> Option<OpType> {
        self.find(name).map(|op| op.info.op_type)
    }

    /// The operations that are not done: name, type and session number.
    #[must_use]
    pub fn active(&self) -> Vec<(String, OpType, u64)> {
        self.ops
            .iter()
            .filter_map(|op| {
                let session = op.session.as_ref().filter(|session| session.status() != OpStatus::Done)?;
                Some((op.info.name.clone(), op.info.op_type, session.session_id()))
            })
            .collect()
    }

    /// The code of each operation, in the order of declaration: what a heartbeat carries.
    pub fn op_codes(&self) -> impl Iterator<Item = (&str, OpCode)> {
        self.ops.iter().map(|op| {
            let code = op.session.as_ref().map_or(OpCode::None, OpSession::op_code);
            (op.info.name.as_str(), code)
        })
    }

    /// Drops the old messages of all sessions.
    pub fn purge(&mut self, now_s: f64) {
        for session in self.ops.iter_mut().filter_map(|op| op.session.as_mut()) {
            session.purge(now_s);
        }
    }

    /// The operations of a type, by name: what `get_api` says of each, with the session still to be completed.
    #[must_use]
    pub fn listing(&self, op_type: OpType) -> Vec<(String, Option<SessionImage>, Value)> {
        let mut ops: Vec<&Op> = self.ops.iter().filter(|op| op.info.op_type == op_type).collect();
        ops.sort_by(|left, right| left.info.name.cmp(&right.info.name));
        ops.into_iter()
            .map(|op| (op.info.name.clone(), op.session.as_ref().map(OpSession::image), op.info.describe()))
            .collect()
    }

    /// A request to run an operation.
    pub fn start(&mut self, name: &str, params: &Value, caller: Caller<'_>, now_s: f64) -> Start {
        let Some(op) = self.ops.iter_mut().find(|op| op.info.name == name) else {
            return Start::Refused(Reply::error(format!("No task or process called \"{name}\"")));
        };
        if let Some(session) = op.session.as_ref().filter(|session| session.status() != OpStatus::Done) {
            return Start::Refused(Reply {
                code: ReplyCode::Error,
                message: format!("Operation \"{name}\" already in progress."),
                session: Some(Box::new(session.image())),
            });
        }
        let Verdict { level: cred_level, remark } = self.access.level(caller);
        if cred_level < op.info.min_privs() {
            return Start::Refused(Reply::error(rejection(cred_level, op.info.min_privs(), &remark)));
        }
        let params = match op.info.params.check(params) {
            Ok(params) => params,
            Err(error) => return Start::Refused(Reply::error(error.0)),
        };
        let session_id = self.next_session_id;
        self.next_session_id += 1;
        let session = op.session.insert(OpSession::new(session_id, name, cred_level, now_s));
        let message = format!("Started {} \"{name}\".", op.info.op_type);
        Start::Started { reply: Reply::ok(message, Some(session.image())), session_id, cred_level, params }
    }

    /// A request to stop a process or abort a task.
    pub fn stop(&mut self, kind: StopKind, name: &str, caller: Caller<'_>, now_s: f64) -> Stop {
        let word = kind.word();
        let Some(op) = self.ops.iter_mut().find(|op| op.info.name == name) else {
            return Stop::Refused(Reply::error(format!("No operation called \"{name}\".")));
        };
        let op_type = op.info.op_type;
        if matches!((kind, op_type), (StopKind::Stop, OpType::Task) | (StopKind::Abort, OpType::Process)) {
            return Stop::Refused(Reply::error(format!(
                "Cannot \"{word}\" \"{name}\" because it is a \"{op_type}\"."
            )));
        }
        let cred_level = self.access.level(caller).level;
        if cred_level < op.info.min_privs() {
            return Stop::Refused(Reply::error(rejection(cred_level, op.info.min_privs(), "")));
        }
        let Some(session) = op.session.as_mut() else {
            return Stop::Refused(Reply::error("No session active."));
        };
        if session.status() >= OpStatus::Stopping {
            return Stop::Refused(Reply::error(format!("The operation is already {}", session.status())));
        }
        if op_type == OpType::Task && !op.info.abortable {
            return Stop::Refused(Reply::error(format!(
                "Cannot \"{word}\" \"{name}\" because it is not abortable."
            )));
        }
        session.advance(OpStatus::Stopping, now_s);
        Stop::Requested {
            reply: Reply::ok(format!("Requested {word} on {op_type} \"{name}\"."), Some(session.image())),
            session_id: session.session_id(),
        }
    }

    /// A request for the state of an operation. Everybody may ask.
    #[must_use]
    pub fn status(&self, name: &str) -> Reply {
        match self.find(name) {
            None => Reply::error(format!("No task or process called \"{name}\"")),
            Some(Op { session: None, .. }) => Reply::ok("No session active.", None),
            Some(Op { session: Some(session), .. }) => Reply::ok("Session active.", Some(session.image())),
        }
    }

    /// A request to be told when an operation has ended. Everybody may ask.
    #[must_use]
    pub fn wait(&self, name: &str) -> Wait {
        match self.find(name) {
            None => Wait::Answer(Reply::error(format!("Unknown operation \"{name}\"."))),
            Some(Op { session: None, .. }) => Wait::Answer(Reply::ok("Idle.", None)),
            Some(Op { session: Some(session), .. }) if session.status() == OpStatus::Done => {
                Wait::Answer(Self::ended(name, session))
            }
            Some(Op { session: Some(session), .. }) => Wait::Until(session.session_id()),
        }
    }

    /// The answer to a wait that came to its timeout.
    #[must_use]
    pub fn wait_timed_out(&self, name: &str) -> Reply {
        Reply {
            code: ReplyCode::Timeout,
            message: format!("Operation \"{name}\" still running; wait timed out."),
            session: self
                .find(name)
                .and_then(|op| op.session.as_ref())
                .map(|session| Box::new(session.image())),
        }
    }

    /// The answer to an action that OCS does not have.
    #[must_use]
    pub fn no_such_action(action: &str) -> Reply {
        Reply::error(format!("No implementation for \"{action}\""))
    }

    fn ended(name: &str, session: &OpSession) -> Reply {
        let outcome = if session.success() == Some(true) { "SUCCEEDED" } else { "FAILED" };
        Reply::ok(
            format!("Operation \"{name}\" is currently not running ({outcome})."),
            Some(session.image()),
        )
    }

    fn find(&self, name: &str) -> Option<&Op> {
        self.ops.iter().find(|op| op.info.name == name)
    }
}

#[cfg(test)]
mod tests;
