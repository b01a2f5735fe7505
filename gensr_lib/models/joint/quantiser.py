"""The residual quantiser of GenSAR (Shi et al., arXiv 2504.05730): vectors of items as short codes.

An item has one or several vectors, its *views*. Each passes an encoder, and the latent vectors are
laid end to end. The shared codebooks approximate the whole, one after the other what is left by the
ones before; what they leave goes to each view's own codebooks, each its own part. An identifier of
a view is the shared codes and its own ones: those of all views begin alike. Straight-through
gradients and mirrored decoders train it to reconstruct the vectors (RQ-VAE, Lee et al., CVPR 2022).

The last codebook of a view assigns in balance during training: by a plan of entropic transport
(Cuturi, NeurIPS 2013) that gives all its codes as many items. After training every code is the
nearest one, and the items that then share an identifier are assigned anew in such a balance.

All randomness is torch's, so that a seed gives the same codes again.

Shapes: n items, V views, d the width of a latent vector, K codes of a codebook, L levels.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from pydantic import Field
from sklearn.cluster import KMeans
from torch import Tensor, nn

from ...config import Config
from ..layers import mlp

WEIGHT_DECAY = 1e-5  # published
BALANCING = 50  # rounds of Sinkhorn's algorithm in a step: balance as far as they bring it
CONVERGED = 200  # rounds of it for items that share an identifier
NOISE = 0.1  # on what these have left, of a codebook's spread
SEPARATING = 20  # most rounds in which items that share an identifier are assigned anew (published)
CHECKS = 10  # how often, in the second half of training, collisions are counted
PER_CENTRE = 100  # most vectors for each centre of k-means


class QuantiserConfig(Config):
    """Options of the quantiser; published values are those of GenSAR's authors."""

    codes: int = Field(256, ge=2, description="K, codes of a codebook (published: 256)")
    shared_levels: int = Field(2, ge=1, description="codebooks of all views (published: 2)")
    own_levels: int = Field(2, ge=1, description="codebooks of each view (published: 2)")
    code_width: int = Field(32, ge=1, description="d, of a view's latent vector (published: 32)")
    code_layers: tuple[int, ...] = Field(
        (512, 256, 128, 64), description="hidden units of an encoder, and back (published)"
    )
    commitment: float = Field(0.25, ge=0, description="of latents to their codes (published: 0.25)")
    sinkhorn: float = Field(
        0.003, ge=0.003, description="epsilon of the balance (published); float64 ends below it"
    )
    code_epochs: int = Field(500, ge=1, description="of the quantiser's training (published: 500)")
    code_batch: int = Field(1024, ge=2, description="items of a step of it (published: 1,024)")
    code_rate: float = Field(1e-3, gt=0, description="its learning rate, AdamW (published: 1e-3)")


@dataclass(frozen=True)
class Descent:
    """What codebooks, one after the other, make of vectors (n, d).

    Attributes:
        codes: (n, L).
        total: (n, d) sum of the rows that were chosen.
        last: (n, d) what was left for the last codebook.
        rest: (n, d) what is left behind it.
        losses: of each codebook.
    """

    codes: Tensor
    total: Tensor
    last: Tensor
    rest: Tensor
    losses: list[Tensor]


class Quantiser(nn.Module):
    """Encoders, codebooks and decoders of the views.

    Args:
        config: options.
        widths: of the vectors of each view.
        shared_levels, own_levels: codebooks; with none of their own all views have one identifier.
    """

    def __init__(
        self, config: QuantiserConfig, widths: Sequence[int], shared_levels: int, own_levels: int
    ):
        super().__init__()
        self.config = config
        d = config.code_width
        inner = config.code_layers
        self.encoders = nn.ModuleList(_perceptron(width, *inner, d) for width in widths)
        self.decoders = nn.ModuleList(_perceptron(d, *inner[::-1], width) for width in widths)
        self.shared = nn.Parameter(torch.zeros(shared_levels, config.codes, len(widths) * d))
        self.own = nn.Parameter(torch.zeros(len(widths), own_levels, config.codes, d))

    def encode(self, vectors: Sequence[Tensor]) -> Tensor:
        """The latent vectors of all views end to end, (n, V*d)."""
        return torch.cat([f(x) for f, x in zip(self.encoders, vectors, strict=True)], dim=1)

    def quantise(self, latent: Tensor, balanced: bool = False) -> tuple[Descent, list[Descent]]:
        """Latent vectors (n, V*d) through the shared codebooks, and what they leave through those
        of each view.

        Args:
            balanced: whether each last codebook gives all its codes as many items.
        """
        commitment = self.config.commitment
        epsilon = self.config.sinkhorn if balanced else None
        has_own = self.own.shape[1] > 0
        shared = descend(latent, self.shared, commitment, None if has_own else epsilon)
        parts = shared.rest.split(self.config.code_width, dim=1)
        pairs = zip(parts, self.own, strict=True)
        return shared, [descend(x, books, commitment, epsilon) for x, books in pairs]

    def loss(self, vectors: Sequence[Tensor]) -> dict[str, Tensor]:
        """``reconstruction``, the views' mean squared errors, and ``codes``, the codebooks' mean
        loss.
        """
        latent = self.encode(vectors)
        shared, own = self.quantise(latent, balanced=True)
        quantised = shared.total + torch.cat([part.total for part in own], dim=1)
        straight_through = latent + (quantised - latent).detach()
        parts = straight_through.split(self.config.code_width, dim=1)
        errors = [
            F.mse_loss(decode(part), x)
            for decode, part, x in zip(self.decoders, parts, vectors, strict=True)
        ]
        losses = [*shared.losses, *(loss for part in own for loss in part.losses)]
        return {"reconstruction": sum(errors), "codes": torch.stack(losses).mean()}

    @torch.no_grad()
    def start(self, vectors: Sequence[Tensor]) -> None:
        """Each codebook begins as the k-means centres of what it is to approximate."""
        rest = _start(self.encode(vectors), self.shared)
        for part, books in zip(rest.split(self.config.code_width, dim=1), self.own, strict=True):
            _start(part, books)

    @torch.no_grad()
    def codes(self, vectors: Sequence[Tensor], separate: bool = False) -> Tensor:
        """The identifiers in each view, (V, n, L).

        Args:
            separate: whether items that share one are assigned anew, as `separated` does.
        """
        shared, own = self.quantise(self.encode(vectors))
        if self.own.shape[1] == 0:  # one identifier, whatever the view
            lasts = [(shared.codes, shared.last, self.shared[-1])]
        else:
            lasts = [
                (torch.cat([shared.codes, part.codes], dim=1), part.last, books[-1])
                for part, books in zip(own, self.own, strict=True)
            ]
        epsilon = self.config.sinkhorn
        found = [separated(*each, epsilon) if separate else each[0] for each in lasts]
        return torch.stack(found).expand(len(own), -1, -1)


def descend(x: Tensor, books: Tensor, commitment: float, epsilon: float | None = None) -> Descent:
    """Approximate vectors (n, d) by a row of each of some codebooks (L, K, d), one after the other.

    Args:
        commitment: what of a codebook's loss pulls the vectors to the rows.
        epsilon: of the last codebook's balance; None: the nearest row in all of them.
    """
    n = len(x)
    codes = []
    losses = []
    total = torch.zeros_like(x)
    last = x
    for level, book in enumerate(books, start=1):
        last = x
        code = nearest(x, book)
        if epsilon is not None and level == len(books):
            code = balanced(x, book, epsilon)
        row = F.embedding(code, book)
        losses.append(F.mse_loss(row, x.detach()) + commitment * F.mse_loss(x, row.detach()))
        codes.append(code)
        total = total + row
        x = x - row.detach()
    empty = torch.empty(n, 0, dtype=torch.long, device=x.device)
    return Descent(torch.stack(codes, dim=1) if codes else empty, total, last, x, losses)


def nearest(x: Tensor, book: Tensor) -> Tensor:
    """The row (n,) of a codebook (K, d) that is nearest to each vector (n, d)."""
    return torch.cdist(x.detach(), book.detach()).argmin(dim=1)


def balanced(x: Tensor, book: Tensor, epsilon: float, rounds: int = BALANCING) -> Tensor:
    """The row (…, n) that gets most of each vector (…, n, d) in a plan that gives as much to each
    row of a codebook (K, d).
    """
    distance = torch.cdist(x.detach().double(), book.detach().double())
    return sinkhorn(distance.square(), epsilon, rounds).argmax(dim=-1)


def sinkhorn(cost: Tensor, epsilon: float, rounds: int) -> Tensor:
    """The plan (…, n, K) of least cost plus epsilon times its negative entropy: rows sum to 1, as
    far as it has converged, and columns to n / K.

    Args:
        cost: (…, n, K) in float64; scaled here to a range of 2, as published.
        rounds: of Sinkhorn's algorithm.
    """
    reach = (cost.amax(dim=(-2, -1)) - cost.amin(dim=(-2, -1))).clamp(min=1e-12) / 2
    cost = cost - cost.amin(dim=-1, keepdim=True)  # what is taken from a row changes no plan
    kernel = torch.exp(-cost / reach[..., None, None] / epsilon)
    n, k = cost.shape[-2:]
    column = kernel.new_ones(*cost.shape[:-2], k, 1)
    for _ in range(rounds):
        row = 1 / (kernel @ column)
        column = n / k / (kernel.mT @ row)
    return row * kernel * column.mT


def separated(codes: Tensor, last: Tensor, book: Tensor, epsilon: float) -> Tensor:
    """Identifiers (n, L) with other last codes for those items that share theirs.

    Such items are assigned in balance among themselves, and again if they then share another one's.
    A little noise, drawn anew each time, parts vectors that are equal, as those of items without a
    text, and ends what would go round in circles. What then shares one still does.

    Args:
        last: (n, d) what was left for the last codebook.
        book: (K, d) that codebook.
    """
    codes = codes.clone()
    for _ in range(SEPARATING):
        groups = sharing(codes)
        for items in groups:
            noisy = last[items] + NOISE * book.std() * torch.randn(*items.shape, book.shape[1])
            codes[items, -1] = balanced(noisy, book, epsilon, CONVERGED)
        if not groups:
            break
    return codes


def sharing(codes: Tensor) -> list[Tensor]:
    """The items that share an identifier, of all identifiers (n, L): of each number m of items that
    do, the groups (G, m).
    """
    _, number, counts = codes.unique(dim=0, return_inverse=True, return_counts=True)
    order = number.argsort(stable=True)
    starts = counts.cumsum(dim=0) - counts
    sizes = counts[counts > 1].unique().tolist()
    return [order[starts[counts == m].unsqueeze(1) + torch.arange(m)] for m in sizes]


def collisions(codes: Tensor) -> int:
    """How many of the items with identifiers (n, L) have one that an item before them has."""
    return len(codes) - len(codes.unique(dim=0))


def owners(codes: Tensor) -> Tensor:
    """How many items have the identifier of each item, itself included: (n, L) -> (n,)."""
    _, group, count = codes.unique(dim=0, return_inverse=True, return_counts=True)
    return count[group]


@torch.enable_grad()
def fit(
    vectors: Sequence[Tensor], config: QuantiserConfig, shared_levels: int, own_levels: int
) -> Quantiser:
    """Train a quantiser on vectors (n, ·) of each view.

    Of the checks in the second half of its training the one with the fewest collisions counts.
    Right behind the start there are fewer: k-means parts the latent vectors well, but these say
    nothing of the items yet.
    """
    model = Quantiser(config, [x.shape[1] for x in vectors], shared_levels, own_levels)
    model.start(vectors)
    options = {"lr": config.code_rate, "weight_decay": WEIGHT_DECAY}
    optimizer = torch.optim.AdamW(model.parameters(), **options)
    half = config.code_epochs // 2
    every = max(1, (config.code_epochs - half) // CHECKS)
    fewest, best = None, {}
    for left in reversed(range(config.code_epochs)):
        for items in torch.randperm(len(vectors[0])).split(config.code_batch):
            optimizer.zero_grad()
            sum(model.loss([x[items] for x in vectors]).values()).backward()
            optimizer.step()
        if left < config.code_epochs - half and left % every == 0:
            found = sum(map(collisions, model.codes(vectors)))
            if fewest is None or found <= fewest:
                fewest, best = found, copy.deepcopy(model.state_dict())
    model.load_state_dict(best)
    return model


def identifiers(
    vectors: Sequence[Tensor], config: QuantiserConfig, shared_levels: int, own_levels: int
) -> Tensor:
    """Identifiers (V, n, L) of items with vectors (n, ·) in each of V views; equal ones where the
    vectors of all views are equal.
    """
    vectors = [standardised(x) for x in vectors]
    model = fit(vectors, config, shared_levels, own_levels)
    # Each distinct item once: a matrix product may round equal rows to different ones.
    distinct, number = torch.cat(vectors, dim=1).unique(dim=0, return_inverse=True)
    parts = distinct.split([x.shape[1] for x in vectors], dim=1)
    return model.codes(parts, separate=True)[:, number]


def standardised(x: Tensor) -> Tensor:
    """Vectors (n, ·) of mean 0 and of unit root mean square: views then count alike."""
    x = x - x.mean(dim=0)
    return x / x.square().mean().sqrt().clamp(min=1e-12)


def _perceptron(*widths: int) -> nn.Sequential:
    """ReLU behind each layer but the last."""
    return nn.Sequential(mlp(0.0, *widths[:-1]), nn.Linear(widths[-2], widths[-1]))


def _start(x: Tensor, books: Tensor) -> Tensor:
    """Fill codebooks (L, K, d) for vectors (n, d), and return what they leave."""
    for book in books:
        book.copy_(_centres(x, len(book)))
        x = x - book[nearest(x, book)]
    return x


def _centres(x: Tensor, k: int) -> Tensor:
    """k-means centres (k, d) of vectors; random ones where there are fewer distinct vectors."""
    sample = x[torch.randperm(len(x))[: k * PER_CENTRE]]
    n = min(k, len(sample.unique(dim=0)))
    seed = int(torch.randint(2**31 - 1, ()))
    found = KMeans(n, n_init=1, random_state=seed).fit(sample.numpy()).cluster_centers_
    spare = sample.mean(dim=0) + sample.std(dim=0, correction=0) * torch.randn(k - n, x.shape[1])
    return torch.cat([torch.from_numpy(found), spare])
