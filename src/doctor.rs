//! What is wrong with a set-up, in the words of whoever runs it: the providers, our keys as the mesh fetches them, and
//! the Istio objects around us. It looks and asks; it changes nothing.

mod asks;
mod filters;
mod finding;
mod gateways;
mod keys;
mod manifests;
mod mesh;
mod pod;
mod policies;
mod providers;
mod reach;
mod routes;
mod tokens;
mod workload;

use std::sync::Arc;

use crate::app::{self, StartError};
use crate::clock::{Clock, SystemClock};
use crate::config::{Loaded, NamedFile, Settings};

pub use self::finding::{Finding, Severity};
pub use self::manifests::{ManifestError, Manifests};
pub use self::workload::PodsConfiguration;

/// Everything that was found wrong, the gravest first. Where it is looked at offline, providers and keys are left alone.
///
/// # Errors
/// If there is no way out to the providers.
pub async fn examine(loaded: &Loaded, manifests: &Manifests, offline: bool) -> Result<Vec<Finding>, ExamineError> {
    let Loaded { settings, files, .. } = loaded;
    let ours = workload::Ours::find(manifests);
    let mut findings = of_manifests(settings, files, manifests, &ours);
    if !offline {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        for provider in app::providers_alone(settings, &clock)? {
            findings.extend(providers::look(settings, &provider).await);
        }
        findings.extend(keys::look(settings, manifests, &ours).await?);
    }
    findings.sort_by_key(|finding| finding.severity);
    Ok(findings)
}

/// Why nothing could be examined.
#[derive(Debug, thiserror::Error)]
pub enum ExamineError {
    /// The way out.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The way out.
    #[error(transparent)]
    Outbound(#[from] crate::idp::OutboundError),
}

fn of_manifests(
    settings: &Settings,
    files: &[NamedFile],
    manifests: &Manifests,
    ours: &workload::Ours<'_>,
) -> Vec<Finding> {
    let mut findings: Vec<Finding> = manifests.troubles().collect();
    asks::look(settings, manifests, ours, &mut findings);
    policies::look(settings, manifests, ours, &mut findings);
    tokens::look(settings, manifests, ours, &mut findings);
    workload::look(settings, manifests, ours, &mut findings);
    pod::look(settings, files, manifests, ours, &mut findings);
    routes::look(settings, manifests, ours, &mut findings);
    reach::look(settings, manifests, ours, &mut findings);
    filters::look(manifests, ours, &mut findings);
    findings
}
