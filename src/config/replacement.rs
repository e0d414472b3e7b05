//! Names of users and groups are rewritten by regular expressions, each for the whole of a name. The expressions are
//! linear in time (`regex`), so that no name can stall a sign-in.

use regex::Regex;

/// One rewriting: what matches as a whole becomes `replace`, with the groups of the match put in (`$1`, `${name}`).
#[derive(Clone, Debug)]
pub struct Replacement {
    regex: Regex,
    replace: String,
}

/// Why there is no such rewriting; the operator's to mend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ReplacementError {
    /// It is no regular expression, for this reason.
    NotARegex(String),
    /// It names a group that the regular expression does not have.
    NoSuchGroup(String),
}

impl Replacement {
    pub(super) fn new(pattern: &str, replace: &str) -> Result<Self, ReplacementError> {
        let regex = whole(pattern).map_err(ReplacementError::NotARegex)?;
        match references(replace).into_iter().find(|name| !has_group(&regex, name)) {
            Some(name) => Err(ReplacementError::NoSuchGroup(name.to_owned())),
            None => Ok(Self { regex, replace: replace.to_owned() }),
        }
    }

    /// What the first of `all` that matches makes of `name`; none of them may.
    #[must_use]
    pub fn first(all: &[Self], name: &str) -> Option<String> {
        all.iter().find_map(|one| {
            let captures = one.regex.captures(name)?;
            let mut rewritten = String::new();
            captures.expand(&one.replace, &mut rewritten);
            Some(rewritten)
        })
    }
}

/// A pattern in which `*` is anything and all else is itself, as a regular expression for a whole name.
pub(super) fn pattern(text: &str) -> Option<Regex> {
    let parts: Vec<String> = text.split('*').map(regex::escape).collect();
    Regex::new(&format!(r"(?s)\A{}\z", parts.join(".*"))).ok()
}

/// A regular expression for the whole of a text.
pub(super) fn whole(pattern: &str) -> Result<Regex, String> {
    // Alone first: `a)|(b` must not become good by what is put around it.
    Regex::new(pattern).and_then(|_| Regex::new(&format!(r"\A(?:{pattern})\z"))).map_err(|error| {
        let error = error.to_string();
        error.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned()
    })
}

fn has_group(regex: &Regex, name: &str) -> bool {
    match name.parse::<usize>() {
        Ok(index) => index < regex.captures_len(),
        Err(_) => regex.capture_names().flatten().any(|other| other == name),
    }
}

/// The groups that a replacement names, read as `Captures::expand` reads it: the longest name wins, `$$` is a dollar.
fn references(replace: &str) -> Vec<&str> {
    let mut names = Vec::new();
    let mut rest = replace;
    while let Some(at) = rest.find('$') {
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            rest = after;
        } else if let Some((name, after)) = rest.strip_prefix('{').and_then(|inner| inner.split_once('}')) {
            names.push(name);
            rest = after;
        } else {
            let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(rest.len());
            // A dollar before anything else is itself.
            names.extend((end > 0).then(|| &rest[..end]));
            rest = &rest[end..];
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(all: &[(&str, &str)], name: &str) -> Option<String> {
        let all: Vec<Replacement> =
            all.iter().map(|(regex, replace)| Replacement::new(regex, replace).unwrap()).collect();
        Replacement::first(&all, name)
    }

    #[test]
    fn the_first_that_matches_the_whole_name_decides() {
        let both = [("(.*)@example\\.com", "$1"), (".*", "other")];
        assert_eq!(rewritten(&both, "ann@example.com").as_deref(), Some("ann"));
        assert_eq!(rewritten(&both, "ann@example.com.evil.example").as_deref(), Some("other"));
        assert_eq!(rewritten(&both[..1], "ann@example.com.evil.example"), None);
        assert_eq!(rewritten(&[("a|b", "x")], "ab"), None);
        assert_eq!(rewritten(&[("(?<first>.)(.*)", "${first}.${2}_$$")], "ann").as_deref(), Some("a.nn_$"));
    }

    #[test]
    fn a_reference_to_no_group_is_noticed() {
        for (replace, name) in [("$1_x", "1_x"), ("$2", "2"), ("${two}", "two"), ("a$b", "b")] {
            let error = Replacement::new("(.*)", replace).unwrap_err();
            assert_eq!(error, ReplacementError::NoSuchGroup(name.into()), "{replace}");
        }
        for good in ["$1", "${1}_x", "$0", "$$1", "5$", "a $ b", "$"] {
            assert!(Replacement::new("(.*)", good).is_ok(), "{good}");
        }
        assert!(matches!(Replacement::new("a)|(b", ""), Err(ReplacementError::NotARegex(_))));
    }

    #[test]
    fn an_expression_that_others_choke_on_takes_no_time() {
        assert_eq!(rewritten(&[("(a+)+b", "x"), ("(a|a)*c", "y")], &"a".repeat(100_000)), None);
    }

    #[test]
    fn in_a_pattern_only_the_star_means_more() {
        let matches = |text: &str, name: &str| pattern(text).is_some_and(|regex| regex.is_match(name));
        assert!(matches("cn=*,ou=ml,dc=example", "cn=data (x),ou=ml,dc=example"));
        assert!(matches("*", "") && matches("a*", "a") && matches("*a*", "bab"));
        for (text, name) in [("a.c", "abc"), ("a*", "ba"), ("ml", "mlx"), ("ml", "ML"), ("a*c", "abcd")] {
            assert!(!matches(text, name), "{text} {name}");
        }
    }
}
