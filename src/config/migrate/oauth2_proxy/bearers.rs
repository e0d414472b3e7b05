//! Bearer tokens as oauth2-proxy let them in: JWTs of the provider and of further issuers, each of which becomes a source.

use url::Url;

use super::super::authservice::bearers::ALGORITHMS;
use super::super::draft::{Block, Draft};
use super::people::{ALGORITHMS_KNOWN, CLIENT_ID, admitted};
use super::sources::Given;

/// The issuer that a source of kind `kubernetes` has without being told.
const CLUSTER_ISSUER: &str = "https://kubernetes.default.svc.cluster.local";

pub(super) fn bearers(given: &Given, draft: &mut Draft, issuer: &str) {
    if given.switch("skip-jwt-bearer-tokens") != Some(true) {
        if given.is_set("skip-jwt-bearer-tokens") {
            draft.leave("skip-jwt-bearer-tokens", "it was off: bearer tokens do not sign anybody in here either");
        }
        if given.is_set("extra-jwt-issuers") {
            draft.leave("extra-jwt-issuers", "bearer tokens were off");
        }
        return;
    }
    let mut own = vec![given.text("client-id").unwrap_or(CLIENT_ID).to_owned()];
    let mut others: Vec<(&str, Vec<String>)> = Vec::new();
    for pair in given.list("extra-jwt-issuers") {
        let Some((other, audience)) = pair.split_once('=').filter(|(_, audience)| !audience.is_empty()) else {
            draft.leave_to_do(format!("extra-jwt-issuers {pair}"), "it is no `ISSUER=AUDIENCE`, and nobody's tokens");
            continue;
        };
        if other == issuer {
            own.push(audience.to_owned());
        } else if let Some((_, audiences)) = others.iter_mut().find(|(earlier, _)| *earlier == other) {
            audiences.push(audience.to_owned());
        } else {
            others.push((other, vec![audience.to_owned()]));
        }
    }
    let mut sources = vec![of_provider(given, issuer, with_extra(given, own))];
    for (issuer, audiences) in others {
        let audiences = with_extra(given, audiences);
        if is_cluster(issuer) && sources.len() == 1 {
            sources.push(of_cluster(given, issuer, audiences));
        } else {
            by_hand(draft, issuer, &audiences);
        }
    }
    draft.root.blocks("bearer", sources).note(
        "Who came without a browser. A token is for the source of its issuer: one that is no good gets 401, never a login; \
         one that no source is for counts as none. It follows `Bearer `; oauth2-proxy looked into Basic credentials, too.",
    );
}

fn of_provider(given: &Given, issuer: &str, audiences: Vec<String>) -> Block {
    let mut source = Block::default();
    source.word("kind", "jwt").note("The provider's own JWTs, by its client id and oidc-extra-audience.");
    source.text("issuer", issuer).list("audiences", audiences);
    let known = |name: &&String| ALGORITHMS_KNOWN.contains(&name.as_str());
    let mut algorithms: Vec<String> = given.list("oidc-enabled-signing-alg").iter().filter(known).cloned().collect();
    if algorithms.is_empty() {
        algorithms = ALGORITHMS.map(str::to_owned).to_vec();
    }
    source.list("algorithms", algorithms);
    if let Some(url) = given.text("oidc-jwks-url") {
        source.text("jwks_url", url);
    }
    source
}

/// Service accounts, whom both of us call by their `sub`.
fn of_cluster(given: &Given, issuer: &str, audiences: Vec<String>) -> Block {
    let mut source = Block::default();
    source.word("kind", "kubernetes").note(
        "ServiceAccounts. Our own must have its token mounted. `verify: token_review` would notice deleted pods, and takes \
         the right to create tokenreviews. examples/kubeflow and the chart see to both.",
    );
    if issuer != CLUSTER_ISSUER {
        source.text("issuer", issuer);
    }
    source.list("audiences", audiences).word("verify", "keys");
    // Whom `email-domain` and the like kept out, these must keep out as well: nothing of the top level is for them.
    let mut identity = Block::default();
    identity.block("admit", admitted(given, &mut Draft::of("oauth2-proxy")).1);
    source.block("identity", identity);
    source
}

fn by_hand(draft: &mut Draft, issuer: &str, audiences: &[String]) {
    let why = format!(
        "JWTs of {issuer} could enter, and it could name any user of the provider's. Here its users must be others: give \
         these, and the provider's, an `identity: {{user: {{prefix: …}}}}` each, or e-mail domains of their own where both \
         are named by `email`; then add to `bearer`: {{kind: jwt, id: others, issuer: {issuer}, audiences: [{}], algorithms: \
         [RS256], identity: …}}",
        audiences.join(", ")
    );
    draft.leave_to_do("extra-jwt-issuers", why);
}

/// `oidc-extra-audience` was good for every issuer.
fn with_extra(given: &Given, mut audiences: Vec<String>) -> Vec<String> {
    for audience in given.list("oidc-extra-audience") {
        if !audiences.contains(audience) {
            audiences.push(audience.clone());
        }
    }
    audiences
}

fn is_cluster(issuer: &str) -> bool {
    let host = Url::parse(issuer).ok().and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default();
    host == "kubernetes.default.svc" || host.starts_with("kubernetes.default.svc.")
}
