use crate::support::{good, mistake};

#[test]
fn a_provider_is_required_and_complete() {
    assert_eq!(
        mistake("public_url: https://mesh.example.com\n"),
        [
            "countersign.yaml: providers",
            "no identity provider is configured",
            "Write at least one: `providers: [{id: dex, issuer: https://…, client_id: …, client_secret: …}]`."
        ]
    );
    assert_eq!(
        mistake("public_url: https://mesh.example.com\nproviders: []\n"),
        [
            "countersign.yaml:2:12: providers",
            "no identity provider is configured",
            "Write at least one: `providers: [{id: dex, issuer: https://…, client_id: …, client_secret: …}]`."
        ]
    );
    assert_eq!(
        mistake("public_url: https://mesh.example.com\nproviders:\n  - {id: dex}\n"),
        [
            "the configuration has 3 mistakes:",
            "",
            "1. countersign.yaml:3:5: providers[0].issuer",
            "it is missing",
            "Write the issuer as the provider's discovery document says it: `https://dex.example.com`.",
            "",
            "2. countersign.yaml:3:5: providers[0].client_id",
            "it is missing",
            "Write the client id that the provider registered for us.",
            "",
            "3. countersign.yaml:3:5: providers[0].client_secret",
            "it is missing",
            "Write `client_secret: {file: /path/to/it}`, or `client_auth: none` for a public client."
        ]
    );
    assert_eq!(
        mistake(
            "public_url: https://mesh.example.com\nproviders:\n  - {issuer: https://a.example.com, client_id: '', client_auth: none}\n"
        ),
        [
            "the configuration has 2 mistakes:",
            "",
            "1. countersign.yaml:3:5: providers[0].id",
            "it is missing",
            "Write a short name for URLs and logs: `id: dex`.",
            "",
            "2. countersign.yaml:3:48: providers[0].client_id",
            "it is empty",
            "Write the client id that the provider registered for us."
        ]
    );
    assert_eq!(
        mistake(
            "public_url: https://mesh.example.com\nproviders:\n  - {id: Dex, issuer: https://a.example.com, client_id: c, client_auth: none}\n"
        ),
        [
            "countersign.yaml:3:10: providers[0].id",
            "`Dex` is no provider id: it may hold only a-z, 0-9, '-', '_' and '.'",
            "Write a short name: `dex`."
        ]
    );
}

#[test]
fn an_issuer_is_a_url() {
    assert_eq!(
        mistake(
            "public_url: https://mesh.example.com\nproviders:\n  - {id: dex, issuer: dex.example.com, client_id: c, client_auth: none}\n"
        ),
        [
            "countersign.yaml:3:23: providers[0].issuer",
            "it is no issuer: that is an https:// URL without user, query and fragment",
            "Write it as the provider's discovery document says it."
        ]
    );
    assert_eq!(
        mistake(
            "public_url: https://mesh.example.com\nproviders:\n  - {id: dex, issuer: 'https://dex.example.com?x=1', client_id: c, client_auth: none}\n"
        ),
        [
            "countersign.yaml:3:23: providers[0].issuer",
            "it is no issuer: that is an https:// URL without user, query and fragment",
            "Write it as the provider's discovery document says it."
        ]
    );
}

#[test]
fn no_secret_and_no_key_travels_far_over_plain_http() {
    let provider = |key: &str, host: &str| {
        mistake(&format!(
            "public_url: https://mesh.example.com\nproviders:\n  - {{id: dex, issuer: https://dex.example.com, client_id: c, client_secret: {{env: DEX_SECRET}}, {key}: 'http://{host}/x'}}\n"
        ))
    };
    for (key, column, danger) in [
        ("token_url", 107, "our client secret and users' codes would travel there"),
        ("userinfo_url", 110, "users' access tokens would travel there"),
        ("jwks_url", 106, "whoever sits on the way decides whose tokens are good"),
    ] {
        assert_eq!(
            provider(key, "dex.example.com"),
            [
                &*format!("countersign.yaml:3:{column}: providers[0].{key}"),
                &*format!("it is plain http: {danger}"),
                "Write https://."
            ]
        );
        assert_eq!(provider(key, "dex.auth.svc.cluster.local:5556"), ["(nothing)"], "{key}");
    }
}

#[test]
fn urls_are_urls() {
    assert_eq!(
        mistake(
            "public_url: https://mesh.example.com\nproviders:\n  - {id: dex, issuer: https://dex.example.com, client_id: c, client_secret: {env: DEX_SECRET}, token_url: /token}\n"
        ),
        ["countersign.yaml:3:107: providers[0].token_url", "`/token` is no URL", "Write `https://…`."]
    );
    assert_eq!(
        mistake(
            "public_url: https://mesh.example.com\nproviders:\n  - {id: dex, issuer: https://dex.example.com, client_id: c, client_secret: {env: DEX_SECRET}, authorization_url: //evil.example}\n"
        ),
        [
            "countersign.yaml:3:115: providers[0].authorization_url",
            "`//evil.example` is neither a URL nor a path",
            "Write `https://…`, or a path that begins with one slash."
        ]
    );
    assert_eq!(
        mistake(
            "public_url: https://mesh.example.com\nproviders:\n  - {id: dex, issuer: https://dex.example.com, client_id: c, client_secret: {env: DEX_SECRET}, redirect_uri: oauth2/callback}\n"
        ),
        [
            "countersign.yaml:3:110: providers[0].redirect_uri",
            "`oauth2/callback` is neither a URL nor a path",
            "Write `https://…`, or a path that begins with one slash."
        ]
    );
}

#[test]
fn the_client_authenticates_in_one_way() {
    assert_eq!(
        mistake(
            "public_url: https://mesh.example.com\nproviders:\n  - {id: dex, issuer: https://dex.example.com, client_id: c, client_secret: {env: DEX_SECRET}, client_auth: none}\n"
        ),
        [
            "countersign.yaml:3:77: providers[0].client_secret",
            "there is a client secret, though client_auth is `none`",
            "Take the secret out, or write `client_auth: basic`."
        ]
    );
}

#[test]
fn scopes_hold_openid() {
    assert_eq!(
        mistake(
            "public_url: https://mesh.example.com\nproviders:\n  - {id: dex, issuer: https://dex.example.com, client_id: c, client_secret: {env: DEX_SECRET}, scopes: [email]}\n"
        ),
        [
            "countersign.yaml:3:104: providers[0].scopes",
            "`openid` is not among them, and without it there is no ID token",
            "Add `openid`."
        ]
    );
    assert_eq!(
        mistake(
            "public_url: https://mesh.example.com\nproviders:\n  - {id: dex, issuer: https://dex.example.com, client_id: c, client_secret: {env: DEX_SECRET}, scopes: ['openid email']}\n"
        ),
        [
            "the configuration has 2 mistakes:",
            "",
            "1. countersign.yaml:3:104: providers[0].scopes",
            "`openid` is not among them, and without it there is no ID token",
            "Add `openid`.",
            "",
            "2. countersign.yaml:3:105: providers[0].scopes[0]",
            "`openid email` is no scope",
            "Write one scope an element: `[openid, email]`."
        ]
    );
}

#[test]
fn algorithms_are_signatures_by_the_provider_alone() {
    assert_eq!(
        mistake(
            "public_url: https://mesh.example.com\nproviders:\n  - {id: dex, issuer: https://dex.example.com, client_id: c, client_secret: {env: DEX_SECRET}, algorithms: [none]}\n"
        ),
        [
            "countersign.yaml:3:109: providers[0].algorithms[0]",
            "`none` is no signature: anybody could sign in as anybody",
            "Write some of RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA."
        ]
    );
    assert_eq!(
        mistake(
            "public_url: https://mesh.example.com\nproviders:\n  - {id: dex, issuer: https://dex.example.com, client_id: c, client_secret: {env: DEX_SECRET}, algorithms: [RS256, HS256]}\n"
        ),
        [
            "countersign.yaml:3:116: providers[0].algorithms[1]",
            "`HS256` is signed with the client secret, which more than one knows",
            "Write some of RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA."
        ]
    );
    assert_eq!(
        mistake(
            "public_url: https://mesh.example.com\nproviders:\n  - {id: dex, issuer: https://dex.example.com, client_id: c, client_secret: {env: DEX_SECRET}, algorithms: [RS1]}\n"
        ),
        [
            "countersign.yaml:3:109: providers[0].algorithms[0]",
            "`RS1` is not known here",
            "Write some of RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA."
        ]
    );
    assert_eq!(
        mistake(
            "public_url: https://mesh.example.com\nproviders:\n  - {id: dex, issuer: https://dex.example.com, client_id: c, client_secret: {env: DEX_SECRET}, algorithms: []}\n"
        ),
        [
            "countersign.yaml:3:108: providers[0].algorithms",
            "without any, no ID token could be good",
            "Write `[RS256]`, or leave the key out."
        ]
    );
}

#[test]
fn identity_is_read_and_judged() {
    assert_eq!(
        mistake(&good("identity: {user: {claim: ''}}\n")),
        ["countersign.yaml:4:26: identity.user.claim", "`` is no claim", "Write its name, such as `email`."]
    );
    assert_eq!(
        mistake(&good("identity: {user: {prefix: \"a\\n\"}}\n")),
        [
            "countersign.yaml:4:27: identity.user.prefix",
            "it begins with white space or holds a control character, which no header can carry",
            "Write printable characters: `corp:`."
        ]
    );
    assert_eq!(
        mistake(&good("identity: {admit: {groups: []}}\n")),
        [
            "countersign.yaml:4:28: identity.admit.groups",
            "nobody would be admitted",
            "Write groups, or `[\"*\"]` for everybody."
        ]
    );
    assert_eq!(
        mistake(&good("identity: {admit: {email_domains: ['@example.com']}}\n")),
        [
            "countersign.yaml:4:36: identity.admit.email_domains[0]",
            "`@example.com` is no domain",
            "Write what stands behind the `@`: `example.com`."
        ]
    );
}

#[test]
fn providers_that_answer_at_the_same_path_are_refused() {
    let said = |a: &str, b: &str| {
        let provider = |id, uri: &str| {
            format!(
                "  - {{id: {id}, issuer: https://{id}.example.com, client_id: c, client_auth: none, identity: {{user: {{prefix: '{id}:'}}}}{uri}}}\n"
            )
        };
        mistake(&format!("public_url: https://mesh.example.com\nproviders:\n{}{}", provider("a", a), provider("b", b)))
    };
    let what = |path: &str| format!("`b` would answer at `{path}` as `a` does, and let one be taken for the other");
    let instead = "Leave `redirect_uri` out, or give each a path that ends in its id: `/oauth2/callback/b`.";
    let at = "countersign.yaml:4:125: providers[1].redirect_uri";
    for (a, b) in [
        ("/oauth2/callback", "/oauth2/callback"),
        ("/oauth2/callback", "https://mesh.example.com/oauth2/callback"),
        ("https://lab.example.com/oauth2/callback?x", "https://mesh.example.com/oauth2/callback"),
    ] {
        let uri = |uri| format!(", redirect_uri: '{uri}'");
        assert_eq!(said(&uri(a), &uri(b)), [at, &*what("/oauth2/callback"), instead], "{a} {b}");
    }
    assert_eq!(
        said(", redirect_uri: /oauth2/callback/b", ""),
        ["countersign.yaml:4:5: providers[1].redirect_uri", &*what("/oauth2/callback/b"), instead]
    );
    for (a, b) in [("", ", redirect_uri: /oauth2/callback"), (", redirect_uri: /oauth2/callback/a", "")] {
        assert_eq!(said(a, b), ["(nothing)"], "{a} {b}");
    }
}

#[test]
fn a_redirect_uri_that_cannot_be_answered_is_refused() {
    let instead = "Write another path, as it is registered at the provider: `/oauth2/callback`.";
    for (uri, what) in [
        ("https://mesh.example.com", "`/` is no path that browsers can come back to"),
        ("/a%2Fb", "`/a%2Fb` is no path that browsers can come back to"),
        ("/a//b", "`/a//b` is no path that browsers can come back to"),
        ("/{a}", "`/%7Ba%7D` is no path that browsers can come back to"),
        ("/oauth2/sign_out", "`/oauth2/sign_out` is ours already"),
        ("/oauth2/sessions", "`/oauth2/sessions` is ours already"),
        ("/oauth2/backchannel_logout/dex", "`/oauth2/backchannel_logout/dex` is ours already"),
        ("https://mesh.example.com/.well-known/jwks.json", "`/.well-known/jwks.json` is ours already"),
        ("/check/x", "`/check/x` is ours already"),
    ] {
        let text = good("").replace("client_secret:", &format!("redirect_uri: '{uri}', client_secret:"));
        assert_eq!(mistake(&text), ["countersign.yaml:3:86: providers[0].redirect_uri", what, instead], "{uri}");
    }
    let text = good("").replace("client_secret:", "redirect_uri: /login/oidc, client_secret:");
    assert_eq!(mistake(&text), ["(nothing)"]);
}

#[test]
fn providers_whose_users_could_collide_are_refused() {
    assert_eq!(
        mistake(
            "public_url: https://mesh.example.com\nproviders:\n  - {id: a, issuer: https://a.example.com, client_id: c, client_auth: none}\n  - {id: b, issuer: https://b.example.com, client_id: c, client_auth: none}\n"
        ),
        [
            "countersign.yaml:4:5: providers[1]",
            "`b` could name a user exactly as `a` does, and let one be taken for the other",
            "Give each its own `identity: {user: {prefix: …}}`, none the beginning of another; or, where users are named by `email`, its own `identity: {admit: {email_domains: […]}}`."
        ]
    );
    assert_eq!(
        mistake(
            "public_url: https://mesh.example.com\nproviders:\n  - {id: a, issuer: https://a.example.com, client_id: c, client_auth: none, identity: {user: {prefix: 'a:'}}}\n  - {id: b, issuer: https://b.example.com, client_id: c, client_auth: none}\n"
        ),
        [
            "countersign.yaml:4:5: providers[1]",
            "`b` could name a user exactly as `a` does, and let one be taken for the other",
            "Give each its own `identity: {user: {prefix: …}}`, none the beginning of another; or, where users are named by `email`, its own `identity: {admit: {email_domains: […]}}`."
        ]
    );
    assert_eq!(
        mistake(
            "public_url: https://mesh.example.com\nproviders:\n  - {id: a, issuer: https://a.example.com, client_id: c, client_auth: none, identity: {user: {prefix: 'a'}}}\n  - {id: b, issuer: https://b.example.com, client_id: c, client_auth: none, identity: {user: {prefix: 'ab'}}}\n"
        ),
        [
            "countersign.yaml:4:5: providers[1]",
            "`b` could name a user exactly as `a` does, and let one be taken for the other",
            "Give each its own `identity: {user: {prefix: …}}`, none the beginning of another; or, where users are named by `email`, its own `identity: {admit: {email_domains: […]}}`."
        ]
    );
    assert_eq!(
        mistake(
            "public_url: https://mesh.example.com\nproviders:\n  - {id: a, issuer: https://a.example.com, client_id: c, client_auth: none, identity: {admit: {email_domains: [example.com, x.org]}}}\n  - {id: b, issuer: https://b.example.com, client_id: c, client_auth: none, identity: {admit: {email_domains: [x.org]}}}\n"
        ),
        [
            "countersign.yaml:4:5: providers[1]",
            "`b` could name a user exactly as `a` does, and let one be taken for the other",
            "Give each its own `identity: {user: {prefix: …}}`, none the beginning of another; or, where users are named by `email`, its own `identity: {admit: {email_domains: […]}}`."
        ]
    );
    assert_eq!(
        mistake(
            "public_url: https://mesh.example.com\nproviders:\n  - {id: a, issuer: https://a.example.com, client_id: c, client_auth: none, identity: {admit: {email_domains: [a.org]}}}\n  - {id: b, issuer: https://b.example.com, client_id: c, client_auth: none, identity: {admit: {email_domains: ['*']}}}\n"
        ),
        [
            "countersign.yaml:4:5: providers[1]",
            "`b` could name a user exactly as `a` does, and let one be taken for the other",
            "Give each its own `identity: {user: {prefix: …}}`, none the beginning of another; or, where users are named by `email`, its own `identity: {admit: {email_domains: […]}}`."
        ]
    );
    assert_eq!(
        mistake(
            "public_url: https://mesh.example.com\nproviders:\n  - {id: a, issuer: https://a.example.com, client_id: c, client_auth: none, identity: {user: {claim: sub}, admit: {email_domains: [a.org]}}}\n  - {id: b, issuer: https://b.example.com, client_id: c, client_auth: none, identity: {user: {claim: sub}, admit: {email_domains: [b.org]}}}\n"
        ),
        [
            "countersign.yaml:4:5: providers[1]",
            "`b` could name a user exactly as `a` does, and let one be taken for the other",
            "Give each its own `identity: {user: {prefix: …}}`, none the beginning of another; or, where users are named by `email`, its own `identity: {admit: {email_domains: […]}}`."
        ]
    );
    assert_eq!(
        mistake(
            "public_url: https://mesh.example.com\nproviders:\n  - {id: a, issuer: https://a.example.com, client_id: c, client_auth: none}\n  - {id: a, issuer: https://b.example.com, client_id: c, client_auth: none}\n"
        ),
        ["countersign.yaml:4:10: providers[1].id", "another provider is called `a` too", "Give each its own id."]
    );
}
