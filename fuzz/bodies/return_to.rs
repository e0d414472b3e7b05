//! `rd`: what is followed leads to one of our origins, and to no step of a login, whoever reads it.

use countersign::return_to::{Origins, ReturnTo};
use http::HeaderValue;
use percent_encoding::percent_decode_str;
use url::{Position, Url};

use super::house::{self, ORIGIN};

const LAB: &str = "https://lab.example.com:8443";

pub(super) fn body(data: &[u8]) {
    let Ok(rd) = std::str::from_utf8(data) else { return };
    let url = |text: &str| Url::parse(text).expect("a URL");
    let origins = Origins::new(url(ORIGIN), [url(LAB)]);
    if let Ok(there) = ReturnTo::parse(rd, &origins) {
        stays_here(rd, there.as_str());
        // As a browser resolves it on a page of ours (WHATWG URL, section 4.4): to the same place.
        let by_a_browser = url(ORIGIN).join(rd).expect("it was followed");
        assert_eq!(by_a_browser.as_str(), there.as_str(), "{rd:?}");
        if there.as_str().len() <= ReturnTo::MAX_BYTES {
            let again = ReturnTo::parse(there.as_str(), &origins);
            assert_eq!(again.as_ref().map(ReturnTo::as_str), Ok(there.as_str()), "{rd:?}");
        }
    }
    house::within(async |house| {
        let there = house.login.return_to(Some(rd));
        stays_here(rd, there.as_str());
        let path = url(there.as_str()).path().replace("%5F", "_").replace("%5f", "_");
        for step in ["start", "callback", "sign_out", "backchannel_logout", "frontchannel_logout"] {
            let behind = path.strip_prefix("/oauth2/").and_then(|rest| rest.strip_prefix(step));
            assert!(!behind.is_some_and(|rest| rest.is_empty() || rest.starts_with('/')), "{rd:?} led to {there:?}");
        }
    });
}

/// Judged by the text, and by the parser that is a browser's.
fn stays_here(rd: &str, there: &str) {
    let origin = [ORIGIN, LAB].into_iter().find(|origin| there.starts_with(&format!("{origin}/")));
    let origin = origin.unwrap_or_else(|| panic!("{rd:?} led to {there:?}"));
    let url = Url::parse(there).expect("an absolute URL");
    assert_eq!(url.origin().ascii_serialization(), origin, "{rd:?}");
    assert_eq!((url.as_str(), url.username(), url.password()), (there, "", None), "{rd:?}");
    assert!(url[Position::BeforePath..].len() <= ReturnTo::MAX_BYTES, "{rd:?} is too long");
    // Some servers take a backslash for a slash, and a control character for nothing, also where it is encoded.
    let decoded = percent_decode_str(url.path()).collect::<Vec<u8>>();
    assert!(!decoded.iter().any(|byte| *byte == b'\\' || byte.is_ascii_control()), "{rd:?} led to {there:?}");
    let before_query = rd.split(['?', '#']).next().unwrap_or_default();
    assert!(!before_query.contains('\\') || there == format!("{origin}/"), "{rd:?} led to {there:?}");
    assert!(there.bytes().all(|byte| (0x21..0x7f).contains(&byte)), "{rd:?} led to {there:?}");
    assert!(HeaderValue::from_str(there).is_ok(), "{there:?} is no header");
}
