//! Our own paths: the check lets them pass, or a policy that covers `/oauth2/*` would send browsers in circles.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::config::{ProviderSettings, Settings};
use crate::return_to::{Origins, ReturnTo};

/// Everything but RFC 3986's unreserved characters and the slash.
const IN_A_QUERY_VALUE: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// The paths of our browser and key doors.
#[derive(Clone, Debug)]
pub struct OwnPaths {
    exact: Vec<String>,
    start: String,
    unavailable: String,
    origins: Origins,
}

impl OwnPaths {
    /// Where keys are published (RFC 8615).
    pub const JWKS: &'static str = "/.well-known/jwks.json";
    /// Where verifiers find that out (OIDC Discovery section 4).
    pub const DISCOVERY: &'static str = "/.well-known/openid-configuration";

    /// The paths by these settings.
    #[must_use]
    pub fn new(settings: &Settings) -> Self {
        let prefix = &settings.path_prefix;
        let browser = ["start", "sign_out", "signed_out", "userinfo", "sessions", "unavailable"];
        let of_providers = ["callback", "backchannel_logout", "frontchannel_logout"];
        let each = settings
            .providers
            .iter()
            .flat_map(|provider| of_providers.iter().map(move |name| format!("{prefix}/{name}/{}", provider.id)));
        let elsewhere = settings.providers.iter().filter_map(ProviderSettings::redirect_path);
        let exact =
            browser.iter().chain(&of_providers).map(|name| format!("{prefix}/{name}")).chain(each).chain(elsewhere);
        Self {
            exact: exact.chain([Self::JWKS.to_owned(), Self::DISCOVERY.to_owned()]).collect(),
            start: format!("{prefix}/start"),
            unavailable: format!("{prefix}/unavailable"),
            origins: Origins::new(settings.public_url.clone(), settings.hosts.iter().cloned()),
        }
    }

    /// Lets none of them pass: for a place where they are answered before anybody asks.
    pub(super) fn let_none_pass(&mut self) {
        self.exact.clear();
    }

    /// Whether `target` is one of them, to the letter: no other spelling of them is let pass.
    #[must_use]
    pub fn hold(&self, target: &str) -> bool {
        let path = target.split('?').next().unwrap_or_default();
        self.exact.iter().any(|own| own == path)
    }

    /// Whether `host` is one of ours: the public URL's or a further one that sign-in may return to.
    #[must_use]
    pub fn are_served_at(&self, host: &str) -> bool {
        self.origins.of_authority(host).is_some()
    }

    /// Where to sign in so as to come back to `target` on `host`.
    #[must_use]
    pub fn login(&self, host: &str, target: &str) -> String {
        self.leading_back(&self.start, host, target)
    }

    /// Where to read that nothing can be decided, with a way back to `target` on `host`.
    #[must_use]
    pub fn unavailable(&self, host: &str, target: &str) -> String {
        self.leading_back(&self.unavailable, host, target)
    }

    fn leading_back(&self, path: &str, host: &str, target: &str) -> String {
        let home = self.origins.home();
        let origin = self.origins.of_authority(host).unwrap_or(home);
        let (base, back) = if origin.origin() == home.origin() && host.eq_ignore_ascii_case(home.authority()) {
            (String::new(), target.to_owned())
        } else {
            // The flow's cookie must be set where the provider sends the browser back to: at the public URL.
            let at = |url: &url::Url| url.origin().ascii_serialization();
            let back =
                if origin.origin() == home.origin() { target.to_owned() } else { format!("{}{target}", at(origin)) };
            (at(home), back)
        };
        let back = if back.len() > ReturnTo::MAX_BYTES { "/" } else { &*back };
        format!("{base}{path}?rd={}", utf8_percent_encode(back, IN_A_QUERY_VALUE))
    }
}
