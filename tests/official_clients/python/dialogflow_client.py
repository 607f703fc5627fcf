"""Google's client library for Dialogflow, over REST, asks as it is told on standard input, and says what it was answered."""

import google.api_core.exceptions
import google.api_core.operation
import google.auth
import requests
from google.api_core.client_options import ClientOptions
from google.cloud import dialogflow_v2, dialogflow_v2beta1
from google.protobuf import json_format, struct_pb2

import cases

CLIENTS = {"v2": dialogflow_v2.AgentsClient, "v2beta1": dialogflow_v2beta1.AgentsClient}

# One for all clients, as long as a program's own.
CREDENTIALS, _ = google.auth.default(scopes=["https://www.googleapis.com/auth/cloud-platform"])


def ask(case):
    options = ClientOptions(api_endpoint=case["host"])
    client = CLIENTS[case["version"]](credentials=CREDENTIALS, transport="rest", client_options=options)
    name = case["name"]
    if case["call"] == "get":
        return shown(client.get_operation({"name": name}))
    if case["call"] == "cancel":
        client.cancel_operation({"name": name})
        return {}
    if case["call"] == "list":
        request = {"name": name, "filter": case["filter"], "page_size": case["pageSize"]}
        names = []
        while True:
            page = client.list_operations(request)
            names += [operation.name for operation in page.operations]
            if not page.next_page_token:
                return names
            request["page_token"] = page.next_page_token
    # What the methods that start operations return, and wait with.
    operation = google.api_core.operation.from_gapic(
        client.get_operation({"name": name}),
        client.transport.operations_client,
        struct_pb2.Struct,
        metadata_type=struct_pb2.Struct,
    )
    return {"response": json_format.MessageToDict(operation.result(timeout=60))}


def shown(operation):
    result = operation.WhichOneof("result")
    return {
        "name": operation.name,
        "done": operation.done,
        "error": operation.error.code if result == "error" else None,
        "response": operation.response.type_url if result == "response" else None,
    }


def error(error):
    """What a user of the library can learn from it."""
    if not isinstance(error, google.api_core.exceptions.GoogleAPICallError):
        return {"class": type(error).__name__, "text": str(error)}
    # Of an operation's own error this is the operation.
    response = error.response if isinstance(error.response, requests.Response) else None
    found = {
        "class": type(error).__name__,
        "httpStatus": response.status_code if response is not None else None,
        "code": error.grpc_status_code.name if error.grpc_status_code else None,
        "message": error.message,
        "text": str(error),
    }
    # The library's own view of ErrorInfo; the other details it leaves as they came.
    if error.reason:
        found |= {"reason": error.reason, "domain": error.domain, "metadata": dict(error.metadata)}
    if response is not None:
        found |= {key: value for key, value in cases.details(error.details).items() if key == "retryDelay"}
    return found


cases.run(ask, error)
