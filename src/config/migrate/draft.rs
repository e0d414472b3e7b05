//! A YAML file in the making: keys with comments, and what is left over at the end.

use super::Migrated;

/// The widest a comment gets.
const WIDTH: usize = 110;

/// Where the examples and the chart mount the volume.
pub(super) const DATA_DIR: &str = "/var/lib/countersign";

/// Where they mount the client's secret.
pub(super) const CLIENT_SECRET_FILE: &str = "/etc/countersign/client-secret";

/// A file in the making.
pub(in crate::config) struct Draft {
    /// What it was made from.
    source: &'static str,
    pub(super) root: Block,
    left: Vec<(String, String)>,
    unknown: Vec<String>,
    to_do: Vec<(String, String)>,
}

/// Keys with values, in the order written.
#[derive(Default)]
pub(super) struct Block {
    entries: Vec<Entry>,
    /// Whether what was to be added last had nothing in it, so that a comment on it has no place.
    left_out: bool,
}

struct Entry {
    notes: Vec<String>,
    key: String,
    value: Value,
}

/// A value. There is none for the text of a secret.
pub(super) enum Value {
    /// A word of ours: `none`, `24h`, `true`.
    Word(String),
    Text(String),
    List(Vec<String>),
    /// A secret, by the variable that holds it.
    Variable(&'static str),
    /// A secret, by the file that holds it.
    File(String),
    Block(Block),
    /// A list of blocks.
    Blocks(Vec<Block>),
}

impl Draft {
    pub(super) fn of(source: &'static str) -> Self {
        Self { source, root: Block::default(), left: Vec::new(), unknown: Vec::new(), to_do: Vec::new() }
    }

    /// A setting that has no equivalent: what it did, and what to do instead.
    pub(super) fn leave(&mut self, setting: impl Into<String>, why: impl Into<String>) {
        let left = (setting.into(), why.into());
        if !self.left.contains(&left) {
            self.left.push(left);
        }
    }

    /// As [`Self::leave`], where somebody must act on it: access would be wider or narrower than it was.
    pub(super) fn leave_to_do(&mut self, setting: impl Into<String>, why: impl Into<String>) {
        self.to_do.push((setting.into(), why.into()));
    }

    /// A name that nobody knows. Its value is not repeated: it may be a secret.
    pub(super) fn unknown(&mut self, name: impl Into<String>) {
        self.unknown.push(name.into());
    }

    /// The settings that have no equivalent, and why.
    pub(in crate::config) fn left(&self) -> &[(String, String)] {
        &self.left
    }

    /// Those that somebody must act on.
    pub(in crate::config) fn to_do(&self) -> &[(String, String)] {
        &self.to_do
    }

    pub(in crate::config) fn finish(self) -> Migrated {
        let mut yaml = String::new();
        comment(
            &mut yaml,
            0,
            &format!(
                "Drafted from the settings of {}. Read the comments, then judge it: `countersign config check --config \
             FILE`. docs/migrating.md says what else to change, and how to go back.",
                self.source
            ),
        );
        if !self.to_do.is_empty() {
            yaml.push_str("#\n# To do by hand:\n");
            self.to_do.iter().for_each(|(setting, why)| item(&mut yaml, &format!("{setting}: {why}")));
        }
        yaml.push('\n');
        self.root.render(&mut yaml, 0);
        if !self.left.is_empty() {
            yaml.push_str("\n# Without an equivalent here:\n");
            self.left.iter().for_each(|(setting, why)| item(&mut yaml, &format!("{setting}: {why}")));
        }
        let mut to_do: Vec<String> = self.to_do.iter().map(|(setting, why)| format!("{setting}: {why}")).collect();
        if !self.unknown.is_empty() {
            let names: Vec<String> = self.unknown.iter().map(|name| name.replace(char::is_control, "?")).collect();
            yaml.push('\n');
            comment(&mut yaml, 0, &format!("Not known, and not taken over: {}.", names.join(", ")));
            to_do.push(format!("not known, and not taken over: {}", names.join(", ")));
        }
        Migrated { yaml, to_do }
    }
}

impl Block {
    /// Adds a key. The comment that explains it may follow by [`Self::note`].
    pub(super) fn set(&mut self, key: impl Into<String>, value: Value) -> &mut Self {
        self.entries.push(Entry { notes: Vec::new(), key: key.into(), value });
        self.left_out = false;
        self
    }

    pub(super) fn word(&mut self, key: &str, word: impl Into<String>) -> &mut Self {
        self.set(key, Value::Word(word.into()))
    }

    pub(super) fn text(&mut self, key: &str, text: impl Into<String>) -> &mut Self {
        self.set(key, Value::Text(text.into()))
    }

    pub(super) fn list(&mut self, key: &str, texts: Vec<String>) -> &mut Self {
        self.set(key, Value::List(texts))
    }

    pub(super) fn block(&mut self, key: &str, block: Self) -> &mut Self {
        if block.entries.is_empty() {
            self.left_out = true;
            return self;
        }
        self.set(key, Value::Block(block))
    }

    pub(super) fn blocks(&mut self, key: &str, blocks: Vec<Self>) -> &mut Self {
        if blocks.is_empty() {
            self.left_out = true;
            return self;
        }
        self.set(key, Value::Blocks(blocks))
    }

    /// A comment above the key that was added last.
    pub(super) fn note(&mut self, note: impl Into<String>) -> &mut Self {
        if let Some(entry) = self.entries.last_mut().filter(|_| !self.left_out) {
            entry.notes.push(note.into());
        }
        self
    }

    fn render(&self, yaml: &mut String, depth: usize) {
        for entry in &self.entries {
            entry.notes.iter().for_each(|note| comment(yaml, depth, note));
            indent(yaml, depth);
            yaml.push_str(&scalar(&entry.key));
            yaml.push(':');
            entry.value.render(yaml, depth);
        }
    }

    /// As an element of a list, whose first key stands behind the dash.
    fn render_element(&self, yaml: &mut String, depth: usize) {
        for (index, entry) in self.entries.iter().enumerate() {
            // Comments stand above the dash, so that it opens a line with a key.
            entry.notes.iter().for_each(|note| comment(yaml, depth + usize::from(index > 0), note));
            indent(yaml, depth);
            yaml.push_str(if index == 0 { "- " } else { "  " });
            yaml.push_str(&scalar(&entry.key));
            yaml.push(':');
            entry.value.render(yaml, depth + 1);
        }
    }
}

impl Value {
    fn render(&self, yaml: &mut String, depth: usize) {
        let inline = match self {
            Self::Word(word) => word.clone(),
            Self::Text(text) => scalar(text),
            Self::List(texts) => format!("[{}]", texts.iter().map(|text| scalar(text)).collect::<Vec<_>>().join(", ")),
            Self::Variable(name) => format!("{{env: {name}}}"),
            Self::File(path) => format!("{{file: {}}}", scalar(path)),
            Self::Block(block) => {
                yaml.push('\n');
                return block.render(yaml, depth + 1);
            }
            Self::Blocks(blocks) => {
                yaml.push('\n');
                return blocks.iter().for_each(|block| block.render_element(yaml, depth + 1));
            }
        };
        yaml.push(' ');
        yaml.push_str(&inline);
        yaml.push('\n');
    }
}

/// A text in the plainest form that reads as that text again.
fn scalar(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '_' | '.' | ':' | '-' | '@');
    let word = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"];
    let is_plain = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/')
        && text.chars().all(plain)
        && !text.ends_with(':')
        && !word.contains(&text.to_ascii_lowercase().as_str());
    if is_plain {
        text.to_owned()
    } else if text.chars().any(char::is_control) || text.contains(['\u{2028}', '\u{2029}', '\u{feff}']) {
        // What JSON escapes, YAML reads.
        serde_json::Value::from(text).to_string()
    } else {
        format!("'{}'", text.replace('\'', "''"))
    }
}

fn item(yaml: &mut String, text: &str) {
    wrapped(yaml, "# - ", "#   ", text);
}

fn comment(yaml: &mut String, depth: usize, text: &str) {
    let start = format!("{}# ", "  ".repeat(depth));
    wrapped(yaml, &start, &start, text);
}

/// Words in lines that all begin as comments do: no value can break out of one.
fn wrapped(yaml: &mut String, first: &str, further: &str, text: &str) {
    let mut line = first.to_owned();
    let mut is_empty = true;
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()) {
        if !is_empty && line.chars().count() + 1 + word.chars().count() > WIDTH {
            yaml.push_str(line.trim_end());
            yaml.push('\n');
            further.clone_into(&mut line);
            is_empty = true;
        }
        if !is_empty {
            line.push(' ');
        }
        line.push_str(word);
        is_empty = false;
    }
    yaml.push_str(line.trim_end());
    yaml.push('\n');
}

fn indent(yaml: &mut String, depth: usize) {
    (0..depth).for_each(|_| yaml.push_str("  "));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_reads_as_itself_again() {
        for text in [
            "",
            "a",
            "true",
            "NO",
            "~",
            "1",
            "0x1f",
            "1e3",
            "24h",
            "a: b",
            "a:",
            "- a",
            "#a",
            "a #b",
            "'",
            "it's",
            "\"",
            "\\",
            "a\nb",
            "a\u{85}b",
            "\u{2028}",
            "*",
            "&a",
            "!a",
            "{a}",
            "[a]",
            "a,b",
            "?",
            "|",
            ">",
            "%",
            "@a",
            "`",
            "é",
            " a ",
            "\t",
            ".*/api/.*",
            "^/dex/",
            "http://dex.example:5556/dex",
            "/dex",
            "2001-01-01",
            "<<",
            "=",
        ] {
            let read: Vec<String> = serde_saphyr::from_str(&format!("[{}]", scalar(text))).expect(text);
            assert_eq!(read, [text], "{text:?}");
        }
    }

    #[test]
    fn no_value_breaks_out_of_a_comment() {
        let mut yaml = String::new();
        comment(&mut yaml, 1, "a\nb: c\r\nd\u{85}e\u{2028}f");
        assert_eq!(yaml, "  # a b: c d e f\n");
    }
}
