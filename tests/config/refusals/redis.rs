use countersign::config::RedisMode;

use crate::support::{Home, good, mistake};

/// What a shared store needs besides its servers; `redis` stands on line 6, from column 5.
fn shared(redis: &str) -> String {
    good(&format!(
        "token: {{keys: {{dir: /etc/countersign/keys}}}}\nsession: {{store: redis, keys: [{KEY}], redis:\n    {redis}}}\n"
    ))
}

const KEY: &str = "csk1_AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE";

#[test]
fn a_shared_store_is_read() {
    let text = shared(
        "{mode: sentinel, urls: [rediss://one:26379, rediss://two:26379], master: sessions, username: cs, password: {env: \
         DEX_SECRET}}",
    );
    let redis = Home::new().load(&text, &[]).expect("good").settings.session.redis.expect("a Redis");
    assert!(matches!(&redis.mode, RedisMode::Sentinel { master, .. } if master == "sessions"));
    assert_eq!(redis.urls.len(), 2);
    assert_eq!(redis.username.as_deref(), Some("cs"));
    assert_eq!(redis.password.expect("a password").expose(), "s3cret");
}

#[test]
fn replicas_need_the_same_keys() {
    let without = "session: {store: redis, redis: {urls: [redis://redis:6379]}}\ntoken: {keys: {dir: /etc/keys}}\n";
    assert_eq!(
        mistake(&good(without)),
        [
            "countersign.yaml:4:10: session.keys",
            "several replicas need the same keys: what one seals, the others open",
            "Make one by `countersign session-keys init`, keep it in a Secret, and write `keys: {dir: …}`."
        ]
    );
    let without = format!("session: {{store: redis, keys: [{KEY}], redis: {{urls: [redis://redis:6379]}}}}\n");
    assert_eq!(
        mistake(&good(&without))[1..],
        [
            "several replicas need the same signing keys: the mesh is told of one set",
            "Make them by `countersign keys init --dir DIR`, keep them in a Secret, and write `keys: {dir: …}`."
        ]
    );
}

#[test]
fn the_servers_are_named_where_they_are_asked() {
    let text = format!("token: {{keys: {{dir: /etc/keys}}}}\nsession: {{store: redis, keys: [{KEY}]}}\n");
    assert_eq!(
        mistake(&good(&text))[1..],
        ["sessions are to be kept in Redis, and none is named", "Write `redis: {urls: [redis://redis:6379]}`."]
    );
    assert_eq!(
        mistake(&good("session: {redis: {urls: [redis://redis:6379]}}\n")),
        [
            "countersign.yaml:4:18: session.redis",
            "sessions are kept in `embedded`, so nobody asks it",
            "Write `store: redis` beside it, or take it out."
        ]
    );
    assert_eq!(mistake(&shared("{urls: []}"))[1..], ["no server is named", "Write `urls: [redis://redis:6379]`."]);
}

#[test]
fn an_address_is_one_and_gives_nothing_away() {
    for wrong in ["http://redis:6379", "redis", "redis://redis:6379/3", "redis://redis?x=y"] {
        assert_eq!(
            mistake(&shared(&format!("{{urls: ['{wrong}']}}"))),
            [
                "countersign.yaml:6:13: session.redis.urls[0]",
                "it is no address of a Redis",
                "Write `redis://host:port`, or `rediss://host:port` for TLS."
            ],
            "{wrong}"
        );
    }
    assert_eq!(
        mistake(&shared("{urls: ['redis://:hunter2@redis:6379']}"))[1..],
        [
            "it holds a user or a password, which addresses give away in logs",
            "Write `username:` and `password: {file: …}` beside `urls:`."
        ]
    );
    assert_eq!(
        mistake(&shared("{mode: cluster, urls: [redis://one:6379, rediss://two:6379]}")),
        [
            "countersign.yaml:6:46: session.redis.urls[1]",
            "some servers are asked over TLS, others not",
            "Write all of them with one scheme."
        ]
    );
}

#[test]
fn what_goes_in_the_clear_is_said() {
    let of_no_use = mistake(&shared("{urls: [redis://redis:6379], ca: /nowhere}"));
    assert!(of_no_use.iter().any(|line| line.contains("without TLS, so that it vouches for nobody")), "{of_no_use:?}");
    let warned = |redis: &str| Home::new().warnings(&shared(redis), &[("REDIS_PASSWORD", "s3cret")]);
    let far = warned("{urls: [redis://redis:6379], password: {env: REDIS_PASSWORD}}");
    assert!(far.contains("the password goes to other machines without TLS"), "{far}");
    for fine in [
        "{urls: [rediss://redis:6379], password: {env: REDIS_PASSWORD}}",
        "{urls: ['redis://127.0.0.1:6379'], password: {env: REDIS_PASSWORD}}",
        "{urls: ['redis://[::1]:6379'], password: {env: REDIS_PASSWORD}}",
        "{urls: [redis://localhost:6379], password: {env: REDIS_PASSWORD}}",
        "{urls: [redis://redis:6379]}",
    ] {
        assert!(!warned(fine).contains("without TLS"), "{fine}");
    }
}

#[test]
fn what_belongs_together_is_said_together() {
    assert_eq!(
        mistake(&shared("{mode: sentinel, urls: [redis://one:26379]}"))[1..],
        [
            "sentinels watch over several primaries, and know each by a name",
            "Write theirs, as `sentinel monitor NAME …` has it: `master: mymaster`."
        ]
    );
    assert_eq!(
        mistake(&shared("{urls: [redis://one:6379], master: sessions}")),
        [
            "countersign.yaml:6:32: session.redis.master",
            "it is for sentinels",
            "Write `mode: sentinel`, or take it out."
        ]
    );
    assert_eq!(
        mistake(&shared("{urls: [redis://one:6379, redis://two:6379]}"))[1..],
        ["one server is meant, and several are named", "Write `mode: sentinel` or `mode: cluster`, or leave one."]
    );
}

#[test]
fn grace_is_short_and_only_where_it_is_written() {
    let grace = |text: &str| {
        let settings = Home::new().load(&shared(text), &[]).expect("good").settings;
        settings.session.redis.expect("a Redis").grace.as_secs()
    };
    assert_eq!(grace("{urls: [redis://one:6379]}"), 0);
    assert_eq!(grace("{urls: [redis://one:6379], grace: 0s}"), 0);
    assert_eq!(grace("{urls: [redis://one:6379], grace: 5m}"), 300);
    assert_eq!(
        mistake(&shared("{urls: [redis://one:6379], grace: 301s}")),
        [
            "countersign.yaml:6:39: session.redis.grace",
            "it is longer than 5m, and nobody notices meanwhile who is signed out elsewhere",
            "Write 5m or less; `0s` is the default."
        ]
    );
    assert_eq!(
        mistake(&shared("{urls: [redis://one:6379], grace: 1500ms}"))[1..],
        ["it is not a whole number of seconds", "Write whole seconds: `30s`."]
    );
    assert_eq!(
        mistake(&shared("{urls: [redis://one:6379], grace: a while}"))[1..],
        ["`a while` is no duration", "Write a number and a unit: `24h`, `15m`, `30s`, `1h30m`."]
    );
}

#[test]
fn authorities_are_in_a_file_of_certificates() {
    let home = Home::new();
    let path = home.write("ca.pem", "no certificate");
    let with = |path: &str| shared(&format!("{{urls: [rediss://one:6379], ca: {path}}}"));
    let said = home.refusal(&with(path.to_str().expect("a path")), &[]);
    assert!(said.contains("session.redis.ca") && said.contains("ca.pem holds no certificate in PEM"), "{said}");
    let said = home.refusal(&with("/nowhere/ca.pem"), &[]);
    assert!(said.contains("/nowhere/ca.pem cannot be read") && said.contains("this process may read"), "{said}");
}

#[test]
fn session_keys_may_be_a_directory() {
    let with = |keys: &str| {
        good(&format!(
            "token: {{keys: {{dir: /etc/keys}}}}\nsession: {{store: redis, redis: {{urls: [redis://redis:6379]}}, keys: {keys}}}\n"
        ))
    };
    let settings = Home::new().load(&with("{dir: /etc/session-keys}"), &[]).expect("good").settings;
    assert_eq!(settings.session_keys_dir.as_deref(), Some(std::path::Path::new("/etc/session-keys")));
    assert!(settings.session.keys.is_empty());
    let alone = "session: {keys: {dir: ''}}\n";
    assert_eq!(
        mistake(&good(alone)),
        [
            "countersign.yaml:4:23: session.keys.dir",
            "no directory is named",
            "Write `{dir: /etc/countersign-session-keys}`, or a list of keys."
        ]
    );
    assert_eq!(
        mistake(&good("session: {keys: {dir: /etc/keys, file: /etc/key}}\n")),
        ["countersign.yaml:4:34: session.keys.file", "there is no such key", "The keys here are `dir`."]
    );
    assert_eq!(
        mistake(&good("session: {keys: /etc/keys}\n"))[1..],
        ["it is a text", "Write a list of keys, or {dir: …}."]
    );
}
