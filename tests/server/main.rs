//! The server over real sockets: deadlines, limits, both protocols, TLS, and the way out.

mod deadlines;
mod drain;
mod limits;
mod peer;
mod protocols;
