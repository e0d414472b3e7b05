//! The corpus of `tests/corpus`, put to both doors behind the Envoy that ships, in each way that it can normalise paths.

#![expect(clippy::print_stdout, reason = "its numbers are what it is run for")]

use std::sync::Arc;

use serde_json::{Value, json};

use crate::browser::Browser;
use crate::corpus_of_requests::echo::Echo;
use crate::corpus_of_requests::judge::Contract;
use crate::corpus_of_requests::ordinary::ordinary;
use crate::corpus_of_requests::runner::{Manners, Place, Tally, judge, run};
use crate::corpus_of_requests::site::{Area, Site, Who};
use crate::corpus_of_requests::variants::{SEED, corpus, fingerprint};
use crate::countersign::Countersign;
use crate::dex::Dex;
use crate::envoy::{EXAMPLE, Envoy, GRPC_EXAMPLE, Ports, example_on};
use crate::part::{empty_folder, free_port};

/// `normalize_path`, `merge_slashes`, `path_with_escaped_slashes_action`. What is passed on unchanged is all that there is
/// where encoded slashes are refused or redirected: of those, one each.
const MODES: [(bool, bool, &str); 10] = [
    (true, true, "KEEP_UNCHANGED"),
    (true, false, "KEEP_UNCHANGED"),
    (false, true, "KEEP_UNCHANGED"),
    (false, false, "KEEP_UNCHANGED"),
    (true, true, "UNESCAPE_AND_FORWARD"),
    (true, false, "UNESCAPE_AND_FORWARD"),
    (false, true, "UNESCAPE_AND_FORWARD"),
    (false, false, "UNESCAPE_AND_FORWARD"),
    (true, true, "UNESCAPE_AND_REDIRECT"),
    (true, true, "REJECT_REQUEST"),
];

const SHIPPED: &str = "as shipped";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_of_the_corpus_is_served_wrongly_in_any_mode_by_either_door() {
    let house = House::build().await;
    let (everything, usual) = (Arc::new(corpus(SEED)), Arc::new(ordinary()));
    let judge = judge(&house.manners);
    let (mut all, mut of_usual) = (Tally::default(), Tally::default());
    for place in &house.places {
        let tally = run(place, &house.manners, &everything, &judge).await;
        println!("corpus, {}: {tally}", place.mode);
        all += tally;
        // Whoever has Envoy refuse or rewrite encoded slashes wants to lose what needs them.
        if place.mode == SHIPPED || place.mode.ends_with("KEEP_UNCHANGED") {
            let tally = run(place, &house.manners, &usual, &judge).await;
            println!("ordinary, {}: {tally}", place.mode);
            of_usual += tally;
        }
    }
    println!(
        "corpus {:016x}: {} variants x {} modes x 2 doors, {all}; {} ordinary requests, {} refused of {}",
        fingerprint(&everything),
        everything.len(),
        house.places.len(),
        usual.len(),
        of_usual.refused,
        of_usual.requests
    );
    assert!(everything.len() >= 5000);
    // It asks in earnest: much is served, to everybody, and much refused.
    assert!(all.served_to.values().all(|served| *served > 1000) && all.served_to.len() == 3, "{all}");
    assert!(all.refused > all.requests / 4, "{all}");
    none("served that should not have been", all.wrong.iter().chain(&of_usual.wrong));
    none("answered otherwise by one door than by the other", all.disagreements.iter().chain(&of_usual.disagreements));
    none("ordinary, and refused", &of_usual.turned_away);
}

fn none<'l>(what: &str, lines: impl IntoIterator<Item = &'l String>) {
    let lines: Vec<_> = lines.into_iter().map(String::as_str).collect();
    assert!(lines.is_empty(), "{} {what}, such as\n{}", lines.len(), lines[..lines.len().min(60)].join("\n"));
}

struct House {
    places: Vec<Place>,
    manners: Manners,
    // Held for as long as the house stands.
    _parts: (Dex, Countersign, Echo, [Envoy; 2]),
}

impl House {
    async fn build() -> Self {
        let front = free_port();
        let host = format!("localhost:{front}");
        let dex = Dex::start(&format!("http://{host}/oauth2/callback")).await;
        let echo = Echo::start("127.0.0.1:0").await;
        let site = Site::of_the_corpus();
        let countersign = Countersign::start(&format!("http://{host}"), &dex.issuer(), |settings| {
            settings["rules"] = site.areas.iter().map(rule).collect();
        })
        .await;
        let ports = Ports { envoy: front, countersign: countersign.port(), backend: echo.port() };
        let (http, of_http) = gateway(&ports, EXAMPLE, front, &site).await;
        let (grpc, of_grpc) = gateway(&ports, GRPC_EXAMPLE, free_port(), &site).await;
        let places = of_http.into_iter().zip(of_grpc).map(|((mode, http), (_, grpc))| {
            let at = |port: u16| format!("127.0.0.1:{port}");
            Place { mode, doors: vec![("http".to_owned(), at(http)), ("grpc".to_owned(), at(grpc))] }
        });
        let mut sessions = Vec::new();
        for person in &site.people {
            let (browser, home) = (Browser::open().await, format!("http://{host}/home"));
            browser.go(&home).await;
            browser.sign_in_at_dex(&person.name).await;
            browser.arrives(&home).await;
            sessions.push((person.name.clone(), ("Cookie".to_owned(), browser.cookie_header().await)));
        }
        let contract = Contract {
            user: "kubeflow-userid".into(),
            groups: "kubeflow-groups".into(),
            cookie: "countersign".into(),
            tokens: true,
        };
        Self {
            places: places.collect(),
            manners: Manners { host, sessions, contract },
            _parts: (dex, countersign, echo, [http, grpc]),
        }
    }
}

/// An area, as Countersign's rules say it.
fn rule(area: &Area) -> Value {
    let access = match &area.who {
        Who::Everyone => json!("public"),
        Who::SignedIn => json!("signed-in"),
        Who::Groups(groups) => json!({"groups": groups}),
    };
    let mut rule = json!({"access": access});
    if let Some(host) = &area.host {
        rule["hosts"] = json!([host]);
    }
    if !area.methods.is_empty() {
        rule["methods"] = json!(area.methods);
    }
    if let Some(below) = &area.below {
        rule["path"] = json!(below);
    }
    if let Some(exactly) = &area.exactly {
        rule["path_regex"] = json!(exactly);
    }
    if !area.audience.is_empty() {
        rule["audience"] = json!(area.audience);
    }
    rule
}

/// An Envoy with a listener for each mode, and where each listens. The first is the example's own. The others lack its
/// `jwt_authn`, which would refuse again what Countersign let pass by mistake.
async fn gateway(ports: &Ports, example: &str, first: u16, site: &Site) -> (Envoy, Vec<(String, u16)>) {
    let mut settings = example_on(ports, example);
    let listeners = settings["static_resources"]["listeners"].as_array_mut().expect("listeners");
    let mut shipped = listeners.remove(0);
    listen(&mut shipped, SHIPPED, first);
    manager(&mut shipped).as_object_mut().and_then(|manager| manager.remove("access_log")).expect("an access log");
    let mut alone = shipped.clone();
    let filters = manager(&mut alone)["http_filters"].as_array_mut().expect("filters");
    filters.retain(|filter| filter["name"] != "envoy.filters.http.jwt_authn");
    open_to_everyone(&mut shipped, site);
    let mut places = vec![(SHIPPED.to_owned(), first)];
    listeners.push(shipped);
    for (normalize, merge, slashes) in MODES {
        let mode = format!("normalize_path {normalize}, merge_slashes {merge}, {slashes}");
        let port = free_port();
        let mut listener = alone.clone();
        listen(&mut listener, &mode, port);
        let manager = manager(&mut listener);
        manager["normalize_path"] = json!(normalize);
        manager["merge_slashes"] = json!(merge);
        manager["path_with_escaped_slashes_action"] = json!(slashes);
        listeners.push(listener);
        places.push((mode, port));
    }
    (Envoy::run(empty_folder(), &settings, first).await, places)
}

fn listen(listener: &mut Value, name: &str, port: u16) {
    listener["name"] = json!(name);
    listener["address"]["socket_address"]["port_value"] = json!(port);
}

fn manager(listener: &mut Value) -> &mut Value {
    &mut listener["filter_chains"][0]["filters"][0]["typed_config"]
}

/// `jwt_authn` asks for no token where a rule is `access: public`, as the example says it.
fn open_to_everyone(listener: &mut Value, site: &Site) {
    let filters = manager(listener)["http_filters"].as_array_mut().expect("filters");
    let authn = filters.iter_mut().find(|filter| filter["name"] == "envoy.filters.http.jwt_authn").expect("jwt_authn");
    let rules = authn["typed_config"]["rules"].as_array_mut().expect("rules");
    for area in site.areas.iter().filter(|area| area.who == Who::Everyone) {
        let mut it = match (&area.below, &area.exactly) {
            (_, Some(path)) => json!({"path": path}),
            (below, None) => json!({"prefix": below}),
        };
        if let [method] = &area.methods[..] {
            it["headers"] = json!([{"name": ":method", "string_match": {"exact": method}}]);
        }
        rules.insert(0, json!({"match": it}));
    }
}
