//! Where the sessions of many replicas are kept: one server, one whose primary sentinels know, or a cluster of them.

use futures_util::future::try_join_all;
use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, ErrorKind, IntoConnectionInfo, Pipeline,
    ProtocolVersion, RedisConnectionInfo, RedisError, RedisFuture, RedisResult, TlsCertificates, Value, cmd,
};

use super::deadlines;
use super::sentinels::Sentinels;
use crate::config::{RedisMode, RedisSettings};
use crate::secret::{SecretText, without_secrets};

/// The servers, not connected yet.
pub(super) struct Servers {
    /// Where they are, as they are configured.
    pub(super) named: String,
    kind: Kind,
    reach: Reach,
    passwords: Vec<SecretText>,
}

enum Kind {
    Standalone(Client),
    Sentinel(Sentinels),
    Cluster(Box<ClusterClient>),
}

/// What it takes to reach any of them.
pub(super) struct Reach {
    user: RedisConnectionInfo,
    certificates: Option<TlsCertificates>,
    is_tls: bool,
}

/// A server that is listened to, and where it is.
#[derive(Clone)]
pub(super) struct Listened {
    pub(super) address: String,
    pub(super) connection: MultiplexedConnection,
}

/// A connection on which many talk at a time: to the primary, or to all primaries of a cluster.
#[derive(Clone)]
pub(super) enum Link {
    One(MultiplexedConnection),
    Many(ClusterConnection),
}

impl Servers {
    pub(super) fn new(settings: &RedisSettings) -> RedisResult<Self> {
        let reach = Reach::new(settings);
        let infos: Vec<ConnectionInfo> = settings
            .urls
            .iter()
            .map(|url| Ok(url.as_str().into_connection_info()?.set_redis_settings(reach.user.clone())))
            .collect::<RedisResult<_>>()?;
        let kind = match &settings.mode {
            RedisMode::Standalone => Kind::Standalone(reach.client(infos[0].clone())?),
            RedisMode::Sentinel { master, username, password } => {
                let mut user = RedisConnectionInfo::default();
                if let Some(username) = username {
                    user = user.set_username(username);
                }
                if let Some(password) = password {
                    user = user.set_password(password.expose());
                }
                let as_user = |info: ConnectionInfo| reach.client(info.set_redis_settings(user.clone()));
                let clients = infos.into_iter().map(as_user).collect::<RedisResult<_>>()?;
                Kind::Sentinel(Sentinels::new(clients, master.clone()))
            }
            RedisMode::Cluster => {
                let mut builder = ClusterClient::builder(infos)
                    .connection_timeout(deadlines::NODE)
                    .response_timeout(deadlines::ANSWER)
                    .use_protocol(ProtocolVersion::RESP3);
                if let Some(certificates) = &reach.certificates {
                    builder = builder.certs(certificates.clone());
                }
                Kind::Cluster(Box::new(builder.build()?))
            }
        };
        let named: Vec<&str> = settings.urls.iter().map(|url| url.as_str().trim_end_matches('/')).collect();
        let of_sentinels = match &settings.mode {
            RedisMode::Sentinel { password, .. } => password.clone(),
            _ => None,
        };
        let passwords = settings.password.clone().into_iter().chain(of_sentinels).collect();
        Ok(Self { named: named.join(", "), kind, reach, passwords })
    }

    /// A connection to who is primary now.
    pub(super) async fn connect(&self) -> RedisResult<Link> {
        let client = match &self.kind {
            Kind::Standalone(client) => client.clone(),
            Kind::Sentinel(sentinels) => sentinels.primary(&self.reach).await?,
            Kind::Cluster(client) => return Ok(Link::Many(client.get_async_connection().await?)),
        };
        let mut connection = client.get_multiplexed_async_connection_with_config(&patience()).await?;
        if !leads(&mut connection).await? {
            return Err((ErrorKind::InvalidClientConfig, "the server is a replica, not a primary").into());
        }
        Ok(Link::One(connection))
    }

    /// What an error says, without our passwords: a server that does not know HELLO, or whose HELLO was renamed, repeats the
    /// beginning of what came behind it.
    pub(super) fn told(&self, error: &RedisError) -> String {
        without_secrets(&error.to_string(), self.passwords.iter().map(SecretText::expose))
    }

    /// Those that are written to at this moment: each of them tells what is changed on it.
    pub(super) async fn primaries(&self) -> RedisResult<Vec<Client>> {
        let client = match &self.kind {
            Kind::Standalone(client) => return Ok(vec![client.clone()]),
            Kind::Sentinel(sentinels) => return Ok(vec![sentinels.primary(&self.reach).await?]),
            Kind::Cluster(client) => client,
        };
        let primaries = cluster_primaries(&mut client.get_async_connection().await?).await?;
        primaries.into_iter().map(|(host, port)| self.reach.client(self.reach.at(host, port)?)).collect()
    }

    /// Whether these are the primaries still: each says so of itself, and nobody who would know names others. A server that
    /// was cut off from the rest may answer for long, and not know that it leads no more.
    ///
    /// # Errors
    /// If somebody who would have to be asked does not answer.
    pub(super) async fn still_lead(&self, listened: &[Listened]) -> RedisResult<bool> {
        let of_themselves = listened.iter().map(|it| async { leads(&mut it.connection.clone()).await });
        if try_join_all(of_themselves).await?.contains(&false) {
            return Ok(false);
        }
        match &self.kind {
            Kind::Standalone(_) => Ok(true),
            Kind::Sentinel(sentinels) => {
                let named = address(&sentinels.primary(&self.reach).await?);
                Ok(listened.iter().all(|it| it.address == named))
            }
            Kind::Cluster(_) => {
                let each = listened.iter().map(|it| async { cluster_primaries(&mut it.connection.clone()).await });
                let is_listened = |(host, port): &(String, u16)| {
                    let named = format!("{host}:{port}");
                    listened.iter().any(|it| it.address == named)
                };
                let views = try_join_all(each).await?;
                Ok(views.iter().all(|view| view.len() == listened.len() && view.iter().all(is_listened)))
            }
        }
    }
}

/// Where a client leads.
pub(super) fn address(client: &Client) -> String {
    client.get_connection_info().addr().to_string()
}

/// Whether a server takes itself for a primary.
async fn leads(connection: &mut MultiplexedConnection) -> RedisResult<bool> {
    let role: Vec<Value> = cmd("ROLE").query_async(connection).await?;
    Ok(matches!(role.first(), Some(Value::BulkString(role)) if role == b"master"))
}

/// The primaries of a cluster, as one of its servers knows them.
async fn cluster_primaries(link: &mut impl ConnectionLike) -> RedisResult<Vec<(String, u16)>> {
    // Each is a range of slots, its primary and then its replicas; a server is its address, its port, and more.
    let slots: Vec<Vec<Value>> = cmd("CLUSTER").arg("SLOTS").query_async(link).await?;
    let primary = |entry: Vec<Value>| match entry.into_iter().nth(2) {
        Some(Value::Array(mut server)) => {
            server.truncate(2);
            Ok(redis::from_redis_value::<(String, u16)>(Value::Array(server))?)
        }
        _ => Err(RedisError::from((ErrorKind::Parse, "CLUSTER SLOTS names no primary"))),
    };
    let mut primaries = slots.into_iter().map(primary).collect::<RedisResult<Vec<_>>>()?;
    primaries.sort();
    primaries.dedup();
    Ok(primaries)
}

/// How long a connection is tried, and an answer waited for.
pub(super) fn patience() -> AsyncConnectionConfig {
    AsyncConnectionConfig::new()
        .set_connection_timeout(Some(deadlines::CONNECT))
        .set_response_timeout(Some(deadlines::ANSWER))
}

impl Reach {
    fn new(settings: &RedisSettings) -> Self {
        let mut user = RedisConnectionInfo::default()
            .set_protocol(ProtocolVersion::RESP3)
            .set_lib_name(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
        if let Some(username) = &settings.username {
            user = user.set_username(username);
        }
        if let Some(password) = &settings.password {
            user = user.set_password(password.expose());
        }
        let certificates = settings.ca.clone().map(|ca| TlsCertificates { client_tls: None, root_cert: Some(ca) });
        let is_tls = settings.urls.first().is_some_and(|url| url.scheme() == "rediss");
        Self { user, certificates, is_tls }
    }

    pub(super) fn client(&self, info: ConnectionInfo) -> RedisResult<Client> {
        match &self.certificates {
            Some(certificates) if self.is_tls => Client::build_with_tls(info, certificates.clone()),
            _ => Client::open(info),
        }
    }

    pub(super) fn at(&self, host: String, port: u16) -> RedisResult<ConnectionInfo> {
        let address = if self.is_tls {
            ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None }
        } else {
            ConnectionAddr::Tcp(host, port)
        };
        Ok(address.into_connection_info()?.set_redis_settings(self.user.clone()))
    }
}

impl ConnectionLike for Link {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::One(connection) => connection.req_packed_command(command),
            Self::Many(connection) => connection.req_packed_command(command),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Self::One(connection) => connection.req_packed_commands(pipeline, offset, count),
            Self::Many(connection) => connection.req_packed_commands(pipeline, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        0
    }
}
