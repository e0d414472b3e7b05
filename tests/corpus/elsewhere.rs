//! Any gateway: where it is and how people are signed in there, variables say.

use std::env;
use std::sync::Arc;

use crate::corpus::echo::Echo;
use crate::corpus::judge::Contract;
use crate::corpus::ordinary::ordinary;
use crate::corpus::runner::{Manners, Place, judge, run};
use crate::corpus::variants::{SEED, corpus};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "asks the gateway that CORPUS_FRONT names"]
async fn the_gateway_that_variables_name_serves_nothing_wrong() {
    let fronts = wanted("CORPUS_FRONT");
    let doors: Vec<_> = fronts.split(',').map(|front| (front.to_owned(), front.to_owned())).collect();
    let echo = match env::var("CORPUS_ECHO").ok() {
        Some(address) => Some(Echo::start(address).await),
        None => None,
    };
    println!("the workload listens on port {:?}", echo.as_ref().map(Echo::port));
    let session = |person: &str, variable: &str| {
        let header = wanted(variable);
        let (name, value) = header.split_once(':').unwrap_or_else(|| panic!("{variable} is not `Name: value`"));
        (person.to_owned(), (name.to_owned(), value.trim().to_owned()))
    };
    let or = |variable: &str, usual: &str| env::var(variable).unwrap_or_else(|_| usual.to_owned());
    let manners = Manners {
        host: or("CORPUS_HOST", &doors[0].1),
        sessions: vec![session("ann", "CORPUS_ANN"), session("bob", "CORPUS_BOB")],
        contract: Contract {
            user: or("CORPUS_USER_HEADER", "kubeflow-userid"),
            groups: or("CORPUS_GROUPS_HEADER", "kubeflow-groups"),
            cookie: or("CORPUS_COOKIE", "countersign"),
            tokens: or("CORPUS_TOKENS", "yes") == "yes",
        },
    };
    let place = Place { mode: "elsewhere".into(), doors };
    let judge = judge(&manners);
    let everything = run(&place, &manners, &Arc::new(corpus(SEED)), &judge).await;
    let usual = run(&place, &manners, &Arc::new(ordinary()), &judge).await;
    println!("{everything}\nordinary: {usual}");
    for line in everything.wrong.iter().chain(&everything.disagreements).chain(&usual.wrong).chain(&usual.turned_away) {
        println!("{line}");
    }
    assert!(everything.wrong.is_empty() && usual.wrong.is_empty(), "something was served that should not have been");
    assert!(everything.disagreements.is_empty() && usual.disagreements.is_empty(), "the doors disagree");
    assert!(usual.turned_away.is_empty(), "something ordinary was refused");
}

fn wanted(variable: &str) -> String {
    env::var(variable).unwrap_or_else(|_| panic!("set {variable}: tests/corpus/README.md says to what"))
}
