use std::fs;

use super::*;
use crate::worker::Workers;

/// Waiting is never decisive here: a loaded machine gets all the time it needs.
const LONG: Duration = Duration::from_secs(60);

struct Stage {
    dir: tempfile::TempDir,
    workers: Workers,
    clock: Clock,
}

impl Stage {
    fn new() -> Self {
        let clock = Clock::system();
        Self { dir: tempfile::tempdir().unwrap(), workers: Workers::new(clock.clone()), clock }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join(FILE)
    }

    async fn open(&self) -> Journal {
        self.open_with(DEFAULT_LIMIT_BYTES).await
    }

    async fn open_with(&self, limit_bytes: u64) -> Journal {
        let options = JournalOptions { limit_bytes, ..JournalOptions::in_dir(self.dir.path(), "hm-1") };
        Journal::open(options, self.clock.clone(), &self.workers).await
    }

    fn last_error(&self) -> Option<String> {
        self.workers.snapshot()[0].last_error.clone().map(|(_, text)| text)
    }
}

fn event(subject: &str, text: &str) -> NewEvent {
    NewEvent::new(kinds::STATE, subject, text)
}

fn texts(page: &Page) -> Vec<&str> {
    page.events.iter().map(|event| event.text.as_str()).collect()
}

async fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begin = std::time::Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < LONG, "{what} did not happen");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn what_was_recorded_is_there_after_a_restart_and_ids_go_on() {
    let stage = Stage::new();
    let journal = stage.open().await;
    let actor = Actor::new("user alice (uid 1000)", "control socket, process 7");
    let asked = NewEvent::new(kinds::REQUEST, "thermo1", "up was asked for").by(Some(actor)).field("n", 1.5);
    let first = journal.record(asked);
    journal.close(LONG).await;

    let journal = stage.open().await;
    let second = journal.record(event("thermo1", "up"));
    assert!(second.id > first.id);
    let page = journal.query(Query::after(0)).await;
    assert_eq!(page.events, [first.as_ref().clone(), second.as_ref().clone()]);
    assert_eq!((page.more, page.incomplete), (false, None));
}

#[tokio::test]
async fn a_question_names_whom_what_and_when_and_gets_pages() {
    let stage = Stage::new();
    let journal = stage.open().await;
    let ids: Vec<u64> = (0..10)
        .map(|n| journal.record(event(if n % 2 == 0 { "even" } else { "odd" }, &n.to_string())).id)
        .collect();
    journal.record(NewEvent::new(kinds::ERROR, "even", "bad"));
    let all = Query { limit: 100, ..Query::default() };
    let ask = async |query: Query| {
        let page = journal.query(query).await;
        (texts(&page).join(" "), page.more)
    };
    let odd = Query { subject: Some("odd".to_owned()), ..all.clone() };
    assert_eq!(ask(odd.clone()).await, ("1 3 5 7 9".to_owned(), false));
    assert_eq!(
        ask(Query { kinds: vec![kinds::ERROR.to_owned()], ..all.clone() }).await,
        ("bad".to_owned(), false)
    );
    assert_eq!(ask(Query { limit: 3, ..odd.clone() }).await, ("1 3 5".to_owned(), true));
    assert_eq!(
        ask(Query { limit: 3, after_id: Some(ids[5]), ..odd.clone() }).await,
        ("7 9".to_owned(), false)
    );
    assert_eq!(ask(Query { limit: 2, newest: true, ..odd.clone() }).await, ("7 9".to_owned(), true));
    let before = Query { limit: 2, newest: true, before_id: Some(ids[3]), ..odd };
    assert_eq!(ask(before).await, ("1".to_owned(), false));
    let last_ms = journal.query(Query::newest(1)).await.events[0].time_ms;
    assert_eq!(ask(Query { since_ms: Some(last_ms + 1), ..all.clone() }).await, (String::new(), false));
    assert_eq!(
        ask(Query { until_ms: Some(last_ms + 1), ..all.clone() }).await.0.len(),
        "0 1 2 3 4 5 6 7 8 9 bad".len()
    );
    assert_eq!(ask(Query { since_ms: Some(0), ..all }).await.0, "0 1 2 3 4 5 6 7 8 9 bad");
}

#[tokio::test]
async fn subscribers_get_every_event_in_order() {
    let stage = Stage::new();
    let journal = stage.open().await;
    let mut live = journal.subscribe();
    for n in 0..100 {
        journal.record(event("a", &n.to_string()));
    }
    for n in 0..100 {
        assert_eq!(live.recv().await.unwrap().text, n.to_string());
    }
}

#[tokio::test]
async fn above_the_limit_the_oldest_are_dropped() {
    const LIMIT: u64 = 512 * 1024;
    let stage = Stage::new();
    let journal = stage.open_with(LIMIT).await;
    for n in 0..2000 {
        journal.record(event("a", &format!("{n} {}", "x".repeat(1000))));
        if n % 100 == 0 {
            assert!(journal.saved(LONG).await);
        }
    }
    assert!(journal.saved(LONG).await);
    let page = journal.query(Query::after(0)).await;
    assert!(!page.events[0].text.starts_with("0 "));
    let last = journal.query(Query::newest(1)).await;
    assert!(last.events[0].text.starts_with("1999 "));
    journal.close(LONG).await;
    let bytes = fs::metadata(stage.path()).unwrap().len();
    assert!(bytes < LIMIT * 3 / 2, "{bytes}");
}

#[tokio::test]
async fn a_file_that_is_no_journal_is_set_aside_and_a_new_one_begun() {
    let stage = Stage::new();
    fs::write(stage.path(), "this is not a database, it is a text of some length".repeat(100)).unwrap();
    let journal = stage.open().await;
    journal.record(event("a", "after"));
    let page = journal.query(Query::after(0)).await;
    assert!(
        page.events[0].text.contains("set aside as") && page.events[0].kind == kinds::JOURNAL,
        "{page:?}"
    );
    assert_eq!(page.events[1].text, "after");
    assert!(journal.trouble().borrow().is_none());
    assert!(stage.dir.path().join("journal.sqlite.broken-1").exists());
}

#[tokio::test]
async fn a_file_that_is_damaged_while_it_is_in_use_is_replaced_and_memory_saved_again() {
    let stage = Stage::new();
    let journal = stage.open().await;
    for n in 0..50 {
        journal.record(event("a", &format!("{n} {}", "x".repeat(2000))));
    }
    journal.close(LONG).await;
    // The header stays sound, everything behind it does not: only the use of the tables shows it.
    let mut bytes = fs::read(stage.path()).unwrap();
    bytes[4096..].fill(0x5a);
    fs::write(stage.path(), bytes).unwrap();

    let journal = stage.open().await;
    journal.record(event("a", "after"));
    assert!(journal.saved(LONG).await);
    let page = journal.query(Query::newest(10)).await;
    assert_eq!(page.events.last().unwrap().text, "after");
    assert!(page.events.iter().any(|event| event.text.contains("set aside")), "{page:?}");
    assert!(stage.last_error().unwrap().contains("damaged"));
}

#[tokio::test]
async fn a_journal_of_a_newer_version_is_set_aside_unharmed() {
    let stage = Stage::new();
    let journal = stage.open().await;
    journal.record(event("a", "old"));
    journal.close(LONG).await;
    let mut bytes = fs::read(stage.path()).unwrap();
    bytes[63] = 9;
    fs::write(stage.path(), &bytes).unwrap();
    let journal = stage.open().await;
    let page = journal.query(Query::after(0)).await;
    assert!(page.events[0].text.contains("newer version"), "{page:?}");
    assert_eq!(fs::read(stage.dir.path().join("journal.sqlite.broken-1")).unwrap()[63], 9);
}

#[tokio::test]
async fn without_a_disk_events_stay_in_memory_and_are_saved_when_it_is_back() {
    let stage = Stage::new();
    let place = stage.dir.path().join("later");
    let options = JournalOptions::in_dir(&place, "hm-1");
    let journal = Journal::open(options, stage.clock.clone(), &stage.workers).await;
    journal.record(event("a", "one"));
    let page = journal.query(Query { subject: Some("a".to_owned()), limit: 5, ..Query::default() }).await;
    assert_eq!(texts(&page), ["one"]);
    assert!(page.incomplete.unwrap().contains("unable to open"), "the page says that it is not all");
    assert!(journal.trouble().borrow().is_some());

    fs::create_dir(&place).unwrap();
    let mut trouble = journal.trouble();
    tokio::time::timeout(LONG, trouble.wait_for(Option::is_none)).await.unwrap().unwrap();
    let page = journal.query(Query::after(0)).await;
    let kinds: Vec<&str> = page.events.iter().map(|event| event.kind.as_str()).collect();
    assert_eq!(kinds, [kinds::JOURNAL, kinds::STATE, kinds::JOURNAL], "{page:?}");
    assert!(page.events[2].text.contains("none was lost"));
    assert_eq!(page.incomplete, None);
}

#[tokio::test]
async fn the_file_of_a_manager_that_is_down_can_be_read_and_of_one_that_runs_not() {
    let stage = Stage::new();
    assert!(read_file(&stage.path(), &Query::after(0)).await.is_err());
    let journal = stage.open().await;
    journal.record(event("a", "one"));
    assert!(journal.saved(LONG).await);
    let refused = read_file(&stage.path(), &Query::after(0)).await.unwrap_err();
    assert!(refused.to_string().contains("locked"), "{refused}");
    journal.close(LONG).await;
    let page = read_file(&stage.path(), &Query::after(0)).await.unwrap();
    assert_eq!(texts(&page), ["one"]);
}

#[tokio::test]
async fn a_reader_beside_us_only_delays_the_manager() {
    let stage = Stage::new();
    let journal = stage.open().await;
    journal.record(event("a", "one"));
    journal.close(LONG).await;
    let mut reader = JournalFile::open_to_read(&stage.path()).await.unwrap();
    assert_eq!(reader.select(&Query::after(0)).await.unwrap().events.len(), 1);
    let journal = stage.open().await;
    journal.record(event("a", "two"));
    wait_until("trouble", || journal.trouble().borrow().is_some()).await;
    reader.close().await.unwrap();
    let mut trouble = journal.trouble();
    tokio::time::timeout(LONG, trouble.wait_for(Option::is_none)).await.unwrap().unwrap();
    let page = journal.query(Query { subject: Some("a".to_owned()), limit: 5, ..Query::default() }).await;
    assert_eq!(texts(&page), ["one", "two"]);
}
