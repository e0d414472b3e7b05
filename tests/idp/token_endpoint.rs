//! The token endpoint: how we authenticate, and what becomes of its answers.

use countersign::config::ClientAuth as OurAuth;
use countersign::secret::SecretText;
use serde_json::json;

use crate::canaries::{self, Watch};
use crate::lying_idp::{Answer, CLIENT_SECRET, ClientAuth, REVOKE, TOKEN, USERINFO};
use crate::rig::{Kind, Rig, assert_refused, overwrite};

#[tokio::test]
async fn the_client_authenticates_as_configured() {
    let secret = || SecretText::new(CLIENT_SECRET.into());
    for (ours, theirs) in [
        (OurAuth::Basic(secret()), ClientAuth::Basic),
        (OurAuth::Post(secret()), ClientAuth::Post),
        (OurAuth::None, ClientAuth::Public),
    ] {
        let rig = Rig::found_with(|settings| settings.client_auth = ours).await;
        rig.idp.lie(|idp| idp.client_auth = theirs);
        rig.sign_in().await.expect("the right way");
        let other = if theirs == ClientAuth::Post { ClientAuth::Basic } else { ClientAuth::Post };
        rig.idp.lie(|idp| idp.client_auth = other);
        rig.refuses(Kind::Misconfigured, "compare client_id, client_secret and the way of authentication").await;
    }
}

#[tokio::test]
async fn a_code_works_once_and_with_its_verifier_only() {
    let rig = Rig::found().await;
    let code = rig.code();
    let stranger = SecretText::new("verifier-of-another-flow".into());
    let refused = rig.provider.exchange(&code, &stranger, crate::rig::NONCE).await;
    assert_refused(refused, &Kind::GrantRefused, "it said `invalid_grant` (says the lying provider)");
}

#[tokio::test]
async fn answers_within_the_standards_are_accepted() {
    let rig = Rig::found().await;
    for change in [
        json!({"token_type": "bearer"}),
        json!({"token_type": "BEARER"}),
        json!({"expires_in": null}),
        json!({"refresh_token": null}),
        json!({"scope": "openid", "extra": {"any": "thing"}}),
    ] {
        rig.idp.lie(|idp| {
            let change = change.clone();
            idp.token_answer = Box::new(move |answer| overwrite(answer, &change));
        });
        let signed_in = rig.sign_in().await.expect("signed in");
        assert_eq!(signed_in.tokens_expire_at.is_none(), change.get("expires_in").is_some(), "{change}");
        assert_eq!(signed_in.tokens.refresh_token.is_none(), change.get("refresh_token").is_some(), "{change}");
    }
}

#[tokio::test]
async fn answers_that_cannot_be_right_are_refused() {
    let rig = Rig::found().await;
    for (change, reason) in [
        (json!({"token_type": "DPoP"}), "`token_type` is not Bearer"),
        (json!({"token_type": null}), "cannot be read"),
        (json!({"access_token": null}), "cannot be read"),
        (json!({"access_token": 7}), "cannot be read"),
        (json!({"id_token": null}), "there is no ID token"),
    ] {
        rig.idp.lie(|idp| idp.token_answer = Box::new(move |answer| overwrite(answer, &change)));
        rig.refuses(Kind::Misbehaved, reason).await;
    }
    rig.idp.repent();
    for (answer, kind, reason) in [
        (Answer::Huge, Kind::Misbehaved, "larger than 1024 KiB"),
        (Answer::CutShort, Kind::Misbehaved, "cannot be read"),
        (Answer::Redirect("http://127.0.0.1:1/".into()), Kind::Misbehaved, "it redirects to"),
        (Answer::Plain(200, "text/html", "<p>welcome".into()), Kind::Misbehaved, "Content-Type"),
        (Answer::Plain(200, "application/json", "[]".into()), Kind::Misbehaved, "cannot be read"),
        (Answer::Plain(400, "text/html", "<p>no".into()), Kind::Misbehaved, "cannot be read"),
        (Answer::Plain(500, "text/html", "<p>oops".into()), Kind::Unreachable, "status 500"),
        (Answer::Plain(503, "application/json", "{\"error\":\"invalid_grant\"}".into()), Kind::Unreachable, "503"),
        (Answer::Plain(429, "text/plain", String::new()), Kind::Unreachable, "status 429"),
        (error("invalid_grant"), Kind::GrantRefused, "`invalid_grant`"),
        (error("invalid_client"), Kind::Misconfigured, "client_secret"),
        (error("unauthorized_client"), Kind::Misconfigured, "client_secret"),
        (error("invalid_scope"), Kind::Misconfigured, "scopes"),
        (error("temporarily_unavailable"), Kind::Unreachable, "`temporarily_unavailable`"),
        (error("evil\\r\\n2026 INFO forged line"), Kind::Misconfigured, "`evil2026 INFO forged line`"),
    ] {
        rig.idp.lie(|idp| drop(idp.answers.insert(TOKEN, answer)));
        rig.refuses(kind, reason).await;
    }
    assert_eq!(rig.idp.hits(USERINFO), 0);
}

#[tokio::test]
async fn endpoints_for_clients_with_certificates_are_not_ours() {
    let rig = Rig::found().await;
    rig.sign_in().await.expect("signed in");
    assert_eq!((rig.idp.hits(TOKEN), rig.idp.hits("/mtls/token")), (1, 0));
}

#[tokio::test]
async fn no_error_shows_a_code_a_token_or_a_secret() {
    let rig = Rig::found().await;
    let canary = "canary-7f3a";
    for lie in [
        json!({"access_token": {"nested": canary}}),
        json!({"expires_in": canary}),
        json!({"token_type": canary}),
        json!({"id_token": canary}),
        json!({"id_token": {"nested": canary}}),
        json!({"refresh_token": [canary]}),
    ] {
        rig.idp.lie(|idp| idp.token_answer = Box::new(move |answer| overwrite(answer, &lie)));
        let said = format!("{:?}", rig.sign_in().await.expect_err("refused"));
        assert!(!said.contains(canary) && !said.contains(CLIENT_SECRET), "{said}");
    }
}

/// What it says of its refusal is shown on a page and logged, and some providers quote what they refuse.
#[tokio::test]
async fn what_a_provider_repeats_of_what_it_was_sent_is_left_out() {
    let rig = Rig::found().await;
    let watch = Watch::begin();
    canaries::seed("the client secret", CLIENT_SECRET);
    let before = rig.sign_in().await.expect("signed in");
    for (status, error) in [(400, "invalid_grant"), (401, "invalid_client"), (400, "invalid_request"), (400, "odd")] {
        rig.idp.lie(|idp| {
            idp.answers.insert(TOKEN, Answer::Repeating(status, error));
            idp.answers.insert(REVOKE, Answer::Repeating(status, error));
        });
        let refused = rig.sign_in().await.expect_err("refused");
        let spent = rig.provider.renew(&before.tokens, &before.identity).await.expect_err("refused");
        let kept = rig.provider.revoke(&before.tokens).await.expect_err("refused");
        for error in [&refused, &spent, &kept] {
            assert!(error.to_string().contains("[…]"), "{error}");
            canaries::hear("an error", format!("{error} {error:?}"));
        }
    }
    watch.judge(&[]);
}

fn error(code: &str) -> Answer {
    Answer::Plain(400, "application/json", format!("{{\"error\": \"{code}\"}}"))
}
