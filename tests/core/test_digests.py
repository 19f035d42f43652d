"""Digests of folders: of what was written there, whoever made the folder."""

import hashlib

from pipeline.core.digests import folder_digests


def test_a_stamp_beside_the_files_changes_nothing(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "inner").mkdir()
    (tmp_path / ".snakemake_timestamp").touch()
    assert folder_digests(tmp_path) == {"config.json": hashlib.sha256(b"{}").hexdigest()}
