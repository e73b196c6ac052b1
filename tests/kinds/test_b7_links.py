"""B7: links that lead out of a dataset's root are refused by that word, with the key that permits them, or followed."""

import json
import os
import shutil

import numpy as np
import pydicom
import pytest
from doors import DATASET, xmed
from pydicom.data import get_testdata_file
from scanned import oblique, save, slices, texture

from xmed.app import arrival_watch
from xmed.cli.main import main
from xmed.cohort import case_inputs, image_files, ingest
from xmed.errors import XmedError
from xmed.io import read_series
from xmed.spec import load_dataset

ALL = {"fraction": {"train": 1.0}}
ARRAY, AFFINE = texture((12, 9, 7)), oblique()


@pytest.fixture
def archive(tmp_path):
    """A folder outside the root, and one beside it whose name begins with its name."""
    for name in ("archive", "archive2"):
        (tmp_path / name).mkdir()
    return tmp_path / "archive"


def moved(path, to, aim=None):
    """Move a file or folder elsewhere, and leave a link behind."""
    to.parent.mkdir(parents=True, exist_ok=True)
    path.rename(to)
    path.symlink_to(aim or to)


def _file(clinic, archive):
    moved(clinic.image("a"), archive / "1.nii.gz")


def _label(clinic, archive):
    moved(clinic.label("a"), archive / "deep" / "1.nii.gz")


def _relative(clinic, archive):
    moved(clinic.image("a"), archive / "1.nii.gz", "../../archive/1.nii.gz")


def _folder(clinic, archive):
    moved(clinic.root / "image", archive / "pictures")


def _chain(clinic, archive):
    moved(clinic.image("a"), archive / "1.nii.gz")
    moved(clinic.image("a"), clinic.root / "second")
    moved(clinic.image("a"), archive / "first")


def _by_way_of_elsewhere(clinic, archive):
    """Where a link ends decides, not what it leads through."""
    moved(clinic.image("a"), archive / "1.nii.gz")
    moved(clinic.image("a"), archive.parent / "elsewhere")


def _up_and_down(clinic, archive):
    moved(clinic.image("a"), archive / "1.nii.gz", archive / ".." / "archive2" / ".." / "archive" / "1.nii.gz")


def _folder_and_file(clinic, archive):
    moved(clinic.image("a"), archive / "objects" / "1.nii.gz")
    moved(clinic.root / "image", archive / "pictures")


FOLLOWED = [_file, _label, _relative, _folder, _chain, _by_way_of_elsewhere, _up_and_down, _folder_and_file]


@pytest.mark.parametrize("make", FOLLOWED, ids=lambda make: make.__name__[1:])
def test_a_link_into_a_permitted_folder_is_followed(clinic, archive, home, make):
    plain = ingest(clinic.spec(), home)
    make(clinic, archive)
    found = ingest(clinic.spec(links=[str(archive)]), home)
    assert ([case.id for case in found.cases], found.quarantined) == (["a", "b", "c"], ())
    assert found.fingerprint == plain.fingerprint


@pytest.mark.parametrize("links", ["inside", [], None], ids=["inside", "no folder", "not said"])
@pytest.mark.parametrize("make", [_file, _label, _relative, _chain, _up_and_down], ids=lambda make: make.__name__[1:])
def test_no_other_link_is_followed_and_the_refusal_names_the_key(clinic, archive, home, make, links):
    make(clinic, archive)
    found = ingest(clinic.spec(**{} if links is None else {"links": links}), home)
    (refusal,) = found.quarantined
    assert (refusal.case, refusal.code, [case.id for case in found.cases]) == ("a", "PATH_UNSAFE", ["b", "c"])
    assert "link" in refusal.message
    assert "`links:`" in refusal.message


def _sibling(clinic, archive):
    """/archive2 is not below /archive."""
    moved(clinic.image("a"), archive.parent / "archive2" / "1.nii.gz")


def _up_and_out(clinic, archive):
    moved(clinic.image("a"), archive.parent / "archive2" / "1.nii.gz", archive / ".." / "archive2" / "1.nii.gz")


def _linked_on(clinic, archive):
    """The link leads into the permitted folder, where another leads out again."""
    moved(clinic.image("a"), archive.parent / "archive2" / "1.nii.gz")
    (archive / "1.nii.gz").symlink_to("../archive2/1.nii.gz")
    clinic.image("a").unlink()
    clinic.image("a").symlink_to(archive / "1.nii.gz")


def _circle(clinic, archive):
    clinic.image("a").unlink()
    clinic.image("a").symlink_to(archive / "there")
    (archive / "there").symlink_to(clinic.image("a"))


def _nothing(clinic, archive):
    moved(clinic.image("a"), archive / "1.nii.gz")
    (archive / "1.nii.gz").unlink()


def _device(clinic, archive):
    clinic.image("a").unlink()
    clinic.image("a").symlink_to("/dev/zero")


def _pipe(clinic, archive):
    os.mkfifo(archive / "pipe")
    clinic.image("a").unlink()
    clinic.image("a").symlink_to(archive / "pipe")


REFUSED = {
    _sibling: "`links:`", _up_and_out: "`links:`", _linked_on: "`links:`", _device: "`links:`",
    _circle: "link in circles", _nothing: "link to nothing", _pipe: "no ordinary file",
}  # fmt: skip


@pytest.mark.parametrize("make", REFUSED, ids=lambda make: make.__name__[1:])
def test_what_leads_elsewhere_costs_its_case(clinic, archive, home, make):
    make(clinic, archive)
    found = ingest(clinic.spec(links=[str(archive)]), home)
    (refusal,) = found.quarantined
    assert (refusal.case, refusal.code) == ("a", "PATH_UNSAFE")
    assert REFUSED[make] in refusal.message


@pytest.mark.parametrize(
    ("links", "words"),
    [
        ("archive", ["links:", "'archive'", "[/archive/ct]"]), ("/archive", ["links:", "'/archive'", "a list"]), ("true", ["links:", "True", "a list"]), ("", ["links:", "nothing", "a list"]),
        ("{a: /b}", ["links:", "a mapping"]), ("[archive]", ["links.0", "no absolute folder"]), ("['']", ["links.0", "no absolute folder"]), ("[/ok, 7]", ["links.1", "7", "text"]),
        ("[/archive/../etc]", ["links.0", ".."]), ("[/]", ["links.0", "every file"]), ("[/./]", ["links.0", "every file"]),
    ],
)  # fmt: skip
def test_what_is_wrong_with_the_key_is_said_by_its_name(tmp_path, links, words):
    path = tmp_path / "clinic.yaml"
    path.write_text(DATASET + f"links: {links}\n")
    with pytest.raises(XmedError) as caught:
        load_dataset(path)
    assert caught.value.code == "SPEC_INVALID"
    assert all(word in str(caught.value) for word in words), str(caught.value)
    assert "function-" not in str(caught.value)


@pytest.mark.parametrize("written", ["${ARCHIVE}/ct", "$ARCHIVE/ct", "~/ct", "link to it"])
def test_a_permitted_folder_is_expanded_and_resolved(clinic, archive, home, monkeypatch, written):
    monkeypatch.setenv("ARCHIVE", str(archive))
    monkeypatch.setenv("HOME", str(archive))
    moved(clinic.image("a"), archive / "ct" / "1.nii.gz")
    if written == "link to it":
        (archive.parent / "mounted").symlink_to(archive)
        written = str(archive.parent / "mounted" / "ct")
    assert len(ingest(clinic.spec(links=[written]), home).cases) == 3


@pytest.mark.parametrize("written", ["/nowhere/archive", "${XMED_NO_SUCH}/ct", "${EMPTY}", "${SLASH}", "file"])
def test_a_permitted_folder_that_is_not_there_is_said_before_anything_is_read(clinic, home, monkeypatch, written):
    monkeypatch.setenv("EMPTY", "")
    monkeypatch.setenv("SLASH", "/")
    with pytest.raises(XmedError, match="links") as caught:
        ingest(clinic.spec(links=[str(clinic.image("a")) if written == "file" else written]), home)
    assert caught.value.code == "PATH_NOT_FOUND"
    assert not (home / "datasets").exists()
    (home.parent / "clinic.yaml").write_text(DATASET.replace("/nowhere", str(clinic.root)) + "links: [/nowhere/a]\n")
    done = xmed("ingest", str(home.parent / "clinic.yaml"), home=home)
    assert (done.returncode, b"/nowhere/a" in done.stderr) == (2, True)


@pytest.fixture
def reads(monkeypatch):
    """The images that are read, in their order."""
    read, met = case_inputs.run_in_sandbox, []

    def counted(function, asked, image, label):
        met.append(image)
        return read(function, asked, image, label)

    monkeypatch.setattr(case_inputs, "run_in_sandbox", counted)
    return met


def test_a_second_ingest_reads_nothing_and_a_link_to_another_file_anew(clinic, archive, home, reads):
    moved(clinic.image("a"), archive / "1.nii.gz")
    spec = clinic.spec(links=[str(archive)])
    found = ingest(spec, home)
    assert len(reads) == 3
    assert ingest(spec, home).fingerprint == found.fingerprint
    assert len(reads) == 3
    clinic.write(archive / "2.nii.gz", clinic.ball(9)[0])
    clinic.image("a").unlink()
    clinic.image("a").symlink_to(archive / "2.nii.gz")
    anew = ingest(spec, home)
    assert reads[3:] == [clinic.image("a")]
    assert [old == new for old, new in zip(found.cases, anew.cases)] == [False, True, True]
    np.testing.assert_array_equal(anew.image(anew.cases[0]).array, clinic.ball(9)[0])
    (refused,) = ingest(clinic.spec(), home).quarantined  # what is in the store already is no way around
    assert refused.code == "PATH_UNSAFE"


def dicom(clinic, **changes):
    return clinic.spec(**{"layout": {"image": "{case}"}, "splits": ALL, "pseudonyms": False, **changes})


@pytest.fixture
def series(clinic, archive):
    """One DICOM folder as the only case of a root; what it reads as."""
    shutil.rmtree(clinic.root)
    save(slices(ARRAY, AFFINE), clinic.root / "p1")
    return read_series(clinic.root / "p1").array


def _every_file(folder, archive):
    for path in list(folder.iterdir()):
        moved(path, archive / "objects" / f"{path.name}.object")


def _some_files(folder, archive):
    for path in list(folder.iterdir())[::2]:
        moved(path, archive / path.name)


def _the_folder(folder, archive):
    moved(folder, archive / "p1")


def _a_folder_in_it(folder, archive):
    moved(folder, archive / "p1")
    folder.unlink()
    folder.mkdir()
    (folder / "series").symlink_to(archive / "p1")


def _half_in_a_linked_folder(folder, archive):
    (archive / "half").mkdir()
    for path in list(folder.iterdir())[::2]:
        path.rename(archive / "half" / path.name)
    (folder / "half").symlink_to(archive / "half")


def _with_a_way_back(folder, archive):
    _half_in_a_linked_folder(folder, archive)
    (archive / "half" / "back").symlink_to(folder)
    (archive / "half" / "up").symlink_to(archive)
    (folder / "root").symlink_to("..")


FOLDERS = [_every_file, _some_files, _the_folder, _a_folder_in_it, _half_in_a_linked_folder, _with_a_way_back]


@pytest.mark.parametrize("make", FOLDERS, ids=lambda make: make.__name__[1:])
def test_a_dicom_folder_of_links_is_read_whole(clinic, archive, home, series, make):
    make(clinic.root / "p1", archive)
    spec = dicom(clinic, links=[str(archive)])
    found = ingest(spec, home)
    assert found.quarantined == ()
    np.testing.assert_array_equal(found.image(found.cases[0]).array, series)
    assert ingest(spec, home).fingerprint == found.fingerprint
    source = image_files(found, found.cases)[found.cases[0].id]  # what a report's objects are written from
    np.testing.assert_array_equal(read_series(source).array, series)


@pytest.mark.parametrize("make", FOLDERS[:-1], ids=lambda make: make.__name__[1:])
def test_a_dicom_folder_of_links_that_nobody_permitted_is_refused(clinic, archive, home, series, make):
    make(clinic.root / "p1", archive)
    with pytest.raises(XmedError, match="PATH_UNSAFE") as caught:
        ingest(dicom(clinic, pseudonyms=True), home)
    assert "`links:`" in caught.value.what
    assert "p1" not in str(caught.value)  # folders are called like patients


def test_public_dicom_data_by_way_of_links_is_what_it_is(clinic, archive, home):
    folder = clinic.root / "a"
    shutil.rmtree(clinic.root)
    folder.mkdir(parents=True)
    shutil.copy(get_testdata_file("CT_small.dcm"), archive / "object")
    (folder / "slice.dcm").symlink_to(archive / "object")
    found = ingest(dicom(clinic, links=[str(archive)], modality="CT"), home)
    image = found.image(found.cases[0]).array[:, :, 0]
    ds = pydicom.dcmread(archive / "object")
    np.testing.assert_array_equal(image.T, ds.pixel_array * float(ds.RescaleSlope) + float(ds.RescaleIntercept))


def test_a_dicom_folder_of_links_into_an_annex_below_the_root_is_read_where_the_spec_permits_the_root(
    clinic, home, series
):
    objects = clinic.root / ".git" / "annex" / "objects"
    for path in list((clinic.root / "p1").iterdir()):
        moved(path, objects / path.name, f"../.git/annex/objects/{path.name}")
    with pytest.raises(XmedError, match=r"PATH_UNSAFE.*leads out of its folder.*`links:`"):
        ingest(dicom(clinic), home)
    for links in ([str(objects)], [str(clinic.root)]):
        found = ingest(dicom(clinic, links=links), home)
        np.testing.assert_array_equal(found.image(found.cases[0]).array, series)


def test_a_picture_that_is_a_link_into_an_annex_below_the_root_needs_no_permission(clinic, home):
    plain = ingest(clinic.spec(), home)
    moved(clinic.image("a"), clinic.root / ".git" / "annex" / "1.nii.gz", "../.git/annex/1.nii.gz")
    assert ingest(clinic.spec(), home).fingerprint == plain.fingerprint


@pytest.mark.parametrize("links", ["inside", "archive"])
def test_a_linked_folder_that_stays_below_the_root_is_passed_over_as_before(clinic, archive, home, series, links):
    save(slices(ARRAY + 1, AFFINE), clinic.root / "p2")
    (clinic.root / "p1" / "other").symlink_to("../p2")
    found = ingest(dicom(clinic, links=links if links == "inside" else [str(archive)]), home)
    assert ([case.id for case in found.cases], found.quarantined) == (["p1", "p2"], ())
    np.testing.assert_array_equal(found.image(found.cases[0]).array, series)


@pytest.mark.parametrize(
    ("image", "link", "to", "cases"),
    [
        ("**/{case}.nii.gz", "more", "a", ["image", "one"]),
        ("{case}/**/one.nii.gz", "x", "a", ["x"]),
        ("{case}/**/image.nii.gz", "x", "a", ["x"]),
        ("**/{case}/image.nii.gz", "more/deep", "b", ["y"]),
        ("{case}/image.nii.gz", "y", "b/y", ["y"]),
    ],
)
def test_patterns_find_what_lies_behind_permitted_links_and_end(clinic, archive, home, image, link, to, cases):
    clinic.write(archive / "a" / "one.nii.gz", clinic.ball(1)[0])
    clinic.write(archive / "b" / "y" / "image.nii.gz", clinic.ball(2)[0])
    shutil.rmtree(clinic.root / "image")
    (clinic.root / link).parent.mkdir(exist_ok=True)
    (clinic.root / link).symlink_to(archive / to)
    for n, folder in enumerate((archive / "a", archive / "b", archive / "b" / "y")):  # everywhere ways back and across
        (folder / "back").symlink_to(clinic.root)
        (folder / f"self{n}").symlink_to("." if n < 2 else "..")
        (folder / "up").symlink_to(archive)
        (folder / "across").symlink_to(archive / "ab"[n == 0])
    shutil.rmtree(clinic.root / "label")
    spec = clinic.spec(layout={"image": image}, splits=ALL, pseudonyms=False, links=[str(archive)])
    found = ingest(spec, home)
    assert ([case.id for case in found.cases], found.quarantined) == (cases, ())
    assert ingest(spec, home).fingerprint == found.fingerprint


def test_where_nothing_is_found_the_links_that_were_passed_over_are_named(clinic, archive, home):
    moved(clinic.root / "image", archive / "image")
    shutil.rmtree(clinic.root / "label")
    layout = {"image": "**/{case}.nii.gz"}
    with pytest.raises(XmedError, match=r"NO_CASES.*`links:`"):
        ingest(clinic.spec(layout=layout, splits=ALL), home)
    assert len(ingest(clinic.spec(layout=layout, splits=ALL, links=[str(archive)]), home).cases) == 3


def test_what_comes_in_behind_permitted_links_is_seen_to_come(clinic, archive):
    moved(clinic.root / "image", archive / "image")
    (archive / "image" / "up").symlink_to(archive)
    shut, spec = clinic.spec(), clinic.spec(links=[str(archive)])
    before = arrival_watch.state_of(shut), arrival_watch.state_of(spec)
    clinic.write(archive / "image" / "d.nii.gz", clinic.ball(4)[0])
    assert (arrival_watch.state_of(shut) == before[0], arrival_watch.state_of(spec) == before[1]) == (True, False)


def test_a_root_that_is_itself_a_link_is_followed(clinic, archive, home):
    plain = ingest(clinic.spec(), home)
    moved(clinic.root, archive / "data")
    assert ingest(clinic.spec(), home).fingerprint == plain.fingerprint


def test_a_path_that_is_itself_a_link_is_inspected(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("XMED_HOME", str(tmp_path / "home"))
    save(slices(ARRAY, AFFINE), tmp_path / "archive" / "p1")
    (tmp_path / "link").symlink_to(tmp_path / "archive")
    (tmp_path / "file").symlink_to(tmp_path / "archive" / "p1" / "000.dcm")
    for name, files in (("link", 7), ("file", 1)):
        main(["inspect", str(tmp_path / name), "--json"])
        (row,) = json.loads(capsys.readouterr().out)
        assert (row["kind"], row["files"]) == ("series", files)


@pytest.mark.parametrize("what", ["a file", "a folder"])
def test_links_below_an_inspected_folder_that_lead_out_are_refused_with_what_to_do(tmp_path, monkeypatch, capsys, what):
    monkeypatch.setenv("XMED_HOME", str(tmp_path / "home"))
    save(slices(ARRAY, AFFINE), tmp_path / "archive" / "p1")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "out").symlink_to(tmp_path / "archive" / ("p1/000.dcm" if what == "a file" else "p1"))
    main(["inspect", str(tmp_path / "in"), "--json"])
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["verdict"], row["code"]) == ("refused", "PATH_UNSAFE")
    assert "link" in row["message"]
    assert "`links:`" in row["do"]


def test_predict_reads_a_folder_that_is_a_link_and_refuses_links_that_lead_out_of_it(tmp_path):
    """What `xmed predict` is given goes to `read_series` as it is."""
    folder = save(slices(ARRAY, AFFINE), tmp_path / "archive" / "p1")
    (tmp_path / "link").symlink_to(folder)
    np.testing.assert_array_equal(read_series(tmp_path / "link").array, read_series(folder).array)
    moved(folder / "003.dcm", tmp_path / "elsewhere" / "003.dcm")
    with pytest.raises(XmedError, match=r"PATH_UNSAFE.*link.*`links:`"):
        read_series(tmp_path / "link")
