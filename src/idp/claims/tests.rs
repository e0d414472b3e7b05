use serde_json::json;

use super::*;
use crate::config::for_tests::provider;
use crate::identity::GroupName;

fn settings(user_claim: &str, groups_claim: &str) -> IdentitySettings {
    read(&format!("{{user: {{claim: '{user_claim}'}}, groups: {{claim: '{groups_claim}'}}}}"))
}

/// As the file spells them.
fn read(identity: &str) -> IdentitySettings {
    let issuer = "http://127.0.0.1:1";
    provider(&format!("{{id: corp, issuer: '{issuer}', client_id: c, client_auth: none, identity: {identity}}}"))
        .identity
}

fn claims(id_token: Value, userinfo: Value) -> Claims {
    let map = |value| serde_json::from_value(value).expect("an object");
    Claims { id_token: map(id_token), userinfo: map(userinfo), graph_groups: None }
}

fn judged(id_token: Value, userinfo: Value, settings: &IdentitySettings) -> Result<Identity, String> {
    let provider = ProviderId::parse("corp").expect("an id");
    let identity = claims(id_token, userinfo).identity("s1", &provider, settings);
    identity.map_err(|trouble| {
        assert!(matches!(trouble, Trouble::UnusableIdentity(_)), "{trouble:?}");
        trouble.reason().to_owned()
    })
}

fn groups(value: &Value) -> Result<Vec<String>, String> {
    let identity = judged(json!({"sub": "s1", "groups": value}), json!({}), &settings("sub", "groups"))?;
    Ok(identity.groups.iter().map(ToString::to_string).collect())
}

#[test]
fn groups_are_strings_and_nothing_else() {
    assert_eq!(groups(&json!(["a", "b", "a"])), Ok(vec!["a".into(), "b".into()]));
    assert_eq!(groups(&json!("one, with a comma")), Ok(vec!["one, with a comma".into()]));
    assert_eq!(groups(&json!([])), Ok(vec![]));
    assert_eq!(groups(&Value::Null), Ok(vec![]));
    for bad in [json!(7), json!({"a": 1}), json!(["a", 7]), json!([["a"]]), json!(true), json!(["a", null])] {
        let reason = groups(&bad).expect_err("refused");
        assert!(reason.contains("claim `groups`") && reason.contains("identity.groups.claim"), "{bad}: {reason}");
    }
    let flood: Vec<String> = (0..2_000).map(|n| format!("{n:0100}")).collect();
    assert!(groups(&json!(flood)).expect_err("refused").contains("there are more than 2000 groups"));
}

#[test]
fn dots_descend_unless_the_claim_has_that_very_name() {
    let said = json!({"sub": "s1", "realm_access": {"roles": ["a"]}, "https://example.com/groups": ["b"]});
    for (claim, group) in [("realm_access.roles", Some("a")), ("https://example.com/groups", Some("b")), ("x.y", None)]
    {
        let identity = judged(said.clone(), json!({}), &settings("sub", claim)).expect("an identity");
        assert_eq!(identity.groups.iter().map(GroupName::as_str).next(), group, "{claim}");
    }
}

#[test]
fn an_address_counts_only_if_the_provider_vouches_for_it() {
    let by_email = settings("email", "groups");
    let trusting = IdentitySettings { allow_unverified_email: true, ..by_email.clone() };
    let verified = json!({"email": "ann@example.com", "email_verified": true});
    let identity = judged(verified, json!({}), &by_email).expect("an identity");
    assert_eq!(identity.user.as_str(), "ann@example.com");
    for unproven in [json!(null), json!(false), json!("true"), json!(1)] {
        let said = json!({"sub": "s1", "email": "ann@example.com", "email_verified": unproven});
        let reason = judged(said.clone(), json!({}), &by_email).expect_err("refused");
        assert!(reason.contains("identity.allow_unverified_email"), "{unproven}: {reason}");
        assert!(judged(said.clone(), json!({}), &trusting).is_ok(), "{unproven}");
        let by_subject = judged(said, json!({}), &settings("sub", "groups")).expect("an identity");
        assert_eq!(by_subject.email, None, "{unproven}");
    }
}

#[test]
fn a_verified_address_vouches_for_no_other_one() {
    let by_email = settings("email", "groups");
    let ann = json!({"email": "ann@example.com"});
    let eve = json!({"email": "eve@example.com", "email_verified": true});
    assert!(judged(ann.clone(), eve, &by_email).is_err());
    let same = json!({"email": "ann@example.com", "email_verified": true});
    assert!(judged(ann, same.clone(), &by_email).is_ok());
    let denied = json!({"email": "ann@example.com", "email_verified": false});
    assert!(judged(denied, same, &by_email).is_err(), "the ID token says no");
}

#[test]
fn a_user_that_no_header_could_carry_is_refused() {
    for bad in [json!(""), json!(7), json!(["ann"]), json!("ann\r\nx: y"), json!("a\0b"), json!(" ann")] {
        let prefixed = IdentitySettings { user_prefix: "corp:".into(), ..settings("name", "groups") };
        let reason = judged(json!({"name": bad}), json!({}), &prefixed).expect_err("refused");
        assert!(reason.contains("claim `name`"), "{bad}: {reason}");
    }
    for bad in ["ann@example.com\r\nx: y", "a@b@c", "ann", "a\0@b"] {
        let said = json!({"email": bad, "email_verified": true});
        assert!(judged(said, json!({}), &settings("email", "groups")).is_err(), "{bad:?}");
    }
    let missing = judged(json!({}), json!({}), &settings("name", "groups")).expect_err("refused");
    assert!(missing.contains("identity.user.claim") && missing.contains("scopes"), "{missing}");
}

#[test]
fn the_prefix_stands_before_the_user_and_words_of_the_sign_in_are_kept() {
    let prefixed = IdentitySettings { user_prefix: "corp:".into(), ..settings("name", "groups") };
    let said = json!({"name": "ann", "auth_time": 1_000, "acr": "gold", "amr": ["pwd", "otp"], "sid": "x"});
    let identity = judged(said, json!({"acr": "not from here"}), &prefixed).expect("an identity");
    assert_eq!(identity.user.as_str(), "corp:ann");
    assert_eq!(identity.auth_time.map(crate::clock::UnixTime::as_secs), Some(1_000));
    assert_eq!(identity.acr.as_deref(), Some("gold"));
    assert_eq!(identity.amr, ["pwd", "otp"]);
    for bad in [json!({"amr": 7}), json!({"amr": [7]}), json!({"acr": {}}), json!({"acr": "x".repeat(256)})] {
        let mut said = bad.clone();
        said["name"] = json!("ann");
        assert!(judged(said, json!({}), &prefixed).is_err(), "{bad}");
    }
}

#[test]
fn userinfo_is_wanted_only_for_what_is_missing() {
    let all = json!({"email": "a@b", "email_verified": true, "groups": []});
    assert!(!claims(all, json!({})).want_userinfo(&settings("email", "groups")));
    for lacking in [
        json!({"email": "a@b", "groups": []}),
        json!({"email_verified": true, "groups": []}),
        json!({"email": "a@b", "email_verified": true}),
    ] {
        assert!(claims(lacking.clone(), json!({})).want_userinfo(&settings("email", "groups")), "{lacking}");
    }
}

#[test]
fn a_user_is_put_into_lower_case_then_transformed_then_prefixed() {
    let user = |identity: &str, name: &str| {
        judged(json!({"name": name}), json!({}), &read(identity)).map(|identity| identity.user.to_string())
    };
    let all = "{user: {claim: name, transform: [{regex: '([^@]+)@example\\.com', replace: '$1'}, {regex: 'svc-.*', \
               replace: ''}], lower_case: true, prefix: 'Corp:'}}";
    assert_eq!(user(all, "Ann@Example.com"), Ok("Corp:ann".into()));
    assert_eq!(user(all, "Ann@example.com.evil.example"), Ok("Corp:ann@example.com.evil.example".into()));
    assert_eq!(user(all, "\u{212a}im"), Ok("Corp:\u{212a}im".into()), "the Kelvin sign is nobody's k");
    let reason = user(all, "svc-backup").expect_err("refused");
    assert!(reason.contains("claim `name`") && reason.contains("`identity.user.transform`"), "{reason}");
    assert!(reason.contains("it is empty"), "{reason}");
    for broken in ["a\\tb", " $1", "$1 ", "\\u0000"] {
        let identity = format!("{{user: {{claim: name, transform: [{{regex: '(.*)', replace: \"{broken}\"}}]}}}}");
        assert!(user(&identity, "ann").expect_err("refused").contains("surrounding white space"), "{broken:?}");
    }
    let large = format!("{{user: {{claim: name, transform: [{{regex: '(.*)', replace: '{}'}}]}}}}", "$1".repeat(200));
    assert!(user(&large, "ann").expect_err("refused").contains("longer than 320 bytes"));
    assert_eq!(user("{user: {claim: name}}", "Ann"), Ok("Ann".into()), "by default two cases are two users");
}

#[test]
fn no_provider_makes_a_user_of_kubernetes_whatever_the_settings_make_of_its_names() {
    let user = |identity: &str, name: &str| {
        judged(json!({"name": name}), json!({}), &read(identity)).map(|identity| identity.user.to_string())
    };
    let as_said = "{user: {claim: name}}";
    for (identity, name) in [
        (as_said, "system:serviceaccount:kubeflow:ml-pipeline"),
        (as_said, "System:ServiceAccount:a:b"),
        (as_said, "system:anonymous"),
        ("{user: {claim: name, lower_case: true}}", "SYSTEM:node:a"),
        ("{user: {claim: name, transform: [{regex: 'x-(.*)', replace: '$1'}]}}", "x-system:serviceaccount:a:b"),
        ("{user: {claim: name, transform: [{regex: '(.*)', replace: 'system:serviceaccount:$1'}]}}", "a:b"),
        ("{user: {claim: name, prefix: 'system:serviceaccount:'}}", "a:b"),
        ("{user: {claim: name, prefix: system}}", ":serviceaccount:a:b"),
    ] {
        let reason = user(identity, name).expect_err(name);
        for part in ["claim `name`", "Kubernetes keeps names", "`identity.user.prefix`", "`kubernetes`"] {
            assert!(reason.contains(part), "{reason}");
        }
    }
    let apart = "{user: {claim: name, prefix: 'corp:'}}";
    assert_eq!(user(apart, "system:serviceaccount:a:b"), Ok("corp:system:serviceaccount:a:b".into()));
    for near in ["system", "systems:x", "my-system:x", "\u{17f}ystem:x"] {
        assert_eq!(user(as_said, near), Ok(near.into()));
    }
}

#[test]
fn groups_of_kubernetes_are_left_out_whatever_the_settings_make_of_their_names() {
    let groups = |identity: &str, said: Value| {
        let identity =
            judged(json!({"email": "a@b", "email_verified": true, "groups": said}), json!({}), &read(identity));
        identity.map(|identity| identity.groups.iter().map(ToString::to_string).collect::<Vec<_>>())
    };
    let said = json!(["ml", "system:masters", "System:nodes", " system:masters", "\nsystem:masters", "systems"]);
    assert_eq!(groups("{}", said), Ok(vec!["ml".into(), "systems".into()]));
    assert_eq!(groups("{}", json!("system:masters")), Ok(vec![]));
    let renamed = "{groups: {rename: [{regex: 'k8s-(.*)', replace: 'system:$1'}]}}";
    assert_eq!(groups(renamed, json!(["k8s-masters", "ops"])), Ok(vec!["ops".into()]));
    assert_eq!(groups("{groups: {prefix: 'system:'}}", json!(["masters", "ops"])), Ok(vec![]));
    let apart = groups("{groups: {prefix: 'corp:'}}", json!(["system:masters"]));
    assert_eq!(apart, Ok(vec!["corp:system:masters".into()]));
    let mut by_graph = claims(json!({"email": "a@b", "email_verified": true}), json!({}));
    by_graph.graph_groups = Some(vec!["system:masters".into(), "ml".into()]);
    let provider = ProviderId::parse("corp").expect("an id");
    let identity = by_graph.identity("s1", &provider, &read("{}")).expect("an identity");
    assert_eq!(identity.groups.to_csv(), "ml");
}

#[test]
fn an_address_is_verified_before_it_is_transformed() {
    let by_part = read("{user: {transform: [{regex: '(.*)@.*', replace: '$1'}]}}");
    let said = |verified: bool| json!({"email": "Ann@Example.com", "email_verified": verified});
    let identity = judged(said(true), json!({}), &by_part).expect("an identity");
    assert_eq!(
        (identity.user.as_str(), identity.email.map(|email| email.to_string())),
        ("Ann", Some("Ann@Example.com".into()))
    );
    assert!(judged(said(false), json!({}), &by_part).is_err());
}

#[test]
fn groups_are_chosen_by_the_providers_names_then_renamed_then_prefixed() {
    let groups = |identity: &str, said: Value| {
        let identity =
            judged(json!({"email": "a@b", "email_verified": true, "groups": said}), json!({}), &read(identity));
        identity.map(|identity| identity.groups.iter().map(ToString::to_string).collect::<Vec<_>>())
    };
    let ldap = "{groups: {only: ['cn=*,ou=mesh,dc=example,dc=com'], rename: [{regex: 'cn=([^,]+),.*', replace: '$1'}], \
                prefix: 'ldap:'}}";
    let said = json!(["cn=ml,ou=mesh,dc=example,dc=com", "cn=wifi,ou=other,dc=example,dc=com", "ml"]);
    assert_eq!(groups(ldap, said), Ok(vec!["ldap:ml".into()]));
    let entra =
        "{groups: {rename: [{regex: 8f14, replace: ml}, {regex: c9f0, replace: ml}, {regex: '.*', replace: ''}]}}";
    assert_eq!(groups(entra, json!(["8f14", "c9f0", "8f140"])), Ok(vec!["ml".into()]), "each once, the rest left out");
    assert_eq!(groups("{groups: {only: [ml]}}", json!("ml")), Ok(vec!["ml".into()]));
    // What is left out does not count, however much of it there is.
    let flood: Vec<String> = (0..2_500).map(|n| format!("g-{n:060}")).chain(["keep".into()]).collect();
    assert_eq!(groups("{groups: {only: [keep]}}", json!(flood)), Ok(vec!["keep".into()]));
    let reason = groups("{}", json!(flood)).expect_err("refused");
    assert!(reason.contains("`identity.groups.only`"), "{reason}");
    let long = json!([format!("keep{}", "x".repeat(5_000))]);
    assert!(groups("{groups: {only: [none]}}", long).expect_err("refused").contains("longer than 4096 bytes"));
    assert!(groups("{groups: {prefix: 'x'}}", json!([""])).expect_err("refused").contains("it is empty"));
}
