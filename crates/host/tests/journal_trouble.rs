//! A journal that cannot save shows in the status of the manager, and clears when it can again.

use campanile_control::journal::{Journal, JournalOptions};
use campanile_control::{Clock, Workers};
use serde_json::Value;

mod world;

use world::World;

fn is_degraded(world: &World) -> bool {
    world.agent.status("manager")[2]["degraded"] == true
}

fn problem(world: &World) -> Option<String> {
    let data = world.manager.data();
    let found = data["problems"].as_array()?.iter().find(|problem| problem["what"] == "journal")?;
    Some(found["text"].as_str()?.to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_journal_that_cannot_save_is_a_problem_until_it_can() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("later");
    let clock = Clock::system();
    let workers = Workers::new(clock.clone());
    let journal = Journal::open(JournalOptions::in_dir(&place, "hm"), clock, &workers).await;
    let world = World::start(Vec::new()).await;
    // The process looks at its journal when it begins.
    world.manager.keep_journal(journal);
    world.call("stop", "manager", Value::Null).await;
    world.call("wait", "manager", Value::Null).await;
    let started = world.call("start", "manager", Value::Null).await;
    assert_eq!(started[0], 0, "{started}");
    world.until("the status says it", |world| problem(world).is_some() && is_degraded(world)).await;
    let text = problem(&world).unwrap();
    assert!(text.contains("events cannot be saved"), "{text}");
    std::fs::create_dir(&place).unwrap();
    world.until("it is over", |world| problem(world).is_none() && !is_degraded(world)).await;
    world.until_told("Journal: events are saved again.").await;
    let session: Value = world.agent.status("manager")[2].clone();
    assert_eq!(session["status"], "running", "{session}");
    world.stop().await;
}
