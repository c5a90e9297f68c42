//! Connecting: name lookup, socket options, handshake, authentication.

use std::os::fd::AsFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::net::sockopt;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{ConnectError, Endpoint, Form, Options};
use crate::auth::munge::Munge;
use crate::auth::{Auth, Peer};
use crate::link::{Event, Handshake, Link};
use crate::wire::connect::Rail;

/// The number of the next rail of this process; a daemon refuses a number it has seen.
static NEXT_RAIL: AtomicU64 = AtomicU64::new(1);

pub(super) async fn connect(
    endpoint: &Endpoint,
    options: &Options,
) -> Result<(TcpStream, Link, Peer), ConnectError> {
    if endpoint.xprt != "sock" {
        return Err(ConnectError::Transport { endpoint: endpoint.clone() });
    }
    let whole = async {
        let stream = open(endpoint).await?;
        greet(endpoint, options, stream).await
    };
    let waited = tokio::time::timeout(options.connect_timeout, whole).await;
    waited.unwrap_or_else(|_| {
        Err(ConnectError::TimedOut { endpoint: endpoint.clone(), after: options.connect_timeout })
    })
}

async fn open(endpoint: &Endpoint) -> Result<TcpStream, ConnectError> {
    let resolve = |source| ConnectError::Resolve { endpoint: endpoint.clone(), source };
    let connect = |source| ConnectError::Connect { endpoint: endpoint.clone(), source };
    let addresses =
        tokio::net::lookup_host((endpoint.host.as_str(), endpoint.port)).await.map_err(resolve)?;
    let mut last = std::io::Error::new(std::io::ErrorKind::NotFound, "the name has no address");
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => {
                tune(&stream).map_err(connect)?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(connect(last))
}

/// Without TCP_NODELAY each handshake costs 40 ms of waiting for an acknowledgement. Keepalive is as ldmsd has it:
/// a host that vanishes is noticed after 16 s of silence.
pub(crate) fn tune(stream: &TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let fd = stream.as_fd();
    sockopt::set_socket_keepalive(fd, true)?;
    sockopt::set_tcp_keepidle(fd, Duration::from_secs(10))?;
    sockopt::set_tcp_keepintvl(fd, Duration::from_secs(2))?;
    sockopt::set_tcp_keepcnt(fd, 3)?;
    Ok(())
}

async fn greet(
    endpoint: &Endpoint,
    options: &Options,
    mut stream: TcpStream,
) -> Result<(TcpStream, Link, Peer), ConnectError> {
    let connect = |source| ConnectError::Connect { endpoint: endpoint.clone(), source };
    let rail = match options.form {
        Form::Plain => None,
        Form::Rail => Some(Rail::single(std::process::id(), NEXT_RAIL.fetch_add(1, Ordering::Relaxed))),
    };
    let mut link = Link::connect(Handshake {
        auth: options.auth.clone(),
        rail,
        challenge: random_number(),
        local: stream.local_addr().ok(),
        peer: stream.peer_addr().ok(),
    });
    loop {
        while link.has_output() {
            stream.write_all_buf(&mut link.take_output()).await.map_err(connect)?;
        }
        match link.poll() {
            Ok(Some(Event::Open(peer))) => return Ok((stream, link, peer)),
            Ok(Some(event)) => ask_munge(&options.auth, &mut link, event).await,
            // What the handshake wants said goes out before anything is waited for.
            Ok(None) if link.has_output() => {}
            Ok(None) => {
                let read = stream.read_buf(link.buffer()).await;
                let reset = |error: &std::io::Error| error.kind() == std::io::ErrorKind::ConnectionReset;
                match read {
                    Ok(0) => return Err(hung_up(endpoint, options)),
                    Err(error) if reset(&error) => return Err(hung_up(endpoint, options)),
                    Err(error) => return Err(connect(error)),
                    Ok(_) => {}
                }
            }
            Err(source) => return Err(ConnectError::Handshake { endpoint: endpoint.clone(), source }),
        }
    }
}

fn hung_up(endpoint: &Endpoint, options: &Options) -> ConnectError {
    ConnectError::HungUp { endpoint: endpoint.clone(), auth: options.auth.plugin() }
}

/// Carries what a link wants of munged to it and back; other events need nothing here.
pub(crate) async fn ask_munge(auth: &Auth, link: &mut Link, event: Event) {
    let Auth::Munge { socket } = auth else { return };
    let munge = Munge::new(socket.as_deref());
    match event {
        Event::EncodeCredential(payload) => {
            let credential = munge.encode(&payload).await;
            link.encoded(credential.map_err(|error| with_sources(&error)));
        }
        Event::DecodeCredential(credential) => {
            let decoded = munge.decode(&credential).await;
            link.decoded(decoded.map_err(|error| with_sources(&error)));
        }
        _ => {}
    }
}

/// An error and what is behind it, in one line.
pub(crate) fn with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}

/// A number nobody can guess, for the challenge of `ovis`.
pub(crate) fn random_number() -> u64 {
    let mut bytes = [0; 8];
    match rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty()) {
        Ok(8) => u64::from_ne_bytes(bytes),
        // The kernel gives eight bytes whole; should it ever not, a weaker number is better than none.
        _ => fastrand::u64(..),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn small_messages_go_at_once_and_a_host_that_vanishes_is_noticed() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let stream = open(&Endpoint::sock("127.0.0.1", port)).await.unwrap();
        assert!(stream.nodelay().unwrap());
        let fd = stream.as_fd();
        assert!(sockopt::socket_keepalive(fd).unwrap());
        assert_eq!(sockopt::tcp_keepidle(fd).unwrap(), Duration::from_secs(10));
    }
}
