#!/usr/bin/env python3
"""Folds an export of the log, and prints what the service's lists must show: `fold.py EXPORT`.

Written from the contract and the JSON of the events alone; it has nothing of the service's own code. It checks the
trailer, the order of positions, the revisions, and every hash on the way. Prints one JSON object:
{"head": N, "events": N, "tenants": {TENANT: {"list": [flat items], "items": [items of the HAL list]}}}
"""

import base64
import hashlib
import json
import sys
import uuid

HASH_SUFFIX = len(',"hash":"') + 64 + len('"}')
FLAT = ["id", "name", "slug", "type", "category", "description", "mode", "authType", "ownerId", "embedded"]
ITEM = [
    "id", "name", "slug", "type", "category", "description", "mode", "authType", "embedded", "scope", "authUri",
    "tokenUri", "apiBaseUri", "createdAt", "updatedAt",
]


def lines(path):
    """Header, events and trailer of an export, once the trailer agrees."""
    with open(path, "rb") as file:
        raw = file.readlines()
    header, trailer = json.loads(raw[0]), json.loads(raw[-1])
    assert header["format"] == "integrations-log" and header["version"] == 1, header
    assert trailer["sha256"] == hashlib.sha256(b"".join(raw[:-1])).hexdigest(), "the file was changed"
    assert trailer["events"] == len(raw) - 2, "events are missing"
    return header, [json.loads(line) for line in raw[1:-1]]


def expected_hash(event, previous):
    data = base64.b64decode(event["bytes"]) if "bytes" in event else event["data"].encode()
    parts = [
        bytes.fromhex(previous),
        event["stream"].encode(),
        event["revision"].to_bytes(8, "big"),
        uuid.UUID(event["id"]).bytes,
        event["type"].encode(),
        data,
        event["metadata"].encode()[:-HASH_SUFFIX],
    ]
    return hashlib.sha256(b"".join(len(part).to_bytes(8, "big") + part for part in parts)).hexdigest()


def check(events, head):
    """Whether the log keeps its promises."""
    position, ends = 0, {}
    for event in events:
        assert position < event["position"] <= head, event
        position = event["position"]
        stream = event["stream"]
        kind = stream.split("-", 1)[0]
        end = ends.get(stream)
        if kind == "key":
            assert end is None, "a key's stream keeps its last event only"
        else:
            assert event["revision"] == (end["revision"] + 1 if end else 0), event
        previous = end["hash"] if end and kind == "integration" else "0" * 64
        assert event["hash"] == expected_hash(event, previous), event
        assert event["metadata"].endswith(',"hash":"%s"}' % event["hash"]), event
        assert json.loads(event["metadata"])["time"] == event["at"], event
        ends[stream] = event


def apply(state, name, data):
    """One event on an integration that is there."""
    if name == "IntegrationUpdated":
        for field, change in data.get("changes", {}).items():
            if change["to"] is None:
                state.pop(field, None)
            else:
                state[field] = change["to"]
    elif name == "IntegrationShared":
        state["shares"][data["principal"]] = data["level"]
    elif name == "IntegrationUnshared":
        del state["shares"][data["principal"]]
    elif name == "OwnershipTransferred":
        state["ownerId"] = data["to"]
        state["shares"].pop(data["to"], None)
    elif name == "TagsSet":
        state["tags"] = data["tags"]
    else:
        assert name in ("IconSet", "IconRemoved"), name


def fold(events):
    """Every integration that is there, by tenant and id."""
    there = {}
    for event in events:
        kind, rest = event["stream"].split("-", 1)
        if kind != "integration":
            continue
        tenant, id = rest.rsplit(":", 1)
        name, data = event["type"].split(".")[0], json.loads(event["data"])
        if name == "IntegrationCreated":
            state = dict(data["settings"], id=id, slug=data["slug"], ownerId=data["owner"])
            state.update(embedded="library" in data, tags=[], shares={}, createdAt=event["at"], updatedAt=event["at"])
            there[tenant, id] = state
        elif name == "IntegrationDeleted":
            del there[tenant, id]
        else:
            apply(there[tenant, id], name, data)
            there[tenant, id]["updatedAt"] = max(there[tenant, id]["updatedAt"], event["at"])
    return there


def flat(state):
    item = {name: state[name] for name in FLAT if name in state}
    sharing = [{"principalId": id, "accessLevel": level} for id, level in sorted(state["shares"].items())]
    return dict(item, shared=bool(sharing), tags=state["tags"], sharing=sharing)


def item(state):
    links = {"self": {"href": "/api/integrations/" + state["id"]}}
    return dict({name: state[name] for name in ITEM if name in state}, _links=links)


def main(path):
    header, events = lines(path)
    check(events, header["head"])
    tenants = {}
    there = sorted(fold(events).items(), key=lambda entry: (entry[1]["name"].lower(), entry[1]["id"]))
    for (tenant, _), state in there:
        lists = tenants.setdefault(tenant, {"list": [], "items": []})
        if not state["embedded"]:
            lists["list"].append(flat(state))
            lists["items"].append(item(state))
    print(json.dumps({"head": header["head"], "events": len(events), "tenants": tenants}))


if __name__ == "__main__":
    main(sys.argv[1])
