"""How near are generated data to real ones? A classifier that is to tell them apart, and a few numbers to read.

The two-sample test of David Lopez-Paz, Maxime Oquab, "Revisiting Classifier Two-Sample Tests", ICLR 2017,
https://arxiv.org/abs/1610.06545: a classifier is trained on half of as many real and generated samples, and the other
half says how well it tells them. An AUROC of 0.5 means that it cannot, 1 that it always can.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metaenv.delimited import read_sheet
from metaenv.markdown import table
from metaenv.supervised.families.blood_cells import drawn
from metaenv.supervised.families.gene_expression import load_expression, simulated
from metaenv.supervised.families.image_files import load_images
from metaenv.supervised.families.light_curve_models import FAMILIES, Pulsation
from metaenv.typing import Floats

SEED, TREES = 2017, 300  # (chosen)
FEWEST = 20  # samples that there are of a kind of star, or it is left out (chosen)
STARS = {
    "RR Lyrae ab": ("RRLyr", "RRab"), "RR Lyrae c": ("RRLyr", "RRc"), "Cepheid F": ("Cep", "F"),
    "Cepheid 1O": ("Cep", "1"), "W Virginis": ("T2Cep", "WVir"),
}  # fmt: skip
"""The families whose Fourier parameters were fitted to OGLE-III, and what the catalogue calls them."""
COLUMNS = ("period_day", "amplitude_I_mag", "R21", "R31", "phi21", "phi31")
NOT_GIVEN = -90.0  # values below are "none" in OGLE's tables
DECILES = np.linspace(0.1, 0.9, 9)
Statistics = dict[str, Floats]
"""By name, a number of each sample, for a reader."""


FLOOR, CEILING = 100.0, 16_000.0  # of an intensity, which is none below and saturated above


def log_intensities(x: Floats) -> Floats:
    """Logarithms of an array's intensities, as for Golub's data: Dudoit, Fridlyand, Speed 2002, JASA 97, 77, sec. 3."""
    return np.log10(np.clip(x, FLOOR, CEILING))


@dataclass(frozen=True)
class Realism:
    """Lines of Markdown, and the numbers."""

    lines: list[str]
    values: list[dict[str, Any]]


def realism(data: Path) -> Realism:
    """Compare each generator with the files of a folder that it may be compared with; nothing of what is not there."""
    rows: list[dict[str, Any]] = []
    for file, compare in COMPARISONS.items():
        if (data / file).exists():
            rows += compare(data / file)
    if not rows:
        return Realism([], [])
    shown = [[r["what"], f"{r['auroc']:.3f}", f"{r['accuracy']:.3f}", str(r["tested"]), r["marginals"]] for r in rows]
    head = ["generated and real", "AUROC", "accuracy", "tested", "medians: generated, real (distance of Kolmogorov)"]
    note = f"A random forest of {TREES} trees, trained on half of the samples, as many real as generated ones."
    return Realism(
        ["## How near generated data are to real ones", "", *table(head, shown, text=(0, 4)), "", note], rows
    )


def two_samples(generated: Floats, real: Floats, rng: np.random.Generator) -> dict[str, Any]:
    """How well a classifier tells samples (n, features) from others (m, features): "auroc", "accuracy", "tested".

    As many of each are taken, at random, and half of them are for the test.
    """
    ensemble: Any = import_module("sklearn.ensemble")
    metrics: Any = import_module("sklearn.metrics")
    n = min(len(generated), len(real)) // 2 * 2
    x = np.concatenate([part[rng.permutation(len(part))[:n]] for part in (generated, real)])
    y, test = np.repeat([0, 1], n), np.tile(np.repeat([False, True], n // 2), 2)
    forest = ensemble.RandomForestClassifier(TREES, random_state=SEED).fit(x[~test], y[~test])
    score = forest.predict_proba(x[test])[:, 1]
    return {
        "auroc": float(metrics.roc_auc_score(y[test], score)),
        "accuracy": float(metrics.accuracy_score(y[test], score > 0.5)),
        "tested": int(test.sum()),
    }


def _row(what: str, generated: Floats, real: Floats, statistics: tuple[Statistics, Statistics]) -> dict[str, Any]:
    told = two_samples(generated, real, np.random.default_rng(SEED))
    return {"what": what, **told, "marginals": _marginals(*statistics)}


def _marginals(generated: Statistics, real: Statistics) -> str:
    told: list[str] = []
    for name, made in generated.items():
        apart = f" ({_distance(made, real[name]):.2f})" if min(len(made), len(real[name])) > 1 else ""
        told.append(f"{name} {np.median(made):.2f}, {np.median(real[name]):.2f}{apart}")
    return "; ".join(told)


def _distance(a: Floats, b: Floats) -> float:
    """Kolmogorov's: the largest difference between the shares of two samples, (n,) and (m,), below the same value."""
    at = np.sort(np.concatenate([a, b]))
    shares = [np.searchsorted(np.sort(x), at, side="right") / len(x) for x in (a, b)]
    return float(np.abs(shares[0] - shares[1]).max())


def _blood_cells(path: Path) -> list[dict[str, Any]]:
    """White cells only, as the generator draws no others."""
    crops, cells = load_images(path), drawn("train", 30)
    real, made = (d.x.numpy() / 255.0 for d in (crops.take(np.flatnonzero(crops.y == "WBC")), cells))
    return [
        _row(
            "blood cells: drawn, white cells of BCCD", _flat(made), _flat(real), (_of_picture(made), _of_picture(real))
        )
    ]


def _flat(x: Floats) -> Floats:
    return x.reshape(len(x), -1)


def _of_picture(x: Floats) -> Statistics:
    """Of pictures (n, 3, height, width) from 0 to 1."""
    steps = np.abs(np.diff(x, axis=3)).mean(axis=(1, 2, 3))
    return {
        "brightness": x.mean(axis=(1, 2, 3)),
        "spread of pixels": x.mean(axis=1).std(axis=(1, 2)),
        "blue less green": (x[:, 2] - x[:, 1]).mean(axis=(1, 2)),
        "step to the next pixel": steps,
    }


def _genes(path: Path) -> list[dict[str, Any]]:
    """Genes are standardised in each data set, as neither their names nor their units are the same."""
    measured = load_expression(path)
    real, classes = measured.x.double().numpy(), measured.y
    real = log_intensities(real) if path.name == "golub.npz" else real
    kept = np.argsort(-real.var(axis=0), kind="stable")[:256]
    cells = simulated("train", 40)
    cells = cells.take(np.isin(cells.y, np.unique(cells.y)[: len(np.unique(classes))]))
    made, types = cells.x.double().numpy(), cells.y
    both = [_standard(x) for x in (made, np.take(real, kept, axis=1))]
    made_deciles, real_deciles = (np.quantile(x, DECILES, axis=1).T for x in both)
    statistics = _of_genes(both[0], types), _of_genes(both[1], classes)
    return [_row(f"gene expression: single cells, {path.stem}'s arrays", made_deciles, real_deciles, statistics)]


def _standard(x: Floats) -> Floats:
    x = x[:, np.flatnonzero(x.std(axis=0) > 0)]
    return (x - x.mean(axis=0)) / x.std(axis=0)


def _of_genes(x: Floats, y: NDArray[Any]) -> Statistics:
    """Of each gene, or of each principal component, of standardised expression (samples, genes)."""
    between = sum((y == c).mean() * x[y == c].mean(axis=0) ** 2 for c in np.unique(y))
    strength = np.linalg.svd(x, compute_uv=False) ** 2
    return {
        "skewness of a gene": (x**3).mean(axis=0),
        "share of variance between kinds": np.asarray(between),
        "share of the first component": strength[:1] / strength.sum(),
    }


def _stars(path: Path) -> list[dict[str, Any]]:
    """Fourier parameters of pulsating stars, as a survey that sees everything would find them."""
    sheet = read_sheet(path)
    known = {name: np.array([cell.text for cell in sheet.column(name)]) for name in ("type", "subtype", *COLUMNS)}
    values = np.stack([known[name].astype(float) for name in COLUMNS], axis=1)
    rng, rows = np.random.default_rng(SEED), list[dict[str, Any]]()
    for family in FAMILIES:
        if family.name in STARS and isinstance(family.model, Pulsation):
            kind, subtype = STARS[family.name]
            real = values[(known["type"] == kind) & (known["subtype"] == subtype) & (values > NOT_GIVEN).all(axis=1)]
            if len(real) < FEWEST:
                continue
            made = family.model.parameters(rng.random((len(real), 8)))
            ours, theirs = _of_star(made), _of_star(real)
            columns = [np.stack(list(x.values()), axis=1) for x in (ours, theirs)]
            told = [{name: x[name] for name in ("log period", "log amplitude", "R21", "R31")} for x in (ours, theirs)]
            rows.append(_row(f"light curves: {family.name}, OGLE-III", columns[0], columns[1], (told[0], told[1])))
    return rows


def _of_star(x: Floats) -> Statistics:
    log_period, log_amplitude = np.log10(np.maximum(x[:, :2], 1e-6)).T
    phases = {f"{f.__name__} phi{n}1": f(x[:, 2 + n]) for n in (2, 3) for f in (np.cos, np.sin)}
    return {"log period": log_period, "log amplitude": log_amplitude, "R21": x[:, 2], "R31": x[:, 3], **phases}


COMPARISONS: Mapping[str, Callable[[Path], list[dict[str, Any]]]] = {
    "bccd/bccd_crops28.npz": _blood_cells,
    "microarray/khan.npz": _genes,
    "microarray/golub.npz": _genes,
    "astro/ogle3_fourier_sample.csv": _stars,
}
"""By file."""
