"""Whether two written names may be one person's, however they are spelt.

Two people are needed where one is not enough. In doubt two names count as one person: whoever is refused can give the
full name.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from itertools import permutations

TITLES = {
    "dr", "drs", "doctor", "prof", "professor", "univ", "univprof", "priv", "pd", "doz", "dozent", "med", "dent",
    "rer", "nat", "phil", "habil", "hc", "md", "phd", "dphil", "mbbs", "mbchb", "msc", "bsc", "mph", "mba",
    "dipl", "ing", "dipling", "dipl-ing", "frcr", "frcp", "frcs", "fracr", "facr", "rt", "mr", "mrs", "ms",
    "miss", "mx", "sir", "dame", "herr", "frau", "hr", "fr", "jr", "sr", "ii", "iii", "iv", "junior", "senior",
}  # fmt: skip
LETTERS = {"ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "ı": "i", "ẞ": "ss"}
"""Latin letters that no normalisation takes apart."""
DIGRAPHS = (("ae", "a"), ("oe", "o"), ("ue", "u"), ("aa", "a"))
"""Müller, Mueller and Muller are spellings of one name."""
BLANK = "\u115f\u1160\u3164\uffa0\u2800\u034f\u180e"
"""Signs that show nothing and are no format characters (Unicode: default ignorable, and the empty braille pattern)."""
MOST_WORDS = 5


def may_be_same_person(first: str, second: str) -> bool:
    """Whether two names may be the same person's.

    Ignored are case, accents, invisible characters, look-alike characters (Unicode TS 39), titles, addresses, the order
    of the words, hyphens, and middle names. An initial may stand for every name that begins with it.
    """
    pairs = [(_words(first), _words(second))]
    if _disguised(first) or _disguised(second):
        pairs.append((_words(first, seen=True), _words(second, seen=True)))
    return any(_match(a, b) for a, b in pairs)


def _match(a: list[str], b: list[str]) -> bool:
    short, long = sorted((a, b), key=len)
    if not short:
        return True  # nothing that could tell the two apart
    if _written_together(short) & _written_together(long):
        return True
    return len(long) <= MOST_WORDS and any(_beside(list(zip(short, some))) for some in permutations(long, len(short)))


def _beside(pairs: list[tuple[str, str]]) -> bool:
    """Whether words that are laid side by side are the same or initials of each other, and not all of them initials."""
    return all(x == y or _initial(x, y) for x, y in pairs) and any(x == y and len(x) > 1 for x, y in pairs)


def _initial(x: str, y: str) -> bool:
    return 1 in (len(x), len(y)) and x[0] == y[0]


def _written_together(words: list[str]) -> set[str]:
    """The words as one, in every order: hyphens and apostrophes come and go."""
    if len(words) > MOST_WORDS:
        return {"".join(sorted(words))}
    return {"".join(some) for some in permutations(words)}


def _words(name: str, seen: bool = False) -> list[str]:
    """The words of a name that tell people apart. seen: of what a reader sees, not of what was typed."""
    text = re.sub(r"[<(\[].*?[>)\]]", " ", unicodedata.normalize("NFKC", name))
    text = re.sub(r"(\S+)@\S+", r"\1", text)
    text = "".join(c for c in text if unicodedata.category(c) not in ("Cf", "Cc") and c not in BLANK)
    if seen:
        text = "".join(_like(c) for c in text)
    text = "".join(LETTERS.get(c, c) for c in text.casefold())
    text = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))
    if seen:
        text = "".join(_like(c) for c in text).replace("i", "l").replace("1", "l").replace("|", "l").replace("0", "o")
    else:
        text = re.sub(r"\d", "", text)
    whole = [re.sub(r"[.'’`]", "", word) for word in re.split(r"[\s,;/_+&]+", text)]
    titles = {title.replace("i", "l") for title in TITLES} if seen else TITLES
    words = [word for word, plain in zip(re.split(r"[\s,;/_+&]+", text), whole) if plain and plain not in titles]
    parts = [part for word in words for part in re.split(r"[^\w]+", word) if any(map(str.isalpha, part))]
    parts = [part for part in parts if part not in titles] or parts
    for pair, single in DIGRAPHS:
        parts = [part.replace(pair, single) for part in parts]
    return parts


def _disguised(name: str) -> bool:
    """Whether a name has signs that are no Latin letters, and may stand for some."""
    plain = unicodedata.normalize("NFKD", name)
    other = [c for c in plain if c.isalpha() and "LATIN" not in unicodedata.name(c, "")]
    return bool(other) or any(c in "01|" or unicodedata.category(c) in ("So", "Sm", "Sk") for c in plain)


@cache
def _like(sign: str) -> str:
    """What a sign looks like: its prototype in Unicode's table of confusables; an ASCII letter stays as it is."""
    if sign.isascii():
        return sign
    from confusable_homoglyphs.confusables import confusables_data  # a table of 9,600 signs: read only where it matters

    lookalikes = [entry["c"] for entry in confusables_data.get(sign, ())]
    plain = [text for text in lookalikes if text.isascii() and any(map(str.isalpha, text))]
    return plain[0] if plain else sign
