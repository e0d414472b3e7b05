//! Sign-ins, all the way: start, the provider, callback.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;

use crate::lying_idp::LyingIdp;
use crate::processes::Browser;
use crate::shop::per;

/// How many people sign in at a time.
const AT_A_TIME: usize = 32;

/// How many sign in in a second, spread over these gateways, for so many seconds.
pub(crate) async fn a_second(idp: &LyingIdp, ports: &[u16], seconds: u64) -> f64 {
    let browser = Browser::new();
    // Connections are opened and what is fetched once is fetched before anything counts.
    for port in ports {
        browser.sign_in(idp, *port).await.expect("signed in");
    }
    let (begun, done) = (Instant::now(), AtomicU64::new(0));
    let until = begun + Duration::from_secs(seconds);
    let people = (0..AT_A_TIME).map(|number| {
        let (browser, done, port) = (&browser, &done, ports[number % ports.len()]);
        async move {
            while Instant::now() < until {
                browser.sign_in(idp, port).await.expect("signed in");
                done.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    join_all(people).await;
    per(done.into_inner(), begun.elapsed())
}
