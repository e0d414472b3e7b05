//! Userinfo: asked only for what the ID token lacks, and believed only about the same person.

use countersign::identity::Email;
use countersign::idp::SignedIn;
use serde_json::json;

use crate::lying_idp::{Answer, LyingIdp, Signing, USERINFO};
use crate::rig::{Kind, Rig, overwrite};

#[tokio::test]
async fn what_the_id_token_lacks_comes_from_userinfo() {
    for lacking in [&["email"], &["email_verified"], &["groups"]] {
        let rig = Rig::found().await;
        lack(&rig.idp, lacking);
        assert_is_ann(&rig.sign_in().await.expect("signed in"));
        assert_eq!(rig.idp.hits(USERINFO), 1, "{lacking:?}");
    }
}

#[tokio::test]
async fn without_the_endpoint_missing_groups_are_none_and_a_missing_user_is_refused() {
    let rig = Rig::new().await;
    rig.idp.lie(|idp| {
        idp.metadata = Box::new(|metadata| overwrite(metadata, &json!({"userinfo_endpoint": null})));
    });
    rig.provider.discover().await.expect("found");
    lack(&rig.idp, &["groups"]);
    assert!(rig.sign_in().await.expect("signed in").identity.groups.is_empty());
    lack(&rig.idp, &["email"]);
    rig.refuses(Kind::UnusableIdentity, "claim `email`: it is in neither").await;
    lack(&rig.idp, &["email_verified"]);
    rig.refuses(Kind::UnusableIdentity, "identity.allow_unverified_email").await;
}

#[tokio::test]
async fn a_signed_answer_is_verified_with_the_same_keys() {
    for signing in [Signing::Rs256, Signing::Es256] {
        let rig = Rig::found().await;
        lack(&rig.idp, &["email", "groups"]);
        rig.idp.lie(|idp| (idp.signing, idp.signed_userinfo) = (signing, true));
        assert_is_ann(&rig.sign_in().await.expect("signed in"));
        let issuer = rig.idp.issuer.clone();
        let client = crate::lying_idp::CLIENT_ID;
        for (claims, reason) in [
            (json!({"iss": issuer, "aud": client}), None),
            (json!({"iss": issuer, "aud": ["another", client]}), None),
            (json!({"iss": "https://evil.example"}), Some("its `iss` is another")),
            (json!({"aud": "another"}), Some("its `aud` does not hold")),
            (json!({"aud": 7}), Some("its `aud` does not hold")),
            (json!({"sub": "eve"}), Some("its `sub` is not the one")),
        ] {
            rig.idp.lie(|idp| idp.userinfo = Box::new(move |answer| overwrite(answer, &claims)));
            match reason {
                None => assert_is_ann(&rig.sign_in().await.expect("signed in")),
                Some(reason) => rig.refuses(Kind::Misbehaved, reason).await,
            }
        }
    }
}

#[tokio::test]
async fn a_signed_answer_with_another_signature_is_refused() {
    let rig = Rig::found().await;
    let forged = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbm4tMSJ9.";
    for (token, reason) in [(forged, "signed with `none`"), ("garbage", "it has 1 parts")] {
        lack(&rig.idp, &["groups"]);
        rig.idp.lie(|idp| drop(idp.answers.insert(USERINFO, Answer::Plain(200, "application/jwt", token.into()))));
        rig.refuses(Kind::Misbehaved, reason).await;
    }
}

#[tokio::test]
async fn answers_about_nobody_or_somebody_else_are_refused() {
    let rig = Rig::found().await;
    lack(&rig.idp, &["groups"]);
    for (lie, reason) in [
        (json!({"sub": "eve"}), "its `sub` is not the one of the ID token"),
        (json!({"email": "ann@example.com"}), "it has no `sub`"),
        (json!({"sub": 7}), "it has no `sub`"),
        (json!([{"sub": "ann-1"}]), "no JSON object"),
        (json!("ann-1"), "no JSON object"),
    ] {
        rig.idp.lie(|idp| idp.userinfo = Box::new(move |answer| *answer = lie.clone()));
        rig.refuses(Kind::Misbehaved, reason).await;
    }
    for (answer, kind, reason) in [
        (Answer::Plain(401, "application/json", "{}".into()), Kind::Misbehaved, "status 401"),
        (Answer::Plain(503, "text/plain", String::new()), Kind::Unreachable, "status 503"),
        (Answer::Plain(200, "text/html", "<p>hello".into()), Kind::Misbehaved, "`text/html`, not JSON"),
        (Answer::CutShort, Kind::Misbehaved, "no JSON object"),
        (Answer::Huge, Kind::Misbehaved, "larger than 1024 KiB"),
        (Answer::Redirect("/elsewhere".into()), Kind::Misbehaved, "redirects to /elsewhere"),
    ] {
        rig.idp.lie(|idp| drop(idp.answers.insert(USERINFO, answer)));
        rig.refuses(kind, reason).await;
    }
}

#[tokio::test]
async fn an_access_token_that_no_header_can_carry_is_an_error_and_no_panic() {
    let rig = Rig::found().await;
    lack(&rig.idp, &["groups"]);
    rig.idp.lie(|idp| {
        idp.token_answer = Box::new(|answer| answer["access_token"] = json!("access-1\r\nx: y"));
        idp.claims = Box::new(|claims| {
            claims.as_object_mut().expect("an object").retain(|name, _| name != "at_hash" && name != "groups");
        });
    });
    rig.refuses(Kind::Misbehaved, "the access token has characters").await;
}

#[tokio::test]
async fn what_userinfo_says_of_groups_and_addresses_is_judged_alike() {
    let rig = Rig::found().await;
    lack(&rig.idp, &["groups", "email"]);
    for (lie, reason) in [
        (json!({"groups": {"a": 1}}), "claim `groups`"),
        (json!({"email_verified": false}), "identity.allow_unverified_email"),
        (json!({"email": "a@b@c"}), "claim `email`"),
        (json!({"email": "ann@example.com\r\nx: y"}), "claim `email`"),
    ] {
        rig.idp.lie(|idp| idp.userinfo = Box::new(move |answer| overwrite(answer, &lie)));
        rig.refuses(Kind::UnusableIdentity, reason).await;
    }
}

fn lack(idp: &LyingIdp, lacking: &'static [&'static str]) {
    idp.lie(|idp| {
        idp.claims = Box::new(|claims| {
            claims.as_object_mut().expect("an object").retain(|name, _| !lacking.contains(&name.as_str()));
        });
    });
}

#[track_caller]
fn assert_is_ann(signed_in: &SignedIn) {
    assert_eq!(signed_in.identity.user.as_str(), "ann@example.com");
    assert_eq!(signed_in.identity.email.as_ref().map(Email::as_str), Some("ann@example.com"));
    assert_eq!(signed_in.identity.groups.to_csv(), "ml,ops");
}
