"""Every file in S3 (moto's server) and none beside Snakemake: the same bytes as on a file system."""

import hashlib

import pytest

from tests.workflow.conftest import SMALL, Project

pytestmark = [pytest.mark.chain, pytest.mark.timeout(900)]
SCORES = "results/mini/scores/mini/planedict/self.parquet"


def test_from_sheets_to_scores(bucket, small_config, small, tmp_path):
    project = Project(tmp_path / "project", small_config)
    options = ("--default-storage-provider", "s3", "--default-storage-prefix", "s3://planedict")
    project.run(*SMALL, SCORES, options=options)
    assert not (project.folder / "data").exists() and not (project.folder / "results").exists()
    kept = {item.key: item for item in bucket.objects.all()}
    assert SCORES in kept
    # Media come as they are; Snakemake's own marks are not of the data.
    expected = {str(p.relative_to(small.folder)): p for p in (small.folder / "data").rglob("*") if p.is_file()}
    expected = {name: path for name, path in expected.items() if "/." not in name} | {
        n: small.folder / n for n in SMALL
    }
    for name, path in expected.items():
        assert hashlib.sha256(kept[name].get()["Body"].read()).digest() == hashlib.sha256(path.read_bytes()).digest(), (
            name
        )
    assert "Nothing to be done" in project.run(*SMALL, SCORES, options=options)
