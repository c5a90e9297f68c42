//! A docker engine, a directory with compose files, and a HostManager over both.

#![allow(dead_code, reason = "every test file uses a part of it")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use campanile_host::drive::docker::{Address, Options};
use campanile_host::model::{Operable, Program, Spec, StopPolicy, Target};
use campanile_host::relaunch::RestartPolicy;
use campanile_host::reload::Wanted;
use campanile_testkit::DockerEngine;
use serde_json::Value;

use crate::world::World;

pub(crate) mod proxy;

/// The compose files of a test.
pub(crate) struct Yard {
    pub(crate) engine: DockerEngine,
    dir: tempfile::TempDir,
}

impl Yard {
    /// A yard with an engine that may be stopped, if one can be had.
    #[track_caller]
    pub(crate) fn own() -> Option<Self> {
        Some(Self { engine: DockerEngine::own()?, dir: tempfile::tempdir().unwrap() })
    }

    /// A yard with any engine.
    #[track_caller]
    pub(crate) fn open() -> Option<Self> {
        Some(Self { engine: DockerEngine::require()?, dir: tempfile::tempdir().unwrap() })
    }

    /// The path of a file of the yard.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a file of the yard.
    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// Writes a compose file with these services, each of which sleeps.
    pub(crate) fn services(&self, name: &str, services: &[&str]) {
        let text: String = services.iter().map(|service| sleeper(service, DockerEngine::IMAGE)).collect();
        self.write(name, &format!("services:\n{text}"));
    }

    /// Runs compose for a file of the yard, as an operator does by hand.
    #[track_caller]
    pub(crate) fn compose(&self, files: &[&str], args: &[&str]) -> String {
        let paths: Vec<String> = files.iter().map(|file| self.path(file).display().to_string()).collect();
        let mut argv = vec!["compose"];
        for path in &paths {
            argv.extend(["-f", path]);
        }
        argv.extend(args);
        self.engine.docker(&argv)
    }

    /// What a HostManager needs to manage these files of the yard.
    pub(crate) fn options(&self, files: &[&str]) -> Options {
        self.options_at(files, self.engine.host())
    }

    /// The same with the engine at another address.
    pub(crate) fn options_at(&self, files: &[&str], host: &str) -> Options {
        Options {
            files: files.iter().map(|file| (*file).to_owned()).collect(),
            working_dir: self.dir.path().to_owned(),
            compose_bin: Some(DockerEngine::compose()),
            address: Address { host: host.to_owned() },
        }
    }
}

/// A service that does nothing and heeds SIGTERM at once.
pub(crate) fn sleeper(name: &str, image: &str) -> String {
    service(name, image, "trap 'exit 0' TERM; sleep 100000 & wait")
}

/// A service that runs a shell script.
pub(crate) fn service(name: &str, image: &str, script: &str) -> String {
    let script = serde_json::json!(["/bin/sh", "-c", script.replace('$', "$$")]);
    format!("  {name}:\n    image: {image}\n    network_mode: none\n    command: {script}\n")
}

/// An instance that docker keeps as the service `ocs-ID`.
pub(crate) fn docked(id: &str, start: Target) -> Wanted {
    let spec = Spec {
        instance_id: id.to_owned(),
        agent_class: "Fake[d?]".to_owned(),
        program: Program::Docker(format!("ocs-{id}")),
        stop: StopPolicy { grace_ms: 60_000, kill: true },
        restart: RestartPolicy { delay_ms: 50, max_ms: 400 },
        start,
        ..(*crate::world::script(id, "").spec).clone()
    };
    Wanted { spec: Arc::new(spec), operable: Operable::Pending("waits".to_owned()), problem: None }
}

/// Class, target and state of an instance, as a client sees them.
pub(crate) fn seen(world: &World, id: &str) -> String {
    world.child(id).map_or("gone".to_owned(), |child| {
        let text = |key: &str| child[key].as_str().unwrap_or("-").to_owned();
        format!("{} {} {}", text("agent_class"), text("target_state"), text("next_action"))
    })
}

/// Waits until an instance is seen like this.
#[track_caller]
pub(crate) fn until_seen<'a>(world: &'a World, id: &'a str, what: &'a str) -> impl Future<Output = ()> + 'a {
    let caller = std::panic::Location::caller();
    async move {
        let deadline = std::time::Instant::now() + crate::world::SOON;
        while seen(world, id) != what {
            let now = seen(world, id);
            let (data, told) = (world.manager.data(), world.messages());
            assert!(
                std::time::Instant::now() < deadline,
                "{caller}: {id} is {now}, not {what}\n{data:#}\n{told}"
            );
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
    }
}

/// The status of a compose file: success, time, message.
pub(crate) fn file_status(world: &World, file: &str) -> Option<(bool, f64, String)> {
    let data = world.manager.data();
    let status: &Value = data["config_parse_status"].get(file)?;
    Some((status[0].as_bool()?, status[1].as_f64()?, status[2].as_str()?.to_owned()))
}

/// A path as docker labels have it.
pub(crate) fn real(path: &Path) -> PathBuf {
    std::fs::canonicalize(path).unwrap()
}
