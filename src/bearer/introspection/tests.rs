use std::path::Path;

use serde_json::json;

use super::*;
use crate::clock::{TestClock, UnixTime};
use crate::config::{BearerSource, EgressSettings, for_tests as settings};
use crate::idp::lying_idp::{Answer, CLIENT_ID, CLIENT_SECRET, LyingIdp, Seen};
use crate::secret::SecretText;

const INTROSPECT: &str = "/introspect";
const NOW: u64 = 1_800_000_000;

struct Rig {
    idp: LyingIdp,
    source: Introspection,
}

impl Rig {
    async fn new() -> Self {
        Self::with(|_| ()).await
    }

    async fn with(change: impl FnOnce(&mut IntrospectionSettings)) -> Self {
        let clock = Arc::new(TestClock::at(UnixTime::from_secs(NOW)));
        let idp = LyingIdp::start(clock.clone()).await;
        let text = format!(
            "{{kind: introspection, id: corp, introspection_url: '{}{INTROSPECT}', issuer: 'https://corp.example.com', \
             client_id: '{CLIENT_ID}', client_secret: '{CLIENT_SECRET}', audiences: [mesh], scopes: [mesh.read], \
             identity: {{user: {{claim: username, prefix: 'corp:'}}, groups: {{claim: realm.roles}}}}}}",
            idp.address
        );
        let nobody = settings::NOBODY.replace("id: corp", "id: nobody, identity: {user: {prefix: 'nobody:'}}");
        let sources = settings::settings(Path::new("/nowhere"), &nobody, &format!("bearer: [{text}]")).bearer;
        let [BearerSource::Introspection(settings)] = &sources.sources[..] else { panic!("{sources:?}") };
        let mut settings = settings.clone();
        change(&mut settings);
        let outbound = Outbound::new(&EgressSettings::default()).expect("a way out");
        let mut source = Introspection::new(settings, outbound, clock);
        // Longer than anything takes that is meant to be answered.
        source.outbound = source.outbound.with_deadline(Duration::from_secs(20));
        Self { idp, source }
    }

    fn answer(&self, answer: Answer) {
        self.idp.lie(|behaviour| drop(behaviour.answers.insert(INTROSPECT, answer)));
    }

    fn say(&self, members: &Value) {
        self.answer(Answer::Plain(200, "application/json;charset=UTF-8", members.to_string()));
    }

    fn question(&self) -> Seen {
        self.idp.seen(INTROSPECT).pop().expect("a question")
    }

    async fn refuses(&self, reason: &str) {
        match self.source.verify("opaque", Standing::Stranger).await {
            Err(Doubt::Refused(said)) => assert!(said.contains(reason), "`{said}` does not say `{reason}`"),
            other => panic!("{other:?}, though: {reason}"),
        }
    }

    async fn cannot_tell(&self, reason: &str) {
        match self.source.verify("opaque", Standing::Stranger).await {
            Err(Doubt::Unavailable(said)) => assert!(said.contains(reason), "`{said}` does not say `{reason}`"),
            other => panic!("{other:?}, though: {reason}"),
        }
    }
}

fn active() -> Value {
    json!({
        "active": true, "iss": "https://corp.example.com", "sub": "4711", "username": "ann", "aud": ["mesh", "lab"],
        "scope": "openid mesh.read", "client_id": "cli", "token_type": "Bearer", "exp": NOW + 600,
        "realm": {"roles": ["ml", "ops"]},
    })
}

fn with(name: &str, value: Value) -> Value {
    let mut members = active();
    members[name] = value;
    members
}

#[tokio::test]
async fn an_active_token_names_its_user() {
    let rig = Rig::new().await;
    rig.say(&active());
    let Vouched { identity, ends_at } =
        rig.source.verify("an+opaque/token=", Standing::Stranger).await.expect("it is good");
    assert_eq!((identity.user.as_str(), identity.subject.as_str()), ("corp:ann", "4711"));
    assert_eq!((identity.groups.to_csv().as_str(), identity.provider.as_str()), ("ml,ops", "corp"));
    assert_eq!(ends_at, Some(UnixTime::from_secs(NOW + 600)));

    let question = rig.question();
    assert_eq!(question.form["token"], "an+opaque/token=");
    assert_eq!(question.form["token_type_hint"], "access_token");
    assert!(!question.form.contains_key("client_secret"));
    assert_eq!(question.headers["accept"], "application/json");
    // `counter sign` and `p%:ss+ wörd`, each encoded as in a form.
    let basic = BASE64_STANDARD.encode("counter+sign:p%25%3Ass%2B+w%C3%B6rd");
    assert_eq!(question.headers["authorization"], format!("Basic {basic}"));
}

#[tokio::test]
async fn the_client_may_authenticate_in_the_form() {
    let rig = Rig::with(|settings| {
        settings.client_auth = ClientAuth::Post(SecretText::new(CLIENT_SECRET.to_owned()));
    })
    .await;
    rig.say(&active());
    assert!(rig.source.verify("opaque", Standing::Stranger).await.is_ok());
    let question = rig.question();
    assert_eq!(
        (question.form["client_id"].as_str(), question.form["client_secret"].as_str()),
        (CLIENT_ID, CLIENT_SECRET)
    );
    assert!(!question.headers.contains_key("authorization"));
}

#[tokio::test]
async fn only_an_active_token_is_good() {
    let rig = Rig::new().await;
    rig.say(&json!({"active": false}));
    rig.refuses("it is not active").await;
    rig.say(&with("active", json!(false)));
    rig.refuses("it is not active").await;
    for value in [json!("true"), json!(1), json!(null), json!([true])] {
        rig.say(&with("active", value));
        rig.cannot_tell("whether it is `active`").await;
    }
}

#[tokio::test]
async fn what_is_said_of_it_must_fit() {
    let rig = Rig::new().await;
    for (name, value, reason) in [
        ("aud", json!("lab"), "another audience"),
        ("aud", json!(null), "another audience"),
        ("aud", json!([["mesh"]]), "another audience"),
        ("scope", json!("openid"), "it lacks the scope `mesh.read`"),
        ("scope", json!("mesh.readall"), "it lacks the scope `mesh.read`"),
        ("scope", json!(["mesh.read"]), "it lacks the scope `mesh.read`"),
        ("iss", json!("https://evil.example"), "its `iss` is another"),
        ("iss", json!(["https://corp.example.com"]), "its `iss` is another"),
        ("exp", json!(NOW), "it has ended"),
        ("exp", json!("1900000000"), "its `exp` is no time"),
        ("nbf", json!(NOW + 61), "it is not good yet"),
        ("cnf", json!({"jkt": "x"}), "it is bound to a key"),
        ("token_type", json!("DPoP"), "it is no bearer token"),
        ("sub", json!(null), "`sub`"),
        ("sub", json!(""), "`sub`"),
        ("username", json!(null), "claim `username`"),
        ("username", json!("ann\r\nx: y"), "claim `username`"),
    ] {
        rig.say(&with(name, value));
        rig.refuses(reason).await;
    }
}

#[tokio::test]
async fn what_nobody_asked_for_may_be_left_out() {
    let rig = Rig::with(|settings| {
        (settings.audiences, settings.scopes, settings.issuer) = (Vec::new(), Vec::new(), None);
    })
    .await;
    rig.say(&json!({"active": true, "sub": "4711", "username": "ann"}));
    let Vouched { identity, ends_at } = rig.source.verify("opaque", Standing::Stranger).await.expect("it is good");
    assert_eq!((identity.user.as_str(), ends_at), ("corp:ann", None));
}

#[tokio::test]
async fn an_endpoint_that_misbehaves_says_nothing_of_the_token() {
    let rig = Rig::new().await;
    let json = active().to_string();
    for (answer, reason) in [
        (Answer::Plain(401, "application/json", json.clone()), "compare client_id, client_secret"),
        (Answer::Plain(403, "application/json", json.clone()), "compare client_id, client_secret"),
        (Answer::Plain(201, "application/json", json.clone()), "status 201"),
        (Answer::Plain(500, "application/json", json.clone()), "status 500"),
        (Answer::Plain(200, "text/html", json.clone()), "not JSON"),
        (Answer::Plain(200, "application/token-introspection+jwt", json), "not JSON"),
        (Answer::Plain(200, "application/json", "[true]".to_owned()), "no JSON object"),
        (Answer::CutShort, "no JSON object"),
        (Answer::Redirect(format!("{}/elsewhere", rig.idp.address)), "which is not followed"),
        (Answer::Huge, "larger than"),
    ] {
        rig.answer(answer);
        rig.cannot_tell(reason).await;
    }
    assert!(rig.idp.seen("/elsewhere").is_empty());
}

#[tokio::test]
async fn a_flood_of_texts_that_are_no_tokens_is_a_trickle_there() {
    let rig = Rig::new().await;
    rig.say(&json!({"active": false}));
    let strangers = QUESTIONS_AT_ONCE - QUESTIONS_AT_ONCE / 4;
    for _ in 0..strangers {
        rig.refuses("it is not active").await;
    }
    rig.cannot_tell("too many tokens").await;
    assert_eq!(rig.idp.seen(INTROSPECT).len() as u64, strangers);
    rig.say(&active());
    assert!(rig.source.verify("opaque", Standing::Known).await.is_ok(), "who was good before is asked about");
}
