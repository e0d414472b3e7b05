//! Text becomes validated settings. The only reader of the configuration file and of the environment.

mod in_authservices_place;
pub mod migrate;
mod problem;
mod raw;
mod read;
mod replacement;
mod settings;
mod tree;
mod validate;
mod variables;

use std::path::Path;
use std::sync::Arc;

use problem::Report;
use raw::Raw;
use serde_saphyr::Location;
use tree::{Entry, Node, Spot, Value};
use variables::Environment;

#[cfg(test)]
#[path = "../tests/support/settings.rs"]
pub(crate) mod for_tests;

pub use in_authservices_place::{InAuthservicesPlace, load_in_authservices_place, names_authservices_provider};
pub use problem::{ConfigErrors, NamedFile, Place, Problem, Warning};
pub use replacement::Replacement;
pub use settings::*;

/// A configuration that can be run.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What is to be done.
    pub settings: Settings,
    /// What is to be thought over.
    pub warnings: Vec<Warning>,
    /// The files that it names.
    pub files: Vec<NamedFile>,
}

/// Reads the file and the `COUNTERSIGN_…` variables of `environment`, which win, and the secrets that they name.
///
/// # Errors
/// If anything is wrong with them: every mistake, each with its place and what to write instead.
pub fn load(file: Option<&Path>, environment: impl Iterator<Item = (String, String)>) -> Result<Loaded, ConfigErrors> {
    read_and_judge(read_root(file), &environment.collect(), Report::default()).map(|(_, loaded)| loaded)
}

/// Reads a file that is to run elsewhere: what it names and is not here is not missed, and secrets are not what they will
/// be. To be looked at, never to be run.
///
/// # Errors
/// As [`load`] does, except for files and variables that it names and that are not here.
pub fn load_for_elsewhere(
    file: Option<&Path>,
    environment: impl Iterator<Item = (String, String)>,
) -> Result<Loaded, ConfigErrors> {
    read_and_judge(read_root(file), &environment.collect(), Report::elsewhere()).map(|(_, loaded)| loaded)
}

/// The same for a text that stands in no file.
///
/// # Errors
/// As [`load`] does.
pub fn parse(text: &str, environment: impl Iterator<Item = (String, String)>) -> Result<Loaded, ConfigErrors> {
    parse_named(text, "the configuration", environment)
}

/// The same for a text that is called by a name of its own where something is wrong with it.
///
/// # Errors
/// As [`load`] does.
pub fn parse_named(
    text: &str,
    name: &str,
    environment: impl Iterator<Item = (String, String)>,
) -> Result<Loaded, ConfigErrors> {
    read_and_judge(root_of(text, &name.into()), &environment.collect(), Report::default()).map(|(_, loaded)| loaded)
}

/// As [`load_for_elsewhere`], for a text, as [`parse_named`].
///
/// # Errors
/// As [`load_for_elsewhere`] does.
pub fn parse_for_elsewhere(
    text: &str,
    name: &str,
    environment: impl Iterator<Item = (String, String)>,
) -> Result<Loaded, ConfigErrors> {
    read_and_judge(root_of(text, &name.into()), &environment.collect(), Report::elsewhere()).map(|(_, loaded)| loaded)
}

/// The effective configuration as YAML: the file, the variables, the defaults. Secrets are `[redacted]`; where they
/// are read from is not.
///
/// # Errors
/// As [`load`] does.
pub fn print(file: Option<&Path>, environment: impl Iterator<Item = (String, String)>) -> Result<String, ConfigErrors> {
    let (mut raw, _) = read_and_judge(read_root(file), &environment.collect(), Report::default())?;
    if let Some(proxy) = &mut raw.egress.proxy {
        *proxy = validate::without_password(proxy);
    }
    serde_saphyr::to_string(&raw).map_err(|error| {
        let place = file.map_or(Place::Nowhere, |path| Place::File(path.to_string_lossy().into()));
        let what = format!("it cannot be printed: {error}");
        alone(Problem { place, key: String::new(), what, instead: "Report this, please.".to_owned() })
    })
}

/// The JSON Schema of the file, with every default.
#[must_use]
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(Raw).to_value()
}

/// The process's environment. A value that is no UTF-8 keeps its place with `U+FFFD` where it cannot be read: a
/// variable that is set never counts as unset.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
pub fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()))
}

fn read_and_judge(
    root: Result<Node, Problem>,
    environment: &Environment,
    report: Report,
) -> Result<(Raw, Loaded), ConfigErrors> {
    judge(root.map_err(alone)?, environment, report)
}

/// Lays the variables over the tree, reads it, and judges it.
fn judge(mut root: Node, environment: &Environment, mut report: Report) -> Result<(Raw, Loaded), ConfigErrors> {
    variables::overlay(&mut root, environment, &mut report);
    inherit(&mut root);
    let raw = read::raw(&mut root, &mut report);
    let settings = validate::settings(&raw, &Spot::root(&root), environment, &mut report);
    let files = report.take_named_files();
    let (settings, warnings) = report.conclude(settings)?;
    Ok((raw, Loaded { settings, warnings, files }))
}

fn read_root(file: Option<&Path>) -> Result<Node, Problem> {
    let Some(path) = file else { return Ok(Node::empty(Place::Nowhere)) };
    let file: Arc<str> = path.to_string_lossy().into();
    let text = std::fs::read_to_string(path).map_err(|error| Problem {
        place: Place::File(Arc::clone(&file)),
        key: String::new(),
        what: format!("the file cannot be read: {error}"),
        instead: "Name a file of YAML in UTF-8 that this process may read.".to_owned(),
    })?;
    root_of(&text, &file)
}

fn root_of(text: &str, file: &Arc<str>) -> Result<Node, Problem> {
    let mut root = Node::parse(text, "", &tree::lines_of(file))?;
    root.place = tree::lines_of(file)(Location::UNKNOWN);
    if matches!(root.value, Value::Null) {
        root.value = Value::Map(Vec::new());
    }
    Ok(root)
}

fn alone(problem: Problem) -> ConfigErrors {
    ConfigErrors { problems: vec![problem], warnings: vec![] }
}

/// Puts what is said for all providers and all rules where one of them says nothing of its own.
fn inherit(root: &mut Node) {
    let general = |name: &str| root.child(name).cloned();
    let (identity, unauthenticated) = (general("identity"), general("unauthenticated"));
    let Value::Map(entries) = &mut root.value else { return };
    for entry in entries {
        if let (Value::Map(own), "front_proxy") = (&mut entry.node.value, entry.name.as_str()) {
            inherit_identity(own, identity.as_ref());
        }
        let Value::List(items) = &mut entry.node.value else { continue };
        for item in items {
            let Value::Map(own) = &mut item.value else { continue };
            match entry.name.as_str() {
                // Neither ServiceAccounts nor sessions have anything in common with the claims of people.
                "bearer" if !is_one_of(own, "kind", &["jwt", "introspection"]) => {}
                "providers" | "bearer" => inherit_identity(own, identity.as_ref()),
                "rules" => {
                    let special = own.iter_mut().find(|entry| entry.name == "unauthenticated");
                    if let (Some(special), Some(general)) = (special, &unauthenticated) {
                        read::inherit(&mut special.node, general);
                    }
                }
                _ => {}
            }
        }
    }
}

fn inherit_identity(own: &mut Vec<Entry>, identity: Option<&Node>) {
    let Some(identity) = identity else { return };
    match own.iter_mut().find(|entry| entry.name == "identity") {
        Some(special) => read::inherit(&mut special.node, identity),
        None => own.push(Entry { name: "identity".into(), name_place: identity.place.clone(), node: identity.clone() }),
    }
}

fn is_one_of(entries: &[Entry], name: &str, words: &[&str]) -> bool {
    let word = |entry: &Entry| matches!(&entry.node.value, Value::Text(text) if words.contains(&text.as_str()));
    entries.iter().any(|entry| entry.name == name && word(entry))
}
