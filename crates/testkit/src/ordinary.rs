//! Running a test program once more as an ordinary user who sees no control groups.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::{finish, require_program, skip};

/// Names the directory of copies, in the run as an ordinary user.
const COPIES: &str = "CAMPANILE_TEST_COPIES";
/// `nobody` and `nogroup`, on every Debian.
const NOBODY: u32 = 65534;
/// All tests of one program, one after the other, on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(240);

/// Runs all tests of this test program again, as the user `nobody` with no further rights, where control groups are
/// hidden and cannot be made. `programs` are copied to where that user can run them ([`copy_for_ordinary_user`]).
/// `without` names tests (or beginnings, separated by commas) to leave out: at least the one that calls this. Skips
/// unless run by root.
///
/// # Panics
/// A test fails there.
#[track_caller]
pub fn again_as_ordinary_user(programs: &[&str], without: &str) {
    if !rustix::process::geteuid().is_root() {
        return skip("only root can become another user");
    }
    for (name, hint) in [("unshare", "it is part of util-linux"), ("setpriv", "it is part of util-linux")] {
        if require_program(name, hint).is_none() {
            return;
        }
    }
    let dir = tempfile::tempdir().expect("a directory for the copies can be created");
    let open = |path: &Path, mode: u32| {
        let set = fs::set_permissions(path, fs::Permissions::from_mode(mode));
        set.expect("permissions of a file of ours can be set");
    };
    open(dir.path(), 0o755);
    let own = std::env::current_exe().expect("a test program knows its file");
    let copy = |from: &Path| {
        let to = dir.path().join(from.file_name().expect("a program has a name"));
        fs::copy(from, &to).expect("a program can be copied");
        open(&to, 0o755);
        to
    };
    for program in programs {
        copy(Path::new(program));
    }
    let home = dir.path().join("home");
    fs::create_dir(&home).expect("a directory can be created");
    open(&home, 0o777);
    let script = "mount -t tmpfs -o mode=755 tmpfs /sys/fs/cgroup && cd \"$1\" && shift && exec \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-c", script, "sh"]).arg(&home);
    let (uid, gid) = (format!("--reuid={NOBODY}"), format!("--regid={NOBODY}"));
    command.args(["setpriv", &uid, &gid, "--clear-groups", "--no-new-privs"]).arg(copy(&own));
    command.args(without.split(',').flat_map(|name| ["--skip", name]));
    command.env(COPIES, dir.path()).env("HOME", &home).env("TMPDIR", &home);
    // What cannot be run there has been run by root.
    command.env_remove("CI").env_remove("CAMPANILE_SKIPS").env_remove("NEXTEST");
    let output = finish("the tests as an ordinary user", command, TIMEOUT);
    assert!(output.status.success(), "{}\n{}", output.stdout, output.stderr);
    assert!(output.stdout.contains("test result: ok."), "{}", output.stdout);
    println!("{}", output.stdout);
}

/// The file of a program, or of its copy where the tests run as an ordinary user.
pub fn copy_for_ordinary_user(program: &str) -> PathBuf {
    let name = Path::new(program).file_name().unwrap_or_default();
    std::env::var_os(COPIES).map_or_else(|| program.into(), |dir| Path::new(&dir).join(name))
}
