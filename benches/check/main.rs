//! What a signed-in check costs over a real socket, against an empty handler that returns the very same: over HTTP one of
//! axum's with the headers, over gRPC one of tonic's with the message.
//!
//! Layout, for two cores: each server has a runtime of one worker thread in this process, the load comes from one
//! spinning thread in a process of its own, and only one of the servers is under load at a time. The rounds alternate:
//! empty, check, empty again; the two empty ones are the control, and a machine on which they differ measures nothing.
//!
//! `cargo bench --bench check -- [--rounds N] [--seconds S] [--connections C] [--door http|grpc]`
//! ends with 0 if the limits are met, 1 if they are missed, 2 if the run is void.

#![expect(clippy::print_stdout, reason = "the figures are what it is for")]
#![expect(clippy::disallowed_methods, reason = "it builds servers as `app` does")]

mod allocations;
#[path = "../../tests/support/grpc_check.rs"]
mod grpc_check;
mod house;
#[expect(dead_code, reason = "the other bench uses all of it")]
mod load;
mod report;
#[path = "../../tests/support/settings.rs"]
mod settings;
mod subject;
mod visitor;

use std::process::ExitCode;
use std::time::Duration;

use house::{Opening, Server, empty, empty_grpc};
use load::{Pace, Question};
use prost::Message as _;
use report::{Round, Rounds};
use subject::Subject;

/// What is measured, and for how long.
#[derive(Clone, Copy, Debug)]
struct Plan {
    rounds: usize,
    seconds: f64,
    connections: usize,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    if arguments.first().is_some_and(|word| word == "generate") {
        load::generate(&arguments[1..]);
        return ExitCode::SUCCESS;
    }
    let plan = Plan {
        rounds: option(&arguments, "--rounds", 20).max(5),
        seconds: f64::from(option::<u32>(&arguments, "--seconds", 1)),
        connections: option(&arguments, "--connections", 32),
    };

    house::log_to_nowhere();
    let subject = Subject::new();
    let doors = arguments.iter().position(|argument| argument == "--door").and_then(|place| arguments.get(place + 1));
    let is_meant = |door: &str| doors.is_none_or(|meant| meant == door);
    let http = is_meant("http").then(|| over_http(&subject, plan));
    let grpc = is_meant("grpc").then(|| over_grpc(&subject, plan));
    // A void run says nothing of either limit, and so stands above a missed one.
    ExitCode::from(http.into_iter().chain(grpc).max().unwrap_or(2))
}

fn over_http(subject: &Subject, plan: Plan) -> u8 {
    let request = &subject.request;
    let check = Server::start("check", subject.gateway());
    let headers = house::answer_headers(check.address, request);
    let servers =
        [Server::start("empty-one", empty(headers.clone())), check, Server::start("empty-two", empty(headers.clone()))];
    let [asked, answered, answered_empty] = [request.len(), servers[1].probe(request), servers[0].probe(request)];
    println!("over HTTP: {asked} bytes asked; the check answers {answered}, the empty handler {answered_empty}");
    let question = Question::Http(request.clone());
    measure(servers, [subject.gateway(), empty(headers)], &question, plan)
}

fn over_grpc(subject: &Subject, plan: Plan) -> u8 {
    let check = Server::start("check", subject.gateway());
    let answer = check.answer_over_grpc(&subject.over_grpc);
    let empty = || empty_grpc(answer.clone());
    let servers = [Server::start("empty-one", empty()), check, Server::start("empty-two", empty())];
    let [answered, answered_empty] = [1, 0].map(|index| servers[index].answer_over_grpc(&subject.over_grpc));
    assert_eq!(answered, answered_empty, "they answer the same");
    let asked = subject.over_grpc.encode_to_vec();
    println!("\nover gRPC: {} bytes asked; {} answered", asked.len(), answer.encoded_len());
    let question = Question::Grpc(asked, answer.encoded_len());
    measure(servers, [subject.gateway(), empty()], &question, plan)
}

/// Puts load on the servers in turn, and then counts what those two allocate.
fn measure(servers: [Server; 3], counted: [Opening; 2], question: &Question, plan: Plan) -> u8 {
    println!("\nsaturation, {} at a time, {} s a round", plan.connections, plan.seconds);
    let saturation = alternate(&servers, question, plan, Pace::Closed, |load| load.rate);
    let rate = saturation.median(1) / 2.0;
    println!("\np99 at {rate:.0} requests a second, latency from the intended time of sending, in microseconds");
    let latency = alternate(&servers, question, plan, Pace::Open(rate), |load| load.p99.as_secs_f64() * 1e6);

    // The store has one owner at a time.
    drop(servers);
    let [check, empty] = counted.map(|opening| allocations::of(opening, question));
    println!("\nallocated a check: {} bytes in {} pieces", check.bytes, check.pieces);
    println!("allocated, empty:  {} bytes in {} pieces", empty.bytes, empty.pieces);
    report::judge(&saturation, &latency)
}

fn alternate(
    servers: &[Server; 3],
    question: &Question,
    plan: Plan,
    pace: Pace,
    figure: impl Fn(&load::Load) -> f64,
) -> Rounds {
    let mut rounds = Rounds::default();
    for number in 1..=plan.rounds {
        let mut round = Round::default();
        for (index, server) in servers.iter().enumerate() {
            let before = server.times();
            let load =
                load::put(&[server.address], question, pace, plan.connections, Duration::from_secs_f64(plan.seconds));
            let (after, took) = (server.times(), load.took.as_secs_f64());
            round.ran[index] = after.ran.saturating_sub(before.ran).as_secs_f64() / took;
            round.waited[index] = after.waited.saturating_sub(before.waited).as_secs_f64() / took;
            round.figures[index] = figure(&load);
        }
        println!("  round {number}: {round}");
        rounds.push(round);
    }
    rounds
}

fn option<T: std::str::FromStr>(arguments: &[String], name: &str, otherwise: T) -> T {
    let place = arguments.iter().position(|argument| argument == name);
    place.and_then(|place| arguments.get(place + 1)?.parse().ok()).unwrap_or(otherwise)
}
