//! Opaque tokens, by asking their issuer (RFC 7662). Nobody but the configured endpoint ever sees them.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::{HeaderValue, StatusCode, header};
use serde_json::{Map, Value};
use url::form_urlencoded;

use super::lack::Lack;
use super::{Doubt, Vouched};
use crate::clock::Clock;
use crate::config::{ClientAuth, IntrospectionSettings};
use crate::idp::{Allowance, Outbound, Reach, Standing, identity_of, numeric_date};
use crate::metrics::IdpOperation;

/// How many questions the endpoint is asked, at most: whoever sends texts that are no tokens costs a question each. A
/// quarter is kept for tokens that were good before.
const QUESTIONS_PER_SECOND: u64 = 50;
const QUESTIONS_AT_ONCE: u64 = 200;
const QUESTIONS_UNDER_WAY: usize = 16;
/// How long an answer is waited for: so is somebody's request.
const DEADLINE: Duration = Duration::from_millis(1500);
/// How long a token waits for its turn.
const PATIENCE: Duration = Duration::from_millis(500);
/// How far the endpoint's clock may be ahead of ours.
const LEEWAY: Duration = Duration::from_mins(1);

/// An introspection endpoint.
pub(super) struct Introspection {
    settings: IntrospectionSettings,
    outbound: Outbound,
    questions: Allowance,
    lack: Lack,
    clock: Arc<dyn Clock>,
}

impl Introspection {
    pub(super) fn new(settings: IntrospectionSettings, outbound: Outbound, clock: Arc<dyn Clock>) -> Self {
        let questions =
            Allowance::new(QUESTIONS_PER_SECOND, QUESTIONS_AT_ONCE, QUESTIONS_UNDER_WAY, Arc::clone(&clock))
                .with_reserve();
        Self { settings, outbound: outbound.with_deadline(DEADLINE), questions, lack: Lack::default(), clock }
    }

    /// Asks whose token it is. `admit` and the caches are the caller's.
    pub(super) async fn verify(&self, token: &str, standing: Standing) -> Result<Vouched, Doubt> {
        let busy = || Doubt::Unavailable("too many tokens are to be asked about at the moment".to_owned());
        let turn = self.questions.ask(standing, PATIENCE).await.ok_or_else(busy)?;
        let asked = self.ask(token).await;
        self.lack.note(&asked);
        let members = asked.map_err(Doubt::Unavailable)?;
        drop(turn);
        match members.get("active") {
            Some(Value::Bool(true)) => self.judge(members).map_err(Doubt::Refused),
            Some(Value::Bool(false)) => Err(Doubt::Refused("it is not active".to_owned())),
            _ => Err(Doubt::Unavailable("the answer does not say whether it is `active`".to_owned())),
        }
    }

    /// Why the last question was not answered, if it was not.
    pub(super) fn lacking(&self) -> Option<String> {
        self.lack.reason()
    }

    /// What the endpoint says. Otherwise nothing is known of the token.
    async fn ask(&self, token: &str) -> Result<Map<String, Value>, String> {
        let request = self.question(token)?;
        let called = self.outbound.call(IdpOperation::Introspection, request, Reach::Anywhere).await;
        let response = called.map_err(|error| format!("introspection: {error}"))?;
        match response.status() {
            StatusCode::OK => {}
            status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::BAD_REQUEST) => {
                return Err(format!(
                    "introspection: it answered with status {status}: compare client_id, client_secret and client_auth \
                     with what is registered there for `{}`",
                    self.settings.client_id
                ));
            }
            status => return Err(format!("introspection: it answered with status {status}")),
        }
        let kind = response.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let kind = kind.and_then(|kind| kind.split(';').next()).unwrap_or_default().trim().to_ascii_lowercase();
        if kind != "application/json" {
            return Err("introspection: the answer is not JSON".to_owned());
        }
        // Not the parser's own words: they may quote the answer.
        serde_json::from_slice(response.body()).map_err(|_| "introspection: the answer is no JSON object".to_owned())
    }

    fn question(&self, token: &str) -> Result<http::Request<Vec<u8>>, String> {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("token", token).append_pair("token_type_hint", "access_token");
        let mut request = http::Request::post(self.settings.url.as_str())
            .header(header::ACCEPT, "application/json")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        match &self.settings.client_auth {
            ClientAuth::Basic(secret) => {
                // RFC 6749 section 2.3.1: each half is encoded as in a form.
                let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
                let pair = format!("{}:{}", encoded(&self.settings.client_id), encoded(secret.expose()));
                let mut basic = HeaderValue::try_from(format!("Basic {}", BASE64_STANDARD.encode(pair)))
                    .map_err(|error| error.to_string())?;
                basic.set_sensitive(true);
                request = request.header(header::AUTHORIZATION, basic);
            }
            ClientAuth::Post(secret) => {
                form.append_pair("client_id", &self.settings.client_id).append_pair("client_secret", secret.expose());
            }
            ClientAuth::None => return Err("introspection takes a client that authenticates itself".to_owned()),
        }
        request.body(form.finish().into_bytes()).map_err(|error| error.to_string())
    }

    /// Judges what is said of an active token.
    fn judge(&self, members: Map<String, Value>) -> Result<Vouched, String> {
        let text = |name: &str| members.get(name).and_then(Value::as_str);
        // Bound to a key or a certificate (RFC 7800): it is worth nothing to whoever merely has it.
        if members.contains_key("cnf") {
            return Err("it is bound to a key, and no bearer's".to_owned());
        }
        if text("token_type").is_some_and(|kind| !kind.eq_ignore_ascii_case("bearer")) {
            return Err("it is no bearer token".to_owned());
        }
        if let Some(issuer) = &self.settings.issuer
            && members.contains_key("iss")
            && text("iss") != Some(issuer)
        {
            return Err("its `iss` is another".to_owned());
        }
        let is_ours = |audience: &Value| self.settings.audiences.iter().any(|ours| audience == ours);
        let for_us = match members.get("aud") {
            _ if self.settings.audiences.is_empty() => true,
            Some(Value::Array(many)) => many.iter().any(is_ours),
            Some(one) => is_ours(one),
            None => false,
        };
        if !for_us {
            return Err("it is meant for another audience".to_owned());
        }
        let scopes: Vec<&str> = text("scope").unwrap_or_default().split(' ').collect();
        if let Some(missing) = self.settings.scopes.iter().find(|scope| !scopes.contains(&scope.as_str())) {
            return Err(format!("it lacks the scope `{missing}`"));
        }
        let now = self.clock.now();
        let ends_at = numeric_date(&members, "exp")?;
        if ends_at.is_some_and(|end| end <= now) {
            return Err("it has ended".to_owned());
        }
        if numeric_date(&members, "nbf")?.is_some_and(|begin| begin > now.plus(LEEWAY)) {
            return Err("it is not good yet".to_owned());
        }
        let identity = identity_of(members, &self.settings.id, &self.settings.identity)?;
        Ok(Vouched { identity, ends_at })
    }
}

impl std::fmt::Debug for Introspection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Introspection").field("settings", &self.settings).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
