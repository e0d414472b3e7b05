use crate::support::{PROVIDER, good, mistake};

#[test]
fn a_public_url_is_required_and_is_an_origin() {
    assert_eq!(
        mistake(PROVIDER),
        [
            "countersign.yaml: public_url",
            "it is missing",
            "Write the address that people type: `public_url: https://kubeflow.example.com`."
        ]
    );
    assert_eq!(
        mistake(&format!("public_url: mesh.example.com\n{PROVIDER}")),
        [
            "countersign.yaml:1:13: public_url",
            "it is no https:// or http:// URL",
            "Write scheme, host and port only: `https://kubeflow.example.com`."
        ]
    );
    assert_eq!(
        mistake(&format!("public_url: ftp://mesh.example.com\n{PROVIDER}")),
        [
            "countersign.yaml:1:13: public_url",
            "it is no https:// or http:// URL",
            "Write scheme, host and port only: `https://kubeflow.example.com`."
        ]
    );
    assert_eq!(
        mistake(&format!("public_url: https://mesh.example.com/kubeflow\n{PROVIDER}")),
        [
            "countersign.yaml:1:13: public_url",
            "it has a path",
            "Write scheme, host and port only: `https://kubeflow.example.com`."
        ]
    );
    assert_eq!(
        mistake(&format!("public_url: https://mesh.example.com/?a=1\n{PROVIDER}")),
        [
            "countersign.yaml:1:13: public_url",
            "it has a query",
            "Write scheme, host and port only: `https://kubeflow.example.com`."
        ]
    );
    assert_eq!(
        mistake(&format!("public_url: https://ann:hunter2@mesh.example.com/#x\n{PROVIDER}")),
        [
            "countersign.yaml:1:13: public_url",
            "it has a user or a password and a fragment",
            "Write scheme, host and port only: `https://kubeflow.example.com`."
        ]
    );
}

#[test]
fn plain_http_is_for_loopback() {
    assert_eq!(
        mistake(&format!("public_url: http://mesh.example.com\n{PROVIDER}")),
        [
            "countersign.yaml:1:13: public_url",
            "plain http, and not on loopback: everybody on the way could take the cookie and be that user",
            "Write https://. To live with the danger, write `cookie: {insecure: true}`."
        ]
    );
    assert_eq!(
        mistake(&format!("public_url: http://localhost.example.com\n{PROVIDER}")),
        [
            "countersign.yaml:1:13: public_url",
            "plain http, and not on loopback: everybody on the way could take the cookie and be that user",
            "Write https://. To live with the danger, write `cookie: {insecure: true}`."
        ]
    );
    assert_eq!(
        mistake(&format!("public_url: http://10.0.0.7:8080\n{PROVIDER}")),
        [
            "countersign.yaml:1:13: public_url",
            "plain http, and not on loopback: everybody on the way could take the cookie and be that user",
            "Write https://. To live with the danger, write `cookie: {insecure: true}`."
        ]
    );
}

#[test]
fn hosts_share_a_domain_with_the_public_url() {
    assert_eq!(
        mistake(&good("hosts: [lab.example.com]\n")),
        [
            "countersign.yaml:4:8: hosts",
            "several hosts can share a sign-in only by a cookie domain",
            "Write the domain that they and public_url share: `cookie: {domain: example.com}`."
        ]
    );
    assert_eq!(
        mistake(&good("hosts: [lab.example.com]\ncookie: {domain: lab.example.com}\n")),
        [
            "countersign.yaml:1:13: public_url",
            "mesh.example.com is not in cookie.domain, lab.example.com: its browsers would refuse our cookie",
            "Write a host below the domain, or a domain above the host."
        ]
    );
    assert_eq!(
        mistake(&good("hosts: [lab.other.com]\ncookie: {domain: example.com}\n")),
        [
            "countersign.yaml:4:9: hosts[0]",
            "lab.other.com is not in cookie.domain, example.com: its browsers would refuse our cookie",
            "Write a host below the domain, or a domain above the host."
        ]
    );
    assert_eq!(
        mistake(&good("hosts: [evilexample.com]\ncookie: {domain: example.com}\n")),
        [
            "countersign.yaml:4:9: hosts[0]",
            "evilexample.com is not in cookie.domain, example.com: its browsers would refuse our cookie",
            "Write a host below the domain, or a domain above the host."
        ]
    );
    assert_eq!(
        mistake(&good("hosts: ['http://lab.example.com']\ncookie: {domain: example.com}\n")),
        [
            "countersign.yaml:4:9: hosts[0]",
            "its scheme is http, that of public_url is https",
            "Serve all hosts over https, and write so."
        ]
    );
    assert_eq!(
        mistake(&good("hosts: [lab.example.com/x]\ncookie: {domain: example.com}\n")),
        [
            "countersign.yaml:4:9: hosts[0]",
            "it has a path",
            "Write scheme, host and port only: `https://kubeflow.example.com`."
        ]
    );
    assert_eq!(
        mistake(&good("cookie: {domain: .example.com}\n")),
        [
            "countersign.yaml:4:18: cookie.domain",
            "`.example.com` is no domain that hosts can share",
            "Write it without a dot in front, scheme or port: `example.com`."
        ]
    );
    assert_eq!(
        mistake(&good("cookie: {domain: com}\n")),
        [
            "countersign.yaml:4:18: cookie.domain",
            "`com` is no domain that hosts can share",
            "Write it without a dot in front, scheme or port: `example.com`."
        ]
    );
}

#[test]
fn names_and_paths_are_checked() {
    assert_eq!(
        mistake(&good("cookie: {name: __Host-x}\n")),
        [
            "countersign.yaml:4:16: cookie.name",
            "`__Host-x` is no name for our cookies",
            "Write letters, digits, `-`, `_` and `.`, without the prefixes `__Host-` and `__Secure-`."
        ]
    );
    for name in ["''", "__Host-x", "x=1"] {
        let [at, what, instead] = &mistake(&good(&format!("cookie: {{hide: [corp, {name}]}}\n")))[..] else {
            panic!("three lines")
        };
        assert_eq!(at, "countersign.yaml:4:23: cookie.hide[1]");
        assert_eq!(what, &format!("`{}` is not what the name of a cookie begins with", name.trim_matches('\'')));
        assert_eq!(instead, "Write letters, digits, `-`, `_` and `.`, without the prefixes `__Host-` and `__Secure-`.");
    }
    assert_eq!(
        mistake(&good("paths: {prefix: /oauth2/}\n")),
        [
            "countersign.yaml:4:17: paths.prefix",
            "`/oauth2/` is no path prefix",
            "Write it with a slash in front and none behind: `/oauth2`."
        ]
    );
    assert_eq!(
        mistake(&good("paths: {prefix: /check/x}\n")),
        [
            "countersign.yaml:4:8: paths",
            "paths.prefix, /check/x, and paths.check, /check, lie in each other",
            "Write paths apart: `/oauth2` and `/check`."
        ]
    );
    assert_eq!(
        mistake(&good("paths: {check: /.well-known}\n")),
        ["countersign.yaml:4:16: paths.check", "/.well-known is ours already", "Write another path."]
    );
}

#[test]
fn sockets_files_and_the_rest_are_checked() {
    assert_eq!(
        mistake(&good("listen: {main: '9000'}\n")),
        [
            "countersign.yaml:4:16: listen.main",
            "`9000` is no address with a port",
            "Write an IP address and a port: `0.0.0.0:9000`, `[::]:9000`."
        ]
    );
    assert_eq!(
        mistake(&good("listen: {admin: 0.0.0.0:9000}\n")),
        [
            "countersign.yaml:4:17: listen.admin",
            "it is the same as listen.main, 0.0.0.0:9000",
            "Give health and metrics a port of their own."
        ]
    );
    assert_eq!(
        mistake(&good("listen: {tls: {certificate: /nowhere/tls.crt}}\n")),
        [
            "the configuration has 2 mistakes:",
            "",
            "1. countersign.yaml:4:15: listen.tls.key",
            "it is missing",
            "Write the file of the private key (PEM).",
            "",
            "2. countersign.yaml:4:29: listen.tls.certificate",
            "/nowhere/tls.crt cannot be read: No such file or directory (os error 2)",
            "Name a file that this process may read."
        ]
    );
    assert_eq!(
        mistake(&good("trusted_proxies: [10.0.0.0/8, envoy, 0.0.0.0/0]\n")),
        [
            "the configuration has 2 mistakes:",
            "",
            "1. countersign.yaml:4:31: trusted_proxies[1]",
            "`envoy` is neither an address nor a network",
            "Write `10.0.0.7`, `10.0.0.0/8` or `fd00::/8`.",
            "",
            "2. countersign.yaml:4:38: trusted_proxies[2]",
            "`0.0.0.0/0` is everybody, so that anybody's X-Forwarded headers would be believed",
            "Write the network of the proxies."
        ]
    );
    assert_eq!(
        mistake(&good("egress: {proxy: 'ann:hunter2@proxy:3128'}\n")),
        [
            "countersign.yaml:4:17: egress.proxy",
            "it is no http:// or https:// URL of a proxy",
            "Write `http://proxy.example.com:3128`."
        ]
    );
    assert_eq!(
        mistake(&good("egress: {ca_bundle: /nowhere/ca.pem}\n")),
        [
            "countersign.yaml:4:21: egress.ca_bundle",
            "/nowhere/ca.pem cannot be read: No such file or directory (os error 2)",
            "Name a file that this process may read."
        ]
    );
    assert_eq!(
        mistake(&good("pages: {templates: /nowhere}\n")),
        [
            "countersign.yaml:4:20: pages.templates",
            "/nowhere is no directory that can be read",
            "Name a directory of templates, or leave the key out."
        ]
    );
    assert_eq!(
        mistake(&good("log: {level: countersign=loud}\n")),
        [
            "countersign.yaml:4:14: log.level",
            "`countersign=loud` is no level: error parsing level filter: expected one of \"off\", \"error\", \"warn\", \"info\", \"debug\", \"trace\", or a number 0-5",
            "Write `info`, `debug` or, by part, `info,countersign::check=debug`."
        ]
    );
}
