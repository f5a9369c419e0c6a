"""Data sets for multi-task learning, as tensors: ``get("multi-digits")``, ``get("sarcos", root="folder")``."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

from moo_mtl.data.dataset import Dataset as Dataset
from moo_mtl.data.dataset import Examples as Examples
from moo_mtl.data.dataset import Target as Target
from moo_mtl.data.graphs import Graphs as Graphs
from moo_mtl.data.repeats import repeats as repeats
from moo_mtl.data.repeats import warn_of_repeats
from moo_mtl.errors import InputError, unknown
from moo_mtl.naming import check_parameters, load

# Name -> module of this package and function in it, imported on first use.
_HOME = {
    "multi-digits": ("digits", "multi_digits"),
    "csv": ("tables", "csv"),
    "logic-gates": ("gates", "logic_gates"),
    "multi-mnist": ("images", "multi_mnist"),
    "multi-fashion": ("images", "multi_fashion"),
    "fashion-and-mnist": ("images", "fashion_and_mnist"),
    "multi-domain": ("images", "multi_domain"),
    "adult": ("people", "adult"),
    "compas": ("people", "compas"),
    "census-income": ("people", "census_income"),
    "adult-fairness": ("fairness", "adult_fairness"),
    "compas-fairness": ("fairness", "compas_fairness"),
    "german-credit": ("fairness", "german_credit"),
    "camvid": ("scenes", "camvid"),
    "nyuv2": ("scenes", "nyuv2"),
    "cityscapes": ("scenes", "cityscapes"),
    "office-31": ("pictures", "office_31"),
    "office-home": ("pictures", "office_home"),
    "celeba": ("pictures", "celeba"),
    "sarcos": ("regression", "sarcos"),
    "parkinsons": ("regression", "parkinsons"),
    "mulan": ("mulan", "mulan"),
    "mulan-labels": ("mulan", "mulan_labels"),
    "school": ("populations", "school"),
    "landmine": ("populations", "landmine"),
    "qm9": ("molecules", "qm9"),
    "qm9-graphs": ("molecules", "qm9_graphs"),
    "tox21": ("molecules", "tox21"),
}
NAMES = tuple(_HOME)


def get(name: str, **parameters: Any) -> Dataset:
    """A data set by name, or from the user's own function as ``module:function``.

    Of a table or function of the user's own, a warning says how many examples of validation and test have the very inputs of a
    training example.

    Args:
        name: one of ``NAMES``, or ``module:function`` of a function that returns a ``Dataset``.
        parameters: of that data set; sets that live in files take ``root=``, the folder that holds them (default: the
            environment variable MOO_MTL_DATA).

    Raises:
        InputError: an unknown name or parameter, or a function that returns something else.
        DataError: the set's files are absent or not what their checksums promise; the message says what to do.
    """
    make = factory(name)
    check_parameters("data set", name, make, parameters)
    dataset = make(**parameters)
    if not isinstance(dataset, Dataset):
        raise InputError(f"data set {name!r} gave a {type(dataset).__name__}; its function must return a moo_mtl.data.Dataset")
    ours = ":" not in name or name.startswith("moo_mtl.")
    if not ours or name == "csv":  # of ours the counts are known
        warn_of_repeats(dataset)
    return dataset


def factory(name: str) -> Callable[..., Any]:
    """The function that makes a data set.

    Raises:
        InputError: there is none of that name.
    """
    if ":" in name:
        found = load(name, "data set")
        if not callable(found):
            raise InputError(f"data set {name!r} is not a function; it must be one that returns a moo_mtl.data.Dataset")
        return found
    if name not in _HOME:
        raise unknown("data set", name, NAMES)
    module, function = _HOME[name]
    built_in: Callable[..., Any] = getattr(import_module(f"moo_mtl.data.{module}"), function)
    return built_in
