"""Fault matrix: what must be survived, what must then hold, and the tests that bring it about.

Row numbers are those of the list that the project was given. A row without a gap is tested by doing it: a process is
killed, a disk is full, a byte is flipped, a server is gone.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """gap: what of the row is not tested, or not there."""

    number: int
    fault: str
    expected: str
    tests: tuple[str, ...]
    gap: str = ""


STOP, MATRIX, INGEST = "train/test_checkpoint.py", "test_fault_matrix.py", "cohort/test_ingest_faults.py"

ROWS = [
    Row(1, "killed while a checkpoint is written", "the one before it is whole, training goes on", (
        f"{STOP}::test_killed_while_it_saves_it_goes_on_to_the_same_weights",
        f"{STOP}::test_the_last_two_checkpoints_are_kept_under_names_with_their_checksum",
    )),
    Row(2, "killed between two checkpoints", "resumed to bit-equal weights on a CPU", (
        "train/test_train.py::test_an_interrupted_training_ends_in_the_same_weights_as_an_uninterrupted_one",
        "methods/test_methods_alignment_losses.py::test_a_checkpoint_holds_all_that_the_next_loss_depends_on",
    )),
    Row(3, "killed between training and MLflow", "no step twice, none missing", (
        f"{MATRIX}::test_killed_while_mlflow_takes_the_artifacts_the_next_log_is_whole_and_nothing_is_double",
        "registry/test_registry.py::test_logging_twice_adds_nothing",
    )),
    Row(4, "MLflow run left RUNNING", "closed as KILLED, with the reason", (
        "server/doctor/test_doctor.py::test_an_mlflow_run_without_a_process_is_closed_and_says_why",
        "registry/test_registry.py::test_an_interrupted_log_is_completed_and_leaves_no_orphan",
    )),
    Row(5, "killed while an artifact is uploaded", "whole or absent, completed the next time", (
        f"{MATRIX}::test_killed_while_mlflow_takes_the_artifacts_the_next_log_is_whole_and_nothing_is_double",
    )),
    Row(6, "killed while a model is registered", "no alias without a report; the doctor names it", (
        "server/doctor/test_doctor.py::test_a_version_that_was_never_given_its_report_is_found",
        "registry/test_gate.py::test_a_registration_that_was_killed_before_its_record_gets_it_the_next_time",
    )),
    Row(7, "killed during ingest after any file", "the same dataset as undisturbed", (
        f"{INGEST}::test_killed_after_any_file_the_next_ingest_ends_as_an_undisturbed_one",
        f"{INGEST}::test_killed_while_it_reads_it_leaves_no_process_behind",
    )),
    Row(8, "the same ingest twice, four at once", "one result", (
        f"{INGEST}::test_four_processes_at_once_leave_one_result",
        f"{INGEST}::test_unchanged_files_are_not_even_opened_again",
    )),
    Row(9, "an input changes while it is read", "noticed, refused with a code", (
        "cohort/test_ingest.py::test_a_file_that_changes_while_it_is_read_is_refused",
    )),
    Row(10, "the disk is full", "DISK_FULL, nothing half-written, what was there stays", (
        f"{STOP}::test_a_full_disk_leaves_the_checkpoint_before_it",
        "cohort/test_store.py::test_a_write_that_fails_leaves_no_part",
        "registry/test_audit_log.py::test_a_full_disk_leaves_the_log_as_it_was",
        "cli/test_cli.py::test_a_full_disk_is_something_a_person_can_act_on",
    )),
    Row(11, "no permission, read-only file system", "a coded error in one line", (
        "cohort/test_store.py::test_a_home_that_cannot_be_written_to_is_named",
        "cli/test_cli.py::test_a_home_that_cannot_be_written_is_said_at_once",
    ), "EIO of a failing disk is not brought about"),
    Row(12, "a reader runs out of memory", "OOM for its case, the others go on", (
        "io/sandbox/test_worker.py::test_every_end_of_a_reader_has_its_code_and_the_next_is_read",
        "io/sandbox/test_worker.py::test_memory_beyond_the_budget_is_refused_and_follows_what_was_checked",
    )),
    Row(13, "a codec crashes", "its case is quarantined", (
        "io/sandbox/test_worker.py::test_every_end_of_a_reader_has_its_code_and_the_next_is_read",
        "io/sandbox/test_worker.py::test_a_file_that_kills_its_reader_is_one_finding_and_its_neighbours_are_judged",
    )),
    Row(14, "a codec hangs", "stopped, its case is quarantined", (
        "io/sandbox/test_worker.py::test_every_end_of_a_reader_has_its_code_and_the_next_is_read",
    )),
    Row(15, "SIGTERM", "a checkpoint and exit code 143 within 30 s, the same command goes on", (
        f"{STOP}::test_a_signal_to_the_process_that_trains_loses_no_step",
        "server/test_serve.py::test_a_killed_run_is_finished_by_the_schedule_and_registered",
    )),
    Row(16, "power is lost", "what has its name is whole", (
        f"{MATRIX}::test_nothing_gets_its_name_before_its_bytes_are_on_the_disk",
        "registry/test_audit_log.py::test_a_write_that_a_power_cut_interrupted_is_set_aside_and_the_log_goes_on",
    ), "simulated by the order of flush and rename; MLflow and Prefect keep their own journals"),
    Row(17, "eight processes write one database", "every row there, no 'database is locked'", (
        f"{MATRIX}::test_eight_processes_write_to_one_tracking_store_and_nothing_is_lost",
        "registry/test_audit_log.py::test_200_records_of_8_processes_are_all_there_once_and_in_one_chain",
    )),
    Row(18, "a checkpoint, a stored case or an index is damaged", "noticed by its hash, replaced", (
        f"{STOP}::test_a_damaged_checkpoint_is_noticed_and_the_one_before_it_taken",
        "cohort/test_store.py::test_a_damaged_entry_is_noticed_and_replaced",
        f"{INGEST}::test_without_its_index_ingest_only_takes_longer",
    )),
    Row(19, "the cache is stale", "its key holds content and meaning", (
        "cohort/test_ingest.py::test_a_changed_file_gets_a_new_key_and_is_the_only_one_read",
        "cohort/test_ingest.py::test_labels_of_another_meaning_get_new_keys",
        f"{INGEST}::test_other_bytes_of_the_same_size_and_time_are_noticed",
    )),
    Row(20, "MLflow's server is gone", "training unaffected, logged when it is back", (
        f"{MATRIX}::test_a_run_is_logged_whole_when_the_tracking_server_is_back",
    ), "a Prefect server that goes away under a scheduled run fails the run at its next task; the next start goes on"),
    Row(21, "the clock jumps", "durations by a monotonic clock, stamps in UTC, records in order by number", (
        f"{MATRIX}::test_no_duration_is_measured_by_a_clock_that_jumps_and_every_stamp_is_utc",
        "registry/test_audit_log.py::test_a_record_says_who_when_what_and_continues_the_one_before",
    )),
    Row(22, "a loss is NaN", "stopped, never registered", (
        "train/test_train.py::test_a_loss_that_is_not_a_number_stops_the_training_and_leaves_no_model",
        "xmed_pipelines/test_adapt_flow.py::test_what_a_task_raises_comes_out_of_the_flow_as_it_is",
    )),
    Row(23, "killed while the report is written", "no page, and made again to the same bytes", (
        f"{MATRIX}::test_killed_while_it_writes_the_report_it_writes_the_same_one_again",
    )),
    Row(24, "the Prefect worker is killed", "one version, one run: the next start goes on", (
        "server/test_serve.py::test_a_killed_run_is_finished_by_the_schedule_and_registered",
        "server/doctor/test_doctor.py::test_flow_runs_without_a_process_are_closed_and_others_are_not",
        "train/test_checkpoint.py::test_a_worker_does_not_outlive_whoever_started_it",
    ), "the tests end the run with SIGTERM; kill -9 of server and worker was tried by hand"),
    Row(25, "the GPU is lost", "an error, and no silent training on the CPU", (
        f"{STOP}::test_a_training_that_began_on_a_gpu_does_not_go_on_without_one",
    ), "a CUDA error in the middle of a step ends the run with the last checkpoint; not brought about here"),
    Row(26, "killed while pseudonyms are written down", "no file leaves without its entry", (
        "deidentify/test_deidentify.py::test_no_file_leaves_before_the_crosswalk_knows_it",
    )),
    Row(27, "a series is still arriving", "refused for the gap, read when whole", (
        "io/dicom/test_series.py::test_a_series_that_is_no_single_volume_is_refused_with_its_reason",
        "cohort/test_ingest.py::test_a_case_leaves_quarantine_when_it_has_become_good",
    ), "nobody waits until a folder is quiet: a series that lacks its last slices looks whole"),
]  # fmt: skip
