"""Where the files of the Amazon data are, release by release.

Names and numbers of reviews are those of https://jmcauley.ucsd.edu/data/amazon/; no checksums are
published. Of each category two files are taken: its 5-core (the reviews of users and items that
have five at least) and the metadata of its items.
"""

from __future__ import annotations

from dataclasses import dataclass

from .source import Offer, Remote


@dataclass(frozen=True)
class Release:
    """The files of one release.

    Attributes:
        name: of a data set, with a gap for the short name of its category.
        reviews, meta: the addresses of its two files, with a gap for the category's own name.
        categories: the category's own name and its number of reviews, by short name.
    """

    name: str
    reviews: str
    meta: str
    categories: dict[str, tuple[str, int]]


FILES_2014 = "https://snap.stanford.edu/data/amazon/productGraph/categoryFiles/"
CATEGORIES_2014 = {
    "apps": ("Apps_for_Android", 752_937),
    "automotive": ("Automotive", 20_473),
    "baby": ("Baby", 160_792),
    "beauty": ("Beauty", 198_502),
    "books": ("Books", 8_898_041),
    "cds": ("CDs_and_Vinyl", 1_097_592),
    "cell-phones": ("Cell_Phones_and_Accessories", 194_439),
    "clothing": ("Clothing_Shoes_and_Jewelry", 278_677),
    "digital-music": ("Digital_Music", 64_706),
    "electronics": ("Electronics", 1_689_188),
    "garden": ("Patio_Lawn_and_Garden", 13_272),
    "grocery": ("Grocery_and_Gourmet_Food", 151_254),
    "health": ("Health_and_Personal_Care", 346_355),
    "home": ("Home_and_Kitchen", 551_682),
    "instant-video": ("Amazon_Instant_Video", 37_126),
    "instruments": ("Musical_Instruments", 10_261),
    "kindle": ("Kindle_Store", 982_619),
    "movies": ("Movies_and_TV", 1_697_533),
    "office": ("Office_Products", 53_258),
    "pets": ("Pet_Supplies", 157_836),
    "sports": ("Sports_and_Outdoors", 296_337),
    "tools": ("Tools_and_Home_Improvement", 134_476),
    "toys": ("Toys_and_Games", 167_597),
    "video-games": ("Video_Games", 231_780),
}
RELEASES = {
    2014: Release(
        name="amazon-{}",
        reviews=FILES_2014 + "reviews_{}_5.json.gz",
        meta=FILES_2014 + "meta_{}.json.gz",
        categories=CATEGORIES_2014,
    ),
}
TERMS = (
    "No licence is stated for the Amazon data. They are offered for research: do not pass them on, "
    "and cite the papers that their page names, https://jmcauley.ucsd.edu/data/amazon/"
)


def offers(release: int) -> dict[str, Offer]:
    """What can be downloaded of one release, by the name of the data set.

    >>> offers(2014)["amazon-kindle"].routes[0][1].file
    'meta_Kindle_Store.json.gz'
    """
    of = RELEASES[release]
    found = {}
    for short, (category, reviews) in of.categories.items():
        urls = [pattern.format(category) for pattern in (of.reviews, of.meta)]
        files = tuple(Remote(url, url.rpartition("/")[2]) for url in urls)
        size = f"{reviews:,} reviews"
        name = of.name.format(short)
        found[name] = Offer((files,), size, "none stated; for research", TERMS)
    return found
