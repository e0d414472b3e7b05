//! `sessions list`, `sessions end`: asked of a running gateway on its admin port, for nobody else may open its store.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use reqwest::{Client, Method, StatusCode, Url};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{ConfigFile, say};
use crate::clock::UnixTime;
use crate::config::{Settings, environment, load};
use crate::secret::SecretText;

#[derive(Debug, Subcommand)]
pub(super) enum SessionsCommand {
    /// Lists the sessions: all of them, those of a user, or one.
    List {
        #[command(flatten)]
        gateway: RunningGateway,
        /// Only those of this user, as the mesh knows them.
        #[arg(long, value_name = "USER", conflicts_with = "session")]
        user: Option<String>,
        /// Only this one, by its pseudonym: the `sid` of RC tokens and of the audit.
        #[arg(long, value_name = "SID", allow_hyphen_values = true)]
        session: Option<String>,
        /// Prints JSON, one session a line.
        #[arg(long)]
        json: bool,
    },
    /// Ends sessions, on all replicas at once.
    End {
        #[command(flatten)]
        gateway: RunningGateway,
        #[command(flatten)]
        which: Which,
    },
}

#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
pub(super) struct Which {
    /// Those of this user, as the mesh knows them.
    #[arg(long, value_name = "USER")]
    user: Option<String>,
    /// This one, by its pseudonym: the `sid` of RC tokens and of the audit.
    #[arg(long, value_name = "SID", allow_hyphen_values = true)]
    session: Option<String>,
    /// All of them: everybody signs in again.
    #[arg(long)]
    all: bool,
}

#[derive(Args, Debug)]
pub(super) struct RunningGateway {
    #[command(flatten)]
    config: ConfigFile,
    /// Its admin port. Default: `listen.admin` of the configuration, on this machine.
    #[arg(long, value_name = "URL")]
    address: Option<Url>,
}

/// A session as the admin port lists it.
#[derive(Deserialize)]
struct Listed {
    sid: String,
    user: String,
    provider: String,
    signed_in_at: UnixTime,
    ends_at: UnixTime,
    device: Option<String>,
    address: Option<IpAddr>,
}

/// The admin port, and what opens it.
struct AdminPort {
    address: Url,
    token: SecretText,
    client: Client,
}

/// Longer than a gateway takes for one question.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) async fn run(command: SessionsCommand) -> anyhow::Result<()> {
    match command {
        SessionsCommand::List { gateway, user, session, json } => {
            let port = AdminPort::of(&gateway)?;
            let mut lines = Lines { json, some: false };
            match session {
                Some(sid) => lines.print(&[port.ask(Method::GET, &["sessions", &sid], &[]).await?]),
                None => list(&port, user.as_deref(), &mut lines).await,
            }
        }
        SessionsCommand::End { gateway, which } => {
            let port = AdminPort::of(&gateway)?;
            let ended = match which {
                Which { session: Some(sid), .. } => port.end(&["sessions", &sid], &[]).await?,
                Which { user: Some(user), .. } => {
                    let ended = port.end(&["sessions"], &[("user", &*user)]).await?;
                    if ended == 0 {
                        eprintln!(
                            "nobody is signed in under exactly this name; `sessions list` shows them as the mesh knows them"
                        );
                    }
                    ended
                }
                Which { .. } => port.end(&["sessions"], &[("all", "true")]).await?,
            };
            say(&format!("{ended} session{} ended", if ended == 1 { "" } else { "s" }))
        }
    }
}

async fn list(port: &AdminPort, user: Option<&str>, lines: &mut Lines) -> anyhow::Result<()> {
    let mut next: Option<String> = None;
    loop {
        let query: Vec<(&str, &str)> =
            user.map(|user| ("user", user)).into_iter().chain(next.as_deref().map(|next| ("after", next))).collect();
        let mut answer = port.ask(Method::GET, &["sessions"], &query).await?;
        let sessions = answer["sessions"].as_array().context("the answer lists no sessions")?;
        lines.print(sessions)?;
        next = match answer["next"].take() {
            Value::String(next) => Some(next),
            _ => break,
        };
    }
    if !lines.some && !lines.json { say("there are no sessions") } else { Ok(()) }
}

impl AdminPort {
    fn of(gateway: &RunningGateway) -> anyhow::Result<Self> {
        let settings = load(gateway.config.file.as_deref(), environment())?.settings;
        let Some(token) = settings.admin.token.clone() else { bail!(no_token(gateway.config.file.as_deref())) };
        // The port is on this machine, or at the end of a tunnel: no proxy, and no redirect with the token.
        let client = Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).timeout(PATIENCE);
        let client = client.build().context("no connection can be made from here")?;
        Ok(Self { address: gateway.address.clone().map_or_else(|| on_this_machine(&settings), Ok)?, token, client })
    }

    async fn end(&self, path: &[&str], query: &[(&str, &str)]) -> anyhow::Result<u64> {
        let (mut ended, mut next) = (0, None::<String>);
        loop {
            let query: Vec<(&str, &str)> =
                query.iter().copied().chain(next.as_deref().map(|next| ("after", next))).collect();
            let mut answer = self.ask(Method::DELETE, path, &query).await?;
            ended += answer["ended"].as_u64().context("the answer does not say how many were ended")?;
            next = match answer["next"].take() {
                Value::String(next) => Some(next),
                _ => return Ok(ended),
            };
        }
    }

    async fn ask(&self, method: Method, path: &[&str], query: &[(&str, &str)]) -> anyhow::Result<Value> {
        let mut url = self.address.clone();
        url.path_segments_mut().ok().context("--address is no http:// address")?.pop_if_empty().extend(path);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let request = self.client.request(method, url).bearer_auth(self.token.expose());
        let answer = request.send().await.map_err(|error| self.unreachable(&error))?;
        let status = answer.status();
        let body: Value = answer.json().await.unwrap_or_else(|_| json!({}));
        if status.is_success() {
            return Ok(body);
        }
        let message = body["message"].as_str().unwrap_or("this is no admin port of Countersign");
        match status {
            StatusCode::UNAUTHORIZED => bail!(
                "the gateway at {} has another admin token than this configuration: give both the same, and start it again",
                self.address
            ),
            _ => bail!("the gateway at {} answers {status}: {message}", self.address),
        }
    }

    fn unreachable(&self, error: &reqwest::Error) -> anyhow::Error {
        let why = if error.is_timeout() { "no answer in time" } else { "no connection" };
        anyhow::anyhow!(
            "nobody can be asked at {} ({why}): sessions are listed and ended by a running gateway, on its admin port; \
             run this beside it (`kubectl exec`), or name the port by --address",
            self.address
        )
    }
}

struct Lines {
    json: bool,
    some: bool,
}

impl Lines {
    fn print(&mut self, sessions: &[Value]) -> anyhow::Result<()> {
        for session in sessions {
            if self.json {
                say(&session.to_string())?;
                continue;
            }
            if !std::mem::replace(&mut self.some, true) {
                say(&row(["SID", "SIGNED IN", "ENDS", "ADDRESS", "DEVICE", "PROVIDER", "USER"]))?;
            }
            let listed = Listed::deserialize(session).context("the answer cannot be read")?;
            let address = listed.address.map(|address| address.to_string());
            say(&row([
                &listed.sid,
                &listed.signed_in_at.to_rfc3339(),
                &listed.ends_at.to_rfc3339(),
                address.as_deref().unwrap_or("-"),
                listed.device.as_deref().unwrap_or("-"),
                &listed.provider,
                &listed.user,
            ]))?;
        }
        Ok(())
    }
}

fn row([sid, since, ends, address, device, provider, user]: [&str; 7]) -> String {
    format!("{sid:22}  {since:20}  {ends:20}  {address:15}  {device:20}  {provider:10}  {user}")
}

fn on_this_machine(settings: &Settings) -> anyhow::Result<Url> {
    let admin = settings.listen.admin;
    let host = match admin.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
        named => named,
    };
    Ok(Url::parse(&format!("http://{}", SocketAddr::from((host, admin.port()))))?)
}

fn no_token(file: Option<&Path>) -> String {
    let place = file.map_or_else(|| "the configuration".to_owned(), |file| file.display().to_string());
    format!(
        "{place} has no admin token, so that the gateway answers nobody: write `admin: {{token: {{file: …}}}}` (make one by \
         `openssl rand -hex 32`), and start it again"
    )
}
