//! Whatever panics while it holds secrets says none of them: not the message, not the backtrace, and nobody is answered.

use std::backtrace::Backtrace;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

use countersign::app::Gateway;
use countersign::clock::TestClock;
use countersign::entropy::{Entropy, SystemEntropy};
use http::Method;
use tokio::io::AsyncReadExt;

use crate::browser::{Browser, PAGE, SESSION, target_of};
use crate::canaries::hear;
use crate::house::{BEGINNING, eventually};
use crate::lying_idp::{LyingIdp, registration};
use crate::settings;

/// Randomness that fails the handler that asks for it, once it has been asked so often.
struct Trap(AtomicI64);

impl Entropy for Trap {
    fn fill(&self, target: &mut [u8]) {
        assert!(self.0.fetch_sub(1, Ordering::SeqCst) != 0, "a trap in the middle of a request");
        SystemEntropy.fill(target);
    }
}

static SPRUNG: AtomicUsize = AtomicUsize::new(0);

pub(crate) async fn all() {
    let others = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        // As the standard library's own says it, at its most talkative.
        hear("a panic", format!("{panic}\n{panic:?}\n{}", Backtrace::force_capture()));
        if panic.payload_as_str() == Some("a trap in the middle of a request") {
            SPRUNG.fetch_add(1, Ordering::SeqCst);
        } else {
            others(panic);
        }
    }));
    let clock = Arc::new(TestClock::at(BEGINNING));
    let (idp, data) = (LyingIdp::start(clock.clone()).await, tempfile::tempdir().expect("a directory"));
    let trap = Arc::new(Trap(AtomicI64::new(-1)));
    let settings = settings::settings(data.path(), &registration("corp", &idp.issuer), "");
    let gateway = Gateway::open_with(settings, clock.clone(), trap.clone()).await.expect("it opens");
    let address = gateway.main_address();
    let browser = Browser::new(address, clock.clone());
    run(gateway);
    let found = async || (browser.get("/oauth2/start").await.status == 302).then_some(());
    eventually("the provider is found", found).await;
    browser.sign_in(&idp).await;
    let session = browser.cookie(SESSION).expect("a session");
    // Each of them where it asks for randomness first, and later.
    for after in 0..8 {
        let callback = target_of(&browser.visit(&idp, "/oauth2/start").await);
        for target in
            ["/oauth2/start", &*callback, "/check/", "/check/%", "/oauth2/sessions", "/oauth2/callback?code=x"]
        {
            trap.0.store(after, Ordering::SeqCst);
            let mut socket = browser.send(&Method::GET, target, &[PAGE], "").await;
            let mut answer = Vec::new();
            let _ = socket.read_to_end(&mut answer).await;
            trap.0.store(-1, Ordering::SeqCst);
        }
    }
    assert!(SPRUNG.load(Ordering::SeqCst) > 8, "{SPRUNG:?} traps have sprung");
    // The gateway goes on.
    let other = Browser::new(address, clock);
    other.plant(SESSION, &session);
    assert_ne!(other.check("/").await.status, 503);
}

#[expect(clippy::disallowed_methods, reason = "the gateway runs beside the test")]
fn run(gateway: Gateway) {
    drop(tokio::spawn(gateway.run(std::future::pending())));
}
