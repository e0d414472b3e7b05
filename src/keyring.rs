//! The keys that sign RC tokens: their schedule, their public halves (JWKS), and where they are kept.
