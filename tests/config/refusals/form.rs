use crate::support::{good, mistake};

#[test]
fn unknown_keys_are_refused_and_the_near_one_is_named() {
    assert_eq!(
        mistake(&good("sesion: {}\n")),
        ["countersign.yaml:4:1: sesion", "there is no such key", "Write `session`."]
    );
    assert_eq!(
        mistake(&good("session: {max_agee: 3h}\n")),
        ["countersign.yaml:4:11: session.max_agee", "there is no such key", "Write `max_age`."]
    );
    assert_eq!(
        mistake(&good("session: {ttl: 3h}\n")),
        [
            "countersign.yaml:4:11: session.ttl",
            "there is no such key",
            "The keys here are `store`, `max_age`, `idle`, `renew_every`, `keys`, `redis`."
        ]
    );
    assert_eq!(
        mistake(
            "public_url: https://mesh.example.com\nproviders:\n  - {id: dex, issuer: https://dex.example.com, client_id: c, client_secret: {env: DEX_SECRET}, client_id_file: /x}\n"
        ),
        [
            "countersign.yaml:3:96: providers[0].client_id_file",
            "there is no such key",
            "The keys here are `id`, `name`, `issuer`, `client_id`, `client_secret`, `client_auth`, `scopes`, `authorization_url`, `token_url`, `userinfo_url`, `jwks_url`, `redirect_uri`, `response_mode`, `algorithms`, `identity`."
        ]
    );
    assert_eq!(
        mistake(&good("rules:\n  - {path: /a, access: {group: [ml]}}\n")),
        ["countersign.yaml:5:25: rules[0].access.group", "there is no such key", "Write `groups`."]
    );
    assert_eq!(
        mistake(&good("unauthenticated: {others: 401}\n")),
        ["countersign.yaml:4:19: unauthenticated.others", "there is no such key", "Write `other`."]
    );
}

#[test]
fn wrong_kinds_are_refused() {
    assert_eq!(mistake(&good("session: 5\n")), ["countersign.yaml:4:10: session", "it is a text", "Write a map."]);
    assert_eq!(
        mistake(&good("session: {idle: [8h]}\n")),
        ["countersign.yaml:4:17: session.idle", "it is a list", "Write a text."]
    );
    assert_eq!(
        mistake(&good("hosts: lab.example.com\n")),
        ["countersign.yaml:4:8: hosts", "it is a text", "Write a list."]
    );
    assert_eq!(
        mistake(&good("cookie: {insecure: maybe}\n")),
        ["countersign.yaml:4:20: cookie.insecure", "it is a text", "Write true or false."]
    );
    assert_eq!(
        mistake(&good("token: {issuer: true}\n")),
        ["countersign.yaml:4:17: token.issuer", "it is true or false", "Write a text, in quotes."]
    );
    assert_eq!(
        mistake(&good("providers_: []\n")),
        ["countersign.yaml:4:1: providers_", "there is no such key", "Write `providers`."]
    );
    assert_eq!(
        mistake(
            "public_url: https://mesh.example.com\nproviders:\n  - {id: dex, issuer: https://dex.example.com, client_id: c, client_secret: {env: DEX_SECRET}, scopes: openid}\n"
        ),
        ["countersign.yaml:3:104: providers[0].scopes", "it is a text", "Write a list."]
    );
    assert_eq!(
        mistake(&good("headers: [x-user]\n")),
        ["countersign.yaml:4:10: headers", "it is a list", "Write a map from header names to what they carry."]
    );
    assert_eq!(
        mistake(&good("rules:\n  - /dex/\n")),
        ["countersign.yaml:5:5: rules[0]", "it is a text", "Write a map."]
    );
    assert_eq!(
        mistake(&good("rules:\n  - {access: [public]}\n")),
        [
            "countersign.yaml:5:14: rules[0].access",
            "it is a list",
            "Write `public`, `signed-in`, `optional` or {groups: […], users: […], domains: […]}."
        ]
    );
}

#[test]
fn a_key_without_a_value_is_refused() {
    assert_eq!(
        mistake(&good("identity:\n  admit:\n    groups:\n")),
        [
            "countersign.yaml:6:5: identity.admit.groups",
            "it has no value",
            "Write one, or leave the key out for its default."
        ]
    );
    assert_eq!(
        mistake(&good("token: {issuer: ~}\n")),
        ["countersign.yaml:4:9: token.issuer", "it has no value", "Write one, or leave the key out for its default."]
    );
}

#[test]
fn unknown_words_are_refused() {
    assert_eq!(
        mistake(&good("rules:\n  - {path: /a, access: pubic}\n")),
        ["countersign.yaml:5:24: rules[0].access", "`pubic` is not known here", "Write `public`."]
    );
    assert_eq!(
        mistake(&good("rules:\n  - {path: /a, access: everybody}\n")),
        [
            "countersign.yaml:5:24: rules[0].access",
            "`everybody` is not known here",
            "Write one of `public`, `signed-in`, `optional`."
        ]
    );
    assert_eq!(
        mistake(&good("unauthenticated: {other: 402}\n")),
        ["countersign.yaml:4:26: unauthenticated.other", "`402` is not known here", "Write `401`."]
    );
    assert_eq!(
        mistake(&good("headers: {x-user: mail}\n")),
        ["countersign.yaml:4:19: headers.x-user", "`mail` is not known here", "Write `email`."]
    );
    assert_eq!(
        mistake(&good("token: {typ: at+jwt}\n")),
        ["countersign.yaml:4:14: token.typ", "`at+jwt` is not known here", "Write `rc+jwt`."]
    );
    assert_eq!(
        mistake(&good("log: {format: text}\n")),
        ["countersign.yaml:4:15: log.format", "`text` is not known here", "Write one of `json`, `human`."]
    );
    assert_eq!(
        mistake(
            "public_url: https://mesh.example.com\nproviders:\n  - {id: dex, issuer: https://dex.example.com, client_id: c, client_secret: {env: DEX_SECRET}, client_auth: jwt}\n"
        ),
        [
            "countersign.yaml:3:109: providers[0].client_auth",
            "`jwt` is not known here",
            "Write one of `basic`, `post`, `none`."
        ]
    );
    assert_eq!(
        mistake(
            "public_url: https://mesh.example.com\nproviders:\n  - {id: dex, issuer: https://dex.example.com, client_id: c, client_secret: {env: DEX_SECRET}, response_mode: fragment}\n"
        ),
        [
            "countersign.yaml:3:111: providers[0].response_mode",
            "`fragment` is not known here",
            "Write one of `query`, `form_post`."
        ]
    );
}

#[test]
fn what_is_no_yaml_is_refused() {
    assert_eq!(
        mistake(&good("a: [\n")),
        [
            "countersign.yaml:4:4",
            "this is not YAML that can be read: unclosed bracket '['",
            "Mend the syntax; quotes, colons and indentation are the usual places."
        ]
    );
    assert_eq!(
        mistake(&good("public_url: https://other.example.com\n")),
        [
            "countersign.yaml:4:1",
            "this is not YAML that can be read: the key `public_url` is there twice",
            "Mend the syntax; quotes, colons and indentation are the usual places."
        ]
    );
    assert_eq!(
        mistake(&good("session: {<<: {idle: 8h}}\n")),
        [
            "countersign.yaml:4:11",
            "this is not YAML that can be read: YAML merge keys are not allowed by configured policy",
            "Mend the syntax; quotes, colons and indentation are the usual places."
        ]
    );
    assert_eq!(
        mistake(&good("	- a\n")),
        [
            "countersign.yaml:4:2",
            "this is not YAML that can be read: tabs disallowed within this context (block indentation)",
            "Mend the syntax; quotes, colons and indentation are the usual places."
        ]
    );
}
