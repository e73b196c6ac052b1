"""Pacs: what an archive holds is ingested as if it were a folder, and what was segmented goes back; no name leaves it."""

import json
import secrets
import shutil
import socket
import stat
import subprocess
import time
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from ipaddress import ip_address
from pathlib import Path
from threading import Thread
from types import SimpleNamespace

import numpy as np
import pydicom
import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid
from pynetdicom import AE, evt
from pynetdicom.presentation import build_context
from pynetdicom.sop_class import (
    MRImageStorage,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelMove,
)

from support.synthetic_dicom import image, oblique, refusal, rtstruct, save, slices, texture
from xmed.cli.main import main
from xmed.cohort import ingest_cases
from xmed.deidentify.key import Secret
from xmed.errors import XmedError
from xmed.io.pacs import archive, retrieve, send
from xmed.io.pacs.archive import ArchiveSeries
from xmed.io.pacs.catalogue import find_series
from xmed.io.pacs.connect import connect
from xmed.io.pacs.dicomweb import DicomWebArchive
from xmed.io.pacs.dimse import DimseArchive, client_tls_context, server_tls_context
from xmed.io.pacs.receiving import MAX_PDU, receive_object
from xmed.labels import LabelTable, Structure
from xmed.records.model_card import ModelOrigin
from xmed.spec import DatasetSpec, PacsSpec

SHAPE = (8, 7, 6)
STUDIES = {patient: generate_uid(entropy_srcs=["study", patient]) for patient in ("ZZ-1", "ZZ-2", "ZZ-3")}
AFFINE = oblique()


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def series(patient, modality="MR", seed=0):
    """One series of a patient: what a scanner would send to an archive."""
    uid, frame = generate_uid(entropy_srcs=[patient, modality]), generate_uid(entropy_srcs=[patient])
    found = slices(texture(SHAPE, seed), AFFINE, modality)
    for number, ds in enumerate(found):
        ds.PatientID, ds.PatientName, ds.StudyInstanceUID = patient, f"Zz^{patient}", STUDIES[patient]
        ds.SeriesInstanceUID, ds.FrameOfReferenceUID, ds.StudyDescription = uid, frame, "Pelvis"
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[uid, str(number)])
        ds.SeriesDescription = f"{modality} axial"
    return found


def contours(of):
    """A structure set that outlines a square on every slice of a series."""
    corners = np.array([[1.5, 1.5], [5.5, 1.5], [5.5, 4.5], [1.5, 4.5]])
    flat = [np.column_stack([corners, np.full(4, k), np.ones(4)]) @ AFFINE[:3].T for k in range(SHAPE[2])]
    ds = rtstruct({"organ": flat}, frame=of[0].FrameOfReferenceUID)
    ds.PatientID, ds.PatientName, ds.StudyInstanceUID = of[0].PatientID, of[0].PatientName, of[0].StudyInstanceUID
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[of[0].SOPInstanceUID])
    ds.SeriesInstanceUID = generate_uid(entropy_srcs=[of[0].SeriesInstanceUID, "contours"])
    within, study, outer = Dataset(), Dataset(), Dataset()
    within.SeriesInstanceUID = of[0].SeriesInstanceUID
    study.RTReferencedSeriesSequence, outer.RTReferencedStudySequence = [within], [study]
    ds.ReferencedFrameOfReferenceSequence = [outer]
    return ds


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory):
    """A real archive on loopback with two patients: an MR and a CT series and contours of the MR each."""
    program = shutil.which("Orthanc") or shutil.which("Orthanc", path="/usr/sbin")
    plugin = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
    if not program or not plugin.exists():
        pytest.skip("Orthanc is not installed (Debian: orthanc, orthanc-dicomweb)")
    folder = tmp_path_factory.mktemp("orthanc")
    http, dicom, back, password = free_port(), free_port(), free_port(), secrets.token_hex(8)
    setting = {
        "StorageDirectory": str(folder / "files"),
        "IndexDirectory": str(folder / "files"),
        "HttpPort": http,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": True,
        "RegisteredUsers": {"clinic": password},
        "DicomPort": dicom,
        "DicomAet": "ORTHANC",
        "DicomCheckCalledAet": True,
        "DicomAlwaysAllowStore": False,
        "DicomAlwaysAllowFind": False,
        "DicomAlwaysAllowGet": False,
        "DicomAlwaysAllowEcho": False,
        "DicomModalities": {"xmed": {"AET": "XMED", "Host": "127.0.0.1", "Port": back, "AllowGet": True}},
        "Plugins": [str(plugin)],
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
    }
    (folder / "orthanc.json").write_text(json.dumps(setting))
    with (folder / "log").open("w") as log:
        process = subprocess.Popen([program, str(folder / "orthanc.json")], stdout=log, stderr=log)
    base, login = f"http://127.0.0.1:{http}", ("clinic", password)
    try:
        _until_up(base, login, process, folder / "log")
        for seed, patient in enumerate(("ZZ-1", "ZZ-2")):
            mr = series(patient, "MR", seed)
            upload(base, login, [*mr, *series(patient, "CT", seed + 10), contours(mr)])
        dimse = f"dimse://XMED@127.0.0.1:{dicom}/ORTHANC"
        yield SimpleNamespace(base=base, login=login, web=f"{base}/dicom-web", dimse=dimse, back=back)
    finally:
        process.terminate()
        process.wait(30)


def _until_up(base, login, process, log):
    for _ in range(300):
        try:
            if requests.get(f"{base}/system", auth=login, timeout=1).ok:
                return
        except requests.ConnectionError:
            assert process.poll() is None, log.read_text()
        time.sleep(0.1)
    raise AssertionError(log.read_text())


def upload(base, login, datasets):
    for ds in datasets:
        file = pydicom.filebase.DicomBytesIO()
        pydicom.dcmwrite(file, ds, enforce_file_format=True)
        requests.post(f"{base}/instances", data=file.getvalue(), auth=login, timeout=30).raise_for_status()


def forget(base, login, patient):
    for found in requests.post(
        f"{base}/tools/find", json={"Level": "Patient", "Query": {"PatientID": patient}}, auth=login, timeout=30
    ).json():
        requests.delete(f"{base}/patients/{found}", auth=login, timeout=30).raise_for_status()


@pytest.fixture
def login(orthanc, monkeypatch):
    monkeypatch.setenv("XMED_PACS_USER", orthanc.login[0])
    monkeypatch.setenv("XMED_PACS_PASSWORD", orthanc.login[1])


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(archive, "WAIT_SECONDS", 0.01)


WAYS = ["web", "get", "move"]


def asked(orthanc, way, query=None, labels=None):
    server = orthanc.web if way == "web" else orthanc.dimse
    return PacsSpec(
        server=server,
        listen=orthanc.back if way == "move" else None,
        query=query or {"Modality": "MR", "StudyDescription": "Pel*"},
        labels=labels,
    )


def named(home):
    return Secret.find(home)[0].name


def dataset(pacs, root):
    labelled = {"label": "label/{patient}/{case}"} if pacs.labels else {}
    return DatasetSpec.model_validate(
        {
            "name": "archive",
            "modality": "MR",
            "root": str(root),
            "pacs": pacs,
            "layout": {"image": "image/{patient}/{case}", **labelled},
            "labels": {1: {"name": "organ"}},
            "splits": {"fraction": {"train": 0.5, "test": 0.5}},
        }
    )


def names(root):
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*.dcm"))


@pytest.mark.services
@pytest.mark.parametrize("way", WAYS)
def test_what_a_query_names_comes_over_every_protocol_and_becomes_a_cohort(orthanc, login, home, tmp_path, way):
    pacs = asked(orthanc, way, labels={"Modality": "RTSTRUCT"})
    found = ingest_cases(dataset(pacs, tmp_path / "cache"), home)
    assert len(found.cases) == 2
    assert not found.quarantined
    arrays = sorted((found.image(case).array for case in found.cases), key=lambda array: array.flat[0])
    expected = sorted((texture(SHAPE, seed).astype(np.float32) for seed in (0, 1)), key=lambda array: array.flat[0])
    np.testing.assert_array_equal(arrays, expected)
    assert all(found.label(case).array.sum() == 4 * 3 * SHAPE[2] for case in found.cases)


@pytest.mark.services
def test_every_protocol_brings_the_same_files_under_the_same_names(orthanc, login, home, tmp_path):
    for way in WAYS:
        retrieve(asked(orthanc, way), tmp_path / way, named(home))
    assert names(tmp_path / "web") == names(tmp_path / "get") == names(tmp_path / "move")
    assert len(names(tmp_path / "web")) == 2 * SHAPE[2]
    for name in names(tmp_path / "web"):
        pixels = [pydicom.dcmread(tmp_path / way / name).PixelData for way in WAYS]
        assert pixels[0] == pixels[1] == pixels[2]


@pytest.mark.services
@pytest.mark.parametrize("way", WAYS)
def test_a_second_time_nothing_is_fetched(orthanc, login, home, tmp_path, way, monkeypatch):
    retrieve(asked(orthanc, way), tmp_path, named(home))
    before = {name: (tmp_path / name).stat().st_mtime_ns for name in names(tmp_path)}

    def never(*_):
        raise AssertionError("fetched again")

    monkeypatch.setattr(DicomWebArchive, "fetch", never)
    monkeypatch.setattr(DimseArchive, "fetch", never)
    retrieve(asked(orthanc, way), tmp_path, named(home))
    assert {name: (tmp_path / name).stat().st_mtime_ns for name in names(tmp_path)} == before


@pytest.mark.services
@pytest.mark.parametrize("way", WAYS)
def test_after_an_interruption_only_the_rest_comes(orthanc, login, home, tmp_path, way, monkeypatch):
    retrieve(asked(orthanc, way), tmp_path, named(home))
    whole = {name: (tmp_path / name).read_bytes() for name in names(tmp_path)}
    lost = names(tmp_path)[2:5]
    for name in lost:
        (tmp_path / name).unlink()
    fetched = []
    fetching = type(connect(asked(orthanc, way).server)).fetch
    monkeypatch.setattr(
        type(connect(asked(orthanc, way).server)),
        "fetch",
        lambda self, one, objects, keep: (fetched.extend(objects), fetching(self, one, objects, keep)),
    )
    retrieve(asked(orthanc, way), tmp_path, named(home))
    assert len(fetched) == len(lost)
    assert {name: (tmp_path / name).read_bytes() for name in names(tmp_path)} == whole


@pytest.mark.services
def test_an_unfinished_series_is_refused_never_taken_for_a_shorter_one(orthanc, login, home, tmp_path, monkeypatch):
    spec = dataset(asked(orthanc, "web"), tmp_path)
    fetching = DicomWebArchive.fetch
    lost = []

    def all_but_one(self, one, objects, keep):
        lost[:] = lost or [sorted(objects)[-1]]
        fetching(self, one, [uid for uid in objects if uid not in lost], keep)

    monkeypatch.setattr(DicomWebArchive, "fetch", all_but_one)
    found = ingest_cases(spec, home)
    assert [refusal.code for refusal in found.quarantined] == ["EMPTY_FILE"]
    assert len(found.cases) == 1
    monkeypatch.undo()
    monkeypatch.setenv("XMED_PACS_USER", orthanc.login[0])
    monkeypatch.setenv("XMED_PACS_PASSWORD", orthanc.login[1])
    assert len(ingest_cases(spec, home).cases) == 2


@pytest.mark.services
def test_what_is_new_in_the_archive_comes_and_what_was_withdrawn_goes(orthanc, login, home, tmp_path):
    spec = dataset(asked(orthanc, "web"), tmp_path)
    before = ingest_cases(spec, home).fingerprint
    upload(orthanc.base, orthanc.login, series("ZZ-3", seed=3))
    try:
        assert len(ingest_cases(spec, home).cases) == 3
    finally:
        forget(orthanc.base, orthanc.login, "ZZ-3")
    again = ingest_cases(spec, home)
    assert again.fingerprint == before
    assert len(names(tmp_path)) == 2 * SHAPE[2]


@pytest.mark.services
@pytest.mark.parametrize("way", ["web", "get"])
@pytest.mark.parametrize(
    ("query", "count"),
    [
        ({"PatientID": "ZZ-2"}, 3),
        ({"PatientID": ["ZZ-1", "ZZ-2"], "Modality": "CT"}, 2),
        ({"Modality": ["MR", "CT"], "SeriesDescription": "* axial"}, 4),
        ({"StudyDate": "20231231-20240102", "Modality": "MR"}, 2),
        ({"StudyDate": "20250101-", "Modality": "MR"}, 0),
        ({"PatientName": "Zz^*", "Modality": "CT"}, 2),
        ({"PatientID": "nobody"}, 0),
    ],
)
def test_a_query_names_these_series_and_no_others(orthanc, login, way, query, count):
    assert len(find_series(connect(asked(orthanc, way).server), query)) == count


@pytest.mark.services
def test_a_query_that_names_nothing_says_so_and_removes_nothing(orthanc, login, home, tmp_path):
    retrieve(asked(orthanc, "web"), tmp_path, named(home))
    with refusal("NO_CASES", "no series"):
        retrieve(asked(orthanc, "web", {"PatientID": "nobody"}), tmp_path, named(home))
    assert len(names(tmp_path)) == 2 * SHAPE[2]


@pytest.mark.services
def test_no_name_of_a_person_becomes_part_of_a_path_a_manifest_or_a_message(orthanc, login, home, tmp_path):
    spec = dataset(asked(orthanc, "web", {"PatientID": ["ZZ-1", "ZZ-2"], "Modality": "MR"}), tmp_path / "cache")
    found = ingest_cases(spec, home)
    paths = [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")]
    written = [path.read_bytes() for path in home.rglob("*") if path.is_file()]
    manifest = json.dumps([found.spec.model_dump(mode="json"), [repr(case) for case in found.cases]])
    for secret_text in ("ZZ-1", "ZZ-2", *STUDIES.values(), orthanc.login[1]):
        assert not any(secret_text in path for path in paths)
        assert not any(secret_text.encode() in blob for blob in written)
        assert secret_text not in manifest
    assert stat.S_IMODE((tmp_path / "cache" / names(tmp_path / "cache")[0]).stat().st_mode) == 0o600


@pytest.mark.services
def test_another_key_gives_other_names(orthanc, login, tmp_path):
    retrieve(asked(orthanc, "web"), tmp_path / "a", Secret.of("a" * 32, "a").name)
    retrieve(asked(orthanc, "web"), tmp_path / "b", Secret.of("b" * 32, "b").name)
    assert not set(names(tmp_path / "a")) & set(names(tmp_path / "b"))


@pytest.mark.services
@pytest.mark.parametrize("way", ["web", "get"])
def test_an_object_that_is_sent_is_in_the_archive_once(orthanc, login, tmp_path, way):
    ds = contours(series("ZZ-1"))
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    path = save([ds], tmp_path) / "000.dcm"
    for _ in range(2):
        assert send(path, asked(orthanc, way).server).startswith("stored")
    found = requests.post(
        f"{orthanc.base}/tools/find",
        json={"Level": "Instance", "Query": {"SOPInstanceUID": ds.SOPInstanceUID}},
        auth=orthanc.login,
        timeout=30,
    ).json()
    assert len(found) == 1
    requests.delete(f"{orthanc.base}/instances/{found[0]}", auth=orthanc.login, timeout=30)


@pytest.mark.services
def test_an_object_that_belongs_to_no_study_is_refused_with_the_reason(orthanc, login, tmp_path):
    ds = image(texture((8, 7)), MRImageStorage, "MR")
    del ds.StudyInstanceUID, ds.SeriesInstanceUID
    path = save([ds], tmp_path) / "000.dcm"
    with refusal("PACS_REFUSED"):
        send(path, orthanc.web)


@pytest.mark.services
def test_a_wrong_password_is_refused_at_once_and_shown_to_nobody(orthanc, monkeypatch):
    monkeypatch.setenv("XMED_PACS_USER", "clinic")
    monkeypatch.setenv("XMED_PACS_PASSWORD", "zz-wrong")
    with pytest.raises(XmedError) as problem:
        find_series(connect(orthanc.web), {"PatientID": "ZZ-1"})
    assert problem.value.code == "PACS_REFUSED"
    assert "401" in str(problem.value)
    assert "zz-wrong" not in str(problem.value)
    assert "ZZ-1" not in str(problem.value)


@pytest.mark.services
def test_a_password_may_stand_in_netrc(orthanc, tmp_path, monkeypatch):
    monkeypatch.delenv("XMED_PACS_USER", raising=False)
    file = tmp_path / "netrc"
    file.write_text(f"machine 127.0.0.1 login {orthanc.login[0]} password {orthanc.login[1]}\n")
    file.chmod(0o600)
    monkeypatch.setenv("NETRC", str(file))
    assert len(find_series(connect(orthanc.web), {"Modality": "MR"})) == 2


@pytest.mark.services
def test_a_title_that_the_archive_does_not_know_is_refused(orthanc):
    stranger = orthanc.dimse.replace("/ORTHANC", "/ELSEWHERE")
    with refusal("PACS_REFUSED", "rejects XMED"):
        find_series(connect(stranger), {"Modality": "MR"})


@pytest.mark.parametrize("scheme", ["http://127.0.0.1:{}/dicom-web", "dimse://XMED@127.0.0.1:{}/PACS"])
def test_an_archive_that_is_not_there_is_named(scheme):
    with refusal("PACS_UNREACHABLE", "127.0.0.1"):
        find_series(connect(scheme.format(free_port())), {"PatientID": "ZZ-1"})


class Answering:
    """A web server that gives the answers it was told to, one after the other, and the last one for ever."""

    def __init__(self, *answers):
        self.answers, self.requests = list(answers), []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                outer.requests.append(self.headers)
                status, kind, body = outer.answers.pop(0) if len(outer.answers) > 1 else outer.answers[0]
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def __enter__(self):
        Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


JSON = "application/dicom+json"


def test_a_busy_archive_is_asked_again():
    with Answering((503, "text/plain", b""), (429, "text/plain", b""), (200, JSON, b"[]")) as server:
        assert find_series(connect(server.url), {"PatientID": "ZZ-1"}) == []
        assert len(server.requests) == 3


def test_an_archive_that_stays_busy_is_given_up():
    with Answering((503, "text/plain", b"")) as server:
        with refusal("PACS_UNREACHABLE", "503"):
            find_series(connect(server.url), {"PatientID": "ZZ-1"})
        assert len(server.requests) == archive.ATTEMPTS


def test_a_refusal_is_not_argued_with():
    with Answering((403, "text/plain", b"")) as server:
        with refusal("PACS_REFUSED", "403"):
            find_series(connect(server.url), {"PatientID": "ZZ-1"})
        assert len(server.requests) == 1


@pytest.mark.parametrize(
    "body", [b"<html>", b'{"a": 1}', b'[{"0020000D": {"vr": "UI", "Value": ["../../etc"]}}]', b"[3]"]
)
def test_an_answer_that_is_no_dicomweb_is_refused(body):
    with Answering((200, JSON, body)) as server, refusal("PACS_ANSWER"):
        find_series(connect(server.url), {"Modality": "MR"})


def test_a_server_that_passes_over_offset_does_not_keep_us_for_ever():
    uid = {"0020000D": {"vr": "UI", "Value": ["1.2.3"]}}
    with Answering((200, JSON, json.dumps([uid]).encode())) as server:
        assert len(connect(server.url).find("STUDY", {}, ["StudyInstanceUID"])) == 1
        assert len(server.requests) == 2


def test_an_answer_without_end_is_cut_off(monkeypatch):
    monkeypatch.setattr("xmed.io.pacs.dicomweb.MAX_ANSWER", 1000)
    with Answering((200, JSON, b" " * 5000)) as server, refusal("SIZE_CLAIM"):
        connect(server.url).find("STUDY", {}, ["StudyInstanceUID"])


def test_a_token_is_sent_as_bearer_and_never_in_clear_to_another_machine(monkeypatch):
    monkeypatch.setenv("XMED_PACS_TOKEN", "zz-token")
    with Answering((200, JSON, b"[]")) as server:
        connect(server.url).find("STUDY", {}, ["StudyInstanceUID"])
        assert server.requests[0]["Authorization"] == "Bearer zz-token"
    with refusal("PACS_REFUSED", "password over http"):
        connect("http://archive.example/dicom-web")


@pytest.mark.parametrize(
    ("record", "kept"),
    [
        ({"PatientID": "ZZ-9"}, False),  # an archive that passes over the key
        ({"PatientID": "ZZ-1"}, True),
        ({"PatientID": ""}, True),
    ],
)
def test_an_archive_that_answers_with_more_than_was_asked_is_not_believed(record, kept):
    class Careless:
        def find(self, level, keys, wanted):
            uid = {"StudyInstanceUID": "1.2", "SeriesInstanceUID": "1.2.3", "SOPInstanceUID": "1.2.3.4"}
            return [{**dict.fromkeys(wanted, ""), **uid, **record}]

    assert bool(find_series(Careless(), {"PatientID": "ZZ-1"})) == kept


@pytest.fixture
def peer():
    """Starts DICOM servers that answer as they are told, and stops them."""
    started = []

    def start(contexts, handlers, tls=None):
        ae = AE("PACS")
        for uid in contexts:
            ae.add_supported_context(uid)
        server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers, ssl_context=tls)
        started.append(server)
        return f"dimse{'s' if tls else ''}://XMED@127.0.0.1:{server.socket.getsockname()[1]}/PACS"

    yield start
    for server in started:
        server.shutdown()


@pytest.mark.parametrize(
    ("status", "code"), [(0xA700, "PACS_REFUSED"), (0xC000, "PACS_REFUSED"), (0x0122, "PACS_REFUSED")]
)
def test_a_failure_status_is_named_by_its_number(peer, status, code):
    server = peer([StudyRootQueryRetrieveInformationModelFind], [(evt.EVT_C_FIND, lambda _: iter([(status, None)]))])
    with refusal(code, f"0x{status:04X}"):
        connect(server).find("STUDY", {"PatientID": "ZZ-1"}, ["StudyInstanceUID"])


def test_a_connection_that_breaks_off_counts_as_unreachable(peer):
    def hang_up(event):
        event.assoc.abort()
        yield 0x0000, None

    server = peer([StudyRootQueryRetrieveInformationModelFind], [(evt.EVT_C_FIND, hang_up)])
    with refusal("PACS_UNREACHABLE", "closed the connection"):
        connect(server).find("STUDY", {}, ["StudyInstanceUID"])


def test_an_archive_without_the_service_refuses(peer):
    server = peer([MRImageStorage], [])
    with refusal("PACS_REFUSED", "accepts no requested service"):
        connect(server).find("STUDY", {}, ["StudyInstanceUID"])


def certificate(path, host):
    """A key and the certificate that it signed for itself, in one file (PEM)."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now, alone = datetime.now(UTC), x509.SubjectAlternativeName([x509.IPAddress(ip_address(host))])
    built = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    built = built.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
    signed = built.add_extension(alone, False).sign(key, hashes.SHA256())
    plain = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    pem = serialization.Encoding.PEM
    path.write_bytes(key.private_bytes(pem, *plain) + signed.public_bytes(pem))
    return str(path)


@pytest.fixture
def contexts_of_theirs(tmp_path, monkeypatch):
    """An archive's TLS for being called and for calling. What it shows is what we trust, and the other way round."""
    ours, theirs = certificate(tmp_path / "ours.pem", "127.0.0.1"), certificate(tmp_path / "theirs.pem", "127.0.0.1")
    monkeypatch.setenv("XMED_PACS_CERT", theirs)
    monkeypatch.setenv("XMED_PACS_CA", ours)
    contexts = server_tls_context(), client_tls_context()
    monkeypatch.setenv("XMED_PACS_CERT", ours)
    monkeypatch.setenv("XMED_PACS_CA", theirs)
    return contexts


@pytest.fixture
def secured(peer, contexts_of_theirs):
    """An archive that answers over TLS to who shows the right certificate; ours is the right one, and so is its own."""
    tls, _ = contexts_of_theirs
    found = Dataset()
    found.StudyInstanceUID = "1.2.3"
    answer = (evt.EVT_C_FIND, lambda _: iter([(0xFF00, found), (0x0000, None)]))
    return peer([StudyRootQueryRetrieveInformationModelFind], [answer], tls)


def studies(server):
    return connect(server).find("STUDY", {}, ["StudyInstanceUID"])


def test_over_tls_each_side_sees_whom_it_talks_to(secured):
    assert studies(secured) == [{"StudyInstanceUID": "1.2.3"}]
    with refusal("PACS_UNREACHABLE"):
        studies(secured.replace("dimses:", "dimse:"))


@pytest.mark.parametrize("variable", ["XMED_PACS_CA", "XMED_PACS_CERT"])
def test_nobody_is_talked_to_whose_certificate_is_a_strangers(secured, tmp_path, monkeypatch, variable):
    monkeypatch.setenv(variable, certificate(tmp_path / "stranger.pem", "127.0.0.1"))
    with refusal("PACS_UNREACHABLE", "does each side trust"):
        studies(secured)


def test_a_certificate_is_for_one_host(peer, secured, tmp_path, monkeypatch):
    elsewhere = certificate(tmp_path / "elsewhere.pem", "127.0.0.2")
    monkeypatch.setenv("XMED_PACS_CERT", elsewhere)
    monkeypatch.setenv("XMED_PACS_CA", str(tmp_path / "ours.pem"))
    server = peer([StudyRootQueryRetrieveInformationModelFind], [], server_tls_context())
    monkeypatch.setenv("XMED_PACS_CERT", str(tmp_path / "ours.pem"))
    monkeypatch.setenv("XMED_PACS_CA", elsewhere)
    with refusal("PACS_UNREACHABLE"):
        studies(server)


@pytest.mark.parametrize("over_tls", [True, False])
def test_what_is_moved_comes_over_tls_or_not_at_all(peer, contexts_of_theirs, over_tls):
    called, calling = contexts_of_theirs
    port, moved, kept = free_port(), series("ZZ-1")[:2], {}
    secure = {"tls_args": (calling, "127.0.0.1")} if over_tls else {}

    def deliver(event):
        yield "127.0.0.1", port, {"contexts": [build_context(MRImageStorage)], **secure}
        yield len(moved)
        yield from ((0xFF00, ds) for ds in moved)

    url = peer([StudyRootQueryRetrieveInformationModelMove], [(evt.EVT_C_MOVE, deliver)], called)
    wanted = {str(ds.SOPInstanceUID): MRImageStorage for ds in moved}
    asked = (
        ArchiveSeries("ZZ-1", moved[0].StudyInstanceUID, moved[0].SeriesInstanceUID, wanted),
        list(wanted),
        kept.__setitem__,
    )
    if over_tls:
        DimseArchive(url, port).fetch(*asked)
        assert {
            uid: str(pydicom.dcmread(BytesIO(data), force=True).PatientName) for uid, data in kept.items()
        } == dict.fromkeys(wanted, "Zz^ZZ-1")
    else:
        with refusal("PACS_REFUSED", "C-MOVE"):
            DimseArchive(url, port).fetch(*asked)
        assert kept == {}


def test_a_certificate_that_is_none_and_one_that_is_missing_are_named(monkeypatch, tmp_path):
    monkeypatch.setenv("XMED_PACS_CA", str(tmp_path / "nowhere.pem"))
    with refusal("PACS_REFUSED", "XMED_PACS_CA"):
        studies("dimses://XMED@127.0.0.1:104/PACS")
    monkeypatch.delenv("XMED_PACS_CERT", raising=False)
    with refusal("PACS_REFUSED", "XMED_PACS_CERT is not set"):
        server_tls_context()


def test_a_pdu_that_claims_more_than_was_agreed_ends_the_connection():
    """The peer answers the association request with the header of a PDU of 4 GiB, and then with bytes without end."""
    listener = socket.create_server(("127.0.0.1", 0))
    sent = []

    def answer():
        connection, _ = listener.accept()
        connection.recv(1 << 16)
        connection.sendall(b"\x02\x00\xff\xff\xff\xff")
        try:
            while sum(sent) < 64 << 20:
                sent.append(connection.send(bytes(1 << 16)))
        except OSError:
            pass

    thread = Thread(target=answer, daemon=True)
    thread.start()
    with refusal("PACS_UNREACHABLE"):
        connect(f"dimse://XMED@127.0.0.1:{listener.getsockname()[1]}/PACS").find("STUDY", {}, ["StudyInstanceUID"])
    thread.join(30)
    listener.close()
    assert sum(sent) < 64 << 20
    assert MAX_PDU < 1 << 20


def test_a_title_that_is_asked_for_one_object_cannot_leave_another(peer, tmp_path):
    kept = []
    request = SimpleNamespace(AffectedSOPInstanceUID="../../etc/passwd")
    event = SimpleNamespace(request=request, assoc=SimpleNamespace(dul=SimpleNamespace(socket=SimpleNamespace())))
    assert receive_object(event, lambda *found: kept.append(found), frozenset({"1.2.3"})) == 0x0117
    assert kept == []


@pytest.mark.parametrize(
    "server",
    [
        "https://clinic:secret@host/dicom-web",
        "dimse://XMED:secret@host:104/PACS",
        "ftp://host",
        "dimse://host:104/PACS",
        "dimse://XMED@host/PACS",
        "dimse://XMED@host:104/A-TITLE-THAT-IS-TOO-LONG",
        "https://host/dicom-web?token=secret",
        "https://host:port/",
        "orthanc",
    ],
)
def test_an_address_with_a_password_or_without_what_is_needed_is_refused(server):
    with pytest.raises(ValueError, match="server") as problem:
        PacsSpec(server=server, query={"Modality": "MR"})
    assert "token=secret" not in str(problem.value).split("[type=")[0]
    with refusal("SPEC_INVALID"):
        connect(server)


@pytest.fixture
def trained(monkeypatch):
    """A model that calls a block of every image the organ."""
    table = LabelTable((Structure(1, "organ", "91723000", "41216001"),))

    def predict(_, image):
        mask = np.zeros(image.array.shape, np.uint8)
        mask[2:6, 2:5, 1:4] = 1
        return image.with_array(mask)

    known = SimpleNamespace(modality="MR", structures=table, origin=ModelOrigin(study="s"), weights_sha256="0" * 64)
    monkeypatch.setattr("xmed.app.predict_image.fetch", lambda *_: Path())
    monkeypatch.setattr("xmed.app.predict_image.Model", SimpleNamespace(load=lambda _: known))
    monkeypatch.setattr("xmed.app.predict_image.predict", predict)


@pytest.mark.services
@pytest.mark.parametrize("way", ["web", "get"])
def test_a_prediction_goes_back_to_the_archive_and_is_drawn_on_its_images(
    orthanc, login, trained, tmp_path, way, capsys, monkeypatch
):
    monkeypatch.setenv("XMED_HOME", str(tmp_path / "home"))
    original = series("ZZ-1")
    source, out, sr = save(original, tmp_path / "mr"), tmp_path / "seg.dcm", tmp_path / "sr.dcm"
    server = asked(orthanc, way).server
    given = ["predict", "model", str(source), "--out", str(out), "--format", "dicom-seg", "--sr", str(sr)]
    assert main([*given, "--send", server, "--json"]) == 0
    sent = json.loads(capsys.readouterr().out)["sent"]
    assert [one["file"] for one in sent] == [str(out), str(sr)]
    assert all(one["status"].startswith("stored") for one in sent)
    found = find_series(connect(orthanc.web), {"PatientID": "ZZ-1", "Modality": ["SEG", "SR"]})
    stored = {uid: one for one in found for uid in one.objects}
    uid = pydicom.dcmread(out).SOPInstanceUID
    back = {}
    connect(server).fetch(stored[uid], [uid], back.__setitem__)
    segmentation = pydicom.dcmread(pydicom.filebase.DicomBytesIO(back[uid]))
    assert segmentation.ReferencedSeriesSequence[0].SeriesInstanceUID == original[0].SeriesInstanceUID
    assert segmentation.StudyInstanceUID == original[0].StudyInstanceUID
    for one in found:
        for uid in one.objects:
            lookup = requests.post(f"{orthanc.base}/tools/lookup", data=uid, auth=orthanc.login, timeout=30).json()
            requests.delete(f"{orthanc.base}{lookup[0]['Path']}", auth=orthanc.login, timeout=30)


def test_what_could_not_be_sent_is_said_for_every_file_and_stays_written(trained, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("XMED_HOME", str(tmp_path / "home"))
    source, out = save(series("ZZ-1"), tmp_path / "mr"), tmp_path / "seg.dcm"
    given = ["predict", "model", str(source), "--out", str(out), "--format", "dicom-seg"]
    assert main([*given, "--send", f"http://127.0.0.1:{free_port()}/"]) == 2
    told = capsys.readouterr().err
    assert "error[PACS_UNREACHABLE]" in told
    assert str(out) in told
    assert len(told.splitlines()) == 1
    assert out.exists()


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--send", "http://127.0.0.1/"], "USAGE"),
        (["--format", "dicom-seg", "--send", "ftp://127.0.0.1/"], "SPEC_INVALID"),
        (["--format", "dicom-seg", "--send", "phantom-mr"], "SPEC_INVALID"),
        (["--format", "dicom-seg", "--send", "nothing-of-that-name"], "SPEC_NOT_FOUND"),
    ],
)
def test_where_to_send_is_checked_before_anything_is_done(arguments, code, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("XMED_HOME", str(tmp_path / "home"))
    out = tmp_path / ("seg.dcm" if "dicom-seg" in arguments else "seg.nii.gz")
    assert main(["predict", "model", str(tmp_path), "--out", str(out), *arguments]) == 2
    assert f"error[{code}]" in capsys.readouterr().err
    assert not (tmp_path / "home").exists()
