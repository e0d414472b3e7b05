//! Signing out at the provider too, where it has an `end_session_endpoint` (RP-Initiated Logout 1.0), and taking its
//! tokens back, where it has revocation (RFC 7009).

use crate::browser::Browser;
use crate::house::{OtherHouse, USUAL_RENEWAL};
use crate::part::eventually;

#[tokio::test]
async fn a_click_signs_out_at_the_provider_and_revokes_its_tokens() {
    let house = OtherHouse::build(USUAL_RENEWAL).await;
    let ann = Browser::open().await;
    ann.go(&house.at("/home")).await;
    ann.sign_in_at_oidc_provider("ann").await;
    ann.arrives(&house.at("/home")).await;
    assert_eq!(ann.received().await.one("kubeflow-userid"), "ann@example.com");

    ann.go(&house.at("/oauth2/sign_out")).await;
    ann.click("form button[type=submit]").await;
    // The provider's own question.
    ann.click("button[value=yes]").await;
    ann.reads("signed out").await;
    assert!(ann.address().await.as_str().starts_with(&house.at("/")), "back at {}", ann.address().await);

    let asked = eventually("logout and revocation at the provider", || async {
        let asked = house.provider.asked();
        let has = |route: &str| asked.iter().any(|it| it.route == route);
        if has("end_session_confirm") && has("revocation") { Ok(asked) } else { Err(format!("{asked:?}")) }
    })
    .await;
    let logout = asked.iter().find(|it| it.route == "end_session").expect("a logout");
    for parameter in ["id_token_hint", "post_logout_redirect_uri"] {
        assert!(logout.parameters.iter().any(|it| it == parameter), "{parameter} in {logout:?}");
    }
    assert!(asked.iter().filter(|it| it.route == "revocation").all(|it| it.status == 200), "{asked:?}");

    // Signed out there too: it asks who we are.
    ann.go(&house.at("/home")).await;
    ann.sees("input[name=password]").await;
}

#[tokio::test]
async fn a_sign_out_at_the_provider_ends_the_session_here() {
    let house = OtherHouse::build(USUAL_RENEWAL).await;
    let ann = Browser::open().await;
    ann.go(&house.at("/home")).await;
    ann.sign_in_at_oidc_provider("ann").await;
    ann.arrives(&house.at("/home")).await;
    let bob = Browser::open().await;
    bob.go(&house.at("/home")).await;
    bob.sign_in_at_oidc_provider("bob").await;
    bob.arrives(&house.at("/home")).await;
    let cookies = ann.cookie_header().await;

    // As another site of hers would have her do it: nobody tells us but the provider, through the gateway.
    ann.go(&format!("{}/session/end", house.provider.issuer())).await;
    ann.click("button[value=yes]").await;
    eventually("the provider's message", || async {
        let asked = house.provider.asked();
        let told = asked.iter().filter(|it| it.route == "backchannel_logout").map(|it| it.status).collect::<Vec<_>>();
        if told == [200] { Ok(()) } else { Err(format!("{told:?}")) }
    })
    .await;
    let stale = house.get("/home", &[("cookie", &cookies), ("accept", "text/html")]).await;
    assert_eq!(stale.status, 302, "{stale:?}");
    bob.go(&house.at("/home")).await;
    bob.arrives(&house.at("/home")).await;
    assert_eq!(bob.received().await.one("kubeflow-userid"), "bob@example.com");
    ann.go(&house.at("/home")).await;
    ann.sees("input[name=password]").await;
}
