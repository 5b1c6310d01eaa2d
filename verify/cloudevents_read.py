"""Reads Offkey's records with the CloudEvents library.

Usage: cloudevents_read.py OFFKEY DATA

DATA is the folder of a log. Every record of every topic is read as a structured event, written in
Kafka's binary mode and read back. Ends with 0 when the library takes them all.
"""

import json
import subprocess
import sys

from cloudevents.core.bindings.kafka import from_binary_event, to_binary_event
from cloudevents.core.formats.json import JSONFormat

TOPICS = [
    "membership", "lookups", "inventory", "curation", "outcomes", "impacts", "quarantine",
    "deliveries", "dead-letters",
]
# What any run with a leaver and a request that cannot be used has.
WANTED = {
    f"offkey.{name}.v1"
    for name in ("membership-change", "key", "member", "project", "snapshot", "outcome", "impact",
                 "quarantined", "delivery")
}


def require(what: str, holds: bool) -> None:
    if not holds:
        sys.exit(f"cloudevents: does not hold: {what}")


def check(line: str) -> str:
    """The type of the record."""
    said = json.loads(line)
    event = JSONFormat().read(None, line)
    what = f"{said['type']} {said['id']}"
    require(f"{what} has its data", event.get_data() == said["data"])
    names = {name for name, value in event.get_attributes().items() if value is not None}
    require(f"{what} has its attributes", names == set(said) - {"data"})
    require(f"{what} has a time in UTC", event.get_time().utcoffset().total_seconds() == 0)
    message = to_binary_event(event)
    key = message.key.decode() if isinstance(message.key, bytes) else message.key
    require(f"{what} is keyed by its partitionkey", key == said["partitionkey"])
    back = from_binary_event(message)
    require(f"{what} comes back from binary mode", back.get_data() == said["data"]
            and back.get_id() == said["id"] and back.get_time() == event.get_time()
            and back.get_extension("recordedtime") == said["recordedtime"])
    return said["type"]


def main() -> None:
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    offkey, data = sys.argv[1:]
    kinds = []
    for topic in TOPICS:
        command = [offkey, "--data", data, "--json", "tail", topic]
        lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        kinds += [check(line) for line in lines.splitlines()]
    require(f"there is one of each type; lacking {WANTED - set(kinds)}", set(kinds) >= WANTED)
    print(f"cloudevents: {len(kinds)} records of {len(set(kinds))} types are read")


if __name__ == "__main__":
    main()
