"""Answers computed another way: dense NumPy, enumeration of faces, and optimality conditions written out."""

from itertools import combinations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Array = NDArray[np.float64]


def gramian(rows: Tensor) -> Tensor:
    """``J J'`` in float64, symmetric to the last bit."""
    G = rows.double() @ rows.double().mT
    return (G + G.mT) / 2


def mean_square(G: Tensor) -> Tensor:
    """trace G / K, the measure of relative gaps."""
    return G.diagonal(dim1=-2, dim2=-1).mean(dim=-1)


def min_norm_by_faces(G: Array) -> tuple[Array, float]:
    """Min-norm weights by trying each of the ``2^K - 1`` faces; weights and gap of the best."""
    K = len(G)
    best, least = np.zeros(K), np.inf
    for size in range(1, K + 1):
        for face in combinations(range(K), size):
            inside = G[np.ix_(face, face)]
            bordered = np.block([[inside, np.ones((size, 1))], [np.ones((1, size)), np.zeros((1, 1))]])
            answer = np.linalg.lstsq(bordered, np.append(np.zeros(size), 1.0), rcond=None)[0][:size]
            w = np.zeros(K)
            w[list(face)] = np.clip(answer, 0, None)
            if w.sum() <= 0:
                continue
            w /= w.sum()
            q = G @ w
            gap = w @ q - q.min()
            if gap < least:
                best, least = w, gap
    return best, float(least)


def polar_factor(rows: Array) -> Array:
    """Nearest matrix with orthonormal rows on the row space, from the singular value decomposition of J itself."""
    left, values, right = np.linalg.svd(rows, full_matrices=False)
    kept = values > values[0] * 1e-10
    return np.asarray(left[:, kept] @ right[kept])


def project_simplex_by_bisection(point: Array) -> Array:
    """The threshold of the projection found by bisection."""
    low, high = point.min() - 1.0, point.max()
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if np.clip(point - middle, 0, None).sum() > 1 else (low, middle)
    return np.clip(point - (low + high) / 2, 0, None)


def worst_conflict(rows: Tensor, weights: Tensor) -> Tensor:
    """Smallest cosine between ``d = J'w`` and a gradient, ``[...]``; at least 0 where d is non-conflicting."""
    d = (weights.unsqueeze(-1) * rows.double()).sum(dim=-2)
    lengths = rows.double().norm(dim=-1) * d.norm(dim=-1, keepdim=True)
    products = (rows.double() @ d.unsqueeze(-1)).squeeze(-1)
    return torch.where(lengths > 0, products / lengths, 0.0).amin(dim=-1)
