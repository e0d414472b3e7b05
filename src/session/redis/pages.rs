//! Going over all sessions: one list after the other, each in the order in which its sessions would be over. That order is
//! the same on whichever server is the primary; and where a session is moved meanwhile, it is moved on, not back.

use redis::cmd;

use super::super::store::{Cursor, Page, StoreError, StoreKey};
use super::{BATCH, LISTS, Redis, deadlines, list_key};

/// How far somebody has come: in this list, through everything that would be over at that time.
#[derive(Clone, Copy)]
struct Place {
    list: u8,
    through: u64,
}

pub(super) async fn page(redis: &Redis, after: Cursor) -> Result<Page, StoreError> {
    let mut keys = Vec::new();
    let mut place = Place::from(after);
    while place.list < LISTS && keys.len() < BATCH {
        let Place { list, through } = place;
        let some = range(
            redis,
            list,
            if through == 0 { "-inf".to_owned() } else { format!("({through}") },
            "+inf".to_owned(),
            Some(BATCH),
        )
        .await?;
        place = match some.last() {
            Some(&(_, last)) if some.len() == BATCH => {
                // There may be more that would be over at the same time as the last one. All of them, or the next page,
                // which begins behind that time, would pass them over.
                let of_last = range(redis, list, last.to_string(), last.to_string(), None).await?;
                keys.extend(keys_of(some.into_iter().filter(|(_, until)| *until < last).chain(of_last)));
                Place { list, through: last }
            }
            _ => {
                keys.extend(keys_of(some));
                Place { list: list + 1, through: 0 }
            }
        };
    }
    Ok(Page { keys, next: (place.list < LISTS).then(|| Cursor::from(place)) })
}

async fn range(
    redis: &Redis,
    list: u8,
    from: String,
    to: String,
    most: Option<usize>,
) -> Result<Vec<(Vec<u8>, u64)>, StoreError> {
    let (from, to) = (&from, &to);
    redis
        .line
        .ask(deadlines::HOUSEKEEPING, move |mut link| async move {
            let mut range = cmd("ZRANGEBYSCORE");
            range.arg(list_key(list)).arg(from).arg(to).arg("WITHSCORES");
            if let Some(most) = most {
                range.arg("LIMIT").arg(0).arg(most);
            }
            range.query_async(&mut link).await
        })
        .await
}

fn keys_of(entries: impl IntoIterator<Item = (Vec<u8>, u64)>) -> impl Iterator<Item = StoreKey> {
    entries.into_iter().filter_map(|(id, _)| id.try_into().ok().map(StoreKey))
}

impl From<Cursor> for Place {
    fn from(cursor: Cursor) -> Self {
        let [list, rest @ ..] = cursor.0;
        let mut through = [0; 8];
        through.copy_from_slice(&rest[..8]);
        Self { list, through: u64::from_be_bytes(through) }
    }
}

impl From<Place> for Cursor {
    fn from(place: Place) -> Self {
        let mut bytes = [0; 32];
        bytes[0] = place.list;
        bytes[1..9].copy_from_slice(&place.through.to_be_bytes());
        Self(bytes)
    }
}
