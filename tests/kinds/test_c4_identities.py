"""C4: one person under two names is one person; two people are two; the account is the process's."""

import os
import pwd
from contextlib import suppress

import pytest

from support.registered_home import EVALUATION, USE, approve, blank, empty, home, shelf, surroundings
from xmed.errors import XmedError
from xmed.registry import approval, audit_log
from xmed.registry.gate import Refusal
from xmed.registry.registration import holder

__all__ = ["blank", "empty", "home", "shelf", "surroundings"]
ONE = [
    ("José Müller", "Jose\u0301 Mu\u0308ller"),
    ("José Müller", "Jose Muller"),
    ("Jürgen Müller", "Juergen Mueller"),
    ("Søren Kjær", "Soren Kjaer"),
    ("Paul Weiß", "PAUL WEISS"),
    ("Ada Reader", "Ada Re\u0430der"),
    ("Bob Stone", "B\u043eb Stone"),
    ("Ada Reader", "\u0410da Reader"),
    ("Ian Bell", "\u0406an Bell"),
    ("Ada Reader", "\U0001d400\U0001d41d\U0001d41a Reader"),
    ("Ada Reader", "\uff21\uff44\uff41 Reader"),
    ("Ada Reader", "Ada\u3164Reader"),
    ("Ada Reader", "Ada Re\u034fader"),
    ("Ada Reader", "Dr. Ada Reader"),
    ("Ada Reader", "Prof. Dr. med. Ada Reader"),
    ("Ada Reader", "Ada Reader, MD, PhD"),
    ("Ada Reader", "Ada Reader Ph.D. FRCR"),
    ("Ada Reader", "Frau Dipl.-Ing. Ada Reader"),
    ("Ada Reader", "Ms Ada Reader (Radiology)"),
    ("Ada Reader", "Reader, Ada"),
    ("Ada Reader", "READER, Dr. Ada"),
    ("Li Wei", "Wei Li"),
    ("Ada Reader", "A. Reader"),
    ("Ada Reader", "Ada M. Reader"),
    ("Ada Mary Reader", "Ada Reader"),
    ("Anna-Maria Huber", "Anna Maria Huber"),
    ("Seán O'Brien", "Sean OBrien"),
    ("Ada Reader", "Ada Reader <ada@example.org>"),
    ("Ada Reader", "ada.reader@example.org"),
    ("Ada Reader", "ada  reader"),
    ("Ada Reader", "Ada Reader 2"),
    ("Иван Петров", "ПЕТРОВ, Иван"),
]
TWO = [
    ("Ada Reader", "Adam Reader"),
    ("Ada Reader", "Ben Reader"),
    ("Ada Reader", "Ben Surgeon"),
    ("Ada Reader", "Ada Writer"),
    ("Dr. med. Ada Reader", "Dr. med. Ben Cutter"),
    ("Jürgen Müller", "Jörg Müller"),
    ("Иван Петров", "Анна Петрова"),
    ("Иван Петров", "Ada Reader"),
    ("王伟强", "李娜"),
    ("Nguyen Van An", "Nguyen Van Binh"),
    ("Maria Silva", "Mario Silva"),
    ("Elia Rossi", "Ella Rossi"),
    ("Li Wei", "Li Na"),
]


@pytest.fixture
def unguarded_gate(home, monkeypatch):
    """Nothing but the person is looked at: the other reasons have tests of their own."""

    def order(entry, alias, home):
        held = alias != USE or holder(entry.name, EVALUATION, home) == int(entry.version)
        return [] if held else [Refusal("order", "it does not hold the alias that comes before")]

    monkeypatch.setattr(approval, "gate_refusals", order)
    return home


@pytest.mark.parametrize(("first", "second"), ONE, ids=lambda name: ascii(name))
def test_one_person_is_no_second_person(unguarded_gate, first, second):
    home = unguarded_gate
    with suppress(XmedError):  # a name with signs that show nothing may be refused as such
        assert approve(home, by=first).approved
        assert approve(home, by=second, alias=USE).approved is False
    assert holder("toy-prostate-us", USE, home) is None


@pytest.mark.parametrize(("first", "second"), TWO, ids=lambda name: ascii(name))
def test_two_people_are_two(unguarded_gate, first, second):
    home = unguarded_gate
    assert approve(home, by=first).approved
    assert approve(home, by=second, alias=USE).approved


def test_a_refusal_says_what_to_write_instead(unguarded_gate):
    assert approve(unguarded_gate, by="Ada Reader").approved
    (refused,) = approve(unguarded_gate, by="A. Reader", alias=USE).refused
    assert "full names" in refused.text


@pytest.mark.parametrize("name", ["LOGNAME", "USER", "LNAME", "USERNAME"])
def test_the_account_is_the_one_that_the_process_runs_under(tmp_path, monkeypatch, name):
    monkeypatch.setenv(name, "the-chief")
    made = audit_log.append(tmp_path, "registered")
    assert made.account.partition("@")[0] == pwd.getpwuid(os.getuid()).pw_name


def test_an_account_without_an_entry_is_its_number(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "getuid", lambda: 4_123_456)
    monkeypatch.setenv("LOGNAME", "the-chief")
    made = audit_log.append(tmp_path, "registered")
    assert "4123456" in made.account
    assert "the-chief" not in made.account
