//! What is counted. Typed atomics and no global recorder; a label is one of an enum's words or a configured provider's
//! id, never anything that a request brought along, so that nobody can make the series grow.

mod histogram;
mod labels;

use std::sync::OnceLock;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use crate::identity::ProviderId;
use histogram::Durations;
pub use labels::{
    CheckDoor, CheckReason, CheckVerdict, IdpOperation, IdpOutcome, LoginOutcome, LogoutOutcome, RevocationCause,
    StoreOperation, StoreOutcome,
};

/// The media type of [`Metrics::encode`]'s text.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// All counters of one gateway.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    checks: Checks,
    check_duration: Durations,
    logins: Family<LoginLabels, Counter>,
    provider_logouts: Family<LogoutLabels, Counter>,
    sessions_revoked: Family<RevocationLabels, Counter>,
    idp_requests: Family<IdpLabels, Counter>,
    sessions: Gauge,
    tokens_minted: Counter,
    store_requests: Family<StoreLabels, Counter>,
    store_grace: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Counters that have counted nothing.
    #[must_use]
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("countersign");
        let metrics = Self {
            checks: Checks::default(),
            check_duration: Durations::default(),
            logins: Family::default(),
            provider_logouts: Family::default(),
            sessions_revoked: Family::default(),
            idp_requests: Family::default(),
            sessions: Gauge::default(),
            tokens_minted: Counter::default(),
            store_requests: Family::default(),
            store_grace: Gauge::default(),
            registry: Registry::default(),
        };
        registry.register("checks", "Checks answered", metrics.checks.family.clone());
        registry.register(
            "check_duration_seconds",
            "Time from a check's headers to its verdict",
            metrics.check_duration.clone(),
        );
        registry.register("logins", "Login attempts that came to an end", metrics.logins.clone());
        registry.register(
            "provider_logouts",
            "Logouts that identity providers asked for",
            metrics.provider_logouts.clone(),
        );
        registry.register(
            "sessions_revoked",
            "Sessions ended from outside their own browser",
            metrics.sessions_revoked.clone(),
        );
        registry.register(
            "idp_requests",
            "Requests to identity providers and other sources of identities",
            metrics.idp_requests.clone(),
        );
        registry.register("sessions", "Sessions in the store when it was last counted", metrics.sessions.clone());
        registry.register("tokens_minted", "Request-context tokens signed", metrics.tokens_minted.clone());
        registry.register("store_requests", "Requests to the session store", metrics.store_requests.clone());
        registry.register(
            "store_grace_seconds",
            "How long sessions in memory still go on without the session store",
            metrics.store_grace.clone(),
        );
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "The running build", build);
        Self { registry, ..metrics }
    }

    /// Counts a check and the time it took. Takes no lock, hashes nothing.
    pub fn check(&self, door: CheckDoor, verdict: CheckVerdict, reason: CheckReason, took: Duration) {
        self.checks.counter(door, verdict, reason).inc();
        self.check_duration.observe(took);
    }

    /// Counts a login attempt that came to an end.
    pub fn login(&self, provider: &ProviderId, outcome: LoginOutcome) {
        self.logins.get_or_create(&LoginLabels { provider: provider.as_str().to_owned(), outcome }).inc();
    }

    /// Counts a logout that a provider asked for.
    pub fn provider_logout(&self, provider: &ProviderId, outcome: LogoutOutcome) {
        self.provider_logouts.get_or_create(&LogoutLabels { provider: provider.as_str().to_owned(), outcome }).inc();
    }

    /// Counts a session that was ended from outside its own browser.
    pub fn session_revoked(&self, cause: RevocationCause) {
        self.sessions_revoked.get_or_create(&RevocationLabels { cause }).inc();
    }

    /// Counts a request to an identity provider, or to a source of bearers.
    pub fn idp_request(&self, provider: &ProviderId, operation: IdpOperation, outcome: IdpOutcome) {
        let labels = IdpLabels { provider: provider.as_str().to_owned(), operation, outcome };
        self.idp_requests.get_or_create(&labels).inc();
    }

    /// Sets how many sessions there are.
    pub fn sessions(&self, count: u64) {
        self.sessions.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// Sets how long sessions in memory still go on without the store, if they do.
    pub fn store_grace(&self, left: Option<Duration>) {
        self.store_grace.set(i64::try_from(left.unwrap_or_default().as_secs()).unwrap_or(i64::MAX));
    }

    /// Counts a token that was signed; one from the cache is not.
    pub fn token_minted(&self) {
        self.tokens_minted.inc();
    }

    /// Counts a request to the session store.
    pub fn store_request(&self, operation: StoreOperation, outcome: StoreOutcome) {
        self.store_requests.get_or_create(&StoreLabels { operation, outcome }).inc();
    }

    /// Everything, as `OpenMetrics` 1.0 text.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut text = String::with_capacity(8 * 1024);
        if let Err(error) = text::encode(&mut text, &self.registry) {
            // Writing to a String does not fail; an encoder of ours could. Half a text would be taken for the whole.
            tracing::error!(%error, "metrics cannot be encoded");
            text.clear();
        }
        text
    }
}

/// One counter per set of labels, found by index; a set shows up once it has counted something.
#[derive(Debug)]
struct Checks {
    family: Family<CheckLabels, Counter>,
    counters: Box<[OnceLock<Counter>]>,
}

impl Default for Checks {
    fn default() -> Self {
        let sets = CheckDoor::ALL.len() * CheckVerdict::ALL.len() * CheckReason::ALL.len();
        Self { family: Family::default(), counters: std::iter::repeat_with(OnceLock::new).take(sets).collect() }
    }
}

impl Checks {
    fn counter(&self, door: CheckDoor, verdict: CheckVerdict, reason: CheckReason) -> &Counter {
        let index =
            (door as usize * CheckVerdict::ALL.len() + verdict as usize) * CheckReason::ALL.len() + reason as usize;
        let labels = CheckLabels { door, verdict, reason };
        self.counters[index].get_or_init(|| self.family.get_or_create_owned(&labels))
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CheckLabels {
    door: CheckDoor,
    verdict: CheckVerdict,
    reason: CheckReason,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LoginLabels {
    provider: String,
    outcome: LoginOutcome,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LogoutLabels {
    provider: String,
    outcome: LogoutOutcome,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RevocationLabels {
    cause: RevocationCause,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct IdpLabels {
    provider: String,
    operation: IdpOperation,
    outcome: IdpOutcome,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StoreLabels {
    operation: StoreOperation,
    outcome: StoreOutcome,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has_line(text: &str, line: &str) {
        assert!(text.lines().any(|other| other == line), "no line {line:?} in\n{text}");
    }

    #[test]
    fn a_check_is_counted_and_timed() {
        let metrics = Metrics::new();
        for _ in 0..2 {
            let took = Duration::from_micros(30);
            metrics.check(CheckDoor::Http, CheckVerdict::Allow, CheckReason::Session, took);
        }
        metrics.check(CheckDoor::Http, CheckVerdict::SignIn, CheckReason::NoSession, Duration::from_millis(2));
        let text = metrics.encode();
        has_line(&text, r#"countersign_checks_total{door="http",verdict="allow",reason="session"} 2"#);
        has_line(&text, r#"countersign_checks_total{door="http",verdict="sign_in",reason="no_session"} 1"#);
        has_line(&text, r#"countersign_check_duration_seconds_bucket{le="0.00005"} 2"#);
        has_line(&text, r#"countersign_check_duration_seconds_bucket{le="+Inf"} 3"#);
        has_line(&text, "countersign_check_duration_seconds_count 3");
        has_line(&text, "countersign_check_duration_seconds_sum 0.00206");
        assert_eq!(text.matches("countersign_checks_total{").count(), 2, "a set that counted nothing shows up");
        assert!(text.ends_with("# EOF\n"));
    }

    #[test]
    fn the_other_families_carry_the_names_that_dashboards_know() {
        let metrics = Metrics::new();
        let dex = ProviderId::parse("dex").expect("an id");
        metrics.login(&dex, LoginOutcome::SignedIn);
        metrics.idp_request(&dex, IdpOperation::Token, IdpOutcome::Unreachable);
        metrics.provider_logout(&dex, LogoutOutcome::Refused);
        metrics.session_revoked(RevocationCause::BackChannel);
        metrics.sessions(7);
        metrics.store_grace(Some(Duration::from_millis(29_900)));
        metrics.token_minted();
        metrics.store_request(StoreOperation::Load, StoreOutcome::Ok);
        let text = metrics.encode();
        has_line(&text, r#"countersign_logins_total{provider="dex",outcome="signed_in"} 1"#);
        has_line(&text, r#"countersign_idp_requests_total{provider="dex",operation="token",outcome="unreachable"} 1"#);
        has_line(&text, r#"countersign_provider_logouts_total{provider="dex",outcome="refused"} 1"#);
        has_line(&text, r#"countersign_sessions_revoked_total{cause="back_channel"} 1"#);
        has_line(&text, "countersign_sessions 7");
        has_line(&text, "countersign_store_grace_seconds 29");
        has_line(&text, "countersign_tokens_minted_total 1");
        has_line(&text, r#"countersign_store_requests_total{operation="load",outcome="ok"} 1"#);
        has_line(&text, concat!(r#"countersign_build_info{version=""#, env!("CARGO_PKG_VERSION"), r#""} 1"#));
    }
}
