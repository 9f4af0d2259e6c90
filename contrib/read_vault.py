#!/usr/bin/env python3
"""Restore a backup from a Resguardo vault without Resguardo.

Needs Python 3.9 or newer and the command line tools `age` and `zstd`; nothing else is installed
or imported. The vault is a folder: copy a bucket to a disk first (`aws s3 sync`, `rclone copy`).

    read_vault.py VAULT --list                                    what is there; needs no key
    read_vault.py VAULT --identity FILE --source NAME --out DIR   restore the newest snapshot
    read_vault.py VAULT --identity FILE --source NAME --snapshot ID --out DIR

The program follows docs/format.md, format 1, section by section, and refuses what breaks it.
DIR must be new or empty. Files appear under their own names only when their SHA-256 is right.

Ed25519 signatures are not in Python's standard library, so they are checked only if you name the
writers that you trust (`--writer ed25519:HEX`, from the recovery kit) and `openssl` 1.1.1 or
newer is installed. Without `--writer` the output says that they were not checked.

Exit: 0 all restored; 1 anything else, with the object named; 2 wrong usage; 130 interrupted.
"""

import argparse
import array
import base64
import contextlib
import hashlib
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile
from collections import OrderedDict

FORMAT = 1
MIB = 1 << 20
# docs/format.md, "Limits that readers enforce".
CONFIG_BYTES_MAX = MIB
HEAD_BYTES_MAX = 64 * MIB
PACK_BYTES_MAX = 64 * MIB
BUNDLE_BYTES_MAX = 64 * MIB
MANIFEST_BYTES_MAX = 1024 * MIB
LINE_BYTES_MAX = 64 * MIB
FRAME_BYTES_MAX = 4 * MIB
FRAMES_MAX = 65536
EXTENTS_PER_LINE_MAX = 4096
PACK_WINDOW = "--memory=8MB"
MANIFEST_WINDOW = "--memory=128MB"

SEEK_TABLE_MAGIC = 0x184D2A5E
SEEK_FOOTER_MAGIC = 0x8F92EAB1
HEAD_CONTEXT = b"resguardo-head-v1\n"
PRUNE_CONTEXT = b"resguardo-prune-v1\n"
ED25519_DER = bytes.fromhex("302a300506032b6570032100")

SOURCE = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}\Z")
ULID = re.compile(r"[0-7][0-9a-hjkmnp-tv-z]{25}\Z")
DIGEST = re.compile(r"[0-9a-f]{64}\Z")
WRITER = re.compile(r"ed25519:[0-9a-f]{64}\Z")
HEAD_LINE = re.compile(rb'\{"head":(\{.*\}),"signature":"([0-9a-f]{128})"\}\n?\Z', re.DOTALL)
PRUNE_LINE = re.compile(rb'\{"prune":(\{.*\}),"signature":"([0-9a-f]{128})"\}\n?\Z', re.DOTALL)

EXTENTS_BUFFERED_MAX = 500_000
HANDLES_MAX = 128
CHUNK = MIB


class Refused(Exception):
    """Something that is wrong, in words that name the object."""


def printable(text):
    """The vault's own words may not steer the terminal."""
    return "".join(char if char.isprintable() or char == "\n" else "?" for char in text)


def say(text):
    print(printable(text), flush=True)


def progress(text):
    print(printable(text), file=sys.stderr, flush=True)


# --- small readers -------------------------------------------------------------------------------


def read_small(path, bytes_max):
    try:
        with open(path, "rb") as file:
            data = file.read(bytes_max + 1)
    except FileNotFoundError:
        raise Refused(f"{path} is missing") from None
    except OSError as error:
        raise Refused(f"{path}: {error.strerror}") from None
    if len(data) > bytes_max:
        raise Refused(f"{path} is larger than {bytes_max} bytes; the format does not allow that")
    return data


def no_twins(pairs):
    names = [name for name, _ in pairs]
    if len(set(names)) != len(names):
        raise ValueError("a name appears twice")
    return dict(pairs)


def parse_json(data, what):
    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=no_twins)
    except (ValueError, RecursionError) as error:
        raise Refused(f"{what} is not the JSON it should be: {error}") from None
    if not isinstance(value, dict):
        raise Refused(f"{what} is not a JSON object")
    return value


def field(record, name, kind, what):
    value = record.get(name)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise Refused(f"{what}: field {name!r} is missing or of the wrong kind")
    return value


def natural(value, what):
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 63:
        raise Refused(f"{what}: {value!r} is not a size or position")
    return value


def digest_of(value, what):
    if not isinstance(value, str) or not DIGEST.match(value):
        raise Refused(f"{what}: {value!r} is not a SHA-256 digest")
    return value


def check_format(record, what):
    number = field(record, "format", int, what)
    if number != FORMAT:
        raise Refused(f"{what} is of format {number}, this program reads format {FORMAT}; "
                      "take the read_vault.py that belongs to that format")


def sha256_of(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while True:
            chunk = file.read(CHUNK)
            if not chunk:
                return digest.hexdigest()
            digest.update(chunk)


def check_object(path, expected, bytes_max):
    """Compares a stored object with the size and digest that the head names."""
    try:
        size = os.stat(path).st_size
    except FileNotFoundError:
        raise Refused(f"{path} is missing") from None
    if size > bytes_max:
        raise Refused(f"{path} is larger than {bytes_max} bytes; the format does not allow that")
    if size != expected["bytes"]:
        raise Refused(f"{path} has {size} bytes, the head says {expected['bytes']}")
    actual = sha256_of(path)
    if actual != expected["sha256"]:
        raise Refused(f"{path} is damaged: its SHA-256 is {actual}, "
                      f"the head says {expected['sha256']}")


# --- vault.json and heads ------------------------------------------------------------------------


def read_vault_config(vault):
    path = os.path.join(vault, "vault.json")
    if not os.path.exists(path):
        raise Refused(f"{vault} is not a vault: it holds no vault.json")
    config = parse_json(read_small(path, CONFIG_BYTES_MAX), path)
    check_format(config, path)
    return field(config, "vault", str, path)


def object_refs(value, what):
    if not isinstance(value, list):
        raise Refused(f"{what}: packs is not a list")
    for ref in value:
        if not isinstance(ref, dict):
            raise Refused(f"{what}: a pack is not named by digest and size")
        digest_of(ref.get("sha256"), what)
        natural(ref.get("bytes"), what)
    return [(ref["sha256"], ref["bytes"]) for ref in value]


def read_head(path, vault_id, source, backup):
    data = read_small(path, HEAD_BYTES_MAX)
    match = HEAD_LINE.match(data)
    if not match:
        raise Refused(f"{path} is not a head")
    signed, signature = match.groups()
    head = parse_json(signed, path)
    check_format(head, path)
    for name, expected in (("vault", vault_id), ("source", source), ("backup", backup)):
        if head.get(name) != expected:
            raise Refused(f"{path} belongs elsewhere: its {name} is {head.get(name)!r}, "
                          f"not {expected!r}")
    head["sequence"] = natural(head.get("sequence"), path)
    head["raw_bytes"] = natural(head.get("raw_bytes"), path)
    if not WRITER.match(field(head, "writer", str, path)):
        raise Refused(f"{path}: {head['writer']!r} is not a writer")
    for name in ("taken_at", "reason"):
        field(head, name, str, path)
    manifest = field(head, "manifest", dict, path)
    digest_of(manifest.get("sha256"), path)
    natural(manifest.get("bytes"), path)
    head["packs"] = object_refs(head.get("packs"), path)
    head["_path"] = path
    head["_context"] = HEAD_CONTEXT
    head["_sha256"] = hashlib.sha256(data).hexdigest()
    head["_signed"] = signed
    head["_signature"] = bytes.fromhex(signature.decode("ascii"))
    return head


def read_prune(path, vault_id, source, name):
    """A prune record: what it says of heads that are missing."""
    match = PRUNE_LINE.match(read_small(path, HEAD_BYTES_MAX))
    if not match:
        raise Refused(f"{path} is not a prune record")
    signed, signature = match.groups()
    record = parse_json(signed, path)
    check_format(record, path)
    for part, expected in (("vault", vault_id), ("source", source), ("record", name)):
        if record.get(part) != expected:
            raise Refused(f"{path} belongs elsewhere: its {part} is {record.get(part)!r}, "
                          f"not {expected!r}")
    if not WRITER.match(field(record, "writer", str, path)):
        raise Refused(f"{path}: {record['writer']!r} is not a writer")
    for hole in field(record, "holes", list, path):
        if not isinstance(hole, dict):
            raise Refused(f"{path}: a hole is not an object")
        natural(hole.get("first"), path)
        natural(hole.get("last"), path)
        digest_of(hole.get("sha256"), path)
    record["_path"] = path
    record["_context"] = PRUNE_CONTEXT
    record["_signed"] = signed
    record["_signature"] = bytes.fromhex(signature.decode("ascii"))
    return record


def read_holes(vault, vault_id, source, writers):
    """Which heads of a source were pruned, and the records that cannot be believed."""
    folder = os.path.join(vault, source, "prunes")
    holes, problems = [], []
    for file in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
        name, dot, rest = file.partition(".")
        if rest != "json" or not ULID.match(name):
            continue
        try:
            record = read_prune(os.path.join(folder, file), vault_id, source, name)
            problem = why_not_trusted(record, writers)
        except Refused as refused:
            problem = str(refused)
        if problem:
            problems.append(f"{problem}; it explains no missing head")
        else:
            holes += record["holes"]
    return holes, problems


def was_pruned(holes, sequence, digest):
    """Whether the head with that number and digest was pruned; in the midst of a hole every one was."""
    return any(hole["first"] <= sequence
               and (sequence < hole["last"]
                    or (sequence == hole["last"] and digest == hole["sha256"]))
               for hole in holes)


def read_heads(vault, vault_id, source, writers=()):
    """The heads of a source by sequence, what is wrong with their chain, and what is no head."""
    folder = os.path.join(vault, source, "snapshots")
    heads, problems, unreadable = [], [], []
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        raise Refused(f"{vault} has no source {source!r}; it has: "
                      f"{', '.join(list_sources(vault)) or 'none'}") from None
    for name in names:
        backup, dot, rest = name.partition(".")
        if rest != "head.json" or not ULID.match(backup):
            continue
        try:
            heads.append(read_head(os.path.join(folder, name), vault_id, source, backup))
        except Refused as problem:
            unreadable.append((backup, str(problem)))
    heads.sort(key=lambda head: (head["sequence"], head["backup"]))
    by_digest = {head["_sha256"] for head in heads}
    holes, unbelieved = read_holes(vault, vault_id, source, writers)
    problems += unbelieved
    sequences = set()
    for head in heads:
        if head["sequence"] in sequences:
            problems.append(f"{head['_path']}: another head has its sequence {head['sequence']}")
        sequences.add(head["sequence"])
        previous = head.get("previous")
        if previous is not None and previous not in by_digest \
                and not was_pruned(holes, head["sequence"] - 1, previous):
            problems.append(f"{head['_path']}: the head before it is not here, and no prune record "
                            "explains it (removed or changed)")
    return heads, problems, unreadable


def list_sources(vault):
    with os.scandir(vault) as entries:
        return sorted(entry.name for entry in entries
                      if SOURCE.match(entry.name)
                      and os.path.isdir(os.path.join(entry.path, "snapshots")))


def signature_holds(head):
    """Ed25519 with the openssl tool, over the exact bytes of the head."""
    key = ED25519_DER + bytes.fromhex(head["writer"][len("ed25519:"):])
    with tempfile.TemporaryDirectory(prefix="read_vault-") as folder:
        parts = {"key": key, "message": head["_context"] + head["_signed"],
                 "signature": head["_signature"]}
        for name, data in parts.items():
            with open(os.path.join(folder, name), "wb") as file:
                file.write(data)
        answer = subprocess.run(
            ["openssl", "pkeyutl", "-verify", "-pubin", "-keyform", "DER", "-inkey", "key",
             "-rawin", "-in", "message", "-sigfile", "signature"],
            cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    text = (answer.stdout + answer.stderr).decode("utf-8", "replace")
    if answer.returncode == 0 and "Signature Verified Successfully" in text:
        return True
    if "Signature Verification Failure" in text:
        return False
    raise Refused(f"openssl could not check the signature of {head['_path']}: {text.strip()}; "
                  "openssl 1.1.1 or newer is needed")


def why_not_trusted(head, writers):
    """None if the head is signed by one of the trusted writers, or if none were named."""
    if not writers:
        return None
    if head["writer"] not in writers:
        return f"{head['_path']} is signed by {head['writer']}, whom you did not name with --writer"
    if not signature_holds(head):
        return f"{head['_path']} is forged: its signature is not that of {head['writer']}"
    return None


def choose_head(heads, unreadable, wanted, writers, source):
    """The snapshot to restore. Never an older one because the newest cannot be believed."""
    if wanted is not None:
        found = [head for head in heads if head["backup"].startswith(wanted)]
        bad = [problem for backup, problem in unreadable if backup.startswith(wanted)]
        if bad:
            raise Refused(bad[0])
        if len(found) != 1:
            raise Refused(f"{'no' if not found else 'more than one'} snapshot of {source} "
                          f"begins with {wanted}; see --list")
        problem = why_not_trusted(found[0], writers)
        if problem:
            raise Refused(problem)
        return found[0]
    if not heads and not unreadable:
        raise Refused(f"{source} has no snapshot")
    another = "; restore another one by naming it with --snapshot, see --list"
    # A safety backup is what a restore was about to overwrite; it is restored only by its id.
    usual = [head for head in heads if head["reason"] != "safety"] or heads
    newest = usual[-1] if usual else None
    for backup, problem in unreadable:
        if newest is None or backup > newest["backup"]:
            raise Refused(problem + another)
    if sum(head["sequence"] == newest["sequence"] for head in heads) > 1:
        raise Refused(f"more than one head of {source} says that it is the newest{another}")
    problem = why_not_trusted(newest, writers)
    if problem:
        raise Refused(problem + another)
    return newest


# --- age and zstd --------------------------------------------------------------------------------


def read_bundles(vault, source):
    """Further headers (docs/format.md) by the digest of the object: how a recipient that was added
    later opens what was there before. What is not one is as good as absent."""
    folder, found = os.path.join(vault, source, "headers"), {}
    names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    for name in names:
        if not name.endswith(".jsonl"):
            continue
        lines = read_small(os.path.join(folder, name), BUNDLE_BYTES_MAX).split(b"\n")
        with contextlib.suppress(ValueError, KeyError, TypeError):
            records = [json.loads(line) for line in lines if line]
            if records[0]["format"] != 1 or records[-1]["end"]["objects"] != len(records) - 2:
                continue
            for record in records[1:-1]:
                header = base64.b64decode(record["header"], validate=True)
                skip = natural(record["header_bytes"], name)
                found.setdefault(record["sha256"], []).append((header, skip))
    return found


class Opener:
    """Opens sealed objects with the age tool, always with the same identity."""

    def __init__(self, identity, bundles, folder):
        self.path, self.text = identity, None
        self.bundles, self.folder = bundles, folder
        start = read_small(identity, 16 * MIB)[:64]
        if start.startswith((b"age-encryption.org/v1", b"-----BEGIN AGE ENCRYPTED FILE")):
            # age asks for the passphrase on the terminal, once; the identity stays in memory.
            answer = subprocess.run(["age", "-d", "--", identity], stdin=subprocess.DEVNULL,
                                    stdout=subprocess.PIPE, check=False)
            if answer.returncode != 0:
                raise Refused(f"{identity}: age could not open the protected identity (see above)")
            self.path, self.text = "-", answer.stdout

    def start(self, sealed, out, errors=None):
        child = subprocess.Popen(["age", "-d", "-i", self.path, "--", sealed], stdout=out,
                                 stderr=errors,
                                 stdin=subprocess.DEVNULL if self.text is None else subprocess.PIPE)
        if self.text is not None:
            with contextlib.suppress(BrokenPipeError):
                child.stdin.write(self.text)
                child.stdin.close()
        return child

    def opens(self, sealed):
        """Whether age opens the object; no more than its beginning is read."""
        child = self.start(sealed, subprocess.PIPE, subprocess.DEVNULL)
        opened = child.stdout.read(1) != b""
        stop(child)
        return opened

    def readable(self, sealed, sha256):
        """The object, or a copy of it with the further header that the identity opens."""
        further = self.bundles.get(sha256, [])
        if not further or self.opens(sealed):
            return sealed
        spliced = os.path.join(self.folder, "spliced.age")
        for header, skip in further:
            with open(spliced, "wb") as out, open(sealed, "rb") as rest:
                out.write(header)
                rest.seek(skip)
                shutil.copyfileobj(rest, out, CHUNK)
            if self.opens(spliced):
                return spliced
        return sealed

    def failed(self, sealed):
        return Refused(f"{sealed}: age could not open it (see above); its digest is right, "
                       "so most likely the identity is not one that it was sealed to")


def stop(child):
    child.kill()
    child.wait()
    if child.stdout:
        child.stdout.close()


@contextlib.contextmanager
def unpacked(opener, sealed):
    """The lines' file of a sealed, compressed object; both tools must end well."""
    age = opener.start(sealed, subprocess.PIPE)
    zstd = subprocess.Popen(["zstd", "-dcq", MANIFEST_WINDOW], stdin=age.stdout,
                            stdout=subprocess.PIPE)
    age.stdout.close()
    try:
        yield zstd.stdout
        if zstd.stdout.read(1):
            raise Refused(f"{sealed} goes on after its end")
        zstd_code, age_code = zstd.wait(), age.wait()
    except Refused:
        # Cut short because age failed? Then that is the better explanation.
        if not zstd.stdout.read(1) and age.wait() != 0:
            raise opener.failed(sealed) from None
        raise
    finally:
        stop(zstd)
        stop(age)
    if age_code != 0:
        raise opener.failed(sealed)
    if zstd_code != 0:
        raise Refused(f"{sealed}: zstd could not decompress it (see above)")


# --- the manifest --------------------------------------------------------------------------------


class ExtentSpool:
    """Extents grouped by pack; kept in a temporary file when there are many."""

    WIDTH = 5  # file number, file offset, length, frame, frame offset

    def __init__(self, folder, packs):
        self.file = tempfile.TemporaryFile(dir=folder)
        self.buffers = [array.array("Q") for _ in range(packs)]
        self.places = [[] for _ in range(packs)]
        self.buffered = 0

    def add(self, pack, record):
        self.buffers[pack].extend(record)
        self.buffered += 1
        if self.buffered >= EXTENTS_BUFFERED_MAX:
            self.flush()

    def flush(self):
        for pack, buffer in enumerate(self.buffers):
            if buffer:
                self.places[pack].append((self.file.seek(0, os.SEEK_END), len(buffer)))
                buffer.tofile(self.file)
                self.buffers[pack] = array.array("Q")
        self.buffered = 0

    def of(self, pack):
        """The extents of one pack as tuples, in the order of its frames."""
        numbers = array.array("Q")
        for position, count in self.places[pack]:
            self.file.seek(position)
            numbers.fromfile(self.file, count)
        numbers.extend(self.buffers[pack])
        records = [tuple(numbers[at:at + self.WIDTH])
                   for at in range(0, len(numbers), self.WIDTH)]
        records.sort(key=lambda record: record[3:])
        return records


def check_path(path, what):
    unsafe = (len(path.encode("utf-8", "surrogatepass")) > 1024 or "\\" in path
              or any(part in ("", ".", "..") for part in path.split("/"))
              or any(ord(char) < 32 or 127 <= ord(char) < 160 for char in path)
              or any(0xD800 <= ord(char) < 0xE000 for char in path)
              or (os.name == "nt" and ":" in path))
    if unsafe:
        raise Refused(f"{what}: {path!r} is not a safe path; nothing was written")


def manifest_lines(stream, what):
    while True:
        line = stream.readline(LINE_BYTES_MAX + 1)
        if len(line) > LINE_BYTES_MAX:
            raise Refused(f"{what} has a line longer than {LINE_BYTES_MAX} bytes")
        if not line:
            raise Refused(f"{what} is cut off: it has no end line")
        yield parse_json(line, what)


def add_extents(extents, file, number, packs, spool, what):
    if not isinstance(extents, list) or not 1 <= len(extents) <= EXTENTS_PER_LINE_MAX:
        raise Refused(f"{what}: a line must hold 1 to {EXTENTS_PER_LINE_MAX} extents")
    for extent in extents:
        if not isinstance(extent, list) or len(extent) != 5:
            raise Refused(f"{what}: {extent!r} is not an extent")
        at, length, pack, frame, frame_offset = (natural(part, what) for part in extent)
        fits = (at == file["covered"] and length > 0 and at + length <= file["size"]
                and pack < packs and frame < FRAMES_MAX
                and frame_offset + length <= FRAME_BYTES_MAX)
        if not fits:
            raise Refused(f"{what}: {file['path']}: extent {extent} does not fit "
                          f"at {file['covered']} of {file['size']} bytes")
        file["covered"] += length
        spool.add(pack, (number, at, length, frame, frame_offset))


def read_manifest(vault, head, opener, folder):
    """Every file of the snapshot, and the extents by pack. Nothing is believed before the end line."""
    sealed = os.path.join(vault, head["source"], "snapshots", head["backup"] + ".manifest.age")
    check_object(sealed, head["manifest"], MANIFEST_BYTES_MAX)
    files, extents_seen = [], 0
    with unpacked(opener, opener.readable(sealed, head["manifest"]["sha256"])) as stream:
        lines = manifest_lines(stream, sealed)
        header = next(lines)
        check_format(header, sealed)
        for name in ("vault", "source", "backup"):
            if header.get(name) != head[name]:
                raise Refused(f"{sealed}: its {name} is not the head's")
        if object_refs(header.get("packs"), sealed) != head["packs"]:
            raise Refused(f"{sealed}: its packs are not the head's")
        spool = ExtentSpool(folder, len(head["packs"]))
        for line in lines:
            if "file" in line:
                file = field(line, "file", dict, sealed)
                file["path"] = field(file, "path", str, sealed)
                check_path(file["path"], sealed)
                if files and not files[-1]["path"].encode() < file["path"].encode():
                    raise Refused(f"{sealed}: {file['path']!r} is out of order")
                natural(file.get("size"), sealed)
                digest_of(file.get("sha256"), sealed)
                files.append({**file, "covered": 0, "lost": []})
            elif "extents" in line and files:
                add_extents(line["extents"], files[-1], len(files) - 1, len(head["packs"]),
                            spool, sealed)
                extents_seen += len(line["extents"])
            elif line == {"end": {"files": len(files), "extents": extents_seen}}:
                break
            else:
                raise Refused(f"{sealed}: a line is none that the format knows, or the counts "
                              "of its end line are wrong")
    for file in files:
        if file["covered"] != file["size"]:
            raise Refused(f"{sealed}: the extents of {file['path']} end at {file['covered']} "
                          f"of {file['size']} bytes")
    return files, spool


# --- packs ---------------------------------------------------------------------------------------


def seek_table(path, what):
    """Decoded sizes of a pack's frames, from the zstd seekable format's table at its end."""
    size = os.stat(path).st_size
    with open(path, "rb") as file:
        if size < 9:
            raise Refused(f"{what} is too short to be a pack")
        file.seek(size - 9)
        count, descriptor, magic = struct.unpack("<IBI", file.read(9))
        table_bytes = 8 * count + 9
        if magic != SEEK_FOOTER_MAGIC or descriptor != 0 or not 1 <= count <= FRAMES_MAX \
                or size < table_bytes + 8:
            raise Refused(f"{what} has no frame table at its end")
        file.seek(size - table_bytes - 8)
        if struct.unpack("<II", file.read(8)) != (SEEK_TABLE_MAGIC, table_bytes):
            raise Refused(f"{what} has no frame table at its end")
        numbers = struct.unpack(f"<{2 * count}I", file.read(8 * count))
    if sum(numbers[0::2]) != size - table_bytes - 8:
        raise Refused(f"{what}: its frame table does not add up to its size")
    if not all(1 <= frame <= FRAME_BYTES_MAX for frame in numbers[1::2]):
        raise Refused(f"{what}: a frame is empty or larger than {FRAME_BYTES_MAX} bytes")
    return numbers[1::2]


class Staging:
    """The files being written, under numbers, until their digests are known to be right."""

    def __init__(self, folder, files):
        self.folder, self.handles = folder, OrderedDict()
        for number, file in enumerate(files):
            with open(self.path(number), "xb") as handle:
                handle.truncate(file["size"])

    def path(self, number):
        return os.path.join(self.folder, f"file-{number}")

    def write(self, number, offset, data):
        handle = self.handles.pop(number, None)
        if handle is None:
            handle = open(self.path(number), "r+b", buffering=0)
            if len(self.handles) >= HANDLES_MAX:
                self.handles.popitem(last=False)[1].close()
        self.handles[number] = handle
        handle.seek(offset)
        while data:
            data = data[handle.write(data):]

    def close(self):
        while self.handles:
            handle = self.handles.popitem()[1]
            os.fsync(handle.fileno())
            handle.close()


def spread(decoded, sizes, extents, staging, what):
    """Reads frame after frame and writes each to every extent that needs it."""
    position = 0
    for frame, size in enumerate(sizes):
        data = decoded.read(size)
        if len(data) != size:
            raise Refused(f"{what}: frame {frame} does not decode to {size} bytes")
        view = memoryview(data)
        while position < len(extents) and extents[position][3] == frame:
            number, at, length, _, start = extents[position]
            if start + length > size:
                raise Refused(f"{what}: frame {frame} has {size} bytes, the manifest asks for "
                              f"{start + length}")
            staging.write(number, at, view[start:start + length])
            position += 1
    if position < len(extents):
        raise Refused(f"{what} has {len(sizes)} frames, the manifest asks for number "
                      f"{extents[position][3]}")
    if decoded.read(1):
        raise Refused(f"{what} decodes to more than its frame table says")


def restore_pack(sealed, ref, opener, extents, staging, folder):
    check_object(sealed, {"sha256": ref[0], "bytes": ref[1]}, PACK_BYTES_MAX)
    opened = os.path.join(folder, "pack")
    with open(opened, "wb") as out:
        if opener.start(opener.readable(sealed, ref[0]), out).wait() != 0:
            raise opener.failed(sealed)
    sizes = seek_table(opened, sealed)
    zstd = subprocess.Popen(["zstd", "-dcq", PACK_WINDOW, "--", opened],
                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    try:
        spread(zstd.stdout, sizes, extents, staging, sealed)
        if zstd.wait() != 0:
            raise Refused(f"{sealed}: zstd could not decompress it (see above)")
    finally:
        stop(zstd)
        os.remove(opened)


# --- the restore ---------------------------------------------------------------------------------


def pack_path(vault, head, ref):
    return os.path.join(vault, head["source"], "packs", ref[0] + ".age")


def lose(files, extents):
    for number, at, length, _, _ in extents:
        files[number]["lost"].append((at, at + length))


def write_packs(vault, head, opener, files, spool, staging, folder, keep_going):
    problems = []
    for position, ref in enumerate(head["packs"]):
        sealed = pack_path(vault, head, ref)
        progress(f"pack {position + 1} of {len(head['packs'])}")
        extents = spool.of(position)
        try:
            restore_pack(sealed, ref, opener, extents, staging, folder)
        except Refused as problem:
            if not keep_going:
                raise
            problems.append(str(problem))
            lose(files, extents)
    staging.close()
    return problems


def lost_ranges(file):
    merged = []
    for start, end in sorted(file["lost"]):
        if merged and start <= merged[-1][1]:
            merged[-1][1] = max(end, merged[-1][1])
        else:
            merged.append([start, end])
    shown = ", ".join(f"{start}-{end - 1}" for start, end in merged[:20])
    return shown + (f" and {len(merged) - 20} more ranges" if len(merged) > 20 else "")


def put_in_place(files, staging, out, keep_going):
    """Checks every file against its digest, then gives each its name."""
    problems, names = [], []
    for number, file in enumerate(files):
        actual = sha256_of(staging.path(number))
        names.append(file["path"])
        if actual != file["sha256"]:
            why = f"bytes {lost_ranges(file)} are lost" if file["lost"] else \
                f"its SHA-256 is {actual}, {file['sha256']} was backed up"
            problems.append(f"{file['path']}: {why}")
            names[-1] += ".incomplete"
    if problems and not keep_going:
        raise Refused("\n  ".join(problems) + "\nnothing was restored")
    for number, name in enumerate(names):
        target = os.path.join(out, *name.split("/"))
        os.makedirs(os.path.dirname(target), exist_ok=True)
        if os.path.lexists(target):
            raise Refused(f"{target} is there already")
        os.rename(staging.path(number), target)
        if name == files[number]["path"]:
            say(f"{files[number]['sha256']}  {name}")
    say(f"{len(files) - len(problems)} of {len(files)} files restored to {out}, "
        "each with the SHA-256 it was backed up with")
    return problems


def restore(vault, head, identity, out, keep_going):
    missing = [pack_path(vault, head, ref) for ref in head["packs"]
               if not os.path.exists(pack_path(vault, head, ref))]
    if missing and not keep_going:
        raise Refused("packs are missing:\n  " + "\n  ".join(missing) +
                      "\nwith --keep-going everything else is restored")
    with tempfile.TemporaryDirectory(prefix=".read_vault-", dir=out) as folder:
        opener = Opener(identity, read_bundles(vault, head["source"]), folder)
        files, spool = read_manifest(vault, head, opener, folder)
        staging = Staging(folder, files)
        try:
            problems = write_packs(vault, head, opener, files, spool, staging, folder, keep_going)
            problems += put_in_place(files, staging, out, keep_going)
        finally:
            for handle in staging.handles.values():
                handle.close()
            spool.file.close()
    return problems


# --- the command line ----------------------------------------------------------------------------


def show_list(vault, vault_id, only, writers):
    problems = []
    sources = [only] if only else list_sources(vault)
    if not sources:
        say("the vault holds no source")
    for source in sources:
        heads, wrong, unreadable = read_heads(vault, vault_id, source, writers)
        problems += wrong + [problem for _, problem in unreadable]
        for head in heads:
            problem = why_not_trusted(head, writers)
            problems += [problem] if problem else []
            lost = sum(not os.path.exists(pack_path(vault, head, ref)) for ref in head["packs"])
            say(f"{source}  {head['backup']}  {head['sequence']:>6}  {head['taken_at']}  "
                f"{head['raw_bytes']:>14} bytes  {head['reason']}"
                + (f"  {lost} PACKS MISSING" if lost else "") + ("  NOT TRUSTED" if problem else ""))
            problems += [f"{head['_path']}: {lost} of its packs not there"] if lost else []
    return problems


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("vault", metavar="VAULT", help="the folder that holds vault.json")
    parser.add_argument("--list", action="store_true", help="list snapshots; needs no key")
    parser.add_argument("--identity", metavar="FILE", help="an age identity file, plain or age -p")
    parser.add_argument("--source", metavar="NAME", help="the source to restore")
    parser.add_argument("--snapshot", metavar="ID",
                        help="its id or the beginning of it (default: the newest by sequence "
                             "whose reason is not `safety`)")
    parser.add_argument("--out", metavar="DIR", help="a new or empty folder to restore into")
    parser.add_argument("--writer", metavar="ed25519:HEX", action="append", default=[],
                        help="believe only heads signed by this writer; may be repeated")
    parser.add_argument("--keep-going", action="store_true",
                        help="restore what can be; damaged files end in .incomplete, "
                             "with zeros where bytes are lost")
    options = parser.parse_args()
    options.list = options.list or not options.source
    if not options.list and not (options.identity and options.out):
        parser.error("a restore needs --identity and --out")
    for writer in options.writer:
        if not WRITER.match(writer):
            parser.error(f"{writer!r} is not ed25519: and 64 hexadecimal digits")
    return options


def run(options):
    tools = [] if options.list else ["age", "zstd"]
    for tool in tools + (["openssl"] if options.writer else []):
        if not shutil.which(tool):
            raise Refused(f"the tool {tool} is missing; install it (Debian: apt install {tool})")
    vault_id = read_vault_config(options.vault)
    if not options.writer:
        progress("note: signatures are NOT checked; name the writers you trust with --writer")
    if options.list:
        return show_list(options.vault, vault_id, options.source, options.writer)
    if not SOURCE.match(options.source):
        raise Refused(f"{options.source!r} is not the name of a source")
    heads, problems, unreadable = read_heads(options.vault, vault_id, options.source,
                                             options.writer)
    for problem in problems + [problem for _, problem in unreadable]:
        progress(f"warning: {problem}")
    head = choose_head(heads, unreadable, options.snapshot, options.writer, options.source)
    progress(f"{options.source} {head['backup']}, taken at {head['taken_at']}, "
             f"written by {head['writer']}"
             + (", signature right" if options.writer else ", signature not checked"))
    os.umask(0o077)
    os.makedirs(options.out, exist_ok=True)
    if os.listdir(options.out):
        raise Refused(f"{options.out} is not empty; name a new folder")
    return restore(options.vault, head, options.identity, options.out, options.keep_going)


def main():
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")
    options = parse_arguments()
    try:
        problems = run(options)
    except Refused as problem:
        problems = [str(problem)]
    except OSError as error:
        problems = [f"{error.filename or 'input or output'}: {error.strerror or error}"]
    except KeyboardInterrupt:
        progress("interrupted; nothing was restored but the files listed above")
        return 130
    for problem in problems:
        progress(f"error: {problem}")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
