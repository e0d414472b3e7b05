//! The server over real sockets: deadlines, limits, both protocols, TLS, and the way out.
#![expect(clippy::disallowed_methods, reason = "tests spawn the servers that they talk to")]

mod admin;
mod deadlines;
mod drain;
mod limits;
mod peer;
mod protocols;
