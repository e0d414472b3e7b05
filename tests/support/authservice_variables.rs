//! The variables that authservice takes, as a deployment of it would set them.

use std::path::Path;

use crate::lying_idp::{CLIENT_ID, CLIENT_SECRET};

/// With ports that are free, and `data` as its directory.
pub(crate) fn variables(issuer: &str, data: &Path) -> Vec<(String, String)> {
    let store = data.join("data.db");
    [
        ("OIDC_PROVIDER", issuer),
        ("CLIENT_ID", CLIENT_ID),
        ("CLIENT_SECRET", CLIENT_SECRET),
        ("OIDC_SCOPES", "openid email groups"),
        ("AUTHSERVICE_URL_PREFIX", "/authservice/"),
        ("REDIRECT_URL", "https://mesh.example.com/login/oidc"),
        ("SKIP_AUTH_URLS", "/dex"),
        ("SERVER_HOSTNAME", "127.0.0.1"),
        ("PORT", "\"0\""),
        ("READINESS_PROBE_PORT", "0"),
        ("WEB_SERVER_PORT", "0"),
        ("STORE_PATH", &store.to_string_lossy()),
        ("UNRELATED", "x"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec()
}
