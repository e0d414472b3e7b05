//! Holds `tests/refusals.md` and the tests together: whatever the page names is there, and every row of the table of lies is
//! on the page.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The one file whose names are rows, not functions.
const TABLE: &str = "tests/liars/table.rs";
/// How far above a test's name its attribute may stand.
const LINES_ABOVE: usize = 3;

/// A test by its file and name.
type Named = (String, String);

#[test]
fn whatever_holds_a_refusal_is_there() {
    let page = read("tests/refusals.md");
    let lines: Vec<(&str, Vec<Named>)> = rows(&page).collect();
    assert!(lines.len() > 60, "only {} lines were found", lines.len());
    let complaints: Vec<String> = lines
        .iter()
        .flat_map(|(what, named)| {
            let nobody = named.is_empty().then(|| format!("nothing holds: {what}"));
            let missing = named.iter().filter(|(file, name)| !is_there(file, name));
            nobody.into_iter().chain(missing.map(move |(file, name)| format!("{file} has no `{name}`, for: {what}")))
        })
        .collect();
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

#[test]
fn every_row_of_the_table_is_on_the_page() {
    let page = read("tests/refusals.md");
    let on_the_page: BTreeSet<String> =
        rows(&page).flat_map(|(_, named)| named).filter_map(|(file, name)| (file == TABLE).then_some(name)).collect();
    let missing: Vec<String> = names_of_rows(&read(TABLE)).filter(|name| !on_the_page.contains(name)).collect();
    assert!(missing.is_empty(), "tests/refusals.md does not name {missing:?}");
}

#[test]
fn what_is_not_there_is_found_missing() {
    assert!(is_there("tests/refusals.rs", "what_is_not_there_is_found_missing"));
    assert!(!is_there("tests/refusals.rs", "what_is_not"));
    assert!(!is_there("tests/refusals.rs", "read"), "it is no test");
    assert!(!is_there("tests/nowhere.rs", "what_is_not_there_is_found_missing"));
    assert!(is_there(TABLE, "happy-path") && !is_there(TABLE, "happy"));
    let line = "| a thing | `tests/a.rs::b` `src/c.rs::d` |";
    let read: Vec<_> = rows(line).collect();
    assert_eq!(read, [("a thing", vec![("tests/a.rs".into(), "b".into()), ("src/c.rs".into(), "d".into())])]);
}

/// What each line of the page's tables is about, and the tests that it names.
fn rows(page: &str) -> impl Iterator<Item = (&str, Vec<Named>)> {
    let cells = page.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |")?.rsplit_once(" | "));
    cells.filter(|(_, held)| *held != "held by").map(|(what, held)| {
        let named = held.split('`').filter_map(|word| word.split_once("::"));
        (what, named.map(|(file, name)| (file.to_owned(), name.to_owned())).collect())
    })
}

fn is_there(file: &str, name: &str) -> bool {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    let Ok(source) = fs::read_to_string(path) else { return false };
    if file == TABLE {
        return names_of_rows(&source).any(|row| row == name);
    }
    let lines: Vec<&str> = source.lines().map(str::trim).collect();
    let head = format!("fn {name}(");
    lines.iter().enumerate().any(|(at, line)| {
        let above = &lines[at.saturating_sub(LINES_ABOVE)..at];
        line.trim_start_matches("async ").starts_with(&head)
            && above.iter().any(|line| *line == "#[test]" || line.starts_with("#[tokio::test"))
    })
}

/// The first text of each line that makes a row.
fn names_of_rows(source: &str) -> impl Iterator<Item = String> {
    let lists = source.split_once("pub(crate) const REFUSED").map_or("", |(_, lists)| lists);
    let lists = lists.split_once("\nconst fn ").map_or(lists, |(lists, _)| lists);
    lists.lines().filter(|line| line.starts_with("    ")).filter_map(|line| {
        let name = line.split('"').nth(1)?;
        Some(name.to_owned())
    })
}

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path))
        .unwrap_or_else(|error| panic!("{path}: {error}"))
}
