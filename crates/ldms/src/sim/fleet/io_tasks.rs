//! The tasks of a fleet: listening, connecting, one per connection, and those that ask munged.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

use super::super::daemon::{ConnId, Input, Listen, Output};
use super::{Flag, Member, State, local_of, lock};
use crate::auth::Auth;
use crate::auth::munge::Munge;
use crate::client::with_sources;

/// Bytes that may wait for a peer that does not read; a connection with more is cut.
const MAX_UNSENT: usize = 256 * 1024 * 1024;
/// Bytes read at once.
const READ_SIZE: usize = 16 * 1024;
/// How long a connection attempt may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(60);

/// What goes from a daemon to the task of one of its connections.
#[derive(Debug, Default)]
pub(super) struct Pipe {
    unsent: Mutex<BytesMut>,
    wake: Notify,
    /// Close after everything is sent.
    close: Flag,
    /// Close at once.
    cut: Flag,
}

impl Pipe {
    fn send(&self, bytes: &[u8]) {
        let mut unsent = lock(&self.unsent);
        if unsent.len() + bytes.len() > MAX_UNSENT {
            self.cut.store(true, Ordering::Relaxed);
        } else {
            unsent.extend_from_slice(bytes);
        }
        drop(unsent);
        self.wake.notify_one();
    }

    fn close(&self) {
        self.close.store(true, Ordering::Relaxed);
        self.wake.notify_one();
    }

    pub(super) fn cut(&self) {
        self.cut.store(true, Ordering::Relaxed);
        self.wake.notify_one();
    }
}

impl Member {
    /// Does what the daemon wants done.
    pub(super) fn perform(self: &Arc<Self>, state: &mut State, life: u64, output: Output) {
        match output {
            Output::Send { conn, data } => {
                if let Some(pipe) = state.pipes.get(&conn) {
                    pipe.send(&data);
                }
            }
            Output::Close { conn } => {
                if let Some(pipe) = state.pipes.remove(&conn) {
                    pipe.close();
                }
            }
            Output::Connect { conn, host, port } => {
                let pipe = Arc::new(Pipe::default());
                state.pipes.insert(conn, Arc::clone(&pipe));
                tokio::spawn(Arc::clone(self).connect(life, conn, host, port, pipe));
            }
            Output::Listen(listen) => {
                let bound = state.bound.remove(&listen.port);
                let task = tokio::spawn(Arc::clone(self).listen(life, listen, bound));
                state.listeners.push(task.abort_handle());
            }
            Output::Encode { conn, auth, payload } => {
                let member = Arc::clone(self);
                tokio::spawn(async move {
                    let credential = munge(&auth).encode(&payload).await;
                    let credential = credential.map_err(|error| with_sources(&error));
                    member.handle(life, Input::Encoded { conn, credential });
                });
            }
            Output::Decode { conn, auth, credential } => {
                let member = Arc::clone(self);
                tokio::spawn(async move {
                    let decoded = munge(&auth).decode(&credential).await;
                    let decoded = decoded.map_err(|error| with_sources(&error));
                    member.handle(life, Input::Decoded { conn, decoded });
                });
            }
            Output::Exit => {}
        }
    }

    async fn listen(self: Arc<Self>, life: u64, listen: Listen, bound: Option<std::net::TcpListener>) {
        let port = listen.port;
        let host = listen.host.clone().unwrap_or_else(|| "0.0.0.0".to_owned());
        let listener = match bound {
            Some(bound) => TcpListener::from_std(bound),
            None => TcpListener::bind((host.as_str(), port)).await,
        };
        let listener = match listener {
            Ok(listener) if listen.xprt == "sock" => listener,
            _ => {
                self.handle(life, Input::Listening { port, open: false });
                return;
            }
        };
        self.handle(life, Input::Listening { port, open: true });
        let mut hung = self.hung.subscribe();
        loop {
            // A hung daemon takes no connection; the system does it for it, up to the length of its queue.
            if hung.wait_for(|hung| !*hung).await.is_err() {
                return;
            }
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                changed = hung.changed() => match changed {
                    Ok(()) => continue,
                    Err(_) => return,
                },
            };
            let Ok((stream, peer)) = accepted else {
                // Out of file descriptors, most likely: let others close theirs.
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            let local = local_of(stream.local_addr(), port);
            let pipe = Arc::new(Pipe::default());
            let conn = self.act(Some(life), |daemon, now_us| daemon.accept(port, local, peer, now_us));
            let Some(conn) = conn else { continue };
            lock(&self.state).pipes.insert(conn, Arc::clone(&pipe));
            tokio::spawn(Arc::clone(&self).serve(life, conn, stream, pipe));
        }
    }

    async fn connect(self: Arc<Self>, life: u64, conn: ConnId, host: String, port: u16, pipe: Arc<Pipe>) {
        let connect = TcpStream::connect((host.as_str(), port));
        let connected = tokio::time::timeout(CONNECT_TIMEOUT, connect).await;
        let _ = self.hung.subscribe().wait_for(|hung| !*hung).await;
        match connected {
            Ok(Ok(stream)) => {
                let (local, peer) = (stream.local_addr().ok(), stream.peer_addr().ok());
                self.handle(life, Input::Connected { conn, local, peer });
                self.serve(life, conn, stream, pipe).await;
            }
            _ => {
                lock(&self.state).pipes.remove(&conn);
                self.handle(life, Input::Closed { conn });
            }
        }
    }

    /// Carries bytes between a socket and the daemon until either wants no more.
    async fn serve(self: Arc<Self>, life: u64, conn: ConnId, mut stream: TcpStream, pipe: Arc<Pipe>) {
        let _ = stream.set_nodelay(true);
        let mut hung = self.hung.subscribe();
        let mut input = BytesMut::new();
        let mut output = BytesMut::new();
        let (mut reader, mut writer) = stream.split();
        loop {
            if pipe.cut.load(Ordering::Relaxed) {
                break;
            }
            let closing = pipe.close.load(Ordering::Relaxed);
            output.unsplit(lock(&pipe.unsent).split());
            if closing && output.is_empty() {
                break;
            }
            let is_hung = *hung.borrow_and_update();
            input.reserve(READ_SIZE);
            tokio::select! {
                read = reader.read_buf(&mut input), if !closing && !is_hung => match read {
                    Ok(0) | Err(_) => break,
                    Ok(_) => {
                        self.handle(life, Input::Bytes { conn, data: &input });
                        input.clear();
                    }
                },
                written = writer.write_buf(&mut output), if !output.is_empty() && !is_hung => {
                    if written.is_err() {
                        break;
                    }
                }
                () = pipe.wake.notified() => {}
                changed = hung.changed() => {
                    if changed.is_err() {
                        break;
                    }
                }
            }
        }
        drop(stream);
        // A hung daemon learns of it when it goes on.
        let _ = hung.wait_for(|hung| !*hung).await;
        lock(&self.state).pipes.remove(&conn);
        self.handle(life, Input::Closed { conn });
    }
}

fn munge(auth: &Auth) -> Munge {
    match auth {
        Auth::Munge { socket } => Munge::new(socket.as_deref()),
        _ => Munge::new(None),
    }
}
