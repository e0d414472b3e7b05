//! What the file holds: rows by key and by tag, burnt flows by id, and for both an order by expiry, so that sweeping
//! reads only what it takes out. Every change here keeps them together.

use std::ops::Bound;

use redb::{ReadTransaction, ReadableTable, ReadableTableMetadata, Table, TableDefinition, WriteTransaction};

use super::super::store::{Cursor, NewRow, Page, Replaced, Revision, StoreKey, StoredRow, Tag};
use crate::clock::UnixTime;

/// Key to (revision, until, sealed row).
const ROWS: TableDefinition<&[u8; 32], (u64, u64, &[u8])> = TableDefinition::new("rows");
const ROW_EXPIRY: TableDefinition<(u64, &[u8; 32]), ()> = TableDefinition::new("row_expiry");
/// Key to its tags, one after the other; and the other way round.
const TAGS: TableDefinition<&[u8; 32], &[u8]> = TableDefinition::new("tags");
const TAGGED: TableDefinition<(&[u8; 16], &[u8; 32]), ()> = TableDefinition::new("tagged");
/// Flow to until.
const FLOWS: TableDefinition<&[u8; 16], u64> = TableDefinition::new("flows");
const FLOW_EXPIRY: TableDefinition<(u64, &[u8; 16]), ()> = TableDefinition::new("flow_expiry");

/// The tables, to be changed within one transaction.
pub(super) struct Tables<'t> {
    rows: Table<'t, &'static [u8; 32], (u64, u64, &'static [u8])>,
    row_expiry: Table<'t, (u64, &'static [u8; 32]), ()>,
    tags: Table<'t, &'static [u8; 32], &'static [u8]>,
    tagged: Table<'t, (&'static [u8; 16], &'static [u8; 32]), ()>,
    flows: Table<'t, &'static [u8; 16], u64>,
    flow_expiry: Table<'t, (u64, &'static [u8; 16]), ()>,
}

impl<'t> Tables<'t> {
    pub(super) fn of(transaction: &'t WriteTransaction) -> Result<Self, redb::Error> {
        Ok(Self {
            rows: transaction.open_table(ROWS)?,
            row_expiry: transaction.open_table(ROW_EXPIRY)?,
            tags: transaction.open_table(TAGS)?,
            tagged: transaction.open_table(TAGGED)?,
            flows: transaction.open_table(FLOWS)?,
            flow_expiry: transaction.open_table(FLOW_EXPIRY)?,
        })
    }

    pub(super) fn create(&mut self, key: StoreKey, new: &NewRow) -> Result<(), redb::Error> {
        self.remove(key)?;
        let until = new.until.min(new.ends_at).as_secs();
        self.rows.insert(key.as_bytes(), (Revision::FIRST.0, until, &new.row[..]))?;
        self.row_expiry.insert((until, key.as_bytes()), ())?;
        let tags: Vec<u8> = new.tags.iter().flat_map(Tag::as_bytes).copied().collect();
        self.tags.insert(key.as_bytes(), &tags[..])?;
        for tag in &new.tags {
            self.tagged.insert((tag.as_bytes(), key.as_bytes()), ())?;
        }
        Ok(())
    }

    pub(super) fn replace(&mut self, key: StoreKey, row: &[u8], expected: Revision) -> Result<Replaced, redb::Error> {
        let Some((revision, until)) = self.head(key)? else { return Ok(Replaced::Gone) };
        if Revision(revision) != expected {
            return Ok(Replaced::Superseded);
        }
        let next = revision.saturating_add(1);
        self.rows.insert(key.as_bytes(), (next, until, row))?;
        Ok(Replaced::Done(Revision(next)))
    }

    pub(super) fn touch(&mut self, key: StoreKey, until: UnixTime) -> Result<(), redb::Error> {
        let moved = match self.rows.get(key.as_bytes())?.as_ref().map(redb::AccessGuard::value) {
            Some((revision, old, row)) if old < until.as_secs() => Some((revision, old, row.to_vec())),
            _ => None,
        };
        if let Some((revision, old, row)) = moved {
            self.rows.insert(key.as_bytes(), (revision, until.as_secs(), &row[..]))?;
            self.row_expiry.remove((old, key.as_bytes()))?;
            self.row_expiry.insert((until.as_secs(), key.as_bytes()), ())?;
        }
        Ok(())
    }

    pub(super) fn remove(&mut self, key: StoreKey) -> Result<bool, redb::Error> {
        let Some((_, until)) = self.head(key)? else { return Ok(false) };
        self.row_expiry.remove((until, key.as_bytes()))?;
        self.drop_row(key.as_bytes())?;
        Ok(true)
    }

    pub(super) fn burn(&mut self, flow: [u8; 16], until: UnixTime) -> Result<bool, redb::Error> {
        if self.flows.get(&flow)?.is_some() {
            return Ok(false);
        }
        self.flows.insert(&flow, until.as_secs())?;
        self.flow_expiry.insert((until.as_secs(), &flow), ())?;
        Ok(true)
    }

    pub(super) fn sweep_rows(&mut self, now: UnixTime, most: usize) -> Result<usize, redb::Error> {
        let over = first::<32>(&self.row_expiry, now, most)?;
        for (until, key) in &over {
            self.row_expiry.remove((*until, key))?;
            self.drop_row(key)?;
        }
        Ok(over.len())
    }

    pub(super) fn sweep_flows(&mut self, now: UnixTime, most: usize) -> Result<usize, redb::Error> {
        let over = first::<16>(&self.flow_expiry, now, most)?;
        for (until, flow) in &over {
            self.flow_expiry.remove((*until, flow))?;
            self.flows.remove(flow)?;
        }
        Ok(over.len())
    }

    /// The row and its tags; its place in the order by expiry is the caller's.
    fn drop_row(&mut self, key: &[u8; 32]) -> Result<(), redb::Error> {
        self.rows.remove(key)?;
        let tags = self.tags.remove(key)?.map(|tags| tags.value().to_vec()).unwrap_or_default();
        for tag in tags.as_chunks().0 {
            self.tagged.remove((tag, key))?;
        }
        Ok(())
    }

    /// Revision and until.
    fn head(&self, key: StoreKey) -> Result<Option<(u64, u64)>, redb::Error> {
        Ok(self.rows.get(key.as_bytes())?.map(|found| {
            let (revision, until, _) = found.value();
            (revision, until)
        }))
    }
}

/// The tables as they were at one moment. To open one is a search of its own, so that each question opens its own.
pub(super) struct Snapshot(ReadTransaction);

impl Snapshot {
    pub(super) const fn of(transaction: ReadTransaction) -> Self {
        Self(transaction)
    }

    pub(super) fn load(&self, key: StoreKey, now: UnixTime) -> Result<Option<StoredRow>, redb::Error> {
        let found = self.0.open_table(ROWS)?.get(key.as_bytes())?;
        Ok(found.as_ref().map(redb::AccessGuard::value).and_then(|(revision, until, row)| {
            let until = UnixTime::from_secs(until);
            (until > now).then(|| StoredRow { row: row.to_vec(), revision: Revision(revision), until })
        }))
    }

    pub(super) fn tagged(&self, tag: Tag) -> Result<Vec<StoreKey>, redb::Error> {
        let mut keys = Vec::new();
        for entry in self.0.open_table(TAGGED)?.range((tag.as_bytes(), &[0; 32])..=(tag.as_bytes(), &[0xff; 32]))? {
            keys.push(StoreKey(*entry?.0.value().1));
        }
        Ok(keys)
    }

    /// At most so many rows, in the order of their keys.
    pub(super) fn page(&self, after: Cursor, most: usize) -> Result<Page, redb::Error> {
        let mut keys = Vec::new();
        let from = if after == Cursor::START { Bound::Unbounded } else { Bound::Excluded(after.as_bytes()) };
        for entry in self.0.open_table(ROWS)?.range::<&[u8; 32]>((from, Bound::Unbounded))?.take(most) {
            keys.push(StoreKey(*entry?.0.value()));
        }
        let next = keys.last().filter(|_| keys.len() == most).map(|last| Cursor(last.0));
        Ok(Page { keys, next })
    }

    pub(super) fn is_burnt(&self, flow: [u8; 16]) -> Result<bool, redb::Error> {
        Ok(self.0.open_table(FLOWS)?.get(&flow)?.is_some())
    }

    pub(super) fn count(&self) -> Result<u64, redb::Error> {
        Ok(self.0.open_table(ROWS)?.len()?)
    }
}

/// The first of those that are over at `now`.
fn first<const N: usize>(
    expiry: &Table<'_, (u64, &'static [u8; N]), ()>,
    now: UnixTime,
    most: usize,
) -> Result<Vec<(u64, [u8; N])>, redb::Error> {
    let mut over = Vec::new();
    for entry in expiry.range(..=(now.as_secs(), &[0xff; N]))?.take(most) {
        let (entry, _) = entry?;
        let (until, id) = entry.value();
        over.push((until, *id));
    }
    Ok(over)
}
