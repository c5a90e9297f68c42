//! Asks munged for credentials: over its socket, or, where that cannot be reached, with the `munge` and `unmunge`
//! tools.
//!
//! The socket protocol is that of MUNGE 0.5 (message version 4): a header of 11 bytes (magic, version, type, retry
//! count, length of the rest), all big endian. munged learns who asks from the socket itself.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use bytes::{BufMut, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::process::Command;

use super::{Decoded, Peer};
use crate::wire::{Reader, WireError};

const MAGIC: u32 = 0x0060_6d4b;
const VERSION: u8 = 4;
const HEADER_LEN: usize = 11;
const ENCODE_REQUEST: u8 = 2;
const ENCODE_REPLY: u8 = 3;
const DECODE_REQUEST: u8 = 4;
const DECODE_REPLY: u8 = 5;
/// "Whatever munged's default is", for cipher, hash and compression.
const DEFAULT: u8 = 1;
const ANYONE: u32 = u32::MAX;
/// Longest message of munged that is taken.
const MAX_MESSAGE: usize = 1024 * 1024;
/// How long munged may take.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Where munged listens, usually.
const SOCKETS: [&str; 2] = ["/run/munge/munge.socket.2", "/var/run/munge/munge.socket.2"];

/// Why munged made no credential, or refused one.
#[derive(Debug, thiserror::Error)]
pub enum MungeError {
    /// Neither munged's socket nor its tools are there.
    #[error("munge is not available: no munged at {} ({socket_error}), and no 'munge' and 'unmunge' on PATH", .socket.display())]
    Missing {
        /// The socket that was tried.
        socket: PathBuf,
        /// Why it did not work.
        socket_error: std::io::Error,
    },
    /// munged, or the tool, did not answer in time.
    #[error("munge did not answer within {} s", TIMEOUT.as_secs())]
    TimedOut,
    /// The conversation with munged failed.
    #[error("munged at {} cannot be asked", .socket.display())]
    Io {
        /// The socket.
        socket: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// munged does not speak the protocol this program knows.
    #[error("munged answers in an unknown form")]
    Protocol(#[from] WireError),
    /// munged refuses.
    #[error("munge refuses: {0}")]
    Refused(String),
}

/// A way to munged.
#[derive(Debug, Clone)]
pub struct Munge {
    socket: PathBuf,
}

impl Munge {
    /// munged at `socket`, or at its usual place.
    #[must_use]
    pub fn new(socket: Option<&Path>) -> Self {
        let usual =
            || SOCKETS.iter().map(Path::new).find(|path| path.exists()).unwrap_or(Path::new(SOCKETS[0]));
        Self { socket: socket.unwrap_or_else(usual).to_owned() }
    }

    /// A credential for `payload`, in the name of the user this process runs as.
    ///
    /// # Errors
    /// When munged cannot be asked by either way, or refuses.
    pub async fn encode(&self, payload: &[u8]) -> Result<String, MungeError> {
        let mut request = BytesMut::new();
        request.put_slice(&[DEFAULT, DEFAULT, DEFAULT, 0]);
        request.put_u32(0);
        request.put_u32(ANYONE);
        request.put_u32(ANYONE);
        put_data(&mut request, payload);
        match self.ask(ENCODE_REQUEST, ENCODE_REPLY, &request).await {
            Ok(reply) => {
                let mut reader = Reader::new(&reply, "munged's answer");
                refusal(&mut reader)?;
                let credential = data(&mut reader)?;
                Ok(String::from_utf8_lossy(credential.strip_suffix(&[0]).unwrap_or(credential)).into_owned())
            }
            Err(MungeError::Io { socket, source }) if is_absent(&source) => {
                let output = self.tool("munge", &[], payload, socket, source).await?;
                Ok(String::from_utf8_lossy(&output).trim_end().to_owned())
            }
            Err(error) => Err(error),
        }
    }

    /// What munged says of a credential.
    ///
    /// # Errors
    /// When munged cannot be asked by either way, or refuses the credential (forged, expired, replayed).
    pub async fn decode(&self, credential: &[u8]) -> Result<Decoded, MungeError> {
        let mut request = BytesMut::new();
        let credential = credential.strip_suffix(&[0]).unwrap_or(credential);
        let mut with_nul = credential.to_vec();
        with_nul.push(0);
        put_data(&mut request, &with_nul);
        match self.ask(DECODE_REQUEST, DECODE_REPLY, &request).await {
            Ok(reply) => decoded(&reply),
            Err(MungeError::Io { socket, source }) if is_absent(&source) => {
                let arguments = ["--numeric", "--keys=UID,GID", "--metadata=-", "--output=/dev/null"];
                let output = self.tool("unmunge", &arguments, credential, socket, source).await?;
                metadata(&String::from_utf8_lossy(&output))
                    .map(|peer| Decoded { peer, payload: None })
                    .ok_or_else(|| MungeError::Refused("unmunge does not say whose credential it is".into()))
            }
            Err(error) => Err(error),
        }
    }

    async fn ask(&self, kind: u8, answer: u8, body: &[u8]) -> Result<Vec<u8>, MungeError> {
        let asked = tokio::time::timeout(TIMEOUT, self.converse(kind, answer, body)).await;
        asked.unwrap_or(Err(MungeError::TimedOut))
    }

    async fn converse(&self, kind: u8, answer: u8, body: &[u8]) -> Result<Vec<u8>, MungeError> {
        let io = |source| MungeError::Io { socket: self.socket.clone(), source };
        let mut stream = UnixStream::connect(&self.socket).await.map_err(io)?;
        let mut message = BytesMut::with_capacity(HEADER_LEN + body.len());
        message.put_u32(MAGIC);
        message.put_slice(&[VERSION, kind, 0]);
        message.put_u32(u32::try_from(body.len()).unwrap_or(u32::MAX));
        message.put_slice(body);
        stream.write_all(&message).await.map_err(io)?;
        let mut header = [0; HEADER_LEN];
        stream.read_exact(&mut header).await.map_err(io)?;
        let mut reader = Reader::new(&header, "munged's answer");
        let (magic, version, found) = (reader.u32()?, reader.u8()?, reader.u8()?);
        reader.u8()?;
        let len = reader.u32()? as usize;
        if magic != MAGIC || version != VERSION || found != answer {
            return Err(WireError::Malformed("answer of munged").into());
        }
        if len > MAX_MESSAGE {
            return Err(WireError::TooLong { what: "munged's answer", len, max: MAX_MESSAGE }.into());
        }
        let mut reply = vec![0; len];
        stream.read_exact(&mut reply).await.map_err(io)?;
        Ok(reply)
    }

    /// Runs one of munge's tools; `socket_error` is why munged was not asked itself.
    async fn tool(
        &self,
        name: &'static str,
        arguments: &[&str],
        input: &[u8],
        socket: PathBuf,
        socket_error: std::io::Error,
    ) -> Result<Vec<u8>, MungeError> {
        let mut command = Command::new(name);
        // The tool asks munged at the same place; it may be more of a munged than what is at ours.
        command.arg("--socket").arg(&self.socket).args(arguments).kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = match command.spawn() {
            Ok(child) => child,
            Err(_) => return Err(MungeError::Missing { socket, socket_error }),
        };
        let io = |source| MungeError::Io { socket: self.socket.clone(), source };
        let run = async {
            if let Some(mut stdin) = child.stdin.take() {
                // A tool that ends without reading says why on its error output.
                let _ = stdin.write_all(input).await;
            }
            child.wait_with_output().await.map_err(io)
        };
        let output = tokio::time::timeout(TIMEOUT, run).await.unwrap_or(Err(MungeError::TimedOut))?;
        if output.status.success() {
            Ok(output.stdout)
        } else {
            let said = String::from_utf8_lossy(&output.stderr);
            Err(MungeError::Refused(said.trim().to_owned()))
        }
    }
}

/// Whether nobody listens there, so that the tools are worth a try.
fn is_absent(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionRefused, NotFound, PermissionDenied};
    matches!(error.kind(), NotFound | ConnectionRefused | PermissionDenied)
}

fn put_data(out: &mut BytesMut, data: &[u8]) {
    out.put_u32(u32::try_from(data.len()).unwrap_or(u32::MAX));
    out.put_slice(data);
}

fn data<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], WireError> {
    let len = reader.u32()? as usize;
    reader.take(len)
}

/// The error an answer begins with.
fn refusal(reader: &mut Reader<'_>) -> Result<(), MungeError> {
    let error = reader.u8()?;
    let len = reader.u8()?;
    let text = String::from_utf8_lossy(reader.take(len.into())?).trim_end_matches('\0').to_owned();
    match error {
        0 => Ok(()),
        _ if text.is_empty() => Err(MungeError::Refused(format!("error {error}"))),
        _ => Err(MungeError::Refused(text)),
    }
}

fn decoded(reply: &[u8]) -> Result<Decoded, MungeError> {
    let mut reader = Reader::new(reply, "munged's answer");
    refusal(&mut reader)?;
    reader.take(3)?;
    let realm = reader.u8()?;
    reader.take(realm.into())?;
    reader.u32()?;
    let address = reader.u8()?;
    reader.take(address.into())?;
    reader.take(8)?;
    let peer = Peer { uid: reader.u32()?, gid: reader.u32()? };
    reader.take(8)?;
    Ok(Decoded { peer, payload: Some(data(&mut reader)?.to_vec()) })
}

/// User and group in the output of `unmunge --numeric --keys=UID,GID`.
fn metadata(text: &str) -> Option<Peer> {
    let value = |key: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
        line.trim().parse().ok()
    };
    Some(Peer { uid: value("UID")?, gid: value("GID")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_of_munged_is_read_or_refused_but_never_panics() {
        let mut reply = BytesMut::new();
        reply.put_slice(&[0, 0, 4, 5, 0, 0]);
        reply.put_u32(300);
        reply.put_slice(&[4, 10, 0, 0, 1]);
        for number in [11, 12, 1000, 1001, ANYONE, ANYONE] {
            reply.put_u32(number);
        }
        put_data(&mut reply, b"address");
        let read = decoded(&reply).unwrap();
        assert_eq!(read, Decoded { peer: Peer { uid: 1000, gid: 1001 }, payload: Some(b"address".to_vec()) });
        for len in 0..reply.len() {
            assert!(decoded(&reply[..len]).is_err(), "{len}");
        }
        let refused = decoded(b"\x0f\x08Expired\0").unwrap_err();
        assert_eq!(refused.to_string(), "munge refuses: Expired");
    }

    #[test]
    fn the_output_of_the_tool_is_read() {
        let text = "UID:             1000\nGID:             100\n";
        assert_eq!(metadata(text), Some(Peer { uid: 1000, gid: 100 }));
        assert_eq!(metadata("UID: root (0)\n"), None);
    }
}
