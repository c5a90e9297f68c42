//! What every backend must do, as functions over the trait; and a real etcd to do it with.
#![allow(clippy::expect_used, clippy::unwrap_used, dead_code, reason = "a part of several test programs")]

pub(crate) mod etcd;

use std::sync::Arc;
use std::time::{Duration, Instant};

use campanile_store::{
    Change, Committed, Expect, KeyEvent, Prefix, Revision, Store, StoreError, Watch, WatchEvent,
};

/// Everything here happens at once; a loaded machine may take longer.
pub(crate) const SOON: Duration = Duration::from_secs(20);

pub(crate) fn change(puts: &[(&str, &str)], deletes: &[&str]) -> Change {
    let mut change = Change::default();
    change.puts.extend(puts.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
    change.deletes.extend(deletes.iter().map(|key| (*key).to_owned()));
    change
}

pub(crate) async fn put(store: &dyn Store, puts: &[(&str, &str)]) -> Revision {
    done(store.commit(&change(puts, &[])).await.unwrap())
}

pub(crate) fn done(committed: Committed) -> Revision {
    match committed {
        Committed::Done { revision } => revision,
        Committed::Conflict => panic!("a change without guards cannot conflict"),
    }
}

pub(crate) async fn keys(store: &dyn Store, prefix: &str) -> Vec<(String, String)> {
    store.read(&Prefix::new(prefix)).await.unwrap().keys.into_iter().collect()
}

/// The next event; panics when none comes.
pub(crate) async fn next(watch: &mut Watch) -> WatchEvent {
    tokio::time::timeout(SOON, watch.next()).await.expect("an event comes").expect("the watch lives")
}

/// The next changes, whatever is said about the backend's absence in between.
pub(crate) async fn next_change(watch: &mut Watch) -> (Revision, Vec<KeyEvent>) {
    loop {
        match next(watch).await {
            WatchEvent::Changed { revision, keys } => return (revision, keys),
            WatchEvent::Away { .. } | WatchEvent::Back => {}
            WatchEvent::Resync { revision } => panic!("nothing was forgotten, and yet: resync at {revision}"),
        }
    }
}

fn event(key: &str, value: Option<&str>) -> KeyEvent {
    KeyEvent { key: key.to_owned(), value: value.map(str::to_owned) }
}

/// The whole contract. `store` has nothing below `/t/` yet.
pub(crate) async fn contract(store: Arc<dyn Store>) {
    prefixes_end_at_the_slash(&*store).await;
    guards_hold_a_change_back_as_a_whole(&*store).await;
    thousands_of_keys_are_one_revision(&*store).await;
    // Sessions take their time; what else there is can be looked at meanwhile.
    tokio::join!(sessions_hold_keys_and_lose_them(&store), async {
        a_watch_reports_all_changes_in_order(&*store).await;
        one_of_many_writers_wins(&store).await;
    });
}

async fn prefixes_end_at_the_slash(store: &dyn Store) {
    put(store, &[("/t/p/a", "1"), ("/t/p/b/c", ""), ("/t/pq/a", "other"), ("/t/p", "no slash")]).await;
    let snapshot = store.read(&Prefix::new("t/p")).await.unwrap();
    let found: Vec<_> = snapshot.keys.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    assert_eq!(found, [("/t/p/a", "1"), ("/t/p/b/c", "")]);
    assert!(snapshot.revision > 0);
    assert_eq!(keys(store, "/t/none/").await, []);
}

async fn guards_hold_a_change_back_as_a_whole(store: &dyn Store) {
    put(store, &[("/t/g/a", "1")]).await;
    let attempt = |guard: &'static str, expect| async move {
        let change = change(&[("/t/g/b", "2")], &["/t/g/a"]).guarded(guard, expect);
        store.commit(&change).await.unwrap()
    };
    for (key, expect) in [
        ("/t/g/a", Expect::Absent),
        ("/t/g/z", Expect::Present),
        ("/t/g/a", Expect::Value("2".into())),
        ("/t/g/z", Expect::Value(String::new())),
    ] {
        assert_eq!(attempt(key, expect.clone()).await, Committed::Conflict, "{key} {expect:?}");
        assert_eq!(keys(store, "/t/g").await, [("/t/g/a".into(), "1".into())]);
    }
    done(attempt("/t/g/a", Expect::Value("1".into())).await);
    assert_eq!(keys(store, "/t/g").await, [("/t/g/b".into(), "2".into())]);
    done(attempt("/t/g/a", Expect::Absent).await);
    done(attempt("/t/g/b", Expect::Present).await);
}

async fn thousands_of_keys_are_one_revision(store: &dyn Store) {
    let many: Vec<(String, String)> =
        (0..3900).map(|n| (format!("/t/many/{n:05}/key"), format!("value {n}"))).collect();
    let mut change = Change { puts: many.iter().cloned().collect(), ..Change::default() };
    let before = put(store, &[("/t/other", "x")]).await;
    let mut watch = store.watch(&Prefix::new("/t/many"), before).await.unwrap();
    let revision = done(store.commit(&change).await.unwrap());
    assert_eq!(revision, before + 1);
    let (seen_at, seen) = next_change(&mut watch).await;
    assert_eq!((seen_at, seen.len()), (revision, 3900));
    assert_eq!(keys(store, "/t/many").await, many);
    change.deletes = std::mem::take(&mut change.puts).into_keys().collect();
    done(store.commit(&change).await.unwrap());
    assert_eq!(keys(store, "/t/many").await, []);
}

async fn a_watch_reports_all_changes_in_order(store: &dyn Store) {
    let prefix = Prefix::new("/t/w");
    let start = store.read(&prefix).await.unwrap().revision;
    let first = put(store, &[("/t/w/a", "1"), ("/t/wide", "no")]).await;
    let second = done(store.commit(&change(&[("/t/w/b", "2")], &["/t/w/a"])).await.unwrap());
    // From the past.
    let mut watch = store.watch(&prefix, start).await.unwrap();
    assert_eq!(next_change(&mut watch).await, (first, vec![event("/t/w/a", Some("1"))]));
    let (revision, mut seen) = next_change(&mut watch).await;
    seen.sort_by(|a, b| a.key.cmp(&b.key));
    assert_eq!((revision, seen), (second, vec![event("/t/w/a", None), event("/t/w/b", Some("2"))]));
    // And as it happens.
    let third = put(store, &[("/t/w/c", "3")]).await;
    assert_eq!(next_change(&mut watch).await, (third, vec![event("/t/w/c", Some("3"))]));
    // Resumed in the middle.
    let mut resumed = store.watch(&prefix, first).await.unwrap();
    assert_eq!(next_change(&mut resumed).await.0, second);
    assert_eq!(next_change(&mut resumed).await.0, third);
}

async fn one_of_many_writers_wins(store: &Arc<dyn Store>) {
    const WRITERS: usize = 6;
    const TURNS: usize = 5;
    put(&**store, &[("/t/count", "0")]).await;
    let writers = (0..WRITERS).map(|_| {
        let store = Arc::clone(store);
        tokio::spawn(async move {
            for _ in 0..TURNS {
                loop {
                    let now =
                        keys(&*store, "/t").await.into_iter().find(|(key, _)| key == "/t/count").unwrap().1;
                    let next = (now.parse::<usize>().unwrap() + 1).to_string();
                    let change = change(&[("/t/count", &next)], &[]).guarded("/t/count", Expect::Value(now));
                    if store.commit(&change).await.unwrap() != Committed::Conflict {
                        break;
                    }
                }
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    let count = keys(&**store, "/t").await.into_iter().find(|(key, _)| key == "/t/count").unwrap().1;
    assert_eq!(count, (WRITERS * TURNS).to_string());
}

async fn sessions_hold_keys_and_lose_them(store: &Arc<dyn Store>) {
    let prefix = Prefix::new("/t/s");
    let start = store.read(&prefix).await.unwrap().revision;
    let mut watch = store.watch(&prefix, start).await.unwrap();
    let one = store.open_session(2000).await.unwrap();
    let two = store.open_session(2000).await.unwrap();
    assert!(one.acquire("/t/s/leader", "one").await.unwrap());
    assert!(one.acquire("/t/s/leader", "one").await.unwrap(), "it is ours already");
    assert!(!two.acquire("/t/s/leader", "two").await.unwrap());
    two.put("/t/s/member/two", "here").await.unwrap();
    assert_eq!(next_change(&mut watch).await.1, [event("/t/s/leader", Some("one"))]);
    assert_eq!(next_change(&mut watch).await.1, [event("/t/s/member/two", Some("here"))]);
    // Renewed beyond its time.
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(2500) {
        assert!(one.is_valid() && one.valid_until() > Instant::now());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // Given up.
    one.release("/t/s/leader").await.unwrap();
    assert_eq!(next_change(&mut watch).await.1, [event("/t/s/leader", None)]);
    assert!(two.acquire("/t/s/leader", "two").await.unwrap());
    one.release("/t/s/leader").await.unwrap();
    assert!(!one.acquire("/t/s/leader", "one").await.unwrap(), "what is not ours cannot be given up by us");
    assert_eq!(next_change(&mut watch).await.1, [event("/t/s/leader", Some("two"))]);
    // Many at once, and one of them taken back.
    let mut many = Change::default();
    many.puts.extend([("/t/s/seen/a", "1"), ("/t/s/seen/b", "2")].map(|(k, v)| (k.to_owned(), v.to_owned())));
    assert!(matches!(two.commit(&many).await.unwrap(), Committed::Done { .. }));
    assert_eq!(
        next_change(&mut watch).await.1,
        [event("/t/s/seen/a", Some("1")), event("/t/s/seen/b", Some("2"))]
    );
    let mut back = Change::default().guarded("/t/s/leader", Expect::Value("one".to_owned()));
    back.deletes.insert("/t/s/seen/b".to_owned());
    assert_eq!(two.commit(&back).await.unwrap(), Committed::Conflict);
    back.guards.clear();
    two.commit(&back).await.unwrap();
    assert_eq!(next_change(&mut watch).await.1, [event("/t/s/seen/b", None)]);
    // Closed.
    two.close().await;
    let (_, mut gone) = next_change(&mut watch).await;
    while gone.len() < 3 {
        gone.extend(next_change(&mut watch).await.1);
    }
    gone.sort_by(|a, b| a.key.cmp(&b.key));
    assert_eq!(
        gone,
        [event("/t/s/leader", None), event("/t/s/member/two", None), event("/t/s/seen/a", None)]
    );
    assert!(one.acquire("/t/s/leader", "one").await.unwrap());
    next_change(&mut watch).await;
    // Dead: nobody renews it any more, and it was never closed.
    let until = one.valid_until();
    drop(one);
    assert_eq!(next_change(&mut watch).await.1, [event("/t/s/leader", None)]);
    assert!(Instant::now() >= until, "its keys live longer than it may rely on them");
}

/// A session that has ended says so.
pub(crate) fn assert_ended(result: Result<bool, StoreError>) {
    assert!(matches!(result, Err(StoreError::SessionEnded)), "{result:?}");
}
