//! The session: what is kept for a signed-in browser, and the `Store` port behind which it is kept.
//! It decides nothing about requests and speaks to no identity provider.

#[cfg(test)]
pub(crate) mod conformance;
mod counted;
mod embedded;
mod endings;
#[cfg(test)]
pub(crate) mod faulty;
mod live;
mod row;
mod sessions;
mod store;
mod tags;
mod touches;

pub use counted::Counted;
pub use embedded::Embedded;
pub use live::Live;
pub use row::Session;
pub use sessions::{NewSession, SessionCookie, SessionError, Sessions};
pub use tags::Of;
pub use store::{NewRow, Replaced, Revision, Store, StoreError, StoreKey, StoredRow, Tag};
