//! Where providers tell us that somebody has signed out there: by a message of their own, or by a frame in the browser.

use axum::body::Body;
use axum::extract::rejection::RawFormRejection;
use axum::extract::{Extension, Path, RawForm, RawQuery, State};
use axum::response::Response;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, StatusCode};

use super::{BrowserDoor, Door, Ids};
use crate::audit;
use crate::door::problem::{logout_outcome_of, refused_logout};
use crate::identity::ProviderId;
use crate::login::LogoutRefused;
use crate::metrics::LogoutOutcome;

/// The longest message. A logout token has a few hundred bytes and a signature.
pub(super) const MOST_BYTES: usize = 32 * 1024;

/// OIDC Back-Channel Logout section 2.8: 200 if it is done, 400 otherwise, for no cache to keep.
pub(super) async fn by_token(
    State(door): Door,
    Extension(_): Ids,
    provider: Option<Path<String>>,
    form: Result<RawForm, RawFormRejection>,
) -> Response {
    let named = provider.as_ref().map(|Path(provider)| &**provider);
    let provider = match door.login.provider_meant(named) {
        Ok(provider) => provider,
        Err(error) => return refuse(&door, None, &error),
    };
    let done = async {
        let RawForm(form) = form.map_err(|_| LogoutRefused::Malformed("its body is no form, or too long"))?;
        let token = only(&form, "logout_token").ok_or(LogoutRefused::Malformed("it has not one `logout_token`"))?;
        door.login.back_channel_logout(provider, &token).await
    };
    match done.await {
        Ok(sessions) => {
            note_done(&door, provider, sessions);
            empty(StatusCode::OK)
        }
        Err(error) => refuse(&door, Some(provider), &error),
    }
}

/// OIDC Front-Channel Logout section 2: a page of the provider's opens this in a frame. It learns nothing by that.
pub(super) async fn by_frame(
    State(door): Door,
    Extension(_): Ids,
    provider: Option<Path<String>>,
    RawQuery(query): RawQuery,
) -> Response {
    let named = provider.as_ref().map(|Path(provider)| &**provider);
    let provider = match door.login.provider_meant(named) {
        Ok(provider) => provider,
        Err(error) => return refuse(&door, None, &error),
    };
    let query = query.unwrap_or_default();
    let done = async {
        let both = only(query.as_bytes(), "iss").zip(only(query.as_bytes(), "sid"));
        let (iss, sid) = both.ok_or(LogoutRefused::Malformed("it has not one `iss` and one `sid`"))?;
        door.login.front_channel_logout(provider, &iss, &sid).await
    };
    let mut response = match done.await {
        Ok(sessions) => {
            note_done(&door, provider, sessions);
            empty(StatusCode::OK)
        }
        Err(error) => refuse(&door, Some(provider), &error),
    };
    let policy = format!("default-src 'none'; frame-ancestors {}", door.login.origins_of(provider).join(" "));
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static("text/html; charset=utf-8"));
    if let Ok(policy) = HeaderValue::try_from(policy) {
        headers.insert(CONTENT_SECURITY_POLICY, policy);
    }
    response
}

fn note_done(door: &BrowserDoor, provider: &ProviderId, sessions: u64) {
    tracing::info!(%provider, sessions, "a provider has signed somebody out");
    door.metrics.provider_logout(provider, LogoutOutcome::Done);
}

fn refuse(door: &BrowserDoor, provider: Option<&ProviderId>, error: &LogoutRefused) -> Response {
    let outcome = logout_outcome_of(error);
    if outcome == LogoutOutcome::Failed {
        tracing::error!(provider = provider.map(ProviderId::as_str), %error, "a provider's logout was not done");
    } else {
        audit::logout_refusal(provider, &error.to_string());
    }
    if let Some(provider) = provider {
        door.metrics.provider_logout(provider, outcome);
    }
    refused_logout(error)
}

fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// The only value of this name; of two, one may be somebody else's.
fn only(form: &[u8], name: &str) -> Option<String> {
    let mut found = url::form_urlencoded::parse(form).filter(|(other, _)| other == name).map(|(_, value)| value);
    let value = found.next().filter(|value| !value.is_empty())?;
    found.next().is_none().then(|| value.into_owned())
}
