//! The corpus: requests made by rules from a fixed seed, so that two runs ask the same. A rule takes what is known to have
//! opened some gateway, and a place to get to, and writes the one into the other.

use serde::Serialize;

use super::spellings::{CLIMBS, CRUMBS, HEADER_SETS, HEADS, HOSTS, METHODS, PLACES, QUERIES, SLASHES, TAILS};

/// One request.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub(crate) struct Variant {
    /// The rule that made it.
    pub(crate) family: &'static str,
    /// Who is signed in, if anybody is.
    pub(crate) who: Option<&'static str>,
    pub(crate) method: &'static str,
    pub(crate) target: String,
    /// `{host}`, `{name}` and `{port}` stand for the gateway's.
    pub(crate) host: &'static str,
    pub(crate) headers: Vec<(&'static str, &'static str)>,
}

/// The seed of the corpus that is told of.
pub(crate) const SEED: u64 = 20_261_121;

const WHO: [Option<&str>; 3] = [None, Some("bob"), Some("ann")];

/// The corpus. No two requests in it are the same.
pub(crate) fn corpus(seed: u64) -> Vec<Variant> {
    let mut made = Maker { dice: Dice(seed), made: Vec::new(), known: std::collections::HashSet::new() };
    made.plain_ones();
    made.headers();
    made.hosts();
    made.forms();
    made.heads_and_tails();
    made.respelled(500);
    made.climbs(1500);
    made.there_and_back(600);
    made.crumbs(600);
    made.made
}

/// A number that changes when any request of a corpus does (FNV-1a of its lines of JSON).
pub(crate) fn fingerprint(corpus: &[Variant]) -> u64 {
    let lines = corpus.iter().flat_map(|variant| serde_json::to_vec(variant).expect("JSON"));
    lines.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

struct Maker {
    dice: Dice,
    made: Vec<Variant>,
    known: std::collections::HashSet<Variant>,
}

impl Maker {
    fn add(&mut self, variant: Variant) {
        if self.known.insert(variant.clone()) {
            self.made.push(variant);
        }
    }

    /// With a method, a person and now and then headers by chance.
    fn add_path(&mut self, family: &'static str, target: String) {
        let who = self.dice.one_of(&WHO);
        let method = self.dice.one_of(&METHODS);
        let headers = if self.dice.below(4) == 0 { self.dice.one_of(&HEADER_SETS).to_vec() } else { Vec::new() };
        self.add(Variant { family, who, method, target, host: "{host}", headers });
    }

    fn plain_ones(&mut self) {
        for target in PLACES {
            for who in WHO {
                for method in ["GET", "POST", "HEAD", "OPTIONS", "get", "PROPFIND"] {
                    let (target, headers) = (target.to_owned(), Vec::new());
                    self.add(Variant { family: "plain", who, method, target, host: "{host}", headers });
                }
            }
        }
    }

    fn headers(&mut self) {
        for set in HEADER_SETS {
            for (target, who) in [
                ("/public/logo.svg", None),
                ("/public/logo.svg", Some("ann")),
                ("/app", None),
                ("/app", Some("bob")),
                ("/authors/q3", Some("ann")),
                ("/authors/q3", Some("bob")),
                ("/oauth2/userinfo", Some("ann")),
            ] {
                let (target, headers) = (target.to_owned(), set.to_vec());
                self.add(Variant { family: "headers", who, method: "GET", target, host: "{host}", headers });
            }
        }
        for _ in 0..300 {
            let mut headers = Vec::new();
            for _ in 0..2 + self.dice.below(3) {
                headers.extend_from_slice(self.dice.one_of(&HEADER_SETS));
            }
            let (who, method) = (self.dice.one_of(&WHO), self.dice.one_of(&METHODS));
            let target = self.dice.one_of(&PLACES).to_owned();
            self.add(Variant { family: "headers", who, method, target, host: "{host}", headers });
        }
    }

    fn hosts(&mut self) {
        for host in HOSTS {
            for target in ["/", "/public/logo.svg", "/authors/q3", "/oauth2/start"] {
                for who in WHO {
                    let (target, headers) = (target.to_owned(), Vec::new());
                    self.add(Variant { family: "hosts", who, method: "GET", target, host, headers });
                }
            }
        }
    }

    fn forms(&mut self) {
        let elsewhere =
            ["http://{host}", "HTTP://{host}", "https://{host}", "http://lab.test", "http://forged.example"];
        let mut targets: Vec<String> = ["", "*", "**", "*/", "?", "?/public/", "#", ".", "..", "authors/q3", "public/"]
            .into_iter()
            .chain(["http:/authors/q3", "http:authors/q3", "http://", "http:///authors/q3", "//lab.test/authors/q3"])
            .chain(["lab.test:80", "{host}", "file:///authors/q3", "javascript:/public/", "http://{host}@lab.test/"])
            .chain(["http://lab.test:1/public/", "http://lab.test./public/", "http://LAB.test/public/"])
            .map(str::to_owned)
            .collect();
        for place in PLACES.into_iter().chain(["", "/public/../authors/q3", "/public/..%2fauthors/q3", "//authors/q3"])
        {
            targets.extend(elsewhere.iter().map(|origin| format!("{origin}{place}")));
        }
        for target in targets {
            for (who, method) in [(None, "GET"), (None, "OPTIONS"), (Some("bob"), "GET"), (Some("ann"), "GET")] {
                let target = target.clone();
                self.add(Variant { family: "forms", who, method, target, host: "{host}", headers: Vec::new() });
            }
        }
    }

    fn heads_and_tails(&mut self) {
        for place in PLACES {
            let (name, bare) = (place.trim_start_matches('/'), place.trim_end_matches('/'));
            for head in HEADS {
                self.add_path("heads", format!("{head}{name}"));
            }
            for tail in TAILS {
                self.add_path("tails", format!("{bare}{tail}"));
                if self.dice.below(2) == 0 {
                    self.add_path("tails", format!("{place}x{tail}"));
                }
            }
            for query in QUERIES {
                self.add_path("queries", format!("{place}{query}"));
            }
        }
        for own in ["/oauth2/start", "/oauth2/userinfo", "/.well-known/jwks.json"] {
            for tail in TAILS {
                self.add_path("own paths", format!("{own}{tail}"));
                let slash = self.dice.one_of(&SLASHES);
                self.add_path("own paths", format!("{own}{tail}{slash}authors/q3"));
            }
            for head in HEADS {
                self.add_path("own paths", format!("{head}{}", &own[1..]));
            }
            for _ in 0..20 {
                let (slash, climb) = (self.dice.one_of(&SLASHES), self.dice.one_of(&CLIMBS));
                self.add_path("own paths", format!("{own}{slash}{climb}{slash}{climb}/authors/q3"));
                self.add_path("own paths", format!("/authors{slash}{climb}{own}"));
            }
        }
    }

    /// A place with some of its letters in other clothes.
    fn respelled(&mut self, times: usize) {
        for _ in 0..times {
            let place = self.dice.one_of(&PLACES);
            let mut target = String::new();
            for (at, c) in place.chars().enumerate() {
                let dressed = match (c, self.dice.below(if c == '/' { 3 } else { 8 })) {
                    ('/', 0) if at > 0 => self.dice.one_of(&SLASHES).to_owned(),
                    ('/', _) => c.to_string(),
                    (_, 0) => format!("%{:02x}", u32::from(c)),
                    (_, 1) => {
                        self.dice.one_of(&[format!("%25{:02x}", u32::from(c)), format!("%2525{:02X}", u32::from(c))])
                    }
                    (_, 2) if self.dice.below(4) == 0 => format!("{c};x"),
                    _ => c.to_string(),
                };
                target.push_str(&dressed);
            }
            self.add_path("respelled", target);
        }
    }

    /// From one place up, and down into another.
    fn climbs(&mut self, times: usize) {
        for _ in 0..times {
            let (from, to) = (self.dice.one_of(&PLACES), self.dice.one_of(&PLACES));
            let climbed = self.climbed(from, to);
            self.add_path("climbs", climbed);
        }
    }

    /// Into another place and back again, in two spellings: who follows one of them only is elsewhere.
    fn there_and_back(&mut self, times: usize) {
        for _ in 0..times {
            let (from, over) = (self.dice.one_of(&PLACES), self.dice.one_of(&PLACES));
            let there = self.climbed(from, over);
            let back = self.climbed(over, from);
            let back = back.strip_prefix(over).unwrap_or(&back).to_owned();
            self.add_path("there and back", format!("{there}{back}"));
        }
    }

    fn climbed(&mut self, from: &str, to: &str) -> String {
        let depth = from.trim_end_matches('/').matches('/').count();
        let (climb, slash) = (self.dice.one_of(&CLIMBS), self.dice.one_of(&SLASHES));
        let mut path = from.to_owned();
        let steps = if self.dice.below(5) == 0 { depth + 1 } else { depth };
        for step in 0..steps.max(1) {
            if !path.ends_with('/') || (step == 0 && self.dice.below(6) == 0) {
                path.push_str(slash);
            }
            // One spelling all the way, or each step its own.
            let mixed = self.dice.below(3) == 0;
            path.push_str(if mixed { self.dice.one_of(&CLIMBS) } else { climb });
            if step + 1 < steps {
                path.push_str(if mixed { self.dice.one_of(&SLASHES) } else { slash });
            }
        }
        path.push_str(self.dice.one_of(&[slash, "/", "/"]));
        path.push_str(to.trim_start_matches('/'));
        path
    }

    fn crumbs(&mut self, times: usize) {
        for _ in 0..times {
            let mut target = self.dice.one_of(&["/", "/", "/public/", "/authors/", "/staff/public/"]).to_owned();
            for _ in 0..=self.dice.below(8) {
                target.push_str(self.dice.one_of(&CRUMBS));
            }
            self.add_path("crumbs", target);
        }
    }
}

/// `SplitMix64`: the same numbers on every machine, with every version of every crate.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let bound = u64::try_from(bound).expect("small");
        usize::try_from((mixed ^ (mixed >> 31)) % bound).expect("small")
    }

    fn one_of<T: Clone>(&mut self, things: &[T]) -> T {
        things[self.below(things.len())].clone()
    }
}
