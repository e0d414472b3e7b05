//! The scanner finds what it is for, in every spelling, whole and cut; and nothing else.

use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use serde_json::json;

use crate::canaries::Scanner;

/// Everything in it that some spelling escapes.
const SECRET: &str = "s3/cr+t \"wörd\" <of> an ~operator & 'more'\n; 0123456789";

#[test]
fn every_spelling_is_found() {
    let scanner = Scanner::for_one("secret", SECRET);
    let bytes = SECRET.as_bytes();
    let hex: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let hex = hex.concat();
    let form: String = url::form_urlencoded::byte_serialize(bytes).collect();
    let percent = percent_encoding::utf8_percent_encode(SECRET, percent_encoding::NON_ALPHANUMERIC).to_string();
    let mut spelt = vec![
        SECRET.to_owned(),
        form.clone(),
        percent.replace("%7E", "~").replace("%2E", "."),
        json!({ "a": SECRET }).to_string(),
        format!("{SECRET:?}"),
        format!("{bytes:?}"),
        format!("{:?}", bytes::Bytes::from_static(bytes)),
        json!(bytes).to_string(),
        hex.to_uppercase(),
        hex,
        SECRET
            .replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;")
            .replace('"', "&quot;")
            .replace('/', "&#x2f;")
            .replace('\'', "&#x27;"),
    ];
    for before in ["", "u", "us", "use", "user:"] {
        for after in ["", "x", "xy"] {
            let text = format!("{before}{SECRET}{after}");
            spelt.extend([BASE64_STANDARD.encode(&text), BASE64_URL_SAFE_NO_PAD.encode(&text)]);
        }
    }
    for text in spelt {
        let found = scanner.scan("here", format!("2026 INFO said {text} and went on\n").as_bytes());
        assert!(found.len() >= SECRET.len() / 12, "{text}: {found:?}");
    }
}

#[test]
fn a_part_is_found_too_and_what_is_short_is_not_looked_for() {
    let secret = "Zk3-w9xQ_7vTnB2mLrE8aYcU5dHsJ0oP";
    let scanner = Scanner::for_one("secret", secret);
    for cut in 0..=secret.len() - 23 {
        assert!(!scanner.scan("here", &secret.as_bytes()[cut..cut + 23]).is_empty(), "from {cut} on");
    }
    assert!(scanner.scan("here", &secret.as_bytes()[..11]).is_empty());
    assert!(Scanner::for_one("secret", "s3cret").scan("here", b"s3cret").is_empty());
    assert!(!Scanner::for_one("secret", "s3cret-8").scan("here", b"s3cret-8").is_empty());
}

#[test]
fn other_texts_are_left_alone() {
    let scanner = Scanner::for_one("secret", SECRET);
    let other = "s3/cr+T \"wörd\" <of> An ~operator: 115, 51, 47, 99, 114, 43, 116, 31";
    assert!(scanner.scan("here", other.as_bytes()).is_empty());
}

/// Of a token that everybody may know the head of, the rest is a secret; of what is base64url, the bytes are one, too.
#[test]
fn tokens_are_secrets_but_for_their_heads() {
    let head = BASE64_URL_SAFE_NO_PAD.encode(r#"{"alg":"ES256"}"#);
    let claims = BASE64_URL_SAFE_NO_PAD.encode(r#"{"sub":"ann"}"#);
    let bytes = [7_u8, 200, 13, 77, 250, 1, 0, 99].repeat(8);
    let signature = BASE64_URL_SAFE_NO_PAD.encode(&bytes);
    let token = Scanner::for_one("a token", &format!("{head}.{claims}.{signature}"));
    assert!(token.scan("here", format!("{head}.").as_bytes()).is_empty());
    for text in [claims, signature.clone(), BASE64_STANDARD.encode(&signature), format!("{:?}", signature.as_bytes())] {
        assert!(!token.scan("here", text.as_bytes()).is_empty(), "{text}");
    }
    let state = Scanner::for_one("a state", &signature);
    assert!(!state.scan("here", format!("{bytes:?}").as_bytes()).is_empty());
}
