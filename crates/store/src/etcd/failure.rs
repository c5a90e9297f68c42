//! What an error of etcd means for us.

use etcd_client::Error;

use crate::StoreError;

/// What to do about it.
#[derive(Debug)]
pub(super) enum Failure {
    /// This member cannot be asked, another may answer.
    TryAnother(String),
    /// No member will answer otherwise.
    Final(StoreError),
    /// The revision asked for has been compacted.
    Compacted,
    /// There is no such lease.
    NoLease,
}

// The codes of gRPC.
const UNKNOWN: i32 = 2;
const INVALID_ARGUMENT: i32 = 3;
const DEADLINE_EXCEEDED: i32 = 4;
const NOT_FOUND: i32 = 5;
const PERMISSION_DENIED: i32 = 7;
const RESOURCE_EXHAUSTED: i32 = 8;
const OUT_OF_RANGE: i32 = 11;
const INTERNAL: i32 = 13;
const UNAVAILABLE: i32 = 14;
const UNAUTHENTICATED: i32 = 16;
const CANCELLED: i32 = 1;

/// Sorts an error by what to do about it.
pub(super) fn classify(error: &Error, store: &str) -> Failure {
    let Error::GRpcStatus(status) = error else {
        return match error {
            Error::InvalidArgs(_) | Error::InvalidUri(_) | Error::InvalidMetadataValue(_) => {
                Failure::Final(StoreError::Config(error.to_string()))
            }
            _ => Failure::TryAnother(error.to_string()),
        };
    };
    let message = status.message();
    let store = || store.to_owned();
    match i32::from(status.code()) {
        OUT_OF_RANGE if message.contains("compacted") => Failure::Compacted,
        NOT_FOUND if message.contains("lease") => Failure::NoLease,
        // etcd says "invalid auth token" after it has been restarted; a new connection gets a new one.
        UNAUTHENTICATED if message.contains("token") => Failure::TryAnother(message.to_owned()),
        PERMISSION_DENIED | UNAUTHENTICATED => {
            Failure::Final(StoreError::Denied { store: store(), reason: message.to_owned() })
        }
        INVALID_ARGUMENT if message.contains("authentication") || message.contains("user name is empty") => {
            Failure::Final(StoreError::Denied { store: store(), reason: message.to_owned() })
        }
        CANCELLED | UNKNOWN | DEADLINE_EXCEEDED | INTERNAL | UNAVAILABLE => {
            Failure::TryAnother(message.to_owned())
        }
        RESOURCE_EXHAUSTED if message.contains("too many requests") => {
            Failure::TryAnother(message.to_owned())
        }
        _ => Failure::Final(StoreError::Refused { store: store(), reason: message.to_owned() }),
    }
}
