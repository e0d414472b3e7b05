//! Other gateways' settings, as they are found in the wild, become configurations that are good.

use std::path::{Path, PathBuf};
use std::process::Command;

use countersign::config::migrate::Migrated;
use countersign::config::{self, InAuthservicesPlace, load_in_authservices_place, migrate};

/// What stands in the settings as a secret, and must not come out again.
const CANARY: &str = "canary";

/// Stands in for the file that pods mount, as docs/migrating.md has it.
const SECRET: (&str, &str) = ("COUNTERSIGN_PROVIDERS__0__CLIENT_SECRET", CANARY);

struct Said {
    code: Option<i32>,
    out: String,
    complaints: String,
}

fn countersign(arguments: &[&str], variables: &[(&str, &str)]) -> Said {
    let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
    command.args(arguments).env_clear().envs(variables.iter().copied());
    let output = command.output().expect("the binary runs");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    Said { code: output.status.code(), out: text(output.stdout), complaints: text(output.stderr) }
}

fn here(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/migrate").join(name)
}

/// Compares what was drafted with the file `name`, and has it judged. `UPDATE_EXPECT=1` writes the file anew.
fn expect(name: &str, said: &Said) {
    assert_eq!(said.code, Some(0), "{}", said.complaints);
    assert!(!said.out.contains(CANARY) && !said.complaints.contains(CANARY), "{name} shows a secret");
    let path = here(name);
    if config::environment().any(|(name, value)| name == "UPDATE_EXPECT" && value == "1") {
        std::fs::write(&path, &said.out).expect("a file of ours");
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(written == said.out, "{name} is not what is drafted: run this test with UPDATE_EXPECT=1");
    let judged = countersign(&["config", "check", "--config", &path.to_string_lossy()], &[SECRET]);
    assert_eq!((judged.code, judged.complaints.as_str()), (Some(0), ""), "{name}");
}

/// Whether `config check` would say nothing against it, where the secrets are.
fn is_good(yaml: &str) -> Result<(), String> {
    let secret = (SECRET.0.to_owned(), SECRET.1.to_owned());
    config::parse(yaml, std::iter::once(secret)).map(drop).map_err(|errors| errors.to_string())
}

#[test]
fn kubeflows_authservice_of_each_age() {
    for version in ["1.3", "1.6", "1.8"] {
        let settings = here(&format!("kubeflow-{version}.env"));
        let arguments = ["migrate", "authservice", "--env-file", &settings.to_string_lossy()];
        expect(&format!("kubeflow-{version}.yaml"), &countersign(&arguments, &[]));
    }
}

#[test]
fn an_authservice_with_everything_set() {
    let settings = here("everything.env");
    let arguments = ["migrate", "authservice", "--env-file", &settings.to_string_lossy()];
    let said = countersign(&arguments, &[]);
    expect("everything.yaml", &said);
    assert!(
        said.complaints.contains("to do: EXTERNAL_AUTHZ_URL: http://authz.example.com/check"),
        "{}",
        said.complaints
    );
}

/// With a file of its own for the secret, and what a process has besides.
#[test]
fn authservices_own_environment() {
    let variables = [
        ("OIDC_PROVIDER", "https://login.example.com"),
        ("CLIENT_ID", "mesh"),
        ("CLIENT_SECRET", CANARY),
        ("AUTHSERVICE_URL_PREFIX", "/authservice/"),
        ("PATH", "/bin"),
        ("UNHEARD_OF", CANARY),
    ];
    let said = countersign(&["migrate", "authservice", "--public-url", "https://mesh.example.com"], &variables);
    assert_eq!((said.code, said.complaints.as_str()), (Some(0), ""));
    assert!(said.out.contains("\npublic_url: https://mesh.example.com\n"), "{}", said.out);
    assert!(!said.out.contains("UNHEARD_OF") && !said.out.contains(CANARY), "{}", said.out);
}

#[test]
fn kubeflows_oauth2_proxy() {
    let cfg = here("kubeflow-26.03.cfg");
    let arguments = ["migrate", "oauth2-proxy", "--cfg", &cfg.to_string_lossy(), "--", "--http-address=0.0.0.0:4180"];
    // As its Deployment has them.
    let variables = [
        ("OAUTH2_PROXY_CLIENT_ID", "kubeflow-oidc-authservice"),
        ("OAUTH2_PROXY_CLIENT_SECRET", CANARY),
        ("OAUTH2_PROXY_COOKIE_SECRET", CANARY),
        ("OAUTH2_PROXY_COOKIE_SECURE", "false"),
        ("OAUTH2_PROXY_SSL_INSECURE_SKIP_VERIFY", "false"),
        ("OAUTH2_PROXY_SKIP_JWT_BEARER_TOKENS", "true"),
        (
            "OAUTH2_PROXY_EXTRA_JWT_ISSUERS",
            "https://kubernetes.default.svc.cluster.local=istio-ingressgateway.istio-system.svc.cluster.local",
        ),
        ("OAUTH2_PROXY_SERVICE_HOST", "10.0.0.1"),
        ("OAUTH2_PROXY_PORT_80_TCP", "tcp://10.0.0.1:80"),
    ];
    expect("kubeflow-26.03.yaml", &countersign(&arguments, &variables));
}

#[test]
fn deploykfs_oauth2_proxy() {
    let cfg = here("deploykf.cfg");
    let config = format!("--config={}", cfg.display());
    expect("deploykf.yaml", &countersign(&["migrate", "oauth2-proxy", "--", &config], &[]));
}

/// An authservice that somebody uses, in a pod.
const AUTHSERVICE: [(&str, &str); 7] = [
    ("GROUPS_HEADER", "kubeflow-groups"),
    ("OIDC_PROVIDER", "https://dex.example.com"),
    ("CLIENT_ID", "mesh"),
    ("CLIENT_SECRET", CANARY),
    ("AUTHSERVICE_URL_PREFIX", "/authservice/"),
    ("REDIRECT_URL", "https://mesh.example.com/login/oidc"),
    ("KUBERNETES_SERVICE_HOST", "10.0.0.1"),
];

/// The file's lines: a variable of authservice's, a value, and what becomes of it in authservice's place.
fn authservices_variables() -> Vec<[String; 3]> {
    let text = std::fs::read_to_string(here("authservice.variables")).expect("a file of ours");
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.split(' ').map(str::to_owned).collect::<Vec<_>>().try_into().expect(line)).collect()
}

fn with(name: &str, value: &str) -> Vec<(String, String)> {
    let others = AUTHSERVICE.iter().filter(|(other, _)| *other != name);
    others.chain([&(name, value)]).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn no_variable_is_dropped_in_silence() {
    let draft = |variables: Vec<(String, String)>| {
        let home = tempfile::tempdir().expect("a directory");
        let path = home.path().join("params.env");
        // What a pod has besides is no setting of authservice's.
        let lines = variables.iter().filter(|(name, _)| name != "KUBERNETES_SERVICE_HOST");
        let lines: Vec<String> = lines.map(|(name, value)| format!("{name}={value}")).collect();
        std::fs::write(&path, lines.join("\n")).expect("a file");
        migrate::authservice(&[path], std::iter::empty(), None).expect("a draft").yaml
    };
    let plain = draft(with("UNSET", ""));
    for [name, value, _] in authservices_variables() {
        let yaml = draft(with(&name, &value));
        // A secret is named by its variable, whatever it is.
        assert!(yaml != plain || name == "CLIENT_SECRET", "{name}={value} leaves no trace");
        assert!(!yaml.contains("# Not known: "), "{name} is not known");
        assert!(!yaml.contains(CANARY), "{name} shows a secret");
        is_good(&yaml).unwrap_or_else(|why| panic!("{name}={value}: {why}\n{yaml}"));
    }
    assert!(draft(with("UNHEARD_OF", "x")).contains("# Not known, and not taken over: UNHEARD_OF.\n"));
}

#[test]
fn in_authservices_place_each_variable_is_taken_warned_of_or_refused() {
    let taken = |name: &str, value: &str| {
        load_in_authservices_place(with(name, value).into_iter()).map(|InAuthservicesPlace { loaded, contract }| {
            let said: Vec<String> = loaded.warnings.iter().map(ToString::to_string).collect();
            (format!("{:?} {contract:?}", loaded.settings), said)
        })
    };
    let (plain, nothing) = taken("UNSET", "").expect("it is good");
    assert_eq!(nothing, Vec::<String>::new());
    for [name, value, fate] in authservices_variables() {
        let found = taken(&name, &value);
        let found = found.as_ref().map(|(settings, said)| {
            let is_named = said.iter().any(|warning| warning.contains(&name));
            assert!(is_named || said.is_empty() || name == "USERID_CLAIM" || name == "USERID_TRANSFORMERS", "{said:?}");
            // Secrets do not show what they are.
            let is_taken = *settings != plain || name == "CLIENT_SECRET";
            if is_named {
                "warned"
            } else if is_taken {
                "taken"
            } else {
                "dropped"
            }
        });
        let found = found.unwrap_or_else(|errors| {
            let errors = errors.to_string();
            assert!(errors.contains(&name) && errors.contains("countersign migrate authservice"), "{name}: {errors}");
            "refused"
        });
        assert_eq!(found, fate, "{name}={value}");
    }
}

/// The page says of each variable what becomes of it.
#[test]
fn the_page_lists_each_variable_with_its_fate() {
    let page = std::fs::read_to_string(here("../../docs/migrating.md")).expect("a file of ours");
    let rows: Vec<(&str, &str)> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.strip_suffix(" |")?.split_once(" | "))
        .filter(|(names, _)| names.chars().next().is_some_and(|c| c.is_ascii_uppercase()))
        .collect();
    for [name, value, fate] in authservices_variables() {
        let name = if name.starts_with("TEMPLATE_CONTEXT_") { "TEMPLATE_CONTEXT_…" } else { &name };
        let listed =
            |names: &str| names.split(['`', ' ', ',', '(', ')']).any(|word| word.split('=').next() == Some(name));
        let said: Vec<&str> = rows.iter().filter(|(names, _)| listed(names)).map(|(_, said)| *said).collect();
        let agrees = said.iter().any(|said| match &*fate {
            "taken" => !said.starts_with("refused") && !said.starts_with("warned of"),
            "warned" => said.contains("warned of"),
            _ => said.contains("refused"),
        });
        assert!(agrees, "{name}={value} is {fate}; the page says {said:?}");
    }
}

/// A proxy that somebody uses.
const SET_UP: [&str; 8] = [
    "--provider=oidc",
    "--oidc-issuer-url=https://dex.example.com",
    "--client-id=mesh",
    "--redirect-url=https://mesh.example.com/oauth2/callback",
    "--skip-jwt-bearer-tokens",
    "--extra-jwt-issuers=https://kubernetes.default.svc.cluster.local=mesh,https://dex.example.com=pods",
    "--email-domain=example.com",
    "--allowed-group=ml",
];

#[test]
fn no_flag_is_dropped_in_silence() {
    let drafted = |arguments: &[String]| {
        migrate::oauth2_proxy(None, &[], std::iter::empty(), arguments, None).expect("a draft").yaml
    };
    let plain = drafted(&[]);
    let flags = std::fs::read_to_string(here("oauth2-proxy.flags")).expect("a file of ours");
    let mut count = 0;
    for line in flags.lines().filter(|line| !line.starts_with('#')) {
        let [flag, key, value] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
        let by_flag = drafted(&[format!("--{flag}={value}")]);
        assert_ne!(by_flag, plain, "--{flag}={value} leaves no trace");
        assert!(!by_flag.contains("# Not known"), "--{flag} is not known");
        let set_up: Vec<String> = SET_UP.iter().map(|flag| (*flag).to_owned()).collect();
        let in_use = drafted(&[set_up, vec![format!("--{flag}={value}")]].concat());
        for yaml in [&by_flag, &in_use] {
            is_good(yaml).unwrap_or_else(|why| panic!("--{flag}={value}: {why}\n{yaml}"));
        }
        let variable = (format!("OAUTH2_PROXY_{}", key.to_ascii_uppercase()), value.to_owned());
        let by_variable = migrate::oauth2_proxy(None, &[], std::iter::once(variable), &[], None).expect("a draft").yaml;
        assert_eq!(by_variable, by_flag, "{key} is another setting than --{flag}");
        count += 1;
    }
    assert!(count >= 170, "only {count} flags were tried");
}

#[test]
fn flags_win_over_variables_and_those_over_the_file() {
    let cfg = here("deploykf.cfg");
    let drafted = |variables: &[(&str, &str)], flags: &[&str]| {
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let flags: Vec<String> = flags.iter().map(|flag| (*flag).to_owned()).collect();
        migrate::oauth2_proxy(Some(&cfg), &[], variables, &flags, None).expect("a draft").yaml
    };
    assert!(drafted(&[], &[]).contains("client_id: oauth2-proxy\n"));
    let variable = [("OAUTH2_PROXY_CLIENT_ID", "of-a-variable")];
    assert!(drafted(&variable, &[]).contains("client_id: of-a-variable\n"));
    for flag in [&["--client-id=of-a-flag"][..], &["--client-id", "of-a-flag"]] {
        assert!(drafted(&variable, flag).contains("client_id: of-a-flag\n"));
    }
    let twice = drafted(&[], &["--email-domain=a.example", "--email-domain", "b.example,c.example"]);
    assert!(twice.contains("email_domains: [a.example, b.example, c.example]\n"), "{twice}");
}

/// What admits nobody there admits nobody here, and what is not understood opens nothing.
#[test]
fn nothing_opens_by_being_misread() {
    let drafted = |flags: &[&str]| {
        let flags: Vec<String> = flags.iter().map(|flag| (*flag).to_owned()).collect();
        migrate::oauth2_proxy(None, &[], std::iter::empty(), &flags, None).expect("a draft")
    };
    assert!(drafted(&["--email-domain=not a domain"]).yaml.contains("email_domains: [nobody.invalid]\n"));
    assert!(drafted(&["--email-domain=.example.com"]).yaml.contains("email_domains: [example.com]\n"));
    for route in ["!=^/private", "GET!=^/private", "(", "A1=^/a"] {
        let migrated = drafted(&[&format!("--skip-auth-route={route}")]);
        assert!(!migrated.yaml.contains("access: public"), "{route}");
        assert!(migrated.to_do.iter().any(|what| what.contains(route)), "{route}: {:?}", migrated.to_do);
    }
    for (route, rule) in [
        ("^/dex/", "path: /dex/"),
        ("^/dex", "path: /dex"),
        ("^/dex/.*", "path: /dex/"),
        ("^/health$", "path_regex: /health"),
        ("/health", "path_regex: '.*/health.*'"),
        (r"^/a\.b|^/c", r"path_regex: '.*(?:^/a\.b|^/c).*'"),
        ("GET=^/dex/", "path: /dex/"),
    ] {
        let yaml = drafted(&[&format!("--skip-auth-route={route}")]).yaml;
        assert!(yaml.contains(&format!("  - {rule}\n")), "{route}: {yaml}");
        assert_eq!(yaml.contains("methods: [GET]"), route.starts_with("GET"), "{route}");
    }
    let hidden = drafted(&["--skip-auth-route=^/dex/,^/dex/keys", "--api-route=^/dex/api"]).yaml;
    assert_eq!(hidden.matches("  - path").count(), 1, "{hidden}");
}

/// The sources of a good draft, as it spells them without its comments, and what is left to do.
fn bearers(migrated: &Migrated) -> (String, Vec<String>) {
    is_good(&migrated.yaml).unwrap_or_else(|why| panic!("{why}\n{}", migrated.yaml));
    let (_, rest) = migrated.yaml.split_once("\nbearer:\n").unwrap_or_default();
    let lines = rest.lines().take_while(|line| line.starts_with(' ')).map(str::trim);
    let lines: Vec<&str> = lines.filter(|line| !line.starts_with('#')).collect();
    (lines.join("; "), migrated.to_do.clone())
}

#[test]
fn authservices_ways_in_become_sources() {
    let drafted = |more: &[(&str, &str)]| {
        let mut variables = AUTHSERVICE.to_vec();
        variables.extend(more);
        let variables = variables.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
        bearers(&migrate::authservice(&[], variables, None).expect("a draft"))
    };
    let usual = "istio-ingressgateway.istio-system.svc.cluster.local";
    let cluster = format!("- kind: kubernetes; audiences: [{usual}]");
    let algorithms = "algorithms: [RS256, ES256, PS256, EdDSA]";
    let provider = |audiences: &str| {
        format!("- kind: jwt; issuer: https://dex.example.com; audiences: [{audiences}]; {algorithms}")
    };
    let both = provider(&format!("{usual}, mesh"));
    let session = "- kind: session";
    let (off, idtoken_off) = (("KUBERNETES_AUTHN_ENABLED", "F"), ("IDTOKEN_AUTHN_ENABLED", "false"));
    for (more, expected) in [
        (&[][..], format!("{cluster}; {both}; {session}")),
        // Whatever people are named by: nobody else bears a name that begins with `system:`.
        (&[("USERID_CLAIM", "sub")], format!("{cluster}; {both}; {session}")),
        (&[("CACHE_ENABLED", "true")], format!("{cluster}; cache_for: 5m; {both}; {session}")),
        (
            &[("CACHE_ENABLED", "1"), ("CACHE_EXPIRATION_MINUTES", "90")],
            format!("{cluster}; cache_for: 60m; {both}; {session}"),
        ),
        (
            &[("USERID_PREFIX", "corp:"), ("GROUPS_ALLOWLIST", "ml, data ops")],
            format!(
                "{cluster}; identity:; user:; prefix: 'corp:'; admit:; groups: [ml, 'data ops']; {both}; {session}"
            ),
        ),
        (&[off], format!("{both}; {session}")),
        (&[off, idtoken_off], format!("{}; {session}", provider(usual))),
        (&[off, ("ACCESS_TOKEN_AUTHN_ENABLED", "false")], format!("{}; {session}", provider("mesh"))),
        (&[off, idtoken_off, ("ACCESS_TOKEN_AUTHN_ENABLED", "0")], session.to_owned()),
        (&[off, ("AUDIENCES", "a mesh,b")], format!("{}; {session}", provider("a, mesh, b"))),
        (&[off, ("AUTH_HEADER", "X-Auth-Token")], format!("{both}; {session}; header: x-auth-token")),
        (&[off, ("AUTH_HEADER", "authorization")], format!("{both}; {session}")),
    ] {
        assert_eq!(drafted(more), (expected, vec![]), "{more:?}");
    }
    for (more, expected, what) in [
        (
            &[off, ("ACCESS_TOKEN_AUTHN", "opaque")][..],
            format!("{}; {session}", provider("mesh")),
            "kind: introspection",
        ),
        (&[off, ("ID_TOKEN_HEADER", "X-Id-Token")], session.to_owned(), "ID_TOKEN_HEADER=Authorization"),
        (&[off, ("AUTH_HEADER", "x_auth")], both.clone(), "one such as `x-auth-token`"),
        (
            &[("USERID_CLAIM", "sub"), ("USERID_PREFIX", "corp:")],
            format!("{both}; {session}"),
            "called `corp:system:serviceaccount:…`",
        ),
    ] {
        let (sources, to_do) = drafted(more);
        assert_eq!(sources, expected, "{more:?}");
        assert!(matches!(&to_do[..], [one] if one.contains(what)), "{more:?}: {to_do:?}");
    }
}

#[test]
fn oauth2_proxys_ways_in_become_sources() {
    let drafted = |more: &[&str]| {
        let flags: Vec<String> = [&SET_UP[..4], more].concat().iter().map(|flag| (*flag).to_owned()).collect();
        let (sources, mut to_do) =
            bearers(&migrate::oauth2_proxy(None, &[], std::iter::empty(), &flags, None).expect("a draft"));
        to_do.retain(|what| !what.starts_with("session-store-type"));
        (sources, to_do)
    };
    let own = |audiences: &str, algorithms: &str| {
        format!("- kind: jwt; issuer: https://dex.example.com; audiences: [{audiences}]; algorithms: [{algorithms}]")
    };
    let all = "RS256, ES256, PS256, EdDSA";
    let on = "--skip-jwt-bearer-tokens";
    let cluster = "--extra-jwt-issuers=https://kubernetes.default.svc.cluster.local=a";
    let pods = "- kind: kubernetes; audiences: [a]; verify: keys";
    for (more, expected) in [
        (&[][..], String::new()),
        (&[cluster], String::new()),
        (&["--skip-jwt-bearer-tokens=false", cluster], String::new()),
        (&[on], own("mesh", all)),
        (&[on, "--oidc-enabled-signing-alg=ES384"], own("mesh", "ES384")),
        (
            &[on, "--oidc-jwks-url=https://dex.example.com/keys"],
            format!("{}; jwks_url: https://dex.example.com/keys", own("mesh", all)),
        ),
        (&[on, "--extra-jwt-issuers=https://dex.example.com=x=y"], own("mesh, x=y", all).replace("x=y", "'x=y'")),
        (&[on, cluster], format!("{}; {pods}", own("mesh", all))),
        (
            &[on, "--extra-jwt-issuers=https://kubernetes.default.svc=a,https://kubernetes.default.svc=b"],
            format!(
                "{}; - kind: kubernetes; issuer: https://kubernetes.default.svc; audiences: [a, b]; verify: keys",
                own("mesh", all)
            ),
        ),
        (
            // A cluster's domain is its own; the keys are the API server's, whatever the issuer is called.
            &[on, "--extra-jwt-issuers=https://kubernetes.default.svc.corp.example=a"],
            format!(
                "{}; - kind: kubernetes; issuer: https://kubernetes.default.svc.corp.example; audiences: [a]; verify: keys",
                own("mesh", all)
            ),
        ),
        (&[on, cluster, "--oidc-email-claim=name"], format!("{}; {pods}", own("mesh", all))),
        (
            &[on, cluster, "--allowed-group=ml", "--email-domain=example.com"],
            format!("{}; {pods}; identity:; admit:; groups: [ml]; email_domains: [example.com]", own("mesh", all)),
        ),
    ] {
        assert_eq!(drafted(more), (expected, vec![]), "{more:?}");
    }
    for (more, expected, what) in [
        (
            &[on, "--oidc-extra-audience=sdk", cluster][..],
            format!("{}; {}", own("mesh, sdk", all), pods.replace("[a]", "[a, sdk]")),
            "among the `audiences`",
        ),
        (&[on, "--extra-jwt-issuers=https://b.example.com=a"], own("mesh", all), "issuer: https://b.example.com, aud"),
        (&[on, "--extra-jwt-issuers=https://b.example.com"], own("mesh", all), "is no `ISSUER=AUDIENCE`"),
        (
            &[on, cluster, "--extra-jwt-issuers=https://kubernetes.default.svc=a"],
            format!("{}; {pods}", own("mesh", all)),
            "issuer: https://kubernetes.default.svc, aud",
        ),
    ] {
        let (sources, to_do) = drafted(more);
        assert_eq!(sources, expected, "{more:?}");
        assert!(matches!(&to_do[..], [one] if one.contains(what)), "{more:?}: {to_do:?}");
    }
}

#[test]
fn what_cannot_be_read_is_said_without_its_content() {
    let home = tempfile::tempdir().expect("a directory");
    let write = |name: &str, text: &str| {
        let path = home.path().join(name);
        std::fs::write(&path, text).expect("a file");
        path.to_string_lossy().into_owned()
    };
    let variables = write("params.env", "A=b\n\n# c\ncanary\n");
    let said = countersign(&["migrate", "authservice", "--env-file", &variables], &[]);
    let expected =
        format!("countersign: {variables}:4: it is no `NAME=value`; take the line out, or write a `#` before it\n");
    assert_eq!((said.code, said.out.as_str(), said.complaints), (Some(2), "", expected));

    let cfg = write("a.cfg", "provider = \"oidc\"\nclient_secret = canary\n");
    let said = countersign(&["migrate", "oauth2-proxy", "--cfg", &cfg], &[]);
    assert_eq!((said.code, said.out.as_str()), (Some(2), ""));
    assert!(said.complaints.starts_with(&format!("countersign: {cfg}:2: it is no TOML: ")), "{}", said.complaints);
    assert!(!said.complaints.contains(CANARY), "{}", said.complaints);

    for (arguments, expected) in [
        (
            &["migrate", "authservice"][..],
            "OIDC_PROVIDER is not set: name authservice's settings by `--env-file` (params.env), or set them",
        ),
        (
            &["migrate", "oauth2-proxy", "--", "canary"],
            "argument 1 after `--` is no flag: write flags as oauth2-proxy gets them, `--name=value`",
        ),
        (&["migrate", "oauth2-proxy", "--", "--scope"], "--scope has no value: write `--scope=value`"),
        (
            &["migrate", "oauth2-proxy", "--cfg", "/nowhere"],
            "/nowhere cannot be read: No such file or directory (os error 2)",
        ),
    ] {
        let said = countersign(arguments, &[]);
        assert_eq!((said.code, said.complaints), (Some(2), format!("countersign: {expected}\n")), "{arguments:?}");
    }
}

#[test]
fn unknown_settings_are_named_and_not_shown() {
    let home = tempfile::tempdir().expect("a directory");
    let path = home.path().join("params.env");
    std::fs::write(&path, "OIDC_PROVIDER=https://a.example.com\nUNHEARD_OF=canary\n").expect("a file");
    let said = countersign(&["migrate", "authservice", "--env-file", &path.to_string_lossy()], &[]);
    assert!(said.out.ends_with("\n# Not known, and not taken over: UNHEARD_OF.\n"), "{}", said.out);
    assert!(said.complaints.contains("to do: not known, and not taken over: UNHEARD_OF\n"), "{}", said.complaints);
    let flags = ["--unheard-of=canary".to_owned()];
    let yaml = migrate::oauth2_proxy(None, &[], std::iter::empty(), &flags, None).expect("a draft").yaml;
    assert!(yaml.ends_with("\n# Not known, and not taken over: --unheard-of.\n") && !yaml.contains(CANARY), "{yaml}");
}

#[test]
fn authservices_variables_are_judged_before_they_are_served_by() {
    let judged = |more: &[(&str, &str)]| countersign(&["config", "check"], &[&AUTHSERVICE[..], more].concat());
    let good = judged(&[]);
    assert_eq!((good.code, good.complaints.as_str()), (Some(0), ""));
    assert!(
        good.out.starts_with("the configuration is good\n  public URL  https://mesh.example.com\n"),
        "{}",
        good.out
    );
    let warned = judged(&[("SESSION_SAME_SITE", "None")]);
    assert!(
        warned.code == Some(0) && warned.complaints.contains("variable SESSION_SAME_SITE"),
        "{}",
        warned.complaints
    );
    let refused = judged(&[("EXTERNAL_AUTHZ_URL", "http://authz.example.com")]);
    assert!(refused.complaints.contains("variable EXTERNAL_AUTHZ_URL"), "{}", refused.complaints);
    assert_eq!((refused.code, refused.out.as_str()), (Some(2), ""));
}

/// One after the other, each with what those before it left.
#[test]
fn the_commands_in_the_docs_run() {
    let home = tempfile::tempdir().expect("a directory");
    for (name, like) in [("params.env", "kubeflow-1.8.env"), ("oauth2_proxy.cfg", "kubeflow-26.03.cfg")] {
        std::fs::copy(here(like), home.path().join(name)).expect("a file");
    }
    let secrets = [("secret_params.env", "CLIENT_ID=mesh\n"), ("proxy.env", "OAUTH2_PROXY_CLIENT_ID=mesh\n")];
    for (name, text) in secrets {
        std::fs::write(home.path().join(name), text).expect("a file");
    }
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_countersign"), home.path().join("countersign")).expect("a link");
    let docs = std::fs::read_to_string(here("../../docs/migrating.md")).expect("a file of ours");
    let is_ours = |line: &&str| line.starts_with("countersign ") || line.starts_with("COUNTERSIGN_");
    let commands: Vec<&str> = docs.lines().map(str::trim_start).filter(is_ours).collect();
    assert_eq!(commands.len(), 4, "{commands:?}");
    for command in commands {
        let mut run = Command::new("/bin/sh");
        run.args(["-c", command]).env_clear().env("PATH", home.path()).current_dir(home.path());
        let output = run.output().expect("it runs");
        assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
        let drafted = std::fs::read_to_string(home.path().join("countersign.yaml")).expect("a draft");
        assert!(drafted.contains("client_id: mesh\n"), "{command}");
        assert!(drafted.contains("public_url: https://kubeflow.example.com\n"), "{command}");
    }
}
