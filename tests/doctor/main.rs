//! `countersign doctor`, over a set-up in which nothing is wrong, and over the same with one fault planted in it.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

const CONFIG: &str = "tests/doctor/countersign.yaml";
const SHARED: &str = "tests/doctor/shared.yaml";
const GOOD: &str = include_str!("good.yaml");
/// Where an `EnvoyFilter` asks; the configuration is in it, too.
const FILTER: &str = include_str!("filter.yaml");

/// A fault: what is planted (each old text is there once, and becomes the new one), and how the finding is called.
struct Fault {
    code: &'static str,
    planted: &'static [(&'static str, &'static str)],
    /// What the finding must say, besides.
    says: &'static str,
}

const FAULTS: &[Fault] = &[
    Fault { code: "provider-timeout", planted: &[("          timeout: 2s\n", "")], says: "600 s" },
    Fault { code: "provider-fail-open", planted: &[("failOpen: false", "failOpen: true")], says: "failOpen: false" },
    Fault {
        code: "provider-path-prefix",
        planted: &[("pathPrefix: /check", "pathPrefix: /auth")],
        says: "pathPrefix: /check",
    },
    Fault { code: "provider-status-on-error", planted: &[("          statusOnError: \"503\"\n", "")], says: "403" },
    Fault { code: "provider-port", planted: &[("          port: 9000", "          port: 80")], says: "port: 9000" },
    Fault {
        code: "provider-header-in-check",
        planted: &[("            - cookie\n            - accept\n", "            - accept\n")],
        says: "lacks cookie",
    },
    Fault {
        code: "provider-header-in-check",
        planted: &[("            - sec-fetch-*\n", "")],
        says: "lacks sec-fetch-mode, sec-fetch-dest",
    },
    Fault {
        code: "provider-upgrade-in-check",
        planted: &[("            - origin\n", "            - origin\n            - Upgrade\n")],
        says: "WebSocket",
    },
    Fault {
        code: "provider-header-upstream",
        planted: &[("            - kubeflow-groups\n", "")],
        says: "headersToUpstreamOnAllow lacks kubeflow-groups",
    },
    Fault {
        code: "provider-header-on-deny",
        planted: &[("            - set-cookie\n", "")],
        says: "headersToDownstreamOnDeny lacks set-cookie",
    },
    Fault {
        code: "provider-absent",
        planted: &[("service: countersign.countersign.svc", "service: oauth2-proxy.oauth2-proxy.svc")],
        says: "no provider leads to Countersign",
    },
    Fault {
        code: "provider-name",
        planted: &[("provider: {name: countersign}", "provider: {name: oauth2-proxy}")],
        says: "knows no provider `oauth2-proxy`, only countersign",
    },
    Fault {
        code: "provider-name",
        planted: &[("extensionProviders:\n      - name: countersign\n", "extensionProviders:\n      - name: checks\n")],
        says: "name: checks",
    },
    Fault {
        code: "provider-name",
        planted: &[
            ("extensionProviders:\n      - name: countersign\n", "extensionProviders:\n      - name: oauth2-proxy\n"),
            ("service: countersign.countersign.svc", "service: oauth2-proxy.oauth2-proxy.svc"),
        ],
        says: "{name: countersign, …}",
    },
    Fault {
        code: "public-needs-token",
        planted: &[("notPaths: [/oauth2/*, /public/*]", "notPaths: [/oauth2/*]")],
        says: "demanded on /public/ too",
    },
    Fault {
        code: "policy-skips-bearer",
        planted: &[(
            "    - {}\n",
            "    - when:\n        - {key: 'request.headers[authorization]', notValues: ['*']}\n",
        )],
        says: "past Countersign",
    },
    Fault {
        code: "policy-exempts-paths",
        planted: &[("    - {}\n", "    - to: [{operation: {notPaths: [/oauth2/*, /dex/*]}}]\n")],
        says: "/dex/* is not asked about",
    },
    Fault {
        code: "policy-asks-partly",
        planted: &[("    - {}\n", "    - to: [{operation: {paths: [/app/*], notMethods: [GET]}}]\n")],
        says: "by `paths`",
    },
    Fault {
        code: "policy-asks-partly",
        planted: &[(
            "    - {}\n",
            "    - when:\n        - {key: 'request.headers[user-agent]', notValues: ['kube-probe*']}\n",
        )],
        says: "by `when`",
    },
    Fault {
        code: "policy-asks-partly",
        planted: &[("    - {}\n", "    - from: [{source: {notIpBlocks: [10.0.0.0/8]}}]\n")],
        says: "by `from`",
    },
    Fault { code: "policy-absent", planted: &[("action: CUSTOM", "action: AUDIT")], says: "never sent to sign in" },
    Fault { code: "token-not-required", planted: &[("action: DENY", "action: AUDIT")], says: "notRequestPrincipals" },
    Fault {
        code: "sign-in-needs-token",
        planted: &[("notPaths: [/oauth2/*, /public/*]", "notPaths: [/public/*]")],
        says: "/oauth2/*",
    },
    Fault {
        code: "deny-all",
        planted: &[
            ("sidecar.istio.io/inject: \"false\"", "sidecar.istio.io/inject: \"true\""),
            (
                "kind: PeerAuthentication\nmetadata: {name: default, namespace: istio-system}\nspec:\n",
                "kind: AuthorizationPolicy\nmetadata: {name: deny-all, namespace: countersign}\nspec: {}\n---\nkind: \
             PeerAuthentication\nmetadata: {name: default, namespace: istio-system}\nspec:\n",
            ),
        ],
        says: "nothing lets anybody to Countersign",
    },
    Fault {
        code: "token-issuer",
        planted: &[(
            "    - issuer: http://countersign.countersign.svc.cluster.local:9000\n",
            "    - issuer: https://countersign.countersign.svc.cluster.local:9000/\n",
        )],
        says: "a slash at the end counts",
    },
    Fault {
        code: "token-issuer-absent",
        planted: &[(
            "    - issuer: http://countersign.countersign.svc.cluster.local:9000\n",
            "    - issuer: http://dex.auth.svc.cluster.local:5556/dex\n",
        )],
        says: "no rule has our issuer",
    },
    Fault {
        code: "token-audience",
        planted: &[("audiences: [mesh, notebooks]", "audiences: [mesh]")],
        says: "tokens for notebooks are refused",
    },
    Fault {
        code: "token-jwks-uri",
        planted: &[(
            "      jwksUri: http://countersign.countersign.svc.cluster.local:9000/.well-known/jwks.json\n",
            "",
        )],
        says: "through the front door",
    },
    Fault {
        code: "token-keys-inline",
        planted: &[(
            "jwksUri: http://countersign.countersign.svc.cluster.local:9000/.well-known/jwks.json",
            "jwks: '{\"keys\": []}'",
        )],
        says: "next key change",
    },
    Fault {
        code: "token-not-forwarded",
        planted: &[("      forwardOriginalToken: true\n", "")],
        says: "forwardOriginalToken: true",
    },
    Fault {
        code: "token-from-query",
        planted: &[("      fromHeaders:\n        - {name: Authorization, prefix: \"Bearer \"}\n", "")],
        says: "access_token",
    },
    Fault {
        code: "token-header",
        planted: &[("{name: Authorization, prefix: \"Bearer \"}", "{name: X-Token}")],
        says: "our tokens are in `authorization`",
    },
    Fault {
        code: "filter-matches-nothing",
        planted: &[("name: envoy.filters.network.http_connection_manager}", "name: envoy.http_connection_manager}")],
        says: "The patch is not applied, and nobody says so.",
    },
    Fault {
        code: "route-gateway",
        planted: &[("gateways: [ingress]", "gateways: [front]")],
        says: "istio-system/ingress",
    },
    Fault { code: "route-gateway", planted: &[("  gateways: [ingress]\n", "")], says: "no gateway is named" },
    Fault { code: "route-port", planted: &[("port: {number: 9000}", "port: {number: 80}")], says: "number: 9000" },
    Fault {
        code: "callback-not-routed",
        planted: &[("uri: {prefix: /oauth2/}", "uri: {exact: /oauth2/start}")],
        says: "/oauth2/callback, to which people come back from `corp`",
    },
    Fault {
        code: "pages-not-routed",
        planted: &[("uri: {prefix: /oauth2/}", "uri: {regex: /oauth2/(start|callback)}")],
        says: "/oauth2/sign_out",
    },
    Fault {
        code: "service-absent",
        planted: &[(
            "  selector: {app.kubernetes.io/name: countersign}\n",
            "  selector: {app.kubernetes.io/name: counter-sign}\n",
        )],
        says: "selects none of our pods",
    },
    Fault { code: "service-absent", planted: &[("kind: Service\n", "kind: Endpoints\n")], says: "no Service leads" },
    Fault {
        code: "service-target-port",
        planted: &[("targetPort: main", "targetPort: 8080")],
        says: "targetPort: 9000",
    },
    Fault { code: "service-target-port", planted: &[("targetPort: main", "targetPort: web")], says: "called \"web\"" },
    Fault {
        code: "service-target-port",
        planted: &[("containerPort: 9000", "containerPort: 8080")],
        says: "containerPort: 9000",
    },
    Fault {
        code: "sidecar-blocks-443",
        planted: &[("sidecar.istio.io/inject: \"false\"", "sidecar.istio.io/inject: \"true\"")],
        says: "excludeOutboundPorts",
    },
    Fault {
        code: "strict-mtls-keys",
        planted: &[
            ("        sidecar.istio.io/inject: \"false\"\n", ""),
            ("labels: {pod-security", "labels: {istio-injection: enabled, pod-security"),
        ],
        says: "istiod cannot fetch our keys",
    },
    Fault { code: "mtls-not-strict", planted: &[("mode: STRICT", "mode: PERMISSIVE")], says: "past the gateway" },
    Fault {
        code: "mtls-not-said",
        planted: &[("kind: PeerAuthentication", "kind: Telemetry")],
        says: "Istio's default is PERMISSIVE",
    },
    Fault {
        code: "network-policy",
        planted: &[("values: [istio-ingressgateway, istiod]", "values: [istio-ingressgateway]")],
        says: "istiod is kept out",
    },
    Fault {
        code: "network-policy",
        planted: &[("values: [istio-ingressgateway, istiod]", "values: [istiod]")],
        says: "the ingress gateway is kept out",
    },
    Fault {
        code: "sign-in-not-routed",
        planted: &[("uri: {prefix: /oauth2/}", "uri: {prefix: /authservice/}")],
        says: "/oauth2/start does not lead to Countersign",
    },
    Fault {
        code: "host-unknown",
        planted: &[("hosts: [mesh.example.com]", "hosts: [kubeflow.example.com]")],
        says: "people come to kubeflow.example.com",
    },
    Fault { code: "idle-timeout", planted: &[("idleTimeout: 30s", "idleTimeout: 1h")], says: "60 s" },
    Fault {
        code: "sockets-unbounded",
        planted: &[("common_http_protocol_options: {max_stream_duration: 3600s}", "merge_slashes: true")],
        says: "a sign-out",
    },
    Fault {
        code: "replicas-embedded-store",
        planted: &[("replicas: 1", "replicas: 2")],
        says: "replicas: 1, or session.store: redis",
    },
    Fault {
        code: "data-not-kept",
        planted: &[("{name: data, mountPath: /var/lib/countersign}", "{name: data, mountPath: /tmp}")],
        says: "/var/lib/countersign",
    },
    Fault {
        code: "manifest-unread",
        planted: &[("hosts: [mesh.example.com]", "hosts: {{ .Values.hosts }}")],
        says: "Render templates",
    },
];

/// The same for a gateway that asks by an `EnvoyFilter`.
const FILTER_FAULTS: &[Fault] = &[
    Fault {
        code: "provider-header-in-check",
        planted: &[(
            "                    - {exact: cookie}\n                    - {exact: accept}\n",
            "                    - {exact: accept}\n",
        )],
        says: "allowed_headers lacks cookie",
    },
    Fault {
        code: "provider-header-in-check",
        planted: &[("- {exact: X-Forwarded-Proto, ignore_case: true}", "- {exact: X-Forwarded-Proto}")],
        says: "{exact: x-forwarded-proto}",
    },
    Fault {
        code: "provider-upgrade-in-check",
        planted: &[("{exact: x-request-id}", "{exact: x-request-id}\n                    - {exact: upgrade}")],
        says: "WebSocket",
    },
    Fault {
        code: "provider-header-upstream",
        planted: &[(
            "                    - {exact: authorization}\n                    - {exact: cookie}\n                    - \
             {prefix: kubeflow-}\n",
            "                    - {exact: kubeflow-userid}\n",
        )],
        says: "allowed_upstream_headers lacks authorization, cookie, kubeflow-groups",
    },
    Fault {
        code: "provider-header-on-deny",
        planted: &[("                    - {exact: set-cookie}\n", "")],
        says: "allowed_client_headers lacks set-cookie",
    },
    Fault {
        code: "provider-path-prefix",
        planted: &[("              path_prefix: /check\n", "")],
        says: "path_prefix: /check",
    },
    Fault {
        code: "provider-absent",
        planted: &[("outbound|8080||authn", "outbound|8080||authservice")],
        says: "cluster: outbound|8080||authn.istio-system.svc.cluster.local",
    },
    Fault { code: "provider-port", planted: &[("outbound|8080||authn", "outbound|9000||authn")], says: "[8080]" },
    Fault { code: "provider-timeout", planted: &[("                timeout: 2s\n", "")], says: "Envoy demands one" },
    Fault {
        code: "provider-fail-open",
        planted: &[("failure_mode_allow: false", "failureModeAllow: true")],
        says: "failure_mode_allow: false",
    },
    Fault {
        code: "provider-status-on-error",
        planted: &[("            status_on_error: {code: ServiceUnavailable}\n", "")],
        says: "status_on_error: {code: ServiceUnavailable}",
    },
    Fault {
        code: "filter-matches-nothing",
        planted: &[("name: envoy.filters.network.http_connection_manager}", "name: envoy.http_connection_manager}")],
        says: "requests pass without being asked about",
    },
    Fault { code: "nobody-asks", planted: &[("kind: EnvoyFilter", "kind: Telemetry")], says: "forged headers pass" },
    Fault { code: "service-absent", planted: &[("kind: Service\n", "kind: Endpoints\n")], says: "no Service leads" },
    Fault {
        code: "route-gateway",
        planted: &[("gateways: [kubeflow/kubeflow-gateway]", "gateways: [kubeflow-gateway]")],
        says: "gateways: [kubeflow/kubeflow-gateway]",
    },
    Fault {
        code: "callback-not-routed",
        planted: &[("        - uri: {exact: /login/oidc}\n", "")],
        says: "{exact: /login/oidc}",
    },
    Fault {
        code: "file-not-mounted",
        planted: &[("              - secret: {name: countersign}\n", "")],
        says: "/etc/countersign/client-secret, named by providers[0].client_secret.file",
    },
    Fault {
        code: "file-not-mounted",
        planted: &[("            - {name: config, mountPath: /etc/countersign, readOnly: true}\n", "")],
        says: "/etc/countersign/",
    },
    Fault {
        code: "token-review-no-token",
        planted: &[("automountServiceAccountToken: true", "automountServiceAccountToken: false")],
        says: "automountServiceAccountToken: true",
    },
    Fault {
        code: "token-review-no-token",
        planted: &[("      automountServiceAccountToken: true\n", "")],
        says: "automountServiceAccountToken: true",
    },
    Fault {
        code: "token-review-forbidden",
        planted: &[("kind: ClusterRoleBinding", "kind: RoleBinding")],
        says: "istio-system/countersign create TokenReviews",
    },
    Fault {
        code: "token-review-forbidden",
        planted: &[("resources: [tokenreviews]", "resources: [subjectaccessreviews]")],
        says: "system:auth-delegator",
    },
];

#[test]
fn where_nothing_is_wrong_nothing_is_found() {
    for output in [doctor(GOOD, &[]), doctor_alone(FILTER, &[])] {
        assert_eq!(text(&output.stdout), "nothing is wrong with the configuration and the manifests\n");
        assert_eq!((text(&output.stderr), output.status.code()), (String::new(), Some(0)));
    }
}

#[test]
fn each_planted_fault_is_found_and_told() {
    all_are_found(FAULTS, GOOD, doctor);
}

#[test]
fn each_fault_planted_beside_a_filter_is_found_and_told() {
    all_are_found(FILTER_FAULTS, FILTER, doctor_alone);
}

fn all_are_found(faults: &[Fault], good: &str, doctor: fn(&str, &[&str]) -> Output) {
    for fault in faults {
        let mut manifests = good.to_owned();
        for (old, new) in fault.planted {
            assert_eq!(manifests.matches(old).count(), 1, "{}: {old:?} is there once", fault.code);
            manifests = manifests.replace(old, new);
        }
        let output = doctor(&manifests, &[]);
        let found = text(&output.stdout);
        let told = found.split("\n\n").find(|finding| finding.contains(&format!("[{}]", fault.code)));
        let told =
            told.unwrap_or_else(|| panic!("{} was not found, but:\n{found}{}", fault.code, text(&output.stderr)));
        assert!(told.contains(fault.says), "{}: {told}", fault.code);
        for line in ["\n  where   standard input:", "\n  why     ", "\n  change  "] {
            assert!(told.contains(line), "{}: no {line:?} in {told}", fault.code);
        }
        assert_eq!(output.status.code(), Some(i32::from(told.starts_with("FAULT"))), "{}", fault.code);
        let strictly = doctor(&manifests, &["--strict"]);
        assert_eq!(strictly.status.code(), Some(1), "{}", fault.code);
    }
}

#[test]
fn a_finding_says_where_it_is() {
    let manifests = GOOD.replace("replicas: 1", "replicas: 3");
    let line = 1 + GOOD.lines().take_while(|line| !line.contains("kind: StatefulSet")).count();
    let output = doctor(&manifests, &["--json"]);
    let findings: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let place = format!("standard input:{} StatefulSet countersign/countersign, spec.replicas", line - 1);
    assert_eq!(findings[0]["place"], place, "{findings}");
    assert_eq!(findings[0]["severity"], "fault");
    assert_eq!(text(&output.stderr), "countersign: 1 fault, 0 warnings\n");
}

#[test]
fn what_a_cluster_prints_is_read_as_well() {
    let documents: Vec<serde_json::Value> =
        GOOD.split("---\n").map(|document| serde_saphyr::from_str(document).expect("YAML")).collect();
    let list = serde_json::json!({"apiVersion": "v1", "kind": "List", "items": documents}).to_string();
    assert_eq!(doctor(&list, &["--strict"]).status.code(), Some(0));
    let output = doctor(&list.replace("\"2s\"", "null").replace("timeout: 2s", "x: y"), &[]);
    assert!(text(&output.stdout).contains("[provider-timeout]"), "{}", text(&output.stdout));
}

/// What people have that looks like a fault, and is none: the good set-up, with other texts in place of some.
const FINE: &[(&str, &[(&str, &str)])] = &[
    (
        "a gateway with labels of its own, named where it is let in",
        &[
            ("matchLabels: {istio: ingressgateway}", "matchLabels: {gateway: front}"),
            (
                "              - {key: app, operator: In, values: [istio-ingressgateway, istiod]}\n",
                "              - {key: app, operator: In, values: [istiod]}\n        - namespaceSelector:\n            \
                 matchLabels: {kubernetes.io/metadata.name: gateways}\n          podSelector:\n            \
                 matchLabels: {gateway: front}\n",
            ),
        ],
    ),
    (
        "no token at all: the headers are believed",
        &[
            ("kind: RequestAuthentication", "kind: Telemetry"),
            ("        - source: {notRequestPrincipals: [\"*\"]}", "        - source: {notPrincipals: [\"*\"]}"),
        ],
    ),
    (
        "a mesh that denies what is not allowed, in which our pods are not",
        &[(
            "---\napiVersion: security.istio.io/v1\nkind: PeerAuthentication",
            "---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: global-deny-all, namespace: \
             istio-system}\nspec: {}\n---\napiVersion: security.istio.io/v1\nkind: PeerAuthentication",
        )],
    ),
    (
        "a gateway of somebody else's, whose filter is older than ours",
        &[("name: envoy.filters.network.http_connection_manager}", "name: envoy.http_connection_manager}")],
    ),
    (
        "another gateway, to which one comes with a token only",
        &[(
            "---\napiVersion: security.istio.io/v1\nkind: PeerAuthentication",
            "---\napiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: tokens, namespace: \
             istio-system}\nspec:\n  selector:\n    matchLabels: {istio: machines}\n  action: DENY\n  rules:\n    - from: \
             [{source: {notRequestPrincipals: [\"*\"]}}]\n---\napiVersion: security.istio.io/v1\nkind: PeerAuthentication",
        )],
    ),
];

#[test]
fn what_only_looks_like_a_fault_is_not_called_one() {
    for (what, texts) in FINE {
        let mut manifests = GOOD.to_owned();
        for (old, new) in *texts {
            assert!(manifests.contains(old), "{what}: {old:?} is there");
            manifests = manifests.replace(old, new);
        }
        let output = doctor(&manifests, &[]);
        assert_eq!(output.status.code(), Some(0), "{what}: {}", text(&output.stdout));
        assert!(!text(&output.stdout).contains("FAULT"), "{what}: {}", text(&output.stdout));
    }
}

#[test]
fn a_gateway_with_labels_of_its_own_is_missed_where_it_is_not_let_in() {
    let manifests = GOOD.replace("matchLabels: {istio: ingressgateway}", "matchLabels: {app: front}");
    let found = text(&doctor(&manifests, &[]).stdout);
    assert!(found.contains("the ingress gateway is kept out") && found.contains("{\"app\":\"front\"}"), "{found}");
}

#[test]
fn replicas_that_share_their_store_keep_nothing_and_are_no_fault() {
    let manifests = GOOD.replace("replicas: 1", "replicas: 3").replace("kind: StatefulSet", "kind: Deployment");
    let manifests = manifests.replace("{name: data, mountPath: /var/lib/countersign}", "{name: tmp, mountPath: /tmp}");
    assert_ne!(doctor(&manifests, &[]).status.code(), Some(0), "without a shared store it is one");
    let output = run(&manifests, &["--config", SHARED], &["--strict"]);
    assert_eq!(output.status.code(), Some(0), "{}{}", text(&output.stdout), text(&output.stderr));
}

#[test]
fn what_is_suggested_names_the_service_that_is_there() {
    let manifests = GOOD
        .replace("countersign.countersign.svc", "gate.sign-in.svc")
        .replace("metadata: {name: countersign, namespace: countersign}", "metadata: {name: gate, namespace: sign-in}")
        .replace("name: http, port: 9000", "name: http, port: 8000")
        .replace("          port: 9000", "          port: 8000")
        .replace("uri: {prefix: /oauth2/}", "uri: {prefix: /o/}")
        .replace("      jwksUri: http://gate.sign-in.svc.cluster.local:9000/.well-known/jwks.json\n", "");
    let manifests =
        manifests.replace("- issuer: http://gate.sign-in.svc", "- issuer: http://countersign.countersign.svc");
    let found = text(&doctor(&manifests, &[]).stdout);
    for line in [
        "jwksUri: http://gate.sign-in.svc.cluster.local:8000/.well-known/jwks.json",
        "{host: gate.sign-in.svc.cluster.local, port: {number: 8000}}",
    ] {
        assert!(found.contains(line), "{line}: {found}");
    }
}

#[test]
fn pods_that_are_given_alone_are_not_blamed_for_the_rest() {
    let of_gateway = ["kind: Gateway", "kind: EnvoyFilter", "kind: VirtualService", "kind: Service\n"];
    let is_kept = |object: &&str| !of_gateway.iter().any(|kind| object.contains(kind));
    let pods: Vec<&str> = FILTER.split("---\n").filter(is_kept).collect();
    assert_eq!(pods.len(), 6);
    let output = doctor_alone(&pods.join("---\n"), &[]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stdout));
}

#[test]
fn a_filter_over_grpc_is_known_as_well() {
    let (before, rest) = FILTER.split_once("            http_service:\n").expect("a filter");
    let (_, after) = rest.split_once("---\n").expect("another object");
    let with = |cluster: &str| {
        format!("{before}            grpc_service: {{envoy_grpc: {{cluster_name: {cluster}}}}}\n---\n{after}")
    };
    let good = doctor_alone(&with("outbound|8080||authn.istio-system.svc.cluster.local"), &["--strict"]);
    assert_eq!(good.status.code(), Some(0), "{}", text(&good.stdout));
    let found = text(&doctor_alone(&with("outbound|8080||authservice.istio-system.svc.cluster.local"), &[]).stdout);
    assert!(found.contains("[provider-absent]") && found.contains("envoy_grpc.cluster_name"), "{found}");
}

#[test]
fn the_pods_variables_count_and_its_configuration_is_named() {
    let set = |value: &str| {
        let more = format!(
            "          image: countersign\n          env: [{{name: COUNTERSIGN_PUBLIC_URL, value: {value}}}]\n"
        );
        FILTER.replace("          image: countersign\n", &more)
    };
    let found = text(&doctor_alone(&set("https://other.example.com"), &[]).stdout);
    assert!(found.contains("people come to mesh.example.com"), "{found}");
    let broken = doctor_alone(&FILTER.replace("data_dir: /var", "data_di: /var"), &[]);
    let said = text(&broken.stderr);
    assert!(said.contains("ConfigMap istio-system/countersign-7h2k9f4g5m, countersign.yaml:"), "{said}");
    assert_eq!(broken.status.code(), Some(2));
}

#[test]
fn a_secret_is_missed_only_where_somebody_is_asked() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("countersign.yaml");
    let text_of = std::fs::read_to_string(CONFIG)
        .expect("a config")
        .replace("client_auth: none", "client_secret: {file: /nowhere/client-secret}");
    std::fs::write(&config, text_of).expect("it is written");
    let run = |more: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_countersign"))
            .args(["doctor", "--config"])
            .arg(&config)
            .args(more)
            .env_clear()
            .output()
            .expect("it runs")
    };
    let offline = run(&["--offline"]);
    assert_eq!(
        (text(&offline.stdout), text(&offline.stderr)),
        ("nothing is wrong with the configuration\n".into(), String::new())
    );
    let online = run(&[]);
    let said = text(&online.stderr);
    assert!(said.contains("/nowhere/client-secret cannot be read"), "{said}");
    assert_eq!(online.status.code(), Some(2));
    let missing = text(&run(&["--offline", "--manifests", "/nowhere/at-all.yaml"]).stderr);
    assert_eq!(missing.matches("os error").count(), 1, "{missing}");
}

/// Runs it over these manifests, without asking anybody.
fn doctor(manifests: &str, more: &[&str]) -> Output {
    run(manifests, &["--config", CONFIG], more)
}

/// The same, with the configuration that is among them.
fn doctor_alone(manifests: &str, more: &[&str]) -> Output {
    run(manifests, &[], more)
}

fn run(manifests: &str, config: &[&str], more: &[&str]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_countersign"))
        .args(["doctor", "--manifests", "-", "--offline"])
        .args(config)
        .args(more)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    child.stdin.take().expect("its input").write_all(manifests.as_bytes()).expect("it reads");
    child.wait_with_output().expect("it ends")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
