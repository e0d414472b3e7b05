//! Renewals at a provider that lies: nothing that it says is believed, and where it speaks of somebody else the session
//! ends.

use std::time::Duration;

use serde_json::{Value, json};

use crate::behaviours::Lie;
use crate::browser::Browser;
use crate::homes::Home;
use crate::house::eventually;
use crate::lying_idp::{TOKEN, USERINFO};
use crate::table::Refused;
use crate::{journal, rc_token};

/// How long the fixture's access tokens live.
const DUE: Duration = Duration::from_mins(5);

/// The lie is told at the first renewal, and with it groups that would open a door.
pub(crate) async fn refused(home: &Home, lie: &Lie, row: &Refused, ends: bool) {
    let house = &home.house;
    let browser = house.signed_in().await;
    let sid = rc_token::claims(browser.check("/").await.token())["sid"].as_str().expect("a sid").to_owned();
    let before = home.ledger().await;
    let asked = house.idp.hits(USERINFO);
    house.idp.lie(|idp| idp.user["groups"] = json!(["admins"]));
    (lie.tell)(&house.idp);
    house.clock.advance(DUE);
    if ends {
        eventually("the session ends", async || (browser.check("/").await.status == 302).then_some(())).await;
        let reason = eventually("it is audited", async || revoked(&sid)).await;
        assert!(reason.contains(row.says), "{}: {reason}", row.name);
        assert_eq!(home.ledger().await, before.with_sessions(before.sessions() - 1), "{}", row.name);
    } else {
        // The next renewal begins when this one is over.
        eventually("it is renewed twice", async || {
            stays(&browser, row).await;
            house.clock.advance(Duration::from_secs(31));
            (house.idp.hits(TOKEN) > 2).then_some(())
        })
        .await;
        stays(&browser, row).await;
        assert_eq!(home.ledger().await, before, "{}", row.name);
        let log = journal::all();
        let told = log.lines().any(|line| line.contains("identity not read anew") && line.contains(row.says));
        assert!(told, "{}: it is not in the log", row.name);
    }
    assert_eq!(house.idp.hits(USERINFO), asked, "{}", row.name);
}

async fn stays(browser: &Browser, row: &Refused) {
    let check = browser.check("/").await;
    let seen = (check.status, check.header("kubeflow-userid"), check.header("kubeflow-groups"));
    assert_eq!(seen, (200, "ann@example.com", "ml,ops"), "{}", row.name);
    assert_eq!(browser.check("/admins/x").await.status, 403, "{}", row.name);
}

fn revoked(sid: &str) -> Option<String> {
    let log = journal::all();
    let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).expect("a line of JSON"));
    let mut found = lines.filter(|line| line["event"] == "revocation" && line["sid"] == *sid);
    found.next().map(|line| line["reason"].as_str().expect("a reason").to_owned())
}
