//! The demonstration's settings: short, strict, loopback only.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use http::HeaderName;
use ipnet::{IpNet, Ipv4Net};
use url::Url;

use super::idp::Client;
use crate::config::{
    Access, Admit, BearerSettings, Challenge, ClientAuth, CookieSettings, EgressSettings, IdentityField,
    IdentitySettings, Listen, LogSettings, PageSettings, PathMatch, ProviderSettings, RuleSettings, SessionSettings,
    Settings, ShutdownSettings, TokenSettings, Unauthenticated,
};
use crate::identity::{IdentityError, ProviderId};

/// The `aud` of the demonstration's RC tokens.
pub(super) const AUDIENCE: &str = "demo";
/// The header that names the user.
pub(super) const USER_HEADER: &str = "kubeflow-userid";
/// The header that lists the groups.
pub(super) const GROUPS_HEADER: &str = "kubeflow-groups";

const HOUR: Duration = Duration::from_hours(1);

pub(super) fn demonstration(
    public_url: Url,
    issuer: String,
    client: &Client,
    data_dir: &Path,
) -> Result<Settings, IdentityError> {
    let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let origin = public_url.origin().ascii_serialization();
    Ok(Settings {
        public_url,
        hosts: Vec::new(),
        listen: Listen { main: any_port, admin: any_port, tls: None },
        data_dir: data_dir.into(),
        providers: vec![provider(issuer, client)?],
        bearer: BearerSettings::default(),
        session: SessionSettings {
            max_age: 24 * HOUR,
            idle: 8 * HOUR,
            renew_every: Duration::from_mins(15),
            keys: Vec::new(),
        },
        token: TokenSettings {
            issuer: origin,
            audience: vec![AUDIENCE.into()],
            lifetime: Duration::from_mins(5),
            header: http::header::AUTHORIZATION,
            typ: "rc+jwt".into(),
            keys_dir: None,
        },
        headers: vec![
            (HeaderName::from_static(USER_HEADER), IdentityField::User),
            (HeaderName::from_static(GROUPS_HEADER), IdentityField::Groups),
        ],
        rules: vec![
            rule("/public/", Access::Public),
            rule("/admins/", Access::Only { groups: vec!["admins".into()], users: Vec::new(), domains: Vec::new() }),
        ],
        unauthenticated: Unauthenticated {
            navigation: Challenge::Redirect,
            other: Challenge::Unauthorized,
            unknown: Challenge::Redirect,
        },
        cookie: CookieSettings { name: "countersign".into(), domain: None, secure: false },
        path_prefix: "/oauth2".into(),
        check_prefix: "/check".into(),
        trusted_proxies: vec![IpNet::V4(Ipv4Net::from(Ipv4Addr::LOCALHOST))],
        egress: EgressSettings::default(),
        pages: PageSettings { templates: None, title: Some("Countersign demo".into()) },
        log: LogSettings { json: false, filter: "info".into() },
        shutdown: ShutdownSettings { lame_duck: Duration::ZERO, deadline: Duration::from_secs(2) },
    })
}

fn provider(issuer: String, client: &Client) -> Result<ProviderSettings, IdentityError> {
    Ok(ProviderSettings {
        id: ProviderId::parse("dev")?,
        name: "Development identity provider".into(),
        issuer,
        client_id: client.id.clone(),
        client_auth: ClientAuth::Basic(client.secret.clone()),
        scopes: ["openid", "profile", "email", "groups", "offline_access"].map(String::from).to_vec(),
        authorization_url: None,
        token_url: None,
        userinfo_url: None,
        jwks_url: None,
        redirect_uri: None,
        form_post: false,
        algorithms: vec!["ES256".into()],
        identity: IdentitySettings {
            user_claim: "email".into(),
            user_prefix: String::new(),
            groups_claim: "groups".into(),
            allow_unverified_email: false,
            admit: Admit { groups: vec!["*".into()], email_domains: vec!["*".into()] },
        },
    })
}

fn rule(prefix: &str, access: Access) -> RuleSettings {
    RuleSettings {
        hosts: Vec::new(),
        path: PathMatch::Prefix(prefix.into()),
        methods: Vec::new(),
        access,
        audience: None,
        mint_token: true,
        keep_authorization: false,
        unauthenticated: None,
        preflight_pass: false,
    }
}
