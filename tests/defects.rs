//! Holds `tests/mutants/defects` and the sources together: what a deliberate defect takes out is there, and once. Whether a test
//! notices is asked by `make mutants`, which takes hours.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// As many as there must be at the least.
const LEAST: usize = 150;

#[derive(Deserialize)]
struct Defects {
    defect: Vec<Defect>,
}

#[derive(Deserialize)]
struct Defect {
    name: String,
    #[serde(flatten)]
    edit: Edit,
    #[serde(default)]
    also: Vec<Edit>,
}

#[derive(Deserialize)]
struct Edit {
    file: String,
    find: String,
    put: String,
}

#[test]
fn every_defect_fits_the_sources() {
    let files = fs::read_dir(at("tests/mutants/defects")).expect("the defects");
    let defects: Vec<Defect> = files
        .flat_map(|file| {
            let path = file.expect("a file").path();
            let text = fs::read_to_string(&path).expect("a file");
            toml::from_str::<Defects>(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display())).defect
        })
        .collect();
    assert!(defects.len() >= LEAST, "only {} defects", defects.len());
    let mut sources: HashMap<String, String> = HashMap::new();
    let stale: Vec<String> = defects
        .iter()
        .flat_map(|defect| std::iter::once(&defect.edit).chain(&defect.also).map(|edit| (&defect.name, edit)))
        .filter_map(|(name, edit)| {
            let source = sources.entry(edit.file.clone()).or_insert_with(|| {
                fs::read_to_string(at(&edit.file)).unwrap_or_else(|error| panic!("{name}: {}: {error}", edit.file))
            });
            let count = source.matches(&*edit.find).count();
            (count != 1 || edit.find == edit.put).then(|| format!("{name}: {count} times in {}", edit.file))
        })
        .collect();
    assert!(stale.is_empty(), "these defects fit the sources no more:\n{}", stale.join("\n"));
}

fn at(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}
