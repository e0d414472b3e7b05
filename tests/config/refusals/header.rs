use crate::support::{good, mistake};

#[test]
fn identity_headers_are_ours_alone() {
    assert_eq!(
        mistake(&good("headers: {'x user': user}\n")),
        [
            "countersign.yaml:4:11: headers.x user",
            "`x user` is no header name",
            "Write letters, digits and dashes: `x-user`."
        ]
    );
    assert_eq!(
        mistake(&good("headers: {connection: user}\n")),
        [
            "countersign.yaml:4:11: headers.connection",
            "this header belongs to a connection and is not sent on",
            "Take another name: `x-user`."
        ]
    );
    assert_eq!(
        mistake(&good("headers: {Cookie: user}\n")),
        [
            "countersign.yaml:4:11: headers.Cookie",
            "this header has a meaning of its own",
            "Take another name: `x-user`."
        ]
    );
    assert_eq!(
        mistake(&good("headers: {kubeflow_userid: user}\n")),
        [
            "countersign.yaml:4:11: headers.kubeflow_userid",
            "servers take a header with `_` for the one with `-`, and gateways drop it",
            "Write `kubeflow-userid`."
        ]
    );
    assert_eq!(
        mistake(&good("headers: {X-User: user, x-user: email}\n")),
        [
            "countersign.yaml:4:25: headers.x-user",
            "another one is `x-user` too: letter case does not count",
            "Take one of the two out."
        ]
    );
    assert_eq!(
        mistake(&good("headers: {x-token: user}\ntoken: {header: X-Token}\n")),
        ["countersign.yaml:4:11: headers.x-token", "token.header is `x-token` too", "Give the two different names."]
    );
    assert_eq!(
        mistake(&good("headers: {authorization: user}\n")),
        [
            "countersign.yaml:4:11: headers.authorization",
            "token.header is `authorization` too",
            "Give the two different names."
        ]
    );
}

#[test]
fn the_token_has_a_header_of_its_own() {
    assert_eq!(
        mistake(&good("token: {header: transfer-encoding}\n")),
        [
            "countersign.yaml:4:17: token.header",
            "this header belongs to a connection and is not sent on",
            "Take another name: `x-user`."
        ]
    );
    assert_eq!(
        mistake(&good("token: {header: cookie}\n")),
        [
            "countersign.yaml:4:17: token.header",
            "this header has a meaning of its own",
            "Write `authorization` or `x-auth-token`."
        ]
    );
    assert_eq!(
        mistake(&good("token: {header: x_token}\n")),
        [
            "countersign.yaml:4:17: token.header",
            "servers take a header with `_` for the one with `-`, and gateways drop it",
            "Write `x-token`."
        ]
    );
}
