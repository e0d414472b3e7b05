//! The site behind the gateway, as `site.json` lays it out: its areas, and who may enter which.

use serde::Deserialize;

/// A site. The first area that a request is in counts; the last one takes the rest.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Site {
    pub(crate) people: Vec<Person>,
    pub(crate) areas: Vec<Area>,
}

/// Somebody who can be signed in.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Person {
    pub(crate) name: String,
    /// What a workload is told.
    pub(crate) user: String,
    pub(crate) groups: Vec<String>,
}

/// A part of the site.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Area {
    pub(crate) name: String,
    /// On this host only.
    pub(crate) host: Option<String>,
    /// For these methods only.
    #[serde(default)]
    pub(crate) methods: Vec<String>,
    /// All below this path, which ends in a slash.
    pub(crate) below: Option<String>,
    /// This path alone.
    pub(crate) exactly: Option<String>,
    pub(crate) who: Who,
    /// Of the token that a workload there gets.
    #[serde(default)]
    pub(crate) audience: Vec<String>,
}

/// Who may enter.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Who {
    /// Everyone, and nobody's name is told there.
    Everyone,
    /// Whoever is signed in.
    SignedIn,
    /// Members of one of these.
    Groups(Vec<String>),
}

impl Site {
    /// The one that the corpus is made for.
    pub(crate) fn of_the_corpus() -> Self {
        serde_json::from_str(include_str!("site.json")).expect("a site")
    }

    /// Who is called so; nobody, if nobody is.
    pub(crate) fn person(&self, name: &str) -> Option<&Person> {
        self.people.iter().find(|person| person.name == name)
    }

    /// The areas that a server may take a path for: the one that it is in, and the one that it is the directory of, since
    /// many serve `/a` as they serve `/a/`.
    pub(crate) fn areas(&self, host: &str, method: &str, path: &[u8]) -> Vec<&Area> {
        let at = |path: &[u8]| {
            let mut those = self.areas.iter();
            those.find(|area| area.has(host, method, path)).or(self.areas.last()).expect("a site has areas")
        };
        let written = at(path);
        let directory = at(&[path, b"/"].concat());
        let is_directory = directory.below.as_deref().is_some_and(|below| below.as_bytes() == [path, b"/"].concat());
        if is_directory && directory != written { vec![written, directory] } else { vec![written] }
    }
}

impl Area {
    /// Whether somebody may enter, or anybody at all.
    pub(crate) fn admits(&self, person: Option<&Person>) -> bool {
        match (&self.who, person) {
            (Who::Everyone, _) | (Who::SignedIn, Some(_)) => true,
            (Who::Groups(groups), Some(person)) => groups.iter().any(|group| person.groups.contains(group)),
            (_, None) => false,
        }
    }

    fn has(&self, host: &str, method: &str, path: &[u8]) -> bool {
        self.host.as_deref().is_none_or(|own| own == host)
            && (self.methods.is_empty() || self.methods.iter().any(|own| own == method))
            && self.below.as_deref().is_none_or(|below| path.starts_with(below.as_bytes()))
            && self.exactly.as_deref().is_none_or(|exactly| path == exactly.as_bytes())
    }
}
