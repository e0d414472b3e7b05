//! The session: what is kept for a signed-in browser, and the `Store` port behind which it is kept.
//! It decides nothing about requests and speaks to no identity provider.

#[cfg(test)]
pub(crate) mod conformance;
mod embedded;
mod row;
mod store;

pub use embedded::Embedded;
pub use row::Session;
pub use store::{Replaced, Revision, Store, StoreError, StoreKey, StoredRow};
