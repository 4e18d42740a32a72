"""A reader made from Storage/FORMAT.md alone gets every instance back, byte for byte, and notices damage."""
import hashlib
import random
import subprocess
import sys
from pathlib import Path

import pydicom.data
import pytest

from harness.clients import store_all
from harness.samples import ct, ct_study, data_set_bytes, read_file
from harness.tools import flip

READER = Path(__file__).with_name("read_log.py")
FILES = ["CT_small.dcm", "MR_small.dcm", "MR_small_bigendian.dcm", "rtplan.dcm", "JPEG2000.dcm", "image_dfl.dcm",
         "color3d_jpeg_baseline.dcm", "waveform_ecg.dcm", "rtdose.dcm"]


def read_log(data, out):
    return subprocess.run([sys.executable, "-I", READER, data, out], capture_output=True, text=True, timeout=120)


def meta_of(path):
    return pydicom.dcmread(path, stop_before_pixels=True, specific_tags=["SOPInstanceUID"]).file_meta


def extracted(out):
    """Syntax and data set of each extracted file, as hashes: contents may be many and large."""
    return sorted((str(meta_of(path).TransferSyntaxUID), hashlib.sha256(data_set_bytes(path)).hexdigest())
                  for path in out.iterdir())


def hashes(instances):
    return sorted((one.transfer_syntax, hashlib.sha256(one.data).hexdigest()) for one in instances)


@pytest.fixture(scope="module")
def sent():
    found = [read_file(pydicom.data.get_testdata_file(name)) for name in FILES]
    # 18 MiB: far beyond storage.largeObjectMiB.
    return found + ct_study(count=5, rows=512) + [ct(study=9, rows=3072)]


@pytest.fixture
def stored(new_archive, sent):
    """A stopped archive with everything in it, one large object included."""
    archive = new_archive(storage={"largeObjectMiB": 1, "segmentMiB": 1})
    assert set(store_all(archive, sent)) == {0}
    # The same again: sightings, which are no instances.
    assert set(store_all(archive, sent[:3])) == {0}
    archive.stop()
    assert len(list((archive.data / "large").iterdir())) >= 1
    return archive


def test_every_instance_is_read_from_the_format_alone(stored, sent, tmp_path):
    done = read_log(stored.data, tmp_path / "out")
    assert (done.returncode, done.stderr) == (0, "")
    assert extracted(tmp_path / "out") == hashes(sent)


def test_a_large_object_that_still_is_in_incoming_is_found(stored, sent, tmp_path):
    for path in (stored.data / "large").iterdir():
        path.rename(stored.data / "incoming" / path.name)
    assert read_log(stored.data, tmp_path / "out").returncode == 0
    assert extracted(tmp_path / "out") == hashes(sent)


def test_extracted_files_have_the_archives_own_head(stored, tmp_path):
    read_log(stored.data, tmp_path / "out")
    for path in (tmp_path / "out").iterdir():
        head = path.read_bytes()[:132]
        assert head == bytes(128) + b"DICM"
        assert str(meta_of(path).MediaStorageSOPInstanceUID)


def test_more_segments_than_one_are_read(stored, sent, tmp_path):
    assert len(stored.segments()) > 1
    stored.segments()[0].unlink()
    read_log(stored.data, tmp_path / "out")
    found = extracted(tmp_path / "out")
    assert found and set(found) < set(hashes(sent))


def test_damage_of_a_header_or_a_large_object_costs_one_instance_each(stored, sent, tmp_path):
    large = next((stored.data / "large").iterdir())
    flip(large, large.stat().st_size - 1000)
    flip(stored.segments()[0], 4096 + 20)
    done = read_log(stored.data, tmp_path / "out")
    assert done.returncode == 1 and large.name[:64] in done.stderr and "no record" in done.stderr
    found = extracted(tmp_path / "out")
    assert len(found) == len(sent) - 2 and set(found) < set(hashes(sent))


@pytest.mark.parametrize("number", range(6))
def test_a_flipped_bit_in_a_data_set_costs_that_instance(stored, sent, tmp_path, number):
    victim = [one for one in sent if len(one.data) < 1 << 20][number]
    for path in stored.segments():
        start = path.read_bytes().find(victim.data)
        if start >= 0:
            flip(path, start + random.Random(number).randrange(len(victim.data)))
    done = read_log(stored.data, tmp_path / "out")
    assert done.returncode == 1 and len(done.stderr.splitlines()) == 1
    assert extracted(tmp_path / "out") == hashes([one for one in sent if one is not victim])


def test_an_archive_of_the_first_format_goes_on_as_it_began(new_archive, tmp_path):
    archive = new_archive(start=False)
    archive.data.mkdir(parents=True, exist_ok=True)
    (archive.data / "format").write_text('{"format":1,"archive":"8F702065-0B0D-4F11-ABFC-1BCBCFAE6D13"}\n')
    archive.start()
    one = ct()
    assert store_all(archive, [one, one]) == [0, 0]
    assert archive.stats()["versions"] == 1
    archive.verify("--full")
    archive.stop()
    address = hashlib.blake2b(one.transfer_syntax.encode().ljust(64, b"\0") + one.data, digest_size=32).digest()
    assert address in archive.segments()[0].read_bytes()
    archive.delete_catalog()
    archive.start()
    archive.verify("--full")
    archive.stop()
    assert read_log(archive.data, tmp_path / "out").returncode == 0
    assert extracted(tmp_path / "out") == hashes([one])


def test_a_newer_format_is_refused(stored, tmp_path):
    path = stored.data / "format"
    path.write_text(path.read_text().replace('"format":2', '"format":3'))
    assert read_log(stored.data, tmp_path / "out").returncode != 0
    assert not (tmp_path / "out").exists()
