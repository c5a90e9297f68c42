//! The words and numbers of the OCS operation protocol, shared by agents and clients (OCS docs, "Agent Operations").

use std::fmt;

use serde::{Deserialize, Serialize};

/// The first element of every reply of an agent's `.ops` procedure: whether the *request* reached the operation.
/// It says nothing about the success of the operation itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReplyCode {
    /// The request was carried out.
    Ok,
    /// The request was refused: unknown operation, bad parameter, wrong state, too little privilege.
    Error,
    /// A `wait` came to its timeout while the operation was still running.
    Timeout,
}

impl ReplyCode {
    /// The number on the wire: 0, -1 or 1.
    #[must_use]
    pub const fn number(self) -> i64 {
        match self {
            Self::Ok => 0,
            Self::Error => -1,
            Self::Timeout => 1,
        }
    }

    /// The code for a number on the wire, if OCS defines it.
    #[must_use]
    pub const fn from_number(number: i64) -> Option<Self> {
        match number {
            0 => Some(Self::Ok),
            -1 => Some(Self::Error),
            1 => Some(Self::Timeout),
            _ => None,
        }
    }
}

impl fmt::Display for ReplyCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ok => "OK",
            Self::Error => "ERROR",
            Self::Timeout => "TIMEOUT",
        })
    }
}

/// How far a run of an operation has come. It only ever moves forward, in the order of the variants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OpStatus {
    /// Asked for; its code has not run yet.
    Starting,
    /// Its code runs.
    Running,
    /// It was asked to stop or abort, and has not ended yet.
    Stopping,
    /// It has ended; whether well or not is told apart from this.
    Done,
}

impl OpStatus {
    /// The word on the wire.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Stopping => "stopping",
            Self::Done => "done",
        }
    }
}

impl fmt::Display for OpStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// The one number that sums up a run: status, success and the degraded flag. Heartbeats carry it per operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OpCode {
    /// Never ran.
    None,
    /// See [`OpStatus::Starting`].
    Starting,
    /// Running, and doing its job.
    Running,
    /// See [`OpStatus::Stopping`].
    Stopping,
    /// Ended well.
    Succeeded,
    /// Ended badly.
    Failed,
    /// Marks information that is too old to say anything; never sent by an agent about itself.
    Expired,
    /// Running, but unable to do its primary job at the moment.
    Degraded,
}

impl OpCode {
    /// The number on the wire, 1 to 8.
    #[must_use]
    pub const fn number(self) -> i64 {
        match self {
            Self::None => 1,
            Self::Starting => 2,
            Self::Running => 3,
            Self::Stopping => 4,
            Self::Succeeded => 5,
            Self::Failed => 6,
            Self::Expired => 7,
            Self::Degraded => 8,
        }
    }

    /// The code for a number on the wire, if OCS defines it.
    #[must_use]
    pub const fn from_number(number: i64) -> Option<Self> {
        match number {
            1 => Some(Self::None),
            2 => Some(Self::Starting),
            3 => Some(Self::Running),
            4 => Some(Self::Stopping),
            5 => Some(Self::Succeeded),
            6 => Some(Self::Failed),
            7 => Some(Self::Expired),
            8 => Some(Self::Degraded),
            _ => None,
        }
    }

    /// The word that OCS's own client prints for this code.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::None => "NONE",
            Self::Starting => "STARTING",
            Self::Running => "RUNNING",
            Self::Stopping => "STOPPING",
            Self::Succeeded => "SUCCEEDED",
            Self::Failed => "FAILED",
            Self::Expired => "EXPIRED",
            Self::Degraded => "DEGRADED",
        }
    }
}

impl fmt::Display for OpCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// A task ends by itself and may be aborted; a process runs until it is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OpType {
    /// Ends by itself.
    Task,
    /// Runs until it is stopped.
    Process,
}

impl OpType {
    /// The word on the wire.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Task => "task",
            Self::Process => "process",
        }
    }
}

impl fmt::Display for OpType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

#[cfg(test)]
mod tests {
    use super::{OpCode, ReplyCode};

    #[test]
    fn every_op_code_survives_its_number() {
        for number in -1..=10 {
            match OpCode::from_number(number) {
                Some(code) => assert_eq!(code.number(), number),
                None => assert!(!(1..=8).contains(&number)),
            }
        }
    }

    #[test]
    fn every_reply_code_survives_its_number() {
        for code in [ReplyCode::Ok, ReplyCode::Error, ReplyCode::Timeout] {
            assert_eq!(ReplyCode::from_number(code.number()), Some(code));
        }
        assert_eq!(ReplyCode::from_number(2), None);
    }
}
