"""Where the files of the release of 2014 are; those of the later ones are fetched by hand.

Names and numbers of reviews are those of https://jmcauley.ucsd.edu/data/amazon/; no checksums are
published. Of each category two files are taken: its 5-core (the reviews of users and items that
have five at least) and the metadata of its items.
"""

from __future__ import annotations

from ..source import Offer, Remote

HOME = "https://snap.stanford.edu/data/amazon/productGraph/categoryFiles/"
# By short name, the category's own name and the number of its reviews.
CATEGORIES = {
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
TERMS = (
    "No licence is stated for the Amazon data. They are offered for research: do not pass them on, "
    "and cite the papers that their page names, https://jmcauley.ucsd.edu/data/amazon/"
)


def offers() -> dict[str, Offer]:
    """What can be downloaded, by the name of the data set.

    >>> offers()["amazon-kindle"].routes[0][1].file
    'meta_Kindle_Store.json.gz'
    """
    return {f"amazon-{short}": _offer(*known) for short, known in CATEGORIES.items()}


def _offer(category: str, reviews: int) -> Offer:
    names = (f"reviews_{category}_5.json.gz", f"meta_{category}.json.gz")
    files = tuple(Remote(HOME + name, name) for name in names)
    return Offer((files,), f"{reviews:,} reviews", "none stated; for research", TERMS)
