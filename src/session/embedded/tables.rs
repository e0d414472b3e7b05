//! What the file holds: rows by key, burnt flows by id, and for both an order by expiry, so that sweeping reads only
//! what it takes out. Every change here keeps the pairs together.

use redb::{
    ReadOnlyTable, ReadTransaction, ReadableTable, ReadableTableMetadata, Table, TableDefinition, WriteTransaction,
};

use super::super::store::{Replaced, Revision, StoreKey, StoredRow};
use crate::clock::UnixTime;

/// Key to (revision, until, sealed row).
const ROWS: TableDefinition<&[u8; 32], (u64, u64, &[u8])> = TableDefinition::new("rows");
const ROW_EXPIRY: TableDefinition<(u64, &[u8; 32]), ()> = TableDefinition::new("row_expiry");
/// Flow to until.
const FLOWS: TableDefinition<&[u8; 16], u64> = TableDefinition::new("flows");
const FLOW_EXPIRY: TableDefinition<(u64, &[u8; 16]), ()> = TableDefinition::new("flow_expiry");

/// The tables, to be changed within one transaction.
pub(super) struct Tables<'t> {
    rows: Table<'t, &'static [u8; 32], (u64, u64, &'static [u8])>,
    row_expiry: Table<'t, (u64, &'static [u8; 32]), ()>,
    flows: Table<'t, &'static [u8; 16], u64>,
    flow_expiry: Table<'t, (u64, &'static [u8; 16]), ()>,
}

impl<'t> Tables<'t> {
    pub(super) fn of(transaction: &'t WriteTransaction) -> Result<Self, redb::Error> {
        Ok(Self {
            rows: transaction.open_table(ROWS)?,
            row_expiry: transaction.open_table(ROW_EXPIRY)?,
            flows: transaction.open_table(FLOWS)?,
            flow_expiry: transaction.open_table(FLOW_EXPIRY)?,
        })
    }

    pub(super) fn create(&mut self, key: StoreKey, row: &[u8], until: UnixTime) -> Result<(), redb::Error> {
        self.remove(key)?;
        self.rows.insert(key.as_bytes(), (Revision::FIRST.0, until.as_secs(), row))?;
        self.row_expiry.insert((until.as_secs(), key.as_bytes()), ())?;
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
        self.rows.remove(key.as_bytes())?;
        self.row_expiry.remove((until, key.as_bytes()))?;
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
            self.rows.remove(key)?;
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

    /// Revision and until.
    fn head(&self, key: StoreKey) -> Result<Option<(u64, u64)>, redb::Error> {
        Ok(self.rows.get(key.as_bytes())?.map(|found| {
            let (revision, until, _) = found.value();
            (revision, until)
        }))
    }
}

/// The tables as they were at one moment.
pub(super) struct Snapshot {
    rows: ReadOnlyTable<&'static [u8; 32], (u64, u64, &'static [u8])>,
}

impl Snapshot {
    pub(super) fn of(transaction: &ReadTransaction) -> Result<Self, redb::Error> {
        Ok(Self { rows: transaction.open_table(ROWS)? })
    }

    pub(super) fn load(&self, key: StoreKey, now: UnixTime) -> Result<Option<StoredRow>, redb::Error> {
        let found = self.rows.get(key.as_bytes())?;
        Ok(found.as_ref().map(redb::AccessGuard::value).and_then(|(revision, until, row)| {
            let until = UnixTime::from_secs(until);
            (until > now).then(|| StoredRow { row: row.to_vec(), revision: Revision(revision), until })
        }))
    }

    pub(super) fn count(&self) -> Result<u64, redb::Error> {
        Ok(self.rows.len()?)
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
