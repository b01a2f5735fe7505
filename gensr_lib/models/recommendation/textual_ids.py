"""Textual ids of items: short phrases, one for each item, that a language model can write and read.

`name_items` makes them of wishes, such as the first words of a text or what a generator wrote, and
keeps them apart; `Trie` holds those of some items, so that decoding can write no others.
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from ...errors import ConfigError

WORD = re.compile(r"[^\W_]+")
COMMON = 0.5  # a word that more than this share of the texts has says little of any one of them


def words_of(text: str) -> list[str]:
    """The words of a text in lower case, each once, in their order.

    >>> words_of("Red tea-pot, red")
    ['red', 'tea', 'pot']
    """
    return list(dict.fromkeys(WORD.findall(unicodedata.normalize("NFKC", text).lower())))


def spell(tokenizer: PreTrainedTokenizerFast, words: Collection[str]) -> dict[str, list[int]]:
    """Token ids of those words that the tokenizer writes as it read them."""
    words = sorted(set(words))
    if not words:
        return {}
    ids = tokenizer(words, add_special_tokens=False)["input_ids"]
    again = tokenizer.batch_decode(ids, skip_special_tokens=True)
    spelled = zip(words, ids, again, strict=True)
    return {word: tokens for word, tokens, read in spelled if read.strip() == word}


def first_words(texts: Sequence[str], n: int) -> list[list[list[str]]]:
    """The wish of each text: its first ``n`` words, leaving out those that most texts have."""
    words = [words_of(text) for text in texts]
    texts_with = Counter(word for each in words for word in each)
    most = COMMON * len(texts)
    return [[[word for word in each if texts_with[word] <= most][:n]] for each in words]


def name_items(
    tokenizer: PreTrainedTokenizerFast,
    wishes: Sequence[Sequence[list[str]]],
    texts: Sequence[str],
    width: int,
) -> tuple[Tensor, int]:
    """An id for each item, unlike all others.

    An item gets the first of its wishes that none before it has. If all are taken, the first one is
    lengthened by words of its text, and if these too leave it unlike none, by a number.

    Args:
        wishes: of each item, lists of words, the best first; what cannot be spelled is left out.
        texts: of each item.
        width: most tokens of an id.

    Returns:
        ids: (I, width + 1) token ids that end in </s>, right-padded.
        taken: how many items got none of their wishes.

    Raises:
        ConfigError: the tokenizer can spell neither digits nor letters.
    """
    further = [words_of(text) for text in texts]
    words = {word for each in further for word in each}
    words |= {word for each in wishes for wish in each for word in wish}
    namer = _Namer(tokenizer, words, width)
    taken = 0
    for own, more in zip(wishes, further, strict=True):
        fitting = [namer.fitting(wish, width) for wish in own] or [[]]
        name = namer.first_free(wish for wish in fitting if wish)
        taken += name is None
        name = name or namer.lengthened(fitting[0], more) or namer.numbered(fitting[0])
        namer.take(name)
    ids = torch.full((len(namer.taken), width + 1), tokenizer.pad_token_id)
    for row, tokens in zip(ids, namer.taken, strict=True):
        row[: len(tokens) + 1] = torch.tensor([*tokens, tokenizer.eos_token_id])
    return ids, taken


class _Namer:
    """Names as lists of words, and which of them are taken.

    Attributes:
        spelled: token ids of each word that the tokenizer can write.
        taken: the token ids of the names that were taken, in their order.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerFast, words: Collection[str], width: int):
        self.tokenizer = tokenizer
        self.width = width
        self.spelled = spell(tokenizer, {*words, *string.digits, *string.ascii_lowercase})
        self.taken: dict[tuple[int, ...], None] = {}
        self.numbers: Counter[tuple[str, ...]] = Counter()

    def tokens(self, name: Iterable[str]) -> tuple[int, ...]:
        """How the words of a name are spelled, end to end."""
        return tuple(token for word in name for token in self.spelled[word])

    def take(self, name: Iterable[str]) -> None:
        """No other item can have this name any more."""
        self.taken[self.tokens(name)] = None

    def first_free(self, names: Iterable[list[str]]) -> list[str] | None:
        """The first of the names that no item has; None if all are taken."""
        return next((name for name in names if self.tokens(name) not in self.taken), None)

    def fitting(self, words: Iterable[str], room: int) -> list[str]:
        """Those of the words that can be spelled, as many as have room."""
        found: list[str] = []
        for word in words:
            room -= len(self.spelled.get(word, ()))
            if room < 0:
                break
            if word in self.spelled:
                found.append(word)
        return found

    def lengthened(self, name: list[str], more: list[str]) -> list[str] | None:
        """The name and as many of the further words as make it new; None if all do not."""
        whole = self.fitting([*name, *(word for word in more if word not in name)], self.width)
        return self.first_free(whole[:n] for n in range(len(name) + 1, len(whole) + 1))

    def numbered(self, name: list[str]) -> list[str]:
        """The name with a number behind it, the next that makes it new."""
        key = tuple(name)
        while True:
            self.numbers[key] += 1
            number = _numeral(self.numbers[key], self._digits())
            self.spelled |= spell(self.tokenizer, [number])
            room = self.width - len(self.spelled[number])
            if found := self.first_free([[*self.fitting(name, room), number]]):
                return found

    def _digits(self) -> str:
        """Ten digits, or as many letters as can be spelled."""
        if {*string.digits} <= self.spelled.keys():
            return string.digits
        found = "".join(letter for letter in string.ascii_lowercase if letter in self.spelled)
        if len(found) < 2:
            raise ConfigError("the tokenizer spells neither digits nor letters; use another one.")
        return found


def _numeral(number: int, digits: str) -> str:
    """A number in the numeral system of some digits.

    >>> _numeral(10, "0123456789"), _numeral(5, "ab")
    ('10', 'bab')
    """
    rest, last = divmod(number, len(digits))
    return (_numeral(rest, digits) if rest else "") + digits[last]


class Trie:
    """Which token may follow what, if only some sequences may be written.

    Args:
        sequences: token ids, each with its </s>.
    """

    def __init__(self, sequences: Iterable[Sequence[int]]):
        self.root: dict[int, dict] = {}
        for sequence in sequences:
            node = self.root
            for token in sequence:
                node = node.setdefault(token, {})

    def after(self, prefix: Iterable[int]) -> list[int]:
        """The tokens that may come next; none after a whole sequence, or one that is not here."""
        node = self.root
        for token in prefix:
            node = node.get(token, {})
        return list(node)


def only_these(tries: Sequence[Trie], pad: int) -> Callable[[int, Tensor], list[int]]:
    """The ``prefix_allowed_tokens_fn`` of ``generate``: row i writes what its own trie holds.

    What the decoder starts with is in no trie; what is finished is filled up with ``pad``.
    """

    def allowed(row: int, written: Tensor) -> list[int]:
        return tries[row].after(written[1:].tolist()) or [pad]

    return allowed
