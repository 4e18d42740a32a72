"""Instances to send: made here, or read from files without touching their bytes."""
import array
import copy
import io
import random
import struct
import warnings
from dataclasses import dataclass, field
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import _read_file_meta_info, read_preamble
from pydicom.filewriter import write_dataset, write_file_meta_info
from pydicom.sequence import Sequence

from harness.wire import BIG_ENDIAN, CT, EXPLICIT, IMPLICIT

ROOT_UID = "1.2.826.0.1.3680043.10.1700"


@dataclass
class Instance:
    """A data set as bytes, and what a C-STORE needs to know about it."""
    sop_class: str
    sop_instance: str
    transfer_syntax: str
    data: bytes = field(repr=False)
    study: str = ""
    series: str = ""
    patient: str = ""
    path: Path | None = None

    @property
    def pair(self):
        return self.sop_class, self.transfer_syntax

    def write(self, path):
        """A DICOM file with these bytes."""
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = self.sop_class
        meta.MediaStorageSOPInstanceUID = self.sop_instance
        meta.TransferSyntaxUID = self.transfer_syntax
        meta.ImplementationClassUID = f"{ROOT_UID}.1"
        meta.FileMetaInformationVersion = b"\x00\x01"
        buffer = DicomBytesIO()
        write_file_meta_info(buffer, meta)
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(128) + b"DICM" + buffer.getvalue() + self.data)
        return path


def data_set_bytes(path):
    """The bytes behind the file meta group."""
    with open(path, "rb") as file:
        read_preamble(file, False)
        _read_file_meta_info(file)
        return file.read()


def read_file(path):
    """An instance with the file's own bytes. Raises what pydicom raises when the file is no DICOM file."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset = pydicom.dcmread(path, force=False)
        return Instance(
            str(dataset.SOPClassUID), str(dataset.SOPInstanceUID), str(dataset.file_meta.TransferSyntaxUID),
            data_set_bytes(path), str(dataset.get("StudyInstanceUID") or ""),
            str(dataset.get("SeriesInstanceUID") or ""), str(dataset.get("PatientID") or ""), Path(path))


def encode(dataset, transfer_syntax=EXPLICIT):
    buffer = DicomBytesIO()
    buffer.is_little_endian = transfer_syntax != BIG_ENDIAN
    buffer.is_implicit_VR = transfer_syntax == IMPLICIT
    write_dataset(buffer, _swapped(dataset) if transfer_syntax == BIG_ENDIAN else dataset)
    return buffer.getvalue()


def _swapped(dataset):
    """OW values in the other byte order (PS3.5 section 7.3), which pydicom leaves to its caller."""
    swapped = copy.deepcopy(dataset)
    if "PixelData" in swapped and swapped["PixelData"].VR == "OW":
        words = array.array("H", swapped.PixelData)
        words.byteswap()
        swapped.PixelData = words.tobytes()
        swapped["PixelData"].VR = "OW"
    return swapped


def decode(data, transfer_syntax=EXPLICIT):
    dataset = pydicom.dcmread(io.BytesIO(bytes(128) + b"DICM" + _meta(transfer_syntax) + data), force=False)
    return _swapped(dataset) if transfer_syntax == BIG_ENDIAN else dataset


def _meta(transfer_syntax):
    value = transfer_syntax.encode() + b"\0" * (len(transfer_syntax) % 2)
    one = struct.pack("<HH2sH", 2, 0x0010, b"UI", len(value)) + value
    return struct.pack("<HH2sHI", 2, 0, b"UL", 4, len(one)) + one


def instance(dataset, transfer_syntax=EXPLICIT):
    return Instance(str(dataset.SOPClassUID), str(dataset.SOPInstanceUID), transfer_syntax,
                    encode(dataset, transfer_syntax), str(dataset.get("StudyInstanceUID", "")),
                    str(dataset.get("SeriesInstanceUID", "")), str(dataset.get("PatientID", "")))


def item(**attributes):
    """A sequence item, or the beginning of any data set."""
    dataset = Dataset()
    for keyword, value in attributes.items():
        setattr(dataset, keyword, Sequence(value) if isinstance(value, list) and value
                and isinstance(value[0], Dataset) else value)
    return dataset


def ct_data_set(study=1, series=1, number=1, rows=16, seed=0, **attributes):
    """A plausible CT slice with pixels that do not compress. Attributes of None are left out."""
    # UIDs of studies, series and instances are made from small numbers, so that tests can name them.
    dataset = Dataset()
    values = dict(
        SOPClassUID=CT, SOPInstanceUID=f"{ROOT_UID}.{study}.{series}.{number}",
        StudyInstanceUID=f"{ROOT_UID}.{study}", SeriesInstanceUID=f"{ROOT_UID}.{study}.{series}",
        PatientID=f"P{study}", PatientName=f"Patient{study}^Test", PatientSex="O", PatientBirthDate="19700101",
        StudyDate="20260105", StudyTime="101500", AccessionNumber=f"A{study}", StudyID=str(study)[:16],
        ReferringPhysicianName="Referrer^One", StudyDescription=f"Study {study}", Modality="CT",
        SeriesNumber=series, SeriesDescription=f"Series {series}", InstanceNumber=number,
        InstitutionName="Hospital", SliceThickness="5", Manufacturer="Snimok tests",
        Rows=rows, Columns=rows, BitsAllocated=16, BitsStored=16, HighBit=15, PixelRepresentation=0,
        SamplesPerPixel=1, PhotometricInterpretation="MONOCHROME2",
        PixelData=random.Random(f"{seed}.{study}.{series}.{number}").randbytes(rows * rows * 2))
    for keyword, value in {**values, **attributes}.items():
        if value is not None:
            setattr(dataset, keyword, value)
    dataset["PixelData"].VR = "OW"
    return dataset


def ct(study=1, series=1, number=1, rows=16, seed=0, transfer_syntax=EXPLICIT, **attributes):
    return instance(ct_data_set(study, series, number, rows, seed, **attributes), transfer_syntax)


def ct_study(study=1, count=4, series=1, **attributes):
    return [ct(study, series, number, **attributes) for number in range(1, count + 1)]


# Data sets by hand, in Explicit VR Little Endian

LONG = {b"OB", b"OW", b"SQ", b"UN", b"UT", b"OD", b"OF", b"OL", b"OV", b"UC", b"UR", b"SV", b"UV"}


def element(group, number, vr, value, length=None):
    vr = vr.encode() if isinstance(vr, str) else vr
    value = value.encode() if isinstance(value, str) else value
    if len(value) % 2:
        value += b"\0" if vr in (b"UI", b"OB", b"UN") else b" "
    size = len(value) if length is None else length
    head = struct.pack("<HH2s", group, number, vr)
    return head + (struct.pack("<2xI", size) if vr in LONG else struct.pack("<H", size)) + value


def tiny(sop_instance, study, series, size=4096, seed=None, sop_class=CT, before=b"", after=b"", patient="TINY"):
    """A small instance made without pydicom, for load and for hostile bytes `before` or `after` the pixel data."""
    data = (element(8, 0x16, "UI", sop_class) + element(8, 0x18, "UI", sop_instance)
            + element(8, 0x20, "DA", "20260105") + element(8, 0x60, "CS", "CT") + before
            + element(0x10, 0x10, "PN", "Load^Test") + element(0x10, 0x20, "LO", patient)
            + element(0x20, 0x0D, "UI", study) + element(0x20, 0x0E, "UI", series)
            + element(0x20, 0x13, "IS", "1")
            + element(0x28, 0x10, "US", struct.pack("<H", 1)) + element(0x28, 0x11, "US", struct.pack("<H", size // 2))
            + element(0x7FE0, 0x10, "OW", random.Random(seed if seed is not None else sop_instance).randbytes(size))
            + after)
    return Instance(sop_class, sop_instance, EXPLICIT, data, study, series, patient)
