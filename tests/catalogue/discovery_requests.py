"""The requests that google-api-python-client builds for every method of its documents that cancels an operation, a line of JSON each.

The methods are found here, and names are drawn from the documents' own patterns: nothing of opcancel's catalogue is used. The client
checks no name for safety, so its requests are compared only for names that are harmless."""

import json
import pathlib
import re

import googleapiclient
from googleapiclient.discovery import build_from_document, fix_method_name
from googleapiclient.http import HttpMock

DOCUMENTS = pathlib.Path(googleapiclient.__path__[0]) / "discovery_cache" / "documents"

# What ids look like, by their collection.
IDS = {
    "projects": "acme-prod",
    "locations": "europe-west1",
    "regions": "europe-west1",
    "zones": "europe-west1-b",
    "organizations": "123456789012",
    "folders": "210987654321",
    "billingAccounts": "01A2B3-0C0D0E-FFFFFF",
    "buckets": "b.u_c-k",
}
# The kinds of parents of a pattern that begins with two wildcards.
PARENTS = ["projects", "organizations", "folders", "billingAccounts"]
# The API and gcloud name an operation of Cloud Storage in another way than its path.
STORAGE = re.compile("^b/([^/]+)/operations/([^/]+)$")


def cancels_an_operation(method):
    words = method["id"].split(".")
    return words[-1] == "cancel" and re.fullmatch(r"operations|\w+Operations", words[-2]) is not None


def walk(resource, path=()):
    methods = resource.get("methods") or {}
    for method in methods.values():
        if cancels_an_operation(method):
            yield method, methods.get("get"), path
    for name, child in (resource.get("resources") or {}).items():
        yield from walk(child, path + (name,))


def drawn(pattern):
    """Names of a pattern such as ^projects/[^/]+/operations/.*$, with each kind of parent, and of one segment and four for .*"""
    segments = pattern.strip("^$").replace("[^/]+", "*").split("/")
    firsts = PARENTS if segments[0] == "*" else [segments[0]]
    tails = [["x1.Y_z~-1"], ["a", "B.c", "3", "x_4~"]] if segments[-1] == ".*" else [None]
    for first in firsts:
        for tail in tails:
            name = [first]
            for number, segment in enumerate(segments[1:]):
                if segment == ".*":
                    name += tail
                elif segment == "*":
                    name.append(IDS.get(name[-1], "x%d.Y_z~-" % number))
                else:
                    name.append(segment)
            yield "/".join(name)


def arguments(method):
    """Arguments for the parameters of the path."""
    names = re.findall(r"\{\+?(\w+)\}", method["path"])
    parameters = method["parameters"]
    if len(names) == 1:
        for name in drawn(parameters[names[0]]["pattern"]):
            yield {names[0]: name}
        return
    collections = dict(re.findall(r"(\w+)/\{\+?(\w+)\}", method["path"]))
    # A bucket has the collection b.
    ids = {name: IDS.get("buckets" if c == "b" else c, "x1.Y_z~-1") for c, name in collections.items()}
    yield ids


def built(client, path, method, values):
    for name in path:
        client = getattr(client, fix_method_name(name))()
    try:
        request = getattr(client, method["id"].rsplit(".", 1)[1])(**values)
    except TypeError as error:
        # The client's own check of a parameter against its pattern.
        return {"refused": str(error)}
    return {"verb": request.method, "uri": request.uri, "body": request.body}


def name_of(document, method, values):
    """The operation's name: the path without what stands before and after the name."""
    if list(values) == ["name"]:
        # A path such as v1/operations/{+name} has a part of the name before the parameter.
        before = method["path"].split("{")[0]
        return re.sub(r"^.*\bv\d[a-z0-9]*/(admin/)?", "", before) + values["name"]
    path = re.sub(r"\{\+?(\w+)\}", lambda found: values[found[1]], method["path"])
    path = re.sub(r"[:/]cancel$", "", re.sub(r"^(sql/)?%s/" % document["version"], "", path))
    bucket = STORAGE.match(path)
    return "projects/_/buckets/%s/operations/%s" % bucket.groups() if bucket else path


def main():
    for file in sorted(DOCUMENTS.glob("*.json")):
        document = json.loads(file.read_text())
        found = list(walk(document)) if "rootUrl" in document else []
        if not found:
            continue
        client = build_from_document(document, http=HttpMock(headers={"status": "200"}))
        for method, get, path in found:
            names = []
            for values in arguments(method):
                names.append({
                    "name": name_of(document, method, values),
                    "cancel": built(client, path, method, values),
                    "get": built(client, path, get, values) if get else None,
                })
            print(json.dumps({
                "service": document["name"],
                "version": document["version"],
                "method": method["id"],
                "names": names,
            }))


main()
