//! Sign-ins at a provider that lies, judged from all sides: the page, the cookies, the check, the store, the counters and
//! the audit trail.

use std::sync::atomic::{AtomicUsize, Ordering};

use http::Method;
use serde_json::{Value, json};

use crate::behaviours::{BAIT, Lie, Since};
use crate::browser::{Answer, Browser, PAGE, SESSION};
use crate::homes::{Home, Way};
use crate::house::{ORIGIN, eventually};
use crate::lying_idp::USERINFO;
use crate::table::{Accepted, Kind, Refused, Welcome};
use crate::{journal, logout, rc_token, renewal};

impl Refused {
    /// Meets the lie, and finds that nothing came of it.
    pub(crate) async fn judge(&self, home: &Home, lie: &Lie) {
        match self.kind {
            Kind::Renewal { ends } => return renewal::refused(home, lie, self, ends).await,
            Kind::Logout => return logout::refused(home, lie, self).await,
            _ => {}
        }
        if self.is_unfindable {
            eventually("it was looked for", async || {
                home.house.admin("/readyz").await.body.contains(self.says).then_some(())
            })
            .await;
        }
        if !self.is_unfindable && self.kind != Kind::Away {
            home.house.provider_is_found().await;
        }
        let before = home.ledger().await;
        let asked = home.house.idp.hits(USERINFO);
        let browser = home.house.browser();
        let id = fresh_id(self.name);
        let page = arrive(home, lie, &browser, &id).await;

        let (status, title, outcome) = self.kind.face();
        let text = main_part(&page);
        assert_eq!(page.status, status, "{}: {text}", self.name);
        let shown = if self.kind == Kind::Away { "does not answer" } else { self.says };
        for words in [title, shown, "Who can mend it", &id] {
            assert!(text.contains(words), "{}: {words} is not in {text}", self.name);
        }
        assert_eq!(page.header("cache-control"), "no-store", "{}", self.name);

        assert!(page.cookies().is_empty(), "{}: {:?}", self.name, page.cookies());
        assert_eq!(browser.cookie(SESSION), None, "{}", self.name);
        let check = browser.check("/").await;
        assert_eq!((check.status, check.headers.get("kubeflow-userid")), (302, None), "{}", self.name);
        assert_eq!(browser.get("/oauth2/userinfo").await.status, 401, "{}", self.name);

        assert_eq!(home.ledger().await, before.after_login(outcome, before.sessions()), "{}", self.name);
        let audited = journal::events("refusal", &id);
        assert_eq!(audited.len(), 1, "{}: {audited:?}", self.name);
        let reason = audited[0]["reason"].as_str().expect("a reason");
        assert!(reason.contains(self.says), "{}: {reason}", self.name);
        assert_eq!(journal::events("sign_in", &id), Vec::<Value>::new(), "{}", self.name);

        let idp = &home.house.idp;
        assert_eq!(idp.hits(BAIT), 0, "{}: keys are where discovery says", self.name);
        if !self.is_about_userinfo {
            assert_eq!(idp.hits(USERINFO), asked, "{}: userinfo was not needed to know it", self.name);
        }
    }
}

impl Accepted {
    /// Meets the oddity, and gets in.
    pub(crate) async fn judge(&self, home: &Home, lie: &Lie) {
        let groups = match self.kind {
            Welcome::BackChannel => return logout::by_token(home, lie, self).await,
            Welcome::FrontChannel => return logout::by_frame(home, lie, self).await,
            Welcome::RpInitiated => return logout::by_browser(home, lie, self).await,
            Welcome::SignIn { groups } => groups,
        };
        home.house.provider_is_found().await;
        let before = home.ledger().await;
        let browser = home.house.browser();
        let id = fresh_id(self.name);
        let arrived = arrive(home, lie, &browser, &id).await;
        assert_eq!(
            (arrived.status, arrived.location()),
            (303, "https://mesh.example.com/"),
            "{}: {}",
            self.name,
            arrived.body
        );
        assert!(browser.cookie(SESSION).is_some(), "{}", self.name);
        let check = browser.check("/").await;
        assert_eq!((check.status, check.header("kubeflow-userid")), (200, "ann@example.com"), "{}", self.name);
        assert_eq!(check.header("kubeflow-groups"), groups, "{}", self.name);
        let (_, claims) = rc_token::verify(&browser, check.token(), "mesh").await;
        assert_eq!(claims["sub"], json!("ann@example.com"), "{}: {claims}", self.name);
        assert_eq!(home.ledger().await, before.after_login("signed_in", before.sessions() + 1), "{}", self.name);
        let audited = journal::events("sign_in", &id);
        assert_eq!((audited.len(), &audited[0]["subject"]), (1, &json!("ann-1")), "{}", self.name);
        assert_eq!(journal::events("refusal", &id), Vec::<Value>::new(), "{}", self.name);
    }
}

/// A browser that wants to sign in, up to where it ends.
async fn arrive(home: &Home, lie: &Lie, browser: &Browser, id: &str) -> Answer {
    let headers = [PAGE, ("x-request-id", id)];
    let tell_at = |since| {
        if lie.since == since {
            (lie.tell)(&home.house.idp);
        }
    };
    tell_at(Since::Start);
    let started = browser.ask(Method::GET, "/oauth2/start", &headers).await;
    if started.status != 302 {
        return started;
    }
    tell_at(Since::Visit);
    let callback = home.house.idp.visit(started.location());
    let path = callback.place.strip_prefix(ORIGIN).expect("back to us");
    if home.way == Way::Query {
        return browser.ask(Method::GET, &format!("{path}?{}", callback.query), &headers).await;
    }
    // The provider's page posts it: another site's form, with which our cookies do not travel.
    let posted = home.house.browser().post(path, &callback.query, &[("sec-fetch-site", "cross-site")]).await;
    assert_eq!((posted.status, posted.cookies().len()), (303, 0), "{}", posted.body);
    browser.ask(Method::GET, posted.location(), &headers).await
}

/// What is to be read on a page.
fn main_part(page: &Answer) -> String {
    let text = page.page();
    text.split_once("<main>").expect("a main part").1.to_owned()
}

/// A request's name, by which its lines in the log are found again.
pub(crate) fn fresh_id(name: &str) -> String {
    static SERIAL: AtomicUsize = AtomicUsize::new(0);
    format!("{name}-{}", SERIAL.fetch_add(1, Ordering::Relaxed))
}
