"""What models know and where: mutual information, parameter space, gradient conflict, theory."""

from ..lazy import attach

__getattr__, __all__ = attach(
    __name__,
    {
        "ceilings": ["ceilings_of"],
        "efficiency": ["costs", "growth"],
        "identifiers": ["code_information", "item_facts"],
        "inputs": ["INPUTS", "exchanged", "of_row_before", "reads"],
        "mutual_information": ["answer_information", "entropy", "estimate", "gaussian_information"],
        "order": ["reach", "reordered"],
        "parameter_space": ["kde_overlap", "pca", "separation", "tsne"],
        "representations": ["Sample", "collect"],
        "score_information": ["calibrated_bound", "information_of_ndcg", "user_interval"],
    },
    modules=["gradient_conflict", "measures", "mutual_information", "parameter_space", "theory"],
)
