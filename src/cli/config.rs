//! `config check`, `config schema`, `config print`.

use std::path::Path;

use super::{complain, say};
use crate::config::{
    self, BearerSettings, BearerSource, ConfigErrors, InAuthservicesPlace, Settings, Warning, environment, load,
    load_in_authservices_place, names_authservices_provider,
};

/// Says everything that is wrong, or that nothing is. As when serving, authservice's variables count where there is no
/// file.
pub(super) fn check(file: Option<&Path>) -> anyhow::Result<()> {
    let loaded = match file {
        None if names_authservices_provider(environment()) => {
            load_in_authservices_place(environment()).map(|InAuthservicesPlace { loaded, .. }| loaded)
        }
        file => load(file, environment()),
    };
    let loaded = loaded.inspect_err(|errors: &ConfigErrors| print_warnings(&errors.warnings))?;
    print_warnings(&loaded.warnings);
    say(&summary(&loaded.settings))
}

pub(super) fn schema() -> anyhow::Result<()> {
    say(&serde_json::to_string_pretty(&config::schema())?)
}

pub(super) fn print(file: Option<&Path>) -> anyhow::Result<()> {
    say(config::print(file, environment())?.trim_end())
}

pub(super) fn print_warnings(warnings: &[Warning]) {
    for warning in warnings {
        complain(&format!("warning: {warning}\n"));
    }
}

fn summary(settings: &Settings) -> String {
    let providers: Vec<String> =
        settings.providers.iter().map(|provider| format!("{} ({})", provider.id, provider.issuer)).collect();
    let mut summary = format!(
        "the configuration is good\n  public URL  {}\n  providers   {}\n  rules       {}",
        settings.public_url.as_str().trim_end_matches('/'),
        providers.join(", "),
        settings.rules.len(),
    );
    let bearers = bearers(&settings.bearer);
    if !bearers.is_empty() {
        summary.push_str("\n  bearer      ");
        summary.push_str(&bearers.join(", "));
    }
    summary
}

/// The ways in without a browser: what nobody reads about in the rules.
fn bearers(settings: &BearerSettings) -> Vec<String> {
    let sources = settings.sources.iter().map(|source| match source {
        BearerSource::Jwt(jwt) => format!("jwt ({})", jwt.issuer),
        BearerSource::Introspection(introspection) => format!("introspection ({})", introspection.id),
        BearerSource::Kubernetes(cluster) => format!("kubernetes ({})", cluster.issuer),
        BearerSource::Session(session) => format!("session (in {})", session.header),
    });
    let front = settings.front_proxy.iter().map(|proxy| format!("{} (signed by a proxy)", proxy.id));
    sources.chain(front).collect()
}
