//! oauth2-proxy's routes, which are regular expressions for any part of a path, as rules.

use super::super::draft::{Block, Draft};
use super::sources::Given;

/// Rules, none of which an earlier one hides.
#[derive(Default)]
struct Rules {
    covered: Vec<(Covered, Option<String>)>,
    blocks: Vec<Block>,
}

/// Which paths.
#[derive(Clone, PartialEq, Eq)]
enum Covered {
    Prefix(String),
    Regex(String),
}

pub(super) fn rules(given: &Given, draft: &mut Draft) {
    let mut rules = Rules::default();
    for flag in ["skip-auth-route", "skip-auth-regex"] {
        for route in given.list(flag) {
            public(route, flag, &mut rules, draft);
        }
    }
    if given.switch("skip-auth-preflight") == Some(true) {
        let mut rule = Block::default();
        rule.list("methods", vec!["OPTIONS".to_owned()]).note(
            "skip-auth-preflight let every OPTIONS request pass. Here only CORS preflights do, and without an identity.",
        );
        rule.word("preflight", "pass");
        rules.blocks.push(rule);
    }
    for route in given.list("api-route") {
        let Some(covered) = Covered::read(route) else {
            draft.leave(
                format!("api-route {route}"),
                "it is no regular expression here; write it as a rule's `path_regex`",
            );
            continue;
        };
        if let Some(rule) = rules.add(covered, None) {
            let mut challenge = Block::default();
            challenge.word("navigation", "401").word("other", "401").word("unknown", "401");
            rule.block("unauthenticated", challenge);
        }
    }
    draft.root.blocks("rules", rules.blocks).note(
        "Public: without identity headers, and what a client sends in their place is removed. Routes that answered 401: \
         scripts get 401 anyway, whatever the path, so these rules may go.",
    );
}

/// `regex`, `METHOD=regex`, or one of the two with `!=`, which means every other path.
fn public(route: &str, flag: &str, rules: &mut Rules, draft: &mut Draft) {
    let with_methods = flag == "skip-auth-route";
    let (method, regex) = match route.split_once('=').filter(|_| with_methods) {
        Some((before, regex)) => match before.strip_suffix('!') {
            Some(_) => {
                let why = "it opened every path but these. Write the paths to open, one rule each: until then they are \
                           closed";
                return draft.leave_to_do(format!("{flag} {route}"), why);
            }
            None => (Some(before.to_ascii_uppercase()), regex),
        },
        None => (None, route),
    };
    let good_method = method.as_ref().is_none_or(|method| method.chars().all(|c| c.is_ascii_alphabetic()));
    match Covered::read(regex).filter(|_| good_method) {
        Some(covered) => {
            if let Some(rule) = rules.add(covered, method.filter(|method| !method.is_empty())) {
                rule.word("access", "public").word("authorization", "keep");
            }
        }
        None => draft.leave_to_do(
            format!("{flag} {route}"),
            "it is no regular expression here. Write a rule with `path_regex`: until then these paths are closed",
        ),
    }
}

impl Rules {
    /// A new rule, unless an earlier one covers all of it.
    fn add(&mut self, covered: Covered, method: Option<String>) -> Option<&mut Block> {
        let hidden = self.covered.iter().any(|(earlier, earlier_method)| {
            earlier.covers(&covered) && (earlier_method.is_none() || *earlier_method == method)
        });
        if hidden {
            return None;
        }
        let mut block = Block::default();
        match &covered {
            Covered::Prefix(path) => block.text("path", path.as_str()),
            Covered::Regex(regex) => block.text("path_regex", regex.as_str()),
        };
        if let Some(method) = &method {
            block.list("methods", vec![method.clone()]);
        }
        self.covered.push((covered, method));
        self.blocks.push(block);
        self.blocks.last_mut()
    }
}

impl Covered {
    /// What a pattern covers that may match anywhere in a path: a prefix where it is one, else the same pattern with
    /// room on both sides. `^/a` becomes the prefix `/a`, which covers `/a/b`, and not `/ab`.
    fn read(pattern: &str) -> Option<Self> {
        if let Some(literal) = pattern.strip_prefix('^').map(|rest| rest.strip_suffix(".*").unwrap_or(rest))
            && is_plain(literal)
        {
            return Some(Self::Prefix(literal.to_owned()));
        }
        if let Some(literal) = pattern.strip_prefix('^').and_then(|rest| rest.strip_suffix('$'))
            && is_plain(literal)
        {
            return Some(Self::Regex(regex::escape(literal)));
        }
        regex::Regex::new(pattern).ok()?;
        let literal = pattern.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '/' | '_' | '-'));
        Some(Self::Regex(if literal { format!(".*{pattern}.*") } else { format!(".*(?:{pattern}).*") }))
    }

    fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Prefix(prefix), _) if prefix == "/" => true,
            (Self::Prefix(prefix), Self::Prefix(path)) => path
                .strip_prefix(prefix.as_str())
                .is_some_and(|rest| prefix.ends_with('/') || rest.is_empty() || rest.starts_with('/')),
            (one, other) => one == other,
        }
    }
}

/// Whether a pattern is a path, in which each character means itself.
fn is_plain(text: &str) -> bool {
    text.starts_with('/')
        && !text.contains("//")
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '/' | '_' | '-' | '~'))
}
