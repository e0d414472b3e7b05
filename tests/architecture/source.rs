//! What a source file uses: every path in it, found by reading tokens, not by compiling. Comments, strings and what
//! stands under `#[cfg(test)]` do not count.

use std::collections::{HashMap, HashSet};

/// A file of `src/` that is not only a test.
pub(crate) struct Source {
    /// Its name below the root.
    pub(crate) file: String,
    /// Its module, with slashes: `door/browser`.
    pub(crate) module: String,
    /// What it uses, in full.
    pub(crate) paths: Vec<Used>,
}

/// A path as it would be written from anywhere: `crate::…`, `std::…`, `tokio::…`.
pub(crate) struct Used {
    pub(crate) line: usize,
    pub(crate) segments: Vec<String>,
}

impl Source {
    /// The room that it belongs to.
    pub(crate) fn room(&self) -> &str {
        self.module.split('/').next().unwrap_or_default()
    }
}

/// Reads files given as (name, text), and leaves out those that exist for tests only.
pub(crate) fn parse_all(files: &[(String, String)]) -> Vec<Source> {
    let read: Vec<(&str, String, Vec<Token>)> =
        files.iter().map(|(name, text)| (&**name, module_of(name), tokens(text))).collect();
    let test_modules: HashSet<String> = read
        .iter()
        .flat_map(|(_, module, tokens)| tests_in(tokens).1.into_iter().map(move |name| format!("{module}/{name}")))
        .collect();
    let is_test = |module: &str| {
        test_modules
            .iter()
            .any(|test| module.strip_prefix(&**test).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
    };
    read.into_iter()
        .filter(|(_, module, _)| !is_test(module))
        .map(|(file, module, tokens)| {
            let paths = paths(&tests_in(&tokens).0, &module);
            Source { file: file.to_owned(), module, paths }
        })
        .collect()
}

/// The rooms of `lib.rs` with the floor whose comment stands above them.
pub(crate) fn floors_of_map(text: &str) -> Vec<(String, u8)> {
    let mut floor = None;
    let mut rooms = Vec::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("// Floor ") {
            floor = rest.get(..1).and_then(|digit| digit.parse().ok());
        } else if let Some(name) = line.split("mod ").nth(1).and_then(|rest| rest.strip_suffix(';')) {
            rooms.push((name.to_owned(), floor.unwrap_or_else(|| panic!("`{name}` stands on no floor"))));
        }
    }
    rooms
}

fn module_of(file: &str) -> String {
    let name = file.strip_prefix("src/").unwrap_or(file);
    name.strip_suffix(".rs").unwrap_or(name).to_owned()
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Token {
    line: usize,
    text: String,
}

/// Words, `::` and single characters; without comments, strings and white space.
fn tokens(text: &str) -> Vec<Token> {
    let chars: Vec<char> = text.chars().collect();
    let starts = |at: usize, what: &str| what.chars().enumerate().all(|(n, c)| chars.get(at + n) == Some(&c));
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let (mut tokens, mut at, mut line) = (Vec::new(), 0, 1);
    while let Some(&c) = chars.get(at) {
        let start = at;
        if starts(at, "//") {
            at += chars[at..].iter().take_while(|c| **c != '\n').count();
        } else if starts(at, "/*") {
            at = end_of_comment(&chars, at);
        } else if let Some(end) = end_of_string(&chars, at) {
            at = end;
        } else if c == '\'' {
            at = end_of_quote(&chars, at);
        } else if is_word(c) {
            at += chars[at..].iter().take_while(|c| is_word(**c)).count();
            tokens.push(Token { line, text: chars[start..at].iter().collect() });
        } else if starts(at, "::") {
            at += 2;
            tokens.push(Token { line, text: "::".into() });
        } else {
            at += 1;
            if !c.is_whitespace() {
                tokens.push(Token { line, text: c.into() });
            }
        }
        line += chars[start..at.min(chars.len())].iter().filter(|c| **c == '\n').count();
    }
    tokens
}

fn end_of_comment(chars: &[char], start: usize) -> usize {
    let (mut depth, mut at) = (0, start);
    while at < chars.len() {
        match (chars[at], chars.get(at + 1)) {
            ('/', Some('*')) => (depth, at) = (depth + 1, at + 2),
            ('*', Some('/')) => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

/// Behind a string literal (plain, raw, of bytes), if one begins here.
fn end_of_string(chars: &[char], start: usize) -> Option<usize> {
    let prefix = chars[start..].iter().take_while(|c| matches!(**c, 'b' | 'r' | 'c')).count();
    let raw = chars[start..start + prefix].contains(&'r');
    let hashes = if raw { chars[start + prefix..].iter().take_while(|c| **c == '#').count() } else { 0 };
    let mut at = start + prefix + hashes;
    if prefix > 2 || chars.get(at) != Some(&'"') {
        return None;
    }
    at += 1;
    while let Some(&c) = chars.get(at) {
        at += 1;
        match c {
            '\\' if !raw => at += 1,
            '"' if chars[at..].iter().take(hashes).filter(|c| **c == '#').count() == hashes => {
                return Some(at + hashes);
            }
            _ => {}
        }
    }
    Some(at)
}

/// Behind a character literal, or behind the quote of a lifetime.
fn end_of_quote(chars: &[char], start: usize) -> usize {
    match (chars.get(start + 1), chars.get(start + 2)) {
        (Some('\\'), _) => {
            let length = chars[start + 3..].iter().take_while(|c| **c != '\'').count();
            start + 3 + length + 1
        }
        (_, Some('\'')) => start + 3,
        _ => start + 1,
    }
}

/// The tokens that are not under `#[cfg(test)]`, and the modules that are, where they are files of their own.
fn tests_in(tokens: &[Token]) -> (Vec<Token>, Vec<String>) {
    const MARK: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let (mut kept, mut modules, mut at) = (Vec::new(), Vec::new(), 0);
    while at < tokens.len() {
        let marked = tokens[at..].iter().map(|token| &*token.text).take(MARK.len()).eq(MARK);
        if !marked {
            kept.push(tokens[at].clone());
            at += 1;
            continue;
        }
        let start = at + MARK.len();
        at = end_of_item(tokens, start);
        let item: Vec<&str> = tokens[start..at].iter().map(|token| &*token.text).collect();
        if let [.., "mod", name, ";"] = item[..] {
            modules.push(name.to_owned());
        }
    }
    (kept, modules)
}

/// Behind the item's `;` or its block, whichever comes first outside brackets.
fn end_of_item(tokens: &[Token], start: usize) -> usize {
    let mut depth = 0_i32;
    let is_use = tokens[start..].iter().take_while(|token| token.text != ";").any(|token| token.text == "use");
    for (at, token) in tokens.iter().enumerate().skip(start) {
        match &*token.text {
            "{" | "(" | "[" => depth += 1,
            "}" | ")" | "]" => depth -= 1,
            _ => {}
        }
        let ends = token.text == ";" || (token.text == "}" && !(is_use && tokens[start].text == "use"));
        if depth == 0 && ends {
            return at + 1;
        }
    }
    tokens.len()
}

/// Every path in the tokens; names that a `use` brought in are written out.
fn paths(tokens: &[Token], module: &str) -> Vec<Used> {
    let mut found = Vec::new();
    let mut names: HashMap<String, Vec<String>> = HashMap::new();
    let mut rest = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        if tokens[at].text == "use" {
            let end = at + tokens[at..].iter().take_while(|token| token.text != ";").count();
            let mut cursor = at + 1;
            tree(tokens, &mut cursor, end, &[], &mut |line, segments, name| {
                let segments = absolute(segments, module);
                names.insert(name, segments.clone());
                found.push(Used { line, segments });
            });
            at = end;
        } else {
            rest.push(tokens[at].clone());
            at += 1;
        }
    }
    let mut at = 0;
    while at < rest.len() {
        let (line, first) = (rest[at].line, at);
        let mut segments = vec![rest[at].text.clone()];
        while rest.get(at + 1).is_some_and(|token| token.text == "::")
            && rest.get(at + 2).is_some_and(|token| is_name(&token.text))
        {
            segments.push(rest[at + 2].text.clone());
            at += 2;
        }
        at += 1;
        let continues = first > 1 && rest[first - 1].text == "::" && is_name(&rest[first - 2].text);
        if segments.len() < 2 || !is_name(&segments[0]) || continues {
            continue;
        }
        if let Some(full) = names.get(&segments[0]) {
            segments.splice(..1, full.iter().cloned());
        }
        found.push(Used { line, segments: absolute(segments, module) });
    }
    found
}

/// Walks the tree of a `use`, and reports each leaf with the name that it brings in.
fn tree(
    tokens: &[Token],
    at: &mut usize,
    end: usize,
    before: &[String],
    report: &mut impl FnMut(usize, Vec<String>, String),
) {
    let mut segments = before.to_vec();
    let line = tokens.get(*at).map_or(0, |token| token.line);
    while *at < end {
        match &*tokens[*at].text {
            "::" => *at += 1,
            "{" => {
                *at += 1;
                while *at < end && tokens[*at].text != "}" {
                    if tokens[*at].text == "," {
                        *at += 1;
                    } else {
                        tree(tokens, at, end, &segments, report);
                    }
                }
                *at += 1;
                return;
            }
            "," | "}" => break,
            "as" => {
                let name = tokens[*at + 1].text.clone();
                *at += 2;
                report(line, segments, name);
                return;
            }
            "self" if !segments.is_empty() => *at += 1,
            text => {
                segments.push(text.to_owned());
                *at += 1;
            }
        }
    }
    let name = segments.last().cloned().unwrap_or_default();
    report(line, segments, name);
}

/// `self::…` and `super::…` as seen from the crate's root.
fn absolute(mut segments: Vec<String>, module: &str) -> Vec<String> {
    if !matches!(segments.first().map(String::as_str), Some("self" | "super")) {
        return segments;
    }
    let mut base: Vec<String> = module.split('/').map(str::to_owned).collect();
    while let Some(first) = segments.first() {
        match &**first {
            "self" => {}
            "super" => drop(base.pop()),
            _ => break,
        }
        segments.remove(0);
    }
    std::iter::once("crate".to_owned()).chain(base).chain(segments).collect()
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_alphabetic() || c == '_')
}
