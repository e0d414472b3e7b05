//! Somebody who is signed in, and what a gateway is asked about them.

use countersign::clock::UnixTime;
use countersign::identity::{Email, GroupName, Groups, Identity, ProviderId, ProviderTokens, Subject as Sub, UserId};
use countersign::secret::SecretText;
use countersign::session::NewSession;

/// The three of the example configuration; the request is covered by the second.
pub(crate) const RULES: &str = "rules:
  - {path: /dex/, access: public, authorization: keep}
  - {path: /pipeline/, access: {groups: [ml]}, audience: [pipelines]}
  - {path: /notebook/, token: none, authorization: keep}
";

/// What Envoy sends for a page's own request: what `includeRequestHeadersInCheck` lists, and its own.
pub(crate) fn request(cookie: &str, value: &str) -> String {
    format!(
        "GET /check/pipeline/apis/v2beta1/runs?page_size=10&sort_by=created_at%20desc HTTP/1.1\r\n\
         host: mesh.example.com\r\ncontent-length: 0\r\n\
         cookie: _xsrf=2|6e8f3c1a|d0b7; {cookie}={value}; theme=dark\r\n\
         accept: application/json, text/plain, */*\r\nsec-fetch-mode: cors\r\nsec-fetch-dest: empty\r\n\
         sec-fetch-site: same-origin\r\nx-request-id: 4cf3c0f2-7d4a-9e1c-8d0e-0a1b2c3d4e5f\r\n\
         x-forwarded-for: 10.0.0.7\r\nx-forwarded-proto: https\r\nx-envoy-internal: true\r\n\
         x-envoy-expected-rq-timeout-ms: 2000\r\n\r\n"
    )
}

/// A new session of `user`, whom the provider calls `subject`: with three groups, never due for renewal.
pub(crate) fn session(provider: ProviderId, user: &str, subject: &str, tokens: ProviderTokens) -> NewSession {
    let group = |name: &str| GroupName::parse(name).expect("a group");
    let groups = Groups::new(["ml", "kubeflow-users", "grafana-viewers"].map(group)).expect("groups");
    let identity = Identity {
        provider,
        subject: Sub::parse(subject).expect("a subject"),
        user: UserId::parse(user).expect("a user"),
        email: Some(Email::parse(user).expect("an address")),
        groups,
        auth_time: None,
        acr: None,
        amr: Vec::new(),
    };
    NewSession { identity, tokens, provider_sid: None, renew_at: UnixTime::MAX }
}

/// What a provider gives to keep.
pub(crate) fn tokens(id: &str, access: &str, refresh: Option<&str>) -> ProviderTokens {
    let secret = |text: &str| SecretText::new(text.into());
    ProviderTokens { id_token: secret(id), access_token: secret(access), refresh_token: refresh.map(secret) }
}
