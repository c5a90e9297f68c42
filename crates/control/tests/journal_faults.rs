//! The journal under what kills it in the field: SIGKILL in the middle of writing, and a disk that is full.
//!
//! Both need a process of their own, so this binary starts itself: the tests whose names begin with `child_` do nothing
//! unless they were started by the others.

#![expect(clippy::unwrap_used, reason = "a test ends where what it needs cannot be had")]

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use campanile_control::journal::{Journal, JournalOptions, NewEvent, Query, kinds};
use campanile_control::{Clock, Workers};

const DIR: &str = "CAMPANILE_TEST_JOURNAL_DIR";
const LONG: Duration = Duration::from_secs(60);

async fn open(dir: &Path) -> Journal {
    let clock = Clock::system();
    let workers = Workers::new(clock.clone());
    Journal::open(JournalOptions::in_dir(dir, "hm-1"), clock, &workers).await
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

fn this_test(name: &str, dir: &Path, mut command: Command) -> Command {
    let exe = std::env::current_exe().unwrap();
    command.arg(exe).args(["--exact", name, "--nocapture"]).env(DIR, dir);
    command
}

fn child_dir() -> Option<PathBuf> {
    std::env::var_os(DIR).map(PathBuf::from)
}

/// Says after each event that was saved which one it was, until it is killed.
#[test]
fn child_that_writes() {
    let Some(dir) = child_dir() else { return };
    runtime().block_on(async {
        let journal = open(&dir).await;
        loop {
            let text = "x".repeat(fastrand::usize(..3000));
            let event = journal.record(NewEvent::new(kinds::STATE, "a", text));
            // Half of them are killed while they wait for others, too.
            if fastrand::bool() {
                assert!(journal.saved(LONG).await);
                println!("saved {}", event.id);
            }
        }
    });
}

#[test]
fn what_was_saved_survives_kill_9_at_any_moment() {
    let rounds = std::env::var("CAMPANILE_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(5);
    let dir = tempfile::tempdir().unwrap();
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let mut saved = Vec::new();
    for round in 0..rounds {
        let mut command = this_test("child_that_writes", dir.path(), Command::new("env"));
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let stop_after = random.usize(1..200);
        let ids = std::iter::from_fn(|| lines.next()?.ok())
            .filter_map(|line| line.strip_prefix("saved ")?.parse::<u64>().ok());
        saved.extend(ids.take(stop_after));
        std::thread::sleep(Duration::from_micros(random.u64(..3000)));
        child.kill().unwrap();
        child.wait().unwrap();
        // What it said between our last look and its end counts as well.
        let rest = lines.map_while(Result::ok);
        saved.extend(rest.filter_map(|line| line.strip_prefix("saved ")?.parse::<u64>().ok()));

        let kept = runtime().block_on(all_ids(dir.path()));
        assert!(kept.is_sorted_by(|a, b| a < b), "round {round}: ids ascend over restarts");
        let missing: Vec<&u64> = saved.iter().filter(|id| kept.binary_search(id).is_err()).collect();
        assert_eq!(missing, [&0; 0], "round {round}");
        assert!(!dir.path().join("journal.sqlite.broken-1").exists(), "round {round}: the file is sound");
    }
    assert!(saved.len() >= rounds);
}

async fn all_ids(dir: &Path) -> Vec<u64> {
    let journal = open(dir).await;
    let mut ids: Vec<u64> = Vec::new();
    loop {
        let page = journal.query(Query::after(ids.last().copied().unwrap_or(0))).await;
        assert_eq!(page.incomplete, None);
        ids.extend(page.events.iter().map(|event| event.id));
        if !page.more {
            journal.close(LONG).await;
            return ids;
        }
    }
}

/// Runs in a mount namespace of its own, with its directory on a file system of four megabytes.
#[test]
fn child_on_a_small_disk() {
    let Some(dir) = child_dir() else { return };
    runtime().block_on(async {
        let journal = open(&dir).await;
        journal.record(NewEvent::new(kinds::STATE, "a", "before"));
        assert!(journal.saved(LONG).await);

        let ballast = dir.join("ballast");
        let mut file = fs::File::create(&ballast).unwrap();
        while file.write_all(&[0; 4096]).is_ok() {}
        // Small enough to wait in memory, too large for what is left in the pages that the file has already.
        for n in 0..100 {
            journal.record(NewEvent::new(kinds::STATE, "a", format!("{n} {}", "x".repeat(8000))));
        }
        let mut trouble = journal.trouble();
        tokio::time::timeout(LONG, trouble.wait_for(Option::is_some)).await.unwrap().unwrap();
        assert!(trouble.borrow().as_ref().unwrap().reason.contains("full"), "{:?}", trouble.borrow());
        assert!(!journal.saved(Duration::from_millis(300)).await);
        // Everything is still there for who asks, from the file and from memory.
        assert_eq!(count(&journal).await, 101);

        drop(file);
        fs::remove_file(&ballast).unwrap();
        tokio::time::timeout(LONG, trouble.wait_for(Option::is_none)).await.unwrap().unwrap();
        assert_eq!(count(&journal).await, 101);
        journal.close(LONG).await;
        let journal = open(&dir).await;
        assert_eq!(count(&journal).await, 101);
        println!("the small disk was survived");
    });
}

async fn count(journal: &Journal) -> usize {
    let mut found: Vec<u64> = Vec::new();
    loop {
        let after_id = found.last().copied();
        let query = Query { subject: Some("a".to_owned()), after_id, limit: 1000, ..Query::default() };
        let page = journal.query(query).await;
        found.extend(page.events.iter().map(|event| event.id));
        if !page.more {
            return found.len();
        }
    }
}

#[test]
fn a_full_disk_costs_no_event_that_memory_can_hold() {
    if campanile_testkit::require_program("unshare", "it is in util-linux").is_none() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c"]);
    command.arg("mount -t tmpfs -o size=4m none \"$0\" && exec \"$@\"").arg(dir.path());
    let output = this_test("child_on_a_small_disk", dir.path(), command).output().unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if stderr.contains("unshare failed") || stderr.contains("permission denied") {
        campanile_testkit::skip(&format!("no mount namespace here: {stderr}"));
        return;
    }
    assert!(stdout.contains("the small disk was survived"), "{stdout}\n{stderr}");
}
