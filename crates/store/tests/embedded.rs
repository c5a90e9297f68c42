//! The contract on the embedded backend, and what is its own: files, several programs, a forgotten past.

mod suite;

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use campanile_store::embedded::{EmbeddedStore, KEPT_REVISIONS};
use campanile_store::{Prefix, Store, StoreError, WatchEvent};
use suite::{assert_ended, keys, next, next_change, put};

#[tokio::test(flavor = "multi_thread")]
async fn the_embedded_database_keeps_the_contract() {
    let dir = tempfile::tempdir().unwrap();
    suite::contract(Arc::new(EmbeddedStore::open(dir.path()).await.unwrap())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn several_programs_share_one_database_and_it_outlives_them() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("new/store");
    let one = EmbeddedStore::open(&place).await.unwrap();
    let two = EmbeddedStore::open(&place).await.unwrap();
    let mut watch = two.watch(&Prefix::new("/t"), 0).await.unwrap();
    let revision = put(&one, &[("/t/a", "1")]).await;
    assert_eq!(next_change(&mut watch).await.0, revision);
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&place), mode(&EmbeddedStore::file_in(&place))), (0o700, 0o600));
    drop((one, two, watch));
    let three = EmbeddedStore::open(&place).await.unwrap();
    assert_eq!(keys(&three, "/t").await, [("/t/a".to_owned(), "1".to_owned())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_whose_past_is_forgotten_says_so_and_goes_on() {
    // A thousand changes, each of which would wait for a disk.
    let memory = Some(Path::new("/dev/shm")).filter(|dir| dir.is_dir());
    let dir = memory.map_or_else(tempfile::tempdir, tempfile::tempdir_in).unwrap();
    let store = EmbeddedStore::open(dir.path()).await.unwrap();
    let first = put(&store, &[("/t/a", "1")]).await;
    for n in 0..=KEPT_REVISIONS {
        put(&store, &[("/u/b", &n.to_string())]).await;
    }
    let mut watch = store.watch(&Prefix::new("/t"), first - 1).await.unwrap();
    let WatchEvent::Resync { revision } = next(&mut watch).await else { panic!("the past is forgotten") };
    assert!(revision > first);
    let last = put(&store, &[("/t/c", "3")]).await;
    assert_eq!(next_change(&mut watch).await.0, last);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_of_a_process_that_stood_still_has_ended() {
    let dir = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(dir.path()).await.unwrap();
    // A runtime of its own stands still like a stopped process does: its renewals do not happen.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let path = dir.path().to_owned();
    let (leads, led) = tokio::sync::oneshot::channel();
    let session = tokio::task::spawn_blocking(move || {
        let session = runtime.block_on(async {
            let store = EmbeddedStore::open(&path).await.unwrap();
            let session = store.open_session(600).await.unwrap();
            assert!(session.acquire("/t/leader", "one").await.unwrap());
            session
        });
        leads.send(()).unwrap();
        std::thread::sleep(Duration::from_millis(900));
        assert!(!session.is_valid());
        runtime.block_on(async { assert_ended(session.acquire("/t/leader", "one").await) });
        runtime.block_on(session.ended());
    });
    led.await.unwrap();
    let other = store.open_session(2000).await.unwrap();
    let begun = std::time::Instant::now();
    while !other.acquire("/t/leader", "two").await.unwrap() {
        assert!(begun.elapsed() < suite::SOON);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    session.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_no_database_of_ours_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(EmbeddedStore::file_in(dir.path()), "something else entirely, and long enough to be seen")
        .unwrap();
    let refused = EmbeddedStore::open(dir.path()).await;
    assert!(matches!(refused, Err(StoreError::Refused { .. })), "{refused:?}");
    let kept = std::fs::read_to_string(EmbeddedStore::file_in(dir.path())).unwrap();
    assert!(kept.starts_with("something else"));
}
