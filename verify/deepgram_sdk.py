"""Holds the Deepgram simulator against Deepgram's own Python client.

Usage: deepgram_sdk.py BASE_URL API_KEY

API_KEY is the administrative key of a simulator that serves the demo company. What the script
makes, it deletes: it can run again against the same simulator. Ends with 0 when all holds.
"""

import sys
import urllib.error
import urllib.request

from deepgram import DeepgramClient
from deepgram.core.api_error import ApiError
from deepgram.environment import DeepgramClientEnvironment


def client_for(base_url: str, api_key: str) -> DeepgramClient:
    environment = DeepgramClientEnvironment(
        base=base_url, production=base_url, agent=base_url, agent_rest=base_url
    )
    return DeepgramClient(api_key=api_key, environment=environment)


def listen(base_url: str, api_key: str) -> int:
    """The status that an application with this key gets."""
    request = urllib.request.Request(
        f"{base_url}/v1/listen", data=b"", headers={"Authorization": f"Token {api_key}"}
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status
    except urllib.error.HTTPError as refusal:
        return refusal.code


def check(what: str, holds: bool) -> None:
    if not holds:
        sys.exit(f"deepgram-sdk: does not hold: {what}")
    print(f"deepgram-sdk: {what}")


def check_reading(projects, project_id: str) -> None:
    members = projects.members.list(project_id).members
    check("members have an id, an address and a role", bool(members) and all(
        member.member_id and "@" in member.email and member.scopes for member in members
    ))
    keys = projects.keys.list(project_id).api_keys
    check("keys have an id, scopes and a maker", bool(keys) and all(
        item.api_key.api_key_id and item.api_key.scopes and item.member.email for item in keys
    ))
    listed = {item.api_key.api_key_id for item in keys}
    parts = [
        {item.api_key.api_key_id for item in projects.keys.list(project_id, status=status).api_keys}
        for status in ("active", "expired")
    ]
    check("active and expired keys are all keys", parts[0] | parts[1] == listed)
    first = keys[0]
    got = projects.keys.get(project_id, first.api_key.api_key_id).item.member
    check("a single key is the listed one", (got.email, got.api_key.api_key_id, got.api_key.comment)
          == (first.member.email, first.api_key.api_key_id, first.api_key.comment))
    scopes = projects.members.scopes.list(project_id, members[0].member_id).scopes
    check("a member's scopes are the listed ones", scopes == members[0].scopes)


def check_use(projects, project_id: str) -> None:
    used = projects.usage.breakdown.get(project_id, grouping="accessor").results
    check("use has an accessor and a count", bool(used) and all(
        item.grouping.accessor and item.requests > 0 for item in used
    ))
    accessor = used[0].grouping.accessor
    newest = projects.requests.list(project_id, accessor=accessor, limit=1).requests
    check("the newest request of a key is its own",
          len(newest) == 1 and newest[0].api_key_id == accessor)


def check_life_of_a_key(base_url: str, projects, project_id: str) -> None:
    new = {"comment": "verify", "scopes": ["member"], "tags": ["verify"]}
    made = projects.keys.create(project_id, request=new)
    check("a new key comes with its secret", bool(made.key) and made.comment == "verify")
    check("the new key works", listen(base_url, made.key) == 200)
    projects.keys.delete(project_id, made.api_key_id)
    left = {item.api_key.api_key_id for item in projects.keys.list(project_id).api_keys}
    check("a deleted key is gone", made.api_key_id not in left)
    check("a deleted key is refused", listen(base_url, made.key) == 401)


def check_refusal(base_url: str) -> None:
    try:
        client_for(base_url, "no key").manage.v1.projects.list()
    except ApiError as refusal:
        check("an unknown key may not manage", refusal.status_code == 403)
    else:
        check("an unknown key may not manage", False)


def main() -> None:
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    base_url, api_key = sys.argv[1].rstrip("/"), sys.argv[2]
    projects = client_for(base_url, api_key).manage.v1.projects
    listed = projects.list().projects
    check("projects have an id and a name", bool(listed) and all(
        project.project_id and project.name for project in listed
    ))
    for project in listed:
        check_reading(projects, project.project_id)
    check_use(projects, listed[0].project_id)
    check_life_of_a_key(base_url, projects, listed[0].project_id)
    check_refusal(base_url)


if __name__ == "__main__":
    main()
