//! Whatever is wrong with a configuration is said without the secrets in it, also where it is a secret that is wrong.

use countersign::config;
use countersign::secret::generate_session_key;

use crate::canaries::Scanner;
use crate::commands::countersign;

/// Every place at which a configuration holds a secret; `{}` is it.
const PLACES: [(&str, &str); 6] = [
    (
        "providers",
        "providers:\n  - id: dex\n    issuer: https://dex.example.com\n    client_id: c\n    client_secret: {}\n",
    ),
    ("admin", "admin:\n  token: {}\n"),
    ("session", "session:\n  keys:\n    - {}\n"),
    ("session", "session:\n  store: redis\n  redis:\n    urls: ['redis://redis:6379']\n    password: {}\n"),
    (
        "session",
        "session:\n  store: redis\n  redis:\n    mode: sentinel\n    master: a\n    urls: ['redis://redis:6379']\n    \
         sentinel_password: {}\n",
    ),
    (
        "bearer",
        "bearer:\n  - kind: introspection\n    introspection_url: https://a.example.com/\n    client_id: c\n    audiences: \
         ['*']\n    client_secret: {}\n",
    ),
];

/// Every address in which somebody may have put one.
const ADDRESSES: [(&str, &str); 2] = [
    ("egress", "egress:\n  proxy: http://ann:{}@proxy.example.com:3128\n"),
    ("session", "session:\n  store: redis\n  redis:\n    urls:\n      - redis://ann:{}@redis:6379\n"),
];

/// What somebody makes of such an address.
const BAD_ADDRESSES: [&str; 8] = ["{}", "\"{}", "{}'", "{}@{}", "{} {}", "{}#", "{}/{}", "{}:{}"];

/// What somebody makes of a secret who is in a hurry.
const MISTAKES: [&str; 30] = [
    "{}",
    "[{}]",
    "{{}}",
    "{text: {}}",
    "{file: {x: {}}}",
    "{file: [{}]}",
    "{env: {x: {}}}",
    "{file: {}, env: {}}",
    "{{}: x}",
    "\"{}",
    "'{}",
    "\"{}\\q\"",
    "[{}",
    "{{}",
    "{}: x",
    "{}: {}: x",
    "!secret {}",
    "!!int {}",
    "!!binary {}",
    "*{}",
    "&{} ",
    "@{}",
    "`{}`",
    "%{}",
    "|\n  {}\n x",
    "|9\n      {}",
    ">\n\t{}",
    "{}\n    {}",
    "{{}: x, {}: y}",
    "x\n    client_secret: {}\n    token: {}\n    password: {}\n",
];

const SECRET: &str = "Hx7Qm2Vw9Kd4Zr5Tb8Nc1Yp6";
const NUMBER: &str = "739205184630275918";

#[test]
fn no_mistake_shows_a_secret() {
    let key = generate_session_key(&countersign::entropy::SystemEntropy);
    for secret in [SECRET, NUMBER, &*key, &key[..20], &format!("{NUMBER}.5"), &format!("{SECRET}: {SECRET}")] {
        let scanner = Scanner::for_one("the secret", secret);
        let (mut good, mut bad) = (0, 0);
        let secrets = PLACES.iter().flat_map(|place| MISTAKES.iter().map(move |mistake| (place, mistake)));
        let addresses = ADDRESSES.iter().flat_map(|place| BAD_ADDRESSES.iter().map(move |mistake| (place, mistake)));
        for ((section, place), mistake) in secrets.chain(addresses) {
            let text = file_with(section, &place.replace("{}", &mistake.replace("{}", secret)));
            match config::parse(&text, std::iter::empty()) {
                Ok(loaded) => {
                    good += 1;
                    let warned: Vec<String> = loaded.warnings.iter().map(ToString::to_string).collect();
                    assert_clean(&scanner, &text, &format!("{loaded:?} {loaded:#?} {warned:?}"));
                }
                Err(errors) => {
                    bad += 1;
                    assert_clean(&scanner, &text, &format!("{errors} {errors:?}"));
                }
            }
        }
        assert!(good > 0 && bad > 100, "{good} good, {bad} bad");
    }
}

#[test]
fn no_mistake_in_a_variable_shows_a_secret() {
    let scanner = Scanner::for_one("the secret", SECRET);
    let number = Scanner::for_one("the secret", NUMBER);
    for name in [
        "PROVIDERS__0__CLIENT_SECRET",
        "PROVIDERS__0__CLIENT_SECRET__FILE__X",
        "PROVIDERS__0__CLIENT_SECRET__TEXT",
        "PROVIDERS__7__CLIENT_SECRET",
        "PROVIDERS__0__CLIENT_SECRET__0",
        "PROVIDERS__CLIENT_SECRET",
        "CLIENT_SECRET",
        "ADMIN__TOKEN",
        "SESSION__KEYS",
        "SESSION__KEYS__0",
        "SESSION__KEYS__0__0",
        "SESSION__REDIS__PASSWORD",
        "BEARER__0__CLIENT_SECRET",
    ] {
        for secret in [SECRET, NUMBER] {
            for mistake in MISTAKES {
                let variable = (format!("COUNTERSIGN_{name}"), mistake.replace("{}", secret));
                let text = file_with("none", "");
                let said = match config::parse(&text, std::iter::once(variable.clone())) {
                    Ok(loaded) => format!("{loaded:?} {:?}", loaded.warnings),
                    Err(errors) => format!("{errors} {errors:?}"),
                };
                let scanner = if secret == SECRET { &scanner } else { &number };
                assert_clean(scanner, &format!("{variable:?}"), &said);
            }
        }
    }
}

/// The same by the commands themselves, for some: what is printed, checked, and served.
#[test]
fn no_command_shows_a_secret() {
    let home = tempfile::tempdir().expect("a directory");
    let path = home.path().join("countersign.yaml");
    let scanner = Scanner::for_one("the secret", SECRET);
    for mistake in ["{}", "[{}]", "{file: {}, env: {}}", "\"{}", "{}: x"] {
        let secrets: String = PLACES
            .iter()
            .filter(|(_, place)| place.starts_with("providers:") || place.starts_with("admin:"))
            .map(|(_, place)| place.replace("{}", &mistake.replace("{}", SECRET)))
            .collect();
        std::fs::write(&path, format!("public_url: https://mesh.example.com\n{secrets}")).expect("a file");
        let config = path.to_string_lossy();
        for command in [
            &["config", "check"][..],
            &["config", "print"],
            &["doctor", "--offline"],
            &["sessions", "list", "--address", "http://127.0.0.1:1"],
        ] {
            let said = countersign(&[command, &["--config", &config]].concat(), &[]);
            assert_clean(&scanner, &format!("{command:?} {mistake}"), &said);
        }
        if mistake != "{}" {
            assert_clean(&scanner, mistake, &countersign(&["serve", "--config", &config], &[]));
        }
    }
}

/// A new one is to be looked at here, too.
#[test]
fn every_place_for_a_secret_is_tried() {
    let schema = config::schema().to_string();
    // Two of one name are bearer's and the provider's; that of the sentinels is of the same object as the store's.
    assert_eq!(schema.matches("/$defs/Secret\"").count(), PLACES.len());
}

fn file_with(section: &str, text: &str) -> String {
    let provider = "providers: [{id: dex, issuer: 'https://dex.example.com', client_id: c, client_auth: none}]\n";
    let provider = if section == "providers" { "" } else { provider };
    format!("public_url: https://mesh.example.com\n{provider}{text}")
}

fn assert_clean(scanner: &Scanner, asked: &str, said: &str) {
    let found = scanner.scan("what was said", said.as_bytes());
    assert!(found.is_empty(), "{asked}\n{:?}", found.first());
}
