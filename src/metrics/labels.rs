//! The words that labels may be. A new word is a new line here, and in the table of `docs/operations.md`.

use std::fmt::{self, Write as _};

use prometheus_client::encoding::{EncodeLabelValue, LabelValueEncoder};

macro_rules! labels {
    ($(#[$doc:meta])* $name:ident { $($(#[$word_doc:meta])* $word:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$word_doc])* $word,)+
        }

        impl $name {
            /// Every word there is.
            pub const ALL: &[Self] = &[$(Self::$word),+];

            /// The word as metrics and logs spell it.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$word => $text,)+
                }
            }
        }

        impl EncodeLabelValue for $name {
            fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
                encoder.write_str(self.as_str())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

labels! {
    /// The door that a check came through.
    CheckDoor {
        /// Envoy's `ext_authz` over HTTP.
        Http = "http",
        /// Envoy's `ext_authz` over gRPC.
        Grpc = "grpc",
        /// A proxy's sub-request: nginx, Traefik, Caddy.
        ForwardAuth = "forward_auth",
    }
}

labels! {
    /// What a check came to.
    CheckVerdict {
        /// The request passes.
        Allow = "allow",
        /// Nobody is signed in.
        SignIn = "sign_in",
        /// Somebody is, and may not.
        Deny = "deny",
        /// The request is malformed.
        Refuse = "refuse",
        /// Countersign could not tell: the store or the keys are away.
        Error = "error",
    }
}

labels! {
    /// Why a check came to its verdict.
    CheckReason {
        /// A session's cookie.
        Session = "session",
        /// A bearer token.
        Bearer = "bearer",
        /// The signed word of the proxy in front.
        FrontProxy = "front_proxy",
        /// A public rule.
        Public = "public",
        /// One of our own paths.
        Own = "own",
        /// Nobody is signed in where nobody needs to be.
        Anonymous = "anonymous",
        /// A CORS preflight, where a rule lets them pass.
        Preflight = "preflight",
        /// No cookie of ours.
        NoSession = "no_session",
        /// A cookie whose MAC or form is wrong.
        BadCookie = "bad_cookie",
        /// Two cookies of our name.
        TwoCookies = "two_cookies",
        /// A token of ours, sent in again.
        OwnToken = "own_token",
        /// A token for us that is no good.
        BadToken = "bad_token",
        /// Two credentials in one place.
        TwoCredentials = "two_credentials",
        /// The value of a session, where a workload would read it.
        SessionForWorkload = "session_for_workload",
        /// The cookie's session has ended.
        SessionEnded = "session_ended",
        /// A rule does not admit this identity.
        NotAdmitted = "not_admitted",
        /// The path could be read in more than one way.
        AmbiguousPath = "ambiguous_path",
        /// The gateway's question could not be read.
        Unreadable = "unreadable",
        /// Whoever asked for forward auth is no trusted proxy.
        UntrustedProxy = "untrusted_proxy",
        /// The session store is away.
        StoreUnavailable = "store_unavailable",
        /// What it takes to verify a token cannot be had.
        IssuerUnavailable = "issuer_unavailable",
        /// There is no key to sign with.
        KeysUnavailable = "keys_unavailable",
    }
}

labels! {
    /// How a login attempt ended, by who is at fault.
    LoginOutcome {
        /// With a session.
        SignedIn = "signed_in",
        /// The browser sent a callback that belongs to no flow of its own.
        BrowserRefused = "browser_refused",
        /// The user or the provider said no (`access_denied`).
        ProviderRefused = "provider_refused",
        /// The provider cannot be reached.
        ProviderUnreachable = "provider_unreachable",
        /// The provider answered what the standards forbid.
        ProviderMisbehaved = "provider_misbehaved",
        /// The provider does not know us, or gave no usable identity: the operator can mend it.
        Misconfigured = "misconfigured",
        /// Signed in there, but not admitted here.
        NotAdmitted = "not_admitted",
        /// The session could not be stored.
        StoreUnavailable = "store_unavailable",
        /// More than the limits allow.
        TooMany = "too_many",
    }
}

labels! {
    /// By whom a session was ended, if not in its own browser.
    RevocationCause {
        /// The provider, by a logout token.
        BackChannel = "back_channel",
        /// The provider, by a frame in the browser.
        FrontChannel = "front_channel",
        /// Its holder, from another session.
        Holder = "holder",
        /// An operator, on the admin port.
        Admin = "admin",
    }
}

labels! {
    /// What became of a logout that a provider, or somebody in its name, asked for.
    LogoutOutcome {
        /// It was done.
        Done = "done",
        /// It was not believed.
        Refused = "refused",
        /// It was believed, or could not be judged, and was not done: the keys or the store are away.
        Failed = "failed",
    }
}

labels! {
    /// What was asked of an identity provider, or of another source of identities.
    IdpOperation {
        /// The discovery document.
        Discovery = "discovery",
        /// Its keys.
        Jwks = "jwks",
        /// A code for tokens.
        Token = "token",
        /// A refresh token for tokens.
        Refresh = "refresh",
        /// The claims of a user.
        Userinfo = "userinfo",
        /// Groups that are too many for a token.
        Groups = "groups",
        /// To revoke a token.
        Revocation = "revocation",
        /// Whose an opaque token is.
        Introspection = "introspection",
        /// Whose a ServiceAccount's token is.
        TokenReview = "token_review",
    }
}

labels! {
    /// What came of it.
    IdpOutcome {
        /// A good answer.
        Ok = "ok",
        /// No answer in time.
        Unreachable = "unreachable",
        /// An answer that the standards forbid.
        Misbehaved = "misbehaved",
        /// It refused the grant or the client.
        Refused = "refused",
    }
}

labels! {
    /// What was asked of the session store.
    StoreOperation {
        /// A new session.
        Create = "create",
        /// A session by its key.
        Load = "load",
        /// A renewed session in the place of the old.
        Replace = "replace",
        /// A later end.
        Touch = "touch",
        /// The end of a session.
        Remove = "remove",
        /// The sessions of somebody.
        Tagged = "tagged",
        /// Some of all sessions, one page after the other.
        Page = "page",
        /// The right to renew a session.
        Lease = "lease",
        /// That right, given back.
        Release = "release",
        /// To mark a login flow as used.
        Burn = "burn",
        /// Whether it was.
        IsBurnt = "is_burnt",
        /// To forget what is over.
        Sweep = "sweep",
        /// How many there are.
        Count = "count",
    }
}

labels! {
    /// What came of it.
    StoreOutcome {
        /// It was done.
        Ok = "ok",
        /// The store is away.
        Unavailable = "unavailable",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_for_operators_lists_these_words_and_no_others() {
        let page = include_str!("../../docs/operations.md");
        let listed = |label: &str, words: Vec<&'static str>| {
            let words: Vec<String> = words.into_iter().map(|word| format!("`{word}`")).collect();
            let row = format!("| {label} | {} |", words.join(", "));
            assert!(page.lines().any(|line| line == row), "docs/operations.md lacks the line\n{row}");
        };
        listed("`door`", CheckDoor::ALL.iter().map(|word| word.as_str()).collect());
        listed("`verdict`", CheckVerdict::ALL.iter().map(|word| word.as_str()).collect());
        listed("`reason`", CheckReason::ALL.iter().map(|word| word.as_str()).collect());
        listed("`outcome` of logins", LoginOutcome::ALL.iter().map(|word| word.as_str()).collect());
        listed("`cause`", RevocationCause::ALL.iter().map(|word| word.as_str()).collect());
        listed("`outcome` of provider logouts", LogoutOutcome::ALL.iter().map(|word| word.as_str()).collect());
        listed("`operation` of provider requests", IdpOperation::ALL.iter().map(|word| word.as_str()).collect());
        listed("`outcome` of provider requests", IdpOutcome::ALL.iter().map(|word| word.as_str()).collect());
        listed("`operation` of store requests", StoreOperation::ALL.iter().map(|word| word.as_str()).collect());
        listed("`outcome` of store requests", StoreOutcome::ALL.iter().map(|word| word.as_str()).collect());
    }
}
