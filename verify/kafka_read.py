"""Reads Offkey's topics in Kafka with clients that others wrote.

Usage: kafka_read.py BOOTSTRAP PREFIX [FOLDER]

BOOTSTRAP is where the brokers are, PREFIX what the topics' names begin with, such as `offkey.`. Every
committed record of the topics about changes and impacts has to be a CloudEvent in Kafka's binary mode.
librdkafka reads them all; kcat, where there is one, and Kafka's own console consumer, where FOLDER is a
cluster that scripts/kafka has started, have to show the same ids. Ends with 0 when all holds.
"""

import collections
import json
import pathlib
import re
import shutil
import subprocess
import sys
import time

from cloudevents.core.bindings.kafka import KafkaMessage, from_binary_event
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition

# What each topic's records are.
TYPES = {
    "membership": "offkey.membership-change.v1",
    "outcomes": "offkey.outcome.v1",
    "impacts": "offkey.impact.v1",
}
# These leave in a transaction with what they answer, so that nobody sees one twice.
ONCE = {"outcomes", "impacts"}
WANTED = {
    "ce_specversion", "ce_id", "ce_source", "ce_type", "ce_time", "ce_recordedtime",
    "ce_partitionkey", "content-type",
}
PATIENCE = 60


def require(what: str, holds: bool) -> None:
    if not holds:
        sys.exit(f"kafka: does not hold: {what}")


def read(consumer: Consumer, topic: str) -> list[Message]:
    """All committed records of the topic, in the order of each partition."""
    known = consumer.list_topics(topic, timeout=PATIENCE).topics[topic]
    require(f"{topic} exists ({known.error})", known.error is None)
    consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING) for number in known.partitions])
    unread, records = set(known.partitions), []
    end = time.monotonic() + PATIENCE
    while unread:
        require(f"{topic} can be read to its end in {PATIENCE} s", time.monotonic() < end)
        for message in consumer.consume(500, timeout=0.5):
            if message.error() is None:
                records.append(message)
            elif message.error().code() == KafkaError._PARTITION_EOF:
                unread.discard(message.partition())
            else:
                raise KafkaException(message.error())
    return records


def check(name: str, message: Message) -> tuple[str, str]:
    """Holds one record against the binding; its source and id."""
    where = f"{message.topic()}/{message.partition()}@{message.offset()}"
    given = message.headers() or []
    headers = dict(given)
    require(f"{where} has each header once", len(headers) == len(given))
    require(f"{where} has all headers; lacking {sorted(WANTED - set(headers))}", set(headers) >= WANTED)
    require(f"{where} has values in all its headers", all(headers.values()))
    require(f"{where} is CloudEvents 1.0", headers["ce_specversion"] == b"1.0")
    require(f"{where} says that it is JSON", headers["content-type"] == b"application/json")
    require(f"{where} has its partition key as key", headers["ce_partitionkey"] == message.key())
    require(f"{where} has data", message.value() is not None)
    try:
        event = from_binary_event(KafkaMessage(headers, message.key(), message.value()))
        data = json.loads(message.value())
    except Exception as error:  # whatever the library has against it
        sys.exit(f"kafka: does not hold: {where} is read by the CloudEvents library: {error!r}")
    require(f"{where} comes with its data", event.get_data() == data)
    require(f"{where} is a {TYPES[name]}, not a {event.get_type()}", event.get_type() == TYPES[name])
    require(f"{where} has a time in UTC", event.get_time().utcoffset().total_seconds() == 0)
    return event.get_source(), event.get_id()


def check_shown(who: str, topic: str, lines: list[str], expected: set[str]) -> None:
    """Whether another client shows the headers of the records with these ids."""
    shown = {found[1] for line in lines if (found := re.search(r"\bce_id[=:]([^,\s]+)", line))}
    require(f"{who} shows the headers of {topic}: {len(shown)} of {len(expected)} ids", shown == expected)


def run(*command: str) -> list[str]:
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    require(f"{command[0]} can read: {done.stderr.strip()}", done.returncode == 0)
    return done.stdout.splitlines()


def with_kcat(bootstrap: str, topic: str) -> list[str]:
    return run("kcat", "-C", "-b", bootstrap, "-t", topic, "-o", "beginning", "-e", "-q",
               "-X", "isolation.level=read_committed", "-f", "%h\n")


def with_console(folder: str, topic: str, count: int) -> list[str]:
    script = pathlib.Path(__file__).parent.parent / "scripts" / "kafka"
    return run(str(script), "tool", folder, "console-consumer", "--topic", topic, "--from-beginning",
               "--isolation-level", "read_committed", "--max-messages", str(count),
               "--timeout-ms", str(PATIENCE * 1000 // 2), "--formatter-property", "print.headers=true")


def main() -> None:
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    bootstrap, prefix = sys.argv[1:3]
    folder = sys.argv[3] if len(sys.argv) == 4 else None
    kcat = shutil.which("kcat") is not None
    consumer = Consumer({
        "bootstrap.servers": bootstrap,
        "group.id": "offkey-verify",
        "isolation.level": "read_committed",
        "enable.auto.commit": False,
        "enable.partition.eof": True,
    })
    for name in TYPES:
        topic = prefix + name
        names = [check(name, message) for message in read(consumer, topic)]
        require(f"there are records in {topic}", bool(names))
        again = [one for one, times in collections.Counter(names).items() if times > 1]
        require(f"{topic} has nothing twice, such as {again[:1]}", name not in ONCE or not again)
        ids = {identity for _, identity in names}
        if kcat:
            check_shown("kcat", topic, with_kcat(bootstrap, topic), ids)
        if folder:
            check_shown("the console consumer", topic, with_console(folder, topic, len(names)), ids)
        print(f"kafka: {len(names)} records of {topic} are read")
    consumer.close()
    print("kafka: kcat shows the same" if kcat else "kafka: kcat is absent, and was not asked")
    if folder:
        print("kafka: the console consumer shows the same")


if __name__ == "__main__":
    main()
