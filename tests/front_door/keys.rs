//! The key door: what verifiers read, and that it asks nobody.

use std::fs;
use std::sync::Arc;

use countersign::clock::Clock;
use countersign::entropy::SystemEntropy;
use countersign::keyring::init_directory;
use http::Method;
use serde_json::{Value, json};

use crate::house::{House, eventually};
use crate::lying_idp::{Answer, DISCOVERY};
use crate::rc_token;

#[tokio::test]
async fn keys_are_told_with_a_tag_while_the_provider_is_away() {
    let away = |idp: &crate::lying_idp::LyingIdp| {
        idp.lie(|idp| drop(idp.answers.insert(DISCOVERY, Answer::Plain(503, "text/plain", String::new()))));
    };
    let house = House::open_at_once(away, |_| ()).await;
    let anyone = house.browser();
    for (path, kind) in [
        ("/.well-known/jwks.json", "application/jwk-set+json"),
        ("/.well-known/openid-configuration", "application/json"),
    ] {
        let answer = anyone.ask(Method::GET, path, &[]).await;
        assert_eq!((answer.status, answer.header("content-type")), (200, kind));
        assert_eq!(answer.header("cache-control"), "public, max-age=300");
        assert!(answer.cookies().is_empty());
        let tag = answer.header("etag").to_owned();
        assert!(tag.starts_with('"') && tag.len() > 10, "{tag}");
        for known in [tag.clone(), format!("W/{tag}"), format!("\"x\", {tag}"), "*".to_owned()] {
            let unchanged = anyone.ask(Method::GET, path, &[("if-none-match", &known)]).await;
            assert_eq!((unchanged.status, &*unchanged.body), (304, ""), "{known}");
            assert_eq!((unchanged.header("etag"), unchanged.header("cache-control")), (&*tag, "public, max-age=300"));
        }
        assert_eq!(anyone.ask(Method::GET, path, &[("if-none-match", "\"x\"")]).await.status, 200);
        assert_eq!(anyone.post(path, "", &[]).await.status, 405);
        assert_eq!(anyone.ask(Method::HEAD, path, &[]).await.header("etag"), tag);
        let json: Value = serde_json::from_str(&answer.body).expect("JSON");
        if path.ends_with("jwks.json") {
            let key = &json["keys"][0];
            assert_eq!((&key["kty"], &key["alg"], &key["use"]), (&json!("EC"), &json!("ES256"), &json!("sig")));
            assert_eq!(key.get("d"), None, "the private part stays here");
        } else {
            assert_eq!(json["issuer"], json!("https://mesh.example.com"));
            assert_eq!(json["jwks_uri"], json!("https://mesh.example.com/.well-known/jwks.json"));
        }
    }
}

#[tokio::test]
async fn what_says_something_else_has_another_tag() {
    let path = "/.well-known/openid-configuration";
    let one = House::open().await.browser().ask(Method::GET, path, &[]).await;
    let other = House::open_with(|settings| settings.token.issuer = "https://tokens.example.com".into()).await;
    let other = other.browser().ask(Method::GET, path, &[]).await;
    assert_ne!(one.body, other.body);
    assert_ne!(one.header("etag"), other.header("etag"));
}

/// Whoever takes a key away because somebody else has it must not go on handing out what it signed.
#[tokio::test]
async fn with_a_key_its_tokens_are_gone() {
    let house = House::open().await;
    let browser = house.signed_in().await;
    let before = browser.check("/").await.token().to_owned();
    assert_eq!(browser.check("/").await.token(), before, "handed out again");
    let keys = house.data().join("keys");
    let new = tempfile::tempdir().expect("a directory");
    init_directory(new.path(), house.clock.now(), Arc::new(SystemEntropy)).expect("a key");
    let files = |folder: &std::path::Path| -> Vec<_> {
        fs::read_dir(folder).expect("there").map(|file| file.expect("a file").path()).collect()
    };
    let old = files(&keys);
    for file in files(new.path()) {
        fs::copy(&file, keys.join(file.file_name().expect("named"))).expect("copied");
    }
    for file in old {
        fs::remove_file(file).expect("removed");
    }
    let after = eventually("another key signs", async || {
        let token = browser.check("/").await.token().to_owned();
        (token != before).then_some(token)
    })
    .await;
    rc_token::verify(&browser, &after, "mesh").await;
}
