//! Where there is no configuration file but authservice's variables are set, they are the configuration, and
//! authservice's contract is kept. What they ask for and we cannot do is refused, not passed over.

use http::HeaderName;

use super::migrate::MigrationError;
use super::migrate::authservice::{AuthserviceContract, in_its_place};
use super::problem::{ConfigErrors, Place, Problem, Report};
use super::tree::Node;
use super::variables::{self, Environment};
use super::{BearerSource, IdentityField, Loaded, Settings, alone, judge};

/// What to do about a variable that cannot be honoured.
const INSTEAD: &str = "Or write a configuration file: `countersign migrate authservice` drafts it.";

/// What Kubeflow's filters do not take over of an answer, they leave as the client wrote it.
const GROUPS_UNTOLD: &str = "it is not set, so no groups are told: the filters that Kubeflow shipped take over `kubeflow-userid` \
                             alone, and would let a client name groups of its own. Once allowed_upstream_headers lists \
                             `kubeflow-groups`, set it";

/// A configuration by authservice's variables.
#[derive(Clone, Debug)]
pub struct InAuthservicesPlace {
    /// As of a file. Checks have no prefix.
    pub loaded: Loaded,
    /// What authservice did besides.
    pub contract: AuthserviceContract,
}

/// Whether the environment is authservice's: it names the provider as only authservice does.
#[must_use]
pub fn names_authservices_provider(environment: impl Iterator<Item = (String, String)>) -> bool {
    environment.into_iter().any(|(name, value)| name == "OIDC_PROVIDER" && !value.trim().is_empty())
}

/// Reads authservice's variables, and the `COUNTERSIGN_…` variables over them.
///
/// # Errors
/// If anything is wrong with them, or asks for something that decides about access and that we do not do.
pub fn load_in_authservices_place(
    environment: impl Iterator<Item = (String, String)>,
) -> Result<InAuthservicesPlace, ConfigErrors> {
    let environment: Environment = environment.collect();
    let (draft, contract) = in_its_place(&environment).map_err(|error| {
        let MigrationError::Missing { name } = error else { return alone(problem("", error.to_string())) };
        alone(problem(name, "it is not set".to_owned()))
    })?;
    let mut report = Report::default();
    for (setting, why) in draft.left() {
        report.warn(problem(setting, why.clone()));
    }
    for (setting, why) in draft.to_do() {
        report.refuse(problem(setting, why.clone()));
    }
    let tells_groups = environment.get("GROUPS_HEADER").is_some_and(|name| !name.is_empty());
    if !tells_groups {
        report.warn(problem("GROUPS_HEADER", GROUPS_UNTOLD.to_owned()));
    }
    let yaml = draft.finish().yaml;
    let place = Place::File("authservice's variables".into());
    let root = Node::parse(&yaml, "", &|_| place.clone()).map_err(alone)?;
    let (_, mut loaded) = judge(root, &environment, report)?;
    loaded.settings.check_prefix.clear();
    loaded.settings.withheld.clone_from(&contract.former_headers);
    if !tells_groups {
        withhold_groups(&mut loaded.settings);
    }
    for source in &mut loaded.settings.bearer.sources {
        if let BearerSource::Session(session) = source {
            session.as_authservice = true;
        }
    }
    Ok(InAuthservicesPlace { loaded, contract })
}

/// Takes the groups' header away instead of setting it.
fn withhold_groups(settings: &mut Settings) {
    let is_groups = |(_, field): &(HeaderName, IdentityField)| *field == IdentityField::Groups;
    let groups = settings.headers.extract_if(.., |header| is_groups(header)).map(|(name, _)| name);
    settings.withheld.extend(groups);
}

fn problem(variable: &str, what: String) -> Problem {
    Problem { place: variables::place(variable), key: String::new(), what, instead: INSTEAD.to_owned() }
}
