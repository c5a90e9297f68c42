//! Docker services under a HostManager, on a real engine.

use std::time::Instant;

use campanile_host::model::Target;
use campanile_testkit::DockerEngine;
use serde_json::{Value, json};

#[path = "docker/logs.rs"]
mod logs;
#[path = "docker/pull.rs"]
mod pull;
mod world;
mod yard;

use world::{World, command};
use yard::proxy::{Faults, Proxy};
use yard::{Yard, docked, file_status, seen, service, sleeper, until_seen};

/// An engine blocks when it is asked for something; the manager is to go on meanwhile.
macro_rules! blocking {
    ($what:expr) => {
        tokio::task::block_in_place(|| $what)
    };
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn services_are_kept_as_instances_and_strangers_are_only_looked_at() {
    let Some(yard) = Yard::open() else { return };
    yard.services("c.yaml", &["ocs-a", "ocs-b", "influxdb"]);
    let wanted = vec![docked("a", Target::Up), docked("b", Target::Down), docked("lost", Target::Up)];
    let world = World::start_docker(wanted, yard.options(&["c.yaml"])).await;
    until_seen(&world, "a", "Fake[d] up up").await;
    assert_eq!(seen(&world, "b"), "Fake[d] down down");
    assert_eq!(seen(&world, "lost"), "Fake[d?] up ?");
    assert_eq!(seen(&world, "influxdb"), "[docker] passive down");
    let lost = world.child("lost").unwrap();
    assert_eq!(lost["operable"], false);
    assert_eq!(lost["reason"], "there is no service ocs-lost in c.yaml");

    // The keys that the original gives, with the values that it would give.
    let a = world.child("a").unwrap();
    for key in [
        "next_action",
        "target_state",
        "stability",
        "agent_class",
        "instance_id",
        "operable",
        "restart_required",
    ] {
        assert!(a.get(key).is_some(), "{key}: {a}");
    }
    assert_eq!(
        (&a["operable"], &a["restart_required"], &a["stability"]),
        (&json!(true), &json!(false), &json!(1.0))
    );
    let data = world.manager.data();
    assert_eq!((&data["orphans"], &data["new_tags"]), (&json!({}), &json!({})));
    let (ok, at_s, text) = file_status(&world, "c.yaml").unwrap();
    assert!(ok && at_s > 1e9);
    assert_eq!(text, "Successfully parsed c.yaml and its service states.");

    // Its process is on this host; its death is noticed, counted, explained and undone.
    let container = blocking!(yard.engine.container_of("ocs-a"));
    let pid = world.pid("a").unwrap();
    assert_eq!(
        blocking!(yard.engine.docker(&["inspect", "-f", "{{.State.Pid}}", &container])),
        pid.to_string()
    );
    let before = Instant::now();
    assert!(campanile_testkit::send_signal(pid, campanile_testkit::Signal::KILL));
    world.until("its death is noticed", |world| world.pid("a") != Some(pid)).await;
    println!("a container's death was noticed after {:?}", before.elapsed());
    world.until_told("Detected exit of Fake:a with code 137.").await;
    println!("its exit code was told after {:?}", before.elapsed());
    until_seen(&world, "a", "Fake[d] up up").await;
    assert!(world.child("a").unwrap()["stability"].as_f64().unwrap() < 1.0);
    assert_eq!(
        blocking!(yard.engine.container_of("ocs-a")),
        container,
        "it is the same container, started again"
    );

    // An instance that should be down may be asked up, and one that somebody starts by hand is shut down.
    world.ask("b", "up").await;
    until_seen(&world, "b", "Fake[d] up up").await;
    world.ask("b", "down").await;
    until_seen(&world, "b", "Fake[d] down down").await;
    world
        .until("its container is removed", |_| blocking!(yard.engine.containers_of("ocs-b")).is_empty())
        .await;
    blocking!(yard.compose(&["c.yaml"], &["up", "-d", "ocs-b"]));
    world.until_told("Detected unexpected session for Fake:b (probably docker)").await;
    world.until("it is shut down", |_| blocking!(yard.engine.containers_of("ocs-b")).is_empty()).await;

    // A stranger is brought up and down on request, and by anybody else, without conflict.
    world.ask("influxdb", "up").await;
    until_seen(&world, "influxdb", "[docker] passive up").await;
    blocking!(yard.compose(&["c.yaml"], &["stop", "influxdb"]));
    world.until_told("Passively tracked [docker]:influxdb is now down.").await;
    assert_eq!(seen(&world, "influxdb"), "[docker] passive down");
    blocking!(yard.compose(&["c.yaml"], &["start", "influxdb"]));
    until_seen(&world, "influxdb", "[docker] passive up").await;
    world.ask("influxdb", "restart").await;
    world.until_told("Agent instance [docker]:influxdb has exited").await;
    until_seen(&world, "influxdb", "[docker] passive up").await;

    // The end takes the instances down, and neither a stranger nor a question mark holds it up.
    let engine = &yard.engine;
    let stranger = blocking!(engine.container_of("influxdb"));
    let before = Instant::now();
    world.stop().await;
    println!("the manager has ended after {:?}", before.elapsed());
    assert!(blocking!(engine.containers_of("ocs-a")).is_empty());
    assert_eq!(blocking!(engine.container_of("influxdb")), stranger);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn an_edited_file_is_read_again_and_its_orphans_are_seen_and_removed_on_request_only() {
    let Some(yard) = Yard::open() else { return };
    yard.services("one.yaml", &["ocs-a", "ocs-b"]);
    yard.write("one/.keep", "");
    yard.services("two/two.yaml", &["ocs-c"]);
    let wanted = vec![docked("a", Target::Up), docked("b", Target::Up), docked("c", Target::Up)];
    let world = World::start_docker(wanted, yard.options(&["one.yaml", "two/two.yaml"])).await;
    for id in ["a", "b", "c"] {
        until_seen(&world, id, "Fake[d] up up").await;
    }
    let read_at = |file: &str| file_status(&world, file).unwrap().1;
    let (one, two) = (read_at("one.yaml"), read_at("two/two.yaml"));

    // ocs-b goes, web comes.
    let before = Instant::now();
    yard.services("one.yaml", &["ocs-a", "web"]);
    until_seen(&world, "b", "Fake[d?] up ?").await;
    println!("an edited compose file was noticed and read after {:?}", before.elapsed());
    until_seen(&world, "web", "[docker] passive down").await;
    assert!(read_at("one.yaml") > one);
    assert_eq!(read_at("two/two.yaml"), two, "only the file that was edited is read again");
    world.until_told("Marking missing service for b").await;
    let b = blocking!(yard.engine.container_of("ocs-b"));
    world.until("the orphan is seen", |world| world.manager.data()["orphans"].get(&b).is_some()).await;
    let orphan = world.manager.data()["orphans"][&b].clone();
    let image = blocking!(yard.engine.docker(&["image", "inspect", "-f", "{{.Id}}", DockerEngine::IMAGE]));
    let expected = json!({
        "compose_file": "one.yaml", "service": "ocs-b", "container_id": b, "running": true, "exit_code": 0,
        "container_found": true, "running_image": image,
    });
    assert_eq!(orphan, expected);

    // Starting another service of the project leaves the orphan alone.
    world.ask("web", "up").await;
    until_seen(&world, "web", "[docker] passive up").await;
    assert_eq!(blocking!(yard.engine.container_of("ocs-b")), b);
    let started = world.call("start", "remove_orphans", json!({ "stop_time": 5 })).await;
    assert_eq!(started[0], 0, "{started}");
    let ended = world.call("wait", "remove_orphans", Value::Null).await;
    assert_eq!(
        (&ended[2]["success"], ended[2]["messages"].to_string().contains("of ocs-b")),
        (&json!(true), true)
    );
    assert!(blocking!(yard.engine.containers_of("ocs-b")).is_empty());
    world.until("it is no orphan any more", |world| world.manager.data()["orphans"] == json!({})).await;
    let odd = world.call("start", "remove_orphans", json!({ "stop_time": "soon" })).await;
    assert_eq!(odd[0], 0);
    let odd = world.call("wait", "remove_orphans", Value::Null).await;
    assert_eq!(odd[2]["success"], false, "{odd}");

    // A broken file keeps its last good form, says so, and disturbs nobody; a stop works all the same.
    let c = world.pid("c");
    yard.write("one.yaml", "services: [\n");
    world
        .until("the file is refused", |world| file_status(world, "one.yaml").is_some_and(|status| !status.0))
        .await;
    world.until_told("Failed to interpret one.yaml and/or its service states: ").await;
    assert_eq!(seen(&world, "a"), "Fake[d] up up");
    let session = world.update(json!({ "reload_config": true })).await;
    assert_eq!(session["success"], false, "{session}");
    assert!(session["messages"].to_string().contains("Failed to interpret one.yaml"), "{session}");
    world.ask("a", "down").await;
    until_seen(&world, "a", "Fake[d] down down").await;
    world.until_told("The docker engine has stopped ocs-a without compose.").await;
    yard.services("one.yaml", &["ocs-a", "ocs-b"]);
    until_seen(&world, "b", "Fake[d] up up").await;
    assert_eq!(world.pid("c"), c);
    world.until("the stranger is forgotten", |world| world.child("web").is_none()).await;
    world.until_told("Deleting non-agent service web").await;

    // What a file includes, extends and reads counts as the file.
    yard.write("more.yaml", &format!("services:\n{}", sleeper("ocs-d", "${TAG}")));
    yard.write(".env", "TAG=campanile-test/base:v1\n");
    let main = format!("include: [more.yaml]\nservices:\n{}", sleeper("ocs-a", DockerEngine::IMAGE));
    yard.write("one.yaml", &main);
    until_seen(&world, "ocs-d", "[docker] passive down").await;
    let at = read_at("one.yaml");
    yard.write(".env", "TAG=campanile-test/base:v77\n");
    world
        .until("the new tag is seen", |world| {
            world.manager.data()["new_tags"] == json!({ "ocs-d": "campanile-test/base:v77" })
        })
        .await;
    assert!(read_at("one.yaml") > at);
    yard.write("more.yaml", &format!("services:\n{}", sleeper("ocs-e", DockerEngine::IMAGE)));
    until_seen(&world, "ocs-e", "[docker] passive down").await;
    assert_eq!(read_at("two/two.yaml"), file_status(&world, "two/two.yaml").unwrap().1);
    let session = world.update(json!({ "reload_config": true })).await;
    assert_eq!(session["success"], true, "{session}");
    assert!(read_at("two/two.yaml") > two, "a reload reads all of them");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn defect_10_a_pull_that_fails_says_so_and_a_newer_image_waits_for_a_restart() {
    let Some(yard) = Yard::open() else { return };
    blocking!(yard.engine.image("campanile-test/app:v1", "one"));
    let file = |tag: &str| {
        format!(
            "services:\n{}{}",
            sleeper("ocs-a", &format!("campanile-test/app:{tag}")),
            sleeper("ocs-b", DockerEngine::IMAGE)
        )
    };
    yard.write("c.yaml", &file("v1"));
    let wanted = vec![docked("a", Target::Up), docked("b", Target::Up)];
    let world = World::start_docker(wanted, yard.options(&["c.yaml"])).await;
    until_seen(&world, "a", "Fake[d] up up").await;
    until_seen(&world, "b", "Fake[d] up up").await;
    let required = |world: &World, id: &str| world.child(id).unwrap()["restart_required"] == true;
    assert!(!required(&world, "a"));

    // The tag means another image now.
    blocking!(yard.engine.image("campanile-test/app:v1", "two"));
    world.until("a restart is required", |world| required(world, "a")).await;
    assert_eq!(seen(&world, "a"), "Fake[d] up up", "nothing restarts by itself");
    assert!(!required(&world, "b"));
    let (old, b) = (blocking!(yard.engine.container_of("ocs-a")), world.pid("b"));
    world.ask("a", "restart").await;
    world
        .until("it runs with the new image", |world| {
            !required(world, "a") && seen(world, "a") == "Fake[d] up up"
        })
        .await;
    let new = blocking!(yard.engine.container_of("ocs-a"));
    assert_ne!(new, old);
    let image = blocking!(yard.engine.docker(&["inspect", "-f", "{{.Image}}", &new]));
    let id = blocking!(yard.engine.docker(&["image", "inspect", "-f", "{{.Id}}", "campanile-test/app:v1"]));
    assert_eq!(image, id);
    assert_eq!(world.pid("b"), b, "its neighbour was not touched");

    // A tag that is not here.
    yard.write("c.yaml", &file("v9"));
    world
        .until("the new tag is told", |world| {
            world.manager.data()["new_tags"] == json!({ "a": "campanile-test/app:v9" })
        })
        .await;
    // As the original has it.
    world.until("a restart is required", |world| required(world, "a")).await;
    world.call("start", "docker_pull", json!({})).await;
    let pulled = world.call("wait", "docker_pull", Value::Null).await;
    assert_eq!(pulled[2]["success"], false, "no registry has it: {pulled}");
    let told = pulled[2]["messages"].to_string();
    assert!(
        told.contains("Running pull for c.yaml ...") && told.contains("The pull for c.yaml failed: "),
        "{told}"
    );
    assert_eq!((seen(&world, "a"), world.pid("b")), ("Fake[d] up up".to_owned(), b));
    // It comes from somewhere else after all.
    blocking!(yard.engine.image("campanile-test/app:v9", "nine"));
    world.until("the tag is known", |world| world.manager.data()["new_tags"] == json!({})).await;
    world.ask("all", "restart").await;
    world
        .until("it runs with the new image", |world| {
            !required(world, "a") && seen(world, "a") == "Fake[d] up up"
        })
        .await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn an_engine_that_is_killed_or_hangs_is_told_and_disturbs_no_native_instance() {
    let Some(mut yard) = Yard::own() else { return };
    yard.services("c.yaml", &["ocs-a", "web"]);
    let native = command("native", &["/bin/sleep", "100000"]);
    let world = World::start_docker(vec![native, docked("a", Target::Up)], yard.options(&["c.yaml"])).await;
    until_seen(&world, "a", "Fake[d] up up").await;
    world.until_state("native", "up").await;
    let pid = world.pid("native");

    blocking!(yard.engine.daemon().kill9());
    until_seen(&world, "a", "Fake[d?] up ?").await;
    assert_eq!(seen(&world, "web"), "[docker] passive ?");
    let reason = world.child("a").unwrap()["reason"].as_str().unwrap().to_owned();
    assert!(
        reason.contains("the docker engine at unix:///") && reason.contains("cannot be reached"),
        "{reason}"
    );
    world.until_told("Docker services cannot be seen or changed: the docker engine at ").await;
    let (ok, _, text) = file_status(&world, "c.yaml").unwrap();
    assert!(
        !ok && text.starts_with("Failed to interpret c.yaml and/or its service states: the docker engine"),
        "{text}"
    );
    // Requests are taken all the same, and carried out when they can be.
    world.ask("web", "up").await;
    blocking!(yard.engine.restart_after_kill());
    blocking!(yard.engine.wait_until_ready());
    until_seen(&world, "a", "Fake[d] up up").await;
    until_seen(&world, "web", "[docker] passive up").await;
    world.until_told("The docker engine answers again.").await;

    campanile_testkit::send_signal(yard.engine.daemon().pid(), campanile_testkit::Signal::STOP);
    let before = Instant::now();
    until_seen(&world, "a", "Fake[d?] up ?").await;
    println!("a hanging engine was noticed after {:?}", before.elapsed());
    let container_pid = pid;
    campanile_testkit::send_signal(yard.engine.daemon().pid(), campanile_testkit::Signal::CONT);
    until_seen(&world, "a", "Fake[d] up up").await;
    assert_eq!(world.child("a").unwrap()["restarts"], 0, "it ran all the time");
    assert_eq!((world.pid("native"), world.state("native")), (container_pid, "up".to_owned()));

    // A dead engine does not hold up the end.
    blocking!(yard.engine.daemon().kill9());
    until_seen(&world, "a", "Fake[d?] up ?").await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn projects_of_several_files_built_services_profiles_and_foreign_containers_disturb_nobody() {
    let Some(yard) = Yard::open() else { return };
    let build = "  built:\n    network_mode: none\n    command: [\"/bin/sleep\", \"100000\"]\n    build: {context: ctx}\n";
    let tool = format!("{}    profiles: [tools]\n", sleeper("tool", DockerEngine::IMAGE));
    let main = format!("name: site\nservices:\n{}{build}{tool}", sleeper("ocs-a", DockerEngine::IMAGE));
    yard.write("main/c.yaml", &main);
    yard.write("main/ctx/Dockerfile", "FROM campanile-test/base:v1\n");
    yard.write("main/more.yaml", &format!("services:\n{}", sleeper("extra", DockerEngine::IMAGE)));
    yard.write("other/c.yaml", &format!("name: site\nservices:\n{}", sleeper("odd", DockerEngine::IMAGE)));
    // By hand: of both files, of a profile, and of another file that bears the same name of a project.
    blocking!(yard.compose(&["main/c.yaml", "main/more.yaml"], &["up", "-d", "ocs-a", "extra"]));
    blocking!(yard.compose(&["main/c.yaml"], &["--profile", "tools", "up", "-d", "tool"]));
    blocking!(yard.compose(&["other/c.yaml"], &["up", "-d", "odd"]));
    let a = blocking!(yard.engine.container_of("ocs-a"));
    let world = World::start_docker(vec![docked("a", Target::Up)], yard.options(&["main/c.yaml"])).await;
    until_seen(&world, "a", "Fake[d] up up").await;
    world.until_told("Docker-based instance a seems to be running.").await;
    assert_eq!(blocking!(yard.engine.container_of("ocs-a")), a, "what ran was adopted, not launched again");
    assert_eq!(seen(&world, "built"), "[docker] passive down");
    let data = world.manager.data();
    let orphans: Vec<&Value> =
        data["orphans"].as_object().unwrap().values().map(|orphan| &orphan["service"]).collect();
    assert_eq!(orphans, ["extra"], "what a profile switches off is no orphan, nor is another file's");
    assert_eq!(data["new_tags"], json!({}), "what is built here cannot be pulled");
    world.until_told("bears the project name \"site\" of main/c.yaml, but was made from ").await;
    world.ask("a", "down").await;
    until_seen(&world, "a", "Fake[d] down down").await;
    assert_eq!(blocking!(yard.engine.containers_of("odd")).len(), 1);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn containers_outlive_a_crash_and_a_disowning_end_and_the_next_manager_goes_on_with_them() {
    let Some(yard) = Yard::open() else { return };
    yard.services("c.yaml", &["ocs-a", "ocs-b"]);
    let wanted = || vec![docked("a", Target::Up), docked("b", Target::Down)];
    let world = World::start_docker(wanted(), yard.options(&["c.yaml"])).await;
    until_seen(&world, "a", "Fake[d] up up").await;
    world.ask("b", "up").await;
    until_seen(&world, "b", "Fake[d] up up").await;
    let ids = || (yard.engine.container_of("ocs-a"), yard.engine.container_of("ocs-b"));
    let before = blocking!(ids());

    let world = world.hand_over().await;
    until_seen(&world, "a", "Fake[d] up up").await;
    assert_eq!(blocking!(ids()).0, before.0);
    world.call("start", "die", json!({ "disown_dockers": true })).await;
    let ended = world.call("wait", "die", Value::Null).await;
    assert_eq!(ended[2]["success"], true, "{ended}");
    assert_eq!(blocking!(ids()).0, before.0, "disowned, it stays");
    // The next one goes on with what should run, and stops what the site config wants down.
    let world = world.hand_over().await;
    until_seen(&world, "a", "Fake[d] up up").await;
    until_seen(&world, "b", "Fake[d] down down").await;
    assert_eq!(blocking!(yard.engine.container_of("ocs-a")), before.0);
    world.stop().await;
    assert!(blocking!(yard.engine.containers_of("ocs-a")).is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn another_way_to_manage_one_instance_touches_that_instance_alone() {
    let Some(yard) = Yard::open() else { return };
    yard.services("c.yaml", &["ocs-a", "ocs-b", "ocs-c"]);
    let native = || command("a", &["/bin/sleep", "100000"]);
    let other = || command("z", &["/bin/sleep", "100000"]);
    let world =
        World::start_docker(vec![native(), docked("b", Target::Up), other()], yard.options(&["c.yaml"]))
            .await;
    until_seen(&world, "b", "Fake[d] up up").await;
    world.until_state("a", "up").await;
    world.until_state("z", "up").await;
    assert_eq!(seen(&world, "ocs-a"), "[docker] passive down");
    let (a, b, z) = (world.pid("a").unwrap(), world.pid("b"), world.pid("z"));

    // host -> docker; and a stranger gets an entry.
    blocking!(yard.compose(&["c.yaml"], &["up", "-d", "ocs-c"]));
    until_seen(&world, "ocs-c", "[docker] passive up").await;
    let c = world.pid("ocs-c");
    world.edit_site(Ok(vec![
        docked("a", Target::Up),
        docked("b", Target::Up),
        other(),
        docked("c", Target::Up),
    ]));
    let session = world.update(json!({ "reload_config": true })).await;
    assert_eq!(session["success"], true, "{session}");
    until_seen(&world, "a", "Fake[d] up up").await;
    until_seen(&world, "c", "Fake[d] up up").await;
    assert!(!world::is_alive(a));
    assert!(world.child("ocs-a").is_none() && world.child("ocs-c").is_none());
    assert_eq!((world.pid("b"), world.pid("z"), world.pid("c")), (b, z, c), "the others were not touched");
    let told = format!("{}{session}", world.messages());
    assert!(told.contains("Unmanaged docker service ocs-c will now be managed as instance_id=c."), "{told}");

    // docker -> host.
    world.edit_site(Ok(vec![native(), docked("b", Target::Up), other(), docked("c", Target::Up)]));
    world.update(json!({ "reload_config": true })).await;
    until_seen(&world, "a", "Test up up").await;
    assert!(
        blocking!(yard.engine.containers_of("ocs-a")).is_empty(),
        "the container went before the process came"
    );
    until_seen(&world, "ocs-a", "[docker] passive down").await;
    assert_eq!((world.pid("b"), world.pid("z"), world.pid("c")), (b, z, c), "the others were not touched");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn crashes_stubbornness_and_failing_launches_of_containers_are_told() {
    let Some(yard) = Yard::open() else { return };
    let text = format!(
        "services:\n{}{}{}",
        service("ocs-crash", DockerEngine::IMAGE, "echo measuring; echo no such device >&2; exit 7"),
        service("ocs-stubborn", DockerEngine::IMAGE, "trap '' TERM INT; while true; do sleep 1; done")
            + "    stop_grace_period: 1s\n",
        "  ocs-odd:\n    image: campanile-test/base:v1\n    network_mode: none\n    command: [\"/no/such/program\"]\n",
    );
    yard.write("c.yaml", &text);
    let wanted = ["crash", "stubborn", "odd"].map(|id| docked(id, Target::Up));
    let world = World::start_docker(wanted.into(), yard.options(&["c.yaml"])).await;
    world.until_told("Detected exit of Fake:crash with code 7.").await;
    world.until_told("Launch of Fake:odd failed: docker compose up: ").await;
    until_seen(&world, "stubborn", "Fake[d] up up").await;
    world
        .until("it is called unstable", |world| {
            let child = world.child("crash").unwrap();
            child["stability"].as_f64().unwrap() <= 0.5 && child["restarts"].as_u64().unwrap() >= 2
        })
        .await;
    assert_eq!(world.child("crash").unwrap()["last_exit"]["code"], 7);
    world.ask("stubborn", "down").await;
    until_seen(&world, "stubborn", "Fake[d] down down").await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn defect_06_a_vanishing_container_disturbs_no_other_and_a_lost_event_stream_falls_back_to_looking() {
    let Some(yard) = Yard::own() else { return };
    let proxy = Proxy::before(&yard.engine.socket());
    yard.services("c.yaml", &["ocs-a", "ocs-b", "web"]);
    let wanted = vec![docked("a", Target::Up), docked("b", Target::Up)];
    let world = World::start_docker(wanted, yard.options_at(&["c.yaml"], &proxy.host())).await;
    until_seen(&world, "a", "Fake[d] up up").await;
    until_seen(&world, "b", "Fake[d] up up").await;

    // Listed, and gone when it is looked at: the race that made the original lose the whole file for a cycle.
    let (a, b) = (blocking!(yard.engine.container_of("ocs-a")), world.pid("b"));
    proxy.fail(Faults { vanished: Some(a.clone()), ..Faults::default() });
    let looks = proxy.count(&format!("/containers/{a}/json"));
    world.update(json!({ "reload_config": true })).await;
    world.until("it was looked at", |_| proxy.count(&format!("/containers/{a}/json")) > looks).await;
    world.until("its end is told", |world| world.messages().contains("Detected exit of Fake:a")).await;
    assert_eq!((seen(&world, "b"), world.pid("b")), ("Fake[d] up up".to_owned(), b));
    assert_eq!(seen(&world, "web"), "[docker] passive down");
    assert!(file_status(&world, "c.yaml").unwrap().0);
    assert!(!world.messages().contains("Marking missing service"), "{}", world.messages());
    proxy.fail(Faults::default());
    until_seen(&world, "a", "Fake[d] up up").await;

    // Without events it is looked at every few seconds, and said so.
    proxy.fail(Faults { no_events: true, ..Faults::default() });
    world.until_told("The event stream of docker is lost (").await;
    world.until_told("all containers are looked at every 5 s").await;
    blocking!(yard.compose(&["c.yaml"], &["up", "-d", "web"]));
    until_seen(&world, "web", "[docker] passive up").await;
    assert_eq!(seen(&world, "a"), "Fake[d] up up");
    proxy.fail(Faults::default());
    world.until_told("The event stream of docker is back.").await;

    // Nothing is asked of the engine while nothing happens, but whether it is there.
    blocking!(yard.compose(&["c.yaml"], &["stop", "web"]));
    until_seen(&world, "web", "[docker] passive down").await;
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    let before = proxy.count("/containers/");
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    assert_eq!(proxy.count("/containers/"), before, "nothing is polled");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_socket_that_refuses_us_is_a_question_mark_with_a_reason() {
    let Some(yard) = Yard::open() else { return };
    yard.services("c.yaml", &["ocs-a"]);
    // Somebody was there once: the socket is left, and nobody listens.
    let dead = yard.path("dead.sock");
    drop(std::os::unix::net::UnixListener::bind(&dead).unwrap());
    let native = command("native", &["/bin/sleep", "100000"]);
    let options = yard.options_at(&["c.yaml"], &format!("unix://{}", dead.display()));
    let world = World::start_docker(vec![native, docked("a", Target::Up)], options).await;
    until_seen(&world, "a", "Fake[d?] up ?").await;
    world.until_state("native", "up").await;
    let reason = world.child("a").unwrap()["reason"].as_str().unwrap().to_owned();
    assert!(reason.contains("dead.sock") && reason.contains("refused"), "{reason}");
    world.until_told("Connection refused").await;
    world.call("start", "docker_pull", json!({})).await;
    let pulled = world.call("wait", "docker_pull", Value::Null).await;
    assert_eq!(pulled[2]["success"], false, "{pulled}");
    world.stop().await;
}
