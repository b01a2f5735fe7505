"""ZAM (Ai et al., CIKM 2019): the query may choose nothing of what the user clicked before.

*A Zero Attention Model for Personalized Product Search* adds one thing to the attention of `aem`: a
zero vector among the earlier items. A query to which none of them matters gives it the attention,
and the user then weighs nothing; how personal a search is depends on the search.
"""

from __future__ import annotations

from typing import ClassVar

from .aem import AEM


class ZAM(AEM):
    """s(c) = (λ q + (1 - λ) Σ a_i e_i) · e_c + b_c, with a_i = e^f(q,i) / (1 + Σ_j e^f(q,j)).

    f(q, 0) = 0 gives the 1: the zero vector has neither a key nor a value of its own. Code of the
    same group puts it in front of projections with biases, after which it is no longer zero; in
    a later variant the zero vector's attention is the weight of the query, in place of λ. Neither
    is the published model. Departures: those of AEM.
    """

    name = "zam"
    zero: ClassVar[bool] = True
