"""C2: what somebody does to the registry without xmed has no record; it is found, and not served."""

import json

import pytest

from support import registrable_runs
from support.registered_home import (
    CANDIDATE,
    EVALUATION,
    FIRST,
    NAME,
    SECOND,
    USE,
    another,
    approve,
    blank,
    empty,
    home,
    shelf,
    surroundings,
    why,
)
from xmed import registry
from xmed.errors import XmedError
from xmed.records.record import content
from xmed.registry.tracking_store import client
from xmed.server.doctor import examine

__all__ = ["blank", "empty", "home", "shelf", "surroundings"]


def served(home, reference):
    try:
        return registry.fetch(reference, home)
    except XmedError:
        return None


def place(home):
    """Where the artefacts of the good version lie."""
    return client(home).get_model_version_download_uri(NAME, "1")


def use_set(home):
    client(home).set_registered_model_alias(NAME, USE, "1")
    return f"models:/{NAME}@{USE}"


def evaluation_set(home):
    client(home).set_registered_model_alias(NAME, EVALUATION, "1")
    return f"models:/{NAME}@{EVALUATION}"


def alias_of_their_own(home):
    client(home).set_registered_model_alias(NAME, "champion", "1")
    return f"models:/{NAME}@champion"


def alias_moved(home):
    assert approve(home).approved
    another(home)
    client(home).set_registered_model_alias(NAME, EVALUATION, "2")
    return f"models:/{NAME}@{EVALUATION}"


def alias_back_after_withdrawal(home):
    assert approve(home).approved
    registry.withdraw(NAME, 1, home, by=FIRST, meaning="misses small bladders")
    client(home).set_registered_model_alias(NAME, EVALUATION, "1")
    return f"models:/{NAME}@{EVALUATION}"


def candidate_moved_back(home):
    another(home)
    client(home).set_registered_model_alias(NAME, CANDIDATE, "1")
    return f"models:/{NAME}@{CANDIDATE}"


def tags_say_approved(home):
    client(home).set_model_version_tag(NAME, "1", f"approved.{USE}", "Ada Reader, 2026-11-30T10:00:00.000+00:00")
    client(home).set_registered_model_alias(NAME, USE, "1")
    return f"models:/{NAME}@{USE}"


def verdict_edited(home):
    client(home).set_model_version_tag(NAME, "1", "verdict", "pass, with distinction")


def run_edited(home):
    client(home).set_model_version_tag(NAME, "1", "xmed.run", registrable_runs.finished(home, shift=3.0).id)
    return f"models:/{NAME}/1"


def checksum_edited(home):
    client(home).set_model_version_tag(NAME, "1", "package_sha256", "0" * 64)
    return f"models:/{NAME}/1"


def version_made_directly(home):
    """A version with every tag of a good one, from the same artefacts."""
    good = client(home).get_model_version(NAME, "1")
    client(home).create_model_version(NAME, place(home), good.run_id, tags=dict(good.tags))
    client(home).set_registered_model_alias(NAME, CANDIDATE, "2")
    return f"models:/{NAME}@{CANDIDATE}"


def version_asked_by_number(home):
    version_made_directly(home)
    return f"models:/{NAME}/2"


def name_taken(home):
    """The same model under a name of theirs."""
    good = client(home).get_model_version(NAME, "1")
    client(home).create_registered_model("theirs")
    client(home).create_model_version("theirs", place(home), good.run_id, tags=dict(good.tags))
    client(home).set_registered_model_alias("theirs", USE, "1")
    return f"models:/theirs@{USE}"


def name_in_capitals(home):
    good = client(home).get_model_version(NAME, "1")
    client(home).create_registered_model(NAME.upper())
    client(home).create_model_version(NAME.upper(), place(home), good.run_id, tags=dict(good.tags))
    client(home).set_registered_model_alias(NAME.upper(), USE, "1")
    return f"models:/{NAME.upper()}@{USE}"


def renamed(home):
    client(home).rename_registered_model(NAME, "renamed")
    return f"models:/renamed@{CANDIDATE}"


def made_again(home):
    """Deleted and made anew with the same tags and artefacts."""
    good, source = client(home).get_model_version(NAME, "1"), place(home)
    client(home).delete_model_version(NAME, "1")
    made = client(home).create_model_version(NAME, source, good.run_id, tags=dict(good.tags))
    client(home).set_registered_model_alias(NAME, CANDIDATE, made.version)
    return f"models:/{NAME}/{made.version}"


def anchor_gone(home):
    client(home).delete_registered_model_tag(NAME, "audit_head")


HARMS = [
    use_set, evaluation_set, alias_of_their_own, alias_moved, alias_back_after_withdrawal, candidate_moved_back,
    tags_say_approved, verdict_edited, run_edited, checksum_edited, version_made_directly, version_asked_by_number, name_taken,
    name_in_capitals, renamed, made_again, anchor_gone,
]  # fmt: skip


@pytest.mark.parametrize("harm", HARMS, ids=lambda harm: harm.__name__)
def test_what_has_no_record_is_found_and_not_served(home, harm):
    assert registry.verify_audit(home) == []
    reference = harm(home)
    assert registry.verify_audit(home)
    assert reference is None or served(home, reference) is None
    assert not next(check for check in examine(home) if check.name == "audit").ok


@pytest.mark.parametrize("harm", [use_set, evaluation_set, alias_moved, tags_say_approved, verdict_edited, run_edited,
                                  version_made_directly, anchor_gone], ids=lambda harm: harm.__name__)  # fmt: skip
def test_no_version_of_that_name_is_approved(home, harm):
    harm(home)
    why(approve(home, 2 if harm in (alias_moved, version_made_directly) else 1, by=SECOND))


def test_a_tag_that_held_it_back_is_missed(empty):
    run = registrable_runs.finished(empty)
    run.write("selection", {"promoted": False, "reason": "adapted does not lead"})
    registry.register(run, empty)
    client(empty).delete_model_version_tag(NAME, "1", "not_promoted")
    client(empty).set_registered_model_alias(NAME, CANDIDATE, "1")
    assert registry.verify_audit(empty)
    assert served(empty, f"models:/{NAME}@{CANDIDATE}") is None
    why(approve(empty))


@pytest.mark.parametrize("with_version", [False, True])
def test_a_name_that_somebody_else_took_is_not_written_under(home, with_version):
    client(home).create_registered_model("taken")
    if with_version:
        good = client(home).get_model_version(NAME, "1")
        client(home).create_model_version("taken", place(home), good.run_id, tags=dict(good.tags))
    study = registrable_runs.STUDY.model_copy(update={"register_as": "taken"})
    with pytest.raises(XmedError, match="REGISTRY_ELSEWHERE"):
        registry.register(registrable_runs.finished(home, study, shift=2.0), home)


def test_a_copied_version_is_not_taken_for_ones_own(home):
    """Made directly with the tags of a run that is about to be registered, and other code in its package."""
    run = registrable_runs.finished(home, shift=5.0)
    made = registry.register(run, home)
    good = client(home).get_model_version(NAME, str(made.version))
    client(home).create_model_version(NAME, place(home), good.run_id, tags={**good.tags, "package_sha256": "e" * 64})
    again = registry.register(run, home)
    assert again.version == made.version


@pytest.mark.parametrize("reference", [f"models:/{NAME}@{CANDIDATE}", f"models:/{NAME}@{EVALUATION}", f"models:/{NAME}@{USE}",
                                       f"models:/{NAME}/1"])  # fmt: skip
def test_what_is_on_record_is_served(home, reference):
    assert approve(home).approved
    assert approve(home, by=SECOND, alias=USE).approved
    assert registry.verify_audit(home) == []
    assert (served(home, reference) / "weights.safetensors").is_file()


def test_a_candidate_that_is_registered_again_is_the_candidate_again_on_record(home):
    first = next((home / "runs").iterdir())
    another(home)
    from xmed.run import Run

    assert registry.register(Run(first), home).version == 1
    assert registry.verify_audit(home) == []
    assert served(home, f"models:/{NAME}@{CANDIDATE}")


def test_a_withdrawn_version_asked_for_by_its_number_is_said_to_be(home):
    assert approve(home).approved
    registry.withdraw(NAME, 1, home, by=FIRST, meaning="misses small bladders")
    with pytest.warns(UserWarning, match=r"WITHDRAWN.*version 1 was withdrawn on .*misses small bladders"):
        registry.fetch(f"models:/{NAME}/1", home)


def test_what_a_log_of_before_says_goes_on_being_believed(home):
    """Version 0.1.0 wrote neither who is the candidate nor what a run was made with."""
    from xmed.registry import audit_log

    found = [content(record) for record in audit_log.records(home)]
    for path in (home / audit_log.LOG, home / audit_log.HEAD):
        path.unlink()
    client(home).delete_registered_model_tag(NAME, "audit_head")
    for one in found:
        facts = {k: v for k, v in one.items() if k in ("model", "version", "run", "verdict", "parent", "hashes")}
        made = audit_log.append(home, one["event"], **facts)
    anchor = {"seq": made.seq, "sha256": made.sha256, "log": audit_log.first(home)}
    client(home).set_registered_model_tag(NAME, "audit_head", json.dumps(anchor))
    assert registry.verify_audit(home) == []
    assert served(home, f"models:/{NAME}@{CANDIDATE}")
    assert approve(home).approved
