"""Digests: the same for the same, another for any change that matters."""

import hashlib

import numpy as np
import pytest

from xmed.files.digest import array_digest, digest, file_digest, folder_digest


def test_a_document_is_known_by_what_it_says_and_not_by_how_it_is_written():
    assert digest({"a": 1, "b": [2, 3]}) == digest({"b": [2, 3], "a": 1}) != digest({"a": 1, "b": [3, 2]})
    assert digest([]) == hashlib.sha256(b"[]").hexdigest()
    with pytest.raises(ValueError, match="not JSON compliant"):
        digest(float("nan"))


def test_an_array_is_known_by_type_shape_and_values():
    label = np.arange(6, dtype=np.uint8).reshape(2, 3)
    assert array_digest(label) == array_digest(np.asfortranarray(label))
    others = [label.astype(np.uint16), label.reshape(3, 2), label[::-1]]
    assert len({array_digest(one) for one in (label, *others)}) == 4


@pytest.mark.parametrize("above", ["models", "__pycache__"])  # what lies above a folder does not matter
def test_a_folder_is_known_by_the_names_and_bytes_of_its_files(tmp_path, above):
    tmp_path = tmp_path / above
    (tmp_path / "a").mkdir(parents=True)
    (tmp_path / "a" / "b").write_bytes(b"abc")
    whole = folder_digest(tmp_path)
    # "abc" is the example of FIPS 180-2, appendix B.1.
    assert file_digest(tmp_path / "a" / "b") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "left.pyc").touch()
    assert folder_digest(tmp_path) == whole
    (tmp_path / "a" / "b").rename(tmp_path / "a" / "c")
    assert folder_digest(tmp_path) != whole
