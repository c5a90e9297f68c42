//! The HTTP bridge, `/call`: one call as one HTTP request, as crossbar's "HTTP bridge caller" has it.
//!
//! `POST {"procedure": "…", "args": […], "kwargs": {…}}` is answered with `{"args": […]}` (and `kwargs`, if any). An
//! error of the call itself is an answer, too, with status 200: `{"error": "uri", "args": […], "kwargs": {…}}`. The
//! Python client of OCS works over this; it sends no `Content-Type` and opens a connection for every call.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use tokio::time::timeout;

use super::server::hub::Hub;
use crate::error::uris;
use crate::uri::{self, Match};
use crate::{CALLER_AGENT, CALLER_FROM, Dict, Limits, Message, Payload, Serializer, Value};

const METHODS: &str = "POST,PUT,OPTIONS";

/// A call as a request asks for it.
#[derive(Debug, PartialEq)]
struct Call {
    procedure: String,
    args: Vec<Value>,
    kwargs: Dict,
}

/// A request that is no call.
#[derive(Debug, PartialEq)]
struct Refused {
    status: StatusCode,
    why: String,
}

/// Answers one request to `/call`.
pub(super) async fn call(State(hub): State<Arc<Hub>>, request: Request) -> Response<Body> {
    let origin = request.headers().get(header::ORIGIN).cloned();
    let asked_headers = request.headers().get(header::ACCESS_CONTROL_REQUEST_HEADERS).cloned();
    let is_preflight = request.method() == Method::OPTIONS;
    let caller = caller(&request);
    let (status, body) = if is_preflight {
        (StatusCode::OK, Vec::new())
    } else {
        match read_call(&hub, request).await {
            Ok(call) => make_call(&hub, call, caller).await,
            Err(refused) => (refused.status, refused.body()),
        }
    };

    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    let any = HeaderValue::from_static("*");
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.unwrap_or(any));
    headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    let no_cache = HeaderValue::from_static("no-store,no-cache,must-revalidate,max-age=0");
    headers.insert(header::CACHE_CONTROL, no_cache);
    let content_type = HeaderValue::from_static("application/json; charset=UTF-8");
    headers.insert(header::CONTENT_TYPE, content_type);
    if is_preflight || status == StatusCode::METHOD_NOT_ALLOWED {
        headers.insert(header::ALLOW, HeaderValue::from_static(METHODS));
    }
    if is_preflight {
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(METHODS));
        if let Some(asked) = asked_headers {
            headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, asked);
        }
    }
    response
}

/// For whom the call is made, for callees that want to know.
fn caller(request: &Request) -> Dict {
    let address = request.extensions().get::<SocketAddr>().map(SocketAddr::to_string);
    let agent = request.headers().get(header::USER_AGENT).and_then(|agent| agent.to_str().ok());
    let places = [(CALLER_FROM, address.as_deref()), (CALLER_AGENT, agent)];
    places.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

async fn read_call(hub: &Hub, request: Request) -> Result<Call, Refused> {
    if !matches!(*request.method(), Method::POST | Method::PUT) {
        let method = request.method();
        let why = format!("Method {method} is not accepted by the HTTP bridge, only POST and PUT.");
        return Err(Refused { status: StatusCode::METHOD_NOT_ALLOWED, why });
    }
    check_content_type(request.headers())?;
    let limits = &hub.config.message_limits;
    let reading = to_bytes(request.into_body(), limits.max_message_bytes);
    match timeout(hub.config.connection_limits.handshake_timeout, reading).await {
        Ok(Ok(body)) => parse_call(&body, limits),
        Ok(Err(_)) => {
            let why = format!("Request body is not complete, or above {} bytes.", limits.max_message_bytes);
            Err(Refused { status: StatusCode::PAYLOAD_TOO_LARGE, why })
        }
        Err(_elapsed) => Err(Refused {
            status: StatusCode::REQUEST_TIMEOUT,
            why: "Request body did not arrive in time.".to_owned(),
        }),
    }
}

fn check_content_type(headers: &HeaderMap) -> Result<(), Refused> {
    let Some(value) = headers.get(header::CONTENT_TYPE) else { return Ok(()) };
    let value = String::from_utf8_lossy(value.as_bytes());
    let mut parts = value.split(';').map(str::trim);
    let media_type = parts.next().unwrap_or_default();
    if !media_type.is_empty() && !media_type.eq_ignore_ascii_case("application/json") {
        return Err(bad_request(format!("Content type must be application/json, not '{media_type}'.")));
    }
    for parameter in parts {
        if let Some((name, charset)) = parameter.split_once('=')
            && name.eq_ignore_ascii_case("charset")
            && !charset.trim_matches('"').eq_ignore_ascii_case("utf-8")
        {
            return Err(bad_request("Request encoding must be UTF-8."));
        }
    }
    Ok(())
}

fn parse_call(body: &Bytes, limits: &Limits) -> Result<Call, Refused> {
    if std::str::from_utf8(body).is_err() {
        return Err(bad_request("Request body is not UTF-8."));
    }
    let body = Serializer::Json.decode_value(body, limits);
    let body = body.map_err(|error| bad_request(format!("Request body is not valid JSON: {error}.")))?;
    let malformed = |what: &str| bad_request(format!("Request body is valid JSON, but {what}."));
    let Value::Dict(mut body) = body else { return Err(malformed("not an object")) };
    let procedure = match body.remove("procedure") {
        Some(Value::Str(procedure)) => procedure,
        Some(_) => return Err(malformed("'procedure' is not a string")),
        None => return Err(malformed("'procedure' is missing")),
    };
    let args = match body.remove("args") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::List(args)) => args,
        Some(_) => return Err(malformed("'args' is not an array")),
    };
    let kwargs = match body.remove("kwargs") {
        None | Some(Value::Null) => Dict::new(),
        Some(Value::Dict(kwargs)) => kwargs,
        Some(_) => return Err(malformed("'kwargs' is not an object")),
    };
    Ok(Call { procedure, args, kwargs })
}

async fn make_call(hub: &Arc<Hub>, call: Call, caller: Dict) -> (StatusCode, Vec<u8>) {
    // As crossbar answers: whoever sends such a name has a mistake in a program, not in a request.
    if !uri::is_valid(&call.procedure, Match::Exact) {
        let text = "the procedure is not a valid URI";
        return (StatusCode::INTERNAL_SERVER_ERROR, error(uris::RUNTIME_ERROR, Payload::text(text)));
    }
    let limit = hub.config.connection_limits.http_call_timeout;
    let mut pending = hub.bridge_call(call.procedure, Payload::new(call.args, call.kwargs), caller);
    let body = match timeout(limit, pending.answer()).await {
        Ok(Some(Message::Error { error: uri, payload, .. })) => error(&uri, payload),
        Ok(Some(Message::Result { payload, .. })) => result(payload),
        Ok(_) => error(uris::CANCELED, Payload::text("the router is shutting down")),
        Err(_elapsed) => {
            let text = format!("no answer within {}", Seconds(limit));
            error(uris::CANCELED, Payload::text(text))
        }
    };
    (StatusCode::OK, body)
}

/// A result without anything has one null, since clients look at the first element.
fn result(payload: Payload) -> Vec<u8> {
    let (mut args, kwargs) = payload.into_values().unwrap_or_default();
    if args.is_empty() && kwargs.is_empty() {
        args.push(Value::Null);
    }
    let mut body = Dict::new();
    if !args.is_empty() {
        body.insert("args", args);
    }
    if !kwargs.is_empty() {
        body.insert("kwargs", kwargs);
    }
    encode(body)
}

fn error(uri: &str, payload: Payload) -> Vec<u8> {
    let (args, kwargs) = payload.into_values().unwrap_or_default();
    encode(Dict::new().with("error", uri).with("args", args).with("kwargs", kwargs))
}

fn encode(body: Dict) -> Vec<u8> {
    let mut out = Vec::new();
    Serializer::Json.encode_value(&Value::Dict(body), &mut out);
    out
}

fn bad_request(why: impl Into<String>) -> Refused {
    Refused { status: StatusCode::BAD_REQUEST, why: why.into() }
}

impl Refused {
    fn body(self) -> Vec<u8> {
        encode(Dict::new().with("error", self.why).with("args", Vec::new()).with("kwargs", Dict::new()))
    }
}

struct Seconds(Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} s", self.0.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(body: &str) -> Result<Call, Refused> {
        parse_call(&Bytes::from(body.to_owned()), &Limits::default())
    }

    #[test]
    fn absent_and_null_arguments_are_none() {
        let none = Call { procedure: "a.b".into(), args: Vec::new(), kwargs: Dict::new() };
        for body in [
            r#"{"procedure":"a.b"}"#,
            r#"{"procedure":"a.b","args":null,"kwargs":null}"#,
            r#"{"procedure":"a.b","args":[],"kwargs":{},"options":{"timeout":1}}"#,
        ] {
            assert_eq!(parse(body).as_ref(), Ok(&none), "{body}");
        }
    }

    #[test]
    fn what_is_no_call_is_refused_with_a_reason() {
        for (body, reason) in [
            ("", "not valid JSON"),
            ("{", "not valid JSON"),
            ("[]", "not an object"),
            ("{}", "'procedure' is missing"),
            (r#"{"procedure":1}"#, "'procedure' is not a string"),
            (r#"{"procedure":"a","args":{}}"#, "'args' is not an array"),
            (r#"{"procedure":"a","kwargs":[]}"#, "'kwargs' is not an object"),
        ] {
            let refused = parse(body).unwrap_err();
            assert_eq!(refused.status, StatusCode::BAD_REQUEST);
            assert!(refused.why.contains(reason), "{body}: {}", refused.why);
        }
        let not_utf8 = parse_call(&Bytes::from_static(b"{\"procedure\":\"\xff\"}"), &Limits::default());
        assert!(not_utf8.unwrap_err().why.contains("UTF-8"));
    }

    #[test]
    fn only_json_in_utf8_is_accepted_and_nothing_at_all_is_too() {
        let check = |value: Option<&'static str>| {
            let mut headers = HeaderMap::new();
            if let Some(value) = value {
                headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(value));
            }
            check_content_type(&headers).is_ok()
        };
        assert!(
            check(None) && check(Some("application/json")) && check(Some("Application/JSON; charset=UTF-8"))
        );
        assert!(!check(Some("text/plain")) && !check(Some("application/json; charset=latin-1")));
    }
}
