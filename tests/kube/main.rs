//! The room `kube` against an API server on a real TLS socket that can be told to fail.

#[path = "../support/settings.rs"]
mod settings;
#[path = "../support/token_review.rs"]
mod token_review;

mod connection;
mod discovery;
mod reviews;
mod rig;
mod sources;
