//! Every way in which a provider may lie, or be odd and honest, by name. Where the OpenID Foundation's relying-party plans
//! have a name for it, it is theirs. What a gateway must make of each is not said here.

use serde_json::{Value, json};

use crate::lying_idp::{Answer, Behaviour, ClientAuth, DISCOVERY, JWKS, KEYS, LyingIdp, Signing, TOKEN, USERINFO};

/// One way to behave so.
pub(crate) struct Lie {
    pub(crate) since: Since,
    pub(crate) tell: Tell,
}

type Tell = Box<dyn Fn(&LyingIdp)>;

/// From when on it must be told to be noticed, or to go unnoticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Since {
    /// Before anybody has asked it anything.
    Beginning,
    /// The same, at a public address, where [`PUBLIC_ISSUER`] is what it calls itself.
    BeginningInPublic,
    /// Before a browser is sent there.
    Start,
    /// After a browser was sent there.
    Visit,
}

/// What a provider outside calls itself.
pub(crate) const PUBLIC_ISSUER: &str = "http://idp.example.test";
/// Where keys are offered that nobody should fetch.
pub(crate) const BAIT: &str = "/bait";

/// The variants of the behaviour of this name; empty if nothing is called so.
pub(crate) fn named(name: &str) -> Vec<Lie> {
    TABLE.iter().find(|(known, _)| *known == name).map(|(_, lies)| lies()).unwrap_or_default()
}

/// All names, in the order of the list.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    TABLE.iter().map(|(name, _)| *name)
}

type Entry = (&'static str, fn() -> Vec<Lie>);

const TABLE: &[Entry] = &[
    // Basic, and the same by form post.
    ("happy-path", || vec![honest()]),
    ("scope-userinfo-claims", || vec![behave(|idp| idp.id_token_lacks = &["groups", "email", "email_verified"])]),
    ("client-secret-basic", || vec![behave(|idp| idp.client_auth = ClientAuth::Basic)]),
    ("idtoken-sig-rs256", || vec![signing(Signing::Rs256)]),
    ("idtoken-sig-ps256", || vec![signing(Signing::Ps256)]),
    ("idtoken-sig-es256", || vec![signing(Signing::Es256)]),
    ("idtoken-sig-eddsa", || vec![signing(Signing::EdDsa)]),
    ("kid-absent-single-jwks", || {
        vec![begin(|idp| {
            idp.header = Box::new(|header| change(header, &json!({"kid": null})));
            idp.jwks = Box::new(|jwks| keys(jwks).truncate(1));
        })]
    }),
    ("invalid-iss", || vec![claims(json!({"iss": "https://evil.example"}))]),
    ("missing-sub", || vec![claims(json!({"sub": null}))]),
    ("invalid-aud", || vec![claims(json!({"aud": "another client"}))]),
    ("missing-iat", || vec![claims(json!({"iat": null}))]),
    ("nonce-invalid", || vec![claims(json!({"nonce": "of another flow"})), claims(json!({"nonce": null}))]),
    ("invalid-sig-rs256", || vec![signing(Signing::Strangers)]),
    ("userinfo-invalid-sub", || vec![userinfo(json!({"sub": "eve-1"}))]),
    ("idtoken-sig-none", || vec![signing(Signing::None)]),
    ("kid-absent-multiple-jwks", || {
        vec![begin(|idp| {
            idp.header = Box::new(|header| change(header, &json!({"kid": null})));
            idp.jwks = Box::new(|jwks| {
                let mut other = keys(jwks)[0].clone();
                other["kid"] = json!("rsa-2");
                keys(jwks).push(other);
            });
        })]
    }),
    // Config.
    ("discovery-openid-config", || vec![metadata(json!({"service_documentation": 7, "claims_supported": null}))]),
    ("discovery-jwks-uri-keys", || {
        vec![begin_at(|idp| {
            let elsewhere = format!("{}{KEYS}", idp.issuer);
            idp.lie(|idp| {
                idp.metadata = Box::new(move |metadata| metadata["jwks_uri"] = json!(elsewhere));
                idp.answers.insert(JWKS, Answer::Plain(404, "text/plain", String::new()));
            });
        })]
    }),
    ("signing-key-rotation", || {
        vec![Lie { since: Since::Start, tell: Box::new(|idp| idp.rotate("rotated-before-the-start")) }]
    }),
    ("signing-key-rotation-just-before-signing", || {
        vec![Lie { since: Since::Visit, tell: Box::new(|idp| idp.rotate("rotated-before-signing")) }]
    }),
    ("discovery-issuer-mismatch", || vec![metadata(json!({"issuer": "https://evil.example"}))]),
    // Comprehensive.
    ("missing-aud", || vec![claims(json!({"aud": null}))]),
    ("invalid-sig-es256", || vec![signing(Signing::Tampered)]),
    ("invalid-sig-hs256", || vec![signing(Signing::Hs256)]),
    ("invalid-at-hash", || vec![claims(json!({"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"}))]),
    ("empty-at-hash", || vec![claims(json!({"at_hash": ""})), claims(json!({"at_hash": 7}))]),
    // The code flow leaves it to the provider (OIDC Core section 3.1.3.6).
    ("missing-at-hash", || vec![claims(json!({"at_hash": null}))]),
    ("form-post-error", || {
        vec![sent(|parameters| {
            parameters.retain(|(name, _)| name != "code");
            parameters.push(("error".to_owned(), "access_denied".to_owned()));
            parameters.push(("error_description".to_owned(), "not <today>".to_owned()));
        })]
    }),
    ("userinfo-signed-jwt", || {
        [Signing::Rs256, Signing::Ps256, Signing::Es256, Signing::EdDsa]
            .map(|signing| behave(move |idp| (idp.signed_userinfo, idp.signing) = (true, signing)))
            .into()
    }),
    ("mtls-endpoint-aliases", || {
        vec![begin_at(|idp| {
            let elsewhere = format!("{}/mtls", idp.issuer);
            idp.lie(|idp| {
                idp.metadata = Box::new(move |metadata| {
                    metadata["mtls_endpoint_aliases"] = json!({
                        "token_endpoint": elsewhere, "userinfo_endpoint": elsewhere, "jwks_uri": elsewhere,
                    });
                });
            });
        })]
    }),
    // Refresh.
    ("refresh-token-invalid-issuer", || vec![refreshed(json!({"iss": "https://evil.example"}))]),
    ("refresh-token-invalid-sub", || vec![refreshed(json!({"sub": "eve-1"}))]),
    ("refresh-token-changed-aud", || vec![refreshed(json!({"aud": "another client"}))]),
    ("refresh-token-changed-auth-time", || vec![refreshed(json!({"auth_time": 1_799_999_999}))]),
    // Logout.
    ("backchannel-happy-path", || vec![honest()]),
    ("backchannel-alg-none", || vec![signing(Signing::None)]),
    ("backchannel-wrong-alg", || vec![signing(Signing::Hs256), signing(Signing::Rs512)]),
    ("backchannel-no-event", || vec![claims(json!({"events": null}))]),
    ("backchannel-wrong-event", || vec![claims(json!({"events": {"http://schemas.example/other": {}}}))]),
    ("backchannel-with-nonce", || vec![claims(json!({"nonce": "n"}))]),
    ("backchannel-wrong-aud", || vec![claims(json!({"aud": "another client"}))]),
    ("backchannel-duplicated-logout-token", || vec![twice("logout_token")]),
    ("rp-initiated-logout", || vec![honest()]),
    ("rp-initiated-logout-bad-state", || vec![sent(|parameters| set(parameters, "state", "of-another-logout"))]),
    ("rp-initiated-logout-no-state", || vec![sent(Vec::clear)]),
    ("frontchannel-logout", || vec![honest()]),
    ("backchannel-wrong-iss", || vec![claims(json!({"iss": "https://evil.example"}))]),
    // FAPI 2.
    ("audience-as-array", || vec![claims(json!({"aud": [crate::lying_idp::CLIENT_ID]}))]),
    ("token-response-without-expires-in", || vec![token(json!({"expires_in": null}))]),
    ("token-type-in-any-case", || {
        ["bearer", "BEARER", "bEaReR"].map(|spelt| token(json!({"token_type": spelt}))).into()
    }),
    ("same-kid-decoys", || {
        vec![begin(|idp| {
            idp.jwks = Box::new(|jwks| {
                let mut decoys = Vec::new();
                for kid in ["rsa-1", "ec-1", "pss-1", "ed-1"] {
                    decoys.extend(keys(jwks).iter().filter(|key| key["kid"] != kid).cloned().map(|mut key| {
                        key["kid"] = json!(kid);
                        key
                    }));
                }
                keys(jwks).extend(decoys);
            });
        })]
    }),
    ("null-alg", || vec![header(json!({"alg": null})), header(json!({"alg": "null"})), signing(Signing::None)]),
    ("alternate-alg", || vec![signing(Signing::Rs512)]),
    ("alternate-alg-of-another-key", || vec![header(json!({"alg": "PS256"})), header(json!({"alg": "ES256"}))]),
    ("expired-exp", || vec![claims(json!({"exp": 1_700_000_000}))]),
    ("missing-exp", || vec![claims(json!({"exp": null}))]),
    ("secondary-audience", || vec![claims(json!({"aud": [crate::lying_idp::CLIENT_ID, "another client"]}))]),
    ("authorization-response-iss", || vec![promising_iss(|_| ())]),
    ("authorization-response-iss-wrong", || {
        vec![
            promising_iss(|parameters| set(parameters, "iss", "https://evil.example")),
            sent(|parameters| parameters.push(("iss".to_owned(), "https://evil.example".to_owned()))),
        ]
    }),
    ("authorization-response-iss-removed", || {
        vec![promising_iss(|parameters| parameters.retain(|(name, _)| name != "iss"))]
    }),
    ("wrong-state", || vec![sent(|parameters| set(parameters, "state", "of-another-flow"))]),
    ("missing-state", || vec![sent(|parameters| parameters.retain(|(name, _)| name != "state"))]),
    // More that misbehave.
    ("duplicated-state", || vec![twice("state")]),
    ("duplicated-code", || vec![twice("code")]),
    ("duplicated-iss", || vec![promising_iss(|parameters| again(parameters, "iss"))]),
    ("exp-as-string", || vec![claims(json!({"exp": "1900000000"}))]),
    ("exp-beyond-time", || vec![claims(json!({"exp": 1e300})), claims(json!({"exp": u64::MAX}))]),
    ("exp-negative", || vec![claims(json!({"exp": -1}))]),
    ("header-jku", || vec![baited("jku")]),
    ("header-jwk", || vec![baited("jwk")]),
    ("header-x5u", || vec![baited("x5u")]),
    ("header-crit", || vec![header(json!({"crit": ["b64"], "b64": false})), header(json!({"crit": []}))]),
    ("userinfo-as-array", || vec![behave(|idp| idp.userinfo = Box::new(|said| *said = json!([said.take()])))]),
    ("no-id-token", || vec![token(json!({"id_token": null}))]),
    ("key-swapped-under-the-same-kid", || vec![Lie { since: Since::Visit, tell: Box::new(|idp| idp.rotate("ec-1")) }]),
    // The new key is published for another use, so it is nobody's to verify with.
    ("key-swapped-and-withheld", || {
        vec![Lie {
            since: Since::Visit,
            tell: Box::new(|idp| {
                idp.lie(|idp| {
                    idp.jwks = Box::new(|jwks| {
                        keys(jwks)
                            .iter_mut()
                            .filter(|key| key["kty"] == "EC")
                            .for_each(|key| key["use"] = json!("enc"));
                    });
                });
                idp.rotate("ec-1");
            }),
        }]
    }),
    ("kid-with-a-path", || vec![header(json!({"kid": "../../../etc/passwd"}))]),
    ("kid-with-a-url", || vec![header_at(|idp| json!({"kid": format!("{}{BAIT}", idp.issuer)}))]),
    ("discovery-huge", || vec![answer(DISCOVERY, Answer::Huge)]),
    ("discovery-drip", || vec![answer(DISCOVERY, Answer::Drip)]),
    ("discovery-gzip-bomb", || vec![answer(DISCOVERY, Answer::Compressed)]),
    ("discovery-redirect", || vec![answer(DISCOVERY, elsewhere())]),
    ("discovery-html", || vec![answer(DISCOVERY, page())]),
    ("discovery-cut-short", || vec![answer(DISCOVERY, Answer::CutShort)]),
    ("discovery-wrong-content-type", || vec![content_type(DISCOVERY)]),
    ("jwks-huge", || vec![answer(JWKS, Answer::Huge)]),
    ("jwks-drip", || vec![answer(JWKS, Answer::Drip)]),
    ("jwks-gzip-bomb", || vec![answer(JWKS, Answer::Compressed)]),
    ("jwks-redirect", || vec![answer(JWKS, elsewhere())]),
    ("jwks-html", || vec![answer(JWKS, page())]),
    ("jwks-cut-short", || vec![answer(JWKS, Answer::CutShort)]),
    ("jwks-wrong-content-type", || vec![content_type(JWKS)]),
    ("token-huge", || vec![answer(TOKEN, Answer::Huge)]),
    ("token-drip", || vec![answer(TOKEN, Answer::Drip)]),
    ("token-gzip-bomb", || vec![answer(TOKEN, Answer::Compressed)]),
    ("token-redirect", || vec![answer(TOKEN, elsewhere())]),
    ("token-html", || vec![answer(TOKEN, page())]),
    ("token-cut-short", || vec![answer(TOKEN, Answer::CutShort)]),
    ("token-wrong-content-type", || vec![content_type(TOKEN)]),
    ("jwks-at-a-private-address", || vec![pointing_inside("jwks_uri", JWKS)]),
    ("token-endpoint-at-a-private-address", || vec![pointing_inside("token_endpoint", TOKEN)]),
    ("userinfo-at-a-private-address", || vec![pointing_inside("userinfo_endpoint", USERINFO)]),
    ("public-issuer-with-public-endpoints", || vec![Lie { since: Since::BeginningInPublic, tell: Box::new(|_| ()) }]),
    ("jwks-with-unknown-keys", || {
        vec![begin(|idp| {
            idp.jwks = Box::new(|jwks| {
                let ec = keys(jwks)[1].clone();
                for odd in [
                    json!({"crv": "secp256k1", "alg": "ES256K"}),
                    json!({"kty": "AKP", "alg": "ML-DSA-44"}),
                    json!({"use": "enc", "alg": "ECDH-ES"}),
                ] {
                    let mut key = ec.clone();
                    change(&mut key, &odd);
                    keys(jwks).push(key);
                }
                keys(jwks).push(json!("no key at all"));
            });
        })]
    }),
    ("email-with-two-at-signs", || vec![claims(json!({"email": "ann@example.com@evil.example"}))]),
    ("email-with-a-line-end", || {
        vec![
            claims(json!({"email": "ann@example.com\r\nkubeflow-userid: eve@example.com"})),
            claims(json!({"email": "ann@example.com\n"})),
        ]
    }),
    ("email-with-nul", || vec![claims(json!({"email": "ann\0@example.com"}))]),
    ("sub-with-a-control-character", || {
        ["ann-1\0", "ann-1\r\n"].map(|sub| behave(move |idp| idp.user["sub"] = json!(sub))).into()
    }),
    ("group-with-a-line-end", || vec![claims(json!({"groups": ["ml", "ops", "x\r\nkubeflow-userid: eve", "y\0"]}))]),
    ("groups-of-200-kb", || {
        let many: Vec<String> = (0..400).map(|number| format!("{number:0500}")).collect();
        vec![claims(json!({"groups": many})), claims(json!({"groups": ["x".repeat(200_000)]}))]
    }),
    ("groups-as-string", || vec![claims(json!({"groups": "ml"}))]),
    ("groups-as-number", || vec![claims(json!({"groups": 7})), claims(json!({"groups": [7]}))]),
    ("groups-as-object", || vec![claims(json!({"groups": {"ml": true}}))]),
];

fn honest() -> Lie {
    behave(|_| ())
}

fn behave(tell: impl Fn(&mut Behaviour) + 'static) -> Lie {
    Lie { since: Since::Visit, tell: Box::new(move |idp| idp.lie(&tell)) }
}

fn begin(tell: impl Fn(&mut Behaviour) + 'static) -> Lie {
    begin_at(move |idp| idp.lie(&tell))
}

fn begin_at(tell: impl Fn(&LyingIdp) + 'static) -> Lie {
    Lie { since: Since::Beginning, tell: Box::new(tell) }
}

fn signing(signing: Signing) -> Lie {
    behave(move |idp| idp.signing = signing)
}

fn claims(said: Value) -> Lie {
    behave(move |idp| {
        let said = said.clone();
        idp.claims = Box::new(move |claims| change(claims, &said));
    })
}

fn refreshed(said: Value) -> Lie {
    behave(move |idp| {
        let said = said.clone();
        idp.refreshed_claims = Box::new(move |claims| change(claims, &said));
    })
}

fn userinfo(said: Value) -> Lie {
    behave(move |idp| {
        let said = said.clone();
        idp.userinfo = Box::new(move |claims| change(claims, &said));
    })
}

fn token(said: Value) -> Lie {
    behave(move |idp| {
        let said = said.clone();
        idp.token_answer = Box::new(move |answer| change(answer, &said));
    })
}

fn header(said: Value) -> Lie {
    header_at(move |_| said.clone())
}

fn header_at(said: impl Fn(&LyingIdp) -> Value + 'static) -> Lie {
    let tell = move |idp: &LyingIdp| {
        let said = said(idp);
        idp.lie(|idp| idp.header = Box::new(move |header| change(header, &said)));
    };
    Lie { since: Since::Visit, tell: Box::new(tell) }
}

fn metadata(said: Value) -> Lie {
    begin(move |idp| {
        let said = said.clone();
        idp.metadata = Box::new(move |metadata| change(metadata, &said));
    })
}

fn sent(said: fn(&mut Vec<(String, String)>)) -> Lie {
    behave(move |idp| idp.parameters = Box::new(said))
}

fn promising_iss(said: fn(&mut Vec<(String, String)>)) -> Lie {
    begin(move |idp| {
        idp.metadata = Box::new(|metadata| metadata["authorization_response_iss_parameter_supported"] = json!(true));
        idp.parameters = Box::new(said);
    })
}

fn twice(name: &'static str) -> Lie {
    behave(move |idp| idp.parameters = Box::new(move |parameters| again(parameters, name)))
}

/// Signed by a stranger whose key the header offers by its member `name`.
fn baited(name: &'static str) -> Lie {
    let tell = move |idp: &LyingIdp| {
        let place = json!(format!("{}{BAIT}", idp.issuer));
        let key = LyingIdp::strangers_key();
        let bait = json!({name: if name == "jwk" { key.clone() } else { place }});
        let offered = Answer::Plain(200, "application/json", json!({"keys": [key]}).to_string());
        idp.lie(|idp| {
            idp.signing = Signing::Strangers;
            idp.header = Box::new(move |header| change(header, &bait));
            idp.answers.insert(BAIT, offered);
        });
    };
    Lie { since: Since::Visit, tell: Box::new(tell) }
}

/// The token endpoint is first asked when a code is exchanged; the others when a provider is looked for.
fn answer(path: &'static str, answer: Answer) -> Lie {
    let since = if path == TOKEN { Since::Visit } else { Since::Beginning };
    Lie { since, tell: Box::new(move |idp| idp.lie(|idp| drop(idp.answers.insert(path, answer.clone())))) }
}

fn content_type(path: &'static str) -> Lie {
    let since = if path == TOKEN { Since::Visit } else { Since::Beginning };
    let tell = move |idp: &LyingIdp| {
        idp.lie(|idp| {
            idp.content_types.insert(path, "text/plain");
        });
    };
    Lie { since, tell: Box::new(tell) }
}

fn elsewhere() -> Answer {
    Answer::Redirect("http://127.0.0.1:1/elsewhere?code=secret".to_owned())
}

fn page() -> Answer {
    Answer::Plain(200, "text/html", "<!DOCTYPE html><title>Log in to the proxy</title>".to_owned())
}

fn pointing_inside(member: &'static str, path: &'static str) -> Lie {
    let tell = move |idp: &LyingIdp| {
        let inside = format!("{}{path}", idp.address);
        idp.lie(|idp| idp.metadata = Box::new(move |metadata| metadata[member] = json!(inside)));
    };
    Lie { since: Since::BeginningInPublic, tell: Box::new(tell) }
}

/// Sets members; `null` takes one away.
fn change(target: &mut Value, said: &Value) {
    let target = target.as_object_mut().expect("an object");
    for (name, value) in said.as_object().expect("an object") {
        match value {
            Value::Null => drop(target.remove(name)),
            value => drop(target.insert(name.clone(), value.clone())),
        }
    }
}

fn keys(jwks: &mut Value) -> &mut Vec<Value> {
    jwks["keys"].as_array_mut().expect("a list")
}

fn set(parameters: &mut [(String, String)], name: &str, value: &str) {
    for (_, said) in parameters.iter_mut().filter(|(known, _)| known == name) {
        value.clone_into(said);
    }
}

fn again(parameters: &mut Vec<(String, String)>, name: &str) {
    let said = parameters.iter().find(|(known, _)| known == name).expect("it is there").clone();
    parameters.push(said);
}
