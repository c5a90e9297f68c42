//! A real OpenStack control plane on the loopback interface, with a fake hypervisor (see `scripts/openstack`).

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::require::skip;

/// Its services do not all try again what sqlite or a busy keystone refuses them while they start.
const START_TRIES: u32 = 2;

/// What a control plane is to be like; the environment variables of `scripts/openstack/up`.
#[derive(Clone, Debug, Default)]
pub struct OpenStackConfig {
    /// Regions, each with its own services; empty: `RegionOne`.
    pub regions: Vec<String>,
    /// More variables: `OSLAB_QUOTA_CORES`, `OSLAB_TOKEN_SECONDS`, ….
    pub env: BTreeMap<String, String>,
}

/// A running control plane; it is stopped and its state removed on drop.
#[derive(Debug)]
pub struct OpenStackLab {
    dir: TempDir,
    env: BTreeMap<String, String>,
    port: u16,
    regions: Vec<String>,
}

impl OpenStackLab {
    /// Starts one and waits until it answers (half a minute); `None` if it is not installed (see [`crate::require`]).
    #[track_caller]
    pub fn start(config: &OpenStackConfig) -> Option<Self> {
        if !root().join(".peers/openstack/ready").is_file() {
            skip("OpenStack is not installed: run `make setup`");
            return None;
        }
        for _ in 1..START_TRIES {
            let lab = Self::of(config);
            match lab.up() {
                Ok(()) => return Some(lab),
                Err(said) => eprintln!("OpenStack did not come up and is started anew: {said}"),
            }
        }
        let lab = Self::of(config);
        match lab.up() {
            Ok(()) => Some(lab),
            Err(said) => panic!("OpenStack did not come up: {said}"),
        }
    }

    fn of(config: &OpenStackConfig) -> Self {
        let dir = TempDir::new().expect("a directory for OpenStack can be created");
        let regions =
            if config.regions.is_empty() { vec!["RegionOne".to_owned()] } else { config.regions.clone() };
        let port = block_of_ports(10 * (regions.len() as u16 + 1));
        let mut env = config.env.clone();
        env.insert("OSLAB_DIR".to_owned(), state(&dir).display().to_string());
        env.insert("OSLAB_PORT".to_owned(), port.to_string());
        env.insert("OSLAB_REGIONS".to_owned(), regions.join(" "));
        Self { dir, env, port, regions }
    }

    /// Starts it; else what its start has said.
    fn up(&self) -> Result<(), String> {
        let log = self.dir.path().join("up.log");
        let file = fs::File::create(&log).expect("the log can be created");
        let errors = file.try_clone().expect("the file handle can be duplicated");
        let mut up = Command::new(root().join("scripts/openstack/up"));
        let status =
            up.envs(&self.env).stdin(std::process::Stdio::null()).stdout(file).stderr(errors).status();
        let status = status.expect("scripts/openstack/up can be run");
        if status.success() { Ok(()) } else { Err(fs::read_to_string(log).unwrap_or_default()) }
    }

    /// The URL of keystone.
    pub fn auth_url(&self) -> String {
        format!("http://127.0.0.1:{}/v3", self.port)
    }

    /// The `clouds.yaml` with `admin`, `ehos-a`, `ehos-b`, and `NAME-REGION` for further regions.
    pub fn clouds_yaml(&self) -> PathBuf {
        state(&self.dir).join("clouds.yaml")
    }

    /// Tells the hypervisor how to behave (`scripts/openstack/py/oslab_virt.py`), from the next server on.
    pub fn hypervisor(&self, knobs: &Value) {
        replace(&state(&self.dir).join("virt.json"), knobs);
    }

    /// Injects faults (`scripts/openstack/py/oslab_wsgi.py`); an empty list ends them.
    pub fn faults(&self, rules: &Value) {
        replace(&state(&self.dir).join("faults.json"), rules);
    }

    /// The requests that a service has answered, one line each: time, method, path, status, milliseconds, user agent (by
    /// which ours are told from those that the services send each other). `service` is `keystone` or `REGION-nova`, ….
    pub fn access_log(&self, service: &str) -> Vec<String> {
        let text = fs::read_to_string(state(&self.dir).join(format!("log/{service}-access.log")));
        text.unwrap_or_default().lines().map(str::to_owned).collect()
    }

    /// Runs a Python program with `openstacksdk`: what another user of the project does. `conn` is connected to the cloud
    /// of that name; what it prints is returned.
    #[track_caller]
    pub fn python(&self, cloud: &str, program: &str) -> String {
        let text = format!("import openstack\nconn = openstack.connect(cloud={cloud:?})\n{program}");
        let python = root().join(".peers/openstack/venv/bin/python");
        let mut command = Command::new(python);
        command.args(["-c", &text]).env("OS_CLIENT_CONFIG_FILE", self.clouds_yaml()).env_remove("PYTHONPATH");
        let output = command.output().expect("the interpreter can be run");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// The user-data that a server was made with.
    pub fn user_data(&self, server_id: &str) -> Option<String> {
        fs::read_to_string(state(&self.dir).join(format!("userdata-{server_id}"))).ok()
    }

    /// The names of its regions.
    pub fn regions(&self) -> &[String] {
        &self.regions
    }

    /// Halts a service with SIGSTOP, or lets it go on: one that is there and does not answer.
    pub fn pause(&self, service: &str, paused: bool) {
        let file = state(&self.dir).join(format!("pids/{service}.pid"));
        let pid = fs::read_to_string(file).expect("the service has a pid file");
        let signal = if paused { rustix::process::Signal::STOP } else { rustix::process::Signal::CONT };
        crate::daemon::send_signal(pid.trim().parse().expect("a pid is a number"), signal);
    }
}

impl Drop for OpenStackLab {
    fn drop(&mut self) {
        let down = Command::new(root().join("scripts/openstack/down")).envs(&self.env).status();
        if !down.is_ok_and(|status| status.success()) {
            eprintln!("scripts/openstack/down failed");
        }
    }
}

fn state(dir: &TempDir) -> PathBuf {
    dir.path().join("state")
}

pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Whole, in one step: the services read it at any moment.
fn replace(path: &Path, value: &Value) {
    let new = path.with_extension("new");
    fs::write(&new, value.to_string()).expect("the file can be written");
    // The services notice a change by this time, and the kernel's own has the resolution of its tick.
    let file = fs::File::options().write(true).open(&new).expect("the file is there");
    file.set_modified(std::time::SystemTime::now()).expect("the file is ours");
    fs::rename(&new, path).expect("the file can be replaced");
}

/// The first of so many ports in a row of which none is taken. They lie below those of [`crate::free_port`], each process
/// looking from a place of its own.
fn block_of_ports(count: u16) -> u16 {
    let range = 9_100..17_900 - count;
    let span = range.end - range.start;
    let start = (std::process::id() as u16).wrapping_mul(61) % span;
    (0..span)
        .step_by(usize::from(count))
        .map(|offset| range.start + (start + offset) % span)
        .find(|first| {
            (*first..first + count).all(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok())
        })
        .expect("some ports in a row are free")
}
