//! The demo site: shows who the mesh says you are, and what came with the request. It trusts its gateway, as workloads
//! in a mesh do.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Extension, State};
use axum::response::Response;
use axum::routing::get;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, StatusCode};
use minijinja::context;
use serde_json::Value;

use crate::dev::gateway::Verified;
use crate::dev::look::Look;
use crate::entropy::Entropy;

/// Where the site finds what the gateway settled.
#[derive(Clone, Debug)]
pub struct SiteSettings {
    /// The header that names the user.
    pub user: HeaderName,
    /// The header that lists the groups.
    pub groups: HeaderName,
    /// Where to sign out.
    pub sign_out: String,
}

struct Site {
    settings: SiteSettings,
    look: Look,
}

/// The pages `/`, `/admins/` and `/public/`; whom they are for is the rules' business.
///
/// # Errors
/// If the template does not load.
pub fn router(settings: SiteSettings, entropy: Arc<dyn Entropy>) -> anyhow::Result<Router> {
    let site = Arc::new(Site { settings, look: Look::new("Countersign demo", entropy)? });
    Ok(Router::new()
        .route("/", get(home))
        .route("/admins/", get(admins))
        .route("/public/", get(public))
        .fallback(elsewhere)
        .with_state(site))
}

type Token = Option<Extension<Verified>>;

async fn home(State(site): State<Arc<Site>>, token: Token, headers: HeaderMap) -> Response {
    site.show(StatusCode::OK, "You are signed in", "This is what a workload in the mesh gets to know.", token, &headers)
}

async fn admins(State(site): State<Arc<Site>>, token: Token, headers: HeaderMap) -> Response {
    site.show(StatusCode::OK, "Only for admins", "A rule lets only the group “admins” in here.", token, &headers)
}

async fn public(State(site): State<Arc<Site>>, token: Token, headers: HeaderMap) -> Response {
    let message = "A rule lets everybody in here, and nobody's identity comes along, signed in or not.";
    site.show(StatusCode::OK, "For everybody", message, token, &headers)
}

async fn elsewhere(State(site): State<Arc<Site>>, token: Token, headers: HeaderMap) -> Response {
    site.show(StatusCode::NOT_FOUND, "Nothing here", "You may come here, but there is no such page.", token, &headers)
}

impl Site {
    fn show(&self, status: StatusCode, title: &str, message: &str, token: Token, headers: &HeaderMap) -> Response {
        let text = |name: &HeaderName| {
            headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes())).filter(|value| !value.is_empty())
        };
        let groups = text(&self.settings.groups).unwrap_or_default();
        let groups: Vec<String> = groups.split(',').filter(|group| !group.is_empty()).map(String::from).collect();
        let token = token.map(|Extension(token)| token);
        let received: Vec<(String, String)> =
            headers.iter().map(|(name, value)| (name.to_string(), shown(name, value.as_bytes()))).collect();
        let variables = context! {
            title,
            message,
            user => text(&self.settings.user),
            groups,
            header => token.as_ref().map(|token| pretty(&token.header)),
            claims => token.as_ref().map(|token| pretty(&token.claims)),
            received => received,
            sign_out => &*self.settings.sign_out,
        };
        self.look.page(status, "site.html", variables, "")
    }
}

/// A token is good for whoever reads it: only its beginning is shown.
fn shown(name: &HeaderName, value: &[u8]) -> String {
    let text = String::from_utf8_lossy(value);
    if name == AUTHORIZATION && text.len() > 24 {
        let beginning: String = text.chars().take(16).collect();
        format!("{beginning}… ({} bytes)", text.len())
    } else {
        text.into_owned()
    }
}

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap_or_default()
}
