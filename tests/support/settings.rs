//! Settings for tests, read from a text as the gateway reads its own: whatever a test does not speak of has its default.
//! Other tests include this file by `#[path]`.

#![allow(dead_code, reason = "each test binary uses another part of this file")]

use std::path::Path;

use countersign::config::{self, ProviderSettings, RuleSettings, Settings};

/// A provider that nobody finds.
pub(crate) const NOBODY: &str = "{id: corp, issuer: 'http://127.0.0.1:1', client_id: countersign, client_auth: none}";

/// A gateway on free ports of loopback that ends at once; `provider` and `rest` as the file spells them.
pub(crate) fn settings(data_dir: &Path, provider: &str, rest: &str) -> Settings {
    let data_dir = data_dir.display();
    read(&format!(
        "public_url: https://mesh.example.com
listen: {{main: '127.0.0.1:0', admin: '127.0.0.1:0'}}
data_dir: '{data_dir}'
log: {{format: human}}
shutdown: {{lame_duck: 0s, deadline: 5s}}
providers: [{provider}]
{rest}"
    ))
}

/// One provider, as the file spells it.
pub(crate) fn provider(text: &str) -> ProviderSettings {
    settings(Path::new("/nowhere"), text, "").providers.remove(0)
}

/// One rule, as the file spells it.
pub(crate) fn rule(text: &str) -> RuleSettings {
    settings(Path::new("/nowhere"), NOBODY, &format!("rules: [{text}]")).rules.remove(0)
}

fn read(text: &str) -> Settings {
    config::parse(text, std::iter::empty()).unwrap_or_else(|errors| panic!("{errors}")).settings
}
