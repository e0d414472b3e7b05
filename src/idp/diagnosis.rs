//! Walks through a sign-in at a provider as far as that goes without a person, and says where it would fail. Nothing of
//! it is kept: the provider is asked as if for the first time.

use http::header::DATE;
use http::{Request, StatusCode};
use openidconnect::HttpResponse;
use serde::Deserialize;
use url::Url;

use super::keys::Keys;
use super::metadata::{Endpoints, address_of, fetch_json};
use super::outbound::{CallError, Outbound, Reach};
use super::provider::{Provider, with_parameters};
use super::token_endpoint::TokenEndpoint;
use super::trouble::{Trouble, quotable};
use crate::clock::UnixTime;
use crate::config::ClientAuth;
use crate::metrics::IdpOperation;
use crate::secret::SecretText;

/// How far the clocks may be apart: the leeway with which ID tokens are judged, in seconds.
const LEEWAY_SECONDS: u64 = 60;

/// One thing that keeps people from signing in, or what they need from arriving.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Symptom {
    /// No answer at all.
    Unreachable(String),
    /// Its certificate, or that of a proxy on the way, is not trusted here.
    Untrusted(String),
    /// What it says is not what a provider says: no discovery document, no keys.
    Nonsense(String),
    /// It calls itself otherwise than the settings do (OIDC Discovery section 4.3).
    OtherIssuer {
        /// As it calls itself.
        says: String,
    },
    /// Its clock and ours are apart by more than ID tokens may be.
    ClocksApart {
        /// By how many seconds ours is ahead; negative: behind.
        ahead: i64,
    },
    /// It signs with none of the algorithms that the settings allow.
    OtherAlgorithms {
        /// With which it does.
        offers: Vec<String>,
    },
    /// It does not know scopes that the settings ask for.
    UnknownScopes(Vec<String>),
    /// It would not send anybody back to us.
    RedirectRefused {
        /// What we ask it to send people to.
        redirect_uri: String,
        /// What it said.
        said: String,
    },
    /// It does not know our client id.
    UnknownClient {
        /// What it said.
        said: String,
    },
    /// It refused to begin a sign-in for another reason.
    SignInRefused {
        /// What it said.
        said: String,
    },
    /// It does not take our client secret, or not in this way.
    SecretRefused {
        /// What it said.
        said: String,
    },
}

/// What else a discovery document says (OIDC Discovery section 3).
#[derive(Debug, Deserialize)]
struct Abilities {
    issuer: String,
    authorization_endpoint: Option<String>,
    #[serde(default)]
    id_token_signing_alg_values_supported: Vec<String>,
    scopes_supported: Option<Vec<String>>,
}

impl Provider {
    /// What is wrong at the provider, or between it and us; nothing: people can sign in. It begins a sign-in without
    /// finishing it, and exchanges a code that does not exist.
    pub async fn diagnose(&self) -> Vec<Symptom> {
        let settings = self.settings();
        let address = address_of(&settings.issuer);
        let answer = match fetch_json(IdpOperation::Discovery, &address, Reach::Anywhere, self.outbound()).await {
            Ok(answer) => answer,
            Err(trouble) => return vec![symptom(&trouble)],
        };
        let mut symptoms = Vec::new();
        symptoms.extend(clocks_apart(&answer, self.clock().now()));
        let abilities: Abilities = match serde_json::from_slice(answer.body()) {
            Ok(abilities) => abilities,
            Err(error) => {
                symptoms.push(Symptom::Nonsense(format!("{address} is no discovery document: {error}")));
                return symptoms;
            }
        };
        if abilities.issuer != settings.issuer {
            symptoms.push(Symptom::OtherIssuer { says: quotable(&abilities.issuer) });
            return symptoms;
        }
        let offers = &abilities.id_token_signing_alg_values_supported;
        if !offers.is_empty() && !offers.iter().any(|offered| settings.algorithms.contains(offered)) {
            let offers = offers.iter().map(|offered| quotable(offered)).collect();
            symptoms.push(Symptom::OtherAlgorithms { offers });
        }
        if let Some(known) = &abilities.scopes_supported {
            let unknown: Vec<String> = settings.scopes.iter().filter(|asked| !known.contains(asked)).cloned().collect();
            if !unknown.is_empty() {
                symptoms.push(Symptom::UnknownScopes(unknown));
            }
        }
        match Endpoints::discover(settings, self.outbound()).await {
            Err(trouble) => symptoms.push(symptom(&trouble)),
            Ok(endpoints) => {
                let keys = Keys::default().fetch(&endpoints.jwks, self.outbound()).await;
                symptoms.extend(keys.err().map(|trouble| symptom(&trouble)));
                symptoms.extend(self.sign_in_refused(abilities.authorization_endpoint, &endpoints).await);
                symptoms.extend(self.secret_refused(&endpoints).await);
            }
        }
        symptoms
    }

    /// Asks for the page to sign in, as a browser would.
    async fn sign_in_refused(&self, discovered: Option<String>, endpoints: &Endpoints) -> Option<Symptom> {
        // A relative address is for browsers, at the gateway; the provider itself answers at its own.
        let is_relative = endpoints.authorization.starts_with('/');
        let endpoint = if is_relative { discovered? } else { endpoints.authorization.clone() };
        let address = with_parameters(
            &endpoint,
            [
                ("response_type", "code"),
                ("client_id", &self.settings().client_id),
                ("redirect_uri", self.redirect_uri()),
                ("scope", "openid"),
                ("state", "countersign-doctor"),
                ("nonce", "countersign-doctor"),
                // The challenge of RFC 7636 appendix B: nobody will come with its verifier.
                ("code_challenge", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"),
                ("code_challenge_method", "S256"),
            ],
        );
        let address = Url::parse(&address).ok()?;
        match self.outbound().visit(&address).await {
            Err(error) => Some(symptom(&Trouble::called(IdpOperation::Discovery, &endpoint, &error))),
            Ok(answer) if answer.status().is_client_error() => Some(self.refusal(&answer)),
            // A page to sign in, or the way to one.
            Ok(_) => None,
        }
    }

    fn refusal(&self, answer: &HttpResponse) -> Symptom {
        let lines = visible_lines(&String::from_utf8_lossy(answer.body()));
        let said = format!("{}: {}", answer.status(), telling(&lines));
        let text = lines.join("\n").to_ascii_lowercase();
        // There is no standard for what is shown to a person (RFC 6749 section 4.1.2.1); these are the words that
        // Dex, Keycloak, oidc-provider, Entra and Okta use.
        if text.contains("redirect") || text.contains("aadsts50011") {
            Symptom::RedirectRefused { redirect_uri: self.redirect_uri().to_owned(), said }
        } else if text.contains("client") || text.contains("application") || answer.status() == StatusCode::NOT_FOUND {
            Symptom::UnknownClient { said }
        } else {
            Symptom::SignInRefused { said }
        }
    }

    /// Exchanges a code that does not exist: who takes our secret complains of the code.
    async fn secret_refused(&self, endpoints: &Endpoints) -> Option<Symptom> {
        if matches!(self.settings().client_auth, ClientAuth::None) {
            return None;
        }
        let endpoint =
            TokenEndpoint { settings: self.settings(), endpoint: &endpoints.token, outbound: self.outbound() };
        let nothing = || SecretText::new("countersign-doctor-asks-whether-the-client-secret-is-taken".to_owned());
        match endpoint.exchange(&nothing(), &nothing(), self.redirect_uri()).await {
            Err(Trouble::Misconfigured(said)) if said.contains("_client`") => Some(Symptom::SecretRefused { said }),
            Err(trouble @ Trouble::Unreachable(_)) => Some(symptom(&trouble)),
            _ => None,
        }
    }
}

fn symptom(trouble: &Trouble) -> Symptom {
    let reason = trouble.reason().to_owned();
    match trouble {
        Trouble::Unreachable(_) if reason.contains("certificate") => Symptom::Untrusted(reason),
        Trouble::Unreachable(_) => Symptom::Unreachable(reason),
        _ => Symptom::Nonsense(reason),
    }
}

/// By the `Date` of an answer (RFC 9110 section 6.6.1).
fn clocks_apart(answer: &HttpResponse, now: UnixTime) -> Option<Symptom> {
    let date = answer.headers().get(DATE)?.to_str().ok()?;
    let theirs = httpdate::parse_http_date(date).ok()?.duration_since(std::time::UNIX_EPOCH).ok()?.as_secs();
    let ahead = now.as_secs().checked_signed_diff(theirs)?;
    (ahead.unsigned_abs() > LEEWAY_SECONDS).then_some(Symptom::ClocksApart { ahead })
}

/// The lines of a page, without its markup.
fn visible_lines(page: &str) -> Vec<String> {
    let bare = regex::Regex::new(r"(?s)<(style|script|head).*?</(style|script|head)>|<[^>]*>")
        .map_or_else(|_| page.into(), |markup| markup.replace_all(page, "\n"));
    bare.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

/// The line that most likely says what is wrong.
fn telling(lines: &[String]) -> String {
    let words = ["redirect", "client", "invalid", "error"];
    let found = words.iter().find_map(|word| lines.iter().find(|line| line.to_ascii_lowercase().contains(word)));
    found.or(lines.first()).map_or_else(|| "(an empty page)".to_owned(), |line| quotable(line))
}

/// Why published keys cannot be used by whoever fetches them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeysTrouble {
    /// No answer.
    Unreachable(String),
    /// On to somewhere else, which nobody follows.
    Redirects(String),
    /// An answer that holds no keys.
    NoKeys(String),
}

/// Fetches a JWK Set (RFC 7517 section 5) as a mesh does: without credentials, and without following anything.
///
/// # Errors
/// If there is none.
pub async fn published_keys(address: &str, outbound: &Outbound) -> Result<(), KeysTrouble> {
    let unreachable = |reason: &dyn std::fmt::Display| KeysTrouble::Unreachable(reason.to_string());
    let request = Request::get(address).body(Vec::new()).map_err(|error| unreachable(&error))?;
    let answer = outbound.call(IdpOperation::Jwks, request, Reach::Anywhere).await.map_err(|error| match error {
        CallError::Redirected(target) => KeysTrouble::Redirects(target),
        error => unreachable(&error),
    })?;
    if answer.status() != StatusCode::OK {
        return Err(unreachable(&format!("status {}", answer.status())));
    }
    if answer.body().trim_ascii_start().starts_with(b"<") {
        return Err(KeysTrouble::NoKeys("it is a page (HTML)".to_owned()));
    }
    let set: serde_json::Value = serde_json::from_slice(answer.body())
        .map_err(|error| KeysTrouble::NoKeys(format!("it is no JSON: {error}")))?;
    match set["keys"].as_array() {
        Some(keys) if !keys.is_empty() => Ok(()),
        _ => Err(KeysTrouble::NoKeys("`keys` is absent or empty".to_owned())),
    }
}
