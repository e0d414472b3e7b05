//! Our own paths: the check lets them pass, or a policy that covers `/oauth2/*` would send browsers in circles.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::config::{ProviderSettings, Settings};
use crate::return_to::{Origins, ReturnTo};

/// Everything but RFC 3986's unreserved characters and the slash.
const IN_A_QUERY_VALUE: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// The paths of our browser and key doors.
#[derive(Clone, Debug)]
pub struct OwnPaths {
    browser: Vec<String>,
    keys: Vec<&'static str>,
    start: String,
    unavailable: String,
    origins: Origins,
}

/// Which door answers at a path of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OwnPath {
    /// The browser door, which needs our cookies.
    Browser,
    /// The key door, which needs none. Not every gateway leads there, and then it is somebody else's path.
    Keys,
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
        let names = ["start", "sign_out", "signed_out", "userinfo", "sessions", "unavailable"];
        let of_providers = ["callback", "backchannel_logout", "frontchannel_logout"];
        let each = settings
            .providers
            .iter()
            .flat_map(|provider| of_providers.iter().map(move |name| format!("{prefix}/{name}/{}", provider.id)));
        let names = names.iter().chain(&of_providers).map(|name| format!("{prefix}/{name}"));
        let elsewhere = settings.providers.iter().filter_map(ProviderSettings::redirect_path);
        Self {
            browser: names.chain(each).chain(elsewhere).collect(),
            keys: vec![Self::JWKS, Self::DISCOVERY],
            start: format!("{prefix}/start"),
            unavailable: format!("{prefix}/unavailable"),
            origins: Origins::new(settings.public_url.clone(), settings.hosts.iter().cloned()),
        }
    }

    /// Lets none of them pass: for a place where they are answered before anybody asks.
    pub(super) fn let_none_pass(&mut self) {
        self.browser.clear();
        self.keys.clear();
    }

    /// Which of them `target` on `host` is, to the letter: no other spelling of them is let pass. On a host that is
    /// neither the public URL's nor a further one that sign-in may return to, the same path is somebody else's.
    pub(super) fn find(&self, host: &str, target: &str) -> Option<OwnPath> {
        let path = target.split('?').next().unwrap_or_default();
        let found = if self.browser.iter().any(|own| own == path) {
            OwnPath::Browser
        } else if self.keys.contains(&path) {
            OwnPath::Keys
        } else {
            return None;
        };
        self.origins.of_authority(host).map(|_| found)
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
