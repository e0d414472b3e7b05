//! The demonstration's settings: short, strict, loopback only.

use std::path::Path;

use url::Url;

use super::idp::Client;
use crate::config::{self, ConfigErrors, Settings};

/// The `aud` of the demonstration's RC tokens.
pub(super) const AUDIENCE: &str = "demo";
/// The header that names the user.
pub(super) const USER_HEADER: &str = "kubeflow-userid";
/// The header that lists the groups.
pub(super) const GROUPS_HEADER: &str = "kubeflow-groups";

pub(super) fn demonstration(
    public_url: &Url,
    issuer: &str,
    client: &Client,
    data_dir: &Path,
) -> Result<Settings, ConfigErrors> {
    let text = format!(
        "public_url: '{public_url}'
listen: {{main: '127.0.0.1:0', admin: '127.0.0.1:0'}}
data_dir: '{}'
providers:
  - id: dev
    name: Development identity provider
    issuer: '{issuer}'
    client_id: '{}'
    client_secret: {{env: CLIENT_SECRET}}
    scopes: [openid, profile, email, groups, offline_access]
    algorithms: [ES256]
token: {{audience: [{AUDIENCE}]}}
headers: {{{USER_HEADER}: user, {GROUPS_HEADER}: groups}}
rules:
  - {{path: /public/, access: public}}
  - {{path: /admins/, access: {{groups: [admins]}}}}
trusted_proxies: [127.0.0.1]
pages: {{title: Countersign demo}}
# On loopback nobody has an address of their own, and nobody minds.
log: {{format: human, level: 'info,countersign::login::bounds=error'}}
shutdown: {{lame_duck: 0s, deadline: 2s}}
",
        data_dir.display(),
        client.id
    );
    let secret = ("CLIENT_SECRET".to_owned(), client.secret.expose().to_owned());
    Ok(config::parse(&text, std::iter::once(secret))?.settings)
}
