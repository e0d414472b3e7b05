//! As companies have it: people and groups in a directory (slapd), Keycloak as the identity provider, with rotating
//! refresh tokens and back-channel logout.

mod house;

use std::collections::HashSet;

use futures_util::future::join_all;
use http::StatusCode;
use serde_json::json;

use self::house::CorporateHouse;
use crate::backend::Received;
use crate::browser::Browser;
use crate::dex::CLIENT_SECRET;
use crate::keycloak::post_form;
use crate::part::eventually;
use crate::token_tap::TokenTap;

#[tokio::test]
async fn people_of_the_directory_sign_in_with_its_passwords_and_bring_its_groups() {
    let house = CorporateHouse::build(async |_, _| {}).await;
    let drafts = house.at("/authors/drafts?of=q3");
    let ann = Browser::open().await;
    ann.go(&drafts).await;
    assert!(ann.address().await.as_str().starts_with(&house.realm.issuer()), "at {}", ann.address().await);
    ann.fill("#username", "ann").await;
    ann.fill("#password", "not hers").await;
    ann.click("#kc-login").await;
    ann.reads("Invalid username or password").await;
    ann.sign_in_at_keycloak("ann").await;
    ann.arrives(&drafts).await;
    let received = ann.received().await;
    assert_eq!(received.one("kubeflow-userid"), "ann@example.com");
    assert_eq!(groups(&received), ["authors", "staff"]);

    let bob = house.signed_in("bob").await;
    assert_eq!(groups(&bob.received().await), ["staff"]);
    bob.go(&drafts).await;
    bob.reads("may not enter").await;
}

#[tokio::test]
async fn whoever_signs_out_at_keycloak_or_is_signed_out_there_is_signed_out_here() {
    let house = CorporateHouse::build(async |_, _| {}).await;
    let (first, second, bob) =
        (house.signed_in("ann").await, house.signed_in("ann").await, house.signed_in("bob").await);
    let (first_cookies, second_cookies) = (first.cookie_header().await, second.cookie_header().await);
    let of_bob = bob.cookie_header().await;
    for cookies in [&first_cookies, &second_cookies, &of_bob] {
        assert_eq!(house.answers(cookies).await.status, 200);
    }

    // As another application of hers would have her do it: we learn it by Keycloak's message alone.
    first.go(&house.realm.logout_url()).await;
    first.click("#kc-logout").await;
    first.reads("You are logged out").await;
    house.refuses(&first_cookies).await;
    assert_eq!(house.answers(&second_cookies).await.status, 200, "a session of its own at Keycloak");
    assert_eq!(house.answers(&of_bob).await.status, 200);
    first.go(&house.at("/home")).await;
    first.sees("#password").await;

    house.realm.sign_out_everywhere("ann").await;
    house.refuses(&second_cookies).await;
    assert_eq!(house.answers(&of_bob).await.status, 200);
    second.go(&house.at("/home")).await;
    second.sees("#password").await;
}

#[tokio::test]
async fn a_sign_out_here_is_one_at_keycloak_without_another_question() {
    let house = CorporateHouse::build(async |_, _| {}).await;
    let ann = house.signed_in("ann").await;
    let cookies = ann.cookie_header().await;
    // Another application of hers, which Keycloak lets her into because of us.
    ann.go(&format!("{}/account", house.realm.issuer())).await;
    ann.reads("Ann Example").await;
    ann.go(&house.at("/oauth2/sign_out")).await;
    ann.click("form button[type=submit]").await;
    ann.reads("signed out").await;
    assert!(ann.address().await.as_str().starts_with(&house.at("/oauth2/signed_out")), "at {}", ann.address().await);
    house.refuses(&cookies).await;

    // Not because we ask for that after a sign-out: nobody else lets her in either.
    ann.go(&format!("{}/account", house.realm.issuer())).await;
    ann.sees("#password").await;

    // Nor is there a question for him who was nowhere else: what we revoke is the last of his session there.
    let bob = house.signed_in("bob").await;
    bob.go(&house.at("/oauth2/sign_out")).await;
    bob.click("form button[type=submit]").await;
    bob.reads("signed out").await;
    assert!(bob.address().await.as_str().starts_with(&house.at("/oauth2/signed_out")), "at {}", bob.address().await);
}

#[tokio::test]
async fn a_sign_out_at_keycloak_that_nobody_tells_us_of_holds_from_the_next_renewal_on() {
    let house = CorporateHouse::build(async |_, settings| *settings = json!({"/session/renew_every": "1s"})).await;
    house.realm.tell_nobody().await;
    let (ann, bob) = (house.signed_in("ann").await, house.signed_in("bob").await);
    let (of_ann, of_bob) = (ann.cookie_header().await, bob.cookie_header().await);
    house.realm.sign_out_everywhere("ann").await;
    house.comes_to_refuse(&of_ann).await;
    assert_eq!(house.answers(&of_bob).await.status, 200);
}

#[tokio::test]
async fn a_session_goes_on_over_rotated_refresh_tokens_and_no_longer_once_one_was_used_twice() {
    let mut tap = None;
    let house = CorporateHouse::build(async |realm, settings| {
        let before = TokenTap::before(realm.token_url()).await;
        *settings = json!({"/session/renew_every": "1s", "/providers/0/token_url": before.url()});
        tap = Some(before);
    })
    .await;
    let tap = tap.expect("it was made");
    let ann = house.signed_in("ann").await;
    let cookies = ann.cookie_header().await;

    let renewals = eventually("five renewals", || async {
        // Many requests find it due at once.
        for answer in join_all((0..20).map(|_| house.answers(&cookies))).await {
            assert_eq!(answer.status, 200, "{answer:?}");
            assert!(answer.body.contains("ann@example.com"), "{answer:?}");
        }
        let renewals = tap.renewals();
        if renewals.len() >= 5 { Ok(renewals) } else { Err(format!("{}", renewals.len())) }
    })
    .await;
    let mut expected = tap.first();
    for renewal in &renewals {
        assert_eq!(renewal.status, StatusCode::OK);
        assert_eq!(renewal.spent, expected, "each is used once, and is the one that came last");
        expected = renewal.next.clone().expect("Keycloak rotates");
    }
    let distinct: HashSet<&String> = renewals.iter().map(|renewal| &renewal.spent).collect();
    assert_eq!(distinct.len(), renewals.len(), "Keycloak gave another each time");

    // As a thief of a spent one would.
    let form = [
        ("grant_type", "refresh_token"),
        ("refresh_token", &*renewals[0].spent),
        ("client_id", "countersign"),
        ("client_secret", CLIENT_SECRET),
    ];
    let (status, answer) = post_form(&house.realm.token_url(), &form).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{answer}");
    assert_eq!(answer["error"], "invalid_grant", "{answer}");
    // Keycloak trusts none of that family any more, and the session's next renewal is refused.
    house.comes_to_refuse(&cookies).await;
    let last = tap.renewals().pop().expect("renewals");
    assert_eq!((last.status, last.next), (StatusCode::BAD_REQUEST, None));
}

#[tokio::test]
async fn what_the_directory_takes_away_is_gone_after_the_next_renewal() {
    let house = CorporateHouse::build(async |_, settings| *settings = json!({"/session/renew_every": "1s"})).await;
    let (ann, bob) = (house.signed_in("ann").await, house.signed_in("bob").await);
    let (of_ann, of_bob) = (ann.cookie_header().await, bob.cookie_header().await);
    assert_eq!(groups(&ann.received().await), ["authors", "staff"]);

    house.directory.change(
        "dn: cn=authors,ou=groups,dc=example,dc=com\nchangetype: modify\ndelete: member\n\
         member: uid=ann,ou=people,dc=example,dc=com\n",
    );
    eventually("losing the group", || async {
        ann.go(&house.at("/home")).await;
        let received = ann.received().await;
        if groups(&received) == ["staff"] { Ok(()) } else { Err(format!("{:?}", groups(&received))) }
    })
    .await;
    ann.go(&house.at("/authors/drafts")).await;
    ann.reads("may not enter").await;

    // One is kept in the directory, but not among those whom Keycloak takes from it; the other is not kept at all.
    house.directory.change(
        "dn: uid=bob,ou=people,dc=example,dc=com\nchangetype: modify\nreplace: employeeType\nemployeeType: former\n",
    );
    house.comes_to_refuse(&of_bob).await;
    assert_eq!(house.answers(&of_ann).await.status, 200);
    house.directory.change("dn: uid=ann,ou=people,dc=example,dc=com\nchangetype: delete\n");
    house.comes_to_refuse(&of_ann).await;

    bob.go(&house.at("/home")).await;
    bob.sign_in_at_keycloak("bob").await;
    bob.reads("Invalid username or password").await;
}

/// In no order of ours: Keycloak's is another in each realm.
fn groups(received: &Received) -> Vec<&str> {
    let mut groups: Vec<&str> = received.one("kubeflow-groups").split(',').collect();
    groups.sort_unstable();
    groups
}
