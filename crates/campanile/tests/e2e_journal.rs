//! The journal as an operator meets it: events with who asked, an instance explained, logs and loops of any machine,
//! following over restarts, and what is left when everything is dead.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

mod world;

use std::process::Command;

use campanile_testkit::{CommandOutput, Daemon, TempSite, finish, free_port, wait_for, wait_until};
use serde_json::{Value, json};
use world::{HOST, MANAGER, SOON, one_host, our_router, ours};

struct Stage {
    site: TempSite,
    router: Daemon,
    manager: Daemon,
}

fn program(id: &str, script: &str) -> Value {
    TempSite::instance("Script", id, &json!({"command": ["/bin/sh", "-c", script]}))
}

impl Stage {
    fn start(instances: &[Value]) -> Self {
        let site = TempSite::new(free_port(), &one_host(instances));
        let router = our_router(&site);
        let manager = Daemon::spawn("campanile host", manager(&site));
        Self { site, router, manager }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = ours(args[0]);
        command.args(&args[1..]).args(self.site.args(HOST)).env("STATE_DIRECTORY", self.site.state_dir());
        command
    }

    #[track_caller]
    fn run(&self, args: &[&str]) -> CommandOutput {
        finish(args[0], self.command(args), SOON)
    }

    /// The same on a machine where no manager keeps its state.
    #[track_caller]
    fn run_elsewhere(&self, args: &[&str]) -> CommandOutput {
        let mut command = self.command(args);
        command.env("STATE_DIRECTORY", self.site.dir().join("elsewhere"));
        finish(args[0], command, SOON)
    }

    /// Asks the manager over its control socket, as a script does.
    #[track_caller]
    fn curl(&self, args: &Value) {
        let call = json!({"procedure": format!("observatory.{MANAGER}.ops"), "args": args}).to_string();
        let socket = self.site.state_dir().join(format!("host/observatory.{MANAGER}/control.sock"));
        let mut curl = Command::new("curl");
        curl.args(["-s", "--unix-socket"]).arg(socket).args(["http://localhost/call", "-d", &call]);
        assert_eq!(finish("curl", curl, SOON).code(), 0);
    }

    /// The events that are shown with these further options.
    #[track_caller]
    fn events(&self, more: &[&str]) -> Vec<Value> {
        let output = self.run(&[&["events", "--json", "-n", "1000"], more].concat());
        output.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[track_caller]
    fn wait_for_event(&self, subject: &str, kind: &str, text: &str) -> Value {
        wait_for(SOON, &format!("{kind} of {subject}: {text}"), || {
            let events = self.events(&["--instance", subject, "--kind", kind]);
            events
                .into_iter()
                .rev()
                .find(|event| event["text"].as_str().is_some_and(|said| said.contains(text)))
        })
    }
}

fn manager(site: &TempSite) -> Command {
    let mut command = ours("host");
    command
        .args(site.args(HOST))
        .arg("--state-dir")
        .arg(site.state_dir())
        .arg("--working-dir")
        .arg(site.dir());
    command
}

#[test]
fn what_happened_is_told_with_its_cause_and_with_who_asked() {
    let mut stage = Stage::start(&[
        program("good", "echo 2026-11-26T00:00:00Z hello; exec sleep 1000"),
        program("bad", "echo out; echo oops >&2; sleep 0.2; kill -SEGV $$"),
    ]);
    let crash = stage.wait_for_event("bad", "crash", "SIGSEGV");
    assert_eq!((&crash["fields"]["signal"], &crash["fields"]["stderr_tail"]), (&json!(11), &json!("oops")));
    assert_eq!(crash["manager"], MANAGER);
    stage.wait_for_event("good", "state", "is up, process");
    wait_until(SOON, "it has said something", || stage.run(&["logs", "good"]).stdout.contains("hello"));

    // A request, and who made it, over the bus.
    let down = stage.run(&["down", "good"]);
    assert_eq!(down.code(), 0, "{}", down.stderr);
    let request = stage.wait_for_event("good", "request", "down was asked for");
    let who = request["actor"]["who"].as_str().unwrap();
    assert!(who.starts_with("campanile/") && who.contains(" on "), "{who}");
    assert!(request["actor"]["from"].as_str().unwrap().starts_with("bus, 127.0.0.1:"), "{request}");
    stage.wait_for_event("good", "state", "is down");

    // A site config that was read again, and one that cannot be.
    assert_eq!(stage.run(&["status", "--reload-config"]).code(), 0);
    stage.wait_for_event(MANAGER, "config", "was read again");
    stage.site.write_text("hub: [");
    stage.curl(&json!(["start", "update", {"reload_config": true}]));
    // Only now, or the good file would be read.
    stage.curl(&json!(["wait", "update", {}, 30]));
    stage.site.write_hosts(&one_host(&[program("good", "exec sleep 1000"), program("bad", "exit 3")]));
    let refused = stage.wait_for_event(MANAGER, "config", "cannot be used");
    assert_eq!(refused["fields"]["ok"], false);
    let from = refused["actor"]["from"].as_str().unwrap();
    assert!(from.starts_with("control socket, process "), "{from}");

    // In plain words.
    let why = stage.run_elsewhere(&["why", "bad"]);
    assert_eq!(why.code(), 0, "{}", why.stderr);
    let summary = why.stdout.lines().next().unwrap();
    assert!(summary.starts_with(&format!("bad (on {HOST}, by {MANAGER}): ")), "{summary}");
    assert!(summary.contains("last crash") && summary.contains("UTC SIGSEGV"), "{summary}");
    assert!(why.stdout.contains("stderr: oops"), "{}", why.stdout);
    assert_eq!(stage.run(&["why", "nobody"]).code(), 1);

    // Logs from any machine, and the loops of the manager.
    let logs = stage.run_elsewhere(&["logs", "good", "-n", "5"]);
    assert_eq!((logs.code(), logs.stdout.as_str()), (0, "2026-11-26T00:00:00Z hello\n"), "{}", logs.stderr);
    let workers = stage.run(&["status", "--workers", "--json"]);
    let workers: Value = serde_json::from_str(&workers.stdout).unwrap();
    let loops = workers["managers"][0]["workers"].as_array().unwrap();
    for name in ["bus", "journal", "events", "output", "sweep"] {
        let worker = loops.iter().find(|worker| worker["name"] == name);
        assert!(worker.is_some_and(|worker| worker["state"] != "gone"), "{name}: {workers}");
    }

    // Without a router, and then without a manager, its own machine still knows.
    stage.router.kill9();
    let away = stage.wait_for_event(MANAGER, "daemon", "lost the bus");
    let known = stage.events(&[]);
    stage.manager.kill9();
    let left = stage.events(&[]);
    assert!(left.len() >= known.len() && left.contains(&away), "kill -9 loses nothing that was told");
    assert!(stage.run(&["why", "bad"]).stdout.contains("last crash"));
    assert_eq!(stage.run_elsewhere(&["events"]).code(), 1, "elsewhere nobody knows anything");
    stage.manager.kill_all();
}

#[test]
fn a_follower_gets_what_happens_also_after_the_router_and_the_manager_were_away() {
    let mut stage = Stage::start(&[program("good", "exec sleep 1000")]);
    stage.wait_for_event("good", "state", "is up, process");
    let follower =
        Daemon::spawn("events -f", stage.command(&["events", "--follow", "--json", "--instance", "good"]));
    let count = |text: &str| follower.output().lines().filter(|line| line.contains(text)).count();
    wait_until(SOON, "what there was is shown", || count("is up, process") == 1);
    assert_eq!(stage.run(&["down", "good"]).code(), 0);
    wait_until(SOON, "the end is shown", || count("is down") == 1);

    stage.router.kill9();
    stage.wait_for_event(MANAGER, "daemon", "lost the bus");
    stage.curl(&json!(["start", "update", {"requests": [["good", "up"]]}]));
    wait_until(SOON, "it is up", || {
        let events = stage.events(&["--instance", "good"]);
        events.iter().filter(|event| event["text"].as_str().unwrap().starts_with("is up")).count() == 2
    });
    stage.router.restart();
    wait_until(SOON, "what was missed is shown", || count("is up, process") == 2);
    let ids: Vec<u64> = follower
        .output()
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok()?["id"].as_u64())
        .collect();
    assert!(ids.is_sorted_by(|one, next| one < next), "each once, in order: {ids:?}");
    stage.manager.kill_all();
}
