//! `countersign dev`: the real gateway between an identity provider without passwords and a demo site, on loopback.
//! Everything is built here from constants; no configuration leads here, and nothing of `serve` does.

pub mod gateway;
pub mod idp;
pub mod site;

mod look;
mod settings;

#[cfg(test)]
mod tests;

use std::io::{ErrorKind, Write as _, stdout};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::Context as _;
use axum::Router;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use http::HeaderName;
use tempfile::TempDir;
use tokio::net::TcpListener;
use url::Url;

use self::gateway::{DevGateway, GatewaySettings};
use self::idp::{Client, DevIdp, User};
use self::site::SiteSettings;
use crate::app::Gateway;
use crate::clock::{Clock, SystemClock};
use crate::config::Settings;
use crate::entropy::{Entropy, SystemEntropy, random};
use crate::secret::SecretText;

/// Serves the demonstration at `http://127.0.0.1:{port}` (another port if that one is taken) until Ctrl-C.
///
/// # Errors
/// If no port can be had, or one of the parts does not start or ends early.
pub async fn run(port: u16) -> anyhow::Result<()> {
    let demo = Demo::open(port).await?;
    welcome(&demo.url, port)?;
    demo.serve(asked_to_stop()).await
}

/// The demonstration with its ports bound, not yet serving. What it keeps is gone when it is dropped.
pub struct Demo {
    url: Url,
    front: TcpListener,
    gateway: Router,
    back: TcpListener,
    idp: Router,
    countersign: Gateway,
    data: TempDir,
}

impl Demo {
    /// Prepares everything; see [`run`] for `port`.
    ///
    /// # Errors
    /// If no port can be had, or one of the parts does not start.
    pub async fn open(port: u16) -> anyhow::Result<Self> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let entropy: Arc<dyn Entropy> = Arc::new(SystemEntropy);
        let data = tempfile::tempdir().context("no temporary directory")?;
        let front = front_listener(port).await?;
        let back = loopback(0).await.context("no port for the identity provider")?;
        let url = Url::parse(&format!("http://{}", front.local_addr()?))?;
        let issuer = format!("http://{}", back.local_addr()?);

        let client = Client {
            id: "countersign".into(),
            secret: SecretText::new(BASE64_URL_SAFE_NO_PAD.encode(random::<32>(&*entropy))),
            redirect_uri: url.join("/oauth2/callback")?,
        };
        let settings = settings::demonstration(&url, &issuer, &client, data.path())?;
        let countersign = Gateway::open(settings.clone()).await?;
        let gateway = gateway_and_site(&settings, countersign.main_address(), Arc::clone(&entropy))?;
        let idp = DevIdp::new(issuer, client, users(), clock, entropy)?.router();
        Ok(Self { url, front, gateway, back, idp, countersign, data })
    }

    /// Where it will be served.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Serves until `shutdown` is done.
    ///
    /// # Errors
    /// If one of the parts ends early.
    pub async fn serve(self, shutdown: impl Future<Output = ()>) -> anyhow::Result<()> {
        let Self { front, gateway, back, idp, countersign, data, .. } = self;
        tokio::select! {
            ended = countersign.run(shutdown) => ended.context("Countersign ended")?,
            ended = async { axum::serve(front, gateway).await } => ended.context("the gateway ended")?,
            ended = async { axum::serve(back, idp).await } => ended.context("the identity provider ended")?,
        }
        data.close().context("the temporary directory cannot be removed")
    }
}

impl std::fmt::Debug for Demo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Demo").field("url", &self.url.as_str()).finish_non_exhaustive()
    }
}

/// Ann and Bob, whose groups differ.
#[must_use]
pub fn users() -> Vec<User> {
    let user = |subject: &str, name: &str, groups: &[&str]| User {
        subject: subject.into(),
        name: name.into(),
        email: format!("{subject}@example.com"),
        groups: groups.iter().map(|group| (*group).into()).collect(),
    };
    vec![user("ann", "Ann", &["ml", "admins"]), user("bob", "Bob", &["analysts"])]
}

fn gateway_and_site(settings: &Settings, countersign: SocketAddr, entropy: Arc<dyn Entropy>) -> anyhow::Result<Router> {
    let site_settings = SiteSettings {
        user: HeaderName::from_static(settings::USER_HEADER),
        groups: HeaderName::from_static(settings::GROUPS_HEADER),
        sign_out: format!("{}/sign_out", settings.path_prefix),
    };
    let gateway_settings = GatewaySettings {
        authority: settings.public_url.authority().into(),
        countersign,
        check_prefix: settings.check_prefix.clone(),
        path_prefix: settings.path_prefix.clone(),
        identity_headers: settings.headers.iter().map(|(name, _)| name.clone()).collect(),
        issuer: settings.token.issuer.clone(),
        audience: settings::AUDIENCE.into(),
    };
    let site = site::router(site_settings, Arc::clone(&entropy))?;
    Ok(DevGateway::new(gateway_settings, site, entropy)?.router())
}

async fn front_listener(port: u16) -> anyhow::Result<TcpListener> {
    match loopback(port).await {
        Err(taken) if taken.kind() == ErrorKind::AddrInUse => loopback(0).await.context("no free port"),
        other => other.with_context(|| format!("port {port} cannot be used")),
    }
}

async fn loopback(port: u16) -> std::io::Result<TcpListener> {
    TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await
}

fn welcome(public_url: &Url, wanted: u16) -> std::io::Result<()> {
    let mut out = stdout().lock();
    if wanted != 0 && public_url.port_or_known_default() != Some(wanted) {
        writeln!(out, "Port {wanted} is taken; using another one.")?;
    }
    writeln!(out, "\n  Countersign, for trying out. NOT for production: whoever opens it can be anybody.\n")?;
    writeln!(out, "  Open       {public_url}")?;
    for user in users() {
        writeln!(out, "  Sign in    as {}, in {}", user.name, user.groups.join(" and "))?;
    }
    writeln!(out, "  Try        curl -i {public_url}      (nobody is signed in: 401 and JSON)")?;
    writeln!(out, "  Stop       Ctrl-C; nothing is kept\n")?;
    out.flush()
}

/// Ctrl-C, or SIGTERM: either way the temporary directory is taken away.
async fn asked_to_stop() {
    use tokio::signal::unix::{SignalKind, signal};
    let terminated = async {
        match signal(SignalKind::terminate()) {
            Ok(mut signals) => signals.recv().await,
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminated => {}
    }
}
