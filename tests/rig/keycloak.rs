//! Keycloak: one for all tests, since it takes its time to start, and in it a realm for each test.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{Method, Request, StatusCode};
use http_body_util::BodyExt;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::dex::CLIENT_SECRET;
use crate::part::{empty_folder, free_port, tool};
use crate::slapd::{ADMINISTRATOR, ADMINISTRATORS_PASSWORD, Slapd};
use crate::wire;

/// How long it may take to start. Beside a busy compiler it takes a minute.
const PATIENCE: Duration = Duration::from_mins(4);

const REALM: &str = include_str!("corporate/realm.json");
const DIRECTORY: &str = "org.keycloak.storage.UserStorageProvider";
const ADMINISTRATOR_OF_ALL: &str = "only-for-tests";

/// Runs the command until its own input ends, which is when the tests do, however they end: what lives as long as all of
/// them is never dropped.
const UNTIL_THE_TESTS_END: &str = r#"folder=$1; shift
"$@" </dev/null >"$folder/log" 2>&1 &
read -r _
kill -9 $!
wait
rm -r "$folder""#;

/// A realm of the running Keycloak, with one client and the people of a directory.
pub(crate) struct Realm {
    name: String,
    server: &'static Keycloak,
}

struct Keycloak {
    port: u16,
    log: PathBuf,
    // Its input is held by this.
    _process: Child,
}

static KEYCLOAK: OnceCell<Keycloak> = OnceCell::const_new();

impl Realm {
    /// Makes one for the gateway at `origin`, with the people of this directory.
    pub(crate) async fn make(origin: &str, directory: &Slapd) -> Self {
        let server = KEYCLOAK.get_or_init(Keycloak::start).await;
        let mut realm: Value = serde_json::from_str(REALM).expect("JSON");
        // One name is as good as another, but for this: no two tests have a gateway at the same address.
        let name = format!("corp-{}", origin.rsplit(':').next().expect("a port"));
        realm["realm"] = json!(name);
        let client = &mut realm["clients"][0];
        client["secret"] = json!(CLIENT_SECRET);
        client["redirectUris"] = json!([format!("{origin}/oauth2/callback")]);
        client["attributes"]["post.logout.redirect.uris"] = json!(format!("{origin}/oauth2/signed_out"));
        client["attributes"]["backchannel.logout.url"] = json!(format!("{origin}/oauth2/backchannel_logout"));
        let people = &mut realm["components"][DIRECTORY][0]["config"];
        people["connectionUrl"] = json!([directory.url()]);
        people["bindDn"] = json!([ADMINISTRATOR]);
        people["bindCredential"] = json!([ADMINISTRATORS_PASSWORD]);
        server.administer(Method::POST, "/admin/realms", Some(realm), StatusCode::CREATED).await;
        Self { name, server }
    }

    /// Its issuer.
    pub(crate) fn issuer(&self) -> String {
        format!("{}/realms/{}", self.server.origin(), self.name)
    }

    /// Its token endpoint.
    pub(crate) fn token_url(&self) -> String {
        format!("{}/protocol/openid-connect/token", self.issuer())
    }

    /// Where its people sign out of everything.
    pub(crate) fn logout_url(&self) -> String {
        format!("{}/protocol/openid-connect/logout", self.issuer())
    }

    /// Ends all sessions of this person, as an administrator does. The clients have been told when this returns.
    pub(crate) async fn sign_out_everywhere(&self, name: &str) {
        let users = format!("/admin/realms/{}/users", self.name);
        let found = self
            .server
            .administer(Method::GET, &format!("{users}?exact=true&username={name}"), None, StatusCode::OK)
            .await;
        let id = found[0]["id"].as_str().unwrap_or_else(|| panic!("there is no {name}: {found}"));
        self.server.administer(Method::POST, &format!("{users}/{id}/logout"), None, StatusCode::NO_CONTENT).await;
    }

    /// Has it tell the client nothing any more when somebody signs out.
    pub(crate) async fn tell_nobody(&self) {
        let clients = format!("/admin/realms/{}/clients", self.name);
        let found =
            self.server.administer(Method::GET, &format!("{clients}?clientId=countersign"), None, StatusCode::OK).await;
        let mut client = found[0].clone();
        client["attributes"]["backchannel.logout.url"] = json!("");
        let its = format!("{clients}/{}", client["id"].as_str().expect("an id"));
        self.server.administer(Method::PUT, &its, Some(client), StatusCode::NO_CONTENT).await;
    }
}

impl Drop for Realm {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- keycloak\n{}\n---", self.server.log_tail());
        }
    }
}

impl Keycloak {
    async fn start() -> Self {
        let port = free_port();
        // The command removes it; dropped here it would be gone too early.
        let folder = empty_folder().keep();
        let log = folder.join("log");
        let mut command = Command::new("bash");
        command.args(["-c", UNTIL_THE_TESTS_END, "keycloak"]).arg(&folder);
        command.arg(tool("KEYCLOAK", "keycloak", "server/bin/kc.sh")).args(["start", "--optimized", "--cache=local"]);
        command.args(["--http-enabled=true", "--http-host=127.0.0.1", &format!("--http-port={port}")]);
        command.arg(format!("--hostname=http://127.0.0.1:{port}"));
        command.env("KC_BOOTSTRAP_ADMIN_USERNAME", "admin").env("KC_BOOTSTRAP_ADMIN_PASSWORD", ADMINISTRATOR_OF_ALL);
        command.env("JAVA_OPTS_KC_HEAP", "-Xms128m -Xmx512m");
        // It starts twice as fast without the second compiler, which pays off after hours.
        command.env("JAVA_OPTS_APPEND", format!("-XX:TieredStopAtLevel=1 -Djava.io.tmpdir={}", folder.display()));
        let process = command.stdin(Stdio::piped()).stderr(Stdio::null()).spawn().expect("bash");
        let keycloak = Self { port, log, _process: process };
        let (started, ready) = (Instant::now(), format!("{}/realms/master", keycloak.origin()));
        while wire::status(&ready).await != Some(200) {
            let log = fs::read_to_string(&keycloak.log).unwrap_or_default();
            assert!(started.elapsed() < PATIENCE && !log.contains("ERROR"), "Keycloak does not start\n{log}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        keycloak
    }

    fn origin(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Asks the admin API.
    async fn administer(&self, method: Method, path: &str, body: Option<Value>, expected: StatusCode) -> Value {
        let url = format!("{}/realms/master/protocol/openid-connect/token", self.origin());
        let form = [
            ("grant_type", "password"),
            ("client_id", "admin-cli"),
            ("username", "admin"),
            ("password", ADMINISTRATOR_OF_ALL),
        ];
        // Its token is good for a minute; a new one costs less than to know that.
        let (status, answer) = post_form(&url, &form).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        let token = answer["access_token"].as_str().expect("a token");
        let request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.origin()))
            .header(AUTHORIZATION, format!("Bearer {token}"))
            .header(CONTENT_TYPE, "application/json")
            .body(body.map(|body| body.to_string()).unwrap_or_default());
        let (status, answer) = send(request.expect("a request")).await;
        assert_eq!(status, expected, "{path}: {answer}\n{}", self.log_tail());
        answer
    }

    fn log_tail(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }
}

/// Sends a form.
pub(crate) async fn post_form(url: &str, form: &[(&str, &str)]) -> (StatusCode, Value) {
    let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
    let request = Request::post(url).header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(body);
    send(request.expect("a request")).await
}

/// Sends any request; an answer without JSON is `null`.
pub(crate) async fn send(request: Request<String>) -> (StatusCode, Value) {
    let client: Client<HttpConnector, String> = Client::builder(TokioExecutor::new()).build_http();
    let answer = client.request(request).await.unwrap_or_else(|error| panic!("Keycloak does not answer: {error}"));
    let status = answer.status();
    let body = answer.into_body().collect().await.expect("a body").to_bytes();
    (status, serde_json::from_slice(&body).unwrap_or_default())
}
