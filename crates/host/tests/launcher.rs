//! A launcher comes into its control group in one of two ways, and becomes its program in the same way after both.
#![expect(clippy::unwrap_used, reason = "helpers of tests end the test")]

use std::fs::{self, File};
use std::io::{PipeReader, Read};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use campanile_host::drive::cgroup::Groups;
use campanile_host::drive::launcher::{Launch, LaunchSpec, Launcher, is_waiting};
use campanile_host::drive::tree::Owner;
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

const LAUNCHER: &str = env!("CARGO_BIN_EXE_campanile-launcher");

/// A shell that runs this, and what it prints.
fn shell(script: &str, cwd: &Path) -> (LaunchSpec, PipeReader) {
    let (reader, writer) = std::io::pipe().unwrap();
    let stdout = File::from(OwnedFd::from(writer));
    let stderr = stdout.try_clone().unwrap();
    let argv = ["/bin/sh", "-c", script].map(Into::into).to_vec();
    let env = vec![("PATH".into(), "/bin:/usr/bin".into()), ("COLOUR".into(), "blue".into())];
    (LaunchSpec { argv, env, cwd: Some(cwd.to_owned()), stdout, stderr }, reader)
}

fn read_to_end(mut output: PipeReader) -> String {
    let mut text = String::new();
    output.read_to_string(&mut text).unwrap();
    text
}

/// The same file by a path that does not begin at the root.
fn relative(path: &Path, from: &Path) -> PathBuf {
    let up: PathBuf = from.components().skip(1).map(|_| "..").collect();
    up.join(path.strip_prefix("/").unwrap())
}

#[test]
fn a_program_is_in_its_group_before_it_begins_whichever_way_it_came_there() {
    let dir = tempfile::tempdir().unwrap();
    let cwd = dir.path().canonicalize().unwrap();
    let owner = Owner(campanile_control::state_dir::fnv1a(cwd.as_os_str().as_encoded_bytes()));
    let Ok(groups) = Groups::find(owner) else {
        eprintln!("not tried: there are no control groups here");
        return;
    };
    let group = groups.prepare("a").unwrap();
    // The kernel starts no program by a path that only the new process would understand, so the launcher does the rest.
    let ways = [(PathBuf::from(LAUNCHER), true), (relative(Path::new(LAUNCHER), &cwd), false)];
    for (path, is_born_there) in ways {
        let script =
            "pwd; echo $COLOUR; ps -o pgid= -p $$; cat /proc/self/cgroup; readlink /proc/self/fd/0; exit 3";
        let (what, output) = shell(script, &cwd);
        let launch = Launch::begin(&Launcher::at(&path), Some(&group), &what).unwrap();
        drop(what);
        assert_eq!(launch.no_entry, None);
        let pid = launch.pid();
        let groups_of_it = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
        assert!(
            groups_of_it.lines().any(|line| line.starts_with("0::") && line.ends_with("/a")),
            "{groups_of_it}"
        );
        assert!(is_waiting(pid));
        let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap();
        let told = line.split('\0').nth(1).unwrap();
        assert_eq!(told == "-", is_born_there, "{line}");

        launch.go().unwrap();
        let output = read_to_end(output);
        let lines: Vec<&str> = output.lines().map(str::trim).collect();
        assert_eq!(lines[..3], [cwd.to_str().unwrap(), "blue", &pid.to_string()], "{output}");
        assert!(lines.iter().any(|line| line.starts_with("0::") && line.ends_with("/a")), "{output}");
        assert_eq!(lines.last(), Some(&"/dev/null"));
        let raw = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
        let status = waitid(WaitId::Pid(raw), WaitIdOptions::EXITED).unwrap().unwrap();
        assert_eq!(status.exit_status(), Some(3));
    }

    // What begins in a frozen group never gets anywhere, and who has started it there waits for it: it is moved there.
    fs::write(group.join("cgroup.freeze"), "1").unwrap();
    let (what, _) = shell("", &cwd);
    let thawing = std::thread::spawn({
        let group = group.clone();
        move || {
            std::thread::sleep(std::time::Duration::from_millis(500));
            fs::write(group.join("cgroup.freeze"), "0").unwrap();
        }
    });
    let launch = Launch::begin(&Launcher::at(Path::new(LAUNCHER)), Some(&group), &what).unwrap();
    let line = fs::read_to_string(format!("/proc/{}/cmdline", launch.pid())).unwrap();
    assert_eq!(line.split('\0').nth(1), group.to_str(), "{line}");
    launch.cancel();
    thawing.join().unwrap();
    campanile_host::drive::cgroup::remove(&group);
    groups.tidy();
}

#[test]
fn what_cannot_be_run_is_told_in_the_systems_words_and_a_launch_can_be_given_up() {
    let dir = tempfile::tempdir().unwrap();
    let owner = Owner(campanile_control::state_dir::fnv1a(dir.path().as_os_str().as_encoded_bytes()));
    let group = Groups::find(owner).ok().map(|groups| (groups.prepare("a").unwrap(), groups));
    let place = group.as_ref().map(|(group, _)| group.as_path());
    let launcher = Launcher::at(Path::new(LAUNCHER));

    let (mut what, _) = shell("", dir.path());
    what.argv = vec!["/no/such/program".into()];
    let why = Launch::begin(&launcher, place, &what).unwrap().go().unwrap_err();
    assert!(why.contains("No such file or directory"), "{why}");

    let (what, output) = shell("echo it runs", dir.path());
    let launch = Launch::begin(&launcher, place, &what).unwrap();
    let pid = launch.pid();
    drop(what);
    launch.cancel();
    assert_eq!(read_to_end(output), "");
    assert!(!Path::new(&format!("/proc/{pid}")).exists(), "it is reaped");

    let (what, _) = shell("", Path::new("/no/such/directory"));
    let error = Launch::begin(&launcher, place, &what).unwrap_err();
    assert!(error.to_string().contains("No such file or directory"), "{error}");
    let (mut what, _) = shell("", dir.path());
    what.argv.push("x".repeat(1 << 18).into());
    let error = Launch::begin(&launcher, place, &what).unwrap_err();
    assert!(error.to_string().contains("Argument list too long"), "{error}");
    if let Some((group, groups)) = &group {
        campanile_host::drive::cgroup::remove(group);
        groups.tidy();
    }
}
