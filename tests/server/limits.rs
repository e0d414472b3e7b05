use countersign::server::Limits;
use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use crate::peer::{
    ENHANCE_YOUR_CALM, GREETING, HTTP2_PREFACE, PATIENCE, Server, answer, goaway, say, start, until_closed,
};

/// What HEADERS say besides `END_HEADERS` (RFC 9113 section 6.2).
const STAYS_OPEN: u8 = 0;
const END_STREAM: u8 = 1;

#[tokio::test]
async fn too_many_headers_are_answered_431() {
    let server = start(Limits::default()).await;
    let request = |count: usize| format!("GET /hello HTTP/1.1\r\nhost: here\r\n{}\r\n", "x: y\r\n".repeat(count));
    assert!(server.ask(&request(99)).await.starts_with("HTTP/1.1 200 "));
    assert!(server.ask(&request(100)).await.starts_with("HTTP/1.1 431 "));
    let server = start(Limits { max_headers: 3, ..Limits::default() }).await;
    assert!(server.ask(&request(2)).await.starts_with("HTTP/1.1 200 "));
    assert!(server.ask(&request(3)).await.starts_with("HTTP/1.1 431 "));
}

#[tokio::test]
async fn headers_that_are_too_large_are_answered_431() {
    let server = start(Limits { max_header_bytes: 16 * 1024, ..Limits::default() }).await;
    let request = |size: usize| format!("GET /hello HTTP/1.1\r\nhost: here\r\nx: {}\r\n\r\n", "y".repeat(size));
    assert!(server.ask(&request(15 * 1024)).await.starts_with("HTTP/1.1 200 "));
    let mut socket = server.connect().await;
    // The server may hang up before it has heard everything.
    let _ = socket.write_all(request(17 * 1024).as_bytes()).await;
    let answer = answer(&mut socket).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
}

#[tokio::test]
async fn a_body_that_says_it_is_too_large_is_answered_413() {
    let server = start(Limits { max_body_bytes: 10, ..Limits::default() }).await;
    let announce = |length: usize| format!("POST /length HTTP/1.1\r\nhost: here\r\ncontent-length: {length}\r\n\r\n");
    let whole = server.ask(&format!("{}{}", announce(10), "b".repeat(10))).await;
    assert!(whole.starts_with("HTTP/1.1 200 ") && whole.ends_with("\r\n\r\n10"), "{whole}");
    let mut socket = server.connect().await;
    say(&mut socket, &announce(11)).await;
    let refused = answer(&mut socket).await;
    assert!(refused.starts_with("HTTP/1.1 413 Payload Too Large\r\n"), "{refused}");
    assert!(refused.contains("\r\nconnection: close\r\n"), "{refused}");
    assert_eq!(until_closed(&mut socket).await, b"");
}

#[tokio::test]
async fn a_body_that_turns_out_too_large_is_answered_413() {
    let server = start(Limits { max_body_bytes: 10, ..Limits::default() }).await;
    let chunked = "POST /length HTTP/1.1\r\nhost: here\r\ntransfer-encoding: chunked\r\n\r\n";
    let refused = server.ask(&format!("{chunked}b\r\nbbbbbbbbbbb\r\n0\r\n\r\n")).await;
    assert!(refused.starts_with("HTTP/1.1 413 "), "{refused}");
}

#[tokio::test]
async fn bodies_take_so_much_together_and_no_more() {
    let server = start(Limits { max_bytes_of_bodies: 32 * 1024, ..Limits::default() }).await;
    let post = |length: usize| format!("POST /length HTTP/1.1\r\nhost: here\r\ncontent-length: {length}\r\n\r\n");
    let whole = |length: usize| format!("{}{}", post(length), "b".repeat(length));
    let mut large = server.connect().await;
    say(&mut large, &format!("{}{}", post(48 * 1024), "b".repeat(48 * 1024 - 1))).await;
    // It has all the room there is once the server has read that far.
    let filled = async {
        loop {
            let answer = server.ask(&whole(17 * 1024)).await;
            if !answer.starts_with("HTTP/1.1 200 ") {
                return answer;
            }
        }
    };
    let refused = timeout(PATIENCE, filled).await.expect("the room fills up");
    assert!(refused.starts_with("HTTP/1.1 400 "), "{refused}");
    assert!(server.ask(&whole(16 * 1024)).await.starts_with("HTTP/1.1 200 "), "a small one finds its room");
    say(&mut large, "b").await;
    assert!(answer(&mut large).await.ends_with("\r\n\r\n49152"));
    assert!(server.ask(&whole(17 * 1024)).await.starts_with("HTTP/1.1 200 "), "there is room again");
}

#[tokio::test]
async fn a_connection_too_many_waits_for_its_turn() {
    let server = start(Limits { max_connections: 1, ..Limits::default() }).await;
    let mut first = server.connect().await;
    say(&mut first, GREETING).await;
    answer(&mut first).await;
    let mut second = server.connect().await;
    say(&mut second, GREETING).await;
    // It is in the backlog: its request is heard by nobody.
    let early = tokio::time::timeout(std::time::Duration::from_millis(100), answer(&mut second)).await;
    assert!(early.is_err(), "answered: {early:?}");
    drop(first);
    assert!(answer(&mut second).await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn streams_that_are_reset_at_once_end_the_connection() {
    let server = start(Limits { max_pending_reset_streams: 5, ..Limits::default() }).await;
    // RST_STREAM, CANCEL.
    ask_and_annoy(&server, END_STREAM, 3, [0, 0, 0, 8]).await;
}

#[tokio::test]
async fn streams_that_we_have_to_reset_end_the_connection() {
    let server = start(Limits { max_local_reset_streams: 5, ..Limits::default() }).await;
    // WINDOW_UPDATE by more than a window may be, for which we reset a stream that is open.
    ask_and_annoy(&server, STAYS_OPEN, 8, [0x7f, 0xff, 0xff, 0xff]).await;
}

#[tokio::test]
async fn headers_over_http2_that_are_too_large_are_answered_431() {
    let server = start(Limits { max_header_bytes: 16 * 1024, ..Limits::default() }).await;
    for (size, status) in [(15 * 1024, 200), (17 * 1024, 431)] {
        let socket = TokioIo::new(server.connect().await);
        let (mut client, connection) = http2::handshake(TokioExecutor::new(), socket).await.expect("a handshake");
        let connection = tokio::spawn(connection);
        // As many cookies as a browser likes, each in a field of its own.
        let cookies = (0..size / 1024).map(|number| format!("c{number}={}", "y".repeat(980)));
        let request = cookies.fold(http::Request::get("http://here/hello"), |request, it| request.header("cookie", it));
        let request = request.body(Empty::<Bytes>::new()).expect("a request");
        let answer = timeout(PATIENCE, client.send_request(request)).await.expect("in time").expect("an answer");
        assert_eq!(answer.status().as_u16(), status);
        connection.abort();
    }
}

/// Begins a dozen streams, each followed by a frame of four bytes that makes an end of it, until the server has had enough.
async fn ask_and_annoy(server: &Server, flags: u8, kind: u8, payload: [u8; 4]) {
    const END_HEADERS: u8 = 4;
    let mut socket = server.connect().await;
    let mut bytes = HTTP2_PREFACE.to_vec();
    for stream in (1..=23_u8).step_by(2) {
        // HEADERS: GET, http, / and an authority (RFC 7541 appendix A).
        bytes.extend([0, 0, 9, 1, END_HEADERS | flags, 0, 0, 0, stream]);
        bytes.extend([0x82, 0x86, 0x84, 0x41, 4, b'h', b'e', b'r', b'e']);
        bytes.extend([0, 0, 4, kind, 0, 0, 0, 0, stream]);
        bytes.extend(payload);
    }
    socket.write_all(&bytes).await.expect("it is sent");
    assert_eq!(goaway(&mut socket).await, ENHANCE_YOUR_CALM);
}
