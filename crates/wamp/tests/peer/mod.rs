//! A raw WAMP peer for tests: it says what it is told, right or wrong, and shows what comes back.
#![allow(dead_code, reason = "each test program uses a part of it")]
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a helper of a test that cannot do its work must end the test"
)]

use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::thread::JoinHandle;
use std::time::Duration;

use campanile_wamp::net::server::{Router, RouterConfig};
use campanile_wamp::{Dict, Limits, Serializer, Subprotocol, Value};
use tokio::sync::oneshot;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Message, WebSocket};

/// Longer than anything here takes on a loaded machine.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(30);
pub(crate) const REALM: &str = "test_realm";

/// Lists of values, written as JSON.
macro_rules! say {
    ($($json:tt)+) => { campanile_wamp::Value::from(serde_json::json!($($json)+)) };
}

/// Our router, on a free port in a thread of its own, until it is dropped.
pub(crate) struct TestRouter {
    pub(crate) port: u16,
    pub(crate) router: Router,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl TestRouter {
    pub(crate) fn start() -> Self {
        Self::with(RouterConfig::for_ocs(REALM, "observatory"))
    }

    pub(crate) fn with(config: RouterConfig) -> Self {
        Self::on(tokio::runtime::Builder::new_current_thread(), config)
    }

    pub(crate) fn on(mut runtime: tokio::runtime::Builder, config: RouterConfig) -> Self {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let router = Router::new(config);
        let served = router.clone();
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            runtime.enable_all().build()?.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener)?;
                served.serve(listener, async { drop(stopped.await) }).await
            })
        });
        Self { port, router, stop: Some(stop), thread: Some(thread) }
    }

    /// Asks it to shut down, without waiting.
    pub(crate) fn shut_down(&mut self) {
        self.stop.take();
    }

    /// Waits for its end.
    pub(crate) fn ended(&mut self) -> io::Result<()> {
        self.shut_down();
        self.thread.take().map_or(Ok(()), |thread| thread.join().expect("the router does not panic"))
    }
}

impl Drop for TestRouter {
    fn drop(&mut self) {
        let ended = self.ended();
        if !std::thread::panicking() {
            ended.unwrap();
        }
    }
}

/// What comes from the router.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Heard {
    /// One WAMP message, as it is.
    Message(Value),
    /// The connection was closed, with this code if there was a close frame.
    Closed(Option<u16>),
}

/// One connection to a router.
pub(crate) struct RawPeer {
    socket: WebSocket<TcpStream>,
    subprotocol: Subprotocol,
    /// Messages of a batch that were not looked at yet.
    waiting: Vec<Value>,
    next_barrier: u64,
    pub(crate) session: u64,
}

pub(crate) fn subprotocol(name: &str) -> Subprotocol {
    Subprotocol::from_name(name).unwrap()
}

/// A handshake that offers this; the HTTP status if it is refused.
pub(crate) fn open(port: u16, offers: Option<&str>) -> Result<(WebSocket<TcpStream>, Option<String>), u16> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(TIMEOUT)).unwrap();
    stream.set_write_timeout(Some(TIMEOUT)).unwrap();
    let mut request = format!("ws://{address}/ws").into_client_request().unwrap();
    if let Some(offers) = offers {
        request.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_str(offers).unwrap());
    }
    let config = WebSocketConfig::default().max_message_size(None).max_frame_size(None);
    match tungstenite::client::client_with_config(request, stream, Some(config)) {
        Ok((socket, response)) => {
            let taken = response.headers().get("sec-websocket-protocol");
            let taken = taken.map(|name| name.to_str().unwrap().to_owned());
            Ok((socket, taken))
        }
        Err(tungstenite::HandshakeError::Failure(tungstenite::Error::Http(response))) => {
            Err(response.status().as_u16())
        }
        // Without a subprotocol offered, one in the answer, or none where one was offered, is the client's error.
        Err(other) => panic!("no handshake: {other}"),
    }
}

impl RawPeer {
    /// A connection that has not said HELLO.
    pub(crate) fn connect(port: u16, name: &str) -> Self {
        let (socket, taken) = open(port, Some(name)).unwrap();
        assert_eq!(taken.as_deref(), Some(name));
        Self {
            socket,
            subprotocol: subprotocol(name),
            waiting: Vec::new(),
            next_barrier: 1 << 40,
            session: 0,
        }
    }

    /// A joined session.
    pub(crate) fn join(port: u16, name: &str) -> Self {
        let mut peer = Self::connect(port, name);
        peer.send(&hello());
        match peer.hear() {
            Heard::Message(welcome) if welcome.as_list().unwrap()[0] == Value::Int(2) => {
                peer.session = welcome.as_list().unwrap()[1].as_u64().unwrap();
            }
            other => panic!("no WELCOME but {other:?}"),
        }
        peer
    }

    /// Sends a WAMP message.
    pub(crate) fn send(&mut self, message: &Value) {
        let bytes = self.encode(message);
        self.send_frame(bytes);
    }

    /// The message as it lies in a frame.
    pub(crate) fn encode(&self, message: &Value) -> Vec<u8> {
        let mut encoded = Vec::new();
        self.subprotocol.serializer.encode_value(message, &mut encoded);
        if !self.subprotocol.batched {
            encoded
        } else if self.subprotocol.is_text() {
            encoded.push(0x18);
            encoded
        } else {
            let len = u32::try_from(encoded.len()).unwrap();
            [&len.to_be_bytes()[..], &encoded].concat()
        }
    }

    /// Sends a frame of any content, of the kind that fits the subprotocol.
    pub(crate) fn send_frame(&mut self, bytes: Vec<u8>) {
        let frame = if self.subprotocol.is_text() {
            Message::text(String::from_utf8(bytes).unwrap())
        } else {
            Message::binary(bytes)
        };
        self.send_websocket(frame);
    }

    /// Sends any WebSocket message. That the router is closing meanwhile shows when reading.
    pub(crate) fn send_websocket(&mut self, message: Message) {
        if let Err(error) = self.socket.send(message) {
            assert!(is_closed(&error), "cannot send: {error}");
        }
    }

    /// Writes bytes past the WebSocket protocol.
    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.socket.get_mut().write_all(bytes)
    }

    /// The next WAMP message, or the end.
    pub(crate) fn hear(&mut self) -> Heard {
        loop {
            if !self.waiting.is_empty() {
                return Heard::Message(self.waiting.remove(0));
            }
            match self.hear_websocket() {
                Ok(Message::Text(text)) => self.take_in(text.as_bytes()),
                Ok(Message::Binary(bytes)) => self.take_in(&bytes),
                Ok(Message::Close(frame)) => return Heard::Closed(frame.map(|frame| frame.code.into())),
                Ok(_) => {}
                Err(error) if is_closed(&error) => return Heard::Closed(None),
                Err(error) => panic!("nothing heard: {error}"),
            }
        }
    }

    /// What is heard within this time, or nothing.
    pub(crate) fn hear_within(&mut self, time: Duration) -> Option<Heard> {
        self.tcp().set_read_timeout(Some(time)).unwrap();
        let heard = match self.hear_websocket() {
            Ok(Message::Close(frame)) => Some(Heard::Closed(frame.map(|frame| frame.code.into()))),
            Err(error) if is_closed(&error) => Some(Heard::Closed(None)),
            Ok(other) => panic!("{other:?}"),
            Err(_nothing) => None,
        };
        self.tcp().set_read_timeout(Some(TIMEOUT)).unwrap();
        heard
    }

    /// The next WebSocket message, pings and pongs included.
    pub(crate) fn hear_websocket(&mut self) -> Result<Message, tungstenite::Error> {
        let message = self.socket.read();
        // Pongs and close frames that answer what was read.
        let _ = self.socket.flush();
        message
    }

    /// The next WAMP message.
    pub(crate) fn message(&mut self) -> Value {
        match self.hear() {
            Heard::Message(message) => message,
            closed => panic!("{closed:?}"),
        }
    }

    /// The element of the next message, which must have this type.
    pub(crate) fn id(&mut self, code: i64, at: usize) -> u64 {
        let message = self.message();
        let elements = message.as_list().unwrap();
        assert_eq!(elements[0], Value::Int(code), "{message:?}");
        elements[at].as_u64().unwrap()
    }

    /// Everything that arrives until now: a request of which the answer is known is sent after it.
    pub(crate) fn heard_so_far(&mut self) -> Vec<Heard> {
        self.next_barrier += 1;
        let request = self.next_barrier;
        self.send(&say!([48, request, {}, "observatory.barrier"]));
        let mut heard = Vec::new();
        loop {
            match self.hear() {
                Heard::Message(message) if is_answer(&message, request) => return heard,
                Heard::Closed(code) => {
                    heard.push(Heard::Closed(code));
                    return heard;
                }
                other => heard.push(other),
            }
        }
    }

    /// SUBSCRIBE, and the id.
    pub(crate) fn subscribe(&mut self, topic: &str) -> u64 {
        self.send(&say!([32, 1, {}, topic]));
        self.id(33, 2)
    }

    /// REGISTER, and the id.
    pub(crate) fn register(&mut self, procedure: &str) -> u64 {
        self.send(&say!([64, 1, {}, procedure]));
        self.id(65, 2)
    }

    pub(crate) fn tcp(&self) -> &TcpStream {
        self.socket.get_ref()
    }

    fn take_in(&mut self, mut bytes: &[u8]) {
        let limits = Limits { max_message_bytes: usize::MAX, max_elements: usize::MAX, ..Limits::default() };
        let serializer = self.subprotocol.serializer;
        let mut take = |bytes: &[u8]| self.waiting.push(serializer.decode_value(bytes, &limits).unwrap());
        if !self.subprotocol.batched {
            return take(bytes);
        }
        while !bytes.is_empty() {
            let (message, rest) = if serializer == Serializer::Json {
                let end = bytes.iter().position(|&byte| byte == 0x18).unwrap();
                (&bytes[..end], &bytes[end + 1..])
            } else {
                let (len, rest) = bytes.split_first_chunk::<4>().unwrap();
                rest.split_at(u32::from_be_bytes(*len) as usize)
            };
            take(message);
            bytes = rest;
        }
    }
}

fn is_answer(message: &Value, request: u64) -> bool {
    let elements = message.as_list().unwrap();
    elements[0] == Value::Int(8) && elements.get(2) == Some(&Value::from(request))
}

fn is_closed(error: &tungstenite::Error) -> bool {
    use tungstenite::Error;
    match error {
        Error::ConnectionClosed | Error::AlreadyClosed | Error::Protocol(_) => true,
        Error::Io(error) => !matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut),
        _ => false,
    }
}

/// HELLO with all roles and the features that matter.
pub(crate) fn hello() -> Value {
    let canceling = say!({"features": {"call_canceling": true, "progressive_call_results": true}});
    let roles = Dict::new()
        .with("caller", canceling.clone())
        .with("callee", canceling)
        .with("publisher", Dict::new())
        .with("subscriber", Dict::new());
    Value::List(vec![1.into(), REALM.into(), Dict::new().with("roles", roles).into()])
}
