//! What a docker service prints, as `.logs` gives it, on a real engine.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use campanile_host::drive::docker::{Address, Options};
use campanile_host::log_pages;
use campanile_host::model::{Operable, Program, Spec, Target};
use campanile_host::reload::Wanted;
use campanile_testkit::DockerEngine;
use campanile_wamp::{Dict, Value as WampValue};
use serde_json::{Value, json};

mod world;

use world::{World, script};

/// The only page of an answer about the standard output.
async fn page(world: &World, options: Value) -> Value {
    let mut question = json!({"stream": "stdout"});
    question.as_object_mut().unwrap().extend(options.as_object().unwrap().clone());
    let args = [WampValue::from("a"), WampValue::from(question)];
    let answer = log_pages::answer(&world.manager, &world.logs, &args, &Dict::new()).await.unwrap();
    answer.to_json()["streams"][0].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn what_a_docker_service_prints_is_read_in_pages_and_followed() {
    let Some(engine) = tokio::task::block_in_place(DockerEngine::require) else { return };
    let dir = tempfile::tempdir().unwrap();
    let shell = "trap 'exit 0' TERM; echo wrong >&2; i=0; while [ $$i -lt 5000 ]; do i=$$((i+1)); echo line $$i; done; \
                 while true; do sleep 0.2; echo later; done";
    let command = json!(["/bin/sh", "-c", shell]);
    let image = DockerEngine::IMAGE;
    let text =
        format!("services:\n  ocs-a:\n    image: {image}\n    network_mode: none\n    command: {command}\n");
    std::fs::write(dir.path().join("c.yaml"), text).unwrap();
    let options = Options {
        files: vec!["c.yaml".to_owned()],
        working_dir: dir.path().to_owned(),
        compose_bin: Some(DockerEngine::compose()),
        address: Address { host: engine.host().to_owned() },
    };
    let program = Program::Docker("ocs-a".to_owned());
    let spec = Spec { program, start: Target::Up, ..(*script("a", "").spec).clone() };
    let operable = Operable::Pending("waits".to_owned());
    let world =
        World::start_docker(vec![Wanted { spec: Arc::new(spec), operable, problem: None }], options).await;
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
    let expected: Vec<String> = (1..=5000).map(|number| format!("line {number}")).collect();
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
