//! Renewal (OIDC Core section 12.2), revocation (RFC 7009), and what a provider that went away in between costs.

use countersign::clock::UnixTime;
use countersign::idp::{IdpError, SignedIn};
use countersign::secret::SecretText;
use serde_json::json;

use crate::lying_idp::{Answer, REVOKE, TOKEN, USERINFO};
use crate::rig::{Kind, Rig, assert_refused, overwrite};

#[tokio::test]
async fn a_renewal_reads_the_identity_anew_and_keeps_the_newest_refresh_token() {
    let rig = Rig::found().await;
    let first = rig.sign_in().await.expect("signed in");
    rig.idp.lie(|idp| idp.user["groups"] = json!(["ops"]));
    let second = renew(&rig, &first).await.expect("renewed");
    assert_eq!(second.identity.groups.to_csv(), "ops");
    assert_eq!(second.identity.auth_time, first.identity.auth_time, "it signed in then, and says nothing new");
    assert_ne!(refresh_token(&second), refresh_token(&first));
    assert_refused(renew(&rig, &first).await, &Kind::GrantRefused, "`invalid_grant`");
    renew(&rig, &second).await.expect("the newest one works");

    rig.idp.lie(|idp| {
        idp.token_answer = Box::new(|answer| overwrite(answer, &json!({"refresh_token": null})));
    });
    let unrotated = rig.sign_in().await.expect("signed in");
    assert_refused(renew(&rig, &unrotated).await, &Kind::GrantRefused, "there is no refresh token");
}

#[tokio::test]
async fn a_refresh_token_that_is_not_rotated_is_kept() {
    let rig = Rig::found().await;
    let first = rig.sign_in().await.expect("signed in");
    rig.idp.lie(|idp| {
        idp.token_answer = Box::new(|answer| overwrite(answer, &json!({"refresh_token": null})));
    });
    let second = renew(&rig, &first).await.expect("renewed");
    assert_eq!(refresh_token(&second), refresh_token(&first));
}

#[tokio::test]
async fn a_renewal_for_somebody_else_is_refused() {
    let rig = Rig::found().await;
    let first = rig.sign_in().await.expect("signed in");
    rig.idp.lie(|idp| idp.refreshed_claims = Box::new(|claims| claims["sub"] = json!("eve")));
    assert_refused(renew(&rig, &first).await, &Kind::ChangedUser, "its `sub` is another than at sign-in");
    assert_eq!(rig.idp.hits(USERINFO), 0);
}

#[tokio::test]
async fn a_bad_id_token_is_not_believed_and_costs_no_refresh_token() {
    let rig = Rig::found().await;
    for lie in [
        json!({"sub": "eve", "exp": 1}),
        json!({"iss": "https://evil.example"}),
        json!({"aud": "another"}),
        json!({"auth_time": 1_799_999_999}),
        json!({"exp": 1}),
        json!({"sub": null}),
    ] {
        let first = rig.sign_in().await.expect("signed in");
        rig.idp.lie(|idp| {
            idp.user["groups"] = json!(["admins"]);
            let lie = lie.clone();
            idp.refreshed_claims = Box::new(move |claims| overwrite(claims, &lie));
        });
        let second = renew(&rig, &first).await.unwrap_or_else(|error| panic!("{lie}: {error}"));
        assert_eq!(second.identity, first.identity, "{lie}");
        assert_eq!(second.tokens.id_token.expose(), first.tokens.id_token.expose());
        assert_eq!(second.tokens_expire_at.map(UnixTime::as_secs), Some(1_800_000_060), "soon again");
        rig.idp.repent();
        renew(&rig, &second).await.unwrap_or_else(|error| panic!("the new refresh token was kept: {error}"));
    }
    assert_eq!(rig.idp.hits(USERINFO), 0);
}

#[tokio::test]
async fn without_an_id_token_userinfo_says_who_it_is() {
    let rig = Rig::found().await;
    let first = rig.sign_in().await.expect("signed in");
    rig.idp.lie(|idp| {
        idp.token_answer = Box::new(|answer| overwrite(answer, &json!({"id_token": null})));
        idp.user["groups"] = json!(["ops"]);
    });
    let second = renew(&rig, &first).await.expect("renewed");
    assert_eq!(second.identity.groups.to_csv(), "ops");
    assert_eq!(second.identity.auth_time, first.identity.auth_time);
    assert_eq!(second.tokens.id_token.expose(), first.tokens.id_token.expose());
    rig.idp.lie(|idp| idp.userinfo = Box::new(|answer| answer["sub"] = json!("eve")));
    assert_refused(renew(&rig, &second).await, &Kind::ChangedUser, "its `sub` is not the one");
}

#[tokio::test]
async fn a_provider_that_goes_away_after_its_grant_costs_no_refresh_token() {
    let rig = Rig::found().await;
    let first = rig.sign_in().await.expect("signed in");
    rig.idp.lie(|idp| {
        idp.refreshed_claims = Box::new(|claims| overwrite(claims, &json!({"groups": null})));
        idp.answers.insert(USERINFO, Answer::Plain(503, "text/plain", String::new()));
    });
    let second = renew(&rig, &first).await.expect("the new tokens");
    assert_eq!(second.identity, first.identity);
    assert_eq!(second.tokens.id_token.expose(), first.tokens.id_token.expose());
    assert_eq!(second.tokens_expire_at.map(UnixTime::as_secs), Some(1_800_000_060), "soon again");
    rig.idp.repent();
    renew(&rig, &second).await.expect("the new refresh token was kept");

    let third = rig.sign_in().await.expect("signed in");
    rig.idp.lie(|idp| drop(idp.answers.insert(TOKEN, Answer::Plain(503, "text/plain", String::new()))));
    assert_refused(renew(&rig, &third).await, &Kind::Unreachable, "status 503");
}

#[tokio::test]
async fn revocation_takes_the_refresh_token_and_then_the_access_token() {
    let rig = Rig::found().await;
    let signed_in = rig.sign_in().await.expect("signed in");
    rig.provider.revoke(&signed_in.tokens).await.expect("revoked");
    let sent: Vec<(String, String)> = rig
        .idp
        .seen(REVOKE)
        .into_iter()
        .map(|seen| (seen.form["token_type_hint"].clone(), seen.form["token"].clone()))
        .collect();
    let expected = [
        ("refresh_token".to_owned(), refresh_token(&signed_in).to_owned()),
        ("access_token".to_owned(), signed_in.tokens.access_token.expose().to_owned()),
    ];
    assert_eq!(sent, expected);
}

#[tokio::test]
async fn what_cannot_be_revoked_is_told_unless_it_never_could() {
    let rig = Rig::found().await;
    let signed_in = rig.sign_in().await.expect("signed in");
    for (answer, refused) in [
        (Answer::Plain(503, "text/plain", String::new()), Some((Kind::Unreachable, "status 503"))),
        (error("invalid_client"), Some((Kind::Misconfigured, "`invalid_client`"))),
        (error("unsupported_token_type"), None),
    ] {
        let before = rig.idp.hits(REVOKE);
        rig.idp.lie(|idp| drop(idp.answers.insert(REVOKE, answer)));
        let outcome = rig.provider.revoke(&signed_in.tokens).await;
        match refused {
            Some((kind, reason)) => assert_refused(outcome, &kind, reason),
            None => outcome.expect("no fault"),
        }
        assert_eq!(rig.idp.hits(REVOKE) - before, 2, "both are tried");
    }

    let rig = Rig::new().await;
    rig.idp.lie(|idp| {
        idp.metadata = Box::new(|metadata| {
            metadata
                .as_object_mut()
                .expect("an object")
                .retain(|name, _| !name.starts_with("revocation") && !name.starts_with("end_session"));
        });
    });
    rig.provider.discover().await.expect("found");
    rig.provider.revoke(&signed_in.tokens).await.expect("nothing to do");
    assert_eq!(rig.idp.hits(REVOKE), 0);
    assert_eq!(
        rig.provider.end_session_url(Some(&SecretText::new("hint".into())), "https://mesh.example.com/", "s"),
        None
    );
}

async fn renew(rig: &Rig, signed_in: &SignedIn) -> Result<SignedIn, IdpError> {
    rig.provider.renew(&signed_in.tokens, &signed_in.identity).await
}

fn refresh_token(signed_in: &SignedIn) -> &str {
    signed_in.tokens.refresh_token.as_ref().expect("a refresh token").expose()
}

fn error(code: &str) -> Answer {
    Answer::Plain(400, "application/json", format!("{{\"error\": \"{code}\"}}"))
}
