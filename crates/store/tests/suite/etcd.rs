//! Stores on real etcd, and certificates for it.

use std::ffi::OsString;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use campanile_store::etcd::{ClusterFile, EtcdStore, Member, Timeouts};
use campanile_testkit::{Etcd, require_program};

/// A cluster, which ends with the test, and the file that names it.
pub(crate) struct Cluster {
    pub(crate) etcd: Etcd,
    pub(crate) file: ClusterFile,
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
        Etcd::start(count).map(Self::of)
    }

    /// Starts one member that serves over TLS, to those who have a certificate.
    pub(crate) fn start_with(tls: &Certificates) -> Option<Self> {
        let option = |name: &str, file: &Path| [OsString::from(name), file.into()];
        let mut options = vec![OsString::from("--client-cert-auth")];
        options.extend(option("--cert-file", &tls.cert));
        options.extend(option("--key-file", &tls.key));
        options.extend(option("--trusted-ca-file", &tls.ca));
        Etcd::start_with(1, "https", &options).map(Self::of)
    }

    fn of(etcd: Etcd) -> Self {
        let members = etcd.ports().iter().map(|port| Member { host: "127.0.0.1".into(), port: *port });
        let file = ClusterFile { members: members.collect(), ..ClusterFile::default() };
        Self { etcd, file }
    }

    pub(crate) fn store(&self) -> EtcdStore {
        EtcdStore::open(&self.file).unwrap()
    }

    /// The store as somebody sees it who soon gives up.
    pub(crate) fn impatient_store(&self) -> EtcdStore {
        let soon = Duration::from_secs(1);
        let timeouts = Timeouts { connect: soon, request: soon, bulk: soon, call: soon };
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
