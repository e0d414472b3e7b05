use countersign::config::BearerSource;

use crate::support::{Home, good, mistake, mistake_with};

const CLUSTER: &str = "bearer:\n  - {kind: kubernetes, audiences: [countersign]";

#[test]
fn the_api_server_is_the_one_that_the_pod_is_told_of() {
    let address = |text: &str, variables: &[(&str, &str)]| {
        let settings = Home::new().load(&good(text), variables).unwrap_or_else(|errors| panic!("{errors}")).settings;
        let [BearerSource::Kubernetes(cluster)] = &settings.bearer.sources[..] else { panic!("another source") };
        assert_eq!(cluster.api.ca.to_str(), Some("/var/run/secrets/kubernetes.io/serviceaccount/ca.crt"));
        assert_eq!(cluster.api.token_file.to_str(), Some("/var/run/secrets/kubernetes.io/serviceaccount/token"));
        cluster.api.address.to_string()
    };
    let default = format!("{CLUSTER}}}\n");
    let [host, port] = ["KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"];
    assert_eq!(address(&default, &[]), "https://kubernetes.default.svc/");
    assert_eq!(address(&default, &[(host, "10.96.0.1"), (port, "6443")]), "https://10.96.0.1:6443/");
    assert_eq!(address(&default, &[(host, "fd00::1"), (port, "443")]), "https://[fd00::1]/");
    assert_eq!(address(&default, &[(host, "10.96.0.1")]), "https://10.96.0.1/");
    let named = format!("{CLUSTER}, api_url: 'https://api.example.com:6443'}}\n");
    assert_eq!(address(&named, &[(host, "10.96.0.1"), (port, "6443")]), "https://api.example.com:6443/");
}

#[test]
fn variables_that_name_no_api_server_are_refused() {
    assert_eq!(
        mistake_with(&good(&format!("{CLUSTER}}}\n")), &[("KUBERNETES_SERVICE_HOST", "10.96.0.1/x?")]),
        [
            "countersign.yaml:5:5: bearer[0].api_url",
            "KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT make no URL: `https://10.96.0.1/x?:443`",
            "Write `https://kubernetes.default.svc`, or mend the variables."
        ]
    );
}

#[test]
fn an_api_server_is_asked_over_tls_and_by_its_own_address() {
    for url in ["http://10.96.0.1", "https://rancher.example.com/k8s/clusters/c-1"] {
        assert_eq!(
            mistake(&good(&format!("{CLUSTER}, api_url: '{url}'}}\n"))),
            [
                "countersign.yaml:5:59: bearer[0].api_url",
                "it is not https:// with a host alone",
                "Write `https://kubernetes.default.svc`."
            ]
        );
    }
}

#[test]
fn files_that_are_named_can_be_read() {
    for (key, column) in [("ca_file", 59), ("token_file", 62)] {
        assert_eq!(
            mistake(&good(&format!("{CLUSTER}, {key}: /nonexistent}}\n"))),
            [
                &*format!("countersign.yaml:5:{column}: bearer[0].{key}"),
                "/nonexistent cannot be read: No such file or directory (os error 2)",
                "Name a file that this process may read."
            ]
        );
    }
}

#[test]
fn scopes_are_scopes() {
    let text = "bearer:
  - {kind: introspection, introspection_url: https://a.example.com/i, client_id: c, client_secret: {env: DEX_SECRET},
     identity: {user: {prefix: 'a:'}}, scopes: [mesh, 'a b']}
identity: {user: {prefix: 'b:'}}
";
    assert_eq!(
        mistake(&good(text)),
        [
            "countersign.yaml:6:55: bearer[0].scopes[1]",
            "`a b` is no scope",
            "Write one scope an element: `[mesh, mesh.read]`."
        ]
    );
}

/// No provider makes a name that begins with `system:`, so that none is a service account's.
#[test]
fn service_accounts_are_nobody_else_whatever_users_are_named_by() {
    let named_by = |provider: &str, cluster: &str| {
        let provider = format!(
            "{{id: dex, issuer: https://dex.example.com, client_id: c, client_auth: none, identity: {{user: {{{provider}}}}}}}"
        );
        let text = format!("public_url: https://mesh.example.com\nproviders:\n  - {provider}\n{CLUSTER}{cluster}}}\n");
        Home::new().refusal(&text, &[])
    };
    assert_eq!(named_by("claim: preferred_username", ""), "(nothing)");
    assert_eq!(named_by("claim: preferred_username, prefix: 'corp:'", ""), "(nothing)");
    for (provider, cluster) in [
        ("claim: preferred_username, prefix: 'system:'", ""),
        ("claim: preferred_username", ", identity: {user: {prefix: 'k8s:'}}"),
    ] {
        assert!(
            named_by(provider, cluster).contains("could name a user exactly as `dex` does"),
            "{provider} {cluster}"
        );
    }
}
