//! A whole house: provider, Countersign, Envoy and workload, each test its own, so that none disturbs another.
//! All of it starts in about a second.

use serde_json::{Value, json};

use crate::backend::Backend;
use crate::browser::Browser;
use crate::countersign::Countersign;
use crate::dex::Dex;
use crate::envoy::{Envoy, Ports, Variant};
use crate::oidc_provider::OidcProvider;
use crate::part::free_port;
use crate::tls::transport_socket;
use crate::wire::{self, Answer};

/// The house with Dex.
pub(crate) struct House {
    pub(crate) front: u16,
    pub(crate) dex: Dex,
    pub(crate) countersign: Countersign,
    pub(crate) envoy: Envoy,
    backend: Backend,
    origin: String,
}

/// The house with oidc-provider, which has what Dex lacks.
pub(crate) struct OtherHouse {
    pub(crate) front: u16,
    pub(crate) provider: OidcProvider,
    // Held for as long as the house stands.
    _countersign: Countersign,
    _envoy: Envoy,
    _backend: Backend,
}

impl House {
    /// As the example has it.
    pub(crate) async fn build() -> Self {
        Self::build_with(Variant::default()).await
    }

    /// With another Envoy.
    pub(crate) async fn build_with(variant: Variant) -> Self {
        Self::build_at("http://localhost", variant, |_| ()).await
    }

    /// For browsers that come to another host, by TLS where it says `https`; `alter` may change Countersign's config.
    pub(crate) async fn build_at(host: &str, variant: Variant, alter: impl FnOnce(&mut Value)) -> Self {
        let front = free_port();
        let origin = format!("{host}:{front}");
        let dex = Dex::start(&format!("{origin}/oauth2/callback")).await;
        let usual = |settings: &mut Value| {
            settings["session"] = json!({"renew_every": USUAL_RENEWAL});
            alter(settings);
        };
        let (countersign, envoy, backend) = gateway(&origin, front, &dex.issuer(), variant, usual).await;
        Self { front, dex, countersign, envoy, backend, origin }
    }

    /// Puts another Envoy in the place of the one that is there.
    pub(crate) async fn replace_envoy(&mut self, variant: Variant) {
        self.envoy.stop();
        let ports = Ports { envoy: self.front, countersign: self.countersign.port(), backend: self.backend.port() };
        self.envoy = Envoy::start(&ports, variant).await;
    }

    /// The address of a path, as browsers see it.
    pub(crate) fn at(&self, path: &str) -> String {
        format!("{}{path}", self.origin)
    }

    /// A browser in which somebody has signed in, standing at `/home`.
    pub(crate) async fn signed_in(&self, name: &str) -> Browser {
        let browser = Browser::open().await;
        browser.go(&self.at("/home")).await;
        browser.sign_in_at_dex(name).await;
        browser.arrives(&self.at("/home")).await;
        browser
    }

    /// A request through Envoy with these header lines.
    pub(crate) async fn get(&self, target: &str, headers: &[(&str, &str)]) -> Answer {
        wire::get(self.front, target, headers).await
    }
}

impl OtherHouse {
    /// As the example has it, with the other provider, and renewals as often as this.
    pub(crate) async fn build(renew_every: &str) -> Self {
        let front = free_port();
        let provider = OidcProvider::start(
            &format!("{}/oauth2/callback", origin(front)),
            &format!("{}{AFTER_LOGOUT}", origin(front)),
        )
        .await;
        let often = |settings: &mut Value| settings["session"] = json!({"renew_every": renew_every});
        let (countersign, envoy, backend) =
            gateway(&origin(front), front, &provider.issuer(), Variant::default(), often).await;
        Self { front, provider, _countersign: countersign, _envoy: envoy, _backend: backend }
    }

    /// A request through Envoy with these header lines.
    pub(crate) async fn get(&self, target: &str, headers: &[(&str, &str)]) -> Answer {
        wire::get(self.front, target, headers).await
    }

    /// The address of a path, as browsers see it.
    pub(crate) fn at(&self, path: &str) -> String {
        format!("{}{path}", origin(self.front))
    }
}

/// How often an identity is read anew: not within a test.
pub(crate) const USUAL_RENEWAL: &str = "15m";

/// Where the provider sends the browser after its own sign-out; registered there.
pub(crate) const AFTER_LOGOUT: &str = "/oauth2/signed_out";

fn origin(port: u16) -> String {
    format!("http://localhost:{port}")
}

async fn gateway(
    origin: &str,
    front: u16,
    issuer: &str,
    variant: Variant,
    alter: impl FnOnce(&mut Value),
) -> (Countersign, Envoy, Backend) {
    let backend = Backend::start().await;
    let countersign = Countersign::start(origin, issuer, |settings| {
        settings["log"] = json!({"level": "trace"});
        let rules = settings["rules"].as_array_mut().expect("the example has rules");
        rules.push(json!({"path": KEEPS_AUTHORIZATION, "token": "none", "authorization": "keep"}));
        alter(settings);
    })
    .await;
    let ports = Ports { envoy: front, countersign: countersign.port(), backend: backend.port() };
    let at_origin = |settings: &mut Value| {
        let text = settings.to_string().replace(&self::origin(front), origin);
        *settings = serde_json::from_str(&text).expect("JSON");
        if origin.starts_with("https:") {
            settings["static_resources"]["listeners"][0]["filter_chains"][0]["transport_socket"] = transport_socket();
        }
    };
    let envoy = Envoy::start_altered(&ports, variant, at_origin).await;
    (countersign, envoy, backend)
}

/// Where the client's own `Authorization` goes on to Envoy's `jwt_authn`, as Countersign found it.
pub(crate) const KEEPS_AUTHORIZATION: &str = "/keeps-authorization/";
