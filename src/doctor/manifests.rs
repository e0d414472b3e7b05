//! Kubernetes objects from files, as far as they are looked at here. What is no object is passed over; what cannot be
//! read is said.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use serde_json::Value;
use thiserror::Error;

use super::Finding;
use super::workload::{Ours, PodsConfiguration};

/// The objects, in the order of the files.
#[derive(Debug, Default)]
pub struct Manifests {
    pub(super) objects: Vec<Object>,
    unread: Vec<Unread>,
}

/// One object.
#[derive(Debug)]
pub(super) struct Object {
    file: String,
    line: usize,
    pub(super) kind: String,
    /// Empty where it says none.
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) value: Value,
}

#[derive(Debug)]
struct Unread {
    place: String,
    reason: String,
}

/// Why there are no manifests.
#[derive(Debug, Error)]
#[error("{path} cannot be read")]
pub struct ManifestError {
    path: String,
    source: std::io::Error,
}

static NOTHING: Value = Value::Null;

impl Manifests {
    /// Reads files (`-` is standard input) and, in directories and below, whatever ends in `.yaml`, `.yml` or `.json`.
    ///
    /// # Errors
    /// If one of them cannot be read.
    pub fn read(paths: &[PathBuf]) -> Result<Self, ManifestError> {
        let mut manifests = Self::default();
        for path in paths {
            if path.as_os_str() == "-" {
                let mut text = String::new();
                let read = std::io::stdin().read_to_string(&mut text);
                read.map_err(|source| ManifestError { path: "standard input".into(), source })?;
                manifests.take("standard input", &text);
            } else {
                manifests.read_path(path, true)?;
            }
        }
        Ok(manifests)
    }

    /// The configuration that our pods get by them.
    #[must_use]
    pub fn configuration(&self) -> Option<PodsConfiguration> {
        Ours::find(self).configuration(self)
    }

    /// The objects of a kind.
    pub(super) fn of_kind(&self, kind: &str) -> impl Iterator<Item = &Object> {
        self.objects.iter().filter(move |object| object.kind == kind)
    }

    /// What could not be read.
    pub(super) fn troubles(&self) -> impl Iterator<Item = Finding> {
        self.unread.iter().map(|unread| {
            Finding::warning("manifest-unread", &unread.place, "this is no YAML that can be read here")
                .because(format!("what it says was not looked at: {}", unread.reason))
                .change(
                    "Render templates and overlays first: `kustomize build DIR | countersign doctor --manifests -`, or \
                     `helm template … |` the same.",
                )
        })
    }

    fn read_path(&mut self, path: &Path, named: bool) -> Result<(), ManifestError> {
        let failed = |source| ManifestError { path: path.display().to_string(), source };
        if path.is_dir() {
            let entries: Result<Vec<_>, _> = std::fs::read_dir(path).map_err(failed)?.collect();
            let mut entries: Vec<PathBuf> = entries.map_err(failed)?.into_iter().map(|entry| entry.path()).collect();
            entries.sort();
            return entries.iter().try_for_each(|entry| self.read_path(entry, false));
        }
        let is_manifest = path.extension().is_some_and(|end| end == "yaml" || end == "yml" || end == "json");
        if named || is_manifest {
            let text = std::fs::read_to_string(path).map_err(failed)?;
            self.take(&path.display().to_string(), &text);
        }
        Ok(())
    }

    fn take(&mut self, file: &str, text: &str) {
        for (line, document) in documents(text) {
            match serde_saphyr::from_str::<Value>(&document) {
                Ok(value) => self.keep(file, line, value),
                Err(error) => {
                    let reason = error.to_string().lines().next().unwrap_or_default().to_owned();
                    self.unread.push(Unread { place: format!("{file}:{line}"), reason });
                }
            }
        }
    }

    fn keep(&mut self, file: &str, line: usize, mut value: Value) {
        let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        let kind = text("/kind");
        if kind == "List" {
            let items = value.pointer_mut("/items").and_then(Value::as_array_mut).map(std::mem::take);
            return items.into_iter().flatten().for_each(|item| self.keep(file, line, item));
        }
        let (namespace, name) = (text("/metadata/namespace"), text("/metadata/name"));
        if value.is_object() {
            self.objects.push(Object { file: file.to_owned(), line, kind, namespace, name, value });
        }
    }
}

impl Object {
    /// What stands at a JSON pointer; null where nothing does.
    pub(super) fn at(&self, pointer: &str) -> &Value {
        self.value.pointer(pointer).unwrap_or(&NOTHING)
    }

    /// The elements of the list at a JSON pointer.
    pub(super) fn list(&self, pointer: &str) -> &[Value] {
        list(self.at(pointer))
    }

    /// The object, and a field of it, for people.
    pub(super) fn place(&self, field: &str) -> String {
        let namespace = if self.namespace.is_empty() { String::new() } else { format!("{}/", self.namespace) };
        let kind = if self.kind.is_empty() { "mesh config" } else { &self.kind };
        let field = if field.is_empty() { String::new() } else { format!(", {field}") };
        format!("{}:{} {kind} {namespace}{}{field}", self.file, self.line, self.name)
    }
}

/// The elements of a list, none if it is none.
pub(super) fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// The texts of a list.
pub(super) fn texts(value: &Value) -> Vec<&str> {
    list(value).iter().filter_map(Value::as_str).collect()
}

/// The text at a JSON pointer, empty if there is none.
pub(super) fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// Each document, with the line on which it begins. (`---` at the start of a line stands in no text of YAML.)
fn documents(text: &str) -> Vec<(usize, String)> {
    let mut documents = vec![(1, String::new())];
    for (number, line) in text.lines().enumerate() {
        if line == "---" || line.starts_with("--- ") {
            documents.push((number + 2, String::new()));
        } else if let Some((_, document)) = documents.last_mut() {
            document.push_str(line);
            document.push('\n');
        }
    }
    let is_empty = |text: &str| text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#'));
    documents.retain(|(_, document)| !is_empty(document));
    documents
}
