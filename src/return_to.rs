//! Where a browser goes after signing in: proven to be one of our own origins, or not there at all.

use percent_encoding::percent_decode_str;
use thiserror::Error;
use url::{Position, Url};

/// A place of ours: an absolute URL whose origin is one of the configured ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReturnTo(Url);

/// Why a `rd` parameter was not followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ReturnToError {
    /// More than [`ReturnTo::MAX_BYTES`].
    #[error("it is longer than {} bytes", ReturnTo::MAX_BYTES)]
    TooLong,
    /// A control character, a backslash, a second slash in front: browsers and servers read those differently.
    #[error("browsers and servers would read it differently")]
    Ambiguous,
    /// Another origin than ours.
    #[error("it leads to another origin")]
    Elsewhere,
}

/// The origins that sign-in may return to: the public URL first, then the further hosts.
#[derive(Clone, Debug)]
pub struct Origins(Vec<Url>);

impl Origins {
    /// `home` is where the paths without a host belong to.
    #[must_use]
    pub fn new(home: Url, further: impl IntoIterator<Item = Url>) -> Self {
        Self(std::iter::once(home).chain(further).collect())
    }

    /// The origin of the public URL.
    #[must_use]
    pub fn home(&self) -> &Url {
        &self.0[0]
    }

    /// The origin whose `host[:port]` is `authority`, as in a `Host` header (letter case does not count, and neither
    /// does the scheme's own port).
    #[must_use]
    pub fn of_authority(&self, authority: &str) -> Option<&Url> {
        self.0.iter().find(|origin| {
            let default = if origin.scheme() == "https" { ":443" } else { ":80" };
            let short = authority.strip_suffix(default).filter(|_| origin.port().is_none()).unwrap_or(authority);
            origin.authority().eq_ignore_ascii_case(short)
        })
    }

    fn hold(&self, url: &Url) -> bool {
        self.0.iter().any(|origin| origin.origin() == url.origin())
    }
}

impl ReturnTo {
    /// The longest `rd` that is followed.
    pub const MAX_BYTES: usize = 1024;

    /// The front page of the public URL.
    #[must_use]
    pub fn home(origins: &Origins) -> Self {
        Self(origins.home().clone())
    }

    /// Reads a `rd` parameter: a path of the public URL, or an absolute URL on one of `origins`.
    ///
    /// # Errors
    /// If it is too long, could be read in two ways, or leads elsewhere (RFC 9700 section 4.11: no open redirector).
    pub fn parse(text: &str, origins: &Origins) -> Result<Self, ReturnToError> {
        if text.len() > Self::MAX_BYTES {
            return Err(ReturnToError::TooLong);
        }
        let before_query = text.split(['?', '#']).next().unwrap_or_default();
        let decoded = percent_decode_str(before_query).decode_utf8_lossy();
        if text.chars().any(char::is_control) || decoded.chars().any(|c| c.is_control() || c == '\\') {
            return Err(ReturnToError::Ambiguous);
        }
        let url = if text.starts_with('/') {
            if decoded.starts_with("//") {
                return Err(ReturnToError::Ambiguous);
            }
            origins.home().join(text).map_err(|_| ReturnToError::Ambiguous)?
        } else if text.starts_with("https://") || text.starts_with("http://") {
            Url::parse(text).map_err(|_| ReturnToError::Ambiguous)?
        } else {
            return Err(ReturnToError::Elsewhere);
        };
        // Encoding what was not encoded makes it longer, and a flow's cookie must hold it.
        if url[Position::BeforePath..].len() > Self::MAX_BYTES {
            return Err(ReturnToError::TooLong);
        }
        let anonymous = url.username().is_empty() && url.password().is_none();
        if anonymous && origins.hold(&url) { Ok(Self(url)) } else { Err(ReturnToError::Elsewhere) }
    }

    /// The absolute URL.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origins() -> Origins {
        let url = |text| Url::parse(text).expect("a URL");
        Origins::new(url("https://mesh.example.com"), [url("https://lab.example.com:8443")])
    }

    #[test]
    fn our_own_places_pass_with_query_and_fragment() {
        for (rd, there) in [
            ("/", "https://mesh.example.com/"),
            ("/pipeline/?a=1&b=%2F#/runs/7", "https://mesh.example.com/pipeline/?a=1&b=%2F#/runs/7"),
            ("/a%2Fb", "https://mesh.example.com/a%2Fb"),
            ("/go?next=https://evil.example/\\x", "https://mesh.example.com/go?next=https://evil.example/\\x"),
            ("https://lab.example.com:8443/x", "https://lab.example.com:8443/x"),
            ("https://MESH.example.com/x", "https://mesh.example.com/x"),
        ] {
            assert_eq!(ReturnTo::parse(rd, &origins()).as_ref().map(ReturnTo::as_str), Ok(there), "{rd}");
        }
    }

    #[test]
    fn everything_else_is_refused() {
        for rd in [
            "//evil.example",
            "///evil.example",
            "/\\evil.example",
            "/%2fevil.example",
            "/%5cevil.example",
            "/%09/evil.example",
            "/\t/evil.example",
            "https:evil.example",
            "https:/evil.example",
            "javascript:alert(1)",
            "data:text/html,x",
            "https://evil.example/",
            "https://mesh.example.com.evil.example/",
            "https://evilmesh.example.com/",
            "https://mesh.example.com@evil.example/",
            "https://ann:pw@mesh.example.com/",
            "https://ann@mesh.example.com/",
            "https://:pw@mesh.example.com/",
            "http://mesh.example.com/",
            "https://mesh.example.com:444/",
            "https://lab.example.com/",
            "/a\r\nset-cookie: x",
            "evil",
            "",
        ] {
            assert!(ReturnTo::parse(rd, &origins()).is_err(), "{rd:?} passed");
        }
        assert_eq!(ReturnTo::parse(&format!("/{}", "a".repeat(1024)), &origins()), Err(ReturnToError::TooLong));
    }

    #[test]
    fn dots_cannot_climb_out_of_the_origin() {
        let there = ReturnTo::parse("/..//evil.example", &origins());
        assert_eq!(there.as_ref().map(ReturnTo::as_str), Ok("https://mesh.example.com//evil.example"));
    }

    #[test]
    fn what_a_browser_reads_is_what_was_proven() {
        for (rd, there) in [
            ("/%252fevil.example", Ok("https://mesh.example.com/%252fevil.example")),
            ("/.//evil.example", Ok("https://mesh.example.com//evil.example")),
            ("/#//evil.example", Ok("https://mesh.example.com/#//evil.example")),
            ("https://@mesh.example.com/x", Ok("https://mesh.example.com/x")),
            ("https:///mesh.example.com/x", Ok("https://mesh.example.com/x")),
            ("https://mesh%2eexample.com/", Ok("https://mesh.example.com/")),
            ("https://mesh.example.com%2eevil.example/", Err(ReturnToError::Elsewhere)),
            ("https://mesh.example.com./", Err(ReturnToError::Elsewhere)),
            ("https://evil.example#@mesh.example.com/", Err(ReturnToError::Elsewhere)),
            ("https://evil.example?@mesh.example.com/", Err(ReturnToError::Elsewhere)),
            ("https:///evil.example/mesh.example.com", Err(ReturnToError::Elsewhere)),
            ("HTTPS://mesh.example.com/", Err(ReturnToError::Elsewhere)),
            (" //evil.example", Err(ReturnToError::Elsewhere)),
            ("https://mesh.example.com\\@evil.example/", Err(ReturnToError::Ambiguous)),
            ("https://mesh.example.com%5c.evil.example/", Err(ReturnToError::Ambiguous)),
            ("https://mesh.example.com%00.evil.example/", Err(ReturnToError::Ambiguous)),
            ("/%0d%0aset-cookie:x", Err(ReturnToError::Ambiguous)),
            ("/?x=\u{85}", Err(ReturnToError::Ambiguous)),
        ] {
            assert_eq!(
                ReturnTo::parse(rd, &origins()).as_ref().map(ReturnTo::as_str),
                there.as_ref().copied(),
                "{rd:?}"
            );
        }
    }

    #[test]
    fn what_grows_too_long_by_encoding_is_refused() {
        assert_eq!(ReturnTo::parse(&format!("/{}", "ö".repeat(400)), &origins()), Err(ReturnToError::TooLong));
        assert!(ReturnTo::parse(&format!("/{}", "a".repeat(1023)), &origins()).is_ok());
    }

    #[test]
    fn a_host_header_finds_its_origin() {
        let origins = origins();
        for (authority, found) in [
            ("mesh.example.com", Some("https://mesh.example.com/")),
            ("MESH.example.com:443", Some("https://mesh.example.com/")),
            ("lab.example.com:8443", Some("https://lab.example.com:8443/")),
            ("lab.example.com:8443:443", None),
            ("lab.example.com", None),
            ("mesh.example.com:80", None),
            ("mesh.example.com.evil.example", None),
            ("", None),
        ] {
            assert_eq!(origins.of_authority(authority).map(Url::as_str), found, "{authority}");
        }
    }
}
