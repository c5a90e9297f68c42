//! Reading everything below a prefix, and committing a change whole.

use std::collections::BTreeMap;

use etcd_client::{Compare, CompareOp, GetOptions, KvClient, PutOptions, Txn, TxnOp, TxnOpResponse};

use super::failure::Failure;
use super::members::Members;
use crate::{Change, Committed, Expect, Guard, Prefix, Revision, Snapshot, StoreError};

/// Keys in one answer. With their values they stay far below [`MAX_MESSAGE`].
const PAGE: i64 = 10_000;
/// Longest answer taken, in bytes.
pub(super) const MAX_MESSAGE: usize = 64 * 1024 * 1024;
/// Times that a read starts anew because its revision was compacted meanwhile.
const READ_ATTEMPTS: u32 = 5;
/// Operations that etcd takes along one path through nested transactions (`--max-txn-ops`).
const MAX_TXN_OPS: usize = 128;
/// Bytes of keys and values in one transaction; etcd takes requests of 1.5 MiB, and each operation has a frame.
const MAX_TXN_BYTES: usize = 1_200_000;
/// What an operation weighs beside its key and value, in bytes.
const OP_OVERHEAD: usize = 24;

fn kv(client: &etcd_client::Client) -> KvClient {
    client.kv_client().max_decoding_message_size(MAX_MESSAGE)
}

/// Turns what no member can help with into the error of a caller that has no leases.
pub(super) fn error_of(failure: Failure, store: &str) -> StoreError {
    match failure {
        Failure::Final(error) => error,
        Failure::TryAnother(reason) => {
            StoreError::Unreachable { store: store.to_owned(), source: reason.into() }
        }
        Failure::Compacted => StoreError::Refused {
            store: store.to_owned(),
            reason: "the revision has been compacted".to_owned(),
        },
        Failure::NoLease => StoreError::SessionEnded,
    }
}

/// All keys below the prefix, page by page, all at the revision of the first page.
pub(super) async fn read(members: &Members, prefix: &Prefix) -> Result<Snapshot, StoreError> {
    let mut failure = Failure::Compacted;
    for _ in 0..READ_ATTEMPTS {
        match read_once(members, prefix).await {
            Ok(snapshot) => return Ok(snapshot),
            Err(Failure::Compacted) => failure = Failure::Compacted,
            Err(other) => return Err(error_of(other, &members.describe())),
        }
    }
    Err(error_of(failure, &members.describe()))
}

async fn read_once(members: &Members, prefix: &Prefix) -> Result<Snapshot, Failure> {
    let mut snapshot = Snapshot::default();
    let mut from = prefix.as_str().as_bytes().to_vec();
    let end = end_of(prefix);
    loop {
        let answer = members.call(members.timeouts.bulk, |client| {
            let mut options = GetOptions::new().with_range(end.clone()).with_limit(PAGE);
            if snapshot.revision > 0 {
                options = options.with_revision(snapshot.revision);
            }
            let from = from.clone();
            async move { kv(&client).get(from, Some(options)).await }
        });
        let answer = answer.await?.value;
        if snapshot.revision == 0 {
            snapshot.revision = answer.header().map_or(0, etcd_client::ResponseHeader::revision);
        }
        for entry in answer.kvs() {
            let key = String::from_utf8_lossy(entry.key()).into_owned();
            snapshot.keys.insert(key, String::from_utf8_lossy(entry.value()).into_owned());
        }
        match answer.kvs().last().filter(|_| answer.more()) {
            Some(last) => {
                from = last.key().to_vec();
                from.push(0);
            }
            None => return Ok(snapshot),
        }
    }
}

/// The first key that is not below the prefix.
pub(super) fn end_of(prefix: &Prefix) -> Vec<u8> {
    let mut end = prefix.as_str().as_bytes().to_vec();
    // A prefix ends with a slash, and so never with the last byte there is.
    if let Some(last) = end.last_mut() {
        *last += 1;
    }
    end
}

pub(super) fn compare(guard: &Guard) -> Compare {
    let key = guard.key.as_str();
    match &guard.expect {
        Expect::Absent => Compare::create_revision(key, CompareOp::Equal, 0),
        Expect::Present => Compare::create_revision(key, CompareOp::Greater, 0),
        Expect::Value(value) => Compare::value(key, CompareOp::Equal, value.as_str()),
    }
}

/// Operations in as few levels of nesting as they need; none if they are too many even so.
fn nested(operations: Vec<TxnOp>) -> Option<Vec<TxnOp>> {
    let mut levels: u32 = 1;
    let mut per_level = MAX_TXN_OPS;
    while per_level.saturating_pow(levels) < operations.len() {
        levels += 1;
        per_level = MAX_TXN_OPS / levels as usize;
        if per_level < 2 {
            return None;
        }
    }
    let mut operations = operations;
    for _ in 1..levels {
        let mut outer = Vec::new();
        let mut rest = operations.into_iter().peekable();
        while rest.peek().is_some() {
            let inner: Vec<TxnOp> = rest.by_ref().take(per_level).collect();
            outer.push(TxnOp::txn(Txn::new().and_then(inner)));
        }
        operations = outer;
    }
    Some(operations)
}

/// The operations of a change; puts go under the lease, if there is one.
fn operations(change: &Change, lease: Option<i64>) -> Vec<TxnOp> {
    let options = || lease.map(|lease| PutOptions::new().with_lease(lease));
    let puts = change.puts.iter().map(|(key, value)| TxnOp::put(key.as_str(), value.as_str(), options()));
    let deletes = change.deletes.iter().map(|key| TxnOp::delete(key.as_str(), None));
    puts.chain(deletes).collect()
}

pub(super) async fn commit(members: &Members, change: &Change) -> Result<Committed, StoreError> {
    commit_under(members, change, None).await.map_err(|failure| error_of(failure, &members.describe()))
}

/// Carries out a change whole, with what it puts under a lease.
pub(super) async fn commit_under(
    members: &Members,
    change: &Change,
    lease: Option<i64>,
) -> Result<Committed, Failure> {
    let too_large = || {
        let (store, keys, bytes) = (members.describe(), change.len(), change.bytes());
        Failure::Final(StoreError::TooLarge { store, keys, bytes })
    };
    if change.bytes() + change.len() * OP_OVERHEAD > MAX_TXN_BYTES || change.guards.len() > MAX_TXN_OPS {
        return Err(too_large());
    }
    let operations = nested(operations(change, lease)).ok_or_else(too_large)?;
    let guards: Vec<Compare> = change.guards.iter().map(compare).collect();
    let txn = Txn::new().when(guards).and_then(operations);
    let per_member =
        if change.len() > MAX_TXN_OPS { members.timeouts.bulk } else { members.timeouts.request };
    let answer = members.call(per_member, |client| {
        let txn = txn.clone();
        async move { kv(&client).txn(txn).await }
    });
    let answer = answer.await?;
    let revision = answer.value.header().map_or(0, etcd_client::ResponseHeader::revision);
    if answer.value.succeeded() {
        return Ok(Committed::Done { revision });
    }
    // An attempt that was never answered may have done it, and made its own guards fail.
    if answer.repeated && is_in_place(members, change).await? {
        return Ok(Committed::Done { revision });
    }
    Ok(Committed::Conflict)
}

/// Whether the keys are as the change would leave them. A sample of them decides; keys such as `last_updated`, whose
/// value is never the same twice, are in every change that somebody else could make as well.
async fn is_in_place(members: &Members, change: &Change) -> Result<bool, Failure> {
    let mut expected: BTreeMap<&str, Option<&str>> = BTreeMap::new();
    expected.extend(change.deletes.iter().rev().take(MAX_TXN_OPS / 2).map(|key| (key.as_str(), None)));
    let puts = change.puts.iter().rev().take(MAX_TXN_OPS / 2);
    expected.extend(puts.map(|(key, value)| (key.as_str(), Some(value.as_str()))));
    // Guarded keys are those that two writers fight for.
    let guarded = change.guards.iter().filter_map(|guard| change.puts.get_key_value(&guard.key));
    expected.extend(guarded.take(MAX_TXN_OPS / 4).map(|(key, value)| (key.as_str(), Some(value.as_str()))));
    if expected.is_empty() {
        return Ok(true);
    }
    let keys: Vec<&str> = expected.keys().copied().take(MAX_TXN_OPS).collect();
    let gets: Vec<TxnOp> = keys.iter().map(|key| TxnOp::get(*key, None)).collect();
    let answer = members.call(members.timeouts.request, |client| {
        let txn = Txn::new().and_then(gets.clone());
        async move { kv(&client).txn(txn).await }
    });
    let answer = answer.await?.value;
    let found = answer.op_responses().into_iter().map(|response| match response {
        TxnOpResponse::Get(get) => {
            get.kvs().first().map(|entry| String::from_utf8_lossy(entry.value()).into_owned())
        }
        _ => None,
    });
    Ok(keys.iter().zip(found).all(|(key, found)| expected[key] == found.as_deref()))
}

/// The newest revision of the cluster.
pub(super) async fn newest_revision(members: &Members) -> Result<Revision, Failure> {
    let answer = members.call(members.timeouts.request, |client| async move {
        kv(&client).get("/", Some(GetOptions::new().with_count_only())).await
    });
    Ok(answer.await?.value.header().map_or(0, etcd_client::ResponseHeader::revision))
}
