//! Finding a provider: what it must say of itself, and what becomes of one that is away.

use std::sync::Arc;
use std::time::Duration;

use countersign::clock::{Clock, SystemClock};
use countersign::config::EgressSettings;
use countersign::idp::{Outbound, Provider, Readiness};
use serde_json::json;
use tokio::net::TcpListener;

use crate::lying_idp::{Answer, DISCOVERY, JWKS, LyingIdp, TOKEN};
use crate::rig::{self, Kind, Rig, assert_refused, overwrite, request};

#[tokio::test]
async fn until_it_is_found_nobody_signs_in_and_the_reason_is_told() {
    let rig = Rig::new().await;
    rig.idp.lie(|idp| drop(idp.answers.insert(DISCOVERY, Answer::Plain(503, "text/plain", "away".into()))));
    assert_refused(rig.provider.authorization_url(&request()), &Kind::Unreachable, "it has not been asked yet");
    assert_refused(rig.provider.discover().await, &Kind::Unreachable, "answered with status 503");
    assert_refused(rig.provider.authorization_url(&request()), &Kind::Unreachable, "answered with status 503");
    let Readiness::Waiting { reason } = rig.provider.readiness() else { panic!("ready") };
    assert!(reason.contains("answered with status 503"), "{reason}");
    rig.idp.repent();
    rig.provider.discover().await.expect("found");
    assert_eq!(rig.provider.readiness(), Readiness::Ready);
    rig.sign_in().await.expect("signed in");
}

#[tokio::test]
async fn what_was_found_stays_when_it_is_away_later() {
    let rig = Rig::found().await;
    rig.idp.lie(|idp| drop(idp.answers.insert(DISCOVERY, Answer::Plain(503, "text/plain", String::new()))));
    assert_refused(rig.provider.discover().await, &Kind::Unreachable, "503");
    assert_eq!(rig.provider.readiness(), Readiness::Ready);
    rig.sign_in().await.expect("signed in");
}

#[tokio::test]
async fn one_that_has_gone_away_since_is_noticed_before_somebody_is_sent_there() {
    let rig = Rig::found().await;
    rig.provider.is_there().await.expect("there");
    let asked = rig.idp.hits(JWKS);
    rig.provider.is_there().await.expect("still there");
    assert_eq!(rig.idp.hits(JWKS), asked, "it is asked each time");

    let rig = Rig::found().await;
    rig.idp.lie(|idp| drop(idp.answers.insert(JWKS, Answer::Plain(503, "text/plain", String::new()))));
    assert_refused(rig.provider.is_there().await, &Kind::Unreachable, "503");
    let asked = rig.idp.hits(JWKS);
    assert_refused(rig.provider.is_there().await, &Kind::Unreachable, "503");
    assert_eq!(rig.idp.hits(JWKS), asked, "it is asked each time");
}

#[tokio::test]
async fn another_issuer_is_refused_and_the_difference_named() {
    let rig = Rig::new().await;
    let issuer = rig.idp.issuer.clone();
    for (said, reason) in [
        (json!("https://evil.example"), "character by character"),
        (json!(format!("{issuer}/")), "they differ in the slash at the end"),
        (json!(issuer.replace("http:", "https:")), "they differ in http and https"),
        (json!(format!("{issuer}/dex")), "character by character"),
    ] {
        rig.idp.lie(|idp| idp.metadata = Box::new(move |metadata| metadata["issuer"] = said.clone()));
        assert_refused(rig.provider.discover().await, &Kind::Misbehaved, reason);
    }
    rig.idp.lie(|idp| idp.metadata = Box::new(|metadata| overwrite(metadata, &json!({"issuer": null}))));
    assert_refused(rig.provider.discover().await, &Kind::Misbehaved, "missing field `issuer`");
}

#[tokio::test]
async fn answers_that_are_none_are_refused_with_a_reason_to_act_on() {
    let page = "<!DOCTYPE html><title>Log in to the proxy</title>";
    for path in [DISCOVERY, JWKS] {
        let rig = Rig::new().await;
        for (answer, reason) in [
            (Answer::Plain(200, "text/html", page.into()), "answered with a page"),
            (Answer::Plain(200, "application/json", page.into()), "answered with a page"),
            (Answer::Plain(404, "application/json", "{}".into()), "status 404"),
            (Answer::Plain(200, "application/json", "[]".into()), "no "),
            (Answer::Plain(200, "application/json", "null".into()), "no "),
            (Answer::CutShort, "EOF while parsing"),
            (Answer::Huge, "larger than 1024 KiB"),
            (Answer::Compressed, "it compressed its answer"),
            (Answer::Redirect("http://127.0.0.1:1/x?code=secret".into()), "redirects to http://127.0.0.1:1/x, which"),
        ] {
            rig.idp.lie(|idp| drop(idp.answers.insert(path, answer)));
            assert_refused(rig.provider.discover().await, &Kind::Misbehaved, reason);
        }
    }
}

#[tokio::test]
async fn a_slow_answer_ends_at_the_deadline() {
    for path in [DISCOVERY, JWKS, TOKEN] {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let idp = LyingIdp::start(Arc::clone(&clock)).await;
        idp.lie(|idp| drop(idp.answers.insert(path, Answer::Drip)));
        let outbound = Outbound::new(&EgressSettings::default()).expect("a way out");
        let impatient = outbound.with_deadline(Duration::from_millis(300));
        let provider = Provider::new(rig::settings(&idp.issuer), rig::CALLBACK.into(), impatient, clock);
        let discovered = provider.discover().await;
        if path != TOKEN {
            assert_refused(discovered, &Kind::Unreachable, "no complete answer within 300ms");
            continue;
        }
        let secret = |text: &str| countersign::secret::SecretText::new(text.into());
        let exchanged = provider.exchange(&secret("code"), &secret("verifier"), "nonce").await;
        assert_refused(exchanged, &Kind::Unreachable, "no complete answer within 300ms");
    }
}

#[tokio::test]
async fn nobody_listening_is_unreachable() {
    let free = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let issuer = format!("http://{}", free.local_addr().expect("an address"));
    drop(free);
    let provider = rig::provider(rig::settings(&issuer), &EgressSettings::default(), Arc::new(SystemClock));
    assert_refused(provider.discover().await, &Kind::Unreachable, "no connection");
}

#[tokio::test]
async fn endpoints_that_are_missing_or_malformed_are_named() {
    let rig = Rig::new().await;
    for (change, reason) in [
        (json!({"token_endpoint": null}), "it names no token_endpoint"),
        (json!({"jwks_uri": null}), "it names no jwks_uri"),
        (json!({"authorization_endpoint": null}), "it names no authorization_endpoint"),
        (json!({"token_endpoint": "/token"}), "its token_endpoint is no URL"),
        (json!({"token_endpoint": "file:///etc/passwd"}), "neither https nor http"),
        (json!({"authorization_endpoint": "javascript:alert(1)"}), "neither https nor http"),
        (json!({"userinfo_endpoint": "http://ann:pw@127.0.0.1/"}), "has a user name"),
        (json!({"end_session_endpoint": "http://127.0.0.1/#x"}), "or a fragment"),
    ] {
        rig.idp.lie(|idp| idp.metadata = Box::new(move |metadata| overwrite(metadata, &change)));
        assert_refused(rig.provider.discover().await, &Kind::Misbehaved, reason);
    }
}

#[tokio::test]
async fn a_host_that_would_end_the_policy_of_our_pages_is_refused() {
    let rig = Rig::new().await;
    for host in ["a;sandbox", ";", "a,b", "*", "a'b", "a!b"] {
        for name in ["authorization_endpoint", "end_session_endpoint", "token_endpoint", "jwks_uri"] {
            let address = format!("https://{host}/x");
            rig.idp.lie(|idp| idp.metadata = Box::new(move |metadata| metadata[name] = json!(address)));
            let reason = format!("its {name} has a host that is none");
            assert_refused(rig.provider.discover().await, &Kind::Misbehaved, &reason);
        }
    }
    for host in ["größe.example:8443", "idp_1.example.", "[2001:db8::1]"] {
        let address = format!("https://{host}/x");
        rig.idp.lie(|idp| idp.metadata = Box::new(move |metadata| metadata["end_session_endpoint"] = json!(address)));
        rig.provider.discover().await.expect("found");
    }
}

#[tokio::test]
async fn a_provider_on_https_is_found_by_the_ca_bundle_and_may_name_no_plain_endpoint() {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let idp = LyingIdp::start_tls(Arc::clone(&clock)).await;
    let bundle = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(bundle.path(), idp.certificate.as_deref().expect("a certificate")).expect("written");
    let trusting = EgressSettings { ca_bundle: Some(bundle.path().to_owned()), ..EgressSettings::default() };

    let suspicious = rig::provider(rig::settings(&idp.issuer), &EgressSettings::default(), Arc::clone(&clock));
    assert_refused(suspicious.discover().await, &Kind::Unreachable, "certificate");
    let provider = rig::provider(rig::settings(&idp.issuer), &trusting, clock);
    provider.discover().await.expect("found");
    for endpoint in [
        "authorization_endpoint",
        "token_endpoint",
        "userinfo_endpoint",
        "jwks_uri",
        "revocation_endpoint",
        "end_session_endpoint",
    ] {
        idp.lie(|idp| {
            idp.metadata = Box::new(move |metadata| overwrite(metadata, &json!({endpoint: "http://localhost/x"})));
        });
        let reason = format!("its {endpoint} http://localhost/x is plain http");
        assert_refused(provider.discover().await, &Kind::Misbehaved, &reason);
    }
}

#[tokio::test]
async fn a_public_provider_may_not_name_private_addresses_and_is_reached_through_the_proxy() {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let idp = LyingIdp::start_behind("http://idp.example.test", Arc::clone(&clock)).await;
    let proxy = Some(idp.address.parse().expect("a URL"));
    let egress = EgressSettings { proxy, ..EgressSettings::default() };
    let provider = rig::provider(rig::settings(&idp.issuer), &egress, Arc::clone(&clock));
    provider.discover().await.expect("found through the proxy");

    for inside in ["http://127.0.0.1:1/jwks", "http://169.254.169.254/latest/meta-data", "http://[::1]/jwks"] {
        idp.lie(|idp| idp.metadata = Box::new(move |metadata| metadata["jwks_uri"] = json!(inside)));
        assert_refused(provider.discover().await, &Kind::Misbehaved, "is a private address");
    }
    let mut settings = rig::settings(&idp.issuer);
    settings.jwks_url = Some(format!("{}/jwks", idp.address).parse().expect("a URL"));
    let named = rig::provider(settings, &egress, clock);
    named.discover().await.expect("the operator named it");
}

#[tokio::test]
async fn hosts_outside_the_proxy_are_called_directly() {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let idp = LyingIdp::start(Arc::clone(&clock)).await;
    let nobody = Some("http://127.0.0.1:1".parse().expect("a URL"));
    let through = EgressSettings { proxy: nobody.clone(), ..EgressSettings::default() };
    let provider = rig::provider(rig::settings(&idp.issuer), &through, Arc::clone(&clock));
    assert_refused(provider.discover().await, &Kind::Unreachable, "no connection");
    let direct = EgressSettings { proxy: nobody, no_proxy: Some("127.0.0.0/8".into()), ..EgressSettings::default() };
    let provider = rig::provider(rig::settings(&idp.issuer), &direct, clock);
    provider.discover().await.expect("found");
}

#[tokio::test]
async fn the_loop_finds_it_soon_after_it_is_back_when_somebody_wants_to_sign_in() {
    let rig = Rig::new().await;
    rig.idp.lie(|idp| drop(idp.answers.insert(DISCOVERY, Answer::Plain(503, "text/plain", String::new()))));
    let found = async {
        while rig.idp.hits(DISCOVERY) < 2 {
            tokio::task::yield_now().await;
        }
        rig.idp.repent();
        while rig.provider.authorization_url(&request()).is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::select! {
        () = rig.provider.keep_discovered() => unreachable!("it never ends"),
        () = found => {}
    }
    assert_eq!(rig.provider.readiness(), Readiness::Ready);
}
