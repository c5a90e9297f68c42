//! The listener: accepts connections within limits, and ends them all at a shutdown.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, sleep};

use super::{Hub, Router};

/// How long to wait when the system gives no more connections (no file descriptors left, mostly).
const ACCEPT_RETRY: Duration = Duration::from_millis(200);
/// The largest HTTP head, and what a connection keeps for reading it.
const MAX_HEAD_BYTES: usize = 16 << 10;
/// A peer whose machine is gone is noticed after about two minutes, also while it waits for a long call over HTTP.
const KEEPALIVE: TcpKeepalive = TcpKeepalive::new()
    .with_time(Duration::from_secs(60))
    .with_interval(Duration::from_secs(15))
    .with_retries(4);
/// How often a shutdown looks whether all sessions are gone.
const SHUTDOWN_POLL: Duration = Duration::from_millis(20);

/// A place among the connections, free again when the last clone is dropped.
pub(super) type ConnectionPermit = Arc<OwnedSemaphorePermit>;

pub(super) async fn serve(
    router: &Router,
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send,
) -> io::Result<()> {
    let hub = Arc::clone(&router.hub);
    let service = TowerToHyperService::new(router.service());
    let limits = hub.config.connection_limits;
    let places = Arc::new(Semaphore::new(limits.max_connections));
    let (ending, ended) = watch::channel(());
    let mut shutdown = pin!(shutdown);

    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut shutdown => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, address)) => match Arc::clone(&places).try_acquire_owned() {
                Ok(place) => {
                    let service = service.clone();
                    tokio::spawn(connection(
                        stream,
                        address,
                        Arc::new(place),
                        service,
                        limits,
                        ended.clone(),
                    ));
                }
                Err(_) => refuse(&stream, address, limits.max_connections),
            },
            Err(error) if concerns_the_listener(&error) => return Err(error),
            Err(error) => {
                tracing::warn!("cannot accept a connection: {error}");
                sleep(ACCEPT_RETRY).await;
            }
        }
    }
    drop(listener);
    drop(ended);
    drop(ending);
    end_sessions(&hub, limits.shutdown_grace).await;
    Ok(())
}

/// Whether the listener itself is broken; else it is one connection that failed, or the system is short of something.
fn concerns_the_listener(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::NotConnected)
}

fn refuse(stream: &TcpStream, address: SocketAddr, max: usize) {
    tracing::warn!(peer = %address, "refused: there are {max} connections already");
    let answer = "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    // The socket is new, its buffer empty; if it takes nothing all the same, closing it says enough.
    let _ = stream.try_write(answer.as_bytes());
}

/// Serves one connection: HTTP requests one after the other, until it is closed or becomes a websocket.
async fn connection(
    stream: TcpStream,
    address: SocketAddr,
    permit: ConnectionPermit,
    service: TowerToHyperService<axum::Router>,
    limits: super::ConnectionLimits,
    mut ended: watch::Receiver<()>,
) {
    let set_up = stream.set_nodelay(true).and_then(|()| SockRef::from(&stream).set_tcp_keepalive(&KEEPALIVE));
    if let Err(error) = set_up {
        tracing::debug!(peer = %address, "connection closed at once: {error}");
        return;
    }
    let service = service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(ConnectionPermit::clone(&permit));
        request.extensions_mut().insert(address);
        service.call(request)
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.http_idle_timeout)
        .max_buf_size(MAX_HEAD_BYTES)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut served = pin!(served);
    let result = tokio::select! {
        result = &mut served => result,
        // The sender is never used: it is dropped at the shutdown.
        _ = ended.changed() => {
            served.as_mut().graceful_shutdown();
            served.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(peer = %address, "HTTP connection ended: {error}");
    }
}

/// Ends all sessions: with GOODBYE, and after the grace with a close frame.
async fn end_sessions(hub: &Hub, grace: Duration) {
    hub.say_goodbye();
    let deadline = Instant::now() + grace;
    while hub.connections() > 0 && Instant::now() < deadline {
        sleep(SHUTDOWN_POLL).await;
    }
    hub.close_all();
    let deadline = Instant::now() + grace;
    while hub.connections() > 0 && Instant::now() < deadline {
        sleep(SHUTDOWN_POLL).await;
    }
}
