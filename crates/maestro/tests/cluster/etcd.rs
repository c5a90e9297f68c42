//! Real etcd, one member or three, on ports of its own.

use std::net::TcpStream;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use campanile_store::Store;
use campanile_store::etcd::{ClusterFile, EtcdStore, Member};
use campanile_testkit::{Daemon, free_port, require_program, wait_until};
use tempfile::TempDir;

/// A cluster, which ends with the test.
pub(crate) struct Etcd {
    pub(crate) members: Vec<Daemon>,
    file: ClusterFile,
    _dir: TempDir,
}

impl Etcd {
    /// Starts so many members; none where etcd is missing.
    pub(crate) fn start(count: usize) -> Option<Self> {
        let program = require_program("etcd", "run `make setup` as root, or install etcd-server")?;
        let dir = TempDir::new().unwrap();
        let ports: Vec<(u16, u16)> = (0..count).map(|_| (free_port(), free_port())).collect();
        let peers: Vec<String> = ports
            .iter()
            .enumerate()
            .map(|(at, (_, peer))| format!("m{at}=http://127.0.0.1:{peer}"))
            .collect();
        let members = ports.iter().enumerate().map(|(at, (client, peer))| {
            let (client, peer) = (format!("http://127.0.0.1:{client}"), format!("http://127.0.0.1:{peer}"));
            let mut command = Command::new(&program);
            command
                .args(["--name", &format!("m{at}"), "--data-dir"])
                .arg(dir.path().join(format!("m{at}")))
                .args(["--listen-client-urls", &client, "--advertise-client-urls", &client])
                .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
                .args(["--initial-cluster", &peers.join(","), "--initial-cluster-state", "new"])
                .args(["--logger", "zap"]);
            Daemon::spawn("etcd", command)
        });
        let members = members.collect();
        let addresses = ports.iter().map(|(client, _)| Member { host: "127.0.0.1".into(), port: *client });
        let file = ClusterFile { members: addresses.collect(), ..ClusterFile::default() };
        let mut etcd = Self { members, file, _dir: dir };
        (0..count).for_each(|member| etcd.wait_for(member));
        Some(etcd)
    }

    /// Waits until a member listens for clients, which it does when it is ready for them.
    pub(crate) fn wait_for(&mut self, member: usize) {
        let port = self.file.members[member].port;
        let daemon = &mut self.members[member];
        wait_until(Duration::from_secs(60), "etcd listens for clients", || {
            assert!(daemon.is_running(), "etcd ended: {}", daemon.output());
            TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
    }

    pub(crate) fn store(&self) -> Arc<dyn Store> {
        Arc::new(EtcdStore::open(&self.file).unwrap())
    }
}
