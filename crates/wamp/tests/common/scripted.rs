//! A router that does what a test tells it, and nothing by itself but what every WebSocket does.

use std::collections::VecDeque;
use std::time::Duration;

use campanile_wamp::{Dict, Limits, Message, Subprotocol};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message as Frame;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::{WebSocketStream, accept_hdr_async};

use super::scenarios::LONG;

pub(crate) struct ScriptedRouter {
    listener: TcpListener,
}

impl ScriptedRouter {
    pub(crate) async fn new() -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").await.unwrap() }
    }

    pub(crate) fn url(&self) -> String {
        format!("ws://{}/ws", self.listener.local_addr().unwrap())
    }

    pub(crate) async fn accept_tcp(&self) -> TcpStream {
        timeout(LONG, self.listener.accept()).await.unwrap().unwrap().0
    }

    /// Takes the next connection, with the first subprotocol that it offers.
    pub(crate) async fn accept(&self) -> Peer {
        let tcp = self.accept_tcp().await;
        let mut offered = String::new();
        #[expect(clippy::result_large_err, reason = "the signature is tungstenite's")]
        let choose = |request: &Request, mut response: Response| -> Result<Response, ErrorResponse> {
            offered = request.headers()["sec-websocket-protocol"].to_str().unwrap().to_owned();
            let first = offered.split(", ").next().unwrap();
            response.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_str(first).unwrap());
            Ok(response)
        };
        let socket = accept_hdr_async(tcp, choose).await.unwrap();
        let subprotocol = Subprotocol::from_name(offered.split(", ").next().unwrap()).unwrap();
        Peer { socket, subprotocol, received: VecDeque::new() }
    }

    /// Takes the next connection and opens its session.
    pub(crate) async fn accept_session(&self) -> Peer {
        let mut peer = self.accept().await;
        let hello = peer.receive().await;
        assert!(matches!(hello, Message::Hello { .. }), "{hello:?}");
        peer.send(Message::Welcome { session: 1, details: Dict::new() }).await;
        peer
    }
}

/// The router's side of one connection.
pub(crate) struct Peer {
    pub(crate) socket: WebSocketStream<TcpStream>,
    subprotocol: Subprotocol,
    received: VecDeque<Message>,
}

impl Peer {
    pub(crate) async fn send(&mut self, message: Message) {
        let mut frame = Vec::new();
        self.subprotocol.encode(&message, &mut frame);
        self.send_raw(frame).await;
    }

    pub(crate) async fn send_raw(&mut self, frame: Vec<u8>) {
        let frame = match self.subprotocol.is_text() {
            true => Frame::text(String::from_utf8(frame).unwrap()),
            false => Frame::binary(frame),
        };
        self.socket.send(frame).await.unwrap();
    }

    /// The next frame; `None` when the connection has ended.
    pub(crate) async fn frame(&mut self) -> Option<Frame> {
        timeout(LONG, self.socket.next()).await.unwrap().and_then(Result::ok)
    }

    /// The messages of the next frame that has some.
    pub(crate) async fn batch(&mut self) -> Vec<Message> {
        loop {
            let bytes = match self.frame().await.unwrap() {
                Frame::Binary(bytes) => bytes,
                Frame::Text(text) => text.into(),
                Frame::Close(close) => panic!("closed: {close:?}"),
                _ => continue,
            };
            return self.subprotocol.decode(bytes, &Limits::default()).map(Result::unwrap).collect();
        }
    }

    pub(crate) async fn receive(&mut self) -> Message {
        while self.received.is_empty() {
            self.received = self.batch().await.into();
        }
        self.received.pop_front().unwrap()
    }

    /// Reads until the client closes the connection.
    pub(crate) async fn ended(&mut self) {
        while self.frame().await.is_some() {}
    }
}

/// Short enough for a test to wait for, long enough for a busy machine.
pub(crate) const SHORT: Duration = Duration::from_millis(300);
