use std::time::Duration;

use axum::Router;
use countersign::server::{Limits, Phase, Shutdown, serve};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::peer::{
    GREETING, HTTP2_PREFACE, NO_ERROR, PATIENCE, answer, frame, goaway, say, start, until_closed, way_out,
};

const LONG: Duration = Duration::from_hours(1);
const SHORT: Duration = Duration::from_millis(100);

#[tokio::test]
async fn what_is_open_is_finished_and_nobody_else_is_let_in() {
    let mut server = start(Limits::default()).await;
    let mut open = server.begin_slow().await;
    let mut idle = server.connect().await;
    say(&mut idle, GREETING).await;
    assert!(!answer(&mut idle).await.contains("connection: close"));

    let task = std::mem::replace(&mut server.task, tokio::spawn(async {}));
    let (shutdown, drain) = (server.shutdown, server.drain.clone());
    let ended = tokio::spawn(shutdown.run(way_out(SHORT, LONG), async { task.await.expect("no panic") }));

    timeout(PATIENCE, drain.reached(Phase::Closing)).await.expect("closing");
    assert_eq!(until_closed(&mut idle).await, b"", "an idle connection has nothing to wait for");
    refused(server.address).await;
    assert!(!ended.is_finished(), "a request is open");
    server.release.notify_one();
    let last = answer(&mut open).await;
    assert!(last.starts_with("HTTP/1.1 200 OK\r\n") && last.ends_with("done"), "{last}");
    assert!(last.contains("connection: close\r\n"), "{last}");
    timeout(PATIENCE, ended).await.expect("the end").expect("no panic");
    assert_eq!(drain.phase(), Phase::Closing, "nothing had to be cut");
}

#[tokio::test]
async fn the_lame_duck_serves_whoever_comes_as_ever() {
    let server = start(Limits::default()).await;
    let mut kept = server.connect().await;
    say(&mut kept, GREETING).await;
    answer(&mut kept).await;
    let running = tokio::spawn(server.shutdown.run(way_out(LONG, LONG), std::future::pending()));
    timeout(PATIENCE, server.drain.reached(Phase::LameDuck)).await.expect("a lame duck");
    let mut new = TcpStream::connect(server.address).await.expect("a new connection");
    // Again and again on the same connection: whoever is told late sends as much as ever.
    for _ in 0..2 {
        for socket in [&mut kept, &mut new] {
            say(socket, GREETING).await;
            let greeting = answer(socket).await;
            assert!(greeting.starts_with("HTTP/1.1 200 OK\r\n"), "{greeting}");
            assert!(!greeting.contains("connection: close"), "{greeting}");
        }
    }
    running.abort();
}

#[tokio::test]
async fn at_the_parting_all_are_asked_to_go_and_whoever_comes_is_served() {
    let server = start(Limits::default()).await;
    let (mut kept, mut idle) = (server.connect().await, server.connect().await);
    for socket in [&mut kept, &mut idle] {
        say(socket, GREETING).await;
        answer(socket).await;
    }
    let mut http2 = server.connect().await;
    http2.write_all(HTTP2_PREFACE).await.expect("it is sent");
    // Settings are answered by settings: it is known what it speaks.
    frame(&mut http2).await;
    server.shutdown.reach(Phase::Parting);
    assert_eq!(goaway(&mut http2).await, NO_ERROR);
    let mut new = TcpStream::connect(server.address).await.expect("a new connection");
    for socket in [&mut kept, &mut idle, &mut new] {
        say(socket, GREETING).await;
        let greeting = answer(socket).await;
        assert!(greeting.starts_with("HTTP/1.1 200 OK\r\n"), "{greeting}");
        assert!(greeting.contains("connection: close\r\n"), "{greeting}");
        assert_eq!(until_closed(socket).await, b"");
    }
}

#[tokio::test]
async fn the_deadline_cuts_what_is_still_open() {
    let mut server = start(Limits::default()).await;
    let mut open = server.begin_slow().await;
    let task = std::mem::replace(&mut server.task, tokio::spawn(async {}));
    let ended = server.shutdown.run(way_out(SHORT, SHORT), async { task.await.expect("no panic") });
    timeout(PATIENCE, ended).await.expect("the end");
    assert_eq!(server.drain.phase(), Phase::Cut);
    assert_eq!(until_closed(&mut open).await, b"");
}

#[tokio::test]
async fn a_port_that_lingers_answers_until_the_cut() {
    let (shutdown, drain) = Shutdown::new();
    let (listener, router) = (TcpListener::bind("127.0.0.1:0").await.expect("a port"), Router::new());
    let address = listener.local_addr().expect("an address");
    let admin = tokio::spawn(serve(listener, None, router, Limits::default(), drain.clone().lingering()));
    let waiting = drain.clone();
    // The other servers: they take until they are cut.
    let others = async move { waiting.reached(Phase::Cut).await };
    let running = tokio::spawn(shutdown.run(way_out(SHORT, SHORT * 10), others));
    timeout(PATIENCE, drain.reached(Phase::Closing)).await.expect("closing");
    let mut socket = TcpStream::connect(address).await.expect("a new connection");
    say(&mut socket, GREETING).await;
    assert!(answer(&mut socket).await.starts_with("HTTP/1.1 404 "));
    timeout(PATIENCE, running).await.expect("the end").expect("no panic");
    timeout(PATIENCE, admin).await.expect("the end").expect("no panic");
}

/// Waits until the port is closed. The phase is told before the listener has heard of it.
async fn refused(address: std::net::SocketAddr) {
    let closed = async { while TcpStream::connect(address).await.is_ok() {} };
    timeout(PATIENCE, closed).await.expect("the port is closed");
}
