//! The tables of `docs/architecture.md`.

use std::collections::BTreeMap;

/// What the page says.
pub(crate) struct Page {
    /// The rooms by name.
    pub(crate) rooms: BTreeMap<String, Room>,
    /// The doors, and whether each is only planned.
    pub(crate) doors: BTreeMap<String, bool>,
    /// What only some rooms may touch.
    pub(crate) owned: Vec<Owned>,
}

/// A row of the rooms' table.
pub(crate) struct Room {
    pub(crate) floor: u8,
    pub(crate) planned: bool,
    pub(crate) uses: Vec<String>,
}

/// A row of the owners' table.
pub(crate) struct Owned {
    pub(crate) what: String,
    pub(crate) paths: Vec<String>,
    pub(crate) rooms: Vec<String>,
}

impl Page {
    pub(crate) fn parse(text: &str) -> Self {
        let rooms: BTreeMap<String, Room> = table(text, "floor")
            .iter()
            .map(|row| {
                let floor = row[0].parse().unwrap_or_else(|_| panic!("{:?} is no floor", row[0]));
                let room = Room { floor, planned: row[1].contains('†'), uses: quoted(&row[3]) };
                (quoted(&row[1]).remove(0), room)
            })
            .collect();
        let doors: BTreeMap<String, bool> =
            table(text, "door").iter().map(|row| (quoted(&row[0]).remove(0), row[0].contains('†'))).collect();
        let owned: Vec<Owned> = table(text, "what")
            .iter()
            .map(|row| Owned { what: row[0].clone(), paths: quoted(&row[1]), rooms: quoted(&row[2]) })
            .collect();
        assert!(!rooms.is_empty() && !doors.is_empty() && !owned.is_empty(), "a table of the page was not found");
        Self { rooms, doors, owned }
    }
}

/// The rows of the table whose first heading is `heading`.
fn table(text: &str, heading: &str) -> Vec<Vec<String>> {
    let lines: Vec<&str> = text.lines().collect();
    let is_head = |pair: &[&str]| pair[1].starts_with("|---") && cells(pair[0])[0] == heading;
    let head = lines.windows(2).position(is_head).unwrap_or_else(|| panic!("no table begins with {heading:?}"));
    lines[head + 2..].iter().take_while(|line| line.starts_with('|')).map(|line| cells(line)).collect()
}

fn cells(line: &str) -> Vec<String> {
    let inner = line.trim().strip_prefix('|').and_then(|line| line.strip_suffix('|')).unwrap_or_default();
    inner.split('|').map(|cell| cell.trim().to_owned()).collect()
}

fn quoted(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}
