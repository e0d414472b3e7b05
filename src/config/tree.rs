//! The configuration as it was written: a tree in which every value knows where it stands. It means nothing yet.

use std::fmt;
use std::sync::Arc;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Location, MergeKeyPolicy, Spanned};

use super::problem::{Place, Problem};

/// A value and where it stands. No `Debug`: it may be a secret.
#[derive(Clone)]
pub(super) struct Node {
    /// The dotted key, as written: `providers[0].issuer`.
    pub(super) key: String,
    pub(super) place: Place,
    /// Refused already: whoever reads the tree passes over it.
    pub(super) pruned: bool,
    pub(super) value: Value,
}

#[derive(Clone)]
pub(super) enum Value {
    Null,
    /// Without quotes, and looking like a truth value: what it is depends on who reads it.
    Flag(String),
    /// Every other scalar, as it was written: `401` is a text too.
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

#[derive(Clone)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) name_place: Place,
    pub(super) node: Node,
}

impl Node {
    pub(super) fn empty(place: Place) -> Self {
        Self { key: String::new(), place, pruned: false, value: Value::Map(Vec::new()) }
    }

    /// Reads YAML; `place_of` says where a location is, `key` how the whole is called.
    pub(super) fn parse(text: &str, key: &str, place_of: &dyn Fn(Location) -> Place) -> Result<Self, Problem> {
        let options = serde_saphyr::options! {
            strict_booleans: true,
            merge_keys: MergeKeyPolicy::Error,
            // The snippet would show the line, and the line may hold a secret.
            with_snippet: false,
        };
        let parsed: Result<Spanned<Content>, _> = serde_saphyr::from_str_with_options(text, options);
        let written = parsed.map_err(|error| {
            let location = error.location().unwrap_or(Location::UNKNOWN);
            let what = format!("this is not YAML that can be read: {}", syntax_error(&error));
            let instead = "Mend the syntax; quotes, colons and indentation are the usual places.".to_owned();
            Problem { place: place_of(location), key: key.to_owned(), what, instead }
        })?;
        Ok(Planting { text, place_of }.node(written, key.to_owned()))
    }

    /// What stands under `name`, unless it was pruned.
    pub(super) fn child(&self, name: &str) -> Option<&Self> {
        self.entries().iter().find(|entry| entry.name == name && !entry.node.pruned).map(|entry| &entry.node)
    }

    pub(super) fn entries(&self) -> &[Entry] {
        if let Value::Map(entries) = &self.value { entries } else { &[] }
    }

    pub(super) fn list(&self) -> &[Self] {
        if let Value::List(items) = &self.value { items } else { &[] }
    }

    /// The value at `position` in the map or list.
    pub(super) fn child_at(&mut self, position: usize) -> Option<&mut Self> {
        match &mut self.value {
            Value::Map(entries) => entries.get_mut(position).map(|entry| &mut entry.node),
            Value::List(items) => items.get_mut(position),
            Value::Null | Value::Flag(_) | Value::Text(_) => None,
        }
    }

    pub(super) fn kind(&self) -> &'static str {
        match &self.value {
            Value::Null => "nothing",
            Value::Flag(_) => "true or false",
            Value::Text(_) => "a text",
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
        }
    }
}

/// The message of a syntax error without its place, which stands in front of it, and without further lines, which may
/// quote the file.
fn syntax_error(error: &serde_saphyr::Error) -> String {
    if let serde_saphyr::Error::DuplicateMappingKey { key: Some(key), .. } = error.without_snippet() {
        let key = if could_be_a_key(key) { format!("the key `{key}`") } else { "a key".to_owned() };
        return format!("{key} is there twice");
    }
    let text = error.without_snippet().to_string();
    let line = text.lines().next().unwrap_or_default();
    line.split(" at line ").next().unwrap_or(line).to_owned()
}

/// A position in the tree: a node, or the place where one is missing.
#[derive(Clone)]
pub(super) struct Spot<'t> {
    node: Option<&'t Node>,
    name_place: Option<&'t Place>,
    key: String,
    place: &'t Place,
    pruned: bool,
}

impl<'t> Spot<'t> {
    pub(super) fn root(node: &'t Node) -> Self {
        Self { node: Some(node), name_place: None, key: node.key.clone(), place: &node.place, pruned: node.pruned }
    }

    pub(super) fn field(&self, name: &str) -> Self {
        let found = self.node.and_then(|node| node.entries().iter().find(|entry| entry.name == name));
        match found {
            Some(entry) => Self { name_place: Some(&entry.name_place), ..self.step(&entry.node) },
            None => Self {
                node: None,
                name_place: None,
                key: join(&self.key, name),
                place: self.place,
                pruned: self.pruned,
            },
        }
    }

    /// The `index`th of the elements that were not pruned.
    pub(super) fn index(&self, index: usize) -> Self {
        let items = self.node.map(Node::list).unwrap_or_default();
        match items.iter().filter(|node| !node.pruned).nth(index) {
            Some(node) => self.step(node),
            None => Self { key: format!("{}[{index}]", self.key), ..self.clone() },
        }
    }

    fn step(&self, node: &'t Node) -> Self {
        Self {
            node: Some(node),
            name_place: None,
            key: node.key.clone(),
            place: &node.place,
            pruned: self.pruned || node.pruned,
        }
    }

    pub(super) fn node(&self) -> Option<&'t Node> {
        self.node
    }

    pub(super) fn key(&self) -> &str {
        &self.key
    }

    pub(super) fn place(&self) -> &'t Place {
        self.place
    }

    /// Whether something was written here (were it refused since).
    pub(super) fn is_written(&self) -> bool {
        self.node.is_some() || self.pruned
    }

    /// A problem with the value here.
    pub(super) fn problem(&self, what: impl Into<String>, instead: impl Into<String>) -> Problem {
        Problem { place: self.place.clone(), key: self.key.clone(), what: what.into(), instead: instead.into() }
    }

    /// A problem with the key here.
    pub(super) fn key_problem(&self, what: impl Into<String>, instead: impl Into<String>) -> Problem {
        Problem { place: self.name_place.unwrap_or(self.place).clone(), ..self.problem(what, instead) }
    }
}

/// The dotted key of `name` below `key`. Where a secret is expected a name that is none of ours may be the secret itself
/// (`client_secret: {hunter2}`), and is left out.
pub(super) fn join(key: &str, name: &str) -> String {
    if key.is_empty() {
        name.to_owned()
    } else if is_of_a_secret(key) && !matches!(name, "file" | "env" | "dir") {
        key.to_owned()
    } else {
        format!("{key}.{name}")
    }
}

/// Whether `key` is a place for a secret, or below one.
fn is_of_a_secret(key: &str) -> bool {
    let names = key.split('.').map(|part| part.split('[').next().unwrap_or(part));
    let mut above = "";
    for name in names {
        if matches!(
            (above, name),
            (_, "client_secret" | "password" | "sentinel_password") | ("admin", "token") | ("session", "keys")
        ) {
            return true;
        }
        above = name;
    }
    false
}

/// Whether it could be a key of ours, or of a map that people fill: secrets have digits in them, or capitals.
fn could_be_a_key(name: &str) -> bool {
    name.len() <= 40 && name.chars().all(|c| c.is_ascii_lowercase() || matches!(c, '_' | '-'))
}

/// What the parser gives, before places are known.
enum Content {
    Null,
    Bool(bool),
    Number(String),
    Text(String),
    List(Vec<Spanned<Content>>),
    Map(Vec<(Spanned<String>, Spanned<Content>)>),
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ContentVisitor)
    }
}

struct ContentVisitor;

impl<'de> Visitor<'de> for ContentVisitor {
    type Value = Content;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("YAML")
    }

    fn visit_unit<E>(self) -> Result<Content, E> {
        Ok(Content::Null)
    }

    fn visit_none<E>(self) -> Result<Content, E> {
        Ok(Content::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Content, E> {
        Ok(Content::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Content, E> {
        Ok(Content::Number(value.to_string()))
    }

    fn visit_i128<E>(self, value: i128) -> Result<Content, E> {
        Ok(Content::Number(value.to_string()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Content, E> {
        Ok(Content::Number(value.to_string()))
    }

    fn visit_u128<E>(self, value: u128) -> Result<Content, E> {
        Ok(Content::Number(value.to_string()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Content, E> {
        Ok(Content::Number(value.to_string()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Content, E> {
        Ok(Content::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Content, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Content::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Content, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = access.next_entry()? {
            entries.push(entry);
        }
        Ok(Content::Map(entries))
    }
}

struct Planting<'a> {
    text: &'a str,
    place_of: &'a dyn Fn(Location) -> Place,
}

impl Planting<'_> {
    fn node(&self, written: Spanned<Content>, key: String) -> Node {
        let place = (self.place_of)(written.referenced);
        let value = match written.value {
            Content::Null => Value::Null,
            Content::Bool(flag) => Value::Flag(flag.to_string()),
            // As it stands there: a client id `0123` is no number.
            Content::Number(number) => Value::Text(self.slice(written.defined).unwrap_or(number)),
            Content::Text(text) => Value::Text(text),
            Content::List(items) => {
                let items = items.into_iter().enumerate();
                Value::List(items.map(|(index, item)| self.node(item, format!("{key}[{index}]"))).collect())
            }
            Content::Map(entries) => Value::Map(
                entries
                    .into_iter()
                    .map(|(name, value)| {
                        let node = self.node(value, join(&key, &name.value));
                        Entry { name_place: (self.place_of)(name.referenced), name: name.value, node }
                    })
                    .collect(),
            ),
        };
        Node { key, place, pruned: false, value }
    }

    fn slice(&self, location: Location) -> Option<String> {
        let span = location.span();
        let start = usize::try_from(span.byte_offset()?).ok()?;
        let end = start.checked_add(usize::try_from(span.byte_len()?).ok()?)?;
        self.text.get(start..end).map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
    }
}

/// Tells where the locations of `file` are.
pub(super) fn lines_of(file: &Arc<str>) -> impl Fn(Location) -> Place + use<> {
    let file = Arc::clone(file);
    move |location| {
        if location == Location::UNKNOWN {
            Place::File(Arc::clone(&file))
        } else {
            Place::Line { file: Arc::clone(&file), line: location.line(), column: location.column() }
        }
    }
}
