//! What somebody else says, without what it repeats of our secrets: some quote what they refuse, and some cut that short.

use std::collections::HashSet;

/// So many bytes of a secret in a row are no chance, and are hidden; of a shorter one, all of it.
const TELLING: usize = 12;

/// Of what is said, no more is read: nobody would.
const MOST_CHARACTERS: usize = 4096;

/// `text` with `[…]` in the place of each part of it that is a part of one of `secrets`, too. Of a very
/// long one the rest is left out.
pub(crate) fn without_secrets<'a>(text: &str, secrets: impl IntoIterator<Item = &'a str>) -> String {
    let text = text.char_indices().nth(MOST_CHARACTERS).map_or(text, |(end, _)| &text[..end]);
    let mut is_hidden = vec![false; text.len()];
    for secret in secrets.into_iter().filter(|secret| !secret.is_empty()) {
        let length = secret.len().min(TELLING);
        let parts: HashSet<&[u8]> = secret.as_bytes().windows(length).collect();
        for (at, part) in text.as_bytes().windows(length).enumerate() {
            if parts.contains(part) {
                is_hidden[at..at + length].fill(true);
            }
        }
    }
    let mut shown = String::with_capacity(text.len());
    let mut was_hidden = false;
    for (at, character) in text.char_indices() {
        let hides = is_hidden[at..at + character.len_utf8()].contains(&true);
        match (was_hidden, hides) {
            (_, false) => shown.push(character),
            (false, true) => shown.push_str("[…]"),
            (true, true) => {}
        }
        was_hidden = hides;
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_repeated_is_left_out_whole_or_cut_short() {
        let secret = "a-code-of-some-length-4711";
        for (text, shown) in [
            ("the code a-code-of-some-length-4711 is bad", "the code […] is bad"),
            ("a-code-of-some-length-4711", "[…]"),
            // As it is cut short, or only begins there, or stands there twice.
            ("bad: a-code-of-some...", "bad: […]..."),
            ("…length-4711 is bad", "…length-4711 is bad"),
            ("…some-length-4711 is bad", "…[…] is bad"),
            ("a-code-of-some-length-4711a-code-of-some-length-4711", "[…]"),
            ("größe a-code-of-some-length-4711ö", "größe […]ö"),
            ("invalid code", "invalid code"),
            ("", ""),
        ] {
            assert_eq!(without_secrets(text, [secret]), shown, "{text}");
        }
    }

    #[test]
    fn each_secret_counts_and_short_ones_as_a_whole() {
        assert_eq!(without_secrets("hunter2 and hunter", ["", "hunter2", "größe"]), "[…] and hunter");
        assert_eq!(without_secrets("die größe", ["hunter2", "größe"]), "die […]");
        assert_eq!(without_secrets("nothing", []), "nothing");
    }

    #[test]
    fn nobody_makes_us_read_a_megabyte() {
        let said = "ö".repeat(1024 * 1024);
        assert_eq!(without_secrets(&said, ["hunter2"]).chars().count(), MOST_CHARACTERS);
    }
}
