"""The tree agrees with RFC 6962, and no altered proof passes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from residency.ledger.tree import (
    Frontier,
    consistency_proof,
    inclusion_proof,
    inclusion_root,
    is_consistent,
    leaf_hash,
    node_hash,
    subtree_root,
)

# Published vectors, not our own output: Certificate Transparency's test leaves and roots.
LEAVES = [bytes.fromhex(h) for h in ("", "00", "10", "2021", "3031", "40414243")]
LEAVES += [bytes(range(0x50, 0x58)), bytes(range(0x60, 0x70))]
ROOTS = {
    0: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    2: "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    3: "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    4: "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    5: "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    6: "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    7: "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
}
# Published proofs over the same leaves: (index, size) and (old, size). Source: Certificate
# Transparency's Merkle tree tests, which transparency-dev/merkle carries on.
_A = "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7"
_B = "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e"
_C = "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"
_D = "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"
_E = "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0"
_F = "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a"
INCLUSION = {
    (0, 1): [],
    (0, 8): [_A, _B, _C],
    (5, 8): [_D, _E, ROOTS[4]],
    (2, 3): [ROOTS[2]],
    (1, 5): [ROOTS[1], _B, _D],
}
CONSISTENCY = {
    (1, 1): [],
    (1, 8): [_A, _B, _C],
    (6, 8): [_F, _E, ROOTS[4]],
    (2, 5): [_B, _D],
}
BIG = [leaf_hash(b"%d" % number) for number in range(70)]


def plain_root(hashes: list[bytes]) -> bytes:
    """Follow the RFC's recursive definition: an oracle for the frontier."""
    if len(hashes) == 1:
        return hashes[0]
    split = 1 << (len(hashes) - 1).bit_length() - 1
    return node_hash(plain_root(hashes[:split]), plain_root(hashes[split:]))


def node(height: int, n: int) -> bytes:
    return plain_root(BIG[n << height : (n + 1) << height])


def flipped(hashes: list[bytes], at: int) -> list[bytes]:
    return [*hashes[:at], bytes([hashes[at][0] ^ 1, *hashes[at][1:]]), *hashes[at + 1 :]]


@pytest.mark.parametrize(("size", "root"), ROOTS.items())
def test_published_roots(size: int, root: str) -> None:
    assert subtree_root([leaf_hash(leaf) for leaf in LEAVES[:size]]).hex() == root


def published(height: int, n: int) -> bytes:
    return plain_root([leaf_hash(leaf) for leaf in LEAVES][n << height : (n + 1) << height])


@pytest.mark.parametrize(("at", "proof"), INCLUSION.items())
def test_published_inclusion_proofs(at: tuple[int, int], proof: list[str]) -> None:
    index, size = at
    hashes = [bytes.fromhex(node) for node in proof]

    assert inclusion_proof(index, size, published) == hashes
    root = inclusion_root(index, size, leaf_hash(LEAVES[index]), hashes)
    assert root == bytes.fromhex(ROOTS[size])


@pytest.mark.parametrize(("at", "proof"), CONSISTENCY.items())
def test_published_consistency_proofs(at: tuple[int, int], proof: list[str]) -> None:
    old, size = at
    hashes = [bytes.fromhex(node) for node in proof]

    assert consistency_proof(old, size, published) == hashes
    roots = [bytes.fromhex(ROOTS[n]) for n in (old, size)]
    assert is_consistent(old, roots[0], size, roots[1], hashes)


@pytest.mark.parametrize("size", range(1, len(BIG) + 1))
def test_every_leaf_of_every_tree_is_proved_and_no_altered_proof_passes(size: int) -> None:
    root = plain_root(BIG[:size])

    for index in range(size):
        proof = inclusion_proof(index, size, node)

        assert inclusion_root(index, size, BIG[index], proof) == root
        assert inclusion_root(index, size, BIG[index - 1], proof) != root or size == 1
        assert inclusion_root(index, size, BIG[index], [*proof, root]) is None
        assert inclusion_root(index, 4 * size, BIG[index], proof) is None  # too short for it
        for at in range(len(proof)):
            assert inclusion_root(index, size, BIG[index], flipped(proof, at)) != root
            assert inclusion_root(index, size, BIG[index], proof[:at] + proof[at + 1 :]) != root


@pytest.mark.parametrize("size", range(1, len(BIG) + 1))
def test_every_prefix_of_every_tree_is_proved_and_no_altered_proof_passes(size: int) -> None:
    root = plain_root(BIG[:size])

    for old in range(1, size + 1):
        proof, old_root = consistency_proof(old, size, node), plain_root(BIG[:old])
        other = bytes(32)

        assert is_consistent(old, old_root, size, root, proof)
        assert not is_consistent(old, other, size, root, proof)
        assert not is_consistent(old, old_root, size, other, proof)
        assert not is_consistent(old, old_root, size, root, [*proof, other])
        assert not is_consistent(old, old_root, 4 * size, root, proof)  # too short for it
        for at in range(len(proof)):
            assert not is_consistent(old, old_root, size, root, flipped(proof, at))
            assert not is_consistent(old, old_root, size, root, proof[:at] + proof[at + 1 :])


@pytest.mark.parametrize(("index", "size"), [(-1, 3), (3, 3), (0, 0)])
def test_a_leaf_that_is_not_there_has_no_proof(index: int, size: int) -> None:
    assert inclusion_root(index, size, BIG[0], []) is None
    with pytest.raises(ValueError, match="no leaf"):
        inclusion_proof(index, size, node)


@pytest.mark.parametrize(("old", "size"), [(0, 3), (4, 3)])
def test_an_impossible_prefix_has_no_proof(old: int, size: int) -> None:
    assert not is_consistent(old, bytes(32), size, bytes(32), [])
    with pytest.raises(ValueError, match="no consistency proof"):
        consistency_proof(old, size, node)


@given(st.lists(st.integers(0, 300), max_size=6))
def test_any_split_of_an_append_gives_the_same_tree_and_tiles(sizes: list[int]) -> None:
    hashes = [leaf_hash(b"%d" % number) for number in range(sum(sizes))]
    whole, gained_at_once = Frontier().extend(hashes)

    step, at = Frontier(), 0
    gained: list[list[bytes]] = []
    for size in sizes:
        step, more = step.extend(hashes[at : at + size])
        gained += [[] for _ in range(len(more) - len(gained))]
        for level, new in enumerate(more):
            gained[level] += new
        at += size

    assert step == whole
    assert gained == gained_at_once
    assert whole.root() == (plain_root(hashes) if hashes else bytes.fromhex(ROOTS[0]))
    assert (
        gained[1:2]
        == ([[plain_root(hashes[i : i + 256]) for i in range(0, at - 255, 256)]][: at // 256 > 0])
    )


@given(st.integers(0, 70_000))
def test_a_frontier_is_the_joined_peaks_of_its_partial_tiles(size: int) -> None:
    # Any hashes do: only where the peaks come from is at stake.
    edge = [
        [leaf_hash(b"%d %d" % (level, i)) for i in range(size >> 8 * level & 255)]
        for level in range(3)
    ]

    joined = Frontier.join(edge)

    assert joined.size == size
    assert len(joined.peaks) == size.bit_count()
