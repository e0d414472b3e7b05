//! What the provider takes away is gone here too, without anybody signing in again.

use crate::browser::Browser;
use crate::house::OtherHouse;
use crate::part::eventually;

#[tokio::test]
async fn a_group_that_the_provider_takes_away_is_gone_after_the_renewal() {
    let house = OtherHouse::build("1s").await;
    let ann = Browser::open().await;
    let drafts = house.at("/authors/drafts");
    ann.go(&drafts).await;
    ann.sign_in_at_oidc_provider("ann").await;
    ann.arrives(&drafts).await;
    assert_eq!(ann.received().await.one("kubeflow-groups"), "staff,authors");

    house.provider.set_groups(&["staff"]);
    // The request that finds the renewal due goes on with what was known; a later one does not.
    eventually("losing the group", || async {
        ann.go(&house.at("/home")).await;
        let groups = ann.received().await.one("kubeflow-groups").to_owned();
        if groups == "staff" { Ok(()) } else { Err(groups) }
    })
    .await;
    ann.go(&drafts).await;
    ann.reads("may not enter").await;
}
