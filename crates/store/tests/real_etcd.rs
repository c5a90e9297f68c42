//! The contract on real etcd, single and of three members; members killed, restarted, stopped, compacted; TLS and
//! passwords.

mod suite;

use std::sync::Arc;
use std::time::{Duration, Instant};

use campanile_store::etcd::{EtcdStore, Tls};
use campanile_store::{Change, Prefix, Store, StoreError, WatchEvent};
use campanile_testkit::Signal;
use suite::etcd::{Cluster, certificates};
use suite::{SOON, assert_ended, keys, next, next_change, put};

#[tokio::test(flavor = "multi_thread")]
async fn one_member_keeps_the_contract() {
    let Some(cluster) = Cluster::start(1) else { return };
    suite::contract(Arc::new(cluster.store())).await;
    let too_much = Change {
        puts: (0..20_000).map(|n| (format!("/t/large/{n:05}"), "x".repeat(100))).collect(),
        ..Change::default()
    };
    let refused = cluster.store().commit(&too_much).await;
    assert!(matches!(refused, Err(StoreError::TooLarge { keys: 20_000, .. })), "{refused:?}");
    // More keys than one answer holds, all at one revision.
    let fits = Change {
        puts: (0..12_500).map(|n| (format!("/t/n/{n:05}"), "x".repeat(40))).collect(),
        ..Change::default()
    };
    suite::done(cluster.store().commit(&fits).await.unwrap());
    assert_eq!(keys(&cluster.store(), "/t/n").await.len(), 12_500);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_and_a_session_outlive_a_restart_of_etcd_and_miss_nothing() {
    let Some(mut cluster) = Cluster::start(1) else { return };
    let store = cluster.store();
    let start = put(&store, &[("/t/a", "0")]).await;
    let mut watch = store.watch(&Prefix::new("/t"), start).await.unwrap();
    let session = store.open_session(30_000).await.unwrap();
    assert!(session.acquire("/s/leader", "me").await.unwrap());
    cluster.etcd.members[0].kill9();
    assert!(matches!(next(&mut watch).await, WatchEvent::Away { .. }));
    assert!(session.is_valid());
    cluster.etcd.members[0].restart();
    // Another program writes before our watch is back.
    let other = cluster.store();
    let revision = put(&other, &[("/t/a", "1")]).await;
    assert_eq!(next_change(&mut watch).await.0, revision);
    assert!(session.acquire("/s/leader", "me").await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compaction_ends_in_a_resync() {
    let Some(cluster) = Cluster::start(1) else { return };
    let store = cluster.store();
    let first = put(&store, &[("/t/a", "0")]).await;
    let last = put(&store, &[("/t/a", "1")]).await;
    put(&store, &[("/u/b", "1")]).await;
    cluster.client().await.compact(last + 1, None).await.unwrap();
    let mut watch = store.watch(&Prefix::new("/t"), first - 1).await.unwrap();
    let WatchEvent::Resync { revision } = next(&mut watch).await else { panic!("the past is gone") };
    assert!(revision > last);
    let next = put(&store, &[("/t/a", "2")]).await;
    assert_eq!(next_change(&mut watch).await.0, next);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hung_etcd_gives_an_error_in_time_and_ends_sessions_by_their_own_deadline() {
    let Some(mut cluster) = Cluster::start(1) else { return };
    let store = cluster.store();
    let start = put(&store, &[("/t/a", "0")]).await;
    let mut watch = store.watch(&Prefix::new("/t"), start).await.unwrap();
    let session = store.open_session(2000).await.unwrap();
    assert!(session.acquire("/s/leader", "me").await.unwrap());
    cluster.etcd.members[0].signal(Signal::STOP);
    let stopped = Instant::now();
    let impatient = cluster.impatient_store();
    let prefix = Prefix::new("/t");
    let ended = async {
        tokio::time::timeout(SOON, session.ended()).await.unwrap();
        assert!(!session.is_valid());
        assert!(stopped.elapsed() < Duration::from_secs(10), "{:?}", stopped.elapsed());
        assert_ended(session.acquire("/s/leader", "me").await);
    };
    // Keepalive pings find out; without them nothing ever would.
    let ((), away, refused) = tokio::join!(ended, next(&mut watch), impatient.read(&prefix));
    assert!(matches!(away, WatchEvent::Away { .. }), "{away:?}");
    assert!(
        matches!(refused, Err(StoreError::Timeout { .. } | StoreError::Unreachable { .. })),
        "{refused:?}"
    );
    cluster.etcd.members[0].signal(Signal::CONT);
    let revision = put(&store, &[("/t/a", "1")]).await;
    assert_eq!(next_change(&mut watch).await.0, revision);
}

#[tokio::test(flavor = "multi_thread")]
async fn three_members_of_which_one_dies_one_hangs_and_too_many_are_away() {
    let Some(mut cluster) = Cluster::start(3) else { return };
    suite::contract(Arc::new(cluster.store())).await;
    let store = cluster.store();
    let start = put(&store, &[("/t/f", "0")]).await;
    let mut watch = store.watch(&Prefix::new("/t"), start).await.unwrap();
    let session = store.open_session(30_000).await.unwrap();
    assert!(session.acquire("/s/leader", "me").await.unwrap());

    // The member that everything talks to dies: the others do it.
    cluster.etcd.members[0].kill9();
    let killed = Instant::now();
    let revision = put(&store, &[("/t/f", "1")]).await;
    assert!(killed.elapsed() < Duration::from_secs(15), "{:?}", killed.elapsed());
    assert_eq!(next_change(&mut watch).await.0, revision);
    cluster.etcd.members[0].restart();
    cluster.etcd.wait_for(0);

    // The next one hangs.
    cluster.etcd.members[1].signal(Signal::STOP);
    let revision = put(&store, &[("/t/f", "2")]).await;
    assert_eq!(next_change(&mut watch).await.0, revision);
    assert!(session.acquire("/s/leader", "me").await.unwrap());

    // Without a majority nothing is done, and nobody believes in a lead for longer than its time.
    let short = store.open_session(2000).await.unwrap();
    cluster.etcd.members[2].signal(Signal::STOP);
    let refused = cluster.impatient_store().commit(&suite::change(&[("/t/f", "3")], &[])).await;
    assert!(refused.is_err(), "{refused:?}");
    tokio::time::timeout(SOON, short.ended()).await.unwrap();
    cluster.etcd.members[1].signal(Signal::CONT);
    cluster.etcd.members[2].signal(Signal::CONT);
    let begun = Instant::now();
    let revision = loop {
        match store.commit(&suite::change(&[("/t/f", "4")], &[])).await {
            Ok(done) => break suite::done(done),
            Err(error) => assert!(begun.elapsed() < SOON, "{error}"),
        }
    };
    // The change that was given up may have happened after all.
    while next_change(&mut watch).await.0 != revision {}

    // What happened before is compacted on all members: whoever asks for it is told to read again.
    cluster.client().await.compact(revision, None).await.unwrap();
    let mut late = store.watch(&Prefix::new("/t"), start - 1).await.unwrap();
    assert!(matches!(next(&mut late).await, WatchEvent::Resync { .. }));
    assert_eq!(keys(&cluster.store_of(1), "/t/f").await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_on_both_sides_and_passwords() {
    let dir = tempfile::tempdir().unwrap();
    let Some(made) = certificates(dir.path()) else { return };
    let Some(mut cluster) = Cluster::start_with(&made) else { return };
    let plain = cluster.impatient_store().read(&Prefix::new("/t")).await;
    assert!(plain.is_err(), "{plain:?}");
    let stranger = Tls { ca: Some(made.ca.clone()), ..Tls::default() };
    cluster.file.tls = Some(stranger);
    assert!(
        cluster.impatient_store().read(&Prefix::new("/t")).await.is_err(),
        "it wants a certificate of us"
    );
    let ours = Tls { ca: Some(made.ca), cert: Some(made.cert), key: Some(made.key), server_name: None };
    cluster.file.tls = Some(ours);
    put(&cluster.store(), &[("/t/a", "1")]).await;
    assert_eq!(keys(&cluster.store(), "/t").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_needed_where_etcd_wants_one() {
    let Some(mut cluster) = Cluster::start(1) else { return };
    let mut client = cluster.client().await;
    for user in ["root", "campanile"] {
        client.user_add(user, "secret", None).await.unwrap();
    }
    client.role_add("root").await.unwrap();
    client.role_add("t").await.unwrap();
    let all = etcd_client::PermissionType::Readwrite;
    let permission = etcd_client::Permission::new(all, "/t/").with_prefix();
    client.role_grant_permission("t", permission).await.unwrap();
    client.user_grant_role("root", "root").await.unwrap();
    client.user_grant_role("campanile", "t").await.unwrap();
    client.auth_enable().await.unwrap();
    let refused = cluster.store().read(&Prefix::new("/t")).await;
    assert!(matches!(refused, Err(StoreError::Denied { .. })), "{refused:?}");
    let dir = tempfile::tempdir().unwrap();
    let password = dir.path().join("password");
    cluster.file.user = Some("campanile".to_owned());
    cluster.file.password_file = Some(password.clone());
    std::fs::write(&password, "wrong\n").unwrap();
    let refused = cluster.store().read(&Prefix::new("/t")).await;
    assert!(matches!(refused, Err(StoreError::Denied { .. })), "{refused:?}");
    std::fs::write(&password, "secret\n").unwrap();
    let store: EtcdStore = cluster.store();
    put(&store, &[("/t/a", "1")]).await;
    let forbidden = store.commit(&suite::change(&[("/u/a", "1")], &[])).await;
    assert!(matches!(forbidden, Err(StoreError::Denied { .. })), "{forbidden:?}");
    // A restart makes etcd forget its tokens.
    cluster.etcd.members[0].kill9();
    cluster.etcd.members[0].restart();
    put(&store, &[("/t/a", "2")]).await;
}
