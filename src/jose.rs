//! Signs and verifies JWTs. No network, no keys of its own.
