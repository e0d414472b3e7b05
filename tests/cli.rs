//! The command line through its front door: exit codes, and what goes to which output.

use std::path::PathBuf;
use std::process::{Command, Output};

use tempfile::TempDir;

const GOOD: &str = "public_url: http://localhost:8080
providers:
  - {id: dex, issuer: http://localhost:5556/dex, client_id: c, client_secret: {env: DEX_SECRET}}
rules:
  - {path: /dex/, access: public}
";

fn file(text: &str) -> (TempDir, PathBuf) {
    let home = tempfile::tempdir().expect("a directory");
    let path = home.path().join("countersign.yaml");
    std::fs::write(&path, text).expect("a file");
    (home, path)
}

fn countersign(arguments: &[&str], variables: &[(&str, &str)]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
    command.args(arguments).env_clear().envs(variables.iter().copied());
    let Output { status, stdout, stderr } = command.output().expect("the binary runs");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    (status.code(), text(stdout), text(stderr))
}

#[test]
fn a_good_configuration_is_summed_up() {
    let (_home, path) = file(GOOD);
    let (code, out, complaints) =
        countersign(&["config", "check", "--config", &path.to_string_lossy()], &[("DEX_SECRET", "x")]);
    assert_eq!(
        out,
        "the configuration is good
  public URL  http://localhost:8080
  providers   dex (http://localhost:5556/dex)
  rules       1
"
    );
    assert_eq!((code, complaints.as_str()), (Some(0), ""));
}

/// Doors that open without a browser are said.
#[test]
fn a_good_configuration_says_who_comes_without_a_browser() {
    let (_home, path) = file(&format!(
        "{GOOD}bearer:\n  - kind: kubernetes\n    audiences: [mesh]\n  - kind: jwt\n    issuer: http://localhost:5556/dex\n    \
         audiences: [mesh]\n    algorithms: [RS256]\n  - kind: session\n"
    ));
    let (_, out, complaints) =
        countersign(&["config", "check", "--config", &path.to_string_lossy()], &[("DEX_SECRET", "x")]);
    let bearer = "  bearer      kubernetes (https://kubernetes.default.svc.cluster.local), jwt \
                  (http://localhost:5556/dex), session (in authorization)\n";
    assert!(out.ends_with(bearer), "{out}{complaints}");
}

#[test]
fn a_bad_one_is_explained_and_ends_with_2() {
    let (_home, path) = file(&format!("{GOOD}sesion: {{}}\n"));
    let path = path.to_string_lossy();
    let explained = format!(
        "countersign: the configuration has 2 mistakes:

1. {path}:3:85: providers[0].client_secret.env
   there is no variable DEX_SECRET
   Set it, or name the one that holds the secret.

2. {path}:6:1: sesion
   there is no such key
   Write `session`.
"
    );
    for command in [&["config", "check"][..], &["config", "print"], &["serve"]] {
        let answer = countersign(command, &[("COUNTERSIGN_CONFIG", &path)]);
        assert_eq!(answer, (Some(2), String::new(), explained.clone()), "{command:?}");
    }
}

#[test]
fn a_warning_goes_to_standard_error() {
    let (_home, path) = file(&GOOD.replace("localhost", "mesh.example.com"));
    let arguments = ["config", "check", "--config", &path.to_string_lossy()];
    let variables = [("DEX_SECRET", "x"), ("COUNTERSIGN_COOKIE__INSECURE", "true")];
    let (code, out, complaints) = countersign(&arguments, &variables);
    assert_eq!((code, out.lines().next()), (Some(0), Some("the configuration is good")));
    assert!(
        complaints.starts_with("warning: variable COUNTERSIGN_COOKIE__INSECURE: cookie.insecure\n"),
        "{complaints}"
    );
}

#[test]
fn what_is_printed_holds_no_secret() {
    let (_home, path) = file(&GOOD.replace("{env: DEX_SECRET}", "canary"));
    let (code, out, _) = countersign(&["config", "print", "--config", &path.to_string_lossy()], &[]);
    assert_eq!(code, Some(0));
    assert!(out.contains("max_age: 24h") && out.contains("[redacted]") && !out.contains("canary"), "{out}");
}

#[test]
fn where_nobody_reads_it_ends_quietly() {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
    let output = command.args(["config", "schema"]).env_clear().stdout(writer).output().expect("the binary runs");
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(141), ""));
}

#[test]
fn a_cause_is_told_once() {
    let (_home, path) = file(GOOD);
    // Below a file there is no directory; the error names its cause, and has it.
    let data = path.join("data");
    let variables = [
        ("DEX_SECRET", "x"),
        ("COUNTERSIGN_DATA_DIR", &*data.to_string_lossy()),
        ("COUNTERSIGN_LISTEN__MAIN", "127.0.0.1:0"),
        ("COUNTERSIGN_LISTEN__ADMIN", "127.0.0.1:0"),
    ];
    let (code, _, complaints) = countersign(&["serve", "--config", &path.to_string_lossy()], &variables);
    assert_eq!(complaints.matches("os error").count(), 1, "{complaints}");
    assert_eq!(code, Some(1));
}

#[test]
fn the_schema_is_printed_as_json() {
    let (code, out, _) = countersign(&["config", "schema"], &[]);
    let schema: serde_json::Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!((code, schema["title"].as_str()), (Some(0), Some("Countersign configuration")));
}

#[test]
fn arguments_that_mean_nothing_end_with_2() {
    assert_eq!(countersign(&["sevre"], &[]).0, Some(2));
    assert_eq!(countersign(&["config", "check", "--file", "x"], &[]).0, Some(2));
    assert_eq!(countersign(&["config", "check", "--config", "/nowhere"], &[]).0, Some(2));
}

/// Refused before anything is served, so that the test need not end a gateway.
#[test]
fn authservices_variables_count_where_there_is_no_file() {
    let (_home, path) = file(GOOD);
    let variables = [("OIDC_PROVIDER", "https://a.example.com"), ("EXTERNAL_AUTHZ_URL", "http://authz.example.com")];
    let (code, _, complaints) = countersign(&["serve"], &variables);
    assert_eq!(code, Some(2));
    assert!(complaints.contains("variable EXTERNAL_AUTHZ_URL\n   http://authz.example.com/ was asked"), "{complaints}");
    let path = path.to_string_lossy();
    let with_file = [&variables[..], &[("COUNTERSIGN_CONFIG", &path)]].concat();
    let (code, _, complaints) = countersign(&["serve"], &with_file);
    assert_eq!(code, Some(2));
    assert!(complaints.contains("there is no variable DEX_SECRET") && !complaints.contains("AUTHZ"), "{complaints}");
}

#[test]
fn keys_are_made_and_added() {
    let home = tempfile::tempdir().expect("a directory");
    let dir = home.path().join("keys");
    let dir = dir.to_string_lossy();
    let (code, _, complaints) = countersign(&["keys", "init", "--dir", &dir], &[]);
    assert_eq!((code, complaints.as_str()), (Some(0), ""));
    assert_eq!(countersign(&["keys", "init", "--dir", &dir], &[]).0, Some(1), "it overwrites nothing");
    let (code, out, _) = countersign(&["keys", "add", "--dir", &dir, "--after", "2h"], &[]);
    assert!(code == Some(0) && out.contains("the further key") && out.contains("which signs from 20"), "{out}");
    assert_eq!(std::fs::read_dir(home.path().join("keys")).expect("a directory").count(), 2);

    let (code, first, _) = countersign(&["session-keys", "init"], &[]);
    assert!(code == Some(0) && first.len() == 49 && first.starts_with("csk1_"), "{code:?}");
    let (code, further, _) = countersign(&["session-keys", "add"], &[]);
    assert!(code == Some(0) && further[48..].starts_with(" from 20") && further.ends_with("Z\n"), "{code:?}");
    assert_eq!(countersign(&["session-keys", "add", "--after", "soon"], &[]).0, Some(2));
}

/// Each replica of a shared store needs the keys of all: without them it serves nothing, and says what to make. Nobody has
/// to ask Redis for that.
#[test]
fn a_replica_without_the_shared_keys_refuses_to_start() {
    let home = tempfile::tempdir().expect("a directory");
    let at = |name: &str| home.path().join(name).display().to_string();
    let text = format!(
        "{GOOD}listen: {{main: '127.0.0.1:0', admin: '127.0.0.1:0'}}\nsession: {{store: redis, redis: {{urls: \
         [redis://127.0.0.1:9]}}, keys: {{dir: {}}}}}\ntoken: {{keys: {{dir: {}}}}}\n",
        at("session-keys"),
        at("keys")
    );
    let (_home, path) = file(&text);
    let serve = || countersign(&["serve", "--config", &path.to_string_lossy()], &[("DEX_SECRET", "x")]);

    let (code, _, complaints) = serve();
    assert_eq!(code, Some(1));
    assert!(complaints.contains(&at("session-keys")), "{complaints}");
    assert!(complaints.contains("countersign session-keys init") && complaints.contains("Secret"), "{complaints}");

    let (_, key, _) = countersign(&["session-keys", "init"], &[]);
    std::fs::create_dir(at("session-keys")).expect("a directory");
    private(&at("session-keys/first"), &key);
    let (code, _, complaints) = serve();
    assert_eq!(code, Some(1));
    assert!(complaints.contains("countersign keys init") && complaints.contains(&at("keys")), "{complaints}");
}

fn private(path: &str, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(path, text).expect("a file");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).expect("a mode");
}

const ADMIN: &str = "0123456789abcdef0123456789abcdef";

#[test]
fn sessions_need_a_running_gateway_and_the_admin_token() {
    let (_home, path) = file(GOOD);
    let config = path.to_string_lossy();
    let secret = [("DEX_SECRET", "x")];
    let (code, out, complaints) = countersign(&["sessions", "list", "--config", &config], &secret);
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert_eq!(
        complaints,
        format!(
            "countersign: {config} has no admin token, so that the gateway answers nobody: write `admin: {{token: {{file: \
             …}}}}` (make one by `openssl rand -hex 32`), and start it again\n"
        )
    );
    // Bound, so that nobody else has the port, and closed again: nobody is there.
    let address = std::net::TcpListener::bind("127.0.0.1:0").and_then(|port| port.local_addr()).expect("a port");
    let (_home, path) = file(&format!("{GOOD}admin: {{token: {{env: ADMIN}}}}\nlisten: {{admin: '{address}'}}\n"));
    let config = path.to_string_lossy();
    let variables = [("DEX_SECRET", "x"), ("ADMIN", ADMIN)];
    let (code, out, complaints) = countersign(&["sessions", "end", "--all", "--config", &config], &variables);
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert_eq!(
        complaints,
        format!(
            "countersign: nobody can be asked at http://{address}/ (no connection): sessions are listed and ended by a \
             running gateway, on its admin port; run this beside it (`kubectl exec`), or name the port by --address\n"
        )
    );
}

#[test]
fn ending_sessions_takes_one_word_of_whose() {
    for arguments in [&["sessions", "end"][..], &["sessions", "end", "--all", "--user", "ann"]] {
        let (code, _, complaints) = countersign(arguments, &[]);
        assert_eq!(code, Some(2), "{complaints}");
    }
}
