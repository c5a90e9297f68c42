//! The demo from its first line to its last: it tells its story, its commands work when pasted, nothing is left behind.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use campanile_testkit::{Daemon, Signal, children_of, command_line_of, pids_with_env, wait_for, wait_until};

/// A debug build on a loaded machine.
const LONG: Duration = Duration::from_secs(90);

fn demo(args: &[&str]) -> Daemon {
    let mut command = Command::new(env!("CARGO_BIN_EXE_campanile"));
    command.arg("demo").args(args);
    for name in ["OCS_CONFIG_DIR", "STATE_DIRECTORY", "CAMPANILE_LOG"] {
        command.env_remove(name);
    }
    Daemon::spawn("demo", command)
}

/// The file that the demo says to source.
#[track_caller]
fn env_file(demo: &mut Daemon) -> PathBuf {
    demo.wait_for_output(LONG, "Ctrl-C stops everything.");
    let output = demo.output();
    let line = output.lines().find_map(|line| line.strip_prefix("  . ")).unwrap();
    PathBuf::from(line)
}

/// Runs a line as a user would who pasted it into another terminal.
#[track_caller]
fn paste(env_file: &Path, line: &str) -> (i32, String, String) {
    let script = format!(". {}\n{line}\n", env_file.display());
    common::told(Command::new("bash").args(["-c", &script]).output().unwrap())
}

/// Nothing of this demo is left: neither a process nor its directory.
#[track_caller]
fn assert_gone(env_file: &Path) {
    let dir = env_file.parent().unwrap();
    assert!(!dir.exists(), "{} is still there", dir.display());
    let left: Vec<_> = marked(dir).into_iter().map(|pid| (pid, command_line_of(pid))).collect();
    assert!(left.is_empty(), "{left:?}");
}

fn marked(dir: &Path) -> Vec<u32> {
    pids_with_env("CAMPANILE_DEMO", &dir.display().to_string())
}

#[test]
fn the_story_is_told_and_every_command_it_proposes_works() {
    let mut demo = demo(&[]);
    let env = env_file(&mut demo);
    for text in [
        "HostManager hm-dome is up",
        "HostManager hm-lab is up",
        "thermo1 is up (pid ",
        "* camera1 (pid ",
        "camera1 has ended: signal 9 (SIGKILL)",
        "camera1 is up again (pid ",
        "* `campanile down pump1` was asked for.",
        "pump1 has ended: exit code 0",
        "* `campanile up pump1` was asked for.",
        "* The rest is up to you",
        // The LDMS cluster beside it.
        "LDMS: coverage 100.0 % (12 of 12 sets fresh); l1-1 4, l1-2 4, l1-3 4",
        "* The aggregator l1-2 of the LDMS cluster is killed.",
        "l1-1 6, l1-2 0, l1-3 6",
        "* l1-2 is started again; it gets back what it had.",
        "LDMS: l1-2 carries again",
        // The pool, too.
        "* 6 jobs are submitted to the pool's queue.",
        "Pool: all jobs are done, and the workers have gone",
    ] {
        demo.wait_for_output(LONG, text);
    }
    // What it proposes, in its own words.
    let output = demo.output();
    let hints = output.lines().skip_while(|line| *line != "In another terminal:").skip(2);
    let hints: Vec<String> =
        hints.take_while(|line| line.starts_with("  ")).map(|line| line.trim().replace(" -f", "")).collect();
    assert!(hints.len() >= 7, "{hints:?}");
    for line in &hints {
        let (code, stdout, stderr) = paste(&env, line);
        assert_eq!(code, 0, "{line}: {stderr}");
        assert!(!stdout.is_empty() || line.contains("logs"), "{line} printed nothing");
    }
    let (_, table, _) = paste(&env, "ocsbow");
    assert!(
        table.contains("  thermo2              ThermometerAgent                     down       down\n"),
        "{table}"
    );
    let (code, _, stderr) = paste(&env, "campanile up thermo2 --wait 30s");
    assert_eq!(code, 0, "{stderr}");
    // It is up as soon as its process runs; its first words come a little later.
    wait_until(LONG, "what it says first is in its log", || {
        let (code, stdout, _) = paste(&env, "campanile logs thermo2");
        code == 0 && stdout.contains("starting ThermometerAgent @ observatory.thermo2")
    });
    let log_file = env.parent().unwrap().join("log/observatory.thermo2.log");
    assert!(log_file.is_file(), "log-dir of the site config is used");

    demo.signal(Signal::INT);
    assert_eq!(demo.wait(LONG).code(), Some(0), "{}", demo.output());
    assert_gone(&env);
}

#[test]
fn the_crashing_agent_crashes_and_its_end_is_explained() {
    let mut demo = demo(&["--no-script", "--site-host", "dome"]);
    let env = env_file(&mut demo);
    demo.wait_for_output(LONG, "flaky1 has ended: ");
    demo.wait_for_output(LONG, "flaky1 is up again");
    let output = demo.output();
    assert!(!output.contains("SIGKILL"), "without a script nobody is killed: {output}");
    assert!(!output.contains("hm-lab"), "only one host is played: {output}");
    demo.signal(Signal::TERM);
    assert_eq!(demo.wait(LONG).code(), Some(0));
    assert_gone(&env);
}

#[test]
fn it_ends_by_itself_after_the_time_given() {
    let mut demo = demo(&["--for", "3s", "--no-script"]);
    let env = env_file(&mut demo);
    assert_eq!(demo.wait(LONG).code(), Some(0), "{}", demo.output());
    assert!(demo.output().contains("Stopping everything that was started"));
    assert_gone(&env);
}

#[test]
fn two_demos_run_side_by_side() {
    let (mut one, mut two) = (demo(&["--no-script"]), demo(&["--no-script"]));
    let (first, second) = (env_file(&mut one), env_file(&mut two));
    for demo in [&mut one, &mut two] {
        demo.wait_for_output(LONG, "thermo1 is up (pid ");
        demo.signal(Signal::INT);
    }
    assert_eq!((one.wait(LONG).code(), two.wait(LONG).code()), (Some(0), Some(0)));
    assert_gone(&first);
    assert_gone(&second);
}

#[test]
fn a_manager_that_falls_ends_the_demo_with_an_error_and_nothing_is_left() {
    let mut demo = demo(&["--no-script", "--site-host", "lab"]);
    let env = env_file(&mut demo);
    demo.wait_for_output(LONG, "pump1 is up (pid ");
    let is_manager = |pid: &u32| command_line_of(*pid).contains(" host ");
    let manager = children_of(demo.pid()).into_iter().find(is_manager).unwrap();
    let kill = Command::new("kill").args(["-9", &manager.to_string()]).status().unwrap();
    assert!(kill.success());
    assert_eq!(demo.wait(LONG).code(), Some(1));
    assert!(
        demo.output().contains("error: the HostManager hm-lab has ended (signal: 9 (SIGKILL))"),
        "{}",
        demo.output()
    );
    // The agents had outlived their manager.
    assert_gone(&env);
}

#[test]
fn a_site_of_ones_own_is_played_too() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("site.yaml");
    let text = "\
hub: {wamp_server: 'ws://host-2:8001/ws', wamp_realm: test_realm, address_root: detlab}
hosts:
  host-2:
    agent-instances:
    - {agent-class: HostManager, instance-id: hm-host-2}
    - {agent-class: Sleeper, instance-id: sleeper, command: [sleep], arguments: [1000]}
";
    std::fs::write(&file, text).unwrap();
    let mut demo = demo(&["--site-file", &file.display().to_string()]);
    let env = env_file(&mut demo);
    demo.wait_for_output(LONG, "sleeper is up (pid ");
    demo.wait_for_output(LONG, "sleeper is up again");
    let (code, stdout, stderr) = paste(&env, "ocsbow");
    assert_eq!(code, 0, "{stderr}");
    assert!(stdout.contains("  sleeper              Sleeper   "), "{stdout}");
    let dir_of_demo = env.parent().unwrap().to_owned();
    let sleeping = wait_for(LONG, "a sleeper", || {
        let is_sleeper = |pid: &u32| command_line_of(*pid) == "sleep 1000";
        marked(&dir_of_demo).into_iter().find(is_sleeper)
    });
    demo.signal(Signal::INT);
    assert_eq!(demo.wait(LONG).code(), Some(0));
    wait_until(LONG, "the end of the sleeper", || !campanile_testkit::is_alive(sleeping));
    assert_gone(&env);
}

#[test]
fn a_site_that_cannot_be_played_is_refused_with_every_problem() {
    let refused = |text: &str, words: &str| {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("site.yaml");
        std::fs::write(&file, text).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_campanile"));
        let (code, stdout, stderr) =
            common::told(command.arg("demo").arg("--site-file").arg(&file).output().unwrap());
        assert_eq!((code, stdout.as_str()), (2, ""), "{stderr}");
        assert!(stderr.contains(words), "{stderr}");
    };
    refused("hub: [", "site.yaml:");
    refused("hosts: {}\n", "hub");
    let hub = "hub: {wamp_server: 'ws://localhost:8001/ws', wamp_realm: r, address_root: a}\n";
    refused(&format!("{hub}hosts: {{h: {{agent-instances: []}}}}\n"), "has no HostManager");
}
