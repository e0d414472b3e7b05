//! `USERID_TRANSFORMERS` as `identity.user.transform`. authservice looks for its expressions anywhere in a name, and
//! rewrites each place where one is found; ours are for the whole name. Only what means exactly the same is written.

use std::fmt::Display;

use serde_json::{Map, Value};

use super::super::super::replacement::{Replacement, ReplacementError};

/// One of ours.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Rewriting {
    pub(super) regex: String,
    pub(super) replace: String,
}

/// An expression of authservice's, as far as it means the same to both of us (Go's `regexp` and ours).
#[derive(Default)]
struct Pattern {
    alternatives: Vec<Alternative>,
    /// How many groups it has, and the names of those that have one.
    groups: usize,
    names: Vec<String>,
    has_flags: bool,
}

/// What stands between two `|` outside all groups.
#[derive(Default)]
struct Alternative {
    /// Without the anchors.
    text: String,
    /// Whether it begins where the name does.
    starts: bool,
    /// Whether it ends where the name does.
    ends: bool,
    /// Whether each text that it matches holds an `@`.
    has_at: bool,
    last: Last,
}

/// What stands before, for the quantifier that may follow.
#[derive(Default, PartialEq, Eq)]
enum Last {
    /// Nothing at all, or flags.
    #[default]
    Nothing,
    /// Nothing that one could be for.
    Closed,
    /// An `@`, which it may make optional.
    At,
    /// Anything else.
    Atom,
}

/// What `$1` and the like stand for.
struct Numbering<'p> {
    pattern: &'p Pattern,
    /// The group that holds the whole match.
    whole: usize,
    /// How many groups stand before the expression's own.
    shift: usize,
}

/// The same rewritings as ours. `one_at` says that no name holds two `@`.
///
/// # Errors
/// If one of them cannot be written exactly so: which, and why.
pub(super) fn rewritings(text: &str, one_at: bool) -> Result<Vec<Rewriting>, String> {
    let rules: Vec<Map<String, Value>> = serde_json::from_str(text).map_err(|_| {
        "It is no JSON list of `{\"matches\": …, \"replaces\": …}`, and authservice does not start with it either (a `\\` \
         is written `\\\\` there)"
            .to_owned()
    })?;
    let of = |rule: &Map<String, Value>, name: &str| rule.get(name).and_then(Value::as_str).map(str::to_owned);
    rules
        .iter()
        .enumerate()
        .map(|(index, rule)| {
            let number = index + 1;
            let (Some(matches), Some(replaces)) = (of(rule, "matches"), of(rule, "replaces")) else {
                return Err(format!("Number {number} lacks `matches` or `replaces`"));
            };
            rewriting(&matches, &replaces, one_at).map_err(|why| format!("Number {number}, `{matches}`, {why}"))
        })
        .collect()
}

fn rewriting(matches: &str, replaces: &str, one_at: bool) -> Result<Rewriting, String> {
    const ANOTHER: &str = "is written in a way that may mean something else here";
    let pattern = Pattern::read(matches).ok_or(ANOTHER)?;
    let all = |is: fn(&Alternative) -> bool| pattern.alternatives.iter().all(is);
    let (starts, ends) = (all(|one| one.starts), all(|one| one.ends));
    let once = starts || ends || (one_at && all(|one| one.has_at));
    if !once {
        return Err(
            "may be found more than once in a name, and authservice rewrote each place. If it is for the end, \
                    write `$` behind it"
                .to_owned(),
        );
    }
    let refers_to_all = numbers(replaces).contains(&0);
    let mut core = pattern.text(starts, ends);
    let (before, after) = (usize::from(!starts), usize::from(!ends));
    let captured = usize::from(refers_to_all && before + after > 0);
    if captured == 1 {
        core = format!("({core})");
    }
    let shift = before + captured;
    let numbering = Numbering { pattern: &pattern, whole: if captured == 1 { shift } else { 0 }, shift };
    let mut replace = numbering.expand(replaces);
    if before == 1 {
        // The least: where it is found first is where authservice found it.
        core.insert_str(0, "(.*?)");
        replace.insert_str(0, "${1}");
    }
    if after == 1 {
        core.push_str("(.*)");
        replace.push_str(&reference(shift + pattern.groups + 1));
    }
    match Replacement::new(&core, &replace) {
        Ok(_) => Ok(Rewriting { regex: core, replace }),
        Err(ReplacementError::NotARegex(_) | ReplacementError::NoSuchGroup(_)) => Err(ANOTHER.to_owned()),
    }
}

impl Pattern {
    /// Reads what is written alike and means the same in both languages; none of the rest.
    fn read(text: &str) -> Option<Self> {
        let mut pattern = Self { alternatives: vec![Alternative::default()], ..Self::default() };
        let mut depth = 0_usize;
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            let mut length = first.len_utf8();
            let alternative = pattern.alternatives.last_mut()?;
            match first {
                '\\' => {
                    let escaped = rest[1..].chars().next()?;
                    length += escaped.len_utf8();
                    match escaped {
                        'A' if depth == 0 => alternative.start()?,
                        'z' if depth == 0 => alternative.end()?,
                        _ => alternative.atom(&outside_class(escaped)?, escaped == '@' && depth == 0)?,
                    }
                }
                '^' if depth == 0 => alternative.start()?,
                '$' if depth == 0 => alternative.end()?,
                // Within a group they say nothing of the whole; and lines there are none.
                '^' | '$' => alternative.atom(&rest[..1], false)?,
                '[' => {
                    let (class, used) = class(rest)?;
                    length = used;
                    alternative.atom(&class, false)?;
                }
                '(' => {
                    let opened = Opened::read(rest)?;
                    length = opened.text.len();
                    if opened.is_flag {
                        alternative.flag(opened.text)?;
                    } else {
                        alternative.open(opened.text)?;
                    }
                    pattern.groups += usize::from(opened.captures);
                    pattern.names.extend(opened.name.map(str::to_owned));
                    pattern.has_flags |= opened.is_flag;
                    depth += usize::from(!opened.is_flag);
                }
                ')' => {
                    depth = depth.checked_sub(1)?;
                    alternative.atom(")", false)?;
                }
                '|' if depth == 0 => {
                    alternative.finish();
                    pattern.alternatives.push(Alternative::default());
                }
                '|' => alternative.open("|")?,
                '*' | '+' | '?' | '{' => {
                    let quantifier = quantifier(rest)?;
                    length = quantifier.len();
                    alternative.repeat(quantifier)?;
                }
                _ => alternative.atom(&rest[..length], first == '@' && depth == 0)?,
            }
            rest = &rest[length..];
        }
        pattern.alternatives.last_mut()?.finish();
        (depth == 0).then_some(pattern)
    }

    /// It again, without the anchors that stand at every alternative.
    fn text(&self, starts: bool, ends: bool) -> String {
        let written = self.alternatives.iter().map(|one| {
            let (start, end) = (if one.starts && !starts { "^" } else { "" }, if one.ends && !ends { "$" } else { "" });
            format!("{start}{}{end}", one.text)
        });
        let joined = written.collect::<Vec<_>>().join("|");
        if self.alternatives.len() > 1 || self.has_flags { format!("(?:{joined})") } else { joined }
    }
}

impl Alternative {
    fn start(&mut self) -> Option<()> {
        let is_first = !self.starts && !self.ends && self.last == Last::Nothing;
        self.starts = is_first;
        is_first.then_some(())
    }

    fn end(&mut self) -> Option<()> {
        self.finish();
        self.last = Last::Closed;
        (!std::mem::replace(&mut self.ends, true)).then_some(())
    }

    fn atom(&mut self, text: &str, is_at: bool) -> Option<()> {
        self.finish();
        self.last = if is_at { Last::At } else { Last::Atom };
        self.text.push_str(text);
        (!self.ends).then_some(())
    }

    /// What no quantifier can be for.
    fn open(&mut self, text: &str) -> Option<()> {
        self.atom(text, false)?;
        self.last = Last::Closed;
        Some(())
    }

    /// Behind flags it is still the beginning, if it was before.
    fn flag(&mut self, text: &str) -> Option<()> {
        let is_first = self.last == Last::Nothing;
        self.open(text)?;
        if is_first {
            self.last = Last::Nothing;
        }
        Some(())
    }

    fn repeat(&mut self, quantifier: &str) -> Option<()> {
        self.text.push_str(quantifier);
        if self.last == Last::At && quantifier == "+" {
            self.has_at = true;
        }
        // Two in a row are another language's.
        let last = std::mem::replace(&mut self.last, Last::Closed);
        matches!(last, Last::At | Last::Atom).then_some(())
    }

    fn finish(&mut self) {
        self.has_at |= self.last == Last::At;
    }
}

/// What opens a group, or sets a flag for what follows.
struct Opened<'t> {
    text: &'t str,
    captures: bool,
    name: Option<&'t str>,
    is_flag: bool,
}

impl<'t> Opened<'t> {
    fn read(rest: &'t str) -> Option<Self> {
        let Some(inner) = rest.strip_prefix("(?") else {
            return Some(Self { text: &rest[..1], captures: true, name: None, is_flag: false });
        };
        if let Some(named) = inner.strip_prefix("P<").or_else(|| inner.strip_prefix('<')) {
            let (name, after) = named.split_once('>')?;
            let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
                && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
            let text = &rest[..rest.len() - after.len()];
            return is_name.then_some(Self { text, captures: true, name: Some(name), is_flag: false });
        }
        let end = inner.find([':', ')'])?;
        // `m` would let anchors match at lines, `U` turns greed around.
        let good = inner[..end].chars().all(|flag| matches!(flag, 'i' | 's'));
        let is_flag = inner[end..].starts_with(')');
        (good && !(is_flag && end == 0)).then_some(Self {
            text: &rest[..=2 + end],
            captures: false,
            name: None,
            is_flag,
        })
    }
}

/// Go's classes are of ASCII alone, ours of all scripts.
fn outside_class(escaped: char) -> Option<String> {
    let of_class = |negated: &str| inside_class(escaped.to_ascii_lowercase()).map(|all| format!("[{negated}{all}]"));
    match escaped {
        'd' | 'w' | 's' => of_class(""),
        'D' | 'W' | 'S' => of_class("^"),
        _ => inside_class(escaped),
    }
}

fn inside_class(escaped: char) -> Option<String> {
    match escaped {
        'd' => Some("0-9".to_owned()),
        'w' => Some("0-9A-Za-z_".to_owned()),
        's' => Some("\\t\\n\\f\\r ".to_owned()),
        't' | 'n' | 'f' | 'r' | 'v' | 'a' => Some(format!("\\{escaped}")),
        // The beginning and the end of a word here, characters there.
        '<' | '>' => Some(escaped.to_string()),
        c if c.is_ascii_punctuation() => Some(format!("\\{c}")),
        _ => None,
    }
}

/// A class, and how much of `rest` it took. Ours may hold classes, intersections and differences; Go's hold characters.
fn class(rest: &str) -> Option<(String, usize)> {
    let mut text = String::from("[");
    let mut at = 1;
    if rest[at..].starts_with('^') {
        text.push('^');
        at += 1;
    }
    let first = at;
    loop {
        let inner = &rest[at..];
        let c = inner.chars().next()?;
        at += c.len_utf8();
        match c {
            ']' if at - 1 > first => {
                text.push(']');
                return Some((text, at));
            }
            ']' => text.push_str("\\]"),
            '[' => {
                let named = inner.strip_prefix("[:")?;
                let (name, _) = named.split_once(":]")?;
                let is_name = name.chars().all(|c| c.is_ascii_lowercase() || c == '^');
                let whole = format!("[:{name}:]");
                at += whole.len() - 1;
                text.push_str(&is_name.then_some(whole)?);
            }
            '\\' => {
                let escaped = rest[at..].chars().next()?;
                at += escaped.len_utf8();
                text.push_str(&inside_class(escaped)?);
            }
            '&' | '~' => text.extend(['\\', c]),
            '-' if rest[at..].starts_with('-') => return None,
            c => text.push(c),
        }
    }
}

/// A quantifier, lazy or not.
fn quantifier(rest: &str) -> Option<&str> {
    let length = match rest.strip_prefix('{') {
        None => 1,
        Some(inner) => {
            let (bounds, _) = inner.split_once('}')?;
            let (least, most) = bounds.split_once(',').unwrap_or((bounds, ""));
            let is_number = |text: &str| text.chars().all(|c| c.is_ascii_digit());
            // `{,3}` is three characters and a number in Go.
            (!least.is_empty() && is_number(least) && is_number(most)).then_some(bounds.len() + 2)?
        }
    };
    Some(&rest[..length + usize::from(rest[length..].starts_with('?'))])
}

impl Numbering<'_> {
    /// The template with our numbers.
    fn expand(&self, template: &str) -> String {
        let mut expanded = String::new();
        read_template(template, |part| match part {
            Part::Text(text) => expanded.push_str(&text.replace('$', "$$")),
            Part::Group(name) => match number(name) {
                Some(0) => expanded.push_str(&reference(self.whole)),
                Some(index) if index <= self.pattern.groups => {
                    expanded.push_str(&reference(index + self.shift));
                }
                None if self.pattern.names.iter().any(|other| other == name) => {
                    expanded.push_str(&reference(name));
                }
                // A group that there is not is nothing.
                _ => {}
            },
        });
        expanded
    }
}

fn reference(group: impl Display) -> String {
    format!("${{{group}}}")
}

enum Part<'t> {
    Text(&'t str),
    Group(&'t str),
}

/// As Go's `Regexp.Expand` does.
fn read_template<'t>(template: &'t str, mut part: impl FnMut(Part<'t>)) {
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('$') {
        part(Part::Text(before));
        let is_part = |c: char| c.is_alphanumeric() || c == '_';
        let (name, remaining) = if let Some(inner) = after.strip_prefix('{') {
            inner.split_once('}').unwrap_or(("", after))
        } else {
            let end = after.find(|c| !is_part(c)).unwrap_or(after.len());
            after.split_at(end)
        };
        if let Some(remaining) = after.strip_prefix('$') {
            part(Part::Text("$"));
            rest = remaining;
        } else if !name.is_empty() && name.chars().all(is_part) {
            part(Part::Group(name));
            rest = remaining;
        } else {
            part(Part::Text("$"));
            rest = after;
        }
    }
    part(Part::Text(rest));
}

/// The groups that a template names by number.
fn numbers(template: &str) -> Vec<usize> {
    let mut numbers = Vec::new();
    read_template(template, |part| {
        if let Part::Group(name) = part {
            numbers.extend(number(name));
        }
    });
    numbers
}

/// A name that is a number, without zeros before it.
fn number(name: &str) -> Option<usize> {
    let is_number = name.chars().all(|c| c.is_ascii_digit()) && (name.len() == 1 || !name.starts_with('0'));
    name.parse().ok().filter(|_| is_number)
}

#[cfg(test)]
mod tests;
