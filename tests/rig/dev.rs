//! `countersign dev`, as a newcomer tries it: the browser and the binary, nothing else.

use std::process::Command;

use crate::browser::Browser;
use crate::part::{Part, accepts, empty_folder, eventually, free_port};

#[tokio::test]
async fn a_newcomer_signs_in_looks_around_and_signs_out() {
    let front = free_port();
    let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
    command.args(["dev", "--port", &front.to_string()]);
    let mut dev = Part::start("countersign dev", empty_folder(), &mut command);
    dev.await_ready(|| accepts(front)).await;
    let home = format!("http://127.0.0.1:{front}/");
    let admins = format!("{home}admins/");
    eventually("saying where to look", || async {
        let log = dev.log();
        if log.contains(&home) { Ok(()) } else { Err(log) }
    })
    .await;

    let browser = Browser::open().await;
    browser.go(&home).await;
    browser.picture("dev-users").await;
    browser.click("button[value=bob]").await;
    browser.arrives(&home).await;
    for shown in ["bob@example.com", "analysts", "\"aud\""] {
        browser.reads(shown).await;
    }
    browser.picture("dev-home").await;
    browser.go(&admins).await;
    browser.reads("may not enter").await;

    browser.go(&home).await;
    browser.click("a[href$=sign_out]").await;
    browser.click("form button[type=submit]").await;
    browser.reads("signed out").await;

    browser.go(&admins).await;
    browser.click("button[value=ann]").await;
    browser.arrives(&admins).await;
    browser.reads("ann@example.com").await;
}
