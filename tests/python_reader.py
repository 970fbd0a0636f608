#!/usr/bin/env python3
"""Reads an everlog journal of format 1 as docs/format.md says, with nothing but the standard library.

    python3 python_reader.py DIRECTORY

Prints each record after the horizon as a line of JSON. Refuses damage with exit code 1; never writes.
"""

import json
import os
import re
import struct
import sys
import zlib

BLOCK = 4096
FRAMES = 2 * BLOCK
STRETCH = 65536
DATA, MARK, SEAL, ROLL_SEAL, LINK = 1, 2, 3, 4, 5
CONTINUES, CHAIN, ALIGNED = 1, 2, 4
END, META, KEY = 1, 2, 4
KINDS = {1: "event", 2: "pin", 3: "unpin", 4: "rollback", 5: "clock"}


class Refused(Exception):
    """Bytes that are not what was written."""


class Newer(Refused):
    """Bytes that are right and not understood."""


def fields(form, data, at=0):
    return struct.unpack_from("<" + form, data, at)


def preamble(block, magic, what):
    if len(block) < BLOCK or block[:8] != magic:
        raise Refused(what + ": magic")
    if fields("I", block, 4092)[0] != zlib.crc32(block[:4092]):
        raise Refused(what + ": checksum")
    if fields("H", block, 8)[0] != 1:
        raise Newer(what + ": newer version")
    if fields("Q", block, 16)[0] != 0:
        raise Newer(what + ": unknown required feature")
    return block


class Root:
    def __init__(self, data):
        blocks = [data[at : at + BLOCK] for at in range(0, 4 * BLOCK, BLOCK)]
        identity = self.best(blocks[:2], b"EVLGROOT", lambda block: 0)
        slot = self.best(blocks[2:], b"EVLGSLOT", lambda block: fields("Q", block, 36)[0])
        self.id = identity[32:48]
        (_, self.epoch, self.floor, self.horizon, _, _, self.first, self.first_salt, self.newest,
         self.clean, self.clean_end) = fields("QIQQIQQQQQQ", slot, 36)

    @staticmethod
    def best(blocks, magic, rank):
        good = []
        for block in blocks:
            try:
                good.append(preamble(block, magic, "journal"))
            except Newer:
                raise
            except Refused:
                continue  # The other copy may be good.
        if not good:
            raise Refused("journal: both copies are bad")
        return max(good, key=rank)


class Frame:
    """A frame whose header checks; `whole` tells whether the rest does."""

    def __init__(self, segment, at, limit):
        data = segment.data
        (_, self.kind, self.flags, compression, reserved, self.body_bytes, self.count, self.epoch, self.previous,
         self.first_lsn, self.mark, _, reserved2, self.sum) = fields("4sBBBBIIIIQQQII", data, at)
        if self.flags & ~7 or compression or reserved or reserved2 or not 1 <= self.kind <= 5:
            raise Newer("%s: newer frame at %d" % (segment.name, at))
        covered = (32 if self.flags & CHAIN else 0) + self.body_bytes
        end = at + 56 + covered
        self.end = end + 4 * (-(-covered // STRETCH))
        step = BLOCK if self.flags & ALIGNED else 8
        self.next_offset = -(-self.end // step) * step
        self.body = data[end - self.body_bytes : end]
        self.whole = self.end <= limit and all(
            fields("I", data, end + 4 * (start // STRETCH))[0]
            == segment.checksum(self.epoch, at + 56 + start, data[at + 56 + start : end][:STRETCH])
            for start in range(0, covered, STRETCH)
        )

    def next_lsn(self):
        return self.first_lsn + self.count


class Segment:
    def __init__(self, name, data):
        self.name, self.data = name, data
        birth = preamble(data[:BLOCK], b"EVLGSEG\n", name)
        self.id = birth[32:48]
        self.number, self.salt, self.capacity = fields("QQQ", birth, 48)
        if self.number == 0 or self.capacity % BLOCK or not 4 * BLOCK <= self.capacity <= 1 << 40:
            raise Refused(name + ": birth header")
        self.birth_sum = fields("I", birth, 4092)[0]
        self.frames_end = self.capacity - BLOCK

    def checksum(self, epoch, offset, data):
        return zlib.crc32(data, zlib.crc32(struct.pack("<QIQ", self.salt, epoch, offset)))

    def header_checks(self, at):
        data = self.data
        if at + 56 > len(data) or data[at : at + 4] != b"EVL1" or fields("Q", data, at + 40)[0] != at:
            return False
        body_bytes, count, epoch = fields("III", data, at + 8)
        good = fields("I", data, at + 52)[0] == self.checksum(epoch, at, data[at : at + 52])
        return good and body_bytes <= 1 << 30 and count <= body_bytes

    def slot(self, at, kind, form):
        """The body of the one frame of a slot."""
        if not self.header_checks(at):
            return None, None
        frame = Frame(self, at, at + BLOCK)
        plain = frame.kind == kind and frame.count == 0 and frame.previous == 0 and not frame.flags & CONTINUES
        if not plain or not frame.whole or frame.body_bytes != struct.calcsize("<" + form):
            return None, None
        return frame.epoch, fields(form, frame.body)

    def frames(self, end):
        """Yields the frames in order; then `self.stop`, `self.stop_sum` tell where and after what they end."""
        at, previous, next_lsn, epoch = FRAMES, self.birth_sum, None, 0
        while at < end and self.header_checks(at):
            frame = Frame(self, at, end)
            records = None
            if frame.whole:
                records = read_records(frame, self.name)
            if (
                records is None
                or frame.kind not in (DATA, MARK, SEAL)
                or frame.previous != previous
                or next_lsn not in (None, frame.first_lsn)
                or frame.epoch < epoch
            ):
                break
            yield frame, records
            at, previous, next_lsn, epoch = frame.next_offset, frame.sum, frame.next_lsn(), frame.epoch
        self.stop, self.stop_sum = at, previous


def read_records(frame, name):
    """The records of a frame, or None if they do not fit it."""
    body, records, at = frame.body, [], 0
    continues = bool(frame.flags & CONTINUES)
    if frame.kind != DATA:
        return records if not body and not frame.count and not continues else None
    while at < len(body):
        if at + 16 > len(body):
            return None
        length, kind, flags, version, time = fields("IBBHQ", body, at)
        rest, at = body[at + 16 : at + 16 + length], at + 16 + length
        if at > len(body):
            return None
        if kind not in KINDS or flags & ~7:
            raise Newer(name + ": newer record")
        if flags & KEY:
            raise Newer(name + ": encrypted record")
        meta = None
        if flags & META:
            if len(rest) < 2 or len(rest) < 2 + fields("H", rest)[0]:
                return None
            size = 2 + fields("H", rest)[0]
            meta, rest = rest[2:size], rest[size:]
        records.append((KINDS[kind], bool(flags & END), version, time, meta, rest))
    ends = [record[1] for record in records]
    if not records or len(records) != frame.count or ends[-1] == continues or (continues and any(ends)):
        return None
    return records


def open_segments(directory, root):
    segments = {}
    for name in sorted(os.listdir(directory)):
        if not re.fullmatch(r"\d{10,20}\.seg", name):
            continue
        with open(os.path.join(directory, name), "rb") as file:
            data = file.read()
        try:
            segment = Segment(name, data)
        except Newer:
            raise
        except Refused:
            if any(data[BLOCK:]):
                raise
            continue  # Never used.
        if segment.id != root.id or name != "%010d.seg" % segment.number:
            raise Refused(name + ": not of this journal or number")
        if len(data) < segment.capacity:
            if any(data[BLOCK:]):
                raise Refused(name + ": cut short")
            continue
        segments[segment.number] = segment
    return segments


def chain(root, segments):
    """The segments of the history: (segment, end of its frames or None, checksum of the last)."""
    links = []
    for segment in segments.values():
        epoch, link = segment.slot(BLOCK, LINK, "IQQQQQI")
        if link:
            links.append((epoch, segment.number, link))
    number, salt, legs, superseded = root.first, root.first_salt, [], False
    while True:
        segment = segments.get(number)
        if segment is None or segment.salt != salt or len(legs) > len(segments):
            raise Refused("segment %d is missing" % number)
        here = [link for link in links if link[2][3:5] == (segment.number, segment.salt)]
        if here:
            epoch, number, link = max(here)
            if [link[0] for link in here].count(epoch) > 1:
                raise Refused("two links of epoch %d" % epoch)
            superseded |= epoch > root.epoch
            legs.append((segment, link[5], link[6]))
            salt = segments[number].salt
            continue
        _, seal = segment.slot(segment.frames_end, ROLL_SEAL, "QIQQQQQQ")
        if seal is None:
            legs.append((segment, None, None))
            break
        legs.append((segment, seal[0], seal[1]))
        number, salt = seal[2], seal[3]
    if not superseded and root.newest not in [leg[0].number for leg in legs]:
        raise Refused("nothing leads to segment %d" % root.newest)
    return legs


def judge(root, tail, next_lsn, proven):
    """Refuses an end of the history that cannot be what a crash left."""
    mark, sealed = 0, False
    for at in range(tail.stop, tail.frames_end - 55, 8):
        if tail.header_checks(at):
            frame = Frame(tail, at, tail.frames_end)
            mark, sealed = max(mark, frame.mark), sealed or frame.kind == SEAL
    clean = root.clean == tail.number and tail.stop < root.clean_end
    if proven >= next_lsn or clean or sealed or mark >= next_lsn:
        raise Refused("%s: records at %d that were durable do not check" % (tail.name, tail.stop))


def read(directory):
    """The records above the horizon: (epoch, lsn, record)."""
    with open(os.path.join(directory, "journal"), "rb") as file:
        root = Root(file.read(4 * BLOCK))
    legs = chain(root, open_segments(directory, root))
    whole, unfinished, next_lsn, proven = [], [], None, root.floor
    for segment, end, end_sum in legs:
        for frame, records in segment.frames(segment.frames_end if end is None else min(end, segment.frames_end)):
            proven = max(proven, frame.mark)
            if frame.kind != DATA:
                continue
            if next_lsn not in (None, frame.first_lsn) or next_lsn is None and frame.first_lsn > root.horizon + 1:
                raise Refused(segment.name + ": numbers")
            if unfinished and unfinished[-1][0] != frame.epoch:
                raise Refused(segment.name + ": transaction in two epochs")
            next_lsn = frame.next_lsn()
            for index, record in enumerate(records):
                unfinished.append((frame.epoch, frame.first_lsn + index, record))
            if not frame.flags & CONTINUES:
                whole, unfinished = whole + unfinished, []
        if end is not None and (segment.stop, segment.stop_sum) != (end, end_sum):
            raise Refused("%s: frames end at %d, not at %d" % (segment.name, segment.stop, end))
    judge(root, legs[-1][0], root.horizon + 1 if next_lsn is None else next_lsn, proven)
    return [item for item in whole if item[1] > root.horizon]


def main():
    try:
        records = read(sys.argv[1])
    except Refused as refused:
        print(refused, file=sys.stderr)
        sys.exit(1)
    for epoch, lsn, (kind, end, version, time, meta, payload) in records:
        meta = None if meta is None else meta.hex()
        print(json.dumps(dict(epoch=epoch, lsn=lsn, kind=kind, end=end, version=version, time=time, meta=meta,
                              payload=payload.hex())))


if __name__ == "__main__":
    main()
