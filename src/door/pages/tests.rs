use std::fs;

use http_body_util::BodyExt as _;

use super::*;
use crate::entropy::TestEntropy;

const NONCE: &str = "bm9uY2U=";

fn pages() -> Pages {
    let settings = PageSettings { title: Some("Example Mesh".into()), ..PageSettings::default() };
    Pages::new(&settings, || vec!["https://idp.example.com/logout".into()]).expect("the built-in pages work")
}

fn overridden(files: &[(&str, &str)]) -> Result<Pages, PageError> {
    let directory = tempfile::tempdir().expect("a directory");
    for (name, text) in files {
        fs::write(directory.path().join(name), text).expect("a file");
    }
    Pages::new(&PageSettings { templates: Some(directory.path().into()), title: None }, Vec::new)
}

async fn html(response: Response) -> String {
    let body = response.into_body().collect().await.expect("a body").to_bytes();
    String::from_utf8(body.to_vec()).expect("UTF-8")
}

/// What a reader sees: no tags, no style, no script, one line a block.
async fn text(response: Response) -> String {
    let html = html(response).await;
    let main = html.split_once("<main>").and_then(|(_, rest)| rest.split_once("</main>")).expect("a main landmark").0;
    let main = regex::Regex::new("(?s)<script.*?</script>").expect("a pattern").replace_all(main, "");
    let seen = regex::Regex::new("<[^>]*>").expect("a pattern").replace_all(&main, "");
    let lines: Vec<&str> = seen.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines.join("\n")
}

fn header<'r>(response: &'r Response, name: &str) -> &'r str {
    response.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

#[tokio::test]
async fn an_error_says_who_can_mend_it() {
    let error = Page::Error {
        title: "Sign-in is not possible right now",
        what: "The identity provider “corp” does not answer.",
        who: AtFault::IdentityProvider,
        hint: "Wait a minute, then try again.",
        request_id: "5c0f8a2e",
        retry: Some("/oauth2/start?rd=%2F"),
        retry_label: "Try again",
    };
    insta::assert_snapshot!(text(pages().render(StatusCode::SERVICE_UNAVAILABLE, error, NONCE)).await, @"
    Sign-in is not possible right now
    The identity provider “corp” does not answer.
    Your browser
    This site
    Identity provider
    Who can mend it
    The identity provider, where your account lives. Your browser is fine.
    What to do
    Wait a minute, then try again.
    Try again
    Request id
    5c0f8a2e
    ");
}

#[tokio::test]
async fn a_403_says_who_why_and_what_next() {
    let page = Page::Forbidden {
        user: "bob@example.com",
        reason: "This part is only for members of the group “admins”.",
        sign_out_href: "/oauth2/sign_out",
        request_id: "5c0f8a2e",
    };
    insta::assert_snapshot!(text(pages().render(StatusCode::FORBIDDEN, page, NONCE)).await, @"
    This account may not enter here
    You are signed in as bob@example.com
    Why
    This part is only for members of the group “admins”.
    What you can do
    Ask the people who run this site for access, or come back with another account.
    Sign out, or switch the account
    Request id
    5c0f8a2e
    ");
}

#[tokio::test]
async fn the_sign_out_question_is_a_form_that_keeps_the_way_back() {
    let page = Page::SignOutQuestion {
        action: "/oauth2/sign_out",
        user: Some("ann"),
        rd: Some("/after"),
        sessions: "/oauth2/sessions",
    };
    let html = html(pages().render(StatusCode::OK, page, NONCE)).await;
    assert!(html.contains(r#"<form method="post" action="&#x2f;oauth2&#x2f;sign_out">"#), "{html}");
    assert!(html.contains(r#"name="rd" value="&#x2f;after""#), "{html}");
}

#[tokio::test]
async fn every_page_is_whole_and_reaches_nothing_outside() {
    let pages = pages();
    for sample in SAMPLES {
        let html = html(pages.render(StatusCode::OK, *sample, NONCE)).await;
        for part in ["<!doctype html>\n<html lang=\"en\">", "<header>", "<main>", "name=\"viewport\"", "Example Mesh"] {
            assert!(html.contains(part), "{sample:?} lacks {part}");
        }
        assert_eq!(html.matches("<h1>").count(), 1, "{sample:?}");
        for outside in ["http:", "https:", "url(", "@import", "//www", " style=", " onclick=", " src="] {
            assert!(!html.contains(outside), "{sample:?} holds {outside}");
        }
        let nonced = html.matches("nonce=\"bm9uY2U=\"").count();
        assert_eq!(nonced, html.matches("<style").count() + html.matches("<script").count(), "{sample:?}");
    }
}

#[tokio::test]
async fn hostile_text_stays_text() {
    let evil = "\"'><script>alert(1)</script><a href=//evil.example>";
    let script = "javascript:alert(1)";
    let pages = pages();
    for page in [
        Page::ChooseProvider { choices: &[Choice { name: evil, href: script }] },
        Page::FramedSignIn { href: script },
        Page::SignIn { href: script },
        Page::SignedOut { home: "//evil.example" },
        Page::SignOutQuestion { action: script, user: Some(evil), rd: Some(evil), sessions: script },
        Page::Sessions {
            action: script,
            user: evil,
            this: OwnSession { sid: evil, device: Some(evil), address: None, signed_in_at: UnixTime::MAX },
            others: &[OwnSession { sid: evil, device: Some(evil), address: None, signed_in_at: UnixTime::MAX }],
            more: 1,
            sign_out_href: script,
            home: "//evil.example",
        },
        Page::Forbidden { user: evil, reason: evil, sign_out_href: script, request_id: evil },
        Page::Error {
            title: evil,
            what: evil,
            who: AtFault::Browser,
            hint: evil,
            request_id: evil,
            retry: Some("/\\e"),
            retry_label: evil,
        },
    ] {
        let html = html(pages.render(StatusCode::OK, page, NONCE)).await;
        assert!(!html.contains("<script>"), "{page:?}");
        assert!(!html.contains("<a href=//evil"), "{page:?}");
        assert!(!html.contains("javascript:"), "{page:?}");
        assert!(
            !html.contains("\"//evil") && !html.contains("\"&#x2f;&#x2f;evil") && !html.contains("\\e"),
            "{page:?}"
        );
    }
}

#[test]
fn the_headers_keep_a_page_harmless() {
    let pages = pages();
    let question = Page::SignOutQuestion { action: "/oauth2/sign_out", user: None, rd: None, sessions: "/" };
    let response = pages.render(StatusCode::OK, question, NONCE);
    assert_eq!(
        header(&response, "content-security-policy"),
        "default-src 'none'; style-src 'nonce-bm9uY2U='; img-src 'self' data:; \
         form-action 'self' https://idp.example.com; frame-ancestors 'none'; base-uri 'none'"
    );
    assert_eq!(header(&response, "cache-control"), "no-store");
    assert_eq!(header(&response, "referrer-policy"), "same-origin");
    assert_eq!(header(&response, "x-content-type-options"), "nosniff");
    assert_eq!(header(&response, "x-frame-options"), "DENY");
    assert_eq!(header(&response, "content-type"), "text/html; charset=utf-8");

    let framed = pages.render(StatusCode::UNAUTHORIZED, Page::FramedSignIn { href: "/oauth2/start" }, NONCE);
    assert_eq!(framed.status(), StatusCode::UNAUTHORIZED);
    assert!(header(&framed, "content-security-policy").contains("frame-ancestors 'self'"));
    assert_eq!(header(&framed, "x-frame-options"), "SAMEORIGIN");
}

#[test]
fn only_the_page_with_a_script_allows_one() {
    let pages = pages();
    for sample in SAMPLES {
        let response = pages.render(StatusCode::OK, *sample, NONCE);
        let allowed = header(&response, "content-security-policy").contains("script-src 'nonce-bm9uY2U='");
        assert_eq!(allowed, matches!(sample, Page::SignIn { .. }), "{sample:?}");
    }
}

#[test]
fn form_action_takes_origins_only_and_may_change() {
    let found = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let asked = std::sync::Arc::clone(&found);
    let pages = Pages::new(&PageSettings::default(), move || asked.lock().expect("no panic").clone()).expect("pages");
    let policy = || pages.policy(Page::SignedOut { home: "/" }, NONCE);
    assert!(policy().contains("form-action 'self'; "), "{}", policy());
    let hostile = ["https://b.example:8443/x?y; script-src *", "data:text/html,x", "nonsense", "http://a.example"];
    *found.lock().expect("no panic") = hostile.map(String::from).to_vec();
    assert!(policy().contains("form-action 'self' http://a.example https://b.example:8443; "), "{}", policy());
}

#[test]
fn nonces_differ_and_fit_a_policy() {
    let entropy = TestEntropy::default();
    let (first, second) = (nonce(&entropy), nonce(&entropy));
    assert_ne!(first, second);
    assert_eq!(BASE64_STANDARD.decode(first).expect("base64").len(), 16);
}

#[tokio::test]
async fn an_operators_template_takes_the_place_of_ours() {
    let pages = overridden(&[
        ("signed_out.html", r#"{% extends "base.html" %}{% block title %}Bye{% endblock %}{% block main %}{% include "_bye.html" %}{% endblock %}"#),
        ("_bye.html", "Bye from {{ place }}"),
        (".hidden", "{% nonsense"),
    ])
    .expect("a good override");
    let signed_out = pages.render(StatusCode::OK, Page::SignedOut { home: "/" }, NONCE);
    assert_eq!(text(signed_out).await, "Bye from Countersign");
    let sign_in = text(pages.render(StatusCode::OK, Page::SignIn { href: "/" }, NONCE)).await;
    assert!(sign_in.starts_with("Please sign in"), "{sign_in}");
}

#[test]
fn a_broken_override_names_file_and_line() {
    let complaint = |name: &str, text: &str| {
        let message = overridden(&[(name, text)]).expect_err("it is broken").to_string();
        message.split_once(name).map(|(_, rest)| format!("{name}{rest}")).unwrap_or(message)
    };
    assert_eq!(
        complaint("error.html", "<p>\n{% if who %}\n"),
        "error.html, line 2: syntax error: unexpected end of input, expected end of block"
    );
    assert_eq!(complaint("forbidden.html", "<p>\n\n{{ usr }}"), "forbidden.html, line 3: undefined value");
    assert!(
        complaint("signedout.html", "Bye").starts_with("signedout.html replaces no template: base.html, style.css,")
    );
    let missing = PageSettings { templates: Some("/nowhere/at/all".into()), title: None };
    let message = Pages::new(&missing, Vec::new).expect_err("no directory").to_string();
    assert!(message.starts_with("/nowhere/at/all: "), "{message}");
}

#[tokio::test]
async fn an_override_that_fails_later_gives_way_to_ours() {
    let fails_for_bob = "{% if user == 'bob' %}{{ usr }}{% endif %}<main>Theirs</main>";
    let pages = overridden(&[("forbidden.html", fails_for_bob)]).expect("it works for the samples");
    let seen = |user| {
        let page = Page::Forbidden { user, reason: "Why.", sign_out_href: "/", request_id: "1" };
        text(pages.render(StatusCode::FORBIDDEN, page, NONCE))
    };
    assert_eq!(seen("ann").await, "Theirs");
    assert!(seen("bob").await.starts_with("This account may not enter here"));
}

#[test]
fn colours_are_told_apart_in_light_and_dark() {
    let style = include_str!("../../../templates/style.css");
    let (light, rest) = style.split_once("prefers-color-scheme: dark").expect("two schemes");
    let dark = rest.split_once("\n}\n").expect("an end").0;
    for scheme in [light, dark] {
        for (front, back, least) in [
            ("ink", "sheet", 4.5),
            ("ink", "ground", 4.5),
            ("ink", "tint", 4.5),
            ("soft", "sheet", 4.5),
            ("soft", "ground", 4.5),
            ("soft", "glow", 4.5),
            ("accent", "sheet", 4.5),
            ("on-accent", "accent", 4.5),
            ("on-accent", "accent-strong", 4.5),
            ("alert", "sheet", 4.5),
            ("alert", "alert-tint", 4.5),
            ("edge", "sheet", 3.0),
        ] {
            let (lower, upper) = {
                let (a, b) = (luminance(scheme, front), luminance(scheme, back));
                (a.min(b), a.max(b))
            };
            let contrast = (upper + 0.05) / (lower + 0.05);
            assert!(contrast >= least, "{front} on {back}: {contrast:.2}");
        }
    }
}

/// Relative luminance of a colour variable (WCAG 2.2, definitions).
fn luminance(scheme: &str, name: &str) -> f64 {
    let start = format!("--{name}: #");
    let (_, rest) = scheme.split_once(&start).expect("the variable");
    let channel = |at: usize| {
        let value = f64::from(u8::from_str_radix(&rest[at..at + 2], 16).expect("a colour")) / 255.0;
        if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
    };
    0.2126 * channel(0) + 0.7152 * channel(2) + 0.0722 * channel(4)
}
