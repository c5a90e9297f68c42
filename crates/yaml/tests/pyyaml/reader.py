"""Reads YAML as PyYAML does: the bytes of a text in hexadecimal, one a line, in; one JSON object a line out.

{"value": the form of Value::to_tagged_json, "str": Python's str() of it}, or {"error": text} for what PyYAML refuses.
With the argument "base" it is read with BaseLoader, else with SafeLoader.
"""

import datetime
import json
import sys

import yaml


def tagged(value):
    if value is None:
        return ["null"]
    if isinstance(value, bool):
        return ["bool", value]
    if isinstance(value, int):
        return ["int", str(value)]
    if isinstance(value, float):
        return ["float", repr(value)]
    if isinstance(value, str):
        return ["str", value]
    if isinstance(value, bytes):
        return ["bytes", value.hex()]
    if isinstance(value, datetime.datetime):
        return ["datetime", value.isoformat()]
    if isinstance(value, datetime.date):
        return ["date", value.isoformat()]
    if isinstance(value, set):
        items = [tagged(item) for item in value]
        return ["set", sorted(items, key=lambda item: json.dumps(item, separators=(",", ":"), ensure_ascii=False))]
    if isinstance(value, dict):
        return ["map", [[tagged(key), tagged(item)] for key, item in value.items()]]
    if isinstance(value, list) and value and all(isinstance(item, tuple) for item in value):
        return ["pairs", [[tagged(key), tagged(item)] for key, item in value]]
    return ["list", [tagged(item) for item in value]]


loader = yaml.BaseLoader if sys.argv[1:] == ["base"] else yaml.SafeLoader
for line in sys.stdin:
    try:
        value = yaml.load(bytes.fromhex(line.strip()), Loader=loader)
        answer = {"value": tagged(value), "str": str(value)}
    except RecursionError:
        answer = {"error": "recursion"}
    except Exception as problem:
        answer = {"error": f"{type(problem).__name__}: {problem}"}
    print(json.dumps(answer))
