"""The flows call the library in its order, pass its errors on as they are, and leave nothing half-written."""
# ruff: noqa: F811 - fixtures of another module are asked for by their names

import pytest

from support.stand_in_library import library, place, prefect_server, study  # noqa: F401
from xmed.errors import XmedError
from xmed.run import Run

ORDER = [
    "ingest toy-mr",
    "ingest toy-us",
    "judged",
    "train",
    "promote",
    "evaluate",
    "objects",
    "keep",
    "report",
    "log",
    "register",
]


@pytest.mark.slow
@pytest.mark.usefixtures("prefect_server")
class TestUnderPrefect:
    def test_adapt_calls_the_library_in_its_order(self, study, place, library):
        from xmed_pipelines import adapt_flow

        result = adapt_flow.adapt_flow(str(study))
        assert library.calls == ORDER
        assert result["registered"]["alias"] == "candidate"
        run = Run.find(result["run"], place)
        assert run.read("data")["target"]["name"] == "toy-us"
        assert run.read("environment")["device"] == "cpu"
        where = "adapted, seed 0, case b"
        assert run.read("errors") == [{"code": "SPACING_INVALID", "message": "spacing 0 · positive", "where": where}]

    def test_what_a_task_raises_comes_out_of_the_flow_as_it_is(self, study, library):
        from xmed_pipelines import adapt_flow

        library.raises["train"] = XmedError("TRAINING_DIVERGED", "step 3", "finite losses", "lower the rate")
        with pytest.raises(
            XmedError, match=r"^error\[TRAINING_DIVERGED\]: found step 3 · expected finite losses · fix lower the rate$"
        ):
            adapt_flow.adapt_flow(str(study))
        assert "register" not in library.calls

    def test_a_run_that_fails_before_it_trains_leaves_no_folder(self, study, place, library):
        from xmed_pipelines import adapt_flow

        library.raises["ingest toy-us"] = XmedError("NO_CASES", "toy-us: nothing left after quarantine")
        with pytest.raises(XmedError, match="NO_CASES"):
            adapt_flow.adapt_flow(str(study))
        assert not (place / "runs").exists()

    def test_a_target_without_test_labels_is_refused_before_training(self, study, place, library):
        from xmed_pipelines import adapt_flow

        library.raises["judged"] = XmedError("NO_CASES", "toy-us has no labelled test case")
        with pytest.raises(XmedError, match="NO_CASES"):
            adapt_flow.adapt_flow(str(study))
        assert "train" not in library.calls
        assert not (place / "runs").exists()

    def test_a_run_that_fails_later_is_kept_and_can_be_resumed(self, study, place, library):
        from xmed_pipelines import adapt_flow

        library.raises["evaluate"] = RuntimeError("out of memory")
        with pytest.raises(RuntimeError, match="out of memory"):
            adapt_flow.adapt_flow(str(study))
        (folder,) = (place / "runs").iterdir()
        library.raises.clear()
        assert adapt_flow.adapt_flow(str(study), resume=folder.name)["run"] == folder.name
        assert len(list((place / "runs").iterdir())) == 1

    def test_a_run_does_not_go_on_with_other_data_than_it_began_with(self, study, library):
        from xmed_pipelines import adapt_flow

        run = adapt_flow.adapt_flow(str(study))["run"]
        library.fingerprint = "0" * 64
        with pytest.raises(
            XmedError, match=r"error\[DATA_CHANGED\]: found source .*toy-mr.* has changed since run toy-"
        ):
            adapt_flow.adapt_flow(str(study), resume=run)

    def test_the_same_command_goes_on_with_a_run_that_was_interrupted(self, study, place, library):
        from xmed_pipelines import adapt_flow

        library.raises["evaluate"] = KeyboardInterrupt()
        with pytest.raises(KeyboardInterrupt):
            adapt_flow.adapt_flow(str(study))
        (folder,) = (place / "runs").iterdir()
        library.raises.clear()
        library.calls.clear()
        assert adapt_flow.adapt_flow(str(study))["run"] == folder.name
        assert library.calls == ORDER
        assert adapt_flow.adapt_flow(str(study))["run"] != folder.name, "a finished run is finished"

    def test_a_run_whose_data_changed_since_it_was_interrupted_is_given_up(self, study, place, library):
        from xmed_pipelines import adapt_flow

        library.raises["evaluate"] = RuntimeError("out of memory")
        with pytest.raises(RuntimeError):
            adapt_flow.adapt_flow(str(study))
        (folder,) = (place / "runs").iterdir()
        library.raises.clear()
        library.fingerprint = "0" * 64
        assert adapt_flow.adapt_flow(str(study))["run"] != folder.name
        assert "has changed since run" in Run(folder).read("ended")["given_up"]

    def test_a_study_may_come_whole_as_a_schedule_passes_it_on(self, study, library):
        from xmed_pipelines import adapt_flow

        from xmed.spec import load_study

        document = load_study(study).model_dump(mode="json")
        assert adapt_flow.adapt_flow(document)["registered"]["name"] == "toy"
        assert adapt_flow.adapt_flow.parameters.properties["study"]["$ref"].endswith("/Study")
        with pytest.raises(Exception, match=r"study\.budget\.steps"):
            adapt_flow.adapt_flow({**document, "budget": {"steps": 0}})

    def test_ingest_takes_another_root(self, study, tmp_path, library):
        from xmed_pipelines.ingest_flow import ingest_flow

        assert ingest_flow(str(tmp_path / "toy-mr.yaml"), tmp_path)["name"] == "toy-mr"
        assert library.calls == ["ingest toy-mr"]


def changed(study, old, new):
    study.write_text(study.read_text().replace(old, new))


def test_a_plan_checks_everything_and_writes_nothing(study, place):
    from xmed.app.plan import plan_study

    plan = plan_study(str(study), [3, 4, 3])
    assert plan.study.seeds == [3, 4]
    assert (plan.source.name, plan.target.name) == ("toy-mr", "toy-us")
    assert not place.exists()


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("{name: gin}", "{name: magic}", r"error\[METHOD_UNKNOWN\]: found no method 'magic'.* · expected one of .*gin"),
        (
            "{name: gin}",
            "{name: gin, strength: 2}",
            r"error\[SPEC_INVALID\]: found method gin: strength · expected hyper-parameters",
        ),
        ("structures: [prostate]", "structures: [prostate, liver]", r"source toy-mr has no structure 'liver'"),
        (
            "[32, 32, 1]",
            "[30, 32, 1]",
            r"error\[SPEC_INVALID\]: found grid.patch \[30, 32\] · expected edges that are multiples of 8",
        ),
        (
            "method:",
            "network: {name: octopus}\nmethod:",
            r"error\[SPEC_INVALID\]: found network 'octopus' · expected one of",
        ),
        (
            "budget: {steps: 2",
            "budget: {step: 2",
            r"error\[SPEC_INVALID\]: found .*toy.yaml: budget.step: no such key; did you mean 'steps'",
        ),
        ("toy-us.yaml", "toy-ct.yaml", r"error\[SPEC_NOT_FOUND\]: found no dataset"),
    ],
)
def test_a_study_that_cannot_work_is_refused_before_anything_is_written(study, place, old, new, says):
    from xmed.app.plan import plan_study

    changed(study, old, new)
    with pytest.raises(XmedError, match=says):
        plan_study(str(study))
    assert not place.exists()


def test_label_maps_without_images_need_a_scene_that_exists(study, tmp_path, place):
    from xmed.app.plan import plan_study

    dataset = tmp_path / "toy-mr.yaml"
    changed(dataset, 'image: "{case}.nii.gz", ', "")
    with pytest.raises(
        XmedError, match=r"error\[METHOD_NEEDS\]: found source toy-mr is label maps without images · expected `scene`"
    ):
        plan_study(str(study))
    changed(dataset, "modality: MR", "modality: MR\nscene: feet")
    with pytest.raises(XmedError, match=r"error\[SPEC_INVALID\]: found no scene 'feet'"):
        plan_study(str(study))
    changed(dataset, "scene: feet", "scene: heads")
    assert plan_study(str(study)).source.scene == "heads"


def test_a_missing_folder_is_refused_and_another_root_accepted(study, tmp_path, place):
    from xmed.app.plan import plan_study

    (tmp_path / "toy-us").rmdir()
    with pytest.raises(XmedError, match=r"error\[PATH_NOT_FOUND\]: found dataset toy-us: no folder .*toy-us"):
        plan_study(str(study))
    assert plan_study(str(study), target_root=tmp_path).target.name == "toy-us"


def test_a_resumed_run_keeps_its_own_study_and_seeds(study, tmp_path, place):
    from xmed.app.plan import plan_study

    run = Run.create(plan_study(str(study)).study, place)
    changed(study, "steps: 2", "steps: 900")
    assert plan_study(str(study), resume=run.id).study.budget.steps == 2
    with pytest.raises(XmedError, match=r"error\[USAGE\]: found --seeds with --resume"):
        plan_study(str(study), seeds=[1], resume=run.id)
    with pytest.raises(XmedError, match=r"error\[RUN_NOT_FOUND\]"):
        plan_study(str(study), resume="toy-gone")
