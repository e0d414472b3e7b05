//! `countersign doctor` at a real Dex.

use std::process::Command;

use serde_json::{Value, json};

use crate::dex::{CLIENT_SECRET, Dex};
use crate::part::empty_folder;

#[tokio::test]
async fn what_is_wrong_at_dex_is_found_and_nothing_else() {
    let dex = Dex::start("https://mesh.example.com/oauth2/callback").await;
    let good = json!({"id": "dex", "issuer": dex.issuer(), "client_id": "countersign",
        "client_secret": {"env": "DEX_CLIENT_SECRET"}});
    assert_eq!(findings(&good, CLIENT_SECRET), json!([]));
    for (changed, secret, code, says) in [
        (json!({}), "another", "client-secret", "invalid_client"),
        (json!({"client_id": "stranger"}), CLIENT_SECRET, "client-unknown", "`stranger`"),
        (
            json!({"redirect_uri": "https://mesh.example.com/x"}),
            CLIENT_SECRET,
            "redirect-uri",
            "`https://mesh.example.com/x`",
        ),
        (json!({"issuer": format!("{}/", dex.issuer())}), CLIENT_SECRET, "idp-issuer", "a slash"),
        (json!({"scopes": ["openid", "roles"]}), CLIENT_SECRET, "idp-scopes", "roles"),
        (json!({"algorithms": ["ES256"]}), CLIENT_SECRET, "idp-algorithms", "RS256"),
    ] {
        let mut provider = good.clone();
        let members = provider.as_object_mut().expect("a provider");
        members.extend(changed.as_object().expect("a change").clone());
        let found = findings(&provider, secret);
        let told = found.as_array().expect("a list").iter().find(|finding| finding["code"] == code);
        let told = told.unwrap_or_else(|| panic!("{code} was not found, but {found}"));
        assert!(told.to_string().contains(says), "{told}");
    }
}

fn findings(provider: &Value, secret: &str) -> Value {
    let folder = empty_folder();
    let config = folder.path().join("countersign.yaml");
    let settings = json!({"public_url": "https://mesh.example.com", "data_dir": folder.path(), "providers": [provider],
        "token": {"audience": ["mesh"]}});
    std::fs::write(&config, settings.to_string()).expect("a config");
    let output = Command::new(env!("CARGO_BIN_EXE_countersign"))
        .args(["doctor", "--json", "--config"])
        .arg(&config)
        .env_clear()
        .env("DEX_CLIENT_SECRET", secret)
        .output()
        .expect("it runs");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)))
}
