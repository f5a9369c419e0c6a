"""Figures show exactly what they are given, and a rule looks the same in all of them."""

import subprocess
import sys

import matplotlib
import numpy as np
import pytest
import torch

matplotlib.use("Agg")
import itertools

from matplotlib import pyplot as plt
from matplotlib.colors import to_rgb

from moo_mtl import plotting, problems
from moo_mtl.errors import InputError, RunError
from moo_mtl.plotting import style

VISIONS = {  # of linear RGB; Machado, Oliveira and Fernandes (2009), severity 1
    "all cones": np.eye(3),
    "no red cones": np.array([[0.1523, 1.0526, -0.2049], [0.1145, 0.7863, 0.0992], [-0.0039, -0.0481, 1.0520]]),
    "no green cones": np.array([[0.3673, 0.8606, -0.2280], [0.2801, 0.6725, 0.0474], [-0.0118, 0.0429, 0.9689]]),
}
LEAST = {"all cones": 25, "no red cones": 15, "no green cones": 9}  # Okabe and Ito's grey and green are the nearest

DEMO = ("equal", "mgda", "db-mtl", "bmtl", "task-tensioner", "ema")


@pytest.fixture
def ax():
    with plt.rc_context(style.rc("icml")):
        figure, axis = plt.subplots()
        yield axis
        figure.canvas.draw()  # whatever was drawn can be rendered without a warning
        plt.close(figure)


def test_looks_of_the_demo_differ_in_colour_marker_and_line():
    looks = [style.look(name) for name in DEMO]
    for part in zip(*looks, strict=True):
        assert len(set(part)) == len(DEMO)


def test_every_named_rule_has_a_look_of_its_own():
    looks = [style.look(name)[:2] for name in (*style._WEIGHTING, *style._FRONTS)]
    assert len(set(looks)) == len(looks)


@pytest.mark.parametrize("family", [style._WEIGHTING[: len(style.COLOURS)], style._FRONTS])
def test_rules_that_share_figures_have_a_colour_each(family):
    assert len({style.look(name).colour for name in family}) == len(family)


def test_mgda_is_told_from_what_it_is_compared_with_on_a_front():
    others = ("linear", "tchebycheff", "stch", "epo", "pbi", "cosmos", "pmgda", "pmtl")
    assert style.look("mgda").colour not in {style.look(name).colour for name in others}


@pytest.mark.parametrize("n", [1, 2, 4, 5, 6])
def test_the_lowest_panel_of_every_column_has_its_axis_named(n):
    figure = plotting.front_panels({f"rule {k}": np.random.default_rng(k).random((5, 2)) for k in range(n)})
    shown = [panel for panel in figure.axes if panel.get_visible()]
    columns = min(3, n)
    named = [bool(panel.get_xlabel()) and all(label.get_visible() for label in panel.get_xticklabels()) for panel in shown]
    assert named == [place + columns >= n for place in range(n)]


@pytest.mark.parametrize("vision", VISIONS)
def test_colours_differ_for_all_kinds_of_colour_vision(vision):
    seen = [_lab(np.clip(VISIONS[vision] @ _linear(colour), 0, 1)) for colour in style.COLOURS]
    assert min(np.linalg.norm(one - other) for one, other in itertools.combinations(seen, 2)) > LEAST[vision]


def _linear(colour):
    rgb = np.array(to_rgb(colour))
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def _lab(linear):
    """CIELAB, in which a distance of 2 is just seen."""
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    xyz = to_xyz @ linear / to_xyz.sum(axis=1)
    x, y, z = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def test_neighbouring_colours_differ_in_grey():
    grey = [np.dot(to_rgb(colour), (0.299, 0.587, 0.114)) for colour in style.COLOURS]
    assert min(abs(a - b) for a, b in itertools.pairwise(grey)) > 0.08


def test_an_unseen_name_looks_the_same_in_another_process():
    command = "from moo_mtl.plotting import style; print(style.look('my-own-rule'))"
    other = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True).stdout.strip()
    assert other == str(style.look("my-own-rule"))


def test_plotting_does_not_import_matplotlib_until_it_draws():
    command = "import sys, moo_mtl.plotting; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", command], check=False).returncode == 0


@pytest.mark.parametrize("venue", style.VENUES)
def test_venues(venue):
    width, height = style.size(venue, columns=2, aspect=0.5)
    assert height == width / 2 >= style.size(venue)[0] / 2
    with plt.rc_context(style.rc(venue)):
        assert plt.rcParams["pdf.fonttype"] == 42


def test_unknown_venue():
    with pytest.raises(InputError, match="did you mean 'neurips'"):
        style.size("neurisp")


def test_landscape_covers_starts_and_pareto_set(ax):
    toy = problems.get("two-task-toy")
    assert plotting.landscape(toy, ax, resolution=40) is ax
    points = torch.cat([toy.starts, toy.pareto_set(5)])
    (left, right), (low, high) = ax.get_xlim(), ax.get_ylim()
    assert left < points[:, 0].min() < points[:, 0].max() < right
    assert low < points[:, 1].min() < points[:, 1].max() < high


def test_landscape_of_a_box_and_of_equal_heights(ax):
    box = problems.from_function(lambda x: x.square().sum(-1, keepdim=True) * 0, n_tasks=1, n_dim=2, bounds=(-1, 2))
    with pytest.raises(InputError, match="flat"):
        plotting.landscape(box, ax)
    bowl = problems.from_function(lambda x: x.square().sum(-1, keepdim=True), n_tasks=1, n_dim=2, bounds=(-1, 2))
    plotting.landscape(bowl, ax, resolution=20, levels=5)
    assert ax.get_xlim() == (-1, 2)
    with pytest.raises(InputError, match="two-dimensional"):
        plotting.landscape(problems.get("fonseca"), ax)


def test_trajectories_end_where_they_end_and_mark_what_moves(ax):
    x = torch.randn(7, 3, 2)
    assert plotting.trajectories(x, ax, name="mgda", moving=torch.tensor([True, False, False])) is ax
    *tracks, start, still, moving = ax.lines
    assert len(tracks) == 3
    np.testing.assert_array_equal(tracks[1].get_xydata(), x[:, 1])
    np.testing.assert_array_equal(start.get_xydata(), x[0])
    np.testing.assert_array_equal(still.get_xydata(), x[-1, 1:])
    np.testing.assert_array_equal(moving.get_xydata(), x[-1, :1])
    assert moving.get_markerfacecolor() == "white" != still.get_markerfacecolor()
    assert still.get_marker() == style.look("mgda").marker


def test_front_in_two_and_three_dimensions(ax):
    points = problems.get("fonseca").front(9)
    plotting.front(points, ax, name="epo")
    np.testing.assert_array_equal(ax.collections[0].get_offsets(), points)
    figure = plt.figure()
    solid = figure.add_subplot(projection="3d")
    assert plotting.front(torch.rand(6, 3), solid) is solid
    figure.canvas.draw()
    plt.close(figure)


def test_certificate_band_keeps_within_sight(ax):
    steps = torch.arange(5)
    upper = torch.tensor([1.0, 0.1, 0.01, 1e-3, 0.0]).unsqueeze(-1) * torch.tensor([1.0, 2.0])
    plotting.certificate(steps, upper / 2, upper, ax, name="mgda")
    low, high = ax.get_ylim()
    assert ax.get_yscale() == "log"
    assert 1e-5 < low < 1e-3 < 2 < high < 10  # a bound of zero does not stretch the axis
    plotting.certificate(steps, upper, 100 * upper, ax, name="equal")
    assert ax.get_ylim()[0] == pytest.approx(low)
    assert ax.get_ylim()[1] > 200


def test_certificates_that_share_an_axis_are_all_within_sight():
    with plt.rc_context(style.rc()):
        figure, (first, second) = plt.subplots(1, 2, sharey=True)
        plotting.certificate([1, 2], [0.0, 0.0], [1.0, 1e-6], first)
        plotting.certificate([1, 2], [0.0, 0.0], [1.0, 0.5], second)
        assert first.get_ylim()[0] < 1e-6
        plotting.certificate([1, 2], [0.0, 0.0], [1.0, 1e-17], second)  # rounding does not stretch it either
        assert first.get_ylim()[0] == pytest.approx(1e-9)
        figure.canvas.draw()
        plt.close(figure)


def test_learning_curves_show_mean_and_spread(ax):
    values = np.array([[1.0, 3.0], [2.0, 6.0]])
    plotting.learning_curves([1, 2], values, ax, name="bmtl")
    np.testing.assert_allclose(ax.lines[0].get_ydata(), [2, 4])
    band = ax.collections[0].get_paths()[0].vertices[:, 1]
    assert band.max() == pytest.approx(4 + np.sqrt(8))
    plotting.learning_curves([1, 2], [0.0, 1.0], ax)  # a single seed has no spread
    assert len(ax.collections) == 1


def test_task_weights_with_and_without_seeds(ax):
    weights = torch.softmax(torch.randn(4, 3, 2), dim=-1)
    plotting.task_weights(range(4), weights, ax, tasks=("left", "right"))
    np.testing.assert_allclose(ax.lines[1].get_ydata(), weights[..., 1].mean(dim=1))
    assert ax.get_legend_handles_labels()[1] == ["left", "right"]
    plotting.task_weights(range(4), weights[:, 0], ax)
    assert ax.get_legend_handles_labels()[1][-1] == "task 2"


def test_parallel_coordinates_are_shares_of_each_range(ax):
    plotting.parallel_coordinates(torch.tensor([[0.0, 5.0, 7.0], [2.0, 6.0, 7.0], [1.0, 5.5, 7.0]]), ax, name="stch")
    np.testing.assert_allclose([line.get_ydata() for line in ax.lines], [[0, 0, 0], [1, 1, 0], [0.5, 0.5, 0]])


def test_radviz_pulls_points_towards_their_worst_losses(ax):
    plotting.radviz(torch.tensor([[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 1.0]]), ax, name="epo")
    expected = [[1, 0], [0, 1], [-0.5, -0.5]]
    np.testing.assert_allclose(ax.collections[0].get_offsets(), expected, atol=1e-12)


def test_petals_are_shares_of_the_ranges():
    with plt.rc_context(style.rc()):
        figure, ax = plt.subplots(subplot_kw={"projection": "polar"})
        plotting.petal([1.0, 3.0, 0.0], ax, low=[0.0, 1.0, 0.0], high=[2.0, 5.0, 1.0])
        np.testing.assert_allclose([petal.get_height() for petal in ax.patches], [0.5, 0.5, 0])
        figure.canvas.draw()
        plt.close(figure)


def test_a_paper_figure_is_the_same_file_twice_and_blocked_folders_are_named(tmp_path):
    from paper_figs.style import figure

    for name in ("one", "two"):
        with figure(tmp_path / "figures" / name, venue="icml", columns=2) as axis:
            plotting.front(problems.get("zdt1").front(20), axis)
    for suffix in ("pdf", "png"):
        first, second = ((tmp_path / "figures" / f"{name}.{suffix}").read_bytes() for name in ("one", "two"))
        assert first == second
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot be written"), figure(tmp_path / "file" / "below"):
        pass
    with pytest.raises(ValueError, match="own"), figure(tmp_path / "unfinished"):
        raise ValueError("own")
    assert not list(tmp_path.glob("unfinished*"))
    assert not plt.get_fignums()
