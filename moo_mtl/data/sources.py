"""Where the files of the data sets can be fetched, and which files a set reads."""

from __future__ import annotations

from typing import NamedTuple

from moo_mtl.data.checksums import SHA256


class Source(NamedTuple):
    """One download.

    Attributes:
        url: of the original file; its checksum is the content's unless it is packed.
        member: the file's name inside a zip archive.
    """

    url: str
    member: str | None = None


_GITHUB = "https://raw.githubusercontent.com"
_UCI = "https://archive.ics.uci.edu"
_IDX = [f"{part}-{kind}" for part in ("train", "t10k") for kind in ("images-idx3-ubyte", "labels-idx1-ubyte")]
_MULTI_LABEL = [name.split("/")[1] for name in SHA256 if name.startswith("mulan_mlc/")]
_MULTI_TARGET = [name.split("/")[1] for name in SHA256 if name.startswith("mulan_mtr/")]

# File to download. Files that are derived from others are not here: checksums.ORIGIN says from what.
SOURCES: dict[str, Source] = {
    "adult/adult.data": Source(f"{_UCI}/static/public/2/adult.zip", "adult.data"),
    "adult/adult.test": Source(f"{_UCI}/static/public/2/adult.zip", "adult.test"),
    "census_income_kdd_test/census-income.test": Source(
        f"{_UCI}/ml/machine-learning-databases/census-income-mld/census-income.test.gz"
    ),
    "german_credit/german.csv": Source(f"{_GITHUB}/algofairness/fairness-comparison/master/fairness/data/raw/german.csv"),
    "landmine/LandmineData.mat": Source(f"{_GITHUB}/daizhongxiang/Federated_Bayesian_Optimization/master/LandmineData.mat"),
    "parkinsons/parkinsons_updrs.data": Source(f"{_GITHUB}/shikashyam/ParkinsonsTelemonitoring/master/parkinsons_updrs.data"),
    "sarcos_test/sarcos_inv_test.mat": Source("http://www.gaussianprocess.org/gpml/data/sarcos_inv_test.mat"),
    "school/school.mat": Source(f"{_GITHUB}/jiayuzhou/MALSAR/master/data/school.mat"),
    **{f"mnist/{name}": Source(f"https://ossci-datasets.s3.amazonaws.com/mnist/{name}.gz") for name in _IDX},
    **{
        f"fashion_mnist/{name}": Source(f"{_GITHUB}/zalandoresearch/fashion-mnist/master/data/fashion/{name}.gz")
        for name in _IDX
    },
    **{
        f"kmnist_10k/kmnist-test-{kind}.npz": Source(f"http://codh.rois.ac.jp/kmnist/dataset/kmnist/kmnist-test-{kind}.npz")
        for kind in ("imgs", "labels")
    },
    **{
        f"mulan_mlc/{name}": Source(
            f"{_GITHUB}/tsoumakas/mulan/master/data/multi-label/{name.removesuffix('.arff').partition('-')[0]}/{name}"
        )
        for name in _MULTI_LABEL
    },
    **{f"mulan_mtr/{name}": Source(f"{_GITHUB}/tsoumakas/mulan/master/data/multi-target/{name}") for name in _MULTI_TARGET},
    "mulan_mtr/rf1.arff": Source(f"{_GITHUB}/Zhendong-Wang/Probabilistic-Conformal-Prediction/main/data/rf1.arff"),
}

# Data set to the folders that it reads below the data folder; a set that is not here needs no file.
FOLDERS: dict[str, tuple[str, ...]] = {
    "multi-mnist": ("mnist",),
    "multi-fashion": ("fashion_mnist",),
    "fashion-and-mnist": ("fashion_mnist", "mnist"),
    "multi-domain": ("mnist", "fashion_mnist", "kmnist_10k"),
    "adult": ("adult",),
    "compas": ("compas",),
    "census-income": ("census_income_kdd_test",),
    "adult-fairness": ("adult",),
    "compas-fairness": ("compas",),
    "german-credit": ("german_credit",),
    "camvid": ("camvid_96x128",),
    "nyuv2": ("nyuv2",),
    "cityscapes": ("cityscapes",),
    "office-31": ("office-31",),
    "office-home": ("office-home",),
    "celeba": ("celeba",),
    "sarcos": ("sarcos_test",),
    "parkinsons": ("parkinsons",),
    "mulan": ("mulan_mtr",),
    "mulan-labels": ("mulan_mlc",),
    "school": ("school",),
    "landmine": ("landmine",),
    "qm9": ("qm9_15k",),
    "qm9-graphs": ("qm9_15k",),
    "tox21": ("tox21",),
}


def files_of(name: str) -> list[str]:
    """The files with checksums that a data set reads, as paths below the data folder."""
    return [file for file in SHA256 if file.split("/")[0] in FOLDERS.get(name, ())]
