//! Holds `docs/architecture.md` and `src/` together: the rooms, who may use whom, and who owns what.

#[path = "architecture/page.rs"]
mod page;
#[path = "architecture/source.rs"]
mod source;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use page::Page;
use source::Source;

/// Doors that the others may use.
const SHARED_DOORS: [&str; 4] = ["door/answer", "door/problem", "door/pages", "door/peer"];

#[test]
fn the_page_and_the_map_name_the_same_rooms() {
    let page = Page::parse(&read("docs/architecture.md"));
    let complaints = compare_rooms(&page, &source::floors_of_map(&read("src/lib.rs")));
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

#[test]
fn the_page_names_every_door() {
    let page = Page::parse(&read("docs/architecture.md"));
    let there: BTreeSet<String> = sources()
        .iter()
        .filter_map(|source| {
            let door = source.module.strip_prefix("door/")?;
            Some(format!("door/{}", door.split('/').next()?))
        })
        .collect();
    let missing: Vec<&String> = there.iter().filter(|door| !page.doors.contains_key(*door)).collect();
    assert!(missing.is_empty(), "docs/architecture.md has no row for {missing:?}");
    let gone: Vec<_> = page
        .doors
        .iter()
        .filter(|(door, planned)| !**planned && !there.contains(*door))
        .map(|(door, _)| door)
        .collect();
    assert!(gone.is_empty(), "docs/architecture.md lists {gone:?}, which src/door/ does not have");
}

#[test]
fn the_sources_keep_to_the_page() {
    let page = Page::parse(&read("docs/architecture.md"));
    let sources = sources();
    assert!(sources.len() > 20, "only {} sources were found", sources.len());
    let complaints: Vec<String> = sources.iter().flat_map(|source| judge(&page, source)).collect();
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

/// What is wrong between the page's rooms and those of `lib.rs` (name, floor).
fn compare_rooms(page: &Page, map: &[(String, u8)]) -> Vec<String> {
    let mut complaints = Vec::new();
    for (name, floor) in map {
        match page.rooms.get(name) {
            None => complaints.push(format!("src/lib.rs has `{name}`; docs/architecture.md has no row for it")),
            Some(room) if room.floor != *floor => complaints.push(format!(
                "`{name}` is on floor {floor} in src/lib.rs, on floor {} in docs/architecture.md",
                room.floor
            )),
            Some(_) => {}
        }
    }
    for (name, room) in &page.rooms {
        if !room.planned && name != "main" && !map.iter().any(|(other, _)| other == name) {
            complaints.push(format!("docs/architecture.md has a row for `{name}`; src/lib.rs has no such room"));
        }
    }
    complaints
}

/// What one file uses though the page does not let it.
fn judge(page: &Page, source: &Source) -> Vec<String> {
    let mut complaints = BTreeSet::new();
    for used in &source.paths {
        let complaint = match used.segments.first().map(String::as_str) {
            Some("crate" | "countersign") => {
                judge_room(page, source, &used.segments).or_else(|| judge_door(page, source, &used.segments))
            }
            Some(_) => judge_owner(page, source, &used.segments),
            None => None,
        };
        if let Some(complaint) = complaint {
            complaints.insert((used.line, format!("{}:{}: {complaint}", source.file, used.line)));
        }
    }
    complaints.into_iter().map(|(_, complaint)| complaint).collect()
}

fn judge_room(page: &Page, source: &Source, path: &[String]) -> Option<String> {
    let (own_name, used_name) = (source.room(), path.get(1)?);
    let used = page.rooms.get(used_name)?;
    if own_name == "lib" || own_name == used_name {
        return None;
    }
    let Some(own) = page.rooms.get(own_name) else {
        return Some(format!("`{own_name}` has no row in docs/architecture.md"));
    };
    let below = used.floor < own.floor;
    let listed = used.floor == own.floor && own.uses.contains(used_name);
    (!below && !listed).then(|| {
        format!(
            "`{own_name}` (floor {}) uses `{used_name}` (floor {}); docs/architecture.md lets it use the floors below \
             and {:?}",
            own.floor, used.floor, own.uses
        )
    })
}

fn judge_door(page: &Page, source: &Source, path: &[String]) -> Option<String> {
    let own = source.module.split('/').take(2).collect::<Vec<_>>().join("/");
    let used = format!("door/{}", path.get(2)?);
    let from_door = own.starts_with("door/") && path.get(1)? == "door";
    let strange = from_door
        && own != used
        && page.doors.contains_key(&used)
        && (SHARED_DOORS.contains(&own.as_str()) || !SHARED_DOORS.contains(&used.as_str()));
    let shared_to_shared = SHARED_DOORS.contains(&own.as_str()) && SHARED_DOORS.contains(&used.as_str());
    (strange && !shared_to_shared).then(|| format!("`{own}` uses `{used}`; doors do not import each other"))
}

fn judge_owner(page: &Page, source: &Source, path: &[String]) -> Option<String> {
    let owned = page.owned.iter().find(|owned| {
        owned.paths.iter().any(|prefix| {
            let mut prefix = prefix.split("::");
            let mut path = path.iter();
            prefix.all(|segment| path.next().is_some_and(|other| other == segment))
        })
    })?;
    let allowed = owned
        .rooms
        .iter()
        .any(|room| source.module.strip_prefix(&**room).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')));
    (!allowed).then(|| {
        format!(
            "`{}` uses {}; docs/architecture.md leaves {} to {:?}",
            source.module,
            path.join("::"),
            owned.what,
            owned.rooms
        )
    })
}

fn sources() -> Vec<Source> {
    let mut files = Vec::new();
    collect(&root().join("src"), &mut files);
    let texts: Vec<(String, String)> = files
        .iter()
        .map(|file| {
            let name = file.strip_prefix(root()).expect("a file below the root").display().to_string();
            (name.clone(), read(&name))
        })
        .collect();
    source::parse_all(&texts)
}

fn collect(directory: &Path, files: &mut Vec<PathBuf>) {
    let mut entries: Vec<PathBuf> =
        fs::read_dir(directory).expect("a directory").map(|entry| entry.expect("an entry").path()).collect();
    entries.sort();
    for entry in entries {
        if entry.is_dir() {
            collect(&entry, files);
        } else if entry.extension().is_some_and(|extension| extension == "rs") {
            files.push(entry);
        }
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

mod the_checker_can_fail {
    use super::*;

    const PAGE: &str = "
| floor | room | duty | beside the floors below it uses |
|---|---|---|---|
| 0 | `clock` | time | |
| 0 | `identity` | who | `clock` |
| 3 | `check` | verdicts | |
| 3 | `login` | sign-in | `check` |
| 3 | `soon` † | later | |
| 4 | `door` | doors | |
| 5 | `app` | all | |

| door | who comes |
|---|---|
| `door/browser` | people |
| `door/keys` | verifiers |
| `door/problem` | (shared) |

| what | in the sources | only in |
|---|---|---|
| the HTTP framework | `axum` | `door` |
| files | `std::fs` | `app` |
| tasks | `tokio::spawn` `tokio::task::spawn` | `app` |
";

    fn complaints(file: &str, text: &str) -> Vec<String> {
        let page = Page::parse(PAGE);
        source::parse_all(&[(file.into(), text.into())]).iter().flat_map(|source| judge(&page, source)).collect()
    }

    #[test]
    fn a_use_that_points_up_is_seen() {
        let found = complaints("src/check.rs", "//! Doc.\nuse crate::clock::Clock;\nuse crate::door::Thing;\n");
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("src/check.rs:3: `check` (floor 3) uses `door` (floor 4)"), "{found:?}");
    }

    #[test]
    fn a_use_on_the_same_floor_must_be_listed() {
        assert!(complaints("src/login.rs", "use crate::check::X;").is_empty());
        assert_eq!(complaints("src/check/pass.rs", "use crate::login::X;").len(), 1);
        assert_eq!(complaints("src/clock.rs", "use crate::{identity::{Email, UserId}};").len(), 1);
    }

    #[test]
    fn foreign_crates_are_seen_however_they_are_named() {
        for text in [
            "use axum::Router;",
            "use ::axum::Router;",
            "pub use {axum::{self, http}, std::fmt};",
            "fn f() -> axum::Router { todo!() }",
            "use axum as web;",
            "use std::fs;",
            "use std::{fs::{self, File}, io};",
            "fn f() { let _ = std::fs::read(\"x\"); }",
            "use std as s; fn f() { s::fs::read(\"x\"); }",
            "use tokio::task; fn f() { task::spawn(async {}); }",
            "fn f() { tokio::spawn(async {}); }",
            "mod inner { use axum::Router; }",
            "fn f<'a>(x: &'a str) -> char { 'x' } use axum::Router;",
        ] {
            assert!(!complaints("src/check.rs", text).is_empty(), "{text}");
        }
        let found = complaints("src/check.rs", "\n\nuse axum::Router;");
        assert_eq!(
            found,
            ["src/check.rs:3: `check` uses axum::Router; docs/architecture.md leaves the HTTP framework \
                            to [\"door\"]"]
        );
    }

    #[test]
    fn comments_strings_and_tests_are_free() {
        for text in [
            "// use axum::Router;",
            "/* use axum::Router; /* axum::x */ axum::y */",
            "/// `axum::Router`\nconst X: &str = \"axum::Router\";",
            "const X: &str = r#\"\"axum::Router\"\"#; const Y: char = '\"'; const Z: &[u8] = b\"axum::x\\\"axum::y\";",
            "#[cfg(test)]\nmod tests { use axum::Router; mod x { fn f() {} } }",
            "#[cfg(test)]\n#[expect(lint, reason = \"x\")]\nfn f() { tokio::spawn(x); }",
            "#[cfg(test)] use axum::Router;",
            "use tokio::task; fn f() { task::spawn_blocking(|| {}); }",
            "fn axum_like() { my::axum::x(); }",
        ] {
            assert_eq!(complaints("src/check.rs", text), Vec::<String>::new(), "{text}");
        }
        let after = "#[cfg(test)]\nmod tests { fn f() {} }\nuse axum::Router;";
        assert_eq!(complaints("src/check.rs", after).len(), 1);
    }

    #[test]
    fn files_that_are_only_tests_are_free() {
        let files = [
            ("src/check.rs".into(), "#[cfg(test)]\npub(crate) mod faulty;\nmod real;".into()),
            ("src/check/faulty.rs".into(), "use axum::Router;".into()),
            ("src/check/faulty/deep.rs".into(), "use axum::Router;".into()),
            ("src/check/real.rs".into(), "use axum::Router;".into()),
        ];
        let page = Page::parse(PAGE);
        let found: Vec<String> = source::parse_all(&files).iter().flat_map(|source| judge(&page, source)).collect();
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("src/check/real.rs:1"), "{found:?}");
    }

    #[test]
    fn doors_keep_to_themselves() {
        for text in ["use crate::door::keys::X;", "use super::keys::X;", "fn f() { super::keys::x(); }"] {
            assert_eq!(complaints("src/door/browser.rs", text).len(), 1, "{text}");
        }
        assert_eq!(complaints("src/door/browser/start.rs", "use super::super::keys::X;").len(), 1);
        assert_eq!(complaints("src/door/problem.rs", "use super::keys::X;").len(), 1);
        assert!(complaints("src/door/browser.rs", "use super::problem::X;\nuse crate::door::browser::Y;").is_empty());
        assert!(complaints("src/door/browser/start.rs", "use super::keys::X;").is_empty());
    }

    #[test]
    fn owners_cover_what_is_below_them() {
        assert!(complaints("src/door/browser.rs", "use axum::Router;").is_empty());
        assert!(complaints("src/app.rs", "use std::fs; use tokio::task; fn f() { task::spawn(x); }").is_empty());
        assert_eq!(complaints("src/application.rs", "use std::fs;").len(), 1);
    }

    #[test]
    fn rooms_that_differ_are_seen() {
        let page = Page::parse(PAGE);
        let map = source::floors_of_map(
            "// Floor 0, words: x\npub mod clock;\npub mod check;\n// Floor 4\n#[cfg(feature = \"x\")]\npub mod door;\n\
             pub mod unknown;\n",
        );
        let found = compare_rooms(&page, &map).join("\n");
        assert!(found.contains("src/lib.rs has `unknown`"), "{found}");
        assert!(found.contains("`check` is on floor 0 in src/lib.rs, on floor 3"), "{found}");
        assert!(found.contains("a row for `app`"), "{found}");
        assert!(!found.contains("`soon`") && !found.contains("`door`") && !found.contains("`clock`"), "{found}");
    }
}
