"""Massimiliano Patacchiola, Jack Turner, Elliot J. Crowley, Michael O'Boyle, Amos Storkey, "Deep Kernel Transfer".

"Bayesian Meta-Learning for the Few-Shot Setting via Deep Kernels", NeurIPS 2020, https://arxiv.org/abs/1910.05199

A Gaussian process on a learned embedding, of which network and kernel are shared by all tasks. Training raises the
marginal likelihood of each task's samples, support set and queries together (Algorithm 1); there is no inner loop, as
what is particular to a task is integrated out. Adapting is conditioning on the support set, in closed form.

For classification each class is told from the rest by a regression of labels 1 and -1, and the greatest posterior
mean wins (section 3.2 of the paper). The network's output here is 2 mean / variance of each class: with the Gaussian
predictions taken at their word, and one class being the right one, softmax of these is the posterior over classes. All
classes share the kernel, so the order is that of the means. Anomalies are refused: labels that are all the same
say nothing of a kernel.

Kernels, mean and noise are GPyTorch's (https://gpytorch.ai; Gardner et al. 2018, https://arxiv.org/abs/1809.11165),
with their constraints and first values. Conditioning is written out: GPyTorch's computes the covariance of
all queries with one another, and here one Cholesky factor serves all classes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from metaenv.limits import Positive
from metaenv.supervised.data.episodes import EpisodeBatch
from metaenv.supervised.data.problem import one_hot
from metaenv.supervised.learner import Learner, LearnerConfig
from metaenv.supervised.predictor import Adapted, Prediction

if TYPE_CHECKING:
    from gpytorch.kernels import Kernel

KernelName = Literal["rbf", "matern", "linear", "cosine", "spectral"]
MIXTURES = 4  # of the spectral kernel, as in the paper's sinusoid
LOG_2PI = math.log(2 * math.pi)


@dataclass(frozen=True)
class DeepKernelConfig(LearnerConfig):
    """Settings of `DeepKernel`."""

    kernel: KernelName | None = None
    """"rbf", "matern" (5/2), "spectral" (mixture of 4), "linear", or "cosine", which is linear in embeddings of
    length 1. None for "rbf" in regression and "cosine" in classification."""
    noise: Positive = 0.1
    """First variance of the noise, in units of the scaled y or of labels 1 and -1; it is learned (chosen)."""


class DeepKernel(Learner):
    """Deep-kernel transfer; see the module's docstring. Needs GPyTorch: ``pip install 'metaenv-science[baselines]'``.

    Predictions of regression have a standard deviation. It can be used on more or fewer classes than it is trained on.

    Raises:
        ImportError: no GPyTorch.
    """

    config_class = DeepKernelConfig
    kinds = ("classification", "regression")
    alternative = "labels that are all the same say nothing of a kernel; choose prototypical, matching or maml"
    variable_n_way = True
    config: DeepKernelConfig
    network: _Process

    def _build(self, backbone: nn.Module, features: int) -> nn.Module:
        name = self.config.kernel or ("rbf" if self.problem.kind == "regression" else "cosine")
        return _Process(backbone, features, name, self.config.noise)

    def _targets_of(self, y: Tensor) -> Tensor:
        """(tasks, samples, targets) what is regressed: y itself, or 1 and -1 for each class."""
        if self.problem.kind == "regression":
            return y[..., None]
        return 2 * one_hot(y, int(y.max()) + 1) - 1

    def _meta_loss(self, batch: EpisodeBatch) -> Tensor:
        """Minus the log marginal likelihood of all samples of a task, per sample and summed over classes."""
        x, y = batch.samples()
        return -self.network.log_likelihood(self._embed(x), self._targets_of(y)).sum(-1) / x.shape[1]

    def _adapt(self, support_x: Tensor, support_y: Tensor) -> Adapted:
        process, z, targets = self.network, self._embed(support_x), self._targets_of(support_y)
        factor = process.factor(z)

        def predict(x: Tensor) -> Prediction:
            mean, variance = process.posterior(self._embed(x), z, targets, factor)
            if self.problem.kind == "regression":
                return Prediction(mean[..., 0], variance.sqrt())
            return Prediction(2 * mean / variance[..., None])

        return predict


class _Process(nn.Module):
    """The backbone and the process on its features. From covariances on it is float64: they are ill-conditioned."""

    def __init__(self, backbone: nn.Module, features: int, name: str, noise: float) -> None:
        super().__init__()
        gpytorch = _gpytorch()
        self.backbone, self.unit_length = backbone, name == "cosine"
        self.kernel = _kernel(name, features)
        self.mean = gpytorch.means.ConstantMean()
        self.likelihood = gpytorch.likelihoods.GaussianLikelihood()
        self.likelihood.noise = noise

    def covariance(self, a: Tensor, b: Tensor) -> Tensor:
        """(tasks, n, m) between features (tasks, n, d) and (tasks, m, d)."""
        if self.unit_length:
            a, b = normalize(a, dim=-1), normalize(b, dim=-1)
        return self.kernel(a, b).to_dense().double()

    def factor(self, z: Tensor) -> Tensor:
        """(tasks, n, n) Cholesky factor of the covariance of measurements at z."""
        identity = torch.eye(z.shape[1], dtype=torch.float64, device=z.device)
        return torch.linalg.cholesky(self.covariance(z, z) + self.likelihood.noise.double() * identity)

    def log_likelihood(self, z: Tensor, targets: Tensor) -> Tensor:
        """(tasks, targets) log marginal likelihood (Rasmussen and Williams 2006, equation 5.8)."""
        factor = self.factor(z)
        residual = targets.double() - self.mean.constant.double()
        white = torch.linalg.solve_triangular(factor, residual, upper=False)
        log_volume = factor.diagonal(dim1=1, dim2=2).log().sum(-1, keepdim=True)
        return (-0.5 * white.square().sum(1) - log_volume - 0.5 * z.shape[1] * LOG_2PI).float()

    def posterior(self, query: Tensor, z: Tensor, targets: Tensor, factor: Tensor) -> tuple[Tensor, Tensor]:
        """Mean (tasks, queries, targets) and variance (tasks, queries), noise included (there, 2.25 and 2.26)."""
        constant = self.mean.constant.double()
        cross = self.covariance(z, query)  # (tasks, support, queries)
        white = torch.linalg.solve_triangular(factor, cross, upper=False)
        residual = torch.linalg.solve_triangular(factor, targets.double() - constant, upper=False)
        mean = constant + white.transpose(1, 2) @ residual
        prior: Any = self.kernel(normalize(query, dim=-1) if self.unit_length else query, diag=True)
        variance = (prior.double() - white.square().sum(1)).clamp_min(0) + self.likelihood.noise.double()
        return mean.float(), variance.float()


def _kernel(name: str, features: int) -> Kernel:
    kernels = _gpytorch().kernels
    if name == "spectral":
        kernel = kernels.SpectralMixtureKernel(num_mixtures=MIXTURES, ard_num_dims=features)
        # GPyTorch starts all mixtures alike, and alike they would stay.
        kernel.mixture_means = torch.rand_like(kernel.mixture_means)
        return kernel
    if name in ("linear", "cosine"):
        return kernels.LinearKernel()
    shapes = {"rbf": kernels.RBFKernel, "matern": kernels.MaternKernel}
    if name not in shapes:
        raise ValueError(f"expected a kernel among rbf, matern, spectral, linear and cosine, got {name!r}")
    return kernels.ScaleKernel(shapes[name]())


def _gpytorch() -> Any:
    try:
        import gpytorch
    except ImportError as error:
        raise ImportError("deep kernels need GPyTorch: pip install 'metaenv-science[baselines]'") from error
    return gpytorch
