"""The report of runs: what it draws is what the runs wrote, its files compute them again, and what is left out is said."""

import base64
import json
import re
from pathlib import Path

import numpy as np
import pytest

from moo_mtl import cli, config, report, runs
from moo_mtl.errors import MooMtlError

pytest.importorskip("plotly", reason="the extra [report] is not installed")

TOY = """
kind = "trace"
problem = { name = "two-task-toy", scale = 0.1 }
rule = ["mgda", { name = "db-mtl", lower_bound = "problem" }]
seed = [0, 1]
optimizer = "adam"
lr = 1e-2
steps = 300
"""
GATES = """
kind = "train"
data = "logic-gates"
model = "gates"
rule = ["equal", "mgda"]
single_tasks = ["xor", "and"]
lr = 0.05
epochs = 3
certify_every = 1
batch_size = 2
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two small experiments, run by the command."""
    folder = tmp_path_factory.mktemp("report")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(runs, "_package_digest", lambda: "the package")
        for name, text in (("toy", TOY), ("gates", GATES)):
            Path(f"{name}.toml").write_text(text, encoding="utf-8")
            patch.setattr("sys.argv", ["moo-mtl", "run", f"{name}.toml"])
            with pytest.raises(SystemExit) as stopped:
                cli.main()
            assert stopped.value.code == 0
        yield folder


def page(written):
    return written.file.read_text(encoding="utf-8")


def figures(text):
    """The figures in a page, by title."""
    (data,) = re.findall(r'<script type="application/json" id="report-data">(.*?)</script>', text, flags=re.DOTALL)
    return {figure["title"]: figure for figure in json.loads(data)["figures"]}


def unpacked(array):
    flat = np.frombuffer(base64.b64decode(array["bdata"]), dtype="<f4")
    return flat.reshape([int(n) for n in array["shape"].split(",")]) if "shape" in array else flat


def files(text):
    """The experiment files that a page shows, unescaped."""
    from html import unescape

    return [unescape(block) for block in re.findall(r"</summary><pre>(.*?)</pre>", text, flags=re.DOTALL)]


def test_ends_and_certificates_are_those_of_the_runs(folder):
    drawn = figures(page(report.write(folder / "runs" / "toy", folder / "toy.html")))["Fronts and trajectories"]
    ends = {trace["name"]: trace for trace in drawn["data"] if trace["mode"] == "markers" and trace["meta"]}
    for rule in ("mgda", "db-mtl"):
        traces = [
            runs.read(file.parent)
            for file in (folder / "runs" / "toy").glob("*/status.json")
            if json.loads((file.parent / "config.json").read_text())["rule"]["name"] == rule
        ]
        traces.sort(key=lambda run: run.config["seed"])
        each = [run.metrics["of each start"] for run in traces]
        losses = np.concatenate([np.array(one["losses"]) for one in each])
        found = np.column_stack([unpacked(ends[rule]["x"]), unpacked(ends[rule]["y"])])
        np.testing.assert_allclose(found, losses, rtol=1e-6)
        upper = np.concatenate([one["upper bound"] for one in each])
        np.testing.assert_allclose(unpacked(ends[rule]["customdata"])[:, 3], upper, rtol=1e-6)


def test_plotly_itself_accepts_every_figure(folder):
    import plotly.graph_objects as go

    drawn = figures(page(report.write(folder / "runs", folder / "all.html")))
    assert {"Fronts and trajectories", "Weights", "Cosines between gradients", "Trajectories in the space of x"} <= drawn.keys()
    for figure in drawn.values():
        assert figure["caption"].endswith(".")
        data = [{key: value for key, value in trace.items() if key != "meta"} for trace in figure["data"]]
        go.Figure({"data": data, "layout": figure["layout"]})  # raises on an unknown key or value


def test_cosines_are_of_the_raw_gradients(folder):
    drawn = figures(page(report.write(folder / "runs" / "toy", folder / "toy.html")))["Cosines between gradients"]
    values = unpacked(drawn["data"][-1]["y"])
    assert np.all(np.abs(values) <= 1 + 1e-6)
    assert len(np.unique(values.round(3))) > 10


def test_its_experiment_file_computes_the_same_runs(folder):
    """The hash of a run's folder is over its configuration, so equal folders are equal configurations."""
    for experiment in ("toy", "gates"):
        text = page(report.write(folder / "runs" / experiment, folder / f"{experiment}.html"))
        together, *single = files(text)
        (folder / "again.toml").write_text(together, encoding="utf-8")
        again = config.read(folder / "again.toml")
        wanted = {file.parent.name for file in (folder / "runs" / experiment).glob("*/status.json")}
        assert {runs.locate(folder, "again", one.resolved()).folder.name for one in again.singles} == wanted
        alone = [one for one in single if "tasks" not in one]
        (folder / "one.toml").write_text(alone[0], encoding="utf-8")
        assert runs.locate(folder, "one", config.read(folder / "one.toml").singles[0].resolved()).folder.name in wanted


def test_half_batch_estimates_of_training_are_drawn_over_its_epochs(folder):
    drawn = figures(page(report.write(folder / "runs" / "gates", folder / "gates.html")))
    trace = drawn["Length of the weighted gradient, signed half-batch estimate"]["data"][-1]
    assert unpacked(trace["x"]).tolist() == [1.0, 1.5, 2.0, 2.5, 3.0]  # two steps an epoch; the first has no earlier weights


def test_a_single_run_has_a_report(folder):
    (run, *_) = sorted((folder / "runs" / "toy").glob("*/status.json"))
    written = report.write(run.parent, folder / "one.html")
    assert written.runs == 1
    assert "Fronts and trajectories" in figures(page(written))


def test_unfinished_and_foreign_runs_are_counted(folder, tmp_path):
    for number, source in enumerate(sorted((folder / "runs" / "toy").glob("*/status.json"))):
        place = tmp_path / "toy" / source.parent.name
        place.mkdir(parents=True)
        for file in source.parent.iterdir():
            (place / file.name).write_bytes(file.read_bytes())
        if number == 0:
            (place / "status.json").write_text(json.dumps({**json.loads(source.read_text()), "state": "unfinished"}))
        if number == 1:
            (place / "result.npz").write_bytes(b"half")
    written = report.write(tmp_path, tmp_path / "report.html")
    assert "1 of 3 runs are not finished" in " ".join(written.notes)
    assert "result.npz is not what the run wrote" in " ".join(written.notes)


@pytest.mark.parametrize(
    ("place", "out", "sentence"),
    [
        ("nowhere", "r.html", "there is no folder"),
        (".", "r.html", "no run lies below"),
        (".", "r.pdf", "must be a file that ends in .html"),
    ],
)
def test_what_cannot_be_reported_is_one_sentence(tmp_path, place, out, sentence):
    with pytest.raises(MooMtlError, match=sentence):
        report.write(tmp_path / place, tmp_path / out)
