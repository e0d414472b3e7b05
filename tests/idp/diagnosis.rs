//! What `doctor` finds at a provider: each thing that keeps people from signing in, and nothing where they can.

use std::sync::Arc;

use countersign::clock::{Clock, SystemClock, TestClock};
use countersign::config::{ClientAuth, EgressSettings, ProviderSettings};
use countersign::idp::{KeysTrouble, Outbound, Symptom, published_keys};
use countersign::secret::SecretText;
use serde_json::json;

use crate::lying_idp::{AUTH, Answer, DISCOVERY, JWKS, LyingIdp, TOKEN};
use crate::rig;

async fn symptoms(idp: &LyingIdp, change: impl FnOnce(&mut ProviderSettings)) -> Vec<Symptom> {
    let mut settings = rig::settings(&idp.issuer);
    change(&mut settings);
    rig::provider(settings, &EgressSettings::default(), Arc::new(SystemClock)).diagnose().await
}

#[tokio::test]
async fn an_honest_provider_has_none() {
    let idp = LyingIdp::start(Arc::new(SystemClock)).await;
    assert_eq!(symptoms(&idp, |_| ()).await, []);
    assert_eq!(symptoms(&idp, |settings| settings.authorization_url = Some("/dex/auth".into())).await, []);
}

#[tokio::test]
async fn what_it_is_not_is_told() {
    let idp = LyingIdp::start(Arc::new(SystemClock)).await;
    for (path, answer, expected) in [
        (DISCOVERY, Answer::Plain(200, "text/html", "<html>".into()), "with a page"),
        (DISCOVERY, Answer::Plain(404, "application/json", "{}".into()), "status 404"),
        (DISCOVERY, Answer::Plain(200, "application/json", "{}".into()), "no discovery document"),
        (DISCOVERY, Answer::Redirect("https://elsewhere.example/".into()), "it redirects to"),
        (JWKS, Answer::Plain(200, "text/html", "<html>".into()), "with a page"),
    ] {
        idp.repent();
        idp.lie(|idp| drop(idp.answers.insert(path, answer)));
        let found = symptoms(&idp, |_| ()).await;
        let [Symptom::Nonsense(reason)] = &found[..] else { panic!("{path}, {expected}: {found:?}") };
        assert!(reason.contains(expected), "{path}: {reason}");
    }
    idp.repent();
    idp.lie(|idp| drop(idp.answers.insert(DISCOVERY, Answer::Plain(503, "text/plain", String::new()))));
    let found = symptoms(&idp, |_| ()).await;
    assert!(matches!(&found[..], [Symptom::Unreachable(reason)] if reason.contains("503")), "{found:?}");
}

#[tokio::test]
async fn another_name_is_told() {
    let idp = LyingIdp::start(Arc::new(SystemClock)).await;
    let says = format!("{}/", idp.issuer);
    let said = says.clone();
    idp.lie(|idp| idp.metadata = Box::new(move |metadata| metadata["issuer"] = json!(said)));
    assert_eq!(symptoms(&idp, |_| ()).await, [Symptom::OtherIssuer { says }]);
}

#[tokio::test]
async fn what_it_cannot_do_is_told() {
    let idp = LyingIdp::start(Arc::new(SystemClock)).await;
    idp.lie(|idp| {
        idp.metadata = Box::new(|metadata| {
            metadata["id_token_signing_alg_values_supported"] = json!(["PS512", "HS256"]);
            metadata["scopes_supported"] = json!(["openid", "email"]);
        });
    });
    let unknown = ["groups", "offline_access"].map(str::to_owned).to_vec();
    let offers = ["PS512", "HS256"].map(str::to_owned).to_vec();
    assert_eq!(symptoms(&idp, |_| ()).await, [Symptom::OtherAlgorithms { offers }, Symptom::UnknownScopes(unknown)]);
}

#[tokio::test]
async fn clocks_that_are_apart_are_told() {
    let idp = LyingIdp::start(Arc::new(SystemClock)).await;
    let now = SystemClock.now();
    for (clock, is_apart) in [
        (now.plus(std::time::Duration::from_mins(10)), true),
        (now.minus(std::time::Duration::from_mins(10)), true),
        (now.plus(std::time::Duration::from_secs(20)), false),
    ] {
        let clock: Arc<dyn Clock> = Arc::new(TestClock::at(clock));
        let provider = rig::provider(rig::settings(&idp.issuer), &EgressSettings::default(), clock);
        let found = provider.diagnose().await;
        match (&found[..], is_apart) {
            ([], false) => {}
            ([Symptom::ClocksApart { ahead }], true) => assert!((550..650).contains(&ahead.abs()), "{found:?}"),
            _ => panic!("{found:?}"),
        }
    }
}

#[tokio::test]
async fn a_sign_in_that_it_would_refuse_is_told() {
    let idp = LyingIdp::start(Arc::new(SystemClock)).await;
    let page =
        |text: &str| format!("<html><head><title>redirect</title></head><body><h1>Bad Request</h1><p>{text}</p>");
    for (status, text, is_redirect, is_client) in [
        (400, "Unregistered redirect_uri (\"https://mesh.example.com/x\").", true, false),
        (400, "Invalid parameter: redirect_uri", true, false),
        (404, "Invalid client_id (\"countersign\").", false, true),
        (400, "Client not found.", false, true),
        (403, "Try again on Monday", false, false),
    ] {
        idp.lie(|idp| drop(idp.answers.insert(AUTH, Answer::Plain(status, "text/html", page(text)))));
        let found = symptoms(&idp, |_| ()).await;
        let said = match (&found[..], is_redirect, is_client) {
            ([Symptom::RedirectRefused { redirect_uri, said }], true, _) => {
                assert_eq!(redirect_uri, rig::CALLBACK);
                said
            }
            ([Symptom::UnknownClient { said }], _, true) | ([Symptom::SignInRefused { said }], false, false) => said,
            _ => panic!("{text}: {found:?}"),
        };
        assert!(said.contains(&status.to_string()), "{said}");
        assert!(text.starts_with("Try") || said.contains(text), "{said}");
    }
    // On to a page to sign in, as most do.
    idp.lie(|idp| drop(idp.answers.insert(AUTH, Answer::Redirect(format!("{}/login", "http://127.0.0.1:1")))));
    assert_eq!(symptoms(&idp, |_| ()).await, []);
}

#[tokio::test]
async fn a_secret_that_it_does_not_take_is_told() {
    let idp = LyingIdp::start(Arc::new(SystemClock)).await;
    let found = symptoms(&idp, |it| it.client_auth = ClientAuth::Basic(SecretText::new("another".into()))).await;
    let [Symptom::SecretRefused { said }] = &found[..] else { panic!("{found:?}") };
    assert!(said.contains("`invalid_client`") && !said.contains("another"), "{said}");
    // It complains of the code, as it must: nothing is wrong.
    let odd = Answer::Plain(400, "application/json", json!({"error": "invalid_request"}).to_string());
    idp.lie(|idp| drop(idp.answers.insert(TOKEN, odd)));
    assert_eq!(symptoms(&idp, |_| ()).await, []);
}

#[tokio::test]
async fn a_certificate_that_is_not_trusted_is_told() {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let idp = LyingIdp::start_tls(Arc::clone(&clock)).await;
    let found = symptoms(&idp, |_| ()).await;
    assert!(matches!(&found[..], [Symptom::Untrusted(_)]), "{found:?}");
}

#[tokio::test]
async fn published_keys_are_fetched_as_a_mesh_does() {
    let idp = LyingIdp::start(Arc::new(SystemClock)).await;
    let outbound = Outbound::new(&EgressSettings::default()).expect("a way out");
    let address = format!("{}{JWKS}", idp.issuer);
    published_keys(&address, &outbound).await.expect("there are keys");
    for (answer, expected) in [
        (Answer::Redirect("https://login.example.com/start?x=1".into()), "https://login.example.com/start"),
        (Answer::Plain(200, "text/html", "<!doctype html>".into()), "it is a page (HTML)"),
        (Answer::Plain(200, "application/json", "{\"keys\": []}".into()), "absent or empty"),
        (Answer::Plain(200, "application/json", "OK".into()), "no JSON"),
        (Answer::Plain(404, "text/plain", "no".into()), "404"),
        (Answer::Plain(503, "text/plain", "no".into()), "503"),
    ] {
        idp.lie(|idp| drop(idp.answers.insert(JWKS, answer)));
        let trouble = published_keys(&address, &outbound).await.expect_err(expected);
        let (KeysTrouble::Unreachable(reason) | KeysTrouble::Redirects(reason) | KeysTrouble::NoKeys(reason)) =
            &trouble;
        assert!(reason.contains(expected), "{trouble:?}");
    }
}
