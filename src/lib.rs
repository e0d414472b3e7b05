//! Countersign: an OIDC authentication gateway for Istio and Envoy meshes. This file is the map, one line a room;
//! a room uses only rooms above it here (`docs/architecture.md` says why, `tests/architecture.rs` holds it).

// The fixtures that tests in here share with `tests/` know the crate by its name.
#[cfg(test)]
extern crate self as countersign;

// Floor 0, words: types that cannot hold a wrong value.
pub mod audit;
pub(crate) mod bucket;
pub mod clock;
pub mod config;
pub mod cookie;
pub mod entropy;
pub mod identity;
pub mod metrics;
pub mod private_file;
pub mod request_ids;
pub mod return_to;
pub mod secret;

// Floor 1, rules: pure decisions and cryptography.
pub mod jose;
pub mod rules;
pub mod seal;

// Floor 2, state: keys, sessions, identity providers, tokens.
pub mod bearer;
pub mod idp;
pub mod keyring;
pub mod kube;
pub mod mint;
pub mod session;

// Floor 3, decisions: what a request, a browser, a session gets.
pub mod check;
pub mod login;
pub mod refresh;
pub mod revocation;

// Floor 4, doors: bytes to calls, answers to bytes.
pub mod door;

// Floor 5, the house: sockets, logs, composition, commands.
pub mod app;
pub mod cli;
#[cfg(feature = "dev")]
pub mod dev;
pub mod doctor;
pub mod server;
pub mod telemetry;
