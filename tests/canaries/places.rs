//! In authservice's place: by its variables, at its paths.

use std::sync::Arc;

use countersign::app::Gateway;
use countersign::clock::TestClock;
use countersign::config::load_in_authservices_place;
use countersign::entropy::SystemEntropy;
use http::Method;

use crate::authservice_variables::variables;
use crate::browser::{Browser, PAGE, SESSION, target_of};
use crate::canaries::seed_keys;
use crate::house::{BEGINNING, eventually};
use crate::lying_idp::{Answer as Instead, LyingIdp, REVOKE, TOKEN};

pub(crate) async fn all() {
    let clock = Arc::new(TestClock::at(BEGINNING));
    let (idp, data) = (LyingIdp::start(clock.clone()).await, tempfile::tempdir().expect("a directory"));
    let variables = variables(&idp.issuer, data.path());
    let loaded = load_in_authservices_place(variables.into_iter()).unwrap_or_else(|errors| panic!("{errors}"));
    let (settings, contract) = (loaded.loaded.settings, loaded.contract);
    let gateway = Gateway::open_in_authservices_place(settings, contract, clock.clone(), Arc::new(SystemEntropy));
    let gateway = gateway.await.expect("it opens");
    let (main, site) = (gateway.main_address(), gateway.site_address().expect("a site"));
    run(gateway);
    let browser = || Browser::new(main, clock.clone());
    let found = async || (browser().get("/authservice/start").await.status == 302).then_some(());
    eventually("the provider is found", found).await;
    let ann = browser();
    let callback = ann.visit(&idp, "/authservice/start").await;
    assert_eq!(ann.get(&target_of(&callback)).await.status, 303);
    assert_ne!(ann.get(&target_of(&callback)).await.status, 200, "once");
    for target in ["/", "/dex/token", "/%", "/authservice/start", "/.well-known/jwks.json"] {
        for browser in [&ann, &browser()] {
            browser.ask(Method::GET, target, &[PAGE]).await;
            browser.ask(Method::POST, target, &[]).await;
        }
    }
    let value = ann.cookie(SESSION).expect("a session");
    idp.lie(|idp| drop(idp.answers.insert(REVOKE, Instead::Repeating(400, "invalid_request"))));
    for wrong in
        [format!("Basic {value}"), format!("Bearer {value}x"), format!("Bearer {value}"), format!("Bearer {value}")]
    {
        browser().ask(Method::POST, "/authservice/logout", &[("authorization", &wrong)]).await;
    }
    idp.lie(|idp| drop(idp.answers.insert(TOKEN, Instead::Repeating(400, "invalid_grant"))));
    let refused = browser();
    let callback = refused.visit(&idp, "/authservice/start").await;
    assert_ne!(refused.get(&target_of(&callback)).await.status, 303);
    for path in ["/authservice/site/homepage", "/authservice/site/after_logout", "/.well-known/jwks.json", "/nowhere"] {
        Browser::new(site, clock.clone()).get(path).await;
    }
    seed_keys(data.path());
}

#[expect(clippy::disallowed_methods, reason = "the gateway runs beside the test")]
fn run(gateway: Gateway) {
    drop(tokio::spawn(gateway.run(std::future::pending())));
}
