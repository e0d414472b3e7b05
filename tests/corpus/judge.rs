//! Whether a request should have reached the workload as it did: by what servers would have served for it, and by what the
//! session says. It knows rules of no gateway, only the site's areas.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::servers;
use super::site::{Area, Person, Site, Who};

/// A request as the workload received it, byte for byte.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) target: String,
    /// Names as they were spelled.
    pub(crate) headers: Vec<(String, String)>,
}

/// What the gateway tells workloads, and by which header.
#[derive(Clone, Debug)]
pub(crate) struct Contract {
    /// The header with the user.
    pub(crate) user: String,
    /// The header with the groups.
    pub(crate) groups: String,
    /// The session cookie's name, which workloads never see.
    pub(crate) cookie: String,
    /// Whether there is a token with the area's audience.
    pub(crate) tokens: bool,
}

/// Some servers serve what these name instead of the path.
const BESIDE: [&str; 5] =
    ["x-original-url", "x-original-uri", "x-rewrite-url", "x-forwarded-uri", "x-forwarded-prefix"];

/// Judges.
pub(crate) struct Judge {
    site: Site,
    contract: Contract,
    // The same comes many times: by both doors, in each mode.
    known: Mutex<HashMap<[String; 3], Arc<Vec<Reading>>>>,
}

/// What some server makes of a path, and the areas that it may take that for.
#[derive(Debug, PartialEq, Eq)]
struct Reading {
    path: Vec<u8>,
    areas: Vec<Area>,
}

impl Judge {
    pub(crate) fn new(site: Site, contract: Contract) -> Self {
        Self { site, contract, known: Mutex::default() }
    }

    /// What is wrong with a request of this person's having been served. Nothing, if all is well.
    pub(crate) fn wrong(&self, person: Option<&str>, seen: &Seen) -> Vec<String> {
        let person = person.and_then(|name| self.site.person(name));
        let mut wrong = self.wrong_with_identity(person, seen);
        wrong.extend(self.wrong_with_place(person, seen));
        wrong
    }

    /// Who the workload takes it to be: servers fold `_` to `-`, so that every spelling counts.
    pub(crate) fn shown<'s>(&self, seen: &'s Seen) -> Vec<&'s str> {
        seen.folded(&self.contract.user)
    }

    /// Headers that came through and that some few servers may take for others: lighttpd's CGI has `_` for all that is no
    /// letter and no digit. Told, and not counted as wrong: README.md says why.
    pub(crate) fn doubtful<'s>(&self, seen: &'s Seen) -> Vec<&'s str> {
        let owned = [&*self.contract.user, &*self.contract.groups];
        let other = |name: &str| {
            let letters = |byte: u8| if byte.is_ascii_alphanumeric() { byte.to_ascii_lowercase() } else { b'-' };
            let as_cgi = || name.bytes().map(letters);
            let identity = owned.iter().any(|own| as_cgi().eq(own.bytes())) && !name.contains(['-', '_']);
            let path = BESIDE.iter().any(|own| as_cgi().eq(own.bytes())) && !BESIDE.contains(&name);
            identity || path
        };
        seen.headers.iter().map(|(name, _)| name.as_str()).filter(|name| other(name)).collect()
    }

    /// For whom the token is, if there is one.
    pub(crate) fn audience(seen: &Seen) -> Option<Vec<String>> {
        let claims = claims(seen.folded("authorization").first()?)?;
        let audience = claims.get("aud")?;
        let one = audience.as_str().map(|one| vec![one.to_owned()]);
        one.or_else(|| Some(audience.as_array()?.iter().filter_map(|it| Some(it.as_str()?.to_owned())).collect()))
    }

    fn wrong_with_identity(&self, person: Option<&Person>, seen: &Seen) -> Vec<String> {
        let mut wrong = Vec::new();
        let shown = self.shown(seen);
        let own = person.map(|person| vec![person.user.as_str()]).unwrap_or_default();
        if !shown.is_empty() && shown != own {
            wrong.push(format!("identity {shown:?} instead of {own:?}"));
        }
        let groups = seen.folded(&self.contract.groups);
        let own = person.map(|person| vec![person.groups.join(",")]).unwrap_or_default();
        if !groups.is_empty() && groups != own {
            wrong.push(format!("groups {groups:?} instead of {own:?}"));
        }
        for authorization in seen.folded("authorization").into_iter().filter(|_| self.contract.tokens) {
            let subject = claims(authorization).and_then(|claims| Some(claims.get("sub")?.as_str()?.to_owned()));
            if subject.is_none() || subject.as_deref() != person.map(|person| person.user.as_str()) {
                wrong.push(format!("authorization of {subject:?}"));
            }
        }
        if !seen.folded("txn-token").is_empty() {
            wrong.push("a transaction token that nobody set".into());
        }
        if seen.folded("cookie").iter().any(|cookies| cookies.contains(&format!("{}=", self.contract.cookie))) {
            wrong.push("the session's cookie".into());
        }
        for beside in BESIDE {
            if seen.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(beside)) {
                wrong.push(format!("a path in {beside}"));
            }
        }
        // Envoy's own, whose value is what was sent; the client's says `forged`.
        if seen.folded("x-envoy-original-path").iter().any(|path| path.contains("forged")) {
            wrong.push("a path in x-envoy-original-path".into());
        }
        wrong
    }

    fn wrong_with_place(&self, person: Option<&Person>, seen: &Seen) -> Vec<String> {
        let readings = self.readings(seen);
        let mut common = readings[0].areas.clone();
        for Reading { path, areas } in readings.iter() {
            if let Some(closed) = areas.iter().find(|area| !area.admits(person)) {
                let name = person.map_or("nobody", |person| &*person.name);
                return vec![format!("{} for {name}, to a server that reads {}", closed.name, path.escape_ascii())];
            }
            common.retain(|area| areas.contains(area));
        }
        if common.is_empty() {
            let names: BTreeSet<_> = readings.iter().map(|reading| &reading.areas[0].name).collect();
            return vec![format!("in several areas at once: {names:?}")];
        }
        if common.iter().any(|area| self.is_told_as_in(area, person, seen)) {
            return Vec::new();
        }
        let names: Vec<_> = common.iter().map(|area| &area.name).collect();
        vec![format!("told {:?}, {:?} in {names:?}", self.shown(seen), Self::audience(seen))]
    }

    fn readings(&self, seen: &Seen) -> Arc<Vec<Reading>> {
        let asked = [seen.host(), seen.method.clone(), seen.target.clone()];
        if let Some(found) = self.known.lock().expect("nobody panics with it").get(&asked) {
            return Arc::clone(found);
        }
        let [host, method, target] = &asked;
        let mut readings = Vec::new();
        for path in servers::readings(target) {
            let areas = self.site.areas(host, method, &path).into_iter().cloned().collect();
            // Many of them are in the same areas; one tells enough.
            if readings.iter().all(|known: &Reading| known.areas != areas) {
                readings.push(Reading { path, areas });
            }
        }
        let found = Arc::new(readings);
        self.known.lock().expect("nobody panics with it").insert(asked, Arc::clone(&found));
        found
    }

    fn is_told_as_in(&self, area: &Area, person: Option<&Person>, seen: &Seen) -> bool {
        if area.who == Who::Everyone {
            return self.shown(seen).is_empty() && !(self.contract.tokens && Self::audience(seen).is_some());
        }
        let token = !self.contract.tokens || Self::audience(seen).as_ref() == Some(&area.audience);
        token && person.is_some_and(|person| self.shown(seen) == [person.user.as_str()])
    }
}

impl Seen {
    /// All values of a header: many servers take `_` for `-`, and none cares for upper case.
    pub(crate) fn folded(&self, name: &str) -> Vec<&str> {
        let folds = |(spelled, own): (u8, u8)| spelled.eq_ignore_ascii_case(&own) || (spelled == b'_' && own == b'-');
        let same = |spelled: &str| spelled.len() == name.len() && spelled.bytes().zip(name.bytes()).all(folds);
        self.headers.iter().filter(|(spelled, _)| same(spelled)).map(|(_, value)| value.as_str()).collect()
    }

    /// The host's name, as a server compares it: without port and dot at the end, in lower case.
    pub(crate) fn host(&self) -> String {
        let host = self.folded("host").first().copied().unwrap_or_default().to_ascii_lowercase();
        let name = host.rsplit_once(':').map_or(host.as_str(), |(name, _)| name);
        name.rsplit('@').next().unwrap_or_default().trim_end_matches('.').to_owned()
    }
}

fn claims(authorization: &str) -> Option<serde_json::Value> {
    let token = authorization.strip_prefix("Bearer ")?;
    let payload = token.split('.').nth(1)?;
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()
}
