//! One exchange with the API server: over TLS that only the cluster's CA vouches for, bounded in time and size, without
//! redirects, and with our own token, anew if it was replaced meanwhile.

use std::error::Error;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, header};
use reqwest::{Certificate, Client, redirect};
use serde_json::Value;
use tokio::time::timeout;
use tracing::debug;
use url::Url;

use super::credentials::Credentials;
use super::{ApiServer, KubeError};
use crate::config::KubernetesApi;

/// Text of the server's in a log line is cut there.
const LONGEST_QUOTE: usize = 300;

/// The way to the API server.
#[derive(Debug)]
pub(super) struct Connection {
    client: Client,
    address: Url,
    credentials: Credentials,
    deadline: Duration,
}

/// A status and a body that was read whole.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Vec<u8>,
}

impl Connection {
    pub(super) fn new(settings: &KubernetesApi, deadline: Duration) -> Result<Self, KubeError> {
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            // Whoever installs one in the same moment installs the same.
            let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        }
        let client = Client::builder()
            .no_proxy()
            .https_only(true)
            .redirect(redirect::Policy::none())
            .referer(false)
            .tls_certs_only(certificates(&settings.ca)?)
            // A call that is given up ends its connection; over HTTP/2 the next ones would hang on it too.
            .http1_only()
            .pool_idle_timeout(Duration::from_secs(15))
            .user_agent(concat!("countersign/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| KubeError::Misconfigured(whole_story(&error)))?;
        let credentials = Credentials::new(settings.token_file.clone());
        Ok(Self { client, address: settings.address.clone(), credentials, deadline })
    }

    pub(super) fn with_deadline(self, deadline: Duration) -> Self {
        Self { deadline, ..self }
    }

    /// Fetches `path`.
    pub(super) async fn fetch(&self, path: &str) -> Result<Answer, KubeError> {
        self.call(Method::GET, path, None).await
    }

    /// Creates an object at `path`.
    pub(super) async fn create(&self, path: &str, object: &Value) -> Result<Answer, KubeError> {
        self.call(Method::POST, path, Some(object.to_string().into())).await
    }

    async fn call(&self, method: Method, path: &str, body: Option<Bytes>) -> Result<Answer, KubeError> {
        let called = timeout(self.deadline, self.call_as_ourselves(method, path, body)).await;
        let outcome = called.unwrap_or_else(|_| {
            Err(KubeError::Unreachable(format!("{path}: no complete answer within {:?}", self.deadline)))
        });
        match &outcome {
            Ok(answer) => debug!(path, status = answer.status.as_u16(), "Kubernetes API server answered"),
            Err(error) => debug!(path, %error, "Kubernetes API server gave no answer"),
        }
        outcome
    }

    /// A token that was replaced while the call was under way is no reason to fail.
    async fn call_as_ourselves(&self, method: Method, path: &str, body: Option<Bytes>) -> Result<Answer, KubeError> {
        let first = self.credentials.authorization()?;
        let answer = self.exchange(method.clone(), path, body.clone(), first.clone()).await?;
        if answer.status != StatusCode::UNAUTHORIZED {
            return Ok(answer);
        }
        let second = self.credentials.authorization()?;
        if second == first { Ok(answer) } else { self.exchange(method, path, body, second).await }
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Option<Bytes>,
        authorization: HeaderValue,
    ) -> Result<Answer, KubeError> {
        let failed = |error: &reqwest::Error| KubeError::Unreachable(format!("{path}: {}", whole_story(error)));
        let url = self.address.join(path).map_err(|error| KubeError::Misconfigured(format!("{path}: {error}")))?;
        let mut request = self.client.request(method, url);
        request = request.header(header::AUTHORIZATION, authorization).header(header::ACCEPT, "application/json");
        if let Some(body) = body {
            request = request.header(header::CONTENT_TYPE, "application/json").body(body);
        }
        let mut response = request.send().await.map_err(|error| failed(&error))?;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| failed(&error))? {
            if body.len() + chunk.len() > ApiServer::MAX_BODY {
                let most = ApiServer::MAX_BODY / 1024;
                return Err(KubeError::Misbehaved(format!("{path}: its answer is larger than {most} KiB")));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer { status: response.status(), body })
    }

    /// What an answer means that is not what was asked for. `permission` is what our ServiceAccount lacks if it lacks
    /// something.
    pub(super) fn trouble(&self, path: &str, answer: &Answer, permission: &str) -> KubeError {
        let status = answer.status;
        let said = format!("{path}: status {status}{}", answer.message());
        match status {
            StatusCode::UNAUTHORIZED => KubeError::Refused(format!(
                "{said}: it does not accept our own token; is {} that of a ServiceAccount of this cluster?",
                self.credentials.place()
            )),
            StatusCode::FORBIDDEN => KubeError::Refused(format!("{said}: {permission}")),
            StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => KubeError::Unreachable(said),
            _ if status.is_server_error() => KubeError::Unreachable(said),
            _ if status.is_redirection() => {
                KubeError::Misbehaved(format!("{said}: it redirects, which is not followed: is `api` its own address?"))
            }
            _ => KubeError::Misbehaved(said),
        }
    }
}

impl Answer {
    /// What a `Status` object says, to be put behind a status.
    fn message(&self) -> String {
        let status: Option<Value> = serde_json::from_slice(&self.body).ok();
        let message = status.as_ref().and_then(|status| status.get("message")?.as_str());
        message.map(|message| format!(" ({})", quotable(message))).unwrap_or_default()
    }
}

/// Text of the server's, fit for a log line: short, without control characters, and without anything that could be a
/// token (it may repeat what it was sent).
pub(super) fn quotable(text: &str) -> String {
    let words = text.split_inclusive(|c: char| !is_of_token(c));
    let safe: String = words.map(|word| if looks_like_token(word) { "[…] " } else { word }).collect();
    safe.chars().filter(|c| !c.is_control()).take(LONGEST_QUOTE).collect()
}

const fn is_of_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '+' | '/' | '=')
}

/// Longer than any word that a person writes, or the beginning of a JSON object in base64.
fn looks_like_token(word: &str) -> bool {
    word.len() > 64 || word.starts_with("eyJ")
}

fn certificates(path: &Path) -> Result<Vec<Certificate>, KubeError> {
    let unusable = |reason: &str| KubeError::Misconfigured(format!("ca {}: {reason}", path.display()));
    let pem = std::fs::read(path).map_err(|error| unusable(&error.to_string()))?;
    let certificates = Certificate::from_pem_bundle(&pem).map_err(|error| unusable(&whole_story(&error)))?;
    if certificates.is_empty() {
        return Err(unusable("it holds no PEM certificate"));
    }
    Ok(certificates)
}

/// An error with its causes, without the URL.
fn whole_story(error: &reqwest::Error) -> String {
    let mut story = if error.is_connect() { "no connection" } else { "the exchange failed" }.to_owned();
    let mut cause = error.source();
    while let Some(error) = cause {
        story = format!("{story}: {error}");
        cause = error.source();
    }
    story
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_like_a_token_is_quoted() {
        let token = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl";
        let quoted = quotable(&format!("invalid bearer token \"{token}\": {}\n", "x".repeat(70)));
        assert_eq!(quoted, "invalid bearer token \"[…] : […] ");
        assert_eq!(quotable("tokenreviews is forbidden: User \"a:b\""), "tokenreviews is forbidden: User \"a:b\"");
        assert_eq!(quotable(&"so ".repeat(300)).chars().count(), LONGEST_QUOTE);
    }
}
