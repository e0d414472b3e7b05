//! What the gateway makes of each behaviour, by name: one row each.

/// A behaviour of which nothing may come.
pub(crate) struct Refused {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// What the page, the answer or the log says of it, and the audit trail.
    pub(crate) says: &'static str,
    /// Whether userinfo is where it lies; otherwise userinfo is not asked.
    pub(crate) is_about_userinfo: bool,
    /// Whether the provider is never found because of it, and this is why.
    pub(crate) is_unfindable: bool,
    /// Whether the gateway's patience has to end.
    pub(crate) is_slow: bool,
}

/// How it is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The provider's answer cannot be believed.
    Misbehaved,
    /// Its word is good, and of no use.
    Unusable,
    /// Nobody is sent there, or it does not come to an end.
    Away,
    /// It says no by itself.
    SaidNo,
    /// The browser brings no answer that could be one.
    Broken,
    /// The browser brings the answer of no sign-in of its own.
    NotUnderWay,
    /// A renewal is not believed; for some lies the session `ends`.
    Renewal { ends: bool },
    /// A logout token is not believed.
    Logout,
}

/// A behaviour with which people get in, or out.
pub(crate) struct Accepted {
    pub(crate) name: &'static str,
    pub(crate) kind: Welcome,
}

/// What comes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Welcome {
    /// Ann is signed in, with these groups.
    SignIn { groups: &'static str },
    /// She is signed out, by a logout token.
    BackChannel,
    /// The same by a frame.
    FrontChannel,
    /// The same by herself.
    RpInitiated,
}

impl Kind {
    /// The page's status and title, and how the login is counted.
    pub(crate) const fn face(self) -> (u16, &'static str, &'static str) {
        match self {
            Self::Misbehaved => (502, "The identity provider's answer cannot be believed", "provider_misbehaved"),
            Self::Unusable => (403, "The identity provider does not say who you are", "misconfigured"),
            Self::Away => (503, "The identity provider is away", "provider_unreachable"),
            Self::SaidNo => (403, "The identity provider did not sign you in", "provider_refused"),
            Self::Broken => (400, "That was no answer of a sign-in", "browser_refused"),
            Self::NotUnderWay => (400, "This sign-in is over", "browser_refused"),
            Self::Renewal { .. } | Self::Logout => (0, "", ""),
        }
    }

    /// Whether somebody is signed in already when it comes.
    pub(crate) const fn is_about_a_session(self) -> bool {
        matches!(self, Self::Renewal { .. } | Self::Logout)
    }
}

impl Welcome {
    /// Whether somebody is signed in already when it comes.
    pub(crate) const fn is_about_a_session(self) -> bool {
        !matches!(self, Self::SignIn { .. })
    }
}

pub(crate) const REFUSED: &[Refused] = &[
    // Basic, and the same by form post.
    misbehaved("invalid-iss", "the ID token is refused: its `iss` is `https://evil.example`"),
    misbehaved("missing-sub", "the ID token is refused: it has no `sub`"),
    misbehaved("invalid-aud", "its `aud` does not hold our client id"),
    misbehaved("missing-iat", "it has no `iat`"),
    misbehaved("nonce-invalid", "`nonce`"),
    misbehaved("invalid-sig-rs256", "signature does not fit the key `rsa-1`"),
    about_userinfo("userinfo-invalid-sub", "userinfo: its `sub` is not the one of the ID token"),
    misbehaved("idtoken-sig-none", "it is signed with `none`"),
    misbehaved("kid-absent-multiple-jwks", "it has no `kid`, and the provider has several RS256 keys"),
    // Config.
    unfindable("discovery-issuer-mismatch", "it says its issuer is `https://evil.example`"),
    // Comprehensive.
    misbehaved("missing-aud", "it has no `aud`"),
    misbehaved("invalid-sig-es256", "signature does not fit the key `ec-1`"),
    misbehaved("invalid-sig-hs256", "it is signed with `HS256`"),
    misbehaved("invalid-at-hash", "its `at_hash` is not the hash of the access token beside it"),
    misbehaved("empty-at-hash", "its `at_hash` is n"),
    row("form-post-error", Kind::SaidNo, "access_denied"),
    // Refresh.
    row("refresh-token-invalid-issuer", Kind::Renewal { ends: false }, "its `iss` is `https://evil.example`"),
    row("refresh-token-invalid-sub", Kind::Renewal { ends: true }, "its `sub` is another than at sign-in"),
    row("refresh-token-changed-aud", Kind::Renewal { ends: false }, "its `aud` does not hold our client id"),
    row("refresh-token-changed-auth-time", Kind::Renewal { ends: false }, "its `auth_time` is another than at sign-in"),
    // Logout.
    row("backchannel-alg-none", Kind::Logout, "it is signed with `none`"),
    row("backchannel-wrong-alg", Kind::Logout, "it is signed with `"),
    row("backchannel-no-event", Kind::Logout, "its `events` does not say that it is a logout token"),
    row("backchannel-wrong-event", Kind::Logout, "its `events` does not say that it is a logout token"),
    row("backchannel-with-nonce", Kind::Logout, "it has a `nonce`"),
    row("backchannel-wrong-aud", Kind::Logout, "its `aud` does not hold our client id"),
    row("backchannel-wrong-iss", Kind::Logout, "its `iss` is `https://evil.example`"),
    row("backchannel-duplicated-logout-token", Kind::Logout, "it has not one `logout_token`"),
    // FAPI 2.
    misbehaved("null-alg", "it is signed with `"),
    misbehaved("alternate-alg", "it is signed with `RS512`"),
    misbehaved("alternate-alg-of-another-key", "256 key `rsa-1`"),
    misbehaved("expired-exp", "it ended "),
    misbehaved("missing-exp", "it has no `exp`"),
    misbehaved("secondary-audience", "its `aud` holds `another client` besides us"),
    misbehaved("authorization-response-iss-wrong", "the callback names the issuer `https://evil.example`"),
    misbehaved("authorization-response-iss-removed", "the callback has no `iss`, though the provider promises one"),
    row("wrong-state", Kind::NotUnderWay, "its cookie is not here"),
    row("missing-state", Kind::Broken, "it has no state"),
    // More that misbehave.
    row("duplicated-state", Kind::Broken, "it has a parameter twice"),
    row("duplicated-code", Kind::Broken, "it has a parameter twice"),
    row("duplicated-iss", Kind::Broken, "it has a parameter twice"),
    misbehaved("exp-as-string", "its `exp` is no time"),
    misbehaved("exp-beyond-time", "its `exp` is no time"),
    misbehaved("exp-negative", "its `exp` is no time"),
    misbehaved("header-jku", "signature does not fit the key `rsa-1`"),
    misbehaved("header-jwk", "signature does not fit the key `rsa-1`"),
    misbehaved("header-x5u", "signature does not fit the key `rsa-1`"),
    misbehaved("header-crit", "its header has `crit`"),
    about_userinfo("userinfo-as-array", "the answer is no JSON object"),
    misbehaved("no-id-token", "there is no ID token"),
    misbehaved("key-swapped-and-withheld", "the provider has no ES256 key `ec-1`"),
    misbehaved("kid-with-a-path", "the provider has no RS256 key `../../../etc/passwd`"),
    misbehaved("kid-with-a-url", "the provider has no RS256 key `http://127.0.0.1"),
    unfindable("discovery-huge", "larger than 1024 KiB"),
    row("discovery-drip", Kind::Away, "cannot be reached: "),
    unfindable("discovery-gzip-bomb", "it compressed its answer"),
    unfindable("discovery-redirect", "it redirects to http://127.0.0.1:1/elsewhere, which is not followed"),
    unfindable("discovery-html", "answered with a page"),
    unfindable("discovery-cut-short", "EOF while parsing"),
    unfindable("jwks-huge", "larger than 1024 KiB"),
    row("jwks-drip", Kind::Away, "cannot be reached: "),
    unfindable("jwks-gzip-bomb", "it compressed its answer"),
    unfindable("jwks-redirect", "it redirects to http://127.0.0.1:1/elsewhere, which is not followed"),
    unfindable("jwks-html", "answered with a page"),
    unfindable("jwks-cut-short", "EOF while parsing"),
    misbehaved("token-huge", "larger than 1024 KiB"),
    Refused { is_slow: true, ..row("token-drip", Kind::Away, "no complete answer within ") },
    misbehaved("token-gzip-bomb", "it compressed its answer"),
    misbehaved("token-redirect", "it redirects to http://127.0.0.1:1/elsewhere, which is not followed"),
    misbehaved("token-html", "Content-Type"),
    misbehaved("token-cut-short", "the answer cannot be read"),
    misbehaved("token-wrong-content-type", "Content-Type"),
    unfindable("jwks-at-a-private-address", "is a private address, though the issuer is public"),
    misbehaved("token-endpoint-at-a-private-address", "is a private address, though the issuer is public"),
    misbehaved("userinfo-at-a-private-address", "is a private address, though the issuer is public"),
    unusable("email-with-two-at-signs", "claim `email`: it is not an e-mail address"),
    unusable("email-with-a-line-end", "claim `email`: it holds a control character"),
    unusable("email-with-nul", "claim `email`: it holds a control character"),
    unusable("sub-with-a-control-character", "claim `sub`: it holds a control character"),
    unusable("groups-of-200-kb", "claim `groups`: "),
    unusable("groups-as-number", "claim `groups`: it is neither a list of strings nor a string"),
    unusable("groups-as-object", "claim `groups`: it is neither a list of strings nor a string"),
];

pub(crate) const ACCEPTED: &[Accepted] = &[
    // Basic, and the same by form post.
    signs_in("happy-path"),
    signs_in("scope-userinfo-claims"),
    signs_in("client-secret-basic"),
    signs_in("idtoken-sig-rs256"),
    signs_in("idtoken-sig-ps256"),
    signs_in("idtoken-sig-es256"),
    signs_in("idtoken-sig-eddsa"),
    signs_in("kid-absent-single-jwks"),
    // Config.
    signs_in("discovery-openid-config"),
    signs_in("discovery-jwks-uri-keys"),
    signs_in("signing-key-rotation"),
    signs_in("signing-key-rotation-just-before-signing"),
    // Comprehensive.
    signs_in("missing-at-hash"),
    signs_in("userinfo-signed-jwt"),
    signs_in("mtls-endpoint-aliases"),
    // Logout.
    Accepted { name: "backchannel-happy-path", kind: Welcome::BackChannel },
    Accepted { name: "rp-initiated-logout", kind: Welcome::RpInitiated },
    Accepted { name: "rp-initiated-logout-bad-state", kind: Welcome::RpInitiated },
    Accepted { name: "rp-initiated-logout-no-state", kind: Welcome::RpInitiated },
    Accepted { name: "frontchannel-logout", kind: Welcome::FrontChannel },
    // FAPI 2.
    signs_in("audience-as-array"),
    signs_in("token-response-without-expires-in"),
    signs_in("token-type-in-any-case"),
    signs_in("same-kid-decoys"),
    signs_in("authorization-response-iss"),
    // Oddities.
    signs_in("key-swapped-under-the-same-kid"),
    // The type is often wrong, and proves nothing; what it holds is judged.
    signs_in("discovery-wrong-content-type"),
    signs_in("jwks-wrong-content-type"),
    signs_in("jwks-with-unknown-keys"),
    signs_in("public-issuer-with-public-endpoints"),
    // A group that no header can carry opens nothing by it.
    signs_in("group-with-a-line-end"),
    Accepted { name: "groups-as-string", kind: Welcome::SignIn { groups: "ml" } },
];

const fn row(name: &'static str, kind: Kind, says: &'static str) -> Refused {
    Refused { name, kind, says, is_about_userinfo: false, is_unfindable: false, is_slow: false }
}

const fn misbehaved(name: &'static str, says: &'static str) -> Refused {
    row(name, Kind::Misbehaved, says)
}

const fn about_userinfo(name: &'static str, says: &'static str) -> Refused {
    Refused { is_about_userinfo: true, ..misbehaved(name, says) }
}

const fn unusable(name: &'static str, says: &'static str) -> Refused {
    row(name, Kind::Unusable, says)
}

const fn unfindable(name: &'static str, says: &'static str) -> Refused {
    Refused { is_unfindable: true, ..row(name, Kind::Away, says) }
}

const fn signs_in(name: &'static str) -> Accepted {
    Accepted { name, kind: Welcome::SignIn { groups: "ml,ops" } }
}
