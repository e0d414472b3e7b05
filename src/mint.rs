//! Identity and audience become an RC token.
