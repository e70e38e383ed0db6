"""Every file in S3 (moto's server) and none beside Snakemake: the same bytes as on a file system."""

import hashlib

import pytest

from tests.workflow.conftest import SMALL, Project

pytestmark = [pytest.mark.chain, pytest.mark.timeout(900)]
SCORES = "results/mini/scores/mini/planedict/self.parquet"
PICTURE = "results/mini/dataset/mini.png"


def test_from_sheets_to_scores(bucket, small_config, small, tmp_path):
    project = Project(tmp_path / "project", small_config)
    options = ("--default-storage-provider", "s3", "--default-storage-prefix", "s3://planedict")
    # The contact sheet reads the videos again, which are beside no other job.
    project.run(*SMALL, SCORES, PICTURE, options=options)
    assert not (project.folder / "data").exists() and not (project.folder / "results").exists()
    kept = {item.key: item for item in bucket.objects.all()}
    assert {SCORES, PICTURE} <= kept.keys()
    # Tubes name the media where a job found them, which is another folder here; shards and all that follows do not.
    expected = {
        name: small.folder / name for name in (*SMALL, *(f"data/mini/shards/00000.{s}" for s in ("tar", "json")))
    }
    for name, path in expected.items():
        assert hashlib.sha256(kept[name].get()["Body"].read()).digest() == hashlib.sha256(path.read_bytes()).digest(), (
            name
        )
    assert "Nothing to be done" in project.run(*SMALL, SCORES, PICTURE, options=options)
