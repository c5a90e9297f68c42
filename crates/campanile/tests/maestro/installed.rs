//! The program below a prefix, as `make install` puts it there.

use std::path::Path;
use std::process::Command;

use campanile_testkit::{Daemon, wait_until};

use crate::cluster::{Cluster, told};
use crate::{PATIENCE, path};

fn script(prefix: &Path, more: &[&str]) -> (i32, String, String) {
    let mut command = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/install"));
    command.env_remove("DESTDIR").arg("--prefix").arg(prefix).args(more);
    told(&command.output().unwrap())
}

#[test]
fn it_is_put_below_a_prefix_upgraded_while_it_runs_and_removed() {
    let dir = tempfile::tempdir().unwrap();
    let prefix = dir.path().join("ovis");
    let bin = prefix.join("bin");
    // The original is there, and something that is nobody's business.
    std::fs::create_dir_all(&bin).unwrap();
    for (name, text) in [("maestro", "the original"), ("ldmsd", "LDMS")] {
        std::fs::write(bin.join(name), text).unwrap();
    }
    let program = ["--program", env!("CARGO_BIN_EXE_campanile")];
    let (code, _, err) = script(&prefix, &program);
    assert!(code == 1 && err.contains("bin/maestro is not ours and stays"), "{code} {err}");
    assert_eq!(std::fs::read_to_string(bin.join("maestro")).unwrap(), "the original");
    let (code, out, err) = script(&prefix, &[&program[..], &["--replace"]].concat());
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(out.starts_with("install: campanile "), "{out}");
    let names: Vec<String> = std::fs::read_dir(&bin)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !["campanile", "ldmsd", "maestro.original"].contains(&name.as_str()))
        .collect();
    assert!(names.len() >= 10, "{names:?}");
    for name in names {
        let (code, out, err) = told(&Command::new(bin.join(&name)).arg("--help").output().unwrap());
        assert!(code == 0 && !out.contains("Commands:\n  router"), "{name} is itself: {out}{err}");
    }

    // It runs, and goes on while it is upgraded.
    let cluster = Cluster::start_without(&[]);
    let mut command = Command::new(bin.join("maestro"));
    command
        .args(["--prefix", "orion", "--file", path(&cluster.file())])
        .arg("--state-dir")
        .arg(cluster.state());
    let mut maestro = Daemon::spawn("maestro", command);
    wait_until(PATIENCE, "it answers", || cluster.ldms(&["status"]).0 == 0);
    assert_eq!(script(&prefix, &program).0, 0);
    assert!(maestro.is_running());
    cluster.covered();
    // The one that is there now is started with the next start.
    maestro.kill9();
    maestro.restart();
    cluster.covered();
    assert_eq!(maestro.stop(PATIENCE).code(), Some(0));

    assert_eq!(script(&prefix, &["--uninstall"]).0, 0);
    let mut left: Vec<_> = std::fs::read_dir(&bin).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["ldmsd", "maestro"]);
    assert_eq!(std::fs::read_to_string(bin.join("maestro")).unwrap(), "the original");
    assert_eq!(script(&prefix, &["--upgrade"]).0, 2);
    assert_eq!(script(&prefix, &["--program", "/no/such/program"]).0, 1);
}
