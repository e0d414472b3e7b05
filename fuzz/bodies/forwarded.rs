//! What a proxy tells of another request: only trusted ones are believed, a header that is there twice is not, and the
//! answer is the one that the check over HTTP gives.

use std::net::{IpAddr, SocketAddr};

use axum::body::Body;
use axum::extract::ConnectInfo;
use countersign::clock::UnixTime;
use countersign::identity::{Groups, Identity, ProviderId, ProviderTokens, Subject, UserId};
use countersign::login::whence;
use countersign::secret::SecretText;
use countersign::session::NewSession;
use http::header::{COOKIE, HOST};
use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode};
use tower::ServiceExt;

use super::house::{self, House};

const TOLD: [&str; 4] = ["x-forwarded-method", "x-forwarded-host", "x-forwarded-uri", "x-forwarded-for"];
const STRANGER: &str = "203.0.113.9:4711";
const PROXY: &str = "10.0.0.7:4711";
const USER: &str = "ann";

/// Who asks and how, then what `X-Forwarded-Method`, `-Host`, `-Uri` and `-For` say, and further headers, a line each. A
/// tab begins another header of the same name.
pub(super) fn body(data: &[u8]) {
    let Some((how, rest)) = data.split_first() else { return };
    let is_trusted = how & 1 == 0;
    let peer: SocketAddr = if is_trusted { PROXY } else { STRANGER }.parse().expect("an address");
    let mut headers = HeaderMap::new();
    let mut lines = rest.split(|byte| *byte == b'\n');
    for name in TOLD {
        for value in lines.next().into_iter().flat_map(|line| line.split(|byte| *byte == b'\t')) {
            let Ok(value) = HeaderValue::from_bytes(value) else { continue };
            headers.append(HeaderName::from_static(name), value);
        }
    }
    for line in lines {
        let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
        let (name, value) = (HeaderName::from_bytes(&line[..colon]), line.get(colon + 1..).unwrap_or_default());
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(value)) {
            headers.append(name, value);
        }
    }
    house::within(async |house| {
        where_a_browser_is(house, &headers, peer.ip());
        let is_signed_in = how & 2 != 0;
        if is_signed_in {
            sign_in(house, &mut headers).await;
        }
        let query = ["", "?answer=401", "?answer=refusal", "?"][usize::from(how >> 2) % 4];
        let answer = ask(house, &headers, peer, query).await;
        let passes = answer.0 == StatusCode::OK;
        if !is_trusted {
            assert_eq!((answer.0, query), (StatusCode::FORBIDDEN, query), "a stranger is believed");
        }
        let once = TOLD[..3].iter().all(|name| headers.get_all(*name).iter().count() == 1);
        assert!(once || !passes, "which of two counts? {headers:?}");
        if passes && query != "?answer=refusal" {
            let user = answer.1.get("kubeflow-userid").map(HeaderValue::as_bytes).unwrap_or_default();
            assert!(user.is_empty() || (is_signed_in && user == USER.as_bytes()), "somebody is {user:?}");
            assert!(answer.1.contains_key("kubeflow-userid"), "the client's own is left");
            let cookie = answer.1.get(COOKIE).map(HeaderValue::as_bytes).unwrap_or_default();
            let ours = house.cookies.session().to_ascii_lowercase();
            let shown = cookie.to_ascii_lowercase();
            let is_ours = |piece: &[u8]| piece.trim_ascii().starts_with(format!("{ours}=").as_bytes());
            let target = headers[TOLD[2]].to_str().expect("it was read");
            if shown.split(|byte| matches!(byte, b';' | b',')).any(is_ours) {
                assert!(is_own(target), "whoever serves {target} sees our cookie");
            }
        }
        if is_trusted
            && matches!(query, "" | "?")
            && let Some(over_http) = over_http(house, &headers).await
        {
            assert_eq!(passes, over_http == StatusCode::OK, "the doors disagree: {over_http}, {headers:?}");
        }
    });
}

/// Whether only we serve this, however it is read.
fn is_own(target: &str) -> bool {
    let path = target.split('?').next().unwrap_or_default();
    let name = path.strip_prefix("/oauth2/").or_else(|| path.strip_prefix("/.well-known/")).unwrap_or_default();
    !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-/.".contains(&byte))
        && !name.contains("..")
}

/// RFC 7239 section 5.2, as `X-Forwarded-For` has it: the nearest address that is no trusted proxy's.
fn where_a_browser_is(house: &House, headers: &HeaderMap, peer: IpAddr) {
    let is_trusted = |address: &IpAddr| house.trusted.iter().any(|network| network.contains(address));
    let whence = whence(headers, Some(peer), &house.trusted);
    if let Some(device) = &whence.device {
        let plain = device.chars().all(|c| c.is_ascii_alphanumeric() || c == ' ');
        assert!(plain && device.len() <= 40, "{device:?} is in no words of ours");
    }
    let Some(address) = whence.address else { return };
    assert!(!is_trusted(&address), "{address} is a proxy");
    let lines: Vec<&str> = headers.get_all(TOLD[3]).iter().filter_map(|line| line.to_str().ok()).collect();
    if headers.contains_key(TOLD[3]) {
        assert!(is_trusted(&peer), "a stranger is believed");
        let all = lines.join(",");
        let hops: Vec<Option<IpAddr>> = all.split(',').map(|hop| hop.trim().parse().ok()).collect();
        let hops: Vec<Option<IpAddr>> = hops.into_iter().map(|hop| hop.map(|hop| hop.to_canonical())).collect();
        let last = hops.iter().rposition(|hop| !hop.is_some_and(|hop| is_trusted(&hop)));
        assert_eq!(last.and_then(|last| hops[last]), Some(address), "{all}");
    } else {
        assert_eq!(address, peer);
    }
}

async fn ask(house: &House, headers: &HeaderMap, peer: SocketAddr, query: &str) -> (StatusCode, HeaderMap) {
    let mut request = Request::get(format!("/forward-auth{query}")).body(Body::empty()).expect("a request");
    *request.headers_mut() = headers.clone();
    request.extensions_mut().insert(ConnectInfo(peer));
    let answer = house.forward_auth.clone().oneshot(request).await.expect("an answer").into_parts().0;
    assert!(answer.status != StatusCode::INTERNAL_SERVER_ERROR, "{headers:?}");
    (answer.status, answer.headers)
}

/// What the other door says of the same request, where that can be put to it at all.
async fn over_http(house: &House, headers: &HeaderMap) -> Option<StatusCode> {
    let told = |name: &str| headers.get(name)?.to_str().ok();
    let (method, host, target) = (told(TOLD[0])?, told(TOLD[1])?, told(TOLD[2])?);
    let is_once = TOLD[..3].iter().all(|name| headers.get_all(*name).iter().count() == 1);
    // A request over HTTP without a path is one for `/`; a proxy that tells of none has forgotten it.
    if !is_once || host.is_empty() || target.is_empty() || headers.contains_key(HOST) {
        return None;
    }
    let path = format!("/check{target}");
    let mut request = Request::builder().method(method).uri(&path).header(HOST, host).body(()).ok()?;
    let is_as_sent = request.uri().path_and_query().is_some_and(|sent| sent.as_str() == path);
    for (name, value) in headers {
        request.headers_mut().append(name, value.clone());
    }
    if !is_as_sent || !house.check.is_for(&request) {
        return None;
    }
    Some(house.check.answer(request).await.status())
}

async fn sign_in(house: &House, headers: &mut HeaderMap) {
    house.store.rows().clear();
    let word = |text: &str| SecretText::new(text.to_owned());
    let identity = Identity {
        provider: ProviderId::parse("corp").expect("an id"),
        subject: Subject::parse("1").expect("a subject"),
        user: UserId::parse(USER).expect("a user"),
        email: None,
        groups: Groups::default(),
        auth_time: None,
        acr: None,
        amr: Vec::new(),
    };
    let tokens = ProviderTokens { id_token: word("i"), access_token: word("a"), refresh_token: None };
    let new = NewSession { identity, tokens, provider_sid: None, renew_at: UnixTime::MAX };
    let (value, _) = house.sessions.create(new).await.expect("the store takes it");
    let cookie = format!("{}={value}", house.cookies.session());
    headers.append(COOKIE, cookie.parse().expect("a header"));
}
