"""The discovery client asks as it is told on standard input, and says what it was answered.

Its documents are those inside the package: nothing is fetched."""

import time

import google.auth
import google.auth.exceptions
from google.api_core.client_options import ClientOptions
from googleapiclient import discovery, errors

import cases

CREDENTIALS, _ = google.auth.default(scopes=["https://www.googleapis.com/auth/cloud-platform"])


def ask(case):
    options = ClientOptions(api_endpoint="https://" + case["host"])
    service = discovery.build(
        "dialogflow", case["version"], credentials=CREDENTIALS, client_options=options, static_discovery=True
    )
    name = case["name"]
    projects = service.projects()
    operations = projects.locations().operations() if "/locations/" in name else projects.operations()
    if case["call"] == "get":
        return shown(operations.get(name=name).execute())
    if case["call"] == "cancel":
        return operations.cancel(name=name).execute()
    if case["call"] == "list":
        names = []
        request = operations.list(name=name, filter=case["filter"], pageSize=case["pageSize"])
        while request is not None:
            page = request.execute()
            names += [operation["name"] for operation in page.get("operations", [])]
            request = operations.list_next(request, page)
        return names
    # The loop of Google's samples: there is none in the library.
    while True:
        operation = operations.get(name=name).execute()
        if operation.get("done"):
            return {key: operation[key] for key in ("error", "response") if key in operation}
        time.sleep(0.2)


def shown(operation):
    return {
        "name": operation["name"],
        "done": operation.get("done", False),
        "error": operation["error"].get("code") if "error" in operation else None,
        "response": operation["response"]["@type"] if "response" in operation else None,
    }


def error(error):
    """What a user of the library can learn from it."""
    found = {"class": type(error).__name__, "text": str(error)}
    if isinstance(error, errors.HttpError):
        found |= {"httpStatus": error.status_code, "message": error.reason}
        # Where there are details, this is the list of them; else a text.
        details = error.error_details if isinstance(error.error_details, list) else []
        found |= cases.details(details)
    return found


cases.run(ask, error)
