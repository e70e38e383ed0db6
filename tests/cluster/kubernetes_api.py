"""As much of Kubernetes' API as Snakemake's executor asks for: a job is its container's command, run in a folder."""

import base64
import json
import os
import re
import subprocess
import sys
import threading
import zipfile
from importlib import metadata
from pathlib import Path
from typing import Any

from flask import Flask, Response, request
from werkzeug.serving import make_server


def wheel(package: str, folder: Path) -> None:
    """An installed package as the wheel it came from."""
    distribution = metadata.distribution(package)
    name = f"{distribution.name.replace('-', '_')}-{distribution.version}-py3-none-any.whl"
    with zipfile.ZipFile(folder / name, "w") as archive:
        for file in distribution.files or []:
            if file.suffix != ".pyc":
                archive.write(file.locate(), str(file))


class Cluster:
    """One namespace whose pods are processes: the image is this environment and checkout, /workdir an empty folder."""

    def __init__(self, folder: Path, checkout: Path) -> None:
        self.folder, self.checkout = folder, checkout
        self.bodies: dict[str, dict[str, Any]] = {}
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.secrets: dict[str, dict[str, str]] = {}
        wheel("snakemake-storage-plugin-s3", folder)
        app = Flask("kubernetes")
        root = "/api/v1/namespaces/<namespace>"
        jobs = "/apis/batch/v1/namespaces/<namespace>/jobs"
        app.add_url_rule(f"{root}/secrets", view_func=self.create_secret, methods=["POST"])
        app.add_url_rule(f"{root}/secrets/<name>", "done", self.nothing, methods=["DELETE"])
        app.add_url_rule(f"{root}/pods", view_func=self.pods)
        app.add_url_rule(f"{root}/pods/<name>/log", view_func=self.log)
        app.add_url_rule(jobs, view_func=self.create_job, methods=["POST"])
        app.add_url_rule(f"{jobs}/<name>/status", view_func=self.status)
        app.add_url_rule(f"{jobs}/<name>", "deleted", self.nothing, methods=["DELETE"])
        self.server = make_server("127.0.0.1", 0, app, threaded=True)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def configuration(self) -> Path:
        """A kubeconfig that leads here."""
        path = self.folder / "kubeconfig"
        document = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "here",
            "clusters": [{"name": "here", "cluster": {"server": f"http://127.0.0.1:{self.server.server_port}"}}],
            "users": [{"name": "me", "user": {}}],
            "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me"}}],
        }
        path.write_text(json.dumps(document), encoding="utf-8")
        return path

    def create_secret(self, namespace: str) -> dict[str, Any]:
        """Keep a secret."""
        body = request.get_json()
        self.secrets[body["metadata"]["name"]] = {k: base64.b64decode(v).decode() for k, v in body["data"].items()}
        return body

    def create_job(self, namespace: str) -> dict[str, Any]:
        """Start the one container of a job."""
        body = request.get_json()
        name = body["metadata"]["name"]
        (container,) = body["spec"]["template"]["spec"]["containers"]
        workdir = self.folder / name
        workdir.mkdir()
        # OPENBLAS_*: other kernels round otherwise, and shards would differ in a last bit.
        variables = {k: v for k, v in os.environ.items() if re.fullmatch("HOME|LANG|PLANEDICT_CACHE|OPENBLAS_.*", k)}
        variables |= {"PYTHONPATH": str(self.checkout), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        variables |= {"PIP_NO_INDEX": "1", "PIP_NO_DEPS": "1", "PIP_FIND_LINKS": str(self.folder)}
        for variable in container["env"]:
            key = variable["valueFrom"]["secretKeyRef"]
            variables[variable["name"]] = self.secrets[key["name"]][key["key"]]
        command = [*container["command"], *container["args"]]
        with (self.folder / f"{name}.log").open("wb") as log:
            self.processes[name] = subprocess.Popen(command, cwd=workdir, env=variables, stdout=log, stderr=log)
        self.bodies[name] = body
        return body

    def status(self, namespace: str, name: str) -> dict[str, Any]:
        """What became of a job."""
        code = self.processes[name].poll()
        counts = {"active": 1} if code is None else {"succeeded": 1} if code == 0 else {"failed": 1}
        return self.bodies[name] | {"status": counts}

    def pods(self, namespace: str) -> dict[str, Any]:
        """The pod of the job that is asked for."""
        name = request.args["labelSelector"].split("=")[1]
        code = self.processes[name].poll()
        state = {"running": {}} if code is None else {"terminated": {"exitCode": code}}
        phase = {None: "Running", 0: "Succeeded"}.get(code, "Failed")
        containers = [
            {"name": "snakemake", "image": "", "imageID": "", "ready": True, "restartCount": 0, "state": state}
        ]
        pod = {"metadata": {"name": name}, "status": {"phase": phase, "containerStatuses": containers}}
        return {"kind": "PodList", "apiVersion": "v1", "items": [pod]}

    def log(self, namespace: str, name: str) -> Response:
        """What a pod has printed."""
        return Response((self.folder / f"{name}.log").read_bytes(), mimetype="text/plain")

    def nothing(self, namespace: str, name: str) -> dict[str, Any]:
        """Agree to a deletion, and keep what it is of for the test to look at."""
        return {"kind": "Status", "status": "Success"}
