"""LightGCN against PyTorch Geometric and against dense matrices."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch_geometric.nn import LightGCN as ReferenceLightGCN

from gensr_lib.config import TrainingConfig
from gensr_lib.models.recommendation.lightgcn import LightGCN, LightGCNConfig, SymmetricProduct
from gensr_lib.training.loop import train
from tests.worlds import pocket


def model(layers: int = 3) -> LightGCN:
    return LightGCN.from_dataset(pocket(), LightGCNConfig(width=16, layers=layers))


def test_propagation_equals_pytorch_geometric():
    ours = model()
    users, items = ours.edges[0], ours.edges[1] + ours.n_users
    both = torch.cat([torch.stack([users, items]), torch.stack([items, users])], dim=1)
    reference = ReferenceLightGCN(len(ours.embedding), 16, num_layers=3)
    reference.embedding.weight.data.copy_(ours.embedding.data)
    expected = reference.get_embedding(both)
    got_users, got_items = ours.propagate()
    assert torch.allclose(got_users, expected[: ours.n_users], atol=1e-6)
    assert torch.allclose(got_items[1:], expected[ours.n_users + 1 :], atol=1e-6)


def test_the_gradient_is_bit_for_bit_that_of_autograd():
    ours = model()
    weights = torch.randn(len(ours.embedding), 16)

    def gradient(product) -> torch.Tensor:
        vectors = ours.embedding.detach().clone().requires_grad_()
        twice = product(ours.graph(), product(ours.graph(), vectors))
        (twice * weights).square().sum().backward()
        return vectors.grad

    assert torch.equal(gradient(SymmetricProduct.apply), gradient(torch.matmul))
    graph = ours.graph().to_dense()
    assert torch.equal(graph, graph.T)


def test_propagation_equals_dense_matrices():
    ours = model(layers=2)
    n = len(ours.embedding)
    adjacency = torch.zeros(n, n)
    adjacency[ours.edges[0], ours.edges[1] + ours.n_users] = 1
    adjacency = adjacency + adjacency.T
    scale = adjacency.sum(1).clamp(min=1).rsqrt()
    step = scale[:, None] * adjacency * scale[None, :]
    e = ours.embedding
    expected = (e + step @ e + step @ step @ e) / 3
    users, items = ours.propagate()
    assert torch.allclose(users, expected[: ours.n_users], atol=1e-5)
    assert torch.allclose(items[1:], expected[ours.n_users + 1 :], atol=1e-5)


def test_padding_is_zero_and_no_layers_is_matrix_factorisation():
    ours = model(layers=0)
    users, items = ours.propagate()
    assert (items[0] == 0).all() and (ours.item_vectors()[0] == 0).all()
    assert torch.equal(users, ours.embedding[: ours.n_users])


def test_edges_are_training_recommendation_clicks_only():
    dataset, ours = pocket(), model()
    allowed = {(dataset.user[r], dataset.item[r]) for r in dataset.rows["train"]["rec"].event}
    assert set(map(tuple, ours.edges.T.tolist())) == {(int(u), int(i)) for u, i in allowed}


def test_both_behaviors_are_one_graph_and_both_are_learned_and_served():
    dataset = pocket()
    ours = LightGCN.from_dataset(dataset, LightGCNConfig(width=16, edges="both"))
    rows = np.concatenate([dataset.rows["train"][task].event for task in ("rec", "src")])
    allowed = set(zip(dataset.user[rows].tolist(), dataset.item[rows].tolist(), strict=True))
    assert set(map(tuple, ours.edges.T.tolist())) == allowed and len(allowed) == ours.edges.shape[1]
    assert ours.edges.shape[1] > model().edges.shape[1] and model().tasks == {"rec"}
    assert ours.tasks == {"rec", "src"}
    training = TrainingConfig(epochs=2, batch_size=64, negatives=1, learning_rate=0.01)
    history = train(ours, dataset, training).history
    assert {"rec bpr", "src bpr", "valid src N@5"} <= set(history)
    assert (history.iloc[1][["rec bpr", "src bpr"]] < history.iloc[0][["rec bpr", "src bpr"]]).all()


def test_a_saved_graph_of_both_behaviors_still_serves_both(tmp_path):
    ours = LightGCN.from_dataset(pocket(), LightGCNConfig(width=16, edges="both"))
    ours.save_pretrained(tmp_path)
    assert LightGCN.from_pretrained(tmp_path).tasks == {"rec", "src"}


def test_loss_starts_at_ln_two_and_its_gradient_reaches_neighbours():
    dataset = pocket()
    ours = LightGCN.from_dataset(dataset, LightGCNConfig(width=16, init_std=1e-4))
    index = np.arange(32)
    positive = dataset.item[dataset.rows["train"]["rec"].event[index]]
    negatives = dataset.training_negatives("rec", 2, (0, 0))[index]
    batch = dataset.batch("train", "rec", index, np.c_[positive, negatives])
    terms = ours.loss(batch)
    assert abs(terms["bpr"].item() - math.log(2)) < 1e-4
    terms["bpr"].backward()
    touched = ours.embedding.grad.abs().sum(1) > 0
    assert touched[: ours.n_users].sum() > len(np.unique(batch.user)), (
        "other users' rows get gradient through the graph"
    )


def test_the_loss_is_the_bpr_of_its_own_scores_and_the_l2_of_its_own_rows():
    """The scores are those of `score`, one by one; the embeddings those of the user and the items."""
    dataset = pocket()
    ours = LightGCN.from_dataset(dataset, LightGCNConfig(width=16))
    index = np.arange(32)
    positive = dataset.item[dataset.rows["train"]["rec"].event[index]]
    batch = dataset.batch("train", "rec", index, np.c_[positive, dataset.training_negatives("rec", 1, (0, 0))[index]])
    terms = ours.loss(batch)
    scores = ours.eval().score(batch)
    reference = ReferenceLightGCN(3, 4, 1).recommendation_loss(*scores.T, lambda_reg=0)
    assert torch.isclose(terms["bpr"], reference)
    users, items = ours.embedding[: ours.n_users], ours.embedding[ours.n_users :]  # padding first
    squares = users[batch.user].square().sum() + items[batch.cand].square().sum()
    assert torch.isclose(terms["l2"], squares / len(index) / 2)


def test_evaluation_sees_new_weights_after_training_mode():
    dataset, ours = pocket(), model()
    batch = dataset.batch("test", "rec", np.arange(4))
    before = ours.eval().score(batch)
    with torch.no_grad():
        ours.train().embedding.mul_(2.0)
    assert torch.allclose(ours.eval().score(batch), 4 * before, rtol=1e-4)


def test_scores_are_of_the_weights_that_are_there_also_without_a_change_of_mode():
    dataset, ours = pocket(), model().eval()
    batch = dataset.batch("test", "rec", np.arange(4))
    before = ours.score(batch)
    ours.load_state_dict({**ours.state_dict(), "embedding": 2 * ours.embedding.detach()})
    assert torch.allclose(ours.score(batch), 4 * before, rtol=1e-4)
    ours.load_state_dict({**ours.state_dict(), "embedding": 3 * ours.embedding.detach()}, assign=True)
    assert torch.allclose(ours.score(batch), 36 * before, rtol=1e-4)
    ours.load_state_dict({**ours.state_dict(), "edges": ours.edges.flip(1).roll(1, dims=1)})
    fresh = model()
    fresh.load_state_dict(ours.state_dict())
    assert torch.allclose(ours.score(batch), fresh.eval().score(batch), rtol=1e-4), "and the graph"
    assert torch.allclose(ours.double().score(batch), fresh.score(batch), rtol=1e-4), "of the weights' type"


def test_a_model_of_inference_mode_scores():
    with torch.inference_mode():
        ours = model().eval()
        assert ours.score(pocket().batch("test", "rec", np.arange(4))).isfinite().all()
