//! The session: what is kept for a signed-in browser, and the `Store` port behind which it is kept.
//! It decides nothing about requests and speaks to no identity provider.

mod counted;
mod embedded;
mod endings;
#[cfg(test)]
pub(crate) mod faulty;
mod grace;
mod live;
mod redis;
mod reseals;
mod row;
mod sessions;
mod store;
mod tags;
mod touches;
mod truth;

pub use self::redis::Redis;
pub use counted::Counted;
pub use embedded::{Embedded, Opening};
pub use live::Live;
pub use row::{Session, Whence};
pub use sessions::{Filed, Found, NewSession, SessionCookie, SessionError, Sessions};
pub use store::{Cursor, Holder, NewRow, Page, Replaced, Revision, Store, StoreError, StoreKey, StoredRow, Tag, Told};
pub use tags::Of;
