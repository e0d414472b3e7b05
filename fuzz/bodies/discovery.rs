//! A provider's discovery document: what is taken over of it is its issuer's, leads nowhere that we would not call, and
//! makes no mischief on our pages.

use std::sync::OnceLock;

use countersign::config::{self, ProviderSettings};
use countersign::idp::{Endpoint, Endpoints, Reach};
use serde_json::Value;
use url::Url;

const SECURE: &str = "https://idp.example.com/realm";
const PLAIN: &str = "http://idp.internal:5556/dex";

/// Which provider, then the document, in which `@` is the issuer.
pub(super) fn body(data: &[u8]) {
    let Some((which, text)) = data.split_first() else { return };
    let settings = &providers()[usize::from(*which) % 3];
    let document: Vec<u8> = text.split(|byte| *byte == b'@').collect::<Vec<_>>().join(settings.issuer.as_bytes());
    let reach = if which & 4 == 0 { Reach::Anywhere } else { Reach::PublicOnly };
    let Ok(endpoints) = Endpoints::read(&document, settings, reach) else { return };
    // What is passed over unread may be anything.
    let Ok(written) = serde_json::from_slice::<Value>(&document) else { return };
    assert_eq!(written["issuer"], settings.issuer.as_str());

    let secure = settings.issuer.starts_with("https://");
    let called =
        [Some(&endpoints.token), Some(&endpoints.jwks), endpoints.userinfo.as_ref(), endpoints.revocation.as_ref()];
    for endpoint in called.into_iter().flatten() {
        may_be_called(endpoint, settings, reach, secure);
    }
    if let Some(url) = &endpoints.end_session {
        is_decent(url, secure);
    }
    match &settings.authorization_url {
        Some(named) => assert_eq!(&endpoints.authorization, named, "the settings win"),
        None => is_decent(&Url::parse(&endpoints.authorization).expect("an absolute URL"), secure),
    }
    for origin in endpoints.origins() {
        // It becomes a part of a Content-Security-Policy, where these end it.
        let harmless = origin.bytes().all(|byte| byte.is_ascii_graphic() && !b";,'\"*".contains(&byte));
        assert!(harmless && origin.starts_with("http"), "{origin}");
    }
    // Written anew, it says the same.
    let again = Endpoints::read(written.to_string().as_bytes(), settings, reach).expect("the same document");
    assert_eq!(format!("{again:?}"), format!("{endpoints:?}"));
}

fn may_be_called(endpoint: &Endpoint, settings: &ProviderSettings, reach: Reach, secure: bool) {
    let named = [&settings.token_url, &settings.jwks_url, &settings.userinfo_url];
    if named.into_iter().flatten().any(|url| *url == endpoint.url) && endpoint.reach == Reach::Anywhere {
        return;
    }
    assert_eq!(endpoint.reach, reach, "{}", endpoint.url);
    is_decent(&endpoint.url, secure);
}

fn is_decent(url: &Url, secure: bool) {
    assert!(url.scheme() == "https" || (!secure && url.scheme() == "http"), "{url}");
    assert!(url.host_str().is_some_and(|host| !host.is_empty()), "{url}");
    assert_eq!((url.username(), url.password(), url.fragment()), ("", None, None), "{url}");
}

/// One over https, one inside over http, and one of which most is configured.
fn providers() -> &'static [ProviderSettings; 3] {
    static PROVIDERS: OnceLock<[ProviderSettings; 3]> = OnceLock::new();
    PROVIDERS.get_or_init(|| {
        [
            provider(SECURE, ""),
            provider(PLAIN, ""),
            provider(SECURE, ", authorization_url: /dex/auth, token_url: 'https://dex.auth:5556/token'"),
        ]
    })
}

fn provider(issuer: &str, more: &str) -> ProviderSettings {
    let text = format!(
        "public_url: https://mesh.example.com
data_dir: /nowhere
providers: [{{id: corp, issuer: '{issuer}', client_id: countersign, client_auth: none{more}}}]
"
    );
    let read = config::parse(&text, std::iter::empty());
    read.unwrap_or_else(|errors| panic!("{errors}")).settings.providers.remove(0)
}
