"""Values by their tokens and by their generalised outputs: what may differ between the sides."""

import random
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from ipaddress import IPv4Address, IPv6Address
from typing import Any, Final

from residency.tokens import Tokeniser
from streams.noninterference.pools import Pools
from streams.noninterference.texts import personal
from streams.noninterference.wire import sized

CLASSES: Final = 256  # of values with one token, per leaf
Tokens = Callable[[str], tuple[str, ...]]
_SPELL: Final[Sequence[Callable[[str], str]]] = (
    str.upper,
    str.lower,
    str.swapcase,
    lambda text: f" {text}\t",
    lambda text: f"\u2003{text}",
    lambda text: unicodedata.normalize("NFD", text),
    lambda text: unicodedata.normalize("NFKC", text),
    lambda text: text.replace(" ", ""),
    " ".join,
    lambda text: text.replace("+", "00", 1),
    lambda text: "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in text),
)


def token_classes(
    pools: Pools, seed: str, tokens: Tokens
) -> list[tuple[tuple[bytes, ...], tuple[bytes, ...]]]:
    """Return `TokenLeaf.spellings` for a leaf.

    Args:
        pools: Of the run.
        seed: Of the run: every leaf has the same classes in the same order, so that values
            equal between two leaves of one domain stay equal on the other side.
        tokens: Every token that the plan makes of a value of the leaf.

    """
    rng = random.Random(seed)
    bases = [*pools.texts, *(personal(rng) for _ in range(2 * CLASSES))]
    rng.shuffle(bases)
    taken: set[str] = set()
    found: list[tuple[tuple[bytes, ...], tuple[bytes, ...]]] = []
    for number in range(0, len(bases) - 1, 2):
        pair = bases[number], bases[number + 1]
        made = [tokens(text) for text in pair]
        if taken & {t for ts in made for t in ts} or made[0] == made[1]:
            continue
        taken |= {token for ts in made for token in ts}
        a, b = (_spellings(text, tokens) for text in pair)
        found.append((a, b))
        if len(found) == CLASSES:
            break
    return found


def _spellings(text: str, tokens: Tokens) -> tuple[bytes, ...]:
    """Return the encoded spellings of *text* that have its tokens, itself first."""
    wanted = tokens(text)
    others = {spell(text) for spell in _SPELL if len(text) < 128}  # noqa: PLR2004
    fine = [t for t in sorted(others) if t != text and tokens(t) == wanted]
    return tuple(sized(t.encode()) for t in (text, *fine))


def tokens_of(tokeniser: Tokeniser, domains: Iterable[tuple[bool, str]]) -> Tokens:
    """Return what makes every token of a value: of each (is identity, domain)."""
    makers = [
        (tokeniser.identity if is_identity else tokeniser.attribute, domain)
        for is_identity, domain in sorted(set(domains))
    ]
    return lambda text: tuple(make(domain, text) for make, domain in makers)


def candidates(pools: Pools, rng: random.Random, avro: Any) -> list[Any]:  # noqa: ANN401
    """Return values among which many share what a generaliser makes of them."""
    found = pools.values(avro)
    if found and isinstance(found[0], bool):
        return found
    if found and isinstance(found[0], int):
        return found + _near_numbers(rng, found)
    if found and isinstance(found[0], bytes):
        return found + _near_decimals(rng)
    if isinstance(avro, str):  # free text; not an enum, not a uuid
        return found + _likely(rng)
    return found


def _near_numbers(rng: random.Random, whole: Sequence[int]) -> list[int]:
    """Return days, milliseconds and amounts that lie close to one another."""
    low, high = min(whole), max(whole)
    days = [rng.randrange(-25_567, 24_000) for _ in range(300)]
    near = [day + step for day in days for step in (0, 1, 7, 30)]
    if high > 2**31:
        hours = [rng.randrange(0, 2_000_000_000_000, 3_600_000) for _ in range(100)]
        near += [hour + step for hour in hours for step in (0, 1, 59_999, 3_599_999)]
    near += [n * 100 + step for n in range(-20, 20) for step in (0, 1, 50, 99)]
    return [n for n in near if low <= n <= high]


def _near_decimals(rng: random.Random) -> list[bytes]:
    whole = [rng.randrange(-(10**9), 10**9) for _ in range(100)] + list(range(-300, 300, 7))
    return [(n + step).to_bytes(8, "big", signed=True) for n in whole for step in (0, 1, 13)]


def _likely(rng: random.Random) -> list[str]:
    """Return texts that generalisers read: postcodes, addresses, mail, cards; several alike."""
    made: list[str] = []
    for _ in range(24):
        area = f"{rng.randrange(100):02}"
        made += [f"{area}{rng.randrange(1_000):03}" for _ in range(4)]
        made += [f" {area}{rng.randrange(1_000):03} ", f"D-{area}000", f"{area} 12", f"F{area}9"]
        outward = f"{rng.choice(['SW', 'N', 'EC', 'M'])}{rng.randrange(1, 9)}"
        made += [f"{outward} {n}AB" for n in (1, 2, 3)] + [f"{outward.lower()}1aa"]
        net = rng.getrandbits(24) << 8
        made += [str(IPv4Address(net | rng.getrandbits(8))) for _ in range(3)]
        wide = rng.getrandbits(48) << 80
        made += [str(IPv6Address(wide | rng.getrandbits(80))) for _ in range(3)]
        made += [f"::ffff:{IPv4Address(net | rng.getrandbits(8))}"]
        host = rng.choice(["gmail.com", "web.de", "corp.example", "ACME.example"])
        made += [f"{''.join(rng.choices('abcxyz', k=6))}@{host}" for _ in range(3)]
        last = f"{rng.randrange(10_000):04}"
        made += [f"4{rng.randrange(10**11):011}{last}", f"5500 0000 0000 {last}", f"+49301{last}"]
    return made
