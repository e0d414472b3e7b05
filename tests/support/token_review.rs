//! A Kubernetes API server on a real TLS socket, as far as ServiceAccount tokens go: TokenReview, discovery, key set,
//! authentication and RBAC of whoever asks. It is honest until it is told otherwise: `cluster.behave(|b| …)`. Other
//! tests include this file by `#[path]`.

#![allow(dead_code, reason = "each test binary uses another part of this file")]

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair};
use axum::Router;
use axum::body::to_bytes;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use countersign::clock::Clock;
use countersign::config::KubernetesApi;
use http::{HeaderMap, Method, StatusCode, header};
use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

pub(crate) const TOKEN_REVIEWS: &str = "/apis/authentication.k8s.io/v1/tokenreviews";
pub(crate) const DISCOVERY: &str = "/.well-known/openid-configuration";
pub(crate) const KEY_SET: &str = "/openid/v1/jwks";

/// The issuer of the cluster's tokens, and the ServiceAccount that they name unless they are changed.
pub(crate) const ISSUER: &str = "https://kubernetes.default.svc.cluster.local";
pub(crate) const AUDIENCE: &str = "countersign";
pub(crate) const USER: &str = "system:serviceaccount:team-a:runner";

/// Made once a test binary: they take a while.
static SIGNING: LazyLock<RsaKeyPair> = LazyLock::new(|| RsaKeyPair::generate(KeySize::Rsa2048).expect("a key"));
static STRANGERS: LazyLock<RsaKeyPair> = LazyLock::new(|| RsaKeyPair::generate(KeySize::Rsa2048).expect("a key"));

/// A running API server; it ends with the value.
pub(crate) struct Cluster {
    /// Where it listens.
    pub(crate) address: String,
    home: TempDir,
    inner: Arc<Inner>,
    server: JoinHandle<()>,
}

/// What it does. The default is honest.
pub(crate) struct Behaviour {
    /// The bearer tokens of those who may ask.
    pub(crate) accepted: HashSet<String>,
    /// Whether they may create tokenreviews (`system:auth-delegator`).
    pub(crate) may_review: bool,
    /// Whether they may read discovery (`system:service-account-issuer-discovery`).
    pub(crate) may_discover: bool,
    /// Instead of the honest answer, by path.
    pub(crate) answers: HashMap<&'static str, Answer>,
    /// Paths whose answer is held back until a permit is added.
    pub(crate) held: HashMap<&'static str, Arc<Semaphore>>,
    /// Changes the object that is answered, by path.
    pub(crate) changes: HashMap<&'static str, Change>,
    /// See [`Cluster::revoke`].
    pub(crate) revoked: HashSet<String>,
    /// The id of the key that signs.
    pub(crate) kid: String,
}

pub(crate) type Change = Box<dyn Fn(&mut Value) + Send>;

/// An answer that has nothing to do with the question.
#[derive(Clone)]
pub(crate) enum Answer {
    /// A `Status` object with this code and message.
    Status(u16, &'static str),
    /// Status 201 or 200 with this body.
    Body(String),
    /// 307 to there.
    Redirect(String),
    /// Never.
    Hang,
}

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

struct Inner {
    behaviour: Mutex<Behaviour>,
    seen: Mutex<Vec<Seen>>,
    /// The claims of every token that the cluster issued.
    issued: Mutex<HashMap<String, Value>>,
    clock: Arc<dyn Clock>,
}

impl Cluster {
    /// Starts an honest API server on loopback.
    #[expect(clippy::disallowed_methods, reason = "the fixture runs beside the test")]
    pub(crate) async fn start(clock: Arc<dyn Clock>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = format!("https://{}", listener.local_addr().expect("an address"));
        let (listener, certificate) = TlsListener::new(listener);
        let home = tempfile::tempdir().expect("a directory");
        std::fs::write(home.path().join("ca.crt"), certificate).expect("a file");
        let inner =
            Arc::new(Inner { behaviour: Mutex::default(), seen: Mutex::default(), issued: Mutex::default(), clock });
        let router = Router::new().fallback(answer).with_state(Arc::clone(&inner));
        let server = tokio::spawn(async move { axum::serve(listener, router).await.expect("it serves") });
        let cluster = Self { address, home, inner, server };
        cluster.write_own_token("own-1");
        cluster
    }

    /// How a pod of ours finds it.
    pub(crate) fn api(&self) -> KubernetesApi {
        KubernetesApi {
            address: self.address.parse().expect("a URL"),
            ca: self.ca(),
            token_file: self.home.path().join("token"),
        }
    }

    /// The file of the CA that vouches for it.
    pub(crate) fn ca(&self) -> PathBuf {
        self.home.path().join("ca.crt")
    }

    /// Replaces our own token, as the kubelet does.
    pub(crate) fn write_own_token(&self, token: &str) {
        let (new, path) = (self.home.path().join("token.new"), self.home.path().join("token"));
        std::fs::write(&new, token).expect("a file");
        std::fs::rename(new, path).expect("the kubelet renames");
    }

    pub(crate) fn behave(&self, change: impl FnOnce(&mut Behaviour)) {
        change(&mut lock(&self.inner.behaviour));
    }

    /// From now on `token` is good by its text alone: its pod or ServiceAccount is gone.
    pub(crate) fn revoke(&self, token: &str) {
        lock(&self.inner.behaviour).revoked.insert(token.to_owned());
    }

    /// Answers to this path are held back until a permit is added.
    pub(crate) fn hold(&self, path: &'static str) -> Arc<Semaphore> {
        let gate = Arc::new(Semaphore::new(0));
        self.behave(|behaviour| drop(behaviour.held.insert(path, Arc::clone(&gate))));
        gate
    }

    /// Takes it away: its port is closed, and so are its connections.
    pub(crate) async fn stop(&mut self) {
        self.server.abort();
        let _ = (&mut self.server).await;
    }

    /// Every request so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        lock(&self.inner.seen).clone()
    }

    /// How many requests came for `path`.
    pub(crate) fn count(&self, path: &str) -> usize {
        lock(&self.inner.seen).iter().filter(|seen| seen.path == path).count()
    }

    /// How many reviews were asked for.
    pub(crate) fn reviews(&self) -> usize {
        self.count(TOKEN_REVIEWS)
    }

    /// A projected token of `USER` for `AUDIENCE`, good for an hour.
    pub(crate) fn token(&self) -> String {
        self.token_with(|_| ())
    }

    /// The same, with other claims; two are never the same text.
    pub(crate) fn token_with(&self, change: impl FnOnce(&mut Value)) -> String {
        let (token, claims) = self.signed(&SIGNING, change);
        lock(&self.inner.issued).insert(token.clone(), claims);
        token
    }

    /// A token that looks just so, but the cluster never issued it.
    pub(crate) fn forged(&self) -> String {
        self.signed(&STRANGERS, |_| ()).0
    }

    fn signed(&self, key: &RsaKeyPair, change: impl FnOnce(&mut Value)) -> (String, Value) {
        let now = self.inner.clock.now().as_secs();
        let serial = lock(&self.inner.issued).len();
        let mut claims = json!({
            "iss": ISSUER,
            "sub": USER,
            "aud": [AUDIENCE],
            "iat": now,
            "nbf": now,
            "exp": now + 3600,
            "jti": format!("{serial}"),
            "kubernetes.io": {
                "namespace": "team-a",
                "serviceaccount": {"name": "runner", "uid": "14d3d4a9-0d3a-4bd8-a3f5-3a2a3a2c5b9d"},
                "pod": {"name": "train-1", "uid": "0e4b0a6d-9e2e-4d3f-8b5c-6a3f5d1c2b7a"},
            },
        });
        change(&mut claims);
        let kid = lock(&self.inner.behaviour).kid.clone();
        let encoded = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        let input = format!("{}.{}", encoded(&json!({"alg": "RS256", "kid": kid})), encoded(&claims));
        let mut signature = vec![0; key.public_modulus_len()];
        key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), input.as_bytes(), &mut signature).expect("a signature");
        (format!("{input}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature)), claims)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            accepted: HashSet::from(["own-1".to_owned()]),
            may_review: true,
            may_discover: true,
            answers: HashMap::new(),
            held: HashMap::new(),
            changes: HashMap::new(),
            revoked: HashSet::new(),
            kid: "key-1".to_owned(),
        }
    }
}

async fn answer(State(cluster): State<Arc<Inner>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let body = to_bytes(body, 1 << 20).await.unwrap_or_default();
    let body = serde_json::from_slice(&body).unwrap_or_default();
    let path = head.uri.path().to_owned();
    let seen = Seen { method: head.method, path: path.clone(), headers: head.headers, body };
    lock(&cluster.seen).push(seen.clone());
    let (instead, gate) = {
        let behaviour = lock(&cluster.behaviour);
        (behaviour.answers.get(path.as_str()).cloned(), behaviour.held.get(path.as_str()).cloned())
    };
    if let Some(gate) = gate {
        gate.acquire().await.expect("open").forget();
    }
    match instead {
        None => cluster.respond(&seen),
        Some(Answer::Status(code, message)) => status(code, "InternalError", message),
        Some(Answer::Body(body)) => as_json(StatusCode::CREATED, body),
        Some(Answer::Redirect(location)) => {
            (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, location)]).into_response()
        }
        Some(Answer::Hang) => std::future::pending().await,
    }
}

impl Inner {
    fn respond(&self, seen: &Seen) -> Response {
        let behaviour = lock(&self.behaviour);
        let bearer = seen.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let known = bearer
            .and_then(|value| value.strip_prefix("Bearer "))
            .is_some_and(|token| behaviour.accepted.contains(token));
        if !known {
            return status(401, "Unauthorized", "Unauthorized");
        }
        let (code, mut object) = match (seen.method.as_str(), seen.path.as_str()) {
            ("POST", TOKEN_REVIEWS) if !behaviour.may_review => {
                return forbidden(
                    "tokenreviews.authentication.k8s.io is forbidden: User \"system:serviceaccount:auth:countersign\" \
                 cannot create resource \"tokenreviews\" in API group \"authentication.k8s.io\" at the cluster scope",
                );
            }
            ("POST", TOKEN_REVIEWS) => (StatusCode::CREATED, self.review(&seen.body, &behaviour)),
            ("GET", DISCOVERY | KEY_SET) if !behaviour.may_discover => {
                return forbidden(
                    "forbidden: User \"system:serviceaccount:auth:countersign\" cannot get path \
                 \"/.well-known/openid-configuration\"",
                );
            }
            ("GET", DISCOVERY) => (StatusCode::OK, discovery()),
            ("GET", KEY_SET) => (StatusCode::OK, key_set(&behaviour.kid)),
            _ => return status(404, "NotFound", "the server could not find the requested resource"),
        };
        if let Some(change) = behaviour.changes.get(seen.path.as_str()) {
            change(&mut object);
        }
        as_json(code, object.to_string())
    }

    /// As the API server's authenticator for ServiceAccount tokens judges.
    fn review(&self, question: &Value, behaviour: &Behaviour) -> Value {
        let token = question["spec"]["token"].as_str().unwrap_or_default();
        let asked: Vec<&Value> = question["spec"]["audiences"].as_array().into_iter().flatten().collect();
        let issued = lock(&self.issued).get(token).cloned();
        let now = self.clock.now().as_secs();
        let judged = issued.ok_or("invalid bearer token").and_then(|claims| {
            let of_token = claims["aud"].as_array().cloned().unwrap_or_default();
            let common: Vec<Value> = of_token.iter().filter(|audience| asked.contains(audience)).cloned().collect();
            if behaviour.revoked.contains(token) {
                return Err("invalid bearer token, service account token has been invalidated");
            }
            if claims["exp"].as_u64().is_some_and(|exp| exp <= now) {
                return Err("invalid bearer token, service account token has expired");
            }
            if common.is_empty() {
                return Err("invalid bearer token, token audiences are invalid for the target audiences");
            }
            Ok((claims, common))
        });
        let status = match judged {
            Err(error) => json!({"user": {}, "error": format!("[{error}]")}),
            Ok((claims, audiences)) => {
                let namespace = claims["kubernetes.io"]["namespace"].as_str().unwrap_or_default();
                json!({
                    "authenticated": true,
                    "user": {
                        "username": claims["sub"],
                        "uid": claims["kubernetes.io"]["serviceaccount"]["uid"],
                        "groups": [
                            "system:serviceaccounts",
                            format!("system:serviceaccounts:{namespace}"),
                            "system:authenticated",
                        ],
                        "extra": {"authentication.kubernetes.io/pod-name": [claims["kubernetes.io"]["pod"]["name"]]},
                    },
                    "audiences": audiences,
                })
            }
        };
        json!({
            "kind": "TokenReview",
            "apiVersion": "authentication.k8s.io/v1",
            "metadata": {"creationTimestamp": null},
            "spec": question["spec"],
            "status": status,
        })
    }
}

fn discovery() -> Value {
    json!({
        "issuer": ISSUER,
        // On many clusters it leads to another machine.
        "jwks_uri": "https://192.0.2.1:6443/openid/v1/jwks",
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
    })
}

fn key_set(kid: &str) -> Value {
    let encoded = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
    let public = SIGNING.public_key();
    json!({"keys": [{
        "kty": "RSA", "kid": kid, "use": "sig", "alg": "RS256",
        "n": encoded(public.modulus().big_endian_without_leading_zero()),
        "e": encoded(public.exponent().big_endian_without_leading_zero()),
    }]})
}

fn forbidden(message: &str) -> Response {
    status(403, "Forbidden", message)
}

/// How the API server says that something failed.
fn status(code: u16, reason: &str, message: &str) -> Response {
    let object = json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": message, "reason": reason, "code": code,
    });
    as_json(StatusCode::from_u16(code).expect("a status"), object.to_string())
}

fn as_json(status: StatusCode, body: String) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// Accepts connections and puts TLS on them; who does not speak it is dropped.
struct TlsListener {
    listener: TcpListener,
    acceptor: tokio_rustls::TlsAcceptor,
}

impl TlsListener {
    /// With a certificate for 127.0.0.1; the CA's is handed out too (PEM).
    fn new(listener: TcpListener) -> (Self, String) {
        let authority_key = KeyPair::generate().expect("a key");
        let mut authority = CertificateParams::new(Vec::new()).expect("no names");
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let certificate = authority.self_signed(&authority_key).expect("a certificate").pem();
        let authority = Issuer::new(authority, authority_key);

        let key = KeyPair::generate().expect("a key");
        let names = ["127.0.0.1", "kubernetes.default.svc"].map(str::to_owned);
        let mut own = CertificateParams::new(names).expect("names");
        own.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let own = own.signed_by(&key, &authority).expect("a certificate");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("protocol versions")
            .with_no_client_auth()
            .with_single_cert(
                vec![own.der().clone()],
                rustls::pki_types::PrivateKeyDer::Pkcs8(key.serialize_der().into()),
            )
            .expect("a key for the certificate");
        (Self { listener, acceptor: Arc::new(config).into() }, certificate)
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

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no test panicked with it")
}
