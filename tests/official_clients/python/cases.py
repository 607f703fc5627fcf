"""What the Python judges have in common: cases come in as JSON, answers go out, a line each."""

import json
import sys


def run(ask, error):
    for case in json.load(sys.stdin):
        answer = {"id": case["id"]}
        try:
            answer["value"] = ask(case)
        except Exception as refused:  # Whatever the library raises is what is asked for.
            answer["error"] = error(refused)
        print(json.dumps(answer), flush=True)


def details(details):
    """google.rpc's details in JSON, in the words of the other judges."""
    found = {}
    # The library for Dialogflow adds a text about the credentials that were used.
    for detail in (detail for detail in details if isinstance(detail, dict)):
        kind = detail.get("@type", "").rpartition("/")[2]
        if kind == "google.rpc.ErrorInfo":
            found |= {key: detail[key] for key in ("reason", "domain", "metadata")}
        if kind == "google.rpc.RetryInfo":
            found["retryDelay"] = detail["retryDelay"]
    return found
