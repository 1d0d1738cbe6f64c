//! Our own transport: frozen bytes in, an [`Answer`] or a [`SendFailure`] out.
//!
//! Takes a base address, a key and a timeout. Connections are pooled, the API version and the idempotency key are
//! sent as they are given, and nothing is retried here: whether sending again is safe is decided by what the answer
//! means (`outcome`). The key never appears in an error or in debug output.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue, USER_AGENT};
use http::{Method, Request, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Builder, Client, ResponseFuture};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tollbook_schemas::digest::{sha256_hex, sha256_parts};
use tollbook_schemas::error::with_causes;

use super::requests::STRIPE_VERSION;
use crate::error::BillingError;

/// An answer larger than this is not Stripe's.
const BODY_MAX_BYTES: usize = 16 * 1024 * 1024;
/// Stripe closes idle connections after about a minute; ours are given up first.
const POOL_IDLE_SECONDS: u64 = 50;

/// A Stripe key. It prints as `SecretKey(…)`.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretKey(String);

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(…)")
    }
}

impl SecretKey {
    /// Takes a key. Keys of the live mode are refused unless `live` says that real money is meant.
    ///
    /// # Errors
    /// [`BillingError::Configuration`].
    pub fn parse(text: &str, live: bool) -> Result<Self, BillingError> {
        let text = text.trim();
        let starts = |prefixes: [&str; 2]| prefixes.iter().any(|p| text.len() > p.len() && text.starts_with(p));
        let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if plain && starts(["sk_test_", "rk_test_"]) {
            return Ok(Self(text.to_owned()));
        }
        match (plain && starts(["sk_live_", "rk_live_"]), live) {
            (true, true) => Ok(Self(text.to_owned())),
            (true, false) => Err(BillingError::configuration(
                "the Stripe key is one of the live mode, which charges real money",
                "use a test key, or set stripe.live = true",
            )),
            (false, _) => Err(BillingError::configuration(
                "the Stripe key is none: it must start with sk_test_ or rk_test_",
                "copy the secret key from Stripe's dashboard",
            )),
        }
    }
}

/// What Stripe answered.
#[derive(Clone, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Request-Id.
    pub request_id: Option<String>,
    /// Whether it is a saved answer to an earlier request with the same key.
    pub replayed: bool,
    /// Stripe-Rate-Limited-Reason.
    pub rate_limited_reason: Option<String>,
    /// Body.
    pub body: Bytes,
}

impl fmt::Debug for Answer {
    /// Without the body: it may hold contact data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer")
            .field("status", &self.status)
            .field("request_id", &self.request_id)
            .field("replayed", &self.replayed)
            .finish_non_exhaustive()
    }
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SendFailure {
    /// No connection: nothing was sent.
    #[error("Stripe could not be reached: {0}")]
    NotSent(String),
    /// Something may have been sent, and may have been carried out.
    #[error("Stripe's answer did not arrive: {0}")]
    Unknown(String),
}

/// Pooled connections, with TLS or, for a double on this machine, without.
#[derive(Clone)]
enum Pool {
    Tls(Client<HttpsConnector<HttpConnector>, Full<Bytes>>),
    Plain(Client<HttpConnector, Full<Bytes>>),
}

impl Pool {
    fn tls() -> Self {
        // rustls asks for the process's TLS provider here: `src/` installs it, first thing.
        let connector = HttpsConnectorBuilder::new().with_webpki_roots().https_only().enable_http1().build();
        Self::Tls(pooled().build(connector))
    }

    fn plain() -> Self {
        Self::Plain(pooled().build(HttpConnector::new()))
    }

    fn request(&self, request: Request<Full<Bytes>>) -> ResponseFuture {
        match self {
            Self::Tls(client) => client.request(request),
            Self::Plain(client) => client.request(request),
        }
    }
}

fn pooled() -> Builder {
    let mut builder = Client::builder(TokioExecutor::new());
    builder.pool_idle_timeout(Duration::from_secs(POOL_IDLE_SECONDS)).pool_timer(TokioTimer::new());
    builder
}

/// A connection to one Stripe account.
#[derive(Clone)]
pub struct Transport {
    pool: Pool,
    base_url: String,
    authorization: HeaderValue,
    account_key: String,
    timeout: Duration,
    given_up: Arc<AtomicBool>,
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport")
            .field("base_url", &self.base_url)
            .field("account_key", &self.account_key)
            .finish_non_exhaustive()
    }
}

impl Transport {
    /// Makes a transport. `account` names the Stripe account (`acct_…`); without it the key stands for the account,
    /// so a rolled key would look like another account.
    ///
    /// # Errors
    /// [`BillingError::Configuration`] for an address that cannot be used.
    pub fn new(
        base_url: &str,
        key: &SecretKey,
        account: Option<&str>,
        timeout: Duration,
    ) -> Result<Self, BillingError> {
        let base_url = base_url.trim_end_matches('/').to_owned();
        let uri: Option<Uri> = base_url.parse().ok();
        let scheme = uri.as_ref().and_then(|uri| uri.host().and(uri.scheme_str()));
        let loopback =
            uri.as_ref().and_then(Uri::host).is_some_and(|h| matches!(h, "127.0.0.1" | "localhost" | "[::1]"));
        let pool = match scheme {
            Some("https") => Pool::tls(),
            Some("http") if loopback => Pool::plain(),
            _ => {
                return Err(BillingError::configuration(
                    format!("stripe.base_url {base_url:?} cannot be used"),
                    "write https://api.stripe.com; plain http is for a double on this machine only",
                ));
            }
        };
        let mut authorization = HeaderValue::from_str(&format!("Bearer {}", key.0)).map_err(|_| {
            BillingError::configuration("the Stripe key has characters that no header can carry", "copy it again")
        })?;
        authorization.set_sensitive(true);
        let named = account.unwrap_or(&key.0);
        // Test and live mode of one account share nothing: a customer of one does not exist in the other.
        let mode = if key.0.contains("_live_") { "live" } else { "test" };
        let account_key =
            sha256_hex(&sha256_parts(["tollbook stripe account", &base_url, mode, named])).chars().take(12).collect();
        Ok(Self { pool, base_url, authorization, account_key, timeout, given_up: Arc::default() })
    }

    /// A short hash that tells Stripe accounts apart; it gives nothing of the key away.
    #[must_use]
    pub fn account_key(&self) -> &str {
        &self.account_key
    }

    /// No call of this transport, or of a copy of it, is to be sent any more: no connection came about, again and
    /// again.
    pub(super) fn give_up(&self) {
        self.given_up.store(true, Ordering::Relaxed);
    }

    /// Whether connecting was given up.
    pub(super) fn is_given_up(&self) -> bool {
        self.given_up.load(Ordering::Relaxed)
    }

    /// Sends a form with an idempotency key, once.
    ///
    /// # Errors
    /// [`SendFailure`].
    pub async fn post(&self, path: &str, body: &[u8], idempotency_key: &str) -> Result<Answer, SendFailure> {
        let request = self
            .request(Method::POST, path)
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header("idempotency-key", idempotency_key)
            .body(Full::new(Bytes::copy_from_slice(body)));
        self.send(request).await
    }

    /// Reads, once.
    ///
    /// # Errors
    /// [`SendFailure`].
    pub async fn get(&self, path_and_query: &str) -> Result<Answer, SendFailure> {
        self.send(self.request(Method::GET, path_and_query).body(Full::new(Bytes::new()))).await
    }

    fn request(&self, method: Method, path: &str) -> http::request::Builder {
        Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.base_url))
            .header(AUTHORIZATION, self.authorization.clone())
            .header(USER_AGENT, concat!("tollbook/", env!("CARGO_PKG_VERSION")))
            .header("stripe-version", STRIPE_VERSION)
    }

    async fn send(&self, request: http::Result<Request<Full<Bytes>>>) -> Result<Answer, SendFailure> {
        let request = request.map_err(|error| SendFailure::NotSent(error.to_string()))?;
        let exchange = async {
            let response = self.pool.request(request).await.map_err(|error| {
                let told = with_causes(&error);
                if error.is_connect() { SendFailure::NotSent(told) } else { SendFailure::Unknown(told) }
            })?;
            let (parts, body) = response.into_parts();
            let body = Limited::new(body, BODY_MAX_BYTES).collect().await;
            let body = body.map_err(|error| SendFailure::Unknown(format!("the answer broke off: {error}")))?.to_bytes();
            let header = |name: &str| text_of(&parts.headers, name);
            Ok(Answer {
                status: parts.status.as_u16(),
                request_id: header("request-id"),
                // Only this header marks a replay: the first keyed answer carries Original-Request too.
                replayed: header("idempotent-replayed").is_some_and(|value| value.eq_ignore_ascii_case("true")),
                rate_limited_reason: header("stripe-rate-limited-reason"),
                body,
            })
        };
        match tokio::time::timeout(self.timeout, exchange).await {
            Ok(answer) => answer,
            Err(_) => Err(SendFailure::Unknown(format!("no answer within {} ms", self.timeout.as_millis()))),
        }
    }
}

fn text_of(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(|text| text.chars().take(200).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_test_keys_pass_unless_live_is_meant() {
        for (text, live, accepted) in [
            ("sk_test_abc", false, true),
            ("rk_test_abc\n", false, true),
            ("sk_live_abc", false, false),
            ("sk_live_abc", true, true),
            ("rk_live_abc", false, false),
            ("sk_test_", false, false),
            ("pk_test_abc", true, false),
            ("sk_test_a b", false, false),
            ("", true, false),
        ] {
            assert_eq!(SecretKey::parse(text, live).is_ok(), accepted, "{text:?} live={live}");
        }
    }

    #[test]
    fn a_key_is_never_shown() {
        let key = SecretKey::parse("sk_test_verysecret", false).unwrap();
        assert!(!format!("{key:?}").contains("verysecret"));
        let error = SecretKey::parse("sk_live_verysecret", false).unwrap_err();
        assert!(!format!("{error} {error:?}").contains("verysecret"));
    }
}
