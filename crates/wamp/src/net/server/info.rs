//! `/info`: what this router is and how much is in it.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, Response, header};
use serde_json::json;

use super::hub::Hub;

pub(super) async fn info(State(hub): State<Arc<Hub>>) -> Response<Body> {
    let stats = hub.stats();
    let info = json!({
        "router": "campanile",
        "version": env!("CARGO_PKG_VERSION"),
        "realm": hub.config.realm.realm,
        "uptime_s": hub.started.elapsed().as_secs(),
        "connections": hub.connections(),
        // Without that of the HTTP bridge, which is always there.
        "sessions": stats.sessions.saturating_sub(1),
        "subscriptions": stats.subscriptions,
        "registrations": stats.registrations,
        "pending_calls": stats.pending_calls,
    });
    let mut response = Response::new(Body::from(info.to_string()));
    let content_type = HeaderValue::from_static("application/json; charset=UTF-8");
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
