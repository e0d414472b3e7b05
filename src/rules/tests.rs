use percent_encoding::percent_decode_str;
use proptest::prelude::*;

use super::*;
use crate::config::{Challenge, PathMatch};
use crate::identity::{Email, GroupName, Groups, Identity, ProviderId, Subject, UserId};

const GENERAL: Unauthenticated =
    Unauthenticated { navigation: Challenge::Redirect, other: Challenge::Unauthorized, unknown: Challenge::Redirect };
const HOST: &str = "mesh.example.com";

fn rule(path: PathMatch, access: Access) -> RuleSettings {
    RuleSettings {
        hosts: Vec::new(),
        path,
        methods: Vec::new(),
        access,
        audience: None,
        mint_token: true,
        keep_authorization: false,
        unauthenticated: None,
        preflight_pass: false,
    }
}

fn prefix(path: &str, access: Access) -> RuleSettings {
    rule(PathMatch::Prefix(path.into()), access)
}

fn pattern(text: &str, access: Access) -> RuleSettings {
    rule(PathMatch::Regex(text.parse().expect("a pattern")), access)
}

fn only_group(group: &str) -> Access {
    Access::Only { groups: vec![group.into()], users: Vec::new(), domains: Vec::new() }
}

/// 0: everyone below `/dex/`; 1: one group below `/pipeline/`; 2: signed-in everywhere else, by no rule.
fn rules() -> Rules {
    Rules::new(&[prefix("/dex/", Access::Public), prefix("/pipeline/", only_group("ml"))], GENERAL, Vec::new())
}

fn chosen(rules: &Rules, host: &str, method: &str, target: &str) -> Result<usize, Ambiguous> {
    rules.select(host, method, target).map(|rule| rule.index)
}

fn of_path(target: &str) -> Result<usize, Ambiguous> {
    chosen(&rules(), HOST, "GET", target)
}

#[test]
fn the_first_match_wins_and_the_rest_needs_somebody_signed_in() {
    for (target, index) in [
        ("/dex/auth?client_id=x", 0),
        ("/dex/", 0),
        ("/pipeline/", 1),
        ("/pipeline/apis/v1beta1/runs?filter=%7B%22a%22:1%7D&x=/../dex/", 1),
        ("/", 2),
        ("/dexter", 2),
        ("/pipelines/x", 2),
        ("/x/pipeline/", 2),
        ("/Pipeline/", 2),
        ("/?/dex/", 2),
    ] {
        assert_eq!(of_path(target), Ok(index), "{target}");
    }
    let rules = rules();
    let fallback = rules.select(HOST, "GET", "/").expect("a rule");
    assert_eq!((fallback.name(), &fallback.access, fallback.mint_token), ("default", &Access::SignedIn, true));
    assert_eq!(rules.select(HOST, "GET", "/pipeline/").map(Rule::name), Ok("rule 2 (/pipeline/)"));
}

#[test]
fn a_prefix_ends_at_a_segment() {
    let rules = Rules::new(&[prefix("/a", Access::Public), prefix("/b/", Access::Public)], GENERAL, Vec::new());
    for (target, index) in [("/a", 0), ("/a/", 0), ("/a/x", 0), ("/ab", 2), ("/b/", 1), ("/b/x", 1), ("/bx", 2)] {
        assert_eq!(chosen(&rules, HOST, "GET", target), Ok(index), "{target}");
    }
}

#[test]
fn a_missing_slash_does_not_widen() {
    assert_eq!(of_path("/pipeline"), Ok(1), "most servers answer it as they answer /pipeline/");
    assert_eq!(of_path("/dex"), Ok(2), "a public rule gets nothing that it does not name");
    let behind_public =
        Rules::new(&[prefix("/app/", Access::SignedIn), prefix("/", Access::Public)], GENERAL, Vec::new());
    assert_eq!(chosen(&behind_public, HOST, "GET", "/app"), Ok(0));
    let before = Rules::new(&[prefix("/app", Access::Public), prefix("/app/", Access::SignedIn)], GENERAL, Vec::new());
    assert_eq!(chosen(&before, HOST, "GET", "/app"), Ok(0), "the first match wins");
}

#[test]
fn odd_spellings_within_one_rule_pass() {
    for (target, index) in [
        ("/pipeline/a%2Fb", 1),
        ("/pipeline/100%25", 1),
        ("/pipeline/100%25.txt", 1),
        ("/pipeline/a%20b%20%C3%B6.ipynb", 1),
        ("/pipeline/a;v=1/b//c/./d/../e", 1),
        ("/pipeline/https%3A%2F%2Fexample.com%2Fa%3Fb%23c", 1),
        ("/pipeline/.hidden/..data", 1),
        ("/notebook/ann/lab/api/contents/dir%2Fmy%20file.ipynb", 2),
        ("/.well-known/x", 2),
        ("/größe", 2),
        ("/...", 2),
    ] {
        assert_eq!(of_path(target), Ok(index), "{target}");
    }
}

#[test]
fn a_path_with_two_readings_is_refused() {
    for target in [
        // from the public rule into the narrow one
        "/dex/../pipeline/",
        "/dex/%2e%2e/pipeline/",
        "/dex/%2E./pipeline/",
        "/dex/..%2fpipeline/",
        "/dex/..%5cpipeline/",
        "/dex/..\\pipeline/",
        "/dex/..;/pipeline/",
        "/dex/..;x=y/pipeline/",
        "/dex/..%3b/pipeline/",
        "/dex/;/../pipeline/",
        "/dex/x//../../pipeline/",
        "/dex//../pipeline/",
        "/dex/%252e%252e/pipeline/",
        "/dex/%252e%252e%252fpipeline/",
        "/dex/%25252e%25252e/pipeline/",
        "/dex/..%252fpipeline/",
        "/dex/.%2e%2fpipeline/x",
        "/dex/%2e%2e%2fpipeline?x",
        "/dex/..",
        "/dex/.%2e",
        // from the default into the narrow one
        "//pipeline/",
        "/%70ipeline/",
        "/pipeline%2f",
        "/pipeline%2Fx",
        "/pipeline%5cx",
        "/pipeline\\x",
        "/pipeline;x/y",
        "/pipeline;/",
        "/;/pipeline/",
        "/;x/pipeline/",
        "/./pipeline/",
        "/x/../pipeline/",
        "/\\pipeline/",
        "/%5cpipeline/",
        "/%2fpipeline/",
        "/%2570ipeline/",
        "/x/%2e%2e/pipeline/",
        "/pipeline%3fx",
        "/pipeline%23x",
        "//evil/pipeline/",
        "/%2fevil/pipeline/",
        // back and forth: the two public readings hide a narrow third one
        "/dex/..%2fpipeline/..;/dex/",
        "/dex/..%2fpipeline/..\\dex/",
        "/dex/..%2fpipeline//../dex/",
        "/dex/..%2fpipeline/x;%2f..%2f..%2fdex/",
        "/dex/..%2fpipeline/%23/../../dex/",
        "/dex/..%2fpipeline/%3f/../../dex/",
        // a server may take all that follows a `;` for the session's id, not only what is left of the segment
        "/dex/..%2fpipeline/x;/../../dex/",
        "/dex/..%2fpipeline/x;%2f..%2f..%2fdex/",
        "/dex/x/..%2f..;/dex/",
        "/dex/..%3b/dex/",
    ] {
        assert_eq!(of_path(target), Err(Ambiguous::ReadingsDisagree), "{target}");
    }
}

#[test]
fn what_is_no_path_is_refused() {
    for (target, reason) in [
        ("", Ambiguous::NotAPath),
        ("dex/", Ambiguous::NotAPath),
        ("?/dex/", Ambiguous::NotAPath),
        ("*", Ambiguous::NotAPath),
        ("http://mesh.example.com/dex/", Ambiguous::NotAPath),
        ("mesh.example.com:443", Ambiguous::NotAPath),
        ("\\dex/", Ambiguous::NotAPath),
        ("/pipeline/#/dex/", Ambiguous::BadCharacter),
        ("/dex/?x#y", Ambiguous::BadCharacter),
        ("/dex/\0", Ambiguous::BadCharacter),
        ("/dex/\r\nx: y", Ambiguous::BadCharacter),
        ("/dex/\tx", Ambiguous::BadCharacter),
        ("/dex/\u{7f}", Ambiguous::BadCharacter),
        ("/dex/ x", Ambiguous::BadCharacter),
        ("/dex/%00", Ambiguous::BadCharacter),
        ("/dex/%0d%0a", Ambiguous::BadCharacter),
        ("/dex/%2500", Ambiguous::BadCharacter),
        ("/dex/%7F", Ambiguous::BadCharacter),
        ("/dex/%", Ambiguous::BadEncoding),
        ("/dex/%2", Ambiguous::BadEncoding),
        ("/dex/%zz", Ambiguous::BadEncoding),
        ("/dex/%u002e%u002e/pipeline/", Ambiguous::BadEncoding),
        ("/dex/%+2", Ambiguous::BadEncoding),
        ("/dex/%c0%ae%c0%ae/pipeline/", Ambiguous::BadEncoding),
        ("/dex/%c0%af", Ambiguous::BadEncoding),
        ("/dex/%25c0%25ae", Ambiguous::BadEncoding),
        ("/dex/%e0%80%ae", Ambiguous::BadEncoding),
        ("/dex/%ff", Ambiguous::BadEncoding),
    ] {
        assert_eq!(of_path(target), Err(reason), "{target:?}");
    }
    assert_eq!(chosen(&rules(), HOST, "OPTIONS", "*"), Ok(2));
    assert_eq!(chosen(&rules(), HOST, "OPTIONS", "*?x"), Err(Ambiguous::NotAPath));
}

#[test]
fn what_a_server_decodes_in_part_is_read_so() {
    // Each with a way to read it that no other decoding leads to.
    for (target, reading) in [
        ("/x%2fy", "/x%2Fy"),
        ("/%61%3bb", "/a%3Bb"),
        ("/a%3bb%2fc", "/a%3Bb/c"),
        ("/a%3bb%2fc", "/a;b%2Fc"),
        ("/a%3bb%2fc", "/a;b/c"),
    ] {
        let rules = Rules::new(&[pattern(&regex::escape(reading), Access::Public)], GENERAL, Vec::new());
        assert_eq!(chosen(&rules, HOST, "GET", target), Err(Ambiguous::ReadingsDisagree), "{target} as {reading}");
    }
}

#[test]
fn a_long_path_is_read_up_to_a_limit() {
    let with_a_reading_of = |bytes: usize| of_path(&format!("/%41{}", "a".repeat(bytes - 2)));
    assert_eq!(with_a_reading_of(128 * 1024), Ok(2));
    assert_eq!(with_a_reading_of(128 * 1024 + 1), Err(Ambiguous::TooManyReadings));
}

#[test]
fn a_flood_of_readings_is_refused() {
    let deep = format!("/x%{}2f", "25".repeat(200));
    assert_eq!(of_path(&deep), Err(Ambiguous::TooManyReadings));
    let long = format!("/a%20b;c//{}", "x".repeat(60_000));
    assert_eq!(of_path(&long), Err(Ambiguous::TooManyReadings));
}

#[test]
fn hosts_are_compared_as_a_gateway_compares_them() {
    let hosts = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    let rules = Rules::new(
        &[
            RuleSettings { hosts: hosts(&["lab.example.com"]), ..rule(PathMatch::Any, only_group("lab")) },
            RuleSettings { hosts: hosts(&["*.dev.example.com"]), ..rule(PathMatch::Any, Access::Public) },
            RuleSettings { hosts: hosts(&["::1"]), ..rule(PathMatch::Any, only_group("ops")) },
            RuleSettings { hosts: hosts(&["*example.org"]), ..rule(PathMatch::Any, Access::Public) },
        ],
        GENERAL,
        vec!["8443".to_owned()],
    );
    for (host, index) in [
        ("lab.example.com", 0),
        ("LAB.Example.COM", 0),
        ("lab.example.com:8443", 0),
        ("a.dev.example.com", 1),
        ("a.b.DEV.example.com", 1),
        ("dev.example.com", 4),
        ("evildev.example.com", 4),
        ("lab.example.com.evil.example", 4),
        ("[::1]", 2),
        ("[0:0::1]:8443", 2),
        ("[::2]", 4),
        ("evilexample.org", 4),
        ("a.example.org", 4),
    ] {
        assert_eq!(chosen(&rules, host, "GET", "/"), Ok(index), "{host}");
    }
    for host in [
        "",
        ".",
        "..",
        ":80",
        // Envoy compares the literal text: these it may route to whatever stands behind `*`.
        "lab.example.com.",
        "lab.example.com:",
        "lab.example.com:1",
        "lab.example.com:443",
        "lab.example.com:08443",
        "Lab.example.com.:8443",
        "a.dev.example.com:1",
        "[::1]:80",
        "lab.example.com..",
        ".dev.example.com",
        "a..dev.example.com",
        "lab.example.com:80:80",
        "lab.example.com:8o",
        "ann@lab.example.com",
        "lab.example.com/x",
        "lab.example.com, a.dev.example.com",
        "lab.example.com\\.dev.example.com",
        "lab%2eexample.com",
        "lab.example.com\t",
        "läb.example.com",
        "[::1",
        "[::1]x",
        "[lab]",
    ] {
        assert_eq!(chosen(&rules, host, "GET", "/"), Err(Ambiguous::BadHost), "{host:?}");
    }
    assert_eq!(chosen(&self::rules(), "", "GET", "/"), Ok(2), "no rule asks for the host");
    for host in
        ["lab.example.com:8o", "lab.example.com:80:80", "lab.example.com:80,", "läb.example.com", "[::1]:x", ".."]
    {
        assert_eq!(chosen(&self::rules(), host, "GET", "/"), Err(Ambiguous::BadHost), "{host:?} is none at all");
    }
}

#[test]
fn methods_are_compared_exactly_and_odd_ones_refused() {
    let upload = RuleSettings { methods: vec!["POST".into(), "PUT".into()], ..prefix("/", only_group("ml")) };
    let rules = Rules::new(&[upload, prefix("/", Access::Public)], GENERAL, Vec::new());
    for (method, answer) in [
        ("POST", Ok(0)),
        ("PUT", Ok(0)),
        ("GET", Ok(1)),
        ("M-SEARCH", Ok(1)),
        ("post", Err(Ambiguous::BadMethod)),
        ("Post", Err(Ambiguous::BadMethod)),
        ("POST ", Err(Ambiguous::BadMethod)),
        ("", Err(Ambiguous::BadMethod)),
    ] {
        assert_eq!(chosen(&rules, HOST, method, "/"), answer, "{method:?}");
    }
}

#[test]
fn a_pattern_matches_the_whole_path() {
    let rules = Rules::new(
        &[
            pattern("/a|/ab", only_group("ml")),
            pattern("/v[0-9]+/healthz", Access::Public),
            pattern("(?x) /c  # a comment", Access::Public),
        ],
        GENERAL,
        Vec::new(),
    );
    for (target, index) in [
        ("/a", 0),
        ("/ab", 0),
        ("/abc", 3),
        ("/x/a", 3),
        ("/v1/healthz", 1),
        ("/v1/healthz?x=/y", 1),
        ("/v1/healthz/", 3),
        ("/secret/v1/healthz", 3),
        ("/c", 2),
        ("/cd", 3),
    ] {
        assert_eq!(chosen(&rules, HOST, "GET", target), Ok(index), "{target}");
    }
    for target in ["/secret/..%2f../v1/healthz", "/v1/healthz;x", "/v1/healthz%3fx", "/v1/healthz%23"] {
        assert_eq!(chosen(&rules, HOST, "GET", target), Err(Ambiguous::ReadingsDisagree), "{target}");
    }
}

fn ann(groups: &[&str], email: Option<&str>) -> Identity {
    Identity {
        provider: ProviderId::parse("dex").expect("an id"),
        subject: Subject::parse("1").expect("a subject"),
        user: UserId::parse("ann").expect("a user"),
        email: email.map(|email| Email::parse(email).expect("an address")),
        groups: Groups::new(groups.iter().map(|&name| GroupName::parse(name).expect("a group"))).expect("few groups"),
        auth_time: None,
        acr: None,
        amr: Vec::new(),
    }
}

#[test]
fn a_pattern_that_cannot_be_anchored_covers_everything_and_admits_nobody() {
    // As deep as the library takes; the anchors around it are one level more.
    let nested = |depth: usize| format!("{}a{}", "(".repeat(depth), ")".repeat(depth));
    let depth = (1..1000).rfind(|depth| regex::Regex::new(&nested(*depth)).is_ok()).expect("some depth is too much");
    for open in [Access::Public, Access::SignedIn, Access::Optional] {
        let rules = Rules::new(&[pattern(&nested(depth), open)], GENERAL, Vec::new());
        let rule = rules.select(HOST, "GET", "/x").expect("a rule");
        assert_eq!((rule.index, rule.name()), (0, "rule 1 (unusable pattern)"));
        assert!(rule.admits(&ann(&["ml"], None)).is_err());
    }
}

#[test]
fn a_rule_admits_members_of_any_of_its_lists() {
    let strings = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
    let access = |groups: &[&str], users: &[&str], domains: &[&str]| {
        let only = Access::Only { groups: strings(groups), users: strings(users), domains: strings(domains) };
        Rules::new(&[rule(PathMatch::Any, only)], GENERAL, Vec::new())
    };
    let answer = |rules: &Rules, identity: &Identity| {
        rules.select(HOST, "GET", "/").expect("a rule").admits(identity).map_err(|refusal| refusal.to_string())
    };
    let mixed = access(&["ml", "ops"], &["bob"], &["example.com"]);
    assert_eq!(answer(&mixed, &ann(&["ml"], None)), Ok(()));
    assert_eq!(answer(&mixed, &ann(&[], Some("ann@EXAMPLE.com"))), Ok(()));
    assert_eq!(answer(&access(&[], &["ann"], &[]), &ann(&[], None)), Ok(()));
    let text = "needs one of the groups: ml, ops; or an address in one of the domains: example.com; \
                or to be one of the users that the rule names";
    assert_eq!(answer(&mixed, &ann(&["ML", "m"], Some("ann@sub.example.com"))), Err(text.into()));
    assert_eq!(answer(&access(&["*"], &[], &[]), &ann(&["ml"], None)), Err("needs one of the groups: *".into()));
    assert_eq!(answer(&access(&[], &[], &[]), &ann(&["ml"], None)), Err("nobody is admitted here".into()));
    for open in [Access::Public, Access::SignedIn, Access::Optional] {
        assert_eq!(answer(&Rules::new(&[rule(PathMatch::Any, open)], GENERAL, Vec::new()), &ann(&[], None)), Ok(()));
    }
}

#[test]
fn admission_asks_for_group_and_domain() {
    use crate::config::Admit;
    let admit = |groups: &[&str], domains: &[&str]| Admit {
        groups: groups.iter().map(|&group| group.to_owned()).collect(),
        email_domains: domains.iter().map(|&domain| domain.to_owned()).collect(),
    };
    let member = ann(&["ml"], Some("ann@example.com"));
    for (settings, identity, passes) in [
        (admit(&["*"], &["*"]), ann(&[], None), true),
        (admit(&["ml"], &["*"]), member.clone(), true),
        (admit(&["ml"], &["*"]), ann(&[], None), false),
        (admit(&["*"], &["example.com"]), member.clone(), true),
        (admit(&["*"], &["example.com"]), ann(&["ml"], None), false),
        (admit(&["*"], &["example.com"]), ann(&["ml"], Some("ann@evil.example.com")), false),
        (admit(&["ops"], &["example.com"]), member.clone(), false),
        (admit(&["ml"], &["example.org"]), member.clone(), false),
        (admit(&["ml"], &["example.com"]), member.clone(), true),
        (admit(&[], &[]), member, false),
    ] {
        assert_eq!(admitted(&settings, &identity).is_ok(), passes, "{settings:?} {identity:?}");
    }
}

/// A server that is not ours: what it does to a path, in the order in which it does it.
#[derive(Clone, Copy, Debug)]
enum Habit {
    Decode,
    Backslashes,
    Merge,
    Parameters,
    Session,
    Dots,
    Query,
}

fn read_by(server: &[Habit], path: &str) -> String {
    server.iter().fold(path.to_owned(), |path, habit| match habit {
        Habit::Decode => percent_decode_str(&path).decode_utf8_lossy().into_owned(),
        Habit::Backslashes => path.replace('\\', "/"),
        Habit::Merge => {
            format!("/{}", path.split('/').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("/"))
                + if path.len() > 1 && path.ends_with('/') { "/" } else { "" }
        }
        Habit::Parameters => {
            path.split('/').map(|part| part.split(';').next().unwrap_or_default()).collect::<Vec<_>>().join("/")
        }
        Habit::Session => path.split(';').next().unwrap_or_default().to_owned(),
        Habit::Dots => without_dots(&path),
        Habit::Query => path.split(['?', '#']).next().unwrap_or_default().to_owned(),
    })
}

/// RFC 3986 section 5.2.4, letter by letter.
fn without_dots(path: &str) -> String {
    let mut input = path.to_owned();
    let mut output = String::new();
    while !input.is_empty() {
        if input.starts_with("/./") || input == "/." {
            input = format!("/{}", input.get(3..).unwrap_or_default());
        } else if input.starts_with("/../") || input == "/.." {
            input = format!("/{}", input.get(4..).unwrap_or_default());
            output.truncate(output.rfind('/').unwrap_or(0));
        } else {
            let end = input[1..].find('/').map_or(input.len(), |at| at + 1);
            output.push_str(&input[..end]);
            input = input[end..].to_owned();
        }
    }
    output
}

fn habits() -> impl Strategy<Value = Vec<Habit>> {
    use Habit::{Backslashes, Decode, Dots, Merge, Parameters, Query, Session};
    let one = prop::sample::select(vec![Decode, Backslashes, Merge, Parameters, Session, Dots, Query]);
    prop::collection::vec(one, 0..8)
}

fn hostile_path() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "/",
        "/",
        "/dex/",
        "/pipeline/",
        "dex",
        "pipeline",
        "/..",
        "..",
        ".",
        "/.",
        "%2e",
        "%2E%2e",
        "%2f",
        "%2F",
        "%5c",
        "\\",
        ";",
        "%3b",
        ";x",
        "//",
        "%25",
        "%252e",
        "%252f",
        "2e",
        "2f",
        "%23",
        "%3f",
        "%70",
        "x",
        "%20",
        "ö",
    ]);
    prop::collection::vec(piece, 0..9).prop_map(|pieces| format!("/{}", pieces.concat()))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4096, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_server_finds_another_rule_s_path(path in hostile_path(), server in habits()) {
        let rules = rules();
        if let Ok(rule) = rules.select(HOST, "GET", &path) {
            let there = read_by(&server, &path);
            let index = rules.covering(HOST, "GET", &there).index;
            prop_assert_eq!(rule.index, index, "{} is {} there", path, there);
        }
    }

    #[test]
    fn what_is_below_a_narrow_rule_stays_there(tail in "[a-z/.;%2efF\\\\]{0,12}", detour in hostile_path()) {
        for path in [format!("/pipeline/{tail}"), format!("{detour}/../pipeline/"), format!("/dex{detour}%2f..%2fx")] {
            let answer = of_path(&path);
            let public_all_the_way = read_by(&[Habit::Decode, Habit::Dots], &path).starts_with("/dex/");
            prop_assert!(answer != Ok(0) || public_all_the_way, "{path}");
        }
        prop_assert_ne!(of_path(&format!("/pipeline/{tail}")), Ok(0));
    }

    #[test]
    fn the_short_way_answers_as_the_long_way(path in "/[a-z./;%\\\\?ö~-]{0,12}") {
        if path::is_plain(&path) {
            let mut readings = 0;
            let outcome = path::for_each_reading(&path, |_| { readings += 1; Ok(()) });
            // A question mark ends the path before it gets here; decoded ones are readings of their own.
            prop_assert!(outcome.is_ok() && (readings == 0 || path.contains('?')), "{path} has readings");
        }
    }

    #[test]
    fn nothing_makes_it_panic(host in ".*", method in ".*", target in ".*", tail in "[%/.;\\\\0-9a-f]{0,24}") {
        let rules = rules();
        let _ = rules.select(&host, "GET", "/");
        let _ = rules.select(HOST, &method, "/");
        let _ = rules.select(HOST, "GET", &target);
        let _ = rules.select(HOST, "GET", &format!("/{tail}"));
    }
}
