//! The tree becomes the raw configuration. Every mistake of form is reported, not only the first: what is wrong is
//! pruned, and the reading begins anew.

use std::fmt;

use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{Deserializer, Expected, IntoDeserializer, Unexpected, Visitor};
use serde::forward_to_deserialize_any;
use serde_path_to_error::Segment;

use super::problem::{Place, Problem, Report};
use super::raw::Raw;
use super::tree::{Node, Value};

/// Reads the tree, and prunes what cannot be read.
pub(super) fn raw(root: &mut Node, report: &mut Report) -> Raw {
    prune_nulls(root, &root.place.clone(), report);
    loop {
        let (mistake, path) = match serde_path_to_error::deserialize::<_, Raw>(&*root) {
            Ok(raw) => return raw,
            Err(error) => {
                let path: Vec<Segment> = error.path().iter().cloned().collect();
                (error.into_inner(), path)
            }
        };
        let (found, name_place, positions) = find(root, &path);
        let (what, instead) = mistake.explain(found);
        let place = match (&mistake, name_place) {
            (Mistake::UnknownKey { .. }, Some(place)) => place,
            _ => &found.place,
        };
        report.refuse(Problem { place: place.clone(), key: found.key.clone(), what, instead });
        match positions.into_iter().try_fold(&mut *root, Node::child_at) {
            Some(node) if !node.pruned => node.pruned = true,
            _ => return Raw::default(),
        }
    }
}

/// A key without a value might mean the default, or nothing at all: for `admit` those are opposites.
fn prune_nulls(node: &mut Node, name_place: &Place, report: &mut Report) {
    match &mut node.value {
        Value::Null => {
            node.pruned = true;
            report.refuse(Problem {
                place: name_place.clone(),
                key: node.key.clone(),
                what: "it has no value".into(),
                instead: "Write one, or leave the key out for its default.".into(),
            });
        }
        Value::List(items) => {
            for item in items {
                let place = item.place.clone();
                prune_nulls(item, &place, report);
            }
        }
        Value::Map(entries) => {
            for entry in entries {
                prune_nulls(&mut entry.node, &entry.name_place, report);
            }
        }
        Value::Flag(_) | Value::Text(_) => {}
    }
}

/// The node that an error is about, as deep as the path leads, where its name stands, and the way there.
fn find<'t>(root: &'t Node, path: &[Segment]) -> (&'t Node, Option<&'t Place>, Vec<usize>) {
    let (mut node, mut name_place, mut positions) = (root, None, Vec::new());
    for segment in path {
        let next = match (segment, &node.value) {
            (Segment::Map { key }, Value::Map(entries)) => {
                let mut all = entries.iter().enumerate();
                let found = all.find(|(_, entry)| entry.name == *key && !entry.node.pruned);
                found.map(|(position, entry)| (position, &entry.node, Some(&entry.name_place)))
            }
            (Segment::Seq { index }, Value::List(items)) => {
                let found = items.iter().enumerate().filter(|(_, item)| !item.pruned).nth(*index);
                found.map(|(position, item)| (position, item, None))
            }
            _ => None,
        };
        let Some((position, child, place)) = next else { break };
        (node, name_place) = (child, place);
        positions.push(position);
    }
    (node, name_place, positions)
}

/// A mistake of form. It never holds a value, which might be a secret; only the words of closed lists are repeated.
#[derive(Debug)]
pub(super) enum Mistake {
    WrongKind { expected: String },
    UnknownKey { name: String, known: &'static [&'static str] },
    UnknownWord { word: String, known: &'static [&'static str] },
    Other(String),
}

impl Mistake {
    fn explain(&self, node: &Node) -> (String, String) {
        match self {
            Self::WrongKind { expected } => {
                let quotes = matches!(node.value, Value::Flag(_)) && expected == "a text";
                let quotes = if quotes { ", in quotes" } else { "" };
                (format!("it is {}", node.kind()), format!("Write {expected}{quotes}."))
            }
            Self::UnknownKey { name, known } => {
                let instead = match nearest(name, known) {
                    Some(near) => format!("Write `{near}`."),
                    None => format!("The keys here are {}.", listed(known)),
                };
                ("there is no such key".to_owned(), instead)
            }
            Self::UnknownWord { word, known } => {
                let instead = match nearest(word, known) {
                    Some(near) => format!("Write `{near}`."),
                    None => format!("Write one of {}.", listed(known)),
                };
                (format!("`{}` is not known here", short(word)), instead)
            }
            Self::Other(what) => (what.clone(), "Look it up in the reference.".to_owned()),
        }
    }
}

/// The name that was probably meant.
fn nearest(name: &str, known: &[&'static str]) -> Option<&'static str> {
    let score = |other: &&str| strsim::damerau_levenshtein(&name.to_ascii_lowercase(), other);
    let near = *known.iter().min_by_key(|other| score(other))?;
    (score(&near) <= name.chars().count().max(3) / 3).then_some(near)
}

fn listed(known: &[&str]) -> String {
    known.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

fn short(word: &str) -> String {
    if word.chars().count() <= 40 { word.to_owned() } else { word.chars().take(40).chain(['…']).collect() }
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a mistake of form")
    }
}

impl std::error::Error for Mistake {}

impl serde::de::Error for Mistake {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::Other(message.to_string())
    }

    fn invalid_type(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let expected = match expected.to_string().as_str() {
            "a string" | "path string" => "a text".to_owned(),
            "a boolean" => "true or false".to_owned(),
            "a sequence" => "a list".to_owned(),
            text if text.starts_with("struct ") => "a map".to_owned(),
            text => text.to_owned(),
        };
        Self::WrongKind { expected }
    }

    fn invalid_value(unexpected: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::invalid_type(unexpected, expected)
    }

    fn unknown_field(name: &str, known: &'static [&'static str]) -> Self {
        Self::UnknownKey { name: name.to_owned(), known }
    }

    fn unknown_variant(word: &str, known: &'static [&'static str]) -> Self {
        Self::UnknownWord { word: word.to_owned(), known }
    }
}

impl<'de> IntoDeserializer<'de, Mistake> for &'de Node {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl<'de> Deserializer<'de> for &'de Node {
    type Error = Mistake;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistake> {
        match &self.value {
            Value::Null => visitor.visit_unit(),
            Value::Flag(text) => visitor.visit_bool(text == "true"),
            Value::Text(text) => visitor.visit_str(text),
            Value::List(items) => {
                SeqDeserializer::new(items.iter().filter(|item| !item.pruned)).deserialize_any(visitor)
            }
            Value::Map(entries) => {
                let entries = entries.iter().filter(|entry| !entry.node.pruned);
                MapDeserializer::new(entries.map(|entry| (entry.name.as_str(), &entry.node))).deserialize_any(visitor)
            }
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Mistake> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _name: &'static str, visitor: V) -> Result<V::Value, Mistake> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Mistake> {
        match &self.value {
            Value::Text(text) | Value::Flag(text) => visitor.visit_enum(text.as_str().into_deserializer()),
            _ => Err(Mistake::WrongKind { expected: "a text".to_owned() }),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct identifier ignored_any
    }
}

/// What a provider or a rule leaves unsaid is said at the top: the entries of `general` are put where `special` has
/// none.
pub(super) fn inherit(special: &mut Node, general: &Node) {
    let (Value::Map(own), Value::Map(entries)) = (&mut special.value, &general.value) else { return };
    for entry in entries {
        match own.iter_mut().find(|other| other.name == entry.name) {
            Some(other) => inherit(&mut other.node, &entry.node),
            None => own.push(entry.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_that_is_no_map_ends_the_reading() {
        let mut report = Report::default();
        let mut root = Node { value: Value::Text("x".into()), ..Node::empty(Place::Nowhere) };
        let _ = raw(&mut root, &mut report);
        assert!(report.conclude(Some(())).is_err());
    }

    #[test]
    fn near_names_are_found_and_far_ones_are_not() {
        let known = &["max_age", "idle", "renew_every"];
        assert_eq!(nearest("max_agee", known), Some("max_age"));
        assert_eq!(nearest("idel", known), Some("idle"));
        assert_eq!(nearest("ttl", known), None);
    }
}
