"""The paper's numbers as printed, and what the paper itself says of them."""

from __future__ import annotations

import pandas as pd

from gensr_lib.experiments.paper import table_1


def test_table_1_as_printed():
    printed = pd.DataFrame(
        [[0.9003, 0.8739, 0.8514, 0.8475], [0.9378, 0.9217, 0.9251, 0.9168]],
        index=["unisar", "gensr"],
        columns=pd.MultiIndex.from_product([["Amazon", "KuaiSAR"], ["src", "rec"]]),
    )
    pd.testing.assert_frame_equal(table_1(), printed, check_names=False)


def test_the_paper_says_gensr_is_higher_everywhere():
    assert (table_1().loc["gensr"] > table_1().loc["unisar"]).all()
