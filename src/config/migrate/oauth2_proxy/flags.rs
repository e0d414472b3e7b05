//! Every setting of oauth2-proxy, and what becomes of it.

/// A setting.
pub(super) struct Setting {
    /// Its flag, without dashes.
    pub(super) flag: &'static str,
    /// Its key in the file, and in upper case behind `OAUTH2_PROXY_` its variable.
    pub(super) key: &'static str,
    pub(super) takes: Takes,
    pub(super) fate: Fate,
}

/// What a flag takes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Takes {
    /// True or false; true where nothing is said.
    Switch,
    Text,
    /// Several, with commas between or by several flags.
    List,
}

/// What becomes of a setting.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// The draft does something with it.
    Mapped,
    /// It has no equivalent, and this is so instead.
    Gone(&'static str),
    /// The same, and somebody must act on it if it is on.
    ToDo(&'static str),
}

/// Of everything that says where Redis is.
const NO_REDIS: &str = "nobody connects to Redis: sessions are in a file in `data_dir`, see session-store-type";

use Fate::{Gone, Mapped, ToDo};
use Takes::{List, Switch, Text};

/// The setting whose flag or key is `name`.
pub(super) fn find(name: &str) -> Option<&'static Setting> {
    let flag = name.replace('_', "-");
    SETTINGS.iter().find(|setting| setting.flag == flag || setting.key == name.replace('-', "_"))
}

const fn of(flag: &'static str, key: &'static str, takes: Takes, fate: Fate) -> Setting {
    Setting { flag, key, takes, fate }
}

/// All of them, as of version 7.15, and those that versions before it still took.
pub(super) const SETTINGS: &[Setting] = &[
    of("config", "config", Text, Mapped),
    of(
        "alpha-config",
        "alpha_config",
        Text,
        ToDo(
            "that file has another form and was not read: what it says is missing here. Its classic form can be given by --cfg",
        ),
    ),
    of("convert-config-to-alpha", "convert_config_to_alpha", Switch, Gone("a mode of the program, not a setting")),
    of("config-test", "config_test", Switch, Gone("`countersign config check` does that")),
    of("version", "version", Switch, Gone("`countersign --version` does that")),
    of("provider", "provider", Text, Mapped),
    of("oidc-issuer-url", "oidc_issuer_url", Text, Mapped),
    of("client-id", "client_id", Text, Mapped),
    of("client-secret", "client_secret", Text, Mapped),
    of("client-secret-file", "client_secret_file", Text, Mapped),
    of("provider-display-name", "provider_display_name", Text, Mapped),
    of("scope", "scope", Text, Mapped),
    of("login-url", "login_url", Text, Mapped),
    of("redeem-url", "redeem_url", Text, Mapped),
    of("oidc-jwks-url", "oidc_jwks_url", Text, Mapped),
    of("profile-url", "profile_url", Text, Mapped),
    of("redirect-url", "redirect_url", Text, Mapped),
    of("relative-redirect-url", "relative_redirect_url", Switch, Mapped),
    of(
        "skip-oidc-discovery",
        "skip_oidc_discovery",
        Switch,
        Gone("the issuer's discovery document is always read; addresses that are written stand instead of its own"),
    ),
    of(
        "validate-url",
        "validate_url",
        Text,
        Gone("no access token is asked about; ID tokens are verified by their signature"),
    ),
    of("oidc-email-claim", "oidc_email_claim", Text, Mapped),
    of("user-id-claim", "user_id_claim", Text, Mapped),
    of("oidc-groups-claim", "oidc_groups_claim", Text, Mapped),
    of(
        "oidc-audience-claim",
        "oidc_audience_claims",
        List,
        ToDo("`aud` must name our client id, as OpenID Connect says; no other claim can take its place"),
    ),
    of(
        "oidc-extra-audience",
        "oidc_extra_audiences",
        List,
        ToDo(
            "sign-ins accept our own client id alone; these are among the `audiences` of `bearer` where bearer tokens were on",
        ),
    ),
    of(
        "oidc-public-key-file",
        "oidc_public_key_files",
        List,
        ToDo("keys come from the issuer's JWKS, or from `jwks_url`"),
    ),
    of("oidc-enabled-signing-alg", "oidc_enabled_signing_algs", List, Mapped),
    of("insecure-oidc-allow-unverified-email", "insecure_oidc_allow_unverified_email", Switch, Mapped),
    of(
        "insecure-oidc-skip-issuer-verification",
        "insecure_oidc_skip_issuer_verification",
        Switch,
        ToDo("a token's issuer must be the configured one, to the letter; write one provider for each tenant"),
    ),
    of("insecure-oidc-skip-nonce", "insecure_oidc_skip_nonce", Switch, Gone("the nonce is always verified")),
    of("code-challenge-method", "code_challenge_method", Text, Gone("PKCE with S256 is always used")),
    of("force-code-challenge-method", "force_code_challenge_method", Text, Gone("PKCE with S256 is always used")),
    of("prompt", "prompt", Text, Gone("no `prompt` is sent, but `login` after a sign-out")),
    of("approval-prompt", "approval_prompt", Text, Gone("no `approval_prompt` is sent; it is not OpenID Connect's")),
    of(
        "acr-values",
        "acr_values",
        Text,
        ToDo("no `acr_values` are sent; ask the provider to demand the method for this client"),
    ),
    of("auth-request-response-mode", "auth_request_response_mode", Text, Mapped),
    of(
        "backend-logout-url",
        "backend_logout_url",
        Text,
        Gone("a sign-out revokes the tokens, and ends the provider's session, where its discovery document says how"),
    ),
    of(
        "skip-claims-from-profile-url",
        "skip_claims_from_profile_url",
        Switch,
        Gone("userinfo is asked only for claims that the ID token lacks"),
    ),
    of("provider-ca-file", "provider_ca_files", List, Mapped),
    of(
        "use-system-trust-store",
        "use_system_trust_store",
        Switch,
        Gone("the system's certificates are always trusted besides `egress.ca_bundle`"),
    ),
    of(
        "ssl-insecure-skip-verify",
        "ssl_insecure_skip_verify",
        Switch,
        ToDo("the provider's certificate is always verified; name its CA by `egress: {ca_bundle: …}`"),
    ),
    of("resource", "resource", Text, Gone("no `resource` is sent; scopes say it at Entra ID")),
    of("jwt-key", "jwt_key", Text, ToDo("clients authenticate by a secret; login.gov's private_key_jwt is not there")),
    of(
        "jwt-key-file",
        "jwt_key_file",
        Text,
        ToDo("clients authenticate by a secret; login.gov's private_key_jwt is not there"),
    ),
    of("pubjwk-url", "pubjwk_url", Text, Gone("only login.gov's provider has it; `jwks_url` is its name here")),
    of("azure-tenant", "azure_tenant", Text, Mapped),
    of(
        "azure-graph-group-field",
        "azure_graph_group_field",
        Text,
        ToDo("groups are what the ID token says; have Entra put them there, by name if you want names"),
    ),
    of(
        "entra-id-allowed-tenant",
        "entra_id_allowed_tenants",
        List,
        ToDo("the issuer names one tenant; write one provider for each, with an `identity.user.prefix` of its own"),
    ),
    of(
        "entra-id-federated-token-auth",
        "entra_id_federated_token_auth",
        Switch,
        ToDo("clients authenticate by a secret; workload identity is not there"),
    ),
    of(
        "bitbucket-team",
        "bitbucket_team",
        Text,
        ToDo("Bitbucket speaks no OpenID Connect: put Dex between, and admit groups"),
    ),
    of(
        "bitbucket-repository",
        "bitbucket_repository",
        Text,
        ToDo("Bitbucket speaks no OpenID Connect: put Dex between, and admit groups"),
    ),
    of(
        "github-org",
        "github_org",
        Text,
        ToDo(
            "GitHub speaks no OpenID Connect: put Dex between, which makes organisations and teams groups; then `admit: {groups: […]}`",
        ),
    ),
    of(
        "github-team",
        "github_team",
        Text,
        ToDo(
            "GitHub speaks no OpenID Connect: put Dex between, which makes organisations and teams groups; then `admit: {groups: […]}`",
        ),
    ),
    of(
        "github-repo",
        "github_repo",
        Text,
        ToDo(
            "GitHub speaks no OpenID Connect: put Dex between, which makes organisations and teams groups; then `admit: {groups: […]}`",
        ),
    ),
    of(
        "github-token",
        "github_token",
        Text,
        ToDo(
            "GitHub speaks no OpenID Connect: put Dex between, which makes organisations and teams groups; then `admit: {groups: […]}`",
        ),
    ),
    of(
        "github-user",
        "github_users",
        List,
        ToDo(
            "GitHub speaks no OpenID Connect: put Dex between, which makes organisations and teams groups; then `admit: {groups: […]}`",
        ),
    ),
    of(
        "gitlab-group",
        "gitlab_groups",
        List,
        ToDo("GitLab's ID token lists groups under `groups_direct`: name that claim, and `admit: {groups: […]}`"),
    ),
    of(
        "gitlab-project",
        "gitlab_projects",
        List,
        ToDo("GitLab's ID token lists groups under `groups_direct`: name that claim, and `admit: {groups: […]}`"),
    ),
    of(
        "google-group",
        "google_groups",
        List,
        ToDo("Google's ID token has no groups: put Dex between, whose Google connector asks for them"),
    ),
    of(
        "google-admin-email",
        "google_admin_email",
        Text,
        Gone("it served to ask Google's directory; Dex's Google connector does"),
    ),
    of(
        "google-admin-api-user-scope",
        "google_admin_api_user_scope",
        Text,
        Gone("it served to ask Google's directory; Dex's Google connector does"),
    ),
    of(
        "google-service-account-json",
        "google_service_account_json",
        Text,
        Gone("it served to ask Google's directory; Dex's Google connector does"),
    ),
    of(
        "google-target-principal",
        "google_target_principal",
        Text,
        Gone("it served to ask Google's directory; Dex's Google connector does"),
    ),
    of(
        "google-use-application-default-credentials",
        "google_use_application_default_credentials",
        Text,
        Gone("it served to ask Google's directory; Dex's Google connector does"),
    ),
    of(
        "google-use-organization-id",
        "google_use_organization_id",
        Text,
        Gone("it served to ask Google's directory; Dex's Google connector does"),
    ),
    of("keycloak-group", "keycloak_groups", List, Mapped),
    of("allowed-role", "allowed_roles", List, Mapped),
    of("allowed-group", "allowed_groups", List, Mapped),
    of("email-domain", "email_domains", List, Mapped),
    of(
        "authenticated-emails-file",
        "authenticated_emails_file",
        Text,
        ToDo(
            "only the addresses in it could enter. Nobody reads it any more, so that MORE ARE ADMITTED than were: write a first rule with `access: {users: […]}`",
        ),
    ),
    of(
        "htpasswd-file",
        "htpasswd_file",
        Text,
        ToDo("there are no passwords here; give these people accounts at the provider"),
    ),
    of("htpasswd-user-group", "htpasswd_user_groups", List, Gone("there are no passwords here")),
    of("display-htpasswd-form", "display_htpasswd_form", Switch, Gone("there are no passwords here")),
    of(
        "trusted-ip",
        "trusted_ips",
        List,
        ToDo(
            "requests from these addresses entered without a user. No address is a credential here; make a rule public, or use bearer tokens",
        ),
    ),
    of("skip-jwt-bearer-tokens", "skip_jwt_bearer_tokens", Switch, Mapped),
    of("extra-jwt-issuers", "extra_jwt_issuers", List, Mapped),
    of(
        "bearer-token-login-fallback",
        "bearer_token_login_fallback",
        Switch,
        Gone("a token of a source that is no good gets 401, never a login; one that no source is for counts as none"),
    ),
    of("cookie-name", "cookie_name", Text, Mapped),
    of("cookie-secret", "cookie_secret", Text, Mapped),
    of("cookie-secret-file", "cookie_secret_file", Text, Mapped),
    of("cookie-domain", "cookie_domains", List, Mapped),
    of("cookie-path", "cookie_path", Text, Gone("our cookies are for `/`, or they could not be `__Host-`")),
    of("cookie-expire", "cookie_expire", Text, Mapped),
    of("cookie-refresh", "cookie_refresh", Text, Mapped),
    of("cookie-secure", "cookie_secure", Switch, Mapped),
    of("cookie-httponly", "cookie_httponly", Switch, Gone("our cookies are always HttpOnly")),
    of("cookie-samesite", "cookie_samesite", Text, Gone("our cookies are SameSite=Lax")),
    of(
        "cookie-csrf-per-request",
        "cookie_csrf_per_request",
        Switch,
        Gone("each login has a cookie of its own, sealed"),
    ),
    of(
        "cookie-csrf-per-request-limit",
        "cookie_csrf_per_request_limit",
        Text,
        Gone("five logins of a browser may be under way at a time"),
    ),
    of("cookie-csrf-expire", "cookie_csrf_expire", Text, Gone("a login may take ten minutes")),
    of("cookie-csrf-samesite", "cookie_csrf_samesite", Text, Gone("our cookies are SameSite=Lax")),
    of("session-store-type", "session_store_type", Text, Mapped),
    of(
        "session-cookie-minimal",
        "session_cookie_minimal",
        Switch,
        Gone("the cookie holds no token: it is a random number"),
    ),
    of("redis-connection-url", "redis_connection_url", Text, Gone(NO_REDIS)),
    of("redis-username", "redis_username", Text, Gone(NO_REDIS)),
    of("redis-password", "redis_password", Text, Gone(NO_REDIS)),
    of("redis-sentinel-password", "redis_sentinel_password", Text, Gone(NO_REDIS)),
    of("redis-sentinel-master-name", "redis_sentinel_master_name", Text, Gone(NO_REDIS)),
    of("redis-sentinel-connection-urls", "redis_sentinel_connection_urls", List, Gone(NO_REDIS)),
    of("redis-cluster-connection-urls", "redis_cluster_connection_urls", List, Gone(NO_REDIS)),
    of("redis-use-sentinel", "redis_use_sentinel", Switch, Gone(NO_REDIS)),
    of("redis-use-cluster", "redis_use_cluster", Switch, Gone(NO_REDIS)),
    of("redis-ca-path", "redis_ca_path", Text, Gone(NO_REDIS)),
    of("redis-insecure-skip-tls-verify", "redis_insecure_skip_tls_verify", Switch, Gone(NO_REDIS)),
    of("redis-connection-idle-timeout", "redis_connection_idle_timeout", Text, Gone(NO_REDIS)),
    of("skip-auth-route", "skip_auth_routes", List, Mapped),
    of("skip-auth-regex", "skip_auth_regex", List, Mapped),
    of("api-route", "api_routes", List, Mapped),
    of("skip-auth-preflight", "skip_auth_preflight", Switch, Mapped),
    of("force-json-errors", "force_json_errors", Switch, Mapped),
    of(
        "skip-auth-strip-headers",
        "skip_auth_strip_headers",
        Switch,
        Gone("on public paths, too, what a client sends as an identity header is removed"),
    ),
    of("whitelist-domain", "whitelist_domains", List, Mapped),
    of("skip-provider-button", "skip_provider_button", Switch, Mapped),
    of("set-xauthrequest", "set_xauthrequest", Switch, Mapped),
    of("set-authorization-header", "set_authorization_header", Switch, Mapped),
    of("pass-authorization-header", "pass_authorization_header", Switch, Mapped),
    of(
        "pass-access-token",
        "pass_access_token",
        Switch,
        ToDo(
            "X-Forwarded-Access-Token carried the provider's access token. No provider's token leaves us; workloads get ours",
        ),
    ),
    of("pass-user-headers", "pass_user_headers", Switch, Mapped),
    of("prefer-email-to-user", "prefer_email_to_user", Switch, Mapped),
    of("pass-basic-auth", "pass_basic_auth", Switch, Gone("no Basic credentials are made up for workloads")),
    of("set-basic-auth", "set_basic_auth", Switch, Gone("no Basic credentials are made up for workloads")),
    of("basic-auth-password", "basic_auth_password", Text, Gone("no Basic credentials are made up for workloads")),
    of(
        "signature-key",
        "signature_key",
        Text,
        ToDo("GAP-Signature is not there; workloads verify our token by its keys"),
    ),
    of("http-address", "http_address", Text, Mapped),
    of("https-address", "https_address", Text, Mapped),
    of("tls-cert-file", "tls_cert_file", Text, Mapped),
    of("tls-key-file", "tls_key_file", Text, Mapped),
    of("tls-min-version", "tls_min_version", Text, Gone("TLS 1.2 and 1.3, with rustls' suites")),
    of("tls-cipher-suite", "tls_cipher_suites", List, Gone("TLS 1.2 and 1.3, with rustls' suites")),
    of("metrics-address", "metrics_address", Text, Mapped),
    of(
        "metrics-secure-address",
        "metrics_secure_address",
        Text,
        Gone("health and metrics are on the admin port, in cleartext: keep it inside"),
    ),
    of(
        "metrics-tls-cert-file",
        "metrics_tls_cert_file",
        Text,
        Gone("health and metrics are on the admin port, in cleartext: keep it inside"),
    ),
    of(
        "metrics-tls-key-file",
        "metrics_tls_key_file",
        Text,
        Gone("health and metrics are on the admin port, in cleartext: keep it inside"),
    ),
    of("ping-path", "ping_path", Text, Gone("health is at /livez of the admin port")),
    of("ping-user-agent", "ping_user_agent", Text, Gone("health is at /livez of the admin port")),
    of("ready-path", "ready_path", Text, Gone("readiness is at /readyz of the admin port")),
    of("gcp-healthchecks", "gcp_healthchecks", Switch, Gone("health is at /livez of the admin port")),
    of("reverse-proxy", "reverse_proxy", Switch, Mapped),
    of("trusted-proxy-ip", "trusted_proxy_ips", List, Mapped),
    of("real-client-ip-header", "real_client_ip_header", Text, Gone("no decision depends on the client's address")),
    of("request-id-header", "request_id_header", Text, Gone("x-request-id and traceparent are read")),
    of("proxy-prefix", "proxy_prefix", Text, Mapped),
    of("force-https", "force_https", Switch, Gone("the gateway redirects to https; we are behind it")),
    of("allow-query-semicolons", "allow_query_semicolons", Switch, Gone("a query takes no part in a decision")),
    of("encode-state", "encode_state", Switch, Gone("`state` is random, and base64url")),
    of("upstream", "upstreams", List, Mapped),
    of(
        "pass-host-header",
        "pass_host_header",
        Switch,
        Gone("requests are not proxied through us: the gateway asks, and sends them on itself"),
    ),
    of(
        "proxy-websockets",
        "proxy_websockets",
        Switch,
        Gone("requests are not proxied through us: the gateway asks, and sends them on itself"),
    ),
    of(
        "flush-interval",
        "flush_interval",
        Text,
        Gone("requests are not proxied through us: the gateway asks, and sends them on itself"),
    ),
    of(
        "upstream-timeout",
        "upstream_timeout",
        Text,
        Gone("requests are not proxied through us: the gateway asks, and sends them on itself"),
    ),
    of(
        "disable-keep-alives",
        "disable_keep_alives",
        Switch,
        Gone("requests are not proxied through us: the gateway asks, and sends them on itself"),
    ),
    of(
        "ssl-upstream-insecure-skip-verify",
        "ssl_upstream_insecure_skip_verify",
        Switch,
        Gone("requests are not proxied through us: the gateway asks, and sends them on itself"),
    ),
    of(
        "custom-templates-dir",
        "custom_templates_dir",
        Text,
        Gone("templates have other names and another form; `pages: {templates: DIRECTORY}` replaces ours one by one"),
    ),
    of(
        "custom-sign-in-logo",
        "custom_sign_in_logo",
        Text,
        Gone("a template of your own may show it (`pages.templates`)"),
    ),
    of("banner", "banner", Text, Gone("a template of your own may say it (`pages.templates`)")),
    of("footer", "footer", Text, Gone("a template of your own may say it (`pages.templates`)")),
    of(
        "show-debug-on-error",
        "show_debug_on_error",
        Switch,
        Gone("error pages give a request id, by which the logs tell more"),
    ),
    of("standard-logging", "standard_logging", Switch, Gone("`log: {level: …}` says what is logged")),
    of(
        "standard-logging-format",
        "standard_logging_format",
        Text,
        Gone("lines are JSON, or text by `log: {format: human}`"),
    ),
    of("auth-logging", "auth_logging", Switch, Gone("sign-ins and refusals are always recorded")),
    of("auth-logging-format", "auth_logging_format", Text, Gone("lines are JSON, or text by `log: {format: human}`")),
    of("request-logging", "request_logging", Switch, Gone("each decision is a line at `log: {level: debug}`")),
    of(
        "request-logging-format",
        "request_logging_format",
        Text,
        Gone("lines are JSON, or text by `log: {format: human}`"),
    ),
    of("exclude-logging-path", "exclude_logging_paths", List, Gone("requests are not logged above `debug`")),
    of("silence-ping-logging", "silence_ping_logging", Switch, Gone("health checks are not logged")),
    of("errors-to-info-log", "errors_to_info_log", Switch, Gone("all lines go to one place")),
    of(
        "logging-filename",
        "logging_filename",
        Text,
        Gone("logs go to standard output, times in UTC; whoever runs us keeps and turns them"),
    ),
    of(
        "logging-max-size",
        "logging_max_size",
        Text,
        Gone("logs go to standard output, times in UTC; whoever runs us keeps and turns them"),
    ),
    of(
        "logging-max-age",
        "logging_max_age",
        Text,
        Gone("logs go to standard output, times in UTC; whoever runs us keeps and turns them"),
    ),
    of(
        "logging-max-backups",
        "logging_max_backups",
        Text,
        Gone("logs go to standard output, times in UTC; whoever runs us keeps and turns them"),
    ),
    of(
        "logging-compress",
        "logging_compress",
        Switch,
        Gone("logs go to standard output, times in UTC; whoever runs us keeps and turns them"),
    ),
    of(
        "logging-local-time",
        "logging_local_time",
        Switch,
        Gone("logs go to standard output, times in UTC; whoever runs us keeps and turns them"),
    ),
];
