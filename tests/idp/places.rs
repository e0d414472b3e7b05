//! Where browsers are sent, and how the callback is told apart.

use std::collections::HashMap;
use std::sync::Arc;

use countersign::clock::SystemClock;
use countersign::config::EgressSettings;
use countersign::idp::{AuthorizationRequest, Prompt, Readiness};
use countersign::secret::SecretText;
use serde_json::json;
use url::form_urlencoded;

use crate::lying_idp::{CLIENT_ID, DISCOVERY, TOKEN};
use crate::rig::{self, Kind, Rig, assert_refused, request};

#[tokio::test]
async fn the_authorization_url_carries_everything_once() {
    let rig = Rig::found_with(|settings| settings.form_post = true).await;
    let request = AuthorizationRequest { prompt: Some(Prompt::Login), ..request() };
    let url = rig.provider.authorization_url(&request).expect("found");
    let (place, query) = url.split_once('?').expect("a query");
    assert_eq!(place, format!("{}/auth", rig.idp.issuer));
    let pairs: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let expected = [
        ("response_type", "code"),
        ("client_id", CLIENT_ID),
        ("redirect_uri", rig::CALLBACK),
        ("scope", "openid email groups offline_access"),
        ("state", "state-of-this-flow"),
        ("nonce", rig::NONCE),
        ("code_challenge", request.code_challenge),
        ("code_challenge_method", "S256"),
        ("prompt", "login"),
        ("response_mode", "form_post"),
    ];
    assert_eq!(pairs, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
}

#[tokio::test]
async fn somebody_else_is_asked_for_in_the_providers_own_words() {
    for (said, prompt) in [
        (json!(null), "login"),
        (json!(["none", "login", "select_account"]), "select_account"),
        (json!(["none", "login"]), "login"),
        (json!({"odd": 1}), "login"),
    ] {
        let rig = Rig::new().await;
        rig.idp.lie(|idp| {
            idp.metadata = Box::new(move |metadata| metadata["prompt_values_supported"] = said.clone());
        });
        rig.provider.discover().await.expect("found");
        let asked = AuthorizationRequest { prompt: Some(Prompt::SomebodyElse), ..request() };
        let url = rig.provider.authorization_url(&asked).expect("found");
        assert!(url.ends_with(&format!("&prompt={prompt}")), "{url}");
        let after_sign_out = AuthorizationRequest { prompt: Some(Prompt::Login), ..request() };
        assert!(rig.provider.authorization_url(&after_sign_out).expect("found").ends_with("&prompt=login"));
        assert!(!rig.provider.authorization_url(&request()).expect("found").contains("prompt"));
    }
}

#[tokio::test]
async fn an_endpoint_with_a_query_of_its_own_keeps_it() {
    let rig = Rig::new().await;
    rig.idp.lie(|idp| {
        idp.metadata = Box::new(|metadata| {
            metadata["authorization_endpoint"] = json!("http://127.0.0.1:1/auth?p=signin");
            metadata["end_session_endpoint"] = json!("http://127.0.0.1:2/bye?p=signout");
        });
    });
    rig.provider.discover().await.expect("found");
    let url = rig.provider.authorization_url(&request()).expect("found");
    assert!(url.starts_with("http://127.0.0.1:1/auth?p=signin&response_type=code&"), "{url}");
    assert_eq!(rig.provider.origins(), ["http://127.0.0.1:1", "http://127.0.0.1:2"]);
    let bye =
        rig.provider.end_session_url(Some(&SecretText::new("h.i.t".into())), "https://mesh.example.com/bye", "s t");
    let bye = bye.expect("it has one");
    let query = bye.strip_prefix("http://127.0.0.1:2/bye?p=signout&").expect("its own query first");
    let pairs: HashMap<String, String> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    assert_eq!(pairs["id_token_hint"], "h.i.t");
    assert_eq!(pairs["client_id"], CLIENT_ID);
    assert_eq!(pairs["post_logout_redirect_uri"], "https://mesh.example.com/bye");
    assert_eq!(pairs["state"], "s t");
}

#[tokio::test]
async fn kubeflows_dex_gets_relative_urls_for_browsers_and_is_called_inside() {
    let rig = Rig::with(|settings| {
        let at = |path: &str| Some(format!("{}{path}", settings.issuer).parse().expect("a URL"));
        (settings.token_url, settings.userinfo_url, settings.jwks_url) = (at("/token"), at("/userinfo"), at("/jwks"));
        settings.authorization_url = Some("/dex/auth".into());
        settings.redirect_uri = Some("/oauth2/callback".into());
    })
    .await;
    rig.idp.lie(|idp| {
        idp.metadata = Box::new(|metadata| {
            for endpoint in ["token_endpoint", "userinfo_endpoint", "jwks_uri"] {
                metadata[endpoint] = json!("http://127.0.0.1:1/nobody");
            }
        });
    });
    for discovered in [false, true] {
        if discovered {
            rig.provider.discover().await.expect("found");
        }
        let url = rig.provider.authorization_url(&request()).expect("the settings suffice");
        assert!(url.starts_with("/dex/auth?") && url.contains("redirect_uri=%2Foauth2%2Fcallback&"), "{url}");
        let callback = rig.idp.visit(&url);
        assert_eq!(callback.place, "/oauth2/callback");
        rig.sign_in().await.expect("signed in");
        let sent = rig.idp.seen(TOKEN).pop().expect("a token request");
        assert_eq!(sent.form["redirect_uri"], "/oauth2/callback");
        assert!(rig.provider.origins().iter().all(|origin| origin == &rig.idp.issuer), "no origin for a relative URL");
    }
}

#[tokio::test]
async fn with_everything_in_the_settings_nothing_is_waited_for() {
    let mut settings = rig::settings("http://127.0.0.1:1");
    settings.authorization_url = Some("/dex/auth".into());
    settings.token_url = Some("http://127.0.0.1:1/token".parse().expect("a URL"));
    assert_ne!(readiness(settings.clone()), Readiness::Ready, "keys are missing");
    settings.jwks_url = Some("http://127.0.0.1:1/keys".parse().expect("a URL"));
    assert_eq!(readiness(settings), Readiness::Ready);
}

#[tokio::test]
async fn a_callback_that_names_another_issuer_is_refused_and_a_promised_name_is_demanded() {
    let rig = Rig::found().await;
    let issuer = rig.idp.issuer.clone();
    rig.provider.check_callback_issuer(None).expect("none was promised");
    rig.provider.check_callback_issuer(Some(&issuer)).expect("it is the one");
    for wrong in ["https://evil.example", "", &format!("{issuer}/")] {
        let refused = rig.provider.check_callback_issuer(Some(wrong));
        assert_refused(refused, &Kind::Misbehaved, "the callback names the issuer");
    }
    rig.idp.lie(|idp| {
        idp.metadata = Box::new(|metadata| metadata["authorization_response_iss_parameter_supported"] = json!(true));
    });
    rig.provider.discover().await.expect("found");
    rig.provider.check_callback_issuer(Some(&issuer)).expect("it is the one");
    assert_refused(rig.provider.check_callback_issuer(None), &Kind::Misbehaved, "RFC 9207");
    assert_eq!(rig.idp.hits(DISCOVERY), 2);
}

fn readiness(settings: countersign::config::ProviderSettings) -> Readiness {
    rig::provider(settings, &EgressSettings::default(), Arc::new(SystemClock)).readiness()
}
