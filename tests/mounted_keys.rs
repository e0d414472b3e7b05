//! A running gateway and its keys, in directories as Kubernetes mounts Secrets: new keys are taken up without a restart,
//! and bad ones are not.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

#[test]
fn keys_that_are_added_are_taken_up_and_bad_ones_are_not() {
    let mut signing = Mounted::new("keys");
    let mut session = Mounted::new("session-keys");
    let first = key_file(&["init"]);
    signing.change(std::slice::from_ref(&first));
    session.change(&[("first".to_owned(), session_key("init"))]);
    let mut gateway = Gateway::start(&signing, &session);
    assert_eq!(gateway.published(), [kid(&first)]);

    // What is no key changes nothing, and is said once, without what is in the file.
    signing.change(&[first.clone(), ("bad.json".to_owned(), "hunter2".to_owned())]);
    let said = gateway.says("keys cannot be read again; those read before go on");
    let error = said["error"].as_str().unwrap_or_default();
    assert!(error.contains("bad.json") && !said.to_string().contains("hunter2"), "{said}");
    assert_eq!(gateway.published(), [kid(&first)]);

    // Published at once, long before it signs.
    let second = key_file(&["add", "--after", "1h"]);
    signing.change(&[first.clone(), second.clone()]);
    let said = gateway.says("key changed");
    assert_eq!((said["kid"].as_str(), said["reason"].as_str()), (Some(kid(&second)), Some("loaded")), "{said}");
    let mut both = [kid(&first), kid(&second)];
    both.sort_unstable();
    assert_eq!(gateway.published(), both);

    // Session keys likewise.
    session.change(&[("first".to_owned(), session_key("init")), ("second".to_owned(), session_key("init"))]);
    let said = gateway.says("keys cannot be read again; those read before go on");
    assert!(said["error"].as_str().is_some_and(|error| error.contains("first and second begin")), "{said}");
    session.change(&[("first".to_owned(), session_key("init")), ("second".to_owned(), session_key("add"))]);
    let said = gateway.says("key changed");
    assert_eq!((said["event"].as_str(), said["reason"].as_str()), (Some("key_change"), Some("loaded")), "{said}");
}

/// A directory of files, of which `..data` leads to the current version.
struct Mounted {
    home: TempDir,
    name: &'static str,
    versions: u32,
}

impl Mounted {
    fn new(name: &'static str) -> Self {
        Self { home: tempfile::tempdir().expect("a directory"), name, versions: 0 }
    }

    fn path(&self) -> PathBuf {
        self.home.path().join(self.name)
    }

    fn change(&mut self, files: &[(String, String)]) {
        self.versions += 1;
        let version = self.path().join(format!("..{}", self.versions));
        fs::create_dir_all(&version).expect("a version");
        for (name, text) in files {
            fs::write(version.join(name), text).expect("a file");
            fs::set_permissions(version.join(name), fs::Permissions::from_mode(0o440)).expect("a mode");
        }
        symlink(&version, self.path().join("..data_tmp")).expect("a link");
        fs::rename(self.path().join("..data_tmp"), self.path().join("..data")).expect("swapped");
    }
}

/// The gateway as a process.
struct Gateway {
    process: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
    main: String,
    _home: TempDir,
}

impl Gateway {
    fn start(signing: &Mounted, session: &Mounted) -> Self {
        let home = tempfile::tempdir().expect("a directory");
        let config = home.path().join("countersign.yaml");
        let text = serde_json::json!({
            "public_url": "http://localhost:8080",
            "data_dir": home.path().join("data"),
            "listen": {"main": "127.0.0.1:0", "admin": "127.0.0.1:0"},
            "providers": [{"id": "dex", "issuer": "http://127.0.0.1:9", "client_id": "c", "client_auth": "none"}],
            "session": {"keys": {"dir": session.path()}},
            "token": {"keys": {"dir": signing.path()}},
        });
        fs::write(&config, text.to_string()).expect("a file");
        let mut process = countersign(&["serve", "--config"])
            .arg(&config)
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("it starts");
        let lines = BufReader::new(process.stdout.take().expect("its output")).lines();
        let mut gateway = Self { process, lines, main: String::new(), _home: home };
        let serving = gateway.says("serving");
        serving["main"].as_str().expect("an address").clone_into(&mut gateway.main);
        gateway
    }

    /// The next line with this message.
    fn says(&mut self, message: &str) -> Value {
        let parse = |line: std::io::Result<String>| serde_json::from_str::<Value>(&line.ok()?).ok();
        let mut lines = self.lines.by_ref().filter_map(parse);
        lines.find(|line| line["message"] == message).expect("it says so before it ends")
    }

    /// The ids of the keys that it publishes, in order.
    fn published(&self) -> Vec<String> {
        let mut connection = TcpStream::connect(&self.main).expect("it listens");
        write!(connection, "GET /.well-known/jwks.json HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            .expect("asked");
        let mut answer = String::new();
        connection.read_to_string(&mut answer).expect("answered");
        let (_, body) = answer.split_once("\r\n\r\n").expect("a body");
        let keys: Value = serde_json::from_str(body).expect("JSON");
        let keys = keys["keys"].as_array().expect("keys").iter();
        keys.map(|key| key["kid"].as_str().expect("an id").to_owned()).collect()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The name and the text of a file that `countersign keys …` has made.
fn key_file(command: &[&str]) -> (String, String) {
    let made = tempfile::tempdir().expect("a directory");
    let status = countersign(&["keys"]).args(command).arg("--dir").arg(made.path()).stdout(Stdio::null()).status();
    assert!(status.expect("it runs").success());
    let file = fs::read_dir(made.path()).expect("a directory").next().expect("a file").expect("read");
    (file.file_name().into_string().expect("text"), fs::read_to_string(file.path()).expect("text"))
}

fn session_key(command: &str) -> String {
    let output = countersign(&["session-keys", command]).output().expect("it runs");
    String::from_utf8(output.stdout).expect("text")
}

fn kid(file: &(String, String)) -> &str {
    file.0.strip_suffix(".json").expect("a key file")
}

fn countersign(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_countersign"));
    command.args(arguments).env_clear();
    command
}
