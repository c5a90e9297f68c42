//! The socket a simulation takes orders at: a line in, a line of JSON out.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use campanile_ldms::sim::fleet::Fleet;
use campanile_ldms::sim::orders;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};

/// How long an order and its answer may take on the way.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Longest order, in bytes.
const MAX_ORDER: u64 = 64 * 1024;
/// Longest answer, in bytes: the sets of ten thousand daemons.
const MAX_ANSWER: u64 = 64 * 1024 * 1024;

/// The socket; its file goes with it.
pub(super) struct Control {
    listener: UnixListener,
    path: PathBuf,
}

impl Control {
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        let failed = || format!("{} cannot be opened for orders", path.display());
        let listener = UnixListener::bind(path).with_context(failed)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).with_context(failed)?;
        Ok(Self { listener, path: path.to_owned() })
    }

    /// Carries out what comes, one order after the other; returns only when the socket fails.
    pub(super) async fn serve(&self, fleet: &Fleet) -> anyhow::Error {
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    // Whoever sends half an order keeps the others waiting no longer than this.
                    let _ = tokio::time::timeout(TIMEOUT, answer(fleet, stream)).await;
                }
                Err(error) => return anyhow::Error::new(error).context("the socket for orders"),
            }
        }
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

async fn answer(fleet: &Fleet, stream: UnixStream) -> std::io::Result<()> {
    let (reader, mut writer) = stream.into_split();
    let mut line = String::new();
    BufReader::new(reader.take(MAX_ORDER)).read_line(&mut line).await?;
    let outcome = orders::carry_out(fleet, line.trim());
    let mut text = serde_json::to_string(&outcome)?;
    text.push('\n');
    writer.write_all(text.as_bytes()).await
}

/// Sends an order, and gives the answer.
pub(super) async fn ask(path: &Path, order: &str) -> anyhow::Result<Value> {
    let exchange = async {
        let mut stream = UnixStream::connect(path).await?;
        stream.write_all(format!("{order}\n").as_bytes()).await?;
        let mut text = String::new();
        stream.take(MAX_ANSWER).read_to_string(&mut text).await?;
        anyhow::Ok(text)
    };
    let failed = || format!("the simulation at {} cannot be asked", path.display());
    let text = tokio::time::timeout(TIMEOUT, exchange)
        .await
        .map_err(|_| anyhow!("no answer within {} s", TIMEOUT.as_secs()))
        .and_then(|exchanged| exchanged)
        .with_context(failed)?;
    serde_json::from_str(&text).with_context(failed)
}
