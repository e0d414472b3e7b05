use std::sync::{Arc, Mutex};
use std::time::Duration;

use countersign::door::admin::{AdminState, Part, Readiness, router};
use countersign::identity::ProviderId;
use countersign::metrics::{CheckDoor, CheckReason, CheckVerdict, Metrics};
use countersign::server::{Limits, Shutdown, serve};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};

use crate::peer::{answer, say};

#[tokio::test]
async fn it_is_alive_and_counts() {
    let house = House::open().await;
    assert_eq!(house.get("/livez").await.1, "alive\n");
    house.metrics.check(CheckDoor::Http, CheckVerdict::Allow, CheckReason::Session, Duration::from_micros(9));
    let (head, body) = house.get("/metrics").await;
    let media_type = "\r\ncontent-type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n";
    assert!(head.contains(media_type), "{head}");
    let line = "countersign_checks_total{door=\"http\",verdict=\"allow\",reason=\"session\"} 1\n";
    assert!(body.contains(line) && body.ends_with("# EOF\n"), "{body}");
}

#[tokio::test]
async fn it_is_ready_though_a_provider_is_away_and_says_so() {
    let house = House::open().await;
    house.set(|now| now.providers[0].1 = missing("discovery has not succeeded: connection refused"));
    let expected = json!({
        "ready": true, "draining": false, "store": "ready", "keys": "ready",
        "providers": {"dex": "missing: discovery has not succeeded: connection refused", "work": "ready"},
        "sources": {"cluster": "ready"},
    });
    assert_eq!(house.ready().await, (200, expected));
}

#[tokio::test]
async fn it_is_ready_though_a_source_of_bearers_is_away_and_says_so() {
    let house = House::open().await;
    house.set(|now| now.sources[0].1 = missing("the API server cannot be reached"));
    let (status, told) = house.ready().await;
    assert_eq!((status, &told["ready"]), (200, &json!(true)));
    assert_eq!(told["sources"], json!({"cluster": "missing: the API server cannot be reached"}));
}

#[tokio::test]
async fn it_is_ready_while_sessions_in_memory_go_on_without_the_store_and_says_so() {
    let house = House::open().await;
    house.set(|now| now.store = Part::Grace("nobody answers".into(), Duration::from_secs(42)));
    let (status, told) = house.ready().await;
    assert_eq!((status, &told["ready"], &told["store"]), (200, &json!(true), &json!("grace for 42s: nobody answers")));
}

#[tokio::test]
async fn it_is_not_ready_without_store_or_keys_or_on_the_way_out() {
    let house = House::open().await;
    let all_there = house.ready().await.1;
    for (change, key, value) in [
        ((|now| now.store = missing("disk full")) as fn(&mut Readiness), "store", json!("missing: disk full")),
        (|now| now.keys = missing("no key is due"), "keys", json!("missing: no key is due")),
        (|now| now.draining = true, "draining", json!(true)),
    ] {
        house.set(|now| *now = well());
        house.set(change);
        let mut expected = all_there.clone();
        expected["ready"] = false.into();
        expected[key] = value;
        assert_eq!(house.ready().await, (503, expected));
    }
}

struct House {
    address: std::net::SocketAddr,
    metrics: Arc<Metrics>,
    readiness: Arc<Mutex<Readiness>>,
    _shutdown: Shutdown,
}

impl House {
    async fn open() -> Self {
        let (metrics, readiness) = (Arc::new(Metrics::new()), Arc::new(Mutex::new(well())));
        let asked = Arc::clone(&readiness);
        let readiness_now = move || asked.lock().expect("no test panicked").clone();
        let state = AdminState { metrics: Arc::clone(&metrics), readiness: Arc::new(readiness_now) };
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (shutdown, drain) = Shutdown::new();
        tokio::spawn(serve(listener, None, router(state), Limits::default(), drain));
        Self { address, metrics, readiness, _shutdown: shutdown }
    }

    fn set(&self, change: impl FnOnce(&mut Readiness)) {
        change(&mut self.readiness.lock().expect("no test panicked"));
    }

    async fn get(&self, path: &str) -> (String, String) {
        let mut socket = TcpStream::connect(self.address).await.expect("a connection");
        say(&mut socket, &format!("GET {path} HTTP/1.1\r\nhost: here\r\n\r\n")).await;
        let answer = answer(&mut socket).await;
        let (head, body) = answer.split_once("\r\n\r\n").expect("headers");
        (format!("{head}\r\n"), body.to_owned())
    }

    async fn ready(&self) -> (u16, Value) {
        let (head, body) = self.get("/readyz").await;
        let status = head.split(' ').nth(1).expect("a status").parse().expect("a number");
        (status, serde_json::from_str(&body).expect("JSON"))
    }
}

fn well() -> Readiness {
    let ready = |id: &str| (ProviderId::parse(id).expect("an id"), Part::Ready);
    let (providers, sources) = (vec![ready("dex"), ready("work")], vec![ready("cluster")]);
    Readiness { draining: false, store: Part::Ready, keys: Part::Ready, providers, sources }
}

fn missing(reason: &str) -> Part {
    Part::Missing(reason.into())
}
