//! The proxy in front of the gateway that signs who somebody is. What it says unsigned is not looked at.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use super::judgement::check_times;
use super::jwt::Jwt;
use super::lack::Lack;
use super::{Doubt, Vouched};
use crate::clock::Clock;
use crate::config::{FrontProxy as Kind, FrontProxySettings, IdentitySettings, JwtSettings};
use crate::identity::ProviderId;
use crate::idp::{NamedKeys, Outbound, Unverified, identity_of};

/// A proxy in front of the gateway.
pub(super) struct FrontProxy {
    id: ProviderId,
    identity: IdentitySettings,
    signer: Signer,
    clock: Arc<dyn Clock>,
}

enum Signer {
    /// It signs as any issuer does (Google IAP, Cloudflare Access).
    Issuer(Box<Jwt>),
    Alb(Box<Alb>),
}

/// An AWS Application Load Balancer. Its tokens are padded, and it is their header that says who signed, for whom.
struct Alb {
    keys: NamedKeys,
    lack: Lack,
    expected: [(&'static str, String); 3],
}

impl FrontProxy {
    /// Its tokens live for minutes, and come with each request.
    pub(super) const CACHE_FOR: Duration = Duration::from_mins(1);

    pub(super) fn new(settings: &FrontProxySettings, outbound: Outbound, clock: Arc<dyn Clock>) -> Self {
        let FrontProxySettings { id, kind, keys_url, identity } = settings.clone();
        let issuer = |issuer: String, audience: String, algorithm: &str| {
            let (id, identity) = (id.clone(), identity.clone());
            let (audiences, algorithms) = (vec![audience], vec![algorithm.to_owned()]);
            let jwks_url = Some(keys_url.clone());
            let cache_for = Self::CACHE_FOR;
            let settings = JwtSettings { id, issuer, audiences, algorithms, jwks_url, identity, cache_for };
            Signer::Issuer(Box::new(Jwt::new(settings, outbound.clone(), Arc::clone(&clock))))
        };
        let signer = match kind {
            Kind::GoogleIap { audience } => issuer("https://cloud.google.com/iap".to_owned(), audience, "ES256"),
            Kind::CloudflareAccess { issuer: team, audience } => issuer(team, audience, "RS256"),
            Kind::AwsAlb { arn, issuer, client_id } => Signer::Alb(Box::new(Alb {
                keys: NamedKeys::new(keys_url, outbound, Arc::clone(&clock)),
                lack: Lack::default(),
                expected: [("signer", arn), ("iss", issuer), ("client", client_id)],
            })),
        };
        Self { id, identity, signer, clock }
    }

    /// Verifies what it says. `admit` and the caches are the caller's.
    pub(super) async fn verify(&self, token: &str) -> Result<Vouched, Doubt> {
        let mut is_service = false;
        let (claims, ends_at) = match &self.signer {
            Signer::Issuer(jwt) => jwt.claims(token, |claims| is_service = name_the_service(claims)).await?,
            Signer::Alb(alb) => {
                let verified = alb.keys.verify(token, |header| alb.fits(header)).await;
                alb.note(&verified);
                let signed = verified?;
                let ends_at = check_times(&signed.header, self.clock.now()).map_err(Doubt::Refused)?;
                (signed.claims, ends_at)
            }
        };
        let identity = if is_service {
            let settings = IdentitySettings { user_claim: "common_name".to_owned(), ..self.identity.clone() };
            identity_of(claims, &self.id, &settings)
        } else {
            identity_of(claims, &self.id, &self.identity)
        };
        Ok(Vouched { identity: identity.map_err(Doubt::Refused)?, ends_at: Some(ends_at) })
    }

    /// Why its keys could not be had, if they could not.
    pub(super) fn lacking(&self) -> Option<String> {
        match &self.signer {
            Signer::Issuer(jwt) => jwt.lacking(),
            Signer::Alb(alb) => alb.lack.reason(),
        }
    }

    /// Keeps its keys at hand, for ever, where they can be had before a token names one.
    pub(super) async fn keep_found(&self) {
        if let Signer::Issuer(jwt) = &self.signer {
            jwt.keep_found().await;
        }
    }
}

impl Alb {
    fn note<T>(&self, verified: &Result<T, Unverified>) {
        match verified {
            Ok(_) => self.lack.forget(),
            Err(Unverified::Unavailable(reason)) => self.lack.note(&Err::<(), _>(reason)),
            // A token that is no good may have cost no call.
            Err(Unverified::Refused(_)) => {}
        }
    }

    fn fits(&self, header: &Map<String, Value>) -> Result<(), String> {
        for (name, expected) in &self.expected {
            if header.get(*name).and_then(Value::as_str) != Some(expected) {
                return Err(format!("the `{name}` of its header is not `{expected}`"));
            }
        }
        Ok(())
    }
}

/// Service tokens of Cloudflare Access have an empty `sub`; their name is the `common_name`. Whether it was one.
fn name_the_service(claims: &mut Map<String, Value>) -> bool {
    let name = claims.get("common_name").filter(|name| name.as_str().is_some_and(|name| !name.is_empty())).cloned();
    match (claims.get("sub").and_then(Value::as_str), name) {
        (Some(""), Some(name)) => {
            claims.insert("sub".to_owned(), name);
            true
        }
        _ => false,
    }
}

impl std::fmt::Debug for FrontProxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FrontProxy").field("id", &self.id).finish_non_exhaustive()
    }
}
