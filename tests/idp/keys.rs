//! Key sets as they are in the world, and rotation.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use countersign::clock::{TestClock, UnixTime};
use countersign::idp::PublishedKeys;
use futures_util::future::poll_immediate;
use serde_json::{Value, json};
use tokio::sync::{Semaphore, oneshot};

use crate::lying_idp::{Answer, JWKS, LyingIdp, Signing, USERINFO};
use crate::rig::{Kind, Rig, assert_refused, overwrite};

#[tokio::test]
async fn a_token_without_kid_needs_the_only_key_of_its_kind() {
    let rig = Rig::found().await;
    rig.idp.lie(|idp| idp.header = Box::new(without_kid));
    rig.sign_in().await.expect("there is one RS256 key");

    let rig = Rig::new().await;
    rig.idp.lie(|idp| {
        idp.header = Box::new(without_kid);
        idp.jwks = Box::new(|jwks| {
            let mut other = jwks["keys"][0].clone();
            other["kid"] = json!("rsa-2");
            push(jwks, other);
        });
    });
    rig.provider.discover().await.expect("found");
    rig.refuses(Kind::Misbehaved, "it has no `kid`, and the provider has several RS256 keys").await;
    assert_eq!(rig.idp.hits(USERINFO), 0);
}

#[tokio::test]
async fn keys_of_other_kinds_and_decoys_of_the_same_kid_are_left_aside() {
    let rig = Rig::new().await;
    rig.idp.lie(|idp| {
        idp.signing = Signing::Es256;
        idp.header = Box::new(without_kid);
        idp.jwks = Box::new(|jwks| {
            let ec = jwks["keys"][1].clone();
            for change in [
                json!({"crv": "secp256k1", "alg": "ES256K"}),
                json!({"crv": "secp256k1", "alg": null}),
                json!({"crv": "P-384", "alg": null}),
                json!({"use": "enc", "alg": "ECDH-ES"}),
                json!({"use": "enc"}),
                json!({"key_ops": ["deriveKey"]}),
                json!({"kty": "AKP", "alg": "ML-DSA-44"}),
                json!({"kty": "oct", "k": "AAAA", "alg": "HS256"}),
                json!({"kty": "RSA", "n": "AQAB", "e": "AQAB", "alg": "RS256"}),
            ] {
                let mut decoy = ec.clone();
                overwrite(&mut decoy, &change);
                push(jwks, decoy);
            }
            push(jwks, json!("no key at all"));
            push(jwks, json!({"kid": "ec-1"}));
        });
    });
    rig.provider.discover().await.expect("found");
    rig.sign_in().await.expect("one usable ES256 key");
    rig.idp.lie(|idp| idp.header = Box::new(|_| ()));
    rig.sign_in().await.expect("the decoys have its kid, and other algorithms");
    assert_eq!(rig.idp.hits(JWKS), 1);
}

#[tokio::test]
async fn rotation_just_before_signing_is_followed_under_a_new_kid_and_the_old_one() {
    for kid in ["ec-2", "ec-1"] {
        let rig = Rig::found().await;
        rig.idp.lie(|idp| idp.signing = Signing::Es256);
        rig.sign_in().await.expect("before");
        rig.idp.rotate(kid);
        rig.sign_in().await.expect("after");
        assert_eq!(rig.idp.hits(JWKS), 2);
    }
}

#[tokio::test]
async fn a_flood_of_unknown_keys_is_no_flood_at_the_provider() {
    let rig = Rig::found().await;
    rig.idp.lie(|idp| idp.header = Box::new(|header| header["kid"] = json!("unknown")));
    for _ in 0..20 {
        rig.refuses(Kind::Misbehaved, "no RS256 key `unknown`").await;
    }
    assert_eq!(rig.idp.hits(JWKS), 2, "one at discovery, one for the flood");
    rig.clock.advance(Duration::from_secs(29));
    rig.refuses(Kind::Misbehaved, "no RS256 key `unknown`").await;
    assert_eq!(rig.idp.hits(JWKS), 2);
    rig.clock.advance(Duration::from_secs(1));
    rig.refuses(Kind::Misbehaved, "no RS256 key `unknown`").await;
    assert_eq!(rig.idp.hits(JWKS), 3);
    // A clock that is set back does not keep newer keys away until it has caught up.
    rig.clock.set_back(Duration::from_hours(1));
    rig.refuses(Kind::Misbehaved, "no RS256 key `unknown`").await;
    rig.refuses(Kind::Misbehaved, "no RS256 key `unknown`").await;
    assert_eq!(rig.idp.hits(JWKS), 4);
}

#[tokio::test]
async fn a_flood_of_logout_tokens_with_unknown_keys_shares_the_pause() {
    let rig = Rig::found().await;
    rig.idp.lie(|idp| idp.header = Box::new(|header| header["kid"] = json!("unknown")));
    rig.refuses(Kind::Misbehaved, "no RS256 key `unknown`").await;
    for _ in 0..20 {
        let refused = rig.provider.verify_logout(&rig.idp.logout_token(|_| ())).await;
        assert_refused(refused, &Kind::Misbehaved, "no RS256 key `unknown`");
    }
    assert_eq!(rig.idp.hits(JWKS), 2, "one at discovery, one for the sign-in");
    rig.clock.advance(Duration::from_secs(30));
    for _ in 0..20 {
        assert!(rig.provider.verify_logout(&rig.idp.logout_token(|_| ())).await.is_err());
    }
    assert_eq!(rig.idp.hits(JWKS), 3);
}

/// Whoever brings tokens costs them nothing: a provider that hangs must not make us keep all of them.
#[tokio::test]
async fn so_many_tokens_wait_for_newer_keys_and_no_more() {
    let rig = Rig::found().await;
    let gate = Arc::new(Semaphore::new(0));
    rig.idp.lie(|idp| {
        idp.header = Box::new(|header| header["kid"] = json!("unknown"));
        idp.held.insert(JWKS, gate.clone());
    });
    let token = rig.idp.logout_token(|_| ());
    let mut waiting = Vec::new();
    for _ in 0..256 {
        let mut verified = Box::pin(rig.provider.verify_logout(&token));
        assert!(poll_immediate(verified.as_mut()).await.is_none(), "it waits");
        waiting.push(verified);
    }
    let refused = poll_immediate(pin!(rig.provider.verify_logout(&token))).await.expect("it does not wait");
    assert_refused(refused, &Kind::Unreachable, "newer keys could not be had: too many wait for them");
    gate.add_permits(1);
    for verified in waiting {
        assert_refused(verified.await, &Kind::Misbehaved, "no RS256 key `unknown`");
    }
    assert_eq!(rig.idp.hits(JWKS), 2, "all of them waited for one answer");
}

/// A check is cut off long before a slow provider has answered.
#[tokio::test]
async fn what_a_slow_provider_answers_is_not_lost_with_who_asked_first() {
    for (later, asked) in [(Duration::from_secs(29), 2), (Duration::from_secs(30), 3)] {
        let rig = Rig::found().await;
        let gate = Arc::new(Semaphore::new(0));
        rig.idp.lie(|idp| {
            idp.signing = Signing::Es256;
            idp.held.insert(JWKS, gate.clone());
        });
        rig.idp.rotate("ec-2");
        let token = rig.idp.logout_token(|_| ());
        let mut cut_off = Box::pin(rig.provider.verify_logout(&token));
        while rig.idp.hits(JWKS) < 2 {
            assert!(poll_immediate(cut_off.as_mut()).await.is_none(), "it waits");
            tokio::task::yield_now().await;
        }
        drop(cut_off);
        rig.clock.advance(later);
        gate.add_permits(2);
        rig.provider.verify_logout(&token).await.expect("it waits for what the first has asked");
        assert_eq!(rig.idp.hits(JWKS), asked, "an answer that nobody fetched in half a minute is asked for anew");
    }
}

#[tokio::test]
async fn what_is_asked_is_heard_though_nobody_waits_for_it() {
    let clock = Arc::new(TestClock::at(UnixTime::from_secs(1_800_000_000)));
    let idp = LyingIdp::start(clock.clone()).await;
    let keys = PublishedKeys::new(vec!["RS256".into()], clock.clone());
    let token = idp.logout_token(|_| ());
    let (answer, answered) = oneshot::channel();
    let newer = || async { answered.await.map_err(|_| "nobody answers".to_owned()) };
    assert!(poll_immediate(pin!(keys.verify(&token, newer))).await.is_none(), "it waits, and is cut off");
    let mut kept = pin!(keys.keep_asked());
    assert!(poll_immediate(kept.as_mut()).await.is_none());
    answer.send(idp.key_set()).expect("somebody listens");
    assert!(poll_immediate(kept).await.is_none());
    keys.verify(&token, nobody_is_asked).await.expect("its key is there");
}

#[tokio::test]
async fn an_old_answer_does_not_replace_newer_keys() {
    let clock = Arc::new(TestClock::at(UnixTime::from_secs(1_800_000_000)));
    let idp = LyingIdp::start(clock.clone()).await;
    let keys = PublishedKeys::new(vec!["ES256".into()], clock.clone());
    let old = idp.key_set();
    keys.take(&old).expect("a key set");
    idp.rotate("ec-2");
    let token = idp.logout_token(|_| ());
    let (answer, answered) = oneshot::channel();
    let newer = || async { answered.await.map_err(|_| "nobody answers".to_owned()) };
    let mut verified = Box::pin(keys.verify(&token, newer));
    assert!(poll_immediate(verified.as_mut()).await.is_none());
    // By the hourly look, say; then comes what was asked before.
    keys.take(&idp.key_set()).expect("a key set");
    answer.send(old).expect("somebody listens");
    verified.await.expect("its key is there");
    keys.verify(&token, nobody_is_asked).await.expect("and stays there");
}

async fn nobody_is_asked() -> Result<Vec<u8>, String> {
    panic!("newer keys are asked for")
}

#[tokio::test]
async fn so_many_people_wait_for_a_sign_of_a_provider_and_no_more() {
    let rig = Rig::found().await;
    let gate = Arc::new(Semaphore::new(0));
    rig.idp.lie(|idp| drop(idp.held.insert(JWKS, gate.clone())));
    let mut waiting = Vec::new();
    for _ in 0..4_096 {
        let mut told = Box::pin(rig.provider.is_there());
        assert!(poll_immediate(told.as_mut()).await.is_none(), "it waits");
        waiting.push(told);
    }
    let refused = poll_immediate(pin!(rig.provider.is_there())).await.expect("it does not wait");
    assert_refused(refused, &Kind::Unreachable, "too many wait for a sign of it");
    drop(waiting);
    gate.add_permits(2);
    rig.provider.is_there().await.expect("there is room again");
}

#[tokio::test]
async fn newer_keys_that_cannot_be_had_are_said_to_be_so() {
    let rig = Rig::found().await;
    rig.idp.rotate("ec-2");
    rig.idp.lie(|idp| drop(idp.answers.insert(JWKS, Answer::Plain(503, "text/plain", String::new()))));
    rig.refuses(Kind::Unreachable, "newer keys could not be had").await;
}

#[tokio::test]
async fn a_key_set_without_a_usable_key_is_refused() {
    let rig = Rig::new().await;
    for (lie, reason) in [
        (json!({"keys": []}), "no key that could verify"),
        (json!({"keys": [{"kty": "oct", "k": "AAAA"}]}), "no key that could verify"),
        (json!({"keys": [{"kty": "RSA", "n": "A".repeat(171), "e": "AQAB"}]}), "no key that could verify"),
        (json!([]), "no key set"),
        (json!({}), "no key set"),
    ] {
        rig.idp.lie(|idp| idp.jwks = Box::new(move |jwks| *jwks = lie.clone()));
        assert_refused(rig.provider.discover().await, &Kind::Misbehaved, reason);
    }
}

fn without_kid(header: &mut Value) {
    overwrite(header, &json!({"kid": null}));
}

fn push(jwks: &mut Value, key: Value) {
    jwks["keys"].as_array_mut().expect("a list").push(key);
}
