use crate::support::{good, mistake};

#[test]
fn durations_are_whole_and_not_zero() {
    assert_eq!(
        mistake(&good("session: {max_age: 24}\n")),
        [
            "countersign.yaml:4:20: session.max_age",
            "`24` is no duration",
            "Write a number and a unit: `24h`, `15m`, `30s`, `1h30m`."
        ]
    );
    assert_eq!(
        mistake(&good("session: {idle: 0s}\n")),
        ["countersign.yaml:4:17: session.idle", "it is no time at all", "Write a duration: `24h`, `15m`, `1h30m`."]
    );
    assert_eq!(
        mistake(&good("session: {renew_every: 1500ms}\n")),
        [
            "countersign.yaml:4:24: session.renew_every",
            "it is not a whole number of seconds",
            "Write whole seconds: `30s`."
        ]
    );
    assert_eq!(
        mistake(&good("token: {lifetime: 0s}\n")),
        ["countersign.yaml:4:19: token.lifetime", "it is no time at all", "Write a duration: `24h`, `15m`, `1h30m`."]
    );
    assert_eq!(
        mistake(&good("shutdown: {deadline: soon}\n")),
        [
            "countersign.yaml:4:22: shutdown.deadline",
            "`soon` is no duration",
            "Write a number and a unit: `24h`, `15m`, `30s`, `1h30m`."
        ]
    );
}

#[test]
fn lifetimes_that_contradict_each_other_are_refused() {
    assert_eq!(
        mistake(&good("session: {max_age: 8h, idle: 9h}\n")),
        ["countersign.yaml:4:30: session.idle", "it is longer than session.max_age, 8h", "Write 8h or less."]
    );
    assert_eq!(
        mistake(&good("session: {max_age: 4h}\n")),
        [
            "countersign.yaml:4:20: session.max_age",
            "it is shorter than session.idle, 8h",
            "Write more, or write `idle: 4h` too."
        ]
    );
    assert_eq!(
        mistake(&good("session: {max_age: 1h, idle: 1h, renew_every: 61m}\n")),
        ["countersign.yaml:4:47: session.renew_every", "it is longer than session.max_age, 1h", "Write 1h or less."]
    );
    assert_eq!(
        mistake(&good("session: {max_age: 401days}\n")),
        [
            "countersign.yaml:4:20: session.max_age",
            "it is longer than 400 days, which browsers cut",
            "Write 400days or less."
        ]
    );
    assert_eq!(
        mistake(&good("token: {lifetime: 61m}\n")),
        [
            "countersign.yaml:4:19: token.lifetime",
            "it is longer than 1h, and a token cannot be called back",
            "Write 30s to 1h; 5m is the default."
        ]
    );
    assert_eq!(
        mistake(&good("token: {lifetime: 29s}\n")),
        ["countersign.yaml:4:19: token.lifetime", "it is shorter than 30s", "Write 30s to 1h; 5m is the default."]
    );
    assert_eq!(
        mistake(&good("session: {max_age: 1m, idle: 1m, renew_every: 1m}\n")),
        [
            "countersign.yaml:4:20: session.max_age",
            "it is shorter than token.lifetime, 5m",
            "Write 5m or more here, or less there."
        ]
    );
}

#[test]
fn sessions_are_kept_where_we_know_to() {
    assert_eq!(
        mistake(&good("session: {store: memory}\n")),
        ["countersign.yaml:4:18: session.store", "`memory` is not known here", "Write one of `embedded`, `redis`."]
    );
}

#[test]
fn a_token_names_its_audience() {
    assert_eq!(
        mistake(&good("token: {audience: []}\n")),
        [
            "countersign.yaml:4:19: token.audience",
            "a token without an audience would be good everywhere",
            "Write at least one name: `[mesh]`."
        ]
    );
    assert_eq!(
        mistake(&good("rules:\n  - {path: /a, audience: ['']}\n")),
        [
            "countersign.yaml:5:26: rules[0].audience",
            "a token without an audience would be good everywhere",
            "Write at least one name: `[pipelines]`."
        ]
    );
}
