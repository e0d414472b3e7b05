use crate::support::{good, mistake};

#[test]
fn paths_of_rules_are_checked() {
    assert_eq!(
        mistake(&good("rules:\n  - {path: dex}\n")),
        [
            "countersign.yaml:5:12: rules[0].path",
            "`dex` does not begin with a slash",
            "Write a plain prefix such as `/pipeline/`, or a `path_regex`."
        ]
    );
    assert_eq!(
        mistake(&good("rules:\n  - {path: /a%20b}\n")),
        [
            "countersign.yaml:5:12: rules[0].path",
            "`%` cannot stand in a path prefix",
            "Write a plain prefix such as `/pipeline/`, or a `path_regex`."
        ]
    );
    assert_eq!(
        mistake(&good("rules:\n  - {path: '/a?x'}\n")),
        [
            "countersign.yaml:5:12: rules[0].path",
            "`?` cannot stand in a path prefix",
            "Write a plain prefix such as `/pipeline/`, or a `path_regex`."
        ]
    );
    assert_eq!(
        mistake(&good("rules:\n  - {path: /a/../b}\n")),
        [
            "countersign.yaml:5:12: rules[0].path",
            "`/a/../b` is not in its shortest form",
            "Write a plain prefix such as `/pipeline/`, or a `path_regex`."
        ]
    );
    assert_eq!(
        mistake(&good("rules:\n  - {path_regex: '/a('}\n")),
        [
            "countersign.yaml:5:18: rules[0].path_regex",
            "`/a(` is no regular expression: unclosed group",
            "Write one for the whole path: `/api/v[12]/.*`."
        ]
    );
    assert_eq!(
        mistake(&good("rules:\n  - {path_regex: '/a)|(/b'}\n")),
        [
            "countersign.yaml:5:18: rules[0].path_regex",
            "`/a)|(/b` is no regular expression: unopened group",
            "Write one for the whole path: `/api/v[12]/.*`."
        ]
    );
    assert_eq!(
        mistake(&good("rules:\n  - {path: /a, path_regex: /b}\n")),
        [
            "countersign.yaml:5:28: rules[0].path_regex",
            "the rule has a `path` too",
            "Write one of the two; two rules can do both."
        ]
    );
}

#[test]
fn hosts_methods_and_access_of_rules_are_checked() {
    assert_eq!(
        mistake(&good("rules:\n  - {hosts: ['lab.example.com:8443']}\n")),
        [
            "countersign.yaml:5:14: rules[0].hosts[0]",
            "`lab.example.com:8443` is no host",
            "Write `lab.example.com` or `*.example.com`, without a port."
        ]
    );
    assert_eq!(
        mistake(&good("rules:\n  - {methods: ['GET, HEAD']}\n")),
        [
            "countersign.yaml:5:16: rules[0].methods[0]",
            "`GET, HEAD` is no method",
            "Write methods as a list: `[GET, HEAD]`."
        ]
    );
    assert_eq!(
        mistake(&good("rules:\n  - {access: {}}\n")),
        [
            "countersign.yaml:5:14: rules[0].access",
            "nobody could pass",
            "Write groups, users or domains, or `signed-in` for everybody."
        ]
    );
    assert_eq!(
        mistake(&good("rules:\n  - {access: {groups: ['*']}}\n")),
        [
            "countersign.yaml:5:24: rules[0].access.groups[0]",
            "`*` is nobody's name",
            "Write `access: signed-in` for everybody."
        ]
    );
    assert_eq!(
        mistake(&good("rules:\n  - {access: {domains: ['ann@example.com']}}\n")),
        [
            "countersign.yaml:5:25: rules[0].access.domains[0]",
            "`ann@example.com` is no domain",
            "Write what stands behind the `@`: `example.com`."
        ]
    );
    assert_eq!(
        mistake(&good("rules:\n  - {path: /a, token: mint, authorization: keep}\n")),
        [
            "countersign.yaml:5:23: rules[0].token",
            "the RC token would take the place of the `Authorization` that is to be kept",
            "Write `token: none`, or set `token.header` to another header."
        ]
    );
}

#[test]
fn a_rule_that_can_never_match_is_refused() {
    assert_eq!(
        mistake(&good("rules:\n  - {path: /a}\n  - {path: /a/b, access: public}\n")),
        [
            "countersign.yaml:6:5: rules[1]",
            "it can never match: rules[0] covers all its hosts, paths and methods",
            "Put it before that one, or take it out."
        ]
    );
    assert_eq!(
        mistake(&good("rules:\n  - {path: /a/}\n  - {path: /a/b/}\n")),
        [
            "countersign.yaml:6:5: rules[1]",
            "it can never match: rules[0] covers all its hosts, paths and methods",
            "Put it before that one, or take it out."
        ]
    );
    assert_eq!(
        mistake(&good("rules:\n  - {access: optional}\n  - {path: /a}\n")),
        [
            "countersign.yaml:6:5: rules[1]",
            "it can never match: rules[0] covers all its hosts, paths and methods",
            "Put it before that one, or take it out."
        ]
    );
    assert_eq!(
        mistake(&good("rules:\n  - {path: /}\n  - {path_regex: /a.*}\n")),
        [
            "countersign.yaml:6:5: rules[1]",
            "it can never match: rules[0] covers all its hosts, paths and methods",
            "Put it before that one, or take it out."
        ]
    );
    assert_eq!(
        mistake(&good("rules:\n  - {path_regex: /a.*}\n  - {path_regex: /a.*, methods: [GET]}\n")),
        [
            "countersign.yaml:6:5: rules[1]",
            "it can never match: rules[0] covers all its hosts, paths and methods",
            "Put it before that one, or take it out."
        ]
    );
    assert_eq!(
        mistake(&good("rules:\n  - {path: /a, hosts: ['*.example.com']}\n  - {path: /a, hosts: [lab.example.com]}\n")),
        [
            "countersign.yaml:6:5: rules[1]",
            "it can never match: rules[0] covers all its hosts, paths and methods",
            "Put it before that one, or take it out."
        ]
    );
    assert_eq!(
        mistake(&good("rules:\n  - {path: /a, methods: [get, head]}\n  - {path: /a, methods: [GET]}\n")),
        [
            "countersign.yaml:6:5: rules[1]",
            "it can never match: rules[0] covers all its hosts, paths and methods",
            "Put it before that one, or take it out."
        ]
    );
    assert_eq!(
        mistake(&good("rules:\n  - {path: /x}\n  - {path: /a}\n  - {path: /a}\n")),
        [
            "countersign.yaml:7:5: rules[2]",
            "it can never match: rules[1] covers all its hosts, paths and methods",
            "Put it before that one, or take it out."
        ]
    );
}
