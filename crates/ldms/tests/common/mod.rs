//! Where the client suite runs: on simulated daemons always, on real ones where `LDMSD` names a program.

#![allow(dead_code, reason = "each test binary uses a part of it")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;
use std::time::Duration;

use campanile_ldms::api::Call;
use campanile_ldms::auth::{Auth, config};
use campanile_ldms::client::{CallError, Client, ConnectError, Endpoint, Options};
use campanile_ldms::sim::daemon::Options as SimOptions;
use campanile_ldms::sim::fleet::Fleet;
use campanile_testkit::{Daemon, Signal, free_port};

pub(crate) mod raw;
pub(crate) mod record;
pub(crate) mod scenarios;
pub(crate) mod transcript;

/// How long anything may take before a test gives up; never waited for in full unless something is wrong.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// How daemons of a test authenticate.
#[derive(Debug, Clone)]
pub(crate) enum Way {
    None,
    Naive { uid: u32, gid: u32 },
    Ovis(PathBuf),
    Munge(PathBuf),
}

impl Way {
    /// The options of `ldmsd -a`, and of our client.
    fn arguments(&self) -> (&'static str, Vec<(String, String)>) {
        let pair = |key: &str, value: String| (key.to_owned(), value);
        match self {
            Self::None => ("none", vec![]),
            Self::Naive { uid, gid } => {
                ("naive", vec![pair("uid", uid.to_string()), pair("gid", gid.to_string())])
            }
            Self::Ovis(file) => ("ovis", vec![pair("conf", file.display().to_string())]),
            Self::Munge(socket) => ("munge", vec![pair("socket", socket.display().to_string())]),
        }
    }

    pub(crate) fn auth(&self) -> Auth {
        let (plugin, options) = self.arguments();
        config::load(plugin, &options, &|_| None).unwrap()
    }
}

/// A place with daemons.
pub(crate) enum Site {
    Simulated(Fleet),
    Real { program: PathBuf, daemons: Mutex<HashMap<String, Daemon>> },
}

impl Site {
    pub(crate) fn simulated() -> Self {
        Self::Simulated(Fleet::new())
    }

    /// Real daemons, if `LDMSD` names the program.
    pub(crate) fn real() -> Option<Self> {
        match std::env::var_os("LDMSD").filter(|program| !program.is_empty()) {
            Some(program) => Some(Self::Real { program: program.into(), daemons: Mutex::default() }),
            None => {
                eprintln!("skipped: LDMSD names no ldmsd; this suite is for runs by hand");
                None
            }
        }
    }

    pub(crate) fn is_real(&self) -> bool {
        matches!(self, Self::Real { .. })
    }

    /// Starts a daemon that authenticates nobody.
    pub(crate) async fn start(&self, name: &str) -> Endpoint {
        self.start_with(name, &Way::None).await
    }

    /// Starts a daemon and waits until it listens.
    pub(crate) async fn start_with(&self, name: &str, way: &Way) -> Endpoint {
        let port = match self {
            Self::Simulated(fleet) => {
                let mut options = SimOptions::new(name, 0);
                options.auth = way.auth();
                fleet.start(options).unwrap()
            }
            Self::Real { program, daemons } => {
                let port = free_port();
                let mut command = Command::new(program);
                command.args([
                    "-x",
                    &format!("sock:{port}:127.0.0.1"),
                    "-n",
                    name,
                    "-m",
                    "64M",
                    "-v",
                    "ERROR",
                ]);
                let (plugin, options) = way.arguments();
                command.args(["-a", plugin]);
                for (key, value) in options {
                    command.args(["-A", &format!("{key}={value}")]);
                }
                daemons.lock().unwrap().insert(name.to_owned(), Daemon::spawn(name, command));
                port
            }
        };
        let endpoint = Endpoint::sock("127.0.0.1", port);
        wait_for("the daemon to listen", || async {
            tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok().then_some(())
        })
        .await;
        endpoint
    }

    /// Stops a daemon as SIGSTOP does.
    pub(crate) async fn hang(&self, name: &str) {
        match self {
            Self::Simulated(fleet) => fleet.hang(name).unwrap(),
            Self::Real { daemons, .. } => {
                let pid = {
                    let mut daemons = daemons.lock().unwrap();
                    let daemon = daemons.get_mut(name).unwrap();
                    daemon.signal(Signal::STOP);
                    daemon.pid()
                };
                // The signal is on its way when it has been sent; threads stop one after the other.
                wait_for("the daemon to hang", || async { all_threads_stopped(pid).then_some(()) }).await;
            }
        }
    }

    pub(crate) fn resume(&self, name: &str) {
        match self {
            Self::Simulated(fleet) => fleet.resume(name).unwrap(),
            Self::Real { daemons, .. } => daemons.lock().unwrap().get_mut(name).unwrap().signal(Signal::CONT),
        }
    }

    pub(crate) fn crash(&self, name: &str) {
        match self {
            Self::Simulated(fleet) => fleet.crash(name).unwrap(),
            Self::Real { daemons, .. } => daemons.lock().unwrap().get_mut(name).unwrap().kill9(),
        }
    }

    /// Starts a crashed daemon again, at its port, without what it was told before.
    pub(crate) async fn restart(&self, name: &str) {
        match self {
            Self::Simulated(fleet) => fleet.restart(name).unwrap(),
            Self::Real { daemons, .. } => daemons.lock().unwrap().get_mut(name).unwrap().restart(),
        }
    }

    pub(crate) async fn has_ended(&self, name: &str) {
        wait_for("the daemon's end", || async {
            let up = match self {
                Self::Simulated(fleet) => fleet.is_up(name).unwrap(),
                Self::Real { daemons, .. } => daemons.lock().unwrap().get_mut(name).unwrap().is_running(),
            };
            (!up).then_some(())
        })
        .await;
    }
}

/// Options of a client, patient unless a test says otherwise.
pub(crate) fn options(way: &Way) -> Options {
    Options { auth: way.auth(), connect_timeout: PATIENCE, request_timeout: PATIENCE, ..Options::default() }
}

pub(crate) async fn connect(endpoint: &Endpoint) -> Client {
    connect_with(endpoint, &Way::None).await.unwrap()
}

pub(crate) async fn connect_with(endpoint: &Endpoint, way: &Way) -> Result<Client, ConnectError> {
    Client::connect(endpoint, &options(way)).await
}

/// Sends a command line; the error number and the text of the answer.
pub(crate) async fn tell(client: &Client, line: &str) -> (u32, String) {
    let request = campanile_ldms::command::parse(line).unwrap().unwrap();
    let response = client.request(request).await.unwrap();
    (response.errcode, response.text())
}

/// Sends a command line that must be accepted.
#[track_caller]
pub(crate) fn accepted(line: &str, answer: (u32, String)) -> String {
    assert_eq!(answer.0, 0, "{line}: {}", answer.1);
    answer.1
}

/// Sends commands that must all be accepted.
pub(crate) async fn tell_all(client: &Client, lines: &[&str]) {
    for line in lines {
        let answer = tell(client, line).await;
        accepted(line, answer);
    }
}

/// The error number of a refused call.
pub(crate) async fn refused<C: Call>(client: &Client, call: &C) -> u32
where
    C::Reply: std::fmt::Debug,
{
    let error: CallError = client.call(call).await.unwrap_err();
    error.refusal().unwrap_or_else(|| panic!("{error}")).errno
}

/// Looks again until there is a result; panics when that takes too long.
pub(crate) async fn wait_for<T, F: Future<Output = Option<T>>>(what: &str, mut look: impl FnMut() -> F) -> T {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(tokio::time::Instant::now() < deadline, "waited in vain for {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn all_threads_stopped(pid: u32) -> bool {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    threads.flatten().all(|thread| {
        let stat = std::fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('T'))
    })
}
