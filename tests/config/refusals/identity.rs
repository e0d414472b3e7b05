use crate::support::{Home, good, mistake};

/// A mistake in `identity`, on line 4.
fn in_identity(text: &str) -> Vec<String> {
    mistake(&good(&format!("identity: {text}\n")))
}

#[test]
fn a_rewriting_is_a_regular_expression_and_what_stands_in_its_place() {
    for (list, key) in [("user: {transform", "user.transform"), ("groups: {rename", "groups.rename")] {
        let column = 12 + list.len() + 3;
        let with = |text: &str| in_identity(&format!("{{{list}: [{text}]}}}}"));
        assert_eq!(
            with("{regex: '(', replace: x}"),
            [
                &*format!("countersign.yaml:4:{}: identity.{key}[0].regex", column + 8),
                "`(` is no regular expression: unclosed group",
                "Write one for the whole name: `(.*)@example\\.com`."
            ]
        );
        assert_eq!(
            with("{regex: 'a)|(b', replace: x}"),
            [
                &*format!("countersign.yaml:4:{}: identity.{key}[0].regex", column + 8),
                "`a)|(b` is no regular expression: unopened group",
                "Write one for the whole name: `(.*)@example\\.com`."
            ]
        );
        assert_eq!(
            with("{regex: '(.*)', replace: $1x}"),
            [
                &*format!("countersign.yaml:4:{}: identity.{key}[0].replace", column + 25),
                "`1x` is no group of the regular expression",
                "Write `$1`, or `${1}` where a letter, a digit or `_` follows; `$$` is a dollar sign."
            ]
        );
        assert_eq!(
            with("{regex: a}"),
            [
                &*format!("countersign.yaml:4:{column}: identity.{key}[0].replace"),
                "it is missing",
                "Write what stands in its place: `$1`, or `''`."
            ]
        );
        assert_eq!(
            with("{replace: a}"),
            [
                &*format!("countersign.yaml:4:{column}: identity.{key}[0].regex"),
                "it is missing",
                "Write one for the whole name: `(.*)@example\\.com`."
            ]
        );
        assert_eq!(
            with("{matches: a, regex: a, replace: b}"),
            [
                &*format!("countersign.yaml:4:{}: identity.{key}[0].matches", column + 1),
                "there is no such key",
                "The keys here are `regex`, `replace`."
            ]
        );
    }
}

#[test]
fn an_expression_that_would_grow_without_bounds_is_refused() {
    let said = in_identity("{user: {transform: [{regex: '((a{1000}){1000}){1000}', replace: x}]}}");
    assert_eq!(
        said[1],
        "`((a{1000}){1000}){1000}` is no regular expression: Compiled regex exceeds size limit of 10485760 bytes."
    );
}

#[test]
fn groups_are_chosen_and_prefixed_so_that_headers_can_list_them() {
    assert_eq!(
        in_identity("{groups: {only: [ml, ' ']}}"),
        [
            "countersign.yaml:4:32: identity.groups.only[1]",
            "it is empty",
            "Write a group, or a pattern such as `kubeflow-*`."
        ]
    );
    for prefix in ["a,", " a", "\\t"] {
        assert_eq!(
            in_identity(&format!("{{groups: {{prefix: \"{prefix}\"}}}}")),
            [
                "countersign.yaml:4:29: identity.groups.prefix",
                "it begins with white space or holds a comma or a control character: no header could list such groups",
                "Write printable characters: `corp:`."
            ]
        );
    }
    assert_eq!(
        in_identity("{groups: {prefix: 'corp:'}, admit: {groups: [ml]}}"),
        [
            "countersign.yaml:4:56: identity.admit.groups[0]",
            "nobody is in `ml`: every group begins with groups.prefix, `corp:`",
            "Write `corp:ml`."
        ]
    );
}

#[test]
fn graph_is_asked_at_a_place_that_is_one_and_only_if_that_is_wanted() {
    assert_eq!(
        in_identity("{groups: {overage: fetch}}"),
        [
            "countersign.yaml:4:30: identity.groups.overage",
            "`fetch` is not known here",
            "Write one of `refuse`, `graph`, `ignore`."
        ]
    );
    for place in
        ["graph.microsoft.us", "https://graph.microsoft.us/v1.0", "https://me@graph.microsoft.us", "ftp://a.example"]
    {
        assert_eq!(
            in_identity(&format!("{{groups: {{overage: graph, graph_url: '{place}'}}}}")),
            [
                "countersign.yaml:4:48: identity.groups.graph_url",
                "it is no place of Microsoft Graph: that is https:// and a host alone",
                "Write `https://graph.microsoft.com`, or leave the key out."
            ],
            "{place}"
        );
    }
    assert_eq!(
        in_identity("{groups: {overage: graph, graph_url: 'http://graph.microsoft.us'}}"),
        [
            "countersign.yaml:4:48: identity.groups.graph_url",
            "it is plain http: users' access tokens would travel there",
            "Write https://."
        ]
    );
    assert_eq!(
        in_identity("{groups: {graph_url: 'https://graph.microsoft.us'}}"),
        [
            "countersign.yaml:4:32: identity.groups.graph_url",
            "nobody asks there",
            "Write `overage: graph`, or take it out."
        ]
    );
}

#[test]
fn groups_that_decide_are_not_ignored() {
    assert_eq!(
        in_identity("{groups: {overage: ignore}, admit: {groups: [ml]}}"),
        [
            "countersign.yaml:4:30: identity.groups.overage",
            "whoever is in too many groups would be in none, though `admit.groups` decides by groups",
            "Write `refuse`, or `graph` to ask Microsoft Graph for them."
        ]
    );
    assert_eq!(
        mistake(&good("identity: {groups: {overage: ignore}}\nrules: [{path: /a/, access: {groups: [ml]}}]\n")),
        [
            "countersign.yaml:4:30: identity.groups.overage",
            "whoever is in too many groups would be in none, though rules decide by groups",
            "Write `refuse`, or `graph` to ask Microsoft Graph for them."
        ]
    );
    assert_eq!(
        mistake(&good("identity: {groups: {overage: ignore}}\nrules: [{path: /a/, access: {users: [ann]}}]\n")),
        ["(nothing)"]
    );
}

#[test]
fn domains_keep_rewritten_users_of_two_providers_no_more_apart() {
    let two = |rest: &str| {
        let one = |id: &str, rest: &str| {
            format!(
                "  - {{id: {id}, issuer: https://{id}.example.com, client_id: c, client_auth: none, identity: {{admit: \
                 {{email_domains: [{id}.org]}}{rest}}}}}\n"
            )
        };
        mistake(&format!("public_url: https://mesh.example.com\nproviders:\n{}{}", one("a", ""), one("b", rest)))
    };
    assert_eq!(
        two(", user: {transform: [{regex: '(.*)@b\\.org', replace: '$1@a.org'}]}"),
        [
            "countersign.yaml:4:5: providers[1]",
            "`b` could name a user exactly as `a` does, and let one be taken for the other",
            "Give each its own `identity: {user: {prefix: …}}`, none the beginning of another: what `transform` makes of \
             users is not told apart by their `email_domains`."
        ]
    );
    assert_eq!(two(", user: {lower_case: true}"), ["(nothing)"], "domains are told apart in any case");
}

#[test]
fn graph_wants_to_be_asked_for() {
    let warned = |scopes: &str| {
        let provider = "{id: entra, issuer: https://a.example.com, client_id: c, client_auth: none";
        let provider = format!("{provider}{scopes}, identity: {{groups: {{overage: graph}}}}}}");
        Home::new().warnings(&format!("public_url: https://mesh.example.com\nproviders:\n  - {provider}\n"), &[])
    };
    let warning = "providers[0].scopes\n   Microsoft Graph tells groups only to a token with `User.Read`, which is not \
                   asked for\n   Add `User.Read`.";
    assert_eq!(warned(""), format!("countersign.yaml:3:5: {warning}"));
    assert_eq!(warned(", scopes: [openid, email]"), format!("countersign.yaml:3:89: {warning}"));
    for scope in ["User.Read", "https://graph.microsoft.com/user.read", "https://graph.microsoft.com/.default"] {
        assert_eq!(warned(&format!(", scopes: [openid, '{scope}']")), "", "{scope}");
    }
}
