//! Holds the pages that name tests and the tests together: whatever `tests/refusals.md` and `docs/threat-model.md` name is
//! there, and every row of the table of lies is on the former.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The pages, and how many lines each has at the least.
const PAGES: [(&str, usize); 2] = [("tests/refusals.md", 60), ("docs/threat-model.md", 40)];
/// The one file whose names are rows, not functions.
const TABLE: &str = "tests/liars/table.rs";
/// How far above a test's name its attribute may stand.
const LINES_ABOVE: usize = 3;

/// A test by its file and name.
type Named = (String, String);

#[test]
fn whatever_holds_a_refusal_is_there() {
    for (path, least) in PAGES {
        let page = read(path);
        let lines: Vec<(&str, Vec<Named>)> = rows(&page).collect();
        assert!(lines.len() > least, "only {} lines were found in {path}", lines.len());
        let complaints: Vec<String> = lines.iter().flat_map(|(what, named)| complaints(what, named)).collect();
        assert!(complaints.is_empty(), "{path}\n{}", complaints.join("\n"));
    }
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
    let page = "| of tests | nothing |\n|---|---|\n| a | b |\n\n| what | held by |\n|---|---|\n| a thing | `tests/a.rs::b` `src/c.rs::d` |";
    let read: Vec<_> = rows(page).collect();
    assert_eq!(read, [("a thing", vec![("tests/a.rs".into(), "b".into()), ("src/c.rs".into(), "d".into())])]);
}

/// What each line of the page's tables is about, and the tests that it names: of tables whose last column says "held by".
fn rows(page: &str) -> impl Iterator<Item = (&str, Vec<Named>)> {
    let mut names_tests = false;
    page.lines().filter_map(move |line| {
        let Some(cells) = line.strip_prefix("| ").and_then(|line| line.strip_suffix(" |")) else {
            names_tests &= line.starts_with('|');
            return None;
        };
        let (what, last) = cells.rsplit_once(" | ")?;
        if last == "held by" {
            names_tests = true;
            return None;
        }
        let named = last.split('`').filter_map(|word| word.split_once("::"));
        names_tests.then(|| (what, named.map(|(file, name)| (file.to_owned(), name.to_owned())).collect()))
    })
}

fn complaints(what: &str, named: &[Named]) -> Vec<String> {
    if named.is_empty() {
        return vec![format!("nothing holds: {what}")];
    }
    let missing = named.iter().filter(|(file, name)| !is_there(file, name));
    missing.map(|(file, name)| format!("{file} has no `{name}`, for: {what}")).collect()
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
