//! From a URL to an open WebSocket.

use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::header::{HeaderValue, SEC_WEBSOCKET_PROTOCOL};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, http};
use tokio_tungstenite::{Connector, MaybeTlsStream, WebSocketStream, client_async_tls_with_config};
use url::{Host, Url};

use super::ClientOptions;
use crate::Subprotocol;

/// The buffers of a connection, in bytes; they grow for bigger messages.
const BUFFER_BYTES: usize = 16 << 10;

/// An open WebSocket.
pub(super) type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectError {
    #[error("{url:?} is not the URL of a router: {why}")]
    Url { url: String, why: &'static str },
    #[error("cannot connect to {address}")]
    Tcp { address: String, source: std::io::Error },
    #[error("no connection to {address} within {seconds} s")]
    TimedOut { address: String, seconds: f32 },
    #[error("no WebSocket can be opened at {address}")]
    Handshake { address: String, source: Box<tungstenite::Error> },
    #[error(
        "{address} answers with HTTP status {status}: it speaks no WAMP there, or none of the serializers offered"
    )]
    Http { address: String, status: http::StatusCode },
    #[error("{address} chose a subprotocol that was not offered")]
    Subprotocol { address: String },
    #[error("no trusted certificates are installed, which wss:// needs")]
    NoRoots,
    #[error("TLS cannot be set up")]
    Tls(#[from] rustls::Error),
}

/// Connects within the time that the options give.
pub(super) async fn connect(options: &ClientOptions) -> Result<(Socket, Subprotocol), ConnectError> {
    let target = Target::parse(&options.url)?;
    tokio::time::timeout(options.connect_timeout, open(options, &target)).await.unwrap_or_else(|_| {
        let seconds = options.connect_timeout.as_secs_f32();
        Err(ConnectError::TimedOut { address: target.address(), seconds })
    })
}

/// What a URL says.
struct Target {
    host: Host<String>,
    port: u16,
    tls: bool,
}

impl Target {
    fn parse(url: &str) -> Result<Self, ConnectError> {
        let error = |why| ConnectError::Url { url: url.to_owned(), why };
        let parsed = Url::parse(url).map_err(|_| error("it must look like ws://host:port/ws"))?;
        let (tls, default_port) = match parsed.scheme() {
            "ws" => (false, 80),
            "wss" => (true, 443),
            _ => return Err(error("it must begin with ws:// or wss://")),
        };
        let host = parsed.host().ok_or_else(|| error("it names no host"))?.to_owned();
        Ok(Self { host, port: parsed.port().unwrap_or(default_port), tls })
    }

    fn address(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
}

async fn open(options: &ClientOptions, target: &Target) -> Result<(Socket, Subprotocol), ConnectError> {
    let address = target.address();
    let tcp = match &target.host {
        Host::Domain(name) => TcpStream::connect((name.as_str(), target.port)).await,
        Host::Ipv4(ip) => TcpStream::connect((*ip, target.port)).await,
        Host::Ipv6(ip) => TcpStream::connect((*ip, target.port)).await,
    };
    let tcp = tcp.and_then(|tcp| tcp.set_nodelay(true).map(|()| tcp));
    let tcp = tcp.map_err(|source| ConnectError::Tcp { address: address.clone(), source })?;

    let handshake_error = |error| match error {
        tungstenite::Error::Http(response) => {
            ConnectError::Http { address: address.clone(), status: response.status() }
        }
        source => ConnectError::Handshake { address: address.clone(), source: Box::new(source) },
    };
    let mut request = options.url.as_str().into_client_request().map_err(handshake_error)?;
    let offered = options.serializers.iter().map(|offer| offer.name()).collect::<Vec<_>>().join(", ");
    if let Ok(offered) = HeaderValue::from_str(&offered) {
        request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, offered);
    }
    let config = WebSocketConfig::default()
        .read_buffer_size(BUFFER_BYTES)
        .write_buffer_size(BUFFER_BYTES)
        .max_message_size(Some(options.limits.max_message_bytes))
        .max_frame_size(Some(options.limits.max_message_bytes));
    let connector = if target.tls { Connector::Rustls(tls_config()?) } else { Connector::Plain };
    let (socket, response) = client_async_tls_with_config(request, tcp, Some(config), Some(connector))
        .await
        .map_err(handshake_error)?;
    let chosen = response
        .headers()
        .get(SEC_WEBSOCKET_PROTOCOL)
        .and_then(|name| Subprotocol::from_name(name.to_str().ok()?))
        .filter(|chosen| options.serializers.contains(chosen))
        .ok_or(ConnectError::Subprotocol { address })?;
    Ok((socket, chosen))
}

/// TLS with the certificates that this machine trusts (`SSL_CERT_FILE` and `SSL_CERT_DIR` override them): the routers
/// of a site often have certificates of the site's own authority, which no built-in list knows. Read anew for each
/// connection, since that is rare and the list may change. The provider is named, because rustls panics where the
/// program contains two and none is named.
fn tls_config() -> Result<Arc<ClientConfig>, ConnectError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        return Err(ConnectError::NoRoots);
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}
