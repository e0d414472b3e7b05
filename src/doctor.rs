//! What is wrong with a set-up, in the words of whoever runs it: the providers, our keys as the mesh fetches them, and
//! the Istio objects around us. It looks and asks; it changes nothing.

mod finding;
mod gateways;
mod keys;
mod manifests;
mod mesh;
mod policies;
mod providers;
mod reach;
mod tokens;
mod workload;

use std::path::PathBuf;
use std::sync::Arc;

use crate::app::{self, StartError};
use crate::clock::{Clock, SystemClock};
use crate::config::Settings;

pub use self::finding::{Finding, Severity};
pub use self::manifests::ManifestError;
use self::manifests::Manifests;

/// What to look at besides the settings.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    /// Directories and files of manifests; `-` is standard input.
    pub manifests: Vec<PathBuf>,
    /// Whether providers and keys are left alone: only what is written is read.
    pub offline: bool,
}

/// Everything that was found wrong, the gravest first.
///
/// # Errors
/// If the manifests cannot be read, or there is no way out to the providers.
pub async fn examine(settings: &Settings, scope: &Scope) -> Result<Vec<Finding>, ExamineError> {
    let manifests = Manifests::read(&scope.manifests)?;
    let mut findings = if scope.manifests.is_empty() { Vec::new() } else { of_manifests(settings, &manifests) };
    if !scope.offline {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        for provider in app::providers_alone(settings, &clock)? {
            findings.extend(providers::look(settings, &provider).await);
        }
        findings.extend(keys::look(settings, &manifests).await?);
    }
    findings.sort_by_key(|finding| finding.severity);
    Ok(findings)
}

/// Why nothing could be examined.
#[derive(Debug, thiserror::Error)]
pub enum ExamineError {
    /// The manifests.
    #[error(transparent)]
    Manifests(#[from] ManifestError),
    /// The way out.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The way out.
    #[error(transparent)]
    Outbound(#[from] crate::idp::OutboundError),
}

fn of_manifests(settings: &Settings, manifests: &Manifests) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(manifests.troubles());
    let ours = workload::Ours::find(manifests);
    mesh::look(settings, manifests, &ours, &mut findings);
    policies::look(settings, manifests, &ours, &mut findings);
    tokens::look(settings, manifests, &mut findings);
    workload::look(settings, manifests, &ours, &mut findings);
    reach::look(settings, manifests, &ours, &mut findings);
    findings
}
