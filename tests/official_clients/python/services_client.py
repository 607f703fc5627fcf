"""The discovery client reads, cancels and waits for an operation of each service, as standard input says.

The client has no loop; google-api-core's future, which Google's other clients for Python wait with, polls through it."""

import json
import sys
import time

import google.api_core.exceptions
import google.api_core.operation
import google.auth
from google.api_core.client_options import ClientOptions
from google.longrunning import operations_pb2
from google.protobuf import json_format, struct_pb2
from googleapiclient import discovery

CREDENTIALS, _ = google.auth.default(scopes=["https://www.googleapis.com/auth/cloud-platform"])


def ask(case):
    # A document has only the host for all locations. Another replaces the whole base of the path.
    regional = ClientOptions(api_endpoint="https://" + case["host"]) if case["isRegional"] else None
    operations = discovery.build(
        case["service"], case["version"], credentials=CREDENTIALS, client_options=regional, static_discovery=True
    )
    for resource in case["resource"].split("."):
        operations = getattr(operations, resource)()
    arguments = case["arguments"]
    get = lambda: operations.get(**arguments).execute()
    running = get()
    operations.cancel(**arguments).execute()
    if "status" in running:
        return {"running": running["status"] == "RUNNING", "end": wait_for_status(get)}
    return {"running": not running.get("done", False), "end": wait(running, get)}


def wait(operation, get):
    read = lambda operation: json_format.ParseDict(operation, operations_pb2.Operation(), ignore_unknown_fields=True)
    future = google.api_core.operation.Operation(
        read(operation), lambda retry=None: read(get()), None, struct_pb2.Struct, metadata_type=struct_pb2.Struct
    )
    try:
        return json_format.MessageToDict(future.result(timeout=60))
    except google.api_core.exceptions.GoogleAPICallError as error:
        return error.grpc_status_code.name


def wait_for_status(get):
    """GKE's and Cloud SQL's operations are their own, and no library for Python waits for them."""
    while get()["status"] != "DONE":
        time.sleep(0.2)
    return "DONE"


for case in json.load(sys.stdin):
    answer = {"id": case["id"]}
    try:
        answer["value"] = ask(case)
    except Exception as refused:  # Whatever the library raises is what is asked for.
        answer["error"] = f"{type(refused).__name__}: {refused}"
    print(json.dumps(answer), flush=True)
