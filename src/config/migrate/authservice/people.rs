//! Who authservice let in, and under what name: the provider, claims, headers.

use super::super::draft::{Block, CLIENT_SECRET_FILE, Draft, Value};
use super::super::list;
use super::Variables;
use super::transformers::rewritings;

/// Stands where the client's id is to be written: Kubeflow's own.
pub(super) const CLIENT_ID: &str = "authservice-oidc";

/// The headers of the user and the groups, unless they were called otherwise.
pub(super) const USERID_HEADER: &str = "kubeflow-userid";
pub(super) const GROUPS_HEADER: &str = "kubeflow-groups";

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
        provider.text("client_id", CLIENT_ID).note("TO DO: the CLIENT_ID of the Secret.");
    }
    // Named, so that it counts as known; never looked at.
    variables.asked.push("CLIENT_SECRET");
    if variables.in_its_place {
        provider.set("client_secret", Value::Variable("CLIENT_SECRET"));
    } else {
        provider
            .set("client_secret", Value::File(CLIENT_SECRET_FILE.to_owned()))
            .note("What authservice had as CLIENT_SECRET: the key `client-secret` of a Secret that the pod mounts.");
    }
    if let Some(url) = variables.take("OIDC_AUTH_URL") {
        provider.text("authorization_url", url);
    }
    provider.text("redirect_uri", callback).note(
        "As it is registered at the provider. The gateway leads this path, too, to our main port: authservice answered it \
         as part of a check.",
    );
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
        if !variables.in_its_place {
            draft.leave_to_do("CA_BUNDLE", format!("have the pod mount the file as {path}, or it does not start"));
        }
    }
}

pub(super) fn identity(variables: &mut Variables<'_>, draft: &mut Draft) {
    let mut user = Block::default();
    let claim = variables.take("USERID_CLAIM").unwrap_or("email");
    user.text("claim", claim);
    transform(variables, &mut user, claim, draft);
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
    if let Some(groups) = allowed_groups(variables) {
        let mut admit = Block::default();
        admit.list("groups", groups);
        identity.block("admit", admit);
    }
    draft.root.block("identity", identity);
}

/// Whom `GROUPS_ALLOWLIST` named, unless that was everybody.
pub(super) fn allowed_groups(variables: &mut Variables<'_>) -> Option<Vec<String>> {
    // A group's name may hold a space.
    let groups_of = |text: &str| -> Vec<String> {
        text.split(',').map(str::trim).filter(|group| !group.is_empty()).map(str::to_owned).collect()
    };
    let allowed = variables.take("GROUPS_ALLOWLIST").map(groups_of);
    allowed.filter(|groups| !groups.is_empty() && groups.iter().all(|group| group != "*"))
}

fn transform(variables: &mut Variables<'_>, user: &mut Block, claim: &str, draft: &mut Draft) {
    let Some(text) = variables.take("USERID_TRANSFORMERS") else { return };
    // No address that we accept holds two `@`.
    match rewritings(text, claim == "email") {
        Ok(rewritings) => {
            let written = rewritings.into_iter().map(|one| {
                let mut block = Block::default();
                block.text("regex", one.regex).text("replace", one.replace);
                block
            });
            user.blocks("transform", written.collect()).note(
                "USERID_TRANSFORMERS, each for the whole name. Two users whom it makes one name are one user.",
            );
        }
        Err(why) => draft.leave_to_do(
            "USERID_TRANSFORMERS",
            format!(
                "they rewrote the user by {text}. {why}. Write the same as `identity: {{user: {{transform: [{{regex: …, \
                 replace: …}}]}}}}`, each for the whole name (docs/configuration.md), or people will have other names, and \
                 not reach what is theirs"
            ),
        ),
    }
}

pub(super) fn headers(variables: &mut Variables<'_>, draft: &mut Draft) {
    let user = variables.take("USERID_HEADER").unwrap_or(USERID_HEADER);
    let groups = variables.take("GROUPS_HEADER").unwrap_or(GROUPS_HEADER);
    let mut headers = Block::default();
    for (variable, name, field) in [("USERID_HEADER", user, "user"), ("GROUPS_HEADER", groups, "groups")] {
        // A header that we could not own must not make the whole file worthless.
        if name.contains('_') || http::HeaderName::try_from(name).is_err() {
            draft.leave_to_do(
                variable,
                format!(
                    "{name} carried the {field}. A name with `_` is read as one with `-` by many servers: take another"
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
            format!(
                "{name} told whether somebody came with a cookie or a header; the token's `idp` tells by whom. {}",
                if variables.in_its_place {
                    "Nobody sets it, and what a client sends in it is removed"
                } else {
                    "Nobody sets it: have the gateway remove what a client sends in it, if a workload believes it"
                }
            ),
        );
    }
}

fn with_openid(mut scopes: Vec<String>) -> Vec<String> {
    if !scopes.iter().any(|scope| scope == "openid") {
        scopes.insert(0, "openid".to_owned());
    }
    scopes
}
