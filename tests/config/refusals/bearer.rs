use crate::support::{Home, good, mistake};

/// A source that nothing is wrong with, but for what is put in the place of a piece of it.
fn jwt(piece: &str, instead: &str) -> Vec<String> {
    let text = "bearer:
  - {kind: jwt, id: robots, issuer: 'https://robots.example.com', audiences: [mesh], algorithms: [RS256], identity: {user: {claim: sub, prefix: 'robot:'}}}
";
    assert!(text.contains(piece), "{piece}");
    let provider = "identity: {user: {prefix: 'corp:'}}\n";
    mistake(&good(&format!("{}{provider}", text.replace(piece, instead))))
}

/// The same for a proxy in front.
fn proxy(text: &str) -> Vec<String> {
    let identity = "identity: {user: {prefix: 'front:'}}";
    mistake(&good(&format!("front_proxy: {{{text}, {identity}}}\nidentity: {{user: {{prefix: 'corp:'}}}}\n")))
}

#[test]
fn good_sources_are_good() {
    assert_eq!(jwt("robots", "robots"), ["(nothing)"]);
    for proxied in [
        "kind: google-iap, audience: /projects/1/global/backendServices/2",
        "kind: cloudflare-access, issuer: 'https://team.cloudflareaccess.com', audience: 4714c1358e65",
        "kind: aws-alb, issuer: 'https://login.example.com', client_id: c, arn: 'arn:aws:elasticloadbalancing:eu-central-1:1:loadbalancer/app/mesh/50'",
    ] {
        assert_eq!(proxy(proxied), ["(nothing)"], "{proxied}");
    }
    // Whoever comes from one issuer is called the same, however they come; no service account is called as an address.
    let both = "bearer:
  - {kind: jwt, issuer: 'https://dex.example.com', audiences: [mesh], algorithms: [RS256]}
  - {kind: kubernetes, audiences: [mesh]}
  - {kind: introspection, introspection_url: 'https://robots.example.com/introspect', client_id: c, client_secret: {env: DEX_SECRET}, audiences: [mesh], identity: {user: {prefix: 'opaque:'}}}
  - {kind: session, header: x-auth-token}
";
    let prefixed = both.replace("kind: kubernetes,", "kind: kubernetes, identity: {user: {prefix: 'sa:'}},");
    let corp = "identity: {user: {prefix: 'corp:'}}\n";
    assert_eq!(mistake(&good(&format!("{prefixed}{corp}"))), ["(nothing)"]);
}

#[test]
fn a_source_is_complete() {
    assert_eq!(
        mistake(&good("bearer:\n  - {issuer: 'https://robots.example.com'}\n")),
        [
            "countersign.yaml:5:5: bearer[0].kind",
            "it is missing",
            "Write `jwt`, `introspection`, `kubernetes` or `session`."
        ]
    );
    assert_eq!(
        mistake(&good(
            "bearer:\n  - {kind: jwt, identity: {user: {prefix: 'robot:'}}}\nidentity: {user: {prefix: 'corp:'}}\n"
        )),
        [
            "the configuration has 3 mistakes:",
            "",
            "1. countersign.yaml:5:5: bearer[0].issuer",
            "it is missing",
            "Write the issuer as the provider's discovery document says it: `https://dex.example.com`.",
            "",
            "2. countersign.yaml:5:5: bearer[0].audiences",
            "without an audience, tokens that others were given would be good here",
            "Write what its tokens for us name in `aud`: `[countersign]`.",
            "",
            "3. countersign.yaml:5:5: bearer[0].algorithms",
            "it is missing",
            "Write how its tokens are signed: `[RS256]`."
        ]
    );
    assert_eq!(
        mistake(&good(
            "bearer:\n  - {kind: introspection, identity: {user: {prefix: 'robot:'}}}\nidentity: {user: {prefix: 'corp:'}}\n"
        )),
        [
            "the configuration has 4 mistakes:",
            "",
            "1. countersign.yaml:5:5: bearer[0].introspection_url",
            "it is missing",
            "Write the endpoint that says whose a token is: `https://…/introspect`.",
            "",
            "2. countersign.yaml:5:5: bearer[0].client_id",
            "it is missing",
            "Write our client id there.",
            "",
            "3. countersign.yaml:5:5: bearer[0].client_secret",
            "it is missing",
            "Write `client_secret: {file: /path/to/it}`.",
            "",
            "4. countersign.yaml:5:5: bearer[0].audiences",
            "without `audiences` or `scopes`, tokens that others were given would be good here",
            "Write what its tokens for us name in `aud` or `scope`: `audiences: [countersign]`; or `audiences: ['*']`, if all that the endpoint calls active are for us."
        ]
    );
}

#[test]
fn what_would_let_strangers_in_is_refused() {
    for (piece, instead, expected) in [
        (
            "audiences: [mesh]",
            "audiences: []",
            [
                "countersign.yaml:5:78: bearer[0].audiences",
                "without an audience, tokens that others were given would be good here",
                "Write what its tokens for us name in `aud`: `[countersign]`.",
            ],
        ),
        (
            "audiences: [mesh]",
            "audiences: ['']",
            [
                "countersign.yaml:5:79: bearer[0].audiences[0]",
                "it is empty",
                "Write what its tokens for us name in `aud`.",
            ],
        ),
        (
            "audiences: [mesh]",
            "audiences: ['*']",
            [
                "countersign.yaml:5:79: bearer[0].audiences[0]",
                "`*` is no audience, and if it were all of them, tokens that others were given would be good here",
                "Write what its tokens for us name in `aud`: `[countersign]`.",
            ],
        ),
        (
            "algorithms: [RS256]",
            "algorithms: [HS256]",
            [
                "countersign.yaml:5:99: bearer[0].algorithms[0]",
                "`HS256` is signed with the client secret, which more than one knows",
                "Write some of RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA.",
            ],
        ),
        (
            "algorithms: [RS256]",
            "algorithms: [none]",
            [
                "countersign.yaml:5:99: bearer[0].algorithms[0]",
                "`none` is no signature: anybody could sign in as anybody",
                "Write some of RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA.",
            ],
        ),
        (
            "https://robots.example.com",
            "https://mesh.example.com",
            [
                "countersign.yaml:5:37: bearer[0].issuer",
                "it is token.issuer: tokens of ours are no credentials, for every workload holds some",
                "Write the issuer of the tokens that come from outside, or take the source out.",
            ],
        ),
        (
            "prefix: 'robot:'",
            "prefix: 'corp:x'",
            [
                "countersign.yaml:5:5: bearer[0]",
                "`robots` could name a user exactly as `dex` does, and let one be taken for the other",
                "`dex` puts `corp:` before its users' names, so that one of them may be called `corp:x…`: give it a `prefix` with another beginning (its users then have new names); or name users by `email` on both sides, each with its own `identity: {admit: {email_domains: […]}}`, without prefixes.",
            ],
        ),
        (
            "id: robots",
            "id: dex",
            [
                "countersign.yaml:5:21: bearer[0].id",
                "a provider or another source is called `dex`, too",
                "Give each its own id.",
            ],
        ),
        (
            "id: robots",
            "id: Robots",
            [
                "countersign.yaml:5:21: bearer[0].id",
                "`Robots` is no id: it may hold only a-z, 0-9, '-', '_' and '.'",
                "Write a short name: `robots`.",
            ],
        ),
        (
            "id: robots",
            "cache_for: 2h",
            [
                "countersign.yaml:5:28: bearer[0].cache_for",
                "it is longer than 1h, and what is revoked meanwhile would still be believed",
                "Write 1h or less.",
            ],
        ),
        (
            "id: robots",
            "jwks_url: nowhere",
            ["countersign.yaml:5:27: bearer[0].jwks_url", "`nowhere` is no URL", "Write `https://…`."],
        ),
    ] {
        assert_eq!(jwt(piece, instead), expected, "{instead}");
    }
}

/// An opaque source that nothing is wrong with, but for `keys` and where it is.
fn opaque(url: &str, keys: &str) -> Vec<String> {
    let text = format!(
        "bearer:
  - {{kind: introspection, introspection_url: '{url}', client_id: c, client_secret: {{env: DEX_SECRET}}, identity: {{user: {{prefix: 'o:'}}}}{keys}}}
identity: {{user: {{prefix: 'corp:'}}}}
"
    );
    mistake(&good(&text))
}

#[test]
fn an_opaque_token_is_for_us_by_its_audience_or_its_scopes_or_by_our_word() {
    let here = "https://a.example.com/i";
    for keys in ["audiences: [mesh]", "scopes: [mesh]", "audiences: ['*']", "audiences: ['*'], scopes: [mesh]"] {
        assert_eq!(opaque(here, &format!(", {keys}")), ["(nothing)"], "{keys}");
    }
    assert_eq!(
        opaque(here, ""),
        [
            "countersign.yaml:5:5: bearer[0].audiences",
            "without `audiences` or `scopes`, tokens that others were given would be good here",
            "Write what its tokens for us name in `aud` or `scope`: `audiences: [countersign]`; or `audiences: ['*']`, if all that the endpoint calls active are for us."
        ]
    );
    for keys in [", scopes: []", ", audiences: []", ", audiences: [mesh, '*']", ", audiences: ['']"] {
        assert!(opaque(here, keys)[0].contains("bearer[0].audiences"), "{keys}: {:?}", opaque(here, keys));
    }
}

#[test]
fn neither_tokens_nor_keys_travel_far_over_plain_http() {
    let balancer = "kind: aws-alb, issuer: 'https://login.example.com', client_id: c, arn: 'arn:aws:elasticloadbalancing:eu-central-1:1:loadbalancer/app/mesh/50', keys_url:";
    for near in ["http://127.0.0.1/i", "http://10.1.2.3/i", "http://hydra.auth.svc.cluster.local/i", "http://hydra/i"] {
        assert_eq!(opaque(near, ", audiences: [mesh]"), ["(nothing)"], "{near}");
        assert_eq!(proxy(&format!("{balancer} '{near}'")), ["(nothing)"], "{near}");
    }
    assert_eq!(
        opaque("http://a.example.com/i", ", audiences: [mesh]"),
        [
            "countersign.yaml:5:46: bearer[0].introspection_url",
            "it is plain http: tokens and our client secret would travel there",
            "Write https://."
        ]
    );
    assert_eq!(
        jwt("id: robots", "jwks_url: 'http://robots.example.com/keys'"),
        [
            "countersign.yaml:5:27: bearer[0].jwks_url",
            "it is plain http: whoever sits on the way decides whose tokens are good",
            "Write https://."
        ]
    );
    assert_eq!(
        proxy(&format!("{balancer} 'http://keys.example.com/'")),
        [
            "countersign.yaml:4:168: front_proxy.keys_url",
            "it is plain http: whoever sits on the way decides whose tokens are good",
            "Write https://."
        ]
    );
}

#[test]
fn whom_a_provider_turns_away_does_not_come_by_a_token_unless_that_is_written() {
    let warnings = |provider: &str, source: &str, all: &str| {
        let text = format!(
            "public_url: https://mesh.example.com
providers:
  - {{id: dex, issuer: https://dex.example.com, client_id: c, client_auth: none, identity: {{{provider}}}}}
bearer:
  - {{kind: jwt, issuer: 'https://dex.example.com', audiences: [mesh], algorithms: [RS256], identity: {{{source}}}}}
identity: {{{all}}}
"
        );
        Home::new().warnings(&text, &[])
    };
    let (staff, everybody) = ("admit: {groups: [staff]}", "admit: {groups: ['*']}");
    assert_eq!(
        warnings(staff, "", ""),
        "countersign.yaml:5:5: bearer[0]\n   it does not ask whom `dex` admits, which has the same issuer: whoever may \
         not sign in there may bring a token\n   Write its own `identity: {admit: {…}}`, with what the provider has or \
         whom else you mean."
    );
    assert!(warnings(staff, "", "admit: {groups: [interns]}").contains("`dex` admits"), "others than the provider's");
    for (provider, source, all) in [
        ("", "", ""),
        ("", "", staff),
        (everybody, "", staff),
        (staff, staff, ""),
        (staff, everybody, ""),
        (staff, "", staff),
    ] {
        assert_eq!(warnings(provider, source, all), "", "{provider} {source} {all}");
    }
}

#[test]
fn what_is_written_must_count() {
    assert_eq!(
        jwt("id: robots", "header: x-token"),
        [
            "countersign.yaml:5:17: bearer[0].header",
            "it means nothing for the kind `jwt`",
            "Leave it out; the keys of this kind are `id`, `issuer`, `audiences`, `algorithms`, `jwks_url`, `cache_for`, `identity`."
        ]
    );
    assert_eq!(
        mistake(&good("bearer:\n  - {kind: session, audiences: [mesh]}\n")),
        [
            "countersign.yaml:5:21: bearer[0].audiences",
            "it means nothing for the kind `session`",
            "Leave it out; the keys of this kind are `header`."
        ]
    );
    assert_eq!(
        proxy("kind: google-iap, audience: /projects/1, arn: x"),
        [
            "countersign.yaml:4:56: front_proxy.arn",
            "it means nothing for the kind `google-iap`",
            "Leave it out; the keys of this kind are `id`, `audience`, `keys_url`, `identity`."
        ]
    );
}

#[test]
fn no_source_is_shown_what_is_for_another() {
    let introspection = "  - {kind: introspection, introspection_url: 'https://a.example.com/i', client_id: c, client_secret: {env: DEX_SECRET}, audiences: [mesh], id: ID, identity: {user: {prefix: 'ID:'}}}\n";
    let corp = "identity: {user: {prefix: 'corp:'}}\n";
    let two = format!("bearer:\n{}{}{corp}", introspection.replace("ID", "a"), introspection.replace("ID", "b"));
    assert_eq!(
        mistake(&good(&two)),
        [
            "countersign.yaml:6:12: bearer[1].kind",
            "another source is for opaque tokens, too, and would be shown those of this one",
            "Write one source of kind `introspection`."
        ]
    );
    let jwt = "  - {kind: jwt, id: ID, issuer: 'https://a.example.com', audiences: [AUD], algorithms: [RS256], identity: {user: {prefix: 'a:'}}}\n";
    let two = format!("bearer:\n{}{}{corp}", jwt.replace("ID", "a"), jwt.replace("ID", "b"));
    assert_eq!(
        mistake(&good(&two)),
        [
            "countersign.yaml:6:32: bearer[1].issuer",
            "another source is for the tokens of `https://a.example.com`, too",
            "Write one source for an issuer, with all audiences."
        ]
    );
    assert_eq!(
        mistake(&good("bearer:\n  - kind: session\n  - kind: session\n")),
        ["countersign.yaml:6:11: bearer[1].kind", "sessions are a source already", "Take one of the two out."]
    );
}

#[test]
fn a_session_comes_in_a_header_that_means_nothing_else() {
    for header in ["cookie", "kubeflow-userid", "host"] {
        assert_eq!(
            mistake(&good(&format!("bearer:\n  - {{kind: session, header: {header}}}\n"))),
            [
                "countersign.yaml:5:29: bearer[0].header",
                "this header has a meaning of its own",
                "Write `authorization`, or a name such as `x-auth-token`."
            ]
        );
    }
}

#[test]
fn a_proxy_in_front_is_known_by_whatever_names_it_alone() {
    assert_eq!(
        proxy("id: front"),
        [
            "countersign.yaml:4:14: front_proxy.kind",
            "it is missing",
            "Write `aws-alb`, `google-iap` or `cloudflare-access`."
        ]
    );
    assert_eq!(
        proxy("kind: google-iap, audience: mesh"),
        [
            "countersign.yaml:4:43: front_proxy.audience",
            "`mesh` is no audience of IAP",
            "Write `/projects/NUMBER/global/backendServices/ID`."
        ]
    );
    let balancer = "kind: aws-alb, issuer: 'https://login.example.com', client_id: c, arn: ";
    for arn in [
        "mesh",
        "arn:aws:elasticloadbalancing:EU:1:loadbalancer/app/mesh/50",
        "arn:aws:elasticloadbalancing:eu-central-1.evil.example/:1:loadbalancer/app/mesh/50",
    ] {
        assert_eq!(
            proxy(&format!("{balancer}'{arn}'")),
            [
                "countersign.yaml:4:86: front_proxy.arn",
                &format!("`{arn}` is no ARN of an application load balancer"),
                "Write the load balancer's ARN: `arn:aws:elasticloadbalancing:REGION:ACCOUNT:loadbalancer/app/…`."
            ]
        );
    }
    assert_eq!(
        proxy(&format!("{balancer}'arn:aws-cn:elasticloadbalancing:cn-north-1:1:loadbalancer/app/mesh/50'")),
        [
            "countersign.yaml:4:14: front_proxy.keys_url",
            "where the keys of the partition `aws-cn` are is not known here",
            "Write the address that stands before a key's id."
        ]
    );
    assert_eq!(
        mistake(&good("front_proxy: {kind: google-iap, audience: /projects/1}\n")),
        [
            "countersign.yaml:4:14: front_proxy",
            "`google-iap` could name a user exactly as `dex` does, and let one be taken for the other",
            "Give it its own `identity: {user: {prefix: …}}`, none the beginning of another; or, where users are named by `email`, its own `identity: {admit: {email_domains: […]}}`."
        ]
    );
}

#[test]
fn what_is_said_for_all_is_said_for_sources_too() {
    let text = "bearer:
  - {kind: jwt, id: robots, issuer: 'https://robots.example.com', audiences: [mesh], algorithms: [RS256], identity: {user: {prefix: 'robot:'}}}
  - {kind: kubernetes, audiences: [mesh], identity: {user: {prefix: 'sa:'}}}
identity: {user: {claim: sub, prefix: 'corp:'}, admit: {groups: [ml]}}
";
    let loaded = Home::new().load(&good(text), &[]).unwrap_or_else(|errors| panic!("{errors}"));
    let printed = format!("{:?}", loaded.settings.bearer);
    assert_eq!(printed.matches("user_claim: \"sub\"").count(), 1, "the cluster has claims of its own: {printed}");
    assert_eq!(printed.matches("groups: [\"ml\"]").count(), 1);
    assert_eq!(printed.matches("groups: [\"*\"]").count(), 1);
}

#[test]
fn what_sources_could_say_of_the_users_of_others_is_warned_of() {
    let home = Home::new();
    let said = |rest: &str| {
        let provider = "{id: staff, issuer: https://staff.example.com, client_id: c, client_auth: none, identity: {user: {prefix: 's:'}}}";
        home.warnings(&format!("public_url: https://mesh.example.com\nproviders:\n  - {provider}\n{rest}"), &[])
    };
    let jwt = |more: &str| {
        let kind = "kind: jwt, id: robots, audiences: [mesh], algorithms: [RS256]";
        format!("bearer:\n  - {{{kind}, {more}}}\n")
    };
    let strangers = jwt("issuer: https://robots.example.com, identity: {user: {prefix: 'r:'}}");
    assert_eq!(
        said(&strangers),
        "countersign.yaml:5:3: bearer\n   groups of providers and sources are not kept apart: whoever runs `robots` can \
         give its users those of `staff`\n   Name users instead (`users` in rules, `user` in headers), which no other \
         provider can; or let nobody run a provider who may not speak for all."
    );
    let only_user = "headers: {x-user: user}\n";
    for (rest, what) in [
        ("headers: {x-mail: email}\n", "e-mail addresses of"),
        ("rules:\n  - {path: /a, access: {groups: [ops]}}\nheaders: {x-user: user}\n", "groups of"),
    ] {
        let said = said(&format!("{strangers}{rest}"));
        assert!(said.contains(&format!("   {what} providers and sources")), "{rest}: {said}");
    }
    let introspection = "bearer:\n  - {kind: introspection, introspection_url: https://x.example.com/i, client_id: c, \
                         client_secret: s, scopes: [mesh], identity: {user: {prefix: 'o:'}}}\n";
    assert!(said(introspection).contains("whoever runs `introspection` can give its users those of `staff`"));
    let proxy = "front_proxy: {kind: google-iap, audience: /projects/1/global/backendServices/2, identity: {user: {prefix: 'g:'}}}\n";
    assert!(said(proxy).starts_with("countersign.yaml:4:14: front_proxy\n"), "{}", said(proxy));
    for harmless in [
        format!("{strangers}{only_user}"),
        // The provider's own tokens: whoever runs it speaks for them anyway.
        jwt("issuer: https://staff.example.com, identity: {user: {prefix: 's:'}}"),
        // A cluster gives service accounts its own groups.
        "bearer:\n  - {kind: kubernetes, audiences: [mesh]}\n  - {kind: session}\n".to_owned(),
    ] {
        assert_eq!(said(&harmless), "", "{harmless}");
    }
    let by_group = "bearer:\n  - {kind: kubernetes, audiences: [mesh]}\nrules:\n  - {path: /a, access: {groups: ['system:serviceaccounts:ci']}}\n";
    assert_eq!(
        said(by_group),
        "countersign.yaml:7:3: rules\n   rules name groups of service accounts, and whoever runs `staff` can give its \
         users those of `kubernetes`\n   Name users instead (`users` in rules, `user` in headers), which no other \
         provider can; or let nobody run a provider who may not speak for all."
    );
}
