//! How much a peer may ask of us before we hang up.

use std::time::Duration;

/// What a listener grants a connection and a request.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// From accepting a connection (and from the end of a TLS handshake, which gets as long) to its first byte.
    pub first_byte: Duration,
    /// From a request's first byte to the end of its headers (HTTP/1).
    pub header_read: Duration,
    /// Between requests. It must be longer than the gateway's pool keeps idle connections (30 s in our manifests):
    /// whoever closes first never sends a request on a connection that is just being closed.
    pub idle: Duration,
    /// From the end of a request's headers to the beginning of its answer; then it is answered with 504. A connection
    /// on which nothing moves for as long again while a request is open is cut.
    pub request: Duration,
    /// Headers in one request (HTTP/1); 431 above.
    pub max_headers: usize,
    /// Bytes of one request's headers, at least 8192 (HTTP/1), and the size of its header list (HTTP/2); 431 above.
    /// Envoy lets 60 KiB through.
    pub max_header_bytes: usize,
    /// Bytes of one request's body; 413 above. A check over gRPC carries the original request's headers in its body.
    pub max_body_bytes: usize,
    /// Bytes that the bodies of all requests on a listener take while they are being read, beyond the first 16 KiB of
    /// each; the reading of whichever comes then fails.
    pub max_bytes_of_bodies: usize,
    /// Open connections; more wait in the listener's backlog.
    pub max_connections: usize,
    /// Requests at a time on one HTTP/2 connection.
    pub max_concurrent_streams: u32,
    /// Streams that a peer may reset before we have seen them, until the connection is closed (CVE-2023-44487).
    pub max_pending_reset_streams: usize,
    /// Streams that we may reset for the peer's errors, until the connection is closed (CVE-2025-8671).
    pub max_local_reset_streams: usize,
    /// How often a quiet HTTP/2 connection is pinged, and how long the answer may take.
    pub ping: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            first_byte: Duration::from_secs(10),
            header_read: Duration::from_secs(10),
            idle: Duration::from_mins(1),
            request: Duration::from_secs(30),
            max_headers: Self::PARSER_HEADERS,
            max_header_bytes: 64 * 1024,
            max_body_bytes: 256 * 1024,
            max_bytes_of_bodies: 64 * 1024 * 1024,
            max_connections: 16 * 1024,
            max_concurrent_streams: 1024,
            max_pending_reset_streams: 20,
            max_local_reset_streams: 256,
            ping: Duration::from_secs(20),
        }
    }
}

impl Limits {
    /// As many headers as hyper parses on the stack; another number costs an allocation for each request.
    pub const PARSER_HEADERS: usize = 100;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_for_operators_tells_the_defaults() {
        let page = include_str!("../../docs/operations.md");
        let limits = Limits::default();
        let kib = |bytes: usize| format!("{} KiB", bytes / 1024);
        for (what, how_much) in [
            ("TLS handshake; then the first byte", format!("{:?} each", limits.first_byte)),
            ("a request's headers, from their first byte (HTTP/1)", format!("{:?}, at most", limits.header_read)),
            ("between requests", format!("{:?}", limits.idle)),
            ("the beginning of an answer", format!("{:?}", limits.request)),
            ("nothing moves while a request is open or its answer is not taken", format!("{:?}", limits.request * 2)),
            ("headers of a request", format!("{} (HTTP/1), {}", limits.max_headers, kib(limits.max_header_bytes))),
            ("body of a request", kib(limits.max_body_bytes)),
            (
                "bodies that are being read on a port, beyond the first 16 KiB of each",
                format!("{} MiB", limits.max_bytes_of_bodies / 1024 / 1024),
            ),
            ("open connections of a port", limits.max_connections.to_string()),
            ("requests at a time on an HTTP/2 connection", limits.max_concurrent_streams.to_string()),
            ("streams reset before they were served (CVE-2023-44487)", limits.max_pending_reset_streams.to_string()),
            ("streams that we had to reset (CVE-2025-8671)", limits.max_local_reset_streams.to_string()),
            ("quiet HTTP/2 connections", format!("a ping after {0:?}, {0:?} for its answer", limits.ping)),
        ] {
            let row = format!("| {what} | {how_much}");
            let told = page.lines().any(|line| line.replace(" s ", "s ").replace(" s,", "s,").starts_with(&row));
            assert!(told, "docs/operations.md lacks the line\n{row}");
        }
    }
}
