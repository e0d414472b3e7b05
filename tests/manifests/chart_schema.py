"""What the chart's values.schema.json says of `config`: docs/configuration.schema.json, put so that Helm's refusals are short.

    python3 tests/manifests/chart_schema.py     writes it anew; tests/manifests/chart fails where that was forgotten
"""

import json
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WRITTEN = ROOT / "charts" / "countersign" / "values.schema.json"
NAME, WIDTH = "config", 120
MARK = f'\n    "{NAME}": '


def expected():
    """The schema of the values with the configuration's at its end, as text."""
    before, mark, _ = WRITTEN.read_text().rpartition(MARK)
    schema = json.loads((ROOT / "docs" / "configuration.schema.json").read_text())
    return before + mark + layout(short(schema, schema["$defs"]), 4, len(mark) - 5) + "\n  }\n}\n"


def short(schema, named):
    """The same schema, without what is for readers, and with one complaint a mistake: not one for each alternative."""
    if isinstance(schema, bool):
        return schema
    found = {}
    for key, value in schema.items():
        if key in ("$schema", "title", "description", "default"):
            continue
        if key in ("properties", "$defs"):
            found[key] = {name: short(inner, named) for name, inner in value.items()}
        elif key in ("items", "additionalProperties"):
            found[key] = short(value, named)
        elif key == "$ref":
            found[key] = value.replace("#/", f"#/$defs/{NAME}/", 1)
        elif key == "oneOf" and all("const" in one for one in value):
            found["enum"] = [spelling for one in value for spelling in spellings(one["const"])]
        elif key in ("anyOf", "oneOf"):
            found |= choice(key, value, named)
        elif key == "type" and isinstance(value, list):
            # Countersign refuses a key without a value; the schema of its file says only that it may be left out.
            kinds = [kind for kind in value if kind != "null"]
            found[key] = kinds[0] if len(kinds) == 1 else kinds
        else:
            found[key] = value
    return found


def spellings(word):
    """Countersign takes `401` without quotes, too."""
    return [word, int(word)] if word.isdecimal() else [word]


def choice(key, alternatives, named):
    """By the value's type, where that decides: of "anyOf failed" a reader learns why each alternative is wrong."""
    alternatives = [one for one in alternatives if one.get("type") != "null"]
    if len(alternatives) == 1:
        return short(alternatives[0], named)
    maps = [one for one in alternatives if resolved(one, named).get("type") == "object"]
    others = [one for one in alternatives if one not in maps]
    if len(maps) == len(others) == 1:
        return {"if": {"type": "object"}, "then": short(maps[0], named), "else": short(others[0], named)}
    return {key: [short(one, named) for one in alternatives]}


def resolved(schema, named):
    return named[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema


def layout(value, margin=0, taken=0):
    """JSON, on one line what has room there."""
    line = json.dumps(value, ensure_ascii=False)
    if margin + taken + len(line) < WIDTH or not value or not isinstance(value, (dict, list)):
        return line
    inner = margin + 2
    if isinstance(value, dict):
        heads = [(json.dumps(key) + ": ", one) for key, one in value.items()]
        begin, end = "{}"
    else:
        heads = [("", one) for one in value]
        begin, end = "[]"
    lines = [" " * inner + head + layout(one, inner, len(head)) for head, one in heads]
    return begin + "\n" + ",\n".join(lines) + "\n" + " " * margin + end


if __name__ == "__main__":
    WRITTEN.write_text(expected())
