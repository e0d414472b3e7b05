use crate::support::{good, mistake};

#[test]
fn one_door_is_open_at_least() {
    assert_eq!(
        mistake(&good("doors: {http: false, grpc: false}\n")),
        [
            "countersign.yaml:4:8: doors",
            "every door is shut, so that no gateway can ask anything",
            "Leave out the one that your gateway asks at: `http` or `grpc`. For forward auth, set `trusted_proxies`."
        ]
    );
}

#[test]
fn a_door_is_open_or_shut() {
    assert_eq!(
        mistake(&good("doors: {grpc: no thanks}\n")),
        ["countersign.yaml:4:15: doors.grpc", "it is a text", "Write true or false."]
    );
    assert_eq!(
        mistake(&good("doors: {soap: true}\n")),
        ["countersign.yaml:4:9: doors.soap", "there is no such key", "The keys here are `http`, `grpc`."]
    );
}
