//! A company's house: its people in a directory, Keycloak before that, and the configuration that `docs/configuration.md`
//! shows for Keycloak.

use serde_json::{Value, json};

use crate::backend::Backend;
use crate::browser::Browser;
use crate::countersign::Countersign;
use crate::envoy::{Envoy, Ports, Variant};
use crate::keycloak::Realm;
use crate::part::{eventually, free_port};
use crate::slapd::Slapd;
use crate::wire::{self, Answer};

const PAGE: &str = include_str!("../../../docs/configuration.md");
const ITS_HEADING: &str = "## Keycloak\n";

pub(super) struct CorporateHouse {
    pub(super) directory: Slapd,
    pub(super) realm: Realm,
    front: u16,
    // Held for as long as the house stands.
    _countersign: Countersign,
    _envoy: Envoy,
    _backend: Backend,
}

impl CorporateHouse {
    /// One whose gateway is altered so, once the realm is there.
    pub(super) async fn build(alter: impl AsyncFnOnce(&Realm, &mut Value)) -> Self {
        let front = free_port();
        let origin = format!("http://localhost:{front}");
        let directory = Slapd::start().await;
        let realm = Realm::make(&origin, &directory).await;
        let mut different = json!({});
        alter(&realm, &mut different).await;
        let backend = Backend::start().await;
        let countersign = Countersign::start_from(shown(), &origin, &realm.issuer(), |settings| {
            settings["providers"][0]["client_secret"] = json!({"env": "DEX_CLIENT_SECRET"});
            // What the Envoy of the example expects.
            settings["token"] = json!({"audience": ["mesh"]});
            settings["headers"] = json!({"kubeflow-userid": "user", "kubeflow-groups": "groups"});
            settings["rules"] = json!([{"path": "/authors/", "access": {"groups": ["authors"]}}]);
            for (pointer, value) in different.as_object().expect("an object") {
                let (parent, key) = pointer.rsplit_once('/').expect("a pointer");
                settings.pointer_mut(parent).expect("such a key")[key] = value.clone();
            }
        })
        .await;
        let ports = Ports { envoy: front, countersign: countersign.port(), backend: backend.port() };
        let envoy = Envoy::start(&ports, Variant::default()).await;
        Self { directory, realm, front, _countersign: countersign, _envoy: envoy, _backend: backend }
    }

    /// The address of a path, as browsers see it.
    pub(super) fn at(&self, path: &str) -> String {
        format!("http://localhost:{}{path}", self.front)
    }

    /// A browser in which somebody has signed in, standing at `/home`.
    pub(super) async fn signed_in(&self, name: &str) -> Browser {
        let browser = Browser::open().await;
        browser.go(&self.at("/home")).await;
        browser.sign_in_at_keycloak(name).await;
        browser.arrives(&self.at("/home")).await;
        browser
    }

    /// What a page of the workload's gives to whoever sends these cookies.
    pub(super) async fn answers(&self, cookies: &str) -> Answer {
        wire::get(self.front, "/home", &[("Cookie", cookies), ("Accept", "text/html")]).await
    }

    /// Waits until these cookies are nobody's any more, which is when a renewal has been refused.
    pub(super) async fn comes_to_refuse(&self, cookies: &str) {
        eventually("the end of the session", || async {
            let answer = self.answers(cookies).await;
            if answer.status == 302 { Ok(()) } else { Err(format!("{answer:?}")) }
        })
        .await;
        self.refuses(cookies).await;
    }

    /// Asserts that these cookies are nobody's: not any more, from the very next request on.
    pub(super) async fn refuses(&self, cookies: &str) {
        let page = self.answers(cookies).await;
        assert_eq!(page.status, 302, "{page:?}");
        assert!(page.header("location").is_some_and(|to| to.contains("/oauth2/start")), "{page:?}");
        let data = wire::get(self.front, "/home", &[("Cookie", cookies), ("Accept", "application/json")]).await;
        assert_eq!(data.status, 401, "{data:?}");
    }
}

/// The configuration that the page shows.
fn shown() -> &'static str {
    let (_, section) = PAGE.split_once(ITS_HEADING).expect("the page tells of Keycloak");
    let (_, yaml) = section.split_once("```yaml\n").expect("it shows a configuration");
    yaml.split_once("```").expect("the block ends").0
}
