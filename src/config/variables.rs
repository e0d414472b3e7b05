//! The `COUNTERSIGN_…` variables, laid over what the file says.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::problem::{Place, Problem, Report};
use super::tree::{Entry, Node, Value, join};

/// The environment, as it was handed over. No `Debug`: it holds secrets.
pub(super) type Environment = BTreeMap<String, String>;

const PREFIX: &str = "COUNTERSIGN_";

/// Lays the variables over the tree: the shorter ones first, so that `…SESSION` does not wipe out `…SESSION__IDLE`.
pub(super) fn overlay(root: &mut Node, environment: &Environment, report: &mut Report) {
    let mut settings: Vec<(Vec<Segment>, &str, &str)> = environment
        .iter()
        .filter(|(name, _)| is_setting(name))
        .filter_map(|(name, value)| Some((segments(name.strip_prefix(PREFIX)?), name.as_str(), value.as_str())))
        .collect();
    settings.sort();
    for (path, name, value) in settings {
        if let Err(problem) = set(root, &path, name, value) {
            report.refuse(problem);
        }
    }
}

/// One step of a path; elements of lists sort by number.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Segment {
    Index(usize),
    Name(String),
}

fn segments(path: &str) -> Vec<Segment> {
    let segment = |part: &str| part.parse().map_or_else(|_| Segment::Name(part.to_ascii_lowercase()), Segment::Index);
    path.split("__").map(segment).collect()
}

/// Whether a variable is meant for us. Kubernetes gives every pod `COUNTERSIGN_PORT`, `COUNTERSIGN_SERVICE_HOST` and
/// their like, if a Service is called `countersign` or `countersign-…`; they are no settings.
fn is_setting(name: &str) -> bool {
    let Some(rest) = name.strip_prefix(PREFIX) else { return false };
    if rest == "CONFIG" {
        return false;
    }
    let framed = format!("_{rest}");
    let is_port = |at: usize| {
        let tail: Vec<&str> = framed[at + "_PORT".len()..].split('_').collect();
        match tail[..] {
            [""] => true,
            ["", number, protocol] | ["", number, protocol, "PROTO" | "PORT" | "ADDR"] => {
                number.parse::<u16>().is_ok() && matches!(protocol, "TCP" | "UDP" | "SCTP")
            }
            _ => false,
        }
    };
    let of_a_service = framed.ends_with("_SERVICE_HOST")
        || framed.contains("_SERVICE_PORT")
        || framed.match_indices("_PORT").any(|(at, _)| is_port(at));
    rest.contains("__") || !of_a_service
}

fn set(root: &mut Node, path: &[Segment], variable: &str, text: &str) -> Result<(), Problem> {
    let place = Place::Variable(variable.into());
    let mut node = root;
    for segment in path {
        let position = match segment {
            Segment::Index(index) => element(node, *index, &place)?,
            Segment::Name(name) => entry(node, name, &place),
        };
        let Some(child) = node.child_at(position) else { return Ok(()) };
        node = child;
    }
    match read(text, &node.key, &place) {
        Ok(written) => {
            *node = Node { place, ..written };
            Ok(())
        }
        Err(problem) => {
            // So that nobody calls it missing besides.
            node.pruned = true;
            Err(problem)
        }
    }
}

/// Lists, maps and quoted texts are YAML; everything else is taken as it stands, so that a `#` or a `: ` in a secret
/// means nothing.
fn read(text: &str, key: &str, place: &Place) -> Result<Node, Problem> {
    let text = text.trim();
    let value = match text {
        "" => {
            let what = "the variable is empty".to_owned();
            let instead = "Leave it out for what the file or the default says, or write '' for an empty text.";
            return Err(Problem { place: place.clone(), key: key.to_owned(), what, instead: instead.to_owned() });
        }
        "null" | "~" => Value::Null,
        "true" | "false" => Value::Flag(text.to_owned()),
        _ if text.starts_with(['[', '{', '"', '\'']) => {
            return Node::parse(text, key, &|_| place.clone());
        }
        _ => Value::Text(text.to_owned()),
    };
    Ok(Node { key: key.to_owned(), place: place.clone(), pruned: false, value })
}

/// Where `name` is among the entries of `node`, which becomes a map if it was none.
fn entry(node: &mut Node, name: &str, place: &Place) -> usize {
    if !matches!(node.value, Value::Map(_)) {
        *node = Node { key: node.key.clone(), ..Node::empty(place.clone()) };
    }
    let (position, count) = (node.entries().iter().position(|entry| entry.name == name), node.entries().len());
    let key = join(&node.key, name);
    match (&mut node.value, position) {
        (Value::Map(entries), None) => {
            let node = Node { key, ..Node::empty(place.clone()) };
            entries.push(Entry { name: name.to_owned(), name_place: place.clone(), node });
            count
        }
        (_, position) => position.unwrap_or_default(),
    }
}

/// Where the element `index` of `node` is, which becomes a list if it was none; one more than there are is added.
fn element(node: &mut Node, index: usize, place: &Place) -> Result<usize, Problem> {
    if !matches!(node.value, Value::List(_)) {
        *node = Node { key: node.key.clone(), value: Value::List(Vec::new()), ..Node::empty(place.clone()) };
    }
    let key = node.key.clone();
    let count = node.list().len();
    if index > count {
        let what = format!("the list has {count} elements, so that there is no element {index} to set or to add");
        let instead = format!("Count from 0; the next one is {count}.");
        return Err(Problem { place: place.clone(), key, what, instead });
    }
    if let (true, Value::List(items)) = (index == count, &mut node.value) {
        items.push(Node { key: format!("{key}[{index}]"), ..Node::empty(place.clone()) });
    }
    Ok(index)
}

/// Where a variable is called by its name alone.
pub(super) fn place(name: &str) -> Place {
    Place::Variable(Arc::from(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_kubernetes_sets_is_no_setting() {
        for name in [
            "COUNTERSIGN_PORT",
            "COUNTERSIGN_PORT_9000_TCP",
            "COUNTERSIGN_PORT_9000_TCP_ADDR",
            "COUNTERSIGN_SERVICE_HOST",
            "COUNTERSIGN_SERVICE_PORT",
            "COUNTERSIGN_SERVICE_PORT_HTTP",
            "COUNTERSIGN_ADMIN_SERVICE_HOST",
            "COUNTERSIGN_ADMIN_PORT_9001_TCP_PROTO",
            "COUNTERSIGN_CONFIG",
            "HOME",
        ] {
            assert!(!is_setting(name), "{name}");
        }
        for name in ["COUNTERSIGN_PUBLIC_URL", "COUNTERSIGN_PORTS", "COUNTERSIGN_LISTEN__MAIN_PORT", "COUNTERSIGN_X"] {
            assert!(is_setting(name), "{name}");
        }
    }
}
