"""google-auth fetches a token as it is told on standard input, and asks for an operation with it."""

import os

import google.auth
import google.auth.exceptions
from google.auth.transport.requests import AuthorizedSession, Request

import cases

SCOPES = ["https://www.googleapis.com/auth/cloud-platform"]


def ask(case):
    if case["file"]:
        os.environ["GOOGLE_APPLICATION_CREDENTIALS"] = case["file"]
        # Without it google-auth asks a further API for the project's id, for it knows only the number.
        os.environ["GOOGLE_CLOUD_PROJECT"] = "acme-prod"
    credentials, project = google.auth.default(scopes=SCOPES)
    # Also what lies behind the token: who it is.
    credentials.refresh(Request())
    answer = AuthorizedSession(credentials).get(case["url"])
    return {
        "class": type(credentials).__name__,
        "project": project,
        "email": getattr(credentials, "service_account_email", None),
        "valid": credentials.valid,
        "status": answer.status_code,
        "name": answer.json().get("name"),
    }


def error(error):
    found = {"class": type(error).__name__, "text": str(error)}
    if isinstance(error, google.auth.exceptions.GoogleAuthError):
        found["retryable"] = error.retryable
    return found


cases.run(ask, error)
