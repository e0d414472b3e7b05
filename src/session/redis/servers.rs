//! Where the sessions of many replicas are kept: one server, one whose primary sentinels know, or a cluster of them.

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::sentinel::{SentinelClient, SentinelClientBuilder, SentinelServerType};
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, ErrorKind, IntoConnectionInfo, Pipeline,
    ProtocolVersion, RedisConnectionInfo, RedisError, RedisFuture, RedisResult, TlsCertificates, TlsMode, Value,
};
use tokio::sync::Mutex;

use super::deadlines;
use crate::config::{RedisMode, RedisSettings};
use crate::secret::SecretText;

/// The servers, not connected yet.
pub(super) struct Servers {
    kind: Kind,
    reach: Reach,
}

enum Kind {
    Standalone(Client),
    // It remembers which sentinel answered.
    Sentinel(Mutex<SentinelClient>),
    Cluster(ClusterClient),
}

/// What it takes to reach any of them.
struct Reach {
    user: RedisConnectionInfo,
    certificates: Option<TlsCertificates>,
    is_tls: bool,
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
                let sentinels = infos.iter().map(|info| info.addr().clone());
                let builder = SentinelClientBuilder::new(sentinels, master, SentinelServerType::Master)?;
                let builder = reach.to_primary(builder, settings);
                Kind::Sentinel(Mutex::new(reach.to_sentinels(builder, username.as_ref(), password.as_ref()).build()?))
            }
            RedisMode::Cluster => {
                let mut builder = ClusterClient::builder(infos)
                    .connection_timeout(deadlines::CONNECT)
                    .response_timeout(deadlines::ANSWER)
                    .use_protocol(ProtocolVersion::RESP3);
                if let Some(certificates) = &reach.certificates {
                    builder = builder.certs(certificates.clone());
                }
                Kind::Cluster(builder.build()?)
            }
        };
        Ok(Self { kind, reach })
    }

    pub(super) async fn connect(&self) -> RedisResult<Link> {
        let client = match &self.kind {
            Kind::Standalone(client) => client.clone(),
            Kind::Sentinel(sentinels) => sentinels.lock().await.async_get_client().await?,
            Kind::Cluster(client) => return Ok(Link::Many(client.get_async_connection().await?)),
        };
        Ok(Link::One(client.get_multiplexed_async_connection_with_config(&patience()).await?))
    }

    /// Those that are written to at this moment: each of them tells what is changed on it.
    pub(super) async fn primaries(&self) -> RedisResult<Vec<Client>> {
        let client = match &self.kind {
            Kind::Standalone(client) => return Ok(vec![client.clone()]),
            Kind::Sentinel(sentinels) => return Ok(vec![sentinels.lock().await.async_get_client().await?]),
            Kind::Cluster(client) => client,
        };
        let mut link = client.get_async_connection().await?;
        // Each is a range of slots, its primary and then its replicas; a server is its address, its port, and more.
        let slots: Vec<Vec<Value>> = redis::cmd("CLUSTER").arg("SLOTS").query_async(&mut link).await?;
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
        primaries.into_iter().map(|(host, port)| self.reach.client(self.reach.at(host, port)?)).collect()
    }
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

    fn client(&self, info: ConnectionInfo) -> RedisResult<Client> {
        match &self.certificates {
            Some(certificates) if self.is_tls => Client::build_with_tls(info, certificates.clone()),
            _ => Client::open(info),
        }
    }

    fn at(&self, host: String, port: u16) -> RedisResult<ConnectionInfo> {
        let address = if self.is_tls {
            ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None }
        } else {
            ConnectionAddr::Tcp(host, port)
        };
        Ok(address.into_connection_info()?.set_redis_settings(self.user.clone()))
    }

    fn to_primary(&self, builder: SentinelClientBuilder, settings: &RedisSettings) -> SentinelClientBuilder {
        let mut builder = builder.set_client_to_redis_protocol(ProtocolVersion::RESP3);
        if let Some(username) = &settings.username {
            builder = builder.set_client_to_redis_username(username);
        }
        if let Some(password) = &settings.password {
            builder = builder.set_client_to_redis_password(password.expose());
        }
        if self.is_tls {
            builder = builder.set_client_to_redis_tls_mode(TlsMode::Secure);
        }
        match &self.certificates {
            Some(certificates) if self.is_tls => builder.set_client_to_redis_certificates(certificates.clone()),
            _ => builder,
        }
    }

    fn to_sentinels(
        &self,
        mut builder: SentinelClientBuilder,
        username: Option<&String>,
        password: Option<&SecretText>,
    ) -> SentinelClientBuilder {
        if let Some(username) = username {
            builder = builder.set_client_to_sentinel_username(username);
        }
        if let Some(password) = password {
            builder = builder.set_client_to_sentinel_password(password.expose());
        }
        match &self.certificates {
            Some(certificates) if self.is_tls => builder.set_client_to_sentinel_certificates(certificates.clone()),
            _ => builder,
        }
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
