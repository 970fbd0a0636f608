#!/usr/bin/env python3
"""Makes the seed corpus of each fuzz target from the golden files: `python3 fuzz/seeds.py`."""

import pathlib

HERE = pathlib.Path(__file__).parent
GOLDEN = HERE.parent / "tests" / "golden"


def golden(pattern):
    return {path.name.removesuffix("-v1.bin"): path.read_bytes() for path in sorted(GOLDEN.glob(pattern))}


def keep(target, name, data):
    folder = HERE / "seeds" / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(bytes(data))


def padded(data, align=8):
    return data + bytes(-len(data) % align)


records = golden("record-*")
for name, data in records.items():
    keep("record", name, data)
keep("record", "all", b"".join(records.values()))

frames = {name: data for name, data in golden("frame-*").items() if len(data) < 1000}
for name, data in frames.items():
    keep("frame", name, b"\0" + data)
    keep("frame", name + "-repaired", b"\1" + data)

birth, root, link, seal = (golden(name + "-v1.bin")[name] for name in ("birth", "root", "link", "roll-seal"))
for control, name, data, front in [
    (0, "birth", birth, birth[:72]),
    (2, "root", root, root[:160] + root[8192 : 8192 + 160]),
    (4, "link", link, link),
    (6, "roll-seal", seal, seal),
]:
    keep("header", name, bytes([control]) + data)
    keep("header", name + "-repaired", bytes([control | 1]) + front)

for control, name in ((0, "snapshot"), (2, "run")):
    data = golden(name + "-v1.bin")[name]
    keep("snapshot", name, bytes([control]) + data)
    keep("snapshot", name + "-repaired", bytes([control | 1]) + data)

data = padded(frames["frame-data"])
mark = padded(frames["frame-mark"])
close = padded(frames["frame-seal"])
opened = padded(frames["frame-data-continues"])
chained = padded(frames["frame-data-chain"])
for name, control, link_bytes, seal_bytes, body in [
    ("one", 1, b"", b"", data),
    ("marked", 1, b"", b"", data + data + mark),
    ("closed", 3, b"", b"", data + mark + close),
    ("spanning", 1, b"", b"", opened + opened + data),
    ("unfinished", 1, b"", b"", data + opened),
    ("chained", 1, b"", b"", chained + data),
    ("torn", 1, b"", b"", data + mark + b"torn" * 20),
    ("hole", 1, b"", b"", data + bytes(64) + mark),
    ("aligned", 1, b"", b"", frames["frame-data-aligned"].ljust(4096, b"\0") + data),
    ("linked", 1, link, b"", data),
    ("rolled", 5, b"", seal, data),
    ("short", 9, b"", b"", data),
    ("unrepaired", 0, b"", b"", data + data),
]:
    keep("scan", name, bytes([control, len(link_bytes), len(seal_bytes)]) + link_bytes + seal_bytes + body)

for name, data in {
    "synced": [0, 0, 9, 1, 20, 0, 3],
    "buffered": [1, 2, 9, 2, 7, 6, 0, 3, 1, 9, 7],
    "spanning": [0, 4, 8, 4, 3, 9, 2, 4, 9, 10, 0],
    "large": [3, 5, 0, 5, 90, 9, 11, 0, 1],
    "failed sync": [2, 0, 9, 11, 4, 10, 0, 0, 3],
    "closed": [1, 0, 9, 8, 0, 0, 9, 8, 0, 12, 0, 2, 2, 9, 1],
    # Found: a roll inside a transaction, then a crash, then a second opening.
    "rolled inside": [255, 249, 249, 249, 249, 249, 249, 217, 255],
    # Found in the target itself: a commit that is refused before anything was written.
    "refused": [3, 37, 26, 122],
}.items():
    keep("model", name.replace(" ", "-"), data)

for name, text in {
    "value": '{"a":[1,-2,0.5,null,true],"b":"\\u00e4\\n"}',
    "dotted": r"notes.a\.b.title",
    "pointer": "/notes/a~1b/title",
    "set": '["set","/notes/1/title","Milk"]',
    "append": '["append","/a/b","x",3]',
    "entry": '["entry","/a/b",7,9,"x"]',
    "cut": '["cut","/a/b",7,9]',
}.items():
    keep("value", name, text.encode())
keep("value", "document", b"\1" + bytes(20) + b"\xff\xff" + b'{"a":1}')
keep("value", "gone", b"\0")

keep("store", "all", bytes([7, 0, 8, 1, 1, 5, 2, 10, 16, 0, 9, 13, 3, 2, 1, 11, 5, 12, 15, 0, 33, 4, 4, 14]))

# The first byte: format (auto, json, conf, lowdb, tauri, lines), 64 to salvage, 128 to split.
for name, control, text in [
    ("object", 0, b'{"theme": "dark", "sizes": [1, 2.50, -0, 1e3, 18446744073709551615], "a.b": {"c": null}}'),
    ("odd", 1, b'\xef\xbb\xbf{"": "\\ud800x\\ud83d\\ude00", "a": 1, "a": {"b": 1, "b": 2}, "n": 1e999, "t": "\xff"}'),
    ("conf", 0, b'{"a": true, "__internal__": {"migrations": {"version": "1.2.0"}}}'),
    ("lowdb", 131, b'{"posts": [{"id": 1, "title": "x"}, {"id": "b"}, {"id": 1}], "users": []}'),
    ("list", 129, b'[{"id": "a"}, {"id": 2}, {"title": "none"}]'),
    ("mirror", 1, b'{"a": 1, "$everlog": {"collection": "c", "position": "1:1", "sum": "' + b"0" * 32 + b'"}}'),
    ("cut", 64, b'{"a": 1, "b": [1, 2, '),
    ("cut list", 195, b'{"posts": [{"id": 1}, {"id": 2}, {"id'),
    ("lines", 5, b'{"collection": "n", "key": "a", "value": 1, "revision": "1:1", "time": "2026-11-20T18:00:00Z"}\n'
     b'{"collection": "n", "series": "s", "value": [2], "revision": "1:2", "time": "2026-11-20T18:00:00.5Z"}\n'),
    ("bad lines", 133, b'{"id": 1}\nnot JSON\n{"id": 2}\n[]\n{"id"'),
    ("bytes", 1, b'{"a": {"$bytes": "AAEC"}, "b": {"$bytes": "#1-5 70000"}}'),
    ("deep", 1, b'{"a": ' + b"[" * 60 + b"]" * 60 + b"}"),
]:
    keep("import", name, bytes([control]) + text)
