//! The gateway under load: the whole of it, with an embedded store, and a request of somebody who is signed in.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use countersign::app::Gateway;
use countersign::clock::{SystemClock, UnixTime};
use countersign::config::{
    Access, Admit, BearerSettings, Challenge, ClientAuth, CookieSettings, EgressSettings, IdentityField,
    IdentitySettings, Listen, LogSettings, PageSettings, PathMatch, ProviderSettings, RuleSettings, SessionSettings,
    Settings, ShutdownSettings, TokenSettings, Unauthenticated,
};
use countersign::cookie::CookieNames;
use countersign::entropy::SystemEntropy;
use countersign::identity::{Email, GroupName, Groups, Identity, ProviderId, ProviderTokens, Subject as Sub, UserId};
use countersign::seal::SessionKeys;
use countersign::secret::SecretText;
use countersign::session::{Embedded, NewSession, Sessions};
use tempfile::TempDir;

use super::house::{Opening, Serving};

/// A directory with one session in it, and the request that the gateway is asked about it.
pub(crate) struct Subject {
    pub(crate) request: String,
    data: TempDir,
}

impl Subject {
    pub(crate) fn new() -> Self {
        let data = tempfile::tempdir().expect("a directory");
        let settings = settings(data.path());
        let value = sign_in(&settings);
        let cookie = CookieNames::new(&settings.cookie).session().to_owned();
        // What Envoy sends for a page's own request: what `includeRequestHeadersInCheck` lists, and its own.
        let request = format!(
            "GET /check/pipeline/apis/v2beta1/runs?page_size=10&sort_by=created_at%20desc HTTP/1.1\r\n\
             host: mesh.example.com\r\ncontent-length: 0\r\n\
             cookie: _xsrf=2|6e8f3c1a|d0b7; {cookie}={value}; theme=dark\r\n\
             accept: application/json, text/plain, */*\r\nsec-fetch-mode: cors\r\nsec-fetch-dest: empty\r\n\
             sec-fetch-site: same-origin\r\nx-request-id: 4cf3c0f2-7d4a-9e1c-8d0e-0a1b2c3d4e5f\r\n\
             x-forwarded-for: 10.0.0.7\r\nx-forwarded-proto: https\r\nx-envoy-internal: true\r\n\
             x-envoy-expected-rq-timeout-ms: 2000\r\n\r\n"
        );
        Self { request, data }
    }

    /// The gateway as `serve` runs it.
    pub(crate) fn gateway(&self) -> Opening {
        let settings = settings(self.data.path());
        Box::pin(async {
            let gateway = Gateway::open(settings).await.expect("the gateway opens");
            let address = gateway.main_address();
            let serving: Serving = Box::pin(async { gateway.run(std::future::pending()).await.expect("it runs") });
            (address, serving)
        })
    }
}

/// Makes a session, as the login door does; the value of its cookie.
fn sign_in(settings: &Settings) -> String {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let store = Embedded::open(settings.data_dir.join("sessions.redb")).expect("a store");
    let keys = SessionKeys::load_or_generate(&settings.data_dir.join("session-keys"), &SystemEntropy).expect("keys");
    let (clock, entropy) = (Arc::new(SystemClock), Arc::new(SystemEntropy));
    let sessions = Sessions::new(Arc::new(store), Arc::new(keys), clock, entropy, &settings.session);
    let group = |name: &str| GroupName::parse(name).expect("a group");
    let groups = Groups::new(["ml", "kubeflow-users", "grafana-viewers"].map(group)).expect("groups");
    let identity = Identity {
        provider: settings.providers[0].id.clone(),
        subject: Sub::parse("CiQwOGE4Njg0Yi1kYjg4LTRiNzMtOTBhOS0zY2QxNjYxZjU0NjYSBWxvY2Fs").expect("a subject"),
        user: UserId::parse("ann@example.com").expect("a user"),
        email: Some(Email::parse("ann@example.com").expect("an address")),
        groups,
        auth_time: None,
        acr: None,
        amr: Vec::new(),
    };
    let secret = |text: &str| SecretText::new(text.into());
    let tokens =
        ProviderTokens { id_token: secret("id"), access_token: secret("access"), refresh_token: Some(secret("again")) };
    let new = NewSession { identity, tokens, provider_sid: None, renew_at: UnixTime::MAX };
    let (value, _) = runtime.block_on(sessions.create(new)).expect("a session");
    value
}

fn settings(data_dir: &Path) -> Settings {
    let url = |text: &str| text.parse().expect("a URL");
    let loopback = "127.0.0.1:0".parse().expect("an address");
    let provider = ProviderSettings {
        id: ProviderId::parse("dex").expect("an id"),
        name: "Dex".into(),
        // Nobody is there: whoever is signed in does not notice.
        issuer: "http://127.0.0.1:9/dex".into(),
        client_id: "countersign".into(),
        client_auth: ClientAuth::Basic(SecretText::new("nobody asks".into())),
        scopes: ["openid", "profile", "email", "groups", "offline_access"].map(str::to_owned).to_vec(),
        authorization_url: None,
        token_url: None,
        userinfo_url: None,
        jwks_url: None,
        redirect_uri: None,
        form_post: false,
        algorithms: vec!["RS256".into()],
        identity: IdentitySettings {
            user_claim: "email".into(),
            user_prefix: String::new(),
            groups_claim: "groups".into(),
            allow_unverified_email: false,
            admit: Admit { groups: vec!["*".into()], email_domains: vec!["*".into()] },
        },
    };
    Settings {
        public_url: url("https://mesh.example.com"),
        hosts: Vec::new(),
        listen: Listen { main: loopback, admin: loopback, tls: None },
        data_dir: data_dir.to_owned(),
        providers: vec![provider],
        bearer: BearerSettings::default(),
        session: SessionSettings {
            max_age: Duration::from_hours(24),
            idle: Duration::from_hours(8),
            renew_every: Duration::from_mins(15),
            keys: Vec::new(),
        },
        token: TokenSettings {
            issuer: "https://mesh.example.com".into(),
            audience: vec!["mesh".into()],
            lifetime: Duration::from_mins(5),
            header: http::header::AUTHORIZATION,
            typ: "rc+jwt".into(),
            keys_dir: None,
        },
        headers: vec![
            ("kubeflow-userid".parse().expect("a name"), IdentityField::User),
            ("kubeflow-groups".parse().expect("a name"), IdentityField::Groups),
        ],
        rules: rules(),
        unauthenticated: Unauthenticated {
            navigation: Challenge::Redirect,
            other: Challenge::Unauthorized,
            unknown: Challenge::Redirect,
        },
        cookie: CookieSettings { name: "countersign".into(), domain: None, secure: true },
        path_prefix: "/oauth2".into(),
        check_prefix: "/check".into(),
        trusted_proxies: Vec::new(),
        egress: EgressSettings::default(),
        pages: PageSettings::default(),
        log: LogSettings { json: true, filter: "info".into() },
        shutdown: ShutdownSettings { lame_duck: Duration::from_secs(5), deadline: Duration::from_secs(20) },
    }
}

/// The three of the example configuration; the request is covered by the second.
fn rules() -> Vec<RuleSettings> {
    let rule = |prefix: &str| RuleSettings {
        hosts: Vec::new(),
        path: PathMatch::Prefix(prefix.into()),
        methods: Vec::new(),
        access: Access::SignedIn,
        audience: None,
        mint_token: true,
        keep_authorization: false,
        unauthenticated: None,
        preflight_pass: false,
    };
    let only_ml = Access::Only { groups: vec!["ml".into()], users: Vec::new(), domains: Vec::new() };
    vec![
        RuleSettings { access: Access::Public, keep_authorization: true, ..rule("/dex/") },
        RuleSettings { access: only_ml, audience: Some(vec!["pipelines".into()]), ..rule("/pipeline/") },
        RuleSettings { mint_token: false, keep_authorization: true, ..rule("/notebook/") },
    ]
}
