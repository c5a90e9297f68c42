//! Real etcd, one member or several, on ports of its own.

use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use campanile_store::etcd::{ClusterFile, EtcdStore, Member, Timeouts};
use campanile_testkit::{Daemon, free_port, require_program, wait_until};
use tempfile::TempDir;

/// A cluster, which ends with the test.
pub(crate) struct Cluster {
    pub(crate) members: Vec<Daemon>,
    pub(crate) file: ClusterFile,
    pub(crate) dir: TempDir,
}

/// Options that give every member certificates, and want one of its clients.
pub(crate) struct Certificates {
    pub(crate) ca: std::path::PathBuf,
    pub(crate) cert: std::path::PathBuf,
    pub(crate) key: std::path::PathBuf,
}

impl Cluster {
    /// Starts so many members; none where etcd is missing.
    pub(crate) fn start(count: usize) -> Option<Self> {
        Self::start_with(count, None)
    }

    pub(crate) fn start_with(count: usize, tls: Option<&Certificates>) -> Option<Self> {
        let program = require_program("etcd", "run `make setup` as root, or install etcd-server")?;
        let dir = TempDir::new().unwrap();
        let ports: Vec<(u16, u16)> = (0..count).map(|_| (free_port(), free_port())).collect();
        let initial: Vec<String> =
            ports.iter().enumerate().map(|(n, (_, peer))| format!("m{n}=http://127.0.0.1:{peer}")).collect();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let members = ports.iter().enumerate().map(|(n, (client, peer))| {
            let mut command = Command::new(&program);
            let client = format!("{scheme}://127.0.0.1:{client}");
            let peer = format!("http://127.0.0.1:{peer}");
            command
                .args(["--name", &format!("m{n}"), "--data-dir"])
                .arg(dir.path().join(format!("m{n}")))
                .args(["--listen-client-urls", &client, "--advertise-client-urls", &client])
                .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
                .args(["--initial-cluster", &initial.join(","), "--initial-cluster-state", "new"])
                .args(["--logger", "zap"]);
            if let Some(tls) = tls {
                command.arg("--cert-file").arg(&tls.cert).arg("--key-file").arg(&tls.key);
                command.arg("--trusted-ca-file").arg(&tls.ca).arg("--client-cert-auth");
            }
            Daemon::spawn("etcd", command)
        });
        let members = members.collect();
        let addresses = ports.iter().map(|(client, _)| Member { host: "127.0.0.1".into(), port: *client });
        let file = ClusterFile { members: addresses.collect(), ..ClusterFile::default() };
        let mut cluster = Self { members, file, dir };
        for member in 0..count {
            cluster.wait_for(member);
        }
        Some(cluster)
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

    pub(crate) fn store(&self) -> EtcdStore {
        EtcdStore::open(&self.file).unwrap()
    }

    /// The store as somebody sees it who soon gives up.
    pub(crate) fn impatient_store(&self) -> EtcdStore {
        let timeouts = Timeouts { call: Duration::from_secs(3), ..Timeouts::default() };
        EtcdStore::open_with(&self.file, timeouts).unwrap()
    }

    /// The store as somebody sees it who names one member only.
    pub(crate) fn store_of(&self, member: usize) -> EtcdStore {
        let file = ClusterFile { members: vec![self.file.members[member].clone()], ..self.file.clone() };
        EtcdStore::open(&file).unwrap()
    }

    /// The client library itself, for what a store does not do.
    pub(crate) async fn client(&self) -> etcd_client::Client {
        let member = &self.file.members[0];
        etcd_client::Client::connect([format!("127.0.0.1:{}", member.port)], None).await.unwrap()
    }
}

/// Makes an authority and a certificate for 127.0.0.1 with the openssl command.
pub(crate) fn certificates(dir: &Path) -> Option<Certificates> {
    let openssl = require_program("openssl", "install openssl")?;
    let run = |args: &[&str]| {
        let output = Command::new(&openssl).args(args).current_dir(dir).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    let new_key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout"];
    let authority = ["req", "-x509", "-days", "2", "-subj", "/CN=test authority", "-out", "ca.pem"];
    run(&[&authority[..], &new_key, &["ca.key"]].concat());
    run(&[&["req", "-subj", "/CN=member", "-out", "member.csr"][..], &new_key, &["member.key"]].concat());
    std::fs::write(
        dir.join("names"),
        "subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth\n",
    )
    .unwrap();
    let sign = ["x509", "-req", "-days", "2", "-in", "member.csr", "-CA", "ca.pem", "-CAkey", "ca.key"];
    run(&[&sign[..], &["-CAcreateserial", "-extfile", "names", "-out", "member.pem"]].concat());
    let path = |name: &str| dir.join(name);
    Some(Certificates { ca: path("ca.pem"), cert: path("member.pem"), key: path("member.key") })
}
