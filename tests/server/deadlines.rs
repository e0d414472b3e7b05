use std::time::Duration;

use countersign::server::Limits;
use tokio::io::AsyncWriteExt;

use crate::peer::{GREETING, HTTP2_PREFACE, NO_ERROR, PATIENCE, answer, goaway, say, start, until_closed};

const SHORT: Duration = Duration::from_millis(80);
const LONG: Duration = Duration::from_hours(1);

/// No limit is near but those that a test sets.
fn lenient() -> Limits {
    Limits { first_byte: LONG, header_read: LONG, idle: LONG, request: LONG, ..Limits::default() }
}

#[tokio::test]
async fn a_silent_connection_is_closed() {
    let server = start(Limits { first_byte: SHORT, ..lenient() }).await;
    let mut socket = server.connect().await;
    assert_eq!(until_closed(&mut socket).await, b"");
}

#[tokio::test]
async fn headers_that_dribble_are_cut_off() {
    let server = start(Limits { header_read: SHORT, ..lenient() }).await;
    let mut socket = server.connect().await;
    say(&mut socket, "GET /hello HTTP/1.1\r\n").await;
    let dribble = async {
        let mut drops = 0_u32;
        while socket.write_all(b"x: y\r\n").await.is_ok() {
            drops += 1;
            tokio::time::sleep(SHORT / 8).await;
        }
        drops
    };
    tokio::time::timeout(PATIENCE, dribble).await.expect("the server hangs up");
}

#[tokio::test]
async fn a_later_request_may_not_dribble_either() {
    let server = start(Limits { header_read: SHORT, ..lenient() }).await;
    let mut socket = server.connect().await;
    say(&mut socket, GREETING).await;
    assert!(answer(&mut socket).await.starts_with("HTTP/1.1 200 OK\r\n"));
    say(&mut socket, "GET /hello HTTP/1.1\r\nhost:").await;
    assert_eq!(until_closed(&mut socket).await, b"");
}

#[tokio::test]
async fn the_shorter_deadlines_do_not_touch_an_idle_connection() {
    let server = start(Limits { first_byte: SHORT, header_read: SHORT, ..lenient() }).await;
    let mut socket = server.connect().await;
    for _ in 0..2 {
        say(&mut socket, GREETING).await;
        assert!(answer(&mut socket).await.ends_with("hello 127.0.0.1"));
        // Several times as long as those; the next round shows that the connection is still there.
        tokio::time::sleep(SHORT * 4).await;
    }
}

#[tokio::test]
async fn an_idle_connection_is_closed_in_the_end() {
    let server = start(Limits { idle: SHORT, ..lenient() }).await;
    let mut socket = server.connect().await;
    say(&mut socket, GREETING).await;
    answer(&mut socket).await;
    assert_eq!(until_closed(&mut socket).await, b"");
}

#[tokio::test]
async fn an_idle_http2_connection_is_told_goodbye() {
    let server = start(Limits { idle: SHORT, ..lenient() }).await;
    let mut socket = server.connect().await;
    socket.write_all(HTTP2_PREFACE).await.expect("it is sent");
    assert_eq!(goaway(&mut socket).await, NO_ERROR);
}

#[tokio::test]
async fn a_request_that_takes_too_long_is_answered_504() {
    let server = start(Limits { request: SHORT, ..lenient() }).await;
    let mut socket = server.begin_slow().await;
    let answer = answer(&mut socket).await;
    assert!(answer.starts_with("HTTP/1.1 504 Gateway Timeout\r\n"), "{answer}");
}

#[tokio::test]
async fn whoever_asks_and_does_not_listen_is_cut_off() {
    let server = start(Limits { request: SHORT, max_connections: 1, ..lenient() }).await;
    let mut deaf = server.connect().await;
    say(&mut deaf, "GET /large HTTP/1.1\r\nhost: here\r\n\r\n").await;
    // There is one place, so this is answered when the other has lost it.
    assert!(server.ask(GREETING).await.ends_with("hello 127.0.0.1"));
    drop(deaf);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_idle_connections_disturb_nobody() {
    let server = start(lenient()).await;
    let mut crowd = Vec::new();
    for number in 0..crowd_size() {
        let mut socket = server.connect().await;
        match number % 3 {
            0 => {}
            1 => say(&mut socket, "GET /hello HTT").await,
            _ => {
                say(&mut socket, GREETING).await;
                answer(&mut socket).await;
            }
        }
        crowd.push(socket);
    }
    assert!(server.ask(GREETING).await.ends_with("hello 127.0.0.1"));
    drop(crowd);
}

/// A thousand and more, or what the limit of open files allows with both ends in one process.
fn crowd_size() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let files = limits.lines().find_map(|line| line.strip_prefix("Max open files")?.split_whitespace().next());
    let files = files.and_then(|files| files.parse().ok()).unwrap_or(1024_usize);
    1200.min(files.saturating_sub(200) / 2)
}
