//! Who authservice let in, and under what name: the provider, claims, headers, bearers.

use super::super::draft::{Block, Draft, Value};
use super::super::list;
use super::Variables;

pub(super) fn provider(variables: &mut Variables<'_>, draft: &mut Draft, issuer: &str, callback: &str) {
    let mut provider = Block::default();
    provider.text("id", if issuer.contains("dex") { "dex" } else { "idp" });
    provider.text("issuer", issuer).note("To the letter as its tokens say it.");
    if let Some(id) = variables.take("CLIENT_ID") {
        provider.text("client_id", id);
    } else {
        draft.leave_to_do(
            "CLIENT_ID",
            "it was not among the settings (Kubeflow: Secret oidc-authservice-client); write it",
        );
        provider.text("client_id", "authservice-oidc").note("TO DO: the CLIENT_ID of the Secret.");
    }
    // Named, so that it counts as known; never looked at.
    variables.asked.push("CLIENT_SECRET");
    provider
        .set("client_secret", Value::Variable("CLIENT_SECRET"))
        .note("From the variable that authservice read too. A mounted file is better: {file: /path/to/it}.");
    if let Some(url) = variables.take("OIDC_AUTH_URL") {
        provider.text("authorization_url", url);
    }
    provider.text("redirect_uri", callback).note("As it is registered at the provider.");
    let scopes = variables.take("OIDC_SCOPES").map_or_else(|| vec!["openid".to_owned(), "email".to_owned()], list);
    let scopes = with_openid(scopes);
    provider
        .list("scopes", scopes)
        .note("With offline_access (where the provider knows it) groups are read anew during a session.");
    draft.root.blocks("providers", vec![provider]);
    if let Some(path) = variables.take("CA_BUNDLE") {
        let mut egress = Block::default();
        egress.text("ca_bundle", path);
        draft.root.block("egress", egress);
    }
}

pub(super) fn identity(variables: &mut Variables<'_>, draft: &mut Draft) {
    let mut user = Block::default();
    user.text("claim", variables.take("USERID_CLAIM").unwrap_or("email"));
    if let Some(prefix) = variables.take("USERID_PREFIX") {
        user.text("prefix", prefix);
    }
    let mut groups = Block::default();
    groups.text("claim", variables.take("GROUPS_CLAIM").unwrap_or("groups"));
    let mut identity = Block::default();
    identity
        .block("user", user)
        .note(
            "authservice never looked whether an address is verified. We refuse one that is not: `email_verified: true` \
             must be in the token, or write `allow_unverified_email: true` here.",
        )
        .block("groups", groups);
    // A group's name may hold a space.
    let groups_of = |text: &str| -> Vec<String> {
        text.split(',').map(str::trim).filter(|group| !group.is_empty()).map(str::to_owned).collect()
    };
    let allowed =
        variables.take("GROUPS_ALLOWLIST").map(groups_of).filter(|groups| groups.iter().all(|group| group != "*"));
    if let Some(groups) = allowed.filter(|groups| !groups.is_empty()) {
        let mut admit = Block::default();
        admit.list("groups", groups);
        identity.block("admit", admit);
    }
    draft.root.block("identity", identity);
    if let Some(transformers) = variables.take("USERID_TRANSFORMERS").filter(|text| *text != "[]") {
        draft.leave_to_do(
            "USERID_TRANSFORMERS",
            format!(
                "they rewrote the user by {transformers}. Write the same as transforms of the user \
                 (docs/configuration.md), or people will have other names, and not reach what is theirs"
            ),
        );
    }
}

pub(super) fn headers(variables: &mut Variables<'_>, draft: &mut Draft) {
    let user = variables.take("USERID_HEADER").unwrap_or("kubeflow-userid");
    let groups = variables.take("GROUPS_HEADER").unwrap_or("kubeflow-groups");
    let mut headers = Block::default();
    for (name, field) in [(user, "user"), (groups, "groups")] {
        // A header that we could not own must not make the whole file worthless.
        if name.contains('_') || http::HeaderName::try_from(name).is_err() {
            draft.leave_to_do(
                format!("the header {name}"),
                format!(
                    "it carried the {field}. A name with `_` is read as one with `-` by many servers: take another"
                ),
            );
        } else {
            headers.word(&name.to_ascii_lowercase(), field);
        }
    }
    draft.root.block("headers", headers).note(
        "List them in headersToUpstreamOnAllow (EnvoyFilter: allowed_upstream_headers), and `authorization`, which \
         carries our own token.",
    );
    if let Some(name) = variables.take("USERID_TOKEN_HEADER") {
        draft.leave(
            "USERID_TOKEN_HEADER",
            format!(
                "{name} carried the provider's ID token. No provider's token leaves us; `token: {{header: …}}` names \
                 the header for our own"
            ),
        );
    }
    if let Some(name) = variables.take("AUTH_METHOD_HEADER") {
        draft.leave(
            "AUTH_METHOD_HEADER",
            format!("{name} told how somebody had signed in; the token's `idp` tells by whom"),
        );
    }
}

/// The ways in without a browser. authservice had them on unless told otherwise.
pub(super) fn bearers(variables: &mut Variables<'_>, draft: &mut Draft, issuer: &str) {
    let audiences = variables
        .take("AUDIENCES")
        .map_or_else(|| vec!["istio-ingressgateway.istio-system.svc.cluster.local".to_owned()], list);
    let audiences = audiences.join(", ");
    let header = variables.take("AUTH_HEADER").unwrap_or("Authorization");
    let id_token_header = variables.take("ID_TOKEN_HEADER").unwrap_or("Authorization");
    let client = variables.take("CLIENT_ID").unwrap_or("the client id");
    let access_token = variables.take("ACCESS_TOKEN_AUTHN").unwrap_or("jwt");
    let mut say = |name: &'static str, on: bool, what: &str, line: String| {
        if on {
            let why = format!("{what} could enter without a browser. Where that is used, configure: {line}");
            draft.leave(name, why);
        }
    };
    say(
        "KUBERNETES_AUTHN_ENABLED, AUDIENCES",
        variables.flag("KUBERNETES_AUTHN_ENABLED", true),
        "Kubernetes ServiceAccount tokens",
        format!("bearer: [{{kind: kubernetes, audiences: [{audiences}]}}]"),
    );
    let with_access_token = variables.flag("ACCESS_TOKEN_AUTHN_ENABLED", true);
    say(
        "ACCESS_TOKEN_AUTHN_ENABLED, ACCESS_TOKEN_AUTHN",
        with_access_token && access_token == "jwt",
        "JWT access tokens of the provider",
        format!("bearer: [{{kind: jwt, issuer: {issuer}, audiences: [{audiences}], algorithms: [RS256]}}]"),
    );
    say(
        "ACCESS_TOKEN_AUTHN_ENABLED, ACCESS_TOKEN_AUTHN=opaque",
        with_access_token && access_token != "jwt",
        "opaque access tokens, by the provider's userinfo endpoint,",
        "bearer: [{kind: introspection, …}], which asks the introspection endpoint (RFC 7662)".to_owned(),
    );
    say(
        "IDTOKEN_AUTHN_ENABLED, ID_TOKEN_HEADER",
        variables.flag("IDTOKEN_AUTHN_ENABLED", true),
        &format!("ID tokens in {id_token_header}"),
        format!("bearer: [{{kind: jwt, issuer: {issuer}, audiences: [{client}], algorithms: [RS256]}}]"),
    );
    say(
        "AUTH_HEADER",
        true,
        &format!("a session's value in {header}"),
        format!("bearer: [{{kind: session, header: {}}}]", header.to_ascii_lowercase()),
    );
}

fn with_openid(mut scopes: Vec<String>) -> Vec<String> {
    if !scopes.iter().any(|scope| scope == "openid") {
        scopes.insert(0, "openid".to_owned());
    }
    scopes
}
