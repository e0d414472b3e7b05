//! Requests that are none, or too much: what the libraries that read them have to say.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::browser::{Browser, SESSION};
use crate::canaries::{hear, seed};
use crate::house::{HOST, House};

/// Of a login, though none of ours.
const CODE: &str = "a-code-in-a-request-that-is-none-3Vt9Qs7Xb1";

pub(crate) async fn all() {
    seed("a code of no login", CODE);
    let house = House::open().await;
    let browser = house.signed_in().await;
    let session = browser.cookie(SESSION).expect("a session");
    let callback = format!("/oauth2/callback?code={CODE}&state={CODE}");
    over_http1(&house, &callback, &session).await;
    over_http2(&house, &callback, &session).await;
    too_much(&house, &browser).await;
}

async fn over_http1(house: &House, callback: &str, session: &str) {
    let cookie = format!("cookie: {SESSION}={session}\r\n");
    for request in [
        format!("GET {callback} HTTP/9.9\r\nhost: {HOST}\r\n{cookie}\r\n"),
        format!("GET {callback}&\u{1} HTTP/1.1\r\nhost: {HOST}\r\n{cookie}\r\n"),
        format!("GET {callback} x HTTP/1.1\r\nhost: {HOST}\r\n{cookie}\r\n"),
        format!("GET {callback} HTTP/1.1\r\nhost: {HOST}\r\nhost: other\r\n{cookie}\r\n"),
        format!("GET {callback} HTTP/1.1\r\nho st: {HOST}\r\n{cookie}\r\n"),
        format!("GET {callback} HTTP/1.1\r\n{cookie}content-length: {session}\r\n\r\n"),
        format!("GET {callback} HTTP/1.1\r\n{cookie}cookie: a\u{0}b{session}\r\n\r\n"),
        format!("GET {callback} HTTP/1.1\r\ntransfer-encoding: {session}\r\n\r\n"),
        format!("CONNECT {HOST}:443 HTTP/1.1\r\n{cookie}\r\n"),
        format!("GET https://{HOST}{callback} HTTP/1.1\r\n{cookie}\r\n"),
        format!("GET {callback} HTTP/1.1\r\n{cookie}{}\r\n", "x: y\r\n".repeat(300)),
        format!("GET {callback} HTTP/1.1\r\n{cookie}x: {}\r\n\r\n", "y".repeat(100_000)),
        format!("GET {callback}{} HTTP/1.1\r\n{cookie}\r\n", "y".repeat(70_000)),
        format!("{session}\r\n\r\n"),
    ] {
        say(house, "HTTP/1", request.as_bytes()).await;
    }
}

/// Frames of RFC 9113, with headers of RFC 7541 as they are, neither indexed nor packed.
async fn over_http2(house: &House, callback: &str, session: &str) {
    let cookie = (b"cookie".as_slice(), format!("{SESSION}={session}"));
    let good = [(&b":method"[..], "GET".to_owned()), (b":scheme", "http".to_owned()), (b":authority", HOST.to_owned())];
    let with = |path: &str, more: &[(&'static [u8], String)]| {
        let path = [(&b":path"[..], path.to_owned()), cookie.clone()];
        [&good[..], &path, more].concat()
    };
    let none = Vec::<(&'static [u8], String)>::new;
    for headers in [
        with(callback, &none()),
        with(&format!("{callback}& x"), &none()),
        with(&format!("{callback}&\u{7f}"), &none()),
        with(callback, &[(b"Upper-Case", session.to_owned())]),
        with(callback, &[(b"connection", session.to_owned())]),
        with(callback, &[(b":late", session.to_owned())]),
        with(callback, &[(b"content-length", session.to_owned())]),
        with(callback, &[(b"x", format!("a\u{0}{session}"))]),
        with(callback, &[(b"x", "y".repeat(15_000)), (b"z", "y".repeat(100))]),
        with(callback, &[(b":authority", format!("{session}@{HOST}"))]),
        vec![(&b":method"[..], format!("G T{session}")), (b":path", callback.to_owned()), cookie.clone()],
        vec![cookie.clone()],
    ] {
        let block: Vec<u8> = headers.iter().flat_map(|(name, value)| literal(name, value.as_bytes())).collect();
        let greeting = [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &frame(4, 0, 0, &[])].concat();
        // END_STREAM and END_HEADERS; then a PING, and GOAWAY.
        let asked = [greeting, frame(1, 5, 1, &block), frame(6, 0, 0, &[0; 8]), frame(7, 0, 0, &[0; 8])].concat();
        say(house, "HTTP/2", &asked).await;
    }
    // A body that is reset in the middle.
    let post = [(&b":method"[..], "POST".to_owned()), (b":scheme", "http".to_owned())];
    let block: Vec<u8> = [&post[..], &[(b":path", callback.to_owned()), cookie]]
        .concat()
        .iter()
        .flat_map(|(name, value)| literal(name, value.as_bytes()))
        .collect();
    let asked = [
        &b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..],
        &frame(4, 0, 0, &[]),
        &frame(1, 4, 1, &block),
        &frame(0, 0, 1, format!("logout_token={session}").as_bytes()),
        &frame(3, 0, 1, &[0, 0, 0, 8]),
        &frame(7, 0, 0, &[0; 8]),
    ]
    .concat();
    say(house, "HTTP/2", &asked).await;
}

async fn too_much(house: &House, browser: &Browser) {
    let token = house.idp.logout_form();
    let form = format!("{token}&x={}", "y".repeat(3 * 1024 * 1024));
    // It may hang up before it has heard everything.
    let kind = [("content-type", "application/x-www-form-urlencoded"), ("content-length", &*form.len().to_string())];
    let mut socket = browser.send(&http::Method::POST, "/oauth2/backchannel_logout", &kind, "").await;
    let _ = socket.write_all(form.as_bytes()).await;
    listen(&mut socket, "a body that is too large").await;
    for path in ["/oauth2/backchannel_logout", "/oauth2/sign_out", "/oauth2/sessions"] {
        browser.post(path, &format!("{token}&{token}"), &[]).await;
    }
}

/// A header field: literal, without indexing, its name as it is (RFC 7541 section 6.2.2).
fn literal(name: &[u8], value: &[u8]) -> Vec<u8> {
    [&[0][..], &text(name), &text(value)].concat()
}

fn text(bytes: &[u8]) -> Vec<u8> {
    // An integer with a prefix of seven bits (RFC 7541 section 5.1).
    let mut length = Vec::new();
    match bytes.len().checked_sub(127) {
        None => length.push(u8::try_from(bytes.len()).expect("small")),
        Some(mut rest) => {
            length.push(127);
            while rest >= 128 {
                length.push(u8::try_from(rest % 128).expect("small") | 128);
                rest /= 128;
            }
            length.push(u8::try_from(rest).expect("small"));
        }
    }
    [&length[..], bytes].concat()
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("small").to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

async fn say(house: &House, place: &str, bytes: &[u8]) {
    let mut socket = TcpStream::connect(house.gateway.address).await.expect("a connection");
    let _ = socket.write_all(bytes).await;
    let _ = socket.shutdown().await;
    listen(&mut socket, place).await;
}

async fn listen(socket: &mut TcpStream, place: &str) {
    let mut answer = Vec::new();
    let _ = socket.read_to_end(&mut answer).await;
    let text = String::from_utf8_lossy(&answer).into_owned();
    // Where a browser is to come back to is in the address that it asked for.
    let lines: Vec<&str> = text.lines().filter(|line| !line.to_lowercase().starts_with("location:")).collect();
    hear(place, lines.join("\n"));
}
