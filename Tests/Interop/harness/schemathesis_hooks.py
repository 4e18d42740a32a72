"""What schemathesis does not know of itself: which UIDs exist, and how a multipart body is written. It loads this file
(SCHEMATHESIS_HOOKS); SNIMOK_KNOWN names a file with what the archive holds."""
import itertools
import json
import os
import random
from pathlib import Path

import schemathesis

KNOWN = json.loads(Path(os.environ["SNIMOK_KNOWN"]).read_text())
BOUNDARY = "boundary-of-the-test"
choices = random.Random(KNOWN["seed"])
numbers = itertools.count(1)


@schemathesis.serializer("multipart/related", 'multipart/related; type="application/dicom"',
                         'multipart/related; type="application/dicom+json"')
def related(context, value):
    kind = "application/dicom+json" if "json" in context.case.media_type else "application/dicom"
    body = metadata(value) if "json" in kind else file(value)
    return f"--{BOUNDARY}\r\nContent-Type: {kind}\r\n\r\n".encode() + body + f"\r\n--{BOUNDARY}--\r\n".encode()


@schemathesis.serializer("application/dicom")
def single(context, value):
    return file(value)


def file(value):
    """A file that is stored already, a piece of one, or what was generated."""
    whole = Path(choices.choice(KNOWN["files"])).read_bytes()
    return choices.choice([whole, whole[:choices.randrange(len(whole))], as_bytes(value)])


def metadata(value):
    known = choices.choice(KNOWN["instances"])
    names = {"00080018": known["instance"], "0020000D": known["study"], "0020000E": known["series"]}
    whole = json.dumps([{tag: {"vr": "UI", "Value": [uid]} for tag, uid in names.items()}]).encode()
    return choices.choice([whole, whole[:choices.randrange(len(whole))], as_bytes(value)])


def as_bytes(value):
    return value if isinstance(value, bytes) else str(value).encode()


@schemathesis.hook
def before_call(context, case, kwargs):
    """Three of four requests name what is there; the others stay as they were generated."""
    if next(numbers) % 4:
        name_something(case)
    media_type = getattr(case, "media_type", None) or ""
    if case.body is not None and media_type.startswith("multipart/related"):
        case.headers = {**(case.headers or {}), "Content-Type": f"{media_type}; boundary={BOUNDARY}"}


def name_something(case):
    known = choices.choice(KNOWN["instances"])
    for place, names in ((case.path_parameters, ("study", "series", "instance")),
                         (case.query, ("studyUID", "seriesUID", "objectUID"))):
        for level, name in zip(("study", "series", "instance"), names):
            if place and isinstance(place.get(name), str):
                place[name] = known[level]
    if case.path_parameters and "frames" in case.path_parameters and choices.random() < 0.7:
        case.path_parameters["frames"] = choices.choice(["1", "1,2", "2"])
    if case.path_parameters and "path" in case.path_parameters and choices.random() < 0.7:
        case.path_parameters["path"] = choices.choice(known["bulkdata"])
