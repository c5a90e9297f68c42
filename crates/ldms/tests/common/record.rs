//! A proxy that writes down what is said through it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends there")]

use std::fmt::Write as _;
use std::path::Path;
use std::sync::{Arc, Mutex};

use campanile_ldms::client::Endpoint;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};

/// Pieces in order, each with who said it.
type Said = Arc<Mutex<Vec<(bool, Vec<u8>)>>>;

/// What went through, in order: by the side that connected (`true`) or the daemon.
pub(crate) struct Recorder {
    pub(crate) endpoint: Endpoint,
    said: Said,
}

impl Recorder {
    /// A place that leads to the daemon at `to`, for one connection.
    pub(crate) async fn before(to: &Endpoint) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = Endpoint::sock("127.0.0.1", listener.local_addr().unwrap().port());
        let said = Arc::new(Mutex::new(Vec::new()));
        let (log, to) = (Arc::clone(&said), to.clone());
        tokio::spawn(async move {
            let (caller, _) = listener.accept().await.unwrap();
            let daemon = TcpStream::connect((to.host.as_str(), to.port)).await.unwrap();
            let (from_caller, to_caller) = caller.into_split();
            let (from_daemon, to_daemon) = daemon.into_split();
            tokio::spawn(carry(true, from_caller, to_daemon, Arc::clone(&log)));
            tokio::spawn(carry(false, from_daemon, to_caller, log));
        });
        Self { endpoint, said }
    }

    /// Writes everything down, where `CAMPANILE_RECORD` asks for it.
    pub(crate) fn keep(&self, name: &str) {
        if std::env::var_os("CAMPANILE_RECORD").is_none() {
            return;
        }
        let mut text = String::from("# Exchanged with a real ldmsd 4.5.1: > by this end, < by the daemon.\n");
        for (caller, bytes) in self.said.lock().unwrap().iter() {
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            writeln!(text, "{} {hex}", if *caller { '>' } else { '<' }).unwrap();
        }
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/real").join(name);
        std::fs::write(path, text).unwrap();
    }
}

async fn carry(caller: bool, mut from: OwnedReadHalf, mut to: OwnedWriteHalf, log: Said) {
    let mut buffer = vec![0; 65536];
    while let Ok(read) = from.read(&mut buffer).await {
        if read == 0 {
            break;
        }
        log.lock().unwrap().push((caller, buffer[..read].to_vec()));
        if to.write_all(&buffer[..read]).await.is_err() {
            break;
        }
    }
}
