//! A house with an operator's eye on it: what its store holds, what it counted, what it wrote.

use std::sync::Arc;
use std::time::Duration;

use countersign::clock::TestClock;
use countersign::config::Settings;
use countersign::secret::SecretText;

use crate::behaviours::{Lie, PUBLIC_ISSUER, Since};
use crate::browser::Browser;
use crate::house::{BEGINNING, House};
use crate::ledger::Ledger;
use crate::lying_idp::LyingIdp;

/// The operator's.
const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// How browsers come back from the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// With a query.
    Query,
    /// With a form (`response_mode=form_post`).
    Form,
}

/// A house, and how one comes into it.
pub(crate) struct Home {
    pub(crate) house: House,
    pub(crate) way: Way,
}

impl Home {
    /// A house in which nobody is signed in; its provider lies from the beginning if `lie` is one of those.
    pub(crate) async fn open(lie: Option<&Lie>, way: Way) -> Self {
        let change = move |settings: &mut Settings| {
            settings.admin.token = Some(SecretText::new(TOKEN.into()));
            settings.providers[0].form_post = way == Way::Form;
            settings.providers[0].algorithms = ["RS256", "PS256", "ES256", "EdDSA"].map(str::to_owned).into();
        };
        let begin = |idp: &LyingIdp| {
            be_brief(idp);
            if let Some(lie) = lie.filter(|lie| matches!(lie.since, Since::Beginning | Since::BeginningInPublic)) {
                (lie.tell)(idp);
            }
        };
        let house = if lie.is_some_and(|lie| lie.since == Since::BeginningInPublic) {
            // It is its own proxy: nobody else finds it by that name.
            let clock = Arc::new(TestClock::at(BEGINNING));
            let idp = LyingIdp::start_behind(PUBLIC_ISSUER, clock.clone()).await;
            let proxy = idp.address.parse().expect("a URL");
            let change = |settings: &mut Settings| {
                change(settings);
                settings.egress.proxy = Some(proxy);
            };
            House::open_beside(idp, clock, begin, change).await
        } else {
            House::open_at_once(begin, change).await
        };
        let home = Self { house, way };
        if lie.is_none_or(|lie| matches!(lie.since, Since::Start | Since::Visit)) {
            home.house.provider_is_found().await;
        }
        home
    }

    /// The last row is over: the provider is honest again, and may be asked for newer keys. Its ID tokens do not say
    /// everything, so that userinfo is wanted for each sign-in.
    pub(crate) fn begin_anew(&self) {
        self.house.clock.advance(Duration::from_secs(31));
        self.house.idp.repent();
        be_brief(&self.house.idp);
    }

    /// What is in the store and in the counters.
    pub(crate) async fn ledger(&self) -> Ledger {
        let operator = Browser::new(self.house.gateway.admin, self.house.clock.clone());
        let bearer = format!("Bearer {TOKEN}");
        let listed = operator.ask(http::Method::GET, "/sessions", &[("authorization", &bearer)]).await;
        assert_eq!(listed.status, 200, "{}", listed.body);
        Ledger::of(&listed.json(), &self.house.admin("/metrics").await.body)
    }
}

fn be_brief(idp: &LyingIdp) {
    idp.lie(|idp| idp.id_token_lacks = &["groups"]);
}
