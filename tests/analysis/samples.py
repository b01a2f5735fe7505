"""Samples whose mutual information is known, and the truth of each."""

from __future__ import annotations

import math

import numpy as np
from scipy.integrate import quad
from scipy.special import expit
from scipy.stats import entropy, norm


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def gaussians(nats: float, d: int, n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """d pairs of Gaussians that share ``nats`` in all."""
    rho = math.sqrt(1 - math.exp(-2 * nats / d))
    x, noise = rng(seed).standard_normal((2, n, d))
    return x, rho * x + math.sqrt(1 - rho**2) * noise


def logistic(slope: float, bias: float, n: int, columns: int = 1, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Gaussian columns, the first of which decides P(Y = 1 | x) = sigmoid(slope x + bias)."""
    x = rng(seed).standard_normal((n, columns))
    return x, rng(seed + 1).random(n) < expit(slope * x[:, 0] + bias)


def binary(p: float) -> float:
    return float(entropy([p, 1 - p]))


def logistic_truth(slope: float, bias: float) -> float:
    mean = quad(lambda t: norm.pdf(t) * expit(slope * t + bias), -9, 9)[0]
    left = quad(lambda t: norm.pdf(t) * binary(expit(slope * t + bias)), -9, 9)[0]
    return binary(mean) - left
