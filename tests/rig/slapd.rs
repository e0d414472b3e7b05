//! A directory server (slapd) with the people of `corporate/directory.ldif`.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use crate::part::{Part, accepts, empty_folder, free_port, tool};

/// Whose password may read and change everything there.
pub(crate) const ADMINISTRATOR: &str = "cn=keycloak,dc=example,dc=com";
pub(crate) const ADMINISTRATORS_PASSWORD: &str = "the-directorys-own-password";

const PEOPLE: &str = include_str!("corporate/directory.ldif");

/// A running directory.
pub(crate) struct Slapd {
    port: u16,
    _process: Part,
}

impl Slapd {
    /// Starts one.
    pub(crate) async fn start() -> Self {
        let (port, folder) = (free_port(), empty_folder());
        let of_debian = |path: &str| tool("OPENLDAP", "openldap", path).display().to_string();
        let schema = |name: &str| format!("include {}\n", of_debian(&format!("etc/ldap/schema/{name}.schema")));
        let database = folder.path().join("database");
        fs::create_dir(&database).expect("a folder");
        let config = folder.path().join("slapd.conf");
        let settings = format!(
            "{}modulepath {}\nmoduleload back_mdb\ndatabase mdb\nsuffix dc=example,dc=com\nrootdn {ADMINISTRATOR}\n\
             rootpw {ADMINISTRATORS_PASSWORD}\ndirectory {}\n",
            ["core", "cosine", "inetorgperson"].map(schema).concat(),
            of_debian("usr/lib/ldap"),
            database.display(),
        );
        fs::write(&config, settings).expect("a config");
        let mut command = Command::new(of_debian("bin/slapd"));
        // With `-d` it stays in the foreground.
        command.args(["-d", "0", "-h", &format!("ldap://127.0.0.1:{port}"), "-f"]).arg(&config);
        let mut process = Part::start("slapd", folder, &mut command);
        process.await_ready(|| accepts(port)).await;
        let slapd = Self { port, _process: process };
        slapd.change(PEOPLE);
        slapd
    }

    /// Its address.
    pub(crate) fn url(&self) -> String {
        format!("ldap://127.0.0.1:{}", self.port)
    }

    /// Changes what it holds, as LDIF says it (RFC 2849). An entry without a `changetype` is a new one.
    pub(crate) fn change(&self, ldif: &str) {
        let mut command = Command::new(tool("OPENLDAP", "openldap", "bin/ldapmodify"));
        command.args(["-a", "-x", "-H", &self.url(), "-D", ADMINISTRATOR, "-w", ADMINISTRATORS_PASSWORD]);
        let mut modify = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("ldapmodify");
        // Its input ends with the block.
        modify.stdin.take().expect("its input").write_all(ldif.as_bytes()).expect("it reads");
        assert!(modify.wait().expect("a child").success(), "the directory refuses\n{ldif}");
    }
}
