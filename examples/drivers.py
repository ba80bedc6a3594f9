#!/usr/bin/env python3
"""Takes every driver of the catalogue through the whole API of a running service.

Usage: python3 examples/drivers.py URL TOKEN

Creates an integration of each driver, shares and tags it, reads both lists back, compares every filled field of every
detail with the catalogue, updates it, gives it an icon, and deletes it. Ends with an error at the first difference.
The token needs permission.integrations.create.
"""

import json
import pathlib
import sys
import tomllib
import urllib.error
import urllib.request

ICON = b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1"><circle cx=".5" cy=".5" r=".5"/></svg>'
FILLED = {"authUri": "auth_uri", "tokenUri": "token_uri", "revocationUri": "revocation_uri", "apiBaseUri": "api_base_uri"}


class Service:
    """The service, spoken to by one user, who always reads what he wrote."""

    def __init__(self, url, token):
        self.url, self.token, self.position = url.rstrip("/"), token, None

    def call(self, method, path, body=None, media_type="application/json", expect=200):
        data = json.dumps(body).encode() if isinstance(body, (dict, list)) else body
        request = urllib.request.Request(self.url + path, data=data, method=method)
        request.add_header("Authorization", f"Bearer {self.token}")
        if data is not None:
            request.add_header("Content-Type", media_type)
        if self.position and method == "GET":
            request.add_header("Integration-Position", self.position)
            request.add_header("Prefer", "wait=10")
        try:
            answer = urllib.request.urlopen(request)
        except urllib.error.HTTPError as error:
            answer = error
        content = answer.read()
        same(answer.status, expect, f"{method} {path}: status ({content.decode(errors='replace')})")
        if method != "GET":
            self.position = answer.headers["Integration-Position"]
        is_json = "json" in (answer.headers["Content-Type"] or "")
        return json.loads(content) if is_json else content


def same(found, expected, what):
    if found != expected:
        sys.exit(f"{what}: expected {expected!r}, found {found!r}")


def recorded_drivers():
    """The catalogue as it stands in the repository, if this runs there."""
    path = pathlib.Path(__file__).parent.parent / "events" / "drivers.toml"
    if not path.exists():
        return {}
    return {driver["type"]: driver for driver in tomllib.loads(path.read_text())["driver"]}


def check_catalogue(driver, recorded):
    name = driver["type"]
    for shown, key in {"name": "name", "category": "category", "authType": "auth_type", "supportsUpload": "supports_upload", "scopes": "scopes", **FILLED}.items():
        default = [] if key == "scopes" else None
        same(driver.get(shown, default), recorded.get(key, default), f"catalogue, {name}: {shown}")


def create(service, driver):
    body = {"name": driver["name"], "type": driver["type"], "authType": driver["authType"], "clientId": "example", "clientSecret": "not a real one", "headers": {"X-User": "${user.email}", "X-Token": "not a real one"}}
    created = service.call("POST", "/api/integrations", body, expect=201)
    for field in ("name", "type", "authType"):
        same(created[field], body[field], f"create, {driver['type']}: {field}")
    return f"/api/integrations/{created['id']}", created


def share_and_tag(service, path, driver):
    service.call("PUT", f"{path}/shares/team%3Aexamples", {"accessLevel": 1})
    service.call("PUT", f"{path}/shares/bob", {"accessLevel": 2})
    tags = service.call("PUT", f"{path}/tags", {"tags": ["example", driver["category"]]})
    same(tags["tags"], ["example", driver["category"]], f"tags, {driver['type']}")


def check_detail(service, path, created, driver):
    detail = service.call("GET", path)
    name = driver["type"]
    expected = {
        "id": created["id"],
        "slug": created["slug"],
        "name": driver["name"],
        "type": name,
        "category": driver["category"],
        "mode": "per-user",
        "authType": driver["authType"],
        "embedded": False,
        "supportsUpload": driver["supportsUpload"],
        "clientId": "example",
        "hasClientSecret": True,
        "hasApiKey": False,
        "headers": {"X-User": "${user.email}"},
        "secretHeaders": ["X-Token"],
        "data": {},
    }
    expected.update({field: driver[field] for field in FILLED if field in driver})
    if driver["scopes"]:
        expected["scope"] = " ".join(driver["scopes"])
    if driver["authType"] == "apikey":
        expected.update({"apiKeyLocation": "header", "apiKeyName": "X-API-Key"})
    beside = {"ownerId", "createdAt", "updatedAt", "_links"}
    same(set(detail) - beside, set(expected), f"detail, {name}: fields")
    for field, value in expected.items():
        same(detail[field], value, f"detail, {name}: {field}")
    same(len(detail["_links"]), 10, f"detail, {name}: links")


def check_lists(service, made):
    flat = {item["id"]: item for item in service.call("GET", "/api/integrations-list")}
    listed = {}
    path = "/api/integrations?limit=20&tag=example"
    while path:
        page = service.call("GET", path)
        listed.update({item["id"]: item for item in page["_embedded"]["inf:integration"]})
        path = page["_links"].get("next", {}).get("href")
    for _, created, driver in made:
        name, item = driver["type"], flat[created["id"]]
        same(item["name"], driver["name"], f"flat list, {name}: name")
        same(item["tags"], ["example", driver["category"]], f"flat list, {name}: tags")
        sharing = [{"principalId": "bob", "accessLevel": 2}, {"principalId": "team:examples", "accessLevel": 1}]
        same((item["shared"], item["sharing"]), (True, sharing), f"flat list, {name}: sharing")
        same(listed[created["id"]].get("tokenUri"), driver.get("tokenUri"), f"list, {name}: tokenUri")


def update_and_delete(service, path, driver):
    name = driver["type"]
    updated = service.call("PUT", path, {"description": f"An example of {driver['name']}"})
    same(updated["description"], f"An example of {driver['name']}", f"update, {name}: description")
    service.call("PUT", f"{path}/icon", ICON, "image/svg+xml")
    same(service.call("GET", f"{path}/icon"), ICON, f"icon, {name}")
    service.call("DELETE", path, expect=204)
    service.call("GET", path, expect=404)


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    service = Service(sys.argv[1], sys.argv[2])
    drivers = service.call("GET", "/api/integration-drivers")["_embedded"]["inf:integration-driver"]
    recorded = recorded_drivers()
    if recorded:
        same({driver["type"] for driver in drivers}, set(recorded), "catalogue: types")
    made = []
    for driver in drivers:
        if recorded:
            check_catalogue(driver, recorded[driver["type"]])
        path, created = create(service, driver)
        share_and_tag(service, path, driver)
        check_detail(service, path, created, driver)
        made.append((path, created, driver))
    check_lists(service, made)
    for path, _, driver in made:
        update_and_delete(service, path, driver)
    print(f"{len(drivers)} drivers: created, shared, tagged, listed, read, updated, given an icon, deleted")


if __name__ == "__main__":
    main()
