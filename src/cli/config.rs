//! `config check`, `config schema`, `config print`.

use std::path::Path;

use super::{complain, say};
use crate::config::{self, ConfigErrors, Settings, Warning, environment, load};

/// Says everything that is wrong, or that nothing is.
pub(super) fn check(file: Option<&Path>) -> anyhow::Result<()> {
    let loaded = load(file, environment()).inspect_err(|errors: &ConfigErrors| print_warnings(&errors.warnings))?;
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
    format!(
        "the configuration is good\n  public URL  {}\n  providers   {}\n  rules       {}",
        settings.public_url.as_str().trim_end_matches('/'),
        providers.join(", "),
        settings.rules.len(),
    )
}
