//! Sockets: HTTP/1.1 and HTTP/2 on one port, TLS, deadlines on every connection, and a drain that cuts nobody short.
//! What the requests mean is for the doors.

mod accept;
mod activity;
mod connection;
mod drain;
mod guard;
mod limits;
mod room;
mod tls;

pub use accept::serve;
pub use drain::{Drain, Phase, Shutdown, signalled};
pub use guard::RequestBody;
pub use limits::Limits;
pub use room::{Held, NoRoom};
pub use tls::{TlsError, tls};
