//! Faults: managers that are killed at any moment, replaced, doubled; a disk that is full; a router that is away.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

#[path = "faults/mod.rs"]
mod faults;
#[path = "world/mod.rs"]
mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use campanile_testkit::{
    Daemon, Signal, TempSite, finish, free_port, is_alive, require_program, send_signal, skip, start_time_of,
    wait_for, wait_until,
};
use faults::{Faults, HOST, MANAGER, SOON, hosts, manager_command, mark, random, rounds, running, sleeper};
use serde_json::{Value, json};

/// Instances in the random histories.
const MANY: usize = 6;

/// Looks all the time whether any instance runs twice.
struct Watchman {
    seen: Arc<Mutex<Vec<String>>>,
    done: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Watchman {
    fn watch(mark: &str) -> Self {
        let (seen, done) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (mark, its_seen, its_done) = (mark.to_owned(), Arc::clone(&seen), Arc::clone(&done));
        let thread = std::thread::spawn(move || {
            while !its_done.load(Ordering::Relaxed) {
                for (id, pids) in running(&mark).iter().filter(|(_, pids)| pids.len() > 1) {
                    its_seen.lock().unwrap().push(format!("{id} runs as {pids:?}"));
                }
                std::thread::sleep(Duration::from_millis(10));
            }
        });
        Self { seen, done, thread: Some(thread) }
    }

    #[track_caller]
    fn report(mut self) {
        self.done.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap();
        assert_eq!(*self.seen.lock().unwrap(), [""; 0], "copies were seen");
    }
}

#[test]
fn defect_04_a_manager_killed_at_any_moment_duplicates_nothing_loses_nothing_and_keeps_all_targets() {
    let mut random = random();
    let mark = mark("killed");
    let ids: Vec<String> = (0..MANY).map(|number| format!("a{number}")).collect();
    let instances: Vec<Value> = ids.iter().map(|id| sleeper(&mark, id, json!({}))).collect();
    let mut faults = Faults::start(&mark, &instances);
    let watchman = Watchman::watch(&mark);
    let mut wanted: BTreeMap<String, bool> = ids.iter().map(|id| (id.clone(), true)).collect();
    let settled = |faults: &Faults, wanted: &BTreeMap<String, bool>| {
        wait_until(SOON, &format!("what is wanted: {wanted:?}"), || {
            let running = faults.running();
            ids.iter().all(|id| running.get(id).map_or(0, Vec::len) == usize::from(wanted[id]))
                && ids.iter().all(|id| {
                    let state = if wanted[id] { "up" } else { "down" };
                    faults.child(id).is_some_and(|child| child["next_action"] == state)
                })
        });
    };
    settled(&faults, &wanted);
    for round in 0..rounds(5) {
        let mut asked = BTreeSet::new();
        for _ in 0..random.usize(0..3) {
            let (id, up) = (ids[random.usize(..MANY)].clone(), random.bool());
            faults.ask(&id, if up { "up" } else { "down" });
            asked.insert(id.clone());
            wanted.insert(id, up);
        }
        let before = faults.running();
        // One more is under way when the manager is killed; nobody has been told yet whether it counts.
        let (open, up) = (ids[random.usize(..MANY)].clone(), random.bool());
        let delay = Duration::from_micros(random.u64(0..30_000));
        let request = json!({"requests": [[open, if up { "up" } else { "down" }]]});
        let manager = faults.manager.pid();
        let answer = std::thread::scope(|scope| {
            let asking = scope.spawn(|| faults.update(&request));
            std::thread::sleep(delay);
            assert!(send_signal(manager, Signal::KILL));
            asking.join().unwrap()
        });
        faults.manager.wait(SOON);
        println!("round {round}: {open} {up} was under way for {delay:?}; answered: {}", answer.is_some());
        faults.manager.restart();
        faults.wait_until_it_answers();
        for id in &ids {
            let child = faults.child(id).unwrap();
            let target = child["target_state"] == "up";
            if *id == open && answer.is_none() {
                wanted.insert(id.clone(), target);
            } else if *id == open {
                wanted.insert(id.clone(), up);
            }
            assert_eq!(target, wanted[id], "round {round}: the target of {id}: {child}");
        }
        settled(&faults, &wanted);
        let after = faults.running();
        // What was just asked down and up again may be another process by rights.
        for id in ids.iter().filter(|id| **id != open && !asked.contains(*id) && wanted[*id]) {
            if let Some(pids) = before.get(id) {
                assert_eq!(after.get(id), Some(pids), "round {round}: {id} was not left in peace");
            }
        }
    }
    watchman.report();
    faults.end();
}

#[test]
fn a_new_manager_adopts_the_same_process_and_notices_its_end() {
    let mark = mark("adopts");
    let mut faults = Faults::start(&mark, &[sleeper(&mark, "a", json!({"restart": {"delay": 1}}))]);
    let pid = faults.wait_for_state("a", "up");
    let started = start_time_of(pid);
    faults.kill_and_restart();
    let child = faults.child("a").unwrap();
    assert_eq!((child["pid"].as_u64(), &child["adopted"]), (Some(u64::from(pid)), &json!(true)), "{child}");
    assert_eq!(start_time_of(pid), started);
    let told = format!("Adopted Sleeper:a, which an earlier manager launched as process {pid}");
    wait_until(SOON, &told, || faults.messages().contains(&told));
    assert!(send_signal(pid, Signal::KILL));
    let child = wait_for(SOON, "its end is noticed", || {
        faults.child("a").filter(|child| !child["last_exit"].is_null())
    });
    // The kernel tells the code only to the parent, and to others until the parent has asked.
    let reason = child["last_exit"]["reason"].as_str().unwrap();
    assert!(["unknown (adopted)", "signal 9 (SIGKILL)"].contains(&reason), "{child}");
    wait_until(SOON, "another process", || {
        faults.child("a").is_some_and(|child| child["pid"].as_u64().is_some_and(|now| now != u64::from(pid)))
    });
    assert_eq!(faults.child("a").unwrap()["adopted"], false);
    faults.end();
}

#[test]
fn a_manager_hands_over_by_signal_and_by_die() {
    let mark = mark("handover");
    let instances = [sleeper(&mark, "a", json!({})), sleeper(&mark, "b", json!({}))];
    let mut faults = Faults::start(&mark, &instances);
    let pid = faults.wait_for_state("a", "up");
    faults.ask("b", "down");
    faults.wait_for_state("b", "down");
    faults.manager.signal(Signal::USR2);
    assert!(faults.manager.wait(SOON).success());
    for way in ["signal", "die"] {
        assert!(is_alive(pid), "after a hand-over by {way}");
        faults.manager.restart();
        faults.wait_until_it_answers();
        assert_eq!(faults.wait_for_state("a", "up"), pid);
        assert_eq!(faults.child("b").unwrap()["target_state"], "down");
        if way == "signal" {
            let ops = format!("{MANAGER}.ops");
            faults.call(&ops, &json!(["start", "die", {"disown": true}])).unwrap();
            assert!(faults.manager.wait(SOON).success());
        }
    }
    faults.end();
    assert!(!is_alive(pid));
}

#[test]
fn a_manager_that_is_ended_in_its_first_moments_leaves_nothing_running() {
    use std::os::unix::process::ExitStatusExt as _;
    let mut random = random();
    let mark = mark("early");
    let instances = ["a", "b", "c"].map(|id| sleeper(&mark, id, json!({})));
    let site = TempSite::new(free_port(), &hosts(&instances));
    // With a router its process begins at once.
    let _router = world::our_router(&site);
    let command = manager_command(&site);
    let mut faults = Faults::start_with(&mark, site, command);
    for round in 0..rounds(5) {
        wait_until(SOON, "all run", || faults.running().len() == instances.len());
        // Most of them find what another one has left.
        if round % 3 == 2 {
            faults.manager.signal(Signal::TERM);
            faults.manager.wait(SOON);
        } else {
            faults.manager.kill9();
        }
        faults.manager.restart();
        let delay = Duration::from_millis(random.u64(0..400));
        std::thread::sleep(delay);
        faults.manager.signal(Signal::TERM);
        let status = faults.manager.wait(SOON);
        println!("round {round}: ended after {delay:?}: {status}");
        // One that could not listen yet is as one that was killed: what runs goes on, for the next one.
        if status.signal().is_none() {
            assert!(status.success(), "round {round}: {status}");
            assert_eq!(faults.running(), BTreeMap::new(), "round {round}: it was ended after {delay:?}");
        }
        faults.manager.restart();
        faults.wait_until_it_answers();
    }
    faults.end();
}

#[test]
fn what_changed_in_the_site_config_while_there_was_no_manager_is_made_up_for() {
    let mark = mark("away");
    let (same, other, gone) = (
        sleeper(&mark, "same", json!({})),
        sleeper(&mark, "other", json!({})),
        sleeper(&mark, "gone", json!({})),
    );
    let mut faults = Faults::start(&mark, &[same.clone(), other, gone]);
    wait_until(SOON, "all three", || faults.running().len() == 3);
    let before = faults.running();
    faults.manager.kill9();
    let other = sleeper(&mark, "other", json!({"env": {"A": "1"}}));
    faults.site.write_hosts(&hosts(&[same, other]));
    faults.manager.restart();
    faults.wait_until_it_answers();
    wait_until(SOON, "one is gone and one is another process", || {
        let now = faults.running();
        !now.contains_key("gone")
            && now.get("other").is_some_and(|pids| pids.len() == 1 && *pids != before["other"])
            && faults.child("gone").is_none()
    });
    assert_eq!(faults.running()["same"], before["same"]);
    faults.end();
}

#[test]
fn a_second_manager_of_the_same_identity_is_refused_with_a_reason() {
    let mark = mark("second");
    let mut faults = Faults::start(&mark, &[sleeper(&mark, "a", json!({}))]);
    let pid = faults.wait_for_state("a", "up");
    wait_until(SOON, "it has its name", || faults.running().contains_key("a"));
    let second = finish("second manager", manager_command(&faults.site), SOON);
    assert_eq!(second.code(), 1, "{second:?}");
    assert!(second.stderr.contains(&format!("process {}", faults.manager.pid())), "{second:?}");
    assert_eq!(faults.running()["a"], [pid]);
    assert!(faults.manager.is_running());
    faults.end();
}

#[test]
fn a_second_manager_on_another_machine_is_refused_by_the_bus_before_it_launches_anything() {
    let mark = mark("onbus");
    let site = TempSite::new(free_port(), &hosts(&[sleeper(&mark, "a", json!({}))]));
    let _router = world::our_router(&site);
    let command = manager_command(&site);
    let faults = Faults::start_with(&mark, site, command);
    let pid = faults.wait_for_state("a", "up");
    wait_until(SOON, "it is on the bus", || {
        campanile_testkit::bridge_call(
            faults.site.port(),
            &faults.site.address(MANAGER),
            json!(["get_agent_class"]),
        )
        .is_ok()
    });
    let elsewhere = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_campanile"));
    command.arg("host").args(faults.site.args(HOST)).arg("--state-dir").arg(elsewhere.path());
    let second = finish("second manager", command, SOON);
    assert_eq!(second.code(), 1, "{second:?}");
    assert!(second.stderr.contains("has held the address"), "{second:?}");
    assert_eq!(faults.running()["a"], [pid], "nothing was launched");
    faults.end();
}

#[test]
fn with_a_full_disk_agents_go_on_targets_are_kept_and_the_state_says_so() {
    if !rustix::process::geteuid().is_root() {
        return skip("only root can mount a small disk");
    }
    if require_program("unshare", "it is part of util-linux").is_none() {
        return;
    }
    let mark = mark("fulldisk");
    let chatter = format!(
        "exec -a {mark}-chatter bash -c 'trap \"\" PIPE; while :; do echo on and on; sleep 0.01; done'"
    );
    let chatter = TempSite::instance("Chatter", "chatter", &json!({"command": ["bash", "-c", chatter]}));
    let site = TempSite::new(free_port(), &hosts(&[sleeper(&mark, "a", json!({})), chatter]));
    // A disk of its own, in a name space of its own, so that nothing is left behind whatever happens.
    let mut command = Command::new("unshare");
    let script = "mount -t tmpfs -o size=400k tmpfs \"$1\" && shift && exec \"$@\"";
    command.args(["--mount", "--propagation", "private", "sh", "-c", script, "sh"]).arg(site.state_dir());
    let host = manager_command(&site);
    command.arg(host.get_program()).args(host.get_args());
    command.env_remove("OCS_CONFIG_DIR").env_remove("STATE_DIRECTORY");
    let mut manager = Daemon::spawn("manager", command);
    let state =
        format!("/proc/{}/root{}/host/observatory.{MANAGER}", manager.pid(), site.state_dir().display());
    let ask = |params: Value| {
        // The socket lies in the other name space, which `/proc` shows.
        let socket = format!("{state}/control.sock");
        faults::call(socket.as_ref(), &format!("observatory.{MANAGER}.ops"), &params).unwrap_or_default()
    };
    let status = || ask(json!(["status", "manager"])).get(2).cloned().unwrap_or_default();
    let child = |id: &str| {
        let children = status()["data"]["child_states"].as_array().cloned().unwrap_or_default();
        children.into_iter().find(|child| child["instance_id"] == id).unwrap_or_default()
    };
    wait_until(SOON, "both are up", || ["a", "chatter"].iter().all(|id| child(id)["next_action"] == "up"));
    // A process is up before it has the name by which it is found here.
    let before =
        wait_for(SOON, "both have their names", || Some(running(&mark)).filter(|running| running.len() == 2));
    // Fills what is left, to the last byte.
    let filled =
        Command::new("dd").args(["if=/dev/zero", &format!("of={state}/fill"), "bs=1k"]).output().unwrap();
    assert!(!filled.status.success(), "the disk is full");
    ask(json!(["start", "update", {"requests": [["a", "down"]]}]));
    wait_until(SOON, "a is down", || child("a")["next_action"] == "down");
    let kept = wait_for(SOON, "the target is on the disk", || {
        fs::read_to_string(format!("{state}/targets.json")).ok().filter(|text| text.contains("down"))
    });
    assert!(kept.contains("\"a\""), "{kept}");
    wait_until(SOON, "the state says so", || {
        let status = status();
        status["degraded"] == true && status["data"]["problems"].to_string().contains("is full")
    });
    // The shell forks for each of its pauses: for a moment there are two of its name, and the older one is it.
    let oldest = |running: &BTreeMap<String, Vec<u32>>| running["chatter"].iter().min().copied();
    assert_eq!(oldest(&running(&mark)), oldest(&before), "the other goes on");
    fs::remove_file(format!("{state}/fill")).unwrap();
    wait_until(SOON, "all is well again", || status()["degraded"] == false);
    manager.signal(Signal::TERM);
    assert!(manager.wait(SOON).success());
    assert_eq!(running(&mark), BTreeMap::new());
}

#[test]
fn a_unit_that_would_kill_the_agents_is_remarked_on_at_the_start() {
    let groups = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let mount =
        groups.lines().find(|line| line.contains(" - cgroup2 ")).and_then(|line| line.split(' ').nth(4));
    let Some(mount) = mount.filter(|_| rustix::process::geteuid().is_root()) else {
        return skip("only root can make the control group of a unit");
    };
    let mark = mark("unit");
    let unit = format!("{mount}/campanile-test-{}.service", std::process::id());
    let tools = tempfile::tempdir().unwrap();
    let systemctl = tools.path().join("systemctl");
    fs::write(&systemctl, "#!/bin/sh\necho KillMode=control-group\n").unwrap();
    fs::set_permissions(&systemctl, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let limited = sleeper(&mark, "a", json!({"limits": {"memory": "64M"}}));
    let site = TempSite::new(free_port(), &hosts(&[limited]));
    let mut command = Command::new("sh");
    let script = "mkdir \"$1\" && echo 0 > \"$1/cgroup.procs\" && shift && exec \"$@\"";
    command.args(["-c", script, "sh", &unit]);
    let host = manager_command(&site);
    command.arg(host.get_program()).args(host.get_args());
    let path = format!("{}:{}", tools.path().display(), std::env::var("PATH").unwrap());
    command.env("PATH", path).env_remove("OCS_CONFIG_DIR").env_remove("STATE_DIRECTORY");
    let faults = Faults::start_with(&mark, site, command);
    wait_until(SOON, "it says so", || {
        let session = faults.session().unwrap_or_default();
        session["data"]["problems"].to_string().contains("KillMode=process") && session["degraded"] == true
    });
    faults.wait_for_state("a", "up");
    let child = faults.child("a").unwrap();
    assert_eq!(child["containment"], "cgroup");
    assert!(child["not_enforced"][0].as_str().unwrap().starts_with("memory: "), "{child}");
    faults.end();
    fs::remove_dir(unit).unwrap();
}

#[test]
fn defect_05_a_router_that_falls_stops_neither_our_manager_nor_the_agents_of_the_original() {
    use world::Whose::Ours;
    let mut hosts = world::one_host(&[world::faker("faker1", json!({})), world::faker("faker2", json!({}))]);
    // Their own rule: they end when the router has been away for longer than this.
    hosts[world::HOST]["crossbar_timeout"] = json!(120);
    let Some(mut world) = world::World::start(Ours, Ours, Ours, &hosts) else { return };
    let before = ["faker1", "faker2"].map(|id| world.wait_for_agent(id));
    let manager = world.manager.pid();
    let away = if std::env::var_os("CAMPANILE_ROUNDS").is_some() { 60 } else { 4 };
    world.router_falls_for(Duration::from_secs(away));
    assert_eq!(["faker1", "faker2"].map(|id| world.wait_for_agent(id)), before);
    world.wait_for_agent(world::MANAGER);
    assert_eq!(world.manager.pid(), manager);
    assert!(world.manager.is_running());
    world.ocsbow(&["down", "faker1"]);
    world.wait_for_row("faker1", "down", "down");
    assert!(is_alive(before[1]));
    world.end();
}
