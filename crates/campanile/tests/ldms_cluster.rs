//! The commands about an LDMS cluster, as a user types them: check, show, generate, load, diff, export, maestro_ctrl.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "maestro/cluster.rs"]
mod cluster;
mod common;
#[path = "maestro/installed.rs"]
mod installed;
#[path = "maestro/running.rs"]
mod running;
#[path = "maestro/started.rs"]
mod started;
mod world;

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use campanile_testkit::{Daemon, Etcd, free_port, wait_until};

/// How long anything may take before a test gives up.
const PATIENCE: Duration = Duration::from_secs(60);

fn sample(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../maestro/tests/data").join(name)
}

/// Runs the program; its exit code and both outputs.
fn run(args: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_campanile")).args(args).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn check_lists_every_problem_and_ends_with_2() {
    let dir = tempfile::tempdir().unwrap();
    let bad = dir.path().join("bad.yaml");
    let text = std::fs::read_to_string(sample("cluster-6.yaml")).unwrap();
    std::fs::write(&bad, text.replace("csv1\n", "csv2\n").replace("reconnect : 2s", "reconnect : soon"))
        .unwrap();
    let good = sample("cluster-6.yaml");
    let (code, out, err) = run(&["ldms", "check", path(&good), path(&bad)]);
    assert_eq!(code, 2);
    assert!(out.contains("cluster-6.yaml: ok: 10 daemons, 0 errors"), "{out}");
    assert!(
        err.contains("no such plugin instance: `csv2`") && err.contains("'soon' is not an interval"),
        "{err}"
    );
    let (code, out, _) = run(&["ldms", "check", "--json", path(&bad)]);
    let report: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, report["errors"].as_u64()), (2, Some(3)));
    assert_eq!(run(&["ldms", "check", path(&good)]).0, 0);
}

#[test]
fn show_draws_the_tiers_and_what_each_aggregator_carries() {
    let (code, out, err) = run(&["ldms", "show", path(&sample("cluster-6.yaml"))]);
    assert_eq!((code, err.as_str()), (0, ""));
    for expected in [
        "10 daemons, 6 samplers, 12 metric sets",
        "tier 2  l2-agg  (1 aggregators)  stores csv-meminfo",
        "  tier 1  l1-agg-[1-3]  (3 aggregators)",
        "l1-agg-1: 2 producers, 4 sets, about 2.1 kB/s",
        "    samplers  sampler-[1-6]  (6 daemons)  meminfo1, vmstat1",
    ] {
        assert!(out.contains(expected), "{expected}\n{out}");
    }
    let (_, out, _) = run(&["ldms", "show", "--json", path(&sample("cluster-6.yaml"))]);
    let json: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(json["groups"][0]["aggregators"][0]["sets"].as_u64(), Some(12));
}

#[test]
fn files_are_generated_for_all_or_one_by_either_name_and_either_spelling() {
    let file = sample("cluster-6.yaml");
    let expected = std::fs::read_to_string(sample("genconf/l1-agg-2.conf")).unwrap();
    for option in ["--generate_config_path", "--generate-config-path"] {
        let dir = tempfile::tempdir().unwrap();
        let (code, out, err) = run(&["maestro_ctrl", "--ldms_config", path(&file), option, path(dir.path())]);
        assert_eq!((code, out.as_str(), err.as_str()), (0, "LDMSD v4 config files generated\n", ""));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 10);
        assert_eq!(std::fs::read_to_string(dir.path().join("l1-agg-2.conf")).unwrap(), expected);
    }
    let (code, out, _) = run(&["maestro_ctrl", "--ldms_config", path(&file), "--daemon_name", "l1-agg-2"]);
    assert_eq!((code, out), (0, format!("{expected}\n")));
    let (code, out, _) = run(&["ldms", "generate", path(&file), "--daemon", "l1-agg-2"]);
    assert_eq!((code, out), (0, expected));
    let (code, _, err) = run(&["ldms", "generate", path(&file), "--daemon", "l1-agg-22"]);
    assert_eq!(code, 2);
    assert!(err.contains("did you mean l1-agg-2?"), "{err}");
}

#[test]
fn a_cluster_is_saved_compared_and_exported_from_the_embedded_database() {
    let dir = tempfile::tempdir().unwrap();
    let store = dir.path().join("store");
    let file = dir.path().join("orion.yaml");
    let text = std::fs::read_to_string(sample("cluster-6.yaml")).unwrap();
    std::fs::write(&file, &text).unwrap();
    let in_store = ["--store", path(&store), "--prefix", "orion"];
    let with = |command: &[&str]| run(&[command, &in_store].concat());
    let (code, out, err) = with(&["ldms", "load", path(&file), "--dry-run"]);
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("added, 0 changed, 0 removed\nnothing saved (--dry-run)"), "{out}");
    for command in [&["ldms", "export"][..], &["ldms", "export", "--keys"], &["ldms", "diff", path(&file)]] {
        let (code, _, err) = with(command);
        assert!(code == 1 && err.contains("nothing has been saved yet"), "{command:?}: {err}");
    }
    assert!(!store.exists(), "looking makes no database");
    let (code, out, _) = with(&["ldms", "load", path(&file)]);
    assert_eq!(code, 0);
    assert!(out.contains("saved: /orion/ in "), "{out}");
    assert!(with(&["ldms", "load", path(&file)]).1.contains("already there"));
    assert_eq!(with(&["ldms", "diff", path(&file)]).0, 0);
    assert_eq!(with(&["ldms", "export"]).1, text);
    assert!(with(&["ldms", "export", "--keys"]).1.contains("/orion/daemons/sampler-1/addr\t127.0.0.1\n"));
    std::fs::write(&file, text.replace("interval : 1.0s", "interval : 5s")).unwrap();
    let (code, out, _) = with(&["ldms", "diff", path(&file)]);
    assert_eq!(
        (code, out.as_str()),
        (1, "~ plugins/meminfo1/interval = 1.0s -> 5s\n0 added, 1 changed, 0 removed\n")
    );
    let (code, out, _) = run(&[&["maestro_ctrl", "--ldms_config", path(&file)], &in_store[..]].concat());
    assert_eq!(code, 0);
    assert!(out.contains("~ plugins/meminfo1/interval = 1.0s -> 5s"), "{out}");
    assert_eq!(with(&["ldms", "load", path(&file), "--prefix", "a/b"]).0, 2);
}

#[test]
fn the_link_of_the_original_name_takes_its_options_and_a_broken_etcd_file_ends_with_2() {
    let dir = tempfile::tempdir().unwrap();
    let link = dir.path().join("maestro_ctrl");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_campanile"), &link).unwrap();
    let etcd = dir.path().join("etcd.yaml");
    std::fs::write(&etcd, "cluster: x\nmembers: []\n").unwrap();
    let file = sample("cluster-6.yaml");
    let output = Command::new(&link)
        .args(["--cluster", path(&etcd), "--ldms_config", path(&file), "--prefix", "x"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("names no `members`"));
}

/// What the original saves goes into real etcd, whichever member is dead, and comes back.
#[test]
fn maestro_ctrl_saves_into_real_etcd_the_keys_that_the_original_was_recorded_with() {
    let Some(mut etcd) = Etcd::start(3) else { return };
    let dir = tempfile::tempdir().unwrap();
    let (members, file) = (dir.path().join("etcd.yaml"), dir.path().join("lab6.yaml"));
    std::fs::write(&members, etcd.cluster_file()).unwrap();
    // The recorded run was made when the domain was still called like its plugin.
    let text = std::fs::read_to_string(sample("cluster-6.yaml")).unwrap().replace("none1", "none");
    std::fs::write(&file, &text).unwrap();
    let Some(_) = etcd.etcdctl(&["put", "/lab60/daemons/d/addr", "h"]) else { return };
    etcd.etcdctl(&["put", "/lab6/old/key", "x"]);
    let in_etcd = ["--cluster", path(&members), "--prefix", "lab6"];
    let maestro_ctrl =
        |more: &[&str]| run(&[&["maestro_ctrl", "--ldms_config", path(&file)], &in_etcd[..], more].concat());

    etcd.members[0].kill9();
    let (code, out, err) = maestro_ctrl(&["--dry-run"]);
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("- old/key = x\n") && out.contains("1 removed\nnothing saved"), "{out}");
    let (code, out, err) = maestro_ctrl(&[]);
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(out.ends_with("LDMS cluster configuration saved to etcd cluster.\n"), "{out}");
    let recorded = std::fs::read_to_string(sample("etcd-producers.txt")).unwrap();
    let mut recorded: BTreeMap<String, String> = recorded
        .lines()
        .map(|line| line.split_once('\t').unwrap())
        .map(|(k, v)| (k.into(), v.into()))
        .collect();
    recorded.remove("/lab6/last_updated");
    let dump = || {
        let mut dump = etcd.dump("/lab6/").unwrap();
        let stamp: f64 = dump.remove("/lab6/last_updated").unwrap().parse().unwrap();
        (dump, stamp)
    };
    let (ours, stamp) = dump();
    assert_eq!(ours, recorded);
    assert_eq!(etcd.dump("/lab60/").unwrap().len(), 1, "a neighbour whose name begins the same");

    std::fs::write(&file, text.replace("interval : 1.0s", "interval : 5s")).unwrap();
    let (code, out, _) = maestro_ctrl(&[]);
    assert_eq!(code, 0);
    assert!(
        out.starts_with("~ plugins/meminfo1/interval = 1.0s -> 5s\n0 added, 1 changed, 0 removed\n"),
        "{out}"
    );
    let (ours, newer) = dump();
    recorded.insert("/lab6/plugins/meminfo1/interval".into(), "5s".into());
    assert_eq!(ours, recorded);
    assert!(newer > stamp);

    etcd.members[0].restart();
    etcd.wait_for(0);
    etcd.members[1].kill9();
    let (code, out, err) = run(&[&["ldms", "export"], &in_etcd[..]].concat());
    assert_eq!((code, err.as_str()), (0, ""));
    assert_eq!(out, std::fs::read_to_string(&file).unwrap());
}

/// Takes ldmsd's place: called as maestro_ctrl calls it, it simulates one.
fn simulated_ldmsd(dir: &Path) -> PathBuf {
    let script = dir.join("ldmsd");
    let program = env!("CARGO_BIN_EXE_campanile");
    let text = format!(
        "#!/bin/sh\n[ \"$1 $3\" = '-n -c' ] || exit 2\nexec {program} ldms sim --quick -c \"$4\" \"$2\"\n"
    );
    std::fs::write(&script, text).unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755)).unwrap();
    script
}

#[test]
fn local_mode_starts_this_hosts_daemons_and_ends_them_when_it_is_told_to() {
    let dir = tempfile::tempdir().unwrap();
    let (file, run_dir) = (dir.path().join("here.yaml"), dir.path().join("run"));
    let ports: Vec<u16> = (0..10).map(|_| free_port()).collect();
    let list = |ports: &[u16]| ports.iter().map(u16::to_string).collect::<Vec<_>>().join(",");
    let mut text = std::fs::read_to_string(sample("cluster-6.yaml")).unwrap();
    for (written, ports) in
        [("34101-34106", &ports[..6]), ("34011-34013", &ports[6..9]), ("34020", &ports[9..])]
    {
        assert!(text.contains(written));
        text = text.replace(written, &list(ports));
    }
    std::fs::write(&file, text).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_campanile"));
    command.args(["maestro_ctrl", "--ldms_config", path(&file), "--local", "--local_path", path(&run_dir)]);
    command.arg("--ldmsd").arg(simulated_ldmsd(dir.path()));
    let mut ctrl = Daemon::spawn("maestro_ctrl", command);
    // They collect what their files say, over both levels.
    let top = format!("127.0.0.1:{}", ports[9]);
    wait_until(PATIENCE, "all sets at the top", || {
        assert!(ctrl.is_running(), "it stays as long as they do: {}", ctrl.output());
        let (code, out, _) = run(&["ldms", "ctl", &top, "--json", "dir"]);
        let answers: serde_json::Value = serde_json::from_str(&out).unwrap_or_default();
        code == 0 && answers[0]["results"][0]["reply"].as_array().is_some_and(|sets| sets.len() == 12)
    });
    assert!(ctrl.output().contains("Starting sampler-6\n"), "{}", ctrl.output());
    assert!(run_dir.join("l1-agg-2.conf").exists());
    assert!(ctrl.stop(PATIENCE).success());
    let listens = |port: &u16| std::net::TcpStream::connect(("127.0.0.1", *port)).is_ok();
    assert!(!ports.iter().any(listens), "they end with it");
}

#[test]
fn local_mode_says_when_no_daemon_belongs_here_or_one_cannot_be_started() {
    let dir = tempfile::tempdir().unwrap();
    let other = dir.path().join("other.yaml");
    let text = std::fs::read_to_string(sample("cluster-6.yaml")).unwrap();
    std::fs::write(
        &other,
        text.replace("\"127.0.0.1\"", "\"no-such-host.invalid\"").replace(
            "hosts : &l1-agg-hosts \"no-such-host.invalid\"",
            "hosts : &l1-agg-hosts \"other-host.invalid\"",
        ),
    )
    .unwrap();
    let local = ["--local", "--local_path", path(dir.path()), "--ldmsd", "/no/such/ldmsd"];
    let (code, _, err) = run(&[&["maestro_ctrl", "--ldms_config", path(&other)], &local[..]].concat());
    assert_eq!(code, 1);
    assert!(err.contains("does not match any daemon hosts"), "{err}");
    let here = sample("cluster-6.yaml");
    let (code, _, err) = run(&[&["maestro_ctrl", "--ldms_config", path(&here)], &local[..]].concat());
    assert_eq!(code, 1);
    assert!(err.contains("cannot start /no/such/ldmsd"), "{err}");
}
