//! oauth2-proxy's settings: each becomes a key of ours or a comment.

mod bearers;
mod flags;
mod people;
mod places;
mod routes;
mod sources;

use std::path::Path;

use super::super::variables::Environment;
use super::authservice::lifetimes;
use super::draft::{Block, DATA_DIR, Draft};
use super::{Migrated, MigrationError, origin};
use bearers::bearers;
use flags::{Fate, SETTINGS, Takes};
use people::{headers, identity, issuer, provider};
use places::addresses;
use sources::Given;

/// Switches of which something is said where they are off.
const SPOKEN_OF: [&str; 3] = ["cookie-secure", "skip-provider-button", "skip-jwt-bearer-tokens"];

/// The issuer that the examples for Kubeflow and the cutover have the mesh trust.
const MESH_ISSUER: &str = "http://countersign.countersign.svc.cluster.local:9000";

pub(super) fn draft(
    cfg: Option<&Path>,
    variables: &Environment,
    arguments: &[String],
    public_url: Option<&str>,
) -> Result<Migrated, MigrationError> {
    let given = Given::gather(cfg, variables, arguments)?;
    let mut draft = Draft::of("oauth2-proxy");
    let issuer = issuer(&given, &mut draft);
    let home = public_url.and_then(origin).or_else(|| given.text("redirect-url").and_then(origin));
    addresses(&given, &mut draft, home.as_deref());
    provider(&given, &mut draft, &issuer);
    identity(&given, &mut draft);
    sessions(&given, &mut draft);
    headers(&given, &mut draft);
    routes::rules(&given, &mut draft);
    answers(&given, &mut draft);
    bearers(&given, &mut draft, &issuer);
    for setting in SETTINGS.iter().filter(|setting| given.is_set(setting.flag)) {
        let off = setting.takes == Takes::Switch && given.switch(setting.flag) == Some(false);
        match setting.fate {
            Fate::Mapped if off && !SPOKEN_OF.contains(&setting.flag) => {
                draft.leave(setting.flag, "it was off, and is here");
            }
            Fate::Mapped => {}
            Fate::ToDo(_) if off => draft.leave(setting.flag, "it was off"),
            Fate::ToDo(why) => draft.leave_to_do(setting.flag, why),
            Fate::Gone(why) => draft.leave(setting.flag, why),
        }
    }
    given.unknown.iter().for_each(|name| draft.unknown(name));
    Ok(draft.finish())
}

fn sessions(given: &Given, draft: &mut Draft) {
    let mut seconds = |flag: &'static str, default: u64| match given.text(flag).map(humantime_seconds) {
        None => default,
        Some(Some(seconds)) => seconds,
        Some(None) => {
            draft.leave(flag, format!("it is no duration here; {default} seconds are"));
            default
        }
    };
    let (mut max_age, refresh) = (seconds("cookie-expire", 168 * 3600), seconds("cookie-refresh", 0));
    if max_age == 0 {
        draft.leave("cookie-expire", "sessions ended with the browser; a session has an end of its own here");
        max_age = 24 * 3600;
    }
    max_age = max_age.min(400 * 86400);
    let mut session = Block::default();
    lifetimes(&mut session, max_age, (refresh > 0).then_some(refresh));
    session.note("How often the provider is asked anew, where it lets us (offline_access).");
    draft.root.block("session", session);
    let mut token = Block::default();
    token.text("issuer", MESH_ISSUER).note(
        "What the mesh trusts: the RequestAuthentication of examples/kubeflow has this name. It is our Service's, and need \
         not be what people type; write yours, or take the line out, and it is the public URL.",
    );
    if max_age < 300 {
        token.word("lifetime", format!("{}s", max_age.max(30)));
    }
    draft.root.block("token", token);
    draft.root.text("data_dir", DATA_DIR).note(
        "Sessions and keys: give it a volume that lasts, and run one replica. Sessions are not taken over: everybody \
         signs in once more.",
    );
    let kept = given.text("session-store-type").unwrap_or("cookie");
    let before = if kept == "redis" {
        "they were in Redis, for all replicas. A store that replicas share is not there yet: they are"
    } else {
        "they were in the cookies, and are"
    };
    draft.leave_to_do(
        format!("session-store-type {kept}"),
        format!(
            "{before} in a file in `data_dir`, so that a sign-out ends them at once. Run one replica, with a volume"
        ),
    );
    if given.is_set("cookie-secret") || given.is_set("cookie-secret-file") {
        draft.leave(
            "cookie-secret",
            "session keys have another form: one is made in `data_dir`, or `countersign session-keys init` prints one \
             for `session: {keys: [{file: …}]}`",
        );
    }
}

fn humantime_seconds(text: &str) -> Option<u64> {
    if text == "0" {
        return Some(0);
    }
    humantime::parse_duration(text).ok().map(|duration| duration.as_secs())
}

fn answers(given: &Given, draft: &mut Draft) {
    if given.switch("force-json-errors") == Some(true) {
        let mut answers = Block::default();
        answers.word("navigation", "401").word("other", "401").word("unknown", "401");
        draft.root.block("unauthenticated", answers);
    }
    if given.switch("skip-provider-button") == Some(false) {
        draft.leave(
            "skip-provider-button",
            "a page with a button came before each sign-in, so that background requests began none. Here only a page that \
             a person asked for leads to a sign-in; `unauthenticated: {navigation: page}` shows a page all the same",
        );
    }
    if given.is_set("relative-redirect-url") && !given.is_set("redirect-url") {
        draft.leave("relative-redirect-url", "there was no redirect-url");
    }
}
