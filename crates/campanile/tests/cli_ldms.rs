//! `campanile ldms ctl` and `campanile ldms sim`, as an operator uses them.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use campanile_testkit::{Daemon, free_port, wait_until};
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(60);

fn campanile() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_campanile"));
    command.env_remove("CAMPANILE_LOG").stdin(Stdio::null());
    command
}

fn run(args: &[&str]) -> Output {
    campanile().args(args).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A running simulation of `daemons`, which listen where the system lets them.
struct Sim {
    daemon: Daemon,
    socket: PathBuf,
    _dir: tempfile::TempDir,
}

impl Sim {
    fn start(daemons: &[&str], options: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("sock");
        let mut command = campanile();
        command.args(["ldms", "sim", "--quick", "--control"]).arg(&socket).args(options).args(daemons);
        let mut daemon = Daemon::spawn("ldms sim", command);
        daemon.wait_for_output(PATIENCE, "simulated daemons");
        wait_until(PATIENCE, "the socket for orders", || socket.exists());
        Self { daemon, socket, _dir: dir }
    }

    fn order(&self, order: &[&str]) -> Output {
        let mut command = campanile();
        command.args(["ldms", "sim", "--tell"]).arg(&self.socket).args(order);
        command.output().unwrap()
    }

    fn asked(&self, order: &[&str]) -> Value {
        let output = self.order(order);
        assert!(output.status.success(), "{order:?}: {}", text(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// `127.0.0.1:PORT` of every daemon, in the order of their names.
    fn places(&self) -> Vec<String> {
        let list = self.asked(&["list"]);
        list.as_array().unwrap().iter().map(|row| format!("127.0.0.1:{}", row["port"])).collect()
    }
}

fn ctl(sim: &Sim, args: &[&str]) -> (Option<i32>, String, String) {
    let hosts = sim.places().join(",");
    let mut all = vec!["ldms", "ctl", "--hosts", &hosts];
    all.extend(args);
    let output = run(&all);
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn exit_codes_of_ctl_tell_what_happened() {
    let sim = Sim::start(&["d"], &[]);
    let place = sim.places().remove(0);
    let one = |args: &[&str]| {
        let mut all = vec!["ldms", "ctl", &place];
        all.extend(args);
        let output = run(&all);
        (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
    };
    assert_eq!(one(&["daemon_status"]), (0, "state: ready\n".into(), String::new()));
    assert_eq!(one(&["load", "name=m", "plugin=meminfo"]), (0, String::new(), String::new()));
    let (code, out, err) = one(&["start", "name=nope", "interval=1s"]);
    assert_eq!((code, out.as_str()), (1, ""));
    assert_eq!(err, format!("error: {place}: start: Sampler instance 'nope' not found. (ENOENT)\n"));
    let (code, _, err) = one(&["prdcr_stat"]);
    assert_eq!(
        (code, err.as_str()),
        (2, "error: unknown command 'prdcr_stat'; did you mean 'prdcr_start'?\n")
    );
    let (code, _, err) = one(&["-a", "kerberos", "daemon_status"]);
    assert_eq!(code, 2, "{err}");
    let (code, _, err) = one(&["-a", "naive", "daemon_status"]);
    assert!(code == 1 && err.contains("Auth mismatch"), "{err}");
    let (code, _, err) = one(&["-x", "rdma", "daemon_status"]);
    assert!(code == 1 && err.contains("uses transport 'rdma': only 'sock' is spoken"), "{err}");
    let nobody = format!("127.0.0.1:{}", free_port());
    let output = run(&["ldms", "ctl", &nobody, "daemon_status"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("cannot connect: Connection refused"));
}

#[test]
fn commands_on_stdin_are_checked_before_the_first_is_sent_and_answered_in_order() {
    let sim = Sim::start(&["d"], &[]);
    let place = sim.places().remove(0);
    let piped = |args: &[&str], input: &str| {
        let mut command = campanile();
        command.args(["ldms", "ctl", &place]).args(args);
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    };
    let output = piped(&[], "load name=m plugin=meminfo\nfrobnicate\nload nme=x\n");
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        text(&output.stderr),
        "error: standard input:2: unknown command 'frobnicate'\n\
         standard input:3: load: unknown attribute 'nme'; did you mean 'name'?\nnothing was sent\n"
    );
    let commands = "# a sampler\nload name=m plugin=meminfo\nconfig name=m producer=p instance=p/m\n\
                    start name=m interval=1s\nstart name=m interval=1s\nplugn_status\ndir\n";
    let output = piped(&["--json"], commands);
    assert_eq!(output.status.code(), Some(1), "one command was refused");
    let answers: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answers[0]["daemon"], Value::from(place.clone()));
    let results = answers[0]["results"].as_array().unwrap();
    let codes: Vec<i64> = results.iter().map(|result| result["errcode"].as_i64().unwrap()).collect();
    assert_eq!(codes, [0, 0, 0, 16, 0, 0]);
    assert_eq!(results[4]["reply"][0]["name"], "m");
    assert_eq!(results[5]["reply"][0]["name"], "p/m");
    assert_eq!(results[5]["reply"][0]["interval_us"], 1_000_000);
    // With -e nothing follows a refusal.
    let output = piped(&["-e", "--json"], "start name=m interval=1s\nstop name=m\n");
    let answers: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answers[0]["results"].as_array().unwrap().len(), 1);
}

#[test]
fn many_daemons_are_asked_at_once_and_the_silent_ones_are_named() {
    let sim = Sim::start(&["node-[1-64]"], &[]);
    let (code, out, err) = ctl(&sim, &["daemon_status"]);
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert!(out.starts_with("--- 127.0.0.1:[") && out.ends_with("(64 daemons)\nstate: ready\n"), "{out}");
    assert!(sim.order(&["crash", "node-7"]).status.success());
    assert!(sim.order(&["refuse", "node-8", "16", "daemon_status"]).status.success());
    assert!(sim.order(&["mute", "node-9"]).status.success());
    let (code, out, err) = ctl(&sim, &["--timeout", "2s", "daemon_status"]);
    assert_eq!(code, Some(1));
    assert!(out.contains("(61 daemons)"), "{out}");
    for words in ["cannot connect", "told to refuse (EBUSY)", "did not answer", "3 of 64 daemons failed"] {
        assert!(err.contains(words), "{words} is not in\n{err}");
    }
}

/// The files of the original's generator, unchanged, make a cluster that collects.
#[test]
fn a_simulated_cluster_reads_configuration_files_and_collects_over_two_levels() {
    let dir = tempfile::tempdir().unwrap();
    let (s1, s2, l1, l2) = (free_port(), free_port(), free_port(), free_port());
    let write =
        |daemon: &str, text: String| std::fs::write(dir.path().join(format!("{daemon}.conf")), text).unwrap();
    for (daemon, port) in [("s-1", s1), ("s-2", s2)] {
        write(
            daemon,
            format!(
                "auth_add name=a plugin=none\nlisten xprt=sock port={port} auth=a host=127.0.0.1\n\
                 load name=m plugin=meminfo\n\
                 config name=m producer={daemon} instance={daemon}/m component_id=${{LDMS_COMPONENT_ID}}\n\
                 start name=m interval=500000 offset=0\n"
            ),
        );
    }
    let producer = |name: &str, port: u16| {
        format!(
            "prdcr_add name={name} host=127.0.0.1 port={port} xprt=sock type=active reconnect=200000 auth=a\n\
             prdcr_start name={name}\n"
        )
    };
    let updater = "updtr_add name=u auto_interval=True interval=500000 offset=100000\n\
                   updtr_prdcr_add name=u regex=.*\nupdtr_start name=u\n";
    write(
        "l1",
        format!("auth_add name=a plugin=none\n{}{}{updater}", producer("s-1", s1), producer("s-2", s2)),
    );
    write("l2", format!("auth_add name=a plugin=none\n{}{updater}", producer("l1", l1)));
    let daemons = [
        format!("s-1=127.0.0.1:{s1}"),
        format!("s-2=127.0.0.1:{s2}"),
        format!("l1=127.0.0.1:{l1}"),
        format!("l2=127.0.0.1:{l2}"),
    ];
    let daemons: Vec<&str> = daemons.iter().map(String::as_str).collect();
    let mut sim = Sim::start(&daemons, &["--config-dir", dir.path().to_str().unwrap(), "--trace"]);
    wait_until(PATIENCE, "all sets at the top", || {
        sim.asked(&["coverage", "l2", "30s"]) == serde_json::json!({"collected": 2, "all": 2})
    });
    assert!(sim.asked(&["sets", "l2"]).as_array().unwrap().len() == 2);
    // One level below hangs: what the top has grows old; then it goes on.
    assert!(sim.order(&["hang", "l1"]).status.success());
    wait_until(PATIENCE, "old sets", || sim.asked(&["coverage", "l2", "2s"])["collected"] == 0);
    assert!(sim.order(&["resume", "l1"]).status.success());
    wait_until(PATIENCE, "fresh sets", || sim.asked(&["coverage", "l2", "10s"])["collected"] == 2);
    // Killed and started again, it has its configuration again, from its file.
    assert!(sim.order(&["crash", "l1"]).status.success());
    assert!(sim.order(&["restart", "l1"]).status.success());
    wait_until(PATIENCE, "sets after the restart", || {
        sim.asked(&["coverage", "l2", "10s"])["collected"] == 2
    });
    assert_eq!(sim.order(&["hang", "nobody"]).status.code(), Some(1));
    assert_eq!(sim.order(&["dance"]).status.code(), Some(1));
    assert_eq!(sim.daemon.stop(PATIENCE).code(), Some(0));
    assert!(!sim.socket.exists(), "the socket goes with the simulation");
}

#[test]
fn a_simulation_that_cannot_start_says_everything_that_is_wrong() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("a.conf"), "frob\nload nme=x\n").unwrap();
    let path = |path: &Path| path.to_str().unwrap().to_owned();
    let output = run(&["ldms", "sim", "--config-dir", &path(dir.path()), "--env", "x", "a", "b"]);
    assert_eq!(output.status.code(), Some(2));
    let err = text(&output.stderr);
    for words in
        ["--env x: not NAME=VALUE", "a.conf:1: unknown command 'frob'", "a.conf:2: load: unknown attribute"]
    {
        assert!(err.contains(words), "{words} is not in\n{err}");
    }
    let output = run(&["ldms", "sim", "s-[1-3]=h:[1-2]"]);
    assert_eq!(output.status.code(), Some(2));
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let place = format!("a={}", taken.local_addr().unwrap());
    let output = run(&["ldms", "sim", &place]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("cannot be opened"), "{}", text(&output.stderr));
    let output = run(&["ldms", "sim", "--tell", &path(&dir.path().join("none")), "list"]);
    assert_eq!(output.status.code(), Some(1));
}
