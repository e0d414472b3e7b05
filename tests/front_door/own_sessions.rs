//! Where somebody is signed in: seen, and ended from another browser.

use http::Method;
use serde_json::json;

use crate::browser::{Browser, PAGE, target_of};
use crate::house::House;
use crate::journal;

const SESSIONS: &str = "/oauth2/sessions";
const SAME_ORIGIN: (&str, &str) = ("sec-fetch-site", "same-origin");
const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0";
const IPHONE: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) \
                      Version/18.0 Mobile/15E148 Safari/604.1";

#[tokio::test]
async fn people_see_their_own_sessions_and_nobody_elses() {
    let house =
        House::open_with(|settings| settings.trusted_proxies = vec!["127.0.0.0/8".parse().expect("a network")]).await;
    let here = signed_in_from(&house, FIREFOX, "203.0.113.9").await;
    let there = signed_in_from(&house, IPHONE, "192.0.2.1, 2001:db8::7").await;
    house.idp.lie(|idp| {
        idp.user = json!({"sub": "bob-1", "email": "bob@example.com", "email_verified": true, "groups": []});
    });
    let bob = signed_in_from(&house, "curl/8", "198.51.100.1").await;
    // Addresses are given to others in time.
    house.idp.lie(|idp| {
        idp.user = json!({"sub": "ann-2", "email": "ann@example.com", "email_verified": true, "groups": []});
    });
    let namesake = signed_in_from(&house, "Go-http-client/2.0", "198.51.100.2").await;

    let page = here.get(SESSIONS).await;
    let text = page.page();
    assert_eq!((page.status, page.header("cache-control")), (200, "no-store"));
    assert!(page.header("content-security-policy").contains("frame-ancestors 'none'"));
    for part in [
        "ann@example.com",
        "Firefox on Linux",
        "203.0.113.9",
        "Safari on iPhone",
        "2001:db8::7",
        "2027-01-15 08:00 UTC",
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    for part in ["192.0.2.1", "198.51.100.1", "bob@", "curl", "198.51.100.2"] {
        assert!(!text.contains(part), "{part} is in {text}");
    }
    // This one first, and not to be ended by mistake.
    let (this, others) = text.split_once("This browser").expect("this browser is marked");
    assert!(this.contains("Firefox on Linux") && others.contains("Safari on iPhone"));
    assert_eq!(sids(&here).await.len(), 1);
    assert!(!text.contains(&here.cookie(crate::browser::SESSION).expect("a cookie")));
    assert_eq!(sids(&bob).await, Vec::<String>::new());
    assert_eq!(sids(&namesake).await, Vec::<String>::new());
    assert!(!bob.get(SESSIONS).await.page().contains("End all"));
    drop(there);
}

#[tokio::test]
async fn whoever_is_not_signed_in_signs_in_first_and_comes_back() {
    let house = House::open().await;
    let browser = house.browser();
    let answer = browser.get(SESSIONS).await;
    assert_eq!((answer.status, answer.location()), (303, "/oauth2/start?rd=%2Foauth2%2Fsessions"));
    let callback = browser.visit(&house.idp, answer.location()).await;
    let arrived = browser.get(&target_of(&callback)).await;
    assert_eq!(arrived.location(), "https://mesh.example.com/oauth2/sessions");
    assert!(browser.get(SESSIONS).await.page().contains("ann@example.com"));
    assert_eq!(house.browser().check(SESSIONS).await.status, 200, "the check lets it through");
}

#[tokio::test]
async fn one_is_ended_from_another() {
    let house = House::open().await;
    let (here, there, third) = (house.signed_in().await, house.signed_in().await, house.signed_in().await);
    let [sid, _] = &*sids(&here).await else { panic!("two others") };
    let own = sids(&there).await;
    let form = format!("end={sid}");
    let answer = here.post(SESSIONS, &form, &[SAME_ORIGIN, ("x-request-id", "ends-one")]).await;
    assert_eq!((answer.status, answer.location()), (303, SESSIONS));
    let over = [&there, &third];
    let mut left = 0;
    for browser in over {
        left += usize::from(browser.check("/").await.status == 200);
    }
    assert_eq!((left, here.check("/").await.status), (1, 200));
    let audited = journal::events("revocation", "ends-one");
    assert_eq!((audited.len(), &audited[0]["sid"]), (1, &json!(sid)));
    assert_eq!(audited[0]["reason"], "ended by its holder from another session");
    // Twice does no harm, nor does a name that is somebody's but not theirs.
    assert_eq!(here.post(SESSIONS, &form, &[SAME_ORIGIN]).await.status, 303);
    assert_eq!(own.len(), 2);
}

#[tokio::test]
async fn all_others_are_ended_and_nobody_elses() {
    let house = House::open().await;
    let (here, there, third) = (house.signed_in().await, house.signed_in().await, house.signed_in().await);
    house.idp.lie(|idp| {
        idp.user = json!({"sub": "bob-1", "email": "bob@example.com", "email_verified": true, "groups": []});
    });
    let (bob, bobs_other) = (house.signed_in().await, house.signed_in().await);
    let theirs = sids(&here).await;
    for sid in &theirs {
        // Somebody else's name for it is of no use.
        assert_eq!(bob.post(SESSIONS, &format!("end={sid}"), &[SAME_ORIGIN]).await.status, 303);
    }
    assert_eq!((there.check("/").await.status, third.check("/").await.status), (200, 200));
    assert_eq!(here.post(SESSIONS, "end_others=1", &[SAME_ORIGIN]).await.status, 303);
    assert_eq!(here.check("/").await.status, 200);
    assert_eq!((there.check("/").await.status, third.check("/").await.status), (302, 302));
    assert_eq!((bob.check("/").await.status, bobs_other.check("/").await.status), (200, 200));
    assert_eq!(sids(&here).await, Vec::<String>::new());
    let counted = house.admin("/metrics").await.body;
    assert!(counted.contains("countersign_sessions_revoked_total{cause=\"holder\"} 2\n"), "{counted}");
}

#[tokio::test]
async fn another_site_ends_nothing_and_a_form_must_say_what() {
    let house = House::open().await;
    let (here, there) = (house.signed_in().await, house.signed_in().await);
    for headers in
        [&[][..], &[("sec-fetch-site", "cross-site")], &[("origin", "https://evil.example")], &[("origin", "null")]]
    {
        let answer = here.post(SESSIONS, "end_others=1", headers).await;
        assert_eq!(answer.status, 403, "{headers:?}");
    }
    for form in ["", "end=", "all=1", "end=a&end_others=1", "end=a&end=b"] {
        assert_eq!(here.post(SESSIONS, form, &[SAME_ORIGIN]).await.status, 400, "{form}");
    }
    let get = here.ask(Method::GET, &format!("{SESSIONS}?end_others=1"), &[PAGE]).await;
    assert_eq!(get.status, 200);
    assert_eq!(there.check("/").await.status, 200);
    let nobody = house.browser().post(SESSIONS, "end_others=1", &[SAME_ORIGIN]).await;
    assert_eq!((nobody.status, nobody.location()), (303, "/oauth2/start?rd=%2Foauth2%2Fsessions"));
    here.plant(crate::browser::SESSION, "tossed");
    assert_eq!(here.post(SESSIONS, "end_others=1", &[SAME_ORIGIN]).await.status, 400);
    assert_eq!(here.get(SESSIONS).await.status, 400);
    assert_eq!(there.check("/").await.status, 200);
}

async fn signed_in_from(house: &House, agent: &str, forwarded_for: &str) -> Browser {
    let browser = house.browser();
    let callback = browser.visit(&house.idp, "/oauth2/start").await;
    let headers = [PAGE, ("user-agent", agent), ("x-forwarded-for", forwarded_for)];
    assert_eq!(browser.ask(Method::GET, &target_of(&callback), &headers).await.status, 303);
    browser
}

/// The names of the sessions that the page offers to end.
async fn sids(browser: &Browser) -> Vec<String> {
    let page = browser.get(SESSIONS).await.page();
    let values = page.split("name=\"end\" value=\"").skip(1);
    values.map(|rest| rest.split('"').next().expect("a value").to_owned()).collect()
}
