//! A login may begin at one version and come back to the next: flows as they were recorded are still read.

use super::*;
use crate::config::CookieSettings;
use crate::entropy::TestEntropy;
use crate::secret::SecretBytes;

/// What a browser sent along, as it was recorded, under a key that nobody else has.
const RECORDED: &str = include_str!("../../../tests/recorded/flow-1.txt");
const BEGUN: UnixTime = UnixTime::from_secs(1_800_000_000);

#[test]
fn a_recorded_flow_is_still_read() {
    let headers = sent(RECORDED.trim());
    let written = flow();
    let found = |now| Flow::find(&written.state, &headers, &names(), &keys(&[2, 1]), now);
    let read = found(BEGUN.plus(Duration::from_mins(9))).expect("the flow");
    assert_eq!(
        (read.nonce, read.verifier, read.provider, read.return_to),
        (written.nonce.clone(), written.verifier.clone(), written.provider.clone(), written.return_to.clone())
    );
    assert!(found(BEGUN.plus(LIFETIME)).is_none(), "its time is over");
    assert!(Flow::find(&written.state, &headers, &names(), &keys(&[2]), BEGUN).is_none(), "without its key");
}

#[test]
fn only_the_whole_state_finds_its_flow() {
    let flow = flow();
    let cookie = flow.to_cookie(&names(), &keys(&[1]));
    let headers = sent(&format!("{}={}", cookie.name(), cookie.value()));
    let finds = |state: &str| Flow::find(state, &headers, &names(), &keys(&[1]), BEGUN).is_some();
    assert!(finds(&flow.state));
    let beginning = &flow.state[..NAME_LENGTH];
    let changed =
        format!("{}{}", &flow.state[..flow.state.len() - 1], if flow.state.ends_with('A') { 'B' } else { 'A' });
    for other in [beginning, &flow.state[..flow.state.len() - 1], &format!("{}A", flow.state), &changed, ""] {
        assert!(!finds(other), "{other}");
    }
}

#[test]
fn a_flow_opens_under_no_other_name_and_is_no_row() {
    let (flow, keys) = (flow(), keys(&[1]));
    let cookie = flow.to_cookie(&names(), &keys);
    let name = &flow.state[..NAME_LENGTH];
    assert!(open(name, cookie.value(), &keys).is_some());
    assert!(open("AAAAAAAAAAAA", cookie.value(), &keys).is_none());
    let row = keys.seal(Purpose::Row, name.as_bytes(), &serde_json::to_vec(&flow).expect("JSON"));
    assert!(open(name, &URL_SAFE_NO_PAD.encode(row), &keys).is_none());
}

#[test]
#[ignore = "writes a file, once for each form"]
fn record() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/recorded/flow-1.txt");
    let cookie = flow().to_cookie(&names(), &keys(&[1]));
    crate::private_file::create(
        std::path::Path::new(path),
        format!("{}={}\n", cookie.name(), cookie.value()).as_bytes(),
        &TestEntropy::default(),
    )
    .expect("a new file");
}

fn flow() -> Flow {
    let provider = ProviderId::parse("dex").expect("an id");
    Flow::begin(provider, "https://mesh.example.com/x?y=1".to_owned(), BEGUN, &TestEntropy::default())
}

fn names() -> CookieNames {
    CookieNames::new(&CookieSettings { name: "countersign".into(), domain: None, secure: true, hide: Vec::new() })
}

fn keys(newest_first: &[u8]) -> SessionKeys {
    SessionKeys::new(newest_first.iter().map(|byte| SecretBytes::new([*byte; 32])).collect()).expect("keys")
}

fn sent(cookie: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(http::header::COOKIE, cookie.parse().expect("a header"));
    headers
}
