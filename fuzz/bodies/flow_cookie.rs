//! Flow cookies: a callback finds its flow if this browser has it, unchanged and in time, and in no other case; and however
//! many flows a browser has begun, they do not outgrow what gateways let pass.

use std::collections::HashSet;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use countersign::login::{LoginError, StartQuery, Started};
use countersign::seal::Purpose;
use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};
use serde_json::{Value, json};
use url::{Url, form_urlencoded};

use super::house::{House, NOW, within};

/// The state of the flow that `@` stands for.
const STATE: &str = "FXxKf7l5N54q-the-state-of-a-flow-of-this-browser";
const MOST: usize = 5;
const MOST_BYTES: usize = 6 * 1024;

/// How to go about it, and where something is changed; then the query of a callback and `Cookie` headers, a line each, in
/// which `@` is a good flow cookie; or what is under the seal of one.
pub(super) fn body(data: &[u8]) {
    let Some(([way, high, low, xor], rest)) = data.split_first_chunk::<4>() else { return };
    let at = usize::from(u16::from_be_bytes([*high, *low]));
    within(async |house| match way % 4 {
        0 => whatever_is_sent(house, rest).await,
        1 => whatever_is_under_a_good_seal(house, rest).await,
        2 => changed(house, at, *xor).await,
        _ => begin(house, at, rest).await,
    });
}

async fn whatever_is_sent(house: &House, text: &[u8]) {
    let (query, headers) = text.split_at(text.iter().position(|byte| *byte == b'\n').unwrap_or(text.len()));
    let Ok(query) = std::str::from_utf8(query) else { return };
    let has_it = headers.contains(&b'@');
    let headers = cookies(headers, &[good(house, STATE, NOW.as_secs() - 5)]);
    if opens(house, &headers, query).await {
        let states: Vec<_> = form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name == "state").collect();
        assert!(has_it, "{query:?} found a flow that nobody has begun");
        assert!(states.len() == 1 && states[0].1 == STATE, "{query:?} found a flow of another state");
        assert_eq!(house.cookies.flows(&headers).iter().filter(|(name, _)| STATE.starts_with(name)).count(), 1);
    }
}

async fn whatever_is_under_a_good_seal(house: &House, json: &[u8]) {
    // What is passed over unread may be anything.
    let Ok(written) = serde_json::from_slice::<Value>(json) else { return };
    let state = written["state"].as_str().unwrap_or(STATE).to_owned();
    let Some(name) = state.get(..12).filter(|name| name.bytes().all(|byte| byte.is_ascii_alphanumeric())) else {
        return;
    };
    let headers = cookies(b"\n@", &[sealed(house, name, json)]);
    let is_found = opens(house, &headers, &callback(&state)).await;
    if is_found {
        assert!(written["state"].is_string() && written["provider"].is_string(), "{written}");
        let begun = written["begun"].as_u64().expect("a time");
        assert!(begun.saturating_add(600) > NOW.as_secs(), "it has lived too long: {written}");
    }
    for other in [format!("{state}x"), state.replace(&state[12..], ""), format!("{name}-another")] {
        assert!(other == state || !opens(house, &headers, &callback(&other)).await, "{other} is not {state}");
    }
    // Under the name of another flow, it is none.
    let moved = cookies(b"\n@", &[sealed(house, "another-name", json)]);
    let state = format!("another-name{}", &state[12..]);
    assert!(!opens(house, &moved, &callback(&state)).await || name == "another-name", "{written}");
}

async fn changed(house: &House, at: usize, xor: u8) {
    let (name, value) = good(house, STATE, NOW.as_secs() - 5);
    let honest = format!("{name}={value}");
    assert!(opens(house, &cookies(honest.as_bytes(), &[]), &callback(STATE)).await, "an honest flow is not found");
    let mut pair = honest.clone().into_bytes();
    let at = at % pair.len();
    pair[at] ^= xor;
    if pair != honest.as_bytes() {
        let headers = cookies(&pair, &[]);
        assert!(!opens(house, &headers, &callback(STATE)).await, "{honest} became {pair:?}");
    }
    for (age, is_found) in [(599, true), (600, false), (u64::from(xor) + 600, false)] {
        let flow = good(house, STATE, NOW.as_secs() - age);
        assert_eq!(opens(house, &cookies(b"@", &[flow]), &callback(STATE)).await, is_found, "after {age} seconds");
    }
}

/// A login begins in a browser that has whatever cookies: what is left of them keeps within bounds.
async fn begin(house: &House, seed: usize, text: &[u8]) {
    let many: Vec<_> = (0..8)
        .map(|number| good(house, &format!("{number:012}-{}", "x".repeat(seed % 1500)), NOW.as_secs() - number * 90))
        .collect();
    let headers = cookies(text, &many);
    let rd = format!("/{}", "a".repeat(seed % 1100));
    let query = StartQuery { rd: Some(rd), ..StartQuery::default() };
    let started = house.login.start(&headers, &query, None).await.expect("the provider is there");
    let Started::Go(onward) = started else { panic!("there is one provider") };
    let (coming, going) = onward.cookies.split_last().expect("the flow's");
    let prefix = house.cookies.flow_prefix();
    let gone: HashSet<&str> = going
        .iter()
        .map(|cookie| {
            assert!(cookie.value().is_empty() && cookie.to_string().contains("Max-Age=0"), "{cookie}");
            cookie.name().strip_prefix(prefix).expect("only flows are taken away")
        })
        .collect();
    let flows = house.cookies.flows(&headers);
    let kept: Vec<_> = flows.iter().filter(|(name, _)| *name != "out" && !gone.contains(name)).collect();
    let bytes: usize = kept.iter().map(|(name, value)| prefix.len() + name.len() + value.len()).sum();
    assert!(kept.len() < MOST, "{} and the new one", kept.len());
    assert!(kept.is_empty() || bytes + coming.name().len() + coming.value().len() <= MOST_BYTES, "{bytes}");
    assert!(coming.name().len() + coming.value().len() <= 4096, "browsers refuse longer ones (RFC 6265 section 6.1)");
    for (name, value) in kept {
        assert!(many.iter().any(|(whole, good)| whole.ends_with(name) && good == value), "{name} was never made here");
    }
    let there = Url::parse(&onward.location).expect("an absolute URL");
    let state = there.query_pairs().find(|(name, _)| name == "state").expect("a state").1;
    assert!(state.starts_with(&coming.name()[prefix.len()..]), "{state} is not that of {}", coming.name());
    let back = cookies(format!("{}={}", coming.name(), coming.value()).as_bytes(), &[]);
    assert!(opens(house, &back, &callback(&state)).await, "what was begun is not found");
}

/// Whether the callback finds its flow. The provider always says no, so that nothing is asked of it.
async fn opens(house: &House, headers: &HeaderMap, query: &str) -> bool {
    let query = format!("{query}&error=access_denied");
    match house.login.callback(None, headers, &query, None).await {
        Err(LoginError::FlowGone(_) | LoginError::BrowserSent("it has no state" | "it has a parameter twice")) => false,
        Err(
            LoginError::ProviderSaidNo { .. }
            | LoginError::Provider(_)
            | LoginError::UnknownProvider
            | LoginError::BrowserSent("it came back to another provider's address"),
        ) => true,
        other => panic!("{query:?} led to {other:?}"),
    }
}

fn callback(state: &str) -> String {
    form_urlencoded::Serializer::new(String::new()).append_pair("state", state).finish()
}

fn good(house: &House, state: &str, begun: u64) -> (String, String) {
    let flow = json!({
        "state": state, "nonce": "n", "verifier": "v", "provider": "corp", "return_to": "https://mesh.example.com/x",
        "begun": begun,
    });
    sealed(house, &state[..12], flow.to_string().as_bytes())
}

fn sealed(house: &House, name: &str, json: &[u8]) -> (String, String) {
    let value = URL_SAFE_NO_PAD.encode(house.keys.seal(Purpose::Flow, name.as_bytes(), json));
    (format!("{}{name}", house.cookies.flow_prefix()), value)
}

/// `Cookie` headers, a line each; in them each `@` is the next of these cookies, and then the first again.
fn cookies(text: &[u8], these: &[(String, String)]) -> HeaderMap {
    let mut next = these.iter().cycle();
    let lines = text.split(|byte| *byte == b'\n').filter_map(|line| {
        let mut written = Vec::new();
        for byte in line {
            match next.next().filter(|_| *byte == b'@') {
                Some((name, value)) => written.extend(format!("{name}={value}").bytes()),
                None => written.push(*byte),
            }
        }
        Some((COOKIE, HeaderValue::from_bytes(&written).ok()?))
    });
    lines.collect()
}
