//! Real etcd, one member or several, on ports of its own.

use crate::daemon::Daemon;
use crate::ports::free_port;
use crate::require::require_program;
use crate::wait::wait_until;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

/// How long a member may take until it serves.
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// What to do where etcd is missing.
const HINT: &str = "run `make setup` as root, or install etcd-server and etcd-client";

/// An etcd cluster that ends with its test.
#[derive(Debug)]
pub struct Etcd {
    /// The members, each a process.
    pub members: Vec<Daemon>,
    ports: Vec<u16>,
    _dir: TempDir,
}

impl Etcd {
    /// Starts so many members and waits until all serve; none where etcd is missing.
    pub fn start(members: usize) -> Option<Self> {
        Self::start_with(members, "http", &[])
    }

    /// The same with another scheme for clients, and with further options for each member.
    pub fn start_with(members: usize, scheme: &str, options: &[OsString]) -> Option<Self> {
        let program = require_program("etcd", HINT)?;
        let dir = TempDir::new().expect("a directory for etcd's data can be created");
        let ports: Vec<(u16, u16)> = (0..members).map(|_| (free_port(), free_port())).collect();
        let peer_url = |port: u16| format!("http://127.0.0.1:{port}");
        let initial: Vec<String> =
            ports.iter().enumerate().map(|(n, (_, peer))| format!("m{n}={}", peer_url(*peer))).collect();
        let started = ports.iter().enumerate().map(|(n, (client, peer))| {
            let (client, peer) = (format!("{scheme}://127.0.0.1:{client}"), peer_url(*peer));
            let mut command = Command::new(&program);
            command
                .args(["--name", &format!("m{n}"), "--data-dir"])
                .arg(dir.path().join(format!("m{n}")))
                .args(["--listen-client-urls", &client, "--advertise-client-urls", &client])
                .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
                .args(["--initial-cluster", &initial.join(","), "--initial-cluster-state", "new"])
                .args(["--logger", "zap"])
                .args(options);
            Daemon::spawn("etcd", command)
        });
        let started = started.collect();
        let ports = ports.into_iter().map(|(client, _)| client).collect();
        let mut etcd = Self { members: started, ports, _dir: dir };
        for member in 0..members {
            etcd.wait_for(member);
        }
        Some(etcd)
    }

    /// Where each member serves clients, on 127.0.0.1.
    pub fn ports(&self) -> &[u16] {
        &self.ports
    }

    /// Waits until a member listens for clients, which it does when it is ready for them.
    #[track_caller]
    pub fn wait_for(&mut self, member: usize) {
        let port = self.ports[member];
        let daemon = &mut self.members[member];
        wait_until(START_TIMEOUT, "etcd listens for clients", || {
            assert!(daemon.is_running(), "etcd ended: {}", daemon.output());
            TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
    }

    /// The text of a file that names the members, in the form of LDMS Maestro.
    pub fn cluster_file(&self) -> String {
        let members = self.ports.iter().map(|port| format!("  - host: 127.0.0.1\n    port: {port}\n"));
        format!("cluster: test\nmembers:\n{}", members.collect::<String>())
    }

    /// Every key below a prefix with its value, as etcd's own client shows them; none where that is missing.
    #[track_caller]
    pub fn dump(&self, prefix: &str) -> Option<BTreeMap<String, String>> {
        let text = self.etcdctl(&["get", "--prefix", prefix])?;
        let lines: Vec<&str> = text.lines().collect();
        // Keys and values take turns.
        Some(
            lines
                .chunks(2)
                .map(|pair| (pair[0].to_owned(), pair.get(1).unwrap_or(&"").to_string()))
                .collect(),
        )
    }

    /// Runs etcd's own client on all members and returns what it printed; none where it is missing.
    #[track_caller]
    pub fn etcdctl(&self, arguments: &[&str]) -> Option<String> {
        let program = require_program("etcdctl", HINT)?;
        let members: Vec<String> = self.ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
        let mut command = Command::new(program);
        command.env("ETCDCTL_API", "3").arg("--endpoints").arg(members.join(",")).args(arguments);
        let output = command.output().expect("etcdctl can be started");
        assert!(output.status.success(), "etcdctl: {}", String::from_utf8_lossy(&output.stderr));
        Some(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}
