use std::time::Duration;

use countersign::config::{Access, Challenge, ClientAuth, PathMatch};

use crate::support::{Home, good};

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
    assert_eq!(settings.session.idle, Duration::from_secs(8 * 3600));
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
    assert_eq!(settings.session.max_age, Duration::from_secs(12 * 3600));
    assert_eq!(settings.session.idle, Duration::from_secs(2 * 3600));
    assert!(matches!(&settings.providers[0].client_auth, ClientAuth::Basic(secret) if secret.expose() == "a: b #c"));
    assert_eq!(settings.providers[0].scopes, ["openid", "groups"]);
    assert!(matches!(&settings.rules[0].access, Access::Only { groups, .. } if groups == &["ops"]));
}
