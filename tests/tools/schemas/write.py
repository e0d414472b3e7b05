"""Writes the JSON schemas that kubeconform reads, so that it asks nobody.

    write.py DIRECTORY KUBERNETES_VERSION... -- CRD_FILE...

Kubernetes' own come from the package kubernetes-validate, custom resources' from their definitions. All are strict: a
key that a schema does not know is an error, as a server with strict field validation would say.
"""

import json
import sys
from importlib.resources import files
from pathlib import Path

import yaml

METADATA = {
    "type": "object",
    "required": ["name"],
    "properties": {
        "name": {"type": "string"},
        "namespace": {"type": "string"},
        "labels": {"type": "object", "additionalProperties": {"type": "string"}},
        "annotations": {"type": "object", "additionalProperties": {"type": "string"}},
    },
    "additionalProperties": False,
}


class Loader(yaml.SafeLoader):
    """Reads a lone `=` as the text that it is; YAML 1.1 gave it a meaning that nobody uses."""


Loader.add_constructor("tag:yaml.org,2002:value", Loader.construct_yaml_str)


def main():
    target = Path(sys.argv[1])
    separator = sys.argv.index("--")
    for version in sys.argv[2:separator]:
        kubernetes(version, target / f"v{version}")
    for definitions in sys.argv[separator + 1 :]:
        custom(Path(definitions), target / "custom")


def kubernetes(version, target):
    source = files("kubernetes_validate") / "kubernetes-json-schema" / f"v{version}-local-strict"
    target.mkdir(parents=True, exist_ok=True)
    for schema in source.iterdir():
        # They point to each other by the address of a server; kubeconform is to look beside the schema.
        text = schema.read_text(encoding="utf-8").replace('"/api/_definitions.json#', '"_definitions.json#')
        read = json.loads(text)
        read.pop("$id", None)
        (target / schema.name).write_text(json.dumps(read), encoding="utf-8")


def custom(definitions, target):
    with definitions.open(encoding="utf-8") as source:
        for definition in yaml.load_all(source, Loader):
            if not definition or definition.get("kind") != "CustomResourceDefinition":
                continue
            spec = definition["spec"]
            directory = target / spec["group"]
            directory.mkdir(parents=True, exist_ok=True)
            kind = spec["names"]["kind"]
            for version in spec["versions"]:
                schema = strict(version["schema"]["openAPIV3Schema"])
                schema["properties"] |= {
                    "apiVersion": {"const": f"{spec['group']}/{version['name']}"},
                    "kind": {"const": kind},
                    "metadata": METADATA,
                }
                schema["required"] = sorted({"apiVersion", "kind", "metadata", *schema.get("required", [])})
                schema["additionalProperties"] = False
                path = directory / f"{kind.lower()}_{version['name']}.json"
                path.write_text(json.dumps(schema), encoding="utf-8")


def strict(schema):
    """The schema as JSON Schema, closed. What stands under anyOf, oneOf, allOf and not only narrows, and stays."""
    if not isinstance(schema, dict):
        return schema
    schema = dict(schema)
    if schema.pop("x-kubernetes-int-or-string", False):
        schema.pop("type", None)
        schema["anyOf"] = [{"type": "integer"}, {"type": "string"}]
    if schema.pop("nullable", False) and "type" in schema:
        schema["type"] = [schema["type"], "null"]
    # Go's names of formats (int32, byte) mean nothing to a validator, or something else.
    schema.pop("format", None)
    if "properties" in schema:
        schema["properties"] = {name: strict(value) for name, value in schema["properties"].items()}
        open_ended = schema.get("x-kubernetes-preserve-unknown-fields") or "additionalProperties" in schema
        if not open_ended:
            schema["additionalProperties"] = False
    for key in ("items", "additionalProperties"):
        if key in schema:
            schema[key] = strict(schema[key])
    return schema


if __name__ == "__main__":
    main()
