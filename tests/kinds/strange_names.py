"""Strange names: names of folders that mean something else in a URI, a shell or a pattern."""

import unicodedata

NAMES = [
    "Ä #1 100%25 ?x", "a?b", "a%25b", "a%2Fb", "a#b", "a b", "a&b;c", "it's", 'say "so"', unicodedata.normalize("NFD", "Größe"),
    "dot.", ":memory:", "mode=memory", "a[1]b*", "$HOME", "{x}", "-home", "file:x", "long" * 40, "患者",
]  # fmt: skip
