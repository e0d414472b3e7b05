"""The chart under charts/countersign: what it renders from many values, and what it refuses, with the reason.

    tests/manifests/chart [-v]        gets the tools and runs this

Each file under chart-values/good is rendered once and judged in all tests; each under chart-values/refused says in its
first lines what the schema, and what the templates, are to answer. No cluster is asked.
"""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import unittest
import urllib.request
from functools import cache
from pathlib import Path

import jsonschema
import yaml

import chart_schema

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "charts" / "countersign"
VALUES = ROOT / "tests" / "manifests" / "chart-values"
HELM = os.environ["HELM"]
ENVOY = os.environ["ENVOY"]
COUNTERSIGN = os.environ["COUNTERSIGN"]
KUBECONFORM = ROOT / "tests" / "tools" / "kubeconform-check"
RELEASE, NAMESPACE = "gate", "countersign"
CLUSTER = ("--namespace", NAMESPACE, "--kube-version", "1.30.0")

good = sorted((VALUES / "good").glob("*.yaml"))
refused = sorted((VALUES / "refused").glob("*.yaml"))


def run(*command, **options):
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, **options)


def template(values, *more, chart=CHART):
    return run(HELM, "template", RELEASE, chart, *CLUSTER, "-f", values, *more)


@cache
def text(values, chart=CHART):
    done = template(values, chart=chart)
    assert done.returncode == 0, f"{values.name}: {done.stderr}"
    return done.stdout


@cache
def objects(values, chart=CHART):
    return [one for one in yaml.safe_load_all(text(values, chart)) if one]


def of_kind(values, kind, chart=CHART):
    return [one for one in objects(values, chart) if one["kind"] == kind]


def only(values, kind, chart=CHART):
    found = of_kind(values, kind, chart)
    assert len(found) == 1, f"{values.name}: {len(found)} objects of kind {kind}"
    return found[0]


def named(name):
    return VALUES / "good" / f"{name}.yaml"


def config(values):
    main = next(one for one in of_kind(values, "ConfigMap") if "countersign.yaml" in one["data"])
    return yaml.safe_load(main["data"]["countersign.yaml"])


def pod_of(one):
    if one["kind"] in ("StatefulSet", "Deployment"):
        return one["spec"]["template"]
    return one if one["kind"] == "Pod" else None


def gateway_pod(values):
    return workload(values)["spec"]["template"]


def shares(values):
    """Whether replicas share what they keep."""
    return config(values).get("session", {}).get("store") == "redis"


def workload(values):
    return only(values, "Deployment" if shares(values) else "StatefulSet")


@cache
def notes(values):
    """What `helm install` prints. Helm shows it to whoever has a cluster, so that it is rendered as an object here."""
    with tempfile.TemporaryDirectory() as directory:
        chart = Path(directory) / "countersign"
        shutil.copytree(CHART, chart)
        said = (chart / "templates" / "NOTES.txt").read_text()
        wrapped = (
            f'{{{{- define "notes" -}}}}{said}{{{{- end -}}}}\n'
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: notes}\n"
            'data:\n  said: |\n    {{- include "notes" . | nindent 4 }}\n'
        )
        (chart / "templates" / "zz.yaml").write_text(wrapped)
        done = template(values, "--show-only", "templates/zz.yaml", chart=chart)
        assert done.returncode == 0, f"{values.name}: {done.stderr}"
        return yaml.safe_load(done.stdout)["data"]["said"]


def mesh_provider(values):
    """The entry of extensionProviders, as printed."""
    block = re.search(r"^extensionProviders:\n(?:[- ].*\n)+", notes(values), re.MULTILINE)
    assert block, f"{values.name}: the notes name no extensionProviders:\n{notes(values)}"
    return yaml.safe_load(block.group())["extensionProviders"][0]


def check_filter(values):
    found = [one for one in of_kind(values, "EnvoyFilter") if one["metadata"]["name"].endswith("-check")]
    assert len(found) == 1, f"{values.name}: {len(found)} EnvoyFilters that ask"
    return found[0]


class Every(unittest.TestCase):
    """What holds for all values that are good."""

    def test_there_are_enough_of_them(self):
        self.assertGreaterEqual(len(good), 15)
        self.assertGreaterEqual(len(refused), 10)

    def test_helm_has_nothing_to_complain_of(self):
        for values in good:
            with self.subTest(values.name):
                done = run(HELM, "lint", "--strict", CHART, *CLUSTER, "-f", values)
                self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
                self.assertNotIn("[WARNING]", done.stdout)

    def test_every_object_suits_its_schema(self):
        with tempfile.TemporaryDirectory() as directory:
            for values in good:
                Path(directory, values.name).write_text(text(values))
            done = run(KUBECONFORM, directory)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            judged = [int(count) for count in re.findall(r"Valid: (\d+)", done.stdout)]
            self.assertEqual(set(judged), {sum(len(objects(values)) for values in good)}, done.stdout)

    def test_two_renders_are_identical(self):
        for values in good:
            with self.subTest(values.name):
                self.assertEqual(text(values), template(values).stdout)

    def test_nothing_in_the_templates_asks_for_chance_or_the_cluster(self):
        forbidden = r"\b(rand\w*|uuidv4|now|lookup|gen\w*(Key|Cert|CA)\w*|derivePassword|htpasswd|getHostByName)\b"
        for source in CHART.glob("templates/**/*.*"):
            for action in re.findall(r"{{.*?}}", source.read_text(), re.DOTALL):
                if not re.match(r"{{-?\s*/\*", action):
                    plain = re.sub(r'"[^"]*"', '""', action)
                    self.assertIsNone(re.search(forbidden, plain), f"{source.name}: {action}")

    def test_countersign_accepts_the_configuration(self):
        for values in good:
            with self.subTest(values.name):
                with tempfile.TemporaryDirectory() as directory:
                    done = ask_countersign(values, Path(directory), "config", "check")
                self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
                self.assertIn("the configuration is good", done.stdout)

    def test_every_identity_header_passes_the_gateway(self):
        asked = 0
        for values in good:
            with self.subTest(values.name):
                written = config(values)
                names = set(written.get("headers", {"kubeflow-userid": "user", "kubeflow-groups": "groups"}))
                names |= {"authorization", "cookie", written.get("token", {}).get("header", "authorization")}
                if "envoyFilter: {enabled: true}" in values.read_text():
                    value = check_filter(values)["spec"]["configPatches"][0]["patch"]["value"]["typed_config"]
                    patterns = value["http_service"]["authorization_response"]["allowed_upstream_headers"]["patterns"]
                    self.assertEqual({pattern["exact"] for pattern in patterns}, names)
                else:
                    entry = mesh_provider(values)
                    if "envoyExtAuthzGrpc" in entry:
                        # Over gRPC every header passes, as the answer says.
                        continue
                    asked += 1
                    listed = entry["envoyExtAuthzHttp"]["headersToUpstreamOnAllow"]
                    self.assertEqual(set(listed), names)
                    self.assertEqual(len(listed), len(set(listed)))
        self.assertGreater(asked, 10)

    def test_pods_are_restricted(self):
        """Pod Security Standard `restricted`, and a root file system that nobody can write to."""
        seen = 0
        for values in good:
            with self.subTest(values.name):
                for one in objects(values):
                    pod = pod_of(one)
                    if not pod:
                        continue
                    seen += 1
                    spec = pod["spec"]
                    for key in ("hostNetwork", "hostPID", "hostIPC", "hostUsers", "initContainers"):
                        self.assertNotIn(key, spec)
                    self.assertIs(spec["securityContext"]["runAsNonRoot"], True)
                    self.assertNotEqual(spec["securityContext"].get("runAsUser"), 0)
                    self.assertEqual(spec["securityContext"]["seccompProfile"], {"type": "RuntimeDefault"})
                    self.assertNotIn("sysctls", spec["securityContext"])
                    for container in spec["containers"]:
                        context = container["securityContext"]
                        self.assertIs(context["allowPrivilegeEscalation"], False)
                        self.assertIs(context["privileged"], False)
                        self.assertIs(context["readOnlyRootFilesystem"], True)
                        self.assertEqual(context["capabilities"], {"drop": ["ALL"]})
                        self.assertFalse(any("hostPort" in port for port in container.get("ports", [])))
                    allowed = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim"}
                    for volume in spec.get("volumes", []):
                        self.assertLessEqual(set(volume) - {"name"}, allowed | {"projected", "secret"})
        self.assertGreater(seen, len(good))

    def test_the_pod_has_the_token_and_the_right_that_its_configuration_needs_and_no_more(self):
        seen = []
        for values in good:
            with self.subTest(values.name):
                sources = [one for one in config(values).get("bearer", []) if one["kind"] == "kubernetes"]
                reviews = any(one.get("verify", "token_review") == "token_review" for one in sources)
                made = reviews and "existingBinding: true" not in values.read_text()
                seen.append((bool(sources), reviews, made))
                spec = gateway_pod(values)["spec"]
                self.assertIs(spec["automountServiceAccountToken"], bool(sources))
                for account in of_kind(values, "ServiceAccount"):
                    self.assertIs(account["automountServiceAccountToken"], False)
                roles, bindings = of_kind(values, "ClusterRole"), of_kind(values, "ClusterRoleBinding")
                self.assertEqual((len(roles), len(bindings)), (int(made), int(made)))
                for role, binding in zip(roles, bindings):
                    right = {"apiGroups": ["authentication.k8s.io"], "resources": ["tokenreviews"], "verbs": ["create"]}
                    self.assertEqual(role["rules"], [right])
                    self.assertEqual(binding["roleRef"]["kind"], "ClusterRole")
                    self.assertEqual(binding["roleRef"]["name"], role["metadata"]["name"])
                    subject = {"kind": "ServiceAccount", "name": spec["serviceAccountName"], "namespace": NAMESPACE}
                    self.assertEqual(binding["subjects"], [subject])
                self.assertEqual("may create `tokenreviews`" in notes(values), reviews and not made)
        self.assertEqual(len(set(seen)), 4, "one of each is tried")

    def test_the_gateway_and_istiod_reach_the_main_port_and_nobody_else_the_admin_port(self):
        seen = 0
        for values in good:
            with self.subTest(values.name):
                for policy in of_kind(values, "NetworkPolicy"):
                    seen += 1
                    written = yaml.safe_load(values.read_text()).get("networkPolicy", {})
                    self.assertEqual(policy["spec"]["podSelector"]["matchLabels"], only_selector(values))
                    main, admin = policy["spec"]["ingress"][:2]
                    self.assertEqual([port["port"] for port in main["ports"]], ["main"])
                    self.assertEqual([port["port"] for port in admin["ports"]], ["admin"])
                    gateway = written.get("ingressGateway", {}).get("podSelector", {}).get("matchLabels")
                    labels = labels_of(main["from"])
                    self.assertIn(gateway or {"istio": "ingressgateway"}, labels)
                    self.assertIn({"app": "istiod"}, labels)
                    for rule in policy["spec"]["ingress"]:
                        # An empty list, or an empty peer, would admit everybody.
                        self.assertTrue(rule["from"] and all(rule["from"]))
                    self.assertNotIn({"app": "istiod"}, labels_of(admin["from"]))
        self.assertGreater(seen, 10)

    def test_services_lead_to_the_pod(self):
        for values in good:
            with self.subTest(values.name):
                pod = gateway_pod(values)
                ports = {port["name"]: port["containerPort"] for port in pod["spec"]["containers"][0]["ports"]}
                self.assertEqual(set(ports), {"main", "admin"})
                services = {one["metadata"]["name"]: one for one in of_kind(values, "Service")}
                self.assertEqual(len(services), 2)
                if not shares(values):
                    self.assertIn(workload(values)["spec"]["serviceName"], services)
                test_labels = [one["metadata"]["labels"] for one in of_kind(values, "Pod")]
                for service in services.values():
                    selector = service["spec"]["selector"]
                    self.assertLessEqual(selector.items(), pod["metadata"]["labels"].items())
                    for labels in test_labels:
                        self.assertFalse(selector.items() <= labels.items(), "checks would be sent to the test's pod")
                    self.assertLessEqual({port["targetPort"] for port in service["spec"]["ports"]}, set(ports))

    def test_the_pod_ends_after_its_time(self):
        for values in good:
            with self.subTest(values.name):
                shutdown = config(values).get("shutdown", {})
                least = seconds(shutdown.get("lame_duck", "10s")) + seconds(shutdown.get("deadline", "25s"))
                self.assertGreater(gateway_pod(values)["spec"]["terminationGracePeriodSeconds"], least)

    def test_what_the_configuration_reads_is_mounted(self):
        for values in good:
            with self.subTest(values.name):
                pod = gateway_pod(values)["spec"]
                mounts = {mount["mountPath"]: mount["name"] for mount in pod["containers"][0]["volumeMounts"]}
                sources = next(one for one in pod["volumes"] if one["name"] == "etc")["projected"]["sources"]
                items = [source["secret"].get("items") for source in sources if "secret" in source]
                mounted = {item["path"] for some in items for item in some or []}
                for file in files_of(config(values)):
                    directory, name = os.path.split(file)
                    if directory == "/etc/countersign":
                        # A Secret without items may hold any file.
                        self.assertTrue(name in mounted or None in items, f"{file}: {mounted}")
                    self.assertTrue({directory, file} & set(mounts), f"{file}: {mounts}")
                claims = workload(values)["spec"].get("volumeClaimTemplates", [])
                lasting = [claim["metadata"]["name"] for claim in claims]
                lasting += [volume["name"] for volume in pod["volumes"] if "persistentVolumeClaim" in volume]
                if shares(values):
                    self.assertEqual(lasting, [])
                    self.assertNotIn("data", mounts.values())
                else:
                    self.assertEqual(mounts[config(values).get("data_dir", "/var/lib/countersign")], "data")
                    self.assertEqual(lasting, ["data"])
                there = {volume["name"] for volume in pod["volumes"]} | set(lasting)
                self.assertLessEqual(set(mounts.values()), there)

    def test_the_policies_agree_with_the_configuration(self):
        seen = 0
        for values in good:
            with self.subTest(values.name):
                written = config(values)
                for policy in of_kind(values, "RequestAuthentication"):
                    seen += 1
                    (rule,) = policy["spec"]["jwtRules"]
                    token = written.get("token", {})
                    self.assertEqual(rule["issuer"], token.get("issuer", written["public_url"]))
                    self.assertRegex(rule["jwksUri"], r"^https?://[^/]+\.svc\.[^/]+/(\.well-known/)?jwks\.json$")
                    header = token.get("header", "authorization")
                    self.assertEqual([one["name"] for one in rule["fromHeaders"]], [header])
                    of_rules = {audience for one in written.get("rules", []) for audience in one.get("audience", [])}
                    wanted = set(token.get("audience", ["mesh"])) | of_rules
                    self.assertEqual(set(rule["audiences"]), wanted)
                for policy in of_kind(values, "AuthorizationPolicy"):
                    provider = policy["spec"].get("provider", {}).get("name")
                    if policy["spec"]["action"] == "CUSTOM":
                        self.assertEqual(provider, mesh_provider(values)["name"])
                    else:
                        self.assertEqual(policy["spec"]["action"], "DENY")
                        sources = policy["spec"]["rules"][0]["from"]
                        self.assertEqual(sources, [{"source": {"notRequestPrincipals": ["*"]}}])
        self.assertGreater(seen, 3)


class Single(unittest.TestCase):
    """What holds for some values."""

    maxDiff = None

    def test_the_version_is_the_programs(self):
        manifest = (ROOT / "Cargo.toml").read_text()
        version = re.search(r'^version = "(.+)"', manifest, re.MULTILINE).group(1)
        chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
        self.assertEqual(chart["appVersion"], version)
        self.assertEqual(gateway_pod(named("minimal"))["spec"]["containers"][0]["image"], f"countersign:{version}")

    def test_the_provider_is_the_one_that_a_mesh_needs(self):
        provider = mesh_provider(named("kubeflow"))
        self.assertEqual(provider["name"], "countersign")
        entry = provider["envoyExtAuthzHttp"]
        self.assertEqual(entry["service"], "gate-countersign.countersign.svc.cluster.local")
        self.assertEqual((entry["port"], entry["timeout"], entry["pathPrefix"]), (9000, "2s", "/check"))
        self.assertEqual((entry["failOpen"], entry["statusOnError"]), (False, "503"))
        example = yaml.safe_load((ROOT / "examples" / "envoy" / "envoy.yaml").read_text())
        ext_authz = find(example, "name", "envoy.filters.http.ext_authz")["typed_config"]
        exact = lambda matcher: [pattern["exact"] for pattern in matcher["patterns"]]
        asked = entry["includeRequestHeadersInCheck"]
        self.assertEqual([name for name in asked if "*" not in name], exact(ext_authz["allowed_headers"]))
        self.assertEqual([name for name in asked if "*" in name], ["kubeflow*", "txn*"])
        response = ext_authz["http_service"]["authorization_response"]
        self.assertEqual(entry["headersToDownstreamOnDeny"], exact(response["allowed_client_headers"]))

    def test_the_doctor_finds_no_fault_with_the_chart_and_what_its_notes_say(self):
        for name in ("kubeflow", "corporate", "other-paths-and-ports", "front-proxy", "callbacks-elsewhere"):
            with self.subTest(name), tempfile.TemporaryDirectory() as directory:
                done = self.doctor(named(name), Path(directory), mesh_provider(named(name)))
                self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
                self.assertNotIn("mesh-config-absent", done.stdout)
        with tempfile.TemporaryDirectory() as directory:
            entry = mesh_provider(named("kubeflow"))
            entry["envoyExtAuthzHttp"]["headersToUpstreamOnAllow"].remove("kubeflow-userid")
            done = self.doctor(named("kubeflow"), Path(directory), entry)
            self.assertEqual(done.returncode, 1, done.stdout + done.stderr)

    def test_a_check_has_the_headers_in_which_somebody_comes(self):
        asked = lambda name: mesh_provider(named(name))["envoyExtAuthzHttp"]["includeRequestHeadersInCheck"]
        self.assertEqual(set(asked("front-proxy")) - set(asked("istio")), {"x-auth-token", "cf-access-jwt-assertion"})
        with tempfile.TemporaryDirectory() as directory:
            entry = mesh_provider(named("front-proxy"))
            entry["envoyExtAuthzHttp"]["includeRequestHeadersInCheck"].remove("cf-access-jwt-assertion")
            done = self.doctor(named("front-proxy"), Path(directory), entry)
            self.assertIn("lacks cf-access-jwt-assertion", done.stdout + done.stderr)

    def doctor(self, values, directory, entry):
        (directory / "rendered.yaml").write_text(text(values))
        mesh = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "istio", "namespace": "istio-system"}}
        mesh["data"] = {"mesh": yaml.safe_dump({"extensionProviders": [entry]})}
        (directory / "mesh.yaml").write_text(yaml.safe_dump(mesh))
        manifests = ("--manifests", directory / "rendered.yaml", "--manifests", directory / "mesh.yaml")
        return ask_countersign(values, directory, "doctor", "--offline", *manifests)

    def test_the_mesh_may_ask_over_grpc(self):
        values = named("grpc")
        service = "gate-countersign.countersign.svc.cluster.local"
        entry = {"service": service, "port": 9012, "timeout": "1s", "failOpen": False, "statusOnError": "503"}
        self.assertEqual(mesh_provider(values), {"name": "doorkeeper", "envoyExtAuthzGrpc": entry})
        ports = next(one for one in of_kind(values, "Service") if "clusterIP" not in one["spec"])["spec"]["ports"]
        self.assertIn({"name": "grpc", "appProtocol": "grpc", "port": 9012, "targetPort": "main"}, ports)

    def test_the_gateway_comes_without_tls_where_there_is_none(self):
        def tls(name):
            return only(named(name), "DestinationRule")["spec"]["trafficPolicy"].get("tls")

        self.assertEqual(tls("kubeflow"), {"mode": "DISABLE"})
        # Istio finds out by itself what an injected pod speaks.
        self.assertIsNone(tls("sidecar"))
        self.assertEqual(tls("tls"), {"mode": "SIMPLE"})

    def test_the_notes_say_what_is_missing_and_only_that(self):
        minimal, whole = notes(named("minimal")), notes(named("kubeflow"))
        for words in ("Nothing asks Countersign yet", "Nothing verifies our tokens yet", "outlives a sign-out"):
            self.assertIn(words, minimal)
            self.assertNotIn(words, whole)
        self.assertIn("dex: https://kubeflow.example.com/oauth2/callback\n", minimal)
        self.assertIn("dex: /oauth2/callback\n", whole)
        self.assertIn("partners: https://mesh.example.com/oauth2/callback/partners\n", notes(named("two-providers")))
        self.assertIn("STRICT", notes(named("sidecar-of-namespace")))
        self.assertNotIn("extensionProviders:\n", notes(named("old-istio")))

    def test_other_paths_and_ports_are_followed_everywhere(self):
        values = named("other-paths-and-ports")
        host = "gate-countersign.countersign.svc.cluster.example"
        entry = mesh_provider(values)["envoyExtAuthzHttp"]
        self.assertEqual((entry["service"], entry["port"], entry["pathPrefix"]), (host, 80, "/ask"))
        pod = gateway_pod(values)["spec"]
        self.assertEqual([port["containerPort"] for port in pod["containers"][0]["ports"]], [8443, 8081])
        self.assertEqual(pod["terminationGracePeriodSeconds"], 90 + 20 + 10)
        (route,) = only(values, "VirtualService")["spec"]["http"]
        self.assertEqual(route["match"], [{"uri": {"prefix": "/auth/"}}])
        self.assertEqual(route["route"], [{"destination": {"host": host, "port": {"number": 80}}}])
        (rule,) = only(values, "RequestAuthentication")["spec"]["jwtRules"]
        self.assertEqual(rule["fromHeaders"], [{"name": "x-mesh-token"}])
        self.assertEqual(rule["jwksUri"], f"http://{host}:80/.well-known/jwks.json")
        deny = next(one for one in of_kind(values, "AuthorizationPolicy") if one["spec"]["action"] == "DENY")
        operation = deny["spec"]["rules"][0]["to"][0]["operation"]
        # /notebook/ keeps the client's Authorization, and bears a token all the same: in a header of its own.
        own = ["/.well-known/jwks.json", "/.well-known/openid-configuration"]
        self.assertEqual(operation, {"notMethods": ["OPTIONS"], "notPaths": ["/auth/*", *own, "/open", "/open/*"]})

    def test_the_deny_policy_spares_what_bears_no_token(self):
        deny = next(one for one in of_kind(named("kubeflow"), "AuthorizationPolicy") if one["spec"]["action"] == "DENY")
        own = ["/oauth2/*", "/.well-known/jwks.json", "/.well-known/openid-configuration"]
        rules = ["/dex", "/dex/*", "/notebook", "/notebook/*"]
        self.assertEqual(deny["spec"]["rules"][0]["to"], [{"operation": {"notPaths": own + rules}}])
        policies = of_kind(named("kubeflow"), "AuthorizationPolicy")
        (custom,) = (one for one in policies if one["spec"]["action"] == "CUSTOM")
        self.assertEqual(custom["spec"]["rules"], [{}])

    def test_a_callback_outside_the_prefix_leads_to_us_and_needs_no_token(self):
        values = named("callbacks-elsewhere")
        (route,) = only(values, "VirtualService")["spec"]["http"]
        elsewhere = ["/login/oidc", "/staff/back"]
        own = ["/.well-known/jwks.json", "/.well-known/openid-configuration"]
        exact = [{"uri": {"exact": path}} for path in elsewhere + own]
        self.assertEqual(route["match"], [{"uri": {"prefix": "/oauth2/"}}, *exact])
        deny = next(one for one in of_kind(values, "AuthorizationPolicy") if one["spec"]["action"] == "DENY")
        spared = deny["spec"]["rules"][0]["to"][0]["operation"]["notPaths"]
        self.assertEqual(spared, ["/oauth2/*", *own, *elsewhere])

    def test_policies_for_some_hosts_have_them_with_any_port_too(self):
        hosts = ["kubeflow.example.com", "kubeflow.example.com:*", "lab.example.com", "lab.example.com:*"]
        for policy in of_kind(named("existing-gateway"), "AuthorizationPolicy"):
            self.assertEqual(policy["spec"]["rules"][0]["to"][0]["operation"]["hosts"], hosts)
        self.assertEqual(len(of_kind(named("existing-gateway"), "AuthorizationPolicy")), 2)

    def test_envoy_runs_what_the_envoy_filter_puts_in(self):
        patch = check_filter(named("old-istio"))["spec"]["configPatches"][0]
        name = patch["match"]["listener"]["filterChain"]["filter"]["name"]
        self.assertEqual(name, "envoy.filters.network.http_connection_manager")
        self.assertEqual(patch["patch"]["operation"], "INSERT_BEFORE")
        types = "type.googleapis.com/envoy.extensions.filters"
        manager = f"{types}.network.http_connection_manager.v3.HttpConnectionManager"
        router = {
            "name": "envoy.filters.http.router",
            "typed_config": {"@type": f"{types}.http.router.v3.Router"},
        }
        bound = only(named("kubeflow"), "EnvoyFilter")
        merged = bound["spec"]["configPatches"][0]["patch"]["value"]["typed_config"]
        self.assertEqual(merged["@type"], manager)
        filters = [patch["patch"]["value"], router]
        hcm = merged | {"stat_prefix": "x", "route_config": {}, "http_filters": filters}
        cluster = patch["patch"]["value"]["typed_config"]["http_service"]["server_uri"]["cluster"]
        self.assertEqual(cluster, "outbound|9000||gate-countersign.countersign.svc.cluster.local")
        address = {"socket_address": {"address": "127.0.0.1", "port_value": 0}}
        chain = {"filters": [{"name": name, "typed_config": hcm}]}
        bootstrap = {
            "static_resources": {
                "listeners": [{"name": "x", "address": address, "filter_chains": [chain]}],
                "clusters": [{"name": cluster, "type": "STATIC"}],
            }
        }
        with tempfile.TemporaryDirectory() as directory:
            file = Path(directory, "envoy.json")
            file.write_text(json.dumps(bootstrap))
            done = run(ENVOY, "--mode", "validate", "-c", file, "--log-level", "error")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_labels_and_annotations_are_on_everything(self):
        values = named("corporate")
        self.assertGreater(len(objects(values)), 15)
        for one in objects(values):
            for metadata in [one["metadata"], *([pod_of(one)["metadata"]] if one["kind"] == "StatefulSet" else [])]:
                where = f"{one['kind']} {metadata.get('name')}"
                self.assertEqual(metadata["labels"].get("team"), "identity", where)
                self.assertEqual(metadata["labels"].get("cost-center"), "4711", where)
                self.assertEqual(metadata["annotations"].get("example.com/owner"), "identity", where)

    def test_the_pod_is_what_a_corporate_cluster_asks_for(self):
        template_of = gateway_pod(named("corporate"))
        spec = template_of["spec"]
        image = "registry.example.com:5000/mesh/countersign@sha256:" + "0123456789abcdef" * 4
        self.assertEqual(spec["containers"][0]["image"], image)
        self.assertEqual(only(named("corporate"), "Pod")["spec"]["containers"][0]["image"], image)
        self.assertEqual(spec["imagePullSecrets"], [{"name": "regcred"}, {"name": "other"}])
        self.assertEqual(template_of["metadata"]["labels"]["zone"], "dmz")
        self.assertEqual(template_of["metadata"]["annotations"]["example.com/scan"], "yes")
        self.assertEqual(spec["nodeSelector"], {"kubernetes.io/os": "linux"})
        self.assertEqual(spec["priorityClassName"], "system-cluster-critical")
        self.assertEqual(spec["tolerations"][0]["value"], "identity")
        self.assertIn("nodeAffinity", spec["affinity"])
        self.assertEqual(spec["containers"][0]["env"][0]["name"], "HTTPS_PROXY")
        policy = only(named("corporate"), "NetworkPolicy")["spec"]
        self.assertEqual(policy["policyTypes"], ["Ingress", "Egress"])
        self.assertEqual([port["port"] for port in policy["egress"][0]["ports"]], [53, 53])
        (claim,) = only(named("corporate"), "StatefulSet")["spec"]["volumeClaimTemplates"]
        # What can never be changed must not follow labels that can.
        self.assertNotIn("team", claim["metadata"]["labels"])

    def test_sidecars(self):
        label, ports = "sidecar.istio.io/inject", "traffic.sidecar.istio.io/excludeOutboundPorts"
        plain, injected = gateway_pod(named("minimal"))["metadata"], gateway_pod(named("sidecar"))["metadata"]
        self.assertEqual((plain["labels"][label], ports in plain["annotations"]), ("false", False))
        self.assertEqual((injected["labels"][label], injected["annotations"][ports]), ("true", "443,8443"))
        self.assertNotIn(label, gateway_pod(named("sidecar-of-namespace"))["metadata"]["labels"])
        levels = only(named("sidecar"), "PeerAuthentication")["spec"]["portLevelMtls"]
        self.assertEqual(levels[9000], {"mode": "PERMISSIVE"})

    def test_a_changed_configuration_restarts_the_pod(self):
        before = gateway_pod(named("minimal"))["metadata"]["annotations"]["checksum/config"]
        done = template(named("minimal"), "--set", "config.session.idle=1h")
        after = next(one for one in yaml.safe_load_all(done.stdout) if one["kind"] == "StatefulSet")
        self.assertNotEqual(after["spec"]["template"]["metadata"]["annotations"]["checksum/config"], before)

    def test_the_monitor_finds_the_port(self):
        monitor, pod = only(named("metrics"), "PodMonitor")["spec"], gateway_pod(named("metrics"))
        self.assertLessEqual(monitor["selector"]["matchLabels"].items(), pod["metadata"]["labels"].items())
        ports = [port["name"] for port in pod["spec"]["containers"][0]["ports"]]
        self.assertIn(monitor["podMetricsEndpoints"][0]["port"], ports)
        monitor = only(named("service-monitor"), "ServiceMonitor")["spec"]
        wanted = monitor["selector"]["matchLabels"].items()
        services = of_kind(named("service-monitor"), "Service")
        (service,) = (one for one in services if wanted <= one["metadata"]["labels"].items())
        self.assertEqual([port["name"] for port in service["spec"]["ports"]], [monitor["endpoints"][0]["port"]])

    def test_the_dashboard_asks_for_what_is_counted(self):
        (found,) = (one for one in of_kind(named("metrics"), "ConfigMap") if "countersign.json" in one["data"])
        self.assertEqual(found["metadata"]["namespace"], "grafana")
        self.assertEqual(found["metadata"]["labels"]["grafana_dashboard"], "1")
        dashboard = json.loads(found["data"]["countersign.json"])
        asked = set(re.findall(r"\bcountersign_\w+", json.dumps([panel["targets"] for panel in dashboard["panels"]])))
        operations = (ROOT / "docs" / "operations.md").read_text()
        counted = set(re.findall(r"^\| `(countersign_\w+)`", operations, re.MULTILINE))
        self.assertEqual({name.removesuffix("_bucket") for name in asked}, counted)
        registered = set(re.findall(r'register\(\s*"(\w+)"', (ROOT / "src" / "metrics.rs").read_text()))
        plain = {name.removeprefix("countersign_").removesuffix("_total").removesuffix("_info") for name in counted}
        self.assertEqual(plain, registered)
        ids = [panel["id"] for panel in dashboard["panels"]]
        self.assertEqual(len(ids), len(set(ids)))

    def test_replicas_that_share_their_sessions_are_many_and_spread(self):
        for name, autoscaled in (("replicas", False), ("replicas-autoscaled", True)):
            with self.subTest(name):
                values = named(name)
                kinds = [one["kind"] for one in objects(values)]
                self.assertEqual(kinds.count("HorizontalPodAutoscaler"), int(autoscaled))
                self.assertEqual((kinds.count("StatefulSet"), kinds.count("Deployment")), (0, 1))
                deployment = only(values, "Deployment")
                # What an autoscaler has chosen is not set back by each upgrade.
                self.assertEqual(deployment["spec"].get("replicas"), None if autoscaled else 3)
                self.assertEqual(deployment["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"], 0)
                labels = deployment["spec"]["template"]["metadata"]["labels"].items()
                budget = only(values, "PodDisruptionBudget")["spec"]
                self.assertLessEqual(budget["selector"]["matchLabels"].items(), labels)
                self.assertEqual(budget["maxUnavailable"], "25%" if autoscaled else 1)
                spread = deployment["spec"]["template"]["spec"]["topologySpreadConstraints"]
                keys = [one["topologyKey"] for one in spread]
                self.assertEqual(keys, ["topology.kubernetes.io/zone", "kubernetes.io/hostname"])
                for one in spread:
                    self.assertLessEqual(one["labelSelector"]["matchLabels"].items(), labels)
                for scaler in of_kind(values, "HorizontalPodAutoscaler"):
                    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": deployment["metadata"]["name"]}
                    self.assertEqual(scaler["spec"]["scaleTargetRef"], target)
                    self.assertEqual((scaler["spec"]["minReplicas"], scaler["spec"]["maxReplicas"]), (2, 8))

    def test_keys_of_replicas_are_whole_directories_that_follow_their_secrets(self):
        pod = gateway_pod(named("replicas"))["spec"]
        mounts = {mount["mountPath"]: mount for mount in pod["containers"][0]["volumeMounts"]}
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        for path, secret in (
            ("/etc/countersign-keys", "countersign-keys"),
            ("/etc/countersign-session-keys", "countersign-session-keys"),
        ):
            # What is mounted by subPath never changes while the pod runs.
            self.assertEqual(set(mounts[path]), {"name", "mountPath", "readOnly"})
            self.assertEqual(volumes[mounts[path]["name"]]["secret"], {"secretName": secret, "defaultMode": 0o440})
        said = notes(named("replicas"))
        for word in (
            "countersign keys init",
            "countersign session-keys init",
            "create secret generic countersign-keys",
            "create secret generic countersign-session-keys",
        ):
            self.assertIn(word, said)
            self.assertNotIn(word, notes(named("minimal")))

    def test_redis_is_within_reach_where_the_way_out_is_narrow(self):
        def ways_out(name):
            return only(named(name), "NetworkPolicy")["spec"]["egress"]

        tcp = [{"port": 6380, "protocol": "TCP"}]
        redis = [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "redis"}}}]
        self.assertIn({"ports": tcp, "to": redis}, ways_out("replicas"))
        tcp = [{"port": 26379, "protocol": "TCP"}, {"port": 6379, "protocol": "TCP"}]
        self.assertIn({"ports": tcp}, ways_out("replicas-autoscaled"))
        self.assertEqual(len(ways_out("corporate")), 2, "DNS, and what the values name")

    def test_the_readme_names_values_that_exist(self):
        readme = (CHART / "README.md").read_text()
        known = yaml.safe_load((CHART / "values.yaml").read_text())
        for path in re.findall(r"`([a-z]\w+(?:\.\w+)+)`", readme):
            at = known
            if path.split(".")[0] not in known or path.startswith("config."):
                continue
            for step in path.split("."):
                self.assertIn(step, at, f"README.md: {path}")
                at = at[step]
        blocks = re.findall(r"```yaml\n# values\.yaml\n(.*?)```", readme, re.DOTALL)
        self.assertTrue(blocks)
        for block in blocks:
            with tempfile.TemporaryDirectory() as directory:
                file = Path(directory, "values.yaml")
                file.write_text(block)
                done = template(file)
                self.assertEqual(done.returncode, 0, done.stderr)


class HelmTest(unittest.TestCase):
    """What `helm test` runs, run against the real program."""

    def test_it_is_good_when_countersign_is_and_says_so_when_not(self):
        pod = only(named("minimal"), "Pod")
        (container,) = pod["spec"]["containers"]
        self.assertEqual(pod["metadata"]["annotations"]["helm.sh/hook"], "test")
        # The image has a bash, then.
        last_stage = re.findall(r"^FROM (\S+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)[-1]
        self.assertRegex(last_stage, r"^debian:")
        environment = {one["name"]: one["value"] for one in container["env"]}
        host = f"gate-countersign{'{}'}.countersign.svc.cluster.local"
        self.assertEqual(environment["MAIN"], host.format("") + "/9000")
        self.assertEqual(environment["ADMIN"], host.format("-admin") + "/9001")
        with tempfile.TemporaryDirectory() as directory:
            main, admin, process = serve(named("minimal"), Path(directory))
            try:
                environment |= {"MAIN": f"127.0.0.1/{main}", "ADMIN": f"127.0.0.1/{admin}", "PATH": os.environ["PATH"]}
                done = run(*container["command"], env=environment)
                self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
                self.assertEqual(done.stdout, "good: /readyz\ngood: /.well-known/jwks.json\n")
            finally:
                process.kill()
                process.wait()
            # Nobody waits half a minute here for what does not come.
            script = container["command"][-1].replace("{1..30}", "1")
            done = run(*container["command"][:-1], script, env=environment)
            self.assertEqual(done.returncode, 1)
            self.assertIn("not good: /readyz", done.stdout)


    def test_keys_made_as_the_readme_says_are_the_ones_that_are_published(self):
        with tempfile.TemporaryDirectory() as directory:
            home = Path(directory)
            done = run(COUNTERSIGN, "keys", "init", "--dir", home / "made")
            self.assertEqual(done.returncode, 0, done.stderr)
            (made,) = (home / "made").iterdir()
            # As Kubernetes mounts a Secret: links to what the group may read.
            (home / "keys" / "..data").mkdir(parents=True)
            shutil.move(made, home / "keys" / "..data" / made.name)
            (home / "keys" / "..data" / made.name).chmod(0o440)
            (home / "keys" / made.name).symlink_to(Path("..data", made.name))
            (home / "session-key").write_text(run(COUNTERSIGN, "session-keys", "init").stdout)
            (home / "session-key").chmod(0o440)
            main, _, process = serve(named("own-keys"), home)
            try:
                published = wait_for(f"http://127.0.0.1:{main}/.well-known/jwks.json", process)
            finally:
                process.kill()
                process.wait()
            self.assertEqual([key["kid"] for key in json.loads(published)["keys"]], [made.stem])


class Refused(unittest.TestCase):
    def test_each_is_refused_with_the_reason(self):
        for values in refused:
            with self.subTest(values.name):
                said = dict(re.findall(r"^# (schema|plain): (.+)$", values.read_text(), re.MULTILINE))
                self.assertTrue(said, "it says nothing of why")
                done = template(values)
                self.assertNotEqual(done.returncode, 0, "it is rendered")
                self.assertIn(said.get("schema", said.get("plain")), done.stderr)
                if "plain" in said:
                    done = template(values, "--skip-schema-validation")
                    self.assertNotEqual(done.returncode, 0, "it is rendered")
                    self.assertIn(said["plain"], done.stderr)

    def test_the_schema_of_the_configuration_is_countersigns(self):
        """Which docs/configuration.schema.json is, by a test of its own."""
        written = chart_schema.WRITTEN.read_text()
        self.assertEqual(written, chart_schema.expected(), "run python3 tests/manifests/chart_schema.py")

    def test_the_schema_of_the_configuration_lets_the_examples_of_the_docs_pass(self):
        definitions = json.loads(chart_schema.WRITTEN.read_text())["$defs"]
        schema = jsonschema.Draft202012Validator({"$ref": "#/$defs/config", "$defs": definitions})
        blocks = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "configuration.md").read_text(), re.DOTALL)
        examples = [yaml.safe_load(one) for one in blocks if re.search(r"^public_url:", one, re.MULTILINE)]
        self.assertGreater(len(examples), 5)
        for one in examples:
            self.assertEqual([error.message for error in schema.iter_errors(one)], [], one)

    def test_what_the_schema_of_the_configuration_refuses_countersign_does_too(self):
        asked = 0
        for values in refused:
            if "# schema: at '/config" not in values.read_text():
                continue
            asked += 1
            with self.subTest(values.name), tempfile.TemporaryDirectory() as directory:
                file = Path(directory, "countersign.yaml")
                file.write_text(yaml.safe_dump(yaml.safe_load(values.read_text())["config"]))
                done = run(COUNTERSIGN, "config", "check", "--config", file, env={})
                self.assertNotEqual(done.returncode, 0, "it is good")
        self.assertGreater(asked, 5)

    def test_nothing_at_all_is_refused_with_the_reason(self):
        done = run(HELM, "template", RELEASE, CHART, "--kube-version", "1.30.0")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("config.public_url: it is missing.", done.stderr)
        self.assertIn("config.providers: there is none.", done.stderr)


def only_selector(values):
    return workload(values)["spec"]["selector"]["matchLabels"]


def labels_of(peers):
    return [peer.get("podSelector", {}).get("matchLabels") for peer in peers]


def seconds(duration):
    units = {"s": 1, "sec": 1, "m": 60, "h": 3600}
    return sum(int(count) * units[unit] for count, unit in re.findall(r"(\d+)\s*([a-z]+)", duration))


def files_of(written):
    """All files that a configuration names."""
    if isinstance(written, dict):
        for key, value in written.items():
            if key in ("file", "dir", "certificate", "key", "ca_bundle") and isinstance(value, str):
                yield value
            else:
                yield from files_of(value)
    elif isinstance(written, list):
        for value in written:
            yield from files_of(value)


def find(tree, key, value):
    if isinstance(tree, dict):
        if tree.get(key) == value:
            return tree
        tree = list(tree.values())
    for one in tree if isinstance(tree, list) else []:
        found = find(one, key, value)
        if found:
            return found
    return None


def ask_countersign(values, directory, *question):
    """Asks Countersign about the rendered configuration, with the files that it names under `directory`."""
    main = next(one for one in of_kind(values, "ConfigMap") if "countersign.yaml" in one["data"])
    written = main["data"]["countersign.yaml"]
    for file in dict.fromkeys(files_of(yaml.safe_load(written))):
        place = directory / file.lstrip("/")
        if file.endswith("keys"):
            place.mkdir(parents=True)
        else:
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text("csk1_" + "A" * 43 if "session-key" in file else "a secret")
            place.chmod(0o600)
        written = written.replace(file, str(place))
    file = directory / "countersign.yaml"
    file.write_text(written)
    # Only what the pod would have.
    written_there = gateway_pod(values)["spec"]["containers"][0].get("env", [])
    variables = {one["name"]: one.get("value", "a secret") for one in written_there}
    return run(COUNTERSIGN, *question, "--config", file, env=variables)


def serve(values, directory):
    """A Countersign with the rendered configuration, and with files and ports of its own."""
    written = config(values)
    places = {"token": {"dir": str(directory / "keys")}, "session": [{"file": str(directory / "session-key")}]}
    for section, place in places.items():
        if section in written:
            written[section]["keys"] = place
    main, admin = free_port(), free_port()
    (directory / "client-secret").write_text("a secret")
    (directory / "client-secret").chmod(0o600)
    secret = {"file": str(directory / "client-secret")}
    written["providers"][0] |= {"issuer": "http://127.0.0.1:9", "client_secret": secret}
    written["listen"] = {"main": f"127.0.0.1:{main}", "admin": f"127.0.0.1:{admin}"}
    written["data_dir"] = str(directory / "data")
    file = directory / "countersign.yaml"
    file.write_text(yaml.safe_dump(written))
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "env": {}}
    return main, admin, subprocess.Popen([COUNTERSIGN, "serve", "--config", str(file)], **quiet)


def wait_for(address, process):
    while process.poll() is None:
        try:
            with urllib.request.urlopen(address, timeout=10) as answer:
                return answer.read()
        except OSError:
            time.sleep(0.05)
    raise AssertionError("Countersign has ended by itself")


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


if __name__ == "__main__":
    sys.exit(unittest.main(verbosity=1))
