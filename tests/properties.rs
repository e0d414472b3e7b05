//! The bodies of the fuzzers (`fuzz/`), on stable Rust: every seed as it is, seeds that were mutated, and random bytes.
//! `make fuzz` goes on where this ends.

#[path = "../fuzz/bodies/lib.rs"]
pub mod bodies;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};

use bodies::BODIES;

/// How many inputs each body gets besides the seeds: a second or less.
const CASES: u32 = 2048;

#[test]
fn config() {
    holds("config");
}

#[test]
fn discovery() {
    holds("discovery");
}

#[test]
fn flow_cookie() {
    holds("flow_cookie");
}

#[test]
fn forwarded() {
    holds("forwarded");
}

#[test]
fn jwt() {
    holds("jwt");
}

#[test]
fn logout_token() {
    holds("logout_token");
}

#[test]
fn return_to() {
    holds("return_to");
}

#[test]
fn row() {
    holds("row");
}

#[test]
fn rules() {
    holds("rules");
}

#[test]
fn session_cookie() {
    holds("session_cookie");
}

/// One change of an input.
#[derive(Clone, Debug)]
enum Change {
    Flip(Index, u8),
    Cut(Index, Index),
    Again(Index, Index),
    Insert(Index, Vec<u8>),
    Splice(Index, Index, Index),
    Word(Index, Index),
}

fn holds(target: &str) {
    let seeds = seeds(target);
    for (name, seed) in &seeds {
        let outcome = catch_unwind(AssertUnwindSafe(|| bodies::run(target, seed)));
        assert!(outcome.is_ok(), "fuzz/seeds/{target}/{name} does not hold; the reason is above");
    }
    let seeds: Vec<Vec<u8>> = seeds.into_iter().map(|(_, seed)| seed).collect();
    let words = words(target);
    let random = prop::collection::vec(any::<u8>(), 0..256);
    let mutated = (any::<Index>(), prop::collection::vec(change(), 1..5)).prop_map(|(which, changes)| {
        let mut input = which.get(&seeds).clone();
        for change in changes {
            change.make(&mut input, &seeds, &words);
        }
        input
    });
    let config = Config { cases: CASES, max_shrink_iters: 256, failure_persistence: None, ..Config::default() };
    // The same in every run; whoever wants others has the fuzzers.
    let same = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let outcome = TestRunner::new_with_rng(config, same).run(&prop_oneof![1 => random, 4 => mutated], |input| {
        let outcome = catch_unwind(AssertUnwindSafe(|| bodies::run(target, &input)));
        prop_assert!(outcome.is_ok());
        Ok(())
    });
    match outcome {
        Ok(()) => {}
        Err(TestError::Fail(_, input)) => {
            let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(target);
            fs::write(&kept, &input).expect("a file");
            panic!("{target} does not hold for {}, the reason is above:\n{}", kept.display(), input.escape_ascii());
        }
        Err(error) => panic!("{target}: {error}"),
    }
}

fn change() -> impl Strategy<Value = Change> {
    let place = any::<Index>;
    prop_oneof![
        (place(), any::<u8>()).prop_map(|(at, xor)| Change::Flip(at, xor)),
        (place(), place()).prop_map(|(from, to)| Change::Cut(from, to)),
        (place(), place()).prop_map(|(from, to)| Change::Again(from, to)),
        (place(), prop::collection::vec(any::<u8>(), 1..6)).prop_map(|(at, bytes)| Change::Insert(at, bytes)),
        (place(), place(), place()).prop_map(|(which, mine, its)| Change::Splice(which, mine, its)),
        (place(), place()).prop_map(|(which, at)| Change::Word(which, at)),
    ]
}

impl Change {
    fn make(&self, input: &mut Vec<u8>, seeds: &[Vec<u8>], words: &[Vec<u8>]) {
        let range = |from: &Index, to: &Index, length: usize| {
            let (one, other) = (from.index(length + 1), to.index(length + 1));
            one.min(other)..one.max(other)
        };
        match self {
            Self::Flip(_, _) if input.is_empty() => {}
            Self::Flip(at, xor) => *at.get_mut(input) ^= xor,
            Self::Cut(from, to) => drop(input.drain(range(from, to, input.len()))),
            Self::Again(from, to) => input.extend_from_within(range(from, to, input.len())),
            Self::Insert(at, bytes) => insert(input, *at, bytes),
            Self::Splice(which, mine, its) => {
                let other = which.get(seeds);
                input.truncate(mine.index(input.len() + 1));
                input.extend_from_slice(&other[its.index(other.len() + 1)..]);
            }
            Self::Word(_, _) if words.is_empty() => {}
            Self::Word(which, at) => insert(input, *at, which.get(words).as_slice()),
        }
    }
}

fn insert(input: &mut Vec<u8>, at: Index, bytes: &[u8]) {
    let at = at.index(input.len() + 1);
    input.splice(at..at, bytes.iter().copied());
}

#[test]
fn every_body_has_a_fuzzer_and_seeds() {
    let targets: Vec<String> = names_in("fuzz/fuzz_targets").map(|name| name.replace(".rs", "")).collect();
    let bodies: Vec<&str> = BODIES.iter().map(|(name, _)| *name).collect();
    assert_eq!(targets, bodies);
    for name in bodies {
        assert!(seeds(name).len() >= 3, "fuzz/seeds/{name} is nearly empty");
    }
}

fn seeds(target: &str) -> Vec<(String, Vec<u8>)> {
    let directory = format!("fuzz/seeds/{target}");
    names_in(&directory).map(|name| (name.clone(), read(&format!("{directory}/{name}")))).collect()
}

/// The words of the target's dictionary, if it has one.
fn words(target: &str) -> Vec<Vec<u8>> {
    let path = format!("fuzz/dictionaries/{target}");
    let text = if root().join(&path).exists() { read(&path) } else { Vec::new() };
    let text = String::from_utf8(text).expect("a dictionary is text");
    let quoted = text.lines().filter_map(|line| line.strip_prefix('"')?.strip_suffix('"'));
    quoted.map(unescaped).collect()
}

/// A word as libFuzzer reads it: `\\`, `\"` and `\x` with two digits.
fn unescaped(word: &str) -> Vec<u8> {
    let (mut bytes, mut rest) = (Vec::new(), word);
    while let Some((before, behind)) = rest.split_once('\\') {
        bytes.extend_from_slice(before.as_bytes());
        let (byte, length) = match behind.strip_prefix('x') {
            Some(digits) => (u8::from_str_radix(&digits[..2], 16).expect("two digits"), 3),
            None => (behind.as_bytes()[0], 1),
        };
        bytes.push(byte);
        rest = &behind[length..];
    }
    bytes.extend_from_slice(rest.as_bytes());
    bytes
}

fn names_in(directory: &str) -> impl Iterator<Item = String> {
    let entries = fs::read_dir(root().join(directory)).unwrap_or_else(|error| panic!("{directory}: {error}"));
    let names = entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("a name"));
    let mut names: Vec<String> = names.collect();
    names.sort();
    names.into_iter()
}

fn read(path: &str) -> Vec<u8> {
    fs::read(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
