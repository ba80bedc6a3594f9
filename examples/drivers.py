#!/usr/bin/env python3
"""Takes every driver of the catalogue through the whole API of a running service.

Usage: python3 examples/drivers.py URL TOKEN [SECOND_USER]

Creates an integration of each driver, shares and tags it, reads both lists back, compares every filled field of every
detail with the catalogue, updates it, gives it an icon, and deletes it. Ends with an error at the first difference.
The token needs permission.integrations.create. SECOND_USER is the name of the user to share with, bob if none is given.
"""

import json
import pathlib
import sys
import tomllib
import urllib.error
import urllib.parse
import urllib.request

ICON = b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1"><circle cx=".5" cy=".5" r=".5"/></svg>'
FILLED = {
    "authUri": "auth_uri",
    "tokenUri": "token_uri",
    "revocationUri": "revocation_uri",
    "apiBaseUri": "api_base_uri",
}
RECORDED = {
    "name": "name",
    "category": "category",
    "authType": "auth_type",
    "supportsUpload": "supports_upload",
    "scopes": "scopes",
    **FILLED,
}


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
    for shown, key in RECORDED.items():
        default = [] if key == "scopes" else None
        same(driver.get(shown, default), recorded.get(key, default), f"catalogue, {name}: {shown}")


def create(service, driver):
    body = {
        "name": driver["name"],
        "type": driver["type"],
        "authType": driver["authType"],
        "clientId": "example",
        "clientSecret": "not a real one",
        "headers": {"X-User": "${user.email}", "X-Token": "not a real one"},
    }
    created = service.call("POST", "/api/integrations", body, expect=201)
    for field in ("name", "type", "authType"):
        same(created[field], body[field], f"create, {driver['type']}: {field}")
    return f"/api/integrations/{created['id']}", created


def share_and_tag(service, path, driver, sharing):
    for share in sharing:
        principal = urllib.parse.quote(share["principalId"], safe="")
        service.call("PUT", f"{path}/shares/{principal}", {"accessLevel": share["accessLevel"]})
    tags = service.call("PUT", f"{path}/tags", {"tags": ["example", driver["category"]]})
    same(tags["tags"], ["example", driver["category"]], f"tags, {driver['type']}")


def check_fields(found, expected, beside, what):
    """Compares every field but those beside: there is none more and none less."""
    same(set(found) - beside, set(expected), f"{what}: fields")
    for field, value in expected.items():
        same(found[field], value, f"{what}: {field}")


def filled(driver):
    """What the catalogue fills in."""
    fields = {field: driver[field] for field in FILLED if field in driver}
    if driver["scopes"]:
        fields["scope"] = " ".join(driver["scopes"])
    return fields


def common(created, driver):
    """What detail, list and flat list all show."""
    return {
        "id": created["id"],
        "slug": created["slug"],
        "name": driver["name"],
        "type": driver["type"],
        "category": driver["category"],
        "mode": "per-user",
        "authType": driver["authType"],
        "embedded": False,
    }


def check_detail(service, path, created, driver):
    detail = service.call("GET", path)
    expected = {
        **common(created, driver),
        **filled(driver),
        "supportsUpload": driver["supportsUpload"],
        "clientId": "example",
        "hasClientSecret": True,
        "hasApiKey": False,
        "headers": {"X-User": "${user.email}"},
        "secretHeaders": ["X-Token"],
        "data": {},
    }
    if driver["authType"] == "apikey":
        expected.update({"apiKeyLocation": "header", "apiKeyName": "X-API-Key"})
    what = f"detail, {driver['type']}"
    check_fields(detail, expected, {"ownerId", "createdAt", "updatedAt", "_links"}, what)
    same(len(detail["_links"]), 10, f"{what}: links")
    same(detail["_links"]["self"]["href"], path, f"{what}: self")


def check_lists(service, made, sharing):
    flat = {item["id"]: item for item in service.call("GET", "/api/integrations-list")}
    listed = {}
    path = "/api/integrations?limit=20&tag=example"
    while path:
        page = service.call("GET", path)
        listed.update({item["id"]: item for item in page["_embedded"]["inf:integration"]})
        path = page["_links"].get("next", {}).get("href")
    for path, created, driver in made:
        name = driver["type"]
        same(created["id"] in listed, True, f"list, {name}: is there")
        same(created["id"] in flat, True, f"flat list, {name}: is there")
        expected = {**common(created, driver), **filled(driver), "_links": {"self": {"href": path}}}
        expected.pop("revocationUri", None)
        check_fields(listed[created["id"]], expected, {"createdAt", "updatedAt"}, f"list, {name}")
        tags = ["example", driver["category"]]
        expected = {**common(created, driver), "shared": True, "tags": tags, "sharing": sharing}
        check_fields(flat[created["id"]], expected, {"ownerId"}, f"flat list, {name}")


def update_and_delete(service, path, driver):
    name = driver["type"]
    updated = service.call("PUT", path, {"description": f"An example of {driver['name']}"})
    same(updated["description"], f"An example of {driver['name']}", f"update, {name}: description")
    service.call("PUT", f"{path}/icon", ICON, "image/svg+xml")
    same(service.call("GET", f"{path}/icon"), ICON, f"icon, {name}")
    service.call("DELETE", path, expect=204)
    service.call("GET", path, expect=404)


def main():
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    service = Service(sys.argv[1], sys.argv[2])
    second_user = sys.argv[3] if len(sys.argv) == 4 else "bob"
    sharing = [{"principalId": second_user, "accessLevel": 2}, {"principalId": "team:examples", "accessLevel": 1}]
    sharing.sort(key=lambda share: share["principalId"])
    drivers = service.call("GET", "/api/integration-drivers")["_embedded"]["inf:integration-driver"]
    recorded = recorded_drivers()
    if recorded:
        same({driver["type"] for driver in drivers}, set(recorded), "catalogue: types")
    made = []
    for driver in drivers:
        if recorded:
            check_catalogue(driver, recorded[driver["type"]])
        path, created = create(service, driver)
        share_and_tag(service, path, driver, sharing)
        check_detail(service, path, created, driver)
        made.append((path, created, driver))
    check_lists(service, made, sharing)
    for path, _, driver in made:
        update_and_delete(service, path, driver)
    print(f"{len(drivers)} drivers: created, shared, tagged, listed, read, updated, given an icon, deleted")


if __name__ == "__main__":
    main()
