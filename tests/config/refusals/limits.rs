use std::time::Duration;

use countersign::config::Rate;

use crate::support::{Home, good, mistake};

const INSTEAD: &str = "Write a number and a time, with a slash between: `4000/5m`.";

#[test]
fn a_limit_is_a_number_in_a_time() {
    let limits = |text: &str| Home::new().load(&good(text), &[]).expect("good").settings.limits;
    let five_minutes = Duration::from_mins(5);
    assert_eq!(limits("").sign_ins, Rate { count: 60_000, per: five_minutes });
    assert_eq!(limits("").sign_ins_per_address, Rate { count: 4_000, per: five_minutes });
    let written = limits("limits: {sign_ins: 100 / 1m30s, sign_ins_per_address: 10/20s}\n");
    assert_eq!(written.sign_ins, Rate { count: 100, per: Duration::from_secs(90) });
    assert_eq!(written.sign_ins_per_address, Rate { count: 10, per: Duration::from_secs(20) });

    assert_eq!(
        mistake(&good("limits: {sign_ins: 100}\n")),
        ["countersign.yaml:4:20: limits.sign_ins", "`100` is no number in a time", INSTEAD]
    );
    for (count, what) in [
        ("0", "nobody could sign in"),
        ("-1", "`-1` is no number from 1 to 4294967295"),
        ("4294967296", "`4294967296` is no number from 1 to 4294967295"),
        ("many", "`many` is no number from 1 to 4294967295"),
    ] {
        let said = mistake(&good(&format!("limits: {{sign_ins_per_address: {count}/5m}}\n")));
        assert_eq!(said, ["countersign.yaml:4:32: limits.sign_ins_per_address", what, INSTEAD]);
    }
    assert_eq!(
        mistake(&good("limits: {sign_ins: 9000/minute, sign_ins_per_address: 10/1m}\n")),
        [
            "countersign.yaml:4:20: limits.sign_ins",
            "`minute` is no duration",
            "Write a number and a unit: `24h`, `15m`, `30s`, `1h30m`."
        ]
    );
    assert_eq!(
        mistake(&good("limits: {sign_ins: 9000/61m}\n"))[1..],
        ["1h 1m is longer than 1h", "Write a shorter time, and a smaller number: `4000/5m`."]
    );
}

#[test]
fn limits_that_contradict_each_other_are_refused() {
    assert_eq!(
        mistake(&good("limits: {sign_ins: 100/1m, sign_ins_per_address: 101/1m}\n")),
        [
            "countersign.yaml:4:50: limits.sign_ins_per_address",
            "one address may do more than limits.sign_ins, 100/1m, lets all do together",
            "Write less, or change both."
        ]
    );
    // No more at once, but more by and by.
    assert_eq!(
        mistake(&good("limits: {sign_ins: 100/1m, sign_ins_per_address: 100/59s}\n"))[0],
        "countersign.yaml:4:50: limits.sign_ins_per_address"
    );
    assert_eq!(
        mistake(&good("limits: {sign_ins: 3999/5m}\n")),
        [
            "countersign.yaml:4:20: limits.sign_ins",
            "all together may do less than limits.sign_ins_per_address, 4000/5m, lets one address do",
            "Write more, or change both."
        ]
    );
}
