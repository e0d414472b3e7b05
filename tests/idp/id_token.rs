//! OIDC Core section 3.1.3.7, lie by lie. No refusal that the ID token justifies waits for userinfo.

use countersign::clock::UnixTime;
use serde_json::{Value, json};

use crate::lying_idp::{Behaviour, Signing, USERINFO};
use crate::rig::{Kind, Rig, overwrite};

#[tokio::test]
async fn an_honest_token_signs_somebody_in() {
    for signing in [Signing::Rs256, Signing::Es256] {
        let rig = Rig::found().await;
        rig.idp.lie(|idp| idp.signing = signing);
        let signed_in = rig.sign_in().await.expect("signed in");
        assert_eq!(signed_in.identity.user.as_str(), "ann@example.com");
        assert_eq!(signed_in.identity.subject.as_str(), "ann-1");
        assert_eq!(signed_in.identity.groups.to_csv(), "ml,ops");
        assert_eq!(signed_in.identity.auth_time.map(UnixTime::as_secs), Some(1_800_000_000));
        assert_eq!(signed_in.provider_sid.as_deref(), Some("idp-session-1"));
        assert_eq!(signed_in.tokens_expire_at.map(UnixTime::as_secs), Some(1_800_000_300));
        assert!(signed_in.tokens.refresh_token.is_some());
        assert_eq!(rig.idp.hits(USERINFO), 0, "nothing was missing");
    }
}

#[tokio::test]
async fn claims_that_forbid_a_sign_in_are_refused_before_userinfo_is_asked() {
    let now = 1_800_000_000_i64;
    let lies: Vec<(Value, &str)> = vec![
        (json!({"iss": "https://evil.example"}), "its `iss` is `https://evil.example`"),
        (json!({"iss": null}), "it has no `iss`"),
        (json!({"iss": 7}), "its `iss` is no string"),
        (json!({"events": {"http://schemas.openid.net/event/backchannel-logout": {}}}), "it tells of events"),
        (json!({"sub": null}), "it has no `sub`"),
        (json!({"sub": ""}), "it has no `sub`"),
        (json!({"aud": null}), "it has no `aud`"),
        (json!({"aud": "another client"}), "does not hold our client id"),
        (json!({"aud": []}), "does not hold our client id"),
        (json!({"aud": ["counter sign", "another"]}), "holds `another` besides us"),
        (json!({"aud": ["counter sign", 7]}), "no list of strings"),
        (json!({"aud": {"counter sign": 1}}), "neither a string nor a list"),
        (json!({"azp": "another"}), "its `azp` is `another`"),
        (json!({"exp": null}), "it has no `exp`"),
        (json!({"exp": now - 60}), "it ended 60 seconds ago"),
        (json!({"exp": (now + 300).to_string()}), "its `exp` is no time"),
        (json!({"exp": "2999-01-01T00:00:00Z"}), "its `exp` is no time"),
        (json!({"exp": 1e300}), "its `exp` is no time"),
        (json!({"exp": -1}), "its `exp` is no time"),
        (json!({"exp": u64::MAX}), "its `exp` is no time"),
        (json!({"iat": null}), "it has no `iat`"),
        (json!({"iat": now + 61}), "61 seconds in the future"),
        (json!({"iat": now - 661}), "issued 661 seconds ago"),
        (json!({"iat": "now"}), "its `iat` is no time"),
        (json!({"nbf": now + 61}), "not valid yet"),
        (json!({"nonce": "of another flow"}), "its `nonce` is not the one"),
        (json!({"nonce": null}), "it has no `nonce`"),
        (json!({"nonce": 7}), "its `nonce` is no string"),
        (json!({"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"}), "its `at_hash` is not"),
        (json!({"at_hash": 7}), "its `at_hash` is no string"),
    ];
    let rig = Rig::found().await;
    for (lie, reason) in lies {
        rig.idp.lie(|idp| {
            // Without groups userinfo would be asked.
            let lie = lie.clone();
            idp.claims = Box::new(move |claims| {
                overwrite(claims, &json!({"groups": null}));
                overwrite(claims, &lie);
            });
        });
        rig.refuses(Kind::Misbehaved, reason).await;
        assert_eq!(rig.idp.hits(USERINFO), 0, "userinfo was asked in spite of {lie}");
    }
    rig.idp.repent();
    rig.sign_in().await.expect("an honest token is still good");
}

#[tokio::test]
async fn what_the_clocks_and_the_standards_leave_open_is_accepted() {
    let now = 1_800_000_000_i64;
    let rig = Rig::found().await;
    for variation in [
        json!({"exp": now - 59}),
        json!({"iat": now + 60}),
        json!({"iat": now - 660}),
        json!({"iat": 1_800_000_000.75}),
        json!({"aud": ["counter sign"]}),
        json!({"aud": ["counter sign"], "azp": "counter sign"}),
        json!({"at_hash": null}),
        json!({"updated_at": "2026-01-01T00:00:00Z", "address": "odd", "locale": 7}),
    ] {
        rig.idp.lie(|idp| {
            let variation = variation.clone();
            idp.claims = Box::new(move |claims| overwrite(claims, &variation));
        });
        assert!(rig.sign_in().await.is_ok(), "refused: {variation}");
    }
}

#[tokio::test]
async fn signatures_and_headers_that_prove_nothing_are_refused() {
    let rig = Rig::found().await;
    for (signing, reason) in [
        (Signing::None, "signed with `none`"),
        (Signing::Hs256, "signed with `HS256`"),
        (Signing::Strangers, "signature does not fit the key `rsa-1`"),
        (Signing::Tampered, "signature does not fit the key `ec-1`"),
    ] {
        rig.idp.lie(|idp| idp.signing = signing);
        rig.refuses(Kind::Misbehaved, reason).await;
    }
    rig.idp.repent();
    for (lie, reason) in [
        (json!({"crit": ["b64"], "b64": false}), "`crit`"),
        (json!({"crit": null}), "`crit`"),
        (json!({"cty": "JWT"}), "nested tokens"),
        (json!({"typ": "logout+jwt"}), "that is no ID token"),
        (json!({"typ": "rc+jwt"}), "that is no ID token"),
        (json!({"alg": "ES256"}), "no ES256 key `rsa-1`"),
        (json!({"alg": "PS256"}), "signed with `PS256`"),
        (json!({"alg": ["RS256"]}), "signed with ``"),
        (json!({"kid": 7}), "the `kid` of its header is no string"),
        (json!({"kid": "../../etc/passwd"}), "no RS256 key `../../etc/passwd`"),
        (json!({"kid": "http://127.0.0.1:1/jwks"}), "no RS256 key `http://127.0.0.1:1/jwks`"),
    ] {
        rig.idp.lie(|idp| change_header(idp, lie));
        rig.refuses(Kind::Misbehaved, reason).await;
    }
    assert_eq!(rig.idp.hits(USERINFO), 0);
}

#[tokio::test]
async fn keys_that_the_header_brings_along_are_ignored() {
    let rig = Rig::found().await;
    let bait = json!({"jku": format!("{}/bait", rig.idp.issuer), "x5u": format!("{}/bait", rig.idp.issuer),
                      "jwk": {"kty": "oct", "k": "AAAA"}, "x5c": ["AAAA"]});
    rig.idp.lie(|idp| change_header(idp, bait));
    rig.sign_in().await.expect("the signature is good");
    assert_eq!(rig.idp.hits("/bait"), 0);
}

#[tokio::test]
async fn only_the_configured_algorithms_count() {
    let rig =
        Rig::found_with(|settings| settings.algorithms = vec!["ES256".into(), "HS256".into(), "none".into()]).await;
    rig.refuses(Kind::Misbehaved, "signed with `RS256`; allowed (`algorithms`) is ES256").await;
    rig.idp.lie(|idp| idp.signing = Signing::Hs256);
    rig.refuses(Kind::Misbehaved, "signed with `HS256`").await;
    rig.idp.lie(|idp| idp.signing = Signing::None);
    rig.refuses(Kind::Misbehaved, "signed with `none`").await;
    rig.idp.lie(|idp| idp.signing = Signing::Es256);
    rig.sign_in().await.expect("ES256 is allowed");
}

#[tokio::test]
async fn tokens_that_are_no_tokens_are_refused() {
    let rig = Rig::found().await;
    for (lie, reason) in [
        (json!("garbage"), "it has 1 parts"),
        (json!("a.b.c.d.e"), "it has 5 parts"),
        (json!("..."), "it has 4 parts"),
        (json!("!.!.!"), "not base64url"),
        (json!("W10.W10.W10"), "no JSON object"),
        (json!(7), "cannot be read"),
        (Value::Null, "there is no ID token"),
    ] {
        rig.idp.lie(|idp| idp.token_answer = Box::new(move |answer| answer["id_token"] = lie.clone()));
        rig.refuses(Kind::Misbehaved, reason).await;
    }
}

fn change_header(idp: &mut Behaviour, lie: Value) {
    idp.header = Box::new(move |header| {
        for (name, value) in lie.as_object().expect("an object") {
            header[name] = value.clone();
        }
    });
}
