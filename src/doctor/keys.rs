//! Our published keys, fetched as istiod fetches them.

use super::Finding;
use super::manifests::{Manifests, text};
use super::tokens::{jwks_uri, our_rules};
use super::workload::Ours;
use crate::config::Settings;
use crate::idp::{KeysTrouble, Outbound, OutboundError, published_keys};

pub(super) async fn look(
    settings: &Settings,
    manifests: &Manifests,
    ours: &Ours<'_>,
) -> Result<Vec<Finding>, OutboundError> {
    let mut addresses: Vec<(String, &str)> = our_rules(settings, manifests)
        .map(|(object, index, rule)| (object.place(&format!("spec.jwtRules[{index}].jwksUri")), text(rule, "/jwksUri")))
        .filter(|(_, address)| !address.is_empty())
        .collect();
    addresses.dedup_by(|one, other| one.1 == other.1);
    // istiod verifies certificates by the system's authorities, and takes no proxy of ours.
    let outbound = Outbound::new(&crate::config::EgressSettings::default())?;
    let mut findings = Vec::new();
    for (place, address) in addresses {
        findings.extend(
            published_keys(address, &outbound).await.err().map(|trouble| finding(place, address, &trouble, ours)),
        );
    }
    Ok(findings)
}

fn finding(place: String, address: &str, trouble: &KeysTrouble, ours: &Ours<'_>) -> Finding {
    const EVERY: &str = "Without our keys istiod refuses every token, and with the tokens every request.";
    match trouble {
        KeysTrouble::Unreachable(reason) => {
            Finding::fault("jwks-unreachable", place, format!("{address} gives no answer here: {reason}"))
                .because(EVERY)
                .change("Look at the host, the port, and the NetworkPolicy (istiod must be let in); run this inside the cluster, too.")
        }
        KeysTrouble::Redirects(target) => {
            Finding::fault("jwks-redirects", place, format!("{address} redirects to {target}"))
                .because("It leads through the gateway, where somebody must sign in; istiod does not. It needs an address inside.")
                .change(jwks_uri(ours))
        }
        KeysTrouble::NoKeys(reason) => {
            Finding::fault("jwks-no-keys", place, format!("{address} holds no keys: {reason}"))
                .because(format!("{EVERY} A page with status 200 spoils the next push for all issuers."))
                .change(jwks_uri(ours))
        }
    }
}
