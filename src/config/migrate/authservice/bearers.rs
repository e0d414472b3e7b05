//! The ways in without a browser. authservice tried each that was on, one after the other: they become sources, of which
//! each is asked about its own tokens only.

use http::HeaderName;
use http::header::AUTHORIZATION;

use super::super::draft::{Block, CLIENT_SECRET_FILE, Draft, Value};
use super::super::list;
use super::Variables;
use super::people::{CLIENT_ID, GROUPS_HEADER, USERID_HEADER, allowed_groups};

/// The longest that an answer may be believed.
const LONGEST_CACHE_MINUTES: u64 = 60;

/// What sign-ins take, too: all of them asymmetric.
pub(in super::super) const ALGORITHMS: [&str; 4] = ["RS256", "ES256", "PS256", "EdDSA"];

pub(super) fn bearers(variables: &mut Variables<'_>, draft: &mut Draft, issuer: &str) {
    let audiences = variables
        .take("AUDIENCES")
        .map_or_else(|| vec!["istio-ingressgateway.istio-system.svc.cluster.local".to_owned()], list);
    let kubernetes = kubernetes(variables, draft, &audiences);
    opaque(variables, draft);
    let jwt = jwt(variables, draft, issuer, audiences);
    let session = session(variables, draft);
    let sources: Vec<Block> = [kubernetes, jwt, session].into_iter().flatten().collect();
    draft.root.blocks("bearer", sources).note(
        "Who came without a browser. A token is for the source of its issuer: one that is no good gets 401, where \
         authservice went on to the cookie. Take out what nobody comes with.",
    );
}

/// Service accounts, by reviews; the first that authservice tried.
fn kubernetes(variables: &mut Variables<'_>, draft: &mut Draft, audiences: &[String]) -> Option<Block> {
    const NAME: &str = "KUBERNETES_AUTHN_ENABLED";
    let cache_for = cache_for(variables, draft);
    if !variables.flag(NAME, true) {
        return None;
    }
    let asked = variables.take(NAME).is_some();
    let in_pod = variables.environment.contains_key("KUBERNETES_SERVICE_HOST");
    if variables.in_its_place && !asked && !in_pod {
        draft.leave(NAME, "it was on unless told otherwise, and is off: this is no pod of a cluster");
        return None;
    }
    let prefix = variables.take("USERID_PREFIX").unwrap_or_default();
    let by_address = variables.take("USERID_CLAIM").is_none_or(|claim| claim == "email");
    let rewritten = variables.take("USERID_TRANSFORMERS").is_some_and(|text| text != "[]");
    // Without a prefix nobody but a ServiceAccount bears such a name.
    if !prefix.is_empty() && (!by_address || rewritten || prefix.contains('@')) {
        let why = format!(
            "Kubernetes ServiceAccounts could enter under their own names. Here people could be called \
             `{prefix}system:serviceaccount:…` as well (they are not named by whole e-mail addresses), so that one could be \
             taken for the other. Where ServiceAccounts come, give them a prefix of their own: bearer: [{{kind: kubernetes, \
             audiences: [{}], identity: {{user: {{prefix: 'pod:'}}}}}}]; else {NAME}=false says that none does",
            audiences.join(", ")
        );
        give_up(variables, draft, asked, NAME, why);
        return None;
    }
    let mut source = Block::default();
    source.word("kind", "kubernetes").note(
        "ServiceAccounts, by a token for this audience. Our own must be allowed to create tokenreviews and have its token \
         mounted: examples/kubeflow-legacy and the chart see to both. Kubeflow let authservice do so from 1.7 on \
         (ClusterRole authn-delegator); before, no ServiceAccount could come, and this may go. Where the cluster's tokens \
         have another `iss` than https://kubernetes.default.svc.cluster.local, write it as `issuer`.",
    );
    source.list("audiences", audiences.to_vec());
    if let Some(minutes) = cache_for {
        source.word("cache_for", format!("{minutes}m"));
    }
    let mut identity = Block::default();
    if !prefix.is_empty() {
        let mut user = Block::default();
        user.text("prefix", prefix);
        identity.block("user", user);
    }
    if let Some(groups) = allowed_groups(variables) {
        let mut admit = Block::default();
        admit.list("groups", groups);
        identity.block("admit", admit).note("GROUPS_ALLOWLIST was for them as well.");
    }
    source.block("identity", identity);
    Some(source)
}

/// How many minutes an answer was kept. Nobody was cached unless that was on.
fn cache_for(variables: &mut Variables<'_>, draft: &mut Draft) -> Option<u64> {
    let minutes = variables.take("CACHE_EXPIRATION_MINUTES");
    if !variables.flag("CACHE_ENABLED", false) {
        if variables.take("CACHE_ENABLED").is_some() || minutes.is_some() {
            let why = "nothing was kept. What a review found is believed for a minute (`cache_for`)";
            draft.leave("CACHE_ENABLED, CACHE_EXPIRATION_MINUTES", why);
        }
        return None;
    }
    let minutes = minutes.unwrap_or("5");
    let kept = minutes.parse::<u64>().ok().filter(|minutes| *minutes > 0);
    if kept.is_none_or(|minutes| minutes > LONGEST_CACHE_MINUTES) {
        let why = format!(
            "what a token meant was kept for {minutes} minutes, or for ever. Here the most is {LONGEST_CACHE_MINUTES}: who \
             is revoked would go on until then"
        );
        draft.leave("CACHE_EXPIRATION_MINUTES", why);
    }
    Some(kept.unwrap_or(LONGEST_CACHE_MINUTES).min(LONGEST_CACHE_MINUTES))
}

/// Access tokens that only their issuer can read.
fn opaque(variables: &mut Variables<'_>, draft: &mut Draft) {
    let kind = variables.take("ACCESS_TOKEN_AUTHN").unwrap_or("jwt");
    if !variables.flag("ACCESS_TOKEN_AUTHN_ENABLED", true) || kind == "jwt" {
        return;
    }
    let client = variables.take("CLIENT_ID").unwrap_or(CLIENT_ID);
    let secret =
        if variables.in_its_place { "env: CLIENT_SECRET".to_owned() } else { format!("file: {CLIENT_SECRET_FILE}") };
    let why = if kind == "opaque" {
        format!(
            "an access token could enter if the provider's userinfo endpoint took it, whatever application it had been \
             given to, so that each of these could come in as its users. Here the issuer is asked whose a token is, and for \
             whom (RFC 7662). Where such tokens come, add to `bearer`: {{kind: introspection, introspection_url: \
             https://…, client_id: {client}, client_secret: {{{secret}}}, audiences: [{client}]}}; else \
             ACCESS_TOKEN_AUTHN_ENABLED=false says that none does"
        )
    } else {
        "authservice starts with `jwt` and `opaque` only: write ACCESS_TOKEN_AUTHN=jwt, or ACCESS_TOKEN_AUTHN_ENABLED=false"
            .to_owned()
    };
    draft.leave_to_do(format!("ACCESS_TOKEN_AUTHN={kind}"), why);
}

/// The provider's own JWTs: access tokens by `AUDIENCES`, ID tokens by the client id.
fn jwt(variables: &mut Variables<'_>, draft: &mut Draft, issuer: &str, audiences: Vec<String>) -> Option<Block> {
    let access_tokens = variables.flag("ACCESS_TOKEN_AUTHN_ENABLED", true)
        && variables.take("ACCESS_TOKEN_AUTHN").is_none_or(|kind| kind == "jwt");
    let id_tokens = variables.flag("IDTOKEN_AUTHN_ENABLED", true);
    let header = variables.take("ID_TOKEN_HEADER").unwrap_or("Authorization");
    if !access_tokens && !id_tokens {
        return None;
    }
    if !header.eq_ignore_ascii_case("authorization") {
        let why = format!(
            "the provider's tokens came in {header}, and would be looked for in Authorization, as `Bearer …`. Have whoever \
             sends them do so and write ID_TOKEN_HEADER=Authorization; or, where none come, ACCESS_TOKEN_AUTHN_ENABLED=false \
             and IDTOKEN_AUTHN_ENABLED=false"
        );
        draft.leave_to_do("ID_TOKEN_HEADER", why);
        return None;
    }
    let client = variables.take("CLIENT_ID").unwrap_or(CLIENT_ID).to_owned();
    let mut named = if access_tokens { audiences } else { Vec::new() };
    if id_tokens && !named.contains(&client) {
        named.push(client);
    }
    let mut source = Block::default();
    source.word("kind", "jwt").note(match (access_tokens, id_tokens) {
        (true, true) => "The provider's access tokens (AUDIENCES) and ID tokens (the client id).",
        (true, false) => "The provider's access tokens (AUDIENCES).",
        _ => "The provider's ID tokens.",
    });
    source.text("issuer", issuer).list("audiences", named);
    source.list("algorithms", ALGORITHMS.map(str::to_owned).to_vec());
    Some(source)
}

/// The value of a session's cookie, which authservice took from `AUTH_HEADER`, too, whether or not that was meant.
fn session(variables: &mut Variables<'_>, draft: &mut Draft) -> Option<Block> {
    let header = variables.take("AUTH_HEADER").unwrap_or("Authorization");
    let mut source = Block::default();
    source
        .word("kind", "session")
        .note("A session's value, as programs copy it from the cookie. Ours is another one than authservice's.");
    let name = HeaderName::try_from(header).ok()?;
    if name == AUTHORIZATION {
        return Some(source);
    }
    let others = [("USERID_HEADER", USERID_HEADER), ("GROUPS_HEADER", GROUPS_HEADER)];
    let others = others.map(|(other, default)| variables.take(other).unwrap_or(default));
    let taken = others.iter().any(|other| other.eq_ignore_ascii_case(name.as_str()));
    if name.as_str().contains('_') || taken || super::super::super::validate::is_taken(&name) {
        let why = format!(
            "the value of a session could come in {header}, a name that many servers read as another, or that has a meaning \
             of its own: write one such as `x-auth-token`"
        );
        draft.leave_to_do("AUTH_HEADER", why);
        return None;
    }
    source.set("header", Value::Text(name.as_str().to_owned()));
    Some(source)
}

/// What somebody has asked for and cannot have is to be settled; what was merely never switched off is told.
fn give_up(variables: &Variables<'_>, draft: &mut Draft, asked: bool, setting: &str, why: String) {
    if variables.in_its_place && !asked {
        draft.leave(setting, format!("it was on unless told otherwise, and is off. {why}"));
    } else {
        draft.leave_to_do(setting, why);
    }
}
