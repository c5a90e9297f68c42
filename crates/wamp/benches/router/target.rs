//! The routers that are measured, each in processes of its own.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use campanile_testkit::{Crossbar, CrossbarConfig, Daemon, free_port, http_request, rss_of, wait_until};
use campanile_wamp::net::server::{Router, RouterConfig};

use crate::peer::REALM;

const ADDRESS_ROOT: &str = "observatory";
/// With this as its first argument this program is the router.
const SERVE: &str = "--serve-router";

/// A running router.
pub(crate) struct Target {
    port: u16,
    pids: Vec<u32>,
    /// Held for as long as it runs.
    _process: Process,
}

enum Process {
    Ours(#[expect(dead_code, reason = "stops it when dropped")] Daemon),
    Theirs(#[expect(dead_code, reason = "stops it when dropped")] Crossbar),
}

/// One measured value, and what the machine was doing.
pub(crate) struct Figure {
    pub(crate) value: f64,
    pub(crate) state: String,
}

impl Target {
    pub(crate) fn ours() -> Option<Self> {
        let port = free_port();
        let mut command = match program() {
            Some(program) => {
                let mut command = Command::new(program);
                command.args(["router", "--listen", &format!("127.0.0.1:{port}"), "--realm", REALM]);
                command.args(["--address-root", ADDRESS_ROOT]);
                command
            }
            None => {
                let mut command = Command::new(std::env::current_exe().ok()?);
                command.args([SERVE, &port.to_string()]);
                command
            }
        };
        command.env_remove("RUST_LOG");
        let daemon = Daemon::spawn("router", command);
        wait_until(Duration::from_secs(20), "our router answers", || {
            matches!(http_request(port, "GET", "/info", &[], b""), Ok((200, ..)))
        });
        Some(Self { port, pids: vec![daemon.pid()], _process: Process::Ours(daemon) })
    }

    pub(crate) fn crossbar() -> Option<Self> {
        let mut crossbar = Crossbar::start(CrossbarConfig::default())?;
        let (port, pids) = (crossbar.port(), crossbar.daemon().processes());
        Some(Self { port, pids, _process: Process::Theirs(crossbar) })
    }

    pub(crate) fn measure(self, measure: fn(u16, &Self) -> f64) -> Figure {
        let before = load_average();
        let value = measure(self.port, &self);
        let cpus = self.pids.last().map_or("?".to_owned(), |&pid| allowed_cpus(pid));
        let state = format!("load {before} to {}, cpus {cpus}", load_average());
        Figure { value, state }
    }

    /// CPU time used by all threads of all its processes.
    pub(crate) fn cpu(&self) -> Duration {
        self.pids.iter().map(|&pid| cpu_of(pid)).sum()
    }

    /// Resident memory of all its processes, in MiB.
    pub(crate) fn rss_mib(&self) -> f64 {
        let bytes: u64 = self.pids.iter().filter_map(|&pid| rss_of(pid)).sum();
        bytes as f64 / f64::from(1 << 20)
    }
}

/// If this process was started to be the router, it is that until it is killed.
pub(crate) fn serve_if_asked() -> bool {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, serve, port] = arguments.as_slice() else { return false };
    if serve != SERVE {
        return false;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let served = runtime.and_then(|runtime| {
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind(format!("127.0.0.1:{port}")).await?;
            let router = Router::new(RouterConfig::for_ocs(REALM, ADDRESS_ROOT));
            router.serve(listener, std::future::pending()).await
        })
    });
    if let Err(error) = served {
        eprintln!("the router ended: {error}");
    }
    true
}

/// The program to measure, if there is one.
fn program() -> Option<PathBuf> {
    if let Some(program) = std::env::var_os("CAMPANILE_BIN") {
        return Some(program.into());
    }
    // target/release/deps/router-… lies beside target/release/campanile.
    let program = std::env::current_exe().ok()?.parent()?.parent()?.join("campanile");
    program.is_file().then_some(program)
}

/// The time that the threads of a process have run, in the kernel's own nanoseconds.
fn cpu_of(pid: u32) -> Duration {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return Duration::ZERO };
    threads
        .filter_map(|thread| {
            let stat = fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
            stat.split(' ').next()?.parse().ok().map(Duration::from_nanos)
        })
        .sum()
}

fn load_average() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().unwrap_or("?").to_owned()
}

fn allowed_cpus(pid: u32) -> String {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    line.map_or("?", str::trim).to_owned()
}
