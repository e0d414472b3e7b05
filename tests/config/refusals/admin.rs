use crate::support::{Home, good, mistake};

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

#[test]
fn an_admin_token_is_read_and_never_printed() {
    let text = good("admin: {token: {env: ADMIN_TOKEN}}\n");
    let loaded = Home::new().load(&text, &[("ADMIN_TOKEN", TOKEN)]).expect("good");
    assert_eq!(loaded.settings.admin.token.as_ref().expect("a token").expose(), TOKEN);
    assert!(!format!("{:?}", loaded.settings).contains(TOKEN));
    assert!(Home::new().load(&good(""), &[]).expect("good").settings.admin.token.is_none());
}

#[test]
fn an_admin_token_cannot_be_guessed() {
    assert_eq!(
        mistake(&good(&format!("admin: {{token: {}}}\n", &TOKEN[1..]))),
        [
            "countersign.yaml:4:16: admin.token",
            "it has fewer than 32 characters, so that somebody could guess it",
            "Make one by `openssl rand -hex 32`."
        ]
    );
    assert_eq!(
        mistake(&good(&format!("admin: {{token: '{TOKEN} {TOKEN}'}}\n")))[1..],
        ["it holds what cannot stand in an Authorization header", "Make one by `openssl rand -hex 32`."]
    );
}

#[test]
fn an_admin_token_must_be_there_where_it_is_named() {
    assert_eq!(
        mistake(&good("admin: {token: {env: NOBODY_SET_IT}}\n")),
        [
            "countersign.yaml:4:22: admin.token.env",
            "there is no variable NOBODY_SET_IT",
            "Set it, or name the one that holds the secret."
        ]
    );
    assert_eq!(mistake(&good("admin: {tokens: x}\n"))[1..], ["there is no such key", "Write `token`."]);
}
