//! `/ws`: from an HTTP request to a websocket connection (RFC 6455, 4.2; WAMP, "WebSocket Transport").

use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::hub::Hub;
use super::{ConnectionPermit, session};
use crate::Subprotocol;

/// Answers `GET /ws`.
pub(super) async fn upgrade(State(hub): State<Arc<Hub>>, mut request: Request) -> Response<Body> {
    let headers = request.headers();
    if request.method() != Method::GET || !is_upgrade(headers) {
        let text = "this is a WAMP router: connect with a websocket";
        let mut response = plain(StatusCode::UPGRADE_REQUIRED, text);
        response.headers_mut().insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        return response;
    }
    let Some(key) = headers.get(header::SEC_WEBSOCKET_KEY) else {
        return plain(StatusCode::BAD_REQUEST, "the websocket handshake has no Sec-WebSocket-Key");
    };
    if headers.get(header::SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
        let mut response = plain(StatusCode::BAD_REQUEST, "websocket version 13 is needed");
        response.headers_mut().insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        return response;
    }
    let Some(subprotocol) = negotiate(headers) else {
        let known: Vec<&str> = Subprotocol::ALL.iter().map(|subprotocol| subprotocol.name()).collect();
        let text = format!("no common websocket subprotocol; known are {}", known.join(", "));
        return plain(StatusCode::BAD_REQUEST, text);
    };

    let accept = derive_accept_key(key.as_bytes());
    let from = request.extensions().get::<SocketAddr>().copied();
    let permit = request.extensions().get::<ConnectionPermit>().cloned();
    let upgraded = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        // Held as long as the connection, so that it counts.
        let _permit = permit;
        match upgraded.await {
            Ok(upgraded) => session::run(hub, subprotocol, TokioIo::new(upgraded), from).await,
            Err(error) => tracing::debug!(peer = ?from, "websocket handshake not completed: {error}"),
        }
    });

    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(subprotocol.name()));
    // A key derived from ASCII in Base64 is always a valid header.
    if let Ok(accept) = HeaderValue::from_str(&accept) {
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    }
    response
}

fn is_upgrade(headers: &HeaderMap) -> bool {
    has_token(headers, header::CONNECTION, "upgrade") && has_token(headers, header::UPGRADE, "websocket")
}

fn has_token(headers: &HeaderMap, name: header::HeaderName, token: &str) -> bool {
    tokens(headers, name).any(|found| found.eq_ignore_ascii_case(token))
}

fn tokens(headers: &HeaderMap, name: header::HeaderName) -> impl Iterator<Item = &str> {
    let values = headers.get_all(name).into_iter();
    values.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')).map(str::trim)
}

/// The first of the client's offers that we know: the client names what it likes best first.
fn negotiate(headers: &HeaderMap) -> Option<Subprotocol> {
    tokens(headers, header::SEC_WEBSOCKET_PROTOCOL).find_map(Subprotocol::from_name)
}

fn plain(status: StatusCode, text: impl Into<String>) -> Response<Body> {
    let mut response = Response::new(Body::from(text.into() + "\n"));
    *response.status_mut() = status;
    let content_type = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(values: &[&'static str]) -> Option<&'static str> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(value));
        }
        negotiate(&headers).map(Subprotocol::name)
    }

    #[test]
    fn the_first_known_offer_is_taken() {
        let autobahn = "wamp.2.cbor.batched,wamp.2.cbor,wamp.2.json";
        assert_eq!(offer(&[autobahn]), Some("wamp.2.cbor.batched"));
        assert_eq!(offer(&["wamp.2.ubjson, wamp.2.json,wamp.2.msgpack"]), Some("wamp.2.json"));
        assert_eq!(offer(&["mqtt", "wamp.2.msgpack"]), Some("wamp.2.msgpack"));
        assert_eq!(offer(&["mqtt"]), None);
        assert_eq!(offer(&[]), None);
    }
}
