use serde::Deserialize;
use serde_json::json;

use super::*;

/// Lists, and what Go's `regexp` makes of names by them as authservice uses it: the first expression that is found
/// anywhere in the name decides (`MatchString`), and `ReplaceAllString` rewrites it.
const AS_GO_DOES: &str = include_str!("as_go_does.json");

#[derive(Deserialize)]
struct Example {
    rules: Vec<(String, String)>,
    becomes: Vec<(String, String)>,
}

fn ours(rules: &[(&str, &str)], one_at: bool) -> Result<Vec<Rewriting>, String> {
    let rules: Vec<Value> =
        rules.iter().map(|(matches, replaces)| json!({"matches": matches, "replaces": replaces})).collect();
    rewritings(&json!(rules).to_string(), one_at)
}

fn rewritten(ours: &[Rewriting], name: &str) -> String {
    let all: Vec<Replacement> =
        ours.iter().map(|one| Replacement::new(&one.regex, &one.replace).expect("it is good")).collect();
    Replacement::first(&all, name).unwrap_or_else(|| name.to_owned())
}

/// What authservice's own readme shows, in its words.
#[test]
fn the_readmes_example_says_the_same() {
    let rules = [("user@domain\\.com$", "internal"), ("@domain\\.com$", "")];
    let ours = ours(&rules, false).expect("it can be written");
    let written: Vec<(&str, &str)> = ours.iter().map(|one| (&*one.regex, &*one.replace)).collect();
    assert_eq!(written, [("(.*?)user@domain\\.com", "${1}internal"), ("(.*?)@domain\\.com", "${1}")]);
    assert_eq!(rewritten(&ours, "user@domain.com"), "internal");
    assert_eq!(rewritten(&ours, "another@domain.com"), "another");
    assert_eq!(rewritten(&ours, "user@another.com"), "user@another.com");
    assert_eq!(rewritten(&ours, "user@domain.com.evil.example"), "user@domain.com.evil.example");
}

#[test]
fn whatever_is_written_names_everybody_as_authservice_did() {
    let examples: Vec<Example> = serde_json::from_str(AS_GO_DOES).expect("a file of ours");
    assert!(examples.len() > 20);
    for Example { rules, becomes } in examples {
        let rules: Vec<(&str, &str)> = rules.iter().map(|(matches, replaces)| (&**matches, &**replaces)).collect();
        let ours = ours(&rules, true).unwrap_or_else(|why| panic!("{rules:?}: {why}"));
        for (name, expected) in becomes {
            assert_eq!(rewritten(&ours, &name), expected, "{rules:?} {ours:?} {name}");
        }
    }
}

#[test]
fn what_cannot_be_said_exactly_is_not_said() {
    let why = |matches: &str, one_at: bool| ours(&[(".*@first$", ""), (matches, "")], one_at).expect_err(matches);
    for matches in ["\\.", "example", "a*", "@*", "@?", "@{0}", "^a|b", "a|b$", "(@)|b", "", "(^a)", "(a$)|@"] {
        let said = why(matches, true);
        assert!(said.contains("Number 2, `") && said.contains("more than once"), "{matches}: {said}");
    }
    // Without `email` as the claim a name may hold two.
    assert!(why("@example\\.com", false).contains("more than once"));
    for matches in [
        "\\bann@",
        "\\B@",
        "\\pL@",
        "\\p{Greek}@",
        "\\Qa.b\\E@",
        "\\C@",
        "\\101@",
        "\\x41@",
        "(?m)^a",
        "(?U)a@",
        "(?x)a @",
        "[a[b]@",
        "[a--b]@",
        "[\\W]@",
        "a{,3}@",
        "a{b@",
        "a**@",
        "a++@",
        "*@",
        "^*@",
        "a$b@",
        "a^b@",
        "(@",
        "@)",
        "[@",
        "@\\",
        "(?",
        "(?P<é>a)@",
        "(?-i)a@",
        "(?)@",
    ] {
        let said = why(matches, true);
        assert!(said.contains("may mean something else here"), "{matches}: {said}");
    }
    for text in ["", "{}", "[{\"matches\": \"@a\\.b\"}]", "[1]", "[[]]"] {
        assert!(rewritings(text, true).expect_err(text).contains("is no JSON list"), "{text}");
    }
    for text in ["[{\"matches\": \"@a\"}]", "[{\"replaces\": \"\"}]", "[{\"matches\": 1, \"replaces\": \"\"}]"] {
        assert!(rewritings(text, true).expect_err(text).contains("Number 1 lacks"), "{text}");
    }
    assert_eq!(rewritings("[]", true), Ok(vec![]));
}
