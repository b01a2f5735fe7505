"""Words of queries and items as numbers: the vocabulary of a data set."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import pandas as pd

ITEM_WORDS = 100  # words that are kept of an item's text
UNKNOWN_WORD = 1  # id of a word that no training query and no item text has
NUMBERED = re.compile(r"w\d+")  # a word of which only a number was published
_FIRST = ("<pad>", "<unknown>")


class Words:
    """Some texts, split into words: runs of letters and digits in lower case, L of them in all.

    Attributes:
        text: (L,) which text each word stands in, ascending.
        code: (L,) the word, as a position in ``distinct``.
        distinct: the distinct words, in order of appearance.
    """

    def __init__(self, texts: np.ndarray):
        # One search through all texts, a line each: a list of words per text takes far more memory.
        lines = pd.Series(texts, dtype=object).str.replace("\n", " ")
        found = re.findall(r"[^\W_]+|\n", "\n".join(lines).lower())
        code, distinct = pd.factorize(np.array(["\n", *found], dtype=object))  # the line's end is 0
        self.n_texts = len(texts)
        self.text = np.cumsum(code == 0)[code > 0] - 1
        self.code = code[code > 0] - 1
        self.distinct = distinct[1:]

    def of(self, texts: np.ndarray) -> np.ndarray:
        """The distinct words of some of the texts, by position."""
        chosen = np.zeros(self.n_texts, dtype=bool)
        chosen[texts] = True
        return self.distinct[np.unique(self.code[chosen[self.text]])]

    def longest(self) -> int:
        """Words of the longest text; at least 1."""
        return int(np.bincount(self.text, minlength=1).max(initial=1))

    def matrix(self, vocabulary: pd.Index, width: int) -> np.ndarray:
        """Ids (n, width) int32 of the words of each text, right-padded with 0, longer ones cut."""
        known = vocabulary.get_indexer(self.distinct)
        ids = np.where(known < 0, UNKNOWN_WORD, known)
        first = np.searchsorted(self.text, self.text)  # where the word's own text begins
        place = np.arange(len(self.text)) - first
        matrix = np.zeros((self.n_texts, width), dtype=np.int32)
        kept = place < width
        matrix[self.text[kept], place[kept]] = ids[self.code[kept]]
        return matrix


def make_vocabulary(*parts: np.ndarray) -> pd.Index:
    """All words of some parts in alphabetical order, behind the padding and the unknown word."""
    return pd.Index([*_FIRST, *np.unique(np.concatenate([[], *parts]).astype(object))])


def text_ids(texts: Sequence[str], vocabulary: pd.Index) -> np.ndarray:
    """Ids (N, T) of the first `ITEM_WORDS` words of each text, padded with 0."""
    words = Words(np.array(texts, dtype=object))
    return words.matrix(vocabulary, min(words.longest(), ITEM_WORDS))


def numbered_words(texts: Sequence[str], most: int) -> list[str]:
    """The most frequent words that are only numbers, if most of the distinct words are.

    Ties go by the word.

    >>> numbered_words(["w20 w3 food", "w20"], most=1), numbered_words(["a w3 to go"], most=1)
    (['w20'], [])
    """
    words = Words(np.array(texts, dtype=object))
    is_number = np.array([NUMBERED.fullmatch(word) is not None for word in words.distinct])
    if 2 * is_number.sum() <= len(is_number):
        return []
    count = np.bincount(words.code, minlength=len(is_number))[is_number]
    order = np.lexsort((words.distinct[is_number], -count))
    return words.distinct[is_number][order[:most]].tolist()
