//! Sockets: accept, deadlines, limits, TLS, drain.
