"""Writes the test vectors of the hash chain: made from its documentation, in another language than the service.

    python3 hash_vectors.py [FILE]     (default: fixtures/hash_vectors.json beside this file)

hash = SHA-256 over, each preceded by its length as 8 bytes big-endian:
    previous hash (32 bytes; zeros before revision 0 and in streams that are not chained), stream name,
    revision (8 bytes big-endian), event id (16 bytes), type, data,
    metadata without its last 75 bytes: ,"hash":"<64 lower-case hex>"}
"""

import base64
import hashlib
import json
import pathlib
import sys
import uuid

ZEROS = bytes(32)
ID = "0190a5d0-7c3e-7b7a-9f0e-1c2d3e4f5a6b"
OTHER_ID = "7f3c1e52-9b1d-4c0e-8a77-ffffffffffff"
TIME = "2026-02-28T23:59:58.007Z"


def compact(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def digest(previous, stream, revision, event_id, event_type, data, unhashed):
    parts = [
        previous,
        stream.encode(),
        revision.to_bytes(8, "big"),
        uuid.UUID(event_id).bytes,
        event_type.encode(),
        data,
        unhashed,
    ]
    framed = b"".join(len(part).to_bytes(8, "big") + part for part in parts)
    return hashlib.sha256(framed).digest()


def vector(name, stream, revision, data, metadata, previous=ZEROS, event_id=ID, event_type="SomethingHappened.v1"):
    unhashed = compact(metadata)[:-1]
    result = digest(previous, stream, revision, event_id, event_type, data, unhashed)
    return {
        "name": name,
        "previous": previous.hex(),
        "stream": stream,
        "revision": revision,
        "id": event_id,
        "type": event_type,
        "data": base64.b64encode(data).decode(),
        "metadata": (unhashed + f',"hash":"{result.hex()}"}}'.encode()).decode(),
        "hash": result.hex(),
    }


def chain():
    """Three events of one integration, each bound to the one before it."""
    full = {
        "tenant": "acme-eu.1",
        "actor": "team:Zo\u00eb \U0001f600",
        "time": TIME,
        "correlationId": 'a "quoted" \\ / id\u007f',
        "causationId": OTHER_ID,
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "reason": "lines\r\n\tand \b\f\u001f \u2028",
        "client": "2001:db8::1",
        "fingerprint": {"request": hashlib.sha256(b"request").hexdigest(), "secrets": hashlib.sha256(b"").hexdigest()},
    }
    events = [
        (ID, "IntegrationCreated.v2", b'{"slug":"a","settings":{"data":{"n":[1.0,1e400,-0]}}}', full),
        (OTHER_ID, "IntegrationUpdated.v1", b' {"changes" :\t{}}\r\n', {"tenant": "acme-eu.1", "time": TIME}),
        (ID, "TagsSet.v1", '{"tags":["\u00e4\u0308\U0001f600"]}'.encode(), {"tenant": "a", "actor": "b", "time": TIME}),
    ]
    previous, vectors = ZEROS, []
    for revision, (event_id, event_type, data, metadata) in enumerate(events):
        stream = f"integration-acme-eu.1:{ID}"
        name = f"event {revision} of a chain"
        vectors.append(vector(name, stream, revision, data, metadata, previous, event_id, event_type))
        previous = bytes.fromhex(vectors[-1]["hash"])
    return vectors


def vectors():
    bare = {"time": TIME}
    return chain() + [
        vector("the smallest", "janitor-checkpoint", 0, b"{}", bare),
        vector("no data at all", f"icon-a:{ID}:{OTHER_ID}", 0, b"", bare, event_type="IconUploaded.v1"),
        vector("every byte", f"icon-a:{ID}:{OTHER_ID}", 0, bytes(range(256)), bare, event_type="IconUploaded.v1"),
        vector("more than one block", f"icon-a:{ID}:{OTHER_ID}", 0, b"\x00\xff" * 5000, bare),
        vector("a revision of more than one byte", "slug-a:b", 258, b"{}", {"tenant": "a", "time": TIME}),
        vector("the last revision that JSON readers keep", "slug-a:b", 2**53 - 1, b"{}", bare),
        vector("a key, whose stream is not chained", f"key-a:{ID}", 7, b"{}", bare, event_type="DataKeyWrapped.v1"),
        # Where the parts end is part of the hash: these two have the same bytes in a row.
        vector("a border", "slug-a:b", 0, b"c{}", bare, event_type="T"),
        vector("the same bytes with another border", "slug-a:b", 0, b"{}", bare, event_type="Tc"),
    ]


def main():
    default = pathlib.Path(__file__).parent / "fixtures" / "hash_vectors.json"
    path = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else default
    path.write_text(json.dumps(vectors(), indent=2) + "\n")


if __name__ == "__main__":
    main()
