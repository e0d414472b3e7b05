//! Secrets stay secret: everything happens once to gateways that log all there is to log, and nothing that they wrote or
//! answered holds any of the secrets that passed through them. (What a provider that lies may cause is in `tests/liars`.)

#[path = "../support/authservice_variables.rs"]
mod authservice_variables;
#[expect(dead_code, reason = "another part of it is used elsewhere")]
#[path = "../front_door/browser.rs"]
mod browser;
#[path = "../support/canaries.rs"]
mod canaries;
#[path = "../support/grpc_check.rs"]
mod grpc_check;
#[expect(dead_code, reason = "another part of it is used elsewhere")]
#[path = "../front_door/house.rs"]
mod house;
#[path = "../support/trace_journal.rs"]
mod journal;
#[path = "../support/lying_idp.rs"]
mod lying_idp;
#[path = "../support/settings.rs"]
mod settings;
#[path = "../support/token_review.rs"]
mod token_review;

mod commands;
mod configs;
mod frames;
mod panics;
mod places;
mod programs;
mod scanner;
mod stores;
mod troubles;
mod types;
mod visits;

use crate::canaries::Watch;

/// One test: what libraries log, they log for the whole process.
#[tokio::test]
async fn nothing_secret_is_told() {
    visits::all().await;
    programs::all().await;
    places::all().await;
    troubles::all().await;
    stores::all().await;
    frames::all().await;
    panics::all().await;
    let all = Watch::of_all();
    let (trace, said) = (journal::trace(), journal::said());
    for target in ["countersign::", "hyper_util::", "h2::", "rustls::"] {
        assert!(said.contains(target), "{target} has said nothing");
    }
    assert!(all.secrets() > 100, "{} secrets", all.secrets());

    all.judge(&[("the log", &trace)]);
    // Libraries, too, keep them to themselves, but for what is known of them.
    let said: String = said.lines().filter(|line| !is_known(line)).collect::<Vec<_>>().join("\n");
    all.judge(&[("what was said to be logged", said.as_bytes())]);
}

/// Why libraries are not logged below `info`, and Redis' not at all.
fn is_known(line: &str) -> bool {
    line.starts_with("DEBUG h2::server message=malformed headers: malformed path")
        || line.contains("log.target=redis::")
}
