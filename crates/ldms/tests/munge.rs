//! The `munge` plugin with Debian's munged, against simulated daemons, and against a real one where `LDMSD` names it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

mod common;

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use campanile_ldms::auth::munge::Munge;
use campanile_testkit::{Daemon, require_program, wait_until};
use common::{Site, scenarios};

/// A munged with a key and a socket of its own.
struct Munged {
    _daemon: Daemon,
    dir: tempfile::TempDir,
}

impl Munged {
    fn start() -> Option<Self> {
        let program = require_program("munged", "install the package munge: run `make setup`")?;
        let dir = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let key = dir.path().join("key");
        std::fs::write(&key, [7; 128]).unwrap();
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
        let mut command = Command::new(program);
        let file = |name: &str| dir.path().join(name);
        command.arg("--foreground").arg("--force").arg("--key-file").arg(&key);
        command.arg("--socket").arg(file("socket")).arg("--pid-file").arg(file("pid"));
        command.arg("--log-file").arg(file("log")).arg("--seed-file").arg(file("seed"));
        let daemon = Daemon::spawn("munged", command);
        let socket = file("socket");
        wait_until(Duration::from_secs(20), "munged's socket", || socket.exists());
        Some(Self { _daemon: daemon, dir })
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("socket")
    }
}

#[tokio::test]
async fn munge_authenticates_to_simulated_daemons() {
    let Some(munged) = Munged::start() else { return };
    scenarios::munge_peers_show_credentials(&Site::simulated(), &munged.socket()).await;
}

#[tokio::test]
async fn munge_authenticates_to_a_real_daemon() {
    let Some(site) = Site::real() else { return };
    let Some(munged) = Munged::start() else { return };
    scenarios::munge_peers_show_credentials(&site, &munged.socket()).await;
}

#[tokio::test]
async fn credentials_of_munged_and_of_its_tool_are_the_same_thing() {
    let Some(munged) = Munged::start() else { return };
    if require_program("munge", "install the package munge: run `make setup`").is_none() {
        return;
    }
    let munge = Munge::new(Some(&munged.socket()));
    let credential = munge.encode(b"payload").await.unwrap();
    assert!(credential.starts_with("MUNGE:"), "{credential}");
    let decoded = munge.decode(credential.as_bytes()).await.unwrap();
    assert_eq!(decoded.payload.as_deref(), Some(&b"payload"[..]));
    assert_eq!(decoded.peer.uid, rustix::process::getuid().as_raw());
    // A credential is good once.
    let again = munge.decode(credential.as_bytes()).await.unwrap_err().to_string();
    assert!(again.to_lowercase().contains("replayed"), "{again}");
    // What the tool makes, munged's protocol reads.
    let output = Command::new("munge")
        .arg("--socket")
        .arg(munged.socket())
        .arg("--string")
        .arg("by the tool")
        .output();
    let by_tool = output.unwrap().stdout;
    let decoded = munge.decode(by_tool.trim_ascii_end()).await.unwrap();
    assert_eq!(decoded.payload.as_deref(), Some(&b"by the tool"[..]));
}

#[tokio::test]
async fn without_munged_the_error_says_what_was_looked_for() {
    let munge = Munge::new(Some(Path::new("/nonexistent/munge.socket")));
    let error = munge.encode(b"x").await.unwrap_err().to_string();
    assert!(error.contains("munge"), "{error}");
}
