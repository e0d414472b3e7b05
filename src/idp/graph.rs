//! The groups of somebody who is in too many for a token, from Microsoft Graph: `me/getMemberObjects`, with the user's
//! own access token. It is asked where the settings say, never where a token says: that could be anywhere, and Entra's
//! tokens still name the Azure AD Graph (`graph.windows.net`), which has been switched off.

use http::{HeaderValue, StatusCode, header};
use openidconnect::{HttpRequest, HttpResponse};
use serde::Deserialize;
use url::Url;

use super::outbound::{Outbound, Reach};
use super::trouble::{Trouble, quotable};
use crate::metrics::IdpOperation;
use crate::secret::SecretText;

/// How many pages are read: Graph says 11,000 groups at most, and mostly in one.
const MOST_PAGES: usize = 12;

#[derive(Deserialize)]
struct Page {
    value: Vec<String>,
    #[serde(rename = "@odata.nextLink")]
    next: Option<String>,
}

#[derive(Deserialize)]
struct Refusal {
    error: RefusalBody,
}

#[derive(Deserialize)]
struct RefusalBody {
    code: String,
}

/// The ids of the security groups and directory roles that the token's user is in, through other groups too.
pub(super) async fn groups(
    graph: &Url,
    access_token: &SecretText,
    outbound: &Outbound,
) -> Result<Vec<String>, Trouble> {
    let mut place = graph.join("/v1.0/me/getMemberObjects").map_err(|error| misbehaved(&error.to_string()))?;
    // As the `groups` claim has them where the application asks for `SecurityGroup`.
    let mut question = Some(br#"{"securityEnabledOnly":true}"#.to_vec());
    let mut all = Vec::new();
    for _ in 0..MOST_PAGES {
        let request = request(&place, access_token, question.take())?;
        let called = outbound.call(IdpOperation::Groups, request, Reach::Anywhere).await;
        let answer = called.map_err(|error| Trouble::called(IdpOperation::Groups, place.as_str(), &error))?;
        let page = read(&answer, &place)?;
        all.extend(page.value);
        let Some(next) = page.next else { return Ok(all) };
        place = further(graph, &next)?;
    }
    Err(misbehaved("its list does not end"))
}

fn request(place: &Url, access_token: &SecretText, question: Option<Vec<u8>>) -> Result<HttpRequest, Trouble> {
    let mut bearer = HeaderValue::try_from(format!("Bearer {}", access_token.expose()))
        .map_err(|_| misbehaved("the access token has characters that none may have"))?;
    bearer.set_sensitive(true);
    let method = if question.is_some() { http::Method::POST } else { http::Method::GET };
    http::Request::builder()
        .method(method)
        .uri(place.as_str())
        .header(header::ACCEPT, "application/json")
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::AUTHORIZATION, bearer)
        .body(question.unwrap_or_default())
        .map_err(|error| misbehaved(&error.to_string()))
}

fn read(answer: &HttpResponse, place: &Url) -> Result<Page, Trouble> {
    match answer.status() {
        StatusCode::OK => serde_json::from_slice(answer.body())
            .map_err(|_| misbehaved(&format!("{place} answered with something that is no list of groups"))),
        status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => Err(Trouble::Misconfigured(format!(
            "groups: {place} answered with status {status} to the user's access token: give the application the \
             delegated permission `User.Read` of Microsoft Graph, and ask for no `scopes` of another resource"
        ))),
        status => {
            let code = serde_json::from_slice(answer.body()).map(|refusal: Refusal| refusal.error.code);
            let code = code.map(|code| format!(" and `{}`", quotable(&code))).unwrap_or_default();
            Err(misbehaved(&format!("{place} answered with status {status}{code}")))
        }
    }
}

/// The next page, if it is at the same place: the access token goes nowhere else.
fn further(graph: &Url, next: &str) -> Result<Url, Trouble> {
    let next = Url::parse(next).map_err(|_| misbehaved("its next page is no URL"))?;
    let nobody = next.username().is_empty() && next.password().is_none();
    if next.origin() == graph.origin() && nobody && next.path().starts_with("/v1.0/") {
        Ok(next)
    } else {
        Err(misbehaved(&format!(
            "its next page is elsewhere, at {}",
            quotable(next.origin().ascii_serialization().as_str())
        )))
    }
}

fn misbehaved(reason: &str) -> Trouble {
    Trouble::Misbehaved(format!("groups: {reason}"))
}
