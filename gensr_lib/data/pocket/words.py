"""The words of the pocket world: topics, colours, materials, and the texts made of them.

Each topic owns 11 words that no other topic has (a label, five nouns, five occasions), and shares
24 colours and 24 materials with all others. Inside a topic a word is a number, the same for every
topic: 0-23 colours, 24-47 materials, 48 the label, 49-53 nouns, 54-58 occasions, 59 no word.
As the own words are disjoint, one of them in a query is enough to know its topic.
"""

from __future__ import annotations

from importlib import resources

import numpy as np


def _split(text: str) -> tuple[str, ...]:
    return tuple(text.split())


# Both lists are ordered (hue, and soft to hard), so that neighbours suit similar tastes.
COLOURS = _split(
    "crimson scarlet coral salmon apricot amber golden lemon olive lime emerald jade "
    "mint teal turquoise azure cobalt indigo violet lilac plum magenta ivory charcoal"
)
MATERIALS = _split(
    "silk cashmere velvet fleece woollen cotton linen denim canvas felt suede leather "
    "rubber cork bamboo wicker oak walnut ceramic glass marble brass copper steel"
)

# topics.txt: department > section > label | nouns | occasions
_TOPICS = (resources.files(__package__) / "topics.txt").read_text(encoding="utf-8").splitlines()[1:]
_QUALIFIERS = _split(
    "travel mini studio classic junior family royal alpine coastal urban rustic modern vintage "
    "pro sport garden market school office winter summer island desert harbour mountain river "
    "city village northern southern eastern western antique heritage compact folding giant twin "
    "triple smart solar quiet rapid gentle sturdy festive"
)

N_COLOURS, N_MATERIALS, N_NOUNS, N_OCCASIONS = len(COLOURS), len(MATERIALS), 5, 5
LABEL = N_COLOURS + N_MATERIALS
FIRST_NOUN, FIRST_OCCASION = LABEL + 1, LABEL + 1 + N_NOUNS
NO_WORD = FIRST_OCCASION + N_OCCASIONS  # also the number of words of a topic
SLOTS = ("colour", "material", "label", "noun", "occasion", "occasion")


def topic(k: int) -> tuple[str, list[str]]:
    """The category path and the 59 words of topic ``k``.

    Beyond the written topics they repeat with a qualifier ('travel-coffee'), then with a number, so
    that own words stay disjoint at every size.

    >>> topic(0)[0], topic(0)[1][48:50], topic(36)[1][48]
    ('Home > Kitchen > Coffee', ['coffee', 'dripper'], 'travel-coffee')
    """
    turn, base = divmod(k, len(_TOPICS))
    path, nouns, occasions = (part.strip() for part in _TOPICS[base].split("|"))
    parents, label = path.rsplit(" > ", 1)
    own = [label.lower(), *nouns.split(), *occasions.split()]
    if turn:
        number, which = divmod(turn - 1, len(_QUALIFIERS))
        prefix = _QUALIFIERS[which] + (f"-{number + 1}" if number else "")
        own = [f"{prefix}-{word}" for word in own]
        path = f"{parents} > {_title(own[0])}"
    return path, [*COLOURS, *MATERIALS, *own]


def word_table(n_topics: int) -> np.ndarray:
    """All words as strings, the empty one last: object array (K, 60)."""
    return np.array([[*topic(k)[1], ""] for k in range(n_topics)], dtype=object)  # (K, 60)


def query_texts(table: np.ndarray, topics: np.ndarray, words: np.ndarray) -> np.ndarray:
    """Join the words of queries by blanks: ``topics`` (E,), ``words`` (E, 4) to strings (E,)."""
    found = table[topics[:, None], words]  # (E, 4)
    spaced = np.where(words == NO_WORD, "", " " + found)
    return found[:, 0] + spaced[:, 1] + spaced[:, 2] + spaced[:, 3]


def word_sets(words: np.ndarray) -> np.ndarray:
    """Word numbers (N, W) to 0/1 rows (N, 59)."""
    hot = np.zeros((len(words), NO_WORD + 1))
    np.put_along_axis(hot, words.astype(np.int64), 1.0, axis=1)
    return hot[:, :NO_WORD]


def item_texts(
    table: np.ndarray, topics: np.ndarray, words: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Title, category path and text of items: ``topics`` (I,), ``words`` (I, 6) to strings (I,).

    The title is 'Colour Material Label Noun', the text adds 'for occasion and occasion'. No other
    words: they would fill the first tokens of a text, which is all that a model reads, and tell
    nothing.
    """
    capital = np.vectorize(_title, otypes=[object])(table)  # (K, 60)
    named = capital[topics[:, None], words[:, :4]]  # (I, 4)
    titles = named[:, 0] + " " + named[:, 1] + " " + named[:, 2] + " " + named[:, 3]
    paths = np.array([topic(k)[0] for k in range(len(table))], dtype=object)[topics]
    occasions = table[topics[:, None], words[:, 4:]]  # (I, 2)
    return titles, paths, titles + " for " + occasions[:, 0] + " and " + occasions[:, 1]


def names(letter: str, n: int) -> np.ndarray:
    """Ids of n users or items that sort like their numbers.

    >>> names("i", 1500)[[3, 123]].tolist()
    ['i00003', 'i00123']
    """
    width = max(5, len(str(n - 1)))
    return np.char.mod(f"{letter}%0{width}d", np.arange(n)).astype(object)


def _title(word: str) -> str:
    return "-".join(part.capitalize() for part in word.split("-"))
