//! What a docker service prints, as `.logs` gives it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use campanile_host::log_pages;
use campanile_host::model::Target;
use campanile_testkit::DockerEngine;
use campanile_wamp::{Dict, Value as WampValue};
use serde_json::{Value, json};

use crate::world::World;
use crate::yard::{Yard, docked, service};

/// The only page of an answer about one stream, the standard output unless told otherwise.
async fn page(world: &World, options: Value) -> Value {
    let mut question = json!({"stream": "stdout"});
    question.as_object_mut().unwrap().extend(options.as_object().unwrap().clone());
    let args = [WampValue::from("a"), WampValue::from(question)];
    let answer = log_pages::answer(&world.manager, &world.logs, &args, &Dict::new()).await.unwrap();
    answer.to_json()["streams"][0].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn what_a_docker_service_prints_is_read_in_pages_and_followed() {
    let Some(yard) = Yard::open() else { return };
    let script = "trap 'exit 0' TERM; echo wrong >&2; i=0; while [ $i -lt 3000 ]; do i=$((i+1)); echo line $i; done; \
                  while true; do sleep 0.2; echo later; done";
    yard.write("c.yaml", &format!("services:\n{}", service("ocs-a", DockerEngine::IMAGE, script)));
    let world = World::start_docker(vec![docked("a", Target::Up)], yard.options(&["c.yaml"])).await;
    world.until_state("a", "up").await;

    // From the beginning, page after page, until what is still being printed.
    let (mut offset, mut all) = (json!(0), String::new());
    while !all.contains("later\n") {
        let page = page(&world, json!({"offset": offset, "wait": 5})).await;
        assert_eq!(page["by_time"], true);
        all.push_str(page["text"].as_str().unwrap());
        offset = page["next_offset"].clone();
    }
    let numbered: Vec<&str> = all.lines().filter(|line| line.starts_with("line ")).collect();
    let expected: Vec<String> = (1..=3000).map(|number| format!("line {number}")).collect();
    assert_eq!(numbered, expected, "every line once");

    // What comes after that, waited for.
    let next = page(&world, json!({"offset": offset, "wait": 10})).await;
    assert!(next["text"].as_str().unwrap().starts_with("later\n"), "{next}");
    let last = page(&world, json!({"lines": 1})).await;
    assert_eq!(last["text"], "later\n");
    let wrong = page(&world, json!({"lines": 5, "stream": "stderr"})).await;
    assert_eq!((&wrong["text"], &wrong["offset"]), (&json!("wrong\n"), &json!(0)));
    world.stop().await;
}
