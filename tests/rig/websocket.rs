//! Web sockets, with the checks over every protocol: an `upgrade` header that is passed on breaks only some of them.

use serde_json::json;

use crate::browser::Browser;
use crate::envoy::Variant;
use crate::house::House;

const HANDSHAKE: [(&str, &str); 4] = [
    ("Upgrade", "websocket"),
    ("Connection", "Upgrade"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
];

#[tokio::test]
async fn a_websocket_opens_for_the_signed_in_over_http1_checks() {
    opens_for_the_signed_in_only(Variant::default()).await;
}

#[tokio::test]
async fn a_websocket_opens_for_the_signed_in_over_http2_checks() {
    opens_for_the_signed_in_only(Variant { checks_over_http2: true, ..Variant::default() }).await;
}

#[tokio::test]
async fn a_websocket_opens_for_the_signed_in_over_grpc_checks() {
    opens_for_the_signed_in_only(Variant { grpc: true, ..Variant::default() }).await;
}

#[tokio::test]
async fn an_open_websocket_ends_when_the_example_says() {
    let house = House::build_with(Variant { max_stream_duration: Some("1s"), ..Variant::default() }).await;
    let socket = format!("ws://localhost:{}/kernel/channels", house.front);
    let ann = house.signed_in("ann").await;
    let seen = ann
        .script(
            "const seen = [];
             const socket = new WebSocket(arguments[0]);
             socket.onopen = () => { seen.push('open'); socket.send('hello'); };
             socket.onmessage = it => seen.push(it.data);
             socket.onclose = () => done(seen.concat('closed'));",
            vec![json!(socket)],
        )
        .await;
    assert_eq!(seen, json!(["open", "hello", "closed"]));
}

async fn opens_for_the_signed_in_only(variant: Variant) {
    let house = House::build_with(variant).await;
    let socket = format!("ws://localhost:{}/kernel/channels", house.front);

    let stranger = Browser::open().await;
    stranger.go(&house.at("/public/")).await;
    assert_eq!(stranger.websocket(&socket).await, json!({"closed": 1006}));
    // As a browser's handshake says it, which asks for no page.
    let answer = house.get("/kernel/channels", &HANDSHAKE).await;
    assert_eq!(answer.status, 401, "{answer:?}");
    assert_eq!(answer.header("set-cookie"), None);

    let ann = house.signed_in("ann").await;
    assert_eq!(ann.websocket(&socket).await, json!({"echo": "hello"}));
}
