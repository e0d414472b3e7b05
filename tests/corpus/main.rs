//! The corpus by itself: that it stays the same, that its judge sees what it should; and, pointed at a gateway by
//! variables (README.md), what that gateway lets through. `tests/rig` puts it to ours.

#![expect(
    clippy::disallowed_methods,
    reason = "a test is pointed at its gateway by the environment, and spawns its own parts"
)]
#![expect(clippy::print_stdout, reason = "its numbers are what it is run for")]

#[path = "corpus.rs"]
mod corpus;
mod elsewhere;

use std::collections::BTreeMap;

use corpus::judge::{Contract, Judge, Seen};
use corpus::ordinary::ordinary;
use corpus::servers::{SERVERS, readings};
use corpus::site::Site;
use corpus::variants::{SEED, fingerprint};

#[test]
fn it_is_the_same_on_every_machine_and_on_every_day() {
    let made = corpus::variants::corpus(SEED);
    let mut families = BTreeMap::new();
    for variant in &made {
        *families.entry(variant.family).or_insert(0) += 1;
    }
    println!("{} variants, {:016x}: {families:?}", made.len(), fingerprint(&made));
    if let Some(file) = std::env::var_os("CORPUS_WRITE") {
        let lines: Vec<_> = made.iter().map(|variant| serde_json::to_string(variant).expect("JSON")).collect();
        std::fs::write(file, lines.join("\n") + "\n").expect("a file");
    }
    assert_eq!((made.len(), fingerprint(&made)), (6180, 0x9281_b43a_7cf9_619c), "{families:?}");
    assert_ne!(fingerprint(&corpus::variants::corpus(SEED + 1)), fingerprint(&made), "the seed takes part");
}

#[test]
fn ordinary_requests_are_wrong_for_nobody() {
    let judge = judge();
    for variant in ordinary() {
        let site = Site::of_the_corpus();
        let path = variant.target.split('?').next().expect("a path");
        let area = site.areas("localhost", variant.method, path.as_bytes())[0].clone();
        let named = area.audience.first().and(variant.who).and_then(|who| site.person(who));
        let seen = seen(variant.method, &variant.target, named.map(|person| (&*person.user, &*area.audience)));
        assert_eq!(judge.wrong(variant.who, &seen), Vec::<String>::new(), "{variant:?}");
    }
}

#[test]
fn servers_read_paths_as_they_are_known_to() {
    let read = |name: &str, path: &str| {
        let (_, steps) = SERVERS.iter().find(|(server, _)| *server == name).expect("a server");
        let read = steps.iter().fold(path.as_bytes().to_vec(), |path, step| step.taken(&path));
        String::from_utf8(read).expect("text")
    };
    for (server, path, expected) in [
        ("nginx", "/a%2f..%2fb//c", "/b/c"),
        ("nginx, merge_slashes off", "/a//../b", "/a/b"),
        ("Tomcat", "/a;x/..;y/b", "/b"),
        ("Tomcat, ALLOW_BACKSLASH", "/a/..%5cb", "/b"),
        ("Shiro", "/a/..%3b/b", "/b"),
        ("Apache httpd, AllowEncodedSlashes NoDecode", "/a/%2e%2e/b%2fc", "/b%2fc"),
        ("Go net/http since 1.22", "/a//%2f../b/../c", "/a/%2f../c"),
        ("Node, new URL", "\\\\evil\\a\\%2e%2e\\b", "/b"),
        ("Node, url.parse", "/a\\..\\b", "/b"),
        ("IIS 5", "/a/%c0%ae%c0%ae%u002fb", "/b"),
        ("PHP behind FastCGI", "/a%00/../b", "/a"),
        ("one that decodes twice", "/a/%252e%252e/b", "/b"),
        ("one that takes it as it is", "/a/../b", "/a/../b"),
        ("RFC 3986", "/a/%2E%2e/b%2fc", "/b%2fc"),
    ] {
        assert_eq!(read(server, path), expected, "{server} {path}");
    }
    // In some order or other.
    assert!(readings("/a/..%5cb%252fc").contains(b"/b/c".as_slice()));
}

#[test]
fn the_judge_knows_right_from_wrong() {
    let judge = judge();
    let (ann, mesh, authors) = ("ann@example.com", ["mesh".to_owned()], ["mesh".to_owned(), "authors".to_owned()]);
    let wrong = |who, seen: &Seen| judge.wrong(who, seen).join("; ");
    for (who, right) in [
        (None, seen("GET", "/public/logo.svg", None)),
        (Some("ann"), seen("GET", "/public/logo.svg", None)),
        (Some("ann"), seen("GET", "/app", Some((ann, &mesh)))),
        (Some("ann"), seen("GET", "/authors/q3", Some((ann, &authors)))),
        // Most serve it as `/authors/`.
        (Some("ann"), seen("GET", "/authors", Some((ann, &authors)))),
        (None, seen("POST", "/forms/contact", None)),
    ] {
        assert_eq!(wrong(who, &right), "", "{right:?}");
    }
    for (who, mistaken, why) in [
        (None, seen("GET", "/authors/q3", None), "authors for nobody"),
        (None, seen("GET", "/public/..%2fauthors/q3", None), "authors for nobody"),
        (None, seen("GET", "/public/%252e%252e/authors/q3", None), "authors for nobody"),
        (None, seen("GET", "/public/secret/q3", None), "secret for nobody"),
        (None, seen("GET", "/public/;/secret/q3", None), "secret for nobody"),
        (None, seen("GET", "/public", None), "rest for nobody"),
        (None, seen("GET", "/forms/contact", None), "rest for nobody"),
        (Some("bob"), seen("GET", "/app/..\\authors/q3", Some(("bob@example.com", &mesh))), "authors for bob"),
        (Some("ann"), seen("GET", "/app/..\\authors/q3", Some((ann, &mesh))), "in several areas at once"),
        (Some("ann"), seen("GET", "/authors/q3", Some((ann, &mesh))), "told [\"ann@example.com\"]"),
        (Some("ann"), seen("GET", "/app", None), "told []"),
        (Some("bob"), seen("GET", "/app", Some((ann, &mesh))), "instead of [\"bob@example.com\"]"),
        (None, with(seen("GET", "/public/x", None), "Kubeflow_Userid", ann), "instead of []"),
        (None, with(seen("GET", "/public/x", None), "KUBEFLOW-GROUPS", "authors"), "groups [\"authors\"]"),
        (None, with(seen("GET", "/public/x", None), "authorization", "Bearer forged"), "authorization of None"),
        (None, with(seen("GET", "/public/x", None), "X-Original-URL", "/authors/"), "a path in x-original-url"),
        (None, with(seen("GET", "/public/x", None), "txn-token", "x"), "a transaction token"),
        (Some("ann"), with(seen("GET", "/public/x", None), "cookie", "a=b; countersign=s"), "the session's cookie"),
        (Some("bob"), with(seen("GET", "/public/x", None), "host", "LAB.test.:8080"), "lab for bob"),
    ] {
        let found = wrong(who, &mistaken);
        assert!(found.contains(why), "{mistaken:?}: {found:?} instead of {why:?}");
    }
}

#[test]
fn the_judge_doubts_what_few_servers_fold() {
    let judge = judge();
    for (name, doubtful) in [
        ("kubeflow.userid", true),
        ("Kubeflow!Groups", true),
        ("x_original_url", true),
        ("kubeflow-userid", false),
        ("kubeflow-user", false),
        ("accept", false),
    ] {
        let seen = with(seen("GET", "/public/x", None), name, "forged");
        assert_eq!(!judge.doubtful(&seen).is_empty(), doubtful, "{name}");
    }
}

fn judge() -> Judge {
    Judge::new(
        Site::of_the_corpus(),
        Contract {
            user: "kubeflow-userid".into(),
            groups: "kubeflow-groups".into(),
            cookie: "countersign".into(),
            tokens: true,
        },
    )
}

fn seen(method: &str, target: &str, told: Option<(&str, &[String])>) -> Seen {
    use base64::Engine;
    let seen = Seen { method: method.into(), target: target.into(), headers: Vec::new() };
    let Some((user, audience)) = told else { return seen };
    let claims = serde_json::json!({"sub": user, "aud": audience}).to_string();
    let token = format!("Bearer h.{}.s", base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(claims));
    with(with(seen, "kubeflow-userid", user), "authorization", &token)
}

fn with(mut seen: Seen, name: &str, value: &str) -> Seen {
    // What stands first counts for hosts.
    seen.headers.push((name.into(), value.into()));
    seen
}
