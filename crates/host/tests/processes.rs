//! The manager over real processes: what crashes, what is stubborn, what leaves things behind, what prints a lot.

mod world;

use std::time::Duration;

use campanile_control::journal::{Journal, JournalOptions};
use campanile_control::{Clock, Workers};
use campanile_host::drive::logs::{From, Stream};
use campanile_host::model::{StopPolicy, Target};
use serde_json::{Value, json};
use world::{World, children, command, is_alive, running, script, with};

/// A word that marks the processes of one test: unlike any other test's, and the same in all of its processes.
fn mark(test: &str) -> String {
    format!("{test}-{}", std::process::id())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn defect_01_a_crash_in_the_first_second_is_seen_counted_and_explained() {
    let text = "echo measuring; echo 'no such device' >&2; exit 3";
    let world = World::start(vec![with(script("a", text), |spec| spec.restart.delay_ms = 60_000)]).await;
    world.until_state("a", "start_at").await;
    let child = world.child("a").unwrap();
    assert!(child["stability"].as_f64().unwrap() <= 0.5, "{child}");
    assert_eq!(child["last_exit"]["code"], 3);
    assert_eq!(child["reason"], "it failed: exit code 3");
    let messages = world.messages();
    for text in [
        "Launched Test:a\n",
        "Detected exit of Test:a with code 3.\n",
        "stderr output from Test:a: no such device\n",
        "stdout output from Test:a: measuring\n",
    ] {
        assert!(messages.contains(text), "{text:?} in:\n{messages}");
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn defect_02_the_last_words_are_told_whichever_output_they_went_to() {
    let once = |id: &str, text: &str| with(script(id, text), |spec| spec.restart.delay_ms = 60_000);
    let world = World::start(vec![
        once("out", "echo lost no more; exit 1"),
        once("err", "echo here >&2; kill -9 $$"),
    ])
    .await;
    world.until_told("stdout output from Test:out: lost no more\n").await;
    world.until_told("Detected exit of Test:err by signal 9 (SIGKILL)").await;
    world.until_told("stderr output from Test:err: here\n").await;
    world.stop().await;
}

#[test]
fn all_of_this_passes_as_an_ordinary_user_with_cgroups_hidden() {
    campanile_testkit::again_as_ordinary_user(
        &[env!("CARGO_BIN_EXE_campanile-launcher")],
        "all_of_this_passes_as_an_ordinary_user",
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_holds_an_instance_and_what_it_uses_is_told() {
    let text = "sleep 1000 & i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; wait";
    let limited = with(script("a", text), |spec| spec.limits.memory_bytes = Some(1 << 30));
    let world = World::start(vec![limited]).await;
    world
        .until("it is measured", |world| {
            world.child("a").is_some_and(|child| {
                child["processes"] == 2
                    && child["memory_bytes"].as_u64() > Some(100_000)
                    && child["cpu_s"].as_f64() > Some(0.0)
            })
        })
        .await;
    let (child, data) = (world.child("a").unwrap(), world.manager.data());
    assert_eq!(child["containment"], data["containment"]["kind"], "{child}");
    let cgroups = std::fs::read_to_string("/proc/self/mountinfo").unwrap().contains(" - cgroup2 ");
    let is_root = rustix::process::geteuid().is_root();
    assert_eq!(child["containment"] == "cgroup", cgroups && is_root, "{data}");
    // Whether a limit can be enforced depends on the machine; that it is not must be said.
    let group = format!("/proc/{}/cgroup", world.pid("a").unwrap());
    let group = std::fs::read_to_string(group).unwrap();
    let not_enforced = child["not_enforced"].as_array().unwrap();
    assert!(not_enforced.is_empty() == is_limited(&group), "{child}");
    world.stop().await;
}

/// Whether the control group of a process has the limit of a gibibyte.
fn is_limited(groups: &str) -> bool {
    let Some(path) = groups.lines().find_map(|line| line.strip_prefix("0::/")) else { return false };
    let mounts = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"];
    mounts.iter().any(|mount| {
        let file = std::path::Path::new(mount).join(path).join("memory.max");
        std::fs::read_to_string(file).is_ok_and(|text| text.trim() == "1073741824")
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_that_cannot_be_started_is_told_in_the_systems_words() {
    let missing = with(command("a", &["/no/such/program"]), |spec| spec.restart.delay_ms = 60_000);
    let nowhere = with(command("b", &["true"]), |spec| {
        spec.cwd = Some("/no/such/directory".into());
        spec.restart.delay_ms = 60_000;
    });
    let world = World::start(vec![missing, nowhere]).await;
    world
        .until_told("Launch of Test:a failed: cannot run \"/no/such/program\": No such file or directory")
        .await;
    world
        .until_told("Launch of Test:b failed: its working directory /no/such/directory does not exist")
        .await;
    assert_eq!(world.state("a"), "start_at");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn waits_grow_while_it_goes_on_failing() {
    let world = World::start(vec![script("a", "exit 1")]).await;
    for wait in ["0.1", "0.2", "0.4"] {
        world.until_told(&format!("next launch in {wait} s")).await;
    }
    world.until("ten launches", |world| world.child("a").unwrap()["restarts"].as_u64().unwrap() >= 10).await;
    assert!(!world.messages().contains("next launch in 0.8 s"), "{}", world.messages());
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_child_is_launched_again_and_the_signal_is_told() {
    let world = World::start(vec![script("a", "exec sleep 1000")]).await;
    world.until_state("a", "up").await;
    let first = world.pid("a").unwrap();
    rustix::process::kill_process(
        rustix::process::Pid::from_raw(first as i32).unwrap(),
        rustix::process::Signal::SEGV,
    )
    .unwrap();
    world.until("another process", |world| world.pid("a").is_some_and(|pid| pid != first)).await;
    assert!(
        world.messages().contains("Detected exit of Test:a by signal 11 (SIGSEGV)"),
        "{}",
        world.messages()
    );
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn defect_03_a_forking_agent_that_ignores_signals_and_leaves_its_session_is_gone_after_its_grace() {
    let mark = mark("stubborn");
    let text = format!(
        "trap '' INT TERM
         (trap '' INT TERM; setsid sh -c 'trap \"\" INT TERM; while :; do sleep 0.05; done' {mark}) &
         setsid -f sh -c 'trap \"\" INT TERM; while :; do sleep 0.05; done' {mark}
         while :; do sleep 0.05; done"
    );
    let stubborn = with(command("a", &["/bin/sh", "-c", &text, &mark]), |spec| {
        spec.stop = StopPolicy { grace_ms: 1000, kill: true };
    });
    let world = World::start(vec![stubborn]).await;
    world.until("three of them", |_| running(&mark).len() >= 3).await;
    world.ask("a", "down").await;
    world.until_state("a", "down").await;
    assert!(running(&mark).is_empty(), "something is left");
    let messages = world.messages();
    assert!(messages.contains("Test:a has not ended by SIGINT; sending SIGTERM"), "{messages}");
    assert!(messages.contains("Agent instance Test:a refused to die."), "{messages}");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instrument_that_may_not_be_killed_is_not() {
    let text = "trap '' INT TERM; : > \"$GO.deaf\"; while [ ! -e \"$GO\" ]; do sleep 0.01; done";
    let go = tempfile::tempdir().unwrap();
    let file = go.path().join("go");
    let gentle = with(script("a", text), |spec| {
        spec.stop = StopPolicy { grace_ms: 100, kill: false };
        spec.env = vec![("GO".to_owned(), file.display().to_string())];
    });
    let world = World::start(vec![gentle]).await;
    world.until_state("a", "up").await;
    world.until("it is deaf", |_| go.path().join("go.deaf").exists()).await;
    let pid = world.pid("a").unwrap();
    world.ask("a", "down").await;
    world.until_told("It may not be killed; waiting for it.").await;
    assert!(is_alive(pid));
    std::fs::write(&file, "").unwrap();
    world.until_state("a", "down").await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_crashed_agent_leaves_behind_is_ended_before_it_is_launched_again() {
    let mark = mark("leaves");
    let text = format!(
        "setsid -f sh -c 'sleep 1000; :' {mark}; [ -e \"$GO\" ] && exec sleep 1000; touch \"$GO\"; exit 1"
    );
    let go = tempfile::tempdir().unwrap();
    let file = go.path().join("go").display().to_string();
    let leaves = with(script("a", &text), |spec| spec.env = vec![("GO".to_owned(), file)]);
    let world = World::start(vec![leaves]).await;
    world.until_told("that an earlier run of Test:a left").await;
    world.until("it is up again", |world| world.state("a") == "up" && running(&mark).len() == 1).await;
    world.stop().await;
    assert!(running(&mark).is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orphans_are_reaped_when_they_end() {
    let world =
        World::start(vec![script("a", "for i in 1 2 3; do setsid -f true; done; exec sleep 1000")]).await;
    world.until_state("a", "up").await;
    world.until("no zombies", |world| children() == [world.pid("a").unwrap_or(0)]).await;
    world.stop().await;
    assert!(children().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_children_come_up_and_go_down() {
    let ids: Vec<String> = (0..200).map(|number| format!("c{number}")).collect();
    let world = World::start(ids.iter().map(|id| script(id, "exec sleep 1000")).collect()).await;
    world.until("all are up", |world| world.count("up") == 200).await;
    let mut pids: Vec<u32> = ids.iter().map(|id| world.pid(id).unwrap()).collect();
    pids.sort_unstable();
    pids.dedup();
    assert_eq!(pids.len(), 200);
    world.ask("all", "down").await;
    world.until("all are down", |world| world.count("down") == 200).await;
    assert!(pids.iter().all(|pid| !is_alive(*pid)));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn defect_07_an_orderly_stop_ends_everything_and_no_question_mark_holds_it_up() {
    let mut ghost = command("ghost", &["true"]);
    ghost.problem = Some("line 7: no such thing".to_owned());
    let world = World::start(vec![script("a", "exec sleep 1000"), ghost]).await;
    world.until_state("a", "up").await;
    assert_eq!(world.state("ghost"), "?");
    let pid = world.pid("a").unwrap();
    world.stop().await;
    assert!(!is_alive(pid));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn output_is_kept_below_its_limit_and_can_be_read_on() {
    const LIMIT_BYTES: u64 = 10_000;
    let go = tempfile::tempdir().unwrap();
    let file = go.path().join("go");
    let text = "while [ ! -e \"$GO\" ]; do echo one more line; done; echo the last line; exec sleep 1000";
    let env = vec![("GO".to_owned(), file.display().to_string())];
    let world = World::start_with(vec![with(script("a", text), |spec| spec.env = env)], LIMIT_BYTES).await;
    let read = |world: &World| world.logs.read("a", Stream::Stdout, From::LastLines(1)).unwrap();
    world
        .until("several cuts", |world| {
            world.logs.trim(&world.logs.grown()).unwrap();
            read(world).end > 5 * LIMIT_BYTES
        })
        .await;
    // What is written between the copy and the cut is lost, so the last line is written when no cut is made any more.
    std::fs::write(&file, "").unwrap();
    world.until("the last line", |world| read(world).text == "the last line\n").await;
    world.logs.trim(&world.logs.grown()).unwrap();
    let files = std::fs::read_dir(world.state_dir().join("output")).unwrap();
    let size: u64 = files.map(|file| file.unwrap().metadata().unwrap().len()).sum();
    assert!(size <= 3 * LIMIT_BYTES, "{size} bytes are kept");
    let options = json!({"lines": 2}).into();
    let call = world.agent.dispatch("test.hm.logs", vec!["a".into(), options], Default::default());
    let answer = call.await.unwrap().to_json();
    assert_eq!(answer["streams"][0]["text"], "one more line\nthe last line\n");
    assert_eq!(answer["streams"][1]["text"], "");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_follows_waits_for_what_comes() {
    let go = tempfile::tempdir().unwrap();
    let file = go.path().join("go");
    let text = "echo first; while [ ! -e \"$GO\" ]; do sleep 0.01; done; echo second; exec sleep 1000";
    let env = vec![("GO".to_owned(), file.display().to_string())];
    let world = World::start(vec![with(script("a", text), |spec| spec.env = env)]).await;
    let read = |offset: u64| {
        let options = json!({"stream": "stdout", "offset": offset, "wait": 10});
        world.agent.dispatch("test.hm.logs", vec!["a".into(), options.into()], Default::default())
    };
    let first = read(0).await.unwrap().to_json();
    assert_eq!(first["streams"][0]["text"], "first\n");
    let next = read(first["streams"][0]["next_offset"].as_u64().unwrap());
    let write = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        std::fs::write(&file, "").unwrap();
    };
    let (next, ()) = tokio::join!(next, write);
    assert_eq!(next.unwrap().to_json()["streams"][0]["text"], "second\n");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn defect_10_a_site_config_that_cannot_be_used_fails_the_update_and_changes_nothing() {
    let world = World::start(vec![script("a", "exec sleep 1000")]).await;
    world.until_state("a", "up").await;
    world.edit_site(Err("default.yaml:3: there is no hub"));
    let session = world.update(json!({"reload_config": true, "requests": [["a", "down"]]})).await;
    assert_eq!(session["success"], false, "{session}");
    assert!(session["messages"].to_string().contains("default.yaml:3: there is no hub"), "{session}");
    let status = world.manager.data()["config_parse_status"]["[SCF]"].clone();
    assert_eq!(status[0], false, "{status}");
    world.until_state("a", "down").await;
    world.edit_site(Ok(vec![script("b", "exec sleep 1000")]));
    assert_eq!(world.update(json!({"reload_config": true})).await["success"], true);
    world.until("b in place of a", |world| world.state("b") == "up" && world.state("a") == "gone").await;
    assert_eq!(world.manager.data()["config_parse_status"]["[SCF]"][0], true);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn defect_10_an_entry_that_cannot_be_used_fails_the_update_and_disturbs_no_other() {
    let world = World::start(vec![script("a", "exec sleep 1000"), script("b", "exec sleep 1000")]).await;
    world.until("both are up", |world| world.count("up") == 2).await;
    let pids = |world: &World| (world.pid("a"), world.pid("b"));
    let before = pids(&world);
    let mut broken = script("a", "exec sleep 2000");
    broken.problem = Some("default.yaml:7: \"sideways\" is no way to manage an instance".to_owned());
    world.edit_site(Ok(vec![broken, script("b", "exec sleep 1000"), script("c", "exec sleep 1000")]));
    let session = world.update(json!({"reload_config": true, "requests": [["b", "up"]]})).await;
    assert_eq!(session["success"], false, "{session}");
    let told = session["messages"].to_string();
    assert!(told.contains("Test:a keeps its last good configuration"), "{session}");
    assert!(told.contains("One entry of the site config cannot be used"), "{session}");
    assert_eq!(world.manager.data()["config_parse_status"]["[SCF]"][0], false);
    world.until_state("c", "up").await;
    assert_eq!((pids(&world), world.state("a").as_str()), (before, "up"), "the last good form stays");
    world.edit_site(Ok(vec![script("a", "exec sleep 1000"), script("b", "exec sleep 1000")]));
    assert_eq!(world.update(json!({"reload_config": true})).await["success"], true);
    assert_eq!(pids(&world), before);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_was_stopped_can_be_started_again_and_returns_to_the_site_config() {
    let world = World::start(vec![script("a", "exec sleep 1000")]).await;
    world.until_state("a", "up").await;
    world.ask("a", "down").await;
    world.until_state("a", "down").await;
    let refused = world.call("start", "manager", json!({})).await;
    assert_eq!(refused[0], -1, "{refused}");
    assert!(campanile_host::ops::stop_manager(&world.agent, &world.manager).await);
    let session = world.update(json!({"requests": [["a", "up"]]})).await;
    assert_eq!(session["success"], false);
    assert!(session["messages"].to_string().contains("Manager process is not running"), "{session}");
    assert_eq!(world.call("start", "manager", json!({})).await[0], 0);
    world.until_state("a", "up").await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_earlier_manager_left_is_adopted_and_no_target_is_lost() {
    let mark = mark("survives");
    let sleeper = |id: &str| command(id, &["/bin/sh", "-c", "sleep 1000; :", &mark]);
    let world = World::start(vec![sleeper("a"), sleeper("b")]).await;
    world.until("both are up", |_| running(&mark).len() == 2).await;
    world.ask("b", "down").await;
    world.until_state("b", "down").await;
    let (old, pid) = (running(&mark), world.pid("a"));
    let world = world.hand_over().await;
    world
        .until_told(&format!("Adopted Test:a, which an earlier manager launched as process {}", old[0]))
        .await;
    world.until_state("a", "up").await;
    assert_eq!((running(&mark), world.pid("a")), (old, pid), "it is the same process");
    assert_eq!(world.state("b"), "down", "{}", world.messages());
    assert_eq!(world.child("b").unwrap()["target_state"], "down");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_initial_state_forces_one_target_for_all() {
    let down = with(script("d", "exec sleep 1000"), |spec| spec.start = Target::Down);
    let world = World::start_at(vec![script("u", "exec sleep 1000"), down.clone()], Target::Up).await;
    world.until("both are up", |world| world.count("up") == 2).await;
    world.stop().await;
    let world = World::start_at(vec![script("u", "exec sleep 1000"), down], Target::Down).await;
    world.until("both are down", |world| world.count("down") == 2).await;
    assert!(!world.messages().contains("Requested launch"), "{}", world.messages());
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_of_the_process_takes_requests_and_can_keep_what_is_tracked() {
    let world = World::start(vec![script("a", "exec sleep 1000"), script("b", "exec sleep 1000")]).await;
    world.until("both are up", |world| world.count("up") == 2).await;
    assert!(campanile_host::ops::stop_manager(&world.agent, &world.manager).await);
    world.edit_site(Ok(vec![script("c", "exec sleep 1000")]));
    let params = json!({"requests": [["b", "up"]], "reload_config": false});
    assert_eq!(world.call("start", "manager", params).await[0], 0);
    world.until_state("b", "up").await;
    assert_eq!((world.state("a").as_str(), world.state("c").as_str()), ("down", "gone"));
    assert!(campanile_host::ops::stop_manager(&world.agent, &world.manager).await);
    assert_eq!(world.call("start", "manager", json!({"requests": [["all", "down"]]})).await[0], 0);
    world.until("the new site config, down", |world| world.state("c") == "down").await;
    assert_eq!(world.state("a"), "gone");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_reload_config_an_update_does_not_read_the_site_config() {
    let world = World::start(vec![script("a", "exec sleep 1000")]).await;
    world.until_state("a", "up").await;
    world.edit_site(Ok(Vec::new()));
    world.ask("all", "up").await;
    assert_eq!(world.state("a"), "up");
    assert_eq!(world.update(json!({"reload_config": true})).await["success"], true);
    world.until("a is gone", |world| world.state("a") == "gone").await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_make_no_sense_fail_the_update_or_are_remarked_on() {
    let world = World::start(vec![script("a", "exec sleep 1000")]).await;
    let session = world.update(json!({"requests": [["nosuch", "up"], ["a", "sideways"]]})).await;
    assert_eq!(session["success"], true);
    let messages = session["messages"].to_string();
    assert!(messages.contains("Ignoring invalid target, nosuch"), "{messages}");
    assert!(messages.contains("invalid state \\\"sideways\\\""), "{messages}");
    let session = world.update(json!({"requests": ["a"]})).await;
    assert_eq!(session["success"], false, "{session}");
    world.stop().await;
}

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
