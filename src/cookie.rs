//! The names of our cookies, and the `Cookie` header: finding ours in it, and taking ours out of it.
//! What a value means is for `seal`, `session` and `login`.

use std::collections::HashMap;

use cookie::{Cookie, CookieBuilder, SameSite};
use http::HeaderMap;
use http::header::COOKIE;
use thiserror::Error;

use crate::config::CookieSettings;

/// Our cookies' names and attributes.
#[derive(Clone, Debug)]
pub struct CookieNames {
    session: String,
    flow_prefix: String,
    bare: String,
    domain: Option<String>,
    secure: bool,
}

/// Two cookies of our name: one of them was put there by somebody else (RFC 6265bis section 8.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("two cookies of one name")]
pub struct TwoOfOneName;

/// The cookies that are no workload's to see: ours, and those by which a proxy in front knows whom it signed in. Whoever
/// has their values can be that person.
#[derive(Clone, Debug)]
pub struct SecretCookies {
    ours: CookieNames,
    /// What the names of the others begin with.
    others: Vec<String>,
}

/// The `Cookie` header as it may be read further on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Upstream {
    /// Nothing secret was in it.
    AsSent,
    /// Nothing else was in it.
    Removed,
    /// What is left.
    Rest(String),
}

impl CookieNames {
    /// The names for these settings: `__Host-` where one host is served over https, `__Secure-` where a domain is
    /// shared, no prefix on plain http (RFC 6265bis section 4.1.3).
    #[must_use]
    pub fn new(settings: &CookieSettings) -> Self {
        let prefix = match (settings.secure, &settings.domain) {
            (false, _) => "",
            (true, None) => "__Host-",
            (true, Some(_)) => "__Secure-",
        };
        let bare = settings.name.clone();
        Self {
            session: format!("{prefix}{bare}"),
            flow_prefix: format!("{prefix}{bare}-flow-"),
            bare,
            domain: settings.domain.clone(),
            secure: settings.secure,
        }
    }

    /// The session cookie's name.
    #[must_use]
    pub fn session(&self) -> &str {
        &self.session
    }

    /// What the names of flow cookies begin with.
    #[must_use]
    pub fn flow_prefix(&self) -> &str {
        &self.flow_prefix
    }

    /// The session cookie's value.
    ///
    /// # Errors
    /// If there are two of them.
    pub fn find_session<'h>(&self, headers: &'h HeaderMap) -> Result<Option<&'h str>, TwoOfOneName> {
        find(headers, &self.session)
    }

    /// The flow cookies, as (what stands behind the prefix, value). Those that occur twice are left out.
    #[must_use]
    pub fn flows<'h>(&self, headers: &'h HeaderMap) -> Vec<(&'h str, &'h str)> {
        let all: Vec<(&str, &str)> =
            pairs(headers).filter_map(|(name, value)| Some((name.strip_prefix(&*self.flow_prefix)?, value))).collect();
        let mut count: HashMap<&str, usize> = HashMap::new();
        for (name, _) in &all {
            *count.entry(name).or_default() += 1;
        }
        all.into_iter().filter(|(name, _)| count.get(name) == Some(&1)).collect()
    }

    /// A cookie with our attributes, to which a caller adds its life.
    #[must_use]
    pub fn build(&self, name: String, value: String) -> CookieBuilder<'static> {
        let cookie =
            Cookie::build((name, value)).path("/").http_only(true).same_site(SameSite::Lax).secure(self.secure);
        match &self.domain {
            Some(domain) => cookie.domain(domain.clone()),
            None => cookie,
        }
    }

    /// A cookie that takes the one of this name away.
    #[must_use]
    pub fn expire(&self, name: String) -> Cookie<'static> {
        self.build(name, String::new()).max_age(cookie::time::Duration::ZERO).build()
    }

    fn are_called(&self, name: &str) -> bool {
        let Some((start, end)) = name.split_at_checked(self.bare.len()) else { return false };
        start.eq_ignore_ascii_case(&self.bare) && (end.is_empty() || begins(end, "-flow-"))
    }
}

impl SecretCookies {
    /// `others` are what the names of a proxy's cookies begin with; it may put them into several parts.
    #[must_use]
    pub fn new(ours: CookieNames, others: impl IntoIterator<Item = String>) -> Self {
        Self { ours, others: others.into_iter().collect() }
    }

    /// The `Cookie` header for a workload: without any of them, in whatever spelling. What is left stays as it was sent,
    /// but for cookies that are no UTF-8: those go too, since not every gateway could be told of them.
    #[must_use]
    pub fn upstream(&self, headers: &HeaderMap) -> Upstream {
        without(headers, |name| self.ours.are_called(name) || self.are_others(name))
    }

    /// The `Cookie` header for ourselves: with ours.
    #[must_use]
    pub fn for_ourselves(&self, headers: &HeaderMap) -> Upstream {
        if self.others.is_empty() { Upstream::AsSent } else { without(headers, |name| self.are_others(name)) }
    }

    fn are_others(&self, name: &str) -> bool {
        self.others.iter().any(|beginning| begins(name, beginning))
    }
}

/// Some proxies join two `Cookie` headers by a comma, and some servers take them apart there (RFC 2965). The names are
/// looked at without the prefixes of RFC 6265bis section 4.1.3.
fn without(headers: &HeaderMap, is_secret: impl Fn(&str) -> bool) -> Upstream {
    let holds_one = |piece: &str| {
        piece.split(',').any(|part| is_secret(without_prefix(part.split('=').next().unwrap_or_default())))
    };
    let mut rest = String::new();
    let mut taken = false;
    for piece in pieces(headers).map(<[u8]>::trim_ascii).filter(|piece| !piece.is_empty()) {
        match std::str::from_utf8(piece) {
            Ok(piece) if !holds_one(piece) => {
                if !rest.is_empty() {
                    rest.push_str("; ");
                }
                rest.push_str(piece);
            }
            _ => taken = true,
        }
    }
    match (taken, rest.is_empty()) {
        (false, _) => Upstream::AsSent,
        (true, true) => Upstream::Removed,
        (true, false) => Upstream::Rest(rest),
    }
}

fn without_prefix(name: &str) -> &str {
    let name = name.trim();
    let prefix = ["__host-", "__secure-"].into_iter().find(|prefix| begins(name, prefix)).unwrap_or_default();
    &name[prefix.len()..]
}

fn begins(text: &str, beginning: &str) -> bool {
    text.get(..beginning.len()).is_some_and(|start| start.eq_ignore_ascii_case(beginning))
}

/// A value of ours has no comma: what stands behind one was another `Cookie` header (Envoy joins them so in checks over
/// gRPC). Before our name a comma may just as well be part of another cookie, which others can set, and makes no new one.
fn find<'h>(headers: &'h HeaderMap, name: &str) -> Result<Option<&'h str>, TwoOfOneName> {
    let mut found = None;
    for (_, value) in pairs(headers).filter(|(other, _)| *other == name) {
        let (value, behind) = value.split_once(',').unwrap_or((value, ""));
        let again = behind.split(',').filter_map(|part| part.split_once('=')).any(|(other, _)| other.trim() == name);
        if found.replace(value).is_some() || again {
            return Err(TwoOfOneName);
        }
    }
    Ok(found)
}

/// Name and value of the cookies that are text. Only spaces and tabs are trimmed: a browser lets any site of the domain
/// set a cookie whose name is `__Host-…` behind some wider white space, and it must not pass for the real one.
fn pairs(headers: &HeaderMap) -> impl Iterator<Item = (&str, &str)> {
    let texts = pieces(headers).filter_map(|piece| std::str::from_utf8(piece).ok());
    texts.filter_map(|piece| piece.trim_matches([' ', '\t']).split_once('='))
}

/// Cookie values may hold bytes that are no UTF-8 (RFC 6265 section 5.4 sends them as they were set). One such cookie,
/// which any site of the domain can set, must not hide the others.
fn pieces(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    headers.get_all(COOKIE).iter().flat_map(|header| header.as_bytes().split(|byte| *byte == b';'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> CookieNames {
        CookieNames::new(&CookieSettings { name: "countersign".into(), domain: None, secure: true, hide: Vec::new() })
    }

    fn secret() -> SecretCookies {
        SecretCookies::new(names(), ["CF_Authorization", "GCP_IAP_"].map(str::to_owned))
    }

    fn sent(values: &[&str]) -> HeaderMap {
        values.iter().map(|value| (COOKIE, value.parse().expect("a header value"))).collect()
    }

    #[test]
    fn the_prefix_follows_the_settings() {
        let name = |domain: Option<&str>, secure| {
            let settings =
                CookieSettings { name: "countersign".into(), domain: domain.map(Into::into), secure, hide: Vec::new() };
            let names = CookieNames::new(&settings);
            (names.session().to_owned(), names.flow_prefix().to_owned())
        };
        let both = |name: &str| (name.to_owned(), format!("{name}-flow-"));
        assert_eq!(name(None, true), both("__Host-countersign"));
        assert_eq!(name(Some("example.com"), true), both("__Secure-countersign"));
        assert_eq!(name(None, false), both("countersign"));
    }

    #[test]
    fn ours_are_for_this_site_and_for_no_script() {
        let written = |domain: Option<&str>, secure| {
            let settings =
                CookieSettings { name: "countersign".into(), domain: domain.map(Into::into), secure, hide: Vec::new() };
            CookieNames::new(&settings).build("a".into(), "b".into()).build().to_string()
        };
        assert_eq!(written(None, true), "a=b; HttpOnly; SameSite=Lax; Secure; Path=/");
        assert_eq!(
            written(Some("example.com"), true),
            "a=b; HttpOnly; SameSite=Lax; Secure; Path=/; Domain=example.com"
        );
        assert_eq!(written(None, false), "a=b; HttpOnly; SameSite=Lax; Path=/", "plain http");
        let gone = names().expire("a".into()).to_string();
        assert_eq!(gone, "a=; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=0");
    }

    #[test]
    fn ours_is_found_and_two_are_refused() {
        let names = names();
        assert_eq!(names.find_session(&sent(&["a=1; __Host-countersign=x=y; b=2"])), Ok(Some("x=y")));
        assert_eq!(names.find_session(&sent(&["__host-countersign=x"])), Ok(None));
        assert_eq!(names.find_session(&sent(&["__Host-countersign=x; __Host-countersign=y"])), Err(TwoOfOneName));
        assert_eq!(names.find_session(&sent(&["__Host-countersign=x", "__Host-countersign=y"])), Err(TwoOfOneName));
        assert_eq!(
            names.flows(&sent(&[
                "__Host-countersign-flow-a=1; __Host-countersign-flow-b=2; __Host-countersign-flow-a=3"
            ])),
            [("b", "2")]
        );
    }

    #[test]
    fn headers_that_were_joined_by_a_comma_make_nobody_else_of_anybody() {
        let names = names();
        assert_eq!(names.find_session(&sent(&["__Host-countersign=x,a=1; b=2"])), Ok(Some("x")));
        for two in ["__Host-countersign=x,__Host-countersign=y", "__Host-countersign=x,a=1, __Host-countersign=y"] {
            assert_eq!(names.find_session(&sent(&[two])), Err(TwoOfOneName), "{two}");
        }
        assert_eq!(names.find_session(&sent(&["a=1,__Host-countersign=evil"])), Ok(None));
        assert_eq!(names.find_session(&sent(&["a=1,__Host-countersign=evil; __Host-countersign=x"])), Ok(Some("x")));
    }

    #[test]
    fn the_workload_sees_none_of_ours() {
        assert_eq!(secret().upstream(&sent(&[])), Upstream::AsSent);
        assert_eq!(secret().upstream(&sent(&["_xsrf=1; theme=dark"])), Upstream::AsSent);
        assert_eq!(secret().upstream(&sent(&["countersigned=1"])), Upstream::AsSent);
        assert_eq!(secret().upstream(&sent(&["__Host-countersign=x"])), Upstream::Removed);
        let many = sent(&[
            "_xsrf=2|a; __Host-countersign=x; __HOST-Countersign-Flow-9=y;theme=dark",
            "countersign=z; c=\"q\"",
        ]);
        assert_eq!(secret().upstream(&many), Upstream::Rest("_xsrf=2|a; theme=dark; c=\"q\"".into()));
    }

    #[test]
    fn a_name_that_a_parent_domain_could_set_is_not_ours() {
        let names = names();
        for space in ["\u{a0}", "\u{85}", "\u{2000}", "\u{3000}", "\u{feff}"] {
            let mut headers = sent(&["a=1"]);
            let tossed = format!("{space}__Host-countersign=evil; __Host-countersign{space}=evil");
            headers.append(COOKIE, http::HeaderValue::from_bytes(tossed.as_bytes()).expect("a header value"));
            assert_eq!(names.find_session(&headers), Ok(None), "{space:?}");
            headers.append(COOKIE, "__Host-countersign=good".parse().expect("a header value"));
            assert_eq!(names.find_session(&headers), Ok(Some("good")), "{space:?}");
        }
        for near in ["__Host-countersign =x", "__Host-countersign\t=x", "__Host-countersign", "x__Host-countersign=x"] {
            assert_eq!(names.find_session(&sent(&[near])), Ok(None), "{near:?}");
        }
        assert_eq!(names.find_session(&sent(&["\t __Host-countersign=x \t"])), Ok(Some("x")));
        assert_eq!(names.find_session(&sent(&["__Host-countersign=\"x\""])), Ok(Some("\"x\"")));
    }

    #[test]
    fn a_cookie_that_is_no_text_hides_no_other() {
        let names = names();
        let bytes = b"a=1; caf\xe9=\xff; __Host-countersign=x; __Host-countersign-flow-a=\xfe; b=2";
        let headers =
            std::iter::once((COOKIE, http::HeaderValue::from_bytes(bytes).expect("a header value"))).collect();
        assert_eq!(names.find_session(&headers), Ok(Some("x")));
        assert_eq!(names.flows(&headers), []);
        assert_eq!(secret().upstream(&headers), Upstream::Rest("a=1; b=2".into()));
    }

    #[test]
    fn no_way_of_writing_it_brings_ours_to_the_workload() {
        for hidden in [
            "__Host-countersign = x",
            "__HOST-COUNTERSIGN\t=x",
            "__Host-countersign",
            "a=1,__Host-countersign=x",
            "a=1, __Host-countersign-flow-a=x",
            "__Secure-countersign=x",
            "countersign-FLOW-a=x",
            ",countersign=x",
        ] {
            assert_eq!(secret().upstream(&sent(&[hidden])), Upstream::Removed, "{hidden:?}");
        }
        let quoted = sent(&["a=\"; __Host-countersign=x; z=\""]);
        assert_eq!(secret().upstream(&quoted), Upstream::Rest("a=\"; z=\"".into()));
    }

    #[test]
    fn nobody_behind_us_sees_those_of_the_proxy_in_front() {
        for secret_one in [
            "CF_Authorization=x",
            "cf_authorization=x",
            "CF_Authorization_2=x",
            "GCP_IAP_UID=x",
            "__Host-GCP_IAP_AUTH_TOKEN_1A2B=x",
            "a=1,CF_Authorization=x",
        ] {
            assert_eq!(secret().upstream(&sent(&[secret_one])), Upstream::Removed, "{secret_one:?}");
            assert_eq!(secret().for_ourselves(&sent(&[secret_one])), Upstream::Removed, "{secret_one:?}");
        }
        let both = sent(&["a=1; CF_Authorization=x", "__Host-countersign=y; CF_Auth=z"]);
        assert_eq!(secret().upstream(&both), Upstream::Rest("a=1; CF_Auth=z".into()));
        let for_us = "a=1; __Host-countersign=y; CF_Auth=z";
        assert_eq!(secret().for_ourselves(&both), Upstream::Rest(for_us.into()));
        assert_eq!(secret().for_ourselves(&sent(&["__Host-countersign=y"])), Upstream::AsSent);
    }
}
