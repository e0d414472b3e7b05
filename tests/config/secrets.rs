//! Secrets are found where the configuration says, and never shown.

use countersign::config::{self, ClientAuth};

use crate::support::{Home, environment, good, mistake, mistake_with};

const KEY: &str = "csk1_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8";

fn with_secret(secret: &str) -> String {
    format!(
        "public_url: https://mesh.example.com\nproviders:\n  - id: dex\n    issuer: https://dex.example.com\n    \
         client_id: c\n    client_secret: {secret}\n"
    )
}

#[test]
fn a_secret_comes_from_a_file_a_variable_or_the_text() {
    let home = Home::new();
    let file = home.write("secret", "canary\r\n");
    for secret in [format!("{{file: {}}}", file.display()), "{env: CANARY}".into(), "canary".into()] {
        let loaded = home.load(&with_secret(&secret), &[("CANARY", "canary")]).expect("good");
        let ClientAuth::Basic(found) = &loaded.settings.providers[0].client_auth else { panic!("{secret}") };
        assert_eq!(found.expose(), "canary", "{secret}");
    }
}

#[test]
fn a_secret_in_the_file_is_warned_of_and_one_in_a_variable_is_not() {
    let home = Home::new();
    assert_eq!(
        home.warnings(&with_secret("hunter2"), &[]),
        "countersign.yaml:6:20: providers[0].client_secret\n   the secret itself stands in the file, for everybody \
         who may read the configuration\n   Write `{file: /path/to/it}` or `{env: ITS_NAME}`."
    );
    let variables = [("COUNTERSIGN_PROVIDERS__0__CLIENT_SECRET", "hunter2")];
    assert_eq!(home.warnings(&with_secret("{file: /nowhere}"), &variables), "");
}

#[test]
fn secrets_that_cannot_be_read_are_refused() {
    let home = Home::new();
    let empty = home.write("empty", "\n");
    let instead = "Name a file that holds the secret and that this process may read.";
    let (place, key) = ("countersign.yaml:6:27", "providers[0].client_secret.file");
    assert_eq!(
        mistake(&with_secret("{file: /nowhere}")),
        [&*format!("{place}: {key}"), "/nowhere cannot be read: No such file or directory (os error 2)", instead]
    );
    let text = with_secret(&format!("{{file: {}}}", empty.display()));
    assert_eq!(mistake(&text), [&*format!("{place}: {key}"), &*format!("{} is empty", empty.display()), instead]);
    assert_eq!(
        mistake(&with_secret("{file: /dev/zero}")),
        [&*format!("{place}: {key}"), "/dev/zero is longer than 65536 bytes", instead]
    );
    assert_eq!(
        mistake(&with_secret("{env: ABSENT}")),
        [
            "countersign.yaml:6:26: providers[0].client_secret.env",
            "there is no variable ABSENT",
            "Set it, or name the one that holds the secret."
        ]
    );
    assert_eq!(
        mistake_with(&with_secret("{env: BARE}"), &[("BARE", "")]),
        [
            "countersign.yaml:6:26: providers[0].client_secret.env",
            "the variable BARE is empty",
            "Put the secret into it."
        ]
    );
    for (secret, what) in [
        ("{}", "it names neither a file nor a variable"),
        ("{file: /a, env: B}", "it names both a file and a variable"),
        ("''", "it is empty"),
    ] {
        assert_eq!(
            mistake(&with_secret(secret)),
            [
                "countersign.yaml:6:20: providers[0].client_secret",
                what,
                "Write `{file: /path/to/it}` or `{env: ITS_NAME}`."
            ]
        );
    }
}

#[test]
fn session_keys_are_32_bytes_behind_a_prefix() {
    let home = Home::new();
    let settings = home.load(&good("session: {keys: [{env: KEY}]}\n"), &[("KEY", KEY)]).expect("good").settings;
    assert_eq!(settings.session.keys[0].expose()[..4], [0, 1, 2, 3]);
    for bad in [&KEY[5..], &KEY[..40], "csk1_", "csk2_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"] {
        assert_eq!(
            mistake_with(&good("session: {keys: [{env: KEY}]}\n"), &[("KEY", bad)]),
            [
                "countersign.yaml:4:18: session.keys[0]",
                "it is no session key: those begin with `csk1_`, and 43 characters of base64url follow",
                "Make one by `countersign session-keys init`."
            ]
        );
    }
    assert_eq!(
        mistake_with(&good("session: {keys: [{env: KEY}, {env: KEY}]}\n"), &[("KEY", KEY)]),
        ["countersign.yaml:4:30: session.keys[1]", "an earlier one is the same key", "Take one of the two out."]
    );
}

/// A name that is none of ours, where a secret is expected, may be the secret.
#[test]
fn a_secret_in_the_place_of_a_key_is_not_repeated() {
    let home = Home::new();
    for (secret, what) in [
        ("{Hunter2: x}", "there is no such key\n   The keys here are `file`, `env`."),
        ("{Hunter2}", "it has no value\n   Write one, or leave the key out for its default."),
    ] {
        let said = home.refusal(&with_secret(secret), &[]);
        let expected = format!("countersign.yaml:6:21: providers[0].client_secret\n   {what}");
        assert!(said.contains(&expected) && !said.contains("Hunter2"), "{said}");
    }
    assert_eq!(
        mistake(&with_secret("{Hunter2: x, Hunter2: y}"))[1],
        "this is not YAML that can be read: a key is there twice"
    );
    // Elsewhere names are said, to be found.
    assert_eq!(mistake(&good("session: {Max_age: 1h}\n"))[0], "countersign.yaml:4:11: session.Max_age");
}

/// Every text that can hold a secret is loaded well and badly, and nothing that can be printed shows it.
#[test]
fn no_canary_is_ever_shown() {
    let home = Home::new();
    let file = home.write("secret", "canary-file");
    let key = format!("csk1_canary{}", &KEY[11..]);
    let variables = [("CANARY", "canary-env"), ("COUNTERSIGN_SESSION__KEYS__0", key.as_str())];
    let proxied =
        format!("{}egress: {{proxy: 'http://ann:canary-proxy@proxy.example.com:3128'}}\n", with_secret("canary-text"));
    for text in [
        with_secret("canary-text"),
        with_secret("{env: CANARY}"),
        with_secret(&format!("{{file: {}}}", file.display())),
        proxied,
    ] {
        let loaded = home.load(&text, &variables).expect("good");
        let path = home.write("countersign.yaml", &text);
        let printed = config::print(Some(&path), environment(&variables)).expect("good");
        assert!(!format!("{loaded:?}{loaded:#?}{printed}").contains("canary"), "{text}\n{printed}");
    }
    for text in [
        with_secret("[canary-text]"),
        with_secret("{file: {canary: canary}}").replace("{canary:", "{x:"),
        with_secret("\"canary-text"),
        with_secret("canary: text: canary"),
        with_secret("*canary-text").replace("*canary-text", "&a [canary-text"),
        format!("{}session: {{keys: csk1_canary}}\n", with_secret("canary-text")),
        format!("{}session: {{keys: [csk1_canary, {{file: canary, env: canary}}]}}\n", with_secret("x")),
        format!("{}egress: {{proxy: 'ann:canary@proxy'}}\n", with_secret("canary-text")),
    ] {
        let errors = home.load(&text, &[]).expect_err(&text);
        let said = format!("{errors}{errors:?}");
        assert!(!said.contains("canary"), "{text}\n{said}");
    }
    for value in ["[canary", "{x: canary, x: canary}", "'canary"] {
        let errors = home.load(&with_secret("x"), &[("COUNTERSIGN_PROVIDERS__0__CLIENT_SECRET", value)]);
        let said = format!("{:?}", errors.expect_err(value));
        assert!(!said.contains("canary"), "{value}\n{said}");
    }
}
