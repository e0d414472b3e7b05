//! The token of the admin port.

use super::super::AdminSettings;
use super::super::problem::Report;
use super::super::raw;
use super::super::tree::Spot;
use super::super::variables::Environment;
use super::secret;

/// Fewer could be guessed: whoever reaches the port may try as often as they like.
const LEAST_CHARACTERS: usize = 32;

pub(super) fn settings(
    raw: &raw::Admin,
    at: &Spot<'_>,
    environment: &Environment,
    report: &mut Report,
) -> AdminSettings {
    let at = at.field("token");
    let token = raw.token.as_ref().and_then(|token| secret::text(token, &at, environment, report));
    if let Some(token) = &token {
        let instead = "Make one by `openssl rand -hex 32`.";
        if token.expose().len() < LEAST_CHARACTERS {
            let what = format!("it has fewer than {LEAST_CHARACTERS} characters, so that somebody could guess it");
            report.refuse(at.problem(what, instead));
        } else if !token.expose().bytes().all(|byte| byte.is_ascii_graphic()) {
            let what = "it holds what cannot stand in an Authorization header";
            report.refuse(at.problem(what, instead));
        }
    }
    AdminSettings { token }
}
