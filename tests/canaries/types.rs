//! What holds a secret does not print it: whatever a panic or a log may do with the values in its hands.

use std::sync::Arc;

use cookie::Cookie;
use countersign::check::Question;
use countersign::clock::{Clock as _, SystemClock};
use countersign::entropy::SystemEntropy;
use countersign::identity::{Identity, ProviderTokens};
use countersign::jose::SigningKey;
use countersign::keyring::ScheduledKey;
use countersign::login::{Arrived, Onward, Started};
use countersign::seal::{CookieSecret, SessionKeys};
use countersign::secret::{SecretText, generate_session_key, parse_session_key};
use countersign::session::NewSession;
use http::HeaderMap;

use crate::canaries::Scanner;

const SECRET: &str = "Nf4Wq8Zt2Lk6Vb0Xs3Hd7Jm5";

#[test]
fn what_holds_a_secret_does_not_print_it() {
    let text = || SecretText::new(SECRET.to_owned());
    let tokens = ProviderTokens { id_token: text(), access_token: text(), refresh_token: Some(text()) };
    let identity: Identity = serde_json::from_value(serde_json::json!({
        "user": "ann@example.com", "subject": "ann-1", "provider": "dex", "groups": [], "email": null,
        "auth_time": null, "acr": null,
    }))
    .expect("an identity");
    let session = NewSession { identity, tokens: tokens.clone(), provider_sid: None, renew_at: SystemClock.now() };
    let mut headers = HeaderMap::new();
    headers.insert("cookie", format!("a={SECRET}").parse().expect("a value"));
    headers.insert("authorization", format!("Bearer {SECRET}").parse().expect("a value"));
    let target = format!("/x?key={SECRET}");
    let question = Question { method: &http::Method::GET, host: "a.example.com", target: &target, headers: &headers };
    let onward = || Onward {
        location: format!("https://a.example.com/auth?state={SECRET}#{SECRET}"),
        cookies: vec![Cookie::new("flow", SECRET)],
    };
    let arrived = Arrived { onward: onward(), signed_in_at: None };
    let mut printed = Vec::new();
    for pretty in [false, true] {
        macro_rules! print {
            ($($value:expr),*) => { $( printed.push(if pretty { format!("{:#?}", $value) } else { format!("{:?}", $value) }); )* };
        }
        print!(tokens, session, question, arrived, Started::Go(onward()), text());
    }
    let scanner = Scanner::for_one("the secret", SECRET);
    for text in printed {
        assert!(scanner.scan("Debug", text.as_bytes()).is_empty(), "{text}");
    }
}

#[test]
fn keys_do_not_print_themselves() {
    let text = generate_session_key(&SystemEntropy);
    let key = parse_session_key(&text).expect("a key");
    let keys = SessionKeys::new(vec![key.clone()]).expect("keys");
    let cookie = CookieSecret::generate(&SystemEntropy);
    let value = keys.cookie_value(&cookie);
    for (what, secret) in [("a session key", &text), ("a cookie", &value)] {
        let scanner = Scanner::for_one(what, secret);
        let printed = format!("{key:?} {keys:?} {cookie:?} {keys:#?} {:?}", keys.open_cookie(&value));
        assert!(scanner.scan("Debug", printed.as_bytes()).is_empty(), "{printed}");
    }
    let signing = Arc::new(SigningKey::generate().expect("a key"));
    let scheduled = ScheduledKey { key: Arc::clone(&signing), sign_from: SystemClock.now(), retire_at: None };
    let secret = signing.to_text().expect("a text");
    // All of it but the public half at its end.
    let scanner = Scanner::for_one("a signing key", &secret.expose()[48..88]);
    let printed = format!("{signing:?} {scheduled:?} {scheduled:#?}");
    assert!(scanner.scan("Debug", printed.as_bytes()).is_empty(), "{printed}");
}
