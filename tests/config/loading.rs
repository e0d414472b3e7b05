use std::time::Duration;

use countersign::config::{self, Access, Challenge, ClientAuth, IdentityField, PathMatch};

use crate::support::{Home, PROVIDER, environment, good, mistake_with};

const EXAMPLE: &str = include_str!("../../examples/countersign.yaml");

#[test]
fn the_example_loads_without_a_warning() {
    let home = Home::new();
    let secret = home.write("client-secret", "from a file\n");
    let text = EXAMPLE.replace("/etc/countersign/client-secret", &secret.display().to_string());
    assert_eq!(home.warnings(&text, &[]), "");
    let settings = home.load(&text, &[]).expect("good").settings;
    assert_eq!(settings.public_url.as_str(), "https://kubeflow.example.com/");
    assert_eq!(settings.unauthenticated.other, Challenge::Unauthorized);
    assert!(
        matches!(&settings.providers[0].client_auth, ClientAuth::Basic(secret) if secret.expose() == "from a file")
    );
    assert_eq!(settings.session.idle, Duration::from_hours(8));
    assert!(matches!(&settings.rules[0].path, PathMatch::Prefix(path) if path == "/dex/"));
    assert_eq!(settings.rules[0].access, Access::Public);
    assert!(settings.rules[0].keep_authorization && !settings.rules[2].mint_token);
}

#[test]
fn variables_win_over_the_file_and_reach_into_lists() {
    let home = Home::new();
    let variables = [
        ("COUNTERSIGN_SESSION__MAX_AGE", "12h"),
        ("COUNTERSIGN_PROVIDERS__0__CLIENT_SECRET", "a: b #c"),
        ("COUNTERSIGN_PROVIDERS__0__SCOPES", "[openid, groups]"),
        ("COUNTERSIGN_RULES__0__PATH", "/ops"),
        ("COUNTERSIGN_RULES__0__ACCESS__GROUPS__0", "ops"),
        ("COUNTERSIGN_PORT", "tcp://10.0.0.1:9000"),
    ];
    let settings = home.load(&good("session: {max_age: 20h, idle: 2h}\n"), &variables).expect("good").settings;
    assert_eq!(settings.session.max_age, Duration::from_hours(12));
    assert_eq!(settings.session.idle, Duration::from_hours(2));
    assert!(matches!(&settings.providers[0].client_auth, ClientAuth::Basic(secret) if secret.expose() == "a: b #c"));
    assert_eq!(settings.providers[0].scopes, ["openid", "groups"]);
    assert!(matches!(&settings.rules[0].access, Access::Only { groups, .. } if groups == &["ops"]));
}

#[test]
fn what_is_wrong_in_a_variable_is_said_with_its_name() {
    let said = |name, value| mistake_with(&good(""), &[(name, value)]);
    assert_eq!(
        said("COUNTERSIGN_SESSION__IDEL", "2h"),
        ["variable COUNTERSIGN_SESSION__IDEL: session.idel", "there is no such key", "Write `idle`."]
    );
    assert_eq!(
        said("COUNTERSIGN_SESSION__IDLE", "[2h]"),
        ["variable COUNTERSIGN_SESSION__IDLE: session.idle", "it is a list", "Write a text."]
    );
    assert_eq!(
        said("COUNTERSIGN_IDENTITY__ADMIT__GROUPS", ""),
        [
            "variable COUNTERSIGN_IDENTITY__ADMIT__GROUPS: identity.admit.groups",
            "the variable is empty",
            "Leave it out for what the file or the default says, or write '' for an empty text."
        ]
    );
    assert_eq!(
        said("COUNTERSIGN_PROVIDERS__2__ID", "x"),
        [
            "variable COUNTERSIGN_PROVIDERS__2__ID: providers",
            "the list has 1 elements, so that there is no element 2 to set or to add",
            "Count from 0; the next one is 1."
        ]
    );
    assert_eq!(
        said("HTTPS_PROXY", "ann:hunter2@proxy"),
        [
            "variable HTTPS_PROXY: HTTPS_PROXY",
            "it is no http:// or https:// URL of a proxy",
            "Write `http://proxy.example.com:3128`."
        ]
    );
}

#[test]
fn the_defaults_are_these() {
    let settings = Home::new().load(&good(""), &[]).expect("good").settings;
    assert_eq!(settings.listen.main.to_string(), "0.0.0.0:9000");
    assert_eq!(settings.listen.admin.to_string(), "0.0.0.0:9001");
    assert!(settings.doors.http && settings.doors.grpc);
    assert_eq!(settings.data_dir.to_str(), Some("/var/lib/countersign"));
    assert_eq!((settings.session.max_age, settings.session.idle), (Duration::from_hours(24), Duration::from_hours(8)));
    assert_eq!(settings.session.renew_every, Duration::from_mins(15));
    assert_eq!(settings.token.issuer, "https://mesh.example.com");
    assert_eq!(settings.token.audience, ["mesh"]);
    assert_eq!((settings.token.lifetime, &*settings.token.typ), (Duration::from_mins(5), "rc+jwt"));
    assert_eq!(settings.token.header, "authorization");
    let headers: Vec<(&str, IdentityField)> =
        settings.headers.iter().map(|(name, field)| (name.as_str(), *field)).collect();
    assert_eq!(headers, [("kubeflow-userid", IdentityField::User), ("kubeflow-groups", IdentityField::Groups)]);
    assert_eq!(settings.unauthenticated.navigation, Challenge::Redirect);
    assert_eq!(settings.unauthenticated.other, Challenge::Unauthorized);
    assert_eq!(settings.unauthenticated.unknown, Challenge::Redirect);
    assert_eq!((&*settings.path_prefix, &*settings.check_prefix), ("/oauth2", "/check"));
    assert_eq!((&*settings.cookie.name, settings.cookie.secure), ("countersign", true));
    let provider = &settings.providers[0];
    assert_eq!(provider.scopes, ["openid", "profile", "email"]);
    assert_eq!(provider.algorithms, ["RS256", "ES256", "PS256", "EdDSA"]);
    assert_eq!((&*provider.identity.user_claim, &*provider.identity.groups_claim), ("email", "groups"));
    assert!(!provider.identity.allow_unverified_email && !provider.form_post);
    assert_eq!(provider.identity.admit.groups, ["*"]);
    assert_eq!((settings.log.json, &*settings.log.filter), (true, "info"));
    assert_eq!(settings.shutdown.lame_duck, Duration::from_secs(10));
    assert_eq!(settings.shutdown.deadline, Duration::from_secs(25));
}

#[test]
fn doors_are_shut_one_by_one() {
    let doors = |text: &str| Home::new().load(&good(text), &[]).expect("good").settings.doors;
    let (no_grpc, no_http) = (doors("doors: {grpc: false}\n"), doors("doors: {http: false}\n"));
    assert_eq!((no_grpc.http, no_grpc.grpc), (true, false));
    assert_eq!((no_http.http, no_http.grpc), (false, true));
    let forward_auth = doors("doors: {http: false, grpc: false}\ntrusted_proxies: [10.0.0.7]\n");
    assert_eq!((forward_auth.http, forward_auth.grpc), (false, false));
}

#[test]
fn a_provider_overrides_the_common_identity_key_by_key() {
    let text = "public_url: https://mesh.example.com
identity: {user: {claim: email}, groups: {claim: roles}, admit: {groups: [staff]}, allow_unverified_email: true}
providers:
  - {id: a, issuer: https://a.example.com, client_id: c, client_auth: none, identity: {user: {prefix: 'a:'}}}
  - id: b
    issuer: https://b.example.com
    client_id: c
    client_auth: none
    identity: {user: {claim: sub, prefix: 'b:'}, allow_unverified_email: false}
";
    let providers = Home::new().load(text, &[]).expect("good").settings.providers;
    let [a, b] = [&providers[0].identity, &providers[1].identity];
    assert_eq!(
        (&*a.user_claim, &*a.user_prefix, &*a.groups_claim, a.allow_unverified_email),
        ("email", "a:", "roles", true)
    );
    assert_eq!(
        (&*b.user_claim, &*b.user_prefix, &*b.groups_claim, b.allow_unverified_email),
        ("sub", "b:", "roles", false)
    );
    assert_eq!((&a.admit.groups, &b.admit.groups), (&vec!["staff".to_owned()], &vec!["staff".to_owned()]));
}

#[test]
fn a_rule_overrides_the_common_answers_key_by_key() {
    let text = good(
        "unauthenticated: {navigation: page, other: 403}\nrules:\n  - {path: /api, unauthenticated: {other: 401}}\n",
    );
    let rules = Home::new().load(&text, &[]).expect("good").settings.rules;
    let answers = rules[0].unauthenticated.expect("of its own");
    assert_eq!((answers.navigation, answers.other), (Challenge::Page, Challenge::Unauthorized));
}

#[test]
fn providers_that_can_be_told_apart_are_good() {
    for (a, b) in [
        ("user: {prefix: 'a:'}", "user: {prefix: 'b:'}"),
        ("admit: {email_domains: [a.org]}", "admit: {email_domains: [b.org, c.org]}"),
    ] {
        let provider = |id, identity| {
            format!(
                "  - {{id: {id}, issuer: https://{id}.example.com, client_id: c, client_auth: none, identity: {{{identity}}}}}\n"
            )
        };
        let text =
            format!("public_url: https://mesh.example.com\nproviders:\n{}{}", provider("a", a), provider("b", b));
        assert_eq!(Home::new().refusal(&text, &[]), "(nothing)");
    }
}

#[test]
fn what_providers_could_say_of_each_others_users_is_warned_of() {
    let home = Home::new();
    let said = |staff: &str, partners: &str, rest: &str| {
        let provider = |id, identity| {
            format!(
                "  - {{id: {id}, issuer: https://{id}.example.com, client_id: c, client_auth: none, identity: {{{identity}}}}}\n"
            )
        };
        let providers = provider("staff", staff) + &provider("partners", partners);
        home.warnings(&format!("public_url: https://mesh.example.com\nproviders:\n{providers}{rest}"), &[])
    };
    let prefixed = |rest: &str| said("user: {prefix: 's:'}", "user: {prefix: 'p:'}", rest);
    assert_eq!(
        prefixed(""),
        "countersign.yaml:3:3: providers\n   groups of different providers are not kept apart: whoever runs `partners` \
         can give its users those of `staff`\n   Name users instead (`users` in rules, `user` in headers), which no other \
         provider can; or let nobody run a provider who may not speak for all."
    );
    let only_user = "headers: {x-user: user, x-provider: provider}\n";
    for (rest, what) in [
        ("headers: {x-mail: email}\n".to_owned(), "e-mail addresses of"),
        (
            "headers: {x-subject: subject, x-mail: email, x-groups: groups}\n".to_owned(),
            "groups, e-mail addresses, subjects of",
        ),
        (format!("{only_user}rules:\n  - {{path: /a, access: {{groups: [ops]}}}}\n"), "groups of"),
        (format!("{only_user}rules:\n  - {{path: /a, access: {{domains: [a.org]}}}}\n"), "e-mail addresses of"),
    ] {
        let said = prefixed(&rest);
        assert!(said.contains(&format!("   {what} different providers")), "{rest}: {said}");
    }
    assert_eq!(prefixed(&format!("{only_user}rules:\n  - {{path: /a, access: {{users: ['s:ann']}}}}\n")), "");
    assert_eq!(said("admit: {email_domains: [a.org]}", "admit: {email_domains: [b.org]}", ""), "");
}

#[test]
fn rules_that_leave_something_to_the_next_are_good() {
    for (first, second) in [
        ("path: /a", "path: /ab"),
        ("path: /a/", "path: /a"),
        ("path: /a, methods: [GET]", "path: /a"),
        ("path: /a, hosts: [x.example.com]", "path: /a"),
        ("path: /a, hosts: ['*.example.com']", "path: /a, hosts: [example.com]"),
        ("path_regex: /a.*", "path: /a"),
        ("path: /a", "path_regex: /a.*"),
    ] {
        let text = good(&format!("rules:\n  - {{{first}}}\n  - {{{second}}}\n"));
        assert_eq!(Home::new().refusal(&text, &[]), "(nothing)", "{first} {second}");
    }
}

#[test]
fn a_regular_expression_is_for_the_whole_path() {
    let text = good("rules:\n  - {path_regex: '/api|/ops/.*'}\n");
    let rules = Home::new().load(&text, &[]).expect("good").settings.rules;
    let PathMatch::Regex(regex) = &rules[0].path else { panic!("a regex") };
    assert!(regex.is_match("/api") && regex.is_match("/ops/x"));
    assert!(!regex.is_match("/x/api") && !regex.is_match("/api/x") && !regex.is_match("/api\n"));
}

#[test]
fn plain_http_is_good_on_loopback_and_warned_of_beyond() {
    let home = Home::new();
    let on = |origin: &str, rest: &str| format!("public_url: {origin}\n{PROVIDER}{rest}");
    for origin in ["http://localhost:8080", "http://127.0.0.1", "http://[::1]:8080", "http://app.localhost"] {
        assert_eq!(home.warnings(&on(origin, ""), &[]), "", "{origin}");
        assert!(!home.load(&on(origin, ""), &[]).expect("good").settings.cookie.secure, "{origin}");
    }
    assert_eq!(
        home.warnings(&on("http://mesh.example.com", "cookie: {insecure: true}\n"), &[]),
        "countersign.yaml:4:20: cookie.insecure\n   sign-ins travel over plain http: everybody on the way can take \
         the cookie and be that user\n   Write an https `public_url` as soon as there is a certificate."
    );
    let far = on("https://mesh.example.com", "").replace("https://dex.example.com", "http://dex.example.com");
    assert_eq!(
        home.warnings(&far, &[]),
        "countersign.yaml:3:23: providers[0].issuer\n   dex.example.com is asked over plain http: whoever sits on \
         the way decides who signs in\n   Write an https:// issuer."
    );
}

#[test]
fn what_is_printed_loads_again_to_the_same() {
    let home = Home::new();
    let text = good(
        "hosts: [lab.example.com]\ncookie: {domain: example.com}\nrules:\n  - {path: /a, access: {groups: [ml]}, audience: \
         [x]}\n  - {path_regex: '/b: .*', access: public, unauthenticated: {other: 403}}\nheaders: {x-z: email, x-a: \
         user}\nidentity: {user: {prefix: 'a: #', lower_case: true, transform: [{regex: '(.*)@b', replace: \
         '$1'}]}, groups: {only: [a*], rename: [{regex: a, replace: ''}], prefix: 'g:', overage: graph, graph_url: \
         'https://graph.microsoft.us'}, admit: {groups: ['g:b']}}\n",
    );
    let path = home.write("first.yaml", &text);
    let variables = [("COUNTERSIGN_SESSION__IDLE", "2h")];
    let printed = config::print(Some(&path), environment(&variables)).expect("good");
    let again = home.load(&printed, &[]).unwrap_or_else(|errors| panic!("{errors}\n{printed}")).settings;
    let first = home.load(&text, &variables).expect("good").settings;
    assert_eq!(format!("{first:?}"), format!("{again:?}"), "{printed}");
    assert_eq!(config::print(Some(&home.write("second.yaml", &printed)), environment(&[])).expect("good"), printed);
}

#[test]
fn what_the_docs_show_loads() {
    let home = Home::new();
    let secret = home.write("secret", "x");
    let pages = [include_str!("../../docs/configuration.md"), include_str!("../../README.md")];
    let blocks = pages.iter().flat_map(|page| page.split("```yaml\n").skip(1));
    let examples = blocks.filter_map(|block| block.split("```").next()).filter(|text| text.starts_with("public_url"));
    let file = regex::Regex::new("/etc/countersign/[a-z-]+").expect("a pattern");
    let mut count = 0;
    for example in examples {
        let text = file.replace_all(example, secret.to_string_lossy());
        assert_eq!(home.refusal(&text, &[]), "(nothing)", "{example}");
        count += 1;
    }
    assert_eq!(count, 12);
}
