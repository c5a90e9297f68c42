//! One login to one project, and the requests that go out under it.
//!
//! A token is fetched when it is first needed and again before it ends; a request that is answered 401 all the same (the
//! token was revoked) is repeated once with a fresh one. At most one login runs at a time: the others wait for it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Method, StatusCode};
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;
use tokio::sync::Semaphore;

use super::super::CloudError;
use super::access::Login;
use super::catalog::{Catalog, Service};
use super::fault;

/// From the first packet to a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// From a request to the end of its answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// The longest answer that is read, bytes.
const ANSWER_MAX_BYTES: usize = 32 << 20;
/// A token is renewed when this much of its life is left, or a tenth of its life if that is less.
const RENEW_BEFORE: Duration = Duration::from_secs(120);

/// A login and what it gave.
struct Token {
    text: HeaderValue,
    catalog: Catalog,
    /// When it must be renewed, by our clock.
    renew_at: Instant,
}

/// Under one login. Cheap to share by reference; requests run at the same time.
pub(super) struct Session {
    login: Login,
    http: Client,
    answer_timeout: Duration,
    token: Mutex<Option<Arc<Token>>>,
    logins: Semaphore,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Session").field("login", &self.login).finish_non_exhaustive()
    }
}

/// A request, before it is sent.
#[derive(Clone)]
pub(super) struct Request {
    pub(super) service: Service,
    pub(super) method: Method,
    /// Below the service's endpoint, beginning with a slash; with its query, encoded.
    pub(super) path: String,
    /// What nova calls a microversion, where the answer depends on it.
    pub(super) microversion: Option<&'static str>,
    /// Sent as JSON; it may hold user-data, so it is never printed.
    pub(super) body: Option<Value>,
}

impl Request {
    pub(super) fn get(service: Service, path: impl Into<String>) -> Self {
        Self { service, method: Method::GET, path: path.into(), microversion: None, body: None }
    }

    pub(super) fn post(service: Service, path: impl Into<String>, body: Value) -> Self {
        Self { method: Method::POST, body: Some(body), ..Self::get(service, path) }
    }

    pub(super) fn put(service: Service, path: impl Into<String>, body: Value) -> Self {
        Self { method: Method::PUT, body: Some(body), ..Self::get(service, path) }
    }

    pub(super) fn delete(service: Service, path: impl Into<String>) -> Self {
        Self { method: Method::DELETE, ..Self::get(service, path) }
    }

    pub(super) fn at(self, microversion: &'static str) -> Self {
        Self { microversion: Some(microversion), ..self }
    }
}

impl Session {
    /// Nothing is sent yet.
    ///
    /// # Errors
    /// [`CloudError::Invalid`] when TLS cannot be set up (a certificate that cannot be read).
    pub(super) fn new(login: Login) -> Result<Self, CloudError> {
        let http = client(&login)?;
        Ok(Self {
            login,
            http,
            answer_timeout: ANSWER_TIMEOUT,
            token: Mutex::default(),
            logins: Semaphore::new(1),
        })
    }

    /// How long a request may take until the end of its answer, in the place of [`ANSWER_TIMEOUT`].
    pub(super) fn set_answer_timeout(&mut self, timeout: Duration) {
        self.answer_timeout = timeout;
    }

    /// Whether the catalog has such a service.
    ///
    /// # Errors
    /// Those of a login.
    pub(super) async fn has(&self, service: Service) -> Result<bool, CloudError> {
        Ok(self.token().await?.catalog.endpoint(service).is_some())
    }

    /// Sends a request; any answer but 2xx is an error. Nothing is repeated but after a 401, which says that nothing
    /// was done. The answer is its body, `null` where there is none.
    pub(super) async fn call(&self, request: Request) -> Result<Value, CloudError> {
        let token = self.token().await?;
        match self.send(&request, &token).await {
            Err(CloudError::Auth(_)) => {
                self.drop_token(&token);
                let fresh = self.token().await?;
                self.send(&request, &fresh).await
            }
            answer => answer,
        }
    }

    /// All pages of a list: `key` holds the items of a page, `KEY_links` (or `next`) the way to the next one.
    pub(super) async fn list(&self, request: Request, key: &str) -> Result<Vec<Value>, CloudError> {
        let (mut request, mut all) = (request, Vec::new());
        // A cloud that never comes to an end is not followed for ever.
        for _page in 0..PAGES_MAX {
            let mut answer = self.call(request.clone()).await?;
            let items = match answer.get_mut(key).map(Value::take) {
                Some(Value::Array(items)) => items,
                _ => return Err(CloudError::Nonsense(format!("{} has no list {key:?}", request.path))),
            };
            let last = items.last().and_then(|item| item["id"].as_str()).map(str::to_owned);
            let more = has_next(&answer, key);
            all.extend(items);
            match (more, last) {
                (true, Some(last)) => request.path = with_marker(&request.path, &last),
                _ => return Ok(all),
            }
        }
        Err(CloudError::Nonsense(format!("{} has more than {PAGES_MAX} pages", request.path)))
    }

    fn current(&self) -> Option<Arc<Token>> {
        let token = self.token.lock().unwrap_or_else(PoisonError::into_inner).clone();
        token.filter(|token| Instant::now() < token.renew_at)
    }

    fn drop_token(&self, old: &Arc<Token>) {
        let mut slot = self.token.lock().unwrap_or_else(PoisonError::into_inner);
        if slot.as_ref().is_some_and(|token| Arc::ptr_eq(token, old)) {
            *slot = None;
        }
    }

    async fn token(&self) -> Result<Arc<Token>, CloudError> {
        if let Some(token) = self.current() {
            return Ok(token);
        }
        let turn = self.logins.acquire().await;
        if let Some(token) = self.current() {
            return Ok(token);
        }
        let token = Arc::new(self.log_in().await?);
        *self.token.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&token));
        drop(turn);
        Ok(token)
    }

    async fn log_in(&self) -> Result<Token, CloudError> {
        let url = format!("{}/auth/tokens", self.login.auth_url);
        let body = self.login.request().to_string();
        let asked = Instant::now();
        let request = self.http.post(&url).header("content-type", "application/json").body(body);
        let (headers, body) = self.exchange(request, false).await?;
        let text = headers.get("x-subject-token").cloned().map(|mut value| {
            value.set_sensitive(true);
            value
        });
        let text = text.ok_or_else(|| CloudError::Nonsense("keystone gave no X-Subject-Token".to_owned()))?;
        let life = token_life(&body["token"]).unwrap_or(Duration::from_secs(300));
        let catalog = Catalog::read(&body["token"], self.login.region.as_deref(), &self.login.interface)
            .map_err(CloudError::Invalid)?;
        Ok(Token { text, catalog, renew_at: asked + life.saturating_sub(RENEW_BEFORE.min(life / 10)) })
    }

    async fn send(&self, request: &Request, token: &Token) -> Result<Value, CloudError> {
        let service = request.service;
        let endpoint = token.catalog.endpoint(service).ok_or_else(|| {
            CloudError::NotFound(format!("the catalog has no {} service in this region", service.name()))
        })?;
        let mut call = self
            .http
            .request(request.method.clone(), format!("{endpoint}{}", request.path))
            .header("x-auth-token", token.text.clone())
            .header("accept", "application/json");
        if let Some(version) = request.microversion {
            let name = HeaderName::from_static("openstack-api-version");
            call = call.header(name, format!("{} {version}", service.microversion_name()));
        }
        if let Some(body) = &request.body {
            call = call.header("content-type", "application/json").body(body.to_string());
        }
        let (_headers, body) = self.exchange(call, request.method != Method::GET).await?;
        Ok(body)
    }

    /// `changes`: whether it matters if the cloud has done it when no answer came.
    async fn exchange(
        &self,
        request: reqwest::RequestBuilder,
        changes: bool,
    ) -> Result<(HeaderMap, Value), CloudError> {
        let lost = |error: reqwest::Error| transport_error(&error, changes);
        let mut response = request.timeout(self.answer_timeout).send().await.map_err(lost)?;
        let (status, headers) = (response.status(), response.headers().clone());
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(lost)? {
            if body.len() + chunk.len() > ANSWER_MAX_BYTES {
                return Err(CloudError::Nonsense(format!("an answer of more than {ANSWER_MAX_BYTES} bytes")));
            }
            body.extend_from_slice(&chunk);
        }
        if !status.is_success() {
            let retry_after = headers.get("retry-after").and_then(|value| value.to_str().ok());
            return Err(fault::from_answer(status.as_u16(), retry_after, &body));
        }
        if body.is_empty() || status == StatusCode::NO_CONTENT {
            return Ok((headers, Value::Null));
        }
        match serde_json::from_slice(&body) {
            Ok(json) => Ok((headers, json)),
            // What has changed something has changed it, whatever the answer looks like.
            Err(error) => Err(CloudError::Nonsense(format!("the answer is no JSON: {error}"))),
        }
    }
}

/// Pages of one list.
const PAGES_MAX: usize = 1000;

/// Nova and neutron have `servers_links: [{rel: next, href}]`, glance `next: /v2/images?marker=…`.
fn has_next(body: &Value, key: &str) -> bool {
    let links = body[format!("{key}_links").as_str()].as_array();
    links.is_some_and(|links| links.iter().any(|link| link["rel"] == "next")) || body["next"].is_string()
}

/// The path again, from behind this item. The link that the cloud gives is not followed: behind a proxy it may lead
/// elsewhere.
fn with_marker(path: &str, id: &str) -> String {
    let bare = match path.find("&marker=").or_else(|| path.find("?marker=")) {
        Some(at) => &path[..at],
        None => path,
    };
    let mark = if bare.contains('?') { '&' } else { '?' };
    format!("{bare}{mark}marker={id}")
}

/// How long a token lives, from the two times of the answer: the cloud's clock need not be ours.
fn token_life(token: &Value) -> Option<Duration> {
    let seconds = |key: &str| super::time::unix_ms(token[key].as_str()?);
    let (issued, expires) = (seconds("issued_at")?, seconds("expires_at")?);
    expires.checked_sub(issued).map(Duration::from_millis)
}

fn transport_error(error: &reqwest::Error, changes: bool) -> CloudError {
    // The whole chain, without the URL, which is long and says nothing new.
    let mut text = String::new();
    let mut source: Option<&dyn std::error::Error> = std::error::Error::source(error);
    while let Some(inner) = source {
        text = inner.to_string();
        source = inner.source();
    }
    if text.is_empty() {
        text = if error.is_timeout() { "timed out".to_owned() } else { error.to_string() };
    }
    if error.is_connect() || !changes { CloudError::Unreachable(text) } else { CloudError::AnswerLost(text) }
}

fn client(login: &Login) -> Result<Client, CloudError> {
    let invalid =
        |error: &dyn std::fmt::Display| CloudError::Invalid(format!("TLS cannot be set up: {error}"));
    let builder = Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("campanile/", env!("CARGO_PKG_VERSION")));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| invalid(&error))?;
    let config = if login.insecure {
        config
            .dangerous()
            .with_custom_certificate_verifier(super::insecure::verifier(provider))
            .with_no_client_auth()
    } else {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if let Some(file) = &login.cacert {
            let cannot = |error: &dyn std::fmt::Display| invalid(&format!("{}: {error}", file.display()));
            let certificates = rustls_native_certs::load_certs_from_paths(Some(file), None);
            if let Some(error) = certificates.errors.first() {
                return Err(cannot(error));
            }
            let (added, _unusable) = roots.add_parsable_certificates(certificates.certs);
            if added == 0 {
                return Err(cannot(&"no certificate in it"));
            }
        }
        config.with_root_certificates(roots).with_no_client_auth()
    };
    builder.tls_backend_preconfigured(config).build().map_err(|error| invalid(&error))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn pages_are_followed_by_marker() {
        assert_eq!(with_marker("/servers/detail", "a"), "/servers/detail?marker=a");
        assert_eq!(with_marker("/servers/detail?tags=x&marker=a", "b"), "/servers/detail?tags=x&marker=b");
        assert_eq!(with_marker("/images?marker=a", "b"), "/images?marker=b");
        assert!(has_next(
            &json!({"servers": [], "servers_links": [{"rel": "next", "href": "…"}]}),
            "servers"
        ));
        assert!(has_next(&json!({"images": [], "next": "/v2/images?marker=x"}), "images"));
        assert!(!has_next(&json!({"servers": []}), "servers"));
    }

    #[test]
    fn the_life_of_a_token_is_measured_by_the_clock_of_the_cloud() {
        let token =
            json!({"issued_at": "2026-11-22T10:00:00.000000Z", "expires_at": "2026-11-22T11:00:00.000000Z"});
        assert_eq!(token_life(&token), Some(Duration::from_secs(3600)));
        assert_eq!(token_life(&json!({})), None);
    }
}
