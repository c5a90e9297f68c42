//! A docker engine of the test's own: in a directory of its own, with its own socket, ended with the test.

use crate::daemon::{Daemon, finish};
use crate::require::{require_program, skip};
use crate::wait::{wait_for, wait_until};
use crate::{CommandOutput, Signal};
use rustix::process::geteuid;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

/// How long an engine may take to start, on a machine that is busy.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// How long an engine may take to end, before it is killed.
const END_TIMEOUT: Duration = Duration::from_secs(10);
/// How long one docker command may take.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(60);
/// Names a running engine that is to be used instead of an own one, as `DOCKER_HOST` would.
const GIVEN: &str = "CAMPANILE_TEST_DOCKER_HOST";
const HINT: &str = "run `make setup`";

/// A running docker engine, with an image [`Self::IMAGE`] that has a static busybox in it and nothing else.
///
/// On drop its containers are removed, and the engine and all that it started end. An engine that the environment names
/// (`CAMPANILE_TEST_DOCKER_HOST`) is used and left running; tests that must stop theirs say so by [`Self::own`].
#[derive(Debug)]
pub struct DockerEngine {
    dir: TempDir,
    host: String,
    docker: PathBuf,
    daemon: Option<Daemon>,
}

impl DockerEngine {
    /// The image that every engine has.
    pub const IMAGE: &str = "campanile-test/base:v1";

    /// An engine, if it can be had (see [`crate::require`]): it needs root, `dockerd`, `docker`, compose and busybox.
    #[track_caller]
    pub fn require() -> Option<Self> {
        Self::make(std::env::var(GIVEN).ok())
    }

    /// An engine that the test may stop, kill and start again.
    #[track_caller]
    pub fn own() -> Option<Self> {
        Self::make(None)
    }

    #[track_caller]
    fn make(given: Option<String>) -> Option<Self> {
        let docker = require_program("docker", HINT)?;
        let busybox = require_program("busybox", HINT)?;
        if !Self::compose().is_file() {
            skip(&format!("{} is missing: {HINT}", Self::compose().display()));
            return None;
        }
        let dir = TempDir::new().expect("a directory for the engine can be created");
        let (host, daemon) = match given {
            Some(host) => (host, None),
            None => {
                let dockerd = require_program("dockerd", HINT)?;
                if !geteuid().is_root() {
                    skip("only root can start a docker engine");
                    return None;
                }
                let socket = dir.path().join("docker.sock");
                let daemon = Daemon::spawn("dockerd", dockerd_command(&dockerd, dir.path()));
                (format!("unix://{}", socket.display()), Some(daemon))
            }
        };
        let engine = Self { dir, host, docker, daemon };
        engine.wait_until_ready();
        engine.make_image(&busybox, Self::IMAGE, "");
        Some(engine)
    }

    /// The compose program of version 2, which also is a plugin of docker below [`Self::config_dir`].
    pub fn compose() -> PathBuf {
        Self::config_dir().join("cli-plugins/docker-compose")
    }

    /// What `DOCKER_CONFIG` has to be for docker to find the plugin.
    pub fn config_dir() -> PathBuf {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.peers/docker");
        fs::canonicalize(&dir).unwrap_or(dir)
    }

    /// Where it is, as `DOCKER_HOST` has it.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The path of its socket.
    pub fn socket(&self) -> PathBuf {
        PathBuf::from(self.host.trim_start_matches("unix://"))
    }

    /// The process of the engine; only of an own one.
    pub fn daemon(&mut self) -> &mut Daemon {
        self.daemon.as_mut().expect("the engine is the test's own")
    }

    /// Starts the engine again after a SIGKILL. Its containerd died with it; where nobody has reaped that yet, its pid file
    /// would make dockerd wait for a process that is none.
    pub fn restart_after_kill(&mut self) {
        for stale in ["docker.pid", "exec/containerd/containerd.pid"] {
            let _absent = fs::remove_file(self.dir.path().join(stale));
        }
        self.daemon().restart();
    }

    /// Runs docker with this engine; panics if it fails. Gives its standard output without the last line's end.
    #[track_caller]
    pub fn docker(&self, args: &[&str]) -> String {
        let output = self.try_docker(args);
        assert_eq!(output.code(), 0, "docker {args:?}: {}{}", output.stdout, output.stderr);
        output.stdout.trim_end().to_owned()
    }

    /// Runs docker with this engine.
    #[track_caller]
    pub fn try_docker(&self, args: &[&str]) -> CommandOutput {
        let mut command = Command::new(&self.docker);
        self.environment(&mut command);
        command.args(args);
        finish("docker", command, COMMAND_TIMEOUT)
    }

    /// Lets a command speak to this engine.
    pub fn environment(&self, command: &mut Command) {
        command.env("DOCKER_HOST", &self.host).env("DOCKER_CONFIG", Self::config_dir());
        for name in ["DOCKER_CONTEXT", "COMPOSE_FILE", "COMPOSE_PROJECT_NAME", "COMPOSE_PROFILES"] {
            command.env_remove(name);
        }
    }

    /// Makes another image of the same content; `mark` makes it a different one.
    #[track_caller]
    pub fn image(&self, tag: &str, mark: &str) {
        let busybox = require_program("busybox", HINT).expect("it was there when the engine was started");
        self.make_image(&busybox, tag, mark);
    }

    #[track_caller]
    fn make_image(&self, busybox: &Path, tag: &str, mark: &str) {
        let root = TempDir::new_in(self.dir.path()).expect("a directory for the image can be created");
        let bin = root.path().join("bin");
        fs::create_dir(&bin).expect("a directory can be created");
        fs::copy(busybox, bin.join("busybox")).expect("busybox can be copied");
        for name in ["sh", "sleep", "true", "false", "echo", "cat", "kill"] {
            symlink("busybox", bin.join(name)).expect("a link can be made");
        }
        fs::write(root.path().join("mark"), mark).expect("a file can be written");
        let archive = root.path().join("image.tar");
        let mut tar = Command::new("tar");
        tar.arg("-cf").arg(&archive).arg("-C").arg(root.path()).args(["bin", "mark"]);
        let packed = finish("tar", tar, COMMAND_TIMEOUT);
        assert_eq!(packed.code(), 0, "{}", packed.stderr);
        self.docker(&["import", &archive.display().to_string(), tag]);
    }

    /// Waits until the engine answers.
    #[track_caller]
    pub fn wait_until_ready(&self) {
        wait_until(START_TIMEOUT, "a docker engine that answers", || {
            self.try_docker(&["version", "--format", "{{.Server.Version}}"]).code() == 0
        });
    }

    /// The id of the running container of a compose service, waited for.
    #[track_caller]
    pub fn container_of(&self, service: &str) -> String {
        let filter = format!("label=com.docker.compose.service={service}");
        wait_for(COMMAND_TIMEOUT, &format!("a container of {service}"), || {
            let ids = self.docker(&["ps", "-q", "--no-trunc", "--filter", &filter]);
            ids.lines().next().map(str::to_owned)
        })
    }

    /// The ids of the containers of a compose service, running or not.
    #[track_caller]
    pub fn containers_of(&self, service: &str) -> Vec<String> {
        let filter = format!("label=com.docker.compose.service={service}");
        let ids = self.docker(&["ps", "-aq", "--no-trunc", "--filter", &filter]);
        ids.lines().map(str::to_owned).collect()
    }
}

/// Kills what runs in the containers of an engine, which is no child of the engine.
fn kill_containers(mark: &str) {
    for pid in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Ok(pid) = pid.file_name().to_string_lossy().parse::<u32>() else { continue };
        let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
        if groups.contains(mark) {
            crate::send_signal(pid, Signal::KILL);
        }
    }
}

/// Removes the control group of that name, in version 2 and in each hierarchy of version 1, with those that containers
/// left in it.
fn remove_groups(mark: &str) {
    fn remove(dir: &Path) {
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                remove(&entry.path());
            }
        }
        let _ = fs::remove_dir(dir);
    }
    let root = Path::new("/sys/fs/cgroup");
    let hierarchies = fs::read_dir(root).into_iter().flatten().flatten().map(|entry| entry.path());
    for hierarchy in hierarchies.chain([root.to_owned()]) {
        remove(&hierarchy.join(mark));
    }
}

/// All containers of an own engine are in a control group of this name.
fn mark_of(dir: &Path) -> String {
    let name = dir.file_name().map(|name| name.to_string_lossy().replace('.', "")).unwrap_or_default();
    format!("campanile-test-{name}")
}

fn dockerd_command(dockerd: &Path, dir: &Path) -> Command {
    let config = dir.join("daemon.json");
    fs::write(&config, "{}").expect("a file can be written");
    let mut command = Command::new(dockerd);
    command.arg("--config-file").arg(config);
    command.arg("--host").arg(format!("unix://{}", dir.join("docker.sock").display()));
    for (option, name) in [("--data-root", "data"), ("--exec-root", "exec"), ("--pidfile", "docker.pid")] {
        command.arg(option).arg(dir.join(name));
    }
    // No networks: they need rights and modules that a machine for tests may not have.
    command.args(["--bridge=none", "--iptables=false", "--ip6tables=false"]);
    command.arg(format!("--cgroup-parent=/{}", mark_of(dir)));
    // containerd and runc of Debian lie there.
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{path}:/usr/sbin:/sbin"));
    command
}

impl Drop for DockerEngine {
    fn drop(&mut self) {
        let Some(mut daemon) = self.daemon.take() else { return };
        let mark = mark_of(self.dir.path());
        daemon.signal(Signal::CONT);
        // Without its containers the engine ends at once; else it waits ten seconds for each.
        kill_containers(&mark);
        daemon.signal(Signal::TERM);
        let deadline = std::time::Instant::now() + END_TIMEOUT;
        while daemon.is_running() && std::time::Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(20));
            kill_containers(&mark);
        }
        drop(daemon);
        kill_containers(&mark);
        remove_groups(&mark);
        // What is still mounted cannot be removed.
        let dir = self.dir.path().display().to_string();
        for line in fs::read_to_string("/proc/self/mounts").unwrap_or_default().lines().rev() {
            if let Some(point) = line.split(' ').nth(1).filter(|point| point.starts_with(&dir)) {
                let _ = Command::new("umount").args(["-l", point]).status();
            }
        }
    }
}
