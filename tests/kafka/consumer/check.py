"""Reads both topics from their beginning, as a consumer of another language and with other people's libraries, and
compares them with the log's file and with what the API shows.

check.py BROKERS PREFIX EVENTS_SQLITE API_URL TOKENS

TOKENS is a file: {TENANT: TOKEN of an admin}.
"""

import json
import sqlite3
import sys
import urllib.request
import uuid

from cloudevents.core.bindings.kafka import KafkaMessage, from_binary, from_structured
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from confluent_kafka import Consumer, KafkaError, TopicPartition, OFFSET_BEGINNING

brokers, prefix, log_file, api, tokens_file = sys.argv[1:]
with open(tokens_file) as file:
    tokens = json.load(file)


def committed(topic):
    """Every committed record of a topic, in the order of each partition, read by a group that never was."""
    consumer = Consumer({
        "bootstrap.servers": brokers,
        "group.id": f"check-{uuid.uuid4()}",
        "isolation.level": "read_committed",
        "auto.offset.reset": "earliest",
        "enable.partition.eof": True,
        "enable.auto.commit": False,
    })
    partitions = consumer.list_topics(topic, timeout=30).topics[topic].partitions
    consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING) for partition in partitions])
    ended = set()
    while len(ended) < len(partitions):
        message = consumer.poll(30)
        assert message is not None, f"nothing came from {topic}"
        if message.error() and message.error().code() == KafkaError._PARTITION_EOF:
            ended.add(message.partition())
            continue
        assert not message.error(), message.error()
        yield message
    consumer.close()


def as_kafka(message):
    headers = {name: value for name, value in message.headers() or []}
    return KafkaMessage(headers=headers, key=message.key(), value=message.value())


def get(tenant, path):
    request = urllib.request.Request(api + path, headers={"Authorization": f"Bearer {tokens[tenant]}"})
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


# What must be there: each event of each integration, in its order, from the file itself.
log = sqlite3.connect(f"file:{log_file}?mode=ro", uri=True)
expected = {}
for stream, event_id in log.execute(
    "SELECT stream, id FROM events WHERE stream LIKE 'integration-%' ORDER BY stream, revision"
):
    tenant, integration = stream.removeprefix("integration-").split(":")
    expected.setdefault(f"{tenant}/{integration}", []).append(event_id)

seen, partition_of = {}, {}
for message in committed(f"{prefix}.events"):
    key = message.key().decode()
    event = from_structured(as_kafka(message), JSONFormat(), CloudEvent)
    assert event.get_specversion() == "1.0"
    assert event.get_extension("partitionkey") == key, (event.get_attributes(), key)
    assert partition_of.setdefault(key, message.partition()) == message.partition(), f"{key} is in two partitions"
    events = seen.setdefault(key, [])
    sequence = event.get_extension("sequence")
    assert int(sequence) == len(events), f"{key}: {sequence} comes after {len(events)} events"
    if events:
        assert sequence > events[-1][0], "sequences are ordered as text too"
    events.append((sequence, event.get_id()))

assert seen.keys() == expected.keys(), seen.keys() ^ expected.keys()
for key, events in seen.items():
    assert [event_id for _, event_id in events] == expected[key], key

states, deleted = {}, set()
for message in committed(f"{prefix}.state"):
    key = message.key().decode()
    if message.value() is None:
        states.pop(key)
        deleted.add(key)
        continue
    event = from_binary(as_kafka(message), JSONFormat(), CloudEvent)
    assert event.get_type() == "integrations.IntegrationState.v1"
    data = event.get_data()
    states[key] = data if isinstance(data, dict) else json.loads(data)

flat = {f"{tenant}/{item['id']}": item for tenant in tokens for item in get(tenant, "/api/integrations-list")}
listed = {key for key, state in states.items() if not state["embedded"]}
assert listed == flat.keys(), "the state topic holds what the lists show"
for key, state in states.items():
    tenant, integration = key.split("/")
    shown = get(tenant, f"/api/integrations/{integration}")
    for member in ("_links", "headers", "secretHeaders"):
        shown.pop(member, None)
    if key in listed:
        shown.update(tags=flat[key]["tags"], sharing=flat[key]["sharing"])
    else:
        shown.update(tags=get(tenant, f"/api/integrations/{integration}/tags")["tags"], sharing=state["sharing"])
    assert state == shown, f"{state}\n{shown}"

print(json.dumps({
    "events": sum(map(len, seen.values())),
    "integrations": len(seen),
    "states": len(states),
    "deleted": len(deleted),
}))
