//! The proxy in front of the gateway: whose signature counts, and where its keys are.

use url::Url;

use super::super::super::problem::Report;
use super::super::super::raw::{self, FrontProxyKind};
use super::super::super::tree::Spot;
use super::super::super::{FrontProxy, FrontProxySettings};
use super::super::{identity, missing, provider};
use super::{Voucher, id, refuse_others, url_of_keys};

const IAP_KEYS: &str = "https://www.gstatic.com/iap/verify/public_key-jwk";

pub(super) fn one(raw: &raw::FrontProxy, at: &Spot<'_>, report: &mut Report) -> Option<FrontProxySettings> {
    let Some(kind) = raw.kind else {
        missing(&at.field("kind"), "Write `aws-alb`, `google-iap` or `cloudflare-access`.", report);
        return None;
    };
    let (word, keys): (_, &[&str]) = match kind {
        FrontProxyKind::AwsAlb => ("aws-alb", &["id", "arn", "issuer", "client_id", "keys_url", "identity"]),
        FrontProxyKind::GoogleIap => ("google-iap", &["id", "audience", "keys_url", "identity"]),
        FrontProxyKind::CloudflareAccess => {
            ("cloudflare-access", &["id", "issuer", "audience", "keys_url", "identity"])
        }
    };
    refuse_others(word, keys, at, report);
    let id = id(raw.id.as_deref(), word, &at.field("id"), report);
    let identity = identity::settings(&raw.identity, &at.field("identity"), report);
    let named = url_of_keys(raw.keys_url.as_deref(), &at.field("keys_url"), report);
    let (kind, usual) = match kind {
        FrontProxyKind::AwsAlb => alb(raw, named.is_some(), at, report)?,
        FrontProxyKind::GoogleIap => {
            let instead = "Write `/projects/NUMBER/global/backendServices/ID`.";
            let audience = text(raw.audience.as_deref(), instead, &at.field("audience"), report)?;
            if !audience.starts_with("/projects/") {
                report.refuse(at.field("audience").problem(format!("`{audience}` is no audience of IAP"), instead));
            }
            (FrontProxy::GoogleIap { audience }, Url::parse(IAP_KEYS).ok())
        }
        FrontProxyKind::CloudflareAccess => {
            let issuer = provider::issuer(raw.issuer.as_deref(), &at.field("issuer"), report);
            let issuer = issuer.trim_end_matches('/').to_owned();
            let instead = "Write the application's audience tag.";
            let audience = text(raw.audience.as_deref(), instead, &at.field("audience"), report)?;
            let keys = Url::parse(&format!("{issuer}/cdn-cgi/access/certs")).ok();
            (FrontProxy::CloudflareAccess { issuer, audience }, keys)
        }
    };
    Some(FrontProxySettings { id: id?, kind, keys_url: named.map(with_slash_for(word)).or(usual)?, identity })
}

/// The region is the configured ARN's: a token must not choose who its keys come from.
fn alb(
    raw: &raw::FrontProxy,
    keys_are_named: bool,
    at: &Spot<'_>,
    report: &mut Report,
) -> Option<(FrontProxy, Option<Url>)> {
    let instead = "Write the load balancer's ARN: `arn:aws:elasticloadbalancing:REGION:ACCOUNT:loadbalancer/app/…`.";
    let at_arn = at.field("arn");
    let arn = text(raw.arn.as_deref(), instead, &at_arn, report);
    let issuer = provider::issuer(raw.issuer.as_deref(), &at.field("issuer"), report);
    let instead_client = "Write the load balancer's client id at that issuer.";
    let client_id = text(raw.client_id.as_deref(), instead_client, &at.field("client_id"), report);
    let arn = arn?;
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    let is_region = |text: &str| {
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    let usual = match parts[..] {
        ["arn", partition, "elasticloadbalancing", region, _, balancer]
            if is_region(region) && balancer.starts_with("loadbalancer/app/") =>
        {
            let usual = match partition {
                "aws" => Some(format!("https://public-keys.auth.elb.{region}.amazonaws.com/")),
                "aws-us-gov" => Some(format!("https://s3-{region}.amazonaws.com/aws-elb-public-keys-prod-{region}/")),
                _ => None,
            };
            if usual.is_none() && !keys_are_named {
                let what = format!("where the keys of the partition `{partition}` are is not known here");
                report.refuse(at.field("keys_url").problem(what, "Write the address that stands before a key's id."));
            }
            usual.and_then(|address| Url::parse(&address).ok())
        }
        _ => {
            report.refuse(at_arn.problem(format!("`{arn}` is no ARN of an application load balancer"), instead));
            return None;
        }
    };
    Some((FrontProxy::AwsAlb { arn, issuer, client_id: client_id? }, usual))
}

fn text(text: Option<&str>, instead: &str, at: &Spot<'_>, report: &mut Report) -> Option<String> {
    match text {
        None => {
            missing(at, instead, report);
            None
        }
        Some(text) if text.trim().is_empty() => {
            report.refuse(at.problem("it is empty", instead));
            None
        }
        Some(text) => Some(text.to_owned()),
    }
}

/// A load balancer's keys stand behind a slash, each under its id.
fn with_slash_for(kind: &str) -> impl Fn(Url) -> Url {
    let wanted = kind == "aws-alb";
    move |mut url| {
        if wanted && !url.path().ends_with('/') {
            let path = format!("{}/", url.path());
            url.set_path(&path);
        }
        url
    }
}

impl From<&FrontProxySettings> for Voucher {
    fn from(proxy: &FrontProxySettings) -> Self {
        let issuer = match &proxy.kind {
            FrontProxy::AwsAlb { issuer, .. } => Some(issuer.clone()),
            FrontProxy::GoogleIap { .. } | FrontProxy::CloudflareAccess { .. } => None,
        };
        Self { id: proxy.id.clone(), issuer, identity: proxy.identity.clone() }
    }
}
