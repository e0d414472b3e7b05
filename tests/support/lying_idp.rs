//! An identity provider on a real socket that is honest until it is told to lie: `idp.lie(|b| …)` changes what it says
//! from then on. It signs people in without asking; every sign-in is `ann`. Other tests include this file by `#[path]`.

#![allow(dead_code, reason = "each test binary uses another part of this file")]

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard};
use std::time::Duration;

use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RSA_PKCS1_SHA512,
    RSA_PSS_SHA256, RsaEncoding, RsaKeyPair,
};
use aws_lc_rs::{digest, hmac};
use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use countersign::clock::Clock;
use futures_util::stream;
use http::{HeaderMap, StatusCode, header};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use url::form_urlencoded;

use super::canaries;

/// The one registered client. Both need the encoding of RFC 6749 section 2.3.1.
pub(crate) const CLIENT_ID: &str = "counter sign";
pub(crate) const CLIENT_SECRET: &str = "p%:ss+ wörd";

pub(crate) const DISCOVERY: &str = "/.well-known/openid-configuration";
pub(crate) const JWKS: &str = "/jwks";
/// The same key set, at an address that only some ask.
pub(crate) const KEYS: &str = "/keys";
pub(crate) const AUTH: &str = "/auth";
pub(crate) const TOKEN: &str = "/token";
pub(crate) const USERINFO: &str = "/userinfo";
pub(crate) const REVOKE: &str = "/revoke";
pub(crate) const END_SESSION: &str = "/end_session";

/// Made once a test binary: they take a while.
static RSA: LazyLock<RsaKeyPair> = LazyLock::new(|| RsaKeyPair::generate(KeySize::Rsa2048).expect("a key"));
static STRANGERS: LazyLock<RsaKeyPair> = LazyLock::new(|| RsaKeyPair::generate(KeySize::Rsa2048).expect("a key"));

/// The client's side of it, as a gateway's file spells a provider.
pub(crate) fn registration(id: &str, issuer: &str) -> String {
    json!({
        "id": id,
        "name": id.to_uppercase(),
        "issuer": issuer,
        "client_id": CLIENT_ID,
        "client_secret": CLIENT_SECRET,
        "scopes": ["openid", "email", "groups", "offline_access"],
        "algorithms": ["RS256", "ES256"],
    })
    .to_string()
}

/// A running provider; it ends with the value.
pub(crate) struct LyingIdp {
    /// Its issuer: where it listens, unless [`LyingIdp::start_behind`] named another.
    pub(crate) issuer: String,
    /// Where it listens.
    pub(crate) address: String,
    /// The certificate to trust, if it speaks TLS.
    pub(crate) certificate: Option<String>,
    inner: Arc<Inner>,
    server: JoinHandle<()>,
}

/// What it says and does. The default is honest.
pub(crate) struct Behaviour {
    /// Instead of the honest answer of an endpoint, by its path.
    pub(crate) answers: HashMap<&'static str, Answer>,
    /// Endpoints, by path, whose answer is ready but held back until a permit is added.
    pub(crate) held: HashMap<&'static str, Arc<Semaphore>>,
    /// Changes the discovery document, the key set, the token answer, the userinfo answer.
    pub(crate) metadata: Change,
    pub(crate) jwks: Change,
    pub(crate) token_answer: Change,
    pub(crate) userinfo: Change,
    /// Changes the header and the claims of an ID token before it is signed.
    pub(crate) header: Change,
    pub(crate) claims: Change,
    /// The same, only for ID tokens of a refresh.
    pub(crate) refreshed_claims: Change,
    /// Claims of the user that only userinfo tells.
    pub(crate) id_token_lacks: &'static [&'static str],
    /// Changes the parameters that it sends: with a browser that it sends back, and beside a logout token.
    pub(crate) parameters: ParametersChange,
    /// Instead of `application/json`, by path.
    pub(crate) content_types: HashMap<&'static str, &'static str>,
    /// How ID tokens are signed.
    pub(crate) signing: Signing,
    /// Whether userinfo is a signed token.
    pub(crate) signed_userinfo: bool,
    /// How the client must authenticate.
    pub(crate) client_auth: ClientAuth,
    /// Who signs in: claims besides the protocol's own; userinfo says the same.
    pub(crate) user: Value,
}

pub(crate) type Change = Box<dyn Fn(&mut Value) + Send>;
pub(crate) type ParametersChange = Box<dyn Fn(&mut Vec<(String, String)>) + Send>;

/// An answer that has nothing to do with the question.
#[derive(Clone)]
pub(crate) enum Answer {
    /// This status, content type and body.
    Plain(u16, &'static str, String),
    /// 302 to there.
    Redirect(String),
    /// 100 MB of JSON, streamed.
    Huge,
    /// Says that it is compressed, though nobody asked for that.
    Compressed,
    /// One byte a second.
    Drip,
    /// JSON that ends in the middle.
    CutShort,
    /// An error with this status and code, which repeats whatever it was sent (`error_description`).
    Repeating(u16, &'static str),
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signing {
    Rs256,
    Ps256,
    Es256,
    EdDsa,
    /// With the good RSA key, and an algorithm that nobody agreed on.
    Rs512,
    /// `alg: none`, no signature.
    None,
    /// `HS256` with the client secret.
    Hs256,
    /// `RS256` in the header, and a signature by somebody else's key.
    Strangers,
    /// `ES256` in the header, and a signature that was tampered with.
    Tampered,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum ClientAuth {
    Basic,
    Post,
    Public,
}

/// A request as it arrived.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) form: HashMap<String, String>,
}

/// What a browser brings back from the provider.
#[derive(Clone, Debug)]
pub(crate) struct Callback {
    /// All before the query.
    pub(crate) place: String,
    pub(crate) parameters: HashMap<String, String>,
    /// The same as they came: some may have come twice.
    pub(crate) query: String,
}

struct Inner {
    issuer: String,
    behaviour: Mutex<Behaviour>,
    seen: Mutex<Vec<Seen>>,
    codes: Mutex<HashMap<String, HashMap<String, String>>>,
    refresh_tokens: Mutex<HashMap<String, String>>,
    keys: Mutex<Keys>,
    clock: Arc<dyn Clock>,
}

struct Keys {
    ec: EcdsaKeyPair,
    ec_kid: String,
    ed: Ed25519KeyPair,
    serial: u64,
}

impl LyingIdp {
    /// Starts an honest provider on plain http on loopback.
    pub(crate) async fn start(clock: Arc<dyn Clock>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = format!("http://{}", listener.local_addr().expect("an address"));
        Self::serve(listener, address.clone(), address, None, clock)
    }

    /// The same, but it calls itself `issuer`: for a client that comes through it as its proxy.
    pub(crate) async fn start_behind(issuer: &str, clock: Arc<dyn Clock>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = format!("http://{}", listener.local_addr().expect("an address"));
        Self::serve(listener, address, issuer.to_owned(), None, clock)
    }

    /// The same on https, with a certificate of its own.
    pub(crate) async fn start_tls(clock: Arc<dyn Clock>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = format!("https://localhost:{}", listener.local_addr().expect("an address").port());
        let (listener, certificate) = TlsListener::new(listener);
        Self::serve(listener, address.clone(), address, Some(certificate), clock)
    }

    #[expect(clippy::disallowed_methods, reason = "the fixture runs beside the test")]
    fn serve<L>(
        listener: L,
        address: String,
        issuer: String,
        certificate: Option<String>,
        clock: Arc<dyn Clock>,
    ) -> Self
    where
        L: axum::serve::Listener,
        L::Addr: std::fmt::Debug,
    {
        canaries::seed("the client secret", CLIENT_SECRET);
        let inner = Arc::new(Inner {
            issuer: issuer.clone(),
            behaviour: Mutex::new(Behaviour::default()),
            seen: Mutex::default(),
            codes: Mutex::default(),
            refresh_tokens: Mutex::default(),
            keys: Mutex::new(Keys::new()),
            clock,
        });
        let router = Router::new().fallback(answer).with_state(Arc::clone(&inner));
        let server = tokio::spawn(async move {
            axum::serve(listener, router).await.expect("it serves");
        });
        Self { issuer, address, certificate, inner, server }
    }

    /// Changes what it says and does from now on.
    pub(crate) fn lie(&self, change: impl FnOnce(&mut Behaviour)) {
        change(&mut lock(&self.inner.behaviour));
    }

    /// Honest again.
    pub(crate) fn repent(&self) {
        *lock(&self.inner.behaviour) = Behaviour::default();
    }

    /// How often the endpoint at `path` was asked.
    pub(crate) fn hits(&self, path: &str) -> usize {
        self.seen(path).len()
    }

    /// What the endpoint at `path` was asked, oldest first.
    pub(crate) fn seen(&self, path: &str) -> Vec<Seen> {
        lock(&self.inner.seen).iter().filter(|seen| seen.path == path).cloned().collect()
    }

    /// The key of a stranger, as a JWK: what [`Signing::Strangers`] signs with.
    pub(crate) fn strangers_key() -> Value {
        let encoded = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
        let key = STRANGERS.public_key();
        json!({"kty": "RSA", "kid": "rsa-1", "use": "sig", "alg": "RS256",
               "n": encoded(key.modulus().big_endian_without_leading_zero()),
               "e": encoded(key.exponent().big_endian_without_leading_zero())})
    }

    /// Its keys, as it publishes them.
    pub(crate) fn key_set(&self) -> Vec<u8> {
        lock(&self.inner.keys).published().to_string().into_bytes()
    }

    /// Signs with a new ES256 key from now on, published under `kid` in the place of the old one.
    pub(crate) fn rotate(&self, kid: &str) {
        let mut keys = lock(&self.inner.keys);
        keys.ec = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key");
        kid.clone_into(&mut keys.ec_kid);
        lock(&self.inner.behaviour).signing = Signing::Es256;
    }

    /// An access token for `countersign`, signed as it signs; `change` is what this one says otherwise.
    pub(crate) fn access_token(&self, change: impl FnOnce(&mut Value)) -> String {
        let now = self.inner.clock.now().as_secs();
        let mut claims = json!({
            "iss": self.issuer, "aud": ["countersign", "other"], "sub": "robot-1", "iat": now, "nbf": now,
            "exp": now + 600, "email": "robot@example.com", "email_verified": true, "groups": ["ml"],
        });
        change(&mut claims);
        let behaviour = lock(&self.inner.behaviour);
        secret("a robot's token", lock(&self.inner.keys).sign(&claims, behaviour.signing, &behaviour.header))
    }

    /// A logout token for the client (OIDC Back-Channel Logout section 2.4), signed as it signs; `change` is what this one
    /// says otherwise.
    pub(crate) fn logout_token(&self, change: impl FnOnce(&mut Value)) -> String {
        let now = self.inner.clock.now().as_secs();
        let mut claims = json!({
            "iss": self.issuer, "aud": CLIENT_ID, "sub": "ann-1", "iat": now, "exp": now + 120,
            "jti": self.inner.fresh("jti"), "events": {"http://schemas.openid.net/event/backchannel-logout": {}},
        });
        let behaviour = lock(&self.inner.behaviour);
        (behaviour.claims)(&mut claims);
        change(&mut claims);
        secret("a logout token", lock(&self.inner.keys).sign(&claims, behaviour.signing, &behaviour.header))
    }

    /// The form that brings one.
    pub(crate) fn logout_form(&self) -> String {
        let mut form = vec![("logout_token".to_owned(), self.logout_token(|_| ()))];
        (lock(&self.inner.behaviour).parameters)(&mut form);
        form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish()
    }

    /// Goes where a browser is sent that has signed out, and brings back where it is sent from there (OIDC RP-Initiated
    /// Logout section 2).
    pub(crate) fn leave(&self, end_session_url: &str) -> String {
        let (_, query) = end_session_url.split_once('?').expect("a query");
        self.inner.signed_out(query)
    }

    /// Goes where a browser is sent by an authorization URL (relative ones too), and brings back the callback.
    pub(crate) fn visit(&self, authorization_url: &str) -> Callback {
        let (_, query) = authorization_url.split_once('?').expect("a query");
        let location = self.inner.authorize(query);
        let (place, query) = location.split_once('?').expect("a query");
        Callback { place: place.to_owned(), parameters: parameters(query.as_bytes()), query: query.to_owned() }
    }
}

impl Drop for LyingIdp {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Default for Behaviour {
    fn default() -> Self {
        let none = || -> Change { Box::new(|_| ()) };
        Self {
            answers: HashMap::new(),
            held: HashMap::new(),
            metadata: none(),
            jwks: none(),
            token_answer: none(),
            userinfo: none(),
            header: none(),
            claims: none(),
            refreshed_claims: none(),
            id_token_lacks: &[],
            parameters: Box::new(|_| ()),
            content_types: HashMap::new(),
            signing: Signing::Rs256,
            signed_userinfo: false,
            client_auth: ClientAuth::Basic,
            user: json!({
                "sub": "ann-1", "name": "Ann", "email": "ann@example.com", "email_verified": true,
                "groups": ["ml", "ops"],
            }),
        }
    }
}

/// The whole provider: one place that counts, lies or answers.
async fn answer(State(idp): State<Arc<Inner>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let body = to_bytes(body, 1 << 20).await.unwrap_or_default();
    let path = head.uri.path().to_owned();
    let seen = Seen { path: path.clone(), headers: head.headers, form: parameters(&body) };
    lock(&idp.seen).push(seen.clone());
    let instead = lock(&idp.behaviour).answers.get(path.as_str()).cloned();
    if let Some(instead) = instead {
        if let Answer::Repeating(status, error) = instead {
            return repeating(status, error, &seen);
        }
        return instead.into_response();
    }
    let response = idp.respond(&seen, head.uri.query().unwrap_or_default());
    let gate = lock(&idp.behaviour).held.get(path.as_str()).cloned();
    if let Some(gate) = gate {
        gate.acquire().await.expect("open").forget();
    }
    response
}

impl Inner {
    fn respond(&self, seen: &Seen, query: &str) -> Response {
        match seen.path.as_str() {
            DISCOVERY => self.changed(DISCOVERY, self.metadata(), |behaviour| &behaviour.metadata),
            JWKS | KEYS => {
                let keys = lock(&self.keys).published();
                self.changed(JWKS, keys, |behaviour| &behaviour.jwks)
            }
            AUTH => {
                let location = self.authorize(query);
                (StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response()
            }
            TOKEN => self.token(seen),
            USERINFO => self.userinfo(&seen.headers),
            REVOKE if self.client_is_known(seen) => StatusCode::OK.into_response(),
            REVOKE => refused(StatusCode::UNAUTHORIZED, "invalid_client"),
            END_SESSION => {
                let location = self.signed_out(query);
                (StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response()
            }
            _ => StatusCode::NOT_FOUND.into_response(),
        }
    }

    fn metadata(&self) -> Value {
        let at = |path: &str| format!("{}{path}", self.issuer);
        json!({
            "issuer": self.issuer,
            "authorization_endpoint": at(AUTH),
            "token_endpoint": at(TOKEN),
            "userinfo_endpoint": at(USERINFO),
            "jwks_uri": at(JWKS),
            "revocation_endpoint": at(REVOKE),
            "end_session_endpoint": at(END_SESSION),
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256", "ES256"],
            "mtls_endpoint_aliases": {"token_endpoint": at("/mtls/token")},
        })
    }

    /// Hands out a code at once, and says where the browser goes with it.
    fn authorize(&self, query: &str) -> String {
        let asked = parameters(query.as_bytes());
        let code = secret("a code", self.fresh("code"));
        for name in ["state", "nonce"] {
            asked.get(name).inspect(|value| canaries::seed(name, value));
        }
        let redirect_uri = asked.get("redirect_uri").cloned().unwrap_or_default();
        let mut back = vec![("code".to_owned(), code.clone())];
        if let Some(state) = asked.get("state") {
            back.push(("state".to_owned(), state.clone()));
        }
        let mut metadata = self.metadata();
        (lock(&self.behaviour).metadata)(&mut metadata);
        if metadata["authorization_response_iss_parameter_supported"] == json!(true) {
            back.push(("iss".to_owned(), self.issuer.clone()));
        }
        (lock(&self.behaviour).parameters)(&mut back);
        lock(&self.codes).insert(code, asked);
        let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(back).finish();
        format!("{redirect_uri}?{query}")
    }

    fn signed_out(&self, query: &str) -> String {
        let asked = parameters(query.as_bytes());
        let back = asked.get("post_logout_redirect_uri").cloned().unwrap_or_default();
        let mut said = vec![("state".to_owned(), asked.get("state").cloned().unwrap_or_default())];
        (lock(&self.behaviour).parameters)(&mut said);
        format!("{back}?{}", form_urlencoded::Serializer::new(String::new()).extend_pairs(said).finish())
    }

    fn token(&self, seen: &Seen) -> Response {
        if !self.client_is_known(seen) {
            return refused(StatusCode::UNAUTHORIZED, "invalid_client");
        }
        let form = |name: &str| seen.form.get(name).cloned().unwrap_or_default();
        canaries::seed("a code's verifier", &form("code_verifier"));
        let refreshed = form("grant_type") == "refresh_token";
        let nonce = if refreshed {
            // Each works once.
            lock(&self.refresh_tokens).remove(&form("refresh_token")).map(|_| None)
        } else {
            let asked = lock(&self.codes).remove(&form("code"));
            let challenge =
                BASE64_URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, form("code_verifier").as_bytes()));
            let fits = |asked: &HashMap<String, String>| {
                asked.get("code_challenge") == Some(&challenge)
                    && asked.get("redirect_uri") == Some(&form("redirect_uri"))
            };
            asked.filter(fits).map(|asked| asked.get("nonce").cloned())
        };
        let Some(nonce) = nonce else { return refused(StatusCode::BAD_REQUEST, "invalid_grant") };
        let access_token = secret("an access token", self.fresh("access"));
        let refresh_token = secret("a refresh token", self.fresh("refresh"));
        lock(&self.refresh_tokens).insert(refresh_token.clone(), String::new());
        let mut body = json!({
            "access_token": access_token,
            "token_type": "Bearer",
            "expires_in": 300,
            "refresh_token": refresh_token,
            "id_token": self.id_token(nonce, &access_token, refreshed),
        });
        (lock(&self.behaviour).token_answer)(&mut body);
        self.as_said(TOKEN, &body)
    }

    fn id_token(&self, nonce: Option<String>, access_token: &str, refreshed: bool) -> String {
        let now = self.clock.now().as_secs();
        let behaviour = lock(&self.behaviour);
        let hash = behaviour.signing.half_of_hash(access_token.as_bytes());
        let mut claims = json!({
            "iss": self.issuer,
            "aud": CLIENT_ID,
            "iat": now,
            "exp": now + 300,
            "auth_time": now,
            "at_hash": BASE64_URL_SAFE_NO_PAD.encode(hash),
            "sid": "idp-session-1",
        });
        if let Some(nonce) = nonce {
            claims["nonce"] = json!(nonce);
        }
        merge(&mut claims, &behaviour.user);
        for name in behaviour.id_token_lacks {
            claims.as_object_mut().expect("an object").remove(*name);
        }
        (behaviour.claims)(&mut claims);
        if refreshed {
            claims.as_object_mut().expect("an object").remove("auth_time");
            (behaviour.refreshed_claims)(&mut claims);
        }
        secret("an ID token", lock(&self.keys).sign(&claims, behaviour.signing, &behaviour.header))
    }

    fn userinfo(&self, headers: &HeaderMap) -> Response {
        let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if !bearer.starts_with("Bearer access-") {
            return StatusCode::UNAUTHORIZED.into_response();
        }
        let behaviour = lock(&self.behaviour);
        let mut claims = behaviour.user.clone();
        (behaviour.userinfo)(&mut claims);
        if behaviour.signed_userinfo {
            let token = lock(&self.keys).sign(&claims, behaviour.signing, &behaviour.header);
            return ([(header::CONTENT_TYPE, "application/jwt")], token).into_response();
        }
        drop(behaviour);
        self.as_said(USERINFO, &claims)
    }

    fn client_is_known(&self, seen: &Seen) -> bool {
        let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let basic = BASE64_STANDARD.encode(format!("{}:{}", encoded(CLIENT_ID), encoded(CLIENT_SECRET)));
        let header = seen.headers.get(header::AUTHORIZATION).map(|value| value.as_bytes().to_vec());
        let form = |name: &str| seen.form.get(name).map(String::as_str);
        match lock(&self.behaviour).client_auth {
            ClientAuth::Basic => {
                header == Some(format!("Basic {basic}").into_bytes()) && form("client_secret").is_none()
            }
            ClientAuth::Post => {
                header.is_none() && form("client_id") == Some(CLIENT_ID) && form("client_secret") == Some(CLIENT_SECRET)
            }
            ClientAuth::Public => {
                header.is_none() && form("client_id") == Some(CLIENT_ID) && form("client_secret").is_none()
            }
        }
    }

    fn changed(&self, path: &'static str, mut value: Value, change: impl Fn(&Behaviour) -> &Change) -> Response {
        change(&lock(&self.behaviour))(&mut value);
        self.as_said(path, &value)
    }

    fn as_said(&self, path: &'static str, value: &Value) -> Response {
        match lock(&self.behaviour).content_types.get(path) {
            Some(kind) => ([(header::CONTENT_TYPE, *kind)], value.to_string()).into_response(),
            None => as_json(value),
        }
    }

    fn fresh(&self, kind: &str) -> String {
        let mut keys = lock(&self.keys);
        keys.serial += 1;
        let mut random = [0; 18];
        SystemRandom::new().fill(&mut random).expect("random bytes");
        format!("{kind}-{}-{}", keys.serial, BASE64_URL_SAFE_NO_PAD.encode(random))
    }
}

impl Keys {
    fn new() -> Self {
        Self {
            ec: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key"),
            ec_kid: "ec-1".to_owned(),
            ed: Ed25519KeyPair::generate().expect("a key"),
            serial: 0,
        }
    }

    fn published(&self) -> Value {
        let encoded = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
        let modulus = encoded(RSA.public_key().modulus().big_endian_without_leading_zero());
        let exponent = encoded(RSA.public_key().exponent().big_endian_without_leading_zero());
        // 0x04, x, y: an uncompressed point.
        let (x, y) = self.ec.public_key().as_ref()[1..].split_at(32);
        json!({"keys": [
            {"kty": "RSA", "kid": "rsa-1", "use": "sig", "alg": "RS256", "n": modulus, "e": exponent},
            {"kty": "EC", "kid": self.ec_kid, "use": "sig", "alg": "ES256", "crv": "P-256",
             "x": encoded(x), "y": encoded(y)},
            {"kty": "RSA", "kid": "pss-1", "use": "sig", "alg": "PS256", "n": modulus, "e": exponent},
            {"kty": "OKP", "kid": "ed-1", "use": "sig", "alg": "EdDSA", "crv": "Ed25519",
             "x": encoded(self.ed.public_key().as_ref())},
        ]})
    }

    fn sign(&self, claims: &Value, signing: Signing, change: &Change) -> String {
        let (alg, kid) = match signing {
            Signing::Rs256 | Signing::Strangers => ("RS256", "rsa-1"),
            Signing::Ps256 => ("PS256", "pss-1"),
            Signing::Es256 | Signing::Tampered => ("ES256", self.ec_kid.as_str()),
            Signing::EdDsa => ("EdDSA", "ed-1"),
            Signing::Rs512 => ("RS512", "rsa-1"),
            Signing::None => ("none", "rsa-1"),
            Signing::Hs256 => ("HS256", "rsa-1"),
        };
        let mut header = json!({"alg": alg, "kid": kid, "typ": "JWT"});
        change(&mut header);
        let encoded = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        let input = format!("{}.{}", encoded(&header), encoded(claims));
        let random = SystemRandom::new();
        let rsa = |key: &RsaKeyPair, encoding: &'static dyn RsaEncoding| {
            let mut signature = vec![0; key.public_modulus_len()];
            key.sign(encoding, &random, input.as_bytes(), &mut signature).expect("a signature");
            signature
        };
        let ec = || self.ec.sign(&random, input.as_bytes()).expect("a signature").as_ref().to_vec();
        let signature = match signing {
            Signing::Rs256 => rsa(&RSA, &RSA_PKCS1_SHA256),
            Signing::Ps256 => rsa(&RSA, &RSA_PSS_SHA256),
            Signing::Rs512 => rsa(&RSA, &RSA_PKCS1_SHA512),
            Signing::Strangers => rsa(&STRANGERS, &RSA_PKCS1_SHA256),
            Signing::EdDsa => self.ed.sign(input.as_bytes()).as_ref().to_vec(),
            Signing::Es256 => ec(),
            Signing::Tampered => ec().into_iter().rev().collect(),
            Signing::None => Vec::new(),
            Signing::Hs256 => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, CLIENT_SECRET.as_bytes());
                hmac::sign(&key, input.as_bytes()).as_ref().to_vec()
            }
        };
        format!("{input}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
    }
}

impl Signing {
    /// What `at_hash` is made of (OIDC Core section 3.1.3.6): the left half, by the hash of the algorithm.
    fn half_of_hash(self, bytes: &[u8]) -> Vec<u8> {
        let hash = match self {
            Self::EdDsa | Self::Rs512 => digest::digest(&digest::SHA512, bytes),
            _ => digest::digest(&digest::SHA256, bytes),
        };
        let half = hash.as_ref().len() / 2;
        hash.as_ref()[..half].to_vec()
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let json = [(header::CONTENT_TYPE, "application/json")];
        match self {
            Self::Plain(status, kind, body) => {
                let status = StatusCode::from_u16(status).expect("a status");
                (status, [(header::CONTENT_TYPE, kind)], body).into_response()
            }
            Self::Redirect(location) => (StatusCode::FOUND, [(header::LOCATION, location)]).into_response(),
            Self::Huge => {
                let chunk = Bytes::from(vec![b' '; 64 * 1024]);
                let chunks = stream::iter((0..1600).map(move |_| Ok::<_, Infallible>(chunk.clone())));
                (json, Body::from_stream(chunks)).into_response()
            }
            Self::Compressed => (json, [(header::CONTENT_ENCODING, "gzip")], "bomb").into_response(),
            Self::Drip => {
                let bytes = stream::unfold((), |()| async {
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    Some((Ok::<_, Infallible>(Bytes::from_static(b" ")), ()))
                });
                (json, Body::from_stream(bytes)).into_response()
            }
            Self::Repeating(status, error) => repeating(status, error, &Seen::default()),
            Self::CutShort => (json, "{\"issuer\": \"htt").into_response(),
        }
    }
}

/// Accepts connections and puts TLS on them; who does not speak it is dropped.
struct TlsListener {
    listener: TcpListener,
    acceptor: tokio_rustls::TlsAcceptor,
}

impl TlsListener {
    fn new(listener: TcpListener) -> (Self, String) {
        let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let key = rustls::pki_types::PrivateKeyDer::Pkcs8(own.signing_key.serialize_der().into());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("protocol versions")
            .with_no_client_auth()
            .with_single_cert(vec![own.cert.der().clone()], key)
            .expect("a key for the certificate");
        (Self { listener, acceptor: Arc::new(config).into() }, own.cert.pem())
    }
}

impl axum::serve::Listener for TlsListener {
    type Io = tokio_rustls::server::TlsStream<TcpStream>;
    type Addr = std::net::SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let Ok((stream, peer)) = self.listener.accept().await else { continue };
            if let Ok(stream) = self.acceptor.accept(stream).await {
                return (stream, peer);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.listener.local_addr()
    }
}

/// As [`refused`], with all secrets of the question in it.
fn repeating(status: u16, error: &str, seen: &Seen) -> Response {
    let header = seen.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let basic = header.strip_prefix("Basic ").and_then(|text| BASE64_STANDARD.decode(text).ok()).unwrap_or_default();
    let names = ["code", "refresh_token", "token", "code_verifier", "client_secret"];
    let form: Vec<&str> = names.iter().filter_map(|name| seen.form.get(*name)).map(String::as_str).collect();
    let said = format!("{} {} {header}", form.join(" "), String::from_utf8_lossy(&basic));
    let body = json!({"error": error, "error_description": said});
    (StatusCode::from_u16(status).expect("a status"), as_json(&body)).into_response()
}

/// An error answer of a token endpoint (RFC 6749 section 5.2).
pub(crate) fn refused(status: StatusCode, error: &str) -> Response {
    (status, as_json(&json!({"error": error, "error_description": "says the lying provider"}))).into_response()
}

/// It is one, and is looked for in what the gateway says.
fn secret(what: &'static str, text: String) -> String {
    canaries::seed(what, &text);
    text
}

fn as_json(value: &Value) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], value.to_string()).into_response()
}

fn parameters(form: &[u8]) -> HashMap<String, String> {
    form_urlencoded::parse(form).into_owned().collect()
}

fn merge(target: &mut Value, source: &Value) {
    for (name, value) in source.as_object().expect("an object") {
        target[name] = value.clone();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no test panicked with it")
}
