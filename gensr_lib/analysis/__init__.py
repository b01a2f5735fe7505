"""What models know and where: mutual information, parameter space, gradient conflict, theory."""

from ..lazy import attach

__getattr__, __all__ = attach(
    __name__,
    {
        "mutual_information": ["estimate"],
        "parameter_space": ["pca", "separation", "tsne"],
        "representations": ["Sample", "collect"],
    },
    modules=["gradient_conflict", "mutual_information", "parameter_space", "theory"],
)
